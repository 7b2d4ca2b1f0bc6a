"""Pack files: every section, what is refused, and what the sample pack becomes."""

import pytest

from config import schema as config_schema
from config.errors import ConfigError
from rules import pack
from rules.check import examples
from rules.check.findings import as_text
from rules.check.suggest import distance, nearest
from rules.definitions import ListRow
from tests.linting import ANOTHER, write
from tests.ruling import (
    CHANNELS,
    HEAD,
    RULE,
    SCHEMA,
    Column,
    Schema,
    load,
    of_another_bank,
    said,
    shown,
)

HOUR = 3_600_000_000
DAY = 24 * HOUR


def rule(**changes):
    """RULE with lines replaced: rule(when="a", extra="dedup: {...}")."""
    extra = changes.pop("extra", "")
    text = RULE
    for key, value in changes.items():
        line = next(
            x for x in RULE.splitlines() if x.strip().removeprefix("- ").startswith(f"{key}:")
        )
        text = text.replace(line, f"{line[: line.index(key)]}{key}: {value}")
    return text + "".join(f"    {line}\n" for line in extra.splitlines())


def rule_of(tmp_path, files=None, **changes):
    loaded = load(tmp_path, {"r.yaml": rule(**changes), **(files or {})})
    assert loaded.pack is not None, as_text(loaded.findings)
    return loaded.pack.rules[0]


def errors(tmp_path, files=None, **changes):
    """Code, line:column inside r.yaml and message of every finding."""
    loaded = load(tmp_path, {"r.yaml": rule(**changes), **(files or {})})
    return [(f.code, f.message) for f in loaded.findings]


def actions_of(tmp_path, text, **changes):
    return rule_of(tmp_path, extra=f"actions:\n{text}", **changes).actions


# ---- the shipped samples


def test_the_sample_pack_loads_without_a_finding(shared):
    """8 rules, 20 features, 4 lists, against the schema that ships."""
    ships = config_schema.read(pack.Path(__file__).parents[2] / "config/bank/schema.yaml")
    loaded = pack.load([shared("rule-samples/core")], of_another_bank(ships))
    assert as_text(loaded.findings) == ""
    assert (loaded.n_rules, loaded.n_features, loaded.n_lists) == (8, 20, 4)
    found = loaded.pack
    by_id = {r.id: r for r in found.rules}
    travel = by_id["TRAVEL-001"]
    assert (travel.rollout_percent, travel.rollout_by) == (25.0, "card")
    assert "call distance_km(lat, lon, prev_lat, prev_lon)" in shown(travel.when)
    mule = by_id["MULE-001"].actions[1]
    assert (mule.kind, mule.entity, mule.level, mule.asked) == (
        "restrict",
        "account",
        "no_debit",
        "restrict",
    )
    freeze = by_id["ATO-NEWPAYEE-001"].actions[2]
    assert (freeze.entity, freeze.level, freeze.asked) == ("customer", "no_debit", "freeze")
    assert "web" in freeze.channels
    assert "pos" not in freeze.channels
    burst = by_id["CARD-TEST-001"].tests[1]
    assert [e.fields["merchant"] for e in burst.events] == ["M1", "M2", "M3", "M4", "M5", "M9"]
    assert [e.at_us for e in burst.events][4] == 4_000_000
    assert {e.expect for e in burst.events} == {"quiet"}
    usual = found.features["usual_auth_30d"].aggregate
    assert (usual.quantile, usual.window.lag_us, usual.prior) == (0.95, DAY, True)


def test_a_pack_means_the_same_in_any_order_of_files(tmp_path):
    """Names belong to the pack, not to a file; only the hash of the files differs."""
    parts = {
        "f.yaml": "features:\n  n_1h: count() by account over 1h where small\n",
        "m.yaml": "macros:\n  small: amount < 5\n",
        "r.yaml": rule(when="n_1h > 5"),
    }
    one = load(tmp_path / "a", parts).pack
    swapped = {"z.yaml": parts["m.yaml"], "a.yaml": parts["r.yaml"], "m.yaml": parts["f.yaml"]}
    two = load(tmp_path / "b", swapped).pack
    assert one.rules[0].when == two.rules[0].when
    assert one.features["n_1h"].aggregate == two.features["n_1h"].aggregate
    assert one.sha256 != two.sha256


# ---- head


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("currency: EUR", "currency: EURO", "WR029", '"EURO" is not an ISO 4217 currency'),
        ("Europe/Berlin", "Europe/Bonn", "WR029", '"Europe/Bonn" is not a time zone'),
        ("retention: 400d", "retention: long", "WR025", 'retention "long" is not a duration'),
        ("language: 1", "language: 2", "WR021", 'language "2" is not one of 1'),
        ("combine: sum", "combine: add", "WR021", 'combine "add" is not one of sum, max, noisy_or'),
        ("version: 1.0.0", "versoin: 1.0.0", "WR020", 'pack.yaml has no key "versoin"'),
        (
            "{from: 500, to: 1000",
            "{from: 510, to: 1000",
            "WR320",
            "no decision for scores from 500 to 510",
        ),
        (
            "{from: 500, to: 1000",
            "{from: 490, to: 1000",
            "WR321",
            "scores from 490 to 500 have two decisions",
        ),
        ("to: 1000", "to: 990", "WR320", "no decision for scores from 990 to 1000"),
        (
            "{from: 500, to: 1000",
            "{from: 500, to: 400",
            "WR321",
            "the band from 500 to 400 is empty",
        ),
        (
            "pack: test",
            "pack: test\noverrides: 5",
            "WR027",
            '"overrides" is a list: each item begins with "- "',
        ),
    ],
)
def test_a_wrong_head_is_reported(tmp_path, old, new, code, message):
    """Each key of pack.yaml."""
    loaded = load(tmp_path, {"pack.yaml": HEAD.replace(old, new), "r.yaml": RULE})
    assert (code, message) in [(f.code, f.message) for f in loaded.findings]
    assert loaded.pack is None


