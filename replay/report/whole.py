"""The page about a whole run or replay: how fast it was, what it decided, how good that was, what its data were like.

Takes what gather.py and tempo.py counted, and the summary of the run; counts nothing itself. Personal values are
pseudonyms, or hidden where there is no key, as everywhere else.
"""

from collections.abc import Mapping
from typing import Any

from replay.report import units
from replay.report.counting import (
    Day,
    together,
)
from replay.report.folder import FRAUD, GENUINE, Folder
from replay.report.gather import Gathered, sorted_days
from replay.report.markup import (
    Markup,
    Part,
    cards,
    page,
    paragraph,
    section,
    text,
)
from replay.report.names import Names
from replay.report.tempo import Tempo
from replay.report.whole_decided import (
    decisions,
    entities,
    money,
    rate,
    regions,
    restrictions,
    rules,
    speed,
    typologies,
)
from replay.report.whole_input import data_quality, dead_letters
from replay.report.whole_models import drift, quality_of_decisions, score_distributions


def whole_page(folder: Folder, found: Gathered, tempo: Tempo, summary: Mapping[str, Any]) -> str:
    """The page."""
    days = list(sorted_days(found))
    all_days = together(days)
    names = Names(folder)
    title = f"Run report: {folder.root.resolve().name}"
    parts = [
        speed(tempo, summary),
        decisions(folder, days, all_days),
        rules(folder, all_days, names),
        typologies(folder, all_days, found),
        quality_of_decisions(days, all_days, found),
        score_distributions(all_days.scores, found),
        drift(folder, days, found),
        entities(folder, found),
        restrictions(all_days, found, days[-1].day if days else ""),
        regions(folder, all_days, found.region),
        dead_letters(all_days, found),
        data_quality(summary),
        _meaning(folder),
    ]
    return page(title, _head(folder, title, all_days, tempo, found, summary), parts, foot(folder))


def _head(
    folder: Folder,
    title: str,
    whole: Day,
    tempo: Tempo,
    found: Gathered,
    summary: Mapping[str, Any],
) -> str:
    days = found.known_days
    period = f"{days[0]} to {days[-1]}" if len(days) > 1 else (days[0] if days else "no day")
    told = [
        f"Business days {period} ({folder.calendar.zone.key}), {len(days):,} of them; last event "
        + (folder.calendar.local(found.last_time) if found.last_time else "-")
    ]
    packs = ", ".join(f"{p['name']} {p['version']}" for p in summary.get("packs", ()))
    if packs:
        told.append(f"Packs: {packs}")
    if folder.setup is not None:
        effect = found.mode or folder.setup.configuration.settings.effect
        sent = "commands are recorded, not sent" if effect == "observe" else "commands are sent"
        told.append(f"Mode: {effect} ({sent})")
    lines = "".join(paragraph(line, "soft") for line in told)
    return f"<h1>{text(title)}</h1>{lines}{warnings(folder, summary)}{_cards(folder, whole, tempo)}"


def warnings(folder: Folder, summary: Mapping[str, Any]) -> str:
    """What the reader must know before any figure."""
    told = list(folder.notes)
    if folder.is_running:
        told.insert(0, "An engine is writing this folder: these are the figures until now.")
    elif not summary:
        told.insert(
            0,
            "The run has not ended in order (no summary.json): speed and data quality are missing.",
        )
    if summary.get("stopped"):
        told.insert(0, f"The run was stopped {summary['stopped']}.")
    return "".join(f'<div class="warn">{text(line)}</div>' for line in told)


def _cards(folder: Folder, whole: Day, tempo: Tempo) -> Markup:
    flagged = units.share(units.of(whole.flagged, whole.transactions))
    judged = whole.verdicts[True, FRAUD] + whole.verdicts[True, GENUINE]
    frauds = whole.verdicts[True, FRAUD] + whole.verdicts[False, FRAUD]
    return cards(
        [
            ("Transactions", units.count(whole.transactions), ""),
            ("Not simply approved", units.count(whole.flagged), f"{flagged} of all"),
            (
                "Money stopped",
                money(folder, whole.stopped),
                "challenged, held or declined",
            ),
            (
                "Alerts opened",
                units.count(whole.alerts["rule"]),
                f"{whole.alerts['update']:,} matches joined one",
            ),
            ("Precision", units.share(whole.precision), f"of {judged:,} flagged and judged"),
            ("Recall", units.share(whole.recall), f"of {frauds:,} transactions called fraud"),
            (
                "Throughput",
                f"{rate(tempo):,.0f} /s" if tempo.messages else "-",
                f"of {tempo.messages:,} messages, while any left",
            ),
            (
                "Latency p99",
                units.seconds(tempo.latency.quantile(0.99)),
                "from arrival to durable" if tempo.is_live else "from decided to durable",
            ),
        ]
    )


def _meaning(folder: Folder) -> Part:
    zone = folder.calendar.zone.key
    days = (
        f"A business day is the day of the event in {zone}; commands, alarms and what became of a hold count on the "
        "day of core time on which they happened."
    )
    money_ = (
        "Flagged: any decision above approve. Stopped: challenged, held or declined. Money is what the messages say, "
        f"in the books' currency ({folder.currency or 'unknown'}) at the rate of the event's time."
    )
    verdicts = (
        "Verdicts are the labels that had arrived when this page was made; they come late, so the last days look "
        "better than they were."
    )
    return section("meaning", "What the figures mean", *map(paragraph, (days, money_, verdicts)))


def foot(folder: Folder) -> str:
    """What the page was made from, so that it can be checked."""
    root = folder.root_hash()
    sealed = f"newest seal <code>{text(root)}</code>; " if root else ""
    return (
        f"<p>Made from the streams of the output folder; {sealed}check it with "
        f"<code>weir audit verify</code>.</p>"
    )
