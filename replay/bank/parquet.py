"""A recording as a Parquet file: one row a message, one column a key of any kind of message.

Values are those of the NDJSON lines, text for text; only event times are timestamps and coordinates floats, which the
reader of files (engine/brokers/files.py) writes as the same values. So a replay decides the same either way. A line
that cannot be read has no place in a table: broken lines are for NDJSON.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from replay.bank import kernels
from replay.bank.messages import DIGITS, Field
from replay.bank.table import I8
from replay.bank.writer import WIDEST, Slice, Texts

GROUP_ROWS: Final = 131_072
_TYPES: Final = {
    kernels.TEXT: pa.dictionary(pa.int32(), pa.string()),
    kernels.TIME: pa.timestamp("ms", "UTC"),
    kernels.DEGREES: pa.float64(),
    kernels.INTEGER: pa.int64(),
    kernels.FLAG: pa.bool_(),
}


@dataclass(slots=True)
class _Key:
    """One column of the file: the field behind it in each kind that has it, and texts of all of them."""

    name: str
    form: int
    of_kind: dict[int, Field] = field(default_factory=dict)
    texts: dict[str, int] = field(default_factory=dict)
    codes: dict[int, I8] = field(
        default_factory=dict
    )  # by kind: index into its texts -> into `texts`

    def add(self, kind: int, of: Field) -> None:
        assert self.form == of.form, f"`{self.name}` has one form in all kinds of messages"
        self.of_kind[kind] = of
        for text in of.texts:
            self.texts.setdefault(text, len(self.texts))
        # one more at the end, which the index -1 finds
        self.codes[kind] = np.array([*(self.texts[text] for text in of.texts), -1], np.int64)


class ParquetFile:
    """Writes slices of messages that have `fields`, one list a kind, in row groups of GROUP_ROWS. A context manager."""

    def __init__(self, path: Path, fields: Sequence[Sequence[Field]]) -> None:
        self._path = path
        self._keys: dict[str, _Key] = {}
        for kind, of_kind in enumerate(fields):
            for of in of_kind:
                self._keys.setdefault(of.key, _Key(of.key, of.form)).add(kind, of)
        self._schema = pa.schema(
            [pa.field(key.name, _TYPES.get(key.form, pa.string())) for key in self._keys.values()]
        )
        self._waiting: list[Any] = []
        self._n_waiting = 0
        self._writer: Any = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._flush()
        self._writer.close()

    def write(self, part: Slice) -> None:
        """Append the messages of a slice."""
        assert not part.damaged, "broken lines are for NDJSON"
        places = {kind: np.flatnonzero(part.kind == kind) for kind in part.columns}
        columns = [self._column(key, part, places) for key in self._keys.values()]
        self._waiting.append(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        self._n_waiting += len(part.kind)
        if self._n_waiting >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting)
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._waiting, self._n_waiting = [], 0

    def _column(self, key: _Key, part: Slice, places: dict[int, I8]) -> Any:
        n = len(part.kind)
        values = np.full(n, kernels.MISSING, np.int64)
        width = np.zeros(n, np.int64)
        for kind, of in key.of_kind.items():
            if kind not in part.columns:
                continue
            at, found = places[kind], part.columns[kind][of.column]
            values[at] = key.codes[kind][found] if of.texts else found
            width[at] = DIGITS[part.columns[kind][of.currency]] if of.currency else of.width
        is_signed = key.form in (kernels.SIGNED, kernels.DEGREES, kernels.DAY)
        is_absent = values == kernels.MISSING if is_signed else values < 0
        if key.form == kernels.TEXT:
            codes = pa.array(values.astype(np.int32), mask=is_absent)
            return pa.DictionaryArray.from_arrays(codes, pa.array(list(key.texts), pa.string()))
        if key.form == kernels.TIME:
            return pa.array(values // 1_000, pa.timestamp("ms", "UTC"), mask=is_absent)
        if key.form == kernels.DEGREES:
            return pa.array(values / 10_000.0, mask=is_absent)
        if key.form == kernels.INTEGER:
            return pa.array(values, mask=is_absent)
        if key.form == kernels.FLAG:
            return pa.array(values == 0, mask=is_absent)
        return _texts(key, values, width, is_absent)


def _texts(key: _Key, values: I8, width: I8, is_absent: Any) -> Any:
    """The texts of a column, made by the kernel in the very form in which arrow keeps them."""
    prefix = Texts()
    prefixes = {of.prefix for of in key.of_kind.values()}
    assert len(prefixes) == 1, f"`{key.name}` looks the same in all kinds of messages"
    text = prefix.add(sorted(prefixes))
    n = len(values)
    widest = WIDEST[key.form] + len(*prefixes)
    out = np.empty(n * widest + 2 * kernels.CHUNK, np.uint8)
    end = np.empty(n + 1, np.int64)
    n_bytes = kernels.render_values(values, key.form, width, *_ordered(prefix, text), out, end)
    present = np.packbits(~is_absent, bitorder="little")
    buffers = [pa.py_buffer(end.astype(np.int32)), pa.py_buffer(out[:n_bytes].copy())]
    return pa.StringArray.from_buffers(n, *buffers, pa.py_buffer(present), int(is_absent.sum()))


def _ordered(prefix: Texts, text: int) -> tuple[Any, int, I8, I8]:
    pool, start, length = prefix.arrays()
    return pool, text, start, length
