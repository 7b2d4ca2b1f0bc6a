"""What an operator can watch: a catalogue of metrics as data, cheap counting per batch, and the page Prometheus reads.

The catalogue is the one place where a metric gets its name, unit and meaning; METRICS.md is printed from it
(`python -m engine.metrics > METRICS.md`, a style test compares). Counting happens in plain dicts once a batch, about
1 us a number; prometheus-client objects are made only while somebody reads the page.

A label takes its values from code or configuration (kind, stage, rule, reason): never from the data, so that the
number of series does not grow with customers.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from config.errors import InputError
from engine.clock import Clock, SystemClock

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
SECONDS: Final = tuple(
    digit * 10.0**power for power in range(-5, 1) for digit in (1.0, 2.0, 5.0)
)  # 10 us .. 5 s
ROWS: Final = tuple(float(4**k) for k in range(9))  # 1 .. 65,536


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric of the catalogue.

    name    : as Prometheus shows it: `weir_`, what, unit; counters end in `_total`
    kind    : COUNTER only grows, GAUGE is the present value, HISTOGRAM spreads observations over `bounds`
    label   : the one label it has, "" for none
    values  : where the values of the label come from, for people
    """

    name: str
    kind: str
    unit: str
    meaning: str
    label: str = ""
    values: str = ""
    bounds: tuple[float, ...] = ()


CATALOGUE: Final[tuple[Definition, ...]] = (
    Definition(
        "weir_rows_total",
        COUNTER,
        "rows",
        "Input messages taken, duplicates and dead letters included.",
        "kind",
        "transaction, activity, label, update, profile, command, tick, config, duplicate, dead",
    ),
    Definition(
        "weir_late_total",
        COUNTER,
        "rows",
        "Rows later than the lateness allows: decided, but neither counted in windows nor learned from.",
    ),
    Definition(
        "weir_dead_letters_total",
        COUNTER,
        "rows",
        "Messages that could not be taken, by reason. A sudden rise means a sender has changed.",
        "reason",
        "the reasons of dead_letters.ndjson",
    ),
    Definition(
        "weir_unknown_fields_total",
        COUNTER,
        "values",
        "Values of fields that the schema does not know; they are ignored.",
    ),
    Definition(
        "weir_wrong_fields_total",
        COUNTER,
        "values",
        "Values of optional fields that could not be read and count as missing.",
        "field",
        "the fields of schema.yaml",
    ),
    Definition(
        "weir_foreign_currency_total",
        COUNTER,
        "rows",
        "Rows with money in a currency that has no rate; decided as review or more.",
    ),
    Definition(
        "weir_decisions_total",
        COUNTER,
        "decisions",
        "Answers given, one a readable transaction.",
        "decision",
        "approve, review, challenge, hold, decline",
    ),
    Definition(
        "weir_rules_fired_total",
        COUNTER,
        "matches",
        "Rows on which a rule in force fired.",
        "rule",
        "the rules of the packs",
    ),
    Definition(
        "weir_rules_shadow_total",
        COUNTER,
        "matches",
        "Rows on which a rule in shadow would have fired.",
        "rule",
        "the rules of the packs",
    ),
    Definition(
        "weir_rules_excepted_total",
        COUNTER,
        "matches",
        "Matches that an exception of the rule let pass.",
        "rule",
        "the rules of the packs",
    ),
    Definition(
        "weir_rules_undecided_total",
        COUNTER,
        "rows",
        "Rows on which a rule could not be decided because a field was missing; over 5 % needs a look.",
        "rule",
        "the rules of the packs",
    ),
    Definition(
        "weir_alerts_total",
        COUNTER,
        "alerts",
        "Alerts opened; repeats that joined an open one are not counted.",
    ),
    Definition(
        "weir_commands_total",
        COUNTER,
        "commands",
        "Commands to the core banking system, recorded or sent.",
        "verb",
        "the verbs of commands.ndjson",
    ),
    Definition(
        "weir_core_time_seconds",
        GAUGE,
        "seconds",
        "Core time: the newest accepted event time, seconds since 1970 UTC.",
    ),
    Definition(
        "weir_seq",
        GAUGE,
        "records",
        "Input records taken since the beginning of the stream, over restarts.",
    ),
    Definition(
        "weir_batch_rows",
        HISTOGRAM,
        "rows",
        "Rows of a batch. Small ones mean the engine keeps up, full ones that it catches up.",
        bounds=ROWS,
    ),
    Definition(
        "weir_stage_seconds",
        HISTOGRAM,
        "seconds",
        "Time one stage took for one batch.",
        "stage",
        "the stages of engine/core.py and engine/runner.py, in their order",
        bounds=SECONDS,
    ),
)


@dataclass(slots=True)
class _Spread:
    """A histogram's state: observations at or under each bound (not added up), then those above the last."""

    bounds: tuple[float, ...]
    n: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.n = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        self.n[bisect_left(self.bounds, value)] += 1
        self.total += value


class Watch:
    """Time the stages of one batch: each `lap` is the time since the one before it."""

    __slots__ = ("_clock", "_last_ns", "_metrics")

    def __init__(self, metrics: "Metrics", clock: Clock) -> None:
        self._metrics, self._clock = metrics, clock
        self._last_ns = clock.monotonic_ns()

    def lap(self, stage: str) -> None:
        """Note the time since the last lap (or the start) as that of `stage`."""
        now_ns = self._clock.monotonic_ns()
        self._metrics.observe("weir_stage_seconds", (now_ns - self._last_ns) / 1e9, stage)
        self._last_ns = now_ns


