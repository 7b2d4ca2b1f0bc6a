"""What reports count, for one business day: plain sums, so that days can be put together to weeks and whole runs."""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.decisions import APPROVE, CHALLENGE, DECISIONS

I8: TypeAlias = NDArray[np.int64]

SHOWN: Final = 20  # ranges of a distribution, each as wide
_ODDS: Final = np.linspace(
    -14.0, 14.0, 981
)  # log odds: probabilities near 0 are told apart as well as others
EDGES: Final = sorted(
    {k / SHOWN for k in range(1, SHOWN)} | set((1 / (1 + np.exp(-_ODDS))).tolist())
)
BINS: Final = (
    len(EDGES) + 1
)  # of the champion's probability; bin k holds EDGES[k - 1] <= p < EDGES[k]
HALF: Final = bisect_right(EDGES, 0.5)  # the first bin of a half or more
_RANGE: Final = np.minimum(np.array([int(SHOWN * e + 1e-9) for e in (0.0, *EDGES)]), SHOWN - 1)
FLAGGED: Final = DECISIONS[APPROVE + 1 :]  # above approve
STOPPED: Final = DECISIONS[CHALLENGE:]  # money that does not move at once: challenge, hold, decline
SOME: Final = 0.5  # added to each range, so that an empty one has a logarithm


@dataclass(slots=True)
class Counts:
    """Numbers that add up, field by field."""

    def add(self, other: Self) -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class Region(Counts):
    """Of one region. Money in minor units; `frauds` are transactions that a verdict calls fraud, flagged or not."""

    transactions: int = 0
    money: int = 0
    flagged: int = 0
    stopped: int = 0
    frauds: int = 0


@dataclass(slots=True)
class RuleCounts(Counts):
    """Of one rule: transactions it fired for, alerts it opened, and what verdicts say of the transactions.

    stopped : money of transactions it fired for that were challenged, held or declined, minor units
    """

    fired: int = 0
    alerts: int = 0
    fraud: int = 0
    genuine: int = 0
    stopped: int = 0
    shadow: int = 0
    undecided: int = 0

    @property
    def precision(self) -> float | None:
        judged = self.fraud + self.genuine
        return self.fraud / judged if judged else None


@dataclass(slots=True)
class Typology(Counts):
    """Of one kind of fraud, as verdicts name it. Money in minor units."""

    frauds: int = 0
    flagged: int = 0
    alerted: int = 0
    money: int = 0
    stopped: int = 0


@dataclass(slots=True)
class Scores:
    """The champion's probabilities in `BINS` ranges: of all transactions, of frauds and of genuine ones by verdict.

    unscored : transactions without one
    """

    all: I8 = field(default_factory=lambda: np.zeros(BINS, np.int64))
    fraud: I8 = field(default_factory=lambda: np.zeros(BINS, np.int64))
    genuine: I8 = field(default_factory=lambda: np.zeros(BINS, np.int64))
    unscored: int = 0

    def add(self, other: "Scores") -> None:
        self.all += other.all
        self.fraud += other.fraud
        self.genuine += other.genuine
        self.unscored += other.unscored

    def quantile(self, q: float) -> float | None:
        """The middle of the bin that the quantile lies in, right to within 3 %; None without a score."""
        total = int(self.all.sum())
        if not total:
            return None
        place = min(int(np.searchsorted(np.cumsum(self.all), q * total)), BINS - 1)
        low, high = (
            (EDGES[place - 1] if place else 0.0),
            (EDGES[place] if place < len(EDGES) else 1.0),
        )
        return round((low + high) / 2, 7)

    def auc(self) -> float | None:
        """The chance that a fraud scores above any other transaction, ties half; None without either.

        What has no verdict counts as genuine, as in `weir replay --evaluate`.
        """
        others = self.all - self.fraud
        n_fraud, n_others = int(self.fraud.sum()), int(others.sum())
        if not n_fraud or not n_others:
            return None
        below = np.cumsum(others) - others
        return float((self.fraud * (below + others / 2)).sum() / (n_fraud * n_others))

    def precision_recall(self) -> list[tuple[float, float]]:
        """(recall, precision) at each threshold, the highest first; empty without a fraud, or with nothing else."""
        others = self.all - self.fraud
        n_fraud = int(self.fraud.sum())
        if not n_fraud or not others.any():
            return []
        caught, wrong = (np.cumsum(column[::-1]) for column in (self.fraud, others))
        changes = np.flatnonzero((self.fraud + others)[::-1])
        return [
            (float(caught[k] / n_fraud), float(caught[k] / (caught[k] + wrong[k])))
            for k in changes.tolist()
        ]


