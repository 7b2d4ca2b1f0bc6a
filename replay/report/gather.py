"""Everything the reports count, by business day, from a pass over each stream.

Memory goes with days, rules and regions, and with what people look at or decide (labels, alerts, restrictions, stopped
transactions), never with transactions. Whose day something is: that of the event, in the bank's time zone; of what has
no event (commands, alarms, what became of a hold) that of core time when it happened.
"""

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from config.decisions import DECISIONS, SEVERITY
from config.reasons import COMMAND_REJECTED, MODE_SWITCHED
from engine.held import APPROVED
from engine.progress import Progress
from replay.report.counting import STOPPED, Day, Region, Typology, bin_of
from replay.report.folder import FRAUD, GENUINE, NO_VERDICT, Bar, Folder, Messages, Verdict
from replay.report.shapes import (
    AlertLine,
    CommandLine,
    DeadLine,
    DecisionLine,
    MessageDecoder,
    Numbered,
    ReportLine,
    ResolutionLine,
    TimedLine,
)
from replay.report.spread import Spread

CHAMPION: Final = "champion"
DEAD_SHOWN: Final = 20
REGION: Final = "country"
RESTRICT: Final = "restrict"
SEVERITIES: Final = ("low", "medium", "high", "critical")
MONEY_ALERTS: Final = ("rule", "update")


@dataclass(slots=True)
class Entity:
    """Somebody or something that alerts are about: `n` matches and their money, `alerts` opened, worst severity."""

    domain: str
    name: str
    n: int = 0
    alerts: int = 0
    severity: str = "low"
    money: int = 0
    frauds: int = 0


@dataclass(slots=True)
class Alarm:
    """An alarm for operations: about models, limits, core banking, the mode."""

    day: str
    time: str
    reason: str
    title: str
    name: str = ""


@dataclass(slots=True)
class Gathered:
    """What was counted. `days` in order; only those that were asked for."""

    region: str
    most_of: str = ""
    days: dict[str, Day] = field(default_factory=dict)
    known_days: list[str] = field(default_factory=list)  # of all decisions of the folder
    last_time: str = ""  # the newest event time
    last_seq: int = -1
    entities: dict[tuple[str, str], Entity] = field(default_factory=dict)
    alarms: list[Alarm] = field(default_factory=list)
    dead: list[tuple[int, str, str, str]] = field(default_factory=list)  # seq, reason, place, what
    models: dict[str, Spread] = field(default_factory=dict)
    in_force: list[tuple[str, Counter[str]]] = field(
        default_factory=list
    )  # day -> level -> how many
    rejected: list[tuple[int, str, str]] = field(default_factory=list)  # seq, day, restriction
    mode: str = ""  # the effect that an order has set
    n_labels: int = 0
    ends: dict[str, int] = field(default_factory=dict)  # day -> the first seq of a later day

    def restrictions_on(self, day: str) -> Counter[str]:
        """Restrictions in force when a day ended, by level."""
        place = bisect_right([d for d, _ in self.in_force], day)
        return self.in_force[place - 1][1] if place else Counter()


class _Days:
    """Days by event time, and by seq for what has no time."""

    def __init__(self, folder: Folder) -> None:
        self.calendar = folder.calendar
        self.ranges: dict[str, list[int]] = {}  # day -> first and last seq
        self._seqs: list[int] = []
        self._names: list[str] = []
        self.last_time, self.last_seq = "", -1

    def survey(self, folder: Folder, bar: Bar) -> None:
        """Look once at every decision: which days there are, and where core time went into the next one."""
        day_of = self.calendar.day
        core = ""
        for timed in folder.lines("decisions", TimedLine, bar):
            self.last_seq = timed.seq
            time = timed.event_time
            day = core if time is None else day_of(time)
            if time is not None and time > self.last_time:
                self.last_time = time
            if day > core:
                core = day
                self._seqs.append(timed.seq)
                self._names.append(day)
            held = self.ranges.get(day)
            if held is None:
                self.ranges[day] = [timed.seq, timed.seq]
            else:
                held[1] = timed.seq

    def of_seq(self, seq: int) -> str:
        """The day of core time at a record; the first day for what came before every decision."""
        if not self._seqs:
            return ""
        return self._names[max(0, bisect_right(self._seqs, seq) - 1)]

    def end_of(self, day: str) -> int:
        """The first record at which core time was beyond a day; one past the last decision if it never was."""
        place = bisect_right(self._names, day)
        return self._seqs[place] if place < len(self._seqs) else self.last_seq + 1

    def of(self, time: str | None, seq: int) -> str:
        return self.of_seq(seq) if time is None else self.calendar.day(time)