def test_an_empty_pack_is_never_fine(tmp_path):
    """And a folder without pack.yaml is no pack."""
    assert said(load(tmp_path, {}))[0][0] == "WR007"
    with pytest.raises(ConfigError, match="there is no pack here"):
        pack.load([tmp_path / "nothing"], SCHEMA)


def test_packs_run_together_share_currency_and_names(tmp_path):
    """Rules of both count; a second definition of a name is refused with both places."""
    lists = 'lists:\n  vips: {values: ["K1"], type: id, of: customer}\n'
    first = load(tmp_path / "a", {"r.yaml": RULE, "l.yaml": lists})
    assert first.pack is not None
    load(
        tmp_path / "b",
        {"pack.yaml": "pack: two\nversion: 1\n", "r.yaml": RULE.replace("R-1", "R-2")},
    )
    both = pack.load([tmp_path / "a", tmp_path / "b"], SCHEMA)
    assert [r.id for r in both.pack.rules] == ["R-1", "R-2"]
    load(
        tmp_path / "c",
        {"pack.yaml": "pack: two\nversion: 1\ncurrency: USD\n", "r.yaml": RULE, "l.yaml": lists},
    )
    clash = pack.load([tmp_path / "a", tmp_path / "c"], SCHEMA)
    assert sorted(f.code for f in clash.findings) == ["WR021", "WR105", "WR105"]


def test_hidden_folders_and_packs_inside_a_pack_are_not_part_of_it(tmp_path):
    """An editor's folder and a pack kept beside its parent must not change what runs."""
    broken = RULE.replace("high", "hihg")
    files = {
        "r.yaml": RULE,
        ".weir/x.yaml": broken,
        "uk/pack.yaml": HEAD,
        "uk/rules/x.yaml": broken,
    }
    loaded = load(tmp_path, files)
    assert (loaded.findings, loaded.n_rules) == ([], 1)
    assert set(loaded.pack.files) == {"pack.yaml", "r.yaml"}


# ---- features


@pytest.mark.parametrize(
    ("text", "kind", "shape"),
    [
        ("count() by card over 1h", "number", ("count", ("card",), HOUR, 0, "event", False)),
        ("sum(amount) by account, payee over 30d prior", "money of EUR", ("sum", ("account", "payee"), 30 * DAY, 0, "event", True)),
        ("avg(duration) of activity by customer over 6h until 1h ago", "duration", ("avg", ("customer",), 6 * HOUR, HOUR, "activity", True)),
        ("last(country) by card over 30d prior", "category of country", ("last", ("card",), 30 * DAY, 0, "event", True)),
        ("first(event_time) by device over all", "time", ("first", ("device",), None, 0, "event", False)),
        ('count() by merchant over 30d where label == "fraud"', "number", ("count", ("merchant",), 30 * DAY, 0, "label", False)),
        ("quantile(n_items, 50%) of transaction by account over 2d", "number", ("quantile", ("account",), 2 * DAY, 0, "transaction", False)),
        ("stddev(lat) by card over 2d", "number", ("stddev", ("card",), 2 * DAY, 0, "event", False)),
        ("max(amount) by card over 2d until 1d ago", "money of EUR", ("max", ("card",), 2 * DAY, DAY, "event", True)),
        ("decayed_sum(amount, 7d) by card prior", "money of EUR", ("decayed_sum", ("card",), None, 0, "event", True)),
        ("decayed_count(1h) by card", "number", ("decayed_count", ("card",), None, 0, "event", False)),
        ("min(event_time) by card over calendar week", "time", ("min", ("card",), 7 * DAY, 0, "event", False)),
        ("count_distinct(country) by account.opened_on_x over 1d", "", ()),
    ],
)  # fmt: skip
def test_an_aggregate_becomes_its_parts_and_a_type(tmp_path, text, kind, shape):
    """Sums and quantiles of money are money, counts are numbers; a lag implies prior; label decides the domain."""
    loaded = load(tmp_path, {"r.yaml": RULE, "f.yaml": f"features:\n  f: {text}\n"})
    if not kind:
        assert [f.code for f in loaded.findings] == ["WR101"]
        return
    feature = loaded.pack.features["f"]
    a = feature.aggregate
    assert str(feature.type) == kind
    assert (a.function, a.keys, a.window.width_us, a.window.lag_us, a.domain, a.prior) == shape


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("coutn() by card over 1h", "WR124", "unknown aggregate coutn"),
        ("coutn(amount) by card over 1h", "WR124", "unknown aggregate coutn"),
        ("count(amount) by card over 1h", "WR124", "count takes no value"),
        ("quantile(amount) by card over 1h", "WR124", "quantile takes a value and a level"),
        ("quantile(amount, 120%) by card over 1h", "WR124", "the level of a quantile is a written number above 0 and up to 1"),
        ("sum(channel) by card over 1h", "WR124", "channel is text (pos, atm, web, ...), a number, amount or duration is wanted here"),
        ("count_distinct(purpose) by card over 1h", "WR124", "purpose is text, an id or category field is wanted here"),
        ("count_distinct(amount) by card over 1h", "WR124", "amount is money (EUR), an id or category field is wanted here"),
        ("last(is_new) by card over 1h", "WR124", "is_new is a flag (true or false), last wants a value"),
        ("count() by amount over 1h", "WR129", "amount is money (EUR)"),
        ("count() by crad over 1h", "WR101", 'unknown field "crad"'),
        ("count() by card", "WR127", "count needs a window"),
        ("count() by card over all", "WR127", "count over all would grow without bound"),
        ("count() by card over 500d", "WR310", "the window is longer than the retention of the pack (400d)"),
        ("count() by card over 1d until 2d ago", "WR310", "until lies outside the window, which is always empty"),
        ("sum(amount) by card over last 0 events", "WR127", "over last 0 events: from 1 to 1,000 can be looked at"),
        ("sum(amount) by card over last 5 events until 1d ago", "WR127", "over last events has no until"),
        ("count() by card over calendar day until 2h ago", "WR127", "over calendar day has no until"),
        ("count() by card over calendar year", "WR116", 'calendar what? found "year"'),
        ("count() by card over last days", "WR116", 'last what? found "days"'),
        ("entropy(amount) by card over 1d", "WR124", "amount is money (EUR), an id or category field is wanted here"),
        ("entropy(country) by card over all", "WR127", "entropy over all would grow without bound"),
        ("decayed_sum(amount) by card", "WR124", "decayed_sum ends with a half-life, a written duration"),
        ("decayed_sum(amount, 7) by card", "WR124", "decayed_sum ends with a half-life, a written duration"),
        ("decayed_avg(7d) by card", "WR124", "decayed_avg takes one value"),
        ("decayed_count() by card", "WR124", "decayed_count ends with a half-life, a written duration"),
        ("decayed_count(1d) by card over 7d", "WR127", "decayed_count has a half-life and no window"),
        ("max(channel) by card over 1d", "WR124", "channel is text (pos, atm, web, ...), a number, amount or time is wanted here"),
        ("min(amount) by card over all", "WR127", "min over all would grow without bound"),
        ("max(amount, 2) by card over 1d", "WR124", "max takes one value"),
        ('count() of activity by card over 1d where label == "fraud"', "WR124", "f ranges over activities, which have no label"),
        ("count() by card over 1d where model.score > 0.5", "WR107", "model.score cannot be read here"),
        ("count() by card over 1d where amount > $x", "WR102", "$x: only rules have params"),
        ("count() by card over 1d where f > 1", "WR104", "feature f needs its own value: f -> f"),
    ],
)  # fmt: skip
def test_a_wrong_feature_is_reported(tmp_path, text, code, message):
    """Each part of an aggregate, with its own message."""
    loaded = load(tmp_path, {"r.yaml": RULE, "f.yaml": f"features:\n  f: {text}\n"})
    found = [(f.code, f.message) for f in loaded.findings]
    assert (code, message) in found, found
    assert len({f.place.line for f in loaded.findings}) == 1


