"""A probability that is honest, rising in the raw score at any instant, and as exact as the models it follows."""

import itertools

import numpy as np
import pytest

from config.errors import StateError
from models import registry
from models.calibration import Calibrator
from models.laws import same_bits, same_state
from models.protocol import LEARN, PEEK, SCORE, SKIP
from tests.oracles.calibration import NaiveLine


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
    calibrator = Calibrator(log_odds=True, forget_frauds=300)
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
    calibrator = Calibrator(log_odds=True, forget_frauds=50)
    run(calibrator, raw, np.full(len(raw), LEARN, np.int8), label)
    assert np.linalg.eigvalsh(calibrator.save()["covariance"]).min() > 0


def test_the_registry_gives_the_calibrator_that_fits():
    for kind, log_odds in (("logistic", True), ("half_space_trees", False)):
        model = registry.build(kind, ["a"], {}, seed=0)
        assert registry.calibrator(model).log_odds is log_odds


def matured(seed, n, base, shift, delay=10_000, silent=True):
    """Raw scores of payments and what becomes of each `delay` payments later; returns raw, action, label, is_fraud.

    base  : share of frauds, of each stretch of the stream alike
    shift : added to every raw score of a stretch, so that the same raw score means another thing
    """
    rng = np.random.default_rng(seed)
    stretch = np.arange(n) * len(base) // n
    fraud = rng.random(n) < np.array(base)[stretch]
    raw = rng.normal(0.0, 1.2, n) + np.where(fraud, 3.0, 0.0) - 6.0 + np.array(shift)[stretch]
    at = np.concatenate([2 * np.arange(n) + 1, 2 * (np.arange(n) + delay)])
    row = np.concatenate([np.arange(n)] * 2)
    action = np.repeat(np.array([SCORE, LEARN], np.int8), n)
    heard = rng.random(n) < np.where(fraud, 1.0, 0.01)  # nearly only frauds have a verdict
    kept = (action == SCORE) | (at < 2 * n)
    if not silent:
        kept &= (action == SCORE) | heard[row]
    order = np.argsort(at, kind="stable")
    order = order[kept[order]]
    row = row[order]
    return raw[row], action[order], fraud[row].astype(np.int8), fraud[row]


def honest_at(out, fraud, rows, threshold, within):
    """What is said at and above a threshold is what is true there, within a share of it."""
    rows = rows & (out >= threshold)
    said, was = out[rows].mean(), fraud[rows].mean()
    assert abs(said - was) < within * was + 3 * np.sqrt(was / rows.sum()), (threshold, said, was)


