"""What a pack changes in the rules of the packs it extends: by name and tree, never twice, and always to be found again."""

from dataclasses import replace

import pytest

from config.settings import BANK
from engine.setup import read_setup
from replay.workbench import ruletests
from rules import behaviour, overrides, pack
from rules.check import findings
from rules.check.lint import lint
from rules.numbers import numbers_of
from rules.render import text_of
from rules.tree import Node, Span
from tests.ruling import HEAD, SCHEMA, shown, write

CORE = HEAD.replace("pack: test", "pack: core").replace("version: 1.0.0", "version: 4.2.0")
RULES = """
features:
  n_1h: count() by account over 1h
rules:
  - id: R-1
    name: A rule
    version: 4
    owner: tests
    severity: high
    reason: TEST
    on: payment
    mode: live
    params: {floor: {value: 500 EUR, why: a test}, n: 3}
    when: |
      amount > $floor
      and n_1h >= $n
    score: 100
    actions:
      - alert: cards
      - hold: {for: 24h, max_per_hour: 5}
      - tag: a
      - tag: b
    dedup: {by: account, for: 6h}
    exceptions:
      - {id: EX-1, when: mcc == "1", why: known, approved_by: a, expires: 2027-01-01}
    tests:
      - name: fires
        start: 2026-03-02T10:00:00Z
        events: [{at: +0m, type: payment, account: A1, amount: 900 EUR}]
  - id: R-2
    name: Another rule
    version: 1
    owner: tests
    severity: high
    reason: TEST
    on: payment
    mode: live
    when: amount > 9 EUR or n_items > 5
    score: 100
"""
UK = "pack: uk\nversion: 1.3.0\nextends: core\n"


def read(tmp_path, text, head=UK, more=()):
    """Load a pack `uk` with `text` in its file, on top of core; `more` are further packs: name -> text."""
    write(tmp_path / "core", {"pack.yaml": CORE, "r.yaml": RULES})
    uk = write(tmp_path / "uk", {"pack.yaml": head, "o.yaml": text})
    others = [
        write(tmp_path / name, {"pack.yaml": f"pack: {name}\nversion: 1\nextends: core\n", "o.yaml": t})
        for name, t in more
    ]  # fmt: skip
    return pack.load([uk, *others], SCHEMA)


def override(body, rule="R-1", written_for=4):
    lines = "".join(f"    {line}\n" for line in body.strip("\n").split("\n"))
    return f"overrides:\n  - rule: {rule}\n    written_for: {written_for}\n{lines}"


def rule(loaded, id_="R-1"):
    assert loaded.pack is not None, findings.as_text(loaded.findings)
    return next(r for r in loaded.pack.rules if r.id == id_)


def plain(tmp_path, id_="R-1"):
    path = write(tmp_path / "plain", {"pack.yaml": CORE, "r.yaml": RULES})
    return rule(pack.load([path], SCHEMA), id_)


def errors(loaded):
    return [(f.code, f.message, f.hint) for f in loaded.findings]


def test_set_replaces_what_it_names(tmp_path):
    """Keys of the rule, params in both forms, parts of dedup, actions by kind and number, exceptions by id."""
    loaded = read(
        tmp_path,
        override(
            """
set:
  mode: shadow
  severity: critical
  score: 2 * n_1h
  params.floor: 800 EUR
  params.n: {value: 5, why: fewer here}
  dedup.for: 12h
  effective.from: 2026-05-01
  actions.alert.queue: uk-cards
  actions.hold.max_per_hour: 9
  actions.4.name: c
  exceptions.EX-1.expires: 2026-12-31
  if_undecided: {do: review}
"""
        ),
    )
    got, before = rule(loaded), plain(tmp_path)
    assert (got.mode, got.severity) == ("shadow", "critical")
    assert text_of(got.score) == "2 * n_1h"
    assert text_of(got.when) == "amount > 800.00 EUR and n_1h >= 5"
    assert [(p.name, p.why) for p in got.params] == [("floor", ""), ("n", "fewer here")]
    assert (got.dedup_by, got.dedup_for_us) == (("account",), 12 * 3_600_000_000)
    assert got.effective_from_us is not None
    assert [a.queue or a.tag or a.max_per_hour for a in got.actions] == ["uk-cards", 9, "a", "c"]
    assert got.exceptions[0].expires_us < before.exceptions[0].expires_us
    assert got.if_undecided is not None
    assert got.if_undecided.do == "review"
    assert (got.version, got.pack, got.place) == (4, "core", got.place)
    assert got.place.file.endswith("core/r.yaml")
    assert rule(loaded, "R-2") == plain(tmp_path, "R-2") or rule(loaded, "R-2").origins == {}


