"""Rules: from the nodes of a file to `Rule` of rules/definitions.py, every part typed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from config import marks
from rules import language, overrides
from rules.actions import Actions
from rules.check.presence import Presence, can_be_missing
from rules.check.suggest import did_you_mean, nearest
from rules.definitions import ExceptionClause, Param, Reason, Rule, Undecided
from rules.embedded_tests import Tests
from rules.features import Names, Source, literal_tree, scope_of
from rules.keys import key_field
from rules.lists import compared
from rules.reader import ID, Findings, Reader, Text, place
from rules.syntax import parse
from rules.tree import BOOL, NUMBER, TEXT, Node, Span, Type
from rules.types import UNKNOWN, Checker, Scope

SCORE_MAX: Final = 1_000.0
APPROX_MIN: Final = 0.005
APPROX_MAX: Final = 0.1
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]+)?)\s*%")
_ROLLOUT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]+)?)% by ([a-z_][a-z0-9_.]*)")


@dataclass(slots=True)
class Head:
    """What the rules of a pack share."""

    findings: Findings
    names: Names
    scope: Scope  # reads models; without params
    reasons: Mapping[str, Reason]


@dataclass(slots=True)
class Draft:
    """A rule whose names are collected and whose expressions are not typed yet."""

    reader: Reader
    id: str
    names: Names
    scope: Scope
    params: tuple[Param, ...]
    pack: str
    node: marks.Node  # of the rule, with what narrows it
    narrow: marks.TextNode | None = None  # by a pack on top


def feature_source(
    key: marks.TextNode, node: marks.Node, findings: Findings, scope: Scope
) -> Source | None:
    """Read a feature's short form (text) or long form ({is: text, owner: ...})."""
    if isinstance(node, marks.TextNode):
        return Source("feature", key.value, key, node, scope)
    r = Reader(node, findings, f"feature {key.value}", language.FEATURE)
    text = r.scalar("is")
    owner, description = r.text("owner"), r.text("description")
    warm = r.duration("warm_after", -1)
    approx_node = r.scalar("approx")
    approx = _share(approx_node, findings) if approx_node is not None else 0.0
    r.done()
    if text is None:
        return None
    return Source(
        "feature",
        key.value,
        key,
        text,
        scope,
        "",
        owner,
        description,
        None if warm < 0 else warm,
        approx,
        approx_node,
    )


def _share(node: marks.TextNode, findings: Findings) -> float:
    """Read `2%`; 0 after a report."""
    match = _PERCENT.fullmatch(node.value.strip())
    share = float(match[1]) / 100 if match is not None else 0.0
    if APPROX_MIN <= share <= APPROX_MAX:
        return share
    what = f'"{node.value}" is not an approximation'
    bounds = f"{100 * APPROX_MIN:g}% to {100 * APPROX_MAX:g}%"
    findings.at("WR026", node, what, f"write a standard error of {bounds}, for instance 2%")
    return 0.0


def draft(
    item: marks.Node, head: Head, ids: dict[str, marks.TextNode], pack: str = ""
) -> Draft | None:
    """Read a rule's id, params, lets and own features, so that all names of the pack are known."""
    findings = head.findings
    inner, narrow = overrides.split(item)
    r = Reader(inner, findings, "a rule", language.RULE)
    if r.map is None:
        return None
    node = r.scalar("id")
    rule_id = node.value if node is not None else ""
    if node is not None:
        if not ID.fullmatch(rule_id):
            what = f'"{rule_id}" is not a rule id'
            hint = "capital letters, digits and hyphens, such as CARD-TEST-001"
            findings.at("WR023", node, what, hint)
        if rule_id in ids:
            what = f"rule {rule_id} stands at {ids[rule_id].place()} already"
            findings.at("WR105", node, what, "an id is permanent and never used again")
        ids.setdefault(rule_id, node)
        r.called = f"rule {rule_id}"
    names = Names(findings, head.names.retention_us, head.names)
    base = scope_of(names, head.scope)
    params = _params(r, findings, base)
    scope = replace(base, params={p.name: p.value for p in params})
    own = replace(scope, reads=frozenset({"labels"} & scope.reads))
    for key, value in r.entries("features"):
        source = feature_source(key, value, findings, own)
        if source is not None:
            source.owner_rule = rule_id
            names.add(source)
    for key, value in r.entries("let"):
        if isinstance(value, marks.TextNode):
            names.add(Source("let", key.value, key, value, scope, rule_id))
        else:
            findings.at("WR027", value, f"let {key.value} is a text with an expression")
    return Draft(r, rule_id, names, scope, params, pack, item, narrow)


