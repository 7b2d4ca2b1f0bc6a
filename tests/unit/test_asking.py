"""Asking a running engine: the command arrives whole, the answer comes back, and what goes wrong is said."""

import json

import pytest

from config.errors import StateError
from engine.asking import ask
from engine.clock import ManualClock
from engine.durable.holding import only_writer


class Engine(ManualClock):
    """A clock that lets an engine look into control/ whenever the asker waits."""

    def __init__(self, folder, *, looks_before=1, answers=True):
        super().__init__(1_772_445_609_000_000)
        self.folder, self.left, self.answers = folder, looks_before, answers
        self.seen = []

    def sleep_us(self, duration_us):
        super().sleep_us(duration_us)
        self.left -= 1
        if self.left:
            return
        for path in sorted(self.folder.iterdir()):
            assert path.suffix == ".json", "something half-written was to be seen"
            self.seen.append(json.loads(path.read_bytes()))
            path.rename(path.with_suffix(".taken"))
            if self.answers:
                path.with_suffix(".answer").write_text('{"ok": true, "seq": 17}')


@pytest.fixture
def root(tmp_path):
    (tmp_path / "control").mkdir()
    return tmp_path


def test_the_answer_of_the_engine_comes_back(root):
    clock = Engine(root / "control", looks_before=3)
    with only_writer(root):
        answer = ask(root, {"command": "rule_off", "by": "a"}, clock=clock)
    assert answer == {"ok": True, "seq": 17}
    assert clock.seen == [{"kind": "command", "command": "rule_off", "by": "a"}]


def test_two_commands_at_the_same_moment_have_two_names(root):
    for _ in range(2):
        clock = Engine(root / "control")
        with only_writer(root):
            ask(root, {"command": "x"}, clock=clock)
        for path in (root / "control").iterdir():
            path.rename(root / path.name)
    assert len(list(root.glob("*.taken"))) == 2


def test_without_a_running_engine_nothing_is_dropped(root):
    with pytest.raises(StateError, match="no engine is running"):
        ask(root, {"command": "x"})
    assert list((root / "control").iterdir()) == []


def test_a_folder_that_is_no_output_folder_says_so(tmp_path):
    with only_writer(tmp_path), pytest.raises(StateError, match="no engine is running"):
        ask(tmp_path, {"command": "x"})


def test_a_command_that_nobody_takes_is_taken_back(root):
    with only_writer(root), pytest.raises(StateError, match=r"within 10 s.*\n.*taken back"):
        ask(root, {"command": "x"}, clock=ManualClock())
    assert list((root / "control").iterdir()) == []


def test_a_command_that_is_taken_and_not_answered_says_so(root):
    clock = Engine(root / "control", answers=False)
    with only_writer(root), pytest.raises(StateError, match="has taken it, and will answer"):
        ask(root, {"command": "x"}, clock=clock)
    assert [path.suffix for path in (root / "control").iterdir()] == [".taken"]
