"""The journal: what it refuses, what it drops, what it says about it."""

import os
import random
from itertools import pairwise

import numpy as np
import pytest

from config.errors import ConfigError, StateError
from engine.durable.disk import RealDisk
from engine.durable.encryption import MANY_BYTES, many_random_bytes, parse_key, read_key
from engine.durable.journal import frames, open_journal, read_journal, tail
from engine.durable.journal.frames import END, FRAME_MAGIC, HEAD_BYTES, encode_frame
from engine.durable.journal.segments import place_of
from engine.durable.seals import Sealer, check_journal, read_seals
from engine.ports import Messages
from tests.journaling import (
    CONFIG,
    FOLDER,
    Killed,
    MemoryDisk,
    fill,
    lines_of,
    messages,
    opened,
    sealed,
    seeded,
)

KEY = bytes(range(32))


@pytest.fixture(params=[1 << 22, 97], ids=["one piece", "pieces"], autouse=True)
def piece_bytes(request, monkeypatch):
    """What is read at once: a segment, and less than a frame."""
    for module in (frames, tail):
        monkeypatch.setattr(module, "PIECE_BYTES", request.param)


keys = pytest.mark.parametrize("key", [None, KEY], ids=["clear", "encrypted"])


def small(key=None, *, close=True):
    """Two segments with three frames, and the lines in them."""
    disk = MemoryDisk()
    journal = opened(disk, segment_bytes=600, key=key)
    told = fill(journal, 3, n=2)
    journal.sync()
    if close:
        journal.close()
    return disk, told


def frames_at(data):
    """Where frames begin in the bytes of a segment."""
    found, at = [], data.find(FRAME_MAGIC)
    while at >= 0:
        found.append(at)
        at = data.find(FRAME_MAGIC, at + 1)
    return found


def seen(disk, told, key=None):
    """What a reader makes of a journal that should hold `told`: an error, a tail, or None if nothing is wrong."""
    try:
        reader = read_journal(disk, FOLDER, key, kept_from=0)
        assert lines_of(reader) == told[: reader.seq_end], "other lines, and nobody says so"
        if reader.tail is None and reader.seq_end < len(told):
            return "cut"
    except StateError as error:
        return error
    return reader.tail


# ---------------------------------------------------------------- damage


@keys
def test_every_flipped_byte_of_a_closed_journal_is_seen_and_located(key):
    """The error names the file, and a frame that begins before the flipped byte and ends behind it."""
    disk, told = small(key)
    assert seen(disk, told, key) is None
    for path, data in disk.now.items():
        starts = [0, *frames_at(bytes(data)), len(data)]
        for byte in range(len(data)):
            for mask in (0x01, 0x80):
                data[byte] ^= mask
                found = seen(disk, told, key)
                data[byte] ^= mask
                start = max(s for s in starts if s <= byte)
                if isinstance(found, StateError):
                    where, at, _ = place_of(found)
                    assert where == path, f"byte {byte}"
                    assert at == start, f"byte {byte}"
                else:  # only of the last end, which holds nothing, one cannot say what happened
                    assert found.byte == start >= len(data) - HEAD_BYTES, f"byte {byte} of {path}"
                    assert found.segment == path.name


@keys
def test_opening_for_writing_loses_nothing_to_a_flipped_byte_after_an_orderly_stop(key):
    disk, told = small(key)
    last = max(disk.now)
    for byte in range(len(disk.now[last])):
        broken = disk.copy()
        broken.now[last][byte] ^= 0x10
        try:
            journal = opened(broken, key=key)
        except StateError:
            continue
        assert lines_of(journal) == told
        assert journal.dropped is not None


def test_a_flip_in_the_last_frame_after_a_crash_stops_who_knows_how_far_outcomes_had_got():
    """Without that knowledge the frame is dropped, and said to be."""
    disk, told = small(close=False)
    last = max(disk.now)
    start = frames_at(bytes(disk.now[last]))[-1]
    for byte in range(start, len(disk.now[last])):
        broken = disk.copy()
        broken.now[last][byte] ^= 0x10
        with pytest.raises(StateError, match=r"outcomes and seals reach seq 5") as caught:
            opened(broken.copy(), must_reach_seq=6)
        assert place_of(caught.value) == (last, start, 4)
        journal = opened(broken, must_reach_seq=4)
        assert journal.dropped is not None
        assert (journal.dropped.segment, journal.dropped.byte, journal.dropped.seq) == (
            last.name,
            start,
            4,
        )
        assert lines_of(journal) == told[:4]