def _params(r: Reader, findings: Findings, scope: Scope) -> tuple[Param, ...]:
    """Read `name: 5`, or `name: {value: 5, why: ...}`."""
    found = []
    for key, node in r.entries("params"):
        value: marks.Node | None = node
        why = ""
        if isinstance(node, marks.MapNode):
            inner = Reader(node, findings, f"param {key.value}", language.PARAM)
            value, why = inner.scalar("value"), inner.text("why")
            inner.done()
        elif isinstance(node, marks.ListNode):
            hint = "write for instance min_small: {value: 5, why: two may be chance}"
            findings.at("WR027", node, f"param {key.value} is one value", hint)
            continue
        # A value that is missing has been reported; the name is there, so that $name is not reported too.
        given = (
            param(value, findings, scope)
            if isinstance(value, marks.TextNode)
            else Node("const", Type(UNKNOWN))
        )
        found.append(Param(key.value, given, why, place(key)))
    return tuple(found)


def param(node: marks.TextNode, findings: Findings, scope: Scope) -> Node:
    """Read a written value: a number, amount, share, duration, date, time of day, truth or text."""
    text = Text(node, findings)
    span = Span(0, len(node.value))
    written = None if node.is_quoted else literal_tree(node.value)
    if written is not None:
        return Checker(node.value, scope, text).check(written)
    if not node.is_quoted and re.match(r"\s*-?[0-9]", node.value):
        _, problems = parse(node.value)
        text.problems(problems, (), scope.currency)
        if not text.n_errors:
            hint = "put it into quotes if a text is meant"
            text("WR026", span, f'"{node.value}" is not a written value', hint)
        return Node("const", Type(UNKNOWN), span=span)
    return Node("const", Type(TEXT), value=node.value, span=span)


def finish(part: Draft, head: Head) -> Rule:
    """Type everything of a rule; the rule is there even when findings say it must not be used."""
    r, findings, scope = part.reader, head.findings, part.scope
    part.names.type_all()
    severity_node = r.map.get("severity") if r.map is not None else None
    severity = r.word("severity")
    name = r.text("name")
    version = r.whole("version", 1, low=1, high=1_000_000)
    owner = r.text("owner")
    reason = _reason(r, head)
    on = _on(r, scope)
    mode = r.word("mode", "shadow")
    when_node = r.scalar("when")
    when, text = _narrowed(when_node, part.narrow, findings, scope)
    items = r.items("actions")
    only_reports = bool(items) and all(
        isinstance(i, marks.MapNode) and set(i) == {"report"} for i in items
    )
    score = _score(r, findings, scope, wanted=not only_reports)
    known = severity if isinstance(severity_node, marks.TextNode) and severity else None
    with_rows = replace(scope, compared=compared(when))
    actions = Actions(findings, with_rows, known).read(items)
    effective = _effective(r, findings, scope)
    rollout_percent, rollout_by = _rollout(r, findings, scope)
    dedup_by, dedup_for = _dedup(r, findings, scope)
    if only_reports and dedup_by:
        what = "a rule that only reports has no alerts to group"
        findings.at("WR020", r.key("dedup"), what, "a report is one for each `by` and day anyway")
    exceptions = tuple(
        e for e in (_exception(i, findings, scope) for i in r.items("exceptions")) if e
    )
    undecided = _undecided(r)
    tests = Tests(findings, scope).read(r.items("tests"))
    references = tuple(n.value for n in r.texts("references"))
    description, purpose = r.text("description"), r.text("purpose")
    r.done()
    return Rule(
        id=part.id,
        name=name,
        version=version,
        owner=owner,
        severity=severity or "high",
        reason=reason,
        on=on,
        mode=mode,
        when=when,
        score=score,
        actions=actions,
        place=place(r.node),
        description=description,
        purpose=purpose,
        params=part.params,
        references=references,
        dedup_by=dedup_by,
        dedup_for_us=dedup_for,
        effective_from_us=effective[0],
        effective_until_us=effective[1],
        rollout_percent=rollout_percent,
        rollout_by=rollout_by,
        exceptions=exceptions,
        if_undecided=undecided,
        tests=tests,
        text=text,
        pack=part.pack,
    )


