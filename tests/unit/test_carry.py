"""Going over to another configuration: what is kept, what begins anew, what is refused."""

import dataclasses
import json

import pytest

from config.errors import StateError
from config.settings import BANK
from engine.backfill import Missing, ask, fill, splice
from engine.carry import CHANGED, GONE, KEPT, NEW, carry
from engine.core import Core
from engine.ports import Messages, Recorded
from engine.setup import read_setup
from engine.windows.shape import LogShape, Slot, fits
from tests import factories

HEAD = """\
pack: small
version: 1.0.0
language: 1
currency: {currency}
timezone: UTC
retention: 400d
decision: {{combine: sum, bands: [{{from: 0, to: 1000, do: approve}}]}}
reasons:
  CARD_TESTING: Many small payments
features:
{features}
rules:
{rules}
"""
FREEZE = """\
  - id: {id}
    name: Too many
    version: 1
    owner: tests
    severity: high
    reason: CARD_TESTING
    on: payment
    mode: live
    when: {when}
    score: 100
    dedup: {{by: account, for: 1d}}
    actions:
{actions}
"""
ALERT = "      - alert: {queue: cards, title: Look at this}\n"
RESTRICT = "      - restrict: {entity: account, level: no_debit, for: 24h, max_per_hour: 1}\n"
COUNT = "  n_1h: count() by account over 1h\n"


ALONE = "champion: fraud\nmodels: {fraud: {kind: logistic, inputs: [amount]}}\n"
HOUR_US = 3_600_000_000


def rule(id_="FAST-001", when="n_1h > 1", actions=ALERT + RESTRICT):
    return FREEZE.format(id=id_, when=when, actions=actions)


@pytest.fixture
def configure(tmp_path):
    """Write a configuration and read it: features, rules and settings as text."""
    counter = iter(range(100))

    def make(
        features=COUNT, rules=None, *, currency="EUR", models=None, settings="", schema=("", "")
    ):
        folder = tmp_path / f"config{next(counter)}"
        (folder / "pack").mkdir(parents=True)
        (folder / "schema.yaml").write_text((BANK / "schema.yaml").read_text().replace(*schema))
        (folder / "models.yaml").write_text(
            models or "champion: fraud\nmodels: {fraud: {kind: logistic, inputs: [amount, n_1h]}}\n"
        )
        bare = "" if "decisions" in settings else "decisions: {evidence_score: 0}\n"
        (folder / "weir.yaml").write_text(f"packs: [pack]\n{bare}{settings or 'lateness: 0s'}\n")
        pack = HEAD.format(
            features=features, rules=rule() if rules is None else rules, currency=currency
        )
        (folder / "pack" / "pack.yaml").write_text(pack)
        return read_setup(folder)

    return make


def paid(k, minute, **more):
    hour, minute = divmod(minute, 60)
    return factories.message(
        transaction_id=f"t{k}", event_time=f"2026-03-02T{hour:02d}:{minute:02d}:00Z", **more
    )


def apply(core, *messages):
    lines = [factories.line(message) for message in messages]
    return core.apply(lines, ["x"] * len(lines))


def decisions(outcome):
    found = [json.loads(line) for line in outcome.streams["decisions"].splitlines()]
    for decision in found:
        decision["shadow"] = [said["rule"] for said in decision["shadow"]]
    return found


def frozen(configure):
    """A core in which a rule has opened a case on A1 and restricted it."""
    core = Core(configure())
    apply(core, paid(1, 0), paid(2, 1))
    return core


def test_what_a_rule_did_that_is_gone_stays_in_force_until_it_ends(configure):
    core, carried = carry(frozen(configure), configure(rules=rule("OTHER-001", "n_1h > 100")))
    assert carried.rules == {"FAST-001": GONE, "OTHER-001": NEW}
    assert carried.restrictions == 1
    (decided,) = decisions(apply(core, paid(3, 2)))
    assert (decided["decision"], decided["reasons"]) == ("hold", ["RESTRICTED"])
    later = paid(4, 0) | {"event_time": "2026-03-03T00:01:01Z"}
    outcome = apply(core, later)
    assert decisions(outcome)[0]["decision"] == "approve"
    assert b'"verb":"expired"' in outcome.streams["commands"]


def test_a_case_that_is_open_takes_further_matches_of_a_changed_rule(configure):
    core, carried = carry(frozen(configure), configure(rules=rule(when="n_1h > 1.5")))
    assert carried.rules == {"FAST-001": CHANGED}
    assert carried.features == {"n_1h": KEPT}
    outcome = apply(core, paid(3, 2))
    (alert,) = [json.loads(line) for line in outcome.streams["alerts"].splitlines()]
    assert (alert["kind"], alert["count"]) == ("update", 2)


