"""Replays at a pace and of a part of a recording; the clock is moved by hand."""

import numpy as np
import pytest

from config.errors import ConfigError, InputError
from engine.clock import ManualClock
from engine.ports import Messages
from replay.pacing import Between, Paced, check_order, factor_of
from tests import factories

T0, SECOND = 1_772_445_609_000_000, 1_000_000


class Given:
    """A source with these lines, given in one poll."""

    is_live = False

    def __init__(self, *lines):
        self.lines = list(lines)

    def poll(self, rows_max, wait_us):
        taken, self.lines = self.lines[:rows_max], self.lines[rows_max:]
        return Messages(taken, ["x"] * len(taken)) if taken else None


def at(*seconds):
    return [b'{"event_time":%d}' % ((T0 + s * SECOND) // 1_000) for s in seconds]


def drive(source, clock, wait_us=10_000, until_us=1 << 62):
    """When each message was given, in seconds of the clock."""
    given = []
    while (messages := source.poll(100, wait_us)) is not None:
        given += [clock.monotonic_ns() / 1e9] * len(messages)
        if clock.monotonic_ns() // 1_000 > until_us:
            break
    return given


@pytest.mark.parametrize(("text", "factor"), [("1x", 1), ("10x", 10), ("0.5x", 0.5), ("1e3x", 1e3)])
def test_time_passes_so_many_times_as_fast_as_the_clock(text, factor):
    clock = ManualClock()
    source = Paced(Given(*at(0, 60, 60, 90)), factor_of(text), clock, 3_600 * SECOND)
    assert drive(source, clock) == pytest.approx([0, 60 / factor, 60 / factor, 90 / factor])


def test_a_message_is_given_when_it_is_due_and_not_with_its_block():
    clock = ManualClock()
    source = Paced(Given(*at(0, 10, 20)), 1, clock, 3_600 * SECOND)
    assert len(source.poll(100, 10_000)) == 1
    assert len(source.poll(100, 10_000)) == 0, "nothing is due yet, and a stop can be noticed"
    assert clock.monotonic_ns() == 10_000_000


def test_what_took_longer_than_it_should_is_caught_up():
    clock = ManualClock()
    source = Paced(Given(*at(0, 30, 60)), 1, clock, 3_600 * SECOND)
    source.poll(100, 0)
    clock.advance_us(45 * SECOND)
    assert drive(source, clock) == pytest.approx([45, 60])


def test_nothing_is_waited_for_before_the_first_event_nor_for_a_time_that_cannot_be():
    """What has no time goes with the message before it; a year 2099 is refused later, and nobody waits for it."""
    clock = ManualClock()
    lines = [b"junk", *at(0), b"{}", *at(4_070_908_800, 5)]
    source = Paced(Given(*lines), 1, clock, 3_600 * SECOND)
    assert drive(source, clock) == pytest.approx([0, 0, 0, 0, 5])


def test_rows_out_of_order_go_with_the_newest_before_them():
    clock = ManualClock()
    source = Paced(Given(*at(0, 20, 5, 30)), 1, clock, 3_600 * SECOND)
    assert drive(source, clock) == pytest.approx([0, 20, 20, 30])


def test_max_waits_for_nothing():
    assert factor_of("max") is None


@pytest.mark.parametrize(
    "text", ["", "x", "10", "fast", "0x", "-1x", "nanx", "infx", "1e999x", "x10", "MAX"]
)
def test_other_speeds_are_refused(text):
    with pytest.raises(ConfigError) as error:
        factor_of(text)
    assert str(error.value) == (
        f"`--speed` must be max or a multiple such as 10x, was {text}\n"
        "  fix: write max for as fast as it goes, 1x for the pace of the recording"
    )


# ---------------------------------------------------------------- parts of a recording


class Recording:
    """Polls of lines, as a recording gives them."""

    is_live = False

    def __init__(self, *polls):
        self.polls, self.told = list(polls), []

    def poll(self, rows_max, wait_us):
        if not self.polls:
            return None
        lines = self.polls.pop(0)
        return Messages(lines, [f"f:{line[:9]!r}" for line in lines])

    def resume_after(self, position):
        self.told.append(("resume", position))

    def commit(self, position):
        self.told.append(("commit", position))

    def close(self):
        self.told.append(("close",))


def lines_of(source):
    found = []
    while (messages := source.poll(64, 0)) is not None:
        assert len(messages.lines) == len(messages.positions)
        found += messages.lines
    return found


def pay(time):
    return factories.line(factories.message(event_time=time))


def test_the_range_holds_its_start_and_not_its_end():
    lines = [pay(f"2026-03-02T10:00:0{s}Z") for s in (8, 9)]
    lines += [
        pay(1_772_445_610_000),
        pay("2026-03-02T11:00:10.000001+01:00"),
        pay(1_772_445_611_000),
    ]
    source = Between(Recording(lines), T0, T0 + 2 * SECOND)
    assert lines_of(source) == lines[1:4]
    assert lines_of(Between(Recording(lines), None, T0)) == lines[:1]
    assert lines_of(Between(Recording(lines), T0 + SECOND, None)) == lines[2:]


@pytest.mark.parametrize(
    "odd",
    [
        b"", b"{", b"[1]", b"\xff", b'{"event_time":"\xff\xfe"}', b'{"x":"\xff"}', b"[" * 9_000, b'{"a":' * 9_000,
        b'{"event_time":1e400}', b'{"event_time":' + b"9" * 9_000 + b"}", b'{"event_time":"yesterday"}',
        b'{"event_time":null}', b'{"event_time":[]}', b'{"event_time":-1}', b'{"event_time":"\\ud800"}',
        factories.line(factories.label()),
    ],
    ids=lambda line: repr(line[:24]),
)  # fmt: skip
def test_what_has_no_time_that_can_be_read_stays_in(odd):
    """It becomes a dead letter later, where people look for it; a label without a time takes effect on arrival."""
    assert lines_of(Between(Recording([odd]), T0, T0 + 1)) == [odd]


def test_polls_of_which_nothing_is_kept_are_passed_over_and_the_end_is_the_end():
    source = Between(Recording([pay(0)], [pay(0)], [pay("2026-03-02T10:00:09Z")], []), T0, None)
    assert len(source.poll(1, 0)) == 1
    assert len(source.poll(1, 0)) == 0
    assert source.poll(1, 0) is None


def test_arrival_times_stay_with_their_lines():
    class Live(Recording):
        is_live = True

        def poll(self, rows_max, wait_us):
            found = super().poll(rows_max, wait_us)
            return found and Messages(found.lines, found.positions, np.arange(len(found)))

    source = Between(Live([pay(0), pay("2026-03-02T10:00:09Z"), pay(0)]), T0, None)
    assert source.is_live
    assert source.poll(1, 0).arrival_us.tolist() == [1]


def test_the_rest_of_a_source_is_passed_on():
    recording = Recording()
    source = Between(recording, T0, None)
    source.resume_after("f:1")
    source.commit("f:2")
    source.close()
    assert recording.told == [("resume", "f:1"), ("commit", "f:2"), ("close",)]


def test_a_range_that_holds_nothing_is_refused():
    check_order(None, T0)
    check_order(T0, None)
    check_order(T0, T0 + 1)
    for to_us in (T0, T0 - 1):
        with pytest.raises(InputError, match="`--to` is not after `--from`"):
            check_order(T0, to_us)
