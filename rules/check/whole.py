"""Checks of whole rules (WR203, WR209, WR303, WR304, WR305, WR501).

Copies of others, what a missing field means for them, exceptions and times, tests.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from config import marks
from rules.check.findings import WARN, Finding, at_node
from rules.check.presence import can_be_missing
from rules.check.views import PackView, RuleView
from rules.definitions import Rule
from rules.language import SEVERITIES
from rules.tree import ID, Node, Type

SOON_DAYS: Final = 14  # before an exception expires
_DAY_US: Final = 86_400_000_000
_OWN: Final = frozenset({"account", "card", "customer"})  # domains of ids that the bank gives out
_SEVERE: Final = frozenset({"challenge", "hold", "decline", "restrict"})


def check(view: PackView) -> Iterator[Finding]:
    for rule in view.rules:
        yield from _tests(rule, view)
        yield from _times(rule, view)
        if not rule.is_broken:
            yield from _exceptions(rule, view)
            yield from _undecided(rule, view)
    yield from _copies(view)


# ---- WR501


def _tests(view: RuleView, pack: PackView) -> Iterator[Finding]:
    """A rule whose tests never see it fire, or never see it stay quiet."""
    rule = view.rule
    node = view.map.get("tests") if view.map is not None else None
    if node is not None and pack.has_error(node):
        return
    if rule.origins:
        yield from _overridden_tests(view, pack)
        return
    expected = {event.expect for test in rule.tests for event in test.events}
    if not rule.tests:
        what = f"rule {rule.id} has no tests"
        yield at_node("WR501", view.id_node, what, "add one event that fires and one that does not")
    elif "fires" not in expected:
        what = f"no test of {rule.id} expects it to fire"
        yield at_node("WR501", view.key("tests"), what, "add an event with expect: fires")
    elif "quiet" not in expected:
        what = f"no test of {rule.id} expects it to stay quiet"
        yield at_node("WR501", view.key("tests"), what, "add an event that is nearly enough")


def _overridden_tests(view: RuleView, pack: PackView) -> Iterator[Finding]:
    """The same of a rule that a pack on top changes; tests about the rule as it was are not among its tests."""
    rule = view.rule
    overrides = [o for o in pack.workshop.overrides if o.rule.value == rule.id]
    expected = {event.expect for test in rule.tests for event in test.events}
    missing = [word for word in ("fires", "quiet") if word not in expected]
    if not overrides or not missing:
        return
    what = f"no test expects {rule.id} to stay quiet as it is overridden"
    if len(missing) == 2:
        what = (
            f"{rule.id} as it is overridden has no tests: those below are about the rule as it was"
        )
    elif missing == ["fires"]:
        what = f"no test expects {rule.id} to fire as it is overridden"
    hint = "write add: {tests: [...]} with an event that fires and one that does not"
    yield at_node("WR501", overrides[-1].rule, what, hint)


# ---- WR303, WR304, WR305


def _times(view: RuleView, pack: PackView) -> Iterator[Finding]:
    rule = view.rule
    until = rule.effective_until_us
    if until is not None and until <= pack.as_of_us:
        what = f"rule {rule.id} is over since {_day(until)} and does nothing any more"
        hint = "set a later until:, or move the rule to retired:"
        yield at_node("WR305", view.key("effective"), what, hint)
    for i, item in view.exceptions():
        clause = rule.exceptions[i]
        node = item.get("expires")
        if node is None or not clause.expires_us:
            continue
        left = clause.expires_us - pack.as_of_us
        if left <= 0:
            what = f"exception {clause.id} has expired on {_day(clause.expires_us)}"
            hint = "take it out, or have it approved again with a later day"
            yield at_node("WR303", node, what, hint)
        elif left <= SOON_DAYS * _DAY_US:
            days = -(-left // _DAY_US)
            what = f"exception {clause.id} expires in {days} day{'s' * (days != 1)}, on {_day(clause.expires_us)}"
            hint = "have it approved again, or prepare for the matches it lets pass"
            yield at_node("WR303", node, what, hint, severity=WARN)


def _exceptions(view: RuleView, pack: PackView) -> Iterator[Finding]:
    rule = view.rule
    logic = pack.logic(rule.on)
    for text in view.texts:
        if text.what != "exception":
            continue
        if logic.always_true(text.tree):
            what = f"exception {text.name} matches everything: the rule never acts"
            yield text.at("WR304", text.tree, what, "say what is special about those it lets pass")
        elif not logic.never_true(rule.when) and logic.implies(rule.when, text.tree):
            what = f"exception {text.name} lets every match of {rule.id} pass: the rule never acts"
            yield text.at("WR305", text.tree, what, "narrow the exception, or switch the rule off")


def _day(us: int) -> str:
    return str(datetime.fromtimestamp(us / 1e6, UTC).date())


# ---- WR209


def _undecided(view: RuleView, pack: PackView) -> Iterator[Finding]:
    """A live rule that stops payments and does not say what a missing id means for it."""
    rule = view.rule
    if rule.mode != "live" or rule.if_undecided is not None:
        return
    if not any(a.kind in _SEVERE for a in rule.actions) or view.map is None:
        return
    logic = pack.logic(rule.on)
    names = [
        name
        for name in _leavable(rule, pack)
        if logic.is_never(logic.form(rule.when, "true"), logic.missing(_id(name, pack)))
    ]
    if names:
        what = f"leaving out {' or '.join(names)} is a way around rule {rule.id}"
        hint = "add if_undecided: {do: review}, or another decision for what cannot be told"
        yield at_node("WR209", view.key("when"), what, hint)


def _leavable(rule: Rule, pack: PackView) -> list[str]:
    """Ids of foreign things that a message need not have and that the condition needs, as such or as keys.

    A device or an address comes from the other side. Accounts, cards and customers are the bank's own, and what the
    condition itself wants present has been thought of.
    """
    found: dict[str, None] = {}
    stack = list(rule.when.columns())
    seen: set[str] = set()
    while stack:
        name = stack.pop(0)
        if name in seen:
            continue
        seen.add(name)
        feature = pack.features.get(name)
        if feature is None:
            found[name] = None
        elif feature.aggregate is not None:
            found |= dict.fromkeys(feature.aggregate.keys)
        elif feature.expression is not None:
            stack += feature.expression.columns()
    columns = pack.schema.columns
    ids = [n for n in found if n in columns and columns[n].kind == ID and "." not in n]
    asked = {n for part in _asked_for(rule.when) for n in part.columns()}
    foreign = [n for n in ids if columns[n].domain not in _OWN and n not in asked]
    return [n for n in foreign if can_be_missing(n, rule.on, pack.schema)]


def _asked_for(node: Node) -> Iterator[Node]:
    """What a condition asks about: whether it is missing or present."""
    return (part for part in node.walk() if part.op == "missing")


def _id(name: str, pack: PackView) -> Node:
    return Node("column", Type(ID, pack.schema.columns[name].domain), value=name)


# ---- WR203


def _copies(pack: PackView) -> Iterator[Finding]:
    """Rules that fire only where another one fires that asks for the same and more.

    A rule follows from another one only if it reads nothing that the other does not: so of all rules those are looked
    at whose rarest column is among those of the one in question.
    """
    rules = [v for v in pack.rules if not v.is_broken and v.rule.mode != "off" and v.columns]
    often: dict[str, int] = {}
    for view in rules:
        for name in view.columns:
            often[name] = often.get(name, 0) + 1
    rarest: dict[str, list[RuleView]] = {}
    for view in rules:
        rarest.setdefault(min(view.columns, key=lambda n: (often[n], n)), []).append(view)
    for view in rules:
        for name in sorted(view.columns):
            other = next((o for o in rarest.get(name, ()) if _covers(o, view, pack)), None)
            if other is not None:
                yield _copy(view, other, pack)
                break


def _covers(other: RuleView, view: RuleView, pack: PackView) -> bool:
    a, b = view.rule, other.rule
    if view is other or a.mode != b.mode or a.reason != b.reason or not view.on <= other.on:
        return False
    if not other.columns <= view.columns or not other.asks >= view.asks:
        return False
    if b.exceptions or b.rollout_percent < 100 or not _lasts(a, b) or _weighs_more(a, b):
        return False
    logic = pack.logic(a.on)
    if not logic.implies(view.when, other.when) or logic.never_true(view.when):
        return False
    is_twin = view.asks == other.asks and view.on == other.on and not a.exceptions
    is_twin = is_twin and not _weighs_more(b, a)
    if (
        is_twin
        and a.rollout_percent == 100
        and _lasts(b, a)
        and logic.implies(other.when, view.when)
    ):
        return b.id < a.id  # of two that are the same, the later one is the copy
    return True


def _weighs_more(a: Rule, b: Rule) -> bool:
    """Whether `a` says more than `b`: steps, each of which adds a higher score than the one below, are no copies."""
    if a.score.op == b.score.op == "const":
        if float(str(a.score.value)) > float(str(b.score.value)):
            return True
    elif a.score != b.score:
        return True
    if SEVERITIES.index(a.severity) > SEVERITIES.index(b.severity):
        return True
    return a.dedup_by != b.dedup_by or a.if_undecided not in (None, b.if_undecided)


def _lasts(a: Rule, b: Rule) -> bool:
    """Whether `b` is in force whenever `a` is."""
    starts = b.effective_from_us is None or (
        a.effective_from_us is not None and b.effective_from_us <= a.effective_from_us
    )
    ends = b.effective_until_us is None or (
        a.effective_until_us is not None and a.effective_until_us <= b.effective_until_us
    )
    return starts and ends


def _copy(view: RuleView, other: RuleView, pack: PackView) -> Finding:
    a, b = view.rule, other.rule
    same = pack.logic(a.on).implies(b.when, a.when) and set(a.on) == set(b.on)
    where = f"{b.id} ({_place(other.id_node)})"
    what = f"rule {a.id} fires only where {where} fires too, and asks for nothing more"
    if same:
        what = f"rule {a.id} has the same condition as {where}, and asks for nothing more"
    return at_node("WR203", view.id_node, what, "keep one of them, or let them differ")


def _place(node: marks.Node) -> str:
    return node.place()
