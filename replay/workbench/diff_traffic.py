"""Two packs over the same traffic in one pass: what changes for analysts, customers and money.

Each pack has a core of its own, so windows, caps and restrictions are what they would be under it. Rules run in the
mode their pack says: what a rule in shadow matches is counted, and does nothing.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.outcomes import rfc3339
from replay.workbench import scorecard
from replay.workbench.backtesting import Question, drafted_lists, opened
from replay.workbench.scorecard import Card, Figures
from replay.workbench.tally import FIRED, Matches, Tally
from replay.workbench.traffic import Lane, drive, prepared
from replay.workbench.verdicts import LabelBook
from rules.definitions import Pack

EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True)
class Example:
    """A transaction that newly fires a rule (`is_new`), or no longer does. `amount` is minor units, None missing."""

    rule: str
    is_new: bool
    transaction_id: str | None
    event_time: str
    amount: int | None
    is_fraud: bool


@dataclass(slots=True)
class Effect:
    """What a rule did under the old pack and does under the new one.

    gained, lost : events that it newly holds for, or no longer; frauds among them
    """

    rule: str
    old: Figures
    new: Figures
    gained: int = 0
    lost: int = 0
    frauds_gained: int = 0
    frauds_lost: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass(slots=True)
class Effects:
    """What a new pack changes over some traffic."""

    old: Card
    new: Card
    rules: list[Effect]
    currency: str
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "rules": [asdict(effect) for effect in self.rules],
            "old": self.old.as_dict()["together"] | {"decisions": self.old.decisions},
            "new": self.new.as_dict()["together"] | {"decisions": self.new.decisions},
            "frauds": self.new.n_frauds,
            "currency": self.currency,
        }


def effects(
    old: Pack,
    new: Pack,
    touched: Collection[str],
    question: Question,
    *,
    key: bytes | None = None,
    quiet: bool = False,
) -> Effects:
    """Run both packs over the traffic of `question`; tell about the rules `touched`, and of all rules together."""
    traffic, base = opened(question, key)
    lanes = []
    for pack in (old, new):
        setup, core = prepared(base, pack)
        ids = frozenset(rule.id for rule in pack.rules)
        tally = Tally(core, ids, from_us=question.from_us, keeps_ids=True)
        lanes.append(Lane(setup, core, tally, drafted_lists(pack, traffic)))
    book = LabelBook()
    drive(lanes, traffic, book, from_us=question.from_us, to_us=question.to_us, quiet=quiet)
    if question.labels is not None:
        book.read(question.labels)
    before, after = (_card(lane, pack, book) for lane, pack in zip(lanes, (old, new), strict=True))
    first, second = (lane.tally for lane in lanes)
    found = [_effect(id_, first, second, before, after, book) for id_ in sorted(touched)]
    notes = list(dict.fromkeys(note for lane in lanes for note in lane.setup.notes))
    return Effects(before, after, found, new.currency, notes)


def _card(lane: Lane, pack: Pack, book: LabelBook) -> Card:
    modes = {rule.id: rule.mode for rule in pack.rules}
    return scorecard.card(lane.tally, pack, book, tested=list(modes), modes=modes)


def _effect(
    id_: str, old: Tally, new: Tally, old_card: Card, new_card: Card, book: LabelBook
) -> Effect:
    before, after = _of_rule(old, id_), _of_rule(new, id_)
    gained = after.take(~np.isin(after.seq, before.seq))
    lost = before.take(~np.isin(before.seq, after.seq))
    effect = Effect(
        id_, _figures(old_card, id_), _figures(new_card, id_), len(gained.seq), len(lost.seq)
    )
    for matches, tally, is_new in ((gained, new, True), (lost, old, False)):
        is_fraud = book.are_frauds(matches.identity) & matches.is_payment
        if is_new:
            effect.frauds_gained = int(is_fraud.sum())
        else:
            effect.frauds_lost = int(is_fraud.sum())
        for i in _chosen(is_fraud):
            amount = float(matches.amount[i])
            effect.examples.append(
                Example(
                    id_,
                    is_new,
                    tally.transaction_ids.get(int(matches.seq[i])),
                    rfc3339(int(matches.time_us[i])),
                    None if np.isnan(amount) else int(amount),
                    bool(is_fraud[i]),
                )
            )
    return effect


def _chosen(is_fraud: "np.ndarray[Any, Any]") -> list[int]:
    """Places of a few examples: frauds and others by turns, each the oldest first."""
    frauds, others = np.flatnonzero(is_fraud).tolist(), np.flatnonzero(~is_fraud).tolist()
    n = min(EXAMPLES, len(is_fraud))
    of_frauds = min(len(frauds), max(n - len(others), (n + 1) // 2))
    return sorted([*frauds[:of_frauds], *others[: n - of_frauds]])


def _of_rule(tally: Tally, id_: str) -> Matches:
    matches, _ = tally.finish()
    places = [k for k, rule in enumerate(tally.rules) if rule.id == id_]
    return matches.take(np.isin(matches.rule, places) & (matches.outcome == FIRED))


def _figures(card: Card, id_: str) -> Figures:
    return next((f for f in card.rules if f.rule == id_), Figures(id_))


def question_of(
    against: Path,
    *,
    config: Path | None,
    feed: str,
    from_us: int | None,
    to_us: int | None,
    labels: Path | None,
) -> Question:
    """The traffic that `--against` names: an output folder, or a recorded file."""
    is_folder = against.is_dir()
    return Question(
        packs=(),
        config=config,
        inputs=() if is_folder else (against,),
        feed=feed,
        out=against if is_folder else None,
        from_us=from_us,
        to_us=to_us,
        labels=labels,
    )
