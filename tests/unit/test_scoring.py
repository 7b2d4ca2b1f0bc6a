"""Models connected: combinations learn from what their members said at decision time, reasons add up, roles hold."""

import itertools
import json

import numpy as np
import pytest

from config.errors import ConfigError
from engine.carry import carry
from engine.core import Core
from engine.scoring import STRETCH, spread
from models import registry
from models.protocol import LEARN, PEEK, SCORE, SKIP
from models.registry import Kind
from tests import factories
from tests.unit.test_carry import apply, configure, paid, rule  # noqa: F401 - configure is a fixture

DAY_US = 86_400_000_000


class Witness:
    """A combination that adds its members up, missing ones as 0, and keeps what it was taught."""

    supervised = True
    log_odds = True
    bias = 0.25

    def __init__(self, n, weight=1.0):
        self.n, self.weight = n, weight
        self.lessons = np.zeros((0, n + 1))

    def process(self, x, action, label, out, parts=None):
        for i in np.flatnonzero(action != SKIP):
            added = self.weight * np.nan_to_num(x[i])
            out[i] = self.bias + added.sum()
            if parts is not None and action[i] in (SCORE, PEEK):
                parts[i] = added
            if action[i] == LEARN:
                self.lessons = np.vstack([self.lessons, [*x[i], label[i]]])

    def save(self):
        return {"lessons": self.lessons.copy()}

    def load(self, arrays):
        self.lessons = arrays["lessons"].copy()


class Absent:
    """A base model that has never been fitted."""

    supervised = True
    log_odds = True
    bias = 0.0

    def __init__(self, n):
        pass

    def process(self, x, action, label, out, parts=None):
        pass

    def save(self):
        return {"none": np.zeros(0)}

    def load(self, arrays):
        pass


@pytest.fixture(autouse=True)
def kinds(monkeypatch):
    monkeypatch.setitem(registry.KINDS, "witness", Kind(Witness, {}, combines=True))
    monkeypatch.setitem(registry.KINDS, "absent", Kind(Absent, {}))


MODELS = """\
champion: {champion}
models:
  both: {{kind: witness, of: [linear, rare]}}
  linear: {{kind: logistic, inputs: [amount, n_1h]}}
  rare: {{kind: half_space_trees, inputs: [n_1h, duration], params: {{window: 20}}}}
  top: {{kind: witness, of: [both, linear]}}
"""
QUIET = rule(when="n_1h > 999")


def label(k, minute, verdict="fraud"):
    hour, minute = divmod(minute, 60)
    time = f"2026-03-02T{hour:02d}:{minute:02d}:00Z"
    return factories.label(transaction_id=f"t{k}", event_time=time, label=verdict)


def traffic(n=160, *, labels_after=7):
    """Payments of rising and falling size, each with a label some messages later."""
    rng = np.random.default_rng(1)
    messages = []
    for k in range(n):
        amount = f"{rng.gamma(2, 50) * (9 if k % 6 == 0 else 1):.2f}"
        messages.append(paid(k, k, amount=amount, account=f"A{k % 3}", duration=int(k % 11)))
        if k >= labels_after:
            j = k - labels_after
            verdict = "fraud" if j % 6 == 0 else "genuine"
            messages.append({**label(j, k, verdict), "account": f"A{j % 3}"})
    return messages


def run(setup, messages, cuts=()):
    """A core that has taken the messages in, cut at `cuts`; its outcomes."""
    core = Core(setup)
    edges = [0, *cuts, len(messages)]
    return core, [apply(core, *messages[a:b]) for a, b in itertools.pairwise(edges)]


def lessons(core, name="both"):
    return core.scoring.save()[f"model.{name}/lessons"]


def scored(outcomes):
    """Raw scores of each transaction by model, as decisions tell them."""
    told = {}
    for outcome in outcomes:
        for text in outcome.streams["decisions"].splitlines():
            decision = json.loads(text)
            told[decision["transaction_id"]] = decision["models"]
    return told


@pytest.mark.parametrize("cuts", [(), (1, 20, 21, 100), tuple(range(1, 300, 2))])
def test_a_combination_learns_from_what_its_members_said_at_decision_time(configure, cuts):  # noqa: F811
    """Whether the transaction stands in the same batch as its label or not; members have moved on meanwhile."""
    messages = traffic()
    cuts = [cut for cut in cuts if cut < len(messages)]
    core, outcomes = run(
        configure(models=MODELS.format(champion="top"), rules=QUIET), messages, cuts
    )
    told = scored(outcomes)
    labelled = [m["transaction_id"] for m in messages if m.get("kind") == "label"]
    found = lessons(core)
    assert len(found) == len(labelled) > 100
    for row, transaction_id in zip(found, labelled, strict=True):
        expected = [told[transaction_id][name] for name in ("linear", "rare")]
        np.testing.assert_allclose(row[:2], expected, rtol=1e-6, atol=1e-6)
    assert len(np.unique(found[:, 0])) > 50


