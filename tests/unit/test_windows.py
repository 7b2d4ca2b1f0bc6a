"""Examples of window features, one a sentence of the contract, and the errors of declarations."""

import numpy as np
import pytest

from config.errors import ConfigError, StateError
from engine import batch
from engine.windows.kernels import layout
from engine.windows.plan import Windows
from tests.oracles.windows import Declared, Row
from tests.windowing import KEYS, Runner, make_layout, make_specs

ALL_PASS = [True, True, True, True, False]


def row(
    seq,
    time,
    action="event",
    *,
    account=0,
    device=None,
    payee=None,
    amount=None,
    passes=None,
    original=-1,
):
    keys = {"account": account, "device": device, "payee": payee}
    values = {"amount": amount, "ratio": None, "fine": None, "merchant": None}
    return Row(seq, time, action, keys, values, passes or ALL_PASS, original)


def results(feature, rows, lateness=0):
    """What the rows that are read see of one feature."""
    return [r[0] for r in Runner([feature], lateness).feed(rows) if r[0] != "unread"]


def test_an_event_exactly_as_old_as_the_window_is_out_and_one_microsecond_younger_is_in():
    count = Declared("count", ("account",), 100)
    assert results(count, [row(0, 1000), row(1, 1100)]) == [1, 1]
    assert results(count, [row(0, 1001), row(1, 1100)]) == [1, 2]


def test_an_event_exactly_as_old_as_the_lag_is_in_a_lagged_window():
    count = Declared("count", ("account",), 100, lag=10, prior=True)
    assert results(count, [row(0, 1000), row(1, 1009), row(2, 1010), row(3, 1019)]) == [0, 0, 1, 2]


def test_prior_leaves_out_the_row_itself_and_nothing_else():
    count = Declared("count", ("account",), 100, prior=True)
    assert results(count, [row(0, 1000), row(1, 1000), row(2, 1000)]) == [0, 1, 2]


def test_empty_windows_count_and_sum_to_zero_and_miss_everything_else():
    functions = ("count", "sum", "count_distinct", "avg", "stddev", "quantile", "first", "last")
    features = [
        Declared(f, ("account",), 100, prior=True, argument=None if f == "count" else "amount")
        for f in functions
    ]
    features.append(Declared("time_since_last", ("account",), 100, prior=True))
    (seen,) = Runner(features, 0).feed([row(0, 1000, amount=5.0)])
    assert seen == [0, 0, 0, None, None, None, None, None, None]


def test_a_missing_key_makes_even_a_count_missing():
    assert results(
        Declared("count", ("account", "payee"), 100), [row(0, 1000), row(1, 1001, payee=3)]
    ) == [None, 1]


def test_a_missing_argument_is_skipped():
    average = Declared("avg", ("account",), 100, argument="amount")
    assert results(average, [row(0, 1000, amount=4.0), row(1, 1001), row(2, 1002, amount=8.0)]) == [
        4,
        4,
        6,
    ]


def test_a_late_row_sees_its_own_time_and_later_rows_see_it():
    count = Declared("count", ("account",), 100)
    rows = [row(0, 1000), row(1, 1080), row(2, 1050), row(3, 1149), row(4, 1150)]
    assert results(count, rows, lateness=50) == [1, 2, 2, 3, 3]


def test_an_update_changes_what_later_rows_see_at_the_time_of_the_original():
    total = Declared("sum", ("account",), 100, argument="amount")
    rows = [
        row(0, 1000, amount=5.0),
        row(1, 1010, amount=7.0),
        row(2, 1000, "amend", amount=1.0, original=0),
        row(3, 1020, amount=0.0),
        row(4, 1010, "amend", amount=7.0, passes=[False] * 5, original=1),
        row(5, 1100, amount=0.0),
    ]
    assert results(total, rows) == [5, 12, 8, 0]


def test_an_update_puts_in_what_was_not_stored():
    count = Declared("count", ("account",), 100)
    rows = [row(0, 1000, passes=[False] * 5), row(1, 1000, "amend", original=0), row(2, 1001)]
    assert results(count, rows) == [0, 2]


