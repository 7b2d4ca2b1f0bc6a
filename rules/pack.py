"""Rule packs: directories of YAML files to one checked `Pack`, with everything that is wrong found in one run.

    loaded = load([Path("config/bank/packs/core")], schema)
    loaded.pack        the Pack, None when there is an error
    loaded.findings    sorted by file and place; rules/check/findings.py prints them

A pack is a folder with a pack.yaml; every *.yaml in it may hold lists, tables, macros, features, rules and reasons. The
split over files is free, names belong to the whole pack, the order of files never matters. Several packs are merged:
the first one's head (currency, zone, retention, bands, combination) counts, and the others must not contradict it. A
pack that extends another (`extends: core` or `core@^2.1` in pack.yaml) brings it along from the folder beside its own.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from config import marks, money
from config import packs as extending
from config.errors import ConfigError
from config.packs import HEAD_FILE
from config.rates import Rates
from rules import language, lock, overrides, retired, suppressions
from rules.check import bands as band_check
from rules.check.findings import ERROR, Finding, at_range, of_fault, ordered
from rules.check.presence import Presence
from rules.check.suggest import did_you_mean
from rules.definitions import (
    Band,
    Feature,
    ListDefinition,
    Member,
    Pack,
    Reason,
    Rule,
    Suppression,
    TableDefinition,
)
from rules.features import Names, Source, scope_of
from rules.overrides import Override
from rules.reader import Findings, Reader, place
from rules.rule_files import Draft, Head, check_keys, draft, feature_source, finish
from rules.syntax import parse
from rules.tables import read_list, read_table
from rules.tree import BOOL, FLAG, Node, Span
from rules.types import Checker, Named, SchemaLike, Scope, column_type

_DAY_US: Final = 86_400_000_000
_RETENTION_US: Final = 400 * _DAY_US


@dataclass(frozen=True, slots=True)
class Loaded:
    """What reading packs gave: the pack unless there is an error, the findings, and how much was read."""

    pack: Pack | None
    findings: list[Finding]
    n_rules: int = 0
    n_features: int = 0
    n_lists: int = 0
    workshop: "Workshop | None" = field(default=None, compare=False)

    @property
    def n_errors(self) -> int:
        return sum(f.is_error for f in self.findings)

    @property
    def n_warnings(self) -> int:
        return len(self.findings) - self.n_errors


@dataclass(frozen=True, slots=True)
class Workshop:
    """Reads single rules again after a change to their text; everything else of the packs stays as it is."""

    nodes: dict[str, marks.MapNode]  # of the rules, by id, as packs on top have changed them
    head: Head
    bases: Mapping[str, marks.MapNode] = field(
        default_factory=dict
    )  # of those, as they were before
    suppressions: Mapping[Suppression, marks.Node] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    raw: tuple[tuple[marks.Node, str], ...] = ()  # rules as in their files, and the pack of each
    extended: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by pack, all below it
    rules: tuple[Rule, ...] = ()  # as far as they could be read: those with errors too
    drafts: tuple[Draft, ...] = ()  # one for each of them
    places: Mapping[str, marks.TextNode] = field(default_factory=dict)  # "list vips" -> its key
    sources: tuple[marks.Source, ...] = ()  # every file that was read

    def remake(
        self, node: marks.MapNode, texts: Mapping[str, marks.TextNode] | None = None
    ) -> tuple[Rule, dict[str, Feature]] | None:
        """The rule that `node` says, and its own features; None where it has an error.

        texts : macros and features of the packs that read something else now; then the features are all that it needs
        """
        findings = Findings()
        head = replace(self.head, findings=findings)
        if texts:
            names = Names(findings, head.names.retention_us)
            names.sources = {
                name: replace(
                    source, text=texts.get(name, source.text), scope=scope_of(names, source.scope)
                )
                for name, source in head.names.sources.items()
            }
            head = replace(head, names=names, scope=scope_of(names, head.scope))
        part = draft(node, head, {})
        rule = finish(part, head) if part is not None else None
        if part is None or rule is None or findings.n_errors:
            return None
        features = part.names.features
        return rule, {**head.names.features, **features} if texts else features

    def overridden_by(self, pack: str) -> list[tuple[marks.MapNode, marks.MapNode]]:
        """The rules that `pack` overrides: as they are with it and what it extends, and as they were without it."""
        below = self.extended.get(pack, frozenset())
        concern = [o for o in self.overrides if o.pack == pack or o.pack in below]
        made = overrides.apply(concern, self.raw, self.extended, Findings())
        before = overrides.apply(
            [o for o in concern if o.pack != pack], self.raw, self.extended, Findings()
        )
        found = []
        for (node, _), (base, _) in zip(made.rules, before.rules, strict=True):
            if node is not base and isinstance(node, marks.MapNode):
                assert isinstance(base, marks.MapNode)
                id_ = node["id"]
                assert isinstance(id_, marks.TextNode)
                if any(o.pack == pack for o in made.origins[id_.value].values()):
                    found.append((node, base))
        return found


@dataclass(slots=True)
class _File:
    root: Path
    relative: str
    reader: Reader | None


@dataclass(slots=True)
class _PackHead:
    name: str = ""
    version: str = ""
    currency: str = "EUR"
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    retention_us: int = _RETENTION_US
    max_freezes_per_hour: int = 0
    combine: str = "sum"
    bands: tuple[Band, ...] = ()
    root: Path = Path()
    extends: extending.Extension | None = None
    node: marks.TextNode | None = None  # of `extends`


@dataclass(slots=True)
class _Content:
    """The names of all packs together."""

    reasons: dict[str, Reason] = field(default_factory=dict)
    lists: dict[str, ListDefinition] = field(default_factory=dict)
    list_places: dict[str, str] = field(default_factory=dict)
    tables: dict[str, TableDefinition] = field(default_factory=dict)
    places: dict[str, marks.TextNode] = field(default_factory=dict)  # "list x" -> its key
    hashes: dict[str, str] = field(default_factory=dict)
    # and the pack they stand in
    rules: list[tuple[marks.Node, str]] = field(default_factory=list)
    retired: list[tuple[marks.Node, str]] = field(default_factory=list)
    suppressions: list[tuple[marks.Node, str]] = field(default_factory=list)
    overrides: list[Override] = field(default_factory=list)
    roots: dict[str, Path] = field(default_factory=dict)  # of the packs, by name


def load(paths: Sequence[Path], schema: SchemaLike, rates: Rates | None = None) -> Loaded:
    """Read and check packs, and those they extend. Raises ConfigError only when a folder holds no pack at all.

    rates : of the configuration; `convert` knows their currencies, and none without them
    """
    assert paths, "no pack was named"
    with marks.paused_collection():
        return _load(extending.with_extended(paths), schema, rates)


def _load(paths: Sequence[Path], schema: SchemaLike, rates: Rates | None) -> Loaded:
    findings, content = Findings(), _Content()
    files = [file for path in paths for file in _read_files(path, findings, content)]
    heads = _heads(files, findings)
    head = heads[0] if heads else _PackHead()
    scope = Scope(schema, head.currency, head.zone)
    scope.currencies = rates.currencies if rates is not None else frozenset()
    names = Names(findings, head.retention_us)
    scope = scope_of(names, scope, elsewhere={})
    named = {h.root: h.name for h in heads}
    content.roots = {h.name: h.root for h in heads}
    _collect(files, named, content, names, scope, findings)
    scope = replace(
        scope, lists=content.lists, list_places=content.list_places, tables=content.tables
    )
    for source in names.sources.values():
        reads = frozenset({"labels", "models"}) if source.kind == "macro" else frozenset()
        source.scope = replace(scope, reads=reads)
    names.type_all()
    rules, features, workshop = _rules(content, names, scope, _extended(heads), findings)
    ids = {id_: node["id"] for id_, node in workshop.nodes.items()}
    known = {id_: node for id_, node in ids.items() if isinstance(node, marks.TextNode)}
    gone = retired.read(content.retired, known, head.zone, findings)
    silenced = suppressions.read(content.suppressions, known, gone, schema, head.zone, findings)
    workshop = replace(
        workshop,
        suppressions=silenced,
        places=content.places,
        sources=tuple(f.reader.node.source for f in files if f.reader is not None),
    )
    if not content.rules and all(f.reader is not None for f in files):
        by_head = sorted(files, key=lambda f: f.relative != HEAD_FILE)
        read = [f.reader.node.source for f in by_head if f.reader is not None]
        place = read[0] if read else marks.Source.of("", str(paths[0] / HEAD_FILE))
        findings.add(at_range("WR007", place, 0, 1, "the pack has no rules", 'add "rules:"'))
    n_lists = len(content.lists)
    found = ordered(findings.all)
    counts = (len(content.rules), len(features), n_lists)
    if any(f.severity == ERROR for f in found):
        return Loaded(None, found, *counts, workshop)
    pack = Pack(
        name=head.name,
        version=head.version,
        root=paths[0],
        currency=head.currency,
        timezone=head.zone.key,
        retention_us=head.retention_us,
        combine=head.combine,
        bands=head.bands,
        reasons=content.reasons,
        features=features,
        lists=content.lists,
        tables=content.tables,
        rules=tuple(sorted(rules, key=lambda r: r.id)),
        max_freezes_per_hour=head.max_freezes_per_hour,
        members=tuple(Member(h.name, h.version, h.root) for h in heads),
        files=dict(sorted(content.hashes.items())),
        sha256=_hash_of(content.hashes),
        suppressions=tuple(silenced),
        retired=gone,
    )
    return Loaded(pack, found, *counts, workshop)


# ---- files


def _read_files(path: Path, findings: Findings, content: _Content) -> list[_File]:
    if not (path / HEAD_FILE).is_file():
        why = f"a pack is a folder that holds {HEAD_FILE}"
        raise ConfigError("there is no pack here", str(path), why, "name the folder of a pack")
    prefix = f"{path.name}/" if content.hashes else ""
    out = []
    for file in yaml_files(path):
        relative = file.relative_to(path).as_posix()
        shown = str(path / relative)
        reader = None
        try:
            raw = marks.read_bytes(file, shown)
            content.hashes[prefix + relative] = hashlib.sha256(raw).hexdigest()
            text = marks.decoded(raw, shown)
        except ConfigError as error:
            source = marks.Source.of("", shown)
            findings.add(at_range("WR009", source, 0, 1, error.what, error.fix))
            continue
        node, faults = marks.parse(text, shown)
        for fault in faults:
            findings.add(of_fault(fault))
        if node is not None:
            is_head = relative == HEAD_FILE
            shape = language.PACK if is_head else language.SECTIONS
            reader = Reader(node, findings, HEAD_FILE if is_head else "a rule file", shape)
        out.append(_File(path, relative, reader))
    return out


def yaml_files(root: Path) -> list[Path]:
    """List the pack's YAML files; hidden folders and packs inside the pack are not part of it."""
    others = [p.parent for p in root.rglob(HEAD_FILE) if p.parent != root]
    found = [*root.rglob("*.yaml"), *root.rglob("*.yml")]
    return sorted(
        p
        for p in found
        if not any(part.startswith(".") for part in p.relative_to(root).parts)
        and not any(p.is_relative_to(o) for o in others)
    )


