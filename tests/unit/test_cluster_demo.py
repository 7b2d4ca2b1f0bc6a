"""The demonstration of a cluster, as far as it goes without a broker: what it lacks, and what its table counts."""

import argparse
import shutil

import pytest

from engine import cluster_demo
from engine.cluster_demo import Demo, _keyed, main


def test_what_is_missing_is_said_in_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert main(["--out", str(tmp_path / "demo")]) == 2
    assert "is missing: apt-get install redis-server" in capsys.readouterr().err


@pytest.mark.parametrize("name", [".", "notes.txt"])
def test_a_folder_of_something_else_is_not_removed(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr(cluster_demo, "missing", lambda: "")
    (tmp_path / "notes.txt").write_text("not ours")
    assert main(["--out", str(tmp_path / name)]) == 2
    assert "no demonstration has written what is here" in capsys.readouterr().err
    assert (tmp_path / "notes.txt").read_text() == "not ours"


def test_the_table_counts_what_was_lost_and_what_was_seen_twice(tmp_path, capsys):
    expected = {(b"A1", b"t1"), (b"A1", b"t2"), (b"A2", b"t1")}
    for seen, said, status in (
        (["A1 t1", "A1 t2", "A2 t1"], ("lost                 0", "seen twice           0"), 0),
        (["A1 t1", "A2 t1"], ("lost                 1", "seen twice           0"), 1),
        (["A1 t1", "A1 t2", "A2 t1", "A1 t1"], ("lost                 0", "twice           1"), 1),
    ):
        demo = Demo(argparse.Namespace(out=tmp_path))
        for at_ms, pair in enumerate(seen, 1_000):
            account, transaction = pair.split()
            line = f'{{"transaction_id":"{transaction}","account":"{account}"}}'
            demo._hear(3, at_ms, line.encode())
        assert demo._table(expected, [3], 999, 0) == status
        shown = capsys.readouterr().out
        assert all(part in shown for part in said)
        assert "decide again after   0.0 to 0.0 s" in shown


def test_messages_go_under_their_account_and_others_everywhere(tmp_path):
    path = tmp_path / "traffic.ndjson"
    path.write_bytes(b'{"kind":"profile","customer":"K1"}\n{"account":"A1","amount":"1"}\n')
    assert [key for key, _ in _keyed(path)] == [None, b"A1"]
    assert not any(line.endswith(b"\n") for _, line in _keyed(path))
