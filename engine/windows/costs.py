"""What window features cost, worked out from the plan before anything runs: memory to the word, and time, estimated.

A feature is told by what it needs of the event log of its key: *parts* such as a filter bit, a horizon, an accumulator.
Features that need the same part share it. What one feature costs is then three figures: of the whole log, of the
feature if it were the only one, and what taking it out would save.

Memory a record and an event follows from the plan itself. Time is a sum over parts of constants that were measured one
by one (`python -m benchmarks.calibrate_windows`: 600,000 rows, 100,000 entities, batches of 2,048, one core of a shared
machine); it is good for telling dear features from cheap ones, not for promises.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.windows.kernels import layout as at
from engine.windows.tables import (
    DECAYED,
    SIGNS,
    UPDATES_US,
    Builder,
    bits_of,
    keep_us,
    sample_size,
    split,
)

if TYPE_CHECKING:
    from rules.columns import Layout
    from rules.ruleset import Ruleset, WindowSpec

SWEEP = 64, 16, 1 << 20  # plays no part in what is counted here
PLACE_BYTES = 4  # where the record of an entity is
PAIR_BYTES = 16  # a pair of keys: the pair, the next of its bucket, the head of one
NANOSECONDS: Final[Mapping[str, float]] = {  # an event, of each part
    "log": 176.0,
    "key": 254.0,  # each beyond the first
    "feature": 5.0,
    "horizon": 19.0,  # with its count
    "bit": 5.0,
    "cell": 6.0,
    "squares": 14.0,
    "group": 75.0,
    "distinct": 11.0,  # each window of a group
    "order": 114.0,
    "chain": 93.0,
    "fade": 35.0,
    "pointer": 6.0,
    "newest": 1.2,  # each event that is looked at
}


class Part(NamedTuple):
    """Something of an event log that several features may need: what it is, and which one of its kind."""

    kind: str
    which: tuple[int, ...]


@dataclass(frozen=True)
class LogPlan:
    """One event log as it would be built of `specs`.

    name         : stratum, keys, number, as metrics name it
    entity_bytes : of the record of one entity and what leads to it
    event_bytes  : of one retained event, without the room that segments leave
    kept_us      : how long an event is retained
    parts        : part -> names of the features that need it
    sample       : values or events of a layer, if the log holds a sample (`approx`); 0 if it holds all
    """

    name: str
    keys: tuple[str, ...]
    stratum: int
    specs: tuple["WindowSpec", ...]
    lateness_us: int
    updates_us: int
    entity_bytes: int
    event_bytes: int
    kept_us: int
    parts: Mapping[Part, tuple[str, ...]] = field(repr=False)
    sample: int = 0

    @cached_property
    def nanoseconds(self) -> float:
        """Estimated time of one event that is put in and read."""
        ns = NANOSECONDS["log"] + NANOSECONDS["key"] * (len(self.keys) - 1)
        ns += NANOSECONDS["feature"] * len(self.specs)
        return ns + sum(map(nanoseconds_of, self.parts))

    def share_ns(self, name: str) -> float:
        """What of the time falls to one feature, if what several need is divided evenly between them."""
        common = NANOSECONDS["log"] + NANOSECONDS["key"] * (len(self.keys) - 1)
        own = sum(nanoseconds_of(part) / len(self.parts[part]) for part in self.parts_of(name))
        return common / len(self.specs) + NANOSECONDS["feature"] + own

    def kept_of(self, spec: "WindowSpec") -> int:
        """How long this feature alone would have events retained, microseconds."""
        return keep_us([spec], self.lateness_us, self.updates_us)

    @cached_property
    def kept_by(self) -> tuple[str, ...]:
        """The features because of which events are retained that long."""
        return tuple(spec.name for spec in self.specs if self.kept_of(spec) == self.kept_us)

    def parts_of(self, name: str) -> tuple[Part, ...]:
        """What the feature needs."""
        return tuple(part for part, names in self.parts.items() if name in names)

    def sharing(self, name: str) -> Mapping[Part, tuple[str, ...]]:
        """Parts that the feature has in common with others -> those others."""
        return {
            part: others
            for part in self.parts_of(name)
            if (others := tuple(n for n in self.parts[part] if n != name))
        }


def nanoseconds_of(part: Part) -> float:
    """Estimated time that a part adds to an event."""
    times = part.which[0] if part.kind == "newest" else 1
    return NANOSECONDS.get(part.kind, 0.0) * times


def plans_of(
    ruleset: "Ruleset", lateness_us: int, timezone: str, *, updates_us: int = UPDATES_US
) -> list[LogPlan]:
    """Every event log that a core of these rules would have."""
    return [
        plan
        for k, stratum in enumerate(ruleset.strata)
        for plan in plan_logs(
            stratum.windows, ruleset.layout, lateness_us, timezone, stratum=k, updates_us=updates_us
        )
    ]


def plan_logs(
    specs: Iterable["WindowSpec"],
    layout: "Layout",
    lateness_us: int,
    timezone: str,
    *,
    stratum: int = 0,
    updates_us: int = UPDATES_US,
) -> list[LogPlan]:
    """The event logs of one stratum, cut as a fresh core cuts them."""
    by_log: dict[tuple[tuple[str, ...], int], list[WindowSpec]] = {}
    for spec in specs:
        aggregate = spec.aggregate
        last = spec.filter if aggregate.window.last else -1
        by_log.setdefault((tuple(sorted(set(aggregate.keys))), last), []).append(spec)
    found = []
    n_of: dict[str, int] = {}  # how many logs have a stem already
    for (keys, last), together in by_log.items():
        stem = f"{stratum}/{'+'.join(keys)}{'.last' if last >= 0 else ''}"
        for some in split(together):
            kept_us = keep_us(some, lateness_us, updates_us)
            name = f"{stem}.{n_of.get(stem, 0)}"
            n_of[stem] = n_of.get(stem, 0) + 1
            builder = Builder(some, lateness_us)
            plan = builder.build(keys, layout, kept_us, lateness_us, timezone, SWEEP)
            needed: dict[Part, list[str]] = {}
            for spec in some:
                for part in _needs(spec, builder):
                    needed.setdefault(part, []).append(spec.name)
            found.append(
                LogPlan(
                    name,
                    keys,
                    stratum,
                    tuple(some),
                    lateness_us,
                    updates_us,
                    8 * int(plan[at.WIDTH]) + PLACE_BYTES + PAIR_BYTES * (len(keys) - 1),
                    8 * int(plan[at.EVENT_WIDTH]),
                    kept_us,
                    {part: tuple(names) for part, names in needed.items()},
                    sample_size(some[0]),
                )
            )
    return found


def without(plan: LogPlan, name: str, layout: "Layout", timezone: str) -> list[LogPlan]:
    """The same log built anew without one feature; none if it was the only one."""
    rest = [spec for spec in plan.specs if spec.name != name]
    return plan_logs(
        rest,
        layout,
        plan.lateness_us,
        timezone,
        stratum=plan.stratum,
        updates_us=plan.updates_us,
    )


def alone(plan: LogPlan, name: str, layout: "Layout", timezone: str) -> LogPlan:
    """The log that the feature would need if it were the only one of its key."""
    (found,) = plan_logs(
        [spec for spec in plan.specs if spec.name == name],
        layout,
        plan.lateness_us,
        timezone,
        stratum=plan.stratum,
        updates_us=plan.updates_us,
    )
    return found


def _needs(spec: "WindowSpec", builder: Builder) -> Sequence[Part]:
    """The parts of a log that has been built which one feature needs."""
    aggregate = spec.aggregate
    key, column = bits_of(spec, builder.columns)
    found = [Part("column", (column,))] if column >= 0 else []
    if aggregate.window.last:
        return [*found, Part("newest", (aggregate.window.last, spec.filter))]
    assert key in builder.bits, spec.name
    bit, column, horizon, lag = builder.parts(spec)
    found.append(Part("bit", (bit,)))
    n_horizons, function = len(builder.horizons), aggregate.function
    found += [Part("horizon", (h,)) for h in (horizon, lag) if 0 <= h < n_horizons]
    if function in ("count", "sum", "avg", "stddev"):
        for h in (h for h in (horizon, lag) if h >= 0):
            cell = (h, bit, column)
            if function == "count":
                cell = next(c for c in sorted(builder.cells) if c[:2] == (h, bit))
            kind = builder.cells[cell]
            found.append(Part("count" if kind == at.COUNT_ONLY else "cell", cell))
            if kind == at.WITH_SQUARES:
                found.append(Part("squares", cell))
    elif function == "count_distinct":
        group = list(builder.groups).index(builder.group(bit, column, lag, horizon))
        found += [Part("group", (group,)), Part("distinct", (group, horizon))]
    elif function in ("quantile", "entropy"):
        order = bit, column, lag, horizon, int(function == "entropy")
        found.append(Part("order", (builder.orders.index(order),)))
    elif function in SIGNS:
        chain = (*builder.group(bit, column, lag, horizon), SIGNS[function])
        found.append(Part("chain", (list(builder.chains).index(chain),)))
    elif function in DECAYED:
        fade = bit, column, aggregate.half_life_us
        found.append(Part("fade", (builder.fades.index(fade),)))
    elif function in ("last", "time_since_last"):
        found.append(Part("pointer", (0, builder.latest.index((bit, lag)))))
    else:
        found.append(Part("pointer", (1, builder.earliest.index((bit, horizon)))))
    if horizon == n_horizons and (bit, column) in builder.frozen:
        found.append(Part("frozen", (builder.frozen.index((bit, column)),)))
    return found
