"""YAML to nodes with file:line:column and no implicit types: every scalar is text.

Why not `yaml.safe_load`: it reads the account 0123456 as 42798, `NO` as false, `22:30` as 1350, and
Why not `yaml.safe_load`: it reads account 0123456 as 42798, `NO` as false, `22:30` as 1350, and
where it is there); this module refuses what makes a file mean something else than it says (equal
keys, anchors, aliases, tags, merge keys, tabs in the indentation, several documents) and knows for
every character of every scalar where it stands in the file, in all five styles, so that an error
inside a multi-line expression points at its own line and column.

    node = marks.read(path)                      MapNode; ConfigError names file, line and column
    settings = marks.convert(node, Settings)     through msgspec; a type may ask for numbers
    node["batch"].place()                        "weir.yaml:3:9"
    tree, faults = marks.parse(text, file)       all faults of a text at once

Not here: what a key means.
"""

import gc
import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Any, TypeAlias, TypeGuard, TypeVar

import msgspec
import yaml

from config.errors import ConfigError

T = TypeVar("T")
Plain: TypeAlias = "str | list[Plain] | dict[str, Plain]"

_MARKED = frozenset({"&", "!"})
DEPTH_MAX = 60  # nested collections; a pack needs about 10
BYTES_MAX = 8 * 1024 * 1024
NODES_MAX = 500_000  # values and collections of one file, 1 kB of memory each; 500 rules are 60,000


@dataclass(frozen=True, slots=True)
class Source:
    """One file's text and where its lines begin."""

    file: str
    text: str
    starts: tuple[int, ...]

    @classmethod
    def of(cls, text: str, file: str) -> "Source":
        starts = [0, *(m.end() for m in re.finditer(r"\r\n|\r|\n", text))]
        return cls(file, text, tuple(starts))

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character, both from 1."""
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Return the text of line `number` (from 1), without its end."""
        if not 1 <= number <= len(self.starts):
            return ""
        end = self.starts[number] if number < len(self.starts) else len(self.text)
        return self.text[self.starts[number - 1] : end].rstrip("\r\n")

    def place(self, offset: int) -> str:
        line, column = self.position(offset)
        return f"{self.file}:{line}:{column}"


@dataclass(slots=True)
class TextNode:
    """A scalar. `value` is what YAML says it holds; `style` is "" plain, ', ", | or >."""

    source: Source
    start: int
    end: int
    value: str
    style: str
    _offsets: list[int] | None = field(default=None, repr=False, compare=False)

    def offset(self, i: int) -> int:
        """Find character `i` of the value in the file; `len(value)` is the place after the last."""
        if self._offsets is None:
            self._offsets = _offsets(self)
        return self._offsets[min(max(i, 0), len(self.value))]

    @property
    def is_quoted(self) -> bool:
        return self.style in ("'", '"')

    def place(self) -> str:
        return self.source.place(self.start)

    def position(self) -> tuple[int, int]:
        return self.source.position(self.start)


@dataclass(slots=True)
class ListNode:
    """A sequence."""

    source: Source
    start: int
    end: int
    items: list["Node"]

    def __iter__(self) -> Iterator["Node"]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def place(self) -> str:
        return self.source.place(self.start)

    def position(self) -> tuple[int, int]:
        return self.source.position(self.start)


@dataclass(slots=True)
class MapNode:
    """A mapping: `keys` holds the key scalars, `values` what they name, both by the key's text."""

    source: Source
    start: int
    end: int
    keys: dict[str, TextNode]
    values: dict[str, "Node"]

    def __getitem__(self, key: str) -> "Node":
        return self.values[key]

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def get(self, key: str) -> "Node | None":
        return self.values.get(key)

    def items(self) -> Iterator[tuple[TextNode, "Node"]]:
        """Pairs of key scalar and value, in the order of the file."""
        return ((self.keys[k], v) for k, v in self.values.items())

    def place(self) -> str:
        return self.source.place(self.start)

    def position(self) -> tuple[int, int]:
        return self.source.position(self.start)


