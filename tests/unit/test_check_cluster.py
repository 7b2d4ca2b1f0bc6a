"""`weir rules check --cluster`: what a partition sees a part of, and who reads it."""

import pytest

from engine.cli import main
from rules import pack
from rules.check import cluster
from rules.check.examples import HEAD, rule
from rules.locality import Locality, partial_keys
from tests.linting import ANOTHER, found, write

FEATURES = """features:
  mine: count() by account over 1h
  cards: count() by card over 1h
  customers: count() by customer over 1h
  device_n: count() by device over 1h
  both: count() by account, device over 1h
  share: mine / device_n
  when_busy: count() by account over 1h where device_n > 3
  unread: count() by merchant over 1h
"""
EXACT = {"mine", "cards", "both"}
RULE = "features: {own: count() by terminal over 1h}\nwhen: WHAT\n"


def packs(tmp_path, when="mine > 3", more=""):
    files = {"p/pack.yaml": HEAD, "p/features.yaml": FEATURES}
    return write(tmp_path, files | {"p/rules.yaml": rule(RULE.replace("WHAT", when) + more)})


def check(tmp_path, when="mine > 3", more="", *, key="account", local=(), models=None):
    further = lambda view: cluster.check(view, key=key, more=local, models=models or {})  # noqa: E731
    findings = found(packs(tmp_path, when, more), further=further)
    return [f for f in findings if f.code.startswith("WR6")]


def named(findings, code):
    return {f.message.split()[1] for f in findings if f.code == code}


def test_features_by_other_keys_are_partial_and_so_is_what_reads_them(tmp_path):
    findings = check(tmp_path)
    partial = {"customers", "device_n", "share", "when_busy", "unread", "own"}
    assert named(findings, "WR601") == partial
    assert not named(findings, "WR602")


def test_by_customer_all_is_exact_that_a_customer_has(tmp_path):
    findings = check(tmp_path, key="customer")
    assert named(findings, "WR601") == {"device_n", "share", "when_busy", "unread", "own"}


def test_a_field_that_never_stands_in_two_partitions_can_be_named(tmp_path):
    assert "unread" not in named(check(tmp_path, local=("merchant",)), "WR601")


@pytest.mark.parametrize("when", ["device_n > 3", "mine > 2 and share > 0.5", "own > 1"])
def test_a_rule_that_reads_one_is_named(tmp_path, when):
    [finding] = [f for f in check(tmp_path, when) if f.code == "WR602"]
    assert finding.message.startswith("rule R-1 reads ")


def test_a_feature_says_who_reads_it(tmp_path):
    findings = check(tmp_path, "device_n > 3", models={"m": ["unread", "mine"]})
    said = {f.message.split()[1]: f.message for f in findings if f.code == "WR601"}
    assert said["device_n"].endswith("read by R-1")
    assert said["unread"].endswith("read by model m")


def test_actions_that_end_at_the_border_are_named(tmp_path):
    action = "restrict: {entity: device, level: no_debit, for: 24h, max_per_hour: 5}"
    findings = check(tmp_path, more=f"actions: [{{{action}}}]\n")
    [finding] = [f for f in findings if f.code == "WR603"]
    assert "restricts a device" in finding.message
    own = action.replace("entity: device", "entity: account")
    assert not named(check(tmp_path, more=f"actions: [{{{own}}}]\n"), "WR603")


def test_the_keys_of_a_pack_are_those_that_something_reads(tmp_path):
    loaded = pack.load(packs(tmp_path, "mine > 3 and share > 0.5"), ANOTHER)
    locality = Locality(loaded.pack.features)
    assert partial_keys(loaded.pack, locality, []) == ("device",)
    assert partial_keys(loaded.pack, locality, ["unread", "amount"]) == ("device", "merchant")
    loaded = pack.load(packs(tmp_path, "mine > 3"), ANOTHER)
    assert partial_keys(loaded.pack, Locality(loaded.pack.features), sorted(EXACT)) == ()


def test_it_is_looked_for_where_somebody_asks(tmp_path, capsys):
    [folder] = packs(tmp_path, "device_n > 3")
    assert main(["rules", "check", str(folder)]) == 0
    assert "WR60" not in capsys.readouterr().out
    assert main(["rules", "check", str(folder), "--cluster", "--strict"]) == 1
    assert "WR602" in capsys.readouterr().out


def test_one_can_be_allowed_with_a_reason_and_nobody_misses_it_elsewhere(tmp_path, capsys):
    text = FEATURES.replace(
        "  unread:", "  # weir rules: allow WR601 - merchants are ours\n  unread:"
    )
    [folder] = packs(tmp_path)
    (folder / "features.yaml").write_text(text)
    main(["rules", "check", str(folder), "--cluster"])
    said = capsys.readouterr().out
    assert "feature unread" not in said.replace("feature unread is used by no rule", "")
    assert "WR010" not in said
    main(["rules", "check", str(folder)])
    assert "WR010" not in capsys.readouterr().out
