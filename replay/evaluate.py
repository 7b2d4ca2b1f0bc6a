"""How good the decisions of a replay were, once the labels are in: the handbook's protocol, and a bank's view.

    published   four test weeks, without cards that were known to be compromised by then; AUC ROC, average precision,
                card precision at 100: comparable with the tables of the Fraud Detection Handbook (chapters 3 and 5)
    bank view   every transaction from a day on: the same, recall at 0.5 % and 1 % alerts, and week by week

Scores are those of `decisions.ndjson`, made before any label was seen. A transaction without a label counts as genuine.
The metrics themselves stand in models/prequential.py.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from config.errors import InputError
from engine.durable.disk import Disk, RealDisk
from models import prequential

I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]
F8: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Labels: TypeAlias = dict[tuple[str, str], int]

HANDBOOK_DAY_0: Final = date(2018, 4, 1)
# first training days of the four test weeks: 2018-07-25, 08-01, 08-08, 08-15; each is tested 14 days later
HANDBOOK_TRAINING: Final = (115, 122, 129, 136)
HANDBOOK_BANK_DAY: Final = 37  # windows of 30 days are full, labels of 7 days are back
N_DAYS: Final = 7  # of training, of delay, and of test
N_CARDS: Final = 100
NAMES: Final = ("roc_auc", "average_precision", "card_precision_100")
PROBABILITIES: Final = ("champion", "score")  # columns that are never negative


@dataclass(frozen=True, slots=True)
class Scored:
    """Decided transactions in order of `seq`, one entry each."""

    day: I8  # whole days since the first day of the recording
    card: I8  # who paid, as a number
    label: I1  # 1 fraud, 0 genuine
    score: F8  # high is suspicious; 0 where nothing was scored

    def take(self, rows: Flags) -> "Scored":
        return Scored(self.day[rows], self.card[rows], self.label[rows], self.score[rows])


@dataclass(frozen=True, slots=True)
class Recorded:
    """Decided transactions in order of `seq`, with what every model had said of them.

    identity : (account, transaction id) of each
    scores   : of each model (n,) float64; NaN where it said nothing. "champion" is the calibrated probability, "score"
               what the rules added up to, others are raw scores of models
    """

    identity: list[tuple[str, str]]
    day: I8
    card: I8
    label: I1
    scores: dict[str, F8]

    def of(self, name: str) -> Scored:
        """What one model said; where it said nothing, as little suspicion as it ever had, or 0 if it never spoke."""
        score = self.scores.get(name)
        if score is None:
            score = np.full(len(self.day), np.nan)
        spoke = ~np.isnan(score)
        least = float(score[spoke].min()) if spoke.any() else 0.0
        silent = 0.0 if name in PROBABILITIES else min(0.0, least)
        return Scored(self.day, self.card, self.label, np.where(spoke, score, silent))


@dataclass(frozen=True, slots=True)
class Week:
    """One test week of the published protocol."""

    first_day: int
    n_transactions: int
    n_frauds: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a replay is worth. `published` is empty for recordings that are too short for the test weeks."""

    published: tuple[Week, ...]
    bank_from_day: int
    bank: dict[str, float]
    weekly: dict[int, dict[str, float]]

    def published_mean(self, name: str) -> float:
        return float(np.mean([week.metrics[name] for week in self.published]))

    def as_dict(self) -> dict[str, Any]:
        """Everything, for summary.json; a figure that does not exist is None."""
        document: dict[str, Any] = {
            "published": [
                {
                    "first_day": week.first_day,
                    "transactions": week.n_transactions,
                    "frauds": week.n_frauds,
                    **week.metrics,
                }
                for week in self.published
            ],
            "published_mean": {n: self.published_mean(n) for n in NAMES} if self.published else {},
            "bank_from_day": self.bank_from_day,
            "bank": self.bank,
            "weekly": [{"week": week, **figures} for week, figures in self.weekly.items()],
        }
        return {key: _without_nan(value) for key, value in document.items()}

    def table(self) -> str:
        """The figures as a person reads them."""
        lines = []
        if self.published:
            lines += [
                "Published protocol (known cards removed)    transactions  frauds    AUC     AP  CP@100",
                *(
                    f"  test week from day {w.first_day:<24d}{w.n_transactions:>11,d}{w.n_frauds:>8,d}"
                    + _figures(w.metrics)
                    for w in self.published
                ),
                f"  {'mean':43s}{'':19s}" + _figures({n: self.published_mean(n) for n in NAMES}),
            ]
        bank = self.bank
        if not bank["frauds"]:
            lines.append(f"No frauds from day {self.bank_from_day} on: nothing to measure")
            return "\n".join(lines)
        weeks = [week["average_precision"] for week in self.weekly.values()]
        precision = " ".join("-" if np.isnan(week) else f"{week:.2f}" for week in weeks)
        share = f"{bank['rows']:,.0f}, {bank['frauds']:,.0f} of them fraud"
        quality = f"AUC {bank['roc_auc']:.3f}   average precision {bank['average_precision']:.3f}"
        half, one = bank["recall_at_0.5_percent"], bank["recall_at_1_percent"]
        lines += [
            f"All transactions from day {self.bank_from_day}: {share}",
            f"  {quality}   recall at 0.5 % alerts {half:.1%}, at 1 % {one:.1%}",
            f"  average precision by week: {precision}",
        ]
        return "\n".join(lines)


