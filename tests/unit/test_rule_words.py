"""A rule in plain words: each construct of the language as an English sentence part, and the whole answer word for word."""

import json
import re

import pytest

from config import schema
from config.errors import ConfigError
from config.rates import read as read_rates
from config.settings import BANK
from engine.cli import main
from engine.setup import read_setup
from engine.windows.explain import Explainer
from replay.workbench import plainly
from rules import pack
from rules.words import Words

HEAD = """
pack: small
version: 1.0.0
language: 1
currency: CNY
timezone: Asia/Shanghai
retention: 400d
decision: {combine: sum, bands: [{from: 0, to: 1000, do: approve}]}
reasons: {R: Somebody empties an account}
lists:
  kiosks: {type: id, of: device, values: [D1]}
tables:
  limit: {key: channel, values: {web: 500 CNY}, default: 900 CNY}
macros:
  sent: direction == "out" and type in ["payment", "transfer"]
features:
  paid_1h:  count() of transaction by account over 1h where sent
  payees_2d: count_distinct(payee) of transaction by account over 2d where direction == "out" and channel in ["web", "mobile"] and status != "declined"
  paid_48h: sum(amount) of transaction by account over 48h where sent prior
  usual:    quantile(amount, 95%) by card over 60d until 1d ago
  seen:     time_since_first() by customer, device over all
  today:    count() by terminal over calendar day
  newest:   last(lat) by card over last 20 events
  faded:    decayed_sum(amount, 7d) by account
  victims:  count_distinct(card) of label by merchant over 30d where label == "fraud"
  odd:      paid_1h > 3 and seen < 1d
  share_out: paid_48h / (balance_before + paid_48h)
rules:
  - id: A-1
    name: a
    version: 3
    owner: o
    severity: high
    reason: R
    on: [payment, card_auth]
    mode: live
    purpose: So that nobody empties an account.
    effective: {from: 2026-02-01, until: 2026-08-01T12:00:00Z}
    rollout: 25% by account
    params: {many: {value: 5, why: four may be chance}, floor: 200.50 CNY}
    when: |
      CONDITION
    score: 450
    if_undecided: {score: 100, do: review}
    actions:
      - alert: {queue: q, title: "{paid_1h} payments"}
      - challenge: {method: push, for: 10m}
      - hold: {for: 24h, then: release, max_per_hour: 9}
      - decline: {code: 57}
      - restrict: {entity: account, level: limit, amount: 500 CNY, channels: [web, mobile], for: 12h, max_per_hour: 4}
      - freeze: {scope: card, for: 24h, max_per_hour: 30}
      - notify: {template: t, to: customer}
      - list_add: {list: kiosks, value: device, for: 30d, max_per_hour: 2}
      - tag: drained
      - report: {kind: large, to: desk, title: x, by: customer, due: 5 working days}
    dedup: {by: account, for: 90m}
    exceptions:
      - {id: EX-1, when: device in @kiosks, why: kiosks stand in branches, approved_by: j.b, expires: 2027-12-31}
    tests:
      - name: one and another
        start: 2026-03-02
        defaults: {type: payment, account: A1, payee: P1, direction: out, device: D7}
        events:
          - {at: +0m, amount: [1, 2, 3], every: 1m}
          - {at: +9m, amount: 900 CNY, expect: fires}
"""


def read(tmp_path, condition):
    (tmp_path / "pack.yaml").write_text(HEAD.replace("CONDITION", condition), encoding="utf-8")
    columns = schema.read(BANK / "schema.yaml")
    found = pack.load([tmp_path], columns, read_rates(BANK / "rates.yaml"))
    errors = [f.message for f in found.findings if f.is_error]
    assert found.pack is not None, errors
    return found.pack


def phrase(tmp_path, condition):
    found = read(tmp_path, condition)
    words = Words(found.features, found.timezone, found.currency)
    return words.phrase(found.rules[0].when)


