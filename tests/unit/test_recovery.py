"""Starting again: what a crash lost is derived once more, what was changed is refused, and nothing is done twice.

The disk of the simulator stops the world at every single change of one short run, so each step of a round is met;
tests/simulation/test_crashes.py does it at length, with weather.
"""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from config.errors import InputError, StateError
from engine import starting
from engine.brokers.files import FileSource
from engine.clock import ManualClock, SystemClock
from engine.durable import backup, snapshot_helper, snapshots
from engine.durable.disk import RealDisk
from engine.durable.keeping import Helper, Keeper
from engine.durable.output import STREAMS
from engine.durable.recovery import reached
from engine.durable.rederive import Rederivation, blocks
from engine.durable.sealing import GRID
from engine.durable.seals import check_streams, read_seals
from engine.progress import Progress
from engine.runner import StopRequest
from engine.setup import read_setup
from engine.starting import open_engine
from tests.auditing import small_bank, small_traffic
from tests.running import answer_of
from tests.simulation.disk import Crash, SimDisk
from tests.sources import Sent

DISK = RealDisk()
NOW_US = 1_772_790_000_000_000  # after the last of the traffic


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return read_setup(small_bank(tmp_path_factory.mktemp("bank") / "bank"))


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    return (
        small_traffic(tmp_path_factory.mktemp("traffic") / "t.ndjson", 300)
        .read_bytes()
        .splitlines()
    )


def run(disk, root, setup, source, **more):
    """Start on `root`, run to the end of `source` and stop in order; the engine."""
    clock = source.clock or ManualClock(NOW_US)
    engine = open_engine(disk, root, source, setup, clock, threaded=False, **more)
    with StopRequest() as stop, Progress(None, "msg") as progress:
        engine.runner.run(progress, stop)
    engine.close()
    return engine


def streams(disk, root):
    return {s: disk.read(root / f"{s}.ndjson") for s in STREAMS}


@pytest.fixture(scope="module")
def calm(bank, lines, tmp_path_factory):
    """The folder of an undisturbed run."""
    root = tmp_path_factory.mktemp("calm") / "out"
    run(DISK, root, bank, Sent(lines))
    return root


@pytest.fixture
def out(calm, tmp_path):
    """A copy of it, as if the engine had been killed before it could write its snapshot."""
    shutil.copytree(calm, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "snapshots")
    return tmp_path / "out"


# ---------------------------------------------------------------- killed at each step


def test_killed_at_any_change_of_the_disk_it_goes_on_as_if_nothing_had_happened(
    bank, lines, calm, tmp_path
):
    """Few records in small batches, and a stop of the world at every seventh change, then a calm start."""
    few, root = lines[:60], tmp_path / "out"
    wanted_disk = SimDisk(np.random.default_rng(0))
    run(wanted_disk, root, bank, Sent(few, 20))
    wanted, steps = streams(wanted_disk, root), wanted_disk.steps
    assert wanted["decisions"]
    for at in range(1, steps + 1, 7):
        disk = SimDisk(np.random.default_rng(at))
        disk.crash_at = at
        with pytest.raises(Crash):
            run(disk, root, bank, Sent(few, 20))
        disk.restart(power_loss=bool(at % 2))
        run(disk, root, bank, Sent(few, 20))
        assert streams(disk, root) == wanted, f"stopped at change {at} of {steps}"
        chain = read_seals(disk, root)
        assert chain.seq_end == len(few)
        assert check_streams(disk, root, chain) == []


def test_a_full_disk_publishes_nothing_unjournaled_and_the_next_start_goes_on(
    bank, lines, tmp_path
):
    few, root = lines[:60], tmp_path / "out"
    calm_disk = SimDisk(np.random.default_rng(0))
    run(calm_disk, root, bank, Sent(few, 20))
    for at in range(60, calm_disk.steps - 15, 13):
        disk = SimDisk(np.random.default_rng(at))
        disk.full_at = at
        with pytest.raises(StateError, match="cannot be written") as error:
            run(disk, root, bank, Sent(few, 20))
        assert "start again" in error.value.fix
        disk.restart(power_loss=False)
        journal = Rederivation(disk, root).journal
        assert reached(disk, root) <= journal.seq_end, "an outcome left that nothing holds"
        run(disk, root, bank, Sent(few, 20))
        assert streams(disk, root) == streams(calm_disk, root)


