"""What the streams of an output folder say about restrictions, cases and the mode, whether an engine runs or not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from config.reasons import COMMAND_REJECTED, MODE_SWITCHED, NOT_ACKNOWLEDGED
from replay.audit.inputs import Inputs
from replay.audit.records import records

RISKS: Final[Mapping[str, int]] = {"low": 1, "medium": 2, "high": 3, "critical": 4}
OPEN, ASSIGNED, CLOSED = "open", "assigned", "closed"
ENDED: Final = frozenset({"expired", "released", "rejected"})


@dataclass(slots=True)
class Standing:
    """One restriction, as far as the streams tell."""

    command: Mapping[str, Any]  # that imposed it
    state: str
    ended: str | None = None
    released_by: tuple[str, ...] = ()

    @property
    def is_in_force(self) -> bool:
        return self.state not in ENDED

    @property
    def entity(self) -> tuple[str, str]:
        [(domain, id_)] = self.command["entity"].items()
        return domain, id_


def restrictions(root: Path, inputs: Inputs | None = None) -> dict[str, Standing]:
    """Every restriction by id, in the order they were imposed. O(commands + alerts).

    inputs : what the journal holds of core banking's answers; without it nobody can tell `sent` from `active`
    """
    found: dict[str, Standing] = {}
    for command in records(root, "commands"):
        id_ = command.get("restriction_id", "")
        if command["verb"] == "restrict":
            found[id_] = Standing(command, "sent" if command["effect"] == "enforce" else "observed")
        elif id_ in found and command.get("withdrawn"):
            found[id_].state = "observed"
        elif id_ in found:
            one = found[id_]
            one.state = "released" if command["verb"] == "release" else "expired"
            one.ended, one.released_by = command["core_time"], tuple(command["released_by"])
    for alert in records(root, "alerts"):
        named = found.get(alert.get("restriction_id", ""))
        if named is None:
            continue
        if alert["reason"] == COMMAND_REJECTED:
            named.state, named.ended = "rejected", alert["core_time"]
        elif alert["reason"] == NOT_ACKNOWLEDGED and named.state == "sent":
            named.state = "timed_out"
    by_command = {one.command["command_id"]: one for one in found.values()}
    for order in inputs.orders if inputs is not None else ():
        told = order.record
        named = by_command.get(told.get("command_id", "")) or found.get(
            told.get("restriction_id", "")
        )
        if order.command == "acknowledge" and named and named.state in ("sent", "timed_out"):
            named.state = "active"
    return found


@dataclass(slots=True)
class Case:
    """All alerts of one customer, or account, until somebody closed it."""

    id: str
    first: Mapping[str, Any]
    state: str = OPEN
    owner: str = ""
    verdict: str = ""
    risk: int = 1
    money: Decimal = Decimal(0)
    last: str = ""
    rules: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    transactions: list[tuple[str, str]] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    queues: list[str] = field(default_factory=list)
    matches: set[tuple[int, str]] = field(default_factory=set)

    @property
    def priority(self) -> Decimal:
        """Worst severity (1 to 4) times the money of all matches."""
        return self.risk * self.money

    @property
    def severity(self) -> str:
        return next(name for name, risk in RISKS.items() if risk == self.risk)


def cases(root: Path) -> dict[str, Case]:
    """Every case by id, in the order they were opened. O(alerts + resolutions)."""
    found: dict[str, Case] = {}
    for alert in records(root, "alerts"):
        id_ = alert.get("case_id")
        if not id_:  # operational, or of a version without cases
            continue
        case = found.get(id_)
        if case is None:
            case = found[id_] = Case(id_, alert)
        _join(case, alert)
    for line in records(root, "resolutions"):
        case = found.get(line.get("case_id", "")) if line.get("kind") == "case" else None
        if case is not None:
            case.state, case.owner = line["outcome"], line["owner"] or ""
            case.verdict = str(line.get("verdict") or "")
    return found


def _join(case: Case, alert: Mapping[str, Any]) -> None:
    for told, known in (
        (alert["rule"], case.rules),
        (alert["alert_id"], case.alerts),
        (alert.get("title"), case.titles),
        (alert.get("queue"), case.queues),
    ):
        if told and told not in known:
            known.append(told)
    identity = (alert.get("account") or "", alert.get("transaction_id") or "")
    if identity[1] and identity not in case.transactions:
        case.transactions.append(identity)
    case.risk = max(case.risk, RISKS[alert["severity"]])
    case.last = alert["event_time"]
    match = alert["seq"], alert["rule"]
    if match not in case.matches:  # a rule may raise several alerts at one match
        case.matches.add(match)
        case.money += Decimal(alert["amount"] or 0)


def mode(root: Path) -> tuple[str, str]:
    """The effect that an order has set, and what was said about it; both empty if nobody gave one."""
    effect = said = ""
    for alert in records(root, "alerts"):
        if alert["reason"] == MODE_SWITCHED:
            effect, said = alert["effect"], alert["title"]
    return effect, said
