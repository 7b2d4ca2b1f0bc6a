"""What one feature is, shares, and costs: the answer of `weir rules explain FEATURE`.

First a dict of plain values (what `--format json` prints), then its text for people. Times are estimates from constants
(engine/windows/costs.py). Bytes follow from the plan, and at a scale from what the settings expect, or else from an
assumed one, which is then said.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from config.durations import duration_text
from config.errors import ConfigError
from config.memory import Expected, size_text
from engine.setup import Setup
from engine.windows import budget
from engine.windows.costs import LogPlan, Part, alone, plans_of, without
from engine.windows.tables import DECAYED, UPDATES_US
from rules.check.suggest import did_you_mean
from rules.columns import Layout
from rules.definitions import Aggregate, Feature, Rule
from rules.render import declaration, in_words
from rules.ruleset import Ruleset
from rules.tree import Node

ASSUMED: Final = Expected(accounts=1_000_000, events_per_day=1_000_000)
NODE_NS = (
    0.7  # one operation of an expression on one event, benchmarks/bench_rules.py at full batches
)
DOMAINS: Final = {
    "event": "transactions and activities",
    "transaction": "transactions only",
    "activity": "activities only",
    "label": "labels only",
}
ZERO_WHEN_EMPTY: Final = ("count", "count_distinct", "sum", "decayed_count", "decayed_sum")
PARTS: Final = {
    "bit": "the filter bit",
    "column": "the value stored in each event",
    "horizon": "the horizon",
    "count": "the accumulator",
    "cell": "the accumulator",
    "squares": "the sum of squares",
    "group": "the distinct values",
    "distinct": "the distinct count",
    "order": "the sorted values",
    "chain": "the chain of extremes",
    "fade": "the fading sum",
    "pointer": "the pointer to the event",
    "frozen": "what is remembered of dropped events",
    "newest": "the last events",
}


@dataclass(frozen=True)
class Explainer:
    """The features of one configuration, ready to be asked about."""

    setup: Setup

    @cached_property
    def ruleset(self) -> Ruleset:
        return Ruleset.compile(self.setup.pack, self.setup.schema, Layout(), self.setup.derived)

    @cached_property
    def plans(self) -> list[LogPlan]:
        return plans_of(self.ruleset, self.setup.lateness_us, self.setup.pack.timezone)

    @property
    def expected(self) -> Expected:
        return self.setup.configuration.settings.expected or ASSUMED

    @cached_property
    def estimate(self) -> budget.Estimate:
        return self._estimated(self.plans)

    def _estimated(self, plans: Sequence[LogPlan]) -> budget.Estimate:
        setup = self.setup
        return budget.estimate(setup.pack, setup.schema, self.ruleset, plans, self.expected)

    @property
    def scale(self) -> str:
        """What the bytes at a scale are for, in words."""
        given = self.expected.events_per_day
        a_day = sum(given.values()) if isinstance(given, dict) else given
        says = f"{self.expected.accounts:,} accounts and {a_day:,} events a day"
        if self.setup.configuration.settings.expected is None:
            return f"{says} (assumed; say what you expect with `expected` in weir.yaml)"
        return f"{says} (`expected` in weir.yaml)"

    # One feature

    def feature(self, name: str) -> dict[str, Any]:
        """Everything about a feature; raise `ConfigError` if there is none of that name."""
        found = self.setup.pack.features.get(name)
        if found is None:
            raise self._unknown(name)
        zone = self.setup.pack.timezone
        aggregate = found.aggregate
        told: dict[str, Any] = {
            "feature": name,
            "type": str(found.type),
            "place": str(found.place),
            "owner": found.owner,
            "description": found.description,
            "text": found.text,
            "meaning": declaration(found, zone),
            "words": in_words(found, zone),
            "same_as": self._twins(found),
            "depends_on": self._depends_on(found),
            "read_by": self._readers(name),
        }
        if aggregate is None:
            assert found.expression is not None, name
            return told | {"cost": self._cost_of_expression(found.expression)}
        told["window"] = self._window(aggregate)
        told["domain"] = DOMAINS[aggregate.domain]
        told["keys"] = list(aggregate.keys)
        told["when_empty"] = "0" if aggregate.function in ZERO_WHEN_EMPTY else "missing"
        state, plan = self._home(name)
        told["log"] = {"name": plan.name, "features": [spec.name for spec in plan.specs]}
        told["shares"] = [
            {"what": self._part_text(part, plan, state), "with": list(others)}
            for part, others in plan.sharing(state).items()
        ]
        told["filter_also_of"] = self._same_filter(plan, state)
        told["cost"] = self._cost_of_window(state, plan, told["same_as"])
        told["tip"] = _tip(aggregate, told["cost"])
        return told

    def _unknown(self, name: str) -> ConfigError:
        features = self.setup.pack.features
        hint = did_you_mean(name, features, "`")
        return ConfigError(
            f"there is no feature or rule `{name}`",
            why=f"the packs declare {len(features)} features and {len(self.setup.pack.rules)} rules",
            fix=hint
            or did_you_mean(name, [rule.id for rule in self.setup.pack.rules], "`")
            or "list the features with: weir rules explain --all",
        )

    def _home(self, name: str) -> tuple[str, LogPlan]:
        """The name under which windows know the feature, and its log: of several equal ones the first has the state."""
        alike = [name, *self._twins(self.setup.pack.features[name])]
        for plan in self.plans:
            for spec in plan.specs:
                if spec.name in alike:
                    return spec.name, plan
        raise AssertionError(name)

    def _twins(self, feature: Feature) -> list[str]:
        """Features that are the same after normalising."""
        what = (feature.aggregate, feature.expression, feature.type)
        return [
            other.name
            for other in self.setup.pack.features.values()
            if other.name != feature.name
            and (other.aggregate, other.expression, other.type) == what
        ]

    def _window(self, aggregate: Aggregate) -> dict[str, Any]:
        """The interval of the window around an event at time e, and what it leaves out."""
        window, lateness = aggregate.window, duration_text(self.setup.lateness_us)
        end = f"e - {duration_text(window.lag_us)}" if window.lag_us else "e"
        if aggregate.half_life_us:
            interval = "(-inf, e], an event that is one half-life old counts half"
        elif window.calendar:
            interval = (
                f"[start of the local {window.calendar} of e, e] in {self.setup.pack.timezone}"
            )
        elif window.last:
            interval = f"the last {window.last} events that pass, up to e"
        elif window.width_us is None:
            interval = f"(-inf, {end}]"
        else:
            interval = f"(e - {duration_text(window.width_us)}, {end}]"
        itself = (
            "the event itself is left out: the window ends before it"
            if window.lag_us
            else "the event itself is left out (prior)"
            if aggregate.prior
            else "the event itself counts, if it passes"
        )
        return {
            "interval": interval,
            "lag": duration_text(window.lag_us) if window.lag_us else "",
            "prior": aggregate.prior,
            "itself": itself,
            "approx": f"{aggregate.approx:.2g}" if aggregate.approx else "",
            "late": f"events up to {lateness} late land where they belong; later ones are not counted",
        }

    def _depends_on(self, feature: Feature) -> dict[str, list[str]]:
        trees: list[Node | None] = [feature.expression]
        keys: tuple[str, ...] = ()
        if feature.aggregate is not None:
            trees, keys = (
                [feature.aggregate.argument, feature.aggregate.where],
                feature.aggregate.keys,
            )
        read = dict.fromkeys((*keys, *_columns(trees)))
        features = self.setup.pack.features
        return {
            "fields": [name for name in read if name not in features],
            "features": [name for name in read if name in features],
        }

    def _readers(self, name: str) -> dict[str, list[str]]:
        """Who reads the feature directly."""
        models = self.setup.configuration.models.models
        return {
            "rules": [rule.id for rule in self.setup.pack.rules if name in _read_by_rule(rule)],
            "features": [
                other.name
                for other in self.setup.pack.features.values()
                if name in self._depends_on(other)["features"]
            ],
            "models": [model for model, entry in models.items() if name in entry.inputs],
        }

    def _same_filter(self, plan: LogPlan, name: str) -> list[str]:
        """Features of other logs of the same stratum whose condition is evaluated together with this one's."""
        row = next(spec.filter for spec in plan.specs if spec.name == name)
        return [
            spec.name
            for other in self.plans
            if other.stratum == plan.stratum and other.name != plan.name
            for spec in other.specs
            if spec.filter == row
        ]

    def _part_text(self, part: Part, plan: LogPlan, name: str) -> str:
        """A part in words; a horizon with its length."""
        if part.kind != "horizon":
            return PARTS[part.kind]
        aggregate = next(spec.aggregate for spec in plan.specs if spec.name == name)
        window = aggregate.window
        own = [p for p in plan.parts_of(name) if p.kind == "horizon"]
        length = window.calendar or duration_text(window.width_us or window.lag_us)
        if window.width_us is not None and part is not own[0]:
            return f"the horizon {duration_text(window.lag_us)} (its lag)"
        return f"the horizon {length}"

    # Costs

    def _cost_of_expression(self, expression: Node) -> dict[str, Any]:
        n = sum(1 for node in expression.walk() if node.args)
        return {
            "estimate": True,
            "operations": n,
            "ns": round(NODE_NS * n, 1),
            "entity_bytes": 0,
            "event_bytes": 0,
        }

    def _cost_of_window(self, name: str, plan: LogPlan, twins: Sequence[str]) -> dict[str, Any]:
        layout, zone = self.ruleset.layout, self.setup.pack.timezone
        rest, single = without(plan, name, layout, zone), alone(plan, name, layout, zone)
        seconds = {spec.name: plan.kept_of(spec) for spec in plan.specs}
        next_us = max((us for other, us in seconds.items() if other != name), default=0)
        log_bytes = self.estimate.logs[plan.name]
        rest_bytes = sum(self._estimated(rest).logs.values()) if rest else 0.0
        saves: dict[str, Any] = {
            "ns": plan.nanoseconds - sum(p.nanoseconds for p in rest),
            "entity_bytes": plan.entity_bytes - sum(p.entity_bytes for p in rest),
            "event_bytes": plan.event_bytes - sum(p.event_bytes for p in rest),
            "kept_us": plan.kept_us - next_us,
            "bytes": log_bytes - rest_bytes,
        }
        if twins:  # another name needs the very same state
            saves = dict.fromkeys(saves, 0)
        return {
            "estimate": True,
            "log": _figures(plan, log_bytes),
            "alone": _figures(single, sum(self._estimated([single]).logs.values())),
            "share": {
                "ns": round(plan.share_ns(name)),
                "bytes": round(self.estimate.features[name]),
            },
            "saves": {key: round(value) for key, value in saves.items()},
            "kept_by": list(plan.kept_by),
            "kept_is": self._kept_is(plan),
            "scale": self.scale,
        }

    def _kept_is(self, plan: LogPlan) -> str:
        """What the time that events are kept is made of."""
        longest = next(s.aggregate for s in plan.specs if s.name in plan.kept_by)
        late = f"{duration_text(self.setup.lateness_us)} lateness"
        if longest.window.last:
            return f"{duration_text(UPDATES_US)} in which an update may come + {late}"
        if longest.function in DECAYED:
            return f"{duration_text(plan.kept_us - plan.lateness_us)} in which an update may come + {late}"
        length = plan.kept_us - plan.lateness_us
        what = "window" if longest.window.width_us is not None else "lag"
        return f"{duration_text(length)} {what} + {late}"

    def share_ns(self, name: str) -> float:
        """A feature's share of the time of one event; 0 where another one of the same meaning has the state."""
        feature = self.setup.pack.features[name]
        if feature.expression is not None:
            return float(self._cost_of_expression(feature.expression)["ns"])
        state, plan = self._home(name)
        return plan.share_ns(state) if state == name else 0.0

    # All

    def everything(self) -> list[dict[str, Any]]:
        """One row a feature, the dearest first: by its share of memory at the scale, then of time."""
        rows = []
        for name, feature in self.setup.pack.features.items():
            readers = sum(map(len, self._readers(name).values()))
            row: dict[str, Any] = {"feature": name, "keys": "", "kept_us": 0, "readers": readers}
            if feature.aggregate is None:
                assert feature.expression is not None, name
                cost = self._cost_of_expression(feature.expression)
                rows.append(
                    row | {"ns": cost["ns"], "saves_ns": cost["ns"], "bytes": 0, "saves_bytes": 0}
                )
                continue
            state, plan = self._home(name)
            cost = self._cost_of_window(state, plan, self._twins(feature))
            spec = next(s for s in plan.specs if s.name == state)
            row |= {"keys": ", ".join(feature.aggregate.keys), "kept_us": plan.kept_of(spec)}
            row |= {"ns": cost["share"]["ns"], "saves_ns": cost["saves"]["ns"]}
            row |= {"bytes": cost["share"]["bytes"], "saves_bytes": cost["saves"]["bytes"]}
            if state != name:  # the state is counted under the first name
                row |= {"ns": 0, "bytes": 0}
            rows.append(row)
        return sorted(rows, key=lambda row: (-row["bytes"], -row["ns"], row["feature"]))


