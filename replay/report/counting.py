"""What reports count, for one business day: plain sums, so that days can be put together to weeks and whole runs."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.decisions import APPROVE, CHALLENGE, DECISIONS

I8: TypeAlias = NDArray[np.int64]

BINS: Final = 1_000  # of the champion's probability, each as wide
SHOWN: Final = 20  # ranges of a distribution
FLAGGED: Final = DECISIONS[APPROVE + 1 :]  # above approve
STOPPED: Final = DECISIONS[CHALLENGE:]  # money that does not move at once: challenge, hold, decline
SOME: Final = 0.5  # added to each range, so that an empty one has a logarithm


@dataclass(slots=True)
class Region:
    """Of one region. Money in minor units; `frauds` are transactions that a verdict calls fraud, flagged or not."""

    transactions: int = 0
    money: int = 0
    flagged: int = 0
    stopped: int = 0
    frauds: int = 0

    def add(self, other: "Region") -> None:
        self.transactions += other.transactions
        self.money += other.money
        self.flagged += other.flagged
        self.stopped += other.stopped
        self.frauds += other.frauds


@dataclass(slots=True)
class RuleCounts:
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

    def add(self, other: "RuleCounts") -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def precision(self) -> float | None:
        judged = self.fraud + self.genuine
        return self.fraud / judged if judged else None


@dataclass(slots=True)
class Typology:
    """Of one kind of fraud, as verdicts name it. Money in minor units."""

    frauds: int = 0
    flagged: int = 0
    alerted: int = 0
    money: int = 0
    stopped: int = 0

    def add(self, other: "Typology") -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


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
        """The upper end of the range that the quantile lies in; None without a score."""
        total = int(self.all.sum())
        if not total:
            return None
        place = int(np.searchsorted(np.cumsum(self.all), q * total))
        return (min(place, BINS - 1) + 1) / BINS

    def auc(self) -> float | None:
        """The chance that a fraud scores above a genuine one, ties half, over those with a verdict."""
        n_fraud, n_genuine = int(self.fraud.sum()), int(self.genuine.sum())
        if not n_fraud or not n_genuine:
            return None
        below = np.cumsum(self.genuine) - self.genuine
        return float((self.fraud * (below + self.genuine / 2)).sum() / (n_fraud * n_genuine))


def shown(bins: I8) -> list[int]:
    """The counts of `bins` (BINS,) in `SHOWN` wider ranges."""
    return [int(n) for n in bins.reshape(SHOWN, -1).sum(axis=1)]


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
