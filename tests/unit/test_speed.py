"""What the bench measures is a real run: the same decisions each time, every stage named, nothing counted twice."""

import pytest

from engine.setup import read_setup
from replay.speed import throughput, workload


@pytest.fixture(scope="module")
def canonical(tmp_path_factory):
    folder = tmp_path_factory.mktemp("canonical")
    setup = read_setup(workload.configure(folder / "config"))
    workload.write(folder / "stream.ndjson", workload.stream(1_000))
    return setup, folder


def test_two_passes_decide_the_same_and_count_transactions_only(canonical, tmp_path):
    setup, folder = canonical
    passes = [
        throughput.once(
            setup,
            throughput.canonical_source([folder / "stream.ndjson"], setup),
            tmp_path / str(k),
        )
        for k in range(2)
    ]
    assert passes[0].sha256 == passes[1].sha256
    assert {p.transactions for p in passes} == {1_000}
    assert {p.messages for p in passes} == {1_000 + 1 + 50 + 20}
    for each in passes:
        assert {"decode", "windows", "decide", "journal", "sync", "write", "seal"} <= set(
            each.stage_s
        )
        assert sum(each.stage_s.values()) == pytest.approx(each.seconds)
        assert each.stage_s[throughput.ELSE] > 0, "a stage is counted twice"
    rows = throughput.profile(passes)
    assert sum(row["share"] for row in rows) == pytest.approx(1.0)


def test_limits_are_rates(canonical, tmp_path):
    _, folder = canonical
    lines = (folder / "stream.ndjson").read_bytes().splitlines()
    assert throughput.decode_only(lines) > 0
    assert throughput.syncs_per_second(tmp_path, seconds=0.0) > 0
    assert not list(tmp_path.iterdir())
