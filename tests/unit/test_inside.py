"""The events that are shown inside a window are those that the declaration names: held to the naive oracle."""

import math
import os

import pytest

from engine.windows.inside import find, inside
from tests.oracles import windows as oracle
from tests.windowing import KEYS, Runner, random_case

SEEDS = int(os.environ.get("WEIR_INSIDE_SEEDS", "25"))


def walk(case, runner):
    """Apply the rows one by one; after each give the row and, by log, what had happened before it.

    An update reaches what is young enough for its log; see `replay` of the oracle.
    """
    kept = {}
    for f in case.features:
        of = oracle.kept_for(f, case.updates) + case.lateness
        kept[oracle.log_of(f)] = max(kept.get(oracle.log_of(f), 0), of)
    history = {log: [] for log in kept}
    core = 0
    for row in case.rows:
        runner.feed([row])
        if row.action in ("event", "read", "put"):
            core = max(core, row.time)
        yield row, history
        for log, events in history.items():
            if row.action in ("event", "put"):
                events.append(row)
            elif row.action == "amend" and row.time > core - kept[log]:
                events[:] = [h for h in events if h.seq != row.original_seq]
                events.append(
                    oracle.Row(
                        row.original_seq, row.time, "event", row.keys, row.values, row.passes
                    )
                )


def expected(feature, row, history, zone):
    """The rows inside the window, by the definition; None if a key is missing."""
    own = [row.keys[k] for k in feature.keys]
    if None in own:
        return None
    rows = [h for h in history if [h.keys[k] for k in feature.keys] == own]
    rows = sorted(rows, key=oracle.order)
    first = oracle.first_of(feature, rows, row.time, zone)
    rows = [h for h in rows[first:] if h.time <= row.time - feature.lag]
    if row.action == "event" and not feature.prior and not feature.lag:
        rows.append(row)
    rows = [h for h in rows if h.passes[feature.filter]]
    return rows[-feature.last :] if feature.last else rows


def shown(runner, feature, spec, row, zone):
    log, held = find([runner.windows], spec.name)
    codes = {k: -1 if row.keys[k] is None else row.keys[k] for k in KEYS}
    got = inside(log, held, codes, row.time, row.seq, zone, is_put_in=row.action == "event")
    if got is None:
        return None
    return [
        (s, t, None if math.isnan(v) else v)
        for s, t, v in zip(got.seq.tolist(), got.time_us.tolist(), got.value.tolist(), strict=True)
    ], got


def value_of(feature, row):
    """The argument as the feature reads it: in fixed point, back as a number."""
    if feature.argument is None:
        return None
    fixed = oracle.fixed(row.values[feature.argument], feature.decimals)
    return None if fixed is None else fixed / 10 ** (feature.decimals or 0)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_events_shown_are_those_the_declaration_names(seed):
    """Late rows, ties, lags, calendar days, the last N, `prior`, changed events, several keys, missing ones."""
    case = random_case(1000 + seed, 150)
    runner = Runner(case.features, case.lateness, case.zone, case.updates)
    compared = 0
    for row, history in walk(case, runner):
        if row.action not in ("event", "read"):
            continue
        for feature, spec in zip(case.features, runner.specs, strict=True):
            want = expected(feature, row, history[oracle.log_of(feature)], case.zone)
            got = shown(runner, feature, spec, row, case.zone)
            if want is None:
                assert got is None
                continue
            events, found = got
            shares_its_bit = feature.argument is None or feature.function == "sum" or feature.last
            if not shares_its_bit:  # an event without the argument is in no such window
                want = [h for h in want if value_of(feature, h) is not None]
            if found.n_dropped:  # the oldest of a window without a beginning may be gone
                assert len(want) >= len(events)
                want = want[len(want) - len(events) :]
            assert [(s, t) for s, t, _ in events] == [(h.seq, h.time) for h in want], feature
            if feature.argument is not None:
                assert [v for _, _, v in events] == [value_of(feature, h) for h in want], feature
            compared += len(events)
    assert compared > 10


def test_a_key_of_which_nothing_is_known_has_no_events():
    case = random_case(1, 5)
    runner = Runner(case.features, case.lateness, case.zone, case.updates)
    log, held = find([runner.windows], runner.specs[0].name)
    codes = dict.fromkeys(KEYS, 77)
    assert len(inside(log, held, codes, 10**9, 0, case.zone)) == 0
    assert inside(log, held, codes | {log.keys[0]: -1}, 10**9, 0, case.zone) is None


def test_what_was_forgotten_keeps_its_first_and_its_last_event():
    """`first over all` outlives the events it was made of; the page must be able to say from when it is."""
    features = [
        oracle.Declared("first", ("account",), None, argument="amount"),
        oracle.Declared("count", ("account",), 10),
    ]
    runner = Runner(features, 0, sweep=(1, 2, 50))
    rows = [
        oracle.Row(i, 1000 + 100 * i, "event", dict.fromkeys(KEYS, 0), values(100 * i), [True] * 5)
        for i in range(40)
    ]
    runner.feed(rows)
    log, held = find([runner.windows], "f0")
    got = inside(log, held, dict.fromkeys(KEYS, 0), rows[-1].time, rows[-1].seq, "UTC")
    assert got.n_dropped > 0
    assert (got.forgotten.first_us, got.forgotten.first_value) == (1000, 0.0)
    assert got.forgotten.last_us < got.time_us[0]


def values(amount):
    return {"amount": float(amount), "ratio": 1.0, "fine": 1.0, "merchant": 1}


def test_looking_changes_no_byte_of_the_state():
    case = random_case(3, 80)
    runner = Runner(case.features, case.lateness, case.zone, case.updates)
    runner.feed(case.rows)
    before = runner.saved()
    for spec in runner.specs:
        log, held = find([runner.windows], spec.name)
        for code in range(3):
            inside(log, held, dict.fromkeys(KEYS, code), 10**9, 10**6, case.zone)
    assert runner.saved() == before