Node: TypeAlias = TextNode | ListNode | MapNode


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a file as YAML.

    `kind` is syntax, tab, duplicate, anchor, quote, documents or empty.
    """

    kind: str
    source: Source
    start: int
    end: int
    what: str
    why: str = ""
    fix: str = ""

    def error(self) -> ConfigError:
        return ConfigError(self.what, self.source.place(self.start), self.why, self.fix)


def read(path: Path, shown: str = "") -> MapNode:
    """Return the mapping in the YAML file `path`; raise ConfigError at its first fault.

    `shown` is the name that messages use instead of the path.
    """
    file = shown or str(path)
    node, faults = parse(read_text(path, file), file)
    if faults:
        raise faults[0].error()
    if not isinstance(node, MapNode):
        assert node is not None
        raise ConfigError("a mapping of keys to values is wanted here", node.place())
    return node


def read_text(path: Path, shown: str = "", bytes_max: int = BYTES_MAX) -> str:
    """Return the text of a UTF-8 file, byte order mark or not; raise ConfigError."""
    return decoded(read_bytes(path, shown, bytes_max), shown or str(path))


def read_bytes(path: Path, shown: str = "", bytes_max: int = BYTES_MAX) -> bytes:
    """Return the bytes of a file, if they are not too many; raise ConfigError.

    Only of a file: a device has no end, and a pipe may never begin.
    """
    file = shown or str(path)
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):
            raise ConfigError("cannot be read: it is not a file", file)
        with path.open("rb") as stream:
            raw = stream.read(bytes_max + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file) from None
    if len(raw) > bytes_max:
        raise ConfigError(
            f"the file has {max(status.st_size, len(raw))} bytes, at most {bytes_max} are read",
            file,
            fix="split it; put long lists into CSV files",
        )
    return raw


def decoded(raw: bytes, file: str) -> str:
    """Return the text of UTF-8 bytes; raise ConfigError with the line of the first that is none."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"byte {error.start} is not UTF-8", f"{file}:{line}", fix="save it as UTF-8"
        ) from None


def plain(node: Node) -> Plain:
    """Return the same as texts, lists and dicts; every scalar stays a text."""
    if isinstance(node, TextNode):
        return node.value
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return {key: plain(value) for key, value in node.values.items()}


def convert(node: Node, kind: type[T]) -> T:
    """Convert to msgspec type `kind`, texts to numbers or booleans where the type wants them.

    Raises ConfigError at the place in the file. What a `__post_init__` raises keeps its why and
    fix and gains the place. msgspec hides the keys of dicts in its paths, so a place inside one is
    that of the dict: convert the entries one by one where that matters.
    """
    try:
        return msgspec.convert(plain(node), type=kind, strict=False)
    except msgspec.ValidationError as error:  # msgspec wraps what __post_init__ raises
        what, _, path = str(error).partition(" - at `")
        found = locate(node, path.rstrip("`"))
        where = found.place()
        unknown = re.search(r"unknown field `([^`]*)`", what)
        if unknown and isinstance(found, MapNode) and unknown[1] in found.keys:
            where = found.keys[unknown[1]].place()
            what = f"unknown key `{unknown[1]}`"
        cause = error.__cause__
        if isinstance(cause, ConfigError):
            raise ConfigError(cause.what, where, cause.why, cause.fix) from None
        raise ConfigError(what, where) from None


def locate(node: Node, path: str) -> Node:
    """Follow a msgspec path such as `$.batch.rows_max` or `$.feeds[2].zone` as deep as it goes."""
    for name, index in re.findall(r"\.([^.\[\]]+)|\[([^\]]*)\]", path):
        inner: Node | None = None
        if name and isinstance(node, MapNode):
            inner = node.get(name)
        elif index.isdigit() and isinstance(node, ListNode) and int(index) < len(node):
            inner = node.items[int(index)]
        if inner is None:
            return node
        node = inner
    return node