def known_days(folder: Folder) -> list[str]:
    """The business days of which the folder holds a decision, in order."""
    days = _Days(folder)
    with Progress(folder.size("decisions"), "B") as progress:
        days.survey(folder, Bar(progress))
    return sorted(day for day in days.ranges if day)


def gather(
    folder: Folder,
    *,
    wanted: Collection[str] | None = None,
    region: str = REGION,
    models: bool = False,
    most_of: str = "",
) -> Gathered:
    """Count everything.

    wanted  : business days; None: all of them
    region  : field of the messages that tells the region
    models  : also the spread of every model's scores
    most_of : the day whose entities are told; "": of all days
    """
    found = Gathered(region, most_of=most_of)
    days = _Days(folder)
    with Progress(2 * folder.size("decisions"), "B") as progress:
        bar = Bar(progress)
        days.survey(folder, bar)
        found.known_days = sorted(day for day in days.ranges if day)
        found.last_time, found.last_seq = days.last_time, days.last_seq
        found.ends = {day: days.end_of(day) for day in wanted or ()}
        asked = found.known_days if wanted is None else sorted(wanted)
        found.days = {day: Day(day) for day in asked}
        spans = [days.ranges[day] for day in asked if day in days.ranges]
        first = min((span[0] for span in spans), default=0)
        verdicts = folder.verdicts(0 if wanted is None else first)
        found.n_labels = len(verdicts)
        stopped = _decisions(folder, found, days, verdicts, spans, bar, models=models)
    _alerts(folder, found, days, verdicts)
    _commands(folder, found, days)
    _resolutions(folder, found, days, stopped)
    for report in folder.lines("reports", ReportLine):
        if report.revision == 1 and report.day in found.days:
            found.days[report.day].reports[report.kind] += 1
    _flaws(folder, found, days)
    return found


def _decisions(
    folder: Folder,
    found: Gathered,
    days: _Days,
    verdicts: Mapping[tuple[str, str], Verdict],
    spans: list[list[int]],
    bar: Bar,
    *,
    models: bool,
) -> dict[int, tuple[str, int]]:
    """Count decisions with what their messages say; return day and money of each that was stopped, by seq."""
    stopped: dict[int, tuple[str, int]] = {}
    if not spans:
        return stopped
    first, last = min(s[0] for s in spans), max(s[1] for s in spans)
    messages = Messages(folder.journal, first, last + 1)
    decode = MessageDecoder(found.region)
    calendar, core = folder.calendar, ""
    for one in folder.lines("decisions", DecisionLine, bar):
        if one.seq < first or one.seq > last:
            continue
        if one.event_time is None:
            name, hour = core or days.of_seq(one.seq), -1
        else:
            name, hour = calendar.at(one.event_time)
            core = max(core, name)
        day = found.days.get(name)
        if day is None:
            continue
        told = decode(messages.line(one.seq))
        minor = folder.minor(told.amount, told.currency, one.event_time, one.config)
        verdict = verdicts.get((one.account or "", one.transaction_id or ""))
        _count(day, one, hour, minor, told.region, verdict)
        if SEVERITY[one.decision] >= SEVERITY[STOPPED[0]]:
            stopped[one.seq] = name, minor or 0
        if models:
            for model, value in one.models.items():
                if value is not None:
                    spread = found.models.get(model)
                    if spread is None:
                        spread = found.models[model] = Spread()
                    spread.add(value)
    return stopped


