"""Lines that a kernel writes are those that `decision_text` writes, byte for byte, whatever stands in them."""

import datetime as dt
from types import SimpleNamespace

import numpy as np
import pytest

from engine.outcomes import DecisionParts, decision_text, model_order
from engine.patterns import Pattern
from engine.quiet import FEW, QuietLines

DAY_US = 86_400_000_000
ODD_TEXTS = (None, "", "ü", 'a"b', "a\\b", "a\nb", "支付", "\ud800")
ODD_SCORES = (0.0, -0.0, 1.0, 0.1, 0.000001, -0.000001, 5e-7, -0.25, 12.5, 0.999999, 123456.789012, -999999999.999999,
              1e9, -1e9, 1e20, 2.0**52, np.nan, np.inf, -np.inf)  # fmt: skip


def made(seed, n, n_models, *, odd):
    """A batch of n rows; of `odd` ones the share with something that is seldom seen."""
    rng = np.random.default_rng(seed)

    def texts(word):
        usual = [f"{word}{k}" for k in rng.integers(0, 10**9, n).tolist()]
        return [
            ODD_TEXTS[int(rng.integers(len(ODD_TEXTS)))] if rng.random() < odd else text
            for text in usual
        ]

    models = {}
    for name in ("champion", 'b "quoted"', "a")[:n_models]:
        column = np.round(rng.normal(0.0, 10.0 ** rng.integers(-6, 6, n)), 6)
        strange = rng.random(n) < odd
        column[strange] = rng.choice(ODD_SCORES, int(strange.sum()))
        models[name] = np.round(column, 6)
    time_us = rng.integers(0, 230 * 366 * DAY_US, n)
    time_us[rng.random(n) < 0.3] //= 1_000_000
    time_us[rng.random(n) < 0.3] *= 1_000
    time_us %= 230 * 365 * DAY_US
    time_us[rng.random(n) < odd] = -1
    return SimpleNamespace(
        seq=int(rng.integers(0, 10**12)) + np.arange(n),
        event_time_us=time_us,
        transaction_id=texts("t-"),
        account=texts("A"),
        models=models,
    )


def patterns():
    told = [(), [("R-1", "lat")], [("R-ü", 'a"b'), ("R-2", "lon")]]
    parts = [DecisionParts(0, float(k) / 2, undecided=u) for k, u in enumerate(told)]
    return [Pattern(0, p.head(), p.tail("sha256:0")) for p in parts]


@pytest.mark.parametrize("odd", [0.0, 0.05, 0.6])
@pytest.mark.parametrize("n_models", [0, 1, 3])
@pytest.mark.parametrize("n", [0, 1, FEW - 1, FEW, 700])
def test_a_line_is_the_same_bytes_whoever_writes_it(n, n_models, odd):
    """Rows without a line, rows with a line of their own, and quiet ones; the same writer again and again."""
    writer = QuietLines()
    for seed in range(3):
        rng, batch, of = np.random.default_rng(seed), made(seed, n, n_models, odd=odd), patterns()
        quiet, which = rng.random(n) < 0.8, rng.integers(0, len(of), n)
        lines = {row: f"row {row} ü\n" for row in np.flatnonzero(~quiet).tolist() if row % 3}
        expected = dict(lines)
        names = model_order(batch.models)
        for row in np.flatnonzero(quiet).tolist():
            expected[row] = decision_text(
                int(batch.seq[row]),
                batch.transaction_id[row],
                int(batch.event_time_us[row]),
                batch.account[row],
                [(name, float(batch.models[name][row])) for name in names],
                of[which[row]].head,
                of[which[row]].tail,
            )
        text = "".join(expected[row] for row in sorted(expected))
        assert writer.write(batch, quiet, which, of, lines) == text.encode()


def test_every_day_has_its_date():
    """From 1970 to 2200, at noon and a microsecond."""
    n = 84_000
    days = np.arange(n)
    batch = made(1, n, 0, odd=0.0)
    batch.event_time_us = days * DAY_US + DAY_US // 2 + 1
    written = QuietLines().write(batch, np.ones(n, np.bool_), np.zeros(n, np.int64), patterns(), {})
    begin = dt.date(1970, 1, 1).toordinal()
    for day, line in zip(days.tolist(), written.splitlines(), strict=True):
        date = dt.date.fromordinal(begin + day).isoformat()
        assert f'"event_time":"{date}T12:00:00.000001Z"'.encode() in line
