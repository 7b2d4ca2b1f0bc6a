"""A small bank with a model that is fitted anew every day, traffic that teaches it, and fits that need no library."""

import json
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from engine.fits.desk import Fit
from engine.fits.records import packed
from engine.outcomes import rfc3339
from engine.ports import Fitted, NotFitted
from models.boosted import Boosted
from tests.auditing import START, small_bank

HOUR = 3_600_000_000
PARAMS = "{trees: 8, leaves: 4, leaf_rows: 2}"
MODELS = """\
champion: {champion}
maturity: 1h
models:
  linear: {{kind: logistic, inputs: [amount, fast_1h]}}
  boosted: {{kind: boosted, inputs: [fast_1h, amount], params: {params}, refit: {refit}}}
"""
REFIT = "{every: 1d, train: 20d, delay: 1h, frauds_min: 2}"


def fitting_bank(folder, *, champion="boosted", refit=REFIT, params=PARAMS, **settings):
    """A configuration whose champion is fitted from time to time."""
    small_bank(folder, **settings)
    text = MODELS.format(champion=champion, params=params, refit=refit)
    (folder / "models.yaml").write_text(text)
    return folder


def fitting_traffic(n, seed=1, days=6.0):
    """`n` payments in order, with verdicts three hours later: large ones are fraud, and a few others. Some late rows."""
    rng = np.random.default_rng(seed)
    told = []
    at_us = START
    for k in range(n):
        at_us += int(rng.exponential(days * 24 * HOUR / n))
        account, amount = f"A{int(rng.integers(9))}", float(rng.integers(1, 100_000)) / 100
        late_us = 5 * HOUR if rng.random() < 0.03 else 0
        payment = {
            "transaction_id": f"t-{k}",
            "account": account,
            "event_time": rfc3339((at_us - late_us) // 1000 * 1000),
            "type": "payment",
            "direction": "out",
            "amount": f"{amount:.2f}",
            "currency": "CNY",
        }
        told.append((at_us, payment))
        is_fraud = amount > 700 or rng.random() < 0.05
        verdict = {"kind": "label", "label": "fraud" if is_fraud else "genuine"}
        told.append((at_us + 3 * HOUR, {**verdict, "transaction_id": f"t-{k}", "account": account}))
    told.sort(key=lambda pair: pair[0])
    return [json.dumps(record).encode() for _, record in told]


@dataclass
class Stump:
    """One tree of one split, from sums alone; ready when `after` questions have been asked."""

    training: object
    after: int = 0
    fails: bool = False
    is_stopped: bool = False

    def result(self, wait_s):
        if self.after > 0 and not wait_s:
            self.after -= 1
            return None
        if self.fails:
            return Fit(failed="there was no reason")
        x, label = self.training.x.astype(np.float64), self.training.label
        model = Boosted(x.shape[1], **self.training.params)
        state = model.save()
        state["step"][0, 0] = [1, 1, 2, 2]
        state["threshold"][0, 0] = np.nanmean(x[:, 1])
        state["value"][0, 1], state["value"][0, 2] = -1.0, 2.0
        state["start"][0] = label.mean() + x[:, 0].sum() / 1e6
        state["fitted"][0] = 1
        return Fit(state, seconds=0.0, software="stump 1")

    def stop(self):
        self.is_stopped = True


class Chance:
    """Fits by stumps; one set in four cannot be fitted, and a live engine has to ask for some twice or three times."""

    def __init__(self, rng=None):
        self.rng = rng

    def start(self, training):
        day = training.closed_us // (24 * HOUR)
        after = 0 if self.rng is None else int(self.rng.integers(0, 3))
        return Stump(training, after, fails=day % 4 == 1)


class Unrecorded:
    """The port of a core that nothing happens to: fits when it is asked, and keeps no record."""

    def __init__(self):
        self.sets = {}

    def close(self, training):
        self.sets[training.model, training.closed_us] = training

    def take(self, model, closed_us, attempt):
        fit = Chance().start(self.sets[model, closed_us]).result(1.0)
        if fit.failed:
            return NotFitted(f"the fit failed: {fit.failed}")
        return Fitted(sha256(packed(fit.arrays)).hexdigest(), fit.arrays)


@dataclass
class Stumps:
    """`after` and `fails` of the fits in their order; the last for all that come after."""

    after: tuple = (0,)
    fails: tuple = (False,)
    started: list = field(default_factory=list)

    def start(self, training):
        k = len(self.started)
        of = lambda values: values[min(k, len(values) - 1)]  # noqa: E731
        self.started.append(Stump(training, of(self.after), of(self.fails)))
        return self.started[-1]
