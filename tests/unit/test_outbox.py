"""The outbox by itself, with a clock that tests move: order, waits, what is kept, what a crash repeats."""

import json

import pytest

from engine.durable.disk import RealDisk
from engine.sinks.outbox import FILE, STREAM, Outbox
from engine.sinks.tail import FolderTail
from tests.core_banking import command, write

S = 1_000_000


def opened(root, **more):
    options = {"retry_first_us": S, "retry_max_us": 60 * S, "seed": 1} | more
    disk = RealDisk()
    return Outbox(FolderTail(disk, root / STREAM), disk, root / FILE, **options)


def taken(outbox, now_us=0):
    """Everything whose turn it is."""
    found = []
    while (pending := outbox.take(now_us)) is not None:
        found.append(pending)
    return found


def ids(found):
    return [pending.command_id for pending in found]


def test_one_command_of_an_account_leaves_at_a_time_and_accounts_do_not_wait_for_each_other(
    tmp_path,
):
    write(tmp_path / STREAM, [command(n, "AB"[n % 2]) for n in range(4)])
    outbox = opened(tmp_path)
    outbox.fill(0)
    first = taken(outbox)
    assert ids(first) == ["c-0", "c-1"]
    outbox.settle(first[1], 0)
    assert ids(taken(outbox)) == ["c-3"]
    outbox.retry(first[0], 0)
    assert taken(outbox, 0) == []
    assert ids(taken(outbox, S)) == ["c-0"]
    outbox.settle(first[0], S)
    assert ids(taken(outbox, S)) == ["c-2"]


def test_a_card_and_an_account_of_the_same_name_are_two_lanes(tmp_path):
    card = command(1, "A") | {"entity": {"card": "A"}}
    notice = {
        "command_id": "c-2",
        "key": "n:1",
        "verb": "notify",
        "account": "A",
        "effect": "enforce",
    }
    write(tmp_path / STREAM, [command(0, "A"), card, notice])
    outbox = opened(tmp_path)
    outbox.fill(0)
    assert ids(taken(outbox)) == ["c-0", "c-1"], "the notice goes to the account, after its command"


def test_what_was_only_recorded_is_never_sent(tmp_path):
    write(tmp_path / STREAM, [command(0, "A", effect="observe"), command(1, "A")])
    outbox = opened(tmp_path)
    outbox.fill(0)
    assert ids(taken(outbox)) == ["c-1"]


def test_waits_double_up_to_the_bound_and_half_of_each_is_chance(tmp_path):
    write(tmp_path / STREAM, [command(0, "A")])
    waits = []
    for seed in range(40):
        outbox, now_us, found = opened(tmp_path, seed=seed), 0, []
        outbox.fill(0)
        for _ in range(9):
            [pending] = taken(outbox, now_us)
            due_us = outbox.retry(pending, now_us)
            found.append(due_us - now_us)
            assert outbox.take(due_us - 1) is None
            now_us = due_us
        waits.append(found)
    for k, column in enumerate(zip(*waits, strict=True)):
        most = min(60, 2**k) * S
        assert most / 2 <= min(column) < 0.6 * most
        assert 0.9 * most < max(column) <= most


def test_a_sink_that_asks_for_time_gets_it(tmp_path):
    write(tmp_path / STREAM, [command(0, "A")])
    outbox = opened(tmp_path)
    outbox.fill(0)
    [pending] = taken(outbox)
    assert outbox.retry(pending, 0, after_us=100 * S) == 100 * S


def test_after_a_crash_what_was_settled_stays_so_and_the_rest_comes_again_in_order(tmp_path):
    write(tmp_path / STREAM, [command(n, f"A{n % 3}") for n in range(9)])
    outbox = opened(tmp_path)
    outbox.fill(0)
    a0, a1, a2 = taken(outbox)
    outbox.settle(a1, 0)
    outbox.settle(a2, 0)
    [a4, a5] = taken(outbox)
    outbox.settle(a5, 0)
    outbox.keep()
    a3 = sum(map(len, (tmp_path / STREAM).read_bytes().splitlines(keepends=True)[:3]))
    assert json.loads((tmp_path / FILE).read_bytes())["open"] == [a0.start, a3, a4.start]
    again = opened(tmp_path)
    again.fill(0)
    sent = []
    while found := taken(again):
        sent += ids(found)
        for pending in found:
            again.settle(pending, 0)
    assert sent == ["c-0", "c-4", "c-8", "c-3", "c-7", "c-6"]
    assert len(again) == 0
    again.keep()
    last = opened(tmp_path)
    last.fill(0)
    assert len(last) == 0


def test_a_line_that_is_still_being_written_waits(tmp_path):
    path = tmp_path / STREAM
    write(path, [command(0, "A")])
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    outbox = opened(tmp_path)
    outbox.fill(0)
    assert len(outbox) == 1
    assert outbox.n_unread == 20
    path.write_bytes(whole + whole)
    outbox.fill(0)
    assert len(outbox) == 2