def test_where_batches_are_cut_changes_no_bit_of_any_model(configure):  # noqa: F811
    setup = configure(models=MODELS.format(champion="top"), rules=QUIET)
    messages = traffic()
    whole, _ = run(setup, messages)
    cut, _ = run(setup, messages, [1, 2, 50, 51, 130, 200])
    saved = whole.save()
    assert {n: a.tobytes() for n, a in cut.save().items()} == {
        n: a.tobytes() for n, a in saved.items()
    }
    loaded = Core(setup)
    loaded.load(saved)
    assert {n: a.tobytes() for n, a in loaded.save().items()} == {
        n: a.tobytes() for n, a in saved.items()
    }


@pytest.mark.parametrize("cuts", [(), (5, 12)])
def test_what_is_assumed_genuine_is_learned_with_the_scores_of_decision_time(configure, cuts):  # noqa: F811
    models = MODELS.format(champion="top")
    setup = configure(
        models=models, rules=QUIET, settings="lateness: 0s\nassume_genuine_after: 1d\nremember: 9d"
    )
    messages = [paid(k, k, amount=f"{k + 1}.00") for k in range(8)]
    messages += [label(3, 9)]
    messages += [{**paid(20 + k, k), "event_time": f"2026-03-0{4 + k}T00:00:00Z"} for k in range(3)]
    core, outcomes = run(setup, messages, cuts)
    told, found = scored(outcomes), lessons(core)
    order = ["t3", *(f"t{k}" for k in range(8) if k != 3), "t20", "t21"]
    assert [row[2] for row in found] == [1.0] + [0.0] * 9
    single, _ = run(setup, messages, range(1, len(messages)))
    assert {n: a.tobytes() for n, a in core.save().items()} == {
        n: a.tobytes() for n, a in single.save().items()
    }
    for row, transaction_id in zip(found, order, strict=True):
        expected = [told[transaction_id][name] for name in ("linear", "rare")]
        np.testing.assert_allclose(row[:2], expected, rtol=1e-6, atol=1e-6)


def test_reasons_of_a_combination_add_up_to_its_raw_score(configure):  # noqa: F811
    """Through two layers: what inputs added to members, spread over what members added to the champion."""
    core, _ = run(configure(models=MODELS.format(champion="top"), rules=QUIET), traffic())
    probe = [
        paid(900 + k, 200 + k, amount=f"{10 ** (k % 4)}.00", duration=k % 30) for k in range(40)
    ]
    outcome = apply(core, *probe)
    raw = core.scoring.kept[:, core.scoring.names.index("top")]
    for row in range(outcome.batch.n):
        reasons = core.scoring.explain(row)
        assert {name for name, _ in reasons} <= {"amount", "n_1h", "duration"}
        total = Witness.bias + sum(part for _, part in reasons)
        assert abs(total - raw[row]) < 1e-5, (row, reasons)
    assert len({tuple(core.scoring.explain(row)) for row in range(40)}) > 20


@pytest.mark.parametrize("seed", range(30))
def test_what_a_member_adds_is_divided_without_remainder_and_without_blowing_up(seed):
    rng = np.random.default_rng(seed)
    own = rng.normal(0, 1, 6) * (rng.random(6) < 0.8)
    if seed % 3 == 0:
        own[0] = -own[1:].sum() + 1e-9  # they nearly cancel out
    part = float(rng.normal(0, 3))
    shared = spread(part, own, np.arange(6))
    assert abs(shared.sum() - part) < 1e-9
    assert np.abs(shared).max() <= 2 * STRETCH * abs(part) + 1e-9
    if (own >= 0).all() and own.any():
        np.testing.assert_allclose(shared, part * own / own.sum())


def test_a_member_that_says_nothing_of_its_inputs_has_them_share():
    np.testing.assert_allclose(spread(3.0, np.zeros(5), np.array([1, 4])), [0, 1.5, 0, 0, 1.5])


def test_frozen_models_score_and_move_nothing(configure):  # noqa: F811
    """Not even their calibration; what they say is what an engine says that learned up to then."""
    models = MODELS.format(champion="top")
    online, first = configure(models=models, rules=QUIET), traffic()
    still = configure(models=models, rules=QUIET, settings="lateness: 0s\nlearning: frozen")
    taught, _ = run(online, first)
    core, _ = carry(taught, still)
    before = {n: a.tobytes() for n, a in core.scoring.save().items()}
    more = [paid(900 + k, 300 + k, amount=f"{k}.00") for k in range(30)]
    outcome = apply(core, *more, *(label(900 + k, 340) for k in range(30)))
    assert {n: a.tobytes() for n, a in core.scoring.save().items()} == before
    assert np.isfinite(outcome.scores["champion"][:30]).all()
    twin, _ = run(online, first)
    said = apply(twin, *more[:1]).scores
    assert {n: v[0] for n, v in said.items()} == {n: v[0] for n, v in outcome.scores.items()}
    assert {n: a.tobytes() for n, a in twin.scoring.save().items()} != before