# ---------------------------------------------------------------- compared and refused


def test_a_torn_tail_is_completed_and_said(bank, lines, calm, out):
    path = out / "decisions.ndjson"
    path.write_bytes(path.read_bytes()[:-700])
    engine = run(DISK, out, bank, Sent(lines))
    assert streams(DISK, out) == streams(DISK, calm)
    assert any(
        note.startswith("note: written again after a crash: decisions 700") for note in engine.notes
    )
    (note,) = read_seals(DISK, out).notes("recovered")
    assert note.fields["recovered"]["completed"] == {"decisions": 700}


@pytest.mark.parametrize(
    "tail", [bytes(900), b"\x93\x00{" * 300, b'{"seq":'], ids=["zeros", "rubbish", "half"]
)
def test_what_a_power_failure_left_behind_the_last_line_is_no_line(bank, lines, calm, out, tail):
    path = out / "alerts.ndjson"
    path.write_bytes(path.read_bytes() + tail)
    run(DISK, out, bank, Sent(lines))
    assert streams(DISK, out) == streams(DISK, calm)


def test_a_changed_line_stops_the_start_and_is_named(bank, lines, out, tmp_path):
    path = out / "decisions.ndjson"
    told = path.read_bytes().splitlines(keepends=True)
    row = next(k for k, line in enumerate(told) if b'"decision":"review"' in line)
    seq = json.loads(told[row])["seq"]
    told[row] = told[row].replace(b'"decision":"review"', b'"decision":"hold"')
    path.write_bytes(b"".join(told))
    with pytest.raises(StateError, match=f"decisions seq {seq} field `decision`") as error:
        run(DISK, out, bank, Sent(lines))
    assert error.value.where == f"{path} byte {sum(map(len, told[:row]))}"
    assert path.read_bytes() == b"".join(told), "what was found was left as it is"


def test_a_changed_number_shows_both(bank, lines, out):
    path = out / "decisions.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"score":600', b'"score":601', 1))
    with pytest.raises(StateError, match="field `score`, on disk 601, derived 600"):
        run(DISK, out, bank, Sent(lines))


def test_a_line_too_many_stops_the_start(bank, lines, out):
    path = out / "alerts.ndjson"
    path.write_bytes(path.read_bytes() + b'{"alert_id":"mine"}\n')
    with pytest.raises(StateError, match="alerts: a line on disk that nothing gives"):
        run(DISK, out, bank, Sent(lines))


def test_a_line_too_few_in_the_middle_stops_the_start(bank, lines, out):
    path = out / "decisions.ndjson"
    told = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(told[:50] + told[51:]))
    with pytest.raises(StateError, match="decisions seq "):
        run(DISK, out, bank, Sent(lines))


def test_another_recording_under_the_same_name_stops_the_start(bank, lines, calm, tmp_path):
    """Tomorrow's file under today's name: going on behind today's last line would leave its first ones out."""
    root, path = tmp_path / "out", tmp_path / "day.ndjson"

    def go(told):
        path.write_bytes(b"\n".join(told) + b"\n")
        source = FileSource([path], bank.feed, bank.schema)
        source.clock = None
        run(DISK, root, bank, source)

    go(lines[:50])
    with pytest.raises(InputError, match="the input is not the one that was read before") as error:
        go(lines[60:])
    assert error.value.where == "day.ndjson:50"
    go(lines)
    assert streams(DISK, root)["decisions"] == streams(DISK, calm)["decisions"]


def test_a_journal_that_was_cut_short_stops_the_start(bank, lines, out):
    """Lines were given out that it does not explain."""
    (path,) = (out / "journal").iterdir()
    path.write_bytes(path.read_bytes()[:-9_000])
    with pytest.raises(StateError):
        run(DISK, out, bank, Sent(lines))


# ---------------------------------------------------------------- snapshots


def test_a_broken_snapshot_is_skipped_with_a_warning(bank, lines, calm, tmp_path):
    root = tmp_path / "out"
    shutil.copytree(calm, root)
    number = snapshots.numbers(DISK, root)[-1]
    (root / "snapshots" / f"{number:016d}" / "state.npz").write_bytes(b"PK")
    engine = run(DISK, root, bank, Sent(lines))
    assert engine.notes[0].startswith("warning: a snapshot is skipped: the snapshot cannot be read")
    assert streams(DISK, root) == streams(DISK, calm)
    (note,) = read_seals(DISK, root).notes("recovered")
    assert note.fields["recovered"]["skipped"]


