"""Put a whole engine on an output folder and bring it to where it goes on: fresh, after a stop, or after a crash.

`open_engine` is the one way in, for `weir run` and `weir replay` as for the simulator: everything durable goes through
the disk that it is given, every time comes from the clock, and without `threaded` nothing runs beside.
"""

import contextlib
import getpass
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol

from config.errors import ConfigError, InputError, StateError
from config.settings import NONE, REQUIRED, SYNC, Settings
from engine.backfill import evidence_of, reconfigure, refill, waiting
from engine.clock import Clock
from engine.control import Control
from engine.core import Core
from engine.durable import config_store, snapshots
from engine.durable.delivery import FILE as DELIVERY_FILE
from engine.durable.delivery import STREAM as DELIVERY
from engine.durable.delivery import Delivery
from engine.durable.disk import Disk
from engine.durable.encrypted_disk import unlocked
from engine.durable.encryption import read_key
from engine.durable.journal import open_journal
from engine.durable.keeping import Helper, Keeper
from engine.durable.output import CONTROL, JOURNAL, OutputFolder
from engine.durable.recovery import Recovered, reached, recover
from engine.durable.sealing import GRID, Sealing, furthest_unsealed
from engine.durable.seals import NAME as SEALS_FILE
from engine.durable.seals import TAIL_BYTES, Sealer, read_seals
from engine.durable.snapshots import Snapshot
from engine.fits.desk import Desk, Fitters, Processes
from engine.fits.records import FitRecords
from engine.metrics import Metrics
from engine.outcomes import rfc3339
from engine.ports import Source
from engine.proposals import ENGINE
from engine.reload.board import Board
from engine.reload.controller import Reloader
from engine.reload.filler import Fills
from engine.reload.process import Helps
from engine.runner import Ledger, Observer, Runner, append_config, finish_config
from engine.setup import Setup
from engine.signing import Door
from engine.totals import Totals

NOTED: Final = re.compile(  # the note of a snapshot, as a line of the chain has it
    rb'"sha256":\{"manifest\.json":"([0-9a-f]{64})","state\.npz":"[0-9a-f]{64}"\},"snapshot":([0-9]+)\}'
)


class Closes(Protocol):
    def close(self) -> None: ...


@dataclass(slots=True)
class Engine:
    """An engine that is ready to run: `runner.run`, then `finish` in any case.

    setup : the configuration that is active
    fits  : what is being fitted beside it
    notes : what people should know about the start, a line each
    """

    setup: Setup
    runner: Runner
    out: OutputFolder
    fits: Desk
    notes: list[str]

    def summarise(self, summary: dict[str, Any]) -> None:
        """Write summary.json, and say in the chain what it holds."""
        sha256 = self.out.summarise(summary)
        if self.runner.ledger is not None:
            self.runner.ledger.sealing.note_file("summary.json", sha256)

    def close(self) -> None:
        """Let go of everything; an orderly stop has been written by `runner.run` already."""
        if self.runner.keeper.helper is not None:
            self.runner.keeper.helper.stop()
        if self.runner.reloader is not None:
            self.runner.reloader.stop()
        self.fits.stop()
        if self.runner.ledger is not None:
            self.runner.ledger.close()
        self.out.close()
        self.runner.source.close()


