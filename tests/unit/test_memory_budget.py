"""The memory budget: what is estimated before a start, what is measured while it runs, and what people are told."""

import itertools
import json
import shutil

import msgspec
import numpy as np
import pytest

from config.errors import ConfigError, StateError
from config.memory import Expected, size_bytes, size_text
from config.settings import BANK, Settings
from engine.cli import main
from engine.core import Core
from engine.memory import LOOK_EVERY, MemoryGuard
from engine.setup import read_setup
from engine.windows import budget
from engine.windows.usage import usages
from tests import banking, factories

PACK = """\
pack: small
version: 1.0.0
language: 1
currency: EUR
timezone: UTC
retention: 400d
decision:
  combine: sum
  bands: [{from: 0, to: 500, do: approve}, {from: 500, to: 1000, do: review}]
reasons: {BIG: A large amount}
features:
"""
FEATURES = {
    "paid_1h": "sum(amount) of transaction by account over 1h",
    "paid_20h": 'sum(amount) of transaction by account over 20h where type == "payment"',
    "shops_1d": 'count_distinct(merchant) of transaction by account over 1d where type == "card_auth"',
    "usual_12h": "quantile(amount, 95%) of transaction by account over 12h until 1h ago",
    "logins_2h": "count() of activity by customer over 2h",
    "frauds_1d": 'count() of label by account over 1d where label == "fraud"',
}  # fmt: skip
DAY_US = 86_400_000_000


def write(folder, features=None, settings=""):
    """A configuration with one small pack."""
    shutil.copytree(BANK, folder, ignore=shutil.ignore_patterns("packs"))
    pack = folder / "packs" / "small"
    pack.mkdir(parents=True)
    told = "".join(f"  {name}: {text}\n" for name, text in (features or FEATURES).items())
    (pack / "pack.yaml").write_text(PACK + told)
    (pack / "rules.yaml").write_text(
        "rules:\n  - id: BIG-001\n    name: Big\n    version: 1\n    owner: me\n    severity: low\n"
        "    reason: BIG\n    on: payment\n    mode: live\n    when: amount > 100 EUR\n    score: 10\n"
        '    actions: [{alert: {queue: q, title: "Big"}}]\n'
    )
    (folder / "models.yaml").write_text(
        "champion: fraud\nmodels:\n  fraud: {kind: logistic, inputs: [amount]}\n"
    )
    (folder / "weir.yaml").write_text(f"packs: [packs/small]\nrates: rates.yaml\n{settings}")
    return folder


def weighed(folder, expected, features=None):
    setup = read_setup(write(folder, features))
    settings = msgspec.structs.replace(setup.configuration.settings, expected=expected)
    return budget.weigh(setup.pack, setup.schema, settings, derived=setup.derived)


def per_day(**types):
    return Expected(accounts=1_000, events_per_day=types)


# ---------------------------------------------------------------- sizes