def _tip(aggregate: Aggregate, cost: Mapping[str, Any]) -> str:
    """What would make a dear feature cheap."""
    window = aggregate.window
    is_seen = aggregate.function in ("first", "last", "time_since_first", "time_since_last")
    if is_seen and window.width_us is not None and not window.lag_us and cost["saves"]["kept_us"]:
        return (
            f"`over all` in place of `over {window.calendar or duration_text(window.width_us)}` would retain no "
            "events for it (it then looks back beyond the window)"
        )
    return ""


def _figures(plan: LogPlan, n_bytes: float) -> dict[str, int]:
    return {
        "ns": round(plan.nanoseconds),
        "entity_bytes": plan.entity_bytes,
        "event_bytes": plan.event_bytes,
        "kept_us": plan.kept_us,
        "bytes": round(n_bytes),
    }


def _columns(trees: Iterable[Node | None]) -> list[str]:
    return [name for tree in trees if tree is not None for name in tree.columns()]


def _read_by_rule(rule: Rule) -> dict[str, None]:
    """Columns that a rule reads: condition, score, exceptions, titles and values of its actions."""
    trees: list[Node | None] = [rule.when, rule.score, *(e.when for e in rule.exceptions)]
    for action in rule.actions:
        trees.append(action.value)
        if action.title is not None:
            trees += [part[0] for part in action.title.parts if not isinstance(part, str)]
    return dict.fromkeys(_columns(trees))


