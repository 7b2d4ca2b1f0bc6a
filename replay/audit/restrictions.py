"""Every restriction that an output folder tells of: on whom, by whom, how long, how it ended, and whether it was right.

Life and end stand in the stream of commands (restrict, release, expired), a refusal in the alerts. Who asked for a
release and why, and what labels said later of the transactions concerned, stand in the journal; without one those
columns stay empty.

    lasted    from its start to its end; where it is in force still, to the newest core time on record
    how       also whether core banking has confirmed, and whether a second signature is missing
    verdict   label of the transaction that led to it: fraud, genuine, or none yet
    touched   transactions decided while it stood on one of their entities, and what labels said of those
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from config.durations import duration_text
from config.reasons import (
    COMMAND_REJECTED,
    NOT_ACKNOWLEDGED,
    RELEASE_NOT_ACKNOWLEDGED,
    RELEASE_REJECTED,
    SECOND_SIGNATURE_MISSING,
)
from config.settings import instant_us
from replay.audit.inputs import Inputs
from replay.audit.records import Decision, Seqs, lines, records
from replay.audit.tables import Cell, Report, Section
from replay.audit.veil import PLAIN, Veil

COLUMNS: Final = (
    "id",
    "on",
    "entity",
    "level",
    "imposed by",
    "reason",
    "effect",
    "from",
    "due",
    "ended",
    "lasted",
    "how",
    "released by",
    "why",
    "verdict",
    "touched",
    "fraud",
    "genuine",
)


@dataclass(slots=True)
class Life:
    """One restriction from the first word about it to the last."""

    command: Mapping[str, Any]  # that imposed it
    how: str = "in force"
    ended: str | None = None  # core time
    released_by: tuple[str, ...] = ()
    why: tuple[str, ...] = ()  # given by those who released or refused it
    is_overdue: bool = False  # nobody acknowledged it in time
    is_stuck: bool = False  # nor its release
    is_unsigned: bool = False  # released at night, and no second person signed in time
    touched: list[tuple[str, str]] = field(default_factory=list)  # account, transaction


def report(root: Path, seqs: Seqs, inputs: Inputs, *, veil: Veil = PLAIN) -> Report:
    """The restrictions imposed in `seqs`, with all that became of them later."""
    lives = lives_of(root, inputs)
    sources, newest_us = _follow(root, lives)
    section = Section("restrictions", "Restrictions", COLUMNS)
    for id_, life in lives.items():
        command = life.command
        if command["seq"] not in seqs:
            continue
        [(on, entity)] = command["entity"].items()
        verdicts = [inputs.labels.get(identity) for identity in life.touched]
        source = sources.get(command["seq"])
        row: tuple[Cell, ...] = (
            id_,
            on,
            veil.value(on, entity),
            command["level"],
            command["rule"] or command["author"],
            command["reason"],
            command["effect"],
            command["started_at"],
            command["expires_at"],
            life.ended,
            _lasted(command["started_at"], life.ended, newest_us),
            life.how,
            ", ".join(life.released_by) or None,
            veil.inside("; ".join(life.why), {on: entity}) or None,
            _verdict(inputs, source) if command["rule"] else None,
            len(life.touched),
            verdicts.count("fraud"),
            verdicts.count("genuine"),
        )
        section.rows.append(row)
    answer = Report([section])
    at = COLUMNS.index("how")
    for how in sorted({str(row[at]) for row in section.rows}):
        answer.facts[how] = sum(row[at] == how for row in section.rows)
    unsigned = [row[0] for row in section.rows if "second signature missing" in str(row[at])]
    if unsigned:
        answer.remarks.append(
            "Lifted by one person at night, and not signed for by a second within 24 h: "
            + ", ".join(map(str, unsigned))
        )
    if not inputs.is_known:
        answer.remarks.append(
            "There is no journal: verdicts, and why somebody released a restriction, are unknown."
        )
    return answer


def lives_of(root: Path, inputs: Inputs) -> dict[str, Life]:
    """Each restriction by id, in the order they were imposed."""
    lives: dict[str, Life] = {}
    for command in records(root, "commands"):
        id_ = command.get("restriction_id")
        if id_ is None:  # a notification, or an addition to a list
            continue
        if command["verb"] == "restrict":
            lives[id_] = Life(command)
        elif id_ in lives:
            life = lives[id_]
            life.how = "released" if command["verb"] == "release" else "expired"
            life.ended = command["core_time"]
            life.released_by = tuple(command["released_by"])
    for alert in records(root, "alerts"):
        life_of = lives.get(alert.get("restriction_id", ""))
        if life_of is not None and alert["reason"] == COMMAND_REJECTED:
            life_of.how, life_of.ended = "rejected", alert["core_time"]
            life_of.why = (alert["title"],)
        elif life_of is not None and alert["reason"] == NOT_ACKNOWLEDGED:
            life_of.is_overdue = True
        elif life_of is not None and alert["reason"] in (
            RELEASE_NOT_ACKNOWLEDGED,
            RELEASE_REJECTED,
        ):
            life_of.is_stuck = True
        elif life_of is not None and alert["reason"] == SECOND_SIGNATURE_MISSING:
            life_of.is_unsigned = True
    by_command = {life.command["command_id"]: id_ for id_, life in lives.items()}
    for order in inputs.orders:
        record = order.record
        command_id = str(record.get("command_id") or "")
        id_ = str(record.get("restriction_id") or by_command.get(command_id, ""))
        if order.command == "release" and id_ in lives and order.is_done:
            lives[id_].why += (f"{record.get('by')}: {record.get('reason')}",)
    for life in lives.values():
        if life.how == "in force" and life.is_overdue:
            life.how = "in force, not acknowledged in time"
        if life.is_stuck:
            life.how += ", not carried out in time"
        if life.is_unsigned:
            life.how += ", second signature missing"
    return lives


def _follow(root: Path, lives: Mapping[str, Life]) -> tuple[dict[int, tuple[str, str]], int | None]:
    """Note which transactions each restriction touched; which transaction each source seq is, and the newest time."""
    wanted = {life.command["seq"] for life in lives.values()}
    sources: dict[int, tuple[str, str]] = {}
    newest_us: int | None = None
    if not wanted:
        return sources, newest_us
    for decision in lines(root, "decisions", Decision):
        identity = (decision.account or "", decision.transaction_id or "")
        if decision.event_time is not None:
            newest_us = max(newest_us or 0, instant_us("event_time", decision.event_time))
        if decision.seq in wanted:
            sources[decision.seq] = identity
        for id_ in decision.restrictions:
            if id_ in lives:
                lives[id_].touched.append(identity)
    return sources, newest_us


def _verdict(inputs: Inputs, identity: tuple[str, str] | None) -> str | None:
    if identity is None or not inputs.is_known:
        return None
    return inputs.labels.get(identity, "none yet")


def _lasted(start: str, end: str | None, newest_us: int | None) -> str | None:
    end_us = newest_us if end is None else instant_us("ended", end)
    if end_us is None:
        return None
    us = max(0, end_us - instant_us("started_at", start))
    return duration_text(us // 1_000_000 * 1_000_000)