# ---------------------------------------------------------------- text -> nodes


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Composes only. It resolves no tags: a node's tag is "" unless the file writes one."""

    def resolve(self, kind: object, value: object, implicit: object) -> str:  # noqa: ARG002
        return ""

    def descend_resolver(self, parent: object, index: object) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass


def parse(text: str, file: str, loader: Any = _Loader) -> tuple[Node | None, list[Fault]]:
    """Return the tree of one document and every fault; no tree after an error of YAML syntax.

    With faults the tree may still be there: the first of two equal keys stands, anchors are
    ignored.
    """
    source = Source.of(text, file)
    faults = [*_tabs(source)]
    if faults:
        return None, faults
    strange = re.search(
        r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text
    )
    if strange:
        at = strange.start()
        what = f"the character U+{ord(strange[0]):04X} is not allowed in YAML"
        return None, [Fault("syntax", source, at, at + 1, what, fix="delete it")]
    depth = _too_deep(source)
    if depth:
        return None, [depth]
    crowd = _too_many(source, loader)
    if crowd:
        return None, [crowd]
    with paused_collection():
        return _compose(source, loader, faults)


@contextmanager
def paused_collection() -> Iterator[None]:
    """Keep the garbage collector out of building large trees, which have no circles.

    It runs again and again over nodes that all stay: 1 MB of rules took 1.1 s with it, 0.3 s without.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _too_many(source: Source, loader: Any) -> Fault | None:
    """The place at which a file has more values than there is memory for.

    They are counted only where so many separators stand in the text, for reading it twice takes its time.
    """
    if sum(map(source.text.count, "\n,:-?[{")) <= NODES_MAX:
        return None
    n = 0
    event: Any
    try:
        for event in yaml.parse(source.text, Loader=loader):
            n += isinstance(event, yaml.NodeEvent)
            if n > NODES_MAX:
                at = event.start_mark.index
                what = f"more than {NODES_MAX:,} values in one file"
                return Fault("syntax", source, at, at + 1, what, fix="split it into several files")
    except yaml.MarkedYAMLError:
        return None  # told with its place when nodes are made
    return None


def _compose(source: Source, loader: Any, faults: list[Fault]) -> tuple[Node | None, list[Fault]]:
    composer = loader(source.text)
    try:
        root = composer.get_single_node()
    except yaml.MarkedYAMLError as error:
        return None, [_syntax(source, error)]
    except RecursionError:  # the pure Python composer only
        return None, [Fault("syntax", source, 0, 1, "nested too deep")]
    finally:
        composer.dispose()
    if root is None:
        return None, [Fault("empty", source, 0, 0, "the file is empty")]
    return _Builder(source, faults).node(root, 0), faults


class _Builder:
    """Makes our nodes of PyYAML's, 60,000 of them for 500 rules: one call for each, the commonest kind first."""

    def __init__(self, source: Source, faults: list[Fault]) -> None:
        self.source, self.faults = source, faults
        self.seen: set[int] = set()

    def node(self, raw: Any, depth: int) -> Node:
        source, start, end = self.source, raw.start_mark.index, raw.end_mark.index
        if id(raw) in self.seen:  # what an alias stands for; its anchor is a fault already
            return TextNode(source, start, end, "", "")
        self.seen.add(id(raw))
        if raw.tag or source.text[start : start + 1] in _MARKED:
            self._marked(start)
        if isinstance(raw, yaml.ScalarNode):
            return TextNode(source, start, end, raw.value, raw.style or "")
        if depth > DEPTH_MAX:
            what = f"nested deeper than {DEPTH_MAX} levels"
            self.faults.append(Fault("syntax", source, start, start + 1, what))
            return ListNode(source, start, end, [])
        if isinstance(raw, yaml.SequenceNode):
            return ListNode(source, start, end, [self.node(item, depth + 1) for item in raw.value])
        keys: dict[str, TextNode] = {}
        values: dict[str, Node] = {}
        for raw_key, raw_value in raw.value:
            key, value = self.node(raw_key, depth + 1), self.node(raw_value, depth + 1)
            if self._is_good(key, keys):
                keys[key.value], values[key.value] = key, value
        return MapNode(source, start, end, keys, values)

    def _marked(self, start: int) -> None:
        source = self.source
        what = "an anchor" if source.text[start : start + 1] == "&" else "a tag"
        until = start + len(re.match(r"\S*", source.text[start:])[0])  # type: ignore[index]
        fix = "write the value out where it is used" if "anchor" in what else "leave the tag out"
        why = "one file reads as one text: nothing in it stands for something else"
        # a mapping starts where its first key does
        if not any(f.start == start for f in self.faults):
            fault = Fault("anchor", source, start, until, f"{what} is not allowed", why, fix)
            self.faults.append(fault)

    def _is_good(self, key: Node, keys: dict[str, TextNode]) -> TypeGuard[TextNode]:
        """Whether a key may stand where it does; reports one that may not."""
        source = self.source
        if not isinstance(key, TextNode):
            what = "a key must be a plain text"
            self.faults.append(Fault("syntax", source, key.start, key.start + 1, what))
            return False
        if key.value == "<<" and not key.style:
            what = "a merge key is not allowed"
            why = "one file reads as one text: nothing in it stands for something else"
            fix = "write the keys out"
            self.faults.append(Fault("anchor", source, key.start, key.end, what, why, fix))
            return False
        first = keys.get(key.value)
        if first is not None:
            line = source.position(first.start)[0]
            what = f'the key "{key.value}" stands here twice'
            why = f"it stands in line {line} already; only one of the two could count"
            fix = "remove or rename one of them"
            self.faults.append(Fault("duplicate", source, key.start, key.end, what, why, fix))
            return False
        return True