def test_labels_are_put_in_without_being_read():
    count = Declared("count", ("account",), 100)
    assert Runner([count], 0).feed([row(0, 1000, "put"), row(1, 1000)]) == [["unread"], [2]]


def test_a_row_that_is_too_late_reads_and_leaves_nothing():
    count = Declared("count", ("account",), 100)
    assert results(count, [row(0, 1000), row(1, 1000, "read"), row(2, 1000)]) == [1, 1, 2]


def test_sums_do_not_round_until_they_are_read():
    total = Declared("sum", ("account",), 10, argument="amount")
    big = float(2**53 - 1)
    rows = [
        row(0, 1000, amount=big),
        row(1, 1001, amount=big),
        row(2, 1010, amount=1.0),
        row(3, 1011, amount=1.0),
    ]
    assert results(total, rows) == [big, float(2 * (2**53 - 1)), float(2**53), 2.0]


def test_over_all_remembers_the_first_event_after_it_was_dropped():
    since = Declared("time_since_first", ("account",), None)
    assert results(since, [row(k, 1000 + 10_000 * k) for k in range(9)]) == [
        10_000 * k for k in range(9)
    ]


@pytest.mark.parametrize(("core", "counted"), [(1009, 0), (1010, 1)])
def test_an_update_reaches_over_all_while_its_event_is_younger_than_window_and_lateness(
    core, counted
):
    count = Declared("count", ("account",), None, prior=True)
    gone = row(2, 1000, "amend", passes=[False] * 5, original=0)
    rows = [row(0, 1000), row(1, core, account=1), gone, row(3, core)]
    assert results(count, rows, lateness=10) == [0, 0, counted]


def test_memory_is_bounded_by_the_window_of_a_busy_key():
    runner = Runner([Declared("count_distinct", ("account",), 100, argument="amount")], 0)
    for start in range(0, 20_000, 1_000):
        runner.feed([row(k, 10 * k, amount=float(k)) for k in range(start, start + 1_000)])
    (log,) = runner.windows.logs.values()
    saved = log.save()
    assert len(saved["log"]) <= 64 * log.event_width
    assert len(saved["pool"]) <= 256


def test_keys_in_another_order_share_their_log():
    features = [
        Declared("count", ("account", "payee"), 100),
        Declared("count", ("payee", "account"), 50),
    ]
    assert len(Runner(features, 0).windows.logs) == 1


def test_more_filters_than_an_event_has_flags_go_into_a_second_log():
    features = [Declared("count", KEYS[:1], 100, filter=f) for f in range(40)]
    made = make_layout()
    assert len(Windows(make_specs(features, made), made, 0, "UTC").logs) == 3


def test_a_row_older_than_the_lateness_is_a_broken_invariant():
    with pytest.raises(AssertionError, match="row 1 is older than the lateness allows"):
        results(Declared("count", ("account",), 100), [row(0, 1000), row(1, 999)])


def test_actions_are_those_of_the_batch():
    for name in ("SKIP", "EVENT", "READ", "AMEND", "PUT"):
        assert getattr(layout, name) == getattr(batch, name)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (
            Declared("count_distinct", ("account",), None, argument="merchant", decimals=None),
            (
                "feature `f0`: `count_distinct` cannot range `over all`\n"
                "  why: it would have to keep every value ever seen, and memory is bounded by windows\n"
                "  fix: give it a window, such as `count_distinct(...) by ... over 90d`"
            ),
        ),
        (
            Declared("count", ("account",), 10, lag=10, prior=True),
            (
                "feature `f0`: the lag must lie in [0, window), was 10 us of 10 us\n"
                "  why: a window that ends before it begins holds nothing\n"
                "  fix: make the window longer than `until ... ago`"
            ),
        ),
        (
            Declared("sum", ("account",), 10, argument="fine", decimals=10),
            (
                "feature `f0`: the scale of its argument must lie in [0, 9], was 10\n"
                "  why: sums are exact in fixed point, with this many decimals at most\n"
                "  fix: lower `scale` of the field in the schema"
            ),
        ),
    ],
)
def test_a_declaration_that_cannot_be_computed_says_why(feature, message):
    with pytest.raises(ConfigError) as raised:
        Runner([feature], 0)
    assert str(raised.value) == message