def shown(bins: I8) -> list[int]:
    """The counts of `bins` (BINS,) in `SHOWN` ranges of the probability, each as wide."""
    found = np.zeros(SHOWN, np.int64)
    np.add.at(found, _RANGE, bins)
    return [int(n) for n in found]


def bin_of(probability: float) -> int:
    """The bin that a probability is counted in.

    >>> bin_of(0.5) == HALF, bin_of(0.0), bin_of(1.0) == BINS - 1, bin_of(0.001) < bin_of(0.0011)
    (True, 0, True, True)
    """
    return bisect_right(EDGES, probability)


def shift(now: I8, then: I8) -> float | None:
    """The population stability index between two distributions (BINS,), over `SHOWN` ranges; None without either.

    Below 0.1 nothing has moved, above 0.25 much has: the thresholds that banks use.
    """
    if not now.sum() or not then.sum():
        return None
    a, b = (np.array(shown(bins)) + SOME for bins in (now, then))
    p, q = a / a.sum(), b / b.sum()
    return float(((p - q) * np.log(p / q)).sum())


@dataclass(slots=True)
class Day:
    """One business day.

    decisions, money : of each decision, transactions and minor units; `unpriced` transactions have no known amount
    hours            : transactions, and those above approve, in each hour
    verdicts         : (above approve?, fraud or genuine) -> transactions; `verdict_money` minor units
    alerts           : kind -> lines; `severities` of those opened
    alert_verdicts   : of the alerts opened: fraud, genuine, or "" for none yet
    operations       : reason -> alarms for operations
    verbs            : (verb, level) -> commands
    outcomes         : what became of held and challenged transactions -> how many
    flaws            : late, undecided, excepted, suppressed, dead letters and duplicates
    """

    day: str
    first_seq: int = -1
    last_seq: int = -1
    decisions: Counter[str] = field(default_factory=Counter)
    money: Counter[str] = field(default_factory=Counter)
    unpriced: int = 0
    hours: list[list[int]] = field(default_factory=lambda: [[0, 0] for _ in range(24)])
    regions: dict[str, Region] = field(default_factory=dict)
    rules: dict[str, RuleCounts] = field(default_factory=dict)
    typologies: dict[str, Typology] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[tuple[bool, str]] = field(default_factory=Counter)
    verdict_money: Counter[tuple[bool, str]] = field(default_factory=Counter)
    wrongly_stopped: int = 0  # money of challenged, held and declined that a verdict calls genuine
    rightly_stopped: int = 0  # and fraud
    scores: Scores = field(default_factory=Scores)
    alerts: Counter[str] = field(default_factory=Counter)
    severities: Counter[str] = field(default_factory=Counter)
    alert_verdicts: Counter[str] = field(default_factory=Counter)
    cases_opened: int = 0
    cases_closed: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    verbs: Counter[tuple[str, str]] = field(default_factory=Counter)
    released_by_people: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    let_go: int = 0  # money of stopped transactions that were approved in the end
    reports: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    flaws: Counter[str] = field(default_factory=Counter)

    @property
    def transactions(self) -> int:
        return self.decisions.total()

    @property
    def flagged(self) -> int:
        return sum(self.decisions[name] for name in FLAGGED)

    @property
    def stopped(self) -> int:
        """Money of challenged, held and declined transactions, minor units."""
        return sum(self.money[name] for name in STOPPED)

    def rule(self, id_: str) -> RuleCounts:
        found = self.rules.get(id_)
        if found is None:
            found = self.rules[id_] = RuleCounts()
        return found

    @property
    def precision(self) -> float | None:
        """Of transactions above approve that have a verdict, the share that were fraud."""
        fraud, genuine = self.verdicts[True, "fraud"], self.verdicts[True, "genuine"]
        return fraud / (fraud + genuine) if fraud + genuine else None

    @property
    def recall(self) -> float | None:
        """Of transactions that a verdict calls fraud, the share above approve."""
        caught, missed = self.verdicts[True, "fraud"], self.verdicts[False, "fraud"]
        return caught / (caught + missed) if caught + missed else None

    def add(self, other: "Day") -> None:
        """Add the counts of another day."""
        for name in self.__dataclass_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            elif isinstance(mine, Scores):
                mine.add(theirs)
            elif isinstance(mine, dict):
                for key, value in theirs.items():
                    if key not in mine:
                        mine[key] = type(value)()
                    mine[key].add(value)
            elif isinstance(mine, int) and not name.endswith("_seq"):
                setattr(self, name, mine + theirs)
        for mine_hour, hour in zip(self.hours, other.hours, strict=True):
            mine_hour[0] += hour[0]
            mine_hour[1] += hour[1]


def together(days: list[Day], name: str = "all days") -> Day:
    """The counts of several days as those of one."""
    whole = Day(name)
    for day in days:
        whole.add(day)
    return whole
