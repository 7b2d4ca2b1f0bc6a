"""What goes into a journal comes out again, whatever the bytes, the cuts, the restarts and the crashes."""

import os
import random

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config.errors import StateError
from engine.durable.journal import read_journal
from engine.durable.journal.frames import MESSAGES
from engine.durable.journal.records import Payload, decode, encode, new_compressor
from engine.durable.seals import Sealer, check_journal, read_seals
from engine.ports import Messages
from tests.journaling import CONFIG, FOLDER, MemoryDisk, opened

N_EXAMPLES = int(os.environ.get("WEIR_SEEDS", "60"))
KEY = bytes(range(32))

lines = st.one_of(
    st.binary(max_size=80), st.sampled_from([b"", b"\n", b"\n\n", b"a\nb", b"\x00", b"\xff\xfe"])
)
texts = st.one_of(
    st.builds(
        "{}:{}".format, st.sampled_from(["day.ndjson", "a:b", "ü\n"]), st.integers(0, 10**12)
    ),
    st.text(st.characters(categories=None), max_size=12),  # surrogates among them
    st.sampled_from(["", "\n", "\udcff.ndjson:1", "\x00"]),
)
records = st.lists(
    st.tuples(lines, texts, st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=12
)
batches = st.lists(st.tuples(records, st.booleans(), texts), min_size=1, max_size=8)


def messages_of(batch, *, is_live):
    arrival_us = np.array([us for _, _, us in batch], np.int64) if is_live else None
    return Messages([line for line, _, _ in batch], [text for _, text, _ in batch], arrival_us)


def plain(messages):
    """Messages as something that compares."""
    arrival_us = messages.arrival_us
    return (
        list(messages.lines),
        list(messages.positions),
        None if arrival_us is None else arrival_us.tolist(),
    )


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(batches, st.integers(100, 1_500), st.sampled_from([None, KEY]), st.sets(st.integers(0, 8)))
def test_a_journal_gives_back_exactly_what_was_appended(given_batches, segment_bytes, key, stops):
    """Any bytes, positions and arrival times; any rotation; a restart before any batch; with and without a key."""
    disk = MemoryDisk()
    journal = opened(disk, segment_bytes=segment_bytes, key=key)
    links = []
    for number, (batch, is_live, position) in enumerate(given_batches):
        if number in stops:
            journal.close()
            journal = opened(disk, segment_bytes=segment_bytes, key=key)
        messages = messages_of(batch, is_live=is_live)
        links.append(journal.append(journal.seq_end, messages, position))
        assert journal.source_position == position
    journal.close()
    reader = read_journal(disk, FOLDER, key)
    runs = list(reader.read(0))
    told = [messages_of(batch, is_live=is_live) for batch, is_live, _ in given_batches]
    assert [plain(run.messages) for run in runs] == [plain(messages) for messages in told]
    assert [run.source_position for run in runs] == [position for _, _, position in given_batches]
    assert [run.link() for run in runs] == links
    assert reader.tail is None
    assert reader.seq_end == sum(len(messages) for messages in told)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32))
