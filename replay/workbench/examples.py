"""Transactions that rules of a backtest matched, by name: for people the first few, for machines all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from config.money import exponent, major_text
from engine.outcomes import rfc3339
from replay.workbench.tally import FIRED, Matches, Tally
from replay.workbench.verdicts import LabelBook

SHOWN: Final = 10  # of a rule, for people
FRAUD, NONE_KNOWN = "fraud", "no fraud known"


@dataclass(frozen=True, slots=True)
class Examples:
    """What rules matched; `matches` are those that fired, by seq.

    rules    : id -> its place in `matches.rule`
    ids      : seq -> id of the transaction, where it has one
    is_fraud : (n,) bool of each match
    """

    rules: Mapping[str, int]
    matches: Matches
    ids: Mapping[int, str]
    is_fraud: NDArray[np.bool_]
    currency: str

    def of(self, rule: str, at_most: int | None = None) -> list[dict[str, Any]]:
        """Matches of a rule, the oldest first: seq, event_time, transaction_id, amount (a text, or None), label."""
        if rule not in self.rules:
            return []
        rows = np.flatnonzero(self.matches.rule == self.rules[rule]).tolist()
        return [self._told(row) for row in islice(rows, at_most)]

    def lines(self, rule: str) -> Iterator[str]:
        """The first few for people, a line each."""
        for told in self.of(rule, SHOWN):
            amount = f"{told['amount']} {self.currency}" if told["amount"] is not None else "-"
            id_ = told["transaction_id"] or f"record {told['seq']}"
            yield f"{id_}  {told['event_time']}  {amount}  {told['label']}"

    def _told(self, row: int) -> dict[str, Any]:
        found, seq = self.matches, int(self.matches.seq[row])
        amount = float(found.amount[row])
        return {
            "seq": seq,
            "event_time": rfc3339(int(found.time_us[row])),
            "transaction_id": self.ids.get(seq),
            "amount": None
            if np.isnan(amount)
            else major_text(round(amount), exponent(self.currency)),
            "label": FRAUD if self.is_fraud[row] else NONE_KNOWN,
        }


def gathered(tally: Tally, book: LabelBook, currency: str) -> Examples:
    """The matches of a finished tally that kept ids."""
    matches, _ = tally.finish()
    fired = matches.take(matches.outcome == FIRED)
    is_fraud = book.are_frauds(fired.identity) & fired.is_payment
    rules = {rule.id: k for k, rule in enumerate(tally.rules)}
    return Examples(rules, fired, tally.transaction_ids, is_fraud, currency)