def _condition(node: marks.TextNode | None, findings: Findings, scope: Scope) -> Node:
    if node is None:
        return Node("const", Type(BOOL), value=False)
    text = Text(node, findings)
    tree, problems = parse(node.value)
    checker = Checker(node.value, scope, text)
    found = checker.condition(tree)
    text.problems(problems, checker.money_literals, scope.currency)
    return found


def _narrowed(
    node: marks.TextNode | None,
    narrow: marks.TextNode | None,
    findings: Findings,
    scope: Scope,
) -> tuple[Node, str]:
    """The condition and its text for people; what a pack on top demands too is joined to the tree."""
    when = _condition(node, findings, scope)
    text = node.value.strip() if node is not None else ""
    if narrow is None or node is None:
        return when, text
    more = _moved(_condition(narrow, findings, scope), overrides.narrow_begin(node))
    clauses = [part for n in (when, more) for part in (n.args if n.op == "and" else (n,))]
    written = [(when, text), (more, narrow.value.strip())]
    loose = ("or", "if")
    texts = [f"({shown})" if n.op in loose else shown for n, shown in written]
    return Node("and", Type(BOOL), tuple(clauses), span=when.span), "\nand ".join(texts)


def _moved(node: Node, by: int) -> Node:
    """The tree with all its spans `by` characters further on."""
    span = Span(node.span.start + by, node.span.end + by) if node.span is not None else None
    return replace(node, args=tuple(_moved(arg, by) for arg in node.args), span=span)


def _score(r: Reader, findings: Findings, scope: Scope, *, wanted: bool) -> Node:
    node = r.scalar("score", wanted=wanted)
    if node is None:
        return Node("const", Type(NUMBER), value=0.0)
    written = node.value.strip()
    is_word = written in language.SEVERITIES and written not in scope.known()
    if is_word or re.fullmatch(r"-?[0-9.]+\s*%", written):
        what = f"a score is a number of points from -1000 to 1000, {written} is none"
        findings.at("WR026", node, what, "write for instance score: 300")
        return Node("const", Type(NUMBER), value=0.0)
    text = Text(node, findings)
    tree, problems = parse(node.value)
    checker = Checker(node.value, scope, text)
    found = checker.quantity(tree, (NUMBER,), "a number")
    text.problems(problems, checker.money_literals, scope.currency)
    if found.op == "const" and isinstance(found.value, float) and abs(found.value) > SCORE_MAX:
        findings.at("WR026", node, f"a score lies between -1000 and 1000, was {node.value}")
    return found


def _reason(r: Reader, head: Head) -> str:
    node = r.scalar("reason")
    if node is None:
        return ""
    if node.value not in head.reasons:
        hint = (
            did_you_mean(node.value, head.reasons, "") or "add it under reasons: with its sentence"
        )
        head.findings.at("WR109", node, f"unknown reason {node.value}", hint)
    return node.value


