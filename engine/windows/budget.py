"""How much memory a configuration will need at an expected scale, and which feature takes most of it.

An estimate from above: every event is taken to have the key and to pass the conditions, unless its type alone says that
it cannot; every value is taken to be new. Three things are counted: the logs of window features, the transactions that
are remembered for repeats and labels, and the texts of ids. What features have in common is divided between those that
need it: a record evenly, a retained event among those that still ask for one of its age.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Final

from config.errors import ConfigError
from config.memory import Expected, size_text
from config.schema import Schema
from config.settings import SETTINGS_FILE, Settings
from engine.entities import Dictionaries
from engine.links import Links
from engine.setup import Setup
from engine.windows.costs import LogPlan, Part, plans_of
from rules.check.suggest import nearest
from rules.columns import Layout
from rules.definitions import Pack
from rules.pack import derived_fields
from rules.ruleset import Ruleset, WindowSpec
from rules.tree import ID, Node

DAY_US = 86_400_000_000
SLACK = (
    1.5  # room of segments that are powers of two: 1.27 to 1.48 measured, 4 to 200 events an entity
)
SORTED_SLACK = 2.1  # of sorted values: 1.8 to 2.2 measured
TABLE_SLACK = 1.9  # of a table between 3/8 and 3/4 full
SEARCHED = 16  # events up to which distinct values are searched for and no table is kept
CHAIN_BYTES = 64  # of the smallest chain
PROCESS_BYTES = 300_000_000  # Python, numpy, compiled kernels, one batch
TEXT_BYTES = 100  # of one id of ten characters: 60 to 96 measured
REMEMBERED_BYTES = (
    6 * 8 + 2 + 3 + 250
)  # of one transaction: fixed columns, and its identity in Python objects
GROWN = 1.5  # arrays that double are that much larger than what they hold, on average
LABELS = 0.02  # labels a transaction, where the expectation does not say
WARN_AT: Final = 0.8
ANY: Final = "any"


@dataclass(frozen=True)
class Estimate:
    """Bytes at the expected scale.

    logs     : name of a log -> bytes
    features : name of a window feature -> its share of them
    kept     : name of a log -> events retained
    """

    logs: Mapping[str, float]
    features: Mapping[str, float]
    kept: Mapping[str, float]
    remembered: float
    texts: float

    @property
    def windows(self) -> float:
        return sum(self.logs.values())

    @property
    def total(self) -> float:
        return self.windows + self.remembered + self.texts + PROCESS_BYTES

    @property
    def dearest(self) -> str:
        """The feature with the largest share; "" if there is none."""
        return max(self.features, key=lambda name: self.features[name], default="")


def estimate(
    pack: Pack,
    schema: Schema,
    ruleset: Ruleset,
    plans: Sequence[LogPlan],
    expected: Expected,
    *,
    remember_us: int = 0,
    n_inputs: int = 0,
) -> Estimate:
    """Work out what `plans` need; raise `ConfigError` if `expected` names types or keys that do not exist."""
    rates = _rates(expected, schema)
    _check_keys(expected, schema)
    logs, kept, features = {}, {}, {}
    for plan in plans:
        shares, events = _of_log(plan, expected, rates, schema)
        logs[plan.name], kept[plan.name] = sum(shares.values()), events
        features.update(shares)
    links = Links(pack, ruleset.layout, Dictionaries())
    columns = 8 * len(links.all.number) + 4 * len(links.all.code) + 4 * n_inputs
    n_remembered = (
        sum(rate for kind, rate in rates.items() if schema.event_types.get(kind) != "activity")
        - rates["label"]
    ) * (remember_us / DAY_US)
    keys = {key for plan in plans for key in plan.keys if schema.columns[key].kind == ID}
    return Estimate(
        logs,
        features,
        kept,
        n_remembered * (REMEMBERED_BYTES + columns) * GROWN,
        TEXT_BYTES * float(sum(expected.n_entities([key]) for key in keys)),
    )


@dataclass(frozen=True)
class Weighed:
    """What the windows of some packs cost: the plans, and the estimate if the settings say what to expect."""

    plans: Sequence[LogPlan]
    estimate: Estimate | None


def weigh(
    pack: Pack,
    schema: Schema,
    settings: Settings,
    *,
    lateness_us: int | None = None,
    derived: Mapping[str, Node] | None = None,
    n_inputs: int = 0,
) -> Weighed:
    """Work out what `pack` costs; raise `ConfigError` if `expected` names types or keys that do not exist.

    lateness_us : of the feed, where it is not that of the settings
    derived     : fields that the schema computes; they are worked out if not given
    n_inputs    : columns that the models read, and their scores, kept for every remembered transaction
    """
    fields = derived_fields(schema, pack.currency, pack.timezone) if derived is None else derived
    ruleset = Ruleset.compile(pack, schema, Layout(), fields)
    late_us = settings.lateness_us if lateness_us is None else lateness_us
    plans = plans_of(ruleset, late_us, pack.timezone)
    if settings.expected is None:
        return Weighed(plans, None)
    found = estimate(
        pack,
        schema,
        ruleset,
        plans,
        settings.expected,
        remember_us=settings.remember_us,
        n_inputs=n_inputs,
    )
    return Weighed(plans, found)


def refuse(setup: Setup) -> None:
    """Raise `ConfigError` if the configuration would need more memory than it allows, as far as it says both."""
    settings = setup.configuration.settings
    if settings.memory_budget is None or settings.expected is None:
        return
    found = weigh(
        setup.pack,
        setup.schema,
        settings,
        lateness_us=setup.lateness_us,
        derived=setup.derived,
        n_inputs=len(setup.configuration.models.inputs) + len(setup.configuration.models.models),
    )
    where = str(setup.configuration.folder / SETTINGS_FILE)
    check(found, settings.memory_budget_bytes, where)


def check(weighed: Weighed, budget: int | None, where: str) -> None:
    """Raise `ConfigError` if the estimate is beyond `budget` bytes, naming the feature that costs most."""
    found = weighed.estimate
    if found is None or budget is None or found.total <= budget:
        return
    name = found.dearest
    parts = (
        f"windows {size_text(found.windows)}, remembered transactions {size_text(found.remembered)}, "
        f"ids {size_text(found.texts)}, the process itself {size_text(PROCESS_BYTES)}"
    )
    why, fix = parts, "shorten `remember`, or raise `memory_budget`"
    plan = next((p for p in weighed.plans if any(s.name == name for s in p.specs)), None)
    if plan is not None:
        spec = next(s for s in plan.specs if s.name == name)
        days = plan.kept_of(spec) / DAY_US
        why = (
            f"{parts}; most of the windows is feature `{name}` with {size_text(found.features[name])}: "
            f"by {', '.join(plan.keys)}, events kept {days:.3g} days"
        )
        also = "`remember` and " if found.remembered > found.windows else ""
        fix = (
            f"shorten {also}the window of `{name}` (weir rules explain {name}), or raise "
            "`memory_budget`"
        )
    raise ConfigError(
        f"the packs would need about {size_text(found.total)} of memory at the expected scale, "
        f"`memory_budget` is {size_text(budget)}",
        where,
        why=why,
        fix=fix,
    )


# ---------------------------------------------------------------- rates


def _rates(expected: Expected, schema: Schema) -> dict[str, float]:
    """Events a day by type; ANY where nobody said which. Labels stand under "label"."""
    given = expected.events_per_day
    if not isinstance(given, dict):
        return {ANY: float(given), "label": LABELS * given}
    for kind in given:
        if kind != "label" and kind not in schema.event_types:
            near = nearest(kind, schema.event_types)
            raise ConfigError(
                f"`expected` names the event type `{kind}`, which schema.yaml does not have",
                why="memory is estimated type by type, for the features that can see it",
                fix=f"did you mean `{near}`?" if near else "use types of `event_types`, or `label`",
            )
    rates = {kind: float(n) for kind, n in given.items()}
    of_transactions = sum(
        n for kind, n in rates.items() if schema.event_types.get(kind) == "transaction"
    )
    return {"label": LABELS * of_transactions, **rates}


def _check_keys(expected: Expected, schema: Schema) -> None:
    for name in expected.entities:
        for key in (part.strip() for part in name.split(",")):
            if key not in schema.columns:
                near = nearest(key, schema.columns)
                raise ConfigError(
                    f"`expected` names the key `{key}`, which schema.yaml does not have",
                    why="entities are counted by the fields that features go by",
                    fix=f"did you mean `{near}`?" if near else "use names of fields",
                )


def can_see(spec: WindowSpec, kind: str, schema: Schema) -> bool:
    """Whether an event of a type can count for a feature, as far as domain and type alone tell."""
    domain = spec.aggregate.domain
    if (kind == "label") != (domain == "label"):
        return False
    if kind in (ANY, "label"):
        return True
    if domain in ("transaction", "activity") and schema.event_types.get(kind) != domain:
        return False
    where = spec.aggregate.where
    return where is None or _may_be(where, kind)[0]


def _may_be(node: Node, kind: str) -> tuple[bool, bool]:
    """Whether a condition can be true, and can be false, for events of type `kind`."""
    if node.op == "const":
        return bool(node.value), not node.value
    if node.op == "not":
        yes, no = _may_be(node.args[0], kind)
        return no, yes
    if node.op in ("and", "or"):
        found = [_may_be(part, kind) for part in node.args]
        if node.op == "and":
            return all(yes for yes, _ in found), any(no for _, no in found)
        return any(yes for yes, _ in found), all(no for _, no in found)
    is_type = bool(node.args) and node.args[0].op == "column" and node.args[0].value == "type"
    if is_type and node.op in ("==", "!=") and node.args[1].op == "const":
        holds = (node.args[1].value == kind) == (node.op == "==")
        return holds, not holds
    if is_type and node.op == "in" and isinstance(node.value, frozenset):
        holds = kind in node.value
        return holds, not holds
    return True, True


# ---------------------------------------------------------------- one log


def _of_log(
    plan: LogPlan, expected: Expected, rates: Mapping[str, float], schema: Schema
) -> tuple[dict[str, float], float]:
    """Share of each feature in the bytes of its log; and how many events are retained."""
    names = [spec.name for spec in plan.specs]
    entities = max(expected.n_entities(plan.keys), 1)
    sees = {s.name: {t for t in rates if can_see(s, t, schema)} for s in plan.specs}
    n_kept = {s.name: plan.kept_of(s) / DAY_US for s in plan.specs}  # days

    def a_day(some: Iterable[str]) -> float:
        return sum(rates[kind] for kind in set[str]().union(*(sees[name] for name in some)))

    shares = dict.fromkeys(names, entities * plan.entity_bytes / len(names))
    events, longest = 0.0, plan.kept_us / DAY_US
    for kind, rate in rates.items():
        seeing = [name for name in names if kind in sees[name]]
        before = 0.0
        for days in sorted({min(n_kept[name], longest) for name in names} | {longest}):
            n = rate * (days - before) if seeing else 0.0
            events += n
            # of that age they are kept for those that still count them; else for the one whose window keeps the log
            asking = [name for name in seeing if n_kept[name] >= days]
            asking = asking or [name for name in names if n_kept[name] >= days]
            for name in asking:
                shares[name] += n * plan.event_bytes * SLACK / len(asking)
            before = days
    for part, users in plan.parts.items():
        inside = a_day(users) * max(n_kept[name] for name in users)
        for name in users:
            shares[name] += _beside(part, inside, entities) / len(users)
    if (
        plan.sample and events > 0
    ):  # a log of its own: a sample of a few layers, each twice as long as the one before
        layers = 1 + log2(max(events / entities / plan.sample, 1))
        kept = min(1.0, plan.sample * layers * entities / events)
        records = entities * plan.entity_bytes / len(names)
        shares = {name: records + (share - records) * kept for name, share in shares.items()}
        events *= kept
    return shares, events


def _beside(part: Part, events: float, entities: int) -> float:
    """Bytes that a part keeps beside records and events, for `events` in its longest window."""
    if part.kind == "group":
        return 8 * TABLE_SLACK * events if events > SEARCHED * entities else 0.0
    if part.kind == "order":
        return 8 * SORTED_SLACK * events
    if part.kind == "chain":
        return entities * max(CHAIN_BYTES, 16 * SLACK * log2(1 + events / entities))
    return 0.0