def test_a_snapshot_that_the_chain_does_not_name_is_not_trusted(bank, lines, calm, out):
    """The one of a kill before its note, or of somebody who wishes for another state."""
    (number,) = snapshots.numbers(DISK, calm)
    core = Rederivation(DISK, calm)
    core.start(number)
    core.run_to(number)
    mine = core.core.save() | {"decide/mine": np.arange(3)}
    kept = snapshots.read(DISK, calm, number)
    snapshots.write(DISK, out, replace(kept, seq=number - 10, arrays=mine))
    chain = out / "seals.ndjson"
    told = chain.read_bytes().splitlines(keepends=True)
    chain.write_bytes(b"".join(line for line in told if b'"seal":' in line))
    run(DISK, out, bank, Sent(lines))
    assert snapshots.numbers(DISK, out) == [number]
    assert streams(DISK, out) == streams(DISK, calm)


def test_a_snapshot_written_anew_under_a_noted_name_is_not_trusted(bank, lines, calm, tmp_path):
    """State and manifest agree, the chain has another hash: what is decided from it would be somebody's wish."""
    root = tmp_path / "out"
    shutil.copytree(calm, root)
    (number,) = snapshots.numbers(DISK, root)
    kept = snapshots.read(DISK, root, number)
    mine = {name: np.zeros_like(array) for name, array in kept.arrays.items()}
    snapshots.write(DISK, root, replace(kept, arrays=mine))
    engine = run(DISK, root, bank, Sent(lines))
    assert engine.notes[0].startswith(
        "warning: a snapshot is skipped: the snapshot is not the one that the chain of seals names"
    )
    assert streams(DISK, root) == streams(DISK, calm)


