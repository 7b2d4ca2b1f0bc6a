"""What a checked pack consists of: plain data with typed trees inside, ready to compile, test, explain or compare.

Nothing here reads YAML (rules/pack.py), checks (rules/check/) or computes (rules/compile.py, rules/ruleset.py).
Durations and times are microseconds, money is minor units of the pack's currency.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from rules.tree import Node, Type

Entry = str | float | bool | tuple["Entry", ...] | dict[str, "Entry"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Window:
    """`over w [until lag ago]`, `over all` (`width_us` None), `over calendar day` (week, month), `over last N events`.

    A calendar window begins with the local day, week (Monday) or month that the event is in, in the zone of the pack;
    `width_us` is then its usual greatest length, which a change of the clocks may exceed by an hour.
    """

    width_us: int | None
    lag_us: int = 0
    calendar: str = ""  # day, week, month
    last: int = 0  # of the last N events: N, and `width_us` is None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`function(argument) [of domain] by keys over window [where condition] [prior]`, the condition typed and resolved.

    `domain` is "event" (transactions and activities), "transaction", "activity" or "label". `quantile` is the level
    in 0..1 of a quantile, else 0. `prior` is set when a lag implies it too.
    """

    function: str  # one of rules/syntax.py AGGREGATES
    keys: tuple[str, ...]  # column names of id or category fields
    window: Window
    domain: str = "event"
    argument: Node | None = None
    quantile: float = 0.0
    where: Node | None = None
    prior: bool = False
    half_life_us: int = 0  # of a decayed aggregate, which has no other window
    approx: float = 0.0  # declared standard error, such as 0.02; 0 for exact


@dataclass(frozen=True, slots=True)
class Feature:
    """A named aggregate, or a named expression over fields and other features (`expression`)."""

    name: str
    type: Type
    aggregate: Aggregate | None
    expression: Node | None
    place: Place
    owner: str = ""
    description: str = ""
    warm_after_us: int | None = None
    text: str = ""  # the source text, for people


@dataclass(frozen=True, slots=True)
class ListRow:
    """One row of a list: a value, when it holds, and what stands in the further columns of the list.

    value    : a text; in a list of numbers also a range such as 3000-3299, both ends inside
    from_us, until_us : the row is for events of from <= event time < until, microseconds UTC; None: no such end
    texts    : in the order of `ListDefinition.columns`; "" for none
    """

    value: str
    from_us: int | None = None
    until_us: int | None = None
    texts: tuple[str, ...] = ()

    @property
    def is_dated(self) -> bool:
        return self.from_us is not None or self.until_us is not None

    def holds_at(self, time_us: float | None) -> bool:
        """Whether the row is for events of a time; without a time only a row without dates is."""
        if time_us is None:
            return not self.is_dated
        return (self.from_us is None or self.from_us <= time_us) and (
            self.until_us is None or time_us < self.until_us
        )


@dataclass(frozen=True)
class ListDefinition:
    """A named list. `values` hold its content as text; `origin` is the file it was read from, or "" for inline.

    values   : of all rows, whenever they hold
    columns  : names of the columns beside the value
    rows     : of a list that has columns or dates; a value may have several. Empty where `values` say it all
    is_dated : a row holds for a time only
    added    : rows that rules and people have added while the engine runs (engine/lists.py)
    """

    name: str
    type: Type
    values: frozenset[str]
    place: Place
    origin: str = ""
    owner: str = ""
    review_by_us: int | None = None
    columns: tuple[str, ...] = ()
    rows: tuple[ListRow, ...] = ()
    is_dated: bool = False
    added: tuple[ListRow, ...] = ()

    def holding(self, rows: Iterable[ListRow]) -> "ListDefinition":
        """The same list with other content, that of a rule test."""
        rows = tuple(rows)
        is_dated = any(row.is_dated for row in rows)
        return replace(
            self,
            values=frozenset(row.value for row in rows),
            rows=rows if is_dated or any(map(any, (row.texts for row in rows))) else (),
            is_dated=is_dated,
            added=(),
        )

    def holds_as(self, other: "ListDefinition") -> bool:
        """Whether the same stands in both, of the same type, whoever looks after them."""
        if self.added or other.added or (self.type, self.columns) != (other.type, other.columns):
            return False
        return self.values == other.values and self.rows == other.rows

    @cached_property
    def by_value(self) -> dict[str, tuple[ListRow, ...]]:
        """`rows` by their value, in the order of the list."""
        found: dict[str, tuple[ListRow, ...]] = {}
        if len(self.rows) == len(self.values):
            return {row.value: (row,) for row in self.rows}
        for row in self.rows:
            found[row.value] = (*found.get(row.value, ()), row)
        return found


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """A look-up from a category or id to a number; `default` answers a missing or unlisted key."""

    name: str
    key: str  # the field whose values are the keys
    type: Type
    values: dict[str, float]
    default: float
    place: Place