def test_features_read_each_other_in_any_order_but_never_in_a_circle(tmp_path):
    """The circle is told once, with its way round."""
    good = "features:\n  b: a / 2\n  a: count() by card over 1h where c > 1\n  c: sum(n_items) by card over 1h\n"
    assert (
        load(tmp_path / "a", {"r.yaml": RULE, "f.yaml": good}).pack.features["b"].type.kind
        == "number"
    )
    bad = good.replace("sum(n_items) by card over 1h", "b + 1")
    loaded = load(tmp_path / "b", {"r.yaml": RULE, "f.yaml": bad})
    assert [(f.code, f.message) for f in loaded.findings] == [
        ("WR104", "feature b needs its own value: b -> a -> c -> b")
    ]


def test_a_feature_has_a_long_form_and_a_rule_its_own(tmp_path):
    """Own features of a rule are columns like all others, but only the rule may name them."""
    f = "features:\n  f: {is: count() by card over 1h, owner: cards, description: d, warm_after: 7d}\n"
    extra = "features: {own: sum(amount) by account over 1h}\nlet: {double: 2 * own}"
    loaded = load(
        tmp_path / "a", {"r.yaml": rule(when="double > 5 EUR and f > 1", extra=extra), "f.yaml": f}
    )
    assert set(loaded.pack.features) == {"f", "own"}
    feature = loaded.pack.features["f"]
    assert (feature.owner, feature.warm_after_us, feature.text) == (
        "cards",
        7 * DAY,
        "count() by card over 1h",
    )
    assert shown(loaded.pack.rules[0].when) == "and(>(*(2.0, own), 500.0), >(f, 1.0))"
    other = RULE.replace("R-1", "R-2").replace("amount > 500 EUR", "own > 5")
    two = load(tmp_path / "b", {"r.yaml": rule(extra=extra), "s.yaml": other})
    finding = two.findings[0]
    assert (finding.code, finding.hint) == ("WR101", "feature own belongs to rule R-1 alone")


def test_a_feature_may_be_approximate_where_that_saves_something(tmp_path):
    """The declared error stands in the aggregate, so that it is no longer the feature that it was."""
    text = "features:\n  f: {is: count_distinct(merchant) by card over 30d, approx: 2%}\n"
    loaded = load(tmp_path, {"r.yaml": rule(when="f > 5"), "f.yaml": text})
    assert not loaded.findings
    assert loaded.pack.features["f"].aggregate.approx == 0.02