def test_lines_of_a_megabyte_come_back(seed):
    chance = random.Random(seed)
    given_lines = [chance.randbytes(1 << 20), b"", b"\n" * (1 << 20), b"x"]
    journal = opened(MemoryDisk(), segment_bytes=1 << 20)
    journal.append(0, Messages(given_lines, ["a", "b", "c", "d"]), "d")
    journal.append(4, Messages(given_lines[::-1], ["a", "b", "c", "d"]), "d")
    assert [line for run in journal.read(0) for line in run.lines] == given_lines + given_lines[
        ::-1
    ]


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(records, st.booleans(), texts, st.data())
@example([(b"", "", 0)], False, "", None)
def test_a_payload_is_read_to_the_byte_or_refused(batch, is_live, position, data):
    """Cut anywhere, or longer than it is, it is an error and never other records."""
    messages = messages_of(batch, is_live=is_live)
    payload = Payload(
        messages.lines,
        messages.positions,
        messages.arrival_us,
        position,
        bytes(16 * len(batch)),
        {},
    )
    encoded, about = encode(payload, MESSAGES, 7, new_compressor())
    decoded, same = decode(encoded, MESSAGES, 7, len(batch))
    assert same == about
    assert list(decoded.lines) == list(payload.lines)
    assert list(decoded.positions) == list(payload.positions)
    wrong = [encoded + b"\x00", encoded + encoded, b""]
    if data is not None:
        wrong.append(encoded[: data.draw(st.integers(0, len(encoded) - 1))])
    for changed in wrong:
        try:
            other, _ = decode(changed, MESSAGES, 7, len(batch))
        except ValueError:
            continue
        raise AssertionError(f"read as {other}")


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(
    st.lists(st.sampled_from(["append", "append", "append", "sync", "stop", "crash"]), max_size=40),
    st.integers(200, 2_000),
    st.integers(0, 2**32),
)
def test_what_was_durable_is_read_back_after_any_crash(steps, segment_bytes, seed):
    """Unsynced frames are lost, torn or full of zeros, several at once; what comes back is a prefix that holds them."""
    chance = random.Random(seed)
    disk = MemoryDisk()
    journal = opened(disk, segment_bytes=segment_bytes)
    told, n_durable = [], 0
    for step in steps:
        if step == "append":
            new = [chance.randbytes(chance.randrange(60)) for _ in range(chance.randint(1, 6))]
            positions = [f"x:{len(told) + k}" for k in range(len(new))]
            journal.append(len(told), Messages(new, positions), positions[-1])
            told += new
        elif step == "sync":
            journal.sync()
            n_durable = len(told)
        else:
            if step == "stop":
                journal.close()
                n_durable = len(told)
            disk.crash(chance)
            journal = opened(disk, segment_bytes=segment_bytes, must_reach_seq=n_durable)
            found = [line for run in journal.read(0) for line in run.lines]
            assert found == told[: len(found)]
            assert n_durable <= len(found) == journal.seq_end
            assert journal.source_position == (f"x:{len(found) - 1}" if found else "")
            told, n_durable = found, len(found)


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=8),
    st.integers(0, 2**32),
    st.sampled_from([None, KEY]),
)
def test_any_small_change_of_a_durable_file_is_noticed(sizes, seed, key):
    """A byte flipped, cut out or put in, a piece moved, a file gone: reading, or the chain of seals, says so."""
    chance = random.Random(seed)
    disk = MemoryDisk()
    journal = opened(disk, segment_bytes=500, key=key)
    sealer = Sealer(disk, FOLDER.parent)
    for n in sizes:
        seq = journal.seq_end
        new = [chance.randbytes(chance.randrange(30)) for _ in range(n)]
        sealer.add(journal.append(seq, Messages(new, [f"x:{seq + k}" for k in range(n)]), "x"), {})
        sealer.draw(config=CONFIG, core_time="t")()
    journal.close()
    root = sealer.root
    for _ in range(20):
        broken = disk.copy()
        path = chance.choice(sorted(broken.now))
        data = broken.now[path]
        at, to = sorted(chance.randrange(len(data)) for _ in range(2))
        change = chance.choice(["flip", "cut", "put", "move", "zero", "tail", "gone"])
        if change == "flip":
            data[at] ^= chance.randint(1, 255)
        elif change == "cut":
            del data[at : to + 1]
        elif change == "put":
            data[at:at] = chance.randbytes(to - at + 1)
        elif change == "move":
            data[at:to] = data[at:to][::-1]
        elif change == "zero":
            data[at:to] = bytes(to - at)
        elif change == "tail":
            del data[at:]
        else:
            broken.remove(path)
        if broken.now == disk.now:
            continue
        try:
            chain = read_seals(broken, FOLDER.parent)
            reader = read_journal(broken, FOLDER, key, kept_from=chain.kept_from)
            findings = check_journal(chain, reader, leaves=True)
        except StateError:
            continue
        is_only_an_end = (
            reader.seq_end == sum(sizes) and path.suffix == ".wj" and change in ("tail", "cut")
        )
        assert (
            findings or reader.tail or chain.torn_byte >= 0 or chain.root != root or is_only_an_end
        )
