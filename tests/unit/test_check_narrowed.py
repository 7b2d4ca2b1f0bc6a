"""What a pack demands on top (`narrow:`) is checked as what stands in the rule, and found where it was written."""

from tests.linting import found, said, underlined, write

HEAD = """\
pack: {name}
version: 1.0.0
{more}
"""
BASE = (
    "language: 1\ncurrency: EUR\ntimezone: Europe/Berlin\nretention: 400d\nmax_freezes_per_hour: 50\n"
    "decision:\n  combine: sum\n"
    "  bands: [{from: 0, to: 500, do: approve}, {from: 500, to: 1000, do: review}]\n"
    "reasons: {TEST: A reason}\n"
)
RULE = """\
rules:
  - id: R-1
    name: A rule
    version: 1
    owner: fraud
    severity: high
    reason: TEST
    on: payment
    mode: shadow
    when: amount > 500 EUR and direction == "out"
    score: 100
    tests:
      - name: either way
        start: 2026-03-02T10:00:00Z
        defaults: {type: payment, account: A1, direction: out}
        events: [{at: +0m, amount: 1 EUR}, {at: +1m, amount: 900 EUR, expect: fires}]
"""
OVERRIDE = """\
overrides:
  - rule: R-1
    written_for: 1
    narrow: {narrow}
    add:
      tests:
        - name: on top
          start: 2026-03-02T10:00:00Z
          defaults: {{type: payment, account: A1, direction: out, country: DE}}
          events: [{{at: +0m, amount: 1 EUR}}, {{at: +1m, amount: 900 EUR, expect: fires}}]
"""


def narrowed(folder, narrow):
    files = {
        "top/pack.yaml": HEAD.format(name="top", more="extends: core"),
        "top/o.yaml": OVERRIDE.format(narrow=narrow),
        "core/pack.yaml": HEAD.format(name="core", more=BASE),
        "core/r.yaml": RULE,
    }
    return found(write(folder, files)[:1])


def test_a_narrowing_without_mistakes_has_no_findings(tmp_path):
    assert narrowed(tmp_path, 'country == "DE"') == []


def test_a_field_that_may_be_missing_is_told_in_the_pack_on_top(tmp_path):
    (finding,) = narrowed(tmp_path, 'country != "DE"')
    assert said([finding]) == [("WR204", 4, 13)]
    assert finding.place.file.endswith("top/o.yaml")
    assert underlined(finding) == 'country != "DE"'


def test_what_the_rule_demands_already_is_told_with_its_file(tmp_path):
    (finding,) = narrowed(tmp_path, 'country == "DE" and amount > 100 EUR')
    assert said([finding]) == [("WR202", 4, 33)]
    assert "core/r.yaml:10" in finding.message


def test_what_can_never_hold_together_is_told(tmp_path):
    codes = [f.code for f in narrowed(tmp_path, "amount < 100 EUR")]
    assert codes == ["WR201"]


def test_and_beside_or_is_told_where_it_stands(tmp_path):
    found_ = narrowed(tmp_path, 'country == "DE" and amount > 900 EUR or country == "FR"')
    assert ("WR206", 4, 13) in said(found_)