def test_thresholds_keep_their_meaning_under_drift():
    """Three times the frauds and all scores up by one, then a tenth of them and down: after 45,000 payments it is honest."""
    n = 450_000
    base, shift = (0.009, 0.03, 0.003), (0.0, 1.0, -0.7)
    raw, action, label, fraud = matured(21, n, base, shift)
    out = run(Calibrator(log_odds=True), raw, action, label)
    decided = action == SCORE
    seq = np.cumsum(decided) - 1
    for k, share in enumerate(base):
        settled = decided & (seq >= k * n // 3 + 45_000) & (seq < (k + 1) * n // 3)
        assert out[settled].mean() == pytest.approx(share, rel=0.25)
        for threshold in (0.02, 0.1, 0.3):
            honest_at(out, fraud, settled, threshold, within=0.25)


def test_a_map_that_does_not_learn_loses_its_meaning_in_the_same_stream():
    """What the test above would miss if the stream were easy."""
    n = 450_000
    raw, action, label, fraud = matured(21, n, (0.009, 0.03, 0.003), (0.0, 1.0, -0.7))
    calibrator = Calibrator(log_odds=True)
    first = np.flatnonzero(action == SCORE)[n // 3]
    run(calibrator, raw[:first], action[:first], label[:first])
    decided = np.flatnonzero(action == SCORE)[n // 3 + 45_000 : 2 * n // 3]
    out = peek(calibrator, raw[decided])
    with pytest.raises(AssertionError):
        honest_at(out, fraud[decided], np.ones(len(out), np.bool_), 0.1, within=0.25)


def test_verdicts_on_frauds_alone_say_too_much_and_the_silent_ones_put_it_right():
    said = {}
    for silent in (False, True):
        raw, action, label, fraud = matured(22, 200_000, (0.005,), (0.0,), silent=silent)
        out = run(Calibrator(log_odds=True), raw, action, label)
        rows = action == SCORE
        rows[: len(rows) // 2] = False
        said[silent] = out[rows].mean() / fraud[rows].mean()
    assert said[False] > 10
    assert said[True] == pytest.approx(1.0, abs=0.1)


def test_a_verdict_that_turns_counts_as_if_it_had_come_at_once():
    """Frauds that are first counted as genuine end where frauds end that are known at once, within a third."""
    rng = np.random.default_rng(23)
    n = 60_000
    raw = rng.normal(-3.0, 1.5, n)
    fraud = rng.random(n) < 1 / (1 + np.exp(-(raw - 0.5)))
    late = fraud & (rng.random(n) < 0.7)
    at = np.concatenate([np.arange(n), np.flatnonzero(late) + 5_000])
    row = np.concatenate([np.arange(n), np.flatnonzero(late)])
    label = np.concatenate([(fraud & ~late).astype(np.int8), np.full(late.sum(), 2, np.int8)])
    order = np.argsort(at, kind="stable")
    order = order[at[order] < n]
    at_once, turning = Calibrator(log_odds=True), Calibrator(log_odds=True)
    run(at_once, raw, np.full(n, LEARN, np.int8), fraud.astype(np.int8))
    run(turning, raw[row[order]], np.full(len(order), LEARN, np.int8), label[order])
    grid = np.linspace(-5.0, 1.0, 7)
    np.testing.assert_allclose(peek(turning, grid), peek(at_once, grid), rtol=0.35)


@pytest.mark.parametrize("log_odds", [True, False])
def test_the_line_is_that_of_the_naive_twin(log_odds):
    raw, action, label = stream(24, 3_000, base=-2.0)
    rng = np.random.default_rng(25)
    turned = rng.random(3_000) < 0.05
    label[turned] = rng.integers(2, 4, int(turned.sum()))
    action[raw > 2.9] = PEEK
    raw = raw if log_odds else np.round(raw, 3)
    calibrator = Calibrator(log_odds=log_odds, forget_frauds=100)
    fresh = calibrator.save()
    twin = NaiveLine(calibrator.knot, fresh["line"], calibrator.doubt, 0.3, 100.0)
    if not log_odds:  # the twin reads deviations, so the moments must stand still: learn them first
        run(calibrator, raw, np.full(3_000, SCORE, np.int8), label)
        mean, deviation = raw.mean(), raw.std()
        action[action == SCORE] = PEEK
    out = run(calibrator, raw, action, label)
    told = []
    for each, what, verdict in zip(raw, action, label, strict=True):
        z = each if log_odds else (each - mean) / deviation
        told.append(twin.say(z) if what != SKIP else np.nan)
        if what == LEARN:
            twin.learn(z, verdict)
    np.testing.assert_allclose(out, told, rtol=1e-6)
    np.testing.assert_allclose(calibrator.save()["line"], twin.line, rtol=1e-6, atol=1e-9)
    fades = calibrator.save()["told"][:2]
    np.testing.assert_allclose(fades, twin.told()[:2], rtol=1e-6, atol=1e-9)


def test_its_own_error_is_small_when_it_is_honest_and_large_when_the_stream_has_just_turned():
    calibrator = Calibrator(log_odds=True)
    assert np.isnan(calibrator.error)
    raw, action, label = stream(26, 120_000)
    run(calibrator, raw, action, label)
    assert calibrator.error < 0.12
    run(calibrator, raw[:3_000] - 3.0, np.full(3_000, LEARN, np.int8), label[:3_000])
    assert calibrator.error > 0.12
    assert calibrator.lessons == int((action == LEARN).sum()) + 3_000
    assert len(calibrator.reliability) == 7


def test_rows_without_a_raw_score_do_not_exist():
    raw, action, label = stream(27, 2_000)
    holes = np.random.default_rng(28).random(2_000) < 0.2
    with_them, without = Calibrator(log_odds=False), Calibrator(log_odds=False)
    out = run(with_them, np.where(holes, np.nan, raw), action, label)
    assert np.isnan(out[holes]).all()
    assert same_bits(out[~holes], run(without, raw[~holes], action[~holes], label[~holes]))
    assert same_state(with_them.save(), without.save())


@pytest.mark.parametrize("log_odds", [False, True])
@pytest.mark.parametrize("learns", [True, False])
def test_what_became_of_others_is_told_before_the_row_at_which_it_stands(log_odds, learns):
    """As one stream in which each lesson comes before its row; in any batches, also where a lesson is of its batch."""
    rng = np.random.default_rng(11)
    n, c = 200, 120
    raw = rng.normal(0.0, 2.0, n)
    raw[rng.random(n) < 0.1] = np.nan
    action = np.where(rng.random(n) < 0.2, PEEK, SCORE).astype(np.int8)
    row = np.sort(rng.integers(1, n, c))
    of = np.array([rng.integers(0, r) for r in row])  # the row that was decided
    label = rng.integers(0, 4, c).astype(np.int8)
    known = raw.astype(np.float32)
    sequence = np.argsort(np.concatenate([2 * row, 2 * np.arange(n) + 1]), kind="stable")
    whole = np.concatenate([known[of].astype(np.float64), raw])
    turn = np.concatenate([np.full(c, LEARN if learns else PEEK, np.int8), action])
    turn = np.where(turn == SCORE, SCORE if learns else PEEK, turn).astype(np.int8)
    meaning = np.concatenate([label, np.zeros(n, np.int8)])
    plain, expected = Calibrator(log_odds=log_odds), np.full(n + c, np.nan)
    told = np.full(n + c, np.nan)
    plain.process(whole[sequence], turn[sequence], meaning[sequence], told)
    expected[sequence] = told
    for edges in ([0, n], [0, 1, 2, 90, 91, n], [*range(n + 1)]):
        calibrator = Calibrator(log_odds=log_odds)
        out, said = np.full(n, np.nan), np.full((c, 3), np.nan)
        for first, last in itertools.pairwise(edges):
            some = np.flatnonzero((row >= first) & (row < last))
            here = np.where(of[some] >= first, of[some] - first, -1)
            decided = np.full((len(some), 3), np.float32(7.0))
            decided[:, 1] = np.where(here < 0, known[of[some]], 7.0)
            some_said, some_out = np.full((len(some), 3), np.nan), np.empty(last - first)
            calibrator.follow(
                raw[first:last], action[first:last], decided, 1, label[some], row[some] - first, here,
                some_said, some_out, learns=learns,
            )  # fmt: skip
            out[first:last], said[some] = some_out, some_said
        assert same_bits(out, expected[c:]), edges
        assert same_bits(said[:, 1], expected[:c]), edges
        assert np.isnan(said[:, [0, 2]]).all()
        assert same_state(calibrator.save(), plain.save())
