"""A probability that is honest, rising in the raw score at any instant, and as exact as the models it follows."""

import itertools

import numpy as np
import pytest

from config.errors import StateError
from models import registry
from models.calibration import Calibrator
from models.laws import same_bits, same_state
from models.protocol import LEARN, PEEK, SCORE, SKIP


def stream(seed, n, base=-4.0, slope=1.5):
    """Raw scores, actions and labels; the truth is log odds = base + slope * raw."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(0.0, 1.5, n)
    label = (rng.random(n) < 1 / (1 + np.exp(-(base + slope * raw)))).astype(np.int8)
    action = rng.choice(np.array([SKIP, SCORE, LEARN, PEEK], np.int8), n, p=[0.1, 0.3, 0.5, 0.1])
    return raw, action, label


def run(calibrator, raw, action, label, cuts=()):
    out = np.full(len(raw), np.nan)
    edges = [0, *sorted(cuts), len(raw)]
    for a, b in itertools.pairwise(edges):
        calibrator.process(raw[a:b], action[a:b], label[a:b], out[a:b])
    return out


def peek(calibrator, raw):
    return run(calibrator, raw, np.full(len(raw), PEEK, np.int8), np.zeros(len(raw), np.int8))


@pytest.mark.parametrize("log_odds", [True, False])
def test_probabilities_are_honest_under_imbalance(log_odds):
    """In each range of what it says, that share is fraud, within three standard errors and a tenth."""
    raw, action, label = stream(1, 240_000)
    out = run(Calibrator(log_odds=log_odds), raw, action, label)
    later = (np.arange(len(raw)) > 40_000) & (action != SKIP)
    said, was = out[later], label[later]
    for low, high in ((0.0, 0.01), (0.01, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 1.0)):
        rows = (said >= low) & (said < high)
        mean = said[rows].mean()
        assert abs(mean - was[rows].mean()) < 3 * np.sqrt(mean / rows.sum()) + 0.1 * mean, (
            low,
            high,
        )


@pytest.mark.parametrize("log_odds", [True, False])
def test_the_order_of_rows_is_kept_at_any_instant(log_odds):
    """Even when labels say that high scores are genuine."""
    calibrator = Calibrator(log_odds=log_odds)
    grid = np.linspace(-12, 12, 400)
    raw, action, label = stream(2, 4_000, base=-2.0, slope=-2.0)
    run(calibrator, *stream(3, 10))
    for at in range(0, 4_000, 200):
        assert (np.diff(peek(calibrator, grid)) > 0).all()
        rows = slice(at, at + 200)
        run(calibrator, raw[rows], action[rows], label[rows])


def test_before_any_label_log_odds_mean_what_they_say():
    raw = np.linspace(-8, 8, 50)
    np.testing.assert_allclose(
        peek(Calibrator(log_odds=True), raw), 1 / (1 + np.exp(-raw)), rtol=1e-12
    )


def test_before_any_label_other_scores_start_at_the_prior_and_rise_with_deviations():
    calibrator = Calibrator(log_odds=False, prior=0.01)
    raw = np.random.default_rng(3).normal(0.95, 0.02, 5_000)
    run(calibrator, raw, np.full(5_000, SCORE, np.int8), np.zeros(5_000, np.int8))
    usual, odd = peek(calibrator, np.array([0.95, 1.03]))
    assert usual == pytest.approx(0.01, rel=0.1)
    assert odd == pytest.approx(1 / (1 + 99 / np.e**4), rel=0.2)


def test_a_changed_base_rate_is_followed():
    calibrator = Calibrator(log_odds=True, forget_labels=10_000)
    for share in (0.1, 0.01):
        label = (np.random.default_rng(4).random(60_000) < share).astype(np.int8)
        out = run(calibrator, np.full(60_000, -3.0), np.full(60_000, LEARN, np.int8), label)
        assert out[-10_000:].mean() == pytest.approx(share, rel=0.25)


@pytest.mark.parametrize("log_odds", [True, False])
def test_batch_cuts_change_no_bit(log_odds):
    raw, action, label = stream(5, 900)
    whole, cut, single = (Calibrator(log_odds=log_odds) for _ in range(3))
    out = run(whole, raw, action, label)
    assert same_bits(out, run(cut, raw, action, label, [3, 3, 250, 600]))
    assert same_bits(out, run(single, raw, action, label, range(1, 900)))
    assert same_state(whole.save(), cut.save())
    assert same_state(whole.save(), single.save())


@pytest.mark.parametrize("log_odds", [True, False])
def test_save_and_load_lose_nothing(log_odds):
    raw, action, label = stream(6, 900)
    calibrator, twin = Calibrator(log_odds=log_odds), Calibrator(log_odds=log_odds)
    run(calibrator, raw, action, label)
    twin.load(calibrator.save())
    assert same_bits(run(calibrator, raw, action, label), run(twin, raw, action, label))
    with pytest.raises(StateError):
        twin.load({"line": np.zeros(1)})


def test_without_a_label_nothing_is_learned():
    raw, _, _ = stream(7, 300)
    for log_odds in (True, False):
        calibrator = Calibrator(log_odds=log_odds)
        run(calibrator, *stream(8, 300))
        before = calibrator.save()
        run(calibrator, raw, np.full(300, LEARN, np.int8), np.full(300, -1, np.int8))
        peek(calibrator, raw)
        assert same_state(before, calibrator.save())


def test_a_row_is_calibrated_before_its_label_is_learned():
    calibrator = Calibrator(log_odds=True)
    for raw, label in zip(*stream(9, 50)[::2], strict=True):
        row, mark = np.array([raw]), np.array([label], np.int8)
        assert same_bits(
            peek(calibrator, row), run(calibrator, row, np.full(1, LEARN, np.int8), mark)
        )


def test_skipped_rows_are_left_alone_and_output_is_finite():
    raw, action, label = stream(10, 500)
    raw[::7] = 1e300
    raw[1::7] = -1e300
    for log_odds in (True, False):
        out = run(Calibrator(log_odds=log_odds), raw, action, label)
        assert np.isnan(out[action == SKIP]).all()
        rest = out[action != SKIP]
        assert ((rest > 0) & (rest < 1)).all()


def test_a_million_labels_leave_the_covariance_positive():
    raw, _, label = stream(11, 1_000_000)
    calibrator = Calibrator(log_odds=True, forget_labels=5_000)
    run(calibrator, raw, np.full(len(raw), LEARN, np.int8), label)
    assert np.linalg.eigvalsh(calibrator.save()["covariance"]).min() > 0


def test_the_registry_gives_the_calibrator_that_fits():
    for kind, log_odds in (("logistic", True), ("half_space_trees", False)):
        model = registry.build(kind, ["a"], {}, seed=0)
        assert registry.calibrator(model).log_odds is log_odds
