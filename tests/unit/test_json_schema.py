"""The JSON Schema for editors says of rule files what the reader says, judged by an independent validator."""

import json

import jsonschema
import pytest

from config import marks, schema
from config.errors import ConfigError
from config.settings import BANK
from engine.cli import main
from replay.workbench import describing
from rules import language
from rules.json_schema import json_schema
from tests.editing import seen

PACKS = sorted((BANK / "packs").iterdir())
RULE = """
rules:
  - id: A-1
    name: a
    owner: o
    severity: high
    reason: R
    on: payment
    mode: live
    when: amount > 5
    score: 1
    actions:
      - alert: {queue: q}
      - freeze: {scope: card, for: 24h, max_per_hour: 3}
    dedup: {by: card, for: 6h}
    tests:
      - name: t
        start: 2026-03-02
        defaults: {type: payment, amount: 5}
        events: [{at: +1h, amount: [1, 2], every: 1m, expect: fires}]
"""
HEAD = "pack: p\nversion: 1.0.0\nlanguage: 1\ncurrency: CNY\ntimezone: UTC\nretention: 400d\n"


@pytest.fixture(scope="module")
def validator():
    made = json_schema(schema.read(BANK / "schema.yaml"))
    jsonschema.Draft7Validator.check_schema(made)
    return jsonschema.Draft7Validator(made)


def complaints(validator, text):
    node, faults = marks.parse(text, "t.yaml")
    assert not faults
    return [error.message for error in validator.iter_errors(seen(node))]


FILES = [path for pack in PACKS for path in sorted(pack.rglob("*.yaml"))]


@pytest.mark.parametrize("path", FILES, ids=lambda p: "/".join(p.parts[-3:]))
def test_every_file_of_the_shipped_packs_fits(validator, path):
    assert complaints(validator, path.read_text(encoding="utf-8")) == []


@pytest.mark.shared
def test_every_file_of_the_sample_packs_fits_and_the_broken_draft_does_not(validator, shared):
    samples = shared("rule-samples")
    files = sorted(samples.glob("*/**/*.yaml"))
    assert len(files) >= 7
    for path in files:
        assert complaints(validator, path.read_text(encoding="utf-8")) == [], path
    assert complaints(validator, (samples / "draft_broken.yaml").read_text(encoding="utf-8"))


def test_the_examples_of_this_file_fit(validator):
    assert complaints(validator, RULE) == []
    assert complaints(validator, HEAD) == []


WRONG = {
    "an unknown key": ("severity:", "severty:"),
    "a wrong word": ("severity: high", "severity: hihg"),
    "a wrong mode": ("mode: live", "mode: on"),
    "a missing key": ("    owner: o\n", ""),
    "an id in small letters": ("id: A-1", "id: a-1"),
    "an unknown action": ("freeze:", "freze:"),
    "two actions in one item": ("- freeze", "  freeze"),
    "an unknown key of an action": ("max_per_hour: 3", "max_per_minute: 3"),
    "a freeze without end": ("for: 24h, ", ""),
    "an unknown scope": ("scope: card", "scope: cards"),
    "a duration without unit": ("for: 6h", "for: 6"),
    "a key that is no field": ("by: card", "by: crad"),
    "a key that is money": ("by: card", "by: amount"),
    "an unknown expectation": ("expect: fires", "expect: fired"),
    "an unknown field in a test": ("amount: [1, 2]", "amuont: [1, 2]"),
    "a date in another order": ("start: 2026-03-02", "start: 02.03.2026"),
    "tests that are no list": ("    tests:\n      - name: t", "    tests:\n        name: t"),
    "rules that are a mapping": ("rules:\n  - id: A-1", "rules:\n    id: A-1"),
    "a key of pack.yaml elsewhere": ("rules:", "currency: CNY\nrules:"),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_is_wrong_does_not_fit(validator, change):
    assert change[0] in RULE
    assert complaints(validator, RULE.replace(*change, 1))


def test_completion_knows_the_fields_and_event_types_of_the_bank(validator):
    columns = schema.read(BANK / "schema.yaml")
    event = validator.schema["definitions"]["event"]["properties"]
    assert set(columns.columns) <= set(event)
    on = json.dumps(validator.schema["definitions"]["rule"]["properties"]["on"])
    assert all(f'"{name}"' in on for name in columns.event_types)


def test_every_shape_is_there_with_a_word_on_each_key(validator):
    for name, shape in language.SHAPES.items():
        made = validator.schema if name == "pack" else validator.schema["definitions"].get(name)
        for key in language.order(shape) if name != "file" else ():
            assert made["properties"][key]["description"].startswith(shape.key(key).doc)


def test_installing_keeps_every_other_setting_of_the_editor(tmp_path, capsys):
    (tmp_path / "pack.yaml").write_text(HEAD)
    (tmp_path / ".vscode").mkdir()
    path = tmp_path / ".vscode" / "settings.json"
    path.write_text('{"editor.rulers": [120], "yaml.schemas": {"x.json": "x/*.yaml"}}')
    assert main(["rules", "schema", "--install", str(tmp_path)]) == 0
    assert json.loads(path.read_text()) == {
        "editor.rulers": [120],
        "yaml.schemas": {"x.json": "x/*.yaml", "./.weir/schema.json": ["*.yaml", "*.yml"]},
    }
    first = path.stat().st_mtime_ns
    assert json.loads((tmp_path / ".weir" / "schema.json").read_text())["title"].startswith("Weir")
    assert main(["rules", "schema", "--install", str(tmp_path)]) == 0
    assert path.stat().st_mtime_ns == first, "nothing to change, so nothing is written"
    capsys.readouterr()


def test_settings_with_comments_are_left_alone(tmp_path):
    (tmp_path / "pack.yaml").write_text(HEAD)
    (tmp_path / ".vscode").mkdir()
    path = tmp_path / ".vscode" / "settings.json"
    path.write_text('{\n  // mine\n  "editor.rulers": [120]\n}\n')
    with pytest.raises(ConfigError, match="cannot be read"):
        describing.install(tmp_path, "{}")
    assert "// mine" in path.read_text()
    assert not (tmp_path / ".weir").exists()


def test_there_is_nothing_to_install_where_there_is_no_pack(tmp_path):
    with pytest.raises(ConfigError, match="no pack"):
        describing.install(tmp_path, "{}")


def test_the_schema_goes_to_a_file_or_to_the_screen(tmp_path, capsys):
    assert main(["rules", "schema"]) == 0
    printed = capsys.readouterr().out
    assert main(["rules", "schema", "--out", str(tmp_path / "s.json")]) == 0
    assert (tmp_path / "s.json").read_text(encoding="utf-8") == printed