@pytest.mark.parametrize("actions", [ALERT + RESTRICT, RESTRICT + ALERT])
def test_caps_and_restrictions_follow_their_action_to_another_place(configure, actions):
    """The one restriction of this hour is taken, and A1 is not restricted twice."""
    core, _ = carry(frozen(configure), configure(rules=rule(actions=actions)))
    outcome = apply(core, paid(3, 2), paid(4, 3, account="A2"), paid(5, 4, account="A2"))
    assert outcome.streams["commands"] == b""
    assert "CAP_REACHED" in decisions(outcome)[2]["reasons"]


def test_an_action_that_is_no_longer_there_holds_no_cap(configure):
    other = RESTRICT.replace("no_debit", "no_credit")
    core, _ = carry(frozen(configure), configure(rules=rule(actions=ALERT + other)))
    outcome = apply(core, paid(3, 2))
    assert outcome.streams["commands"].count(b'"level":"no_credit"') == 1


def test_rules_over_a_new_feature_run_in_shadow_until_it_has_its_history(configure):
    """Two hours after the record; the core that was saved meanwhile knows it too."""
    features = COUNT + "  n_2h: count() by account over 2h\n"
    after = configure(features, rule(when="n_2h > 1"))
    old = Core(configure())
    apply(old, paid(1, 0))
    core, carried = carry(old, after)
    assert carried.fresh == ("n_2h",)
    assert decisions(apply(core, paid(2, 1), paid(3, 2)))[1]["shadow"] == ["FAST-001"]
    other = Core(after)
    other.load(core.save())
    assert decisions(apply(other, paid(4, 119)))[0]["shadow"] == ["FAST-001"]
    assert decisions(apply(other, paid(5, 120)))[0]["fired"][0]["rule"] == "FAST-001"


def test_an_engine_that_has_seen_nothing_has_nothing_to_warm_up(configure):
    features = COUNT + "  n_2h: count() by account over 2h\n"
    core, carried = carry(Core(configure()), configure(features, rule(when="n_2h > 1")))
    assert carried.fresh == ("n_2h",)
    assert decisions(apply(core, paid(2, 1), paid(3, 2)))[1]["shadow"] == []


def test_a_longer_lateness_keeps_windows_and_warms_up_for_the_difference(configure):
    old = Core(configure())
    apply(old, paid(1, 0))
    core, carried = carry(old, configure(settings="lateness: 10m"))
    assert (carried.fresh, carried.empty_logs) == ((), ())
    outcome = apply(core, paid(2, 1), paid(3, 2), paid(4, 9), paid(5, 10))
    assert outcome.frame.column("n_1h").tolist() == [2.0, 3.0, 4.0, 5.0]
    assert [d["shadow"] for d in decisions(outcome)] == [["FAST-001"]] * 3 + [[]]


def test_texts_written_into_a_condition_belong_to_the_meaning_of_a_feature(configure):
    listed = '  n_1h: count() by account over 1h where counterparty in ["{}"]\n'
    core, carried = carry(Core(configure(listed.format("X"))), configure(listed.format("Y")))
    assert carried.features == {"n_1h": CHANGED}
    assert carried.rules == {"FAST-001": CHANGED}
    assert carry(core, configure(listed.format("Y")))[1].features == {"n_1h": KEPT}


def test_another_row_in_a_list_costs_nothing_its_history(configure):
    """What was counted was in the list when it happened; from the reload on the new rows count."""
    listed = (
        "  n_1h: count() by account over 1h where counterparty in @watch\n"
        "lists:\n  watch: {{values: [{}], type: id, of: account}}\n"
    )
    old = Core(configure(listed.format("X")))
    apply(old, *(paid(k, k, counterparty="XY"[k % 2]) for k in range(4)))
    core, carried = carry(old, configure(listed.format("Y, {value: Z, valid_until: 2026-03-01}")))
    assert (carried.features, carried.rules) == ({"n_1h": KEPT}, {"FAST-001": KEPT})
    assert (carried.models, carried.lists) == ({"fraud": KEPT}, {"watch": CHANGED})
    assert (carried.empty_logs, carried.fresh, carried.notes) == ((), (), ())
    seen = apply(core, paid(5, 5, counterparty="X"), paid(6, 6, counterparty="Y"))
    assert seen.frame.column("n_1h").tolist() == [2.0, 3.0]
    same = carry(core, configure(listed.format("{value: Z, valid_until: 2026-03-01}, Y")))[1]
    assert same.lists == {"watch": KEPT}


