"""A slice of messages to lines of NDJSON, and lines to a file.

Everything is rendered by one kernel (kernels.render_lines) that knows forms of values and nothing of banking. About
0.4 us a line of 450 bytes; a Python template a shape of event took 6.
"""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import numpy as np
import zstandard
from numpy.typing import NDArray

from replay.bank import kernels
from replay.bank.messages import DIGITS, Field
from replay.bank.table import I8

SLICE_ROWS: Final = (
    16_384  # messages rendered at a time: their columns and text stay near the processor
)
WIDEST: Final[Mapping[int, int]] = {  # bytes of a value; of texts the longest there is
    kernels.NUMBER: 20,
    kernels.ACCOUNT: 21,
    kernels.INTEGER: 20,
    kernels.MONEY: 24,
    kernels.SIGNED: 24,
    kernels.DEGREES: 24,
    kernels.TIME: 25,
    kernels.DAY: 11,
    kernels.ADDRESS: 15,
}


@dataclass(slots=True)
class Slice:
    """Messages in their order: message i is row `row[i]` of the columns of `kind[i]`.

    kind, row : (n,)
    columns   : by kind, the columns of messages.fields, each of as many rows as the slice has messages of the kind
    damaged   : position in the slice -> in which way its line arrives broken
    """

    kind: I8
    row: I8
    columns: Mapping[int, Mapping[str, I8]]
    damaged: Mapping[int, int] = field(default_factory=dict)


class MessageFile(Protocol):
    """Where a recording goes. Messages are written in the order in which they are given."""

    def write(self, part: Slice) -> None: ...


class Texts:
    """Texts in one array of bytes, for the kernels."""

    def __init__(self) -> None:
        self._pool = bytearray()
        self._start: list[int] = []
        self._length: list[int] = []

    def add(self, texts: Sequence[str]) -> int:
        """Keep `texts`; return the number of the first."""
        first = len(self._start)
        for text in texts:
            raw = text.encode()
            self._start.append(len(self._pool))
            self._length.append(len(raw))
            self._pool += raw
        return first

    def arrays(self) -> tuple[NDArray[np.uint8], I8, I8]:
        """Bytes, where each text begins, and how long it is."""
        pool = np.frombuffer(bytes(self._pool) + bytes(kernels.CHUNK), np.uint8)
        return pool, np.array(self._start, np.int64), np.array(self._length, np.int64)

    def longest(self, first: int, n: int) -> int:
        return max(self._length[first : first + n])


class Renderer:
    """Renders slices of messages that have `fields`, one list a kind."""

    def __init__(self, fields: Sequence[Sequence[Field]]) -> None:
        texts = Texts()
        self._names: list[list[str]] = []
        plan: dict[str, list[int]] = {n: [] for n in ("form", "key", "width", "scale", "text")}
        first, self._line_bytes_max = [0], []
        for of_kind in fields:
            names = [each.column for each in of_kind]
            n_bytes = 4
            for each in of_kind:
                assert json.dumps(each.texts).count("\\") == 0, "written as they are"
                mark = "" if each.form in _BARE else '"'
                key = texts.add([f',"{each.key}":{mark}'])
                values = texts.add(each.texts or (each.prefix,))
                longest = texts.longest(values, max(len(each.texts), 1))
                n_bytes += texts.longest(key, 1) + longest + WIDEST.get(each.form, 0) + 1
                scale = first[-1] + names.index(each.currency) if each.currency else -1
                for name, value in (
                    ("form", each.form),
                    ("key", key),
                    ("width", each.width),
                    ("scale", scale),
                    ("text", values),
                ):
                    plan[name].append(value)
            self._names.append(names)
            self._line_bytes_max.append(n_bytes)
            first.append(first[-1] + len(of_kind))
        self._first = np.array(first, np.int64)
        self._plan = {name: np.array(values, np.int64) for name, values in plan.items()}
        self._texts = texts.arrays()
        self._out = np.empty(0, np.uint8)
        self._values = np.empty(0, np.int64)

    def render(self, part: Slice) -> tuple[NDArray[np.uint8], I8]:
        """The lines of a slice, one behind the other, and where each ends. Valid until the next call."""
        sizes = np.bincount(part.kind, minlength=len(self._names))
        self._reserve(sizes)
        column = np.zeros(int(self._first[-1]), np.int64)
        at = 0
        for kind, columns in part.columns.items():
            n = int(sizes[kind])
            for k, name in enumerate(self._names[kind]):
                self._values[at : at + n] = columns[name]
                column[self._first[kind] + k] = at
                at += n
        end = np.empty(len(part.kind), np.int64)
        plan, (pool, start, length) = self._plan, self._texts
        n_bytes = kernels.render_lines(
            part.kind,
            part.row,
            self._values,
            column,
            self._first,
            plan["form"],
            plan["key"],
            plan["width"],
            plan["scale"],
            DIGITS,
            plan["text"],
            pool,
            start,
            length,
            self._out,
            end,
        )
        return self._out[:n_bytes], end

    def _reserve(self, sizes: I8) -> None:
        n_bytes = int(sizes @ np.array(self._line_bytes_max)) + 2 * kernels.CHUNK
        if n_bytes > len(self._out):
            self._out = np.empty(n_bytes, np.uint8)
        n_values = int(sizes @ np.diff(self._first))
        if n_values > len(self._values):
            self._values = np.empty(n_values, np.int64)


_BARE: Final = (kernels.INTEGER, kernels.DEGREES, kernels.FLAG)  # JSON without quotes


class NdjsonFile:
    """A file of lines, packed as its name says, without a clock or a name in its header. A context manager."""

    def __init__(self, path: Path, renderer: Renderer) -> None:
        self._renderer = renderer
        self._opened = _opened(path)
        self._file: Writable | None = None

    def __enter__(self) -> Self:
        self._file = self._opened.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    def write(self, part: Slice) -> None:
        """Append the lines of a slice."""
        assert self._file is not None, "opened by `with`"
        out, end = self._renderer.render(part)
        at = 0
        for k in sorted(part.damaged):
            start = int(end[k - 1]) if k else 0
            self._file.write(out[at:start])
            line = out[start : int(end[k]) - 1].tobytes()
            self._file.write(damaged(line, part.damaged[k]) + b"\n")
            at = int(end[k])
        self._file.write(out[at:])


class Writable(Protocol):
    """What bytes are written to."""

    def write(self, data: Any, /) -> object: ...


N_DAMAGES: Final = 7


def damaged(line: bytes, way: int) -> bytes:
    """One of seven ways in which messages arrive broken."""
    if way == 0:
        return line[: len(line) // 2]
    if way == 1:
        return line.replace(b'"amount":"', b'"amount":"12,', 1)
    if way == 2:
        return line.replace(b'"event_time":"20', b'"event_time":"yesterday 20', 1)
    if way == 3:
        return line.replace(b'"account":', b'"konto":', 1)
    if way == 4:
        return line.replace(b'"currency":"', b'"currency":"\xff\xfe', 1)
    if way == 5:
        return line.replace(b'"event_time":"2', b'"event_time":"9', 1)
    return b"not json at all"


@contextmanager
def _opened(path: Path) -> Iterator[Writable]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw:
        if path.suffix == ".gz":
            with gzip.GzipFile(
                filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0
            ) as packed:
                yield packed
        elif path.suffix == ".zst":
            with zstandard.ZstdCompressor(level=3).stream_writer(raw, closefd=False) as stream:
                yield stream
        else:
            yield raw
