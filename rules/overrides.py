"""What a pack changes in the rules of the packs it extends: by name and by tree, never by pasted text.

    overrides:
      - rule: STRUCT-001
        written_for: 4                 the version that was looked at; another one is an error (WR326)
        set: {mode: shadow, params.threshold: 8_000 CNY, actions.alert.queue: aml-uk}
        add: {exceptions: [...], tests: [...], actions: [...], references: [...]}
        narrow: country == "GB"        and this must hold too
        replace_when: amount > 9       in place of the condition

`apply` makes an effective rule out of the nodes of the rule and of its overrides, so that one reader reads both, and a
finding about an overridden part points into the file that overrides it. What `narrow` says stands under a key that no
file can hold (`NARROW`) until rules/rule_files.py has typed it.

Addresses of `set` are the keys of a rule; `params.NAME`; `dedup.KEY`, `effective.KEY`, `if_undecided.KEY`;
`actions.KIND.KEY` where there is one action of the kind, else `actions.N.KEY` counted from 1; `exceptions.ID.KEY`.
Nothing can be widened or taken away: for that a rule is written anew. The tests of a rule are about the rule as it was
written, so a change of what it does leaves only those that overrides add.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from config import marks
from rules import language
from rules.check.suggest import did_you_mean
from rules.definitions import Origin
from rules.reader import Findings, Reader, place
from rules.tree import Span

NARROW: Final = "narrow"
MADE: Final = "made"  # style of a key that stands in no file; YAML knows none of this name
ADDABLE: Final = ("exceptions", "tests", "references", "actions")
_WHOLE: Final = (
    *("name", "owner", "severity", "reason", "on", "mode", "effective", "rollout", "purpose"),
    *("description", "references", "score", "if_undecided", "dedup"),
)  # keys that `set` replaces as they are
_INNER: Final[Mapping[str, language.Shape]] = {
    "effective": language.EFFECTIVE,
    "if_undecided": language.IF_UNDECIDED,
    "dedup": language.DEDUP,
}
_REFUSED: Final[Mapping[str, str]] = {
    "when": "write narrow: or replace_when: beside set:",
    "id": "an id is permanent; write a rule of your own",
    "version": "the version is that of the rule as its own pack has it",
    "tests": "write add: {tests: [...]}",
    "actions": "name one, such as actions.alert.queue, or write add: {actions: [...]}",
    "exceptions": "name one, such as exceptions.EX-KIOSK.expires, or write add: {exceptions: [...]}",
    "params": "name one, such as params.threshold",
    "features": "give the pack a feature of its own and name it in replace_when:",
    "let": "write the condition out in replace_when:",
}
_SILENT: Final = frozenset({"name", "owner", "purpose", "description", "references", "mode"})

Path = tuple[str | int, ...]  # keys of mappings and places in lists, from the rule down


@dataclass(frozen=True, slots=True)
class Override:
    """One item of `overrides:` as it stands in a file."""

    reader: Reader
    pack: str
    rule: marks.TextNode
    written_for: int


@dataclass(slots=True)
class Applied:
    """What came of the overrides: rules as they count, and those that were changed as they were before."""

    rules: list[tuple[marks.Node, str]]  # with the name of the pack each stands in
    bases: dict[str, marks.MapNode] = field(default_factory=dict)  # by id of the rule
    origins: dict[str, dict[str, Origin]] = field(default_factory=dict)
    stale: list["Stale"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stale:
    """An override that was written for another version of its rule."""

    override: Override
    base: marks.MapNode
    version: int


def read(item: marks.Node, pack: str, findings: Findings) -> Override | None:
    """Read what an override is about; what it changes is read by `apply`."""
    r = Reader(item, findings, "an override", language.OVERRIDE)
    if r.map is None:
        return None
    rule = r.scalar("rule")
    written_for = r.whole("written_for", 0, low=1)
    if rule is None:
        return None
    r.called = f"the override of {rule.value}"
    for key in ("narrow", "replace_when", "set", "add"):
        r.get(key)
    r.done()
    if not any(key in r.map for key in ("narrow", "replace_when", "set", "add")):
        hint = "write set:, add:, narrow: or replace_when:"
        findings.at("WR022", rule, f"the override of {rule.value} changes nothing", hint)
        return None
    return Override(r, pack, rule, written_for)


def apply(
    overrides: Iterable[Override],
    rules: Sequence[tuple[marks.Node, str]],
    extended: Mapping[str, frozenset[str]],
    findings: Findings,
) -> Applied:
    """Put the overrides into the rules; what does not fit is reported and left out.

    rules    : node of each rule, and the pack it stands in
    extended : of each pack, the packs it extends, directly or not
    """
    applied = Applied(list(rules))
    where: dict[str, int] = {}
    for k, (node, _) in enumerate(rules):
        name = _text(node, "id")
        if name:
            where.setdefault(name, k)
    works: dict[str, _Work] = {}
    # Packs that know nothing of each other may add to one rule: the order must not depend on which was named first.
    for override in sorted(overrides, key=_standing):
        id_ = override.rule.value
        at = where.get(id_)
        if at is None or rules[at][1] not in extended.get(override.pack, frozenset()):
            _not_there(override, where, rules, extended, findings)
            continue
        base = rules[at][0]
        assert isinstance(base, marks.MapNode)
        version = version_of(base)
        if override.written_for not in (0, version):
            applied.stale.append(Stale(override, base, version))
        work = works.setdefault(id_, _Work(base, findings))
        work.take(override)
    for id_, work in works.items():
        at = where[id_]
        applied.rules[at] = (work.effective(), rules[at][1])
        applied.bases[id_] = work.base
        applied.origins[id_] = work.origins
    return applied


def version_of(rule: marks.MapNode) -> int:
    """The version that a rule gives itself; 1 where it gives none, or nothing that is a number."""
    node = rule.get("version")
    digits = node.value.replace("_", "") if isinstance(node, marks.TextNode) else "1"
    return int(digits) if digits.isdecimal() and len(digits) < 10 else 1


def split(rule: marks.Node) -> tuple[marks.Node, marks.TextNode | None]:
    """The rule as a reader knows it, and the text of `narrow` if packs on top have narrowed it."""
    if not isinstance(rule, marks.MapNode) or NARROW not in rule.keys:
        return rule, None
    key, text = rule.keys[NARROW], rule.values[NARROW]
    if key.style != MADE or not isinstance(text, marks.TextNode):
        return rule, None
    keys = {k: v for k, v in rule.keys.items() if k != NARROW}
    values = {k: v for k, v in rule.values.items() if k != NARROW}
    return marks.MapNode(rule.source, rule.start, rule.end, keys, values), text


def located(rule: marks.MapNode, span: Span) -> tuple[marks.TextNode, Span]:
    """The text that a span of a rule's condition lies in, and its place there.

    rule : an effective rule of `Workshop.nodes`; span : of a node of `Rule.when`
    """
    when, narrow = rule["when"], split(rule)[1]
    assert isinstance(when, marks.TextNode)
    begin = narrow_begin(when)
    if narrow is None or span.start < begin:
        return when, span
    return narrow, Span(span.start - begin, span.end - begin)


def narrow_begin(when: marks.TextNode) -> int:
    """What is added to the spans of a narrowing, so that they lie behind those of the condition."""
    return len(when.value) + 1


def report_stale(stale: Stale, findings: Findings, then: str = "") -> None:
    """Report an override that was written for another version of its rule (WR326).

    then : what the rule said in that version, where that is known
    """
    r, id_ = stale.override.reader, stale.override.rule.value
    assert r.map is not None
    node = r.map["written_for"]
    was = stale.override.written_for
    what = f"this override was written for version {was} of {id_}, and version {stale.version} is there"
    now = f"{stale.base.place()} says now: {body(stale.base)}"
    before = f"version {was} said: {then}; " if then else ""
    findings.at("WR326", node, what, f"{before}{now}; look, and write written_for: {stale.version}")


def body(rule: marks.MapNode) -> str:
    """What a rule does, in one line of its own words: what an override was written against."""
    keys = ("on", "params", "when", "score", "actions")
    return "; ".join(f"{key}: {_shown(rule[key])}" for key in keys if key in rule)


def _shown(node: marks.Node) -> str:
    return " ".join(node.source.text[node.start : node.end].split())


def _standing(override: Override) -> tuple[str, str, int]:
    node = override.reader.node
    return override.pack, node.source.file, node.start


def _not_there(
    override: Override,
    where: Mapping[str, int],
    rules: Sequence[tuple[marks.Node, str]],
    extended: Mapping[str, frozenset[str]],
    findings: Findings,
) -> None:
    """Report an override whose rule does not stand in an extended pack."""
    id_, pack = override.rule.value, override.pack
    below = extended.get(pack, frozenset())
    if not below:
        what = f"pack {pack} extends no pack, so there is no rule to override"
        findings.at("WR329", override.rule, what, "write extends: with the name of a pack")
    elif id_ in where and rules[where[id_]][1] == pack:
        what = f"rule {id_} stands in this pack itself"
        findings.at("WR329", override.rule, what, f"change it in {rules[where[id_]][0].place()}")
    elif id_ in where:
        other = rules[where[id_]][1]
        what = f"rule {id_} stands in pack {other}, which {pack} does not extend"
        findings.at("WR329", override.rule, what, f"write it into a pack that extends {other}")
    else:
        known = [name for name, k in where.items() if rules[k][1] in below]
        named = " and ".join(sorted(below))
        what = f"there is no rule {id_} in {named}"
        findings.at("WR329", override.rule, what, did_you_mean(id_, known, ""))


class _Work:
    """One rule while its overrides are put into it."""

    def __init__(self, base: marks.MapNode, findings: Findings) -> None:
        self.base, self.findings = base, findings
        self.origins: dict[str, Origin] = {}
        self._node = base
        self._taken: dict[Path, marks.TextNode] = {}  # what was overridden -> the key that says so
        self._changes = False  # what the rule does
        self._tests: list[marks.Node] = []

    def effective(self) -> marks.MapNode:
        node = self._node
        tests = node.get("tests")
        kept = tests.items if isinstance(tests, marks.ListNode) and not self._changes else []
        if self._tests or self._changes:
            source = self._tests[0] if self._tests else node
            key = node.keys.get("tests") or self._key(source, "tests")
            if kept or self._tests:
                found = marks.ListNode(
                    source.source, source.start, source.end, [*kept, *self._tests]
                )
                return _with(node, key, found)
            return _without(node, "tests")
        return node

    def take(self, override: Override) -> None:
        assert override.reader.map is not None
        keys = override.reader.map.keys
        for name in ("replace_when", "narrow"):
            text = override.reader.scalar(name)
            if text is not None:
                self._condition(override, keys[name], text)
        for key, value in override.reader.entries("set", names=False):
            self._set(override, key, value)
        for key, value in override.reader.entries("add", names=False):
            self._add(override, key, value)

    def _condition(self, override: Override, key: marks.TextNode, text: marks.TextNode) -> None:
        if not self._is_free(("when",), key):
            return
        if key.value == NARROW:
            made = marks.TextNode(key.source, key.start, key.end, NARROW, MADE)
            self._node = _with(self._node, made, text)
        else:
            self._node = _with(self._node, _named(key, "when"), text)
        self._note("when", key.value, override, key)
        self._changes = True

    def _set(self, override: Override, key: marks.TextNode, value: marks.Node) -> None:
        known = addresses(self.base)
        path = known.get(key.value)
        if path is None:
            head = key.value.partition(".")[0]
            hint = did_you_mean(key.value, known, "")
            if head in _REFUSED and (key.value == head or head in ("when", "features", "let")):
                hint = _REFUSED[head]
            elif not hint:
                same = [name for name in known if name.startswith(f"{head}.")]
                hint = "known: " + ", ".join(same or _WHOLE)
            what = f'rule {override.rule.value} has no "{key.value}" that can be set'
            self.findings.at("WR020", key, what, hint)
            return
        if not self._is_free(path, key):
            return
        self._node = _as_map(_put(self._node, path, key, value))
        self._note(key.value, "set", override, key)
        self._changes |= path[0] not in _SILENT

    def _add(self, override: Override, key: marks.TextNode, value: marks.Node) -> None:
        name = key.value
        if name not in ADDABLE:
            what = f'"{name}" cannot be added to'
            hint = did_you_mean(name, ADDABLE) or f"known: {', '.join(ADDABLE)}"
            self.findings.at("WR020", key, what, hint)
            return
        if isinstance(value, marks.TextNode) and name == "references":
            items: list[marks.Node] = [value]
        elif isinstance(value, marks.ListNode):
            items = value.items
        else:
            self.findings.at("WR027", value, f'"{name}" is a list: each item begins with "- "')
            return
        if name == "tests":
            self._tests += items
            for item in items:
                self._note(f"tests.{_text(item, 'name')}", "add", override, item)
            return
        before = self._node.get(name)
        there = before.items if isinstance(before, marks.ListNode) else [before] if before else []
        if name == "exceptions":
            items = [item for item in items if self._is_new(item, there)]
        for k, item in enumerate(items, len(there) + 1):
            called = _text(item, "id") if name == "exceptions" else str(k)
            self._note(f"{name}.{called}", "add", override, item)
        both = marks.ListNode(value.source, value.start, value.end, [*there, *items])
        self._node = _with(self._node, self._node.keys.get(name) or key, both)
        self._changes |= name not in _SILENT

    def _is_new(self, item: marks.Node, there: Sequence[marks.Node]) -> bool:
        """Whether an exception of this id does not exist; reports one that does."""
        id_ = _text(item, "id")
        first = next((t for t in there if id_ and _text(t, "id") == id_), None)
        if first is None:
            return True
        assert isinstance(item, marks.MapNode)
        what = f"exception {id_} stands at {first.place()} already"
        self.findings.at("WR327", item["id"], what, f"change it with set: {{exceptions.{id_}.KEY: ...}}")  # fmt: skip
        return False

    def _is_free(self, path: Path, key: marks.TextNode) -> bool:
        """Whether nothing else overrides this part, or a part of it; reports it otherwise."""
        for other, first in self._taken.items():
            n = min(len(other), len(path))
            if other[:n] == path[:n]:
                what = f"{key.value} is overridden at {first.place()} too"
                hint = "packs are read in no order, so only one of them can change a part"
                self.findings.at("WR327", key, what, hint)
                return False
        self._taken[path] = key
        return True

    def _note(self, address: str, how: str, override: Override, node: marks.Node) -> None:
        self.origins[address] = Origin(how, override.pack, place(node))

    @staticmethod
    def _key(near: marks.Node, name: str) -> marks.TextNode:
        return marks.TextNode(near.source, near.start, near.start, name, "")


def addresses(rule: marks.MapNode) -> dict[str, Path]:
    """What `set` can name in a rule, and the path to each."""
    found: dict[str, Path] = {key: (key,) for key in _WHOLE}
    for key, shape in _INNER.items():
        found |= {f"{key}.{k}": (key, k) for k in language.order(shape)}
    found |= {f"params.{k}": ("params", k) for k in _names(rule.get("params"))}
    actions = list(_actions(rule))
    kinds = [kind for _, kind in actions]
    for k, kind in actions:
        for inner in language.order(language.ACTIONS[kind]):
            path = ("actions", k, kind, inner)
            found[f"actions.{k + 1}.{inner}"] = path
            if kinds.count(kind) == 1:
                found[f"actions.{kind}.{inner}"] = path
    exceptions = rule.get("exceptions")
    for k, item in enumerate(exceptions if isinstance(exceptions, marks.ListNode) else ()):
        id_ = _text(item, "id")
        for inner in language.order(language.EXCEPTION):
            if id_ and inner != "id":
                found[f"exceptions.{id_}.{inner}"] = ("exceptions", k, inner)
    return found


def _names(node: marks.Node | None) -> tuple[str, ...]:
    return tuple(node.keys) if isinstance(node, marks.MapNode) else ()


def _actions(rule: marks.MapNode) -> Iterator[tuple[int, str]]:
    """Place and kind of each action that can be recognised."""
    actions = rule.get("actions")
    for k, item in enumerate(actions if isinstance(actions, marks.ListNode) else ()):
        kinds = _names(item)
        if len(kinds) == 1 and kinds[0] in language.ACTIONS:
            yield k, kinds[0]


def _text(node: marks.Node, key: str) -> str:
    inner = node.get(key) if isinstance(node, marks.MapNode) else None
    return inner.value if isinstance(inner, marks.TextNode) else ""


def _named(key: marks.TextNode, name: str) -> marks.TextNode:
    """A key that stands where `key` does and is called `name`."""
    return marks.TextNode(key.source, key.start, key.end, name, "")


def _with(node: marks.MapNode, key: marks.TextNode, value: marks.Node) -> marks.MapNode:
    name = key.value
    keys, values = {**node.keys, name: key}, {**node.values, name: value}
    return marks.MapNode(node.source, node.start, node.end, keys, values)


def _without(node: marks.MapNode, name: str) -> marks.MapNode:
    keys = {k: v for k, v in node.keys.items() if k != name}
    values = {k: v for k, v in node.values.items() if k != name}
    return marks.MapNode(node.source, node.start, node.end, keys, values)


def _as_map(node: marks.Node) -> marks.MapNode:
    assert isinstance(node, marks.MapNode)
    return node


def _put(
    node: marks.Node | None, path: Path, key: marks.TextNode, value: marks.Node, kind: str = ""
) -> marks.Node:
    """`node` with `value` at the end of `path`; mappings on the way that are not there are made.

    kind : of the action whose body `node` is
    """
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        assert isinstance(node, marks.ListNode), path
        items = [*node.items]
        items[step] = _put(items[step], rest, key, value)
        return marks.ListNode(node.source, node.start, node.end, items)
    if isinstance(node, marks.TextNode) and kind:
        short = language.ACTIONS[kind].short
        if step == short:
            return value
        node = marks.MapNode(
            node.source, node.start, node.end, {short: _named(node, short)}, {short: node}
        )
    if not isinstance(node, marks.MapNode):
        node = marks.MapNode(key.source, key.start, key.end, {}, {})
    is_body = len(path) == 2 and step in language.ACTIONS
    inner = _put(node.values.get(step), rest, key, value, step if is_body else "")
    return _with(node, _named(key, step) if not rest else node.keys.get(step) or _named(key, step), inner)  # fmt: skip