def open_engine(
    disk: Disk,
    root: Path,
    source: Source,
    setup: Setup,
    clock: Clock,
    *,
    metrics: Metrics | None = None,
    durability: str = "",
    threaded: bool = True,
    helper: bool = False,
    control: bool = False,
    may_reconfigure: bool = True,
    rewinds: bool = True,
    rows_max: int = 0,
    helps: Callable[[Disk], Helps] | None = None,
    fills: Callable[[Disk], Fills] | None = None,
    fitters: Fitters | None = None,
    watched: str = "",
    observe: Callable[[Core], Sequence[Observer]] = lambda _core: (),
) -> Engine:
    """Open the output folder `root` with `setup`, go on where it stands, and return an engine that can be run.

    durability      : in place of the setting
    threaded        : sync beside the next decision; without it everything happens in this thread, in a fixed order
    helper          : a process beside writes the snapshots
    control         : commands are taken from control/
    may_reconfigure : another configuration than the folder's is adopted; without it, `StateError`
    rewinds         : the source can give again what came before; matters only where no journal is kept
    rows_max        : in place of the setting
    helps           : gives what checks and compiles configurations that are proposed while the engine runs; None:
                      proposals stay open. Needs a journal
    fills           : gives what derives the past of features that came in while the engine ran; None: the next start
                      does it
    fitters         : fit models in place of processes of this machine
    watched         : a folder; what is saved there is proposed

    Where the active configuration asks for approval, another one in `setup` is not adopted: `Engine.setup` is what the
    engine goes on with, and a note says that a proposal is needed.

    Raises `StateError` if what is on disk cannot be gone on with; nothing was changed then but torn tails.
    """
    settings = setup.configuration.settings
    durability = durability or settings.durability
    out = OutputFolder(root, disk)
    _check_kind(out, durability)
    with out.guarded():
        disk = unlocked(disk, root, key_of(settings), begins=True)
    out = OutputFolder(root, disk)
    opened: list[Closes] = [out]
    try:
        metrics = Metrics(clock) if metrics is None else metrics
        keeper = Keeper(disk, root, clock, settings)
        keeper.helper = Helper(root) if helper and durability != NONE else None
        desk = Control(root / CONTROL, disk, Door(setup.configuration.people, clock))
        notes: list[str] = []
        with out.guarded():
            out.prepare()
            config_store.keep(disk, root, setup.configuration)
            if durability == NONE:
                found, ledger = _from_snapshot(out, setup, rewinds=rewinds), None
            else:
                ledger = _open_ledger(out, setup, durability, opened, threaded=threaded)
                found = _from_journal(out, setup, clock, desk, ledger, notes)
                keeper.sealing, keeper.journal = ledger.sealing, ledger.journal
        if found.position:
            _go_on(source, found, ledger)
        with out.guarded():
            records = FitRecords(disk, root)
            if found.setup.sha256 != setup.sha256:
                if ledger is not None and may_reconfigure and needs_approval(found.setup):
                    notes.append(needs_a_proposal(root, found.setup, setup))
                    setup = found.setup
                    keeper.settings = setup.configuration.settings
                else:
                    into = ledger if may_reconfigure else None
                    records.forget_after(found.core.core_us)
                    _reconfigure(out, found, setup, clock, into, notes)
            if ledger is not None and may_reconfigure and found.core.warming.unfilled:
                _refill(out, found, clock, ledger, notes)
            out.open(found.lengths)
        fits_desk = _open_desk(out, records, found.core, clock, fitters, waits=not source.is_live)
        reloader = None
        if helps is not None and ledger is not None:
            beside = None if fills is None else fills(disk)
            board = Board(disk, root)
            reloader = Reloader(helps(disk), clock, board, watched=watched, fills=beside)
            metrics.show_reloads(reloader)
            found.core.compiled()  # what everything means is worked out now, not while messages wait
        runner = Runner(
            core=found.core,
            source=source,
            out=out,
            clock=clock,
            metrics=metrics,
            rows_max=rows_max or settings.rows_max,
            keeper=keeper,
            ledger=ledger,
            control=desk if control else None,
            observers=tuple(observe(found.core)),
            reloader=reloader,
            followers=(metrics.show,),
            totals=found.totals,
            resumed_from=Totals.copy_of(found.totals.counts),
            records=found.records,
            position=found.position,
            written_seq=found.core.seq,
        )
    except Exception:  # a simulated crash is none: then nothing may touch the disk any more
        for file in reversed(opened):
            with contextlib.suppress(StateError, OSError):
                file.close()
        raise
    keeper.begin(_newest(disk, root))
    if keeper.helper is not None:
        keeper.helper.prepare(snapshots.newest_bytes(disk, root))
    metrics.show(runner.core)
    metrics.show_models(lambda: runner.core)
    metrics.show_fits(fits_desk, lambda: runner.core.refits.ages_s(runner.core.core_us))
    metrics.show_snapshots(keeper)
    if ledger is not None:
        metrics.show_durability(runner)
    return Engine(setup, runner, out, fits_desk, notes)


