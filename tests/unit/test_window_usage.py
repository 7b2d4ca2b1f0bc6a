"""What a running engine says of its memory: engine/windows/usage.py against a count by hand."""

from types import SimpleNamespace

from engine.windows.kernels import layout as at
from engine.windows.usage import as_line, as_summary, total_used_bytes, usage, usages
from tests.oracles.windows import Declared
from tests.unit.test_windows import row
from tests.windowing import Runner

WIDE = 10**9


def only_log(features, rows, **more):
    runner = Runner(features, 0, **more)
    runner.feed(rows)
    (log,) = runner.windows.logs.values()
    return runner, log


def test_entities_events_values_and_the_oldest_are_those_that_came():
    features = [
        Declared("count", ("account",), WIDE),
        Declared("quantile", ("account",), WIDE, argument="amount", level="0.5"),
    ]
    rows = [row(k, 1_000 + k, account=k % 3, amount=100.0 * k) for k in range(50)]
    rows.append(row(50, 1_050, account=None, amount=1.0))  # no key
    rows.append(row(51, 1_051, account=7, amount=1.0, passes=[False] * 5))  # counts for nothing
    _, log = only_log(features, rows)
    found = usage(log)
    assert (found.entities, found.events, found.values) == (3, 50, 50)
    assert found.oldest_us == 1_000


def test_what_has_left_every_window_and_was_swept_is_gone_from_the_numbers():
    count = Declared("count", ("account",), 100)
    rows = [row(k, 1_000 + k, account=0) for k in range(20)]
    rows += [row(20 + k, 5_000 + k, account=1) for k in range(20)]
    _, log = only_log([count], rows, sweep=(1, 8, 50))
    found = usage(log)
    assert found.events == 20
    assert found.oldest_us == 5_000
    assert found.entities == 1, "nothing needs to be known of the one that is idle"


def test_before_the_first_event_there_is_nothing():
    _, log = only_log([Declared("count", ("account",), 100)], [])
    found = usage(log)
    assert (found.entities, found.events, found.values, found.oldest_us) == (0, 0, 0, None)
    assert found.used_bytes == 8 * len(log.state.note)


def test_used_bytes_are_those_of_a_snapshot_and_reserved_ones_those_of_the_arrays():
    """Of pairs a snapshot keeps half of what they take: their chains are rebuilt."""
    features = [Declared("count", ("account", "payee"), WIDE, argument=None)]
    features.append(Declared("count_distinct", ("account", "payee"), WIDE, argument="merchant"))
    rows = [row(k, 1_000 + k, account=k % 5, payee=k % 7) for k in range(200)]
    _, log = only_log(features, rows)
    saved = log.save()
    pairs = len(saved["pairs0"])
    assert pairs == 35
    assert usage(log).used_bytes == sum(a.nbytes for a in saved.values()) + 8 * pairs
    assert usage(log).reserved_bytes == sum(a.nbytes for a in log.state)
    assert usage(log).entities == 35


def test_an_entity_that_changes_under_the_walk_is_left_out_of_the_search_for_the_oldest():
    """The page of metrics is made in another thread while events come in."""
    rows = [row(k, 1_000 + 100 * k, account=k) for k in range(4)]
    _, log = only_log([Declared("count", ("account",), WIDE)], rows)

    class Moving:
        """The log array, in which the first entity is moved just after its oldest event was read."""

        def __init__(self, array):
            self.array, self.nbytes = array, array.nbytes

        def __getitem__(self, at_words):
            read = self.array[at_words]
            log.state.record[at.START] += 1
            return read

    walked = SimpleNamespace(
        state=log.state._replace(log=Moving(log.state.log)),
        plan=log.plan, width=log.width, event_width=log.event_width, levels=log.levels,
    )  # fmt: skip
    assert usage(walked).oldest_us == 1_100


def test_the_summary_names_each_log_and_its_age_by_core_time():
    runner, log = only_log(
        [Declared("count", ("account",), WIDE)], [row(0, 1_000_000), row(1, 3_000_000)]
    )
    found = usages([runner.windows])
    told = as_summary(found, 5_000_000)
    (name,) = told
    assert name.startswith("0/account")
    assert (told[name]["events"], told[name]["oldest_seconds"]) == (2, 4.0)
    assert told[name]["used_bytes"] == total_used_bytes([runner.windows]) == usage(log).used_bytes
    assert as_line(told).startswith("2 events retained, ")
    assert as_line({}) == ""
