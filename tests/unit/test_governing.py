"""Champions change by order of people and go back by themselves; models freeze; figures are what they say they are."""

import itertools
import json

import numpy as np
import pytest

from engine.carry import carry
from engine.clock import ManualClock
from engine.core import Core
from engine.governing import FOREVER
from engine.metrics import Metrics
from engine.setup import read_setup
from models.comparison import Comparison
from models.prequential import average_precision, roc_auc
from tests import factories
from tests.unit.test_carry import apply, configure, rule  # noqa: F401 - configure is a fixture

QUIET = rule(when="n_1h > 99999")
TWO = """\
champion: good
maturity: 1d
rollback: {within: 20d, frauds: 10, margin: 0.05}
models:
  good: {kind: logistic, inputs: [amount]}
  bad: {kind: logistic, inputs: [duration]}
  dark: {kind: logistic, inputs: [amount], role: shadow}
"""
SETTINGS = "lateness: 0s\n"
N_DAY = 60  # transactions a day


def at(day, minute=0):
    return f"2026-{3 + day // 28:02d}-{1 + day % 28:02d}T{minute // 60:02d}:{minute % 60:02d}:00Z"


def traffic(first, last, *, labels=True):
    """Days of payments: large ones are fraud, `duration` is noise; labels come half a day later."""
    rng = np.random.default_rng(first)
    messages = []
    for day in range(first, last):
        today = []
        for k in range(N_DAY):
            is_fraud = k % 5 == 0
            amount = f"{rng.gamma(2, 60) * (20 if is_fraud else 1) + 1:.2f}"
            id_, minute = f"t{day}.{k}", 10 * k
            fields = {"transaction_id": id_, "event_time": at(day, minute), "amount": amount}
            today.append((minute, factories.message(**fields, duration=int(rng.integers(1, 99)))))
            if labels:
                verdict = "fraud" if is_fraud else "genuine"
                label = factories.label(
                    transaction_id=id_, event_time=at(day, minute + 720), label=verdict
                )
                today.append((minute + 720, label))
        messages += [message for _, message in sorted(today, key=lambda each: each[0])]
    return messages


def order(command, model="", by="chief", **more):
    told = {"kind": "command", "command": command, "by": by, "reason": "tests", **more}
    return told | ({"model": model} if model else {})


def give(core, *args, **more):
    [answer] = apply(core, order(*args, **more)).answers.values()
    return answer


def alarms(outcome):
    found = [json.loads(line) for line in outcome.streams["alerts"].splitlines()]
    return [alarm for alarm in found if str(alarm.get("reason", "")).startswith("MODEL_")]


@pytest.fixture
def taught(configure):  # noqa: F811
    """A core of two models that have seen ten days, and one in the dark."""
    core = Core(configure(models=TWO, rules=QUIET, settings=SETTINGS))
    apply(core, *traffic(0, 10))
    return core


def test_a_promotion_counts_from_the_next_record_on(taught):
    """Within one batch: the record before is decided by the old champion, the one behind by the new."""
    a, b = traffic(10, 11, labels=False)[:2]
    outcome = apply(taught, a, order("promote", "bad"), b)
    [answer] = outcome.answers.values()
    assert (answer["ok"], answer["state"], answer["before"]) == (True, "champion", "good")
    first, second = (
        json.loads(line)["models"] for line in outcome.streams["decisions"].splitlines()
    )
    assert first.keys() == {"champion", "bad", "dark"}
    assert second.keys() == {"champion", "good", "dark"}
    assert (
        json.loads(outcome.streams["decisions"].splitlines()[1])["seq"] == answer["counts_from_seq"]
    )
    [alarm] = alarms(outcome)
    assert alarm["reason"] == "MODEL_PROMOTED"
    assert alarm["title"] == "bad is the champion in place of good, by chief: tests"
    assert taught.scoring.explain(0)[0][0] == "duration"


