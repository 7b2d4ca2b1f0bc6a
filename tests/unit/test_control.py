"""Control files and the runner that takes them: everything that is dropped in is answered, nothing ends the engine."""

import json
import os

import numpy as np
import pytest

from config.errors import StateError
from config.settings import BANK
from engine.clock import ManualClock
from engine.control import BYTES_MAX, Control
from engine.durable import snapshots
from engine.durable.disk import RealDisk
from engine.ports import Messages
from engine.progress import Progress
from engine.runner import COMMANDS_MAX, TICK_AFTER_US, StopRequest
from engine.setup import read_setup
from engine.starting import open_engine
from tests import banking, factories

NOW_US = 1_772_445_609_000_000


class Given:
    """A live source that gives what it was given, a poll each; `None` in it lets a second pass in silence."""

    is_live = True

    def __init__(self, clock, polls):
        self.clock, self.polls, self.after, self.n_closed = clock, list(polls), None, 0
        self.number = 0

    def poll(self, rows_max, wait_us):
        if not self.polls:
            return None
        lines = self.polls.pop(0)
        if lines is None:
            self.clock.advance_us(TICK_AFTER_US)
            lines = []
        first = self.number + 1
        self.number += len(lines)
        return Messages(
            lines,
            [f"-:{k}" for k in range(first, self.number + 1)],
            np.full(len(lines), self.clock.now_us(), np.int64),
        )

    def resume_after(self, position):
        self.after = position

    def commit(self, position):
        pass

    def close(self):
        self.n_closed += 1


class Engine:
    """A whole engine on a folder, with commands; `run` returns what stands in the streams."""

    def __init__(self, root, polls=()):
        self.root, self.control = root, root / "control"
        self.clock = ManualClock(NOW_US)
        self.source = Given(self.clock, polls)
        self.engine = None

    @property
    def runner(self):
        return self.engine.runner

    def open(self, **more):
        setup = more.pop("setup", None) or banking.shipped_setup()
        self.engine = open_engine(
            RealDisk(), self.root, self.source, setup, self.clock,
            rows_max=64, control=True, threaded=False, **more,
        )  # fmt: skip
        return self.engine

    def run(self, stopped=False):
        engine = self.open()
        with StopRequest() as stop, Progress(None, "msg") as progress:
            stop.is_set = stopped
            engine.runner.run(progress, stop)
        engine.close()
        return {
            p.stem: [json.loads(line) for line in p.read_bytes().splitlines()]
            for p in self.root.glob("*.ndjson")
        }

    def newest(self):
        disk = RealDisk()
        return snapshots.read(disk, self.root, snapshots.numbers(disk, self.root)[-1])


def drop(folder, name, content):
    folder.mkdir(parents=True, exist_ok=True)
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / name).write_bytes(raw)


def answer(folder, name):
    return json.loads((folder / f"{name}.answer").read_text())


def pay(k, **more):
    return factories.line(factories.message(transaction_id=f"t-{k}", **more))


RESTRICT = {
    "kind": "command",
    "command": "restrict",
    "entity": {"account": "A1"},
    "level": "no_debit",
    "for": "24h",
    "by": "m.keller",
    "reason": "called by the police",
}


# ---------------------------------------------------------------- files


def test_files_are_taken_once_in_the_order_of_their_names(tmp_path):
    for name in ("b", "a", "c"):
        drop(tmp_path, f"{name}.json", {"name": name})
    drop(tmp_path, "d.json.tmp", {"name": "not yet"})
    control = Control(tmp_path)
    taken = control.take(2)
    assert [json.loads(f.line)["name"] for f in taken] == ["a", "b"], "no more than asked for"
    taken += control.take(2)
    assert control.take(2) == [], "what is in hand is not taken again"
    for file in taken:
        control.finish(file, {"seq": 1})
    names = {p.name for p in tmp_path.iterdir() if p.suffix != ".answer"}
    assert names == {"a.taken", "b.taken", "c.taken", "d.json.tmp"}
    assert control.take(2) == []