def test_every_truncation_is_seen():
    disk, told = small()
    for path in disk.now:
        for length in range(len(disk.now[path])):
            broken = disk.copy()
            del broken.now[path][length:]
            end = len(disk.now[path]) - HEAD_BYTES
            if path == max(disk.now) and length >= end:  # only the end is cut: nothing is missing
                assert (seen(broken, told) is None) == (length == end)
                assert lines_of(opened(broken, must_reach_seq=len(told))) == told
                continue
            assert seen(broken, told) is not None
            with pytest.raises(StateError):
                opened(broken, must_reach_seq=len(told))


def test_every_deleted_or_doubled_or_exchanged_byte_is_seen():
    disk, told = small()
    for path in disk.now:
        whole = bytes(disk.now[path])
        for byte in range(len(whole)):
            changed = [
                whole[:byte] + whole[byte + 1 :],
                whole[:byte] + whole[byte : byte + 1] + whole[byte:],
            ]
            if byte and whole[byte] != whole[byte - 1]:
                pair = whole[byte - 1 : byte + 1][::-1]
                changed.append(whole[: byte - 1] + pair + whole[byte + 1 :])
            for data in changed:
                if data == whole:
                    continue
                broken = disk.copy()
                broken.now[path][:] = data
                assert seen(broken, told) is not None, f"byte {byte} of {path}"


def test_frames_that_are_removed_exchanged_or_repeated_are_seen():
    """Each frame is whole and its checksums match; it is where it does not belong."""
    disk = MemoryDisk()
    journal = opened(disk)
    told = fill(journal, 5)
    journal.close()
    [path] = disk.now
    whole = bytes(disk.now[path])
    at = [*frames_at(whole), len(whole)]
    head, frames = whole[: at[0]], [whole[a:b] for a, b in pairwise(at)]
    for i in range(5):
        for j in range(i + 1, 5):
            other = list(frames)
            other[i], other[j] = other[j], other[i]
            disk.now[path][:] = head + b"".join(other)
            found = seen(disk, told)
            assert isinstance(found, StateError)
            assert place_of(found) == (path, at[i], 3 * i)
        for other in (frames[:i] + frames[i + 1 :], frames[: i + 1] + frames[i:]):
            disk.now[path][:] = head + b"".join(other)
            assert isinstance(seen(disk, told), StateError)


def test_a_frame_of_another_journal_is_seen_though_its_seq_fits():
    one, two = MemoryDisk(), MemoryDisk()
    for disk, seed in ((one, 1), (two, 2)):
        journal = opened(disk, chance=seeded(seed))
        fill(journal, 3, seed=seed)
        journal.close()
    [path] = one.now
    to, of = frames_at(bytes(one.now[path])), frames_at(bytes(two.now[path]))
    one.now[path][to[1] : to[2]] = two.now[path][of[1] : of[2]]
    with pytest.raises(StateError, match="the frame before this one is not the one it names"):
        lines_of(read_journal(one, FOLDER))


def test_a_frame_that_leaves_out_a_seq_is_seen_though_it_names_its_predecessor():
    disk, _ = small(close=False)
    last = max(disk.now)
    _, end, previous, _ = read_journal(disk, FOLDER).end
    disk.now[last] += encode_frame(END, 0, 0, 99, end, previous, b"")
    with pytest.raises(StateError, match="the frame begins with seq 99") as caught:
        read_journal(disk, FOLDER)
    assert place_of(caught.value) == (last, end, 6)


def test_a_last_segment_of_another_journal_is_seen_when_it_is_opened():
    """Its name and its records fit."""
    one, two = MemoryDisk(), MemoryDisk()
    for disk, seed in ((one, 1), (two, 2)):
        journal = opened(disk, chance=seeded(seed), segment_bytes=400)
        for seq in range(4):
            journal.append(seq, messages([b"x"], seq), "day.ndjson:1")
        journal.close()
    assert one.names(FOLDER) == two.names(FOLDER)
    one.now[max(one.now)] = two.now[max(two.now)]
    with pytest.raises(StateError, match="names another end"):
        read_journal(one, FOLDER)