def test_each_changed_part_says_where_it_comes_from(tmp_path):
    loaded = read(
        tmp_path,
        override("set: {mode: shadow, params.n: 4}\nadd: {references: [a wiki]}\nnarrow: is_new"),
    )
    told = {
        k: (o.how, o.pack, o.place.line, o.place.column) for k, o in rule(loaded).origins.items()
    }
    assert told == {
        "mode": ("set", "uk", 4, 11),
        "params.n": ("set", "uk", 4, 25),
        "references.1": ("add", "uk", 5, 24),
        "when": ("narrow", "uk", 6, 5),
    }
    assert all(o.place.file.endswith("uk/o.yaml") for o in rule(loaded).origins.values())


def test_add_appends_and_takes_nothing_away(tmp_path):
    loaded = read(
        tmp_path,
        override(
            """
add:
  exceptions:
    - {id: EX-UK, when: 'mcc == "7995"', why: casino float, approved_by: t.hill, expires: 2027-07-31}
  actions: [{tag: uk}]
  references: a page
"""
        ),
    )
    got = rule(loaded)
    assert [e.id for e in got.exceptions] == ["EX-1", "EX-UK"]
    assert [a.kind for a in got.actions] == ["alert", "hold", "tag", "tag", "tag"]
    assert got.references == ("a page",)
    assert {"exceptions.EX-UK", "actions.5", "references.1"} == set(got.origins)


@pytest.mark.parametrize(
    ("id_", "narrow", "tree", "text"),
    [
        ("R-1", 'country == "GB"', "and(>(amount, 50000.0), >=(n_1h, 3.0), ==(country, 'GB'))",
         'amount > $floor\nand n_1h >= $n\nand country == "GB"'),
        ("R-2", 'country == "GB" or is_new',
         "and(or(>(amount, 900.0), >(n_items, 5.0)), or(==(country, 'GB'), ==(is_new, 1.0)))",
         '(amount > 9 EUR or n_items > 5)\nand (country == "GB" or is_new)'),
    ],
)  # fmt: skip
def test_narrow_is_joined_as_a_tree(tmp_path, id_, narrow, tree, text):
    """An `or` on either side stays one part: pasted text would have bound otherwise."""
    version = {"R-1": 4, "R-2": 1}[id_]
    loaded = read(tmp_path, override(f"narrow: {narrow}", id_, version))
    got = rule(loaded, id_)
    assert shown(got.when) == tree
    assert got.text == text


def test_replace_when_stands_in_place_of_the_condition(tmp_path):
    """It reads the params of the rule and the features of both packs."""
    more = "features:\n  n_2h: count() by account over 2h\n"
    loaded = read(tmp_path, more + override("replace_when: n_2h > $n"))
    assert text_of(rule(loaded).when) == "n_2h > 3"
    assert rule(loaded).origins["when"].how == "replace_when"


def test_tests_of_a_rule_are_kept_while_it_does_the_same(tmp_path):
    """A change of what it does leaves those that overrides add: the others speak of the rule as it was written."""
    added = """
add:
  tests:
    - {name: here, start: 2026-03-02T10:00:00Z, events: [{at: +0m, type: payment, amount: 9 EUR}]}
"""
    for body, names in [
        ("set: {mode: shadow}", ["fires"]),
        ("set: {mode: shadow}" + added, ["fires", "here"]),
        ("set: {params.n: 4}", []),
        ("set: {params.n: 4}" + added, ["here"]),
        ("narrow: is_new", []),
        ("add: {actions: [{tag: uk}]}", []),
    ]:
        loaded = read(tmp_path, override(body))
        assert [t.name for t in rule(loaded).tests] == names, body


def test_the_version_stays_and_the_behaviour_does_not(tmp_path):
    """A decision names rule and version; the pack's hash covers what was overridden."""
    base = read(tmp_path, override("set: {mode: shadow}"))
    narrowed = read(tmp_path, override("narrow: is_new"))
    digests = [behaviour.behaviour(rule(x), x.pack) for x in (base, narrowed)]
    assert digests[0] == behaviour.behaviour(rule(base), base.pack)
    assert digests[0] != digests[1]
    assert base.pack.sha256 != narrowed.pack.sha256


