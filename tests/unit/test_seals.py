"""The chain of seals: what it covers, how it is gone on with, and that nothing is changed behind its back."""

import random
from itertools import pairwise
from pathlib import Path

import pytest

from config.errors import StateError
from engine.durable.journal import read_journal
from engine.durable.seals import (
    NO_ROOT,
    Note,
    Seal,
    Sealer,
    check_journal,
    check_streams,
    encode_line,
    parse,
    read_seals,
)
from tests.journaling import (
    CONFIG,
    DECISIONS,
    FOLDER,
    SEALS,
    Killed,
    MemoryDisk,
    messages,
    opened,
    sealed,
)

ROOT = FOLDER.parent
COPY = Path("elsewhere/roots.ndjson")


def findings(disk, *, leaves=False):
    """Everything that holding the folder against its chain finds."""
    chain = read_seals(disk, ROOT)
    reader = read_journal(disk, FOLDER, kept_from=chain.kept_from)
    found = check_streams(disk, ROOT, chain, n_threads=1)
    return found + check_journal(chain, reader, leaves=leaves)


# ---------------------------------------------------------------- what a chain says


def test_a_chain_that_nobody_touched_has_no_findings():
    disk = MemoryDisk()
    sealed(disk, 3)
    chain = read_seals(disk, ROOT)
    assert findings(disk, leaves=True) == []
    assert [(s.number, s.seq0, s.seq_end) for s in chain.seals] == [
        (0, 0, 6),
        (1, 6, 12),
        (2, 12, 18),
    ]
    assert chain.seals[0].previous == NO_ROOT
    assert all(after.previous == before.hash for before, after in pairwise(chain.lines))
    assert chain.root == chain.seals[-1].hash
    assert chain.torn_byte == -1


def test_a_folder_without_seals_has_an_empty_chain():
    chain = read_seals(MemoryDisk(), ROOT)
    assert (chain.lines, chain.root, chain.seq_end, chain.kept_from) == ([], NO_ROOT, 0, 0)


def test_notes_stand_between_seals_and_are_part_of_the_chain():
    disk = MemoryDisk()
    sealed(disk, 1)
    sealer = Sealer(disk, ROOT)
    root = sealer.note("snapshot", 6, sha256={"state.npz": "ab", "manifest.json": "cd"})
    sealer.note("recovered", {"n_derived": 3})
    chain = read_seals(disk, ROOT)
    assert [type(line) for line in chain.lines] == [Seal, Note, Note]
    [snapshot] = chain.notes("snapshot")
    assert snapshot.fields == {"snapshot": 6, "sha256": {"state.npz": "ab", "manifest.json": "cd"}}
    assert snapshot.hash == root == chain.lines[2].previous
    assert chain.roots[1] == root


def test_streams_that_did_not_grow_are_told_with_nothing_to_hash():
    disk = MemoryDisk()
    journal, sealer = opened(disk), Sealer(disk, ROOT)
    for seq, streams in enumerate(
        ({"decisions": b"a\n", "alerts": b"b\n"}, {"decisions": b"cd\n"}, {})
    ):
        sealer.add(journal.append(seq, messages([b"x"]), "p"), streams)
        sealer.draw(config=CONFIG, core_time="t", closes_day="2026-03-01" if seq else None)()
    told = [{k: v[:2] for k, v in seal.streams.items()} for seal in read_seals(disk, ROOT).seals]
    assert told == [
        {"decisions": (0, 2), "alerts": (0, 2)},
        {"decisions": (2, 5), "alerts": (2, 2)},
        {"decisions": (5, 5), "alerts": (2, 2)},
    ]
    assert read_seals(disk, ROOT).seals[2].streams["alerts"][2] == ""
    assert read_seals(disk, ROOT).seals[2].closes_day == "2026-03-01"


