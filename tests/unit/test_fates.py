"""Each transaction counts once, by verdict or by silence, and what turns is put right; batches are invisible."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from engine.batch import LABEL, TRANSACTION
from engine.fates import Counting
from engine.remembered import APPLIED, LATE, Remembered

DAY = 86_400_000_000
MATURITY = 7 * DAY


def traffic(seed, n):
    """Messages (kind, transaction, core time, verdict): transactions an hour apart, some with verdicts, some late."""
    rng = np.random.default_rng(seed)
    told = []
    for k in range(n):
        told.append((k * DAY // 24, 0, TRANSACTION, k, LATE if rng.random() < 0.1 else APPLIED))
        for _ in range(int(rng.integers(0, 4)) if rng.random() < 0.6 else 0):
            delay = int(rng.integers(0, 14 * 24)) * DAY // 24
            told.append((k * DAY // 24 + delay, 1, LABEL, k, int(rng.integers(0, 3))))
    order = sorted(range(len(told)), key=lambda i: (told[i][0], i))
    return [told[i] for i in order]


def naive(told):
    """One message at a time: (transaction, what the calibration is told, index of the message it is told at)."""
    called, decided_us, found = {}, {}, []
    now_us = -1
    for i, (time_us, _, kind, k, word) in enumerate(told):
        now_us = max(now_us, time_us) if kind == TRANSACTION else now_us
        for each, since_us in decided_us.items():
            if each not in called and since_us + MATURITY <= now_us:
                called[each] = 0
                found.append((each, 0, i))
        if kind == TRANSACTION:
            if word == APPLIED:
                decided_us[k] = now_us
        elif k in decided_us:
            value, before = int(word == 1), called.get(k)
            if before is None:
                found.append((k, value, i))
            elif value != before:
                found.append((k, 2 if value else 3, i))
            called[k] = value
    return found


def counted(told, cuts):
    memory = Remembered(400 * DAY, n_number=0, n_code=0, n_input=0, n_score=1)
    counting, found, core_us, entry_of = Counting(memory, MATURITY), [], -1, {}
    edges = [0, *sorted(cuts), len(told)]
    for first, last in itertools.pairwise(edges):
        part, before_us = told[first:last], core_us
        kind = np.array([m[2] for m in part], np.int8)
        core, entry, new = [], [], []
        memory.reserve(len(part))
        for row, (time_us, _, what, k, word) in enumerate(part):
            core_us = max(core_us, time_us) if what == TRANSACTION else core_us
            core.append(core_us)
            if what == TRANSACTION:
                entry_of[k] = memory.add(f"t{k}", k, time_us, core_us, 0)
                memory.arrays["standing"][memory.rows(np.array([entry_of[k]]))] = word
                new.append(row)
            entry.append(entry_of[k])
        verdict = np.array([m[4] if m[2] == LABEL else -1 for m in part], np.int8)
        batch = SimpleNamespace(n=len(part), kind=kind)
        entry, core, new = (np.array(each, np.int64) for each in (entry, core, new))
        admitted = SimpleNamespace(core_us=core, entry=entry, new=new)
        fates = counting.read(batch, admitted, verdict, before_us)
        kept = np.array([m[3] if m[2] == TRANSACTION else -1 for m in part], np.float32)[:, None]
        score = np.where(fates.here >= 0, kept[fates.here, 0], fates.score[:, 0])
        found += [
            (int(s), int(label), first + int(row))
            for s, label, row in zip(score, fates.label, fates.row, strict=True)
        ]
        at = memory.rows(entry[new])
        memory.arrays["score"][at] = kept[new]
    return found, memory.arrays["called"][: len(memory)].copy()


@pytest.mark.parametrize("seed", range(6))
def test_what_is_told_is_what_the_naive_count_tells(seed):
    """The same transactions, as the same, at the same messages, with the scores of their decisions; in any batches."""
    told = traffic(seed, 400)
    expected = naive(told)
    rng = np.random.default_rng(seed)
    called = None
    for cuts in ([], rng.integers(0, len(told), 5).tolist(), list(range(1, len(told)))):
        found, last = counted(told, cuts)
        assert sorted(found) == sorted(expected)
        assert [row for *_, row in found] == sorted(row for *_, row in found)
        assert called is None or np.array_equal(called, last)
        called = last


def test_every_applied_transaction_that_is_old_enough_is_counted_exactly_once():
    told = traffic(9, 500)
    found, called = counted(told, [100, 350])
    first = [k for k, label, _ in found if label < 2]
    old = {m[3] for m in told if m[2] == TRANSACTION and m[4] == APPLIED and m[0] < 300 * DAY / 24}
    assert len(first) == len(set(first))
    assert old <= set(first)
    assert set(np.unique(called).tolist()) == {-1, 0, 1}