def test_findings_in_overridden_parts_point_at_the_file_that_overrides(tmp_path):
    loaded = read(
        tmp_path, override("set: {params.floor: 5 GBP, score: amuont}\nnarrow: cuontry == 1")
    )
    told = [(f.code, f.place.file.rpartition("/")[2], f.place.line, f.place.column) for f in loaded.findings]  # fmt: skip
    assert ("WR101", "o.yaml", 4, 39) in told
    assert ("WR101", "o.yaml", 5, 13) in told
    assert all(file == "o.yaml" for code, file, _, _ in told if code == "WR101")


def test_a_span_of_the_condition_is_found_in_its_own_text(tmp_path):
    """Spans of what was narrowed lie behind those of the condition; `located` leads to the text they are in."""
    loaded = read(tmp_path, override('narrow: mcc == "5" and country == "GB"'))
    node = loaded.workshop.nodes["R-1"]
    texts = []
    for part in rule(loaded).when.args:
        text, span = overrides.located(node, part.span)
        texts.append((text.source.file.rpartition("/")[2], text.value[span.start : span.end]))
    assert texts == [
        ("r.yaml", "amount > $floor"),
        ("r.yaml", "n_1h >= $n"),
        ("o.yaml", 'mcc == "5"'),
        ("o.yaml", 'country == "GB"'),
    ]


def test_a_rule_is_remade_as_overridden(tmp_path):
    """Mutation reads the nodes of a rule again: they hold what was narrowed, and the base stays at hand."""
    loaded = read(tmp_path, override("narrow: n_items > 7\nset: {params.n: 4}"))
    workshop = loaded.workshop
    made, _ = workshop.remake(workshop.nodes["R-1"])
    assert text_of(made.when) == "amount > 500.00 EUR and n_1h >= 4 and n_items > 7"
    base, _ = workshop.remake(workshop.bases["R-1"])
    assert base == plain(tmp_path) or text_of(base.when) == text_of(plain(tmp_path).when)
    assert "7" in [n.text for n in numbers_of(workshop.nodes["R-1"])]


WRONG = [
    ("set: {params.flor: 5 EUR}", "WR020", 'rule R-1 has no "params.flor" that can be set', "did you mean params.floor?"),
    ("set: {params.other: 5}", "WR020", 'rule R-1 has no "params.other" that can be set', "known: params.floor, params.n"),
    ("set: {sevrity: low}", "WR020", 'rule R-1 has no "sevrity" that can be set', "did you mean severity?"),
    ("set: {actions.tag.name: c}", "WR020", 'rule R-1 has no "actions.tag.name" that can be set', None),
    ("set: {actions.freeze.for: 1h}", "WR020", 'rule R-1 has no "actions.freeze.for" that can be set', None),
    ("set: {exceptions.EX-2.why: x}", "WR020", 'rule R-1 has no "exceptions.EX-2.why" that can be set', "did you mean exceptions.EX-1.why?"),
    ("set: {when: amount > 5}", "WR020", 'rule R-1 has no "when" that can be set', "write narrow: or replace_when: beside set:"),
    ("set: {id: R-9}", "WR020", 'rule R-1 has no "id" that can be set', "an id is permanent; write a rule of your own"),
    ("set: {version: 9}", "WR020", 'rule R-1 has no "version" that can be set', "the version is that of the rule as its own pack has it"),
    ("add: {exeptions: []}", "WR020", '"exeptions" cannot be added to', 'did you mean "exceptions"?'),
    ("add: {when: []}", "WR020", '"when" cannot be added to', "known: exceptions, tests, references, actions"),
    ("add: {tests: 5}", "WR027", '"tests" is a list: each item begins with "- "', ""),
    ("widen: amount > 5", "WR020", 'the override of R-1 has no key "widen"', None),
    ("narrow: amount", "WR128", None, None),
    ("replace_when: amount > 5\nnarrow: is_new", "WR327", None, None),
    ("set: {dedup: {by: card, for: 1h}, dedup.for: 2h}", "WR327", None, None),
    ("set: {mode: shadoww}", "WR021", 'mode "shadoww" is not one of live, shadow, off', 'did you mean "shadow"?'),
]  # fmt: skip


