"""The daily risk report as a document: one business day for management, beside the day before and a week before.

Plain data, ready for machines; daily_text.py and daily_page.py show it. Figures that cannot be known are None. What the
day was like is counted by gather.py; ratings of customers are state of the engine, and derived again (customers.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from config.errors import InputError
from config.reasons import SENTENCES
from replay.report import units
from replay.report.businessday import before
from replay.report.counting import HALF, Day, Region, RuleCounts, shift
from replay.report.customers import Customers
from replay.report.folder import FRAUD, GENUINE, NO_VERDICT, Folder
from replay.report.gather import Gathered, amount_text, top_entities
from replay.report.names import MODEL_REASONS, Names

WEEK: Final = 7
PER: Final = 10_000  # transactions that alerts are counted for
ENTITIES_SHOWN: Final = 10
FREEZE: Final = "full_freeze"
RESTRICT: Final = "restrict"
ENDED: Final = ("release", "expired")


class Figure(msgspec.Struct, frozen=True):
    """One figure on three days. Money is a decimal text in major units, a share lies in 0 to 1; None: unknown."""

    group: str
    key: str
    name: str
    unit: str
    today: float | str | None
    yesterday: float | str | None
    last_week: float | str | None


class RuleLine(msgspec.Struct, frozen=True):
    """One rule on the day. `reason` is its code; `stopped` money in major units."""

    rule: str
    name: str
    pack: str
    fired: int
    alerts: int
    fraud: int
    genuine: int
    precision: float | None
    stopped: str | None
    fired_yesterday: int | None
    fired_last_week: int | None


class RegionLine(msgspec.Struct, frozen=True):
    """One region on the day. Money in major units."""

    region: str
    transactions: int
    money: str | None
    flagged: int
    stopped: str | None
    frauds: int
    transactions_yesterday: int | None
    transactions_last_week: int | None
    flagged_yesterday: int | None
    flagged_last_week: int | None


class Hour(msgspec.Struct, frozen=True):
    hour: int
    transactions: int
    flagged: int
    yesterday: int | None
    last_week: int | None


class AlarmLine(msgspec.Struct, frozen=True):
    """An alarm for operations. `about` only where it names nobody."""

    time: str
    reason: str
    means: str
    about: str
    is_model: bool


class EntityLine(msgspec.Struct, frozen=True):
    """Somebody or something that alerts of the day are about; personal values as they may be shown."""

    kind: str
    entity: str | None
    severity: str
    alerts: int
    matches: int
    money: str | None


class Daily(msgspec.Struct, frozen=True, kw_only=True):
    """The report."""

    day: str
    zone: str
    currency: str
    yesterday: str | None
    last_week: str | None
    is_over: bool
    effect: str
    packs: list[str]
    region_field: str
    figures: list[Figure]
    hours: list[Hour]
    regions: list[RegionLine]
    rules: list[RuleLine]
    reasons: list[dict[str, str | int]]
    typologies: list[dict[str, str | int | None]]
    alarms: list[AlarmLine]
    entities: list[EntityLine]
    customers: Customers | None
    notes: list[str]
    root: str

    def group(self, name: str) -> list[Figure]:
        return [figure for figure in self.figures if figure.group == name]

    def figure(self, key: str) -> Figure:
        return next(figure for figure in self.figures if figure.key == key)


GROUPS: Final[Mapping[str, str]] = {
    "volumes": "Volumes",
    "stopped": "Money stopped",
    "alerts": "Alerts and false alarms",
    "restrictions": "Freezes and releases",
    "models": "Model health",
    "input": "What came in",
}


def wanted_days(day: str) -> tuple[str, str, str]:
    """The day, the day before, and the same day of the week before."""
    return day, before(day, 1), before(day, WEEK)


def check_day(day: str, known: Sequence[str], root: str) -> None:
    """Refuse a day that the folder cannot know anything about; raise `InputError`."""
    if not known:
        raise InputError(
            "the folder holds no decision yet",
            root,
            why="a day is told from decisions.ndjson",
            fix="wait until the engine has decided something, or name another folder",
        )
    if not known[0] <= day <= known[-1]:
        raise InputError(
            f"the folder holds nothing of {day}",
            root,
            why=f"its business days are {known[0]} to {known[-1]}",
            fix=f"name one of them: --day {known[-1]}",
        )


def build(folder: Folder, found: Gathered, day: str, customers: Customers | None) -> Daily:
    """Put the report together from what was counted of `wanted_days(day)`."""
    names = Names(folder)
    today = found.days[day]
    others = [
        found.days[other] if other in found.known_days else None for other in wanted_days(day)[1:]
    ]
    yesterday, last_week = others
    days = (today, yesterday, last_week)
    last_day = folder.calendar.day(found.last_time) if found.last_time else ""
    is_over = last_day > day
    notes = list(folder.notes)
    if not is_over:
        until = folder.calendar.local(found.last_time)
        notes.insert(0, f"The day is not over: its newest event is of {until}.")
    if not today.transactions:
        notes.insert(0, "The folder holds no transaction of this day.")
    for what, other in (("the day before", yesterday), ("the same day a week before", last_week)):
        if other is None:
            notes.append(f"The folder holds nothing of {what}: it cannot be compared with.")
    if not found.n_labels and folder.journal is not None:
        notes.append("The folder holds no labels: whether alerts were right cannot be told.")
    if customers is None:
        notes.append("Ratings of customers were not derived.")
    book = _Book(folder)
    settings = folder.setup.configuration.settings if folder.setup is not None else None
    packs = folder.setup.pack.members if folder.setup is not None else ()
    return Daily(
        day=day,
        zone=folder.calendar.zone.key,
        currency=folder.currency,
        yesterday=yesterday.day if yesterday is not None else None,
        last_week=last_week.day if last_week is not None else None,
        is_over=is_over,
        effect=found.mode or (settings.effect if settings is not None else ""),
        packs=[f"{pack.name} {pack.version}" for pack in packs],
        region_field=found.region,
        figures=list(_figures(book, found, days)),
        hours=_hours(days),
        regions=_regions(book, days),
        rules=_rules(book, days, names),
        reasons=_reasons(today, names),
        typologies=_typologies(book, today),
        alarms=_alarms(folder, found, day),
        entities=[
            EntityLine(
                one.domain,
                folder.veil.value(one.domain, one.name),
                one.severity,
                one.alerts,
                one.n,
                book.money(one.money),
            )
            for one in top_entities(found, ENTITIES_SHOWN)
        ],
        customers=customers,
        notes=notes,
        root=folder.root_hash(),
    )


class _Book:
    """Money for machines; unknown where there is no journal, or no currency."""

    def __init__(self, folder: Folder) -> None:
        self.is_known = folder.journal is not None and bool(folder.currency)
        self.has_verdicts = folder.journal is not None
        self._digits = folder.digits

    def money(self, minor: int) -> str | None:
        return amount_text(minor, self._digits) if self.is_known else None


Days = tuple[Day, Day | None, Day | None]


def _figures(book: _Book, found: Gathered, days: Days) -> Iterator[Figure]:
    """Every figure, in the order in which it is shown."""

    def of(group: str, key: str, name: str, unit: str, value: Any) -> Figure:
        told = [None if day is None else value(day) for day in days]
        if unit == units.MONEY:
            told = [None if v is None else book.money(v) for v in told]
        return Figure(group, key, name, unit, *told)

    def verdict(value: Any) -> Any:
        return value if book.has_verdicts and found.n_labels else lambda _day: None

    count, money, share, score = units.COUNT, units.MONEY, units.SHARE, units.SCORE
    part = units.of
    yield of("volumes", "transactions", "Transactions", count, lambda d: d.transactions)
    yield of("volumes", "money", "Money in them", money, lambda d: sum(d.money.values()))
    yield of("volumes", "flagged", "Not simply approved", count, lambda d: d.flagged)
    yield of("volumes", "flagged_share", "of all", share, lambda d: part(d.flagged, d.transactions))
    for name in ("review", "challenge", "hold", "decline"):
        yield of("volumes", name, name.capitalize(), count, lambda d, n=name: d.decisions[n])

    yield of(
        "stopped", "stopped", "Stopped: challenged, held, declined", money, lambda d: d.stopped
    )
    for name, words in (("challenge", "challenged"), ("hold", "held"), ("decline", "declined")):
        yield of("stopped", f"money_{name}", f"of it {words}", money, lambda d, n=name: d.money[n])
    yield of("stopped", "let_go", "let go since", money, lambda d: d.let_go)
    yield of(
        "stopped", "stopped_fraud", "fraud by verdict", money, verdict(lambda d: d.rightly_stopped)
    )
    yield of(
        "stopped",
        "stopped_genuine",
        "genuine by verdict",
        money,
        verdict(lambda d: d.wrongly_stopped),
    )
    yield of(
        "stopped", "missed_money", "Lost: approved, fraud by verdict", money,
        verdict(lambda d: d.verdict_money[False, FRAUD]),
    )  # fmt: skip

    yield of("alerts", "alerts", "Alerts opened", count, lambda d: d.alerts["rule"])
    yield of(
        "alerts",
        "severe",
        "high or critical",
        count,
        lambda d: d.severities["high"] + d.severities["critical"],
    )
    yield of("alerts", "joined", "Matches that joined one", count, lambda d: d.alerts["update"])
    yield of(
        "alerts", "alerts_per_10k", f"Alerts for {PER:,} transactions", score,
        lambda d: round(PER * d.alerts["rule"] / d.transactions, 3) if d.transactions else None,
    )  # fmt: skip
    yield of("alerts", "cases_opened", "Cases opened", count, lambda d: d.cases_opened)
    yield of("alerts", "cases_closed", "Cases closed", count, lambda d: d.cases_closed.total())
    for key, label, words in (
        ("alerts_fraud", FRAUD, "Alerts that were fraud"),
        ("false_alarms", GENUINE, "False alarms"),
        ("alerts_open", NO_VERDICT, "Alerts without a verdict"),
    ):
        yield of("alerts", key, words, count, verdict(lambda d, n=label: d.alert_verdicts[n]))
    yield of(
        "alerts", "alert_precision", "Precision of alerts", share,
        verdict(lambda d: part(d.alert_verdicts[FRAUD], d.alert_verdicts[FRAUD] + d.alert_verdicts[GENUINE])),
    )  # fmt: skip
    yield of(
        "alerts",
        "missed",
        "Frauds that were approved",
        count,
        verdict(lambda d: d.verdicts[False, FRAUD]),
    )
    yield of("alerts", "recall", "Recall of decisions", share, verdict(lambda d: d.recall))

    yield of(
        "restrictions", "freezes", "Freezes imposed", count, lambda d: d.verbs[RESTRICT, FREEZE]
    )
    yield of(
        "restrictions", "lesser", "Lesser restrictions imposed", count,
        lambda d: _of_verb(d, RESTRICT) - d.verbs[RESTRICT, FREEZE],
    )  # fmt: skip
    yield of(
        "restrictions", "released", "Released by people", count, lambda d: d.released_by_people
    )
    yield of(
        "restrictions",
        "freezes_released",
        "freezes among them",
        count,
        lambda d: d.verbs["release", FREEZE],
    )
    yield of("restrictions", "expired", "Expired", count, lambda d: _of_verb(d, "expired"))
    yield of(
        "restrictions", "in_force", "In force at the end of the day", count,
        lambda d: found.restrictions_on(d.day).total(),
    )  # fmt: skip
    yield of(
        "restrictions", "freezes_in_force", "freezes among them", count,
        lambda d: found.restrictions_on(d.day)[FREEZE],
    )  # fmt: skip
    yield of(
        "restrictions",
        "holds_settled",
        "Holds and challenges settled",
        count,
        lambda d: d.outcomes.total(),
    )
    yield of("restrictions", "holds_approved", "let go", count, lambda d: d.outcomes["approve"])
    yield of(
        "restrictions", "reports", "Reports to authorities", count, lambda d: d.reports.total()
    )

    now = days[0].scores.all
    yield of("models", "scored", "Transactions scored", count, lambda d: int(d.scores.all.sum()))
    yield of("models", "unscored", "without a score", count, lambda d: d.scores.unscored)
    yield of(
        "models",
        "median",
        "Median of the champion's score",
        score,
        lambda d: d.scores.quantile(0.5),
    )
    yield of("models", "p99", "99th percentile", score, lambda d: d.scores.quantile(0.99))
    yield of(
        "models", "likely", "Probability of a half or more", share,
        lambda d: part(int(d.scores.all[HALF:].sum()), int(d.scores.all.sum())),
    )  # fmt: skip
    yield of(
        "models",
        "auc",
        "AUC of the champion",
        score,
        verdict(lambda d: _rounded(d.scores.auc())),
    )
    yield of(
        "models", "shift", "Shift of scores against today (PSI)", score,
        lambda d: None if d is days[0] else _rounded(shift(now, d.scores.all)),
    )  # fmt: skip
    yield of(
        "models", "model_alarms", "Alarms about models and drift", count,
        lambda d: sum(many for reason, many in d.operations.items() if reason in MODEL_REASONS),
    )  # fmt: skip

    yield of("input", "dead_letters", "Dead letters", count, lambda d: d.dead_letters.total())
    for key, words in (
        ("duplicates", "Said again"),
        ("late", "Late, decided but not counted"),
        ("undecided", "With a rule that could not be decided"),
        ("excepted", "With an exception of a rule"),
        ("suppressed", "With a suppressed rule"),
    ):
        yield of("input", key, words, count, lambda d, k=key: d.flaws[k])


def _of_verb(day: Day, verb: str) -> int:
    return sum(many for (name, _), many in day.verbs.items() if name == verb)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _hours(days: Days) -> list[Hour]:
    today, yesterday, last_week = days
    return [
        Hour(
            hour,
            today.hours[hour][0],
            today.hours[hour][1],
            None if yesterday is None else yesterday.hours[hour][0],
            None if last_week is None else last_week.hours[hour][0],
        )
        for hour in range(24)
    ]


def _regions(book: _Book, days: Days) -> list[RegionLine]:
    """Every region of one of the three days, the busiest of today first."""
    today, yesterday, last_week = days
    names = {name for day in days if day is not None for name in day.regions}
    lines = []
    for name in names:
        now = today.regions.get(name, Region())
        then = [
            None if day is None else day.regions.get(name, Region())
            for day in (yesterday, last_week)
        ]
        lines.append(
            RegionLine(
                name,
                now.transactions,
                book.money(now.money),
                now.flagged,
                book.money(now.stopped),
                now.frauds,
                *(None if one is None else one.transactions for one in then),
                *(None if one is None else one.flagged for one in then),
            )
        )
    return sorted(lines, key=lambda one: (-one.transactions, one.region))


def _rules(book: _Book, days: Days, names: Names) -> list[RuleLine]:
    """Every rule that fired or alerted on one of the three days, the busiest of today first."""
    today, yesterday, last_week = days
    ids = {
        id_
        for day in days
        if day is not None
        for id_, counts in day.rules.items()
        if counts.fired or counts.alerts
    }
    lines = []
    for id_ in ids:
        now = today.rules.get(id_, RuleCounts())
        then = [
            None if day is None else day.rules.get(id_, RuleCounts()).fired
            for day in (yesterday, last_week)
        ]
        lines.append(
            RuleLine(
                id_,
                names.rule(id_),
                names.pack(id_),
                now.fired,
                now.alerts,
                now.fraud,
                now.genuine,
                now.precision,
                book.money(now.stopped),
                *then,
            )
        )
    return sorted(lines, key=lambda one: (-one.fired, -one.alerts, one.rule))


def _reasons(today: Day, names: Names) -> list[dict[str, str | int]]:
    ordered = sorted(today.reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    found: list[dict[str, str | int]] = []
    for code, many in ordered:
        en, zh = names.reason(code)
        found.append({"reason": code, "en": en, "zh": zh, "transactions": many})
    return found


def _typologies(book: _Book, today: Day) -> list[dict[str, str | int | None]]:
    return [
        {
            "typology": kind or None,
            "frauds": one.frauds,
            "flagged": one.flagged,
            "alerted": one.alerted,
            "money": book.money(one.money),
            "stopped": book.money(one.stopped),
        }
        for kind, one in sorted(today.typologies.items(), key=lambda p: (-p[1].frauds, p[0]))
    ]


def _alarms(folder: Folder, found: Gathered, day: str) -> list[AlarmLine]:
    return [
        AlarmLine(
            folder.calendar.local(alarm.time) if alarm.time else alarm.day,
            alarm.reason,
            SENTENCES.get(alarm.reason, ""),
            alarm.title if alarm.reason in MODEL_REASONS else "",
            alarm.reason in MODEL_REASONS,
        )
        for alarm in found.alarms
        if alarm.day == day
    ]
