"""The queue of one partition: what a poll takes of several fetches, and where it stops."""

import pytest

from engine.cluster.lane import Lane
from engine.cluster.ports import Record


def filled(*fetches):
    lane = Lane("in", 3, lambda: None)
    for offsets in fetches:
        lane.put([Record(offset, b"%d" % offset, 1_000 + offset) for offset in offsets])
    return lane


def polls(lane, rows_max):
    while len(lane):
        messages = lane.poll(rows_max, 0)
        assert messages.positions == [f"in/3@{int(line)}" for line in messages.lines]
        assert messages.arrival_us.tolist() == [1_000 + int(line) for line in messages.lines]
        yield [int(line) for line in messages.lines]


def test_a_poll_takes_what_many_fetches_have_brought():
    """An engine that is behind takes everything at once, however small the fetches were."""
    assert list(polls(filled([0], [1, 2], [5], [6, 7, 8]), 100)) == [[0, 1, 2, 5, 6, 7, 8]]
    assert list(polls(filled([0], [1, 2], [5], [6, 7, 8]), 3)) == [[0, 1, 2], [5, 6, 7], [8]]


@pytest.mark.parametrize("cut", range(11))
@pytest.mark.parametrize("rows_max", [1, 2, 3, 100])
def test_no_poll_gives_records_from_both_sides_of_a_cut(cut, rows_max):
    """Wherever it lies: inside a fetch, between two, in a gap of the offsets."""
    lane = filled([0, 1, 2], [3, 4], [7, 8, 9])
    lane.cut_at = cut
    found = list(polls(lane, rows_max))
    assert [offset for some in found for offset in some] == [0, 1, 2, 3, 4, 7, 8, 9]
    assert all(len(some) <= rows_max for some in found)
    assert not any(some[0] < cut <= some[-1] for some in found)
    whole = [k for k in range(len(found) - 1) if len(found[k]) < rows_max]
    assert all(found[k][-1] < cut <= found[k + 1][0] for k in whole), (
        "a poll stops for the cut only"
    )


def test_what_came_before_is_passed_over():
    lane = filled([0, 1, 2], [1, 2, 3])
    lane.poll(2, 0)
    lane.put([Record(offset, b"%d" % offset, 1_000 + offset) for offset in (2, 3, 4)])
    assert list(polls(lane, 10)) == [[2, 3, 4]]
    assert lane.next_offset == 5