@pytest.mark.parametrize(
    ("name", "folder", "what"),
    [
        ("n" * 248 + ".json", "", "its name is too long"),
        (".json", "", "it has no name"),
        ("a.json", "a.taken", "`a.taken` is no file"),
        ("a.json", "a.answer", "`a.answer` is no file"),
    ],
    ids=["long", "nameless", "taken", "answer"],
)
def test_a_command_that_could_not_be_answered_is_not_taken_and_ends_nothing(
    tmp_path, capsys, name, folder, what
):
    """Journaled, it would end the engine when it is renamed or answered, and at every start again."""
    control = tmp_path / "control"
    drop(control, name, RESTRICT)
    drop(control, "z.json", RESTRICT)
    if folder:
        (control / folder).mkdir()
    streams = Engine(tmp_path, [[pay(1)]]).run()
    assert len(streams["decisions"]) == 1
    assert answer(control, "z")["ok"]
    assert (control / name).is_file(), "it stays where it is"
    told = capsys.readouterr().err
    assert told.count(f"warning: {control / name}: the command is not taken: {what}") == 1


def test_thousands_of_commands_dropped_at_once_do_not_hold_up_transactions(tmp_path):
    """Each costs several syncs: 4,000 in one round kept transactions waiting for 20 s."""
    n = 2 * COMMANDS_MAX + 1
    for k in range(n):
        drop(tmp_path / "control", f"c{k:03d}.json", RESTRICT)
    streams = Engine(tmp_path, [[pay(1)]]).run()
    assert max(line["n"] for line in streams["delivery"]) <= COMMANDS_MAX
    assert len(list((tmp_path / "control").glob("*.answer"))) == n


def test_a_command_put_in_the_place_of_one_in_hand_is_taken_as_another(tmp_path):
    drop(tmp_path, "a.json", {"name": 1})
    control = Control(tmp_path)
    (first,) = control.take(9)
    drop(tmp_path, "a.json", {"name": 2})
    control.finish(first, {"seq": 1})
    (second,) = control.take(9)
    assert json.loads(second.line) == {"name": 2}


def test_a_command_taken_back_after_it_was_read_is_answered_all_the_same(tmp_path):
    drop(tmp_path, "a.json", {"name": 1})
    control = Control(tmp_path)
    (file,) = control.take(9)
    file.path.unlink()
    control.finish(file, {"seq": 1})
    assert answer(tmp_path, "a") == {"seq": 1}


def test_a_command_on_several_lines_becomes_one_line(tmp_path):
    drop(tmp_path, "a.json", b'\n{\r\n "command":\n "release"\n}\n')
    (file,) = Control(tmp_path).take(9)
    assert b"\n" not in file.line
    assert json.loads(file.line) == {"kind": "command", "command": "release"}


def test_folders_pipes_and_broken_links_are_left_alone(tmp_path):
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere")
    assert Control(tmp_path).take(9) == []


def test_of_a_huge_file_no_more_is_read_than_shows_that_it_is_huge(tmp_path):
    drop(tmp_path, "a.json", b"x" * (3 * BYTES_MAX))
    (file,) = Control(tmp_path).take(9)
    assert len(file.line) == BYTES_MAX + 1


def test_an_answer_stands_beside_its_command_whole(tmp_path):
    drop(tmp_path, "a.b.json", {})
    control = Control(tmp_path)
    (file,) = control.take(9)
    control.finish(file, {"ok": True, "seq": 3})
    assert answer(tmp_path, "a.b") == {"ok": True, "seq": 3}
    assert not list(tmp_path.glob("*.new"))


# ---------------------------------------------------------------- commands in a running engine


def test_a_command_is_answered_and_holds_from_the_next_message_on(tmp_path):
    engine = Engine(tmp_path, [[pay(1)], None, [pay(2)]])
    drop(engine.control, "freeze.json", RESTRICT)
    streams = engine.run()
    got = answer(engine.control, "freeze")
    assert got["ok"] is True
    first, second = streams["decisions"]
    assert first["restrictions"] == []
    assert second["restrictions"] == [got["restriction_id"]]
    assert second["decision"] == "hold"
    assert got["seq"] == 2, "after the payment and the tick of a silent second"