SAID = {
    "amount >= $floor": "the amount is at least 200.50 CNY",
    "amount < 12_000 CNY": "the amount is less than 12,000 CNY",
    "not (amount < 12 CNY)": "the amount is at least 12 CNY",
    "amount - 5 CNY > 2 * balance_before": "the amount minus 5 CNY is more than 2 times the balance before",
    'type == "payment"': "the event is payment",
    'channel != "web"': "the channel is not web",
    'channel in ["web", "mobile"]': "the channel is mobile or web",
    'channel not in ["web", "mobile"]': "the channel is neither mobile nor web",
    "device in @kiosks": "the device is on the list @kiosks",
    "device not in @kiosks": "the device is not on the list @kiosks",
    "device is missing": "the device is missing",
    "device is present": "the device is known",
    "usual is present": "usual is known",
    "amount between 5 CNY and 9 CNY": "the amount lies between 5 CNY and 9 CNY",
    "not (amount between 5 CNY and 9 CNY)": "the amount does not lie between 5 CNY and 9 CNY",
    "local_time(event_time) between 22:00 and 06:00": "the time of day of the time of the event lies between 22:00 and 06:00",
    'purpose contains "bit coin"': 'the purpose contains "bit coin"',
    'not (purpose starts with "X")': 'the purpose does not start with "X"',
    'customer.segment == "student"': "the customer's segment is student",
    "model.score > 90%": "the model's score is more than 0.9",
    "amount > limit[channel]": "the amount is more than what the table limit says for the channel",
    "amount > (balance_before ?? 0 CNY)": "the amount is more than the balance before (or 0 CNY where that is missing)",
    'convert(amount, "USD") > 100 USD': "the amount in USD is more than 100 USD",
    'age(customer.birth_date, "years") > 70': "the age of the customer's birth date in years is more than 70",
    "max(amount, balance_before) > 5 CNY": "the largest of the amount and the balance before is more than 5 CNY",
    "odd": "odd holds",
    "not odd": "odd does not hold",
    "paid_1h >= $many": "at least 5 transactions on this account in the last hour where the direction is out and the event "
    "is payment or transfer (paid_1h)",
    "not (paid_1h >= $many)": "fewer than 5 transactions on this account in the last hour where the direction is out and "
    "the event is payment or transfer (paid_1h)",
    "payees_2d == 2": "exactly 2 different payees in transactions on this account in the last 2 days of the kind told below "
    "(payees_2d)",
    "payees_2d != 2": "the number of different payees in transactions on this account in the last 2 days of the kind told "
    "below (payees_2d) is not 2",
    "paid_48h > 5 CNY": "the sum of the amount over transactions on this account in the last 2 days, this one left out, "
    "where the direction is out and the event is payment or transfer (paid_48h) is more than 5 CNY",
    "amount > usual": "the amount is more than what 95 % of the values of the amount stay at or below, over events on this "
    "card from 60 days ago to 1 day ago (usual)",
    "seen < 90m": "the time since the first of events of this customer and on this device ever (seen) is less than 1 hour "
    "30 minutes",
    "today > 3": "more than 3 events at this terminal since the local day began (today)",
    "newest > 3": "the lat of the newest of events on this card among the last 20 (newest) is more than 3",
    "faded > 3 CNY": "the fading sum of the amount over events on this account (each counts half after 7 days) (faded) is "
    "more than 3 CNY",
    "victims > 0": "more than 0 different cards in verdicts at this merchant in the last 30 days where the label is fraud "
    "(victims)",
    "share_out > 80%": "share_out is more than 0.8",
    "(if device is missing then amount > 5 CNY else amount > 9 CNY)": "(the amount is more than 5 CNY if the device is "
    "missing, else the amount is more than 9 CNY)",
}  # fmt: skip


@pytest.mark.parametrize("condition", SAID)
def test_a_condition_is_said_in_words(tmp_path, condition):
    said = phrase(tmp_path, condition)
    assert said.text == SAID[condition]
    assert not said.parts


def test_parts_are_numbered_as_they_bind(tmp_path):
    said = phrase(tmp_path, 'sent and (amount > 5 CNY or (device is missing and channel == "web"))')
    assert said.joins == "all"
    assert [part.text for part in said.parts[:2]] == [
        "the direction is out",
        "the event is payment or transfer",
    ]
    inner = said.parts[2]
    assert (inner.joins, inner.parts[1].joins) == ("any", "all")
    assert inner.text == (
        "the amount is more than 5 CNY or (the device is missing and the channel is web)"
    )


def test_the_contrary_of_all_is_any_of_the_contraries(tmp_path):
    said = phrase(tmp_path, 'not (amount > 5 CNY and channel == "web")')
    assert (said.joins, said.text) == (
        "any",
        "the amount is at most 5 CNY or the channel is not web",
    )


def test_some_of_several_are_counted(tmp_path):
    said = phrase(tmp_path, 'at_least(2, amount > 5 CNY, device is missing, channel == "web")')
    assert (said.joins, len(said.parts)) == ("at least 2", 3)