@dataclass(frozen=True, slots=True)
class Template:
    """A text with holes: `parts` alternate literal text (even places) and (node, format) holes (odd places).

    Formats: "" plain, "round", "percent", "last4".
    """

    parts: tuple[str | tuple[Node, str], ...]
    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """What a rule asks for when it fires. Fields that do not concern `kind` keep their defaults.

    kind       : alert, challenge, hold, decline, restrict (freeze is restrict), notify, tag, list_add, report
    entity     : of restrict: the field whose entity is restricted (account, card, device, customer, ...)
    level      : of restrict: watch, limit, amount_hold, no_debit, no_credit, full_freeze
    report     : of report: what is reported; `by` the fields whose values make one report, `to` who gets it
    due_working_days, for_us : of report: one of the two says when it is due
    holidays, workdays       : of report: lists of ISO dates, "" for none
    """

    kind: str
    place: Place
    queue: str = ""
    title: Template | None = None
    method: str = ""
    for_us: int = 0
    then: str = ""
    code: str = ""
    entity: str = ""
    level: str = ""
    channels: tuple[str, ...] = ()
    max_per_hour: int = 0
    amount_minor: int = 0
    template: str = ""
    to: str = ""
    tag: str = ""
    list_name: str = ""
    value: Node | None = None
    report: str = ""
    by: tuple[str, ...] = ()
    due_working_days: int = 0
    holidays: str = ""
    workdays: str = ""
    asked: str = ""  # the word the analyst wrote: "freeze" for a restrict that was spelt so


@dataclass(frozen=True, slots=True)
class ExceptionClause:
    """A policy that lets a match pass; recorded as excepted. Past `expires_us` (event time) it does not apply."""

    id: str
    when: Node
    why: str
    approved_by: str
    expires_us: int
    place: Place


@dataclass(frozen=True, slots=True)
class Undecided:
    """What `if_undecided` asks for when the condition is missing."""

    score: float
    do: str  # "" or a decision: review, challenge, hold, decline


@dataclass(frozen=True, slots=True)
class Param:
    """A named value of a rule that can be changed without touching its logic, and why it is what it is."""

    name: str
    value: Node
    why: str
    place: Place