def _open_desk(
    out: OutputFolder,
    records: FitRecords,
    core: Core,
    clock: Clock,
    fitters: Fitters | None,
    *,
    waits: bool,
) -> Desk:
    """Have models fitted from here on; `ConfigError` if nothing is installed that can."""
    if core.refits.names and fitters is None and find_spec("sklearn") is None:
        raise ConfigError(
            f"model `{core.refits.names[0]}` is fitted by scikit-learn, which is not installed",
            "models.yaml",
            why="without it the model would never have a score",
            fix="pip install 'weir-fraud[adapters]', or take the model out",
        )
    desk = Desk(records, fitters or Processes(), clock, waits=waits, guarded=out.guarded)
    core.refits.connect(desk)
    return desk


def needs_approval(setup: Setup) -> bool:
    """Whether another configuration than `setup` goes live only with the approval of a second person."""
    return setup.configuration.settings.approval == REQUIRED


def needs_a_proposal(root: Path, active: Setup, given: Setup) -> str:
    """What to tell whoever starts an engine with another configuration than the active one, which asks for approval."""
    folder = given.configuration.folder
    return (
        f"warning: the configuration in {folder} is not the active one ({active.sha256[:19]}...), which asks for "
        f"approval: the engine goes on with the active one. To bring the other in: weir rules activate {root} "
        f"{folder} --by NAME, and somebody else approves it"
    )


def _check_kind(out: OutputFolder, durability: str) -> None:
    """A folder has a journal from its first record on, or never."""
    has_chain = (
        out.disk.size(out.root / SEALS_FILE) >= 0
    )  # first of a folder that another goes on in
    has_journal = has_chain or bool(out.disk.names(out.root / JOURNAL))
    if not out.is_used() or has_journal == (durability != NONE):
        return
    raise StateError(
        "the run in this folder keeps a journal"
        if has_journal
        else "the run in this folder kept no journal",
        str(out.root),
        why="a journal with a gap in it could prove nothing and derive nothing",
        fix="go on with the `durability` it was begun with, or write into another folder",
    )


def _from_snapshot(out: OutputFolder, setup: Setup, *, rewinds: bool) -> Recovered:
    """Where a run without a journal goes on: its newest snapshot; what came after it is given by the source again."""
    numbers = snapshots.numbers(out.disk, out.root)
    start: Snapshot | None = snapshots.read(out.disk, out.root, numbers[-1]) if numbers else None
    lengths = start.lengths if start else {}
    if not rewinds and out.holds_more_than(lengths):
        raise StateError(
            "the last run in this folder was not stopped in order",
            str(out.root),
            why="what it decided after its last snapshot cannot be derived again from a pipe, and must not be lost",
            fix="keep the folder, write into another one, and send again what was not answered",
        )
    core = Core(setup)
    if start is None:
        return Recovered(core, setup, Totals(), 0, "", {})
    if start.config != setup.sha256:
        raise _other_configuration(
            out, config_store.stored(out.disk, out.root, start.config), setup
        )
    core.load(start.arrays)
    totals = Totals.copy_of(start.totals)
    return Recovered(core, setup, totals, start.records, start.position, dict(start.lengths))


def _go_on(source: Source, found: Recovered, ledger: Ledger | None) -> None:
    """Have the source go on after what was taken of it; `InputError` if another message stands there now.

    Tomorrow's file under the name of today's would lose as many messages as today's had.
    """
    line = source.resume_after(found.position)
    if line is None or ledger is None:
        return
    journal, known = ledger.journal, None
    for block in journal.read(max(journal.first_seq, journal.seq_end - GRID)):
        if block.config is not None:  # what must never be stored may have been other fields before
            known = None
        for row, position in enumerate(block.messages.positions):
            if position == found.position and row not in block.erased:
                known = block.messages.lines[row]
    scrub = found.core.decoder.scrubber.scrub
    if known is not None and scrub(line) != known:
        raise InputError(
            "the input is not the one that was read before: another message stands at this position",
            found.position,
            why="messages up to here were taken from an input of that name; those of this one would be left out",
            fix="give the same input, with what is new behind it; or pipe the new one in with `weir run --input -`",
        )