def test_a_size_is_a_number_with_a_unit():
    assert [size_bytes(t) for t in ("16 GB", "16GiB", "0.5 TB", "300 MB")] == [
        16 * 10**9, 16 << 30, 5 * 10**11, 300 * 10**6,
    ]  # fmt: skip
    for text in ("16", "16 G", "GB", "-1 GB", "16 gb", "1e3 GB"):
        with pytest.raises(ConfigError, match="is not a size"):
            size_bytes(text)
    assert size_text(15_960_000_000) == "16.0 GB".replace(".0", "")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("16", "`memory_budget` must be a size, was 16"),
        ("1 MB", "must be at least 300 MB, was 1 MB"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        Settings(memory_budget=given)


def test_a_key_nobody_counted_has_as_many_as_accounts_and_a_pair_ten_partners_each():
    expected = Expected(accounts=100, events_per_day=1, entities={"card": 150, "account, payee": 7})
    assert [expected.n_entities(k) for k in (["card"], ["device"], ["payee", "account"])] == [
        150, 100, 7,
    ]  # fmt: skip
    assert expected.n_entities(["card", "merchant"]) == 1_500


# ---------------------------------------------------------------- the estimate


def test_only_events_that_a_feature_can_see_are_counted(tmp_path):
    found = weighed(tmp_path / "c", per_day(payment=1_000, card_auth=500, login=2_000, label=10))
    kept = {plan.keys: found.estimate.kept[plan.name] for plan in found.plans}
    assert kept[("customer",)] == pytest.approx(2_000 * (2 / 24 + 1 / 96))
    assert kept[("account",)] == pytest.approx(1_510 * (1 + 1 / 96)), "no login is put in there"


def test_a_type_that_a_condition_rules_out_costs_nothing(tmp_path):
    expected = per_day(payment=1_000, card_auth=500)
    for n, (where, seen) in enumerate(
        {
            'type == "payment"': 1_000,
            'type != "payment"': 500,
            'type in ["card_auth", "fee"]': 500,
            'type == "payment" or amount > 5 EUR': 1_500,
            'type == "payment" and type == "card_auth"': 0,
            'not (type == "payment" or amount > 5 EUR)': 500,
            'channel == "online"': 1_500,
        }.items()
    ):
        one = {"f": f"count() of transaction by account over 1d where {where}"}
        found = weighed(tmp_path / str(n), expected, one)
        assert sum(found.estimate.kept.values()) == pytest.approx(seen * (1 + 1 / 96)), where


def test_shares_of_features_add_up_to_their_logs(tmp_path):
    found = weighed(tmp_path / "c", per_day(payment=1_000, card_auth=500, login=2_000, label=10))
    for plan in found.plans:
        shares = sum(found.estimate.features[spec.name] for spec in plan.specs)
        assert shares == pytest.approx(found.estimate.logs[plan.name])


def test_the_feature_that_keeps_events_longest_takes_most(tmp_path):
    features = {"short": "count() by account over 1d", "long": "count() by account over 300d"}
    found = weighed(tmp_path / "c", Expected(accounts=10, events_per_day=1_000), features)
    assert found.estimate.dearest == "long"
    shares = found.estimate.features
    assert shares["long"] > 100 * shares["short"]


def test_an_approximation_is_bounded_by_its_sample_however_many_events_come(tmp_path):
    """S values a layer, one layer more each time the events double; it stands in a log of its own."""
    features = {
        "exact": "count_distinct(merchant) of transaction by account over 30d",
        "rough": '{is: "count_distinct(merchant) of transaction by account over 30d", approx: 5%}',
    }
    few, many, more = (
        weighed(tmp_path / str(n), Expected(accounts=10, events_per_day=n), features)
        for n in (100, 100_000, 200_000)
    )
    assert few.estimate.features["rough"] == pytest.approx(few.estimate.features["exact"], rel=0.2)
    shares = many.estimate.features
    assert shares["rough"] < 0.05 * shares["exact"]
    (plan,) = [p for p in many.plans if p.sample]
    one_layer = plan.sample * 10  # of ten accounts
    grown = more.estimate.kept[plan.name] - many.estimate.kept[plan.name]
    assert grown == pytest.approx(one_layer)


def test_the_estimate_holds_for_a_stream_that_is_as_expected(tmp_path):
    """Three days of even traffic: each log uses about what was estimated."""
    folder, rng = write(tmp_path / "c"), np.random.default_rng(3)
    core, lines, n = Core(read_setup(folder)), [], 12_000
    for k in range(n):
        at_s = 1_772_000_000 + k * 3 * 86_400 // n
        kind = ("payment", "card_auth", "login")[k % 3]
        fields = {"event_time": at_s * 1_000, "customer": f"K{rng.integers(50)}", "type": kind}
        if kind == "login":
            fields |= {"kind": "activity", "activity_id": f"a{k}", "transaction_id": None}
            fields |= {"amount": None, "currency": None, "account": None}
        else:
            fields |= {"transaction_id": f"t{k}", "account": f"A{rng.integers(100)}"}
            fields |= {"merchant": f"M{k}", "amount": f"{rng.integers(1, 10**6) / 100:.2f}"}
        lines.append(factories.line(factories.message(**fields)))
    for low in range(0, n, 1_000):
        outcome = core.apply(lines[low : low + 1_000], ["x"] * 1_000)
        assert not outcome.batch.dead
    expected = Expected(
        accounts=100,
        events_per_day={"payment": 1_334, "card_auth": 1_333, "login": 1_333, "label": 0},
        entities={"customer": 50},
    )
    settings = msgspec.structs.replace(core_settings(folder), expected=expected)
    setup = read_setup(folder)
    found = budget.weigh(setup.pack, setup.schema, settings, derived=setup.derived)
    used = {name.split(".")[0]: u.used_bytes for name, u in usages(core.windows).items()}
    estimated = {name.split(".")[0]: b for name, b in found.estimate.logs.items()}
    assert used.keys() == estimated.keys()
    for name, n_bytes in used.items():
        assert 0.8 * estimated[name] < n_bytes < 1.4 * estimated[name], name


def core_settings(folder):
    return read_setup(folder).configuration.settings


# ---------------------------------------------------------------- refusing


def test_packs_beyond_the_budget_are_refused_with_the_feature_the_numbers_and_what_to_change(
    tmp_path, golden
):
    says = (
        "memory_budget: 1 GB\n"
        "expected: {accounts: 1000000, events_per_day: {payment: 2000000, login: 500000}}\n"
    )
    with pytest.raises(ConfigError) as refused:
        budget.refuse(read_setup(write(tmp_path / "c", settings=says)))
    golden("budget/refused", str(refused.value).replace(str(tmp_path), "TMP") + "\n")
    enough = says.replace("1 GB", "2 TB")
    budget.refuse(read_setup(write(tmp_path / "d", settings=enough)))
    budget.refuse(read_setup(write(tmp_path / "e", settings="memory_budget: 1 GB\n")))


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (
            "{accounts: 5, events_per_day: {paymnet: 7}}",
            "the event type `paymnet`.*\n.*\n.*`payment`",
        ),
        (
            "{accounts: 5, events_per_day: 5, entities: {acount: 7}}",
            "the key `acount`.*\n.*\n.*`account`",
        ),
    ],
)
def test_types_and_keys_that_do_not_exist_are_refused(tmp_path, expected, said):
    settings = f"memory_budget: 1 GB\nexpected: {expected}\n"
    with pytest.raises(ConfigError, match=said):
        budget.refuse(read_setup(write(tmp_path / "c", settings=settings)))