@dataclass(frozen=True, slots=True)
class Reason:
    """What a reason code says, by language (en, zh): to the analyst, and to the customer.

    `tell` is False where the customer must not learn what the bank looks into: then `customer` is a neutral sentence.
    """

    analyst: dict[str, str]
    customer: dict[str, str] = field(default_factory=dict)
    tell: bool = True
    place: Place = Place("", 1, 1)

    @property
    def sentence(self) -> str:
        """The sentence for those who read alerts."""
        return self.analyst["en"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a part of an overridden rule comes from. `how` is set, add, narrow or replace_when."""

    how: str
    pack: str
    place: Place


@dataclass(frozen=True, slots=True)
class Suppression:
    """What a pack says to withhold: one rule for one entity up to a time of the event; matches stay on record."""

    rule: str
    field: str  # the column whose value is compared: card, account, ...
    entity: str
    until_us: int
    why: str
    by: str
    pack: str
    place: Place


@dataclass(frozen=True, slots=True)
class Retired:
    """A rule that is gone. Its id is never used again; `replaced_by` are the ids of rules that do its work now."""

    id: str
    on_us: int
    why: str
    replaced_by: tuple[str, ...]
    pack: str
    place: Place


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, resolved and typed. `score` is a constant or an expression; `on` names event types."""

    id: str
    name: str
    version: int
    owner: str
    severity: str  # low medium high critical
    reason: str
    on: tuple[str, ...]
    mode: str  # live shadow off
    when: Node
    score: Node
    actions: tuple[Action, ...]
    place: Place
    description: str = ""
    purpose: str = ""  # why the bank wants the rule
    params: tuple[Param, ...] = ()
    references: tuple[str, ...] = ()
    dedup_by: tuple[str, ...] = ()
    dedup_for_us: int = 0
    effective_from_us: int | None = None  # event time, half-open
    effective_until_us: int | None = None
    rollout_percent: float = 100.0
    rollout_by: str = ""
    exceptions: tuple[ExceptionClause, ...] = ()
    if_undecided: Undecided | None = None
    tests: tuple["RuleTest", ...] = ()
    text: str = ""  # the condition as written, for people
    pack: str = ""  # name of the pack it stands in
    # the parts that packs on top have changed, such as "when", "params.floor" or "exceptions.EX-1"
    origins: dict[str, Origin] = field(default_factory=dict, hash=False)

    @property
    def packs(self) -> frozenset[str]:
        """The pack it stands in, and those that have changed something about it."""
        return frozenset({self.pack, *(origin.pack for origin in self.origins.values())})

    @property
    def only_reports(self) -> bool:
        """Whether it reports and does nothing else: then it has no part in any decision."""
        weighs = self.score.op != "const" or self.score.value != 0.0
        return bool(self.actions) and all(a.kind == "report" for a in self.actions) and not weighs


@dataclass(frozen=True, slots=True)
class TestEvent:
    """One event of a rule test: its time, the fields as they would stand in a message, and what is expected."""

    at_us: int  # after the start
    fields: dict[
        str, Entry
    ]  # merged with the defaults; texts and numbers as written ("450 EUR", "20d", "C1")
    expect: str  # fires quiet excepted deduplicated undecided
    expect_features: dict[str, Entry]
    expect_actions: tuple[str, ...] | None
    place: Place


@dataclass(frozen=True, slots=True)
class RuleTest:
    """A timeline of events through the real core; `every` and value lists are already expanded into events."""

    name: str
    start_us: int
    events: tuple[TestEvent, ...]
    lists: dict[str, tuple[ListRow, ...]]
    profiles: tuple[dict[str, Entry], ...]
    place: Place
    rates: dict[str, Fraction] | None = None  # in the pack's currency; None: the configuration's


@dataclass(frozen=True, slots=True)
class Band:
    """Scores from `low` up to `high` (not included, but for the last band) mean `decision`."""

    low: float
    high: float
    decision: str


@dataclass(frozen=True, slots=True)
class Member:
    """One of the packs that run together."""

    name: str
    version: str
    root: Path


@dataclass(frozen=True, slots=True)
class Pack:
    """A whole pack, or several merged: each after the one it extends, else in the order of the configuration.

    `name`, `version` and `root` are those of the first; `members` are all of them.
    """

    name: str
    version: str
    root: Path
    currency: str
    timezone: str
    retention_us: int
    combine: str  # sum max noisy_or
    bands: tuple[Band, ...]
    reasons: dict[str, Reason]
    features: dict[str, Feature]
    lists: dict[str, ListDefinition]
    tables: dict[str, TableDefinition]
    rules: tuple[Rule, ...]  # sorted by id; also shadow and off
    max_freezes_per_hour: int = 0  # 0: no pack-wide breaker
    members: tuple[Member, ...] = ()
    files: dict[str, str] = field(
        default_factory=dict
    )  # path inside the pack -> sha256 of its bytes
    sha256: str = ""
    suppressions: tuple[Suppression, ...] = ()  # by rule, field and entity
    retired: tuple[Retired, ...] = ()  # by id
