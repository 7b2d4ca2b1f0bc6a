"""The canonical workload is what design.md says it is; every speed figure rests on that."""

import json
from collections import Counter
from datetime import datetime

import pytest

from engine.setup import read_setup
from replay.speed import workload

N = 20_000


@pytest.fixture(scope="module")
def messages():
    return [json.loads(line) for line in workload.stream(N)]


def test_the_same_size_gives_the_same_bytes_and_another_seed_others():
    lines = workload.stream(2_000)
    assert lines == workload.stream(2_000)
    assert lines != workload.stream(2_000, seed=7)


def test_kinds_stand_in_the_stream_as_often_as_asked(messages):
    kinds = Counter(m.get("kind", "transaction") for m in messages)
    repeated = Counter(m["transaction_id"] for m in messages if "kind" not in m)
    assert len(repeated) == N
    assert kinds == {
        "transaction": N + N // 1_000,
        "activity": N // 20,
        "label": N // 50,
    }
    assert set(repeated.values()) == {1, 2}


def test_so_many_come_out_of_order_and_so_many_too_late(messages):
    newest, behind, seen = "", [], set()
    for m in messages:
        if "kind" in m or m["transaction_id"] in seen:
            continue
        seen.add(m["transaction_id"])
        at = datetime.fromisoformat(m["event_time"])
        newest = max(newest, m["event_time"])
        behind.append((datetime.fromisoformat(newest) - at).total_seconds())
    late = sum(s > 900 for s in behind)
    assert 0.5 < late / (N * workload.LATE) < 2
    assert 0.6 < sum(0 < s <= 900 for s in behind) / (N * workload.OUT_OF_ORDER) < 1.2


def test_labels_are_about_transactions_that_came_before(messages):
    seen, frauds = set(), 0
    for m in messages:
        if m.get("kind") == "label":
            assert (m["account"], m["transaction_id"]) in seen
            frauds += m["label"] == "fraud"
        elif "kind" not in m:
            seen.add((m["account"], m["transaction_id"]))
    assert frauds > N * workload.FRAUD / 2


@pytest.mark.parametrize("forest", [False, True])
def test_the_configuration_has_the_features_rules_and_models_that_are_promised(tmp_path, forest):
    setup = read_setup(workload.configure(tmp_path / "config", forest=forest))
    found = [f.aggregate for f in setup.pack.features.values()]
    special = [a for a in found if a.function in ("count_distinct", "quantile")]
    plain = [a for a in found if a not in special]
    assert Counter(a.function for a in special) == {"count_distinct": 5, "quantile": 2}
    assert len(plain) == 40
    assert set(Counter((a.keys, a.window.width_us) for a in plain).values()) == {2}
    assert len({(a.keys, a.window.width_us) for a in found}) == 20
    assert len({a.keys for a in found}) == 5
    assert len(setup.pack.rules) == 50
    kinds = {m.kind for m in setup.configuration.models.models.values()}
    assert kinds == {"logistic", "half_space_trees"} | ({"streaming_trees"} if forest else set())
    assert setup.configuration.settings.durability == "sync"