def _count(
    day: Day, one: DecisionLine, hour: int, minor: int | None, place: str, verdict: Verdict | None
) -> None:
    decision = one.decision
    is_flagged = decision != DECISIONS[0]
    is_stopped = decision in STOPPED
    money = minor or 0
    if day.first_seq < 0:
        day.first_seq = one.seq
    day.last_seq = one.seq
    day.decisions[decision] += 1
    day.money[decision] += money
    day.unpriced += minor is None
    if hour >= 0:
        day.hours[hour][0] += 1
        day.hours[hour][1] += is_flagged
    region = day.regions.get(place)
    if region is None:
        region = day.regions[place] = Region()
    region.transactions += 1
    region.money += money
    region.flagged += is_flagged
    region.stopped += money * is_stopped
    _count_score(day, one.models.get(CHAMPION), verdict)
    if verdict is not None:
        key = is_flagged, verdict.label
        day.verdicts[key] += 1
        day.verdict_money[key] += money
        if verdict.label == FRAUD:
            region.frauds += 1
            kind = day.typologies.setdefault(verdict.typology, Typology())
            kind.frauds += 1
            kind.flagged += is_flagged
            kind.alerted += bool(one.alerts)
            kind.money += money
            kind.stopped += money * is_stopped
            day.rightly_stopped += money * is_stopped
        else:
            day.wrongly_stopped += money * is_stopped
    if is_flagged or one.fired:
        for fired in one.fired:
            rule = day.rule(fired.rule)
            rule.fired += 1
            rule.stopped += money * is_stopped
            if verdict is not None:
                rule.fraud += verdict.label == FRAUD
                rule.genuine += verdict.label == GENUINE
        day.reasons.update(one.reasons)
    for silent in one.shadow:
        day.rule(silent.rule).shadow += 1
    for id_, _ in one.undecided:
        day.rule(id_).undecided += 1
    if one.undecided or one.excepted or one.suppressed or one.late:
        day.flaws["undecided"] += bool(one.undecided)
        day.flaws["excepted"] += bool(one.excepted)
        day.flaws["suppressed"] += bool(one.suppressed)
        day.flaws["late"] += one.late


def _count_score(day: Day, champion: float | None, verdict: Verdict | None) -> None:
    scores = day.scores
    if champion is None:
        scores.unscored += 1
        return
    place = bin_of(champion)
    scores.all[place] += 1
    if verdict is not None:
        (scores.fraud if verdict.label == FRAUD else scores.genuine)[place] += 1


def _alerts(
    folder: Folder, found: Gathered, days: _Days, verdicts: Mapping[tuple[str, str], Verdict]
) -> None:
    """Count alerts; the verdict of one is that of its transactions: fraud if one of them was."""
    said: dict[str, tuple[str, str]] = {}  # alert -> day it was opened, verdict so far
    cases: set[str] = set()
    config = folder.setup.sha256 if folder.setup is not None else ""
    for alert in folder.lines("alerts", AlertLine):
        name = days.of(alert.event_time or alert.core_time, alert.seq)
        day = found.days.get(name)
        if alert.reason == MODE_SWITCHED:
            found.mode = alert.effect
        elif alert.reason == COMMAND_REJECTED:
            found.rejected.append((alert.seq, name, alert.restriction_id))
        is_new_case = bool(alert.case_id) and alert.case_id not in cases
        if is_new_case:
            cases.add(alert.case_id)
        told = verdicts.get((alert.account or "", alert.transaction_id or ""))
        if alert.kind == "rule" and day is not None:
            said[alert.alert_id] = name, NO_VERDICT
        if told is not None and alert.alert_id in said:
            opened, before = said[alert.alert_id]
            said[alert.alert_id] = opened, FRAUD if FRAUD in (before, told.label) else told.label
        if day is None:
            continue
        day.alerts[alert.kind] += 1
        if alert.kind == "operational":
            day.operations[alert.reason] += 1
            about = alert.core_time or ""
            found.alarms.append(Alarm(name, about, alert.reason, alert.title, alert.name))
        if alert.kind not in MONEY_ALERTS:
            continue
        day.cases_opened += is_new_case
        if alert.kind == "rule":
            day.severities[alert.severity] += 1
            day.rule(alert.rule).alerts += 1
        if found.most_of not in ("", name):
            continue
        money = folder.minor(alert.amount, alert.currency, alert.event_time, config) or 0
        for domain, text in alert.entity.items():
            if text is not None:
                _count_entity(found, domain, text, alert, money, told)
    for name, verdict in said.values():
        found.days[name].alert_verdicts[verdict] += 1


