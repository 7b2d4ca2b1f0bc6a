"""The record of who looked: every call is on it, and whatever is done to it afterwards shows."""

import json
import multiprocessing

import pytest

from config.errors import StateError
from engine import cli
from engine.clock import ManualClock
from replay.audit import access
from replay.audit.access import FILE, read, record, report


@pytest.fixture
def log(tmp_path):
    """A folder in which three people have looked."""
    clock = ManualClock(1_772_445_609_000_000)
    for verb in ("verify", "explain", "access"):
        record(tmp_path, verb, {"day": "2026-03-02", "reveal": True}, by="auditor", clock=clock)
        clock.advance_us(1_000_000)
    return tmp_path


def test_a_call_is_on_record_with_who_when_and_what(log):
    first, second, third = read(log)
    assert (first.n, second.n, third.n) == (0, 1, 2)
    assert (first.at, first.by, first.verb) == ("2026-03-02T10:00:09Z", "auditor", "verify")
    assert first.arguments == {"day": "2026-03-02", "reveal": True}
    assert first.previous == ""
    assert (second.previous, third.previous) == (first.hash, second.hash)
    assert report(log).is_fine


def test_any_byte_that_is_flipped_shows_and_names_its_line(log):
    content = (log / FILE).read_bytes()
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1
        (log / FILE).write_bytes(changed)
        with pytest.raises(StateError) as error:
            read(log)
        line = content[:at].count(b"\n") + 1
        assert int(error.value.where.rpartition(":")[2]) <= line + 1, at


@pytest.mark.parametrize("change", ["drop", "swap", "repeat", "insert"])
def test_lines_taken_out_moved_or_put_in_show(log, change):
    one, two, three = (log / FILE).read_bytes().splitlines(keepends=True)
    content = {
        "drop": one + three,
        "swap": two + one + three,
        "repeat": one + two + two + three,
        "insert": one + b"{}\n" + two + three,
    }
    (log / FILE).write_bytes(content[change])
    assert not report(log).is_fine


def test_lines_cut_off_the_end_show_against_a_head_kept_elsewhere(log):
    head = read(log)[-1].hash
    assert report(log, head).is_fine
    one, _, _ = (log / FILE).read_bytes().splitlines(keepends=True)
    (log / FILE).write_bytes(one)
    assert report(log).is_fine
    assert not report(log, head).is_fine


def test_a_line_torn_by_a_crash_stays_and_shows_and_the_next_call_goes_on(log):
    with (log / FILE).open("ab") as file:
        file.write(b'{"n":3,"at":"20')
    record(log, "verify", {})
    assert b'{"n":3,"at":"20\n{"n":3' in (log / FILE).read_bytes()
    assert not report(log).is_fine


def _look(folder):
    for _ in range(20):
        record(folder, "verify", {})


def test_two_processes_that_look_at_once_make_one_chain(tmp_path):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(_look, [tmp_path, tmp_path])
    assert [call.n for call in read(tmp_path)] == list(range(40))


def test_the_command_records_itself_and_what_it_was_asked(tmp_path, capsys):
    (tmp_path / "decisions.ndjson").touch()
    assert cli.main(["audit", "exceptions", str(tmp_path), "--by", "m.keller"]) == 0
    assert cli.main(["audit", "access", str(tmp_path), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [call["verb"] for call in told["calls"]] == ["exceptions", "access"]
    assert told["calls"][0]["by"] == "m.keller"
    assert told["facts"]["head"] == read(tmp_path)[-1].hash
    assert cli.main(["audit", "access", str(tmp_path), "--head", "0" * 64]) == 1


def test_options_stand_on_record_as_they_were_written_and_only_those_given(tmp_path, capsys):
    (tmp_path / "decisions.ndjson").touch()
    cli.main(["audit", "reconcile", str(tmp_path), "--day", "2026-03-02", "--totals", "a.csv"])
    cli.main(["audit", "explain", str(tmp_path), "--rule", "R-1", "t-17"])
    capsys.readouterr()
    first, second = (call.arguments for call in read(tmp_path))
    assert first == {"day": "2026-03-02", "totals": ["a.csv"]}
    assert second == {"transaction": "t-17", "rule": "R-1", "events": 5}, "no seq was given"


def test_a_word_too_many_is_refused_and_does_not_replace_the_transaction(tmp_path, capsys):
    for words in (["explain", "t-17", "--rule", "R-1", "t-18"], ["verify", "--chain-only", "t-17"]):
        with pytest.raises(SystemExit):
            cli.main(["audit", words[0], str(tmp_path), *words[1:]])
        assert "unrecognized arguments: t-1" in capsys.readouterr().err


def test_a_folder_that_no_run_has_written_is_refused_and_stays_as_it_is(tmp_path, capsys):
    assert cli.main(["audit", "access", str(tmp_path)]) == 2
    assert "this is no output folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_read_but_reveals_nothing(tmp_path, capsys, monkeypatch):
    def refuse(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "decisions.ndjson").touch()
    monkeypatch.setattr(access, "record", refuse)
    assert cli.main(["audit", "exceptions", str(tmp_path)]) == 0
    assert "this call is not on record: Permission denied" in capsys.readouterr().err
    assert cli.main(["audit", "exceptions", str(tmp_path), "--reveal"]) == 2
    assert "who saw personal values must be on record" in capsys.readouterr().err