class Metrics:
    """The numbers of one process. The engine's thread writes; the thread that serves the page only reads copies."""

    def __init__(
        self, clock: Clock | None = None, catalogue: Iterable[Definition] = CATALOGUE
    ) -> None:
        self._clock: Clock = SystemClock() if clock is None else clock
        self.catalogue = {d.name: d for d in catalogue}
        self._values: dict[str, dict[str, float]] = {
            d.name: {} for d in self.catalogue.values() if d.kind != HISTOGRAM
        }
        self._spreads: dict[str, dict[str, _Spread]] = {
            d.name: {} for d in self.catalogue.values() if d.kind == HISTOGRAM
        }

    def add(self, name: str, n: float, label: str = "") -> None:
        """Count `n` more."""
        definition = self.catalogue[name]
        assert definition.kind == COUNTER, f"{name} is a {definition.kind}"
        assert n >= 0, f"{name} only grows, was asked to add {n}"
        values = self._values[name]
        key = label if definition.label else ""
        values[key] = values.get(key, 0) + n

    def set(self, name: str, value: float, label: str = "") -> None:
        """Give a gauge its present value."""
        definition = self.catalogue[name]
        assert definition.kind == GAUGE, f"{name} is a {definition.kind}"
        self._values[name][label if definition.label else ""] = value

    def observe(self, name: str, value: float, label: str = "") -> None:
        """Put one observation into a histogram."""
        spreads = self._spreads[name]
        spread = spreads.get(label)
        if spread is None:
            definition = self.catalogue[name]
            assert bool(label) == bool(definition.label), f"{name} has label {definition.label!r}"
            spread = spreads[label] = _Spread(definition.bounds)
        spread.observe(value)

    def count(self, counts: Mapping[str, Mapping[str, int]], n_rows: int) -> None:
        """Add what became of one batch: `counts["decisions"]["hold"]` goes to `weir_decisions_total{decision="hold"}`.

        Each group must have a counter in the catalogue; one without a label takes the sum of its group, whatever
        the names inside are (foreign field names, say, which must not become series).
        """
        self.observe("weir_batch_rows", n_rows)
        for group, by_label in counts.items():
            for label, n in by_label.items():
                if n:
                    self.add(f"weir_{group}_total", n, label)

    def watch(self) -> Watch:
        """Start timing a batch."""
        return Watch(self, self._clock)

    def snapshot(self) -> dict[str, dict[str, float]]:
        """Every number by metric and label ("" without one), histograms as sum, for summary.json and tests."""
        found = {name: dict(sorted(values.items())) for name, values in self._values.items()}
        for name, spreads in self._spreads.items():
            found[name] = {label: spread.total for label, spread in spreads.items()}
        return {name: values for name, values in sorted(found.items()) if values}

    def registry(self) -> CollectorRegistry:
        """A registry that shows the numbers of this process, and its memory, time and files beside them."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Page(self))
        ProcessCollector(registry=registry)
        return registry

    def serve(self, port: int) -> "Server":
        """Serve the page on 127.0.0.1 until the server is closed; port 0 takes a free one."""
        try:
            server, thread = start_http_server(port, addr="127.0.0.1", registry=self.registry())
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no such port"
            raise InputError(
                f"`--metrics-port {port}` cannot be opened: {reason}",
                why="another process may listen there",
                fix="name a free port from 1024 to 65535, or 0 for any",
            ) from None
        return Server(server.server_port, server, thread)

    def families(self) -> Iterator[Metric]:
        """The numbers as prometheus-client shows them; the dicts are copied first, for the engine goes on."""
        for definition in self.catalogue.values():
            labels = [definition.label] if definition.label else []
            if definition.kind == HISTOGRAM:
                yield self._histogram(definition, labels)
                continue
            kind = CounterMetricFamily if definition.kind == COUNTER else GaugeMetricFamily
            family = kind(definition.name, definition.meaning, labels=labels)
            for label, value in self._values[definition.name].copy().items():
                family.add_metric([label] if labels else [], value)
            yield family

    def _histogram(self, definition: Definition, labels: list[str]) -> HistogramMetricFamily:
        family = HistogramMetricFamily(definition.name, definition.meaning, labels=labels)
        for label, spread in self._spreads[definition.name].copy().items():
            under, buckets = 0, []
            for bound, n in zip((*spread.bounds, float("inf")), spread.n.copy(), strict=True):
                under += n
                buckets.append(("+Inf" if bound == float("inf") else f"{bound:g}", float(under)))
            family.add_metric([label] if labels else [], buckets, spread.total)
        return family


class Server:
    """The page being served; `port` is the one that was opened."""

    def __init__(self, port: int, server: object, thread: threading.Thread) -> None:
        self.port = port
        self._server, self._thread = server, thread

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()  # type: ignore[attr-defined]
        self._server.server_close()  # type: ignore[attr-defined]
        self._thread.join()


class _Page(Collector):
    """What the registry asks each time the page is read."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.families()


def page() -> str:
    """METRICS.md: the catalogue as people read it."""
    lines = [
        "# Metrics",
        "",
        "Printed from the catalogue in `engine/metrics.py` (`python -m engine.metrics > METRICS.md`); do not edit.",
        "Served on `http://127.0.0.1:PORT/metrics` with `--metrics-port PORT`, beside `process_*` of the process.",
        "Label values come from code and configuration, never from the data.",
        "",
        "| name | kind | unit | label | meaning |",
        "|---|---|---|---|---|",
    ]
    for d in CATALOGUE:
        values = f": {d.values}" if d.values else ""
        label = f"`{d.label}`{values}" if d.label else ""
        lines.append(f"| `{d.name}` | {d.kind} | {d.unit} | {label} | {d.meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
