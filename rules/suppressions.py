"""Suppressions that a pack declares: one rule is withheld for one entity until a date, and its matches stay on record.

    suppressions:
      - {rule: TRAVEL-001, entity: {card: C7}, until: 2026-04-01, why: the holder told us, by: m.keller}

Those that people ask of a running engine are commands; a suppression in a pack is reviewed and released like a rule.
"""

from collections.abc import Iterable, Mapping, Sequence
from zoneinfo import ZoneInfo

from config import marks
from config.decisions import RESTRICTABLE
from rules import language
from rules.check.suggest import did_you_mean
from rules.definitions import Retired, Suppression
from rules.reader import Findings, Reader, place
from rules.tree import ID
from rules.types import SchemaLike


def read(
    items: Iterable[tuple[marks.Node, str]],
    rules: Mapping[str, marks.TextNode],
    gone: Sequence[Retired],
    schema: SchemaLike,
    zone: ZoneInfo,
    findings: Findings,
) -> dict[Suppression, marks.Node]:
    """Read what is suppressed, in the order of rule, field and entity; each with its node.

    items : each with the pack it stands in
    rules : ids of the rules there are
    """
    found: dict[tuple[str, str, str], tuple[Suppression, marks.Node]] = {}
    retired = {r.id: r for r in gone}
    for item, pack in items:
        r = Reader(item, findings, "a suppression", language.SUPPRESSION)
        if r.map is None:
            continue
        rule = r.scalar("rule")
        entity = _entity(r, schema)
        until_us, why, by = r.instant("until", zone), r.text("why"), r.text("by")
        r.done()
        if rule is not None and rule.value not in rules:
            what, hint = f"there is no rule {rule.value}", did_you_mean(rule.value, rules, "")
            if rule.value in retired:
                what += f", it was retired ({retired[rule.value].place})"
                hint = "take the suppression out"
            findings.at("WR329", rule, what, hint)
        if rule is None or entity is None or until_us is None:
            continue
        key = (rule.value, *entity)
        if key in found:
            what = f"{rule.value} is withheld for this {entity[0]} at {found[key][0].place} already"
            findings.at("WR105", item, what, "remove one of the two")
            continue
        made = Suppression(*key, until_us, why, by, pack, place(item))
        found[key] = made, item
    return {s: node for _, (s, node) in sorted(found.items())}


def _entity(r: Reader, schema: SchemaLike) -> tuple[str, str] | None:
    """Field and value that a suppression is about."""
    entries = r.entries("entity", names=False)
    r.get("entity", wanted=True)
    if len(entries) != 1:
        if entries:
            what = "a suppression is about one entity"
            r.findings.at("WR022", r.key("entity"), what, "write one suppression for each")
        return None
    key, value = entries[0]
    columns = schema.columns
    column = columns.get(key.value)
    if column is None or column.kind != ID or column.domain not in RESTRICTABLE:
        known = [n for n, c in columns.items() if c.kind == ID and c.domain in RESTRICTABLE]
        hint = did_you_mean(key.value, known) or "known: " + ", ".join(known)
        what = f'a rule cannot be suppressed for one "{key.value}"'
        r.findings.at("WR021", key, what, hint)
        return None
    if not isinstance(value, marks.TextNode) or not value.value.strip():
        r.findings.at("WR027", value, f"{key.value} is the id of one {key.value}")
        return None
    return key.value, value.value


def over(nodes: Mapping[Suppression, marks.Node], as_of_us: int, findings: Findings) -> None:
    """Warn of suppressions whose time is over (WR335): they do nothing, and hide what is still in force."""
    for suppression, node in nodes.items():
        if suppression.until_us <= as_of_us:
            assert isinstance(node, marks.MapNode)
            what = f"the suppression of {suppression.rule} for {suppression.field} {suppression.entity} is over"
            findings.at("WR335", node["until"], what, "remove it, or renew it with a new date")