@pytest.mark.parametrize(("body", "code", "message", "hint"), WRONG)
def test_what_cannot_be_changed_is_told(tmp_path, body, code, message, hint):
    told = [
        (f.code, f.message if message is not None else None, f.hint if hint is not None else None)
        for f in read(tmp_path, override(body)).findings
        if f.place.file.endswith("uk/o.yaml")
    ]
    assert (code, message, hint) in told


def test_an_override_that_changes_nothing_is_told(tmp_path):
    text = "overrides:\n  - {rule: R-1, written_for: 4}\n"
    (found,) = read(tmp_path, text).findings
    assert (found.code, found.message) == ("WR022", "the override of R-1 changes nothing")


def test_written_for_another_version_shows_what_is_there_now(tmp_path):
    (found,) = read(tmp_path, override("set: {mode: shadow}", written_for=3)).findings
    assert found.code == "WR326"
    assert found.message == "this override was written for version 3 of R-1, and version 4 is there"
    assert (found.place.line, found.place.column) == (3, 18)
    assert "amount > $floor and n_1h >= $n" in found.hint
    assert found.hint.endswith("look, and write written_for: 4")


def test_written_for_must_be_there(tmp_path):
    text = "overrides:\n  - {rule: R-1, set: {mode: shadow}}\n"
    assert [f.code for f in read(tmp_path, text).findings] == ["WR022"]


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("R-3", "there is no rule R-3 in core", "did you mean R-1?"),
        ("OWN-1", "rule OWN-1 stands in this pack itself", None),
        ("FR-1", "rule FR-1 stands in pack fr, which uk does not extend", "write it into a pack that extends fr"),
    ],
)  # fmt: skip
def test_only_rules_of_extended_packs_are_overridden(tmp_path, name, message, hint):
    own = RULES[RULES.index("rules:") : RULES.index("  - id: R-2")]
    rules = own.replace("R-1", "OWN-1") + override("set: {mode: off}", name, 4)
    (found,) = read(tmp_path, rules, more=[("fr", own.replace("R-1", "FR-1"))]).findings
    assert (found.code, found.message) == ("WR329", message)
    assert hint is None or found.hint == hint


def test_a_pack_that_extends_nothing_overrides_nothing(tmp_path):
    head = "pack: uk\nversion: 1\n"
    loaded = pack.load(
        [
            write(tmp_path / "core", {"pack.yaml": CORE, "r.yaml": RULES}),
            write(tmp_path / "uk", {"pack.yaml": head, "o.yaml": override("set: {mode: off}")}),
        ],
        SCHEMA,
    )
    told = [m for c, m, _ in errors(loaded) if c == "WR329"]
    assert told == ["pack uk extends no pack, so there is no rule to override"]


def test_two_packs_cannot_override_one_part(tmp_path):
    """The error names both lines; other parts of the same rule are free."""
    more = [("fr", override("set: {mode: live, score: 5}"))]
    (found,) = read(tmp_path, override("set: {mode: shadow, owner: us}"), more=more).findings
    assert found.code == "WR327"
    assert found.message.startswith("mode is overridden at ")
    assert found.message.endswith("fr/o.yaml:4:11 too")
    assert found.place.file.endswith("uk/o.yaml")


def test_two_packs_may_add_to_one_rule_in_any_order(tmp_path):
    """Which pack was named first does not matter: the effective rules are equal."""
    clause = "add: {{exceptions: [{{id: EX-{0}, when: is_new, why: x, approved_by: a, expires: 2027-01-01}}]}}"
    more = [("fr", override(clause.format("FR")))]
    first = read(tmp_path, override(clause.format("UK")), more=more)
    second = pack.load([tmp_path / "fr", tmp_path / "uk"], SCHEMA)
    assert [e.id for e in rule(first).exceptions] == ["EX-1", "EX-FR", "EX-UK"]
    assert first.pack.rules == second.pack.rules


def test_one_exception_id_is_added_once(tmp_path):
    clause = (
        "add: {exceptions: [{id: EX-1, when: is_new, why: x, approved_by: a, expires: 2027-01-01}]}"
    )
    (found,) = read(tmp_path, override(clause)).findings
    assert found.code == "WR327"
    assert found.hint == "change it with set: {exceptions.EX-1.KEY: ...}"


