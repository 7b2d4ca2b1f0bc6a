"""Configurations that somebody proposed to a running engine, and what became of each: part of the deterministic core.

    activate          propose a configuration, by its hash; whoever asks need not know who else did
    approve           somebody other than its author lets it go live; needed where settings say `approval: required`
    reject_proposal   it does not; people say why, and so does the engine itself where a check fails

A proposal is *open*, then *approved* (at once where nobody needs to approve), and *active* with the configuration
record that makes it so; or it is *rejected*, by a person, by the engine, or because another configuration became active
meanwhile: what was approved was a change of the configuration of that day. Which files a hash stands for, whether they
are fit to go live, and when that happens, is the shell's business (engine/reload/): nothing here reads a file.
"""

import unicodedata
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.errors import InputError
from engine.outcomes import rfc3339
from engine.state import Arrays

Answer: TypeAlias = dict[str, object]

ENGINE: Final = "weir"  # who rejects what did not pass the checks
ENDED_KEPT: Final = 32  # proposals that are over, for people who ask
PREFIX_MIN: Final = 6  # digits of a hash that name it
DIGITS: Final = frozenset("0123456789abcdef")
OPEN: Final = "open"
APPROVED: Final = "approved"
ACTIVE: Final = "active"
REJECTED: Final = "rejected"


class _Named(msgspec.Struct, tag_field="command", kw_only=True):
    config: str = ""
    by: str = ""
    reason: str = ""


class Activate(_Named, tag="activate"):
    folder: str = ""  # where its files stand; "": in the configuration store


class Approve(_Named, tag="approve"):
    pass


class RejectProposal(_Named, tag="reject_proposal"):
    pass


Command: TypeAlias = Activate | Approve | RejectProposal
COMMANDS: Final = frozenset({"activate", "approve", "reject_proposal"})


class Proposal(msgspec.Struct, kw_only=True):
    """One proposal. Times are core time, microseconds UTC, -1 before the first event."""

    config: str  # sha256:...
    folder: str
    by: str
    reason: str
    seq: int  # of the command
    at_us: int
    state: Literal["open", "approved", "active", "rejected"]
    approved_by: str = ""
    ended_by: str = ""
    why: str = ""
    ended_seq: int = -1

    def facts(self) -> Answer:
        """The same for people, without what is empty."""
        told = {
            "config": self.config,
            "state": self.state,
            "by": self.by,
            "approved_by": self.approved_by,
            "reason": self.reason,
            "folder": self.folder,
            "seq": self.seq,
            "at": rfc3339(self.at_us) if self.at_us >= 0 else "",
            "rejected_by": self.ended_by if self.state == REJECTED else "",
            "why": self.why,
        }
        return {name: value for name, value in told.items() if value != ""}


