"""How good the decisions and models of a run were, and whether what they see has moved."""

from collections.abc import Sequence
from typing import Any, Final

from config.reasons import SENTENCES
from replay.report import svg, units
from replay.report.counting import (
    SHOWN,
    Day,
    Scores,
    shift,
    shown,
    together,
)
from replay.report.folder import FRAUD, GENUINE, NO_VERDICT, Folder
from replay.report.gather import Gathered
from replay.report.markup import (
    Markup,
    Part,
    figure,
    folded,
    n,
    note,
    pair,
    paragraph,
    section,
    table,
)
from replay.report.names import MODEL_REASONS
from replay.report.svg import Series

ALARMS_SHOWN: Final = 40


WEEK: Final = 7


def quality_of_decisions(days: Sequence[Day], whole: Day, found: Gathered) -> Part:
    title = "Precision and recall"
    if not found.n_labels:
        return section(
            "quality",
            title,
            note("The folder holds no labels: precision and recall cannot be told."),
        )
    labels = [day.day[5:] for day in days]
    series = (
        Series("precision", [day.precision for day in days], "c1"),
        Series("recall", [day.recall for day in days], "c4"),
    )
    verdicts = whole.verdicts
    rows = [
        (name, *(units.count(v) for v in (verdicts[key, FRAUD], verdicts[key, GENUINE])),
         units.count(count - verdicts[key, FRAUD] - verdicts[key, GENUINE]))
        for name, key, count in (
            ("above approve", True, whole.flagged),
            ("approved", False, whole.transactions - whole.flagged),
        )
    ]  # fmt: skip
    alerts = whole.alert_verdicts
    judged = [("alerts", *(units.count(alerts[key]) for key in (FRAUD, GENUINE, NO_VERDICT)))]
    curve = whole.scores.precision_recall()
    plots = [
        figure(
            "By day of the transaction",
            svg.lines("Precision and recall by day", labels, series, "", top=1.0, percent=True),
        )
    ]
    if curve:
        plots.append(
            figure(
                "Champion's score alone, at every threshold",
                svg.curve("Precision over recall", curve, "recall", "precision"),
            )
        )
    return section(
        "quality",
        title,
        pair(*plots),
        table(
            ("", n("fraud"), n("genuine"), n("no verdict")),
            [*rows, *judged],
            caption=f"By the last label of each transaction ({found.n_labels:,} labels stand). An alert is fraud "
            "if one of its transactions was.",
        ),
        paragraph(
            f"Precision {units.share(whole.precision)}: of flagged transactions with a verdict, the share that were "
            f"fraud. Recall {units.share(whole.recall)}: of transactions that a verdict calls fraud, the share that "
            "were flagged; transactions without a verdict are left out of both. Curve and AUC of the champion's "
            f"score, {units.score(whole.scores.auc())}, take them for genuine, as weir replay --evaluate does.",
            "soft",
        ),
    )


def score_distributions(scores: Scores, found: Gathered) -> Part:
    title = "Score distributions"
    if not scores.all.sum():
        return section("scores", title, note("No transaction was scored by a champion."))
    labels = [f"{k / SHOWN:.2f}" for k in range(SHOWN)]
    series = (
        Series("all", [*map(float, shown(scores.all))], "c2"),
        Series("fraud", [*map(float, shown(scores.fraud))], "hold"),
        Series("genuine", [*map(float, shown(scores.genuine))], "c3"),
    )
    rows = [
        (
            name,
            units.count(spread.n),
            *(units.score(spread.quantile(q)) for q in (0.05, 0.5, 0.95, 0.99, 0.999)),
            units.score(spread.most),
        )
        for name, spread in sorted(found.models.items(), key=lambda p: (p[0] != "champion", p[0]))
    ]
    ranges = [
        (f"{label} to {(k + 1) / SHOWN:.2f}", *(units.count(s.values[k]) for s in series))
        for k, label in enumerate(labels)
    ]
    return section(
        "scores",
        title,
        figure(
            "Champion: transactions in each range of its probability",
            svg.bars("Champion's scores", labels, series, "transactions, logarithmic", log=True),
        ),
        folded(
            "The ranges as a table",
            table(("probability", n("all"), n("fraud"), n("genuine")), ranges),
        ),
        table(
            ("model", n("scored"), n("p5"), n("median"), n("p95"), n("p99"), n("p99.9"), n("most")),
            rows,
            caption="The champion's score is a probability; the others are raw scores, high is suspicious.",
        ),
        paragraph(f"{scores.unscored:,} transactions have no champion's score.", "soft")
        if scores.unscored
        else "",
    )


def drift(folder: Folder, days: Sequence[Day], found: Gathered) -> Part:
    labels = [day.day[5:] for day in days]
    quantiles = [
        Series(name, [day.scores.quantile(q) for day in days], colour)
        for name, q, colour in (("median", 0.5, "c2"), ("p95", 0.95, "c1"), ("p99", 0.99, "c4"))
    ]
    moved: list[float | None] = []
    for k, day in enumerate(days):
        before = days[max(0, k - WEEK) : k]
        moved.append(
            shift(day.scores.all, together(list(before)).scores.all)
            if len(before) == WEEK
            else None
        )
    by_day = svg.lines(
        "Champion's score by day", labels, quantiles, "probability, logarithmic", log=True
    )
    plots = [figure("Champion's score by day", by_day)]
    if any(value is not None for value in moved):
        unit = "PSI: below 0.1 quiet, above 0.25 much"
        shifts = svg.lines("Shift", labels, [Series("PSI", moved, "c5")], unit)
        plots.append(figure("Shift of the champion's scores against the seven days before", shifts))
    alarms = [alarm for alarm in found.alarms if alarm.reason in MODEL_REASONS]
    return section(
        "drift",
        "Drift and models",
        pair(*plots) if days else "",
        alarm_table(
            folder,
            alarms,
            "No alarm about drift, and no model was promoted, fitted anew or frozen.",
        ),
    )


def alarm_table(folder: Folder, alarms: Sequence[Any], empty: str) -> Markup:
    """Alarms as they were raised, the newest last; at most so many."""
    rows = [
        (
            folder.calendar.local(alarm.time) if alarm.time else alarm.day,
            alarm.reason,
            SENTENCES.get(alarm.reason, ""),
            alarm.title if alarm.reason in MODEL_REASONS else "",
        )
        for alarm in alarms[:ALARMS_SHOWN]
    ]
    more = len(alarms) - len(rows)
    told = table(("when", "alarm", "means", "about"), rows, empty=empty)
    return Markup(told + (paragraph(f"and {more:,} more", "soft") if more > 0 else ""))
