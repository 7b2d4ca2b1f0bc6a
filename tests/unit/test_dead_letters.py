"""`weir dead-letters` over an output folder: what is listed, what is sent again, and what cannot be."""

import base64
import json

import pytest

from engine.app import Job, execute
from engine.brokers.files import FileSource
from engine.cli import main
from engine.cluster.partition import LINE_BYTES_MAX, without_message
from engine.setup import read_setup
from replay.dead_letters import letter_of, sorted_out
from tests.auditing import small_bank, small_traffic

LETTER = {"seq": 3, "position": "a.ndjson:4", "reason": "wrong_field", "what": "w", "fix": "f"}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("letters")
    setup = read_setup(small_bank(folder / "bank"))
    traffic = small_traffic(folder / "traffic.ndjson", 200)
    with traffic.open("ab") as file:
        file.write(b'{"transaction_id":"x","account":"A1","amount":"1",\n' * 2)
        file.write(b"\n[1, 2]\n")
    job = Job(setup, folder / "out", 64, inputs=("traffic",), quiet=True)
    execute(job, FileSource([traffic], setup.feed, setup.schema))
    return folder / "out"


def letters(out):
    return [json.loads(line) for line in (out / "dead_letters.ndjson").read_text().splitlines()]


def test_they_are_counted_by_reason_with_what_to_do(out, capsys):
    assert main(["dead-letters", "list", str(out)]) == 0
    said = capsys.readouterr().out
    for reason in {letter["reason"] for letter in letters(out)}:
        n = sum(letter["reason"] == reason for letter in letters(out))
        assert f"{n:>8,}  {reason}" in said
    assert letters(out)[-1]["fix"] in said


def test_a_line_for_each_says_nothing_personal_unless_it_is_revealed(out, capsys):
    assert main(["dead-letters", "list", str(out), "--json"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [x["seq"] for x in shown] == [x["seq"] for x in letters(out)]
    assert not any({"message", "what"} & x.keys() for x in shown)
    main(["dead-letters", "list", str(out), "--json", "--reveal", "--reason", "not_an_object"])
    assert json.loads(capsys.readouterr().out)["message"] == "[1, 2]"
    assert (out / "access.ndjson").read_text().count('"dead-letters list"') >= 2


def test_nothing_is_sent_unless_it_is_asked_for(out, tmp_path, capsys):
    """The same bytes, each message once; what cannot be sent is said, and the status tells."""
    assert main(["dead-letters", "redrive", str(out)]) == 1
    said = capsys.readouterr()
    assert not said.out
    assert "nothing was sent" in said.err
    to = tmp_path / "again.ndjson"
    assert main(["dead-letters", "redrive", str(out), "--to", str(to)]) == 1
    able, not_able = sorted_out(map(letter_of, letters(out)))
    assert to.read_bytes().splitlines() == [x.message for x in able]
    broken = b'{"transaction_id":"x","account":"A1","amount":"1",'
    assert to.read_bytes().splitlines().count(broken) == 1
    assert {x.reason for x in not_able} >= {"empty_line"}
    told = capsys.readouterr().err
    assert "not sent: there is no message" in told
    assert main(["dead-letters", "redrive", str(out), "--reason", "not_an_object"]) == 0


def test_a_reason_that_is_none_is_refused(out, capsys):
    assert main(["dead-letters", "list", str(out), "--reason", "nonsense"]) == 2
    assert "name one of" in capsys.readouterr().err
    assert main(["dead-letters", "list"]) == 2
    assert main(["dead-letters", "redrive", str(out), "--send"]) == 2


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"message": "{}"}, ""),
        ({"message_base64": base64.b64encode(b"\xff").decode()}, ""),
        ({"message": "{}", "answered": True}, "answer already"),
        ({"message": "{}", "reason": "id_conflict"}, "another message"),
        ({"message": "{}", "reason": "too_large"}, "not kept"),
        ({"message": "a\nb"}, "line breaks"),
        ({"message": "{}", "position": "case-1 in/0@3"}, "not the input"),
        ({}, "too many for the topic"),
    ],
)
def test_what_cannot_be_sent_again_says_why(more, why):
    letter = letter_of(LETTER | more)
    assert why in letter.why_not
    assert bool(letter.why_not) == bool(why)
    assert sorted_out([letter])[bool(why)] == [letter]


def test_a_dead_letter_too_large_for_a_topic_goes_without_its_message():
    small = json.dumps(LETTER | {"message": "x"}).encode()
    assert without_message(small) == small
    large = json.dumps(LETTER | {"message": "x" * LINE_BYTES_MAX}).encode()
    told = json.loads(without_message(large))
    assert told == LETTER | {"message_bytes": len(large)}
    assert letter_of(told).why_not