def _tabs(source: Source) -> Iterator[Fault]:
    for match in re.finditer(r"^[ ]*(\t+)", source.text, re.MULTILINE):
        if source.text[match.end() : match.end() + 1] in ("", "\n", "\r", "#"):
            continue  # a line of white space or a comment
        fix = "indent with spaces; most editors can do it for the whole file"
        why = "YAML forbids tabs there, and editors disagree about their width"
        what = "a tab in the indentation"
        yield Fault("tab", source, match.start(1), match.end(1), what, why, fix)


def _too_deep(source: Source) -> Fault | None:
    """Keep a file of brackets from libyaml's composer, which recurses in C. Counts texts too."""
    depth = 0
    for match in re.finditer(r"[\[{\]}]", source.text):
        depth += 1 if match[0] in "[{" else -1
        if depth > 1_000:
            what = "more than 1,000 brackets are open at once"
            return Fault("syntax", source, match.start(), match.end(), what)
        depth = max(depth, 0)
    dashes = re.search(r"^ *(- +|\? +){200}", source.text, re.MULTILINE)
    if dashes:
        return Fault("syntax", source, dashes.start(), dashes.start() + 1, "nested too deep")
    return None


def _syntax(source: Source, error: yaml.MarkedYAMLError) -> Fault:
    """PyYAML's complaint in plain words, at the place where the person must look."""
    mark = error.problem_mark or error.context_mark
    at = min(mark.index, len(source.text)) if mark is not None else 0
    problem, context = error.problem or "", error.context or ""
    line, _ = source.position(at)
    words = source.line(line)
    if "another document" in problem or "expected a single document" in context:
        return Fault(
            "documents",
            source,
            at,
            at + 3,
            "a second document starts here",
            "a file holds one document",
            "move what follows `---` into a file of its own",
        )
    quoted = re.match(
        r"""(\s*(?:- )?[^\s'"#][^'"#]*?:\s+)(["'])(?:(?!\2).)*\2(?=\s*[^\s,}\]#])""", words
    )
    if quoted and ("expected <block end>" in problem or "did not find expected key" in problem):
        at = source.starts[line - 1] + quoted.end(1)
        what = "the value starts with a quote, so YAML ends it at the next quote"
        fix = "put the whole value into the other kind of quotes, or into a block after `|`"
        return Fault("quote", source, at, source.starts[line - 1] + quoted.end(), what, "", fix)
    if "mapping values are not allowed" in problem:
        what = "a colon followed by a blank stands inside an unquoted value"
        fix = "put the value into quotes, or into a block after `|`; or check the indentation"
        return Fault("syntax", source, at, at + 1, what, "", fix)
    if "cannot start any token" in problem:
        letter = source.text[at : at + 1]
        what = f"a value cannot start with {letter!r}" if letter.strip() else "a tab stands here"
        return Fault("syntax", source, at, at + 1, what, "", "put the value into quotes")
    if "undefined alias" in problem or "alias" in context:
        what = "an alias is not allowed"
        return Fault("anchor", source, at, at + 1, what, "", "write the value out, or quote the *")
    if "duplicate anchor" in problem:
        return Fault("anchor", source, at, at + 1, "an anchor is not allowed")
    if "unexpected end of stream" in problem or "found unexpected end" in problem:
        begin = error.context_mark.index if error.context_mark is not None else at
        what = "a quote or bracket that opens here is never closed"
        return Fault("syntax", source, begin, begin + 1, what)
    if "expected <block end>" in problem or "did not find expected '-'" in problem:
        what = "this line fits neither the list or mapping above it nor its parent"
        fix = "check the indentation of this line and of the one above"
        return Fault("syntax", source, at, at + 1, what, "", fix)
    if "expected ',' or" in problem or "did not find expected ','" in problem:
        what = "a comma or a closing bracket is missing before this"
        fix = "values with a colon, comma or bracket inside `{...}` or `[...]` need quotes"
        return Fault("syntax", source, at, at + 1, what, "", fix)
    if "expected ':'" in problem or "did not find expected key" in problem:
        tight = re.compile(r"[ ]*(?:- )?([A-Za-z_]+)([:\uff1a])(\S[^\n]*)")
        for number in (line, line - 1):
            begin = source.starts[number - 1] if number >= 1 else len(source.text)
            if found := tight.match(source.text, begin):
                what = "a colon and a blank stand between a key and its value"
                fix = f"write {found[1]}: {found[3].strip()}"
                return Fault("syntax", source, found.start(2), found.end(2), what, "", fix)
        what = "a key with a colon is wanted here"
        fix = "write `key: value`, and check the indentation"
        return Fault("syntax", source, at, at + 1, what, "", fix)
    what = f"not YAML: {problem}" + (f" ({context})" if context else "")
    return Fault("syntax", source, at, at + 1, what)


