"""The daily risk report as text for a terminal or a mail: aligned columns, no line longer than it must be."""

from collections.abc import Sequence
from typing import Final

from replay.report import units
from replay.report.daily import GROUPS, Daily, Figure
from replay.report.page_parts import figure_cells, figure_name, heads_of

LEAD: Final = "  "
RULES_SHOWN: Final = 25
REGIONS_SHOWN: Final = 20
ALARMS_SHOWN: Final = 20


def as_text(report: Daily) -> str:
    """The whole report."""
    sent = {"observe": "commands are recorded, not sent", "enforce": "commands are sent"}
    effect = f"{report.effect} ({sent[report.effect]})" if report.effect in sent else "unknown"
    head = (
        f"Daily risk report, {report.day} ({report.zone})\n"
        f"Packs: {', '.join(report.packs) or 'unknown'}; mode: {effect}"
    )
    blocks = [
        head,
        "\n".join(f"Note: {plain(note)}" for note in report.notes),
        *(_group(report, key, title) for key, title in GROUPS.items()),
        _rules(report),
        _typologies(report),
        _regions(report),
        _customers(report),
        _entities(report),
        _alarms(report),
    ]
    if report.root:
        blocks.append(f"Newest seal of the folder: {report.root}")
    return "\n\n".join(block for block in blocks if block)


def plain(text: str) -> str:
    r"""A text without anything that a terminal would obey.

    >>> plain("a\x1b[31mb")
    'a?[31mb'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Rows under their headings; columns stand right, but those in `left`."""
    table = [list(map(plain, row)) for row in (heads, *rows)]
    widths = [max(len(row[k]) for row in table) for k in range(len(heads))]
    lines = []
    for row in table:
        cells = [
            c.ljust(w) if k in left else c.rjust(w)
            for k, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((LEAD + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def _group(report: Daily, key: str, title: str) -> str:
    rows = [_figure(figure, report) for figure in report.group(key)]
    return f"{title}\n{aligned(heads_of(report), rows)}"


def _figure(figure: Figure, report: Daily) -> list[str]:
    return [figure_name(figure), *figure_cells(figure, report.currency)]


def _rules(report: Daily) -> str:
    if not report.rules:
        return "Rules\n  No rule fired."
    heads = (
        "rule",
        "fired",
        "yesterday",
        "last week",
        "alerts",
        "fraud",
        "genuine",
        "precision",
        "stopped",
        "",
    )
    rows = [
        [
            one.rule,
            *map(
                units.count,
                (
                    one.fired,
                    one.fired_yesterday,
                    one.fired_last_week,
                    one.alerts,
                    one.fraud,
                    one.genuine,
                ),
            ),
            units.share(one.precision),
            units.decimal(one.stopped, report.currency),
            one.name,
        ]
        for one in report.rules[:RULES_SHOWN]
    ]
    return f"Rules\n{aligned(heads, rows, (0, 9))}{_more(len(report.rules) - RULES_SHOWN)}"


def _typologies(report: Daily) -> str:
    if not report.typologies:
        return ""
    rows = [
        [
            str(one["typology"] or "not told").replace("_", " "),
            *(units.count(int(one[key] or 0)) for key in ("frauds", "flagged", "alerted")),
            units.decimal(_text(one["money"]), report.currency),
            units.decimal(_text(one["stopped"]), report.currency),
        ]
        for one in report.typologies
    ]
    heads = ("", "frauds", "flagged", "alerted", "at stake", "stopped")
    return f"Frauds of the day, by verdict\n{aligned(heads, rows)}"


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def _regions(report: Daily) -> str:
    title = f"Regions, by `{report.region_field}`"
    if not report.regions:
        return f"{title}\n  No transaction."
    heads = (
        "",
        "transactions",
        "yesterday",
        "last week",
        "money",
        "flagged",
        "yesterday",
        "last week",
        "stopped",
        "frauds",
    )
    rows = [
        [
            one.region,
            *map(
                units.count,
                (one.transactions, one.transactions_yesterday, one.transactions_last_week),
            ),
            units.decimal(one.money, report.currency),
            *map(units.count, (one.flagged, one.flagged_yesterday, one.flagged_last_week)),
            units.decimal(one.stopped, report.currency),
            units.count(one.frauds),
        ]
        for one in report.regions[:REGIONS_SHOWN]
    ]
    return f"{title}\n{aligned(heads, rows)}{_more(len(report.regions) - REGIONS_SHOWN)}"


def _customers(report: Daily) -> str:
    told = report.customers
    if told is None:
        return ""
    rows = [[name, *map(units.count, counts)] for name, counts in told.classes.items()]
    lines = aligned(("class", "today", "yesterday", "last week"), rows)
    moved = f"{LEAD}{told.risen:,} rose into a higher class since yesterday, {told.fallen:,} fell."
    top = [
        [one.customer or "-", one.class_, str(one.rating), str(one.yesterday), str(one.last_week)]
        for one in told.top
    ]
    worst = ""
    if top:
        worst = "\n" + aligned(
            ("customer", "class", "rating", "yesterday", "last week"), top, (0, 1)
        )
    return f"Customers at risk, by rating (1000 is the worst)\n{lines}\n{moved}{worst}"


def _entities(report: Daily) -> str:
    if not report.entities:
        return ""
    rows = [
        [
            one.kind,
            one.entity or "-",
            one.severity,
            *map(units.count, (one.alerts, one.matches)),
            units.decimal(one.money, report.currency),
        ]
        for one in report.entities
    ]
    heads = ("", "entity", "severity", "alerts", "matches", "money")
    return f"Whom and what alerts of the day are about\n{aligned(heads, rows, (0, 1, 2))}"


def _alarms(report: Daily) -> str:
    if not report.alarms:
        return "Alarms for operations\n  None on this day."
    rows = [[one.time, one.reason, one.about or one.means] for one in report.alarms[:ALARMS_SHOWN]]
    told = aligned(("when", "alarm", ""), rows, (0, 1, 2))
    return f"Alarms for operations\n{told}{_more(len(report.alarms) - ALARMS_SHOWN)}"


def _more(n: int) -> str:
    return f"\n{LEAD}and {n:,} more" if n > 0 else ""