def _on(r: Reader, scope: Scope) -> tuple[str, ...]:
    nodes = r.texts("on")
    known = scope.schema.event_types
    for node in nodes:
        if node.value in known:
            continue
        guess = nearest(node.value, known)
        severity = "" if guess or not scope.schema.open_types else "warn"
        hint = f'did you mean "{guess}"?' if guess else "add it to the event types of the schema"
        what = f'the schema knows no event type "{node.value}"'
        r.findings.at("WR306", node, what, hint, severity=severity)
    if (
        r.map is not None
        and "on" in r.map
        and not nodes
        and isinstance(r.map["on"], marks.ListNode)
    ):
        r.findings.at("WR306", r.map["on"], "the list is empty: the rule can never run")
    return tuple(dict.fromkeys(n.value for n in nodes))


def _effective(r: Reader, findings: Findings, scope: Scope) -> tuple[int | None, int | None]:
    node = r.get("effective")
    if node is None:
        return None, None
    inner = Reader(node, findings, "effective", language.EFFECTIVE)
    start, end = inner.instant("from", scope.zone), inner.instant("until", scope.zone)
    inner.done()
    if start is not None and end is not None and start >= end:
        findings.at("WR024", inner.key("until"), '"until" must be later than "from"')
    return start, end


def _rollout(r: Reader, findings: Findings, scope: Scope) -> tuple[float, str]:
    node = r.scalar("rollout")
    if node is None:
        return 100.0, ""
    match = _ROLLOUT.fullmatch(" ".join(node.value.split()))
    if match is None or not 0 <= float(match[1]) <= 100:
        what = f'"{node.value}" is not a rollout'
        findings.at("WR026", node, what, "write for instance 25% by card")
        return 100.0, ""
    return float(match[1]), key_field(node, match[2], findings, scope)


def _dedup(r: Reader, findings: Findings, scope: Scope) -> tuple[tuple[str, ...], int]:
    node = r.get("dedup")
    if node is None:
        return (), 0
    inner = Reader(node, findings, "dedup", language.DEDUP)
    names = tuple(key_field(n, n.value, findings, scope) for n in inner.texts("by"))
    for_us = inner.duration("for")
    inner.done()
    return tuple(n for n in names if n), for_us


def _exception(item: marks.Node, findings: Findings, scope: Scope) -> ExceptionClause | None:
    r = Reader(item, findings, "an exception", language.EXCEPTION)
    if r.map is None:
        return None
    node = r.scalar("id")
    if node is not None and not ID.fullmatch(node.value):
        findings.at("WR023", node, f'"{node.value}" is not an id', "write for instance EX-PAYROLL")
    when = _condition(r.scalar("when"), findings, scope)
    why, approved_by = r.text("why"), r.text("approved_by")
    expires = r.instant("expires", scope.zone)
    r.done()
    return ExceptionClause(
        node.value if node is not None else "", when, why, approved_by, expires or 0, place(item)
    )


def _undecided(r: Reader) -> Undecided | None:
    node = r.get("if_undecided")
    if node is None:
        return None
    inner = Reader(node, r.findings, "if_undecided", language.IF_UNDECIDED)
    score = inner.number("score", 0.0)
    do = inner.word("do")
    inner.done()
    if inner.map is not None and not len(inner.map):
        r.findings.at("WR022", r.key("if_undecided"), 'if_undecided needs "score:" or "do:"')
    return Undecided(score, do)


def check_keys(rule: Rule, part: Draft, head: Head, presence: Presence) -> None:
    """Report dedup and rollout keys that can be missing while the rule fires (WR310)."""
    sure = presence.if_true(rule.when)
    wanted = [("dedup", n) for n in rule.dedup_by] + [("rollout", rule.rollout_by)] * bool(
        rule.rollout_by
    )
    for kind, name in wanted:
        absent = can_be_missing(name, rule.on, head.scope.schema)
        if name not in sure and absent:
            types = " and ".join(absent)
            what = (
                f"{name} can be missing on {types} while the rule fires, so {kind} has no key then"
            )
            hint = f"add to the condition: and {name} is present"
            head.findings.at("WR310", part.reader.key(kind), what, hint)
