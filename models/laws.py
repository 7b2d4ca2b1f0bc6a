"""What every model must obey, as checks that raise AssertionError: for our own models and for any that is plugged in.

Each law takes `make`, which gives a new, empty, always identical model over `N_FEATURES` inputs.
tests/contract/test_models.py holds every registered model to every law; an adapter to a foreign library can be held to
them too.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config.errors import StateError
from models.prequential import roc_auc
from models.protocol import F8, I1, LEARN, PEEK, SCORE, SKIP, Model, State

N_FEATURES = 4
Make = Callable[[], Model]


def traffic(seed: int, n: int, missing: float = 0.1) -> tuple[F8, I1, I1]:
    """Return rows, actions and labels as a stream would bring them: all actions, 10 % frauds that lie far out."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.1).astype(np.int8)
    x = rng.gamma(3.0, 1_000.0, (n, N_FEATURES)) * np.where(label == 1, 30.0, 1.0)[:, None]
    x[rng.random(x.shape) < missing] = np.nan
    action = rng.choice(np.array([SKIP, SCORE, LEARN, PEEK], np.int8), n, p=[0.1, 0.4, 0.4, 0.1])
    return x, action, label


def taught(make: Make, n: int = 600) -> Model:
    """Return a model that has seen some traffic, and was taught in the way it learns."""
    model = make()
    x, _, label = traffic(1, n)
    if model.supervised:
        model.learn(x, label)
    else:
        model.learn(x[label == 0], label[label == 0])
    return model


def run(model: Model, x: F8, action: I1, label: I1, cuts: list[int] | None = None) -> F8:
    """Return what `process` writes, in batches cut at `cuts`; NaN where it wrote nothing."""
    out = np.full(len(x), np.nan)
    edges = [0, *sorted(cuts or []), len(x)]
    for a, b in itertools.pairwise(edges):
        model.process(x[a:b], action[a:b], label[a:b], out[a:b])
    return out


def same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Equal shape, type and bytes."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def same_state(a: State, b: State) -> bool:
    """Equal names and bytes."""
    return a.keys() == b.keys() and all(same_bits(a[k], b[k]) for k in a)


def scoring_changes_nothing(make: Make) -> None:
    """Score, explain and PEEK leave the state as it was; so does SCORE in a supervised model."""
    model = taught(make)
    before = model.save()
    x, _, label = traffic(2, 200)
    model.score(x)
    model.explain(x[0])
    run(model, x, np.full(200, PEEK, np.int8), label)
    assert same_state(before, model.save()), "score, explain or PEEK changed the state"
    if model.supervised:
        run(model, x, np.full(200, SCORE, np.int8), label)
        assert same_state(before, model.save()), "SCORE changed a supervised model"


def learning_changes_scores(make: Make) -> None:
    """A model that was taught scores otherwise than an empty one; a check on the other laws, too."""
    x, _, _ = traffic(2, 200)
    assert not same_bits(make().score(x), taught(make).score(x)), "learning changed no score"


def only_a_fit_changes_it(make: Make) -> None:
    """Whatever rows and labels come, a model that is fitted as a whole stays as it was fitted."""
    model = make()
    before = model.save()
    x, action, label = traffic(18, 400)
    run(model, x, action, label)
    model.learn(x, label)
    assert same_state(before, model.save()), "a row changed a model between two fits"


def what_does_not_teach_changes_nothing(make: Make) -> None:
    """Rows without a usable label teach a supervised model nothing; labels teach an unsupervised one nothing."""
    model = taught(make)
    before = model.save()
    x, _, label = traffic(3, 200)
    run(
        model,
        x,
        np.full(200, LEARN, np.int8),
        np.full(200, -1, np.int8) if model.supervised else label,
    )
    assert same_state(before, model.save()), "rows that cannot teach changed the state"


def batch_cuts_change_no_bit(make: Make) -> None:
    """The same rows in other batches give the same scores and the same state."""
    x, action, label = traffic(4, 700)
    whole, cut, single = make(), make(), make()
    scores = run(whole, x, action, label)
    cuts = np.random.default_rng(5).integers(0, 700, 9).tolist()
    assert same_bits(scores, run(cut, x, action, label, cuts)), "scores depend on the batch cuts"
    assert same_bits(scores, run(single, x, action, label, list(range(700)))), (
        "scores depend on the batch cuts"
    )
    assert same_state(whole.save(), cut.save()), "the state depends on the batch cuts"
    assert same_state(whole.save(), single.save()), "the state depends on the batch cuts"