def test_a_promotion_that_does_worse_is_undone_with_the_numbers(taught):
    assert give(taught, "promote", "bad")["ok"]
    outcome = apply(taught, *traffic(10, 16))
    [alarm] = alarms(outcome)
    assert alarm["reason"] == "MODEL_ROLLED_BACK"
    numbers = alarm["numbers"]
    assert numbers["log_loss"] > 1.05 * numbers["log_loss_before"]
    assert numbers["frauds"] >= 10
    assert numbers["apart"] > 2 * numbers["error"] > 0
    assert taught.scoring.champion == "good"
    assert taught.governing.next_us == FOREVER
    last = json.loads(outcome.streams["decisions"].splitlines()[-1])
    assert last["models"].keys() == {"champion", "bad", "dark"}
    changes = taught.governing.facts("good")["changes"]
    assert [(c["model"], c["by"]) for c in changes] == [("bad", "chief"), ("good", "weir")]


def test_what_was_undone_is_the_same_bytes_after_it_was_loaded(taught, configure):  # noqa: F811
    """Else a run that was killed leaves a snapshot that is not the one derived."""
    assert give(taught, "promote", "bad")["ok"]
    assert alarms(apply(taught, *traffic(10, 16)))
    twin = Core(configure(models=TWO, rules=QUIET, settings=SETTINGS))
    saved = taught.governing.save()
    twin.governing.load(saved)
    again = twin.governing.save()
    assert again["state"].tobytes() == saved["state"].tobytes()


def test_the_numbers_of_a_trial_are_those_of_the_transactions_decided_since(configure):  # noqa: F811
    """Not those whose label comes after the promotion, though they were decided before."""
    models = TWO.replace("frauds: 10", "frauds: 1000")
    core = Core(configure(models=models, rules=QUIET, settings=SETTINGS))
    apply(core, *traffic(0, 10))
    messages = traffic(10, 14)
    apply(core, *messages[:40])  # of the first morning
    assert give(core, "promote", "bad")["ok"]
    apply(core, *messages[40:])
    found = core.governing.overview()["watched"]
    since = {m["transaction_id"] for m in messages[39:] if "amount" in m}  # one at that very time
    told = [m for m in messages if m.get("kind") == "label" and m["transaction_id"] in since]
    assert found["known"] == len(told)
    assert found["frauds"] == sum(m["label"] == "fraud" for m in told)


def test_a_good_promotion_stays_and_the_watch_ends(configure):  # noqa: F811
    models = TWO.replace("champion: good", "champion: bad")
    core = Core(configure(models=models, rules=QUIET, settings=SETTINGS))
    apply(core, *traffic(0, 10))
    assert give(core, "promote", "good")["ok"]
    outcome = apply(core, *traffic(10, 31))
    assert alarms(outcome) == []
    assert core.scoring.champion == "good"
    assert core.governing.next_us == FOREVER


@pytest.mark.parametrize("cuts", [(1,), (700, 701, 1300), tuple(range(3, 2000, 97))])
def test_where_batches_are_cut_changes_neither_outcome_nor_state(configure, cuts):  # noqa: F811
    setup = configure(models=TWO, rules=QUIET, settings=SETTINGS)
    messages = [*traffic(0, 9), order("freeze", "dark"), order("promote", "bad"), *traffic(9, 14)]
    whole, cut = Core(setup), Core(setup)
    once = apply(whole, *messages)
    edges = [0, *(c for c in cuts if c < len(messages)), len(messages)]
    parts = [apply(cut, *messages[a:b]) for a, b in itertools.pairwise(edges)]
    for stream in ("decisions", "alerts", "answers"):
        assert b"".join(p.streams[stream] for p in parts) == once.streams[stream]
    assert {alarm["reason"] for alarm in alarms(once)} == {
        "MODEL_FROZEN", "MODEL_PROMOTED", "MODEL_ROLLED_BACK",
    }  # fmt: skip
    saved = whole.save()
    assert {n: a.tobytes() for n, a in cut.save().items()} == {
        n: a.tobytes() for n, a in saved.items()
    }


def test_a_core_that_was_loaded_goes_on_with_the_promotion_and_its_watch(taught, configure):  # noqa: F811
    give(taught, "promote", "bad")
    give(taught, "freeze", "good")
    apply(taught, *traffic(10, 11))
    twin = Core(taught.setup)
    twin.load(taught.save())
    assert twin.scoring.champion == "bad"
    assert twin.scoring.frozen == {"good"}
    a, b = apply(taught, *traffic(11, 16)), apply(twin, *traffic(11, 16))
    assert a.streams["alerts"] == b.streams["alerts"] != b""
    assert a.streams["decisions"] == b.streams["decisions"]