@pytest.mark.parametrize(
    ("text", "approx", "code", "message"),
    [
        ("count_distinct(merchant) by card over 1d", "0.02", "WR026", '"0.02" is not an approximation'),
        ("count_distinct(merchant) by card over 1d", "0.1%", "WR026", '"0.1%" is not an approximation'),
        ("quantile(amount, 50%) by card over 1d", "11%", "WR026", '"11%" is not an approximation'),
        ("sum(amount) by card over 1d", "2%", "WR132", "sum is exact anyway, at the cost of a counter"),
        ("entropy(country) by card over 1d", "2%", "WR132", "entropy is exact and has no approximation"),
        ("count_distinct(merchant) by card over last 9 events", "2%", "WR132",
         "the last events are looked at one by one, there is nothing to approximate"),
        ("amount * 2", "2%", "WR132", "f is computed from what is known, there is nothing to approximate"),
    ],
)  # fmt: skip
def test_an_approximation_that_saves_nothing_or_is_out_of_bounds_is_reported(
    tmp_path, text, approx, code, message
):
    f = f"features:\n  f: {{is: '{text}', approx: {approx}}}\n"
    loaded = load(tmp_path, {"r.yaml": RULE, "f.yaml": f})
    assert [(f.code, f.message) for f in loaded.findings] == [(code, message)]


def test_macros_are_put_in_place_as_trees(tmp_path):
    """With precedence of their own, and a limit on what they may grow to."""
    macros = "macros:\n  either: is_new or n_items > 1\n"
    got = rule_of(tmp_path / "a", {"m.yaml": macros}, when="either and amount > 5")
    assert shown(got.when) == "and(or(==(is_new, 1.0), >(n_items, 1.0)), >(amount, 500.0))"
    grow = "macros:\n  m0: is_new\n" + "".join(
        f"  m{i}: m{i - 1} or m{i - 1}\n" for i in range(1, 40)
    )
    assert {c for c, _ in errors(tmp_path / "b", {"m.yaml": grow}, when="m39")} == {"WR117"}


def test_one_name_has_one_meaning(tmp_path):
    """Fields, features, macros and lets share their names; both places are told."""
    text = "macros:\n  amount: n_items > 1\n  f: is_new\nfeatures:\n  f: count() by card over 1h\n"
    loaded = load(tmp_path, {"r.yaml": RULE, "m.yaml": text})
    assert [f.code for f in loaded.findings] == ["WR105", "WR105"]
    assert "m.yaml:3:3" in loaded.findings[1].message


# ---- lists and tables


def test_lists_come_from_files_and_values(tmp_path):
    """The first column of a CSV under its heading; ranges of codes are written out."""
    lists = """
lists:
  kiosks: {file: lists/kiosks.csv, type: id, of: device, owner: it, review_by: 2027-09-30}
  travel: {values: [3000-3003, "7995", 0001-0002], type: category, of: mcc}
"""
    csv = "\ufeffdevice,source\nD1,x\n\n D2 ,y\n"
    loaded = load(
        tmp_path,
        {
            "r.yaml": rule(when="device in @kiosks or mcc in @travel"),
            "l.yaml": lists,
            "lists/kiosks.csv": csv,
        },
    )
    found = loaded.pack.lists
    assert found["kiosks"].values == {"D1", "D2"}
    assert found["travel"].values == {"3000", "3001", "3002", "3003", "7995", "0001", "0002"}
    assert "lists/kiosks.csv" in loaded.pack.files


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("x: {file: none.csv, type: id, of: card}", "WR009", "there is no file none.csv in the pack"),
        ("x: {file: ../r.yaml, type: id, of: card}", "WR009", "there is no file ../r.yaml in the pack"),
        ("x: {type: id, of: card}", "WR022", 'list x needs either "file:" or "values:"'),
        ("x: {values: [a], type: id, of: crad}", "WR101", '"crad" is not an id of the schema'),
        ("x: {values: [a], type: id}", "WR022", 'list x needs "of:"'),
        ("x: {values: [inn], type: category, of: direction}", "WR123", 'direction is never "inn" by the schema'),
        ("x: {values: [a], type: number}", "WR026", '"a" is not a number'),
        ("X: {values: [a], type: text}", "WR023", '"X" is not a name'),
        ("x: {file: v.csv, type: id, of: card}", "WR340", 'valid_until "soon" is not a date or time with offset'),
        ("x: {values: [{valid_from: 2026-01-01}], type: id, of: card}", "WR022", 'a row of a list needs "value:"'),
        ("x: {values: [{value: C1, valid_untl: 2026-01-01}], type: id, of: card}", "WR340", "valid_untl would be read as plain text"),
        ("x: {values: [{value: C1, valid_from: 2026-01-01, valid_until: 2026-01-01}], type: id, of: card}", "WR340", '"valid_until" must be later than "valid_from"'),
        ("x: {values: [5-3], type: number}", "WR026", "5-3 is not a range: the lower number comes first"),
    ],
)  # fmt: skip
def test_a_wrong_list_is_reported(tmp_path, text, code, message):
    """Content and definition."""
    files = {
        "r.yaml": RULE,
        "l.yaml": f"lists:\n  {text}\n",
        "v.csv": "card,valid_until\nC1,soon\n",
    }
    assert (code, message) in [(f.code, f.message) for f in load(tmp_path, files).findings]


def test_a_table_has_values_of_one_kind_and_a_default(tmp_path):
    """Amounts in minor units."""
    good = (
        "tables:\n  t: {key: segment, values: {retail: 5 EUR, private: 10 EUR}, default: 1 EUR}\n"
    )
    got = rule_of(tmp_path / "a", {"t.yaml": good}, when="amount > t[segment]")
    assert shown(got.when) == ">(amount, lookup t(segment))"
    bad = "tables:\n  t: {key: segment, values: {retial: 5 EUR, private: 10}}\n"
    found = [c for c, _ in errors(tmp_path / "b", {"t.yaml": bad})]
    assert sorted(found) == ["WR022", "WR120", "WR123"]


