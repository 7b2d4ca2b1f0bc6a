"""How fast a run was, and what it decided: decisions, rules, kinds of fraud, entities, restrictions, regions."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from config.decisions import DECISIONS
from engine.outcomes import rfc3339
from replay.report import svg, units
from replay.report.counting import (
    FLAGGED,
    Day,
    RuleCounts,
)
from replay.report.folder import Folder
from replay.report.gather import Gathered, top_entities
from replay.report.markup import (
    Column,
    Markup,
    Part,
    figure,
    folded,
    in_bar,
    n,
    note,
    pair,
    paragraph,
    section,
    table,
    text,
)
from replay.report.names import Names
from replay.report.svg import Series
from replay.report.tempo import Tempo

RULES_SHOWN: Final = 60


ENTITIES_SHOWN: Final = 25


DAYS_OPEN: Final = 31  # rows of a table by day that are shown without being asked for


def money(folder: Folder, minor: int | None) -> str:
    """An amount in the books' currency; unknown without one."""
    if folder.journal is None or not folder.currency:
        return units.NONE
    return units.money(minor, folder.digits, folder.currency)


def rate(tempo: Tempo) -> float:
    """Messages a second, over the parts of time in which any left."""
    busy = sum(1 for part in tempo.parts() if part.messages)
    return tempo.messages / (busy * tempo.width_us / 1e6) if busy else 0.0