def test_bytes_that_belong_to_no_record_are_covered_too():
    """Lines of the delivery log are known after their batch was added."""
    disk = MemoryDisk()
    journal, sealer = opened(disk), Sealer(disk, ROOT)
    sealer.add(journal.append(0, messages([b"x"]), "p"), {"decisions": b"a\n"})
    sealer.cover({"delivery": b"{}\n"})
    assert sealer.lengths == {"decisions": 2, "delivery": 3}
    assert (sealer.seq_end, sealer.covered_end) == (0, 1)
    sealer.draw(config=CONFIG, core_time="t")()
    assert sealer.seq_end == 1
    assert set(read_seals(disk, ROOT).seals[0].streams) == {"decisions", "delivery"}


def test_how_records_were_cut_into_batches_changes_no_leaf_and_no_stream():
    """Only the digest of the journal differs, for it is of the frames."""
    told = []
    for cuts in ([0, 6], [0, 1, 3, 6]):
        disk = MemoryDisk()
        journal, sealer = opened(disk, chance=bytes), Sealer(disk, ROOT)
        for a, b in pairwise(cuts):
            link = journal.append(a, messages([b"%d" % k for k in range(a, b)], a), "p")
            sealer.add(link, {"decisions": b"".join(b"%d\n" % k for k in range(a, b))})
        sealer.draw(config=CONFIG, core_time="t")()
        [seal] = read_seals(disk, ROOT).seals
        told.append((seal.leaves, seal.streams))
    assert told[0] == told[1]


# ---------------------------------------------------------------- damage to the chain


@pytest.fixture(scope="module")
def folder():
    """Seals and notes in a chain, with a copy of the roots."""
    disk = MemoryDisk()
    sealed(disk, 3, copy=COPY)
    sealer = Sealer(disk, ROOT, root_copy=COPY)
    sealer.note("snapshot", 18, sha256={"state.npz": "ab"})
    return disk


def is_noticed(disk):
    """Whether reading the chain, or going on with it beside the copy of roots, tells that something is wrong."""
    try:
        chain = read_seals(disk, ROOT)
        if chain.torn_byte >= 0:
            return True
        Sealer(disk, ROOT, root_copy=COPY)
    except StateError:
        return True
    return False


def test_the_chain_of_these_tests_is_whole(folder):
    assert not is_noticed(folder.copy())
    assert findings(folder) == []


def test_every_flipped_byte_of_the_chain_is_seen_and_its_line_named(folder):
    data = folder.now[SEALS]
    lines = bytes(data).split(b"\n")
    starts = [sum(len(line) + 1 for line in lines[:k]) for k in range(len(lines))]
    for byte in range(len(data)):
        for mask in (0x01, 0x20, 0x80):
            data[byte] ^= mask
            number = sum(start <= byte for start in starts)
            place = f"{SEALS}:{number} (byte {starts[number - 1]})"
            if byte == len(data) - 1:  # the last line end: the line is not finished
                assert read_seals(folder, ROOT).torn_byte == starts[number - 1]
            else:
                with pytest.raises(StateError) as caught:
                    read_seals(folder, ROOT)
                assert caught.value.where == place, f"byte {byte}"
            data[byte] ^= mask


def test_every_truncation_of_the_chain_is_seen(folder):
    """In the middle of a line by itself, between two lines beside the copy of roots."""
    whole = bytes(folder.now[SEALS])
    for length in range(len(whole)):
        disk = folder.copy()
        disk.now[SEALS][:] = whole[:length]
        assert is_noticed(disk), f"cut to {length} bytes"
    disk = folder.copy()
    disk.remove(SEALS)
    assert is_noticed(disk)