def test_a_frozen_model_learns_nothing_until_it_is_told_to(taught):
    assert give(taught, "freeze", "good")["state"] == "frozen"
    before = taught.scoring.save()
    apply(taught, *traffic(10, 12))
    now = taught.scoring.save()
    still = {n for n in before if before[n].tobytes() == now[n].tobytes()}
    assert {n for n in before if ".good/" in n} <= still
    assert not {n for n in before if n.startswith("model.bad/")} <= still
    assert give(taught, "unfreeze", "good")["state"] == "learning"
    apply(taught, *traffic(12, 13))
    assert (
        taught.scoring.save()["model.good/weight"].tobytes() != now["model.good/weight"].tobytes()
    )


@pytest.mark.parametrize(
    ("command", "model", "what"),
    [
        ("promote", "good", "`good` is the champion already"),
        ("promote", "dark", "`dark` is a shadow"),
        ("promote", "goood", "there is no model `goood`"),
        ("promote", "", "there is no model ``"),
        ("unfreeze", "good", "`good` is not frozen"),
        ("models", "godo", "there is no model `godo`"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(taught, command, model, what):
    before = taught.governing.save()
    answer = give(taught, command, model)
    assert (answer["ok"], answer["what"]) == (False, what)
    assert {n: a.tobytes() for n, a in taught.governing.save().items()} == {
        n: a.tobytes() for n, a in before.items()
    }


def test_a_model_of_which_nothing_is_known_may_not_decide(configure):  # noqa: F811
    core = Core(configure(models=TWO, rules=QUIET, settings=SETTINGS))
    assert "no event" in give(core, "promote", "bad")["what"]
    apply(core, *traffic(0, 1, labels=False)[:5])
    answer = give(core, "promote", "bad")
    assert answer["what"] == "`bad` is known by 0 matured transactions, 0 called fraud"
    assert core.scoring.champion == "good"


PEOPLE = """\
people:
  ana: {name: Ana, roles: [analyst]}
  sup: {name: Sup, roles: [supervisor]}
  boss: {name: Boss, roles: [supervisor]}
  aud: {name: Aud, roles: [auditor]}
"""


def test_where_approval_is_required_two_people_promote(configure):  # noqa: F811
    core = Core(configure(models=TWO, rules=QUIET, settings=SETTINGS + "approval: required\n"))
    apply(core, *traffic(0, 10))
    assert give(core, "promote", "bad", by="ana")["awaiting"] == "a second person"
    assert core.scoring.champion == "good"
    assert give(core, "promote", "bad", by=" ANA ")["awaiting"] == "a second person"
    assert core.scoring.champion == "good"
    assert give(core, "promote", "bad", by="sup")["state"] == "champion"
    [change] = core.governing.facts("bad")["changes"]
    assert (change["by"], change["approved_by"]) == ("ANA", "sup")


def test_an_agreement_must_come_within_a_day(configure):  # noqa: F811
    core = Core(configure(models=TWO, rules=QUIET, settings=SETTINGS + "approval: required\n"))
    apply(core, *traffic(0, 10))
    give(core, "promote", "bad", by="ana")
    apply(core, *traffic(11, 13))
    assert give(core, "promote", "bad", by="sup")["awaiting"] == "a second person"
    assert core.scoring.champion == "good"


def test_only_people_with_the_role_may(configure):  # noqa: F811
    """Supervisors agree, analysts ask; an auditor orders nothing, but may look."""
    setup = configure(models=TWO, rules=QUIET, settings=SETTINGS + "approval: required\n")
    folder = setup.configuration.folder
    (folder / "people.yaml").write_text(PEOPLE)
    core = Core(read_setup(folder))
    apply(core, *traffic(0, 10))
    assert "may not promote" in give(core, "promote", "bad", by="aud")["what"]
    assert give(core, "promote", "bad", by="boss")["ok"]
    assert "may not approve promotion" in give(core, "promote", "bad", by="ana")["what"]
    assert give(core, "promote", "bad", by="sup")["state"] == "champion"
    assert "may not freeze" in give(core, "freeze", "bad", by="aud")["what"]
    assert give(core, "models", by="aud")["champion"] == "bad"
    assert give(core, "models", by="nobody")["ok"]


def test_a_reload_keeps_the_promoted_champion_unless_the_file_names_another(taught, configure):  # noqa: F811
    give(taught, "promote", "bad")
    same = configure(models=TWO, rules=rule(when="n_1h > 88888"), settings=SETTINGS)
    core, carried = carry(taught, same)
    assert core.scoring.champion == "bad"
    assert "the champion stays `bad`, which was promoted" in carried.notes
    assert core.governing.next_us < FOREVER
    [alarm] = alarms(apply(core, *traffic(10, 16)))
    assert alarm["reason"] == "MODEL_ROLLED_BACK"


def test_a_reload_that_names_another_champion_has_it(taught, configure):  # noqa: F811
    give(taught, "promote", "bad")
    third = TWO.replace("champion: good", "champion: third")
    third += "  third: {kind: logistic, inputs: [amount]}\n"
    core, carried = carry(taught, configure(models=third, rules=QUIET, settings=SETTINGS))
    assert core.scoring.champion == "third"
    assert "the champion is `third`: its calibration begins anew" in carried.notes
    assert core.governing.next_us == FOREVER


def test_figures_are_those_of_the_scores_at_decision_time(taught):
    """AUC and average precision of a model, recomputed from what decisions had said of it (bins make ties)."""
    core = Core(taught.setup)
    messages = traffic(0, 10)
    outcome = apply(core, *messages)
    said = {d["transaction_id"]: d["models"]["champion"]
            for d in map(json.loads, outcome.streams["decisions"].splitlines())}  # fmt: skip
    labels = [m for m in messages if m.get("kind") == "label"]
    truth = np.array([m["label"] == "fraud" for m in labels])
    score = np.array([said[m["transaction_id"]] for m in labels])
    found = core.governing.facts("good")["figures"]
    assert (found["known"], found["frauds"]) == (len(labels), truth.sum())
    # the calibration has moved between decision and label, and bins are coarse: near, not equal
    assert abs(found["roc_auc"] - roc_auc(truth, score)) < 0.1
    assert abs(found["average_precision"] - average_precision(truth, score)) < 0.15
    assert found["log_loss"] < found["log_loss_of_the_share_alone"]


@pytest.mark.parametrize("seed", range(5))
def test_a_comparison_counts_what_a_naive_one_counts(seed):
    """AUC, average precision, log loss and precision at a share, over rows whose scores are bins apart or equal."""
    rng = np.random.default_rng(seed)
    z = rng.integers(-20, 20, 3_000) / 2 + 0.1
    label = (rng.random(3_000) < 1 / (1 + np.exp(-z / 3 + 1))).astype(np.int8)
    p = 1 / (1 + np.exp(-z))
    both = Comparison(2)
    said = np.column_stack([p, np.full(3_000, np.nan)])
    both.observe(said, label, np.zeros(3_000, np.int64), np.zeros(3_000, np.bool_))
    found = both.figures(0)
    assert both.figures(1).known == 0
    assert found.roc_auc == pytest.approx(roc_auc(label, p))
    assert found.average_precision == pytest.approx(average_precision(label, p))
    naive = -np.where(label == 1, np.log(p), np.log(1 - p)).mean()
    assert found.log_loss == pytest.approx(naive, abs=1e-6)
    top = np.sort(p)[-30]
    tied = label[p == top].mean()
    expected = (label[p > top].sum() + (30 - (p > top).sum()) * tied) / 30
    assert found.precision == pytest.approx(expected)
    assert sum(n for _, _, n, _ in found.calibration) == 3_000


def test_metrics_show_the_core_of_the_moment(taught):
    metrics, cores = Metrics(ManualClock()), [taught]
    metrics.show_models(lambda: cores[-1])
    give(taught, "freeze", "good")
    page = metrics.snapshot()
    assert page["weir_model_champion"] == {"bad": 0, "dark": 0, "good": 1}
    assert page["weir_model_frozen"] == {"bad": 0, "dark": 0, "good": 1}
    assert page["weir_model_known"] == {"bad": 600, "good": 600}
    assert page["weir_model_log_loss"]["good"] < page["weir_model_log_loss"]["bad"]
    assert page["weir_model_precision"]["good"] > 0.9
    assert page["weir_verdict_share"] == {"approved": 1.0}
    assert page["weir_verdict_share_by_age"]["1h"] == 0
    give(taught, "promote", "bad")
    assert metrics.snapshot()["weir_model_champion"]["bad"] == 1


def test_days_beyond_the_last_35_are_forgotten():
    both, day = Comparison(1), 86_400_000_000
    for k in range(50):
        both.observe(
            np.array([[0.5]]),
            np.array([k % 2], np.int8),
            np.array([k * day]),
            np.zeros(1, np.bool_),
        )
    assert both.figures(0).known == 35
    both.observe(
        np.array([[0.5]]), np.array([1], np.int8), np.array([100 * day]), np.zeros(1, np.bool_)
    )
    assert both.figures(0).known == 1


def test_shares_of_verdicts_are_told_by_age_and_by_answer(configure):  # noqa: F811
    """Of three days: all alerted ones labelled within an hour, one approved in four, after two days."""
    setup = configure(
        models=TWO,
        rules=rule(when="amount > 500", actions="      - decline: {code: R}\n"),
        settings=SETTINGS,
    )
    core, messages = Core(setup), []
    for day in range(3):
        for k in range(20):
            amount = "900.00" if k < 4 else "5.00"
            messages.append((at(day, k), factories.message(
                transaction_id=f"t{day}.{k}", event_time=at(day, k), amount=amount)))  # fmt: skip
            if k < 8:
                time = at(day, k + 30) if k < 4 else at(day + 2, k)
                verdict = "fraud" if k == 0 else "genuine"
                messages.append((time, factories.label(
                    transaction_id=f"t{day}.{k}", event_time=time, label=verdict)))  # fmt: skip
    messages.append((at(6), factories.message(transaction_id="end", event_time=at(6))))
    outcome = apply(core, *(m for _, m in sorted(messages, key=lambda each: each[0])))
    assert outcome.counts["verdicts"] == {"approved": 12, "declined": 12}
    ages = core.maturity.by_age(core.core_us)
    assert (ages["1h"], ages["1d"], ages["3d"]) == (0.2, 0.2, 0.4)
    assert ages["7d"] is None
    found = core.maturity.by_answer(core.core_us)
    assert found["declined"] == {
        "decided": 12, "labelled": 12, "share_labelled": 1.0, "share_at_maturity": 1.0, "share_fraud": 0.25,
    }  # fmt: skip
    assert (found["approved"]["share_labelled"], found["approved"]["share_at_maturity"]) == (
        0.25,
        0.0,
    )
    assert found["held"]["share_labelled"] is None


def test_shares_of_verdicts_depend_on_no_batch(configure):  # noqa: F811
    """A first verdict counts with what it said, also where a second one comes in the same batch; and on its day."""
    setup = configure(models=TWO, rules=QUIET, settings=SETTINGS)
    first = {"transaction_id": "t", "event_time": at(0)}
    messages = [factories.message(**first)]
    for minute, verdict in enumerate(("fraud", "genuine"), 1):
        messages.append(factories.label(**first | {"event_time": at(0, minute), "label": verdict}))
    later = {"transaction_id": "u", "event_time": at(64)}  # its day takes the place of the first
    messages += [
        factories.message(**later),
        factories.label(**later | {"event_time": at(64, 1), "label": "genuine"}),
    ]
    together, one_by_one = Core(setup), Core(setup)
    apply(together, *messages[:3])
    for message in messages[:3]:
        apply(one_by_one, message)
    saved, alone = together.maturity.save(), one_by_one.maturity.save()
    assert int(saved["fraud"].sum()) == 1
    for name, array in saved.items():
        np.testing.assert_array_equal(array, alone[name], err_msg=name)
    apply(together, *messages[3:])
    for message in messages[3:]:
        apply(one_by_one, message)
    for name, array in together.maturity.save().items():
        np.testing.assert_array_equal(array, one_by_one.maturity.save()[name], err_msg=name)
