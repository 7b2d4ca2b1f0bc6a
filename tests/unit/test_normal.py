"""Reasons say how many times its customer's normal an input was, in words, and still add up to the score."""

import json

import pytest

from config.errors import ConfigError
from engine.core import Core
from engine.normal import rounded
from tests import factories
from tests.unit.test_carry import apply, configure, rule  # noqa: F401 - configure is a fixture

FEATURES = (
    "  n_1h: count() by account over 1h\n"
    "  usual: avg(amount) by account over 30d where amount < 5_000\n"
    "  usual_n: avg(n_1h) by account over 30d\n"
)
MODELS = """\
champion: fraud
baselines:
  amount: {feature: usual, en: own 30-day average, zh: 本人近30日均值}
  n_1h: {feature: usual_n}
models: {fraud: {kind: logistic, inputs: [amount, n_1h]}}
"""
ALARM = '      - alert: {queue: q, title: "{model.top_reasons}"}\n'


def paid(k, amount, **more):
    time = f"2026-03-{1 + k // 24:02d}T{k % 24:02d}:00:00Z"
    return factories.message(transaction_id=f"t{k}", event_time=time, amount=amount, **more)


@pytest.fixture
def core(configure):  # noqa: F811
    """A core that has learned that large amounts are fraud, and has an account that pays 100."""
    core = Core(configure(FEATURES, rule(when="amount > 1_000", actions=ALARM), models=MODELS))
    messages = []
    for k in range(120):
        is_fraud = k % 6 == 5
        messages.append(paid(k, "900.00" if is_fraud else "100.00", account=f"B{k % 6}"))
        label = factories.label(transaction_id=f"t{k}", account=f"B{k % 6}")
        messages.append(label | {"event_time": messages[-1]["event_time"],
                                 "label": "fraud" if is_fraud else "genuine"})  # fmt: skip
    apply(core, *messages, *(paid(120 + k, "100.00") for k in range(11)))
    return core


def test_alert_decision_and_parts_name_the_same_normal(core):
    """Eleven payments of 100 and one of 1,200: 1,200 is 6x the average of all twelve, its own among them."""
    outcome = apply(core, paid(131, "1200.00"))
    [decision] = map(json.loads, outcome.streams["decisions"].splitlines())
    [alert] = map(json.loads, outcome.streams["alerts"].splitlines())
    times = round(1200 / ((11 * 100 + 1200) / 12), 1)
    assert decision["normal"][0] == ["amount", "usual", times]
    assert alert["title"] == f"amount ({times:g}x own 30-day average)"
    parts = dict(decision["contributions"])
    assert parts.keys() == {"amount"}, "n_1h has been 1 always"
    seat = core.scoring._seats["fraud"].model
    raw = float(core.scoring.kept[0, 0])
    assert seat.bias + sum(parts.values()) == pytest.approx(raw, abs=1e-5)
    words = core.scoring.normal(0, ["amount"])[0][3]
    assert words == {"en": f"{times:g}x own 30-day average", "zh": f"本人近30日均值的{times:g}倍"}


def test_what_has_no_normal_yet_is_named_without_one(core):
    outcome = apply(core, paid(131, "6000.00", account="NEW"))
    [alert] = map(json.loads, outcome.streams["alerts"].splitlines())
    assert alert["title"] == "amount"
    assert b'"normal"' not in outcome.streams["decisions"]
    assert core.scoring.normal(0, ["amount", "n_1h", "other"])[0][:3] == ("n_1h", "usual_n", 1.0)


def test_a_quiet_decision_says_nothing_of_it(core):
    outcome = apply(core, paid(131, "100.00"))
    assert b"normal" not in outcome.streams["decisions"]


@pytest.mark.parametrize(
    ("baseline", "what"),
    [
        ("amount: {feature: n_1h}", "`amount` is money of EUR, and its baseline `n_1h` is number"),
        ("amount: {feature: usul}", "`usul` in `baselines` is no number field or feature"),
        ("amont: {feature: usual}", "`baselines` names `amont`, which no model reads"),
    ],
)
def test_a_baseline_that_means_nothing_is_refused(configure, baseline, what):  # noqa: F811
    models = f"champion: fraud\nbaselines: {{{baseline}}}\n"
    models += "models: {fraud: {kind: logistic, inputs: [amount]}}\n"
    with pytest.raises(ConfigError) as refused:
        Core(configure(FEATURES, rule(), models=models))
    assert refused.value.what == what


def test_times_are_rounded_as_people_read_them():
    assert [rounded(t) for t in (12.345, 1.26, 0.0333, 0.0)] == [12.0, 1.3, 0.03, 0.0]