def test_a_chain_that_was_removed_is_not_written_anew(bank, tmp_path):
    """More than two seals are missing: no crash leaves that, and a new chain would cover whatever was changed."""
    root = tmp_path / "out"
    many = [b'{"kind":"tick","event_time":%d}' % (NOW_US // 1_000 + k) for k in range(3 * GRID)]
    run(DISK, root, bank, Sent(many, GRID))
    (root / "seals.ndjson").unlink()
    for also in ("delivery.ndjson", "summary.json"):
        with pytest.raises(StateError, match="the chain of seals ends before seq 0, and outcomes"):
            run(DISK, root, bank, Sent(many, GRID))
        assert snapshots.numbers(DISK, root), "nothing was removed"
        (root / also).unlink(missing_ok=True)


@pytest.mark.parametrize("more", [0, 1])
def test_seals_that_a_crash_left_unwritten_are_written_and_no_more_than_two(bank, tmp_path, more):
    """The journal waits for a seal one multiple behind it; one that is further was cut off by somebody."""
    root, n = tmp_path / "out", 3 * GRID + more
    ticks = [b'{"kind":"tick","event_time":%d}' % (NOW_US // 1_000 + k) for k in range(n)]
    run(DISK, root, bank, Sent(ticks, GRID))
    chain = root / "seals.ndjson"
    whole = chain.read_bytes().splitlines(keepends=True)
    (first,) = (line for line in whole if b'"seal":0' in line)
    chain.write_bytes(b"".join(whole[: whole.index(first) + 1]))
    if more:
        with pytest.raises(StateError, match=f"the chain of seals ends before seq {GRID}"):
            run(DISK, root, bank, Sent(ticks, GRID))
        return
    run(DISK, root, bank, Sent(ticks, GRID))
    assert [seal.seq_end for seal in read_seals(DISK, root).seals] == [GRID, 2 * GRID, 3 * GRID]


def test_after_an_orderly_stop_nothing_is_derived_and_nothing_said(bank, lines, calm, tmp_path):
    root = tmp_path / "out"
    shutil.copytree(calm, root)
    engine = run(DISK, root, bank, Sent(lines))
    assert engine.notes == []
    assert read_seals(DISK, root).notes("recovered") == []
    assert engine.runner.totals.counts == engine.runner.resumed_from.counts


def test_the_process_beside_writes_the_snapshot_that_the_engine_would(bank, lines, calm, out):
    """From nothing to the end of the chain: the same arrays, lengths and totals."""
    (number,) = snapshots.numbers(DISK, calm)
    told = snapshot_helper.Follower(DISK, out).snapshot(number)
    assert told["seq"] == number
    mine, theirs = snapshots.read(DISK, calm, number), snapshots.read(DISK, out, number)
    assert (mine.lengths, mine.totals, mine.records) == (
        theirs.lengths,
        theirs.totals,
        theirs.records,
    )
    assert mine.position == theirs.position == f"sent:{number}"
    assert {k: a.tobytes() for k, a in mine.arrays.items()} == {
        k: a.tobytes() for k, a in theirs.arrays.items()
    }


@pytest.mark.parametrize("is_process", [False, True])
@pytest.mark.parametrize("is_prepared", [False, True])
def test_the_process_beside_goes_on_from_its_own_state(
    bank, lines, tmp_path, is_process, is_prepared
):
    """Three snapshots of a run that goes on meanwhile; the last is the one that the engine writes itself."""
    root, wanted = tmp_path / "out", tmp_path / "wanted"
    n = len(lines) // 3
    run(DISK, root, bank, Sent(lines[: n // 3]))
    run(DISK, root, bank, Sent(lines[:n]))
    snapshots.remove(DISK, root, n)
    beside = Helper(root, stays_from=0) if is_process else snapshot_helper.Follower(DISK, root)
    process = None
    if is_prepared:
        beside.prepare(0) if is_process else None
        told = answer_of(beside) if is_process else beside.load()
        assert told["loaded"] == n // 3
        process = beside._process if is_process else None
    told = [snapshot(beside, reached(DISK, root) - n // 2), snapshot(beside, reached(DISK, root))]
    if is_process:
        assert process in (None, beside._process)
        process = beside._process
    run(DISK, root, bank, Sent(lines))
    shutil.move(root / "snapshots", wanted / "snapshots")
    (*_, number) = snapshots.numbers(DISK, wanted)
    told.append(snapshot(beside, number))
    assert [each["seq"] for each in told] == [n - n // 2, n, number], told
    if is_process:
        assert beside._process is process
        beside.stop()
        assert process.poll() is not None
    mine, theirs = snapshots.read(DISK, root, number), snapshots.read(DISK, wanted, number)
    about = ("lengths", "totals", "records", "position")
    assert [getattr(mine, k) for k in about] == [getattr(theirs, k) for k in about]
    assert {k: a.tobytes() for k, a in mine.arrays.items()} == {
        k: a.tobytes() for k, a in theirs.arrays.items()
    }


class Beside:
    """Stands in for the process: says what it was asked to prepare."""

    asked = ()
    is_running = False

    def __init__(self, root):
        pass

    def prepare(self, state_bytes):
        Beside.asked += (state_bytes,)

    def stop(self):
        pass


def test_a_start_has_the_process_beside_load_what_there_is(
    bank, lines, calm, tmp_path, monkeypatch
):
    monkeypatch.setattr(starting, "Helper", Beside)
    root = tmp_path / "out"
    shutil.copytree(calm, root)
    (number,) = snapshots.numbers(DISK, root)
    state = DISK.size(root / "snapshots" / f"{number:016d}" / snapshots.STATE)
    for folder in (root, tmp_path / "fresh"):
        run(DISK, folder, bank, Sent(lines), helper=True)
    assert Beside.asked == (state, -1)


def test_a_state_that_cannot_be_loaded_holds_nothing_up(calm, tmp_path):
    """The next snapshot is asked of another process, which says why it has none."""
    root = tmp_path / "out"
    shutil.copytree(calm, root)
    shutil.rmtree(root / "config")
    beside = Helper(root, stays_from=0)
    beside.prepare(1)
    told = answer_of(beside)
    assert told["loaded"] == -1
    assert "configuration" in told["error"]
    keeper = Keeper(DISK, root, ManualClock(0), None, helper=beside)
    keeper._take_over(told)
    assert (beside._process, keeper.failures) == (None, 0)
    beside.prepare(-1)
    assert beside._process is None, "a small state is loaded where it is needed"


def snapshot(beside, seq):
    """Written by a follower or a process; what it told."""
    if isinstance(beside, snapshot_helper.Follower):
        return beside.snapshot(seq)
    beside.start(seq, 8, 0)
    return answer_of(beside)


def test_the_process_beside_finds_a_changed_line_and_writes_no_snapshot(out):
    path = out / "decisions.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"score":600', b'"score":601', 1))
    told = snapshot_helper.Follower(DISK, out).snapshot(min(reached(DISK, out), 128))
    assert "seq" not in told
    assert "field `score`" in told["differences"][0]
    assert snapshots.numbers(DISK, out) == []


# ---------------------------------------------------------------- derived again


@pytest.mark.parametrize("rows", [1, 7, 64, 4096])
def test_the_journal_in_other_blocks_gives_the_same_lines(calm, rows):
    again = Rederivation(DISK, calm)
    again.start(snapshots=False)
    whole = dict.fromkeys(STREAMS, b"")
    for _, outcome in again.outcomes(rows_max=rows):
        for stream, told in outcome.streams.items():
            whole[stream] += told
    assert whole == streams(DISK, calm)


def test_blocks_are_the_records_cut_and_joined(calm):
    """Same lines, positions and salts; no block has more rows than asked for."""
    records = list(Rederivation(DISK, calm).journal.read(0))
    for rows in (1, 5, 100, 4096):
        found = list(blocks(records, rows))
        assert max(map(len, found)) <= rows
        for facts in (lambda r: list(r.messages.lines), lambda r: list(r.messages.positions)):
            assert [x for r in found for x in facts(r)] == [x for r in records for x in facts(r)]
        assert b"".join(r.salts for r in found) == b"".join(r.salts for r in records)
        assert found[-1].source_position == records[-1].source_position


# ---------------------------------------------------------------- control files


def test_a_command_journaled_before_the_kill_is_finished_and_not_taken_again(bank, tmp_path):
    """The world stops at each change around the renaming, while a command is in hand; it is carried out once, and answered."""
    clock, root = ManualClock(NOW_US), tmp_path / "out"
    pay = {"transaction_id": "t", "account": "A1", "event_time": NOW_US // 1000, "type": "payment",
           "direction": "out", "amount": "1.00", "currency": "CNY"}  # fmt: skip
    freeze = {"command": "restrict", "entity": {"account": "A1"}, "level": "no_debit", "for": "1h",
              "by": "m.keller", "reason": "asked"}  # fmt: skip
    sent = [json.dumps(pay).encode()]

    def fresh(seed):
        disk = SimDisk(np.random.default_rng(seed))
        disk.make_folder(root / "control")
        file = disk.create(root / "control" / "freeze.json")
        file.write(json.dumps(freeze).encode())
        file.sync()
        for folder in (root / "control", root, root.parent):
            disk.sync_folder(folder)
        return disk

    calm, renamed = fresh(0), []
    rename = calm.rename
    calm.rename = lambda old, new: (rename(old, new), renamed.append((old.name, calm.steps)))
    run(calm, root, bank, Sent(sent, 1, clock), control=True)
    (taken_at,) = [steps for name, steps in renamed if name == "freeze.json"]
    for at in range(taken_at - 6, taken_at + 10):
        disk = fresh(at)
        disk.crash_at = at
        with pytest.raises(Crash):
            run(disk, root, bank, Sent(sent, 1, clock), control=True)
        disk.restart(power_loss=False)
        run(disk, root, bank, Sent(sent, 1, clock), control=True)
        verbs = [json.loads(c)["verb"] for c in disk.read(root / "commands.ndjson").splitlines()]
        assert verbs == ["restrict"], at
        answer = json.loads(disk.read(root / "control" / "freeze.answer"))
        assert answer["ok"], at
        assert disk.names(root / "control") == ["freeze.answer", "freeze.taken"], at


# ---------------------------------------------------------------- the log of deliveries


def test_every_record_stands_in_the_log_of_deliveries_once(bank, lines, calm, out):
    """After a crash the records that no line speaks of stand in one that says so."""
    path = out / "delivery.ndjson"
    sealed = read_seals(DISK, out).seals[-1].streams["delivery"][1]
    assert sealed == path.stat().st_size
    run(DISK, out, bank, Sent([*lines, *lines[:10]]))
    told = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [t["seq0"] for t in told] == np.cumsum([0, *[t["n"] for t in told[:-1]]]).tolist()
    assert sum(t["n"] for t in told) == len(lines) + 10
    assert all(t["decided"] <= t["durable"] <= t["published"] for t in told if "decided" in t)


def test_a_log_of_deliveries_that_was_cut_is_refused(bank, lines, out):
    path = out / "delivery.ndjson"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StateError, match="shorter than what was sealed"):
        run(DISK, out, bank, Sent(lines))


# ---------------------------------------------------------------- backup and restore


def test_a_backup_is_restored_gone_on_with_and_proved(bank, lines, calm, tmp_path):
    told = backup.back_up(DISK, calm, tmp_path / "copy", SystemClock())
    assert told["root"] == read_seals(DISK, calm).root
    done = backup.restore(DISK, tmp_path / "copy", tmp_path / "back", SystemClock(), drill="all")
    assert done["drill"]["records"] == done["drill"]["of"] == len(lines)
    assert done["drill"]["differences"] == []
    assert json.loads((tmp_path / "back" / "restore.json").read_bytes()) == done
    run(DISK, tmp_path / "back", bank, Sent(lines))
    assert streams(DISK, tmp_path / "back") == streams(DISK, calm)


def test_a_backup_of_a_running_engine_is_what_a_kill_would_leave(bank, lines, calm, tmp_path):
    """Taken between two batches, with a round on its way."""
    clock = ManualClock(NOW_US)
    source, root = Sent(lines, 16), tmp_path / "out"
    engine = open_engine(DISK, root, source, bank, clock, threaded=False)
    whole, polls = source.poll, []

    def poll(rows_max, wait_us):
        polls.append(rows_max)
        if len(polls) == 9:
            backup.back_up(DISK, root, tmp_path / "copy", clock)
        return whole(rows_max, wait_us)

    source.poll = poll
    with StopRequest() as stop, Progress(None, "msg") as progress:
        engine.runner.run(progress, stop)
    engine.close()
    backup.restore(DISK, tmp_path / "copy", tmp_path / "back", clock, drill="some")
    run(DISK, tmp_path / "back", bank, Sent(lines))
    assert streams(DISK, tmp_path / "back") == streams(DISK, calm)


def test_a_damaged_backup_is_not_restored(calm, tmp_path):
    copy = tmp_path / "copy"
    backup.back_up(DISK, calm, copy, SystemClock())
    (path,) = (copy / "journal").iterdir()
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(StateError, match="is not what was backed up"):
        backup.restore(DISK, copy, tmp_path / "back", SystemClock())


def test_a_drill_tells_a_line_that_was_changed_before_the_backup(calm, tmp_path):
    root = tmp_path / "out"
    shutil.copytree(calm, root)
    path = root / "decisions.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"score":600', b'"score":601', 1))
    backup.back_up(DISK, root, tmp_path / "copy", SystemClock())
    done = backup.restore(DISK, tmp_path / "copy", tmp_path / "back", SystemClock(), drill="all")
    assert "field `score`" in done["drill"]["differences"][0]


# ---------------------------------------------------------------- without a journal


def test_without_a_journal_a_run_goes_on_from_its_snapshot(bank, lines, calm, tmp_path):
    root = tmp_path / "out"
    run(DISK, root, bank, Sent(lines[:100]), durability="none")
    assert not list((root / "journal").iterdir())
    assert not (root / "seals.ndjson").exists()
    with (root / "decisions.ndjson").open("ab") as file:
        file.write(b'{"seq":99999}\n')  # given out after the snapshot, and given again
    run(DISK, root, bank, Sent(lines), durability="none")
    assert streams(DISK, root) == streams(DISK, calm)


def test_a_folder_has_a_journal_from_the_beginning_or_never(bank, lines, calm, tmp_path):
    root = tmp_path / "out"
    run(DISK, root, bank, Sent(lines[:100]), durability="none")
    with pytest.raises(StateError, match="the run in this folder kept no journal"):
        run(DISK, root, bank, Sent(lines))
    shutil.copytree(calm, tmp_path / "other")
    with pytest.raises(StateError, match="the run in this folder keeps a journal"):
        run(DISK, tmp_path / "other", bank, Sent(lines), durability="none")