LOGISTIC = "champion: {champion}\nmodels:\n{models}"
FRAUD = "  fraud: {{kind: logistic, inputs: [{}]}}\n"


def test_models_keep_what_they_have_learned_where_they_are_the_same(configure):
    old = Core(configure())
    apply(old, paid(1, 0), factories.label(event_time="2026-03-02T00:00:01Z", transaction_id="t1"))
    learned = old.scoring.save()
    core, carried = carry(old, configure(rules=rule(when="n_1h > 7")))
    assert carried.models == {"fraud": KEPT}
    now = core.scoring.save()
    assert {n: a.tobytes() for n, a in now.items()} == {n: a.tobytes() for n, a in learned.items()}
    assert learned["model.fraud/seen"][0] == 1


def test_a_model_with_other_inputs_begins_anew_and_is_named(configure):
    models = LOGISTIC.format(champion="fraud", models=FRAUD.format("amount"))
    core, carried = carry(Core(configure()), configure(models=models))
    assert carried.models == {"fraud": CHANGED}
    assert "model `fraud` has other inputs or parameters and begins anew" in carried.notes
    assert core.scoring.save()["model.fraud/seen"][0] == 0


def test_another_estimator_begins_anew(configure):
    pytest.importorskip("sklearn")
    entry = "  fraud: {{kind: scikit_learn, class: {}, inputs: [amount]}}\n"
    was, now = (
        LOGISTIC.format(champion="fraud", models=entry.format(name))
        for name in ("linear_model.SGDClassifier", "naive_bayes.GaussianNB")
    )
    core, carried = carry(Core(configure(models=was)), configure(models=now))
    assert carried.models == {"fraud": CHANGED}
    other = Core(configure(models=now))
    other.scoring.load(core.scoring.save())


def test_a_model_goes_on_though_an_input_means_something_else_and_that_is_said(configure):
    features = "  n_1h: count() by account over 1h where amount > 1 EUR\n"
    _, carried = carry(Core(configure()), configure(features))
    assert carried.models == {"fraud": KEPT}
    assert carried.notes == ("model `fraud` goes on, though n_1h means something else",)


def test_repeats_and_labels_find_what_came_before(configure):
    old = Core(configure())
    apply(old, paid(1, 0))
    core, _ = carry(old, configure(rules=rule(when="n_1h > 7")))
    label = factories.label(event_time="2026-03-02T00:05:00Z", transaction_id="t1")
    outcome = apply(core, paid(1, 0), label)
    assert outcome.streams["duplicates"].count(b"\n") == 1
    assert core.scoring.save()["model.fraud/seen"][0] == 1
    assert json.loads(outcome.streams["duplicates"])["first_seq"] == 0


def test_the_record_takes_one_seq(configure):
    old = Core(configure())
    apply(old, paid(1, 0))
    core, _ = carry(old, configure())
    assert decisions(apply(core, paid(2, 1)))[0]["seq"] == 2


def test_another_currency_of_the_books_is_refused_and_leaves_the_engine_as_it_was(configure):
    old = frozen(configure)
    before = {n: a.tobytes() for n, a in old.save().items()}
    with pytest.raises(StateError, match="the packs are in USD, the running engine in EUR"):
        carry(old, configure(currency="USD", rules=rule()))
    assert {n: a.tobytes() for n, a in old.save().items()} == before


def test_the_field_of_an_entity_that_is_restricted_cannot_go(configure):
    """A card is restricted by hand, and the new schema knows no cards."""
    old = Core(configure())
    command = {
        "kind": "command", "command": "restrict", "entity": {"card": "C1"}, "level": "no_debit",
        "for": "1h", "by": "ann", "reason": "stolen",
    }  # fmt: skip
    assert apply(old, paid(1, 0), command).answers[1]["ok"]
    after = configure()
    columns = {name: c for name, c in after.schema.columns.items() if name != "card"}
    after = dataclasses.replace(after, schema=dataclasses.replace(after.schema, columns=columns))
    with pytest.raises(StateError, match="no field of the new schema names a card"):
        carry(old, after)


