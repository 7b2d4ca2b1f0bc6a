"""The sample pack that the rule language was written with checks clean, and its tests pass through the real core."""

import pytest

from engine.cli import main


@pytest.mark.shared
@pytest.mark.parametrize("verb", ["check", "test"])
def test_the_sample_pack_is_fine(verb, shared, capsys):
    assert main(["rules", verb, str(shared("rule-samples/core"))]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    said = {"check": "0 errors, 3 warnings.", "test": "47 expectations: 47 ok, 0 failed."}
    assert said[verb] in last  # three segments of its bank are none of ours
