"""What a demonstration shows: per kind of fraud what was caught, how fast and what it saved; false alarms; the cost.

Everything is read from the files a run leaves (decisions, alerts, commands) and from the truth about the generated
traffic; nothing is computed again. Fraudsters here go on whatever the engine decides, so "stopped" adds up the money of
all transactions that were challenged (a fraudster has no answer), held or declined.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeVar

import msgspec

from config.decisions import APPROVE, CHALLENGE, SEVERITY
from config.errors import InputError
from config.money import major_text, minor_units
from config.reasons import SENTENCES
from replay.truth import Mark, Truth

T = TypeVar("T")
N_TELLING: Final = 3
CURRENCY: Final = "EUR"
DIGITS: Final = 2


class Fired(msgspec.Struct, frozen=True):
    """A rule that fired, as a decision names it."""

    rule: str
    version: int
    reason: str


class Decision(msgspec.Struct, frozen=True):
    """What the report needs of one line of decisions.ndjson."""

    transaction_id: str | None
    account: str | None
    event_time: str | None
    decision: str
    score: float
    fired: list[Fired] = []
    reasons: list[str] = []
    alerts: list[str] = []
    commands: list[str] = []

    @property
    def severity(self) -> int:
        return SEVERITY[self.decision]


class Alert(msgspec.Struct, frozen=True):
    alert_id: str
    kind: str
    title: str = ""
    transaction_id: str | None = None
    account: str | None = None


class Command(msgspec.Struct, frozen=True):
    command_id: str
    verb: str
    entity: dict[str, str | None] = {}
    level: str = ""
    expires_at: str | None = None


@dataclass(frozen=True, slots=True)
class KindOfAttempt:
    """One line of the table. Money in minor units; `n_before` and `delay_s` are medians over the attempts caught."""

    typology: str
    is_honest: bool
    n_attempts: int
    n_caught: int  # with a decision above approve; for honest ones: disturbed
    n_before: float  # transactions of the attempt that passed before the first such decision
    delay_s: float  # from the first transaction of the attempt to that decision
    at_stake: int
    stopped: int


@dataclass(frozen=True, slots=True)
class Telling:
    """One decision that shows well what the engine does."""

    mark: Mark
    decision: Decision
    titles: tuple[str, ...]
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """What a run did about traffic whose truth is known."""

    kinds: tuple[KindOfAttempt, ...]
    telling: tuple[Telling, ...]
    n_transactions: int
    n_honest: int
    n_honest_disturbed: int  # decided above approve
    n_victims_disturbed: int  # of these, the owner's own, on an account after a fraud on it began
    n_alerts: int
    n_alerts_false: int  # opened by transactions of no fraud, or activity on an account without one
    n_commands: int


def read_story(out: Path, truth: Truth) -> Story:
    """Compare the output folder of a run with the truth; raise `InputError` naming a line that cannot be read."""
    marks = {(mark.account, mark.transaction_id): mark for mark in truth.marks}
    since = _since(truth)
    decided: dict[tuple[str, str], Decision] = {}
    n_transactions = n_disturbed = n_victims = 0
    for decision in _lines(out / "decisions.ndjson", Decision):
        identity = (decision.account or "", decision.transaction_id or "")
        n_transactions += 1
        mark = marks.get(identity)
        if mark is not None:
            decided[identity] = decision
        if decision.severity > APPROVE and (mark is None or mark.is_honest):
            n_disturbed += 1
            n_victims += _is_after(since, identity[0], decision.event_time)
    alerts = [a for a in _lines(out / "alerts.ndjson", Alert) if a.kind == "rule"]
    commands = {c.command_id: c for c in _lines(out / "commands.ndjson", Command)}
    opened: dict[tuple[str, str], tuple[str, ...]] = {}
    for alert in alerts:
        identity = (alert.account or "", alert.transaction_id or "")
        opened[identity] = (*opened.get(identity, ()), alert.title)
    return Story(
        kinds=tuple(_kinds(truth, decided)),
        telling=_telling(truth, decided, opened, commands),
        n_transactions=n_transactions,
        n_honest=n_transactions - sum(not mark.is_honest for mark in truth.marks),
        n_honest_disturbed=n_disturbed,
        n_victims_disturbed=n_victims,
        n_alerts=len(alerts),
        n_alerts_false=sum(_is_false(alert, marks, since) for alert in alerts),
        n_commands=len(commands),
    )


def tell(story: Story, summary: Mapping[str, Any], sentences: Mapping[str, str]) -> str:
    """The story as a page of text. `summary` is that of the run, `sentences` say what the reasons of the pack mean."""
    blocks = (
        _fraud_table(story),
        _honest_table(story),
        _told(story, SENTENCES | dict(sentences)),
        _cost(story, summary),
    )
    return "\n\n".join(blocks)


def _since(truth: Truth) -> dict[str, str]:
    """Account -> when the first fraud on it began; times are texts of one form, which sort."""
    since: dict[str, str] = {}
    for mark in truth.marks:
        if not mark.is_honest:
            since[mark.account] = min(since.get(mark.account, mark.event_time), mark.event_time)
    return since


def _is_after(since: Mapping[str, str], account: str, event_time: str | None) -> bool:
    return (
        account in since
        and event_time is not None
        and _instant(since[account]) <= _instant(event_time)
    )


def _is_false(
    alert: Alert, marks: Mapping[tuple[str, str], Mark], since: Mapping[str, str]
) -> bool:
    if alert.transaction_id is None:
        return alert.account not in since
    mark = marks.get((alert.account or "", alert.transaction_id))
    return mark is None or mark.is_honest


def _kinds(truth: Truth, decided: Mapping[tuple[str, str], Decision]) -> Iterator[KindOfAttempt]:
    attempts: dict[str, list[tuple[Mark, ...]]] = {}
    for marks in truth.attempts.values():
        attempts.setdefault(marks[0].typology, []).append(marks)
    for typology, each in attempts.items():
        before: list[int] = []
        delay_s: list[float] = []
        at_stake = stopped = 0
        for marks in each:
            severity = [_severity(mark, decided) for mark in marks]
            first = next((i for i, s in enumerate(severity) if s > APPROVE), None)
            if first is not None:
                before.append(first)
                span = _instant(marks[first].event_time) - _instant(marks[0].event_time)
                delay_s.append(span.total_seconds())
            money = [(_minor(m), s) for m, s in zip(marks, severity, strict=True) if m.is_money]
            at_stake += sum(amount for amount, _ in money)
            stopped += sum(amount for amount, s in money if s >= CHALLENGE)
        yield KindOfAttempt(
            typology=typology,
            is_honest=each[0][0].is_honest,
            n_attempts=len(each),
            n_caught=len(before),
            n_before=median(before) if before else 0.0,
            delay_s=median(delay_s) if delay_s else 0.0,
            at_stake=at_stake,
            stopped=stopped,
        )


def _severity(mark: Mark, decided: Mapping[tuple[str, str], Decision]) -> int:
    decision = decided.get((mark.account, mark.transaction_id))
    return decision.severity if decision else APPROVE


def _telling(
    truth: Truth,
    decided: Mapping[tuple[str, str], Decision],
    opened: Mapping[tuple[str, str], tuple[str, ...]],
    commands: Mapping[str, Command],
) -> tuple[Telling, ...]:
    """The largest sums whose stop opened an alert, each of another kind of fraud and for another reason."""
    frauds = sorted(
        (m for m in truth.marks if not m.is_honest and m.is_money), key=_minor, reverse=True
    )
    chosen: list[Telling] = []
    seen: set[str] = set()
    for mark in frauds:
        identity = (mark.account, mark.transaction_id)
        decision = decided.get(identity)
        if (
            decision is None
            or decision.severity < CHALLENGE
            or not decision.fired
            or identity not in opened
        ):
            continue
        if mark.typology in seen or decision.fired[0].reason in seen:
            continue
        seen |= {mark.typology, decision.fired[0].reason}
        chosen.append(
            Telling(
                mark,
                decision,
                opened[identity],
                tuple(commands[c] for c in decision.commands if c in commands),
            )
        )
        if len(chosen) == N_TELLING:
            break
    return tuple(chosen)


def _fraud_table(story: Story) -> str:
    frauds = [kind for kind in story.kinds if not kind.is_honest]
    lines = [
        "What was tried          attempts  caught   noticed after (median)          at stake   stopped",
        *(
            f"{kind.typology.replace('_', ' '):24s}{kind.n_attempts:8d}{kind.n_caught:8d}   "
            f"{_notice(kind):26s}{_euros(kind.at_stake):>14s}{_share(kind.stopped, kind.at_stake):>10s}"
            for kind in frauds
        ),
    ]
    n, caught = sum(k.n_attempts for k in frauds), sum(k.n_caught for k in frauds)
    stake, stopped = sum(k.at_stake for k in frauds), sum(k.stopped for k in frauds)
    lines.append(
        f"{'all':24s}{n:8d}{caught:8d}   {'':26s}{_euros(stake):>14s}{_share(stopped, stake):>10s}"
    )
    lines.append(
        "Stopped: challenged, held or declined. These fraudsters do not give up after the first answer."
    )
    return "\n".join(lines)


def _honest_table(story: Story) -> str:
    honest = [kind for kind in story.kinds if kind.is_honest]
    disturbed, robbed = story.n_honest_disturbed, story.n_victims_disturbed
    share = f"{disturbed / story.n_honest:.3%}" if story.n_honest else "none"
    lines = ["Honest, and looks like fraud    events  disturbed"]
    lines += [
        f"{k.typology.replace('_', ' '):30s}{k.n_attempts:8d}{k.n_caught:11d}" for k in honest
    ]
    lines.append(
        f"Of {story.n_honest:,d} honest transactions {disturbed:,d} were not simply approved ({share}), "
        f"{robbed:,d} of them on an account just robbed."
    )
    lines.append(
        f"{story.n_alerts:,d} alerts for people, {story.n_alerts_false:,d} of them without a fraud behind them; "
        f"{story.n_commands:,d} commands to core banking (recorded, not sent)."
    )
    return "\n".join(lines)


def _told(story: Story, sentences: Mapping[str, str]) -> str:
    if not story.telling:
        return "No fraud was stopped by a rule."
    lines = [
        "Three decisions, and why" if len(story.telling) == N_TELLING else "Decisions, and why"
    ]
    for each in story.telling:
        mark, decision = each.mark, each.decision
        when = mark.event_time[:16].replace("T", " ")
        lines.append(
            f"- {when}  {_euros(_minor(mark))} from account {mark.account}: "
            f"{decision.decision.upper()} (score {decision.score:g})"
        )
        lines += [
            f"    {reason}: {sentences.get(reason, 'see the pack')}" for reason in decision.reasons
        ]
        lines += [f"    alert: {title}" for title in each.titles]
        lines += [f"    command: {_command(command)}" for command in each.commands]
        lines.append(
            f"    rule {', '.join(f'{f.rule} v{f.version}' for f in decision.fired)}; in truth {mark.attempt}"
        )
    return "\n".join(lines)


def _cost(story: Story, summary: Mapping[str, Any]) -> str:
    speed = summary.get("speed", {})
    parts = [f"{story.n_transactions:,d} transactions"]
    if "seconds" in speed:
        parts.append(
            f"in {speed['seconds']:.1f} s ({speed.get('tx_per_second', 0):,d} a second, one process)"
        )
    latency = speed.get("batch_latency_ms", {})
    if latency:
        parts.append("batch " + ", ".join(f"{name} {ms:g} ms" for name, ms in latency.items()))
    if "memory_mb_max" in summary:
        parts.append(f"{summary['memory_mb_max']:,.0f} MB at most")
    return "What it cost: " + "; ".join([" ".join(parts[:2]), *parts[2:]])


def _command(command: Command) -> str:
    entity = " ".join(f"{name} {value}" for name, value in command.entity.items())
    until = f" until {command.expires_at[:16].replace('T', ' ')}" if command.expires_at else ""
    return f"{command.verb} {entity} {command.level.replace('_', ' ')}".rstrip() + until


def _notice(kind: KindOfAttempt) -> str:
    if not kind.n_caught:
        return "never"
    if not kind.n_before:
        return "at the first transaction"
    plural = "" if kind.n_before == 1 else "s"
    return f"{kind.n_before:g} transaction{plural}, {_duration(kind.delay_s)}"


def _duration(seconds: float) -> str:
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def _euros(minor: int) -> str:
    whole, cents = major_text(minor, DIGITS).split(".")
    return f"{int(whole):,d}.{cents} {CURRENCY}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _minor(mark: Mark) -> int:
    return minor_units(mark.amount, DIGITS)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _lines(path: Path, kind: type[T]) -> Iterator[T]:
    decode = msgspec.json.Decoder(kind).decode
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield decode(line)
            except msgspec.DecodeError as error:
                raise InputError(
                    f"not a line of {path.name}: {error}",
                    f"{path}:{number}",
                    "the report reads what a finished run has written",
                    "run it again into an empty folder",
                ) from None