# ---------------------------------------------------------------- text


def as_text(told: Mapping[str, Any]) -> str:
    """What `Explainer.feature` says, for people."""
    lines = [f"{told['feature']}  ({told['type']}, {told['place']})"]
    lines += [f"  {told['text']}"] if told["text"] else []
    lines += [f"  {told['description']}"] if told["description"] else []
    lines += [f"  owner: {told['owner']}"] if told["owner"] else []
    lines += ["", "What it is", f"  {_sentence(told['words'])}"]
    if told["meaning"] != told["text"]:
        lines.append(f"  with macros written out: {told['meaning']}")
    if "window" in told:
        window = told["window"]
        lines.append(f"  window of an event at time e: {window['interval']}; {window['itself']}")
        lines.append(f"  ranges over {told['domain']}; {window['late']}")
        if window["approx"]:
            lines.append(
                f"  approximate, as declared: a standard error of {float(window['approx']):.1%} from a sample; exact "
                "while few values are in the window"
            )
        missing = ", ".join(told["keys"])
        lines.append(
            f"  an empty window gives {told['when_empty']}; a missing {missing} makes it missing"
        )
    lines += ["", "What it shares"]
    if told["same_as"]:
        lines.append(
            f"  everything with {_listed(told['same_as'])}: the same after normalising, one state"
        )
    if "log" in told:
        others = [name for name in told["log"]["features"] if name != told["feature"]]
        lines.append(
            f"  the event log {told['log']['name']} with {_listed(others) or 'no other feature'}"
        )
        lines += [f"  {shared['what']} with {_listed(shared['with'])}" for shared in told["shares"]]
        if told["filter_also_of"]:
            lines.append(f"  its condition, evaluated once, with {_listed(told['filter_also_of'])}")
    elif not told["same_as"]:
        lines.append("  nothing: it is computed from what it reads and has no state")
    depends, readers = told["depends_on"], told["read_by"]
    lines += ["", "What it needs, and who needs it"]
    lines.append(
        f"  reads fields {_listed(depends['fields']) or 'none'}; features {_listed(depends['features']) or 'none'}"
    )
    lines += [f"  read by {kind} {_listed(names)}" for kind, names in readers.items() if names]
    if not any(readers.values()):
        lines.append("  read by nobody")
    return "\n".join([*lines, "", *_cost_lines(told)]) + "\n"