# ---------------------------------------------------------------- characters -> places in the file

_ESCAPES = {"x": 2, "u": 4, "U": 8}


def _offsets(node: TextNode) -> list[int]:
    """Return the places of all characters of a scalar's value and of its end.

    Each scanner re-reads the source the way YAML does. When one disagrees with the value that
    PyYAML gave (a line break of another kind, say), every character gets the scalar's own place:
    less exact, never wrong.
    """
    text, value = node.source.text, node.value
    if node.style in ("|", ">"):
        for indent in _indents(text, node):
            pairs = _block(text, node, indent)
            if _is_block_value(pairs, value):
                return [o for _, o in pairs[: len(value)]] + [_after(pairs, len(value), node)]
        return [node.start] * (len(value) + 1)
    if node.style == "":
        pairs = _folded(text, node.start, node.end, "")
        end = node.end
    else:
        end = max(node.end - 1, node.start + 1)
        pairs = _folded(text, node.start + 1, end, node.style)
    if "".join(c for c, _ in pairs) != value:
        return [node.start] * (len(value) + 1)
    return [o for _, o in pairs] + [end]


def _after(pairs: list[tuple[str, int]], n: int, node: TextNode) -> int:
    if n < len(pairs):
        return pairs[n][1]
    return pairs[-1][1] + 1 if pairs else node.end