def test_state_of_other_features_is_refused():
    saved = Runner([Declared("count", ("account",), 100)], 0).windows.save()
    same = Runner([Declared("count", ("account",), 100)], 0).windows
    with pytest.raises(StateError, match="the saved windows by account do not fit"):
        same.load({**saved, "account.0/log": np.zeros(1, np.int64)})
    other = Runner([Declared("count", ("device",), 100)], 0).windows
    with pytest.raises(StateError, match="are of other features"):
        other.load(saved)


def test_a_half_life_much_shorter_than_the_lateness_is_refused():
    fade = Declared("decayed_count", ("account",), None, half=99)
    with pytest.raises(ConfigError, match="too short beside a lateness of 1600 us"):
        Runner([fade], 1600)
    fade = Declared("decayed_count", ("account",), None, half=100)
    assert results(fade, [row(0, 1000), row(1, 1100), row(2, 1050)], 1600) == [
        1,
        1.5,
        pytest.approx(1 + 2**-0.5),
    ]


def test_entropy_is_in_bits_nothing_for_one_value_and_one_for_two_as_frequent():
    entropy = Declared("entropy", ("account",), 100, argument="merchant", decimals=None)
    rows = [row(k, 1000 + k) for k in range(7)]
    for r, merchant in zip(rows, [4, 4, 9, 9, None, 1, 2], strict=True):
        r.values["merchant"] = merchant
    seen = results(entropy, rows)
    assert seen[:2] == [0.0, 0.0]
    assert seen[2] == pytest.approx(0.918295834, abs=1e-9)
    assert seen[3:5] == [1.0, 1.0]
    assert seen[6] == pytest.approx(1.918295834, abs=1e-9)


def entries(features):
    """How many rows each table of the plan has, of all event logs together."""
    found = {}
    for log in Runner(features, 0).windows.logs.values():
        for name in ("BITS", "HORIZONS", "CELLS", "GROUPS", "DISTINCTS", "ORDERS", "CHAINS"):
            begin, end = log.plan[[getattr(layout, name), getattr(layout, name) + 1]]
            row = {"HORIZONS": 1}.get(name) or getattr(layout, name[:-1] + "_ROW")
            found[name] = found.get(name, 0) + int(end - begin) // row
    return found


def test_what_features_have_in_common_stands_in_the_plan_once():
    def of(function, width, argument=None, **more):
        decimals = None if argument == "merchant" else 0
        return Declared(function, ("account",), width, argument=argument, decimals=decimals, **more)

    one = [of("sum", 100, "amount"), of("max", 100, "amount"), of("count_distinct", 100, "merchant"),
           of("quantile", 100, "amount", level="0.5")]  # fmt: skip
    same = [of("count", 100), of("avg", 100, "amount"), of("quantile", 100, "amount", level="0.9")]
    wider = [of("count", 200), of("max", 200, "amount"), of("count_distinct", 200, "merchant")]
    lone = entries(one)
    assert lone == {
        "BITS": 3, "HORIZONS": 1, "CELLS": 1, "GROUPS": 1, "DISTINCTS": 1, "ORDERS": 1, "CHAINS": 1
    }  # fmt: skip
    assert entries(one * 10 + same) == lone | {"CELLS": 2}
    assert entries(one + wider) == lone | {"HORIZONS": 2, "CELLS": 2, "DISTINCTS": 2}


def test_twenty_features_over_one_window_are_one_chain_and_one_tail():
    features = [
        Declared("max", ("account",), 100, argument="amount", prior=k % 2 == 1) for k in range(20)
    ]
    found = entries(features)
    assert (found["CHAINS"], found["HORIZONS"], found["BITS"]) == (1, 1, 1)