def test_a_feature_is_described_where_it_is_met_first(tmp_path):
    said = phrase(tmp_path, "amount > usual and amount > 2 * usual")
    assert "(usual)" in said.parts[0].text
    assert said.parts[1].text == "the amount is more than 2 times usual"


@pytest.fixture(scope="module")
def explainer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    condition = "paid_1h >= $many and (device is missing or payees_2d >= 3) and share_out > 80%"
    (folder / "pack.yaml").write_text(HEAD.replace("CONDITION", condition), encoding="utf-8")
    return Explainer(read_setup(BANK, pack_paths=[folder])), folder


def test_the_whole_answer_is_the_one_on_record(explainer, golden):
    explainer, folder = explainer
    told = plainly.document(explainer, explainer.setup.pack.rules[0])
    text = plainly.as_text(told).replace(str(folder), "PACK")
    text = re.sub(r"[0-9,]+ ns", "N ns", text)  # estimates, held by tests of their own
    golden("explain/A-1", text)


def test_the_document_names_everything_that_the_rule_reads(explainer):
    explainer, _ = explainer
    told = plainly.document(explainer, explainer.setup.pack.rules[0])
    assert told["reads"]["features"] == ["paid_1h", "payees_2d", "share_out"]
    assert set(told["features"]) == {"paid_1h", "payees_2d", "share_out", "paid_48h"}
    assert {"device", "account"} <= set(told["reads"]["fields"])
    assert told["reads"]["lists"] == ["@kiosks"]
    assert told["cost"]["ns"] > 0
    assert told["cost"]["features_ns"] > 0
    assert json.loads(json.dumps(told)) == told


def test_every_rule_of_the_shipped_packs_can_be_told(capsys):
    explainer = Explainer(read_setup(BANK))
    for rule in explainer.setup.pack.rules:
        text = plainly.as_text(plainly.document(explainer, rule))
        assert rule.name in text
        assert "==" not in text.split("Values that can be tuned")[0], rule.id
        assert max(map(len, text.splitlines())) <= 200


def test_the_command_tells_rules_and_features(capsys):
    assert main(["rules", "explain", "CARD-TEST-001"]) == 0
    text = capsys.readouterr().out
    assert "Fires on a card_auth when all of these hold" in text
    assert main(["rules", "explain", "CARD-TEST-001", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["rule"] == "CARD-TEST-001"
    assert main(["rules", "explain", "tiny_1h", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["feature"] == "tiny_1h"


def test_a_transaction_needs_a_folder(capsys):
    assert main(["rules", "explain", "CARD-TEST-001", "--event", "T1"]) == 2
    assert "--out OUT" in capsys.readouterr().err


def test_a_wrong_name_is_answered_with_the_nearest(explainer):
    explainer, _ = explainer
    with pytest.raises(ConfigError, match="no feature or rule `A-2`"):
        explainer.feature("A-2")


ON_TOP = """
pack: branch
version: 1.0.0
extends: small
overrides:
  - {rule: A-1, written_for: 3, set: {mode: shadow, params.floor: 300 CNY}, narrow: amount > 7 CNY}
suppressions:
  - {rule: A-1, entity: {card: C7}, until: 2027-04-01, why: known to travel, by: m.keller}
"""


def test_what_another_pack_set_is_told_with_its_place(tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "branch").mkdir()
    text = HEAD.replace("CONDITION", "amount > $floor")
    (tmp_path / "small" / "pack.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "branch" / "pack.yaml").write_text(ON_TOP, encoding="utf-8")
    explainer = Explainer(read_setup(BANK, pack_paths=[tmp_path / "branch"]))
    told = plainly.document(explainer, explainer.setup.pack.rules[0])
    assert [c["text"] for c in told["clauses"]] == [
        "the amount is more than 300 CNY",
        "the amount is more than 7 CNY",
    ]
    assert {o["part"]: (o["how"], o["pack"]) for o in told["origins"]} == {
        "mode": ("set", "branch"),
        "params.floor": ("set", "branch"),
        "when": ("narrow", "branch"),
    }
    text = plainly.as_text(told)
    assert "shadow: matches are counted and nothing is done" in text
    assert "Set by another pack" in text
    assert f"params.floor: set by branch ({tmp_path}/branch/pack.yaml:6" in text.replace(
        "\n    ", " "
    )
    assert "silenced for card C7 until 2027-04-01 by m.keller (pack branch)" in text
