"""Cases: all alerts about one customer are one case, until somebody closes it with a verdict.

The customer is that of the row, else its account; an alert that names neither is a case of its own. A case grows with
each match of a rule that raises or joins an alert. It stands above others by `priority`, its worst severity (1 to 4)
times the money of its matches in the pack's currency. Closing it resolves its alerts; the verdict is given for all its
transactions, or for some of them otherwise, and comes back as labels: messages that the core owes itself from then on
(`owed`, saved with everything else). A live engine takes them in as its next records, journaled like any other, so
that models and features learn from them as from any label; each is paid once its record is there, so a crash in
between loses none and repeats none. A replay of recorded commands pays nothing: what it gives must not depend on
where batches end.

A case that nobody closes is dropped when its alerts can no longer be resolved.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from config.errors import InputError
from engine.agenda import AGE, Agenda
from engine.alerts import AlertBook
from engine.forms import Assign, Close
from engine.outcomes import Streams, line, rfc3339, short_id

RISKS: Final[Mapping[str, int]] = {"low": 1, "medium": 2, "high": 3, "critical": 4}
OPEN: Final = "open"
ASSIGNED: Final = "assigned"
CLOSED: Final = "closed"
LISTED_MAX: Final = 1_000  # alerts and transactions that a case names; it counts all of them
UNCLEAR: Final = "unclear"
PAID: Final = "(verdict) "  # how the position of a label begins that the core owed itself


class Case(msgspec.Struct, kw_only=True):
    """One case. Times are core times in microseconds UTC."""

    id: str
    field: str  # customer or account; "" stands alone
    entity: str
    opened_us: int
    last_us: int
    risk: int
    money_minor: int = 0
    count: int = 0  # matches
    rules: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    transactions: tuple[tuple[str, str], ...] = ()  # account, transaction id
    state: str = OPEN
    owner: str = ""

    @property
    def priority_minor(self) -> int:
        """Risk times money, in minor units of the pack's currency."""
        return self.risk * self.money_minor


class CaseBook:
    """Cases that are not closed."""

    def __init__(self, agenda: Agenda, kept_us: int) -> None:
        self._agenda = agenda
        self._kept_us = kept_us
        self._by_id: dict[str, Case] = {}
        self._of: dict[tuple[str, str], str] = {}
        self.owed: list[dict[str, str]] = []  # label messages, the oldest first

    def gather(
        self,
        field: str,
        entity: str,
        *,
        seq: int,
        now_us: int,
        rule: str,
        severity: str,
        alerts: Iterable[str],
        amount_minor: int,
        transaction: tuple[str, str] | None,
    ) -> Case:
        """Add a match to the case of an entity, or open one; return it."""
        id_ = self._of.get((field, entity)) if field else None
        case = self._by_id.get(id_ or "")
        if case is None:
            parts = (field, entity, seq) if field else (rule, seq)
            case = Case(
                id=short_id("k-", *parts),
                field=field,
                entity=entity,
                opened_us=now_us,
                last_us=now_us,
                risk=RISKS[severity],
            )
            if case.id in self._by_id:  # two rules on one row without a customer: one case
                case = self._by_id[case.id]
            else:
                self._enter(case)
                self._agenda.add(now_us + self._kept_us, AGE, case.id)
        case.last_us = now_us
        case.risk = max(case.risk, RISKS[severity])
        case.money_minor += amount_minor
        case.count += 1
        if rule not in case.rules:
            case.rules = tuple(sorted((*case.rules, rule)))
        for alert in alerts:
            if alert not in case.alerts and len(case.alerts) < LISTED_MAX:
                case.alerts += (alert,)
        if (
            transaction is not None
            and transaction not in case.transactions
            and len(case.transactions) < LISTED_MAX
        ):
            case.transactions += (transaction,)
        return case

    def assign(self, order: Assign, seq: int, now_us: int, out: Streams) -> dict[str, object]:
        """Give a case to somebody."""
        case = self._find(order.case_id)
        case.state, case.owner = ASSIGNED, order.to or order.by
        out.resolutions.append(self._line(case, order.by, order.reason, seq, now_us))
        return {"case_id": case.id, "state": case.state, "owner": case.owner}

    def close(
        self, order: Close, book: AlertBook, seq: int, now_us: int, out: Streams
    ) -> tuple[dict[str, object], Case]:
        """Close a case with a verdict; the answer holds the labels that follow from it."""
        case = self._find(order.case_id)
        known = {transaction_id for _, transaction_id in case.transactions}
        strange = sorted(set(order.verdicts) - known)
        if strange:
            raise InputError(
                f"the case holds no transaction `{strange[0]}`",
                why="a verdict is given for what stands in the case",
                fix="send a label for any other transaction",
            )
        labels: list[dict[str, str]] = []
        for account, transaction_id in case.transactions:
            label = order.verdicts.get(transaction_id, order.verdict)
            if label != UNCLEAR:
                about = {"kind": "label", "account": account, "transaction_id": transaction_id}
                labels.append(about | {"label": label, "source": f"case {case.id}"})
        self.owed += labels
        for alert in case.alerts:
            book.resolve(alert)
        case.state = CLOSED
        self._leave(case)
        more = {
            "verdict": order.verdict,
            "labels": [[told["transaction_id"], told["label"]] for told in labels],
        }
        out.resolutions.append(self._line(case, order.by, order.reason, seq, now_us, more))
        told: dict[str, object] = {"case_id": case.id, "state": CLOSED}
        return told | {"verdict": order.verdict, "labels": labels}, case

    def due(self, due_us: int, id_: str) -> None:
        """A case that nobody has closed is dropped, unless it has grown meanwhile."""
        case = self._by_id.get(id_)
        if case is None:
            return
        until_us = case.last_us + self._kept_us
        if until_us > due_us:
            self._agenda.add(until_us, AGE, id_)
        else:
            self._leave(case)

    def all(self) -> list[Case]:
        """Every case that is not closed, by id."""
        return [self._by_id[id_] for id_ in sorted(self._by_id)]

    def restore(self, cases: Iterable[Case], owed: Iterable[dict[str, str]] = ()) -> None:
        """Take over what `all` gave, and `owed`; the agenda is loaded by its owner."""
        self.owed = list(owed)
        for case in cases:
            self._enter(case)

    def adopt(self, other: "CaseBook") -> None:
        """Go on from everything that `other` holds, which must not be used any more."""
        self._by_id, self._of, self.owed = other._by_id, other._of, other.owed  # noqa: SLF001

    def _find(self, case_id: str) -> Case:
        case = self._by_id.get(case_id)
        if case is None:
            raise InputError(
                f"no case `{case_id}` is open",
                why="it was closed before, is too old, or never was",
                fix="look for its case_id in alerts",
            )
        return case

    def _enter(self, case: Case) -> None:
        self._by_id[case.id] = case
        if case.field:
            self._of[case.field, case.entity] = case.id

    def _leave(self, case: Case) -> None:
        del self._by_id[case.id]
        if case.field:
            del self._of[case.field, case.entity]

    def _line(
        self,
        case: Case,
        by: str,
        reason: str,
        seq: int,
        now_us: int,
        more: Mapping[str, object] | None = None,
    ) -> bytes:
        record: dict[str, object] = {
            "seq": seq,
            "kind": "case",
            "case_id": case.id,
            "outcome": case.state,
            "by": by,
            "owner": case.owner or None,
            "reason": reason,
            "opened_at": rfc3339(case.opened_us),
            "age_s": (now_us - case.opened_us) / 1e6,
            "core_time": rfc3339(now_us),
        }
        return line(record | dict(more or {}))
