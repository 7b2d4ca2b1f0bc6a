"""Bring what was proposed into a running engine, a few milliseconds between two batches at a time.

    proposed (a record)  ->  compile, beside  ->  check, beside, while the engine receives it and puts it together
      ->  hand over the state, write the configuration record  ->  active

Where somebody has to approve it, it is sent once it is approved (a record).

What was proposed, approved and rejected is state of the core (engine/proposals.py), so a kill at any moment loses
nothing: the next start finds the same proposals, and does what is left to do. What does not pass is rejected by the
engine itself, with a record that says why. Until the configuration record stands in the journal the old configuration
decides, and from the next record on the new one: there is nothing between.

The controller reads no file and decides nothing about transactions. Its steps are small on purpose: while it works, the
runner goes round without waiting for messages, and between two batches it may take `SLICE_NS`.
"""

import gc
import getpass
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from config.errors import StateError
from engine.carry import Ahead, Carried, look_ahead, refuse
from engine.clock import Clock
from engine.core import Compiled, Core
from engine.framing import Told
from engine.proposals import APPROVED, ENGINE, Proposal
from engine.reload.board import Board
from engine.reload.filler import Filler, Fills
from engine.reload.filler import Runs as RunsOn
from engine.reload.parcel import Receiver
from engine.reload.process import Helps
from engine.reload.workshop import shapes_of

SLICE_NS: Final = 4_000_000  # of work between two batches; smaller ones are more rounds of waiting
LOOK_EVERY_NS: Final = 20_000_000  # at the process beside, while nothing is under way
TRIES: Final = 3  # of a process that dies over a configuration
CHECKING, READY, SENDING = "checking", "ready to go live", "going live"


class Runs(RunsOn, Protocol):
    """The part of a runner that is needed: a place to put records, and the one place where cores change."""

    def inject(self, command: Mapping[str, Any], position: str) -> Mapping[str, object]:
        """Have a command of the engine itself become a record; its answer."""
        ...

    def go_over(self, core: Core, about: Mapping[str, Any], ahead: Ahead | None = None) -> Carried:
        """Write the configuration record, and go on with `core`, which is empty, where the present one stands."""
        ...


@dataclass(slots=True)
class _Work:
    """What is being done about one proposal."""

    config: str
    seq: int
    phase: str = CHECKING
    told: Told = field(default_factory=dict)  # what the check has found
    tries: int = 0
    ready_ns: int = 0
    receiver: Receiver | None = None  # while pieces come
    compiled: Compiled | None = None
    assembling: Iterator["Core | Ahead | None"] | None = None
    core: Core | None = None  # put together, and empty
    ahead: Ahead | None = None

    @property
    def is_busy(self) -> bool:
        """Whether there is something to do at once: pieces come, or wait to be put together, or all is ready."""
        if self.ahead is not None:
            return self.phase != CHECKING
        is_here = self.receiver is not None or self.assembling is not None
        return is_here or self.phase == SENDING


