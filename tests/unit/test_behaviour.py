"""The digest of what a rule does: blind to how the file is written, sharp for everything that changes an outcome."""

import re

import pytest

from rules import behaviour
from tests.ruling import HEAD, load

PACK = """
macros:
  small: amount < 50 EUR
lists:
  tills: {values: [pos, atm], type: category, of: channel}
  vips: {values: [K1], type: id, of: customer}
tables:
  limit: {key: segment, values: {retail: 3, private: 5}, default: 4}
features:
  n_1h: count() by account over 1h where small and type == "payment"
  day: count() by account over calendar day
  many: n_1h > 2
rules:
  - id: R-1
    name: A rule
    version: 1
    owner: tests
    severity: high
    reason: TEST
    on: [payment, card_auth]
    mode: live
    effective: {from: 2026-02-01}
    rollout: 25% by account
    params: {floor: {value: 1_000 EUR, why: a test}}
    let: {ratio: amount / (balance_before ?? 1 EUR)}
    when: |
      many and amount >= $floor
      and (channel in @tills or ratio > 80%)
      and n_1h < limit[segment] and (small or hour(event_time) between 1 and 5)
      and day < 9
    score: 100 + n_1h
    actions:
      - alert: {queue: q, title: "{amount} at {hour(event_time)}"}
      - freeze: {scope: account, for: 24h, max_per_hour: 5}
    dedup: {by: account, for: 6h}
    exceptions:
      - {id: EX-1, when: customer in @vips, why: known, approved_by: a, expires: 2027-01-01}
    if_undecided: {score: 50, do: review}
"""


def digest(tmp_path, text, head=HEAD):
    loaded = load(tmp_path, {"pack.yaml": head, "r.yaml": text})
    assert loaded.pack is not None, loaded.findings
    (rule,) = loaded.pack.rules
    behaviours = behaviour.Behaviours(loaded.pack)
    assert behaviours.of(rule) == behaviour.behaviour(rule, loaded.pack)
    return behaviours.of(rule), behaviours.parts(rule)


@pytest.fixture
def plain(tmp_path):
    return digest(tmp_path, PACK)


def changed(old, new):
    assert PACK.count(old) == 1, old
    return PACK.replace(old, new)


SILENT = {
    "a comment": ("    owner: tests\n", "    owner: tests  # of ours\n"),
    "the order of keys": (
        "    owner: tests\n    severity: high\n",
        "    severity: high\n    owner: tests\n",
    ),
    "a name": ("name: A rule", "name: Another name"),
    "an owner": ("owner: tests", "owner: others"),
    "a description": ("    mode: live\n", "    mode: live\n    description: In other words.\n"),
    "a purpose": ("    mode: live\n", "    mode: live\n    purpose: Why.\n"),
    "a reference": ("    mode: live\n", "    mode: live\n    references: [a wiki]\n"),
    "a mode": ("mode: live", "mode: shadow"),
    "a version": ("version: 1\n", "version: 2\n"),
    "spelling of a number": ("1_000 EUR", "1000.00 EUR"),
    "spelling of a share": ("ratio > 80%", "ratio > 0.8"),
    "spelling of an operator": ("and amount >= $floor", "AND amount >= $floor"),
    "spelling of a duration": ("for: 24h, max", "for: 1d, max"),
    "layout": ("many and amount", "many\n      and amount"),
    "brackets that change nothing": ("and amount >= $floor\n", "and (amount >= $floor)\n"),
    "the order of clauses": (
        "many and amount >= $floor",
        "amount >= $floor and many",
    ),
    "a comparison turned round": ("amount >= $floor", "$floor <= amount"),
    "the order of types": ("on: [payment, card_auth]", "on: [card_auth, payment]"),
    "the reason of a param": ("why: a test", "why: another"),
    "the reason of an exception": ("why: known", "why: well known"),
    "who approved an exception": ("approved_by: a,", "approved_by: b,"),
    "content of a list in a condition": ("values: [pos, atm]", "values: [pos, web]"),
    "content of a list in an exception": ("values: [K1]", "values: [K1, K2]"),
    "order in a list": ("values: [pos, atm]", "values: [atm, pos]"),
    "freeze spelt as restrict": (
        "freeze: {scope: account, for: 24h, max_per_hour: 5}",
        "restrict: {entity: account, level: full_freeze, for: 24h, max_per_hour: 5}",
    ),
    "a description of a feature": (
        "many: n_1h > 2",
        "many: {is: n_1h > 2, owner: me, description: Many.}",
    ),
    "a feature that the rule does not read": (
        "  many: n_1h > 2\n",
        "  many: n_1h > 2\n  other: count() by card over 2h\n",
    ),
    "a macro that the rule does not read": ("macros:\n", "macros:\n  large: amount > 7 EUR\n"),
}  # fmt: skip


@pytest.mark.parametrize("what", SILENT)
def test_what_does_not_change_it(tmp_path, plain, what):
    assert digest(tmp_path, changed(*SILENT[what])) == plain


def test_key_order_inside_an_action_does_not_change_it(tmp_path, plain):
    old = 'alert: {queue: q, title: "{amount} at {hour(event_time)}"}'
    assert (
        digest(tmp_path, changed(old, 'alert: {title: "{amount} at {hour(event_time)}", queue: q}'))
        == plain
    )


