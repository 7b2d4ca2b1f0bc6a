"""rules.lock: what each version of each rule of a pack does, so that a version never means two things.

The file is generated (`weir rules lock`) and lies in the folder of the pack. It holds, for each rule of the pack and
for each rule of an extended pack that the pack overrides, the digest of its behaviour (rules/behaviour.py), when that
version was first live, who locked it and who approved it. A body that changed under the same version is WR325; what
an override does has the version of its pack.

The lock says something about a pack and changes nothing that the pack does, so it is no part of what a configuration
hashes: `first_live` and `approved_by` are written when a pack goes live, and must not make another pack of it. Anybody
who has the pack can work the digests out again.

Nothing here writes a file or knows what day it is (replay/workbench/locking.py).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from config import marks
from config.errors import ConfigError
from config.packs import HEAD_FILE
from rules import overrides
from rules.behaviour import FORM, PARTS, Behaviours, whole
from rules.check.findings import at_range, of_fault
from rules.definitions import Pack, Rule
from rules.reader import Findings

if TYPE_CHECKING:
    from rules.pack import Loaded, Workshop

FILE: Final = "rules.lock"
HEADING: Final = """\
# Written by `weir rules lock`, checked by `weir rules check`; do not edit. What each version of each rule does, when
# that version was first live, who locked it and who approved it. A rule that does something else needs another version.
"""
SHOWN: Final = 12  # digits of a digest that people are shown
SHORT: Final = 8  # digits kept of each part, which only tell where two bodies differ
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_KEYS: Final = (
    *("version", "pack_version", "sha256", "first_live", "locked_by", "approved_by"),
    *("parts", "body"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of one rule.

    sha256       : of its behaviour; `parts` the first digits of the digest of each part
    first_live   : day on which this version was first locked as live, "" if it never was
    pack_version : of an overridden rule, the version of the pack that overrides it; else ""
    body         : of an overridden rule, what the rule said that the override was written for
    """

    version: int
    sha256: str
    parts: Mapping[str, str]
    first_live: str = ""
    locked_by: str = ""
    approved_by: str = ""
    pack_version: str = ""
    body: str = ""
    is_live: bool = field(default=False, compare=False)  # of a rule that is there; not written

    def called(self) -> str:
        """The version that must change when the body does."""
        return (
            f"pack version {self.pack_version}" if self.pack_version else f"version {self.version}"
        )

    def is_version_of(self, other: "Entry") -> bool:
        """Whether two entries are of one version."""
        return (self.version, self.pack_version) == (other.version, other.pack_version)


@dataclass(frozen=True, slots=True)
class Lock:
    """The lock of one pack, entries by id of the rule."""

    pack: str
    rules: Mapping[str, Entry]
    overrides: Mapping[str, Entry]
    form: int = FORM
    source: marks.Source | None = field(default=None, compare=False)

    def sections(self) -> Iterator[tuple[str, Mapping[str, Entry]]]:
        yield "rules", self.rules
        yield "overrides", self.overrides


# ---- what is there


def made(loaded: "Loaded", pack: str) -> Lock:
    """What the lock of one of the packs would say of them as they are, without days and people."""
    assert loaded.pack is not None, "packs with errors are not locked"
    assert loaded.workshop is not None
    behaviours = Behaviours(loaded.pack)
    (version,) = (m.version for m in loaded.pack.members if m.name == pack)
    rules = {
        rule.id: _entry(rule, behaviours) for rule in _own_rules(loaded.pack, loaded.workshop, pack)
    }
    changed = {
        rule.id: replace(_entry(rule, behaviours), pack_version=version, body=body)
        for rule, body in _overridden(loaded.workshop, pack)
    }
    return Lock(pack, dict(sorted(rules.items())), dict(sorted(changed.items())))


def _own_rules(pack: Pack, workshop: "Workshop", name: str) -> Iterator[Rule]:
    """The rules of one pack as its own files have them, whatever packs on top change."""
    for rule in pack.rules:
        if rule.pack == name:
            base = workshop.bases.get(rule.id)
            made = workshop.remake(base) if base is not None else None
            yield made[0] if made is not None else rule


