"""The packs that ship have no findings: neither errors nor warnings, each alone and all together."""

from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import pytest

from config import marks, rates, settings
from rules import pack
from rules.check.findings import ERROR, WARN
from rules.check.lint import lint
from tests.linting import SHIPPED

BANK = Path(__file__).parents[2] / "config" / "bank"
PACKS = sorted(p.parent for p in BANK.glob("packs/*/pack.yaml"))
AS_OF_US = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp() * 1e6)
MODELS = marks.plain(marks.read(BANK / "models.yaml"))


def inputs(node):
    """Every text under a key `inputs`."""
    if isinstance(node, dict):
        own = node.get("inputs", [])
        return {*(own if isinstance(own, list) else []), *chain(*map(inputs, node.values()))}
    return set(chain(*map(inputs, node))) if isinstance(node, list) else set()


@pytest.mark.parametrize("folders", [[p] for p in PACKS] + [PACKS], ids=lambda f: f[-1].name)
def test_there_is_nothing_to_find(folders):
    file = settings.rates_file(BANK, settings.read_settings(BANK / settings.SETTINGS_FILE))
    loaded = pack.load(folders, SHIPPED, rates.read(file))
    found = lint(loaded, SHIPPED, AS_OF_US, used=inputs(MODELS))
    assert [f for f in found if f.severity in (ERROR, WARN)] == []


def test_what_only_models_read_counts_as_used():
    """Without them the check would say that nobody reads it: the test above can fail."""
    file = settings.rates_file(BANK, settings.read_settings(BANK / settings.SETTINGS_FILE))
    loaded = pack.load(PACKS, SHIPPED, rates.read(file))
    found = lint(loaded, SHIPPED, AS_OF_US)
    assert {f.code for f in found if f.severity == WARN} == {"WR301"}