def save_and_load_lose_nothing(make: Make) -> None:
    """A model that was loaded goes on as the one that was saved; what was saved does not move on with it."""
    x, action, label = traffic(6, 600)
    model, twin = taught(make), make()
    saved = model.save()
    kept = {name: array.copy() for name, array in saved.items()}
    calm = run(model, x, action, label)
    assert same_state(saved, kept), "saved arrays are still those of the running model"
    twin.load(saved)
    assert same_bits(calm, run(twin, x, action, label)), "the loaded model scores otherwise"
    assert same_state(model.save(), twin.save()), "the loaded model learns otherwise"
    assert same_state(saved, kept), "loaded arrays became those of the running model"


def foreign_state_is_refused(make: Make) -> None:
    """State of another shape or type or with other names raises StateError and changes nothing."""
    model = taught(make)
    before = model.save()
    name, array = next(iter(before.items()))
    small = np.zeros(1, array.dtype)  # numpy would stretch it over the whole array without a word
    for wrong in (
        State(),
        before | {"strange": small},
        before | {name: small},
        before | {name: array.astype(np.complex128)},
    ):
        try:
            model.load(wrong)
        except StateError:
            assert same_state(before, model.save()), "a refused state changed the model"
        else:
            raise AssertionError("foreign state was taken")


def the_same_start_gives_the_same_model(make: Make) -> None:
    """Two models made alike and fed alike are alike: no unseeded randomness, no clock."""
    x, action, label = traffic(7, 500)
    one, other = make(), make()
    assert same_bits(run(one, x, action, label), run(other, x, action, label)), "two runs differ"
    assert same_state(one.save(), other.save()), "two runs differ"


def skipped_rows_do_not_exist(make: Make) -> None:
    """SKIP writes nothing, and leaves scores and state as if the row had not been there."""
    x, action, label = traffic(8, 500)
    with_them, without = make(), make()
    some = action != SKIP
    out = run(with_them, x, action, label)
    assert np.isnan(out[~some]).all(), "a skipped row was written"
    assert same_bits(out[some], run(without, x[some], action[some], label[some])), (
        "a skipped row had a say"
    )
    assert same_state(with_them.save(), without.save()), "a skipped row had a say"


def a_row_is_scored_before_it_teaches(make: Make) -> None:
    """The score of a row that teaches is what `score` gave just before."""
    model = taught(make)
    x, _, label = traffic(9, 60)
    for i in range(60):
        row, mark = x[i : i + 1], label[i : i + 1]
        expected = model.score(row)
        got = run(model, row, np.full(1, LEARN if model.supervised else SCORE, np.int8), mark)
        assert same_bits(expected, got), "the row had a say in its own score"


def missing_values_are_accepted(make: Make) -> None:
    """Rows with some or all values missing are scored and learned, and the model still tells fraud from genuine."""
    model = make()
    x, action, label = traffic(10, 800, missing=0.3)
    x[::50] = np.nan
    assert np.isfinite(run(model, x, action, label)[action != SKIP]).all(), (
        "a missing value made a score infinite"
    )
    fresh, _, truth = traffic(11, 2_000, missing=0.3)
    quality = roc_auc(truth, taught(make).score(fresh))
    assert quality > 0.85, f"with missing values the AUC falls to {quality:.2f}"


def scores_are_finite_whatever_comes(make: Make) -> None:
    """Huge, tiny, infinite, constant and negative inputs, wildly mixed, neither break a score nor the state."""
    rng = np.random.default_rng(12)
    wild = np.array(
        [0.0, -0.0, 1e-300, 5e-324, -1.0, 1e15, -1e15, 1e300, -1e308, np.inf, -np.inf, np.nan]
    )
    model = make()
    for _ in range(4):
        x = rng.choice(wild, (300, N_FEATURES))
        x[:, 0] = 7.0
        label = rng.integers(0, 2, 300).astype(np.int8)
        action = np.full(300, LEARN if model.supervised else SCORE, np.int8)
        assert np.isfinite(run(model, x, action, label)).all(), "a wild input made a score infinite"
        calm, _, _ = traffic(13, 100)
        assert np.isfinite(model.score(calm)).all(), "a wild input spoiled later scores"
        assert np.isfinite(model.explain(calm[0])).all(), "a wild input spoiled explanations"
    assert all(np.isfinite(array).all() for array in model.save().values()), (
        "a wild input spoiled the state"
    )


def high_means_anomalous(make: Make) -> None:
    """Rows that lie far out, or are like known frauds, score above usual ones."""
    x, _, label = traffic(14, 2_000, missing=0.0)
    quality = roc_auc(label, taught(make).score(x))
    assert quality > 0.95, f"AUC {quality:.2f}"


def explanations_add_up(make: Make) -> None:
    """The bias and the contributions of the inputs sum to the raw score."""
    x, _, _ = traffic(15, 100)
    for model in (make(), taught(make)):
        scores = model.score(x)
        sums = np.array([model.bias + model.explain(row).sum() for row in x])
        np.testing.assert_allclose(sums, scores, rtol=0, atol=1e-9)


