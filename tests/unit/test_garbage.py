"""What a run leaves behind in circles is gone before the next one begins."""

import gc
import weakref

import pytest

from engine.garbage import rare_collection


@pytest.fixture(autouse=True)
def nothing_is_left_out():
    """As in a process that begins; the test run itself leaves out what it has imported."""
    n_left_out = gc.get_freeze_count()
    gc.unfreeze()
    yield
    if n_left_out:
        gc.freeze()


class Held:
    """In a circle with itself, as a core that is done with is."""

    def __init__(self):
        self.itself = self


def test_a_second_run_does_not_hold_what_the_first_has_left():
    gc.disable()  # or a look by chance would find it
    try:
        with rare_collection():
            first = weakref.ref(Held())
        assert first() is not None
        with rare_collection():
            assert first() is None
    finally:
        gc.enable()


def test_what_is_there_when_a_run_begins_is_left_out_until_it_ends():
    with rare_collection():
        assert gc.get_freeze_count() > 0
        with rare_collection():  # within another one
            pass
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0
