"""One action at a time beside the loop: begun, looked at, waited for."""

import threading

import pytest

from engine.durable.aside import Aside


@pytest.mark.parametrize("threaded", [True, False])
def test_an_action_is_done_when_wait_returns(threaded):
    aside, did = Aside("x", threaded=threaded), []
    aside.wait()
    for k in range(3):
        aside.begin(lambda k=k: did.append(k))
        aside.wait()
        assert did == list(range(k + 1))
        assert aside.is_done()
    aside.stop()
    aside.stop()


def test_it_runs_beside_and_is_looked_at_without_waiting():
    aside, go, here = Aside("x", threaded=True), threading.Event(), threading.current_thread()
    ran = []
    assert aside.is_done()
    aside.begin(lambda: (go.wait(60), ran.append(threading.current_thread())))
    assert not aside.is_done()
    assert not aside.is_done(within_us=1)
    go.set()
    assert aside.is_done(within_us=60_000_000)
    assert aside.is_done()
    aside.wait()
    assert ran
    assert ran[0] is not here
    aside.stop()


def test_without_a_thread_it_is_run_by_whoever_waits():
    aside, ran = Aside("x", threaded=False), []
    aside.begin(lambda: ran.append(threading.current_thread()))
    assert not aside.is_done(within_us=60_000_000)
    aside.wait()
    assert ran == [threading.current_thread()]


@pytest.mark.parametrize("threaded", [True, False])
@pytest.mark.parametrize("looks", [True, False])
def test_what_it_raised_is_raised_once_where_it_is_waited_for(threaded, looks):
    def fail():
        raise OSError(28, "No space left on device")

    aside = Aside("x", threaded=threaded)
    aside.begin(fail)
    if looks:
        aside.is_done(within_us=60_000_000)
    with pytest.raises(OSError, match="No space"):
        aside.wait()
    aside.begin(lambda: None)
    aside.wait()
    aside.stop()