def explanations_are_of_the_moment(make: Make) -> None:
    """`parts` say what `explain` would have said just before each row, not what the model has learned since."""
    x, action, label = traffic(17, 300)
    whole, single = taught(make), taught(make)
    parts = np.full((300, N_FEATURES), np.nan)
    out, alone = np.full(300, np.nan), np.full(300, np.nan)
    whole.process(x, action, label, out, parts)
    for i in range(300):
        if action[i] in (SCORE, PEEK):
            np.testing.assert_allclose(parts[i], single.explain(x[i]), rtol=0, atol=1e-12)
        else:
            assert np.isnan(parts[i]).all(), "parts were written for a row that is not decided"
        row = slice(i, i + 1)
        single.process(x[row], action[row], label[row], alone[row])
    assert same_bits(out, alone), "asking for parts changed a score"
    assert same_state(whole.save(), single.save()), "asking for parts changed the state"


def what_is_odd_is_named(make: Make) -> None:
    """Where one input alone is far out, its contribution is the largest."""
    model = taught(make)
    usual = np.full(N_FEATURES, 3_000.0)
    for j in range(N_FEATURES):
        row = usual.copy()
        row[j] = 90_000.0
        assert int(np.argmax(model.explain(row))) == j, "the explanation names another input"


def nothing_is_explained(make: Make) -> None:
    """What is not known is not made up: no input is blamed for anything."""
    x, _, _ = traffic(20, 50)
    model = taught(make)
    assert not any(model.explain(row).any() for row in x), "an input is blamed without a reason"


def inputs_are_left_alone(make: Make) -> None:
    """`process` changes none of its inputs."""
    x, action, label = traffic(16, 300)
    before = x.copy(), action.copy(), label.copy()
    run(make(), x, action, label)
    is_same = (
        same_bits(x, before[0]) and same_bits(action, before[1]) and same_bits(label, before[2])
    )
    assert is_same, "an input was changed"


def no_member_sinks_it(make: Make) -> None:
    """A combination goes on telling frauds where one member is absent, stuck, useless, wild or turned around.

    From the middle of the stream on; a supervised one has heard of a quarter of it by the time it is judged.
    """
    rng = np.random.default_rng(18)
    n, half, judged = 12_000, 6_000, slice(9_000, 12_000)
    label = (rng.random(n) < 0.05).astype(np.int8)
    score = rng.normal(2.5 * label[:, None], 1.0, (n, N_FEATURES)) * [1.0, 0.01, 40.0, 1.0]
    wild = rng.normal(0.0, 1.0, half) * 10.0 ** rng.integers(-9, 30, half)
    for j in range(N_FEATURES):
        usual = score[half:, j]
        stuck = np.full(half, 2.0 * usual.max())
        for broken in (np.full(half, np.nan), stuck, rng.permutation(usual), wild, -usual):
            x = score.copy()
            x[half:, j] = broken
            model = make()
            model.learn(x[: judged.start], label[: judged.start])
            quality = roc_auc(label[judged], model.score(x[judged]))
            assert quality > 0.9, f"a broken member takes the AUC to {quality:.2f}"


LAWS: tuple[Callable[[Make], None], ...] = (
    scoring_changes_nothing,
    learning_changes_scores,
    what_does_not_teach_changes_nothing,
    batch_cuts_change_no_bit,
    save_and_load_lose_nothing,
    foreign_state_is_refused,
    the_same_start_gives_the_same_model,
    skipped_rows_do_not_exist,
    a_row_is_scored_before_it_teaches,
    missing_values_are_accepted,
    scores_are_finite_whatever_comes,
    high_means_anomalous,
    explanations_add_up,
    explanations_are_of_the_moment,
    what_is_odd_is_named,
    inputs_are_left_alone,
)

# Of an estimator of another library, which cannot say why: it gives no reasons instead of wrong ones.
FOREIGN_LAWS: tuple[Callable[[Make], None], ...] = (
    nothing_is_explained,
    *(law for law in LAWS if law not in (explanations_add_up, what_is_odd_is_named)),
)

# Of a model that is made of others, beside LAWS.
COMBINING_LAWS: tuple[Callable[[Make], None], ...] = (no_member_sinks_it,)

# Of a model that is fitted as a whole (`refit`); `make` gives one that has been fitted. It learns from no row; and
# trees that have told frauds by one input never look at another, so which one they blame is not for a law to say.
REFITTED_LAWS: tuple[Callable[[Make], None], ...] = (
    only_a_fit_changes_it,
    *(law for law in LAWS if law not in (learning_changes_scores, what_is_odd_is_named)),
)