def speed(tempo: Tempo, summary: Mapping[str, Any]) -> Part:
    title = "Throughput and latency"
    parts = tempo.parts()
    if not parts:
        return section("speed", title, note("There is no log of deliveries (no journal was kept)."))
    width_s = tempo.width_us / 1e6
    labels = [_since(k * width_s) for k in range(len(parts))]
    rate = Series("messages/s", [p.messages / width_s for p in parts], "c1")
    latency = (
        Series("longest", [1e3 * p.most_s if p.n_timed else None for p in parts], "c4"),
        Series("mean", [_ms(p.mean_s) for p in parts], "c1"),
    )
    measured = "from the arrival of a batch's first message until it left, durable"
    if not tempo.is_live:
        measured = "from the decision until it left, durable (a recording arrives at no time)"
    rows: list[tuple[object, object]] = [
        ("Began", rfc3339(tempo.start_us)),
        ("Messages, in batches", f"{tempo.messages:,} in {tempo.batches:,}"),
        ("Latency p50", units.seconds(tempo.latency.quantile(0.5))),
        ("Latency p99", units.seconds(tempo.latency.quantile(0.99))),
        ("Latency p99.9", units.seconds(tempo.latency.quantile(0.999))),
        ("Longest", units.seconds(tempo.latency.most)),
    ]
    speed = summary.get("speed")
    if speed:
        rows += [
            ("Transactions a second, last run", f"{speed['tx_per_second']:,}"),
            ("Messages a second, last run", f"{speed['messages_per_second']:,}"),
            ("It took, without warm-up", units.seconds(speed["seconds"])),
            ("Memory at most", f"{summary.get('memory_mb_max', 0):,.0f} MB"),
        ]
    if tempo.recovered:
        rows.append(("Written out by recovery after a crash", f"{tempo.recovered:,} messages"))
    return section(
        "speed",
        title,
        pair(
            figure(
                "Messages that left, each second",
                svg.lines("Throughput", labels, [rate], "messages/s"),
            ),
            figure("Latency", svg.lines("Latency", labels, latency, "ms, logarithmic", log=True)),
        ),
        table(
            ("", n("")),
            rows,
            caption=f"By the clock of the machine; one part of the plots is {units.seconds(width_s)}. "
            f"Latency: {measured}; right to within 1 %.",
            narrow=True,
        ),
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds


def _since(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"


def decisions(folder: Folder, days: Sequence[Day], whole: Day) -> Part:
    title = "Decisions"
    if not days:
        return section("decisions", title, note("No transaction was decided."))
    if len(days) > 2:
        labels = [day.day[5:] for day in days]
        counts: list[float | None] = [day.transactions for day in days]
        unit = "transactions a business day"
    else:
        labels = [f"{day.day[5:]} {hour:02d}" for day in days for hour in range(24)]
        counts = [hour[0] for day in days for hour in day.hours]
        unit = "transactions an hour"
    plots = [
        figure(
            "Transactions", svg.bars("Transactions", labels, [Series("all", counts, "c2")], unit)
        )
    ]
    if len(days) > 2:
        flagged = [Series(name, [day.decisions[name] for day in days], name) for name in FLAGGED]
        plots.append(
            figure("Not simply approved", svg.bars("Not simply approved", labels, flagged, unit))
        )
    else:
        hours = [Series("above approve", [h[1] for day in days for h in day.hours], "hold")]
        plots.append(
            figure("Not simply approved", svg.bars("Not simply approved", labels, hours, unit))
        )
    rows = [
        (
            name,
            units.count(whole.decisions[name]),
            units.share(units.of(whole.decisions[name], whole.transactions)),
            money(folder, whole.money[name]),
        )
        for name in DECISIONS
    ]
    rows.append(
        ("all", units.count(whole.transactions), "", money(folder, sum(whole.money.values())))
    )
    by_day = [
        (
            day.day,
            *(units.count(day.decisions[name]) for name in DECISIONS),
            units.share(units.of(day.flagged, day.transactions)),
            money(folder, day.stopped),
            units.count(day.alerts["rule"]),
        )
        for day in days
    ]
    heads = ("day", *map(n, DECISIONS), n("flagged"), n("money stopped"), n("alerts"))
    each = table(heads, by_day, caption="Each business day; flagged: above approve.")
    unpriced = (
        paragraph(
            f"{whole.unpriced:,} transactions have no amount that is known, and count as 0.", "soft"
        )
        if whole.unpriced and folder.journal is not None
        else ""
    )
    return section(
        "decisions",
        title,
        pair(*plots),
        table(("decision", n("transactions"), n("share"), n("money")), rows, total=True),
        unpriced,
        each if len(days) <= DAYS_OPEN else folded(f"Each of {len(days):,} days", each),
    )


def rules(folder: Folder, whole: Day, names: Names) -> Part:
    rows = rule_rows(whole.rules)
    told = [_rule_row(folder, id_, counts, names, rows) for id_, counts in rows[:RULES_SHOWN]]
    heads = (
        "rule", "what it sees", n("fired"), Column(""), n("alerts"), n("fraud"), n("genuine"), n("precision"),
        n("money stopped"),
    )  # fmt: skip
    more = (
        paragraph(f"and {len(rows) - RULES_SHOWN} rules more", "soft")
        if len(rows) > RULES_SHOWN
        else ""
    )
    shadow = sorted(
        ((c.shadow, id_) for id_, c in whole.rules.items() if c.shadow), key=lambda p: (-p[0], p[1])
    )
    undecided = sorted(
        ((c.undecided, id_) for id_, c in whole.rules.items() if c.undecided),
        key=lambda p: (-p[0], p[1]),
    )
    reasons = [
        (code, *names.reason(code), units.count(many))
        for code, many in sorted(whole.reasons.items(), key=lambda p: (-p[1], p[0]))
    ]
    return section(
        "rules",
        "Alerts by rule",
        table(
            heads,
            told,
            caption="Fired: transactions. Fraud, genuine: transactions among them that have a verdict.",
            empty="No rule fired.",
        ),
        more,
        _few("In shadow, would have fired", shadow, names),
        _few("Could not be decided, a field was missing", undecided, names),
        "<h3>Reasons</h3>",
        table(
            ("reason", "says", Markup('<span lang="zh">中文</span>'), n("transactions")),
            [
                (code, en, Markup(f'<span lang="zh">{text(zh)}</span>'), many)
                for code, en, zh, many in reasons
            ],
            empty="No decision has a reason.",
        ),
    )


def rule_rows(rules: Mapping[str, RuleCounts]) -> list[tuple[str, RuleCounts]]:
    """Rules that fired or alerted, the busiest first."""
    found = [(id_, c) for id_, c in rules.items() if c.fired or c.alerts]
    return sorted(found, key=lambda pair: (-pair[1].fired, -pair[1].alerts, pair[0]))


def _rule_row(
    folder: Folder,
    id_: str,
    counts: RuleCounts,
    names: Names,
    rows: Sequence[tuple[str, RuleCounts]],
) -> tuple[object, ...]:
    most = max(rows[0][1].fired, 1)
    return (
        id_,
        names.rule(id_),
        units.count(counts.fired),
        in_bar(counts.fired / most),
        units.count(counts.alerts),
        units.count(counts.fraud),
        units.count(counts.genuine),
        units.share(counts.precision),
        money(folder, counts.stopped),
    )


def _few(title: str, counted: Sequence[tuple[int, str]], names: Names) -> str:
    if not counted:
        return ""
    rows = [(id_, names.rule(id_), units.count(many)) for many, id_ in counted]
    return folded(f"{title}: {len(counted)} rules", table(("rule", "", n("transactions")), rows))


def typologies(folder: Folder, whole: Day, found: Gathered) -> Part:
    rows = [
        (
            kind.replace("_", " ") or "not told",
            units.count(one.frauds),
            units.count(one.flagged),
            in_bar(units.of(one.flagged, one.frauds), "c3"),
            units.count(one.alerted),
            money(folder, one.money),
            money(folder, one.stopped),
        )
        for kind, one in sorted(whole.typologies.items(), key=lambda p: (-p[1].frauds, p[0]))
    ]
    heads = (
        "kind of fraud", n("frauds"), n("flagged"), Column(""), n("alerted"), n("at stake"), n("stopped"),
    )  # fmt: skip
    return section(
        "typologies",
        "Alerts by typology",
        table(
            heads,
            rows,
            caption="Transactions that a label calls fraud, by the typology it names.",
            empty="No label calls any of these transactions fraud."
            if found.n_labels
            else "The folder holds no labels, so nobody can tell what kind of fraud was caught.",
        ),
    )


ENTITY_HEADS: Final = (
    "kind", "entity", "worst severity", n("alerts"), n("matches"), n("frauds"), n("money of the matches"),
)  # fmt: skip


def entity_rows(folder: Folder, found: Gathered, most: int) -> list[tuple[object, ...]]:
    """The entities that alerts are about, as they may be shown."""
    return [
        (
            one.domain,
            folder.veil.value(one.domain, one.name),
            one.severity,
            units.count(one.alerts),
            units.count(one.n),
            units.count(one.frauds),
            money(folder, one.money),
        )
        for one in top_entities(found, most)
    ]


def entities(folder: Folder, found: Gathered) -> Part:
    return section(
        "entities",
        "Top entities",
        table(
            ENTITY_HEADS,
            entity_rows(folder, found, ENTITIES_SHOWN),
            caption=f"Of {len(found.entities):,} that alerts are about: most frauds first, then the most severe.",
            empty="No alert was raised.",
        ),
    )


def restrictions(whole: Day, found: Gathered, last_day: str) -> Part:
    """Commands by verb and level, and what is in force."""
    levels = sorted({level for _, level in whole.verbs} | set(found.restrictions_on(last_day)))
    verbs = ("restrict", "release", "expired")
    rows = [
        (
            level.replace("_", " ") or "not told",
            *(units.count(whole.verbs[verb, level]) for verb in verbs),
            units.count(found.restrictions_on(last_day)[level]),
        )
        for level in levels
    ]
    heads = ("level", n("imposed"), n("released"), n("expired"), n("in force at the end"))
    held = [
        (name or "not told", units.count(many))
        for name, many in sorted(whole.outcomes.items(), key=lambda p: (-p[1], p[0]))
    ]
    reports = [
        (kind.replace("_", " "), units.count(many)) for kind, many in sorted(whole.reports.items())
    ]
    return section(
        "restrictions",
        "Restrictions, holds and reports",
        table(heads, rows, empty="No restriction was imposed or ended."),
        pair(
            "<h3>What became of held and challenged transactions</h3>"
            + table(
                ("outcome", n("times")),
                held,
                empty="Nothing was held or challenged, or nothing is settled.",
            ),
            "<h3>Reports to authorities</h3>"
            + table(("kind", n("reports")), reports, empty="No report is due."),
        ),
    )


def regions(folder: Folder, whole: Day, field: str) -> Part:
    """Where it happened."""
    ordered = sorted(whole.regions.items(), key=lambda p: (-p[1].transactions, p[0]))
    rows = [
        (
            name,
            units.count(one.transactions),
            money(folder, one.money),
            units.count(one.flagged),
            units.share(units.of(one.flagged, one.transactions)),
            money(folder, one.stopped),
            units.count(one.frauds),
        )
        for name, one in ordered[:RULES_SHOWN]
    ]
    heads = (
        "region", n("transactions"), n("money"), n("flagged"), n("share"), n("money stopped"), n("frauds"),
    )  # fmt: skip
    return section(
        "regions",
        "Regions",
        table(
            heads, rows, caption=f"By the field `{field}` of the message.", empty="No transaction."
        ),
    )