def test_missing_and_exchanged_segments_are_named():
    disk = MemoryDisk()
    journal = opened(disk, segment_bytes=500)
    fill(journal, 12)
    journal.close()
    paths = sorted(disk.now)
    assert len(paths) >= 4
    for number, path in enumerate(paths):
        broken = disk.copy()
        broken.remove(path)
        if number == len(paths) - 1:
            assert read_journal(broken, FOLDER).seq_end == int(path.name[:16])
        else:
            with pytest.raises(StateError, match="missing") as caught:
                read_journal(broken, FOLDER, kept_from=0)
            assert place_of(caught.value)[0].name == path.name
        with pytest.raises(StateError):
            opened(broken, must_reach_seq=36)
    broken = disk.copy()
    a, b = paths[1:3]
    broken.now[a], broken.now[b] = broken.now[b], broken.now[a]
    with pytest.raises(StateError, match=f"says that it begins with seq {int(b.name[:16])}"):
        read_journal(broken, FOLDER)


def test_damage_in_an_older_segment_is_found_when_it_is_read_and_nothing_after_it_is_believed():
    disk = MemoryDisk()
    journal = opened(disk, segment_bytes=500)
    told = fill(journal, 12)
    journal.close()
    path = sorted(disk.now)[1]
    at = frames_at(bytes(disk.now[path]))[0]
    disk.now[path][at + HEAD_BYTES + 5] ^= 1
    reader = read_journal(disk, FOLDER)
    given = []
    with pytest.raises(StateError, match="does not match its checksum"):
        given.extend(line for run in reader.read(0) for line in run.lines)
    assert given == told[: int(path.name[:16])]
    assert lines_of(reader, seq0=30) == told[30:]


# ---------------------------------------------------------------- crashes


def script(disk):
    """What a run does, small segments included; yields how many lines are durable after each step."""
    journal = opened(disk, segment_bytes=400)
    for _ in range(4):
        seq = journal.seq_end
        journal.append(
            seq, messages([b"a%d" % seq, b"b%d" % seq], seq + 1), f"day.ndjson:{seq + 2}"
        )
        journal.sync()
        yield journal.seq_end
    journal.append_config(8, b'{"config":"sha256:c"}')
    journal.sync()
    yield 9
    journal.close()
    yield 9


def test_killed_at_any_step_the_next_start_goes_on_with_everything_that_was_durable():
    """Exhaustive over every write, sync, new file and cut, killed process and power failure."""
    whole = MemoryDisk()
    for _ in script(whole):
        pass
    told = lines_of(read_journal(whole, FOLDER))
    n_kills = 0
    for fuse in range(10_000):
        disk, durable = MemoryDisk(), 0
        disk.fuse = fuse
        try:
            for done in script(disk):
                durable = done
            break
        except Killed:
            n_kills += 1
        disk.fuse = None
        for seed in range(4):
            other = disk.copy()
            other.durable = dict(disk.durable)
            if seed:
                other.crash(random.Random(seed))
            journal = opened(other, must_reach_seq=durable, segment_bytes=400)
            assert durable <= journal.seq_end <= len(told)
            assert lines_of(journal) == told[: journal.seq_end]
            fill(journal, 2)
            journal.close()
            assert seen(other, lines_of(journal)) is None
    assert n_kills > 30


def test_a_lost_page_is_a_crash_only_if_nothing_behind_it_says_that_it_was_durable():
    """Two frames without a sync between them, the first one damaged; then the same with a sync."""
    for is_synced in (False, True):
        disk = MemoryDisk()
        journal = opened(disk)
        told = fill(journal, 1)
        journal.sync()
        start = disk.size(FOLDER / journal.segment)
        fill(journal, 1)
        if is_synced:
            journal.sync()
        fill(journal, 1)
        [path] = disk.now
        disk.now[path][start + 100] ^= 1
        if is_synced:
            with pytest.raises(StateError, match="does not match its checksum"):
                opened(disk)
        else:
            journal = opened(disk)
            assert lines_of(journal) == told
            assert journal.dropped.n_bytes > 2 * HEAD_BYTES


def test_what_a_killed_process_left_in_memory_is_durable_once_the_journal_is_open():
    """Outcomes of it leave after the start; a power failure then must not take it away."""
    disk = MemoryDisk()
    told = fill(opened(disk), 3)
    opened(disk)
    disk.now = {path: bytearray(data) for path, data in disk.durable.items()}
    assert lines_of(opened(disk, must_reach_seq=9)) == told


