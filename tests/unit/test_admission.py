"""Admission: core time, lateness, repeats and links at their edges; real decoded batches, nothing behind them."""

import numpy as np
import pytest

from engine.admission import NEVER, Admission
from engine.batch import DEAD, DUPLICATE, LABEL, PROFILE, TRANSACTION, UPDATE
from engine.remembered import APPLIED, LATE, UNSCORABLE, Remembered
from tests import factories

DAY_US = 86_400_000_000
LATENESS_US, JUMP_US, FUTURE_US, HORIZON_US = 900_000_000, 30 * DAY_US, 300_000_000, 120 * DAY_US
T0 = 1_772_445_609_000_000  # 2026-03-02T10:00:09Z


def at(us):
    """An event time as text, to the microsecond."""
    return str(np.datetime64(us, "us")) + "Z"


def pay(id_="t-1", us=T0, **more):
    return factories.message(transaction_id=id_, event_time=at(us), **more)


def update(id_="u-1", **more):
    return {
        "kind": "update",
        "update_id": id_,
        "transaction_id": "t-1",
        "account": "A1",
        "status": "booked",
    } | more


class Gate:
    """An admission with its decoder: `pass_` gives the batch and what became of its rows."""

    def __init__(self, horizon_us=HORIZON_US):
        self.memory = Remembered(horizon_us, n_number=0, n_code=0, n_input=0)
        self.admission = Admission(
            self.memory, lateness_us=LATENESS_US, jump_us_max=JUMP_US, future_us_max=FUTURE_US
        )
        self.decoder, self.seq = factories.decoder(), 0

    def pass_(self, *messages, arrival_us=None, position="f:1"):
        lines = [m if isinstance(m, bytes) else factories.line(m) for m in messages]
        self.batch = self.decoder.decode(lines, [position] * len(lines), self.seq)
        self.seq += len(lines)
        arrivals = None if arrival_us is None else np.full(len(lines), arrival_us, np.int64)
        self.admitted = self.admission.admit(self.batch, arrivals)
        return self.admitted

    def reason(self, row=0):
        return self.batch.dead[row].reason if row in self.batch.dead else None

    @property
    def core_us(self):
        return self.admission.core_us


@pytest.fixture
def gate():
    return Gate()


# ---------------------------------------------------------------- core time


def test_core_time_is_the_newest_accepted_event_time_and_never_goes_back(gate):
    out = gate.pass_(pay("a", T0 + 5), pay("b", T0), pay("c", T0 + 9))
    assert out.core_us.tolist() == [T0 + 5, T0 + 5, T0 + 9]
    assert gate.core_us == T0 + 9


@pytest.mark.parametrize(("behind_us", "is_late"), [(LATENESS_US, False), (LATENESS_US + 1, True)])
def test_a_row_is_late_one_microsecond_beyond_the_lateness(gate, behind_us, is_late):
    out = gate.pass_(pay("a"), pay("b", T0 - behind_us))
    assert out.late.tolist() == [False, is_late]
    assert out.new.tolist() == [0, 1], "a late row is decided all the same"
    standing = gate.memory.arrays["standing"][:2].tolist()
    assert standing == [APPLIED, LATE if is_late else APPLIED]


@pytest.mark.parametrize(("ahead_us", "reason"), [(JUMP_US, None), (JUMP_US + 1, "time_jump")])
def test_a_recording_may_jump_so_far_and_not_a_microsecond_further(gate, ahead_us, reason):
    gate.pass_(pay("a"))
    gate.pass_(pay("b", T0 + ahead_us))
    assert gate.reason() == reason
    assert gate.core_us == (T0 if reason else T0 + ahead_us)


@pytest.mark.parametrize(("ahead_us", "reason"), [(FUTURE_US, None), (FUTURE_US + 1, "time_ahead")])
def test_a_live_event_may_lie_so_far_ahead_of_its_arrival(gate, ahead_us, reason):
    gate.pass_(pay("a", T0 + ahead_us), arrival_us=T0)
    assert gate.reason() == reason
    assert gate.core_us == (NEVER if reason else T0 + ahead_us)


