"""Proposals: who may approve what, what becomes of the others, and that state goes on after a snapshot."""

import msgspec
import pytest

from config.errors import InputError
from engine.proposals import ENDED_KEPT, ENGINE, PREFIX_MIN, Proposals

A, B, C = (f"sha256:{digit * 64}" for digit in "abc")
NOW = 1_772_445_609_000_000


def proposals(*, needs_approval=True):
    return Proposals("sha256:" + "0" * 64, needs_approval=needs_approval)


def tell(book, command, config=A, by="m.keller", seq=7, **more):
    record = {"kind": "command", "command": command, "config": config, "by": by, **more}
    return book.carry_out(record, seq, NOW)


def test_with_a_second_person_a_proposal_is_approved():
    book = proposals()
    answer = tell(book, "activate", folder="config/bank", reason="lower threshold")
    assert answer["state"] == "open"
    assert answer["awaiting"] == "a second person"
    assert tell(book, "approve", by="s.aydin")["state"] == "approved"
    assert book.find(A).approved_by == "s.aydin"


def test_where_nobody_needs_to_approve_it_is_approved_at_once():
    book = proposals(needs_approval=False)
    answer = tell(book, "activate")
    assert answer["state"] == "approved"
    assert "awaiting" not in answer


@pytest.mark.parametrize(
    "same",
    ["m.keller", "M.KELLER", " m.keller ", "m. keller", "\uff4d.keller", "m\u00a0.keller"],
)
def test_the_author_approves_nothing_however_the_name_is_spelled(same):
    book = proposals()
    tell(book, "activate")
    with pytest.raises(InputError, match="has proposed this configuration"):
        tell(book, "approve", by=same)
    assert book.find(A).state == "open"


def test_who_proposes_what_another_has_proposed_does_not_become_its_author():
    book = proposals()
    tell(book, "activate", by="m.keller")
    assert tell(book, "activate", by="s.aydin", seq=8)["by"] == "m.keller"
    with pytest.raises(InputError):
        tell(book, "approve", by="m.keller")
    assert tell(book, "approve", by="s.aydin")["state"] == "approved"


def test_the_engine_approves_nothing():
    book = proposals()
    tell(book, "activate")
    with pytest.raises(InputError, match="the engine itself"):
        tell(book, "approve", by="Weir")


def test_a_rejected_proposal_cannot_be_approved():
    book = proposals()
    tell(book, "activate")
    answer = tell(book, "reject_proposal", by="s.aydin", reason="too low")
    assert (answer["state"], answer["rejected_by"], answer["why"]) == (
        "rejected",
        "s.aydin",
        "too low",
    )
    with pytest.raises(InputError, match="no proposal is known"):
        tell(book, "approve", by="s.aydin")


def test_what_becomes_active_ends_the_others():
    book = proposals()
    for config in (A, B):
        tell(book, "activate", config)
        tell(book, "approve", config, by="s.aydin")
    book.activated(B, 11, needs_approval=False)
    assert (book.active, book.active_seq, book.needs_approval, book.live) == (B, 11, False, [])
    told = [(p.config, p.state, p.ended_by, p.why) for p in book.ended]
    assert told == [
        (B, "active", "", ""),
        (A, "rejected", ENGINE, "another configuration became active"),
    ]


def test_without_approval_the_latest_proposal_counts():
    book = proposals(needs_approval=False)
    tell(book, "activate", A)
    tell(book, "activate", B, seq=8)
    assert [p.config for p in book.live] == [B]
    assert book.ended[0].why == "a later proposal took its place"


def test_a_few_digits_name_a_proposal_if_they_name_one():
    book = proposals()
    near = A[:-1] + "b"
    tell(book, "activate", A)
    assert tell(book, "approve", "aaaaaa", by="s.aydin")["state"] == "approved"
    tell(book, "activate", near)
    for digits in ("aaaaaa", "aaaa", "", "bbbbbbbb"):
        with pytest.raises(InputError):
            tell(book, "approve", digits, by="s.aydin")
    assert tell(book, "approve", near, by="s.aydin")["state"] == "approved"


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("activate", {"config": "sha256:abc"}),
        ("activate", {"config": "sha256:" + "g" * 64}),
        ("activate", {"by": " "}),
        ("approve", {"by": ""}),
        ("reject_proposal", {"reason": ""}),
    ],
)
def test_what_is_not_said_is_asked_for(command, more):
    book = proposals()
    tell(book, "activate", B)
    with pytest.raises(InputError):
        tell(book, command, **({"config": B} | more))
    assert [p.state for p in book.live] == ["open"]


def test_a_hash_without_its_name_is_the_same_proposal_and_what_is_active_is_said():
    book = proposals()
    assert tell(book, "activate", A.removeprefix("sha256:"))["config"] == A
    assert tell(book, "activate", book.active)["state"] == "active"
    assert [p.config for p in book.live] == [A]


def test_a_wrong_type_is_no_crash():
    with pytest.raises(msgspec.ValidationError):
        tell(proposals(), "activate", A, folder=7)


def test_state_goes_on_after_a_snapshot():
    book = proposals()
    for config in (A, B, C):
        tell(book, "activate", config, reason="a reason")
    tell(book, "approve", B, by="s.aydin")
    tell(book, "reject_proposal", C, by="s.aydin", reason="no")
    again = proposals()
    again.load(book.save())
    assert (again.live, again.ended, again.active) == (book.live, book.ended, book.active)
    assert again.save()["state"].tobytes() == book.save()["state"].tobytes()
    with pytest.raises(InputError):
        tell(again, "approve", A, by="M.Keller")


def test_a_bounded_number_is_kept():
    book = proposals()
    for k in range(1, 2 * ENDED_KEPT):
        tell(book, "activate", f"sha256:{k:064x}", seq=k)
        tell(book, "reject_proposal", f"sha256:{k:064x}", by="s.aydin", reason="no")
    assert [p.seq for p in book.ended] == list(range(ENDED_KEPT, 2 * ENDED_KEPT))


def test_every_change_is_told_by_the_version():
    book = proposals()
    seen = [book.version]
    tell(book, "activate")
    seen.append(book.version)
    tell(book, "approve", by="s.aydin")
    seen.append(book.version)
    book.activated(A, 9, needs_approval=True)
    seen.append(book.version)
    assert sorted(set(seen)) == seen


@pytest.mark.parametrize("config", ["", "sha256:", "a", "a" * (PREFIX_MIN - 1)])
def test_too_few_digits_name_nothing_though_only_one_waits(config):
    """Nobody approves what they have not looked at by leaving the hash out."""
    book = proposals()
    tell(book, "activate", A)
    with pytest.raises(InputError, match="does not name one proposal"):
        tell(book, "approve", config, by="s.aydin")
    assert tell(book, "approve", "a" * PREFIX_MIN, by="s.aydin")["state"] == "approved"