def test_a_key_that_nobody_kept_is_filled_in_for_labels_and_updates(configure):
    """The label of an earlier payment counts for its device, though devices were read by nobody then."""
    frauds = '  device_frauds: count() by device over 9d where label == "fraud"\n'
    messages = [paid(1, 0, device="D1"), paid(2, 1, device="D2")]
    lines = [factories.line(message) for message in messages]
    old = Core(configure())
    apply(old, *messages)
    after = configure(COUNT + frauds, rule(when="device_frauds > 0"))
    core, carried = carry(old, after)
    assert carried.missing.code
    answer = fill(ask(core, carried), after, [Recorded(0, Messages(lines, ["x", "x"]))])
    carried = splice(core, carried, answer)
    assert (carried.fresh, carried.missing, carried.filled_from) == ((), Missing(), 0)
    label = factories.label(event_time="2026-03-02T00:05:00Z", transaction_id="t1")
    apply(core, label)
    outcome = apply(core, paid(3, 6, device="D1"), paid(4, 7, device="D2"))
    assert outcome.frame.column("device_frauds").tolist() == [1.0, 0.0]


def test_texts_that_nobody_kept_are_filled_in_for_labels(configure):
    rents = (
        '  rents: count() by account over 9d where label == "fraud" and purpose contains "rent"\n'
    )
    message = paid(1, 0, purpose="rent for May")
    old = Core(configure())
    apply(old, message)
    after = configure(COUNT + rents, rule(when="rents > 0"))
    core, carried = carry(old, after)
    assert carried.missing.text == (0,)
    records = [Recorded(0, Messages([factories.line(message)], ["x"]))]
    splice(core, carried, fill(ask(core, carried), after, records))
    apply(core, factories.label(event_time="2026-03-02T00:05:00Z", transaction_id="t1"))
    assert apply(core, paid(2, 6)).frame.column("rents").tolist() == [1.0]


def test_an_attribute_that_the_schema_did_not_have_is_filled_in(configure):
    """A profile had set it before the schema knew it; one that both know stays."""
    profile = {"kind": "profile", "account": "A1", "product": "giro", "vip": True}
    old = Core(configure())
    apply(old, profile, paid(1, 0))
    known = ("    product: category\n", "    product: category\n    vip: flag\n")
    features = COUNT + "  vips: count() by account over 1h where account.vip\n"
    after = configure(features, rule(when='account.product == "giro"'), schema=known)
    core, carried = carry(old, after)
    assert carried.missing.attributes == ("account.vip",)
    lines = [factories.line(message) for message in (profile, paid(1, 0))]
    records = [Recorded(0, Messages(lines, ["x"] * 2))]
    splice(core, carried, fill(ask(core, carried), after, records))
    outcome = apply(core, paid(2, 1))
    assert outcome.frame.column("vips").tolist() == [2.0]
    assert decisions(outcome)[0]["fired"][0]["rule"] == "FAST-001"


def test_another_history_is_not_spliced_in(configure):
    """Under the new settings the second payment would have been a jump into the future."""
    messages = [paid(1, 0), paid(2, 60 * 20)]
    lines = [factories.line(message) for message in messages]
    old = Core(configure())
    apply(old, *messages)
    features = COUNT + "  n_2h: count() by account over 2h\n"
    after = configure(features, settings="lateness: 0s\njump_max: 1h")
    core, carried = carry(old, after)
    before = {n: a.tobytes() for n, a in core.save().items()}
    answer = fill(ask(core, carried), after, [Recorded(0, Messages(lines, ["x", "x"]))])
    with pytest.raises(StateError, match="other records would have counted as transactions"):
        splice(core, carried, answer)
    assert {n: a.tobytes() for n, a in core.save().items()} == before


def test_what_was_erased_from_the_journal_is_done_without(configure):
    """The second of three payments was erased since; the others are filled in, and it is remembered still."""
    messages = [paid(1, 0, device="D1"), paid(2, 1, device="D1"), paid(3, 2, device="D1")]
    lines = [factories.line(message) for message in messages]
    old = Core(configure())
    apply(old, *messages)
    after = configure(COUNT + "  used_1h: count() by device over 1h\n")
    core, carried = carry(old, after)
    told = Messages([lines[0], b"", lines[2]], ["x"] * 3)
    answer = fill(ask(core, carried), after, [Recorded(0, told, erased={1: b"leaf"})])
    assert splice(core, carried, answer).fresh == ()
    outcome = apply(core, paid(4, 3, device="D1"), messages[1])
    assert outcome.frame.column("used_1h").tolist()[0] == 3.0
    assert outcome.streams["duplicates"].count(b"\n") == 1


