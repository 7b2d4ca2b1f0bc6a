"""Challenged and held transactions: how long, how each of them ends, and what became of it.

    challenge -> passed (approve) | failed (decline) | nobody answered in time (`challenge_then`)
                 as a command, or as an activity `challenge_passed`, `challenge_failed` of the account whose
                 `original_transaction_id` names the transaction
    hold      -> approved or declined by a person | over (release: approve; review; decline)

One that is over with `review` waits for a person for as long as outcomes are kept; its resolution is one more line.
Each end is one line of `resolutions`. A repeat of the transaction is told what has become of it by then.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from config.decisions import CHALLENGE, DECISIONS
from config.errors import InputError
from engine.agenda import LAPSE, OUTLIVE, Agenda
from engine.outcomes import Streams, line, rfc3339

PENDING: Final = "pending"
APPROVED: Final = "approve"
DECLINED: Final = "decline"
IN_REVIEW: Final = "review"
_OUTCOMES: Final = {"release": APPROVED, "review": IN_REVIEW, "decline": DECLINED}


class Held(msgspec.Struct, kw_only=True):
    """One transaction that was not answered for good. Times are core times in microseconds UTC."""

    seq: int
    transaction_id: str
    account: str
    decision: int
    since_us: int
    until_us: int
    then: str  # release, review or decline
    outcome: str = PENDING


class HeldBook:
    """Transactions that wait, and for a while those that no longer do."""

    def __init__(self, agenda: Agenda, kept_us: int) -> None:
        self._agenda = agenda
        self._kept_us = kept_us
        self._by_seq: dict[int, Held] = {}
        self._of: dict[tuple[str, str], int] = {}

    def add(self, held: Held) -> None:
        """Begin to wait; its end is on the agenda."""
        self._enter(held)
        self._agenda.add(held.until_us, LAPSE, str(held.seq))

    def find(self, account: str, transaction_id: str) -> Held:
        """The transaction that somebody means; InputError if none of the kind waits, or did lately."""
        seq = self._of.get((account, transaction_id))
        if seq is None:
            raise InputError(
                f"no transaction `{transaction_id}` of account `{account}` is held or challenged",
                why="it was decided otherwise, ended long ago, or never was",
                fix="name account and transaction_id as the decision has them",
            )
        return self._by_seq[seq]

    def challenged(self, account: str, transaction_id: str) -> Held | None:
        """A challenge that waits for its end; None if there is none."""
        held = self._by_seq.get(self._of.get((account, transaction_id), -1))
        waits = held is not None and held.outcome in (PENDING, IN_REVIEW)
        return held if held is not None and waits and held.decision == CHALLENGE else None

    def outcome_of(self, seq: int) -> str | None:
        """What has become of the transaction whose first message was `seq`; None if it never waited."""
        held = self._by_seq.get(seq)
        return held.outcome if held is not None else None

    def resolve(
        self, held: Held, outcome: str, by: str, reason: str, seq: int, now_us: int, out: Streams
    ) -> None:
        """End one: `approve` or `decline`. InputError if it has ended."""
        if held.outcome not in (PENDING, IN_REVIEW):
            raise InputError(
                f"the transaction has its outcome already: {held.outcome}",
                fix="nothing needs to be done",
            )
        self._end(held, outcome, by, reason, seq, now_us, out)

    def lapse(self, id_: str, seq: int, out: Streams) -> None:
        """The time of one is over; its end is that time, whenever a record noticed."""
        held = self._by_seq.get(int(id_))
        if held is None or held.outcome != PENDING:
            return
        what = "challenge" if held.decision == CHALLENGE else "hold"
        reason = f"nobody ended the {what} in time"
        self._end(held, _OUTCOMES[held.then], "expiry", reason, seq, held.until_us, out)

    def outlive(self, id_: str) -> None:
        """Forget what ended long ago."""
        held = self._by_seq.pop(int(id_), None)
        if held is not None and self._of[held.account, held.transaction_id] == held.seq:
            del self._of[held.account, held.transaction_id]

    def all(self) -> list[Held]:
        """Everything held, by seq."""
        return [self._by_seq[seq] for seq in sorted(self._by_seq)]

    def restore(self, held: Iterable[Held]) -> None:
        """Take over what `all` gave; the agenda is loaded by its owner."""
        for one in held:
            self._enter(one)

    def adopt(self, other: "HeldBook") -> None:
        """Go on from everything that `other` holds, which must not be used any more."""
        self._by_seq, self._of = other._by_seq, other._of  # noqa: SLF001

    def _enter(self, held: Held) -> None:
        self._by_seq[held.seq] = held
        self._of[held.account, held.transaction_id] = held.seq

    def _end(
        self, held: Held, outcome: str, by: str, reason: str, seq: int, now_us: int, out: Streams
    ) -> None:
        if held.outcome == PENDING:  # the first end; a person after a review does not prolong it
            self._agenda.add(now_us + self._kept_us, OUTLIVE, str(held.seq))
        held.outcome = outcome
        out.resolutions.append(
            line(
                {
                    "seq": seq,
                    "transaction_id": held.transaction_id,
                    "account": held.account,
                    "first_seq": held.seq,
                    "decision": DECISIONS[held.decision],
                    "outcome": outcome,
                    "by": by,
                    "reason": reason,
                    "since": rfc3339(held.since_us),
                    "until": rfc3339(held.until_us),
                    "lasted_s": (now_us - held.since_us) / 1e6,
                    "core_time": rfc3339(now_us),
                }
            )
        )
