"""What an operator can watch: a catalogue of metrics as data, and cheap counting per batch.

The catalogue is the one place where a metric gets its name, unit and meaning; METRICS.md is printed from it
(`python -m engine.metrics > METRICS.md`, a style test compares). Counting happens in plain dicts once a batch, about
1 us a number; prometheus-client objects are made only while somebody reads the page (engine/metrics_page.py).

A label takes its values from code or configuration (kind, stage, rule, reason): never from the data, so that the
number of series does not grow with customers.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from config.errors import InputError
from engine.clock import Clock, SystemClock
from engine.drifting import Drifting
from engine.governing import Governing
from engine.maturity import Maturity
from engine.scoring import Scoring
from engine.windows.plan import Windows
from engine.windows.usage import Usage, total_used_bytes, usages
from models.comparison import Figures

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from engine.metrics_page import Server

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
SECONDS: Final = tuple(
    digit * 10.0**power for power in range(-5, 1) for digit in (1.0, 2.0, 5.0)
)  # 10 us .. 5 s
GLANCE_NS = 1_000_000_000  # a page reads several metrics of one walk
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


RULES = "the rules of the packs"
MODELS = "the models of models.yaml with `refit`"
ANSWERS_TEXT = "approved, alerted, held (challenged ones among them), declined"
MODELS_TEXT = "the models of models.yaml that are no shadow, or all of them"
PARTITIONS = "numbers of the input's partitions that are this worker's"
LOGS = "one a tuple of keys of the features, as `weir rules explain --all` lists them"
CATALOGUE: Final[tuple[Definition, ...]] = (
    Definition(
        "weir_messages_total",
        COUNTER,
        "messages",
        "Input messages taken, duplicates and dead letters included.",
        "kind",
        "transaction, activity, label, update, profile, command, tick, config, duplicate, dead",
    ),
    Definition(
        "weir_late_total",
        COUNTER,
        "messages",
        "Messages later than the lateness allows: decided, but neither counted nor learned from.",
    ),
    Definition(
        "weir_dead_letters_total",
        COUNTER,
        "messages",
        "Messages that could not be taken. A sudden rise means that a sender has changed.",
        "reason",
        "the reasons in REASONS.md",
    ),
    Definition(
        "weir_unlinked_total",
        COUNTER,
        "messages",
        "Messages about a transaction that nobody remembers: labels, updates, and refunds of unknown originals.",
        "kind",
        "label, update, transaction, activity",
    ),
    Definition(
        "weir_fields_present_total",
        COUNTER,
        "values",
        "Transactions with a value of this field; a field that thins out means a sender has changed.",
        "field",
        "the fields of schema.yaml",
    ),
    Definition(
        "weir_fields_invalid_total",
        COUNTER,
        "values",
        "Values of optional fields that mean nothing and count as missing.",
        "field",
        "the fields of schema.yaml",
    ),
    Definition(
        "weir_fields_unseen_total",
        COUNTER,
        "values",
        "Values outside those that the schema lists for the field.",
        "field",
        "the fields of schema.yaml",
    ),
    Definition(
        "weir_fields_unknown_total",
        COUNTER,
        "values",
        "Values of fields that the schema does not have; they are ignored.",
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
        "weir_verdicts_total",
        COUNTER,
        "verdicts",
        "Transactions of which it was said for the first time whether they were fraud, by what had been answered.",
        "answer",
        ANSWERS_TEXT,
    ),
    Definition(
        "weir_verdict_share",
        GAUGE,
        "share",
        "Of the decisions of the last 64 days that are older than `maturity`, those with a verdict, by answer.",
        "answer",
        ANSWERS_TEXT,
    ),
    Definition(
        "weir_verdict_share_by_age",
        GAUGE,
        "share",
        "Of the decisions of the last 64 days that are so old, those that had a verdict by that age.",
        "age",
        "1h, 1d, 3d, 7d, 14d, 30d",
    ),
    Definition(
        "weir_model_champion",
        GAUGE,
        "models",
        "1 for the model whose calibrated score is `model.score`, 0 for the others.",
        "model",
        MODELS_TEXT,
    ),
    Definition(
        "weir_model_frozen",
        GAUGE,
        "models",
        "1 for a model that learns nothing, by order or by the settings.",
        "model",
        MODELS_TEXT,
    ),
    Definition(
        "weir_model_known",
        GAUGE,
        "transactions",
        "Transactions of the last 35 days whose fate is known, and of which the model had said something.",
        "model",
        MODELS_TEXT,
    ),
    Definition(
        "weir_model_log_loss",
        GAUGE,
        "nats",
        "Mean log loss on them of the model's calibrated scores as they were decided.",
        "model",
        MODELS_TEXT,
    ),
    Definition(
        "weir_drift_input",
        GAUGE,
        "index",
        "Stability index of a model input on the last day, against the most similar of 1 to 3 weeks before.",
        "input",
        "the inputs of models.yaml",
    ),
    Definition(
        "weir_drift_score",
        GAUGE,
        "index",
        "The same of the raw scores of a model.",
        "model",
        "the models of models.yaml",
    ),
    Definition(
        "weir_calibration_off",
        GAUGE,
        "times",
        "Frauds that the probabilities of a model said, by those that came, when it was last judged; 1 is honest.",
        "model",
        "the models of models.yaml but shadows",
    ),
    Definition(
        "weir_calibration_error",
        GAUGE,
        "share",
        "Sum over ranges of probability of |said - was|, by the frauds there were, of late; over 0.3 needs a look.",
        "model",
        "the models of models.yaml but shadows",
    ),
    Definition(
        "weir_model_precision",
        GAUGE,
        "share",
        "Share of frauds among the hundredth of them with the highest scores.",
        "model",
        MODELS_TEXT,
    ),
    Definition(
        "weir_rules_fired_total",
        COUNTER,
        "matches",
        "Matches of rules in force, with all their actions.",
        "rule",
        RULES,
    ),
    Definition(
        "weir_rules_shadow_total",
        COUNTER,
        "matches",
        "Matches of rules in shadow: recorded, without score and actions.",
        "rule",
        RULES,
    ),
    Definition(
        "weir_rules_excepted_total",
        COUNTER,
        "matches",
        "Matches that an exception of the rule let pass.",
        "rule",
        RULES,
    ),
    Definition(
        "weir_rules_suppressed_total",
        COUNTER,
        "matches",
        "Matches that a suppression by operations kept back.",
        "rule",
        RULES,
    ),
    Definition(
        "weir_rules_undecided_total",
        COUNTER,
        "transactions",
        "Transactions on which a rule was undecided for want of a field; over 5 % needs a look.",
        "rule",
        RULES,
    ),
    Definition(
        "weir_rules_degraded_total",
        COUNTER,
        "matches",
        "Matches whose score could not be computed for want of a field and counted as 0.",
        "rule",
        RULES,
    ),
    Definition(
        "weir_actions_capped_total",
        COUNTER,
        "actions",
        "Automatic actions withheld because a limit was reached; the decision became review.",
        "limit",
        "limits of the packs and of `decisions` in weir.yaml",
    ),
    Definition(
        "weir_alerts_total",
        COUNTER,
        "alerts",
        "Alerts written: by a rule, as an update of an open one, or operational.",
        "kind",
        "rule, update, operational",
    ),
    Definition(
        "weir_reports_total",
        COUNTER,
        "reports",
        "Lines of reports.ndjson: new reports to an authority, and revisions of them.",
        "kind",
        "kinds of the report actions of the packs",
    ),
    Definition(
        "weir_commands_total",
        COUNTER,
        "commands",
        "Lines of commands.ndjson: what core banking is asked to do, and what has expired or been answered.",
        "verb",
        "restrict, release, expired and the other verbs of commands.ndjson",
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
        "weir_window_entities",
        GAUGE,
        "entities",
        "Entities (accounts, cards, pairs) of which the log of a key holds something.",
        "log",
        LOGS,
    ),
    Definition(
        "weir_window_events",
        GAUGE,
        "events",
        "Events retained, because some window, lag or late row may still ask for them.",
        "log",
        LOGS,
    ),
    Definition(
        "weir_window_values",
        GAUGE,
        "values",
        "Values kept beside the events: for distinct counts, quantiles, entropies and extremes.",
        "log",
        LOGS,
    ),
    Definition(
        "weir_window_used_bytes",
        GAUGE,
        "bytes",
        "Memory that a log has ever written to.",
        "log",
        LOGS,
    ),
    Definition(
        "weir_window_reserved_bytes",
        GAUGE,
        "bytes",
        "Address space that a log has; it costs nothing until it is written to.",
        "log",
        LOGS,
    ),
    Definition(
        "weir_window_oldest_seconds",
        GAUGE,
        "seconds",
        "Age of the oldest retained event, by core time; much more than the longest window means idle entities.",
        "log",
        LOGS,
    ),
    Definition(
        "weir_memory_bytes",
        GAUGE,
        "bytes",
        "Memory: what windows use, what the process holds, what `memory_budget` allows.",
        "part",
        "windows, process, budget",
    ),
    Definition(
        "weir_memory_warnings_total",
        COUNTER,
        "warnings",
        "Times that memory rose to 80 % of `memory_budget`; at 100 % the engine stops in order.",
    ),
    Definition(
        "weir_reloads_total",
        COUNTER,
        "configurations",
        "Configurations that became active while the engine ran.",
    ),
    Definition(
        "weir_reloads_refused_total",
        COUNTER,
        "configurations",
        "Configurations that were proposed or saved and did not pass; why stands in control/active.status.",
    ),
    Definition(
        "weir_reload_seconds",
        GAUGE,
        "seconds",
        "Time from the end of its checks (or its approval) until the last configuration was active.",
    ),
    Definition(
        "weir_proposals",
        GAUGE,
        "configurations",
        "Configurations that are being checked, wait for approval, or are on their way in.",
    ),
    Definition(
        "weir_fit_age_seconds",
        GAUGE,
        "seconds",
        "Core time since the training set was closed that a refitted model decides with; more than `every` and `delay` "
        "means that fits are skipped.",
        "model",
        MODELS,
    ),
    Definition(
        "weir_fit_seconds",
        GAUGE,
        "seconds",
        "Time the last fit took, in the process beside the engine.",
        "model",
        MODELS,
    ),
    Definition(
        "weir_fit_rows",
        GAUGE,
        "transactions",
        "Transactions that the last fit was made of, after genuine ones were sampled.",
        "model",
        MODELS,
    ),
    Definition(
        "weir_fit_frauds",
        GAUGE,
        "transactions",
        "Frauds among them.",
        "model",
        MODELS,
    ),
    Definition(
        "weir_fits_total",
        COUNTER,
        "fits",
        "Fits that have become active since the start.",
        "model",
        MODELS,
    ),
    Definition(
        "weir_fits_skipped_total",
        COUNTER,
        "fits",
        "Times that a fit was due and had failed or was not ready; an alert says why.",
        "model",
        MODELS,
    ),
    Definition(
        "weir_fit_close_seconds",
        GAUGE,
        "seconds",
        "Time for which decisions waited while the last training set was handed over to the process that fits.",
    ),
    Definition(
        "weir_journal_lag_records",
        GAUGE,
        "records",
        "Records that are decided but not durable yet; their outcomes wait. More than two batches: the disk is slow.",
    ),
    Definition(
        "weir_journal_bytes",
        GAUGE,
        "bytes",
        "What the journal holds on disk.",
    ),
    Definition(
        "weir_journal_segments",
        GAUGE,
        "segments",
        "Files of the journal.",
    ),
    Definition(
        "weir_sealed_seq",
        GAUGE,
        "records",
        "Records before this one are in the chain of seals; at most 4,096 are not yet.",
    ),
    Definition(
        "weir_snapshot_seq",
        GAUGE,
        "records",
        "Where the newest snapshot stands; what came after it is decided again after a crash.",
    ),
    Definition(
        "weir_snapshot_age_seconds",
        GAUGE,
        "seconds",
        "Time since the newest snapshot was written; much more than `snapshot_every` means that none can be.",
    ),
    Definition(
        "weir_snapshot_failures_total",
        COUNTER,
        "snapshots",
        "Snapshots that the process beside could not write; standard error says why.",
    ),
    Definition(
        "weir_rederived_differences_total",
        COUNTER,
        "lines",
        "Lines on disk that are not those the journal gives again. Anything but 0: call the auditors.",
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
    Definition(
        "weir_outbox_commands",
        GAUGE,
        "commands",
        "Commands that core banking has not answered yet, of those that were looked at.",
    ),
    Definition(
        "weir_outbox_unread_bytes",
        GAUGE,
        "bytes",
        "What stands in commands.ndjson behind those: more than nothing for long means a backlog beyond memory.",
    ),
    Definition(
        "weir_outbox_unread_records",
        GAUGE,
        "records",
        "In a cluster: commands in the topic behind those.",
    ),
    Definition(
        "weir_outbox_oldest_seconds",
        GAUGE,
        "seconds",
        "How long the oldest command has been waiting for core banking.",
    ),
    Definition(
        "weir_outbox_delivered_total",
        COUNTER,
        "commands",
        "Commands that core banking has answered, since the process that delivers was started.",
    ),
    Definition(
        "weir_outbox_failures_total",
        COUNTER,
        "attempts",
        "Attempts to deliver a command that failed and are repeated.",
    ),
    Definition(
        "weir_outbox_rejected_total",
        COUNTER,
        "commands",
        "Commands that core banking refused to carry out.",
    ),
    Definition(
        "weir_outbox_withheld_total",
        COUNTER,
        "commands",
        "Commands that did not leave because the mode was observe by then, since the process was started.",
    ),
    Definition(
        "weir_outbox_restarts_total",
        COUNTER,
        "restarts",
        "How often the process that delivers commands died and was started again.",
    ),
    Definition(
        "weir_registry_backlog",
        GAUGE,
        "entities",
        "Entities whose restrictions in Redis are not up to date.",
    ),
    Definition(
        "weir_registry_unread_bytes",
        GAUGE,
        "bytes",
        "What stands in the streams behind what the registry has looked at.",
    ),
    Definition(
        "weir_registry_unread_records",
        GAUGE,
        "records",
        "In a cluster: commands and alerts in the topics behind what the registry has looked at.",
    ),
    Definition(
        "weir_registry_lag_seconds",
        GAUGE,
        "seconds",
        "How long Redis has been behind: it is down, or slow.",
    ),
    Definition(
        "weir_registry_writes_total",
        COUNTER,
        "writes",
        "Entities written to Redis, since the process that writes was started.",
    ),
    Definition(
        "weir_registry_failures_total",
        COUNTER,
        "failures",
        "Attempts to reach Redis that failed.",
    ),
    Definition(
        "weir_registry_rebuilds_total",
        COUNTER,
        "rebuilds",
        "How often everything was written anew because Redis had been away or was emptied.",
    ),
    Definition(
        "weir_registry_restarts_total",
        COUNTER,
        "restarts",
        "How often the process that writes the registry died and was started again.",
    ),
    Definition(
        "weir_partition_open",
        GAUGE,
        "partitions",
        "1 for a partition of this worker that is being decided, 0 while it is taken over.",
        "partition",
        PARTITIONS,
    ),
    Definition(
        "weir_partition_lag_records",
        GAUGE,
        "records",
        "Records of the input that this worker has not decided yet; one that grows needs another worker.",
        "partition",
        PARTITIONS,
    ),
    Definition(
        "weir_partition_waiting_lines",
        GAUGE,
        "lines",
        "Outcomes that are decided and not yet visible to readers.",
        "partition",
        PARTITIONS,
    ),
    Definition(
        "weir_rebalances_total",
        COUNTER,
        "rebalances",
        "How often the partitions were distributed anew while this worker ran.",
    ),
    Definition(
        "weir_partitions_lost_total",
        COUNTER,
        "partitions",
        "Partitions taken from this worker without a handover: it was fenced, or a transaction failed.",
    ),
    Definition(
        "weir_takeover_seconds",
        HISTOGRAM,
        "seconds",
        "From the order to take a partition over to its first fetch.",
        bounds=(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0),
    ),
)
# Groups of counts that the core gives for each batch, and the counter each goes to.
GROUPS: Final[Mapping[str, str]] = {
    "messages": "weir_messages_total",
    "dead_letters": "weir_dead_letters_total",
    "unlinked": "weir_unlinked_total",
    "decisions": "weir_decisions_total",
    "fired": "weir_rules_fired_total",
    "shadow": "weir_rules_shadow_total",
    "excepted": "weir_rules_excepted_total",
    "suppressed": "weir_rules_suppressed_total",
    "undecided": "weir_rules_undecided_total",
    "degraded": "weir_rules_degraded_total",
    "capped": "weir_actions_capped_total",
    "alerts": "weir_alerts_total",
    "verdicts": "weir_verdicts_total",
    "reports": "weir_reports_total",
    "commands": "weir_commands_total",
}


# Groups that say of which kind the late, repeated and dead messages were; they are counted as such already.
BREAKDOWNS: Final = frozenset({"late", "duplicates", "dead"})


@dataclass(slots=True)
class Spread:
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

    __slots__ = ("_clock", "_last_ns", "_metrics", "_spreads")

    def __init__(self, metrics: "Metrics", clock: Clock) -> None:
        self._metrics, self._clock = metrics, clock
        self._spreads = metrics.spreads("weir_stage_seconds")
        self._last_ns = clock.monotonic_ns()

    def restart(self) -> None:
        """Leave out what has passed since the last lap: another batch has been decided meanwhile."""
        self._last_ns = self._clock.monotonic_ns()

    def lap(self, stage: str) -> None:
        """Note the time since the last lap (or the start) as that of `stage`."""
        now_ns = self._clock.monotonic_ns()
        spread = self._spreads.get(stage)
        if spread is None:
            self._metrics.observe("weir_stage_seconds", (now_ns - self._last_ns) / 1e9, stage)
        else:
            spread.observe((now_ns - self._last_ns) / 1e9)
        self._last_ns = now_ns


class Quality(Protocol):
    """What was odd about fields, by name; engine/decoding/quality.py keeps it."""

    unknown: dict[str, int]
    unknown_other: int

    @property
    def present(self) -> dict[str, int]: ...

    @property
    def invalid(self) -> dict[str, int]: ...

    @property
    def unseen(self) -> dict[str, int]: ...


class Decodes(Protocol):
    @property
    def quality(self) -> Quality: ...


class Shown(Protocol):
    """The part of a core that is shown."""

    seq: int

    @property
    def core_us(self) -> int: ...

    @property
    def decoder(self) -> Decodes: ...

    @property
    def windows(self) -> list[Windows]: ...


class Governed(Protocol):
    """The part of a core that knows about its models."""

    @property
    def core_us(self) -> int: ...

    @property
    def scoring(self) -> Scoring: ...

    @property
    def governing(self) -> Governing: ...
    @property
    def drifting(self) -> Drifting: ...

    @property
    def maturity(self) -> Maturity: ...


class Remembers(Protocol):
    """What the memory guard knows."""

    @property
    def budget(self) -> int | None: ...

    @property
    def warnings(self) -> int: ...

    def resident(self) -> int: ...


class Fitting(Protocol):
    """What is known of models that are fitted beside the engine."""

    last_seconds: dict[str, float]
    last_rows: dict[str, int]
    last_frauds: dict[str, int]
    n_fitted: dict[str, int]
    n_skipped: dict[str, int]
    close_s: float


class Durable(Protocol):
    """The part of a runner with a journal that is shown."""

    @property
    def lag_records(self) -> int: ...

    @property
    def sealed_seq(self) -> int: ...

    def segment_bytes(self) -> list[int]: ...


class Keeps(Protocol):
    """The part of a keeper of snapshots that is shown."""

    newest_seq: int
    failures: int
    differences: int

    @property
    def age_s(self) -> float: ...


class Reloads(Protocol):
    """The part of what brings configurations in that is shown."""

    n_reloads: int
    n_refused: int
    last_s: float

    @property
    def n_waiting(self) -> int: ...


class Carries(Protocol):
    """What carries outcomes out, as far as it is shown."""

    def numbers(self, kind: str) -> Mapping[str, float]: ...


def unopened(port: int, error: OSError | OverflowError) -> InputError:
    """What to tell whoever named a port where nothing can be served."""
    reason = error.strerror if isinstance(error, OSError) else "no such port"
    return InputError(
        f"`--metrics-port {port}` cannot be opened: {reason}",
        why="another process may listen there",
        fix="name a free port from 1024 to 65535",
    )


def _told(values: Mapping[str, float | None]) -> dict[str, float]:
    """Those that are known."""
    return {name: value for name, value in values.items() if value is not None}


def _number(shown: Carries, kind: str, key: str) -> Callable[[], Mapping[str, float]]:
    return lambda: {"": shown.numbers(kind).get(key, 0.0)}


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
        self._mirrors: dict[str, Callable[[], Mapping[str, float]]] = {}
        self._spreads: dict[str, dict[str, Spread]] = {
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
            spread = spreads[label] = Spread(definition.bounds)
        spread.observe(value)

    def spreads(self, name: str) -> Mapping[str, Spread]:
        """What a histogram has seen, by label: for who observes often; it grows as labels are seen first."""
        return self._spreads[name]

    def sums(self, name: str, *, observations: bool = False) -> dict[str, float]:
        """Sum of what a histogram has seen, by label; or of how many observations there were."""
        spreads = self._spreads[name].items()
        return {label: sum(s.n) if observations else s.total for label, s in spreads}

    def count(self, counts: Mapping[str, Mapping[str, int]], n_rows: int) -> None:
        """Add what became of one batch: `counts["fired"]["R-1"]` goes to `weir_rules_fired_total{rule="R-1"}`.

        Of the messages, `all` is their sum and `late` stands beside the kind: neither is a kind. Groups that break
        down what another counts already have no metric.
        """
        self.observe("weir_batch_rows", n_rows)
        for group, by_label in counts.items():
            if group in BREAKDOWNS:
                continue
            if group == "messages":
                by_label = dict(by_label)
                by_label.pop("all", 0)
                self.add("weir_late_total", by_label.pop("late", 0))
            name = GROUPS[group]
            values, is_labelled = self._values[name], self.catalogue[name].label
            for label, n in by_label.items():
                if n:
                    key = label if is_labelled else ""
                    values[key] = values.get(key, 0) + n

    def mirror(self, name: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Show a counter or gauge that somebody else keeps: `read` gives label -> value when the page is read.

        For sums that live in the core's state (and so go on after a restart), and for present values: they cost
        nothing a batch. A metric without label takes the sum of what `read` gives, so that names from the data
        (unknown fields) become no series.
        """
        assert self.catalogue[name].kind != HISTOGRAM, name
        self._mirrors[name] = read

    def watch(self) -> Watch:
        """Start timing a batch."""
        return Watch(self, self._clock)

    def snapshot(self) -> dict[str, dict[str, float]]:
        """Every number by metric and label ("" without one), histograms as sum, for summary.json and tests."""
        found = {name: dict(sorted(self.present(name).items())) for name in self._values}
        for name, spreads in self._spreads.items():
            found[name] = {label: spread.total for label, spread in spreads.items()}
        return {name: values for name, values in sorted(found.items()) if values}

    def show_models(self, core: Callable[[], "Governed"]) -> None:
        """Show which model decides, what each is worth, and which decisions have a verdict: of the core of then."""

        def of_each(read: Callable[["Governed", str], bool]) -> Mapping[str, float]:
            now = core()
            return {name: float(read(now, name)) for name in now.scoring.names}

        def figure(read: Callable[[Figures], float | None]) -> Mapping[str, float]:
            found = core().governing.figures()
            return _told({name: read(figures) for name, figures in found.items()})

        self.mirror(
            "weir_model_champion", lambda: of_each(lambda now, name: name == now.scoring.champion)
        )
        self.mirror(
            "weir_model_frozen", lambda: of_each(lambda now, name: name in now.scoring.frozen)
        )
        self.mirror("weir_model_known", lambda: figure(lambda found: found.known))
        self.mirror("weir_model_log_loss", lambda: figure(lambda found: found.log_loss))
        self.mirror("weir_model_precision", lambda: figure(lambda found: found.precision))
        for metric, what in (
            ("weir_drift_input", "input"),
            ("weir_drift_score", "score"),
            ("weir_calibration_off", "calibration"),
        ):
            self.mirror(metric, _drift(core, what))
        self.mirror(
            "weir_calibration_error",
            lambda: core().scoring.calibration_errors(),  # noqa: PLW0108  of the core at that time
        )
        self.mirror("weir_verdict_share", lambda: _told(core().maturity.shares(core().core_us)))
        self.mirror(
            "weir_verdict_share_by_age", lambda: _told(core().maturity.by_age(core().core_us))
        )

    def show(self, core: "Shown") -> None:
        """Show what the core keeps by itself: its place in the stream, core time, and the quality of fields."""
        quality = core.decoder.quality
        self.mirror("weir_seq", lambda: {"": core.seq})
        self.mirror("weir_core_time_seconds", lambda: {"": core.core_us / 1e6})
        self.mirror("weir_fields_present_total", lambda: quality.present)
        self.mirror("weir_fields_invalid_total", lambda: quality.invalid)
        self.mirror("weir_fields_unseen_total", lambda: quality.unseen)
        self.mirror(
            "weir_fields_unknown_total", lambda: {**quality.unknown, "": quality.unknown_other}
        )
        look = _Glance(core, self._clock)
        self.mirror("weir_window_entities", lambda: look.at(lambda u: u.entities))
        self.mirror("weir_window_events", lambda: look.at(lambda u: u.events))
        self.mirror("weir_window_values", lambda: look.at(lambda u: u.values))
        self.mirror("weir_window_used_bytes", lambda: look.at(lambda u: u.used_bytes))
        self.mirror("weir_window_reserved_bytes", lambda: look.at(lambda u: u.reserved_bytes))
        self.mirror("weir_window_oldest_seconds", lambda: look.at(look.age_seconds))

    def show_durability(self, shown: "Durable") -> None:
        """Show how far journal and chain of seals have got; files are looked at only while somebody reads the page."""
        self.mirror("weir_journal_lag_records", lambda: {"": shown.lag_records})
        self.mirror("weir_journal_bytes", lambda: {"": sum(shown.segment_bytes())})
        self.mirror("weir_journal_segments", lambda: {"": len(shown.segment_bytes())})
        self.mirror("weir_sealed_seq", lambda: {"": shown.sealed_seq})

    def show_snapshots(self, shown: "Keeps") -> None:
        """Show where the newest snapshot stands, how old it is, and what the process beside has found."""
        self.mirror("weir_snapshot_seq", lambda: {"": shown.newest_seq})
        self.mirror("weir_snapshot_age_seconds", lambda: {"": shown.age_s})
        self.mirror("weir_snapshot_failures_total", lambda: {"": shown.failures})
        self.mirror("weir_rederived_differences_total", lambda: {"": shown.differences})

    def show_fits(self, shown: "Fitting", ages_s: Callable[[], Mapping[str, float]]) -> None:
        """Show how models are fitted beside the engine, and how old what they decide with is by core time."""
        self.mirror("weir_fit_age_seconds", ages_s)
        self.mirror("weir_fit_seconds", lambda: shown.last_seconds)
        self.mirror("weir_fit_rows", lambda: shown.last_rows)
        self.mirror("weir_fit_frauds", lambda: shown.last_frauds)
        self.mirror("weir_fits_total", lambda: shown.n_fitted)
        self.mirror("weir_fits_skipped_total", lambda: shown.n_skipped)
        self.mirror("weir_fit_close_seconds", lambda: {"": shown.close_s})

    def show_reloads(self, shown: "Reloads") -> None:
        """Show what became of configurations that were proposed to the running engine."""
        self.mirror("weir_reloads_total", lambda: {"": shown.n_reloads})
        self.mirror("weir_reloads_refused_total", lambda: {"": shown.n_refused})
        self.mirror("weir_reload_seconds", lambda: {"": shown.last_s})
        self.mirror("weir_proposals", lambda: {"": shown.n_waiting})

    def show_outlets(self, shown: "Carries") -> None:
        """Show what waits on its way out of the engine: commands to core banking, restrictions to Redis."""
        for name, kind, key in (
            ("weir_outbox_commands", "sink", "waiting"),
            ("weir_outbox_unread_bytes", "sink", "unread_bytes"),
            ("weir_outbox_unread_records", "sink", "unread_records"),
            ("weir_outbox_oldest_seconds", "sink", "oldest_s"),
            ("weir_outbox_delivered_total", "sink", "delivered"),
            ("weir_outbox_failures_total", "sink", "failed"),
            ("weir_outbox_rejected_total", "sink", "rejected"),
            ("weir_outbox_withheld_total", "sink", "withheld"),
            ("weir_outbox_restarts_total", "sink", "restarts"),
            ("weir_registry_backlog", "registry", "waiting"),
            ("weir_registry_unread_bytes", "registry", "unread_bytes"),
            ("weir_registry_unread_records", "registry", "unread_records"),
            ("weir_registry_lag_seconds", "registry", "lag_s"),
            ("weir_registry_writes_total", "registry", "writes"),
            ("weir_registry_failures_total", "registry", "failed"),
            ("weir_registry_rebuilds_total", "registry", "rebuilds"),
            ("weir_registry_restarts_total", "registry", "restarts"),
        ):
            self.mirror(name, _number(shown, kind, key))

    def show_memory(self, core: "Shown", guard: "Remembers") -> None:
        """Show what the process holds beside what it may."""

        def parts() -> dict[str, float]:
            found = {"windows": total_used_bytes(core.windows), "process": guard.resident()}
            if guard.budget is not None:
                found["budget"] = guard.budget
            return {part: float(n) for part, n in found.items()}

        self.mirror("weir_memory_bytes", parts)
        self.mirror("weir_memory_warnings_total", lambda: {"": guard.warnings})

    def show_worker(
        self,
        opened: Callable[[], Mapping[str, float]],
        lag: Callable[[], Mapping[str, float]],
        waiting: Callable[[], Mapping[str, float]],
    ) -> None:
        """Show the partitions of a worker of a cluster, each by its number."""
        self.mirror("weir_partition_open", opened)
        self.mirror("weir_partition_lag_records", lag)
        self.mirror("weir_partition_waiting_lines", waiting)

    def rebalanced(self) -> None:
        """The partitions were distributed anew."""
        self.add("weir_rebalances_total", 1)

    def lost_partition(self) -> None:
        """A partition went without a handover."""
        self.add("weir_partitions_lost_total", 1)

    def took_over(self, seconds: float) -> None:
        """A partition was taken over, in so long."""
        self.observe("weir_takeover_seconds", seconds)

    def present(self, name: str) -> dict[str, float]:
        """A copy of the values of a counter or gauge."""
        read = self._mirrors.get(name)
        if read is None:
            return self._values[name].copy()
        values = dict(read())
        return values if self.catalogue[name].label else {"": sum(values.values())}

    def registry(self) -> "CollectorRegistry":
        """A registry that shows the numbers of this process, and its memory, time and files beside them."""
        from engine import metrics_page  # brings an HTTP server, and most commands serve nothing

        return metrics_page.registry(self)

    def part(self) -> "Metrics":
        """Count into these numbers from another engine of the process; what only mirrors an engine is not shown."""
        part = Metrics(self._clock, self.catalogue.values())
        part._values, part._spreads = self._values, self._spreads
        return part

    def serve(self, port: int) -> "Server":
        """Serve the page on 127.0.0.1 until the server is closed; port 0 takes a free one."""
        from engine import metrics_page

        return metrics_page.serve(self, port)


def _drift(core: Callable[[], "Governed"], what: str) -> Callable[[], Mapping[str, float]]:
    return lambda: core().drifting.figures()[what]


class _Glance:
    """What the logs of a core hold, walked over once for all metrics of one page."""

    def __init__(self, core: Shown, clock: Clock) -> None:
        self._core, self._clock = core, clock
        self._found: dict[str, Usage] = {}
        self._at_ns: int | None = None

    def at(self, read: Callable[[Usage], float]) -> dict[str, float]:
        """One number of each log, not older than GLANCE_NS."""
        now_ns = self._clock.monotonic_ns()
        if self._at_ns is None or now_ns - self._at_ns > GLANCE_NS:
            self._found, self._at_ns = usages(self._core.windows), now_ns
        return {name: read(found) for name, found in self._found.items()}

    def age_seconds(self, found: Usage) -> float:
        return 0.0 if found.oldest_us is None else (self._core.core_us - found.oldest_us) / 1e6


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
