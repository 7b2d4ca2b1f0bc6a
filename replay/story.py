"""What a run did about traffic whose truth is known: per kind of fraud what was noticed, how fast, and what it saved.

Everything is read from the files a run leaves (decisions, alerts, commands, reports) and from the truth that
`weir generate` wrote beside the recording; nothing is computed again. replay/demo.py makes a page of it.

    alerted     an alert was opened or joined by one of the attempt's transactions, or by activity of its accounts from
                a day before its first transaction until its last
    disturbed   a decision above approve
    stopped     money of transactions that were challenged (a fraudster has no answer), held or declined; the fraudsters
                of generated traffic go on whatever the engine decides
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeVar

import msgspec

from config.decisions import APPROVE, CHALLENGE, SEVERITY
from config.errors import InputError
from config.money import minor_units
from engine.durable.disk import Disk, RealDisk
from replay.bank.truth import Mark, Truth

T = TypeVar("T")
Identity = tuple[str, str]

N_TELLING: Final = 5
DIGITS: Final = 2  # of the truth's amounts, which are in CNY
EASY: Final = "easy"
BEFORE: Final = timedelta(
    days=1
)  # an attempt begins with activity (a call, a new phone) before money moves


class Fired(msgspec.Struct, frozen=True):
    """A rule that fired, as a decision names it."""

    rule: str
    version: int
    reason: str


class Decision(msgspec.Struct, frozen=True):
    """What the story needs of one line of decisions.ndjson."""

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
    """What the story needs of one line of alerts.ndjson."""

    alert_id: str
    kind: str  # rule: opened; update: joined; others are not about a match
    rule: str = ""
    title: str = ""
    transaction_id: str | None = None
    account: str | None = None
    event_time: str | None = None


class Command(msgspec.Struct, frozen=True):
    """What the story needs of one line of commands.ndjson."""

    command_id: str
    verb: str
    entity: dict[str, str | None] = {}
    level: str = ""
    expires_at: str | None = None


class Report(msgspec.Struct, frozen=True):
    """What the story needs of one line of reports.ndjson."""

    report_id: str
    kind: str
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Kind:
    """All attempts of one typology and variant, or all events of one honest look-alike.

    Money in minor units; `n_before` and `delay_s` are medians over the attempts that got a decision above approve.
    """

    typology: str
    variant: str  # easy, hard, or "" for look-alikes
    is_honest: bool
    n_attempts: int
    n_alerted: int
    n_disturbed: int
    n_before: (
        float  # transactions of the attempt that passed before the first decision above approve
    )
    delay_s: float  # from the first transaction of the attempt to that decision
    at_stake: int
    stopped: int
    n_by_pack: Mapping[str, int]  # attempts that rules of this pack alone would have alerted


@dataclass(frozen=True, slots=True)
class Telling:
    """One decision that shows well what the engine does."""

    mark: Mark
    decision: Decision
    titles: tuple[str, ...]
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """What a run did, counted."""

    kinds: tuple[Kind, ...]
    telling: tuple[Telling, ...]
    n_transactions: int
    n_honest: int
    n_honest_alerted: int
    n_honest_by_pack: Mapping[str, int]
    n_honest_disturbed: int
    n_victims_disturbed: int  # of these, the owner's own, on an account after a fraud on it began
    n_alerts: int
    n_alerts_false: int  # opened by transactions of no fraud, or activity on an account without one
    n_commands: int
    reports: Mapping[str, int]  # kind -> reports that are due

    def as_dict(self) -> dict[str, Any]:
        """For summaries in JSON: every kind, and the honest rates."""
        return {
            "kinds": [
                {name: getattr(kind, name) for name in Kind.__dataclass_fields__}
                | {"n_by_pack": dict(kind.n_by_pack)}
                for kind in self.kinds
            ],
            "honest": self.n_honest,
            "honest_alerted": self.n_honest_alerted,
            "honest_by_pack": dict(self.n_honest_by_pack),
            "honest_disturbed": self.n_honest_disturbed,
            "alerts": self.n_alerts,
            "alerts_false": self.n_alerts_false,
            "commands": self.n_commands,
            "reports": dict(self.reports),
        }


@dataclass(slots=True)
class _Alerts:
    """Who was alerted, by transaction and by activity, and what the alerts of a transaction say."""

    rules: dict[Identity, set[str]] = field(default_factory=dict)  # opened or joined
    titles: dict[Identity, tuple[str, ...]] = field(default_factory=dict)  # opened
    on_activity: dict[str, list[tuple[datetime, str]]] = field(default_factory=dict)
    opened: list[Alert] = field(default_factory=list)

    def of(self, marks: Iterable[Mark]) -> set[str]:
        """The rules that alerted on an attempt."""
        each = list(marks)
        found = {r for m in each for r in self.rules.get((m.account, m.transaction_id), ())}
        begin, end = _instant(each[0].event_time) - BEFORE, _instant(each[-1].event_time)
        for account in {mark.account for mark in each}:
            found |= {r for at, r in self.on_activity.get(account, ()) if begin <= at <= end}
        return found


def read_story(
    out: Path, truth: Truth, packs: Mapping[str, str] | None = None, disk: Disk | None = None
) -> Story:
    """Compare the output folder of a run with the truth; raise `InputError` naming a line that cannot be read.

    Attempts of which no transaction was decided are left out: a run that was stopped, or looks at some days only, never
    saw them. `packs` maps rules to the pack they stand in, for figures of each pack alone: rules do not hear of each
    other. `disk` is that of the folder if it is encrypted.
    """
    packs, disk = packs or {}, disk or RealDisk()
    marks = {(mark.account, mark.transaction_id): mark for mark in truth.marks}
    since, alerts = _since(truth), _read_alerts(disk, out / "alerts.ndjson")
    decided: dict[Identity, Decision] = {}
    n_transactions = n_disturbed = n_victims = 0
    for decision in _lines(disk, out / "decisions.ndjson", Decision):
        identity = (decision.account or "", decision.transaction_id or "")
        n_transactions += 1
        mark = marks.get(identity)
        if mark is not None:
            decided[identity] = decision
        if decision.severity > APPROVE and (mark is None or mark.is_honest):
            n_disturbed += 1
            n_victims += _is_after(since, identity[0], decision.event_time)
    seen = _seen(truth, decided)
    honest = [
        rules for key, rules in alerts.rules.items() if key not in marks or marks[key].is_honest
    ]
    commands = {c.command_id: c for c in _lines(disk, out / "commands.ndjson", Command)}
    reports: dict[str, int] = {}
    for report in _lines(disk, out / "reports.ndjson", Report):
        reports[report.kind] = reports.get(report.kind, 0) + (report.revision == 1)
    return Story(
        kinds=tuple(_kinds(seen, decided, alerts, packs)),
        telling=_telling(seen, decided, alerts.titles, commands),
        n_transactions=n_transactions,
        n_honest=n_transactions - sum(not marks[key].is_honest for key in decided),
        n_honest_alerted=len(honest),
        n_honest_by_pack=_by_pack(honest, packs),
        n_honest_disturbed=n_disturbed,
        n_victims_disturbed=n_victims,
        n_alerts=len(alerts.opened),
        n_alerts_false=sum(_is_false(alert, marks, since) for alert in alerts.opened),
        n_commands=len(commands),
        reports=dict(sorted(reports.items())),
    )


def _read_alerts(disk: Disk, path: Path) -> _Alerts:
    alerts = _Alerts()
    for alert in _lines(disk, path, Alert):
        if alert.kind not in ("rule", "update"):
            continue
        account = alert.account or ""
        if alert.transaction_id is not None:
            identity = (account, alert.transaction_id)
            alerts.rules.setdefault(identity, set()).add(alert.rule)
            if alert.kind == "rule":
                alerts.titles[identity] = (*alerts.titles.get(identity, ()), alert.title)
        elif alert.event_time is not None:
            at = (_instant(alert.event_time), alert.rule)
            alerts.on_activity.setdefault(account, []).append(at)
        if alert.kind == "rule":
            alerts.opened.append(alert)
    return alerts


def _by_pack(alerted: Iterable[set[str]], packs: Mapping[str, str]) -> dict[str, int]:
    """How many of the sets of rules hold one of each pack."""
    counts = dict.fromkeys(sorted(set(packs.values())), 0)
    for rules in alerted:
        for pack in {packs[rule] for rule in rules if rule in packs}:
            counts[pack] += 1
    return counts


def _seen(truth: Truth, decided: Mapping[Identity, Decision]) -> Truth:
    """The attempts of which at least one transaction was decided."""
    names = {m.attempt for m in truth.marks if (m.account, m.transaction_id) in decided}
    return Truth(tuple(mark for mark in truth.marks if mark.attempt in names))


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


def _is_false(alert: Alert, marks: Mapping[Identity, Mark], since: Mapping[str, str]) -> bool:
    if alert.transaction_id is None:
        return alert.account not in since
    mark = marks.get((alert.account or "", alert.transaction_id))
    return mark is None or mark.is_honest


def _kinds(
    truth: Truth,
    decided: Mapping[Identity, Decision],
    alerts: _Alerts,
    packs: Mapping[str, str],
) -> Iterator[Kind]:
    """One entry a typology and variant: frauds first, then look-alikes, each by name."""
    attempts: dict[tuple[bool, str, str], list[tuple[Mark, ...]]] = {}
    for marks in truth.attempts.values():
        first = marks[0]
        key = (first.is_honest, first.typology, first.variant)
        attempts.setdefault(key, []).append(marks)
    for (is_honest, typology, variant), each in sorted(attempts.items()):
        before: list[int] = []
        delay_s: list[float] = []
        at_stake = stopped = 0
        for marks in each:
            severity = [_severity(mark, decided) for mark in marks]
            first_at = next((i for i, s in enumerate(severity) if s > APPROVE), None)
            if first_at is not None:
                before.append(first_at)
                span = _instant(marks[first_at].event_time) - _instant(marks[0].event_time)
                delay_s.append(span.total_seconds())
            money = [(_minor(m), s) for m, s in zip(marks, severity, strict=True) if m.is_money]
            at_stake += sum(amount for amount, _ in money)
            stopped += sum(amount for amount, s in money if s >= CHALLENGE)
        alerted = [rules for marks in each if (rules := alerts.of(marks))]
        yield Kind(
            typology=typology,
            variant=variant,
            is_honest=is_honest,
            n_attempts=len(each),
            n_alerted=len(alerted),
            n_disturbed=len(before),
            n_before=median(before) if before else 0.0,
            delay_s=median(delay_s) if delay_s else 0.0,
            at_stake=at_stake,
            stopped=stopped,
            n_by_pack=_by_pack(alerted, packs),
        )


def _severity(mark: Mark, decided: Mapping[Identity, Decision]) -> int:
    decision = decided.get((mark.account, mark.transaction_id))
    return decision.severity if decision else APPROVE


def _telling(
    truth: Truth,
    decided: Mapping[Identity, Decision],
    titles: Mapping[Identity, tuple[str, ...]],
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
            or identity not in titles
        ):
            continue
        if mark.typology in seen or decision.fired[0].reason in seen:
            continue
        seen |= {mark.typology, decision.fired[0].reason}
        asked = tuple(commands[c] for c in decision.commands if c in commands)
        chosen.append(Telling(mark, decision, titles[identity], asked))
        if len(chosen) == N_TELLING:
            break
    return tuple(chosen)


def _minor(mark: Mark) -> int:
    return minor_units(mark.amount, DIGITS)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _lines(disk: Disk, path: Path, kind: type[T]) -> Iterator[T]:
    decode = msgspec.json.Decoder(kind).decode
    with disk.open(path) as file:
        for number, line in enumerate(file, 1):
            try:
                yield decode(line)
            except msgspec.DecodeError as error:
                raise InputError(
                    f"not a line of {path.name}: {error}",
                    f"{path}:{number}",
                    "the story is read from what a finished run has written",
                    "run it again into an empty folder",
                ) from None