def _overridden(workshop: "Workshop", name: str) -> Iterator[tuple[Rule, str]]:
    """The rules that one pack overrides, as they are with it and what it extends; and what was there before it."""
    for node, base in workshop.overridden_by(name):
        made = workshop.remake(node)
        if made is not None:
            yield made[0], overrides.body(base)


def _entry(rule: Rule, behaviours: Behaviours) -> Entry:
    parts = behaviours.parts(rule)
    short = {part: digest[:SHORT] for part, digest in parts.items()}
    return Entry(rule.version, whole(parts), short, is_live=rule.mode == "live")


# ---- reading and writing


def read(root: Path, findings: Findings) -> Lock | None:
    """The lock in the folder of a pack; None if there is none, or after a report (WR333) if it cannot be used."""
    path = root / FILE
    if not path.is_file():
        return None
    try:
        text = marks.read_text(path, str(path))
    except ConfigError as error:
        source = marks.Source.of("", str(path))
        findings.add(at_range("WR333", source, 0, 1, error.what, error.fix))
        return None
    node, faults = marks.parse(text, str(path))
    for fault in faults:
        findings.add(replace(of_fault(fault), code="WR333"))
    before = findings.n_errors
    if node is None or faults:
        return None
    found = _lock(node, findings) if isinstance(node, marks.MapNode) else None
    if found is None or findings.n_errors > before:
        if findings.n_errors == before:
            _broken(node, findings, "this is no lock")
        return None
    return found


def _lock(node: marks.MapNode, findings: Findings) -> Lock | None:
    keys = ("form", "pack", "rules", "overrides")
    _check_keys(node, keys, findings)
    form, pack = (_text(node.get(key)) for key in ("form", "pack"))
    if not pack or not form.isdecimal():
        return None
    if int(form) != FORM:  # what it holds cannot be compared, so it is not looked at
        return Lock(pack, {}, {}, int(form), node.source)
    sections = [_section(node.get(key), findings) for key in ("rules", "overrides")]
    return Lock(pack, sections[0], sections[1], FORM, node.source)


def _section(node: marks.Node | None, findings: Findings) -> dict[str, Entry]:
    if node is None:
        return {}
    if not isinstance(node, marks.MapNode):
        _broken(node, findings, "a mapping of rules is wanted here")
        return {}
    found = {}
    for key, value in node.items():
        if not isinstance(value, marks.MapNode):
            _broken(key, findings, f"{key.value} is no entry")
            continue
        _check_keys(value, _KEYS, findings)
        said = {name: _text(value.get(name)) for name in _KEYS}
        parts = value.get("parts")
        given = (
            {k: _text(v) for k, v in parts.values.items()}
            if isinstance(parts, marks.MapNode)
            else {}
        )
        if not said["version"].isdecimal() or not _DIGEST.fullmatch(said["sha256"]):
            _broken(key, findings, f"{key.value} lacks its version or the digest of its body")
            continue
        if said["first_live"] and not _DAY.fullmatch(said["first_live"]):
            _broken(value["first_live"], findings, f'"{said["first_live"]}" is not a day')
            continue
        found[key.value] = Entry(
            int(said["version"]),
            said["sha256"],
            given,
            said["first_live"],
            said["locked_by"],
            said["approved_by"],
            said["pack_version"],
            said["body"],
        )
    return found


def _check_keys(node: marks.MapNode, known: tuple[str, ...], findings: Findings) -> None:
    for key in node.keys.values():
        if key.value not in known:
            _broken(key, findings, f'a lock has no key "{key.value}"')


def _broken(node: marks.Node, findings: Findings, what: str) -> None:
    hint = "take it from version control again, or delete it and run: weir rules lock"
    findings.at("WR333", node, what, hint)


def _text(node: marks.Node | None) -> str:
    return node.value if isinstance(node, marks.TextNode) else ""