# ---- rules


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"id": "r-1"}, "WR023", '"r-1" is not a rule id'),
        ({"severity": "hihg"}, "WR021", 'severity "hihg" is not one of low, medium, high, critical'),
        ({"mode": "on"}, "WR021", 'mode "on" is not one of live, shadow, off'),
        ({"version": "one"}, "WR026", 'version is a whole number from 1 to 1_000_000, was "one"'),
        ({"reason": "TSET"}, "WR109", "unknown reason TSET"),
        ({"on": "paymnet"}, "WR306", 'the schema knows no event type "paymnet"'),
        ({"score": "amount"}, "WR120", "amount is money (EUR), a number is wanted here"),
        ({"score": "5000"}, "WR026", "a score lies between -1000 and 1000, was 5000"),
        ({"when": ""}, "WR022", '"when:" is empty'),
        ({"when": "[a]"}, "WR027", '"when" is a text, not a list'),
        ({"when": 'mcc == "7995 #1"'}, "WR005", "to YAML a blank and # begin a comment, which swallowed the rest of this expression"),
        ({"extra": "dedup: {by: crad, for: 1h}"}, "WR101", 'unknown field "crad"'),
        ({"extra": "dedup: {by: amount, for: 1h}"}, "WR129", "amount is no id or category"),
        ({"extra": "dedup: {by: account}"}, "WR022", 'dedup needs "for:"'),
        ({"extra": "dedup: {by: card, for: 1h}"}, "WR310", "card can be missing on payment while the rule fires, so dedup has no key then"),
        ({"extra": "rollout: 25% by device"}, "WR310", "device can be missing on payment while the rule fires, so rollout has no key then"),
        ({"extra": "rollout: a quarter"}, "WR026", '"a quarter" is not a rollout'),
        ({"extra": "effective: {from: 2026-02-01, until: 2026-01-01}"}, "WR024", '"until" must be later than "from"'),
        ({"extra": "effective: {from: soon}"}, "WR024", 'from "soon" is not a date or time with offset'),
        ({"extra": "params: {x: 1,000 EUR}"}, "WR020", ""),
        ({"extra": "params: {x: [1]}"}, "WR027", "param x is one value"),
        ({"extra": "params:\n  x: 1,000 EUR"}, "WR110", "a number cannot contain a comma"),
        ({"extra": "candidate: {when: a}"}, "WR028", '"candidate" is not in this version'),
        ({"extra": "wehn: a"}, "WR020", 'rule R-1 has no key "wehn"'),
        ({"extra": "exceptions: [{id: EX-1, when: is_new, why: w, approved_by: me}]"}, "WR022", 'an exception needs "expires:"'),
        ({"extra": "if_undecided: {do: panic}"}, "WR021", 'do "panic" is not one of review, challenge, hold, decline'),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_reported(tmp_path, changes, code, message):
    """Each key of a rule."""
    found = errors(tmp_path, **changes)
    if (
        not message
    ):  # in a flow mapping YAML takes the comma for a separator: two params, one without a value
        assert found
        return
    assert (code, message) in found, found


def test_a_key_that_the_condition_demands_cannot_be_missing(tmp_path):
    """Presence is followed through and/or, not, defaults and the keys of features."""
    f = {"f.yaml": "features:\n  n: count() by card over 1h\n  m: n * 2\n"}
    dedup = "dedup: {by: card, for: 1h}"
    for i, when in enumerate(
        [
            "n > 1",
            "m > 1 and is_new",
            "n > 1 or card is present",
            'not (card == "C1")',
            "(seen ?? 2h) < 1h and n > 0",
        ]
    ):
        files = (
            f
            if "seen" not in when
            else {"f.yaml": f["f.yaml"] + "  seen: time_since_last() by card over 1d\n"}
        )
        assert (
            errors(tmp_path / str(i), files, when=when.replace(" and n > 0", ""), extra=dedup) == []
        ), when
    for i, when in enumerate(["n > 1 or is_new", "(n ?? 1) > 0", "is_new"]):
        assert [c for c, _ in errors(tmp_path / f"x{i}", f, when=when, extra=dedup)] == ["WR310"], (
            when
        )
    assert errors(tmp_path / "auth", f, on="card_auth", extra=dedup) == []


def test_a_rule_carries_everything_its_file_says(tmp_path):
    """Params, dates in the pack's zone, exceptions, undecided."""
    extra = """params: {floor: 5, share: 80%, word: retail, code: "0123", wait: 1h30m, sign: -2}
effective: {from: 2026-02-01, until: 2026-03-01T00:00:00Z}
exceptions:
  - {id: EX-1, when: segment == $word, why: w, approved_by: me, expires: 2027-01-01}
if_undecided: {score: 50, do: review}
references: [a, b]
dedup: {by: [account], for: 6h}"""
    when = "amount > $floor and n_items > $share + $sign and mcc == $code and duration > $wait"
    got = rule_of(tmp_path, when=when, extra=extra)
    assert shown(got.when).startswith(
        "and(>(amount, 500.0), >(n_items, +(0.8, -2.0)), ==(mcc, '0123')"
    )
    assert got.effective_from_us == 1_769_900_400 * 1_000_000
    assert got.effective_until_us == 1_772_323_200 * 1_000_000
    assert (got.exceptions[0].id, shown(got.exceptions[0].when)) == (
        "EX-1",
        "==(segment, 'retail')",
    )
    assert (got.if_undecided.score, got.if_undecided.do) == (50.0, "review")
    assert (got.dedup_by, got.dedup_for_us, got.references) == (("account",), 6 * HOUR, ("a", "b"))


