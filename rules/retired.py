"""Rules that are gone: `retired:` of a pack. An id stands for one rule for ever, so it is never used again (WR328).

    retired:
      - {id: CARD-OLD-001, on: 2026-05-01, why: CARD-TEST-001 does it better, replaced_by: CARD-TEST-001}

`moved` takes a rule out of the text of its file and `entry` writes what stands for it in retired.yaml; the files
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


def moved(rule: marks.MapNode, items: marks.ListNode) -> str:
    """The text of the file without one rule of its `rules:`, everything else as it stands, comments too.

    Comments directly above the rule, indented like it, are about the rule and go with it; so does the comment at the
    end of its lines. A list `[...]` on one line is not taken apart: ValueError.
    """
    text = rule.source.text
    if text[items.start : items.start + 1] == "[":
        raise ValueError("the rules stand in one list in brackets")
    k = next(i for i, item in enumerate(items) if item is rule)
    lines = rule.source.starts
    first = rule.source.position(rule.start)[0] - 1
    last = _last_line(rule)
    begin = first
    dash = _indent(text, lines[first])
    while begin > 0 and _is_comment(text, lines[begin - 1], dash):
        begin -= 1
    if k > 0:
        begin = max(begin, _last_line(items.items[k - 1]) + 1)
    end = lines[last + 1] if last + 1 < len(lines) else len(text)
    before, after = text[: lines[begin]], text[end:]
    if len(items) == 1:
        head = re.compile(r"[ \t]*(?=(?:#[^\r\n]*)?\r?\n\Z)")
        key = re.search(
            r"(?m)^( *)rules:[ \t]*(#[^\r\n]*)?\r?\n(?:[ \t]*(#[^\r\n]*)?\r?\n)*\Z", before
        )
        if key is None or head is None:
            raise ValueError('the key "rules:" does not stand on a line of its own')
        at = key.start() + len(key[1]) + len("rules:")
        before = f"{before[:at]} []{before[at:]}"
    elif k > 0 and not after.strip():
        before = before.rstrip() + "\n"
    elif re.match(r"[ \t]*\r?\n", after) and re.search(r"\n[ \t]*\r?\n\Z", before):
        after = after[re.match(r"[ \t]*\r?\n", after).end() :]  # type: ignore[union-attr]
    return before + after


def _last_line(node: marks.Node) -> int:
    """Number, from 0, of the last line with something of the node on it; a block ends before trailing blank lines."""
    end = len(node.source.text[: node.end].rstrip())
    last = node.source.position(max(end - 1, node.start))[0] - 1
    # what YAML calls the end of a block may lie behind comments that follow it
    while last > 0 and _is_comment(node.source.text, node.source.starts[last], -1):
        last -= 1
    return last


def _indent(text: str, at: int) -> int:
    match = re.compile(r" *").match(text, at)
    assert match is not None
    return match.end() - at


def _is_comment(text: str, at: int, indent: int) -> bool:
    """Whether the line holds nothing but a comment, `indent` blanks in (-1 for any)."""
    match = re.compile(r"( *)#").match(text, at)
    return match is not None and indent in (-1, len(match[1]))


def entry(id_: str, on: str, why: str, replaced_by: Sequence[str] = ()) -> str:
    """One item of `retired:` as text. `on` is a day."""
    by = f", replaced_by: {_by(replaced_by)}" if replaced_by else ""
    return f"  - {{id: {id_}, on: {on}, why: {quoted(why)}{by}}}\n"


def _by(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"[{', '.join(names)}]"


def quoted(text: str) -> str:
    """A text as a YAML scalar in double quotes."""
    plain = " ".join(text.split())
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