FAR = "2099-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "wild",
    [
        pay("far"),
        factories.label(event_time=FAR),
        update(event_time=FAR),
        {"kind": "activity", "type": "login", "account": "A1", "event_time": FAR},
        {"kind": "profile", "account": "A1", "segment": "retail", "event_time": FAR},
    ],
    ids=lambda m: m.get("kind", "transaction"),
)
@pytest.mark.parametrize("arrival_us", [None, T0])
def test_no_kind_of_message_from_2099_moves_core_time(gate, wild, arrival_us):
    gate.pass_(pay(), arrival_us=arrival_us)
    wild = {**wild, "event_time": FAR}
    gate.pass_(wild, arrival_us=arrival_us)
    assert gate.reason() == ("time_jump" if arrival_us is None else "time_ahead")
    assert gate.batch.dead[0].fix
    assert gate.core_us == T0
    assert gate.batch.profiles == [], "what is refused sets nothing"


def test_a_tick_moves_core_time_but_only_from_inside(gate):
    gate.pass_(pay())
    tick = {"kind": "tick", "event_time": at(T0 + 1_000)}
    gate.pass_(tick, position="day.ndjson:7")
    assert (gate.reason(), gate.core_us) == ("unknown_kind", T0)
    gate.pass_(tick, position="tick")
    assert (gate.reason(), gate.core_us) == (None, T0 + 1_000)


def test_lines_that_mean_nothing_move_nothing_and_are_no_rows_of_their_own(gate):
    out = gate.pass_(pay(), b"{", b"", b"[1]", pay("x", amount="-1", us=T0 + 60))
    assert gate.core_us == T0
    assert out.entry.tolist() == [0, -1, -1, -1, 1], "only what can be answered is remembered"
    assert gate.memory.arrays["standing"][1] == UNSCORABLE


def test_a_label_without_a_time_before_all_events_does_not_begin_core_time(gate):
    """Once it did, at the year 1970; whatever followed was then a jump."""
    gate.pass_(pay(amount="-1"), factories.label(), update())
    assert gate.core_us == NEVER
    out = gate.pass_(pay("b"))
    assert (gate.reason(), out.new.tolist()) == (None, [0])


# ---------------------------------------------------------------- repeats


def test_the_same_content_is_a_duplicate_however_it_is_spelt(gate):
    gate.pass_(pay())
    again = b' {"amount":12.50,"type":"payment", "unheard_of":1, ' + factories.line(pay())[1:]
    out = gate.pass_(again)
    assert gate.batch.kind.tolist() == [DUPLICATE]
    assert out.first_seq == {0: 0}
    assert out.repeats == {0}


def test_the_same_identity_with_other_content_is_a_conflict_and_moves_nothing(gate):
    gate.pass_(pay())
    gate.pass_(pay(us=T0 + 60_000_000))
    assert (gate.reason(), gate.core_us) == ("id_conflict", T0)
    assert not gate.batch.dead[0].answerable, "it has its answer"
    gate.pass_(pay(), pay(account="A2"))
    assert gate.batch.kind.tolist() == [DUPLICATE, TRANSACTION], "one message is one leg"


def test_what_could_not_be_scored_is_answered_once_too(gate):
    out = gate.pass_(pay(amount="-1"), pay(amount="-1"), pay(amount="7.00"))
    assert gate.batch.kind.tolist() == [DEAD, DUPLICATE, DEAD]
    assert (gate.reason(0), gate.reason(1), gate.reason(2)) == ("wrong_amount", None, "id_conflict")
    assert out.first_seq == {1: 0}


def test_what_came_before_the_first_event_is_not_forgotten_at_it(gate):
    """Its core time was none, and so further back than any horizon."""
    gate.pass_(pay("early", amount="-1"), pay("b"))
    gate.pass_(pay("early", amount="-1"))
    assert gate.batch.kind.tolist() == [DUPLICATE]


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(
    ("after_us", "kind"), [(HORIZON_US - 1, DUPLICATE), (HORIZON_US, TRANSACTION)]
)
def test_a_transaction_is_forgotten_at_the_microsecond_of_the_horizon(after_us, kind, cut):
    gate = Gate()
    gate.admission.jump_us_max = 2 * HORIZON_US
    messages = [pay(), pay("later", T0 + after_us), pay()]
    if cut:
        for message in messages:
            out = gate.pass_(message)
        row = 0
    else:
        out, row = gate.pass_(*messages), 2
    assert gate.batch.kind[row] == kind
    assert bool(out.late[row]) == (kind == TRANSACTION), "and then comes as a late one"