# ---- actions and templates


def test_every_action_and_its_sugar(tmp_path):
    """freeze is restrict; scopes name entity, level and channels."""
    text = """  - alert: {queue: q, title: "{amount} by {account|last4} {{now}} {model.top_reasons} {n_items / 2|percent}"}
  - challenge: {method: push, for: 10m}
  - hold: {for: 24h, then: decline}
  - decline: {code: "05"}
  - restrict: {entity: counterparty, level: limit, amount: 500, for: 1h, max_per_hour: 3, channels: [web]}
  - freeze: {scope: account.outgoing, for: 12h, max_per_hour: 20}
  - freeze: {scope: online_banking, for: 12h, max_per_hour: 20}
  - notify: {template: t1, to: branch}
  - list_add: {list: seen, value: device, for: 7d, max_per_hour: 9}
  - tag: odd"""
    lists = "lists:\n  seen: {values: [], type: id, of: device}\n"
    loaded = load(tmp_path, {"r.yaml": rule(extra="actions:\n" + text), "l.yaml": lists})
    assert loaded.pack is not None, as_text(loaded.findings)
    alert, challenge, hold, decline, limit, outgoing, online, notify, add, tag = loaded.pack.rules[
        0
    ].actions
    parts = [p if isinstance(p, str) else (shown(p[0]), p[1]) for p in alert.title.parts]
    assert parts == [
        "", ("amount", ""), " by ", ("account", "last4"), " {now} ", ("model.top_reasons", ""), " ",
        ("/(n_items, 2.0)", "percent"), "",
    ]  # fmt: skip
    assert (challenge.method, challenge.for_us) == ("push", 600_000_000)
    assert (hold.for_us, hold.then, decline.code) == (24 * HOUR, "decline", "05")
    assert (limit.entity, limit.level, limit.amount_minor, limit.channels) == (
        "counterparty",
        "limit",
        50_000,
        ("web",),
    )
    assert (outgoing.kind, outgoing.entity, outgoing.level, outgoing.asked) == (
        "restrict",
        "account",
        "no_debit",
        "freeze",
    )
    assert (online.entity, online.level, online.channels) == (
        "customer",
        "no_debit",
        ("web", "mobile"),
    )
    assert (notify.template, notify.to, add.list_name, shown(add.value), tag.tag) == (
        "t1",
        "branch",
        "seen",
        "device",
        "odd",
    )


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("- frezee: {scope: card}", "WR021", 'action "frezee" is not one of'),
        ("- freeze: {scope: card}", "WR323", 'freeze needs "for:" and "max_per_hour:"'),
        ("- freeze: {scope: card, for: 1h}", "WR323", 'freeze needs "max_per_hour:"'),
        ("- freeze: {scope: crad, for: 1h, max_per_hour: 1}", "WR021", 'scope "crad" is not one of'),
        ("- freeze: {scope: card, for: 100h, max_per_hour: 1}", "WR324", "automation restricts for at most 72h"),
        ("- freeze: {scope: card, for: 1h, max_per_hour: 0}", "WR026", "max_per_hour is a whole number from 1 to 1_000_000"),
        ("- restrict: {entity: ip, level: watch, for: 1h, max_per_hour: 1}", "WR021", '"ip" cannot be restricted'),
        ("- restrict: {entity: card, level: limit, for: 1h, max_per_hour: 1}", "WR022", 'restrict needs "amount:"'),
        ("- hold: {then: wait}", "WR022", 'hold needs "for:"'),
        ("- hold: {for: 1h, then: wait}", "WR021", 'then "wait" is not one of release, review, decline'),
        ("- alert: {title: x}", "WR022", 'alert needs "queue:"'),
        ('- alert: {queue: q, title: "{amuont}"}', "WR101", 'unknown field "amuont"'),
        ('- alert: {queue: q, title: "{amount|euro}"}', "WR126", '"euro" is not a format; there are round, percent, last4'),
        ('- alert: {queue: q, title: "{amount"}', "WR126", 'this "{" is never closed'),
        ('- alert: {queue: q, title: "a } b"}', "WR126", '"}" closes nothing'),
        ('- alert: {queue: q, title: "{}"}', "WR126", "a hole needs an expression"),
        ('- alert: {queue: q, title: "{@vpis.source}"}', "WR103", "unknown list @vpis"),
        ('- alert: {queue: q, title: "{@vips}"}', "WR341", '"@vips" names no column of a list'),
        ('- alert: {queue: q, title: "{amount|last4}"}', "WR126", "amount is money (EUR), which has no format last4"),
        ("- list_add: {list: vpis, value: card, for: 1h, max_per_hour: 1}", "WR103", "unknown list @vpis"),
        ("- hold", "WR027", "an action is one word with its details"),
    ],
)  # fmt: skip
def test_a_wrong_action_is_reported(tmp_path, text, code, message):
    """With what is missing, or what is allowed."""
    found = errors(tmp_path, extra=f"actions:\n  {text}")
    assert any(c == code and m.startswith(message) for c, m in found), found


def test_only_severe_rules_freeze(tmp_path):
    """A freeze by a rule of low severity is a contradiction."""
    freeze = "actions:\n  - freeze: {scope: card, for: 1h, max_per_hour: 1}"
    assert [c for c, _ in errors(tmp_path / "a", severity="medium", extra=freeze)] == ["WR322"]
    watch = "actions:\n  - restrict: {entity: card, level: watch, for: 1h, max_per_hour: 1}"
    assert errors(tmp_path / "b", severity="medium", extra=watch) == []