def _hash_of(hashes: dict[str, str]) -> str:
    lines = "".join(f"{name}\0{digest}\n" for name, digest in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


# ---- pack.yaml


def _heads(files: Sequence[_File], findings: Findings) -> list[_PackHead]:
    heads: list[_PackHead] = []
    for file in files:
        if file.relative == HEAD_FILE and file.reader is not None:
            heads.append(_head(file.reader, findings, heads[0] if heads else None))
            heads[-1].root = file.root
    _names_of(heads, files, findings)
    for head in heads:
        if head.extends is not None:
            _check_extends(head, head.extends, heads, findings)
    return heads


def _names_of(heads: Sequence[_PackHead], files: Sequence[_File], findings: Findings) -> None:
    """Rules are told apart by the names of their packs, so no two packs share one."""
    readers = {f.root: f.reader for f in files if f.relative == HEAD_FILE and f.reader is not None}
    first: dict[str, _PackHead] = {}
    for head in heads:
        other = first.setdefault(head.name, head)
        if other is not head and head.name:
            what = f"pack {head.name} has the name of the pack in {other.root}"
            findings.at("WR105", readers[head.root].key("pack"), what, "rename one of them")


def _extended(heads: Sequence[_PackHead]) -> dict[str, frozenset[str]]:
    """Of each pack the packs that it extends, directly or not."""
    below = {h.name: h.extends.name for h in heads if h.extends is not None}
    found: dict[str, frozenset[str]] = {}
    for head in heads:
        names: list[str] = []
        at = below.get(head.name)
        while at is not None and at not in names:
            names.append(at)
            at = below.get(at)
        found[head.name] = frozenset(names) - {head.name}
    return found


def _check_extends(
    head: _PackHead, wanted: extending.Extension, heads: Sequence[_PackHead], findings: Findings
) -> None:
    """Report an extended pack that is not there, is another version, or extends this one."""
    node = head.node
    assert node is not None
    by_name = {h.name: h for h in heads}
    chain, at = [head.name], head
    while at.extends is not None and at.extends.name in by_name:
        at = by_name[at.extends.name]
        chain.append(at.name)
        if at is head:
            what = f"pack {head.name} extends itself: {' -> '.join(chain)}"
            findings.at("WR332", node, what, "take one of them out of the circle")
            return
        if at.name in chain[:-1]:
            break  # a circle of others, reported there
    below = by_name.get(wanted.name)
    if below is None:
        folder = extending.beside(head.root, wanted.name)
        other = next((h.name for h in heads if h.root.resolve() == folder.resolve()), "")
        what = f"pack {head.name} extends {wanted.name}, which is not there"
        hint = f"name its folder too, or put it into {folder}"
        if other:
            what = f"pack {head.name} extends {wanted.name}, but {folder} holds pack {other}"
            hint = did_you_mean(wanted.name, [other]) or f"write extends: {other}"
        findings.at("WR330", node, what, hint)
    elif not extending.fits(below.version, wanted.least):
        least = ".".join(map(str, wanted.least))
        what = f"pack {head.name} extends {wanted.name}@^{least}, {below.root} holds version {below.version}"
        hint = (
            f"^{least} means {least} or newer, and still {wanted.least[0]}: look what has changed"
        )
        findings.at("WR331", node, what, hint)


def _head(r: Reader, findings: Findings, first: _PackHead | None) -> _PackHead:
    is_first = first is None
    head = _PackHead()
    head.name = r.text("pack")
    head.version = r.text("version")
    extends = head.node = r.scalar("extends")
    if extends is not None:
        head.extends = extending.extension(extends.value)
        if head.extends is None:
            what = f'"{extends.value}" does not name a pack'
            findings.at("WR023", extends, what, "write for instance core, or core@^2.1")
    # A pack whose extended pack is not there lacks what it would inherit: that is one finding, not five.
    is_first = is_first and extends is None
    r.word("language", wanted=is_first)
    node = r.scalar("currency", wanted=is_first)
    if node is not None:
        if node.value in money.EXPONENTS:
            head.currency = node.value
        else:
            findings.at("WR029", node, f'"{node.value}" is not an ISO 4217 currency')
    zone = r.scalar("timezone", wanted=is_first)
    if zone is not None:
        try:
            head.zone = ZoneInfo(zone.value)
        except (KeyError, ValueError, OSError):
            findings.at(
                "WR029",
                zone,
                f'"{zone.value}" is not a time zone',
                "write for instance Europe/Berlin",
            )
    head.retention_us = r.duration("retention", _RETENTION_US, wanted=is_first)
    head.max_freezes_per_hour = r.whole("max_freezes_per_hour", 0)
    _decision(r, findings, head, wanted=is_first)
    if first is not None:
        for key, given, theirs in (
            ("currency", head.currency, first.currency),
            ("timezone", head.zone.key, first.zone.key),
            ("retention", _days(head.retention_us), _days(first.retention_us)),
            ("max_freezes_per_hour", head.max_freezes_per_hour, first.max_freezes_per_hour),
        ):
            if r.map is not None and key in r.map and given != theirs:
                what = f"{key} {given} contradicts the {theirs} of pack {first.name}"
                findings.at("WR021", r.map[key], what, "packs that run together share it")
        bands = (head.combine, head.bands)
        if r.map is not None and "decision" in r.map and bands != (first.combine, first.bands):
            what = f"the decision bands contradict those of pack {first.name}"
            findings.at("WR021", r.key("decision"), what, "packs that run together share them")
    return head


def _days(us: int) -> str:
    return f"{us / _DAY_US:g}d"


def _decision(r: Reader, findings: Findings, head: _PackHead, *, wanted: bool) -> None:
    node = r.get("decision", wanted=wanted)
    if node is None:
        return
    inner = Reader(node, findings, "decision", language.DECISION)
    head.combine = inner.word("combine", "sum")
    found: list[tuple[Band, marks.Node]] = []
    for item in inner.items("bands"):
        b = Reader(item, findings, "a band", language.BAND)
        if b.map is None:
            continue
        low, high = b.number("from", 0.0), b.number("to", 0.0)
        do = b.word("do", "review")
        b.done()
        found.append((Band(low, high, do), item))
    inner.done()
    if found:
        band_check.check(found, findings)
    head.bands = tuple(sorted((b for b, _ in found), key=lambda b: b.low))


# ---- names


def _collect(
    files: Sequence[_File],
    named: Mapping[Path, str],
    content: _Content,
    names: Names,
    scope: Scope,
    findings: Findings,
) -> None:
    for file in files:
        r = file.reader
        if r is None or r.map is None:
            continue
        _reasons(r, content, findings)
        for key, node in r.entries("lists"):
            if _is_new("list", key, content, findings):
                definition, path = read_list(key, node, findings, scope, file.root)
                if definition is not None:
                    content.lists[key.value] = definition
                    content.list_places[key.value] = f"{file.relative}:{key.position()[0]}"
                if path is not None:
                    content.hashes[definition.origin if definition else path.name] = _hash_file(
                        path
                    )
        for key, node in r.entries("tables"):
            if _is_new("table", key, content, findings):
                table = read_table(key, node, findings, scope)
                if table is not None:
                    content.tables[key.value] = table
        for key, node in r.entries("macros"):
            if isinstance(node, marks.TextNode):
                names.add(Source("macro", key.value, key, node, scope))
            else:
                findings.at("WR027", node, f"macro {key.value} is a text with an expression")
        for key, node in r.entries("features"):
            feature = feature_source(key, node, findings, scope)
            if feature is not None:
                names.add(feature)
        pack = named.get(file.root, "")
        content.rules += [(item, pack) for item in r.items("rules")]
        read = (overrides.read(item, pack, findings) for item in r.items("overrides"))
        content.overrides += [override for override in read if override is not None]
        content.retired += [(item, pack) for item in r.items("retired")]
        content.suppressions += [(item, pack) for item in r.items("suppressions")]
        r.done()


def _hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_new(kind: str, key: marks.TextNode, content: _Content, findings: Findings) -> bool:
    first = content.places.setdefault(f"{kind} {key.value}", key)
    if first is key:
        return True
    what = f'{kind} "{key.value}" stands at {first.place()} already'
    findings.at("WR105", key, what, "names are shared by the whole pack: rename one")
    return False


def _reasons(r: Reader, content: _Content, findings: Findings) -> None:
    for key, node in r.entries("reasons", names=False):
        reason = _reason(key, node, findings)
        if reason is not None and _is_new("reason", key, content, findings):
            content.reasons[key.value] = reason


def _reason(key: marks.TextNode, node: marks.Node, findings: Findings) -> Reason | None:
    """Read `CODE: sentence`, or `CODE: {analyst: {en: ..., zh: ...}, customer: {en: ..., zh: ...}}`."""
    at = place(key)
    if isinstance(node, marks.TextNode) and node.value.strip():
        return Reason({"en": " ".join(node.value.split())}, place=at)
    if not isinstance(node, marks.MapNode):
        findings.at("WR027", key, f"reason {key.value} needs a sentence for people")
        return None
    r = Reader(node, findings, f"reason {key.value}", language.REASON)
    analyst, customer, tell = {}, {}, True
    if (inner := r.get("analyst")) is not None:
        of_analyst = Reader(inner, findings, f"analyst of {key.value}", language.SENTENCES)
        analyst = _sentences(of_analyst)
        of_analyst.done()
    if (inner := r.get("customer")) is not None:
        of_customer = Reader(
            inner, findings, f"customer of {key.value}", language.CUSTOMER_SENTENCES
        )
        tell = of_customer.word("tell", "true") == "true"
        customer = _sentences(of_customer)
        of_customer.done()
    r.done()
    return Reason(analyst, customer, tell, at)


def _sentences(r: Reader) -> dict[str, str]:
    """The sentence of each language that has one."""
    texts = {name: r.text(name) for name in language.LANGUAGES}
    return {name: text for name, text in texts.items() if text}


# ---- rules


def _rules(
    content: _Content,
    names: Names,
    scope: Scope,
    below: Mapping[str, frozenset[str]],
    findings: Findings,
) -> tuple[list[Rule], dict[str, Feature], Workshop]:
    applied = overrides.apply(content.overrides, content.rules, below, findings)
    for stale in applied.stale:
        overrides.report_stale(stale, findings, _body_then(stale, content.roots))
    head = Head(findings, names, replace(scope, reads=frozenset({"models"})), content.reasons)
    ids: dict[str, marks.TextNode] = {}
    drafts = [
        d for d in (draft(item, head, ids, pack) for item, pack in applied.rules) if d is not None
    ]
    _share_names(drafts, scope, findings)
    rules = [
        replace(rule, origins=applied.origins[rule.id]) if rule.id in applied.origins else rule
        for rule in (finish(d, head) for d in drafts)
    ]
    features = dict(names.features)
    for d in drafts:
        features.update(d.names.features)
    presence = Presence(features)
    for rule, d in zip(rules, drafts, strict=True):
        check_keys(rule, d, head, presence)
    nodes = {d.id: d.node for d in drafts if isinstance(d.node, marks.MapNode) and d.id}
    workshop = Workshop(
        nodes,
        head,
        applied.bases,
        overrides=tuple(content.overrides),
        raw=tuple(content.rules),
        extended=below,
        rules=tuple(rules),
        drafts=tuple(drafts),
    )
    return rules, features, workshop


def _body_then(stale: overrides.Stale, roots: Mapping[str, Path]) -> str:
    """What the rule said that an override was written for, where the lock of its pack knows."""
    override = stale.override
    return lock.body_then(roots[override.pack], override.rule.value, override.written_for)


def _share_names(drafts: Iterable[Draft], scope: Scope, findings: Findings) -> None:
    """Own features of rules become columns like all others: their names must differ over the pack too."""
    assert isinstance(scope.elsewhere, dict)
    first: dict[str, Source] = {}
    for d in drafts:
        for name, source in d.names.sources.items():
            scope.elsewhere.setdefault(name, f"{source.kind} {name} belongs to rule {d.id} alone")
            if source.kind == "feature" and first.setdefault(name, source) is not source:
                where = first[name].key.place()
                what = f'feature "{name}" has the name of the feature at {where}'
                findings.at(
                    "WR105", source.key, what, "rename one, or move it to the features of the pack"
                )


# ---- derived fields of the schema


def derived_fields(
    schema: SchemaLike, currency: str = "EUR", timezone: str = "UTC"
) -> dict[str, Node]:
    """Return the typed expressions of derived columns, those that others read first.

    Raises ConfigError naming the column; an expression reads columns only.
    """
    done: dict[str, Node] = {}
    open_: list[str] = []

    def resolve(name: str, _: Span) -> Named | None:
        if name not in done and (column := schema.columns.get(name)) is not None and column.derived:
            type_one(name)
        return None

    def type_one(name: str) -> None:
        column = schema.columns[name]
        if name in open_:
            chain = " -> ".join([*open_[open_.index(name) :], name])
            raise ConfigError(
                f"`{name}` needs its own value: {chain}", "schema", fix="break the circle"
            )
        open_.append(name)
        found: list[tuple[str, str, str]] = []

        def report(code: str, span: Span, what: str, hint: str = "", *, severity: str = "") -> None:
            if severity != "warn":
                part = column.derived[span.start : span.end]
                found.append((code, what if part in what else f"{what} (`{part}`)", hint))

        checker = Checker(
            column.derived, Scope(schema, currency, ZoneInfo(timezone), resolve), report
        )
        tree, problems = parse(column.derived)
        node = checker.check(tree)
        for p in problems:
            report(p.code, p.span, p.what, p.hint)
        if found:
            _, what, fix = found[0]
            raise ConfigError(f"`{name}`: {what}", "schema", f"derived is {column.derived}", fix)
        wanted = column_type(column, currency)
        got = FLAG if node.type.kind == BOOL else node.type.kind
        if got != wanted.kind or (node.type.is_coded and node.type != wanted):
            what = f"`{name}` is {wanted}, its expression {node.type}"
            raise ConfigError(
                what, "schema", f"derived is {column.derived}", "correct one of the two"
            )
        open_.pop()
        done[name] = node

    for name, column in schema.columns.items():
        if column.derived and name not in done:
            type_one(name)
    return done
