"""Every restriction that an output folder tells of: on whom, by whom, how long, how it ended, and whether it was right.

Life and end stand in the stream of commands (restrict, release, expired), a refusal in the alerts, and what people said
about it in the resolutions: releases, second signatures, appeals, and what became of the transaction and the alerts
that led to it. What each of several people said who asked for a release, and what labels said later of the transactions
concerned, stands in the journal; without one the reasons are those of the release as a whole, and verdicts stay empty.

    lasted    from its start to its end; where it is in force still, to the newest core time on record
    how       also whether core banking has confirmed, whether it was withdrawn from there when the mode became observe,
              and whether a second signature is missing
    why       everything that ended or touched it, in order
    verdict   label of the transaction that led to it: fraud, genuine, or none yet
    touched   transactions decided while it stood on one of their entities, and what labels said of those
"""

from collections.abc import Iterator, Mapping
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
    said: list[tuple[int, str]] = field(default_factory=list)  # seq, and what ended or touched it
    release: Mapping[str, Any] | None = None  # resolution of its release
    is_withdrawn: bool = False  # from core banking, when the mode became observe
    is_overdue: bool = False  # nobody acknowledged it in time
    is_stuck: bool = False  # nor its release
    is_unsigned: bool = False  # released at night, and no second person signed in time
    touched: list[tuple[str, str]] = field(default_factory=list)  # account, transaction

    @property
    def why(self) -> str:
        """What ended or touched it, in order, each once."""
        return "; ".join(dict.fromkeys(text for _, text in sorted(self.said, key=lambda s: s[0])))


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
            veil.inside(life.why, {on: entity}) or None,
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
        elif id_ in lives and command.get("withdrawn"):
            lives[id_].is_withdrawn = True
            by = command.get("withdrawn_by") or "the configuration"
            lives[id_].said.append((command["seq"], f"withdrawn from core banking by {by}"))
        elif id_ in lives:
            life = lives[id_]
            life.how = "released" if command["verb"] == "release" else "expired"
            life.ended = command["core_time"]
            life.released_by = tuple(command["released_by"])
            if command["verb"] == "expired":
                life.said.append((command["seq"], "its time was over"))
    _read_alarms(root, lives)
    _read_resolutions(root, lives, inputs)
    for life in lives.values():
        if life.how == "in force" and life.is_overdue:
            life.how = "in force, not acknowledged in time"
        if life.is_withdrawn:
            life.how += ", withdrawn from core banking"
        if life.is_stuck:
            life.how += ", not carried out in time"
        if life.is_unsigned:
            life.how += ", second signature missing"
    return lives


def _read_alarms(root: Path, lives: Mapping[str, Life]) -> None:
    """Note refusals, and what was not done in time."""
    for alert in records(root, "alerts"):
        life_of = lives.get(alert.get("restriction_id", ""))
        if life_of is not None and alert["reason"] == COMMAND_REJECTED:
            life_of.how, life_of.ended = "rejected", alert["core_time"]
            life_of.said.append((alert["seq"], alert["title"]))
        elif life_of is not None and alert["reason"] == NOT_ACKNOWLEDGED:
            life_of.is_overdue = True
        elif life_of is not None and alert["reason"] in (
            RELEASE_NOT_ACKNOWLEDGED,
            RELEASE_REJECTED,
        ):
            life_of.is_stuck = True
        elif life_of is not None and alert["reason"] == SECOND_SIGNATURE_MISSING:
            life_of.is_unsigned = True


def _read_resolutions(root: Path, lives: Mapping[str, Life], inputs: Inputs) -> None:
    """Note what people said about a restriction, and about the transaction and alerts that led to it."""
    by_seq: dict[int, list[Life]] = {}
    for life in lives.values():
        if life.command["rule"]:
            by_seq.setdefault(life.command["seq"], []).append(life)
    of_alert: dict[str, list[Life]] = {}
    for alert in records(root, "alerts"):
        for life in by_seq.get(alert["seq"], ()):
            for name in (alert.get("alert_id"), alert.get("case_id")):
                if name and life not in of_alert.setdefault(name, []):
                    of_alert[name].append(life)
    for told in records(root, "resolutions"):
        id_ = told.get("restriction_id") or ""
        if id_ in lives:
            touched = [lives[id_]]
            if told.get("kind") == "release":
                lives[id_].release = told
        else:
            name = told.get("alert_id") or told.get("case_id") or ""
            touched = by_seq.get(told.get("first_seq", -1)) or of_alert.get(name) or []
        for life in touched:
            if text := _said_of(told):
                life.said.append((told["seq"], text))
    for life, seq, text in _releases(lives, inputs):
        life.said.append((seq, text))


def _said_of(told: Mapping[str, Any]) -> str:
    """What a resolution says, for people; "" for a release, whose reasons are read elsewhere."""
    kind, outcome, by, why = (told.get(k) for k in ("kind", "outcome", "by", "reason"))
    if kind == "release":
        return ""
    if kind == "countersignature":
        what = "signed for late" if told.get("is_late") else "signed for"
    elif kind == "appeal":
        what = "appeal" if outcome == "open" else f"appeal {outcome}"
    elif kind == "command":
        what = "command withheld"
    elif kind == "case":
        verdict = told.get("verdict")
        what = f"case {outcome}" + (f" as {verdict}" if verdict else "")
    elif told.get("alert_id"):
        what = "alert resolved" + (f" as {outcome}" if outcome else "")
    else:
        what = f"transaction {outcome}"
    return what + (f" by {by}" if by else "") + (f": {why}" if why else "")


def _releases(lives: Mapping[str, Life], inputs: Inputs) -> Iterator[tuple[Life, int, str]]:
    """What each person said who asked for a release; without a journal, what the release says as a whole."""
    by_command = {life.command["command_id"]: id_ for id_, life in lives.items()}
    known: set[str] = set()
    for order in inputs.orders:
        record = order.record
        command_id = str(record.get("command_id") or "")
        ids = [str(record.get("restriction_id") or by_command.get(command_id, ""))]
        if order.command == "release_rule" and order.answer.get("released"):
            ids = [str(id_) for id_ in order.answer["restrictions"]]
        elif order.command != "release":
            continue
        for id_ in ids:
            if id_ in lives and order.is_done:
                known.add(id_)
                number = f" (order {record['order']})" if record.get("order") else ""
                yield lives[id_], order.seq, f"{record.get('by')}: {record.get('reason')}{number}"
    for id_, life in lives.items():
        if life.release is not None and id_ not in known:
            told = life.release
            number = f" (order {told['order']})" if told.get("order") else ""
            yield life, told["seq"], f"{', '.join(told['by'])}: {told['reason']}{number}"


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