def test_a_finding_inside_a_template_stands_at_its_character(tmp_path):
    """Also behind an escaped quote."""
    text = 'actions:\n  - alert: {queue: q, title: "a \\" {n_items} {amuont}"}'
    finding = load(tmp_path, {"r.yaml": rule(extra=text)}).findings[0]
    line = (tmp_path / "r.yaml").read_text().splitlines()[finding.place.line - 1]
    assert line[finding.place.column - 1 : finding.end.column - 1] == "amuont"


# ---- tests inside rules

TESTS = """tests:
  - name: t
    start: 2026-03-02T10:00:00Z
    defaults: {type: payment, account: A1, amount: 5 EUR}
    lists: {vips: [K1]}
    profiles: [{account: A1, opened_on: 2020-01-01}]
    events:
      - {at: +1h, counterparty: [S1, S2], amount: [1 EUR, 2 EUR], every: 10m}
      - {at: +200d5m, model.score: 0.9, expect: fires, expect_features: {f: 2}, expect_actions: [alert, freeze]}"""
LISTS = {
    "l.yaml": "lists:\n  vips: {values: [], type: id, of: customer}\nfeatures:\n  f: count() by card over 1h\n"
}


def test_a_test_becomes_a_timeline(tmp_path):
    """Lists of values go through together; an event without `expect` must stay quiet."""
    (test,) = rule_of(tmp_path, LISTS, extra=TESTS).tests
    assert test.start_us == 1_772_445_600 * 1_000_000
    assert [e.at_us for e in test.events] == [HOUR, HOUR + 600_000_000, 200 * DAY + 300_000_000]
    assert test.events[1].fields == {
        "type": "payment",
        "account": "A1",
        "amount": "2 EUR",
        "counterparty": "S2",
    }
    assert [e.expect for e in test.events] == ["quiet", "quiet", "fires"]
    assert test.events[2].expect_features == {"f": "2"}
    assert test.events[2].expect_actions == ("alert", "freeze")
    assert (test.lists, test.profiles) == (
        {"vips": (ListRow("K1"),)},
        ({"account": "A1", "opened_on": "2020-01-01"},),
    )


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        (
            "counterparty: [S1, S2]",
            "cuonterparty: [S1, S2]",
            "WR101",
            'unknown field "cuonterparty"',
        ),
        (
            ", every: 10m",
            "",
            "WR022",
            'a list of values needs "every:", the time between two of them',
        ),
        ("[1 EUR, 2 EUR]", "[1 EUR]", "WR027", "the lists of values of an event need one length"),
        ("at: +1h", "at: later", "WR025", 'at "later" is not a duration after the start'),
        ("expect: fires", "expect: fire", "WR021", 'expect "fire" is not one of'),
        ("[alert, freeze]", "[alert, frezee]", "WR021", 'action "frezee" is not one of'),
        ("{f: 2}", "{g: 2}", "WR101", 'unknown feature "g"'),
        ("{vips: [K1]}", "{vpis: [K1]}", "WR103", "unknown list vpis"),
        (
            "start: 2026-03-02T10:00:00Z",
            "start: today",
            "WR024",
            'start "today" is not a date or time with offset',
        ),
        ("type: payment", "direction: inn", "WR123", 'direction is never "inn" by the schema'),
    ],
)
def test_a_wrong_test_is_reported(tmp_path, old, new, code, message):
    """A test with a slip would pass for the wrong reason."""
    found = errors(tmp_path, LISTS, extra=TESTS.replace(old, new))
    assert any(c == code and m.startswith(message) for c, m in found), found


# ---- derived fields


def test_derived_fields_are_typed_in_the_order_they_need_each_other():
    """A column that reads another derived one comes after it."""
    columns = {
        "late": Column("late", "flag", derived="gap > 1h"),
        "gap": Column("gap", "duration", derived="event_time - account.opened_on"),
        **SCHEMA.columns,
    }
    found = pack.derived_fields(Schema(columns, {}))
    assert list(found) == ["gap", "late", "account_age"]
    assert shown(found["gap"]) == "-(event_time, account.opened_on)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("event_time - nothing", '`x`: unknown field "nothing"'),
        ("amount", "`x` is duration, its expression money of EUR"),
        ("x - 5m", "`x` needs its own value: x -> x"),
        ("event_time -", "`x`: a value is wanted here, found the end"),
    ],
)
def test_a_wrong_derived_field_names_its_column(text, message):
    """The engine does not start with it."""
    columns = {"x": Column("x", "duration", derived=text), **SCHEMA.columns}
    with pytest.raises(ConfigError) as caught:
        pack.derived_fields(Schema(columns, {}))
    assert caught.value.what == message


# ---- suggestions


def test_a_suggestion_is_near():
    """Two edits, or the same letters; short words need to be nearer."""
    assert nearest("wbe", CHANNELS) == "web"
    assert nearest("atm_deposti", CHANNELS) == "atm_deposit"
    assert nearest("cash", CHANNELS) == ""
    assert nearest("evry", ["every"]) == "every"
    assert nearest("silent", ["listen"]) == "listen"
    assert distance("ca", "abc") == 3


TEST_OF_A_RULE = """tests:
  - name: t
    start: 2026-03-02T10:00:00Z
    defaults: {{type: payment, account: A1}}
    events:
      - {{at: +1m, amount: 1}}
      - {{{event}}}
"""