def test_lines_that_are_removed_exchanged_repeated_or_put_in_are_seen(folder):
    whole = bytes(folder.now[SEALS]).splitlines(keepends=True)
    changed = []
    for i in range(len(whole)):
        changed += [whole[:i] + whole[i + 1 :], whole[: i + 1] + whole[i:]]
        changed += [[*whole[:i], b"\n", *whole[i:]], [*whole[:i], b"{}\n", *whole[i:]]]
        for j in range(i + 1, len(whole)):
            other = list(whole)
            other[i], other[j] = other[j], other[i]
            changed.append(other)
    for lines in changed:
        disk = folder.copy()
        disk.now[SEALS][:] = b"".join(lines)
        assert is_noticed(disk), b"".join(lines)


def test_spaces_and_order_of_keys_are_part_of_a_line(folder):
    whole = bytes(folder.now[SEALS])
    for old, new in ((b'"n":', b'"n": '), (b'"n":6', b'"n":6,"n":6'), (b"\n", b" \n")):
        with pytest.raises(StateError, match="not that of what it says"):
            parse(whole.replace(old, new, 1), "seals")


def test_a_chain_that_is_written_anew_is_seen_beside_a_root_from_outside():
    """Journal, stream and seals are consistent with each other; only the root tells."""
    disk, forged = MemoryDisk(), MemoryDisk()
    sealed(disk, 3, copy=COPY)
    sealed(forged, 3, seed=1)
    assert findings(forged, leaves=True) == []
    forged.now[COPY] = disk.now[COPY]
    assert read_seals(disk, ROOT).root not in read_seals(forged, ROOT).roots
    with pytest.raises(StateError, match="which this chain of seals never had"):
        Sealer(forged, ROOT, root_copy=COPY)


def test_a_seal_that_does_not_follow_the_one_before_is_refused_though_its_hash_is_right(folder):
    seals = read_seals(folder, ROOT).seals
    first = bytes(folder.now[SEALS]).split(b"\n", 1)[0] + b"\n"

    def second(**changed):
        fields = {
            "seal": 1,
            "seq0": 6,
            "n": 6,
            "leaves": "",
            "about": "",
            "journal": "",
            "streams": {"decisions": [seals[0].streams["decisions"][1], 99, ""]},
            "config": CONFIG,
            "core_time": "t",
            "closes_day": None,
            "kept_from": 0,
        }
        return first + encode_line({**fields, **changed}, seals[0].hash)[0]

    assert len(parse(second(), "seals").seals) == 2
    for changed in (
        {"seal": 2},
        {"seq0": 7},
        {"streams": {}},
        {"streams": {"decisions": [0, 99, ""]}},
        {
            "streams": {
                "decisions": [seals[0].streams["decisions"][1], 99, ""],
                "alerts": [5, 6, ""],
            }
        },
        {"n": None},
        {"streams": {"decisions": [1]}},
    ):
        with pytest.raises(StateError):
            parse(second(**changed), "seals")


# ---------------------------------------------------------------- damage to what is sealed


def test_every_flipped_byte_of_a_stream_is_found_in_its_seal():
    disk = MemoryDisk()
    sealed(disk, 3)
    data = disk.now[DECISIONS]
    for byte in range(len(data)):
        data[byte] ^= 0x04
        [found] = findings(disk)
        data[byte] ^= 0x04
        seal = next(s for s in read_seals(disk, ROOT).seals if byte < s.streams["decisions"][1])
        assert (found.file, found.seq0, found.seq_end) == (
            "decisions.ndjson",
            seal.seq0,
            seal.seq_end,
        )
        assert found.byte == seal.streams["decisions"][0]


def test_a_stream_that_is_cut_or_gone_is_found():
    disk = MemoryDisk()
    sealed(disk, 3)
    whole = bytes(disk.now[DECISIONS])
    for length in range(len(whole)):
        disk.now[DECISIONS][:] = whole[:length]
        assert any(f.byte == length and "it ends at" in f.what for f in findings(disk))
    disk.remove(DECISIONS)
    assert len(findings(disk)) == 3


