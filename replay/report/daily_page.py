"""The daily risk report as an HTML page: what management reads first on top, plots beside their tables."""

from typing import Final

from replay.report import svg, units
from replay.report.daily import GROUPS, Daily, Figure, RegionLine
from replay.report.markup import (
    Column,
    Markup,
    Part,
    cards,
    figure,
    folded,
    in_bar,
    n,
    note,
    page,
    pair,
    paragraph,
    section,
    table,
    text,
)
from replay.report.page_parts import change, figure_cells, figure_name, heads_of, value_text
from replay.report.svg import Series

CARDS: Final = (
    ("transactions", "Transactions"),
    ("flagged", "Not simply approved"),
    ("stopped", "Money stopped"),
    ("alerts", "Alerts opened"),
    ("false_alarms", "False alarms"),
    ("missed_money", "Lost to fraud so far"),
    ("freezes", "Freezes imposed"),
    ("in_force", "Restrictions in force"),
)
RULES_SHOWN: Final = 60
NO_FRAUD: Final = "No label calls a transaction of this day fraud, so far."
SENT: Final = {"observe": "commands are recorded, not sent", "enforce": "commands are sent"}


def as_page(report: Daily) -> str:
    """The page."""
    title = f"Daily risk report, {report.day}"
    parts = [
        *(_group(report, key, name) for key, name in GROUPS.items() if key != "models"),
        _hours(report),
        _rules(report),
        _typologies(report),
        _regions(report),
        _models(report),
        _customers(report),
        _entities(report),
        _alarms(report),
        _meaning(report),
    ]
    return page(title, _head(report, title), parts, _foot(report))


def _head(report: Daily, title: str) -> str:
    effect = f"{report.effect} ({SENT[report.effect]})" if report.effect in SENT else "unknown"
    lines = [
        f"Business day in {report.zone}. Packs: {', '.join(report.packs) or 'unknown'}. Mode: {effect}.",
        f"Compared with {report.yesterday or 'unknown'} (yesterday) and {report.last_week or 'unknown'} (last week).",
    ]
    told = "".join(paragraph(line, "soft") for line in lines)
    warned = "".join(f'<div class="warn">{text(line)}</div>' for line in report.notes)
    return f"<h1>{text(title)}</h1>{told}{warned}{_cards(report)}"


def _cards(report: Daily) -> Markup:
    entries = []
    for key, name in CARDS:
        one = report.figure(key)
        value = value_text(one.today, one.unit, report.currency)
        more = f"{_against(one, one.yesterday, 'yesterday')}, {_against(one, one.last_week, 'last week')}"
        entries.append((name, value, more))
    return cards(entries)


def _against(one: Figure, then: float | str | None, when: str) -> str:
    """How a figure moved, as a person says it."""
    moved = change(one, then)
    words = {units.NONE: f"{when} unknown", "=": f"as {when}", "new": f"none {when}"}
    return words.get(moved, f"{moved} on {when}")


def _group(report: Daily, key: str, title: str) -> Part:
    return section(key, title, _figures(report, key))


def _figures(report: Daily, key: str) -> Markup:
    rows = [
        (_name(figure_name(one)), *figure_cells(one, report.currency)) for one in report.group(key)
    ]
    first, *others = heads_of(report)
    return table((first, *map(n, others)), rows)


def _name(name: str) -> Markup:
    inset = len(name) - len(name.lstrip())
    return Markup(f'<span class="inset">{text(name.strip())}</span>') if inset else text(name)


def _hours(report: Daily) -> Part:
    title = "Hour by hour"
    if not any(hour.transactions for hour in report.hours):
        return section("hours", title, note("No transaction on this day."))
    labels = [f"{hour.hour:02d}" for hour in report.hours]
    series = [Series("today", [hour.transactions for hour in report.hours], "c1")]
    if report.yesterday is not None:
        series.append(Series("yesterday", [hour.yesterday for hour in report.hours], "c2"))
    if report.last_week is not None:
        series.append(Series("last week", [hour.last_week for hour in report.hours], "c4"))
    flagged = [Series("above approve", [hour.flagged for hour in report.hours], "hold")]
    rows = [
        (
            f"{h.hour:02d}:00",
            *map(units.count, (h.transactions, h.yesterday, h.last_week, h.flagged)),
        )
        for h in report.hours
    ]
    heads = ("hour", n("transactions"), n("yesterday"), n("last week"), n("not simply approved"))
    return section(
        "hours",
        title,
        pair(
            figure(
                "Transactions",
                svg.lines("Transactions by hour", labels, series, "transactions an hour"),
            ),
            figure(
                "Not simply approved",
                svg.bars("Flagged by hour", labels, flagged, "transactions an hour"),
            ),
        ),
        folded("The hours as a table", table(heads, rows)),
    )


def _rules(report: Daily) -> Part:
    rows = [
        (
            one.rule,
            one.name,
            units.count(one.fired),
            units.count(one.fired_yesterday),
            units.count(one.fired_last_week),
            units.count(one.alerts),
            units.count(one.fraud),
            units.count(one.genuine),
            units.share(one.precision),
            units.decimal(one.stopped, report.currency),
        )
        for one in report.rules[:RULES_SHOWN]
    ]
    heads = (
        "rule", "what it sees", n("fired"), n("yesterday"), n("last week"), n("alerts"), n("fraud"),
        n("genuine"), n("precision"), n("stopped"),
    )  # fmt: skip
    reasons = [
        (
            one["reason"],
            one["en"],
            Markup(f'<span lang="zh">{text(one["zh"])}</span>'),
            f"{one['transactions']:,}",
        )
        for one in report.reasons
    ]
    more = len(report.rules) - len(rows)
    return section(
        "rules",
        "Rule performance",
        table(
            heads,
            rows,
            caption="Transactions a rule fired for, and their verdicts.",
            empty="No rule fired on these days.",
        ),
        paragraph(f"and {more:,} rules more", "soft") if more > 0 else "",
        "<h3>Reasons of decisions</h3>",
        table(
            ("reason", "says", Markup('<span lang="zh">中文</span>'), n("transactions")),
            reasons,
            empty="No decision of this day has a reason.",
        ),
    )