class Reloader:
    """Goes from proposals to configuration records; `step` between any two batches.

    is_busy : whether the runner should come round at once
    needs_restart : the engine has to stop, because messages are read otherwise from now on
    slices  : ns of every step that did something for the last configuration that went live, for whoever measures
    """

    def __init__(
        self,
        helper: Helps,
        clock: Clock,
        board: Board,
        *,
        watched: str = "",
        fills: Fills | None = None,
    ) -> None:
        """What it works with.

        watched : a folder whose changes are proposed by the user who runs the engine
        fills   : derives the past of what came in; None: that waits for the next start
        """
        self._helper, self._clock, self._board = helper, clock, board
        self._filler = None if fills is None else Filler(fills, clock, board)
        self._watched = watched
        self._is_watching = False
        self._version = -1
        self._off: frozenset[str] = frozenset()  # ids of what the board says is switched off
        self._work: dict[str, _Work] = {}
        self._receiving: _Work | None = None
        self._looked_ns = 0
        self._collected = True
        self._leaving: list[object] = []  # parts of the core before that hold on to each other
        self.is_busy = False
        self.needs_restart = False
        self.slices: list[int] = []
        self.n_reloads = self.n_refused = 0
        self.last_s = 0.0

    @property
    def n_waiting(self) -> int:
        """Proposals that are neither active nor refused yet."""
        return len(self._work)

    def step(self, runner: Runs) -> None:
        """Do a little of what is to be done."""
        if self._filler is not None:
            self._filler.step(runner)
        if self._leaving:
            vars(self._leaving.pop()).clear()  # garbage in circles would never be looked for
        now_ns = self._clock.monotonic_ns()
        core = runner.core
        if core.proposals.version != self._version:
            self._version = core.proposals.version
            self._look_at(core)
        if (off := frozenset(s.id for s in core.decider.switched_off)) != self._off:
            self._off = off
            self._show(core)
        if not self.is_busy:
            if now_ns - self._looked_ns < LOOK_EVERY_NS or not (self._work or self._watched):
                return
            self._looked_ns = now_ns
        self._watch(core)
        self._advance(runner, now_ns)

    def stop(self) -> None:
        """Let go of the process beside."""
        self._helper.stop()
        if self._filler is not None:
            self._filler.stop()
        self._calm_down()

    # What is to be done

    def _look_at(self, core: Core) -> None:
        """Compare what is proposed with what is being done."""
        live = {p.config: p for p in core.proposals.live}
        for config in [c for c in self._work if c not in live]:
            self._let_go(self._work.pop(config))
            if self._helper.is_running:
                self._helper.ask({"do": "forget", "config": config})
        for config, proposal in live.items():
            work = self._work.get(config)
            if work is None:
                work = self._work[config] = _Work(config, proposal.seq)
                self._check(core, proposal, work)
        self._look_whether_busy()
        self._show(core)

    def _check(self, core: Core, proposal: Proposal, work: _Work) -> None:
        work.phase = CHECKING
        work.tries += 1
        self._helper.ask(
            {
                "do": "check",
                "config": proposal.config,
                "folder": proposal.folder,
                "active": core.config,
                "overrides": dict(core.setup.configuration.overrides),
                "shapes": shapes_of(core),
                "send": proposal.state == APPROVED,
            }
        )

    def _watch(self, core: Core) -> None:
        if self._watched and not (self._is_watching and self._helper.is_running):
            self._is_watching = True
            overrides = dict(core.setup.configuration.overrides)
            request = {"do": "watch", "folder": self._watched, "overrides": overrides}
            self._helper.ask({**request, "config": core.config})

    # What has come back

    def _advance(self, runner: Runs, began_ns: int) -> None:
        while True:
            frame = self._helper.take()
            if frame is None:
                break
            if isinstance(frame, bytes):
                self._take_piece(frame)
            else:
                self._hear(runner, frame)
            if self._clock.monotonic_ns() - began_ns >= SLICE_NS:
                self._measure(began_ns)
                return
        if self._work and not self._helper.is_running:
            self._start_again(runner)
        for work in list(self._work.values()):
            if work.assembling is not None and work.receiver is None:
                if work.is_busy:
                    self._assemble(runner, work, began_ns)
            elif work.phase == READY and self._is_approved(runner.core, work):
                self._ask_to_send(work)
        self._measure(began_ns)

    def _measure(self, began_ns: int) -> None:
        if self.is_busy:
            self.slices.append(self._clock.monotonic_ns() - began_ns)

    def _hear(self, runner: Runs, told: Told) -> None:
        """Take an answer of the process beside."""
        if "found" in told:
            self._propose(runner, told)
            return
        if "broken" in told:
            self.n_refused += 1
            self._board.note(f"the watched folder cannot be read: {told['broken']}")
            self._show(runner.core)
            return
        work = self._work.get(str(told["about"]))
        if work is None:
            self._receiving = None
            return
        if "sends" in told:
            self._receiving, work.receiver = work, Receiver(runner.core)
            self.slices = []
            gc.disable()  # what arrives stays: looking it through for garbage would hold a batch up
            self._collected = False
            self._look_whether_busy()
        elif "sent" in told:
            self._receiving = work.receiver = None
            if work.assembling is None:  # the process beside had none
                self._again(runner.core, work)
        elif told["ok"]:
            work.phase, work.told, work.ready_ns = READY, told, self._clock.monotonic_ns()
            self._look_whether_busy()
            self._show(runner.core)
        else:
            self._reject(runner, work, told)

    def _propose(self, runner: Runs, told: Told) -> None:
        """Somebody has saved something in the watched folder."""
        self._board.unsigned = {}
        core, config, folder = runner.core, str(told["found"]), str(told["folder"])
        if config == core.proposals.active:
            self._show(core)
            return
        people, by = core.setup.configuration.people, getpass.getuser()
        if people.signatures == "required" or (people.people and not people.has(by, "activate")):
            self._wait_for_somebody(core, config, folder)
            return
        command = {"command": "activate", "config": config, "folder": folder}
        answer = runner.inject(
            {**command, "by": by, "reason": f"saved in {folder}"}, position="watched"
        )
        if not answer.get("ok"):
            self._board.note(f"what was saved in {folder} is not proposed: {answer.get('what')}")
            self._show(core)

    def _wait_for_somebody(self, core: Core, config: str, folder: str) -> None:
        """Say who can propose what was saved: a file has no signature."""
        people = core.setup.configuration.people
        able = ", ".join(id_ for id_ in sorted(people.people) if people.has(id_, "activate"))
        able = able or "nobody in people.yaml, which has to name an analyst or a supervisor"
        how = f"weir rules activate {self._board.root} {folder} --by ID"
        self._board.unsigned = {"config": config, "folder": folder, "who": able, "how": how}
        self._board.note(
            f"what was saved in {folder} ({config[:19]}...) waits for somebody to propose it and sign: {able}; "
            f"with: {how}"
        )
        self._show(core)

    def _reject(self, runner: Runs, work: _Work, told: Told) -> None:
        """Keep the old configuration, and say why."""
        why = "; ".join(str(told[part]) for part in ("what", "why", "fix") if told.get(part))
        self.n_refused += 1
        self._board.note(f"configuration {work.config[:19]}... does not go live: {why}")
        command = {"command": "reject_proposal", "config": work.config, "by": ENGINE, "reason": why}
        runner.inject(command, "reload")

    def _start_again(self, runner: Runs) -> None:
        """The process beside has died."""
        for work in list(self._work.values()):
            if work.tries >= TRIES:
                told = {
                    "what": f"the process that checks it has died {work.tries} times",
                    "fix": "look at its messages on standard error; memory may be short",
                }
                self._reject(runner, work, told)
            else:
                self._again(runner.core, work)

    def _again(self, core: Core, work: _Work) -> None:
        proposal = core.proposals.find(work.config)
        self._let_go(work)
        if proposal is not None:
            self._check(core, proposal, work)
        self._look_whether_busy()

    # Going live

    @staticmethod
    def _is_approved(core: Core, work: _Work) -> bool:
        proposal = core.proposals.find(work.config)
        return proposal is not None and proposal.state == APPROVED

    def _ask_to_send(self, work: _Work) -> None:
        work.phase = SENDING
        self._look_whether_busy()
        self._helper.ask({"do": "send", "config": work.config})

    def _take_piece(self, piece: bytes) -> None:
        work = self._receiving
        if work is None or work.receiver is None:  # nobody waits for it any longer
            return
        found = work.receiver.take(piece)
        if isinstance(found, Compiled):
            work.compiled, work.assembling = found, iter(())

    def _assemble(self, runner: Runs, work: _Work, began_ns: int) -> None:
        """Put the new core together; with the last step, which is one of its own, go over."""
        if work.ahead is not None:
            assert work.core is not None
            self._go_live(runner, work, work.core, work.ahead)
            return
        if work.compiled is not None:
            shapes = [windows.shape for windows in runner.core.windows]
            work.assembling = Core.in_steps(work.compiled, shapes)
            work.compiled = None
        assert work.assembling is not None
        for found in work.assembling:
            if isinstance(found, Core):
                work.core = found
                work.assembling = look_ahead(runner.core, found)
                return
            if found is not None:
                work.ahead = found
                self._look_whether_busy()
                return
            if self._clock.monotonic_ns() - began_ns >= SLICE_NS:
                return

    def _let_go(self, work: _Work) -> None:
        """Forget what has come of a configuration that does not go live, or not now."""
        if self._receiving is work:
            self._receiving = None
        if work.core is not None:
            self._leaving += [work.core.ruleset, work.core.decider]
        elif work.compiled is not None:
            self._leaving.append(work.compiled.ruleset)
        work.receiver = work.compiled = work.assembling = work.core = work.ahead = None
        self._look_whether_busy()

    def _go_live(self, runner: Runs, work: _Work, core: Core, ahead: Ahead) -> None:
        proposal = runner.core.proposals.find(work.config)
        assert proposal is not None, work.config
        try:
            refuse(runner.core, core.setup)
        except StateError as error:
            self._reject(runner, work, {"what": error.what, "why": error.why, "fix": error.fix})
            return
        told = work.told
        about = {
            "by": proposal.by,
            "approved_by": proposal.approved_by,
            "reason": proposal.reason,
            "proposed": proposal.seq,
            "evidence": {name: told[name] for name in ("tests", "tested", "untested", "warnings")},
        }
        old = runner.core
        began_ns = self._clock.monotonic_ns()
        carried = runner.go_over(core, about, ahead)
        went_ns = self._clock.monotonic_ns()
        self._leaving += [old.ruleset, old.decider]
        gc.freeze()  # the new core stays: looking it through again and again would hold batches up
        del self._work[work.config]
        self._look_whether_busy()
        self.n_reloads += 1
        self.last_s = (self._clock.monotonic_ns() - work.ready_ns) / 1e9
        self._board.last = {
            "steps": len(self.slices),
            "longest_step_ms": round(max(self.slices, default=0) / 1e6, 3),
            "steps_ms": round(sum(self.slices) / 1e6, 3),
            "swap_ms": round((went_ns - began_ns) / 1e6, 3),
            "since_accepted_ms": round(self.last_s * 1e3, 3),
        }
        for note in (*told.get("notes", ()), *carried.notes):
            self._board.note(note)
        self._board.note(
            f"the configuration changes from {old.config[:19]}... to {core.config[:19]}... at seq {core.seq - 1}"
        )
        if told.get("restart"):
            self.needs_restart = True
            self._board.note(
                "messages are mapped otherwise from here on: the engine stops, start it again"
            )
            self._show(core)

    def _look_whether_busy(self) -> None:
        works = self._work.values()
        self.is_busy = any(work.is_busy for work in works)
        if not any(work.is_busy or work.assembling is not None for work in works):
            self._calm_down()

    def _calm_down(self) -> None:
        if not self._collected:
            self._collected = True
            gc.enable()

    def _show(self, core: Core) -> None:
        """Let people see where things stand."""
        phases = {config: work.phase for config, work in self._work.items()}
        self._board.show(core, phases)