@pytest.mark.parametrize("fails_to_cut", [False, True])
def test_a_full_disk_stops_the_run_and_the_next_one_goes_on(fails_to_cut):
    """For every number of bytes that still fit."""
    for room in range(0, 900, 7):
        disk = MemoryDisk()
        journal = opened(disk, segment_bytes=400)
        fill(journal, 1)
        journal.sync()
        disk.room, disk.fails_to_cut = room, fails_to_cut
        durable = journal.seq_end
        caught = None
        while caught is None:
            try:
                fill(journal, 1)
                journal.sync()
                durable = journal.seq_end
            except StateError as error:
                caught = error
        assert "No space left on device" in caught.what
        assert place_of(caught)[2] == journal.seq_end
        assert caught.fix.startswith("make room")
        for call in (
            journal.sync,
            lambda: fill(journal, 1),  # noqa: B023
            lambda: journal.append_config(journal.seq_end, b'{"config":"x"}'),  # noqa: B023
        ):
            with pytest.raises(StateError, match="No space left"):
                call()
        journal.close()
        disk.room, disk.fails_to_cut = None, False
        journal = opened(disk, must_reach_seq=durable, segment_bytes=400)
        assert journal.seq_end == durable
        told = [*lines_of(journal), *fill(journal, 3)]
        journal.close()
        assert seen(disk, told) is None


def test_a_sync_that_fails_is_never_tried_again():
    disk = MemoryDisk()
    journal = opened(disk, threaded=True)
    fill(journal, 1)
    disk.fails_to_sync = True
    journal.begin_sync()
    with pytest.raises(StateError, match="Input/output error"):
        journal.wait()
    disk.fails_to_sync = False
    with pytest.raises(StateError, match="Input/output error"):
        journal.sync()
    journal.close()


def test_a_file_that_a_crash_left_while_a_segment_was_begun_is_cleared_away():
    disk, told = small()
    begun = FOLDER / "0000000000000006.wj"
    for left in (b"", b"WEIR", bytes(300)):
        broken = disk.copy()
        broken.now[begun], broken.durable[begun] = bytearray(left), left
        assert read_journal(broken, FOLDER).tail.segment == begun.name
        journal = opened(broken, must_reach_seq=6)
        assert journal.dropped.segment == begun.name
        assert lines_of(journal) == told
        with pytest.raises(StateError):
            opened(broken, must_reach_seq=7)


def test_a_second_journal_that_goes_on_writes_the_same_as_one_that_never_stopped():
    """But for the ends, which say that there was a stop: the records, their positions, the configuration."""
    disk = MemoryDisk()
    journal = opened(disk)
    for seq in range(0, 20, 2):
        journal.append(seq, messages([b"x", b"y"], seq + 1, live=True), f"day.ndjson:{seq + 2}")
        if seq % 6 == 0:
            journal.close()
            journal = opened(disk)
            assert journal.seq_end == seq + 2
            assert journal.source_position == f"day.ndjson:{seq + 2}"
    assert journal.dropped is None
    assert [m for run in journal.read(0) for m in run.messages.positions] == [
        f"day.ndjson:{k}" for k in range(1, 21)
    ]


# ---------------------------------------------------------------- what is kept


def test_ticks_and_control_files_move_no_source():
    disk = MemoryDisk()
    journal = opened(disk)
    journal.append(0, messages([b"a"], 7), "day.ndjson:7")
    journal.append(1, Messages([b"t"], ["tick"], np.array([5])), "day.ndjson:7")
    journal.sync()
    assert read_journal(disk, FOLDER).source_position == "day.ndjson:7"
    assert [run.source_position for run in journal.read(0)] == ["day.ndjson:7"] * 2


def test_the_configuration_is_that_of_the_last_configuration_record_across_segments():
    disk = MemoryDisk()
    journal = opened(disk, segment_bytes=300)
    fill(journal, 1)
    journal.append_config(3, b'{"kind":"config","config":"sha256:b"}')
    fill(journal, 4)
    journal.close()
    reader = read_journal(disk, FOLDER)
    assert len(reader.segments) > 1
    assert reader.config == "sha256:b"
    assert reader.segments[0].header.config == CONFIG
    assert opened(disk).config == "sha256:b"
    [run] = reader.read(3, 4)
    assert run.config == b'{"kind":"config","config":"sha256:b"}'
    assert len(run) == 1
    assert not len(run.messages)