def test_a_chain_of_packs_overrides_what_lies_below(tmp_path):
    """A pack two floors up reaches the first one too."""
    head = "pack: branch\nversion: 1\nextends: uk\n"
    read(tmp_path, override("set: {mode: shadow}"))
    top = write(tmp_path / "branch", {"pack.yaml": head, "o.yaml": override("set: {score: 7}")})
    got = rule(pack.load([top], SCHEMA))
    assert (got.mode, text_of(got.score)) == ("shadow", "7")
    assert {o.pack for o in got.origins.values()} == {"uk", "branch"}


def test_a_rule_file_cannot_hold_what_an_override_holds(tmp_path):
    text = RULES.replace("    mode: live\n", "    mode: live\n    narrow: is_new\n", 1)
    loaded = pack.load([write(tmp_path / "core", {"pack.yaml": CORE, "r.yaml": text})], SCHEMA)
    assert [(f.code, f.message) for f in loaded.findings] == [("WR020", 'rule R-1 has no key "narrow"')]  # fmt: skip


def test_a_pack_cannot_change_the_currency_of_what_it_extends(tmp_path):
    loaded = read(tmp_path, override("set: {mode: shadow}"), UK + "currency: GBP\n")
    assert ("WR021", "currency GBP contradicts the EUR of pack core") in [
        e[:2] for e in errors(loaded)
    ]


def test_spans_are_moved_as_one(tmp_path):
    """Also below the top: every node of a narrowing lies behind the condition."""
    loaded = read(tmp_path, override("narrow: n_items + 1 > 7"))
    node = loaded.workshop.nodes["R-1"]
    begin = overrides.narrow_begin(node["when"])

    def spans(tree: Node) -> list[Span]:
        return [n.span for n in tree.walk() if n.span is not None]

    assert all(span.start >= begin for span in spans(rule(loaded).when.args[-1]))
    assert all(span.end < begin for part in rule(loaded).when.args[:-1] for span in spans(part))


def test_the_tests_of_an_override_run_with_its_pack(tmp_path):
    """A rule that the pack below owns is tested here too, once something about it was changed here."""
    setup = read_setup(BANK)
    loaded = read(tmp_path, override("set: {mode: shadow}"))
    setup = replace(setup, pack=loaded.pack)
    assert [r.id for r in ruletests.chosen(setup, [tmp_path / "uk"])] == ["R-1"]
    assert [r.id for r in ruletests.chosen(setup, [tmp_path / "core"])] == ["R-1", "R-2"]


FIRES = "{at: +0m, type: payment, account: A1, amount: 900 EUR, expect: fires}"
QUIET = "{at: +0m, type: payment, account: A1, amount: 1 EUR}"


@pytest.mark.parametrize(
    ("events", "what"),
    [
        ("", "R-1 as it is overridden has no tests: those below are about the rule as it was"),
        (QUIET, "no test expects R-1 to fire as it is overridden"),
        (FIRES, "no test expects R-1 to stay quiet as it is overridden"),
        (f"{QUIET}, {FIRES}", ""),
    ],
)
def test_an_overridden_rule_wants_tests_of_its_own(tmp_path, events, what):
    """Said where the override stands, for the rule itself is another pack's."""
    body = "narrow: amount < 9_000 EUR\n"
    if events:
        body += f"add: {{tests: [{{name: t, start: 2026-03-02T10:00:00Z, events: [{events}]}}]}}"
    loaded = read(tmp_path, override(body))
    said = [f for f in lint(loaded, SCHEMA, 0) if f.code == "WR501" and "R-2" not in f.message]
    assert [f.message for f in said] == ([what] if what else [])
    assert all(
        (f.place.file[-9:], f.place.line, f.place.column) == ("uk/o.yaml", 2, 11) for f in said
    )


def test_a_word_that_is_overridden_leaves_the_tests_as_they_are(tmp_path):
    """Nothing that the rule does has changed: its tests, which never see it fire, still count."""
    loaded = read(tmp_path, override("set: {name: Another name}"))
    said = [f.message for f in lint(loaded, SCHEMA, 0) if f.code == "WR501"]
    assert [m for m in said if "R-1" in m] == ["no test expects R-1 to fire as it is overridden"]