def _count_entity(
    found: Gathered, domain: str, text: str, alert: AlertLine, money: int, told: Verdict | None
) -> None:
    entity = found.entities.get((domain, text))
    if entity is None:
        entity = found.entities[domain, text] = Entity(domain, text)
    entity.n += 1
    entity.alerts += alert.kind == "rule"
    entity.money += money
    entity.frauds += told is not None and told.label == FRAUD
    if alert.severity in SEVERITIES:
        entity.severity = max(entity.severity, alert.severity, key=SEVERITIES.index)


def _commands(folder: Folder, found: Gathered, days: _Days) -> None:
    """Count commands, and what was in force when each day ended.

    A restriction that core banking has rejected is in force no longer; one whose command was withdrawn, as the mode
    became observe, still is: the engine goes by it.
    """
    levels: dict[str, str] = {}
    rejected = deque(found.rejected)
    for command in folder.lines("commands", CommandLine):
        while rejected and rejected[0][0] <= command.seq:
            _end(found, levels, *rejected.popleft()[1:])
        if command.withdrawn:
            continue
        name = days.of(command.core_time, command.seq)
        level = command.level
        if command.verb == RESTRICT:
            levels[command.restriction_id] = level
            _stand(found, levels, name)
        else:
            level = level or levels.get(command.restriction_id, "")
            _end(found, levels, name, command.restriction_id)
        day = found.days.get(name)
        if day is not None:
            day.verbs[command.verb, level] += 1
            day.released_by_people += command.verb == "release" and bool(command.released_by)
    for _, name, id_ in rejected:
        _end(found, levels, name, id_)


def _end(found: Gathered, levels: dict[str, str], day: str, restriction_id: str) -> None:
    levels.pop(restriction_id, None)
    _stand(found, levels, day)


def _stand(found: Gathered, levels: Mapping[str, str], day: str) -> None:
    """Note what is in force by now on a day."""
    if found.in_force and found.in_force[-1][0] == day:
        found.in_force.pop()
    found.in_force.append((day, Counter(levels.values())))


def _resolutions(
    folder: Folder, found: Gathered, days: _Days, stopped: dict[int, tuple[str, int]]
) -> None:
    """Count what became of held transactions and of cases."""
    for told in folder.lines("resolutions", ResolutionLine):
        if told.outcome == APPROVED and told.first_seq in stopped:
            name, money = stopped.pop(told.first_seq)
            found.days[name].let_go += money
        day = found.days.get(days.of(told.core_time, told.seq))
        if day is None:
            continue
        if told.first_seq >= 0:
            day.outcomes[told.outcome or ""] += 1
        elif told.kind == "case" and told.outcome == "closed":
            day.cases_closed[told.verdict or "unclear"] += 1


def _flaws(folder: Folder, found: Gathered, days: _Days) -> None:
    """Count what could not be read, and what was said again; keep the first few dead letters."""
    for dead in folder.lines("dead_letters", DeadLine):
        day = found.days.get(days.of_seq(dead.seq))
        if day is None:
            continue
        day.dead_letters[dead.reason] += 1
        if len(found.dead) < DEAD_SHOWN:
            what = folder.veil.complaint(dead.what)
            found.dead.append((dead.seq, dead.reason, dead.position, what))
    for again in folder.lines("duplicates", Numbered):
        day = found.days.get(days.of_seq(again.seq))
        if day is not None:
            day.flaws["duplicates"] += 1


# ---------------------------------------------------------------- messages


def top_entities(found: Gathered, n: int) -> list[Entity]:
    """The entities with most frauds, then the worst and most alerts."""
    return sorted(
        found.entities.values(),
        key=lambda e: (-e.frauds, -SEVERITIES.index(e.severity), -e.alerts, -e.n, e.domain, e.name),
    )[:n]


def amount_text(minor: int, digits: int) -> str:
    """An amount in major units, exactly, for machines."""
    return str(Decimal(minor).scaleb(-digits))


def sorted_days(found: Gathered) -> Iterator[Day]:
    for _, day in sorted(found.days.items()):
        yield day
