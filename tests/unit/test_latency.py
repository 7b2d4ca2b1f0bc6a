"""The load is open loop: what waits is counted from when it was due, and percentiles are those of all samples."""

import json
import os
import threading

import numpy as np
import pytest

from engine.clock import ManualClock
from replay.speed import latency, workload
from replay.speed.latency import Latency

ROWS = 1_000


def seen(latency_ms, rate=1_000):
    latency_ms = np.asarray(latency_ms, float)
    return Latency(rate, latency_ms, np.zeros(len(latency_ms)), 1.0, 10)


@pytest.mark.parametrize(
    ("percentile", "expected"), [(50.0, 500.0), (99.0, 990.0), (99.9, 999.0), (99.99, 1_000.0)]
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(percentile, expected):
    shuffled = np.random.default_rng(1).permutation(np.arange(1.0, 1_001.0))
    assert seen(shuffled).at(percentile) == expected
    assert sum(shuffled <= expected) >= len(shuffled) * percentile / 100


def test_a_reader_that_stands_still_makes_everything_after_it_late():
    """The schedule is not moved by what the reader does: that would be coordinated omission."""
    clock, (there, here) = ManualClock(), os.pipe()
    due_us = np.arange(ROWS) * 100
    lines = [b"x" * 200] * ROWS  # more than a pipe holds
    clock.advance_us(50_000)

    def stand_still_then_read():
        clock.advance_us(10_000_000)
        while os.read(there, 1 << 16):
            pass

    reader = threading.Thread(target=stand_still_then_read)
    reader.start()
    sent_us = latency.send(here, lines, due_us, clock)
    os.close(here)
    reader.join()
    os.close(there)
    assert (np.diff(sent_us) >= 0).all()
    assert (sent_us - due_us)[-1] >= 10_050_000 - due_us[-1]


def test_latency_runs_from_due_to_published_and_nobody_may_be_missing(tmp_path):
    delivery, decisions = tmp_path / "delivery.ndjson", tmp_path / "decisions.ndjson"
    delivery.write_text("before\n")
    decisions.write_text("before\n")
    before = delivery.stat().st_size, decisions.stat().st_size
    with delivery.open("a") as file:
        for seq0, second in ((10, 1), (12, 2)):
            at = f"2026-03-02T10:00:0{second}.000250Z"
            file.write(json.dumps({"seq0": seq0, "n": 2, "published": at}) + "\n")
    rows = [  # seq 12 is an activity, tl3 came before
        {"seq": 10, "transaction_id": "tl7", "decision": "approve"},
        {"seq": 11, "transaction_id": "tl3", "decision": "hold"},
        {"seq": 13, "transaction_id": "tl8", "decision": "review"},
    ]
    with decisions.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    at_us, batches, loud = latency.felt(delivery, decisions, before, 7, 2)
    assert at_us.tolist() == [1_772_445_601_000_250, 1_772_445_602_000_250]
    assert batches == 2
    assert loud == 0.5
    with pytest.raises(AssertionError, match="1 transactions have no decision"):
        latency.felt(delivery, decisions, before, 7, 3)


def test_live_messages_are_due_in_order_with_labels_and_activities_among_them():
    due_us = 1_780_000_000_000_000 + np.arange(ROWS) * 1_000
    lines, when_us, is_transaction = workload.live(due_us, first=500, history=2_000)
    told = [json.loads(line) for line in lines]
    assert (np.diff(when_us) >= 0).all()
    assert when_us[is_transaction].tolist() == due_us.tolist()
    names = [m["transaction_id"] for m in told if "kind" not in m]
    assert names == [f"tl{k}" for k in range(500, 500 + ROWS)]
    known = set()
    for message in told:
        if message.get("kind") == "label":
            assert message["transaction_id"] in known
        elif "kind" not in message:
            known.add(message["transaction_id"])
    assert sum(m.get("kind") == "label" for m in told) == ROWS // 50
    assert sum(m.get("kind") == "activity" for m in told) == ROWS // 20


def test_nobody_pays_twice_before_everybody_has_paid_once():
    due_us = 1_780_000_000_000_000 + np.arange(ROWS) * 1_000
    lines, _, is_transaction = workload.live(due_us, first=0, history=2_000)  # of 400 accounts
    who = [json.loads(lines[k])["account"] for k in np.flatnonzero(is_transaction)]
    assert len(set(who[:400])) == len(set(who[400:800])) == 400


def test_the_fastest_rate_is_that_of_the_median_run():
    good, bad = [1.0] * 100, [100.0] * 100
    found = [seen(good, 1_000), seen(bad, 5_000), seen(good, 5_000), seen(good, 5_000)]
    assert latency.fastest_of([*found, seen(bad, 20_000)], 5.0) == 5_000
    assert latency.fastest_of([seen(bad)], 5.0) == 0


def test_a_histogram_counts_every_sample_and_ends_with_the_largest(tmp_path):
    latency.write_histograms(tmp_path / "h.hgrm", [seen(np.arange(1.0, 1_001.0))])
    lines = (tmp_path / "h-1000.hgrm").read_text().splitlines()
    rows = [line.split() for line in lines[1:] if not line.startswith("#")]
    assert rows[-1][0] == "1000.000"
    assert rows[-1][2] == "1000"
    counts = [int(row[2]) for row in rows]
    assert counts == sorted(counts)
    for value, share, count, *_ in rows:
        assert float(value) == pytest.approx(int(count))
        assert int(count) >= float(share) * 1_000 - 1e-6