def _open_ledger(
    out: OutputFolder, setup: Setup, durability: str, opened: list[Closes], *, threaded: bool
) -> Ledger:
    """Open journal, chain and delivery log; what is open stands in `opened`, for closing when the start fails."""
    disk, root, settings = out.disk, out.root, setup.configuration.settings
    copy = Path(settings.root_copy) if settings.root_copy is not None else None
    sealer = Sealer(disk, root, is_synced=durability == SYNC, root_copy=copy)
    opened.append(sealer)
    covered = sealer.lengths.get(DELIVERY, 0)
    delivery = Delivery(disk, root, sealed_bytes=covered, first_seq=sealer.kept_from)
    opened.append(delivery)
    sealer.cover({DELIVERY: disk.read(root / DELIVERY_FILE, covered)})
    told = max(reached(disk, root), delivery.seq_end)
    _check_chain(root, sealer, told)
    _drop_unnamed(disk, root)
    newest = snapshots.numbers(disk, root)[-1:]
    begun = sealer.beginning.fields if sealer.beginning is not None else {}
    journal = open_journal(
        disk,
        root / JOURNAL,
        opening_config=begun.get("config", setup.sha256),
        opening_position=begun.get("position", ""),
        durability=durability,
        key=key_of(settings),
        threaded=threaded,
        segment_bytes=settings.segment_bytes,
        must_reach_seq=max([told, sealer.seq_end, *newest]),
        kept_from=sealer.kept_from,
    )
    opened.append(journal)
    _check_chain(root, sealer, journal.seq_end)

    def syncing() -> Callable[[], None]:
        sync_streams = out.syncing()

        def sync() -> None:
            sync_streams()
            delivery.sync()

        return sync if durability == SYNC else lambda: None

    sealing = Sealing(sealer, journal.config, syncing, threaded=threaded and durability == SYNC)
    return Ledger(journal, sealing, delivery)


def _check_chain(root: Path, sealer: Sealer, seq_end: int) -> None:
    """Refuse a chain that ends earlier than a crash can have left it: records up to `seq_end` were journaled.

    The journal passes a multiple of `GRID` once the seal at the one before is written. A chain that was cut would else
    be written anew, over whatever stands in the folder now.
    """
    if seq_end <= furthest_unsealed(sealer.seq_end):
        return
    raise StateError(
        f"the chain of seals ends before seq {sealer.seq_end}, and outcomes reach seq {seq_end - 1}",
        str(root / SEALS_FILE),
        why="a crash leaves no more unsealed than two seals cover: the file was cut, removed or exchanged, and a new "
        "chain would prove nothing about what was given out under the old one",
        fix="restore seals.ndjson from a backup, or go on in another folder and keep this one as it is",
    )


def _drop_unnamed(disk: Disk, root: Path) -> None:
    """Remove snapshots, finished or not, that the chain of seals has no note of yet.

    One that a kill left between its renaming and its note is lost with it: a shortcut, and no more. But a state that
    nobody vouches for must not decide.
    """
    named = max(_vouched(disk, root), default=-1)
    for seq in snapshots.numbers(disk, root):
        if seq > named:
            snapshots.remove(disk, root, seq)
    snapshots.prune(disk, root, len(snapshots.numbers(disk, root)) or 1)


def _vouched(disk: Disk, root: Path) -> dict[int, str]:
    """Snapshots that the chain of seals has a note of, by seq: sha256 of the manifest, which tells that of the state.

    Only the end of the chain is read if all that are there stand in it.
    """
    path = root / SEALS_FILE
    size = max(0, disk.size(path))
    tail = disk.read(path, max(0, size - TAIL_BYTES)) if size else b""
    named = {int(seq): sha256.decode() for sha256, seq in NOTED.findall(tail)}
    there = snapshots.numbers(disk, root)
    if size > TAIL_BYTES and not named.keys() >= {*there}:
        for note in read_seals(disk, root).notes("snapshot"):
            named[int(note.fields["snapshot"])] = note.fields["sha256"][snapshots.MANIFEST]
    return named


