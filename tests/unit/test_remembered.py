"""Remembered transactions: forgetting, growing, saving; who asks them stands in test_admission.py."""

import numpy as np
import pytest

from config.errors import StateError
from engine.remembered import NO_LABEL, Remembered, identities, identity

HORIZON = 1_000


def memory(**columns):
    return Remembered(HORIZON, **{"n_number": 1, "n_code": 1, "n_input": 2} | columns)


def enter(store, n, *, first=0, step=1):
    """Enter `n` transactions, one each `step` microseconds."""
    store.reserve(n)
    for k in range(first, first + n):
        entry = store.add(f"A{k}", k, k * step, k * step, 7 * k)
        store.arrays["number"][store.rows(np.array([entry])), 0] = k


def bytes_of(store, core_us):
    return {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in store.save(core_us).items()}


def test_an_entry_is_found_until_the_horizon_and_not_at_it():
    store = memory()
    enter(store, 1)
    assert store.find("A0", HORIZON - 1) == 0
    assert store.find("A0", HORIZON) == -1
    assert store.find("A1", 0) == -1


def test_new_entries_have_nothing_but_what_was_given():
    store = memory()
    enter(store, 3)
    store.reserve(1)
    store.add("x", 3, 3, 3, 0)
    assert np.isnan(store.arrays["number"][3]).all()
    assert store.arrays["code"][3].tolist() == [-1]
    assert store.arrays["label"][3] == NO_LABEL


def test_giving_back_room_changes_no_answer_and_no_saved_byte():
    tidy, hoarding = memory(), memory()
    enter(tidy, 20_000)
    enter(hoarding, 20_000)
    tidy.forget(19_999)
    assert len(tidy) == HORIZON
    assert len(hoarding) == 20_000
    for key in ("A0", "A18999", "A19000", "A19999"):
        assert tidy.find(key, 19_999) == hoarding.find(key, 19_999)
    assert bytes_of(tidy, 19_999) == bytes_of(hoarding, 19_999)
    entry = tidy.find("A19500", 19_999)
    assert tidy.arrays["number"][tidy.rows(np.array([entry])), 0].tolist() == [19_500.0]


def test_a_little_is_not_worth_giving_back():
    store = memory()
    enter(store, 2_000)
    store.forget(10_000)
    assert len(store) == 2_000


def test_an_identity_that_comes_again_after_it_was_forgotten_outlives_its_first_entry():
    store = memory()
    enter(store, 6_000)
    store.reserve(1)
    again = store.add("A0", 6_000, 6_000, 6_000, 99)
    store.forget(6_500)
    assert store.find("A0", 6_500) == again
    loaded = memory()
    loaded.load(store.save(6_500))
    assert loaded.find("A0", 6_500) == again


def test_the_store_goes_on_after_loading_as_if_it_had_never_been_saved():
    one = memory()
    enter(one, 500)
    assert one.tell(3, 11, 100) == -1
    assert one.tell(3, 12, 101) == -1
    other = memory()
    other.load(one.save(499))
    for store in (one, other):
        assert store.tell(3, 11, 200) == 100
        assert store.tell(3, 12, 201) == 101
        assert store.tell(4, 11, 202) == -1
        enter(store, 5_000, first=500)
    assert bytes_of(one, 5_499) == bytes_of(other, 5_499)


def test_facts_of_forgotten_transactions_go_with_them():
    store = memory()
    enter(store, 6_000)
    for digest in (1, 2, 3):
        store.tell(0, digest, 6_000 + digest)
    assert len(store.save(0)["facts"]) == 2, "the first one stands in a column"
    assert len(store.save(HORIZON)["facts"]) == 0
    store.forget(6_000)
    assert len(store.save(6_000)["facts"]) == 0


def test_an_empty_store_saves_and_loads():
    store, loaded = memory(), memory()
    loaded.load(store.save(-(2**60)))
    assert (len(loaded), loaded.find("", 0)) == (0, -1)
    enter(loaded, 1)
    assert loaded.find("A0", 0) == 0


def test_what_came_before_core_time_is_as_old_as_its_beginning():
    store = memory()
    store.reserve(2)
    store.add("early", 0, -1, -(2**61), 0)
    store.begin(5_000)
    store.add("first", 1, 5_000, 5_000, 0)
    assert store.find("early", 5_000 + HORIZON - 1) == 0
    assert store.find("early", 5_000 + HORIZON) == -1


def test_state_of_another_configuration_is_refused():
    store = memory()
    enter(store, 2)
    with pytest.raises(StateError) as error:
        memory(n_number=2).load(store.save(1))
    assert str(error.value) == (
        "saved transactions hold (1,) `number` columns, the configuration needs (2,)\n"
        "  why: features and model inputs of a transaction are kept as they were decided\n"
        "  fix: load with the configuration that saved, or start from the journal"
    )


def test_identities_cannot_run_into_each_other():
    assert identity("a", "bc") != identity("ab", "c")
    assert identities(["a", None], ["b", None])[0] == identity("a", "b")


def test_every_new_entry_is_missing_everywhere_however_room_was_made():
    """Rows made ready ahead survive growth, and room that was given back is made ready again."""
    store = memory()
    for first in range(0, 21_000, 7):
        store.reserve(7)
        for k in range(first, first + 7):
            at = store.add(f"A{k}", k, k, k // 3, 7 * k) - store.base
            assert store.arrays["label"][at] == NO_LABEL
            assert store.arrays["fact_seq"][at] == -1
            assert np.isnan(store.arrays["number"][at, 0])
            for name in ("label", "fact_seq", "number"):
                store.arrays[name][at] = 1
        store.forget(first // 3)
    assert store.base > 0
