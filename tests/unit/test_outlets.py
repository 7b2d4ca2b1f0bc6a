"""Answers of core banking on their way into the journal, and what settings of sinks and registries refuse."""

import msgspec
import pytest

from config.errors import ConfigError
from config.outlets import RedisSettings, SinkSettings
from engine.clock import ManualClock
from engine.durable.disk import RealDisk
from engine.progress import Progress
from engine.runner import StopRequest
from engine.sinks.dispatching import Dispatcher
from engine.sinks.outbox import FILE, STREAM, Outbox
from engine.sinks.sink import ACKNOWLEDGED, AGAIN, Answer
from engine.sinks.tail import FolderTail
from replay.audit.inputs import read_inputs
from tests import factories
from tests.core_banking import command, write
from tests.unit.test_control import Engine

KEY = {"key_env": "WEIR_SINK_KEY"}


class Given:
    """Outlets that give what they were given, and note when they are told that it is durable."""

    def __init__(self, *answers, journal=lambda: ()):
        self.answers, self.journal, self.in_hand, self.kept = list(answers), journal, [], []

    def step(self):
        pass

    def withhold(self, before_seq):
        self.withheld_before = before_seq

    def take(self, n_max):
        self.in_hand, self.answers = self.answers[:n_max], self.answers[n_max:]
        return [(f"outbox/{id_}", line) for id_, line in self.in_hand]

    def done(self):
        self.kept.append((len(self.in_hand), [order.position for order in self.journal()]))

    @property
    def is_idle(self):
        return not self.answers


def answer(id_):
    order = {"kind": "command", "command": "acknowledge", "command_id": id_, "by": "core_banking"}
    return id_, msgspec.json.encode(order)


def run(engine, outlets):
    """An engine with `outlets`, to the end of its input."""
    opened = engine.open()
    opened.runner.outlets = outlets
    try:
        with StopRequest() as stop, Progress(None, "msg", quiet=True) as progress:
            opened.runner.run(progress, stop)
    finally:
        opened.close()


def test_answers_are_journaled_in_order_and_settled_only_then(tmp_path):
    engine = Engine(tmp_path / "out", [[factories.line(factories.message())], None])
    journal = lambda: read_inputs(tmp_path / "out").orders  # noqa: E731
    given = Given(answer("c-1"), answer("c-2"), journal=journal)
    run(engine, given)
    assert given.kept == [(2, ["outbox/c-1", "outbox/c-2"])], "told before it was durable"


def test_what_must_not_leave_is_asked_for_before_anything_is_started(tmp_path):
    engine = Engine(tmp_path / "out", [[factories.line(factories.message())], None])
    given = Given()
    run(engine, given)
    assert given.withheld_before > 10**9, "the settings say observe"


class Busy(Given):
    """Outlets whose last answer never comes."""

    is_idle = False


def test_at_the_end_of_the_input_answers_are_awaited_for_a_while_and_no_longer(tmp_path):
    engine = Engine(tmp_path / "out", [[factories.line(factories.message())]])
    run(engine, Busy())
    assert 10.0 <= engine.clock.monotonic_ns() / 1e9 < 11.0


class Slow:
    """A sink that answers when the test says so."""

    def __init__(self):
        self.answers = {}

    def send(self, command_id, _key, _body):
        return self.answers.get(command_id, Answer(AGAIN, "not yet"))

    def give_up(self):
        pass

    def close(self):
        pass


def test_what_the_engine_has_not_confirmed_is_sent_again_by_the_next_process(tmp_path):
    """Acknowledged, told, and the engine was killed before it could write it down."""
    write(tmp_path / STREAM, [command(0, "A"), command(1, "A")])
    sink, settings, clock = Slow(), SinkSettings(file="x"), ManualClock()
    sink.answers = {"c-0": Answer(ACKNOWLEDGED), "c-1": Answer(ACKNOWLEDGED)}

    def opened():
        tail, path = FolderTail(RealDisk(), tmp_path / STREAM), tmp_path / FILE
        outbox = Outbox(tail, RealDisk(), path, retry_first_us=1, retry_max_us=1, seed=1)
        return Dispatcher([outbox], [sink], settings, clock, lambda: None)

    def told(dispatcher):
        while not (found := dispatcher.step()):
            pass
        return found

    first = opened()
    [record] = told(first)
    assert record["record"]["command_id"] == "c-0"
    assert first.step() == [], "the next of the account waits until the answer is durable"
    clock.advance_us(1_000_000)
    first.step()
    second = opened()
    [again] = told(second)
    assert again["record"]["command_id"] == "c-0"
    second.confirm(again["n"])
    assert told(second)[0]["record"]["command_id"] == "c-1"


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({}, "either `file` or `webhook`"),
        ({"file": "a", "webhook": "https://b/"}, "either `file` or `webhook`"),
        ({"webhook": "http://core.bank/x", **KEY}, "must be an https address"),
        ({"webhook": "ftp://127.0.0.1/x", **KEY}, "must be an https address"),
        ({"webhook": "https://li:secret@core.bank/x", **KEY}, "must not hold a name or password"),
        ({"webhook": "https://core.bank/x"}, "needs `key_env` or `key_file`"),
        ({"file": "a", "timeout": "2m"}, "`timeout` must lie in"),
        ({"file": "a", "retry_first": "1ms"}, "`retry_first` must lie in"),
        ({"file": "a", "in_flight": 0}, "`in_flight` must lie in"),
    ],
)
def test_a_sink_that_could_not_be_trusted_is_refused(given, what):
    with pytest.raises(ConfigError, match=what):
        SinkSettings(**given)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"url": "http://127.0.0.1"}, "must be redis://"),
        ({"url": "redis://:secret@127.0.0.1/0"}, "must not hold a name or password"),
        ({"url": "redis://127.0.0.1/0", "prefix": "a*"}, "`prefix` must be"),
        ({"url": "redis://127.0.0.1/0", "timeout": "1h"}, "`timeout` must lie in"),
    ],
)
def test_a_registry_that_could_not_be_trusted_is_refused(given, what):
    with pytest.raises(ConfigError, match=what):
        RedisSettings(**given)