# ---------------------------------------------------------------- labels and updates


@pytest.mark.parametrize("fact", [factories.label(), update()], ids=["label", "update"])
def test_a_fact_about_nothing_that_is_known_is_a_dead_letter(gate, fact):
    gate.pass_(pay("other"))
    gate.pass_({**fact, "event_time": at(T0 + 60)})
    assert (gate.reason(), gate.core_us) == ("unknown_transaction", T0)
    gate.pass_({**fact, "account": "A2", "transaction_id": "other"})
    assert gate.reason() == "unknown_transaction", "the account is part of the identity"


@pytest.mark.parametrize("fact", [factories.label(), update()], ids=["label", "update"])
@pytest.mark.parametrize(
    ("after_us", "reason"), [(HORIZON_US - 1, None), (HORIZON_US, "unknown_transaction")]
)
def test_a_fact_finds_its_transaction_until_the_horizon(fact, after_us, reason):
    gate = Gate()
    gate.admission.jump_us_max = 2 * HORIZON_US
    gate.pass_(pay(), pay("later", T0 + after_us), fact)
    assert gate.reason(2) == reason


@pytest.mark.parametrize("fact", [factories.label(), update()], ids=["label", "update"])
def test_facts_about_late_and_unscorable_transactions_find_them(gate, fact):
    out = gate.pass_(
        pay("now"), pay("t-1", T0 - LATENESS_US - 1), pay("t-2", amount="-1"),
        fact, {**fact, "transaction_id": "t-2"},
    )  # fmt: skip
    assert out.entry.tolist() == [0, 1, 2, 1, 2]
    assert out.links.tolist() == [3, 4]
    assert out.linked_from.tolist() == [-1, -1, -1, 1, -1]


@pytest.mark.parametrize("cut", [False, True])
def test_repeated_facts_are_duplicates_of_their_first_coming(cut):
    gate = Gate()
    fraud, genuine = factories.label(), factories.label(label="genuine")
    messages = [pay(), fraud, genuine, fraud, genuine, genuine, update(), update(), update("u-2")]
    kinds, first = [], {}
    for k, message in enumerate(messages):
        if cut:
            out = gate.pass_(message)
            kinds += gate.batch.kind.tolist()
            first |= {k + row: seq for row, seq in out.first_seq.items()}
    if not cut:
        first = gate.pass_(*messages).first_seq
        kinds = gate.batch.kind.tolist()
    assert kinds == [
        TRANSACTION, LABEL, LABEL, DUPLICATE, DUPLICATE, DUPLICATE, UPDATE, DUPLICATE, UPDATE,
    ]  # fmt: skip
    assert first == {3: 1, 4: 2, 5: 2, 7: 6}


def test_a_fact_takes_the_newest_columns_of_its_transaction_in_the_batch(gate):
    out = gate.pass_(
        pay(), update("u-1"), factories.label(), update("u-2"), factories.label(label="genuine")
    )
    assert out.linked_from.tolist() == [-1, 0, 1, 1, 3]
    assert out.decided_at.tolist() == [-1, 0, 0, 0, 0]
    out = gate.pass_(update("u-3"), update("u-4"))
    assert out.linked_from.tolist() == [-1, 0]
    assert out.decided_at.tolist() == [-1, -1]


def test_a_fact_is_never_late_and_moves_core_time(gate):
    out = gate.pass_(
        pay(), factories.label(event_time=at(T0 - 40 * DAY_US)), update(event_time=at(T0 + 60))
    )
    assert not out.late.any()
    assert gate.core_us == T0 + 60


def test_profiles_and_activities_behind_core_time_are_taken_but_only_activities_are_late(gate):
    old = at(T0 - DAY_US)
    out = gate.pass_(
        pay(),
        {"kind": "profile", "account": "A1", "segment": "retail", "event_time": old},
        {"kind": "activity", "type": "login", "account": "A1", "event_time": old},
        {"kind": "profile", "account": "A1", "segment": "sme"},
    )
    assert out.late.tolist() == [False, False, True, False]
    assert gate.batch.kind[1] == gate.batch.kind[3] == PROFILE
    assert [p.row for p in gate.batch.profiles] == [1, 3]