@pytest.mark.parametrize(
    ("event", "finding"),
    [
        ("at: +0m, amount: 9", ("WR502", "this event is earlier than one above it, so it would come late", "write events in the order of their times")),
        ("at: +2m, amount: 60 \u20ac", ("WR122", 'amount "60 \u20ac" is not an amount', "write for instance 1_000 EUR or 99.90")),
        ("at: +2m, amount: 60EUR", ("WR122", 'amount "60EUR" is not an amount', "write for instance 1_000 EUR or 99.90")),
        ("at: +2m, type: paymnt, amount: 9", ("WR123", 'type is never "paymnt" by the schema', 'did you mean "payment"?')),
        ("at: +2m, amount: 1,000 EUR", ("WR101", 'unknown field "000 EUR"', "a comma ends a value inside {...}: write amount: 1_000 EUR")),
        ("at: +2m, amount: 9, purpose: gift, for you", ("WR101", 'unknown field "for you"', 'a comma ends a value inside {...}: write purpose: "gift, for you"')),
    ],
)  # fmt: skip
def test_an_event_of_a_test_that_cannot_be_as_meant_is_found(tmp_path, event, finding):
    loaded = load(
        tmp_path, {"r.yaml": rule(when="is_new", extra=TEST_OF_A_RULE.format(event=event))}
    )
    assert finding in [(f.code, f.message, f.hint) for f in loaded.findings]


def test_an_event_at_the_time_of_a_list_above_it_is_in_order(tmp_path):
    """Several accounts do the same side by side: each list begins at its own `at`."""
    events = "at: +1m, amount: [1, 2], every: 1h}}\n      - {{at: +1m, amount: 1.50 EUR"
    text = (
        TEST_OF_A_RULE.replace("{event}", events)
        .replace("{{", "{")
        .replace("}}", "}")
        .replace("{{", "{")
        .replace("}}", "}")
    )
    assert load(tmp_path, {"r.yaml": rule(when="is_new", extra=text)}).findings == []


@pytest.mark.parametrize(
    ("param", "hint"),
    [
        ("{value: 5,000 EUR, why: w}", "a comma ends a value inside {...}: write value: 5_000 EUR"),
        ("{value: 5 EUR, why: six, because it is}", 'a comma ends a value inside {...}: write why: "six, because it is"'),
        ("{value: 5 EUR, why: w, extra: 1}", "known: value, why"),
    ],
)  # fmt: skip
def test_a_value_that_a_comma_cut_is_told_what_to_write(tmp_path, param, hint):
    text = rule(when="amount > $p", extra=f"params:\n  p: {param}")
    assert hint in [f.hint for f in load(tmp_path, {"r.yaml": text}).findings]


TYPED = """when: amount > 500 EUR
tests:
  - name: t
    start: 2026-03-02T10:00:00Z
    events:
      - {at: +0m, type: TYPE, account: A1, amount: 900}
"""


def test_a_type_that_an_open_schema_does_not_know_is_found_where_another_is_near(tmp_path):
    """The shipped schema keeps types that it does not know; a slip in a test would test nothing."""
    files = {
        kind: examples.rule(TYPED.replace("TYPE", kind))
        for kind in ("paymnt", "crypto_swap", "payment")
    }
    said_of = {}
    for kind, text in files.items():
        folder = tmp_path / kind
        loaded = pack.load(
            write(folder, {"example/pack.yaml": examples.HEAD, "example/r.yaml": text}), ANOTHER
        )
        said_of[kind] = [(f.code, f.message, f.hint) for f in loaded.findings if f.code == "WR306"]
    what = 'the schema knows no event type "paymnt"'
    assert said_of == {
        "paymnt": [("WR306", what, 'did you mean "payment"?')],
        "crypto_swap": [],
        "payment": [],
    }


@pytest.mark.parametrize(
    ("when", "hint"),
    [
        ("local_time(event_time) > 22.30", "write 22:30"),
        ("local_time(event_time) > 22", "write 22:00"),
        ("local_time(event_time) > 25", "write for instance 22:00"),
        ("amount > 5000 RMB", "did you mean CNY?"),
    ],
)
def test_a_time_or_currency_of_everyday_speech_is_told_what_to_write(tmp_path, when, hint):
    loaded = load(tmp_path, {"r.yaml": rule(when=when)})
    assert [f.hint for f in loaded.findings] == [hint]


@pytest.mark.parametrize(
    ("key", "finding"),
    [
        ("score: 30%", ("WR026", "write for instance score: 300")),
        ("score: high", ("WR026", "write for instance score: 300")),
        ("mode: on", ("WR021", 'did you mean "live"?')),
        ("mode: test", ("WR021", 'did you mean "shadow"?')),
        ("dedup: 6h", ("WR027", "its keys: by, for")),
        ("severity:high", ("WR001", "write severity: high")),
        ("mode\uff1ashadow", ("WR001", "write mode: shadow")),
        ('actions: [{alert: {queue: q, title: "{{amount}} paid"}}]', ("WR126", "write {amount}")),
        ('actions: [{alert: {queue: q, title: "{amount / balance_before}% out"}}]', ("WR126", "write {amount / balance_before|percent} without the sign")),
    ],
)  # fmt: skip
def test_a_key_of_a_rule_that_was_written_otherwise_is_told_what_to_write(tmp_path, key, finding):
    text = examples.rule(f"when: amount > 500 EUR\n{key}\n")
    if key[:4] in ("seve", "mode"):  # in place of the usual line
        name = key.split(":")[0].split("\uff1a")[0]
        text = examples.rule(f"when: amount > 500 EUR\n{name}: X\n").replace(f"{name}: X", key)
    loaded = pack.load(write(tmp_path, {"e/pack.yaml": examples.HEAD, "e/r.yaml": text}), ANOTHER)
    assert finding in [(f.code, f.hint) for f in loaded.findings]
