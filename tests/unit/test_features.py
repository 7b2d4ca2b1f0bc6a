"""The Parquet file of features: types, units, nulls, and that groups of rows do not show."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from config.errors import InputError
from replay import features
from replay.features import FeatureFile
from rules.tree import FLAG
from tests import banking, factories


def written(path, *batches):
    """Apply batches of messages and give the file as a table."""
    core = banking.fresh_core()
    with FeatureFile(path, core) as file:
        for batch in batches:
            file(core.apply([factories.line(m) for m in batch], ["x"] * len(batch)))
    return pq.read_table(path)


def pay(k, **more):
    time = f"2026-03-02T10:{k:02d}:00Z"
    fields = {"event_time": time, "direction": "out", "status": "booked", "counterparty": "B1"}
    fields |= {"payee": "B1", "currency": "CNY"}
    return factories.message(transaction_id=f"t-{k}", **fields | more)


def test_values_stand_in_the_units_that_people_use(tmp_path):
    table = written(tmp_path / "f.parquet", [pay(1, amount="12.50"), pay(3, amount="0.01")])
    assert table.column("seq").to_pylist() == [0, 1]
    assert table.column("transaction_id").to_pylist() == ["t-1", "t-3"]
    assert table.column("out_48h").to_pylist() == [12.5, 12.51]
    assert table.column("out_48h_prior").to_pylist() == [0.0, 12.5]
    assert table.column("payee_age").to_pylist()[1] == 120.0, "seconds"
    assert table.column("tiny_1h").to_pylist() == [None, None], "no card, so missing"


def test_every_declared_feature_has_a_column_of_its_type(tmp_path):
    table = written(tmp_path / "f.parquet", [pay(1)])
    declared = banking.shipped_setup().pack.features
    assert table.column_names == ["seq", "transaction_id", *declared]
    for name, feature in declared.items():
        is_count = feature.aggregate and feature.aggregate.function in ("count", "count_distinct")
        wanted = pa.int64() if is_count else pa.float64()
        if feature.type.kind == FLAG:
            wanted = pa.bool_()
        assert table.schema.field(name).type == wanted, name


def test_only_transactions_that_are_scored_have_a_row(tmp_path):
    login = {
        "kind": "activity",
        "type": "login",
        "account": "A1",
        "event_time": "2026-03-02T10:02:00Z",
    }
    table = written(
        tmp_path / "f.parquet", [pay(1), login, pay(1), pay(2, amount="-1"), pay(3)], [login]
    )
    assert table.column("seq").to_pylist() == [0, 4]


def test_groups_and_batches_do_not_show(tmp_path, monkeypatch):
    messages = [pay(k) for k in range(20)]
    whole = written(tmp_path / "a.parquet", messages)
    monkeypatch.setattr(features, "ROWS_GROUP", 3)
    assert written(tmp_path / "b.parquet", *([m] for m in messages)).equals(whole)


def test_a_run_without_transactions_leaves_an_empty_table(tmp_path):
    table = written(tmp_path / "f.parquet")
    assert (table.num_rows, table.column_names[:2]) == (0, ["seq", "transaction_id"])


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        FeatureFile(tmp_path / "none" / "f.parquet", banking.fresh_core())