def test_a_challenger_is_calibrated_as_if_it_were_the_champion(configure):  # noqa: F811
    messages = traffic()
    as_champion, _ = run(configure(models=MODELS.format(champion="linear"), rules=QUIET), messages)
    as_challenger, _ = run(configure(models=MODELS.format(champion="both"), rules=QUIET), messages)
    mine, other = as_champion.scoring.save(), as_challenger.scoring.save()
    names = [name for name in mine if name.startswith("calibration.linear/")]
    assert names
    assert all(mine[name].tobytes() == other[name].tobytes() for name in names)
    assert mine["calibration.linear/seen"][0] > 100


def test_the_calibration_of_a_model_without_labels_learns_from_labels_too(configure):  # noqa: F811
    core, _ = run(configure(models=MODELS.format(champion="rare"), rules=QUIET), traffic())
    assert core.scoring.save()["calibration.rare/seen"][0] > 100


def test_a_model_without_a_score_is_missing_everywhere(configure):  # noqa: F811
    """In the record, for rules, for its calibration; and a combination goes on without it."""
    models = (
        "champion: {}\nmodels:\n  linear: {{kind: logistic, inputs: [amount]}}\n"
        "  never: {{kind: absent, inputs: [amount]}}\n  both: {{kind: witness, of: [linear, never]}}\n"
    )
    core, outcomes = run(configure(models=models.format("both"), rules=QUIET), traffic(40))
    told = scored(outcomes)
    assert {said["never"] for said in told.values()} == {None}
    assert all(np.isfinite(said["champion"]) for said in told.values())
    assert np.isnan(lessons(core)[:, 1]).all()
    assert core.scoring.save()["calibration.never/seen"][0] == 0
    core, outcomes = run(configure(models=models.format("never"), rules=QUIET), traffic(40))
    assert {said["champion"] for said in scored(outcomes).values()} == {None}
    saved = {n: a for n, a in core.scoring.save().items() if n.startswith("calibration")}
    assert all(np.isfinite(array).all() for array in saved.values())


def test_a_combination_goes_on_with_a_member_that_begins_anew_and_that_is_said(configure):  # noqa: F811
    """What the old member had said of remembered transactions is missing then."""
    models = MODELS.format(champion="top")
    core, _ = run(configure(models=models, rules=QUIET), traffic(20, labels_after=30))
    other = models.replace("inputs: [amount, n_1h]", "inputs: [amount]")
    core, carried = carry(core, configure(models=other, rules=QUIET))
    assert "model `both` goes on, though linear begins anew" in carried.notes
    apply(core, {**label(3, 50), "account": "A0"})
    [[linear, rare, verdict]] = lessons(core)
    assert np.isnan(linear)
    assert np.isfinite(rare)
    assert verdict == 1


def test_another_role_costs_a_model_nothing_it_has_learned(configure):  # noqa: F811
    models = MODELS.format(champion="both")
    core, _ = run(configure(models=models, rules=QUIET), traffic(30))
    before = core.scoring.save()
    shadow = models.replace(
        "kind: witness, of: [both, linear]", "kind: witness, of: [both], role: shadow"
    )
    shadow = shadow.replace("top", "above")
    core, carried = carry(core, configure(models=shadow, rules=QUIET))
    assert carried.models == {
        "both": "kept", "linear": "kept", "rare": "kept", "above": "new", "top": "gone",
    }  # fmt: skip
    now = core.scoring.save()
    assert "calibration.above/seen" not in now
    kept = [n for n in before if n.split(".")[1].split("/")[0] in ("both", "linear", "rare")]
    assert all(now[n].tobytes() == before[n].tobytes() for n in kept)


def test_a_live_rule_may_not_read_a_shadow(configure):  # noqa: F811
    models = (
        "champion: a\nmodels:\n  a: {kind: logistic, inputs: [amount]}\n"
        "  b: {kind: logistic, inputs: [amount], role: shadow}\n"
    )
    with pytest.raises(ConfigError) as refused:
        configure(models=models, rules=rule(when="model.b > 1"))
    assert refused.value.what == "the live rule FAST-001 reads model.b, and b is a shadow"
    assert "pack.yaml:" in refused.value.where
    configure(models=models, rules=rule(when="model.b > 1").replace("mode: live", "mode: shadow"))
    configure(models=models, rules=rule(when="model.a > 1"))


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("{kind: witness, inputs: [amount]}", "`witness` needs `of`, was given `inputs`"),
        ("{kind: logistic, of: [a]}", "`logistic` needs `inputs`, was given `of`"),
        ("{kind: logistic, inputs: [amount], refit: {}}", "`logistic` takes no `refit`"),
    ],
)
def test_a_kind_is_given_what_it_reads(configure, entry, what):  # noqa: F811
    models = f"champion: a\nmodels:\n  a: {{kind: logistic, inputs: [amount]}}\n  b: {entry}\n"
    with pytest.raises(ConfigError) as refused:
        Core(configure(models=models, rules=QUIET))
    assert refused.value.what == what
