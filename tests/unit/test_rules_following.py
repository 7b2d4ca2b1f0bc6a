"""What activate, approve and rollback say of a proposal: when it is over, when it waits for people, and what comes next."""

import json

import pytest

from config.errors import StateError
from engine.clock import ManualClock
from engine.reload.controller import READY
from replay.workbench import following

NEW = "sha256:" + "ab" * 32
OLD = "sha256:" + "cd" * 32


def proposed(**more):
    return {"config": NEW, "state": "open", "by": "ana", "seq": 7, "phase": "checking", **more}


class Engine(ManualClock):
    """A clock that has the engine say the next thing about itself whenever somebody waits."""

    def __init__(self, root, *states):
        super().__init__(1_772_445_609_000_000)
        (root / "control").mkdir()
        self.root, self.states = root, list(states)
        self.say()

    def say(self):
        state = {"active": OLD, "proposals": [], "ended": [], **self.states.pop(0)}
        (self.root / "control" / "active.status").write_text(json.dumps(state))

    def sleep_us(self, duration_us):
        super().sleep_us(duration_us)
        if self.states:
            self.say()


def test_what_waits_for_approval_is_told_when_it_has_been_checked(tmp_path, capsys):
    clock = Engine(
        tmp_path, {}, {"proposals": [proposed()]}, {"proposals": [proposed(phase=READY)]}
    )
    assert following.wait(tmp_path, NEW, 7, clock) == 0
    assert not clock.states, "it did not wait for the check"
    told = capsys.readouterr().out
    assert "abababababab was proposed by ana; it passed the checks and waits for approval" in told
    assert f"weir rules approve {tmp_path} abababababab --by NAME" in told


def test_a_refusal_after_the_proposal_was_open_is_told(tmp_path, capsys):
    over = proposed(state="rejected", why="1 of 3 tests fail")
    clock = Engine(tmp_path, {"proposals": [proposed()]}, {"ended": [over]})
    assert following.wait(tmp_path, NEW, 7, clock) == 1
    assert "abababababab does not go live: 1 of 3 tests fail" in capsys.readouterr().err


def test_an_earlier_refusal_of_the_same_files_is_not_taken_for_this_one(tmp_path, capsys):
    before = proposed(state="rejected", why="long ago", seq=3)
    clock = Engine(tmp_path, {"ended": [before]}, {"ended": [before], "active": NEW})
    assert following.wait(tmp_path, NEW, 7, clock) == 0
    assert "abababababab is active" in capsys.readouterr().out


def test_what_is_approved_is_waited_for_until_it_is_active(tmp_path, capsys):
    approved = proposed(state="approved", approved_by="bert", phase=READY)
    clock = Engine(tmp_path, {"proposals": [approved]}, {"active": NEW})
    assert following.wait(tmp_path, NEW, 7, clock, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {"config": NEW, "state": "active"}


def test_what_had_been_proposed_before_says_so_at_once(tmp_path, capsys):
    clock = Engine(tmp_path, {"proposals": [proposed(phase=READY)]}, {})
    assert following.wait(tmp_path, NEW, 7, clock, is_old=True) == 0
    assert clock.states, "it waited"
    told = capsys.readouterr().out
    assert "had been proposed by ana at seq 7 already" in told
    assert "waits for approval" in told


def test_waiting_ends(tmp_path):
    with pytest.raises(StateError, match="still under way"):
        following.wait(tmp_path, NEW, 7, Engine(tmp_path, {"proposals": [proposed()]}))


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("active", "is active"),
        ("open", "it is being checked, and needs approval by somebody else"),
        ("approved", "nobody needs to approve it; it goes live once it passes the checks"),
        ("rejected", "was refused: no"),
    ],
)
def test_without_waiting_the_answer_is_told_in_words(tmp_path, state, says):
    facts = {"config": NEW, "by": "ana", "why": "no"}
    assert says in following.words(tmp_path, facts, state)