def as_text(lock: Lock) -> str:
    """The lock as it is written: rules in the order of their ids, so that two people get the same file."""
    lines = [HEADING, f"form: {lock.form}\npack: {lock.pack}\n"]
    for name, entries in lock.sections():
        if entries:
            lines.append(f"{name}:\n")
        for id_, entry in sorted(entries.items()):
            lines.append(f"  {id_}:\n")
            lines += [f"    {key}: {text}\n" for key, text in _lines(entry)]
    return "".join(lines)


def _lines(entry: Entry) -> Iterator[tuple[str, str]]:
    yield "version", str(entry.version)
    for key in ("pack_version", "sha256", "first_live", "locked_by", "approved_by"):
        text = getattr(entry, key)
        if text:
            yield key, text if re.fullmatch(r"[\w.-]+", text) else quoted(text)
    if entry.parts:
        yield "parts", "{" + ", ".join(f"{k}: {v}" for k, v in entry.parts.items()) + "}"
    if entry.body:
        yield "body", quoted(entry.body)


def quoted(text: str) -> str:
    """A text as a YAML scalar in double quotes, white space folded."""
    plain = " ".join(text.split())
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


# ---- locking anew


@dataclass(frozen=True, slots=True)
class Change:
    """What a new lock says of one rule and the old one does not.

    how : new, version (another one), back (a lower one), body (the same version), live, approved, gone
    """

    rule: str
    how: str
    text: str


def renewed(
    old: Lock | None, now: Lock, *, day: str, locked_by: str = "", approved_by: str = ""
) -> Lock:
    """The lock to write: what is there now, and of versions that were locked already what is known of them.

    day : today, for versions that are live for the first time
    """
    sections = []
    for name, entries in now.sections():
        before = getattr(old, name) if old is not None and old.form == now.form else {}
        sections.append(
            {
                id_: _renewed(before.get(id_), entry, day * entry.is_live, locked_by, approved_by)
                for id_, entry in entries.items()
            }
        )
    return replace(now, rules=sections[0], overrides=sections[1])


def _renewed(old: Entry | None, now: Entry, day: str, locked_by: str, approved_by: str) -> Entry:
    if old is None or not old.is_version_of(now) or old.sha256 != now.sha256:
        return replace(now, first_live=day, locked_by=locked_by, approved_by=approved_by)
    return replace(
        now,
        first_live=old.first_live or day,
        locked_by=old.locked_by or locked_by,
        approved_by=old.approved_by or approved_by,
        body=old.body or now.body,
    )


def changes(old: Lock | None, new: Lock) -> list[Change]:
    """What is told of a lock that is written anew, in the order of ids."""
    found = []
    for name, entries in new.sections():
        before: Mapping[str, Entry] = getattr(old, name) if old is not None else {}
        for id_ in sorted({*entries, *before}):
            found += [Change(id_, *told) for told in _changes(before.get(id_), entries.get(id_))]
    return found


def _changes(old: Entry | None, new: Entry | None) -> Iterator[tuple[str, str]]:
    if new is None:
        yield "gone", "no longer there"
    elif old is None:
        yield "new", f"{new.called()}, {new.sha256[:SHOWN]}"
    elif new.version < old.version:
        yield "back", f"{old.called()} was locked already, {new.called()} is there"
    elif not old.is_version_of(new):
        same = "does the same" if old.sha256 == new.sha256 else f"differs in {_differ(old, new)}"
        yield "version", f"{old.called()} -> {new.called()}: {same}"
    elif old.sha256 != new.sha256:
        yield "body", f"{new.called()} is another body: {_differ(old, new)}"
    else:
        if old.first_live != new.first_live:
            yield "live", f"{new.called()} is live since {new.first_live}"
        if old.approved_by != new.approved_by:
            yield "approved", f"{new.called()} was approved by {new.approved_by}"


def _differ(old: Entry, new: Entry) -> str:
    """The parts in which two bodies differ, as far as the lock can tell."""
    names = [part for part in PARTS if old.parts.get(part) != new.parts.get(part)]
    return " and ".join(names) if old.parts and names else "what it does"