def test_every_flipped_byte_of_a_sealed_journal_is_found():
    disk = MemoryDisk()
    sealed(disk, 2)
    for path in [p for p in disk.now if p.suffix == ".wj"]:
        data = disk.now[path]
        for byte in range(0, len(data), 2):
            data[byte] ^= 0x40
            try:
                found = findings(disk)
                assert found or read_journal(disk, FOLDER).tail, f"byte {byte}"
                assert all(f.file == f"journal/{path.name}" for f in found)
            except StateError:  # already refused when it was opened
                pass
            data[byte] ^= 0x40


def test_records_that_were_written_anew_with_all_their_hashes_are_found():
    """Another journal of the same length; its own chain is whole."""
    disk, other = MemoryDisk(), MemoryDisk()
    sealed(disk, 3)
    sealed(other, 3, seed=1)
    for path in [p for p in disk.now if p.suffix == ".wj"]:
        disk.remove(path)
    for path in [p for p in other.now if p.suffix == ".wj"]:
        disk.now[path], disk.durable[path] = other.now[path], other.durable[path]
    found = findings(disk)
    assert [f.what for f in found] == [
        f"it is not the frame that seal {k} ends with" for k in range(3)
    ]


def test_a_journal_that_ends_before_its_seals_is_found():
    disk = MemoryDisk()
    sealed(disk, 3)
    disk.remove(max(p for p in disk.now if p.suffix == ".wj"))
    [found] = [f for f in findings(disk) if "sealed is 17" in f.what]
    assert found.seq_end == 18


def test_a_changed_leaf_is_found_even_when_the_frame_still_names_its_digest():
    """A frame that claims to be erased, with a note, but whose leaves are others."""
    disk = MemoryDisk()
    sealed(disk, 3)
    journal, sealer = opened(disk), Sealer(disk, ROOT)
    journal.erase([1], sealer.note_erased)
    journal.close()
    assert findings(disk, leaves=True) == []
    from engine.durable.journal import erasing

    lie = erasing.leaves_of
    erasing.leaves_of = lambda *given: bytes(len(lie(*given)))
    try:
        journal = opened(disk)
        journal.erase([7], sealer.note_erased)
        journal.close()
    finally:
        erasing.leaves_of = lie
    assert findings(disk) == []  # digests and notes fit
    assert [f.what for f in findings(disk, leaves=True)] == [
        "records of seal 1 are not those sealed"
    ]


# ---------------------------------------------------------------- going on after a crash


def again(disk, upto):
    """Seal every two batches from where the chain stands, as a start after a crash does, to seq `upto`."""
    journal = opened(disk)
    sealer = Sealer(disk, ROOT, root_copy=COPY)
    stream = disk.append(DECISIONS)
    for run in journal.read(sealer.seq_end, min(upto, journal.seq_end)):
        outcome = b'{"seq":%d}\n' % run.seq0
        if stream.tell() <= sealer.lengths.get("decisions", 0):
            stream.write(outcome)
        sealer.add(run.link(), {"decisions": outcome})
        if run.seq_end % 6 == 0:
            number = run.seq_end // 3 - 1
            sealer.draw(config=CONFIG, core_time=f"2026-03-01T00:0{number}:00Z")()
    return sealer


def test_killed_at_any_step_the_same_chain_comes_out_again():
    """Exhaustive over every step of writing it; seals are derived again bit for bit."""
    calm = MemoryDisk()
    sealed(calm, 3, copy=COPY)
    n_kills = 0
    for fuse in range(10_000):
        disk = MemoryDisk()
        disk.fuse = fuse
        try:
            sealed(disk, 3, copy=COPY)
            break
        except Killed:
            n_kills += 1
        disk.fuse = None
        for seed in range(3):
            other = disk.copy()
            other.durable = dict(disk.durable)
            if seed:
                other.crash(random.Random(seed))
            other.now.pop(DECISIONS, None)
            other.durable.pop(DECISIONS, None)
            sealer = again(other, 18)
            whole = bytes(calm.now[SEALS])
            assert whole.startswith(bytes(other.now[SEALS]))
            assert sealer.root in {NO_ROOT, *read_seals(calm, ROOT).roots}
    assert n_kills > 40