def test_a_command_dropped_in_before_the_last_message_is_answered_too(tmp_path):
    engine = Engine(tmp_path)
    drop(engine.control, "a.json", RESTRICT)
    engine.run()
    got = answer(engine.control, "a")
    assert (got["ok"], got["what"]) == (False, "no event has told the engine what time it is")


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("typo", b'{"kind":"command",', "not JSON: Input data was truncated"),
        ("empty", b"", "the line is empty"),
        ("number", b"17", "the message is JSON, but no object: int"),
        ("noise", b"\xff\xfe\x00", "byte 0 is not UTF-8"),
        ("bare", {"kind": "command"}, "there is no command `None`"),
        ("list", {"kind": "command", "command": ["release"]}, "there is no command `['release']`"),
        ("object", {"kind": "command", "command": {}}, "there is no command `{}`"),
        ("known", {"kind": "command", "account": "A1"}, "there is no command `None`"),
        ("other", {"kind": "command", "command": "relaese"}, "there is no command `relaese`"),
        ("nameless", {"kind": "command", "command": "release"}, "`by` is missing"),
        (
            "huge",
            b'{"kind":"command","command":"release","by":1e999}',
            "a number that cannot be read: Number out of range - at `$[...]`",
        ),
        ("deep", b"[" * 9_000, "more than 64 brackets are open at once"),
        (
            "tick",
            {"kind": "tick", "event_time": "2099-01-01T00:00:00Z"},
            "`kind` must be one of transaction, activity, label, update, profile, command, was `tick`",
        ),
        (
            "large",
            b"x" * (BYTES_MAX + 1),
            "the message has 1048577 bytes, at most 1048576 are read",
        ),
    ],
    ids=lambda v: v if isinstance(v, str) and " " not in v else "",
)
def test_what_cannot_be_done_is_answered_with_what_to_do(tmp_path, name, content, what):
    engine = Engine(tmp_path, [[pay(1)], [pay(2)]])
    drop(engine.control, f"{name}.json", content)
    streams = engine.run()
    got = answer(engine.control, name)
    assert (got["ok"], got["what"]) == (False, what)
    assert got["fix"]
    assert len(streams["decisions"]) == 2, "the stream goes on"


def test_other_messages_may_be_dropped_in_too(tmp_path):
    engine = Engine(tmp_path, [[pay(1)]])
    drop(engine.control, "verdict.json", factories.label(transaction_id="t-1"))
    engine.run()
    assert answer(engine.control, "verdict") == {
        "seq": 1,
        "command": None,
        "ok": True,
        "kind": "label",
    }


def test_a_command_with_known_keys_is_one_however_many_messages_came_before(tmp_path):
    """The struct learns the keys it meets; once it knew all of a command's, the command had no object."""
    keys = {key: "x" for key in RESTRICT if key != "kind"}
    engine = Engine(tmp_path, [[pay(1, **keys)], [pay(2, **keys)], [factories.line(RESTRICT)]])
    streams = engine.run()
    assert [r["verb"] for r in streams["commands"]] == ["restrict"]


# ---------------------------------------------------------------- the runner


def test_silence_becomes_ticks_and_ticks_move_core_time(tmp_path):
    engine = Engine(tmp_path, [[pay(1)], None, None, []])
    engine.run()
    assert engine.runner.core.seq == 3
    assert engine.runner.core.core_us == NOW_US + 2 * TICK_AFTER_US


def test_positions_of_commands_and_ticks_are_not_gone_on_from(tmp_path):
    engine = Engine(tmp_path, [[pay(1), pay(2)], None])
    drop(engine.control, "a.json", RESTRICT)
    engine.run()
    assert engine.newest().position == "-:2"


def test_a_run_goes_on_where_the_one_before_stopped(tmp_path):
    Engine(tmp_path, [[pay(1)], [pay(2)]]).run()
    engine = Engine(tmp_path, [[pay(3), pay(1)]])
    streams = engine.run()
    assert engine.source.after == "-:2"
    assert [d["seq"] for d in streams["decisions"]] == [0, 1, 2]
    assert [d["first_seq"] for d in streams["duplicates"]] == [0]
    assert engine.runner.totals.counts["messages"]["all"] == 4
    assert engine.runner.resumed_from.counts["messages"]["all"] == 2


def test_another_configuration_is_not_gone_on_with_where_none_may_be_adopted(tmp_path):
    Engine(tmp_path, [[pay(1)]]).run()
    other = read_setup(BANK, lateness="1h")
    with pytest.raises(StateError, match="was written with configuration sha256:"):
        Engine(tmp_path).open(setup=other, may_reconfigure=False)


def test_a_stop_ends_the_run_after_the_batch_at_hand(tmp_path):
    engine = Engine(tmp_path, [[pay(1)], [pay(2)]])
    engine.run(stopped=True)
    assert engine.runner.core.seq == 0
    assert engine.newest().orderly


def test_a_command_without_a_kind_is_a_command(tmp_path):
    """Dropped in here, what else could it be; without this it was read as a transaction."""
    drop(tmp_path / "control", "a.json", {k: v for k, v in RESTRICT.items() if k != "kind"})
    engine = Engine(tmp_path, [[pay(1)]])
    engine.run()
    assert answer(tmp_path / "control", "a")["ok"] is True
