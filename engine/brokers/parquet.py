"""Parquet files as tables; apart from the others because pyarrow is slow to load, and most runs read none."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from config.errors import InputError
from engine.brokers.mapping import UNREAD, Column, Moments, Rows
from engine.brokers.packed import damaged
from engine.brokers.tables import BLOCK_ROWS, Table


class ParquetTable(Table):
    def __init__(self, path: Path) -> None:
        with opened(path) as file:
            super().__init__(path, file.schema_arrow.names)
            self.n_rows = file.metadata.num_rows

    def read(self, names: Sequence[str]) -> Iterator[Rows]:
        number = 1
        for batch in batches(self.path, names, BLOCK_ROWS):
            columns = {name: _arrow(batch.column(name)) for name in names}
            yield Rows(columns, range(number, number + batch.num_rows))
            number += batch.num_rows


def opened(path: Path) -> Any:
    """The `pyarrow.parquet.ParquetFile`; raise `InputError` where its end does not say that it is one."""
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"not a Parquet file: {error}", str(path), fix="copy it again, or correct its name"
        ) from None


def rows_of(path: Path) -> int:
    """How many rows a Parquet file says it has; raise `InputError` if it is none."""
    with opened(path) as file:
        n_rows: int = file.metadata.num_rows
        return n_rows


def batches(path: Path, names: Sequence[str], rows: int) -> Iterator[Any]:
    """Columns of a Parquet file, `rows` rows at a time; raise `InputError` where its bytes are damaged."""
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(rows, columns=list(names))
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from None


def _arrow(array: Any) -> Column:
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _arrow(array.dictionary_decode())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        stamps = (
            array.cast(pa.timestamp("us"))
            if pa.types.is_date(kind) or kind.tz is None
            else array.cast(pa.timestamp("us", "UTC"))
        )
        us = stamps.cast(pa.int64()).fill_null(UNREAD)
        is_aware = pa.types.is_timestamp(kind) and kind.tz is not None
        return Moments(us.to_numpy(zero_copy_only=False).astype(np.int64), is_aware)
    if array.null_count == 0 and (pa.types.is_integer(kind) or pa.types.is_float64(kind)):
        values: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
        return values
    if pa.types.is_floating(kind) and not pa.types.is_float64(kind):
        # shortest decimal of the narrow float, not of its widened twin
        return [None if v is None else float(str(np.float32(v))) for v in array.to_pylist()]
    if pa.types.is_decimal(kind):
        return [None if v is None else format(v, "f") for v in array.to_pylist()]
    plain: list[Any] = array.to_pylist()
    return plain