# ---- checking


def check(loaded: "Loaded", findings: Findings) -> None:
    """Compare each pack with its lock: WR325 and WR333, and WR334 for packs that have none."""
    if loaded.pack is None or loaded.workshop is None:
        return
    for member in loaded.pack.members:
        before = findings.n_errors
        lock = read(member.root, findings)
        if lock is not None:
            _check(lock, made(loaded, member.name), loaded, findings)
        elif findings.n_errors == before:
            head = member.root / HEAD_FILE
            source = marks.Source.of("", str(head))
            hint = f"write one with: weir rules lock {member.root}"
            findings.add(at_range("WR334", source, 0, 1, f"pack {member.name} has no {FILE}", hint))


def _check(lock: Lock, now: Lock, loaded: "Loaded", findings: Findings) -> None:
    assert lock.source is not None
    if lock.pack != now.pack:
        what = f"this is the lock of pack {lock.pack}, not of {now.pack}"
        findings.add(at_range("WR333", lock.source, 0, 1, what, "run: weir rules lock"))
        return
    if lock.form != now.form:
        what = f"the lock was written by another version of Weir (form {lock.form}, now {now.form})"
        hint = "run: weir rules lock"
        findings.add(at_range("WR333", lock.source, 0, 1, what, hint, severity="warn"))
        return
    for name, entries in now.sections():
        locked: Mapping[str, Entry] = getattr(lock, name)
        for id_, entry in entries.items():
            _compare(id_, locked.get(id_), entry, _node(loaded, now.pack, name, id_), findings)
    gone = {r.id for r in loaded.pack.retired} if loaded.pack is not None else set()
    for id_ in lock.rules:
        if id_ not in now.rules and id_ not in gone:
            at = re.search(rf"(?m)^  {re.escape(id_)}:", lock.source.text)
            start = at.start() + 2 if at is not None else 0
            what = f"rule {id_} is locked and not there any more"
            hint = f"retire it (weir rules retire {id_} ... leaves its id in retired.yaml), then lock again"
            end = start + len(id_)
            findings.add(at_range("WR333", lock.source, start, end, what, hint, severity="warn"))


def _compare(
    id_: str, locked: Entry | None, now: Entry, node: marks.Node, findings: Findings
) -> None:
    again = "then run: weir rules lock"
    if locked is None:
        what = f"{id_} {now.called()} is not locked yet"
        findings.at("WR333", node, what, "run: weir rules lock", severity="warn")
    elif now.version < locked.version:
        what = f"{id_} was locked as version {locked.version}, and is version {now.version} now"
        findings.at("WR325", node, what, f"write version: {locked.version + 1}, {again}")
    elif not now.is_version_of(locked):
        what = f"{id_} {now.called()} is not locked yet; {locked.called()} is"
        findings.at("WR333", node, what, "run: weir rules lock", severity="warn")
    elif now.sha256 != locked.sha256:
        what = (
            f"{id_} does something else under the same {now.called()}: {_differ(locked, now)} changed "
            f"({locked.sha256[:SHOWN]} was locked, {now.sha256[:SHOWN]} is there)"
        )
        raise_ = (
            "raise the version of the pack"
            if now.pack_version
            else f"write version: {now.version + 1}"
        )
        findings.at("WR325", node, what, f"{raise_}, {again}")


def _node(loaded: "Loaded", pack: str, section: str, id_: str) -> marks.Node:
    """What a finding about a rule points at: its version, or the override."""
    assert loaded.workshop is not None
    if section == "overrides":
        return next(
            o.rule for o in loaded.workshop.overrides if o.pack == pack and o.rule.value == id_
        )
    rule = loaded.workshop.nodes[id_]
    return rule.get("version") or rule["id"]


def body_then(root: Path, rule: str, version: int) -> str:
    """What an overridden rule said when the override was locked, "" if that is not known or was another version."""
    lock = read(root, Findings())
    entry = lock.overrides.get(rule) if lock is not None else None
    return entry.body if entry is not None and entry.version == version else ""