def _is_block_value(pairs: list[tuple[str, int]], value: str) -> bool:
    """Compare; the scan keeps all breaks at the end, the value has lost some to chomping."""
    whole = "".join(c for c, _ in pairs)
    return whole.startswith(value) and not whole[len(value) :].strip("\n")


def _folded(text: str, start: int, end: int, quote: str) -> list[tuple[str, int]]:
    """Re-read a plain (`quote` ""), single or double quoted scalar: text[start:end] inside it."""
    out: list[tuple[str, int]] = []
    i, kept = (
        start,
        0,
    )  # `kept`: this many characters came from escapes and are not trimmed before a line break
    while i < end:
        c = text[i]
        if quote == "'" and c == "'":
            out.append(("'", i))
            i += 2
        elif quote == '"' and c == "\\":
            n = _ESCAPES.get(text[i + 1])
            if text[i + 1] in "\r\n":
                i += 3 if text[i + 1 : i + 3] == "\r\n" else 2
                while i < end and text[i] in " \t\r\n":  # further empty lines are line feeds
                    if text[i] == "\n" or (text[i] == "\r" and text[i + 1] != "\n"):
                        out.append(("\n", i))
                    i += 1
                kept = len(out)
                continue
            if n:
                out.append((chr(int(text[i + 2 : i + 2 + n], 16)), i))
                i += 2 + n
            else:
                out.append((_SIMPLE.get(text[i + 1], text[i + 1]), i))
                i += 2
            kept = len(out)
        elif c in "\r\n":
            while len(out) > kept and out[-1][0] in " \t":
                out.pop()
            at, breaks = i, 0
            while i < end and text[i] in " \t\r\n":
                if text[i] in "\r\n":
                    breaks += 1
                    i += 1 if text[i : i + 2] == "\r\n" else 0
                i += 1
            out += [(" ", at)] if breaks == 1 else [("\n", at)] * (breaks - 1)
            kept = len(out)
        else:
            out.append((c, i))
            i += 1
    return out


_SIMPLE = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f",
    "r": "\r", "e": "\x1b", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip


def _indents(text: str, node: TextNode) -> Iterator[int]:
    """Guess the indentation of a block scalar, likeliest first (an indicator makes it smaller)."""
    body = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)").match(text, node.start)
    assert body is not None
    for match in re.compile(r"( *)([^\r\n]*)(?:\r\n|\r|\n|$)").finditer(text, body.end()):
        if match[2] or match.end() >= len(text):
            yield from range(len(match[1]), -1, -1)
            break
    yield len(text)  # a block of blank lines only


def _block(text: str, node: TextNode, indent: int) -> list[tuple[str, int]]:
    """Re-read a literal or folded block indented by `indent`, all final breaks kept."""
    lines: list[tuple[int, int]] = []  # content of each line: start, end
    head = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)").match(text, node.start)
    assert head is not None
    i = head.end()
    while i < len(text):
        match = re.compile(r"( *)([^\r\n]*)(\r\n|\r|\n|$)").match(text, i)
        assert match is not None
        if match[2] and len(match[1]) < indent:
            break
        begin = min(i + indent, match.end(2))
        lines.append((begin, match.end(2)))
        i = match.end()
    out: list[tuple[str, int]] = []
    if node.style == "|":
        for begin, end in lines:
            out += [(text[o], o) for o in range(begin, end)]
            out.append(("\n", end))
        return out
    previous_more = True  # so that no break before the first line is folded
    pending: list[int] = []  # places of the breaks since the last content
    for begin, end in lines:
        if begin == end:
            pending.append(end)
            continue
        more = text[begin] in " \t"
        if out and not more and not previous_more and pending:
            out += [(" ", pending[0])] if len(pending) == 1 else [("\n", o) for o in pending[1:]]
        else:
            out += [("\n", o) for o in pending]
        out += [(text[o], o) for o in range(begin, end)]
        previous_more, pending = more, [end]
    return out + [("\n", o) for o in pending]