def evaluate(scored: Scored, training: Sequence[int] = (), bank_from_day: int = 0) -> Evaluation:
    """Measure `scored`: a published week for each first training day that fits in, and the bank view."""
    last_day = int(scored.day.max(initial=-1))
    rows = scored.take(scored.day >= bank_from_day)
    return Evaluation(
        published=tuple(
            published_week(scored, day) for day in training if day + 3 * N_DAYS - 1 <= last_day
        ),
        bank_from_day=bank_from_day,
        bank=prequential.summary(rows.label, rows.score),
        weekly=prequential.by_period(rows.day // 7, rows.label, rows.score),
    )


def published_week(scored: Scored, first_training_day: int) -> Week:
    """The test week of a training week, as the handbook measures it."""
    test = scored.take(in_published_test(scored, first_training_day))
    return Week(
        first_day=first_training_day + 2 * N_DAYS,
        n_transactions=len(test.day),
        n_frauds=int(np.sum(test.label == 1)),
        metrics={
            "roc_auc": prequential.roc_auc(test.label, test.score),
            "average_precision": prequential.average_precision(test.label, test.score),
            "card_precision_100": prequential.card_precision(
                test.day, test.card, test.label, test.score, N_CARDS
            ),
        },
    )


def in_published_test(scored: Scored, first_training_day: int) -> Flags:
    """Which rows are tested: those of the week after the delay, without cards known to be compromised.

    Known are the cards with a fraud in training, and on the k-th test day (k from 0) those with a fraud up to day
    k - 1 of the delay: the published code is a day behind what seven days of delay would allow, and so is this.
    """
    first = first_training_day
    kept = np.zeros(len(scored.day), np.bool_)
    fraud = scored.label == 1
    for k in range(N_DAYS):
        known = fraud & (scored.day >= first) & (scored.day <= first + N_DAYS + k - 1)
        today = scored.day == first + 2 * N_DAYS + k
        kept |= today & ~np.isin(scored.card, np.unique(scored.card[known]))
    return kept


def read_scored(
    decisions: Path,
    labels: Labels,
    day_0: date | None = None,
    score: str = "champion",
    disk: Disk | None = None,
) -> Scored:
    """Read `decisions.ndjson` and give each transaction its label; `score` names a model, or "score" the sum of rules.

    `disk` is that of the folder if it is encrypted.

    Labels go by (account, transaction id). Days count from `day_0`; without it, from the day of the first decision.
    """
    return read_recorded(decisions, labels, day_0, disk).of(score)


def read_recorded(
    decisions: Path, labels: Labels, day_0: date | None = None, disk: Disk | None = None
) -> Recorded:
    """Read `decisions.ndjson` with the scores of all models; labels and days as in `read_scored`."""
    day: list[str] = []
    card: dict[str, int] = {}
    cards: list[int] = []
    identity: list[tuple[str, str]] = []
    scores: dict[str, list[float | None]] = {"score": []}
    for decision in _decisions(decisions, disk or RealDisk()):
        account, transaction = decision.account or "", decision.transaction_id or ""
        for name in decision.models:
            if name not in scores:
                scores[name] = [None] * len(day)
        for name, column in scores.items():
            column.append(decision.score if name == "score" else decision.models.get(name))
        day.append((decision.event_time or "1970-01-01")[:10])
        cards.append(card.setdefault(account, len(card)))
        identity.append((account, transaction))
    days = np.array(day, "datetime64[D]").astype(np.int64) if day else np.zeros(0, np.int64)
    first = int(days.min()) if len(days) else 0
    origin = (day_0 - date(1970, 1, 1)).days if day_0 else first
    return Recorded(
        identity,
        days - origin,
        np.array(cards, np.int64),
        np.array([labels.get(each, 0) for each in identity], np.int8),
        {name: np.array(column, np.float64) for name, column in scores.items()},
    )


def paired(one: Evaluation, other: Evaluation) -> dict[str, tuple[float, float]]:
    """Of each published metric, by how much `one` beat `other` on the same weeks: mean, and deviation over them."""
    apart = {
        name: np.array(
            [
                a.metrics[name] - b.metrics[name]
                for a, b in zip(one.published, other.published, strict=True)
            ]
        )
        for name in NAMES
    }
    return {name: (float(d.mean()), float(d.std())) for name, d in apart.items() if len(d)}


def recall_by_kind(
    scored: Scored, kind: Sequence[str], share: float
) -> dict[str, tuple[int, float]]:
    """Of each kind of fraud: how many there were, and the part among the `share` of all rows that score highest."""
    kinds = np.array(kind)
    fraud = scored.label == 1
    return {
        str(name): (
            int(np.sum(fraud & (kinds == name))),
            prequential.recall_at_share(
                (fraud & (kinds == name)).astype(np.int8), scored.score, share
            ),
        )
        for name in np.unique(kinds[fraud])
    }


def handbook_labels(path: Path) -> Labels:
    """Frauds of the handbook's Parquet file; what is not in it is genuine."""
    try:
        table = pq.read_table(path, columns=["TRANSACTION_ID", "CUSTOMER_ID", "TX_FRAUD"])
    except (OSError, ValueError) as error:
        raise InputError(
            f"the labels of the handbook cannot be read: {error}",
            str(path),
            "the evaluation needs its columns TRANSACTION_ID, CUSTOMER_ID and TX_FRAUD",
            "give the file transactions_raw.parquet of the handbook feed",
        ) from None
    fraud = table.column("TX_FRAUD").to_numpy() == 1
    account = table.column("CUSTOMER_ID").to_numpy()[fraud].tolist()
    transaction = table.column("TRANSACTION_ID").to_numpy()[fraud].tolist()
    return {(str(a), str(t)): 1 for a, t in zip(account, transaction, strict=True)}


def recorded_labels(lines: Iterable[bytes]) -> Labels:
    """The last verdict on each transaction among canonical `lines`; withdrawn ones count as none."""
    decode = msgspec.json.Decoder(_Label).decode
    labels: Labels = {}
    for line in lines:
        if b'"label"' not in line:
            continue
        try:
            label = decode(line)
        except msgspec.DecodeError:
            continue  # the engine has made a dead letter of it
        if label.kind == "label":
            labels[label.account, label.transaction_id] = int(label.label == "fraud")
    return labels


class _Label(msgspec.Struct):
    kind: str = "transaction"
    account: str = ""
    transaction_id: str = ""
    label: str = ""


class _Decision(msgspec.Struct):
    """What this page needs of a decision."""

    transaction_id: str | None = None
    event_time: str | None = None
    account: str | None = None
    score: float | None = None
    models: dict[str, float | None] = {}


def _decisions(path: Path, disk: Disk) -> Iterator[_Decision]:
    decode = msgspec.json.Decoder(_Decision).decode
    with disk.open(path) as file:
        for number, line in enumerate(file, 1):
            try:
                yield decode(line)
            except msgspec.DecodeError as error:
                raise InputError(
                    f"not a decision: {error}",
                    f"{path}:{number}",
                    "each line of the file is one decision",
                    "replay into an empty folder; the file may have been cut",
                ) from None


def _figures(metrics: dict[str, float]) -> str:
    return "".join(f"{metrics[name]:>7.3f}" for name in NAMES)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and np.isnan(value) else value