def test_a_journal_that_ends_too_early_is_refused(configure):
    old = Core(configure())
    apply(old, paid(1, 0), paid(2, 1))
    after = configure(COUNT + "  n_2h: count() by account over 2h\n")
    core, carried = carry(old, after)
    lines = [factories.line(paid(1, 0))]
    with pytest.raises(
        StateError, match="the journal leads to seq 1, the configuration record has 2"
    ):
        fill(ask(core, carried), after, [Recorded(0, Messages(lines, ["x"]))])


SPENT = "  spent_1h: sum(amount) by account over 1h where amount < 100 EUR\n"
LARGE = "  n_1h: count() by account over 1h where amount > 100 EUR\n"


def test_a_feature_that_comes_back_does_not_take_up_what_it_left_behind(configure):
    """A payment came while it was away."""
    core = Core(configure(LARGE + SPENT))
    apply(core, paid(1, 0))
    core, carried = carry(core, configure(LARGE))
    assert (carried.fresh, carried.features["spent_1h"]) == ((), GONE)
    apply(core, paid(2, 1))
    core, carried = carry(core, configure(LARGE + SPENT))
    assert carried.fresh == ("spent_1h",)
    assert apply(core, paid(3, 2)).frame.column("spent_1h").tolist() == [1250.0]


def test_nothing_enters_the_gap_that_a_feature_leaves(configure):
    """Small payments were kept for the feature that has gone, and for nothing else."""
    every = "  a_1h: count() by counterparty over 1h\n"  # its filter comes first, and lets all pass
    core = Core(configure(every + LARGE + SPENT))
    apply(core, paid(1, 0))
    core, _ = carry(core, configure(every + LARGE))
    log = core.windows[0].logs["account.0"]
    (held,) = log.events_of(0)[:, 0].tolist()
    apply(core, paid(2, 1), paid(3, 2, amount="500.00"))
    assert len(log.events_of(0)) == 2
    assert held in log.events_of(0)[:, 0].tolist()


def test_a_log_is_taken_over_only_if_all_its_places_are_the_same(configure):
    shapes = [
        Core(configure(features, rule(when="n_1h > 1"))).windows[0].shape[0]
        for features in (COUNT + SPENT, COUNT + SPENT.replace("100", "200"), COUNT)
    ]
    assert all(fits(shape, shape) for shape in shapes)
    assert not any(fits(a, b) for a in shapes for b in shapes if a is not b)
    slots = tuple(Slot(slot.meaning, gone=k == 1) for k, slot in enumerate(shapes[0].slots))
    with_gap = LogShape(shapes[0].name, slots)
    assert fits(with_gap, shapes[0])
    assert not fits(shapes[0], with_gap), "a gap is never filled again"


def test_a_feature_filled_from_a_snapshot_waits_for_the_features_that_it_reads(configure):
    """The snapshot is older than the one hour count that the new feature's condition reads."""
    messages = [paid(k, k) for k in range(9)]
    records = [
        Recorded(3, Messages([factories.line(m) for m in messages[3:6]], ["x"] * 3)),
        Recorded(6, Messages([], []), config=b"{}"),
        Recorded(7, Messages([factories.line(m) for m in messages[6:]], ["x"] * 3)),
    ]
    none = "  other: count() by card over 1h\n"
    first = configure(none, rule(when="other > 9"), models=ALONE)
    snapshot, core = Core(first), Core(first)
    apply(snapshot, *messages[:3])
    apply(core, *messages[:6])
    core, _ = carry(core, configure(none + COUNT, models=ALONE))
    apply(core, *messages[6:])
    busy = "  busy: count() by account over 5m where n_1h > 1\n"
    after = configure(none + COUNT + busy, models=ALONE)
    core, carried = carry(core, after)
    begin_us = snapshot.core_us
    carried = splice(core, carried, fill(ask(core, carried), after, records, snapshot))
    assert carried.filled_from == 3
    assert core.warming.since_us["busy"] == begin_us + HOUR_US


def test_the_evidence_names_what_is_not_as_it_was(configure):
    features = "  fast: count() by account over 1h\n  n_2h: count() by account over 2h\n"
    models = LOGISTIC.format(champion="fraud", models=FRAUD.format("amount"))
    _, carried = carry(Core(configure()), configure(features, rule(when="fast > 1"), models=models))
    told = carried.evidence()
    assert told["features"] == {"kept": 0, "new": ["fast", "n_2h"], "changed": [], "gone": ["n_1h"]}
    assert told["rules"] == {"kept": 1, "new": [], "changed": [], "gone": []}
    assert (told["filled_from"], told["warming"]) == (None, ["n_2h"])
    json.dumps(told)
