"""The table of the language holds what readers ask for, no more and no less, and its examples are right."""

import jsonschema
import pytest

from config import marks, schema
from config.settings import BANK
from rules import language, pack, reader
from rules.json_schema import json_schema
from tests.editing import seen

HEAD = """
pack: p
version: 1.0.0
language: 1
currency: CNY
timezone: UTC
retention: 400d
decision: {combine: sum, bands: [{from: 0, to: 1000, do: approve}]}
"""
EVERYTHING = """
reasons:
  R: {analyst: {en: a}, customer: {en: b}}
lists:
  days: {type: text, values: [2026-01-01]}
  kiosks: {type: id, of: device, values: [D1, {value: D2, valid_until: 2026-01-01, source: s}]}
tables:
  sure: {key: channel, values: {web: 1}, default: 2}
features:
  often: {is: count() by card over 1h}
rules:
  - id: A-1
    name: a
    owner: o
    severity: high
    reason: R
    on: payment
    mode: live
    effective: {from: 2026-01-01}
    params: {p: {value: 5, why: w}}
    when: often > $p
    score: 1
    if_undecided: {score: 2}
    actions:
      - alert: {queue: q}
      - challenge: {method: m}
      - hold: {for: 1h}
      - decline: {code: c}
      - restrict: {entity: card, level: no_debit, for: 1h, max_per_hour: 1}
      - restrict: {scope: card, for: 1h, max_per_hour: 1}
      - freeze: {scope: card, for: 1h, max_per_hour: 1}
      - notify: {template: t, to: u}
      - list_add: {list: kiosks, value: device, for: 1h, max_per_hour: 1}
      - tag: {name: n}
      - report: {kind: k, to: t, title: x, by: customer, due: 5 working days, holidays: days}
    dedup: {by: card, for: 1h}
    exceptions: [{id: E-1, when: amount < 5, why: w, approved_by: b, expires: 2027-01-01}]
    tests:
      - {name: t, start: 2026-01-01, events: [{at: +0m, type: payment}]}
"""

ON_TOP = """
pack: q
version: 1.0.0
extends: p
overrides:
  - {rule: A-1, written_for: 1, set: {mode: shadow}, narrow: amount > 7}
  - {rule: A-2, written_for: 1, replace_when: amount > 7}
  - {rule: A-3, written_for: 1, add: {references: [x]}}
retired: [{id: A-0, on: 2026-01-01, why: w, replaced_by: A-1}]
suppressions: [{rule: A-1, entity: {card: C1}, until: 2027-01-01, why: w, by: b}]
"""
PLAIN = """  - {id: A-2, name: a, owner: o, severity: low, reason: R, on: payment, mode: live, when: amount > 5, score: 1}
"""


@pytest.fixture(scope="module")
def columns():
    return schema.read(BANK / "schema.yaml")


def read(tmp_path, columns, text):
    (tmp_path / "pack.yaml").write_text(HEAD, encoding="utf-8")
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    return pack.load([tmp_path], columns)


def test_no_key_of_the_table_is_left_unread(tmp_path, columns, monkeypatch):
    asked = {name: set() for name in language.SHAPES}
    get = reader.Reader.get

    def noted(self, key, **more):
        asked[self.shape.name].add(key)
        return get(self, key, **more)

    monkeypatch.setattr(reader.Reader, "get", noted)
    (tmp_path / "p").mkdir()
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "pack.yaml").write_text(ON_TOP, encoding="utf-8")
    plain = PLAIN + PLAIN.replace("A-2", "A-3")
    assert not read(tmp_path / "p", columns, EVERYTHING + plain).findings
    assert not pack.load([tmp_path / "q"], columns).findings
    for name, shape in language.SHAPES.items():
        assert set(language.order(shape)) - asked[name] == set(), name


def test_a_reader_cannot_ask_for_what_the_table_does_not_know():
    node, _ = marks.parse("id: A-1\n", "t.yaml")
    r = reader.Reader(node, reader.Findings(), "a rule", language.RULE)
    with pytest.raises(AssertionError, match="knows no key 'idd' of rule"):
        r.get("idd")
    with pytest.raises(AssertionError, match=r"rule\.id is id, not duration"):
        r.duration("id")


def test_every_example_is_what_its_key_takes(columns):
    made = json_schema(columns)
    for shape in language.SHAPES.values():
        properties = made["properties" if shape.name in ("pack", "file") else "definitions"]
        if shape.name not in ("pack", "file"):
            properties = properties[shape.name]["properties"]
        for key in shape.keys:
            if not key.example or key.since > language.VERSION:
                continue
            node, faults = marks.parse(f"{key.name}: {key.example}\n", "t.yaml")
            assert not faults, (shape.name, key.name)
            jsonschema.Draft7Validator(
                {**properties[key.name], "definitions": made["definitions"]}
            ).validate(seen(node)[key.name])


def test_names_of_keys_and_shapes_are_unique_and_lead_somewhere():
    for shape in language.SHAPES.values():
        names = [key.name for key in shape.keys]
        assert len(names) == len(set(names)), shape.name
        for key in shape.keys:
            assert set(key.shapes) <= set(language.SHAPES), (shape.name, key.name)
            assert key.doc.endswith("."), (shape.name, key.name)
            assert key.required or not key.unless, (shape.name, key.name)


def messages(tmp_path, columns, text):
    return [f.message for f in read(tmp_path, columns, text).findings]


def test_a_key_beside_which_another_means_nothing_is_reported(tmp_path, columns):
    text = EVERYTHING.replace("restrict: {scope: card,", "restrict: {scope: card, entity: card,")
    assert messages(tmp_path, columns, text) == [
        '"entity" means nothing here beside the other keys of restrict'
    ]


def test_a_key_of_a_later_version_is_said_to_be_one(tmp_path, columns):
    text = EVERYTHING.replace("    score: 1\n", "    score: 1\n    candidate: amount > 5\n")
    assert messages(tmp_path, columns, text) == ['"candidate" is not in this version']
    assert "candidate" not in language.order(language.RULE)


def test_a_missing_key_is_reported_once_however_often_it_is_asked_for(tmp_path, columns):
    text = EVERYTHING.replace("key: channel, values: {web: 1}, default", "key: channel, default")
    assert messages(tmp_path, columns, text) == ['table sure needs "values:"']