def test_a_test_does_not_change_it(tmp_path, plain):
    test = """
    tests:
      - name: quiet
        start: 2026-03-02T10:00:00Z
        events: [{at: +0m, type: payment, account: A1, amount: 1 EUR}]
"""
    assert digest(tmp_path, PACK + test) == plain


@pytest.mark.parametrize("name", ["n_1h", "many", "floor", "ratio", "small"])
def test_names_do_not_change_it(tmp_path, plain, name):
    """A feature, param, let or macro may be called otherwise."""
    assert digest(tmp_path, re.sub(rf"\b{name}\b", "another", PACK)) == plain


@pytest.mark.parametrize("line", ["# a comment\n", "\n\n"])
def test_lines_above_do_not_change_it(tmp_path, plain, line):
    """Places are no part of it."""
    assert digest(tmp_path, line + PACK) == plain


SHARP = {
    "a condition": ("when", "day < 9", "day < 10"),
    "an operator": ("when", "day < 9", "day <= 9"),
    "and for or": ("when", "(small or hour(event_time)", "(small and hour(event_time)"),
    "a clause": ("when", "      and day < 9\n", ""),
    "a param": ("when", "1_000 EUR", "1_001 EUR"),
    "a let": ("when", "balance_before ?? 1 EUR", "balance_before ?? 2 EUR"),
    "a table": ("when", "private: 5", "private: 6"),
    "a default of a table": ("when", "default: 4", "default: 5"),
    "the name of a list": ("when", "channel in @tills", "channel in @shops"),
    "a feature's window": ("when", "by account over calendar day", "by account over calendar week"),
    "a score": ("score", "100 + n_1h", "101 + n_1h"),
    "severity": ("severity", "severity: high", "severity: critical"),
    "the reason": ("reason", "reason: TEST", "reason: OTHER"),
    "the types": ("on", "[payment, card_auth]", "[payment, login]"),
    "the start": ("effective", "{from: 2026-02-01}", "{from: 2026-02-02}"),
    "the end": ("effective", "{from: 2026-02-01}", "{from: 2026-02-01, until: 2027-01-01}"),
    "the share": ("rollout", "25% by account", "50% by account"),
    "the key of the share": ("rollout", "25% by account", "25% by type"),
    "a queue": ("actions", "queue: q", "queue: p"),
    "a title": ("actions", "{amount} at", "{amount} was at"),
    "the scope of a freeze": ("actions", "scope: account", "scope: customer"),
    "the length of a freeze": ("actions", "for: 24h, max", "for: 25h, max"),
    "the cap of a freeze": ("actions", "max_per_hour: 5", "max_per_hour: 6"),
    "another action": ("actions", "    dedup:", "      - tag: x\n    dedup:"),
    "the key of dedup": ("dedup", "by: account, for: 6h", "by: type, for: 6h"),
    "the time of dedup": ("dedup", "by: account, for: 6h", "by: account, for: 7h"),
    "the id of an exception": ("exceptions", "id: EX-1", "id: EX-2"),
    "the condition of an exception": ("exceptions", "customer in @vips", "customer not in @vips"),
    "the end of an exception": ("exceptions", "expires: 2027-01-01", "expires: 2027-01-02"),
    "the score of undecided": ("if_undecided", "score: 50", "score: 51"),
    "what undecided does": ("if_undecided", "do: review", "do: hold"),
}


@pytest.mark.parametrize("what", SHARP)
def test_what_changes_it(tmp_path, plain, what):
    part, old, new = SHARP[what]
    more = "reasons: {OTHER: Another}\n"
    text = changed(old, new).replace("lists:\n", "lists:\n  shops: {values: [pos, atm], type: category, of: channel}\n")  # fmt: skip
    whole, parts = digest(tmp_path, more + text)
    assert whole != plain[0]
    assert [name for name in parts if parts[name] != plain[1][name]] == [part]


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("over 1h where", "over 2h where", ["when", "score"]),
        ("amount < 50 EUR", "amount < 51 EUR", ["when", "score"]),
        ('type == "payment"', 'type == "card_auth"', ["when", "score"]),
        ("many: n_1h > 2", "many: n_1h > 3", ["when"]),
        (
            "n_1h: count() by account over 1h",
            "n_1h: count() of transaction by account over 1h",
            ["when", "score"],
        ),
    ],
)
def test_what_it_reads_changes_it(tmp_path, plain, old, new, parts):
    """A feature under a feature, and a macro in a feature, count in every part that reads them."""
    _, got = digest(tmp_path, changed(old, new))
    assert [name for name in got if got[name] != plain[1][name]] == parts


def test_the_zone_of_the_pack_changes_local_times(tmp_path, plain):
    """In the condition, in the hole of a title, and in a calendar window; a date means another instant."""
    _, got = digest(tmp_path, PACK, HEAD.replace("Europe/Berlin", "Europe/London"))
    assert [n for n in got if got[n] != plain[1][n]] == [
        "when",
        "actions",
        "effective",
        "exceptions",
    ]


def test_the_type_of_a_list_changes_it(tmp_path, plain):
    """A list of the same name whose values are compared with something else is another condition."""
    text = changed("vips: {values: [K1], type: id, of: customer}", "vips: {values: [K1], type: id, of: account}")  # fmt: skip
    whole, _ = digest(tmp_path, text.replace("customer in @vips", "account in @vips"))
    assert whole != plain[0]