def test_an_unreadable_last_line_is_cut_off_and_told_but_one_before_it_stops_the_start():
    disk = MemoryDisk()
    sealed(disk, 3)
    whole = bytes(disk.now[SEALS])
    starts = [0]
    while (at := whole.find(b"\n", starts[-1])) >= 0:
        starts.append(at + 1)
    for left in (
        whole[:-1],
        whole[: starts[2] + 40],
        whole[: starts[2]] + bytes(99) + b"\n",
        whole[:-9] + bytes(9),
    ):
        other = disk.copy()
        other.now[SEALS][:] = left
        sealer = Sealer(other, ROOT)
        assert sealer.dropped == len(left) - starts[2]
        assert sealer.seq_end == 12
        assert bytes(other.now[SEALS]) == whole[: starts[2]]
    for byte in (starts[0] + 20, starts[1] + 20):
        other = disk.copy()
        other.now[SEALS][byte] ^= 1
        with pytest.raises(StateError, match="broken"):
            Sealer(other, ROOT)


def test_rubbish_with_line_ends_in_it_is_cut_off_as_one():
    """A page that was never written holds whatever stood there before."""
    disk = MemoryDisk()
    sealed(disk, 2)
    whole = bytes(disk.now[SEALS])
    for rubbish in (b"x\ny", b"\n\n", b"\n\x00\n", b"{}\n{}\n", b'{"seal":2\n"hash":1}\n'):
        disk.now[SEALS][:] = whole + rubbish
        sealer = Sealer(disk, ROOT)
        assert sealer.dropped == len(rubbish)
        assert bytes(disk.now[SEALS]) == whole


def test_a_full_disk_stops_the_chain_and_the_next_start_goes_on():
    disk = MemoryDisk()
    sealed(disk, 2)
    for room in range(0, 200, 11):
        other = disk.copy()
        sealer = Sealer(other, ROOT)
        other.room = room
        with pytest.raises(StateError, match="the chain of seals cannot be written: No space left"):
            sealer.note("recovered", {"x": "y" * 200})
        other.room = None
        sealer = Sealer(other, ROOT)
        assert sealer.dropped == room
        assert sealer.root == read_seals(disk, ROOT).root
        sealer.note("recovered", {})
        assert len(read_seals(other, ROOT).lines) == 3


def test_only_the_end_of_a_long_chain_is_read_to_go_on_with_it(monkeypatch):
    monkeypatch.setattr("engine.durable.seals.TAIL_BYTES", 700)
    disk = MemoryDisk()
    sealed(disk, 9, copy=COPY)
    sealer = Sealer(disk, ROOT, root_copy=COPY)
    for k in range(4):
        sealer.note("snapshot", k, sha256={"state.npz": "ab" * 32})
    read = []
    whole = disk.read
    monkeypatch.setattr(disk, "read", lambda path, *at: read.append((path, at)) or whole(path, *at))
    sealer = Sealer(disk, ROOT, root_copy=COPY)
    assert all(path != SEALS or at[0] > 0 for path, at in read)
    assert sealer.root == read_seals(disk, ROOT).root
    assert sealer.seq_end == 54


def test_the_copy_of_roots_is_brought_up_to_date_and_a_torn_line_in_it_is_cut_off():
    disk = MemoryDisk()
    sealed(disk, 2)
    Sealer(disk, ROOT, root_copy=COPY).close()
    disk.now[COPY] += b'{"root":"ab'
    sealer = Sealer(disk, ROOT, root_copy=COPY)
    sealer.note("recovered", {})
    lines = bytes(disk.now[COPY]).splitlines()
    assert [line.count(b'"root"') for line in lines] == [1] * len(lines)
    assert sealer.root.encode() in lines[-1]