def test_a_part_of_a_run_can_be_read():
    disk = MemoryDisk()
    journal = opened(disk)
    journal.append(0, messages([b"0", b"1", b"2", b"3"], live=True), "day.ndjson:4")
    [run] = journal.read(1, 3)
    assert (run.seq0, run.seq_end, list(run.lines)) == (1, 3, [b"1", b"2"])
    assert run.messages.positions == ["day.ndjson:2", "day.ndjson:3"]
    assert run.messages.arrival_us.tolist() == [10**15 + 2, 10**15 + 3]
    assert run.leaves() == next(journal.read(0)).leaves()[32:96]


def test_records_that_are_not_there_are_an_error_and_no_silence():
    disk, _ = small()
    reader = read_journal(disk, FOLDER)
    with pytest.raises(StateError, match="the journal holds seq 0 to 5, asked for was 2 to 8"):
        list(reader.read(2, 9))
    assert lines_of(reader, 6) == []


@pytest.mark.parametrize("keeps_last", [False, True])
def test_a_reader_follows_a_journal_that_is_being_written(keeps_last):
    disk = MemoryDisk()
    journal = opened(disk, segment_bytes=500)
    told, given = [], []
    reader = read_journal(disk, FOLDER, keeps_last=keeps_last)
    for _ in range(10):
        told += fill(journal, 1)
        [path] = [p for p in disk.now if p.name == journal.segment]
        torn = bytes(disk.now[path][:HEAD_BYTES])
        disk.now[path] += torn  # the next frame is being written
        reader.refresh()
        assert reader.tail is not None
        given += lines_of(reader, len(given))
        del disk.now[path][-len(torn) :]
    reader.refresh()
    assert reader.tail is None
    assert given == told


