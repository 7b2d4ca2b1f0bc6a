"""The sample pack that the rule language was written with checks clean, and its tests pass through the real core."""

import shutil

import pytest

from config import schema, settings
from config.settings import BANK
from engine.cli import main
from rules import pack
from rules.render import text_of
from tests.ruling import of_another_bank


@pytest.mark.shared
@pytest.mark.parametrize("verb", ["check", "test"])
def test_the_sample_pack_is_fine(verb, shared, capsys):
    assert main(["rules", verb, str(shared("rule-samples/core"))]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    said = {"check": "0 errors, 6 warnings.", "test": "47 expectations: 47 ok, 0 failed"}
    assert said[verb] in last  # three segments are none of our bank, two names serve the draft only


@pytest.fixture
def uk(shared, tmp_path):
    """The pack that overrides the sample, beside a copy of it."""
    shutil.copytree(shared("rule-samples/core"), tmp_path / "core")
    (tmp_path / "uk").mkdir()
    shutil.copy(shared("rule-samples/uk/overrides.yaml"), tmp_path / "uk" / "pack.yaml")
    return tmp_path / "uk"


def read(path):
    return pack.load([path], of_another_bank(schema.read(BANK / settings.SCHEMA_FILE)))


@pytest.mark.shared
def test_the_sample_of_overrides_cannot_change_the_currency(uk):
    """It counts in pounds and extends a pack that counts in euros: amounts of the two cannot be compared."""
    told = [
        (f.code, f.place.file.rpartition("/")[2], f.message)
        for f in read(uk).findings
        if f.is_error
    ]
    assert ("WR021", "pack.yaml", "currency GBP contradicts the EUR of pack core") in told


@pytest.mark.shared
def test_the_sample_of_overrides_does_what_it_says_in_euros(uk):
    head = uk / "pack.yaml"
    head.write_text(head.read_text().replace("GBP", "EUR"))
    loaded = read(uk)
    assert loaded.pack is not None, loaded.findings
    rules = {r.id: r for r in loaded.pack.rules}
    struct, model = rules["STRUCT-001"], rules["MODEL-001"]
    assert (struct.mode, struct.version) == ("shadow", 4)
    assert "2 * 8000.00 EUR" in text_of(struct.when)
    assert [e.id for e in struct.exceptions][-1] == "EX-UK-CASINO"
    assert text_of(model.when).endswith('and country == "GB"')
    assert set(struct.origins) == {"mode", "params.threshold", "exceptions.EX-UK-CASINO"}
    assert model.origins["when"].how == "narrow"
