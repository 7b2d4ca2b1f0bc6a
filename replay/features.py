"""Write the features of every transaction as Parquet: what the engine saw, one row a decision.

Columns: seq, transaction_id, then each declared feature: counts int64, money float64 in major units, durations float64
seconds, flags bool, ids and categories text; missing is null.
"""

from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from config.errors import InputError
from config.money import exponent
from engine.batch import TRANSACTION
from engine.core import Core, Outcome
from rules import tree
from rules.definitions import Feature

I8: TypeAlias = NDArray[np.int64]
COUNTS = frozenset({"count", "count_distinct"})
ROWS_GROUP = 1 << 16


def check_folder(path: Path) -> None:
    """Raise `InputError` if a file of features cannot stand at `path`; asked before an output folder is begun."""
    if not path.parent.is_dir():
        raise InputError(
            f"there is no folder {path.parent}",
            "--features",
            fix="make it, or name a file elsewhere",
        )


class FeatureFile:
    """An observer of a run that appends each batch to a Parquet file; use as a context manager."""

    def __init__(self, path: Path, core: Core) -> None:
        check_folder(path)
        self._core = core
        self._names = tuple(core.ruleset.pack.features)
        self._minor = 10.0 ** exponent(core.ruleset.pack.currency)
        fields = [pa.field("seq", pa.int64()), pa.field("transaction_id", pa.string())]
        fields += [pa.field(n, _arrow_type(core.ruleset.pack.features[n])) for n in self._names]
        self._schema = pa.schema(fields)
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []
        self._n_waiting = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._flush()
        self._writer.close()

    def __call__(self, outcome: Outcome) -> None:
        """Take the transactions of one batch."""
        batch = outcome.batch
        rows = np.flatnonzero(batch.kind == TRANSACTION)
        if not len(rows):
            return
        columns = [
            pa.array(batch.seq0 + rows),
            pa.array([batch.transaction_id[i] for i in rows.tolist()], pa.string()),
        ]
        columns += [self._column(outcome, name, rows) for name in self._names]
        self._waiting.append(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        self._n_waiting += len(rows)
        if self._n_waiting >= ROWS_GROUP:
            self._flush()

    def _column(self, outcome: Outcome, name: str, rows: I8) -> pa.Array:
        feature = self._core.ruleset.pack.features[name]
        values = outcome.frame.column(name)[rows]
        if self._core.layout[name].is_code:
            texts = self._core.dictionaries[self._core.layout[name].dictionary].texts
            return pa.array([texts[c] if c >= 0 else None for c in values.tolist()], pa.string())
        missing = np.isnan(values)
        if feature.type.kind == tree.MONEY:
            values = values / self._minor
        elif feature.type.kind == tree.DURATION:
            values = values / 1e6
        kind = _arrow_type(feature)
        if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
            values = np.where(missing, 0, values).astype(bool if kind == pa.bool_() else np.int64)
        return pa.array(values, kind, mask=missing)

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema))
        self._waiting, self._n_waiting = [], 0


def _arrow_type(feature: Feature) -> pa.DataType:
    if feature.type.is_coded:
        return pa.string()
    if feature.type.kind in (tree.BOOL, tree.FLAG):
        return pa.bool_()
    if feature.aggregate is not None and feature.aggregate.function in COUNTS:
        return pa.int64()
    return pa.float64()
