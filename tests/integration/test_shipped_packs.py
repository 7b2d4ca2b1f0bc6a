"""The packs that ship, with their own tests through the real core: a number that no test notices says nothing."""

import pytest

from config.settings import BANK
from replay.workbench import mutation

PACKS = ("core", "fraud-cn", "aml-cn")


@pytest.mark.parametrize("pack", PACKS)
def test_every_number_of_every_rule_is_noticed_when_it_moves_by_a_fifth(pack):
    """Every rule passes its tests, and none of them has a number that could be a fifth larger or smaller unseen."""
    verdicts = mutation.run([BANK / "packs" / pack], BANK)
    assert len(verdicts) >= 7
    assert not [verdict.rule for verdict in verdicts if verdict.failures]
    unseen = {
        f"{verdict.rule} {trial.number}"
        for verdict in verdicts
        for trial in verdict.trials
        if not trial.is_pinned_both_ways
    }
    assert not unseen
    assert all(verdict.trials for verdict in verdicts), "a rule without any number proves nothing"