def test_a_walk_holds_a_piece_and_ends_where_the_file_ended_when_it_began(monkeypatch):
    """Segments of 64 MB at once were memory that comes and goes beside a live engine."""
    disk = MemoryDisk()
    journal = opened(disk)
    told, asked = fill(journal, 40), []
    [path] = disk.now
    disk.read = lambda path, start=0, length=-1: (
        asked.append(length) or MemoryDisk.read(disk, path, start, length)
    )
    reader = read_journal(disk, FOLDER)
    size = max(frame.offset for _, frame in reader.frames(0))
    monkeypatch.setattr(frames, "PIECE_BYTES", size // 8)
    asked.clear()
    walk = reader.read(0)
    given = [*next(walk).lines]
    told_before = reader.seq_end
    fill(journal, 1)
    disk.now[path] += disk.now[path][-50:]  # a frame that is being written
    given += [line for run in walk for line in run.lines]
    assert given == told[:told_before]
    assert len(asked) >= 8
    assert max(asked) <= size // 4, "all in one piece"


def test_pieces_of_a_file_end_where_it_ended():
    disk, path, data = MemoryDisk(), FOLDER / "a", bytes(range(250))
    for part in (data[:100], data[100:]):
        file = disk.append(path)
        file.write(part)
        if part == data[:100]:
            pieces = frames.Pieces(disk, path, 10)
    assert (pieces.start, pieces.stop) == (10, 100)
    for at, n in ((10, 5), (12, 80), (15, 1), (95, 50), (100, 1), (120, 1), (99, 1)):
        assert pieces.take(at, n) == data[at : min(at + n, 100)]


@keys
def test_whoever_keeps_the_last_segment_reads_every_segment_once(key, monkeypatch):
    monkeypatch.setattr(frames, "PIECE_BYTES", 1 << 22)
    disk, _ = small(key)
    asked = []
    disk.read = lambda path, start=0, length=-1: (
        asked.append((path, start, length)) or MemoryDisk.read(disk, path, start, length)
    )
    found = list(read_journal(disk, FOLDER, keeps_last=True).frames(0))
    behind = [path for path, start, length in asked if start and length != HEAD_BYTES]
    assert sorted(behind) == sorted(disk.now), "what is behind the header of a segment"
    assert found == list(read_journal(disk, FOLDER).frames(0))


def test_huge_lines_become_several_frames_and_one_link(monkeypatch):
    monkeypatch.setattr("engine.durable.journal.writer.FRAME_BYTES", 1_000)
    disk = MemoryDisk()
    journal = opened(disk)
    lines = [b"x" * n for n in (10, 990, 5_000, 0, 20, 1_000)]
    link = journal.append(0, messages(lines), "day.ndjson:6")
    runs = list(journal.read(0))
    assert [list(run.lines) for run in runs] == [lines[:2], lines[2:3], lines[3:5], lines[5:]]
    assert [run.source_position for run in runs] == [f"day.ndjson:{k}" for k in (2, 3, 5, 6)]
    assert link.leaves == b"".join(run.leaves() for run in runs)
    assert link.about == b"".join(run.about for run in runs)
    assert link.digest == runs[-1].digest


def test_a_real_disk_keeps_what_memory_keeps(tmp_path):
    """The same calls on the machine's disk, with the thread that syncs, give the same bytes."""
    memory = MemoryDisk()
    for disk, folder in ((memory, FOLDER), (RealDisk(), tmp_path / "journal")):
        journal = open_journal(
            disk,
            folder,
            opening_config=CONFIG,
            durability="sync",
            segment_bytes=500,
            chance=seeded(3),
        )
        fill(journal, 9)
        journal.begin_sync()
        journal.wait()
        journal.close()
        journal.close()
    written = {path.name: path.read_bytes() for path in (tmp_path / "journal").iterdir()}
    assert written == {path.name: bytes(data) for path, data in memory.now.items()}
    real = RealDisk()
    path = tmp_path / "journal" / max(written)
    real.truncate(path, real.size(path) - HEAD_BYTES - 3)
    journal = open_journal(real, path.parent, opening_config=CONFIG, durability="flush")
    assert journal.dropped is not None
    assert journal.seq_end == 24
    journal.close()


# ---------------------------------------------------------------- keys


def test_an_encrypted_journal_shows_no_line_and_opens_with_its_key_only():
    disk, told = small(KEY)
    assert not any(
        told[0] in bytes(data) or b"day.ndjson:1" in bytes(data) for data in disk.now.values()
    )
    for key, what in (
        (None, "no key is given"),
        (bytes(32), "not the one that this was encrypted"),
    ):
        with pytest.raises(StateError, match=what):
            opened(disk.copy(), key=key)
        with pytest.raises(StateError, match=what):
            lines_of(read_journal(disk, FOLDER, key))
    frames = [list(read_journal(disk, FOLDER, key).frames(0)) for key in (None, KEY)]
    assert len(frames[0]) == len(frames[1]) >= 5  # its chain can be checked without


def test_a_journal_in_the_clear_goes_on_encrypted_when_a_key_is_given():
    disk, told = small()
    journal = opened(disk, key=KEY)
    told += fill(journal, 1)
    journal.close()
    assert [bool(s.header.salt) for s in read_journal(disk, FOLDER).segments] == [
        False,
        False,
        True,
    ]
    assert lines_of(read_journal(disk, FOLDER, KEY)) == told


def test_an_empty_journal_in_the_clear_begins_anew_with_the_key():
    """Also one whose last segment holds nothing."""
    for n in (0, 2):
        disk = MemoryDisk()
        journal = opened(disk, segment_bytes=1)
        told = fill(journal, n, n=1)
        journal.close()
        journal = opened(disk, segment_bytes=1)
        told += fill(journal, 1, n=1) if n else []
        journal.close()
        journal = opened(disk, key=KEY)
        told += fill(journal, 1, n=1)
        journal.close()
        assert seen(disk, told, KEY) is None
        assert read_journal(disk, FOLDER).segments[-1].header.salt


def test_the_same_record_is_never_encrypted_the_same_way():
    """Two segments of the same records under one key share no block of text."""
    disks = [MemoryDisk(), MemoryDisk()]
    bodies = []
    for seed, disk in enumerate(disks):
        journal = opened(disk, key=KEY, chance=seeded(seed))
        fill(journal, 1)
        journal.close()
        [(_, frame), _] = read_journal(disk, FOLDER, KEY).frames(0)
        bodies.append(frame.body)
    blocks = [{body[k : k + 8] for k in range(len(body) - 8)} for body in bodies]
    assert not blocks[0] & blocks[1]


def test_keys_are_hexadecimal_or_base64_and_refusals_do_not_show_them(monkeypatch, tmp_path):
    text = "00112233445566778899aabbccddeeff" * 2
    assert parse_key(f" {text}\n", "x") == bytes.fromhex(text)
    assert parse_key("ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=", "x") == bytes.fromhex(text)
    assert read_key() is None
    monkeypatch.setenv("WEIR_TEST_KEY", text)
    assert read_key(env="WEIR_TEST_KEY") == bytes.fromhex(text)
    file = tmp_path / "key"
    file.write_text(text + "\n")
    assert read_key(file=file) == bytes.fromhex(text)
    secret = "hunter2hunter2"
    for bad in (secret, text[:-1], ""):
        with pytest.raises(ConfigError) as caught:
            parse_key(bad, "weir.yaml")
        assert secret not in str(caught.value)
    for given in ({"env": "WEIR_NO_SUCH"}, {"file": tmp_path / "none"}, {"env": "A", "file": "b"}):
        with pytest.raises(ConfigError):
            read_key(**given)


# ---------------------------------------------------------------- erasing and retiring


@keys
def test_erasing_takes_payload_and_salt_and_leaves_the_chain(key):
    disk = MemoryDisk()
    told = sealed(disk, 4, key=key)
    journal = opened(disk, key=key, segment_bytes=600)
    sealer = Sealer(disk, FOLDER.parent)
    before = list(journal.read(0))
    journal.erase([4, 5, 22], sealer.note_erased)
    journal.erase([3], sealer.note_erased)  # the same frame once more
    journal.close()
    reader, chain = read_journal(disk, FOLDER, key), read_seals(disk, FOLDER.parent)
    after = list(reader.read(0))
    gone = {3, 4, 5, 22}
    assert [run.link() for run in after] == [run.link() for run in before]
    assert [run.messages.positions for run in after] == [run.messages.positions for run in before]
    assert lines_of(reader) == [b"" if k in gone else line for k, line in enumerate(told)]
    assert {run.seq0 + row for run in after for row in run.erased} == gone
    for seq in gone:
        assert not any(told[seq] in bytes(data) for data in disk.now.values())
        salt = b"".join(run.salts for run in before)[16 * seq : 16 * seq + 16]
        assert not any(salt in bytes(data) for data in disk.now.values())
    assert check_journal(chain, reader, leaves=True) == []
    assert check_journal(chain, read_journal(disk, FOLDER)) == []  # and without a key


def test_a_payload_that_is_taken_out_without_a_note_is_found():
    disk = MemoryDisk()
    sealed(disk, 4)
    journal = opened(disk)
    journal.erase([4], lambda _: None)
    journal.close()
    chain = read_seals(disk, FOLDER.parent)
    [finding] = check_journal(chain, read_journal(disk, FOLDER))
    assert (finding.seq0, finding.seq_end) == (3, 6)
    assert "no note says so" in finding.what


def test_an_erasure_that_was_noted_and_not_carried_out_is_found():
    """Killed between the note and the new file: the record is still there."""
    disk = MemoryDisk()
    told = sealed(disk, 4)
    journal = opened(disk)
    sealer = Sealer(disk, FOLDER.parent)

    def note(frames):
        sealer.note_erased(frames)
        disk.fuse = 0

    with pytest.raises(Killed):
        journal.erase([4], note)
    disk.fuse = None
    assert lines_of(opened(disk)) == told
    assert all(path.suffix == ".wj" for path in disk.now if FOLDER in path.parents)
    [finding] = check_journal(read_seals(disk, FOLDER.parent), read_journal(disk, FOLDER))
    assert "still there" in finding.what


@pytest.mark.parametrize("seqs", [[99], [2, 99], [6]], ids=["none", "one of two", "configuration"])
def test_what_cannot_be_erased_changes_nothing(seqs):
    disk = MemoryDisk()
    journal = opened(disk)
    fill(journal, 2)
    journal.append_config(6, b'{"config":"sha256:b"}')
    journal.close()
    journal = opened(disk)
    told = lines_of(journal)
    with pytest.raises(StateError, match="cannot be erased, and nothing was"):
        journal.erase(seqs, lambda _: pytest.fail("noted"))
    assert lines_of(journal) == told


def test_a_disk_that_is_full_while_erasing_leaves_everything_as_it_was():
    disk = MemoryDisk()
    journal = opened(disk, segment_bytes=600)
    told = fill(journal, 8)
    disk.room = 300
    with pytest.raises(StateError, match="nothing was erased"):
        journal.erase([1], lambda _: pytest.fail("noted"))
    disk.room = None
    assert lines_of(journal) == told


def test_old_segments_retire_whole_and_the_seals_know():
    disk = MemoryDisk()
    told = sealed(disk, 6)
    journal = opened(disk)
    sealer = Sealer(disk, FOLDER.parent)
    names = journal.retirable(20)
    assert names
    sealer.note_retired(names, 20)
    first = journal.retire(20)
    assert 0 < first <= 20
    assert journal.first_seq == first
    assert lines_of(journal, first) == told[first:]
    journal.close()
    chain = read_seals(disk, FOLDER.parent)
    assert chain.kept_from == 20
    reader = read_journal(disk, FOLDER, kept_from=chain.kept_from)
    assert check_journal(chain, reader, leaves=True) == []
    with pytest.raises(StateError, match="the journal holds seq"):
        lines_of(reader, 0)
    with pytest.raises(StateError, match="missing"):
        opened(disk)  # who does not know of it takes it for damage
    opened(disk, kept_from=chain.kept_from)
    disk.remove(FOLDER / f"{first:016d}.wj")
    assert "should with 20" in check_journal(chain, read_journal(disk, FOLDER))[0].what


def test_the_segment_that_is_being_written_never_retires():
    disk = MemoryDisk()
    journal = opened(disk)
    fill(journal, 3)
    assert journal.retirable(10**9) == []
    assert journal.retire(10**9) == 0
    assert len(lines_of(journal)) == 9


def test_retiring_reads_nothing(monkeypatch):
    """A live engine does it between two decisions, however much was written since it looked last."""
    disk = MemoryDisk()
    journal = opened(disk, segment_bytes=600)
    told = fill(journal, 6)
    with monkeypatch.context() as patched:
        patched.setattr(disk, "read", None)
        patched.setattr(disk, "open", None)
        assert journal.retirable(6)
        first = journal.retire(6)
    assert 0 < first <= 6
    assert lines_of(journal, first) == told[first:]


def test_strange_files_are_told_and_left_alone():
    disk, told = small()
    for name in ("notes.new", "notes.txt"):
        disk.create(FOLDER / name).write(b"mine")
    assert lines_of(opened(disk)) == told
    assert read_journal(disk, FOLDER).strangers == ["notes.new", "notes.txt"]


def test_ends_stand_where_a_journal_was_closed():
    disk = MemoryDisk()
    for _ in range(3):
        journal = opened(disk)
        fill(journal, 1)
        journal.close()
    opened(disk).close()  # nothing was written, so nothing is added
    kinds = [frame.kind for _, frame in read_journal(disk, FOLDER).frames(0)]
    assert kinds == [1, END] * 3


def test_salts_are_chance():
    """Two journals of the same records have no leaf in common."""
    leaves = []
    for _ in range(2):
        journal = opened(MemoryDisk(), chance=os.urandom)
        leaves.append(journal.append(0, messages([b"a", b"b"]), "x").leaves)
    assert len({leaf[k : k + 32] for leaf in leaves for k in (0, 32)}) == 4


def test_many_random_bytes_are_those_of_aes_in_counter_mode():
    """The key, the counter and the output blocks of NIST SP 800-38A, F.5.5."""
    key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
    counter = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
    blocks = (
        "0bdf7df1591716335e9a8b15c860c502",
        "5a6e699d536119065433863c8f657b94",
        "1bc12c9c01610d5d0d8bd6a3378eca62",
        "2956e1c8693536b1bee99c73a31576b6",
    )

    def chance(n):
        assert n == 48
        return bytes.fromhex(key + counter)

    found = many_random_bytes(MANY_BYTES + 5, chance)
    assert len(found) == MANY_BYTES + 5
    assert found[:64].hex() == "".join(blocks)


def test_few_random_bytes_come_from_chance_itself():
    assert many_random_bytes(MANY_BYTES - 1, lambda n: b"x" * n) == b"x" * (MANY_BYTES - 1)


@keys
def test_no_two_records_of_a_large_batch_share_a_salt(key):
    """Nor do two batches."""
    disk = MemoryDisk()
    journal = opened(disk, key=key, chance=os.urandom)
    fill(journal, 2, n=600)
    salts = b"".join(run.salts for run in journal.read(0))
    assert len({salts[k : k + 16] for k in range(0, len(salts), 16)}) == 1_200