def _cost_lines(told: Mapping[str, Any]) -> list[str]:
    cost = told["cost"]
    if "log" not in cost:
        times = f"{cost['operations']} operations, about {cost['ns']:g} ns an event (estimate)"
        return ["What it costs", f"  {times}; no memory"]
    titles = ("all of its log", "alone", "taking it out saves")
    columns = [cost["log"], cost["alone"], cost["saves"]]
    rows = [
        ("time of an event", [f"{c['ns']:,} ns" for c in columns]),
        ("an entity", [f"{c['entity_bytes']:,} B" for c in columns]),
        ("a retained event", [f"{c['event_bytes']:,} B" for c in columns]),
        ("events are kept", [duration_text(max(c["kept_us"], 0)) for c in columns]),
        ("memory at scale", [size_text(c["bytes"]) for c in columns]),
    ]
    lines = ["What it costs (times and memory at scale are estimates)"]
    lines.append(f"  {'':18s}" + "".join(f"{title:>21s}" for title in titles))
    lines += [
        f"  {what:18s}" + "".join(f"{value:>21s}" for value in values) for what, values in rows
    ]
    lines.append(
        f"  kept {duration_text(cost['log']['kept_us'])} = {cost['kept_is']}, because of {_listed(cost['kept_by'])}"
    )
    lines.append(
        f"  its share of the log, evenly divided: {cost['share']['ns']:,} ns, {size_text(cost['share']['bytes'])}"
    )
    lines.append(f"  scale: {cost['scale']}")
    if told["same_as"]:
        lines.append(
            f"  taking it out saves nothing as long as {_listed(told['same_as'])} needs the same state"
        )
    if any(told["read_by"].values()):
        lines.append("  it cannot be taken out as long as somebody reads it")
    lines += [f"  {told['tip']}"] if told["tip"] else []
    return lines