def _from_journal(
    out: OutputFolder, setup: Setup, clock: Clock, desk: Control, ledger: Ledger, notes: list[str]
) -> Recovered:
    """Where a run goes on: recovered from the journal, and noted in the chain."""
    found = recover(
        out.disk,
        out.root,
        clock,
        known={setup.sha256: setup},
        key=key_of(setup.configuration.settings),
        vouched=_vouched(out.disk, out.root),
        sealing=ledger.sealing,
        delivery=ledger.delivery,
        control=desk,
    )
    notes += found.notes()
    told = _told(found, ledger)
    if told:
        ledger.sealing.note_recovered({"at": rfc3339(clock.now_us()), **told})
    dropped = ledger.journal.dropped
    if dropped is not None:
        notes.append(
            f"note: {dropped.n_bytes} bytes at the end of the journal were being written when the engine was killed; "
            "what they held is taken again"
        )
    return found


def _told(found: Recovered, ledger: Ledger) -> dict[str, Any]:
    """What the chain should say about this start; nothing after an orderly stop."""
    told: dict[str, Any] = {}
    if found.n_derived:
        told |= {"derived": found.n_derived, "completed": dict(found.completed)}
    if found.skipped:
        told["skipped"] = [error.what for error in found.skipped]
    if ledger.journal.dropped is not None:
        told["journal_bytes"] = ledger.journal.dropped.n_bytes
    if ledger.sealing.dropped:
        told["seal_bytes"] = ledger.sealing.dropped
    return told and {"seq": found.core.seq, **told}


def _reconfigure(
    out: OutputFolder,
    found: Recovered,
    setup: Setup,
    clock: Clock,
    ledger: Ledger | None,
    notes: list[str],
) -> None:
    """Go over to `setup`: a record in the journal says so, and the state is carried; `StateError` without a ledger."""
    if ledger is None:
        raise _other_configuration(out, found.setup, setup)
    before = found.core.config
    key = key_of(setup.configuration.settings)
    core, carried = reconfigure(out.disk, out.root, found.core, setup, key=key)
    about = {"by": getpass.getuser()}
    finish_config(ledger, append_config(ledger, core, clock, about, carried.evidence()), clock)
    found.core, found.setup = core, setup
    notes += [f"note: {note}" for note in carried.notes]
    notes.append(
        f"note: the configuration changes from {before[:19]}... to {setup.sha256[:19]}... at seq {core.seq - 1}"
    )


def _refill(
    out: OutputFolder, found: Recovered, clock: Clock, ledger: Ledger, notes: list[str]
) -> None:
    """Fill what came in while the engine ran last, and was not filled then; a record in the journal says so."""
    core = found.core
    asked = waiting(core)
    filled = refill(out.disk, out.root, core, key=key_of(found.setup.configuration.settings))
    about = {"by": ENGINE, "reason": "filled"}
    evidence = evidence_of(core, asked, filled)
    finish_config(ledger, append_config(ledger, core, clock, about, evidence), clock)
    notes += [f"note: {note}" for note in filled.notes]
    if filled.filled_from is not None:
        notes.append(
            f"note: {len(asked.fresh)} features that came in while the engine ran have their past from the journal now"
        )


def _other_configuration(out: OutputFolder, old: Setup, new: Setup) -> StateError:
    return StateError(
        f"the output folder was written with configuration {old.sha256[:19]}..., "
        f"given was {new.sha256[:19]}...",
        str(out.root),
        why="a day decided under two configurations needs a configuration record between them",
        fix="go on with the same --config and options, or write into another folder",
    )


def key_of(settings: Settings) -> bytes | None:
    """The key that encrypts the output folder; None where nothing is encrypted. `ConfigError` if it cannot be had."""
    named = settings.encryption
    if named is None:
        return None
    return read_key(named.key_env or "", named.key_file or "")


def _newest(disk: Disk, root: Path) -> int:
    numbers = snapshots.numbers(disk, root)
    return numbers[-1] if numbers else 0
