"""The packs that ship, with their own tests through the real core: a number that no test notices says nothing."""

import pytest

from config.settings import BANK
from replay.workbench import mutation

PACKS = ("core", "fraud-cn", "aml-cn")


@pytest.fixture(scope="module")
def verdicts():
    """What the tests of each pack notice, tried once."""
    return {pack: mutation.run([BANK / "packs" / pack], BANK) for pack in PACKS}


def test_the_tests_notice_four_of_five_changes_to_the_rules(verdicts):
    """Numbers moved, conditions deleted and negated, exceptions and actions dropped: at least 80 % are noticed."""
    every = [v for found in verdicts.values() for v in found]
    score = mutation.Score.of(every)
    assert score.tried > 1_500
    assert score.percent >= 80.0, mutation.report(every)


@pytest.mark.parametrize("pack", PACKS)
def test_every_number_of_every_rule_is_noticed_when_it_moves_by_a_fifth(pack, verdicts):
    """Every rule passes its tests, and none of them has a number that could be a fifth larger or smaller unseen."""
    found = verdicts[pack]
    assert len(found) >= 7
    assert not [verdict.rule for verdict in found if verdict.failures]
    unseen = {
        f"{verdict.rule} {trial.number}"
        for verdict in found
        for trial in verdict.trials
        if not trial.is_pinned_both_ways
    }
    assert not unseen
    assert all(verdict.trials for verdict in found), "a rule without any number proves nothing"