def as_table(rows: Sequence[Mapping[str, Any]], explainer: Explainer) -> str:
    """`Explainer.everything` for people."""
    heads = ("feature", "by", "kept", "time", "saves", "memory", "saves", "readers")
    cells = [
        (
            row["feature"],
            row["keys"] or "(computed)",
            duration_text(row["kept_us"]) if row["keys"] else "",
            f"{row['ns']:,g} ns",
            f"{row['saves_ns']:,g} ns",
            size_text(row["bytes"]) if row["keys"] else "",
            size_text(row["saves_bytes"]) if row["keys"] else "",
            str(row["readers"]),
        )
        for row in rows
    ]
    widths = [max(len(line[k]) for line in [heads, *cells]) for k in range(len(heads))]
    lines = [
        "  ".join(
            text.ljust(width) if k < 2 else text.rjust(width)
            for k, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [heads, *cells]
    ]
    found = explainer.estimate
    ns = sum(plan.nanoseconds for plan in explainer.plans)
    lines.append(
        f"\n{len(rows)} features in {len(explainer.plans)} logs: at most {ns / 1e3:.1f} us an event, "
        f"{size_text(found.windows)} of windows (estimates) at {explainer.scale}."
    )
    lines.append(
        "time, memory: its share of what several need; saves: what goes if it alone is taken out."
    )
    return "\n".join(lines) + "\n"


def cost_line(weighed: budget.Weighed) -> str:
    """The cost of all window features on one line."""
    plans, found = weighed.plans, weighed.estimate
    n = sum(len(plan.specs) for plan in plans)
    ns = sum(plan.nanoseconds for plan in plans)
    line = f"Windows: {n} features in {len(plans)} logs, at most {ns / 1e3:.1f} us an event"
    if found is not None:
        line += f", {size_text(found.total)} of memory at the expected scale"
    return f"{line} (estimated)."


def _listed(names: Sequence[str], most: int = 8) -> str:
    few = ", ".join(f"`{name}`" for name in names[:most])
    return few + (f" and {len(names) - most} more" if len(names) > most else "")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