class Proposals:
    """All proposals of one engine, and since when the active configuration has been it.

    needs_approval : whether the active configuration asks for a second person
    version        : grows with every change, so that a shell need not compare
    """

    def __init__(self, active: str, *, needs_approval: bool) -> None:
        self.active, self.active_seq = active, 0
        self.needs_approval = needs_approval
        self.version = 0
        self._live: dict[str, Proposal] = {}  # open or approved, by hash
        self._ended: list[Proposal] = []

    @property
    def live(self) -> list[Proposal]:
        """What is open or approved, oldest first; to be read only."""
        return sorted(self._live.values(), key=lambda p: p.seq)

    @property
    def ended(self) -> list[Proposal]:
        """What became active or was rejected, oldest first; to be read only."""
        return list(self._ended)

    def find(self, config: str) -> Proposal | None:
        """The live proposal of a configuration."""
        return self._live.get(config)

    def carry_out(self, record: Mapping[str, Any], seq: int, now_us: int) -> Answer:
        """Do what a decoded command says at core time `now_us`; `InputError` or msgspec's if it cannot be."""
        command = msgspec.convert(dict(record), Command)
        _demand(command.by, "by", "who did it is part of the record")
        self.version += 1
        if isinstance(command, Activate):
            return self._propose(command, seq, now_us)
        if isinstance(command, Approve):
            return self._approve(command)
        _demand(command.reason, "reason", "why it was done is part of the record")
        proposal = self._meant(command.config)
        self._end(proposal, REJECTED, command.by, command.reason, seq)
        return proposal.facts()

    def _propose(self, command: Activate, seq: int, now_us: int) -> Answer:
        digits = command.config.removeprefix("sha256:")
        if len(digits) != 64 or not DIGITS.issuperset(digits):
            raise InputError(
                f"`config` is no hash of a configuration: `{command.config}`",
                why="a proposal is of certain files, whatever becomes of their folder",
                fix="propose it with: weir rules activate OUT CONFIG_DIR --by NAME",
            )
        config = f"sha256:{digits}"
        if config == self.active:
            return {"config": config, "state": ACTIVE}
        known = self._live.get(config)
        if known is not None:
            return known.facts()
        if not self.needs_approval:
            for earlier in self.live:
                self._end(earlier, REJECTED, ENGINE, "a later proposal took its place", seq)
        proposal = Proposal(
            config=config,
            folder=command.folder,
            by=command.by.strip(),
            reason=command.reason,
            seq=seq,
            at_us=now_us,
            state=OPEN if self.needs_approval else APPROVED,
        )
        self._live[config] = proposal
        return proposal.facts() | ({"awaiting": "a second person"} if self.needs_approval else {})

    def _approve(self, command: Approve) -> Answer:
        proposal = self._meant(command.config)
        if same_person(command.by, proposal.by):
            raise InputError(
                f"`{command.by}` has proposed this configuration",
                why="a configuration goes live with the approval of somebody other than its author",
                fix="have somebody else look at it and approve it",
            )
        if same_person(command.by, ENGINE):
            raise InputError(
                f"`{ENGINE}` is the engine itself, and approves nothing", fix="give your own name"
            )
        if proposal.state == OPEN:
            proposal.state, proposal.approved_by = APPROVED, command.by.strip()
        return proposal.facts()

    def activated(self, config: str, seq: int, *, needs_approval: bool) -> None:
        """Take note of the configuration record at `seq`; what else is live was meant for another configuration."""
        self.version += 1
        proposal = self._live.get(config)
        if proposal is not None:
            self._end(proposal, ACTIVE, "", "", seq)
        for other in self.live:
            self._end(other, REJECTED, ENGINE, "another configuration became active", seq)
        self.active, self.active_seq, self.needs_approval = config, seq, needs_approval

    def _end(
        self,
        proposal: Proposal,
        state: Literal["active", "rejected"],
        by: str,
        why: str,
        seq: int,
    ) -> None:
        proposal.state, proposal.ended_by, proposal.why, proposal.ended_seq = state, by, why, seq
        del self._live[proposal.config]
        self._ended = [*self._ended, proposal][-ENDED_KEPT:]

    def _meant(self, config: str) -> Proposal:
        digits = config.removeprefix("sha256:")
        found = [p for p in self.live if p.config.removeprefix("sha256:").startswith(digits)]
        if len(digits) >= PREFIX_MIN and len(found) == 1:
            return found[0]
        waiting = ", ".join(p.config.removeprefix("sha256:")[:12] for p in self.live)
        raise InputError(
            f"no proposal is known as `{config}`"
            if not found
            else f"`{config}` does not name one proposal",
            why=f"waiting: {waiting}" if waiting else "none is waiting",
            fix=f"give at least {PREFIX_MIN} digits of its hash, as `weir rules active OUT` shows it",
        )

    def save(self) -> Arrays:
        """Everything that outlives a batch; the same bytes however batches were cut."""
        state = (self.active, self.active_seq, self.live, self._ended)
        return {"state": np.frombuffer(msgspec.json.encode(state), np.uint8).copy()}

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `save` gave."""
        state = msgspec.json.decode(saved["state"].tobytes(), type=_Saved)
        self.active, self.active_seq, live, self._ended = state
        self._live = {proposal.config: proposal for proposal in live}
        self.version += 1

    def adopt(self, other: "Proposals") -> None:
        """Go on from the very proposals of `other`, which must not be used any more."""
        self.active, self.active_seq, self.version = other.active, other.active_seq, other.version
        self._live, self._ended = other._live, other._ended  # noqa: SLF001


_Saved: TypeAlias = tuple[str, int, list[Proposal], list[Proposal]]


def same_person(one: str, other: str) -> bool:
    """Whether two names are of one person, as far as spelling goes: case, blanks and look-alike forms do not count.

    >>> same_person("M. Keller", " m.  keller"), same_person("m.keller", "s.aydin")
    (True, False)
    """
    return _spelled(one) == _spelled(other)


def _spelled(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _demand(value: str, name: str, why: str) -> None:
    if not value.strip():
        raise InputError(f"`{name}` is missing", why=why, fix=f"add `{name}`")