def test_a_count_below_zero_is_refused():
    with pytest.raises(ConfigError, match="accounts must lie in"):
        Expected(accounts=-1, events_per_day=5)


# ---------------------------------------------------------------- while it runs


class Stop:
    is_set = False


def guarded(held, limit=1_000_000_000):
    """A guard of a core whose process holds `held` bytes, one number after the other."""
    core = Core(read_setup(BANK))
    said, stop, numbers = [], Stop(), iter(held)
    guard = MemoryGuard(core, limit, stop, resident=lambda: next(numbers), say=said.append)
    for _ in held:
        core.seq += LOOK_EVERY
        guard(None)
    return guard, said, stop


def test_at_80_percent_there_is_one_warning_that_names_log_and_feature_until_it_was_calm_again():
    guard, said, stop = guarded([700e6, 800e6, 900e6, 790e6, 999e6])
    assert (guard.warnings, len(said), stop.is_set) == (1, 1, False)
    assert said[0].startswith(
        "warning: 800 MB of memory in use, 80% of `memory_budget` 1 GB; at 100 % the engine stops in order."
    )
    assert "kept because of feature `" in said[0]
    guard, _, _ = guarded([800e6, 600e6, 800e6])
    assert guard.warnings == 2
    guard.check()


def test_beyond_the_budget_the_run_is_asked_to_stop_and_the_error_says_why():
    guard, said, stop = guarded([100e6, 1_100e6, 100e6])
    assert stop.is_set
    assert said == []
    with pytest.raises(StateError) as over:
        guard.check()
    text = str(over.value)
    assert text.startswith(f"1.10 GB of memory in use at seq {3 * LOOK_EVERY}")
    assert "`memory_budget` is 1 GB: stopped in order, the snapshot is written" in text
    assert "Windows use" in text
    assert "nothing is cut in silence" in text


def test_without_a_budget_nobody_looks():
    core = Core(read_setup(BANK))
    guard = MemoryGuard(core, None, resident=lambda: pytest.fail("looked"))
    core.seq += 10 * LOOK_EVERY
    guard(None)
    guard.check()


def test_a_run_that_was_stopped_by_the_budget_goes_on_as_if_it_never_had_been(
    tmp_path, monkeypatch, capsys
):
    """Stopped in order with a snapshot and exit status 2; with a larger budget the outcomes are those of a calm run."""
    config = tmp_path / "bank"
    shutil.copytree(BANK, config)
    settings = (config / "weir.yaml").read_text()
    (config / "weir.yaml").write_text(settings + "\nmemory_budget: 1 GB\n")
    day = tmp_path / "day.ndjson"
    day.write_bytes(b"\n".join(banking.traffic(tmp_path, 3, accounts=150, days=3)) + b"\n")
    command = ["replay", str(day), "--config", str(config), "--batch-rows", "500"]
    monkeypatch.setattr("engine.memory.resident_bytes", lambda: 10**8)  # tests before it held more
    assert main([*command, "--out", str(tmp_path / "calm")]) == 0
    capsys.readouterr()
    held = itertools.chain([9e8], itertools.repeat(2e9))
    monkeypatch.setattr("engine.memory.resident_bytes", lambda: int(next(held)))
    out = tmp_path / "out"
    assert main([*command, "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "warning: 900 MB of memory in use, 90% of `memory_budget` 1 GB" in said
    assert "error: 2 GB of memory in use at seq" in said
    summary = json.loads((out / "summary.json").read_text())
    assert summary["stopped"] == "by the memory budget, before the end of the input"
    assert any((out / "snapshots").iterdir())
    monkeypatch.setattr("engine.memory.resident_bytes", lambda: 10**8)
    assert main([*command, "--out", str(out), "--resume"]) == 0
    for name in ("decisions", "alerts", "commands", "duplicates", "dead_letters"):
        file = f"{name}.ndjson"
        assert (out / file).read_bytes() == (tmp_path / "calm" / file).read_bytes(), name