def test_a_folder_that_was_put_back_is_delivered_again_with_the_same_keys(tmp_path):
    """The place no longer fits the stream: repeats are harmless, gaps are not."""
    write(tmp_path / STREAM, [command(n, "A") for n in range(5)])
    outbox = opened(tmp_path)
    outbox.fill(0)
    while found := taken(outbox):
        outbox.settle(found[0], 0)
    outbox.keep()
    write(tmp_path / STREAM, [command(n, "B") for n in range(10, 30)])
    again = opened(tmp_path)
    again.fill(0)
    assert again.began_again
    assert ids(taken(again)) == ["c-10"]


def test_memory_is_bounded_and_nothing_is_lost_by_it(tmp_path):
    write(tmp_path / STREAM, [command(n, f"A{n}") for n in range(50)])
    outbox, sent = opened(tmp_path, window=8), []
    outbox.fill(0)
    assert len(outbox) == 8
    assert outbox.n_unread > 0
    stuck, *rest = taken(outbox)
    while rest:
        for pending in rest:
            outbox.settle(pending, 0)
        sent += ids(rest)
        outbox.fill(0)
        rest = taken(outbox)
    assert stuck.command_id == "c-0"
    assert sent == [f"c-{n}" for n in range(1, 50)]
    assert outbox.state()["open"] == [0]


def test_the_oldest_command_is_known_by_its_age(tmp_path):
    write(tmp_path / STREAM, [command(0, "A")])
    outbox = opened(tmp_path)
    assert outbox.oldest_us(7) == 0
    outbox.fill(3)
    assert outbox.oldest_us(10) == 7


def test_a_lane_cannot_be_overtaken(tmp_path):
    write(tmp_path / STREAM, [command(0, "A"), command(1, "A")])
    outbox = opened(tmp_path)
    outbox.fill(0)
    second = list(outbox._pending.values())[1]
    with pytest.raises(AssertionError, match="overtaken"):
        outbox.settle(second, 0)


# ---------------------------------------------------------------- the mode is observe


def lifting(n, of, account, **more):
    """The release, at seq `n`, of the restriction that command `of` imposed."""
    return command(n, account, verb="release", **more) | {"restriction_id": f"r-{of}"}


def notice(n, account):
    about = {"command_id": f"c-{n}", "key": f"n-{n}:notify:1", "verb": "notify", "seq": n}
    return about | {"account": account, "effect": "enforce"}


def left(outbox, now_us=0):
    """Take everything, settle it, and tell what left, what was withheld and what was needless."""
    told = {"left": [], "withheld": [], "needless": []}
    while (pending := outbox.take(now_us)) is not None:
        how = "left"
        if outbox.is_withheld(pending):
            outbox.drop(pending)
            how = "withheld"
        elif outbox.is_needless(pending):
            how = "needless"
        told[how].append(pending.command_id)
        outbox.settle(pending, now_us)
    return told


def test_under_observe_only_what_lifts_something_leaves(tmp_path):
    old = [command(0, "A"), notice(1, "A"), lifting(2, 99, "B"), command(3, "C", verb="expired")]
    write(tmp_path / STREAM, [*old, command(7, "B"), notice(8, "C")])
    outbox = opened(tmp_path)
    outbox.withhold(7, 0)
    outbox.fill(0)
    assert left(outbox) == {
        "left": ["c-2", "c-3", "c-7", "c-8"], "withheld": ["c-0", "c-1"], "needless": [],
    }  # fmt: skip
    outbox = opened(tmp_path)
    outbox.fill(0)
    assert len(left(outbox)["left"]) == 6, "nothing is withheld unless somebody says so"


def test_a_release_of_what_never_left_is_needless_and_of_what_may_have_left_is_not(tmp_path):
    """A: never tried; B: tried, and nobody knows; C: it stood there before this process began."""
    write(tmp_path / STREAM, [command(2, "C")])
    outbox = opened(tmp_path)
    write(tmp_path / STREAM, [command(0, "A"), command(1, "B")], "ab")
    outbox.fill(0)
    for pending in taken(outbox):
        if pending.command_id == "c-1":
            outbox.retry(pending, 0)
        else:
            outbox._due.append((0, pending.start))
            pending.attempts = 0
    write(tmp_path / STREAM, [lifting(n + 10, n, "ABC"[n]) for n in range(3)], "ab")
    outbox.fill(0)
    outbox.withhold(2**63 - 1, 0)
    told = left(outbox)
    assert sorted(told["withheld"]) == ["c-0", "c-1", "c-2"], "at once, although one was to wait"
    assert told["needless"] == ["c-10"]
    assert sorted(told["left"]) == ["c-11", "c-12"]


def test_an_attempt_that_fails_after_the_switch_is_not_repeated(tmp_path):
    write(tmp_path / STREAM, [command(0, "A")])
    outbox = opened(tmp_path)
    outbox.fill(0)
    [pending] = taken(outbox)
    outbox.withhold(5, 0)
    assert taken(outbox) == [], "it is on its way"
    assert outbox.retry(pending, 0, after_us=100 * S) == 0
    assert left(outbox)["withheld"] == ["c-0"]
