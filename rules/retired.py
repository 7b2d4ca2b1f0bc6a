"""Rules that are gone: `retired:` of a pack. An id stands for one rule for ever, so it is never used again (WR328).

    retired:
      - {id: CARD-OLD-001, on: 2026-05-01, why: CARD-TEST-001 does it better, replaced_by: CARD-TEST-001}

`without` takes a rule out of the text of its file and `entry` writes what stands for it in retired.yaml; the files
themselves are read and written by `weir rules retire` (replay/workbench/retiring.py).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from config import marks
from rules import language
from rules.check.suggest import did_you_mean
from rules.definitions import Retired
from rules.lock import quoted
from rules.reader import ID, Findings, Reader, place

FILE: Final = "retired.yaml"
HEADING: Final = (
    "# Rules that are gone; `weir rules retire` adds to it. An id is never used again.\nretired:\n"
)


def read(
    items: Iterable[tuple[marks.Node, str]],
    rules: Mapping[str, marks.TextNode],
    zone: ZoneInfo,
    findings: Findings,
) -> tuple[Retired, ...]:
    """Read what is retired, and report ids that are used again.

    items : each with the pack it stands in
    rules : ids of the rules there are, with their places
    """
    found: dict[str, Retired] = {}
    nodes: dict[str, Sequence[marks.TextNode]] = {}
    for item, pack in items:
        r = Reader(item, findings, "a retired rule", language.RETIRED)
        if r.map is None:
            continue
        id_ = r.scalar("id")
        on_us, why = r.instant("on", zone), r.text("why")
        by = r.texts("replaced_by")
        r.done()
        if id_ is None:
            continue
        if not ID.fullmatch(id_.value):
            what = f'"{id_.value}" is not a rule id'
            hint = "capital letters, digits and hyphens, such as CARD-TEST-001"
            findings.at("WR023", id_, what, hint)
        elif id_.value in found:
            what = f"rule {id_.value} is retired at {found[id_.value].place} already"
            findings.at("WR328", id_, what, "a rule is retired once: remove one of the two")
        else:
            names = tuple(dict.fromkeys(n.value for n in by))
            at = place(item)
            found[id_.value] = Retired(id_.value, on_us or 0, why, names, pack, at)
            nodes[id_.value] = by
    for name, gone in found.items():
        if name in rules:
            what = f"rule {name} was retired ({gone.place}): {gone.why}"
            findings.at("WR328", rules[name], what, "give the rule an id that was never used")
        for node in nodes[name]:
            if node.value not in rules and node.value not in found:
                what = f"there is no rule {node.value}"
                findings.at("WR329", node, what, did_you_mean(node.value, rules, ""))
    return tuple(found[name] for name in sorted(found))


def without(rule: marks.MapNode, items: marks.ListNode) -> str:
    """The text of a file without one rule of its `rules:`; everything else stays as it stands, comments too.

    Comments on the lines directly above the rule, as far in as its dash, and deeper ones below it go with the rule.
    Raises ValueError where rules do not stand below each other: in a list in brackets.
    """
    text, starts = rule.source.text, rule.source.starts
    if text[items.start : items.start + 1] == "[":
        raise ValueError("the rules stand in one list in brackets")
    lines = [text[a:b] for a, b in zip(starts, (*starts[1:], len(text)), strict=True)]
    k = next(i for i, item in enumerate(items) if item is rule)
    first, last = _lines_of(rule, lines)
    above = _lines_of(items.items[k - 1], lines)[1] if k > 0 else -1
    dash = _indent(lines[first])
    while first - 1 > above and _is_comment(lines[first - 1]) and _indent(lines[first - 1]) == dash:
        first -= 1
    before, after = lines[:first], lines[last + 1 :]
    if len(items) == 1:
        before = _emptied(before)
    elif before and after and not before[-1].strip() and not after[0].strip():
        after = after[1:]  # one blank line between two rules was enough
    elif not "".join(after).strip():
        while not before[-1].strip():
            before.pop()
    return "".join(before + after)


def _lines_of(node: marks.Node, lines: Sequence[str]) -> tuple[int, int]:
    """Numbers, from 0, of the line with the dash of an item and of the last line that belongs to it."""
    text = node.source.text
    at = len(text[: node.start].rstrip()) - 1
    if at < 0 or text[at] != "-":
        raise ValueError("there is no dash before the rule")
    first = node.source.position(at)[0] - 1
    dash = _indent(lines[first])
    # to YAML a block ends where the next thing begins, behind the comments in between
    last = node.source.position(len(text[: node.end].rstrip()))[0] - 1
    while last > first and (not lines[last].strip() or _is_comment(lines[last])):
        last -= 1
    for n in range(last + 1, len(lines)):
        if lines[n].strip() and not (_is_comment(lines[n]) and _indent(lines[n]) > dash):
            break
        last = n if lines[n].strip() else last
    return first, last


def _emptied(before: Sequence[str]) -> list[str]:
    """The lines above the only rule, with an empty list behind `rules:`."""
    for n in range(len(before) - 1, -1, -1):
        key = re.match(r"rules:(?=[ \t]*(#|\r?\n|$))", before[n])
        if key is not None:
            return [*before[:n], f"rules: []{before[n][key.end() :]}", *before[n + 1 :]]
    raise ValueError('the key "rules:" does not stand on a line of its own')


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_comment(line: str) -> bool:
    return line.lstrip(" ").startswith("#")


def entry(id_: str, on: str, why: str, replaced_by: Sequence[str] = ()) -> str:
    """One item of `retired:` as text. `on` is a day."""
    by = f", replaced_by: {_by(replaced_by)}" if replaced_by else ""
    return f"  - {{id: {id_}, on: {on}, why: {quoted(why)}{by}}}\n"


def _by(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"[{', '.join(names)}]"


def with_entry(text: str, item: str) -> str:
    """The text of retired.yaml, "" for none yet, with one more item; ValueError where its list cannot be found."""
    if not text.strip():
        return HEADING + item
    root, faults = marks.parse(text, FILE)
    items = root.get("retired") if isinstance(root, marks.MapNode) and not faults else None
    if items is None:
        return f"{text.rstrip()}\nretired:\n{item}"
    if isinstance(items, marks.ListNode) and len(items) and text[items.start] != "[":
        lines = text.splitlines(keepends=True)
        dash, last = _lines_of(items.items[-1], lines)
        head, tail = "".join(lines[: last + 1]), "".join(lines[last + 1 :])
        indent = " " * _indent(lines[dash])
        return f"{head.rstrip()}\n{indent}{item.lstrip()}{tail}"
    empty = re.search(r"(?m)^retired:[ \t]*(\[[ \t]*\])?(?=[ \t]*(#|$))", text)
    if empty is None or (isinstance(items, marks.ListNode) and len(items)):
        raise ValueError(f"the list in {FILE} stands in brackets")
    end = text.find("\n", empty.end())
    rest = text[empty.end() :] if end < 0 else text[empty.end() : end]
    after = "" if end < 0 else text[end + 1 :]
    return f"{text[: empty.start()]}retired:{rest}\n{item}{after}"