def _typologies(report: Daily) -> Part:
    rows = [
        (
            str(one["typology"] or "not told").replace("_", " "),
            *(f"{one[key]:,}" for key in ("frauds", "flagged", "alerted")),
            *(
                units.decimal(None if one[k] is None else str(one[k]), report.currency)
                for k in ("money", "stopped")
            ),
        )
        for one in report.typologies
    ]
    heads = ("kind of fraud", n("frauds"), n("flagged"), n("alerted"), n("at stake"), n("stopped"))
    return section(
        "typologies",
        "Frauds of the day",
        table(
            heads, rows, caption="Transactions of the day that a label calls fraud.", empty=NO_FRAUD
        ),
    )


def _regions(report: Daily) -> Part:
    rows = [_region(one, report.currency) for one in report.regions]
    heads = (
        "region", n("transactions"), n("yesterday"), n("last week"), n("money"), n("flagged"), n("yesterday"),
        n("last week"), n("money stopped"), n("frauds"),
    )  # fmt: skip
    return section(
        "regions",
        "Regions",
        table(
            heads,
            rows,
            caption=f"By the field `{report.region_field}` of the message.",
            empty="No transaction on these days.",
        ),
    )


def _region(one: RegionLine, currency: str) -> tuple[object, ...]:
    return (
        one.region,
        *map(
            units.count, (one.transactions, one.transactions_yesterday, one.transactions_last_week)
        ),
        units.decimal(one.money, currency),
        *map(units.count, (one.flagged, one.flagged_yesterday, one.flagged_last_week)),
        units.decimal(one.stopped, currency),
        units.count(one.frauds),
    )


def _models(report: Daily) -> Part:
    rows = [(one.time, one.reason, one.means, one.about) for one in report.alarms if one.is_model]
    return section(
        "models",
        GROUPS["models"],
        _figures(report, "models"),
        "<h3>Alarms about models and drift</h3>",
        table(("when", "alarm", "means", "about"), rows, empty="None on this day."),
    )


def _customers(report: Daily) -> Part:
    title, told = "Customers at risk", report.customers
    if told is None:
        return section("customers", title, note("Ratings of customers were not derived."))
    classes = [(name, *map(units.count, counts)) for name, counts in told.classes.items()]
    top = [
        (
            one.customer,
            one.class_,
            *map(str, (one.rating, one.yesterday, one.last_week)),
            in_bar(one.rating / 1000, "hold"),
        )
        for one in told.top
    ]
    return section(
        "customers",
        title,
        table(
            ("class of rating", n("today"), n("yesterday"), n("last week")),
            classes,
            caption="Customers whose rating is above 0, by the rating that rules read when the day ended.",
            narrow=True,
        ),
        paragraph(
            f"{told.risen:,} rose into a higher class since yesterday, {told.fallen:,} fell."
        ),
        table(
            ("customer", "class", n("rating"), n("yesterday"), n("last week"), Column("")),
            top,
            caption="The highest ratings; 1000 is the worst.",
            empty="Nobody has a rating above 0.",
        ),
    )


def _entities(report: Daily) -> Part:
    rows = [
        (
            one.kind,
            one.entity,
            one.severity,
            f"{one.alerts:,}",
            f"{one.matches:,}",
            units.decimal(one.money, report.currency),
        )
        for one in report.entities
    ]
    heads = (
        "kind",
        "entity",
        "worst severity",
        n("alerts"),
        n("matches"),
        n("money of the matches"),
    )
    return section(
        "entities",
        "Whom and what alerts are about",
        table(
            heads,
            rows,
            caption="Of this day: most frauds first, then the most severe.",
            empty="No alerts on this day.",
        ),
    )


def _alarms(report: Daily) -> Part:
    rows = [
        (one.time, one.reason, one.means, one.about) for one in report.alarms if not one.is_model
    ]
    return section(
        "alarms",
        "Alarms for operations",
        table(("when", "alarm", "means", ""), rows, empty="None on this day."),
    )


def _meaning(report: Daily) -> Part:
    event = (
        f"A day is that of the event in {report.zone}. Commands, alarms and what became of a hold count on the day of "
        "core time on which they happened; whether stopped money was let go since, and verdicts, belong to the day of "
        "the transaction."
    )
    late = (
        "Verdicts are the labels that had arrived when this report was made. They come late, so today has fewer than "
        "yesterday, and yesterday fewer than last week: fewer false alarms and fewer losses than there were."
    )
    model = (
        "The AUC takes transactions without a verdict for genuine, as weir replay --evaluate does; quantiles of scores "
        "are right to within 3 %."
    )
    money = (
        "Money is what the messages say, in the books' currency at the rate of the event's time. PSI compares how the "
        "champion's scores are spread: below 0.1 nothing has moved, above 0.25 much has."
    )
    return section("meaning", "What the figures mean", *map(paragraph, (event, late, model, money)))


def _foot(report: Daily) -> str:
    sealed = f"newest seal <code>{text(report.root)}</code>; " if report.root else ""
    return f"<p>Made from the streams of the output folder; {sealed}check it with <code>weir audit verify</code>.</p>"
