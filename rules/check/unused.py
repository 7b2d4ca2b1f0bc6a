"""What nobody uses, lists that nobody has looked at in time, and those whose rows are over (WR301, WR302, WR307)."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from config import marks
from rules.calendar import shown_day
from rules.check.findings import Finding, at_node
from rules.check.views import Names, PackView, RuleView
from rules.definitions import ListDefinition


def check(view: PackView) -> Iterator[Finding]:
    if any(f.code in _UNREADABLE for f in view.loaded.findings):
        return  # a file that could not be read may use anything
    meant = _meant(view)
    reached = view.reached
    for name, source in view.names.sources.items():
        if name in reached or name in view.used or name in meant:
            continue
        if source.kind == "feature":
            cost = view.cost(name)
            more = f" (costs about {cost} of state)" if cost else ""
            what = f"feature {name} is used by no rule{more}"
        else:
            what = f"{source.kind} {name} is used nowhere"
        yield at_node("WR301", source.key, what, "take it out, or use it")
    lists, words = _named(view)
    for kind, names in (("list", lists), ("table", words)):
        for key, node in view.workshop.places.items():
            if key.startswith(f"{kind} ") and node.value not in names | meant:
                yield at_node("WR301", node, f"{kind} {node.value} is used nowhere", "take it out")
    for rule in view.rules:
        yield from _of_rule(rule)
    for name, definition in view.lists.items():
        until = definition.review_by_us
        if until is not None and until <= view.as_of_us and f"list {name}" in view.workshop.places:
            day = datetime.fromtimestamp(until / 1e6, UTC).date()
            what = f"list {name} was to be reviewed by {day}"
            hint = "look whether its rows still hold, then set review_by: to a later day"
            yield at_node("WR302", view.workshop.places[f"list {name}"], what, hint)
        yield from _over(view, name, definition)


def _over(view: PackView, name: str, of: ListDefinition) -> Iterator[Finding]:
    """A list whose rows have all ended; it is as good as empty, and what asks it never fires, or never lets pass."""
    ends = [row.until_us for row in of.rows]
    last_us = max((end for end in ends if end is not None), default=None)
    key = view.workshop.places.get(f"list {name}")
    if None in ends or last_us is None or last_us > view.as_of_us or key is None:
        return
    day = shown_day(last_us, str(view.workshop.head.scope.zone))
    rows = "the row" if len(ends) == 1 else f"every one of the {len(ends):,} rows"
    what = f"{rows} of list {name} has ended: it is empty since {day}"
    hint = "bring in the rows that hold now, or take out what asks the list"
    yield at_node("WR307", key, what, hint)


def _meant(view: PackView) -> set[str]:
    """Names that a misspelt one was probably meant to be: whoever mends it uses them."""
    return {w for f in view.loaded.findings if f.is_error for w in _NAME.findall(f.hint)}


def _named(view: PackView) -> tuple[set[str], set[str]]:
    """Lists and words that rules name, or features and macros, used or not."""
    lists: set[str] = set()
    words: set[str] = set()
    for names in (*view.rule_names, *view.mentions.values()):
        lists |= names.lists
        words |= names.words
    return lists, words


def _of_rule(view: RuleView) -> Iterator[Finding]:
    """Params, lets and own features of a rule that the rule itself does not use."""
    if view.map is None:
        return
    id_ = view.rule.id
    used = Names()
    for key, node in view.map.items():
        if key.value in ("let", "features"):
            continue
        if key.value not in _UNREAD:
            used.add_any(node)
    if view.draft.narrow is not None:
        used.add(view.draft.narrow.value)
    own: dict[str, Names] = {}
    for name, source in view.draft.names.sources.items():
        own[name] = Names()
        own[name].add(source.text.value)
    stack = [name for name in own if name in used.words]
    seen = set(stack)
    while stack:
        name = stack.pop()
        used.params |= own[name].params
        more = own[name].words & own.keys() - seen
        seen |= more
        stack += more
    for name, source in view.draft.names.sources.items():
        if name not in seen:
            what = f"{source.kind} {name} is not used by rule {id_}"
            yield at_node("WR301", source.key, what, "take it out, or use it")
    params = view.map.get("params")
    if isinstance(params, marks.MapNode):
        for key in tuple(params.keys.values()):
            if key.value not in used.params:
                what = f"param {key.value} is not used by rule {id_}"
                yield at_node("WR301", key, what, f"take it out, or write ${key.value}")


_UNREADABLE: Final = frozenset(f"WR00{n}" for n in range(1, 10))
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_UNREAD: Final = frozenset(
    {"id", "name", "version", "owner", "severity", "reason", "tests", "params"}
)
