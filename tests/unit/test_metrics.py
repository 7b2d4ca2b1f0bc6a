"""engine/metrics.py: what is counted is what the page shows."""

import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from config.errors import InputError
from engine.clock import ManualClock
from engine.memory import MemoryGuard
from engine.metrics import COUNTER, GAUGE, HISTOGRAM, Definition, Metrics
from engine.windows.usage import logs_of
from tests import banking, factories

SMALL = (
    Definition("weir_messages_total", COUNTER, "messages", "Messages.", "kind"),
    Definition("weir_fields_unknown_total", COUNTER, "values", "Unknown fields."),
    Definition("weir_late_total", COUNTER, "messages", "Late."),
    Definition("weir_seq", GAUGE, "records", "Records."),
    Definition("weir_batch_rows", HISTOGRAM, "rows", "Rows of a batch.", bounds=(1.0, 8.0)),
    Definition("weir_stage_seconds", HISTOGRAM, "seconds", "Time.", "stage", bounds=(0.001, 0.1)),
)


@pytest.fixture
def metrics():
    return Metrics(ManualClock(), SMALL)


def served(metrics: Metrics) -> dict[str, float]:
    """The page as Prometheus reads it: sample with its label -> value."""
    server = metrics.serve(0)
    try:
        url = f"http://127.0.0.1:{server.port}/metrics"
        page = urllib.request.urlopen(url, timeout=10).read().decode()
    finally:
        server.close()
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_counts_of_batches_add_up_by_label(metrics):
    metrics.count({"messages": {"transaction": 3, "label": 1}}, 4)
    metrics.count({"messages": {"transaction": 2, "tick": 0}}, 2)
    page = served(metrics)
    assert page["weir_messages_total transaction"] == 5
    assert page["weir_messages_total label"] == 1
    assert "weir_messages_total tick" not in page


def test_late_messages_are_counted_beside_their_kind_and_the_sum_is_no_kind(metrics):
    metrics.count({"messages": {"all": 3, "transaction": 2, "dead": 1, "late": 1}}, 3)
    found = metrics.snapshot()
    assert found["weir_messages_total"] == {"dead": 1, "transaction": 2}
    assert found["weir_late_total"] == {"": 1}


def test_what_is_kept_elsewhere_is_read_when_the_page_is(metrics):
    kept = {"A": 1}
    metrics.mirror("weir_messages_total", lambda: kept)
    metrics.mirror("weir_seq", lambda: {"": 7})
    kept["B"] = 2
    page = served(metrics)
    assert (page["weir_messages_total A"], page["weir_messages_total B"]) == (1, 2)
    assert page["weir_seq"] == 7


def test_names_from_the_data_are_summed_so_that_they_become_no_series(metrics):
    metrics.mirror("weir_fields_unknown_total", lambda: {"x_vendor": 2, "y_vendor": 3})
    assert metrics.snapshot()["weir_fields_unknown_total"] == {"": 5}
    assert served(metrics)["weir_fields_unknown_total"] == 5


def test_a_gauge_shows_its_last_value(metrics):
    metrics.set("weir_seq", 7)
    metrics.set("weir_seq", 5)
    assert served(metrics)["weir_seq"] == 5


def test_histogram_buckets_count_what_is_at_or_under_their_bound(metrics):
    for rows in (1, 2, 8, 9):
        metrics.observe("weir_batch_rows", rows)
    page = served(metrics)
    found = {name: value for name, value in page.items() if name.startswith("weir_batch")}
    assert found == {
        "weir_batch_rows_bucket 1": 1,
        "weir_batch_rows_bucket 8": 3,
        "weir_batch_rows_bucket +Inf": 4,
        "weir_batch_rows_count": 4,
        "weir_batch_rows_sum": 20,
    }


def test_a_lap_is_the_time_since_the_lap_before():
    clock = ManualClock()
    metrics = Metrics(clock, SMALL)
    watch = metrics.watch()
    clock.advance_us(2_000)
    watch.lap("decode")
    clock.advance_us(500_000)
    watch.lap("windows")
    assert metrics.snapshot()["weir_stage_seconds"] == {"decode": 0.002, "windows": 0.5}


def test_the_page_shows_the_memory_of_the_process(metrics):
    assert served(metrics)["process_resident_memory_bytes"] > 1_000_000


def test_a_metric_that_is_not_in_the_catalogue_is_a_mistake_of_ours(metrics):
    with pytest.raises(KeyError):
        metrics.count({"surprises": {"a": 1}}, 1)
    with pytest.raises(AssertionError):
        metrics.add("weir_seq", 1)
    with pytest.raises(AssertionError):
        metrics.add("weir_messages_total", -1, "label")
    with pytest.raises(AssertionError):
        metrics.observe("weir_stage_seconds", 0.1)


def test_a_port_that_is_taken_says_so(metrics):
    first = metrics.serve(0)
    try:
        with pytest.raises(InputError) as taken:
            metrics.serve(first.port)
    finally:
        first.close()
    assert (
        str(taken.value)
        .splitlines()[0]
        .startswith(f"`--metrics-port {first.port}` cannot be opened: ")
    )
    metrics.serve(first.port).close()


def test_the_memory_of_windows_is_on_the_page_log_by_log_and_beside_the_budget():
    core = banking.fresh_core()
    metrics = Metrics(ManualClock())
    guard = MemoryGuard(core, 4_000_000_000, resident=lambda: 123_000_000)
    metrics.show(core)
    metrics.show_memory(core, guard)
    before = metrics.snapshot()
    assert sum(before["weir_window_events"].values()) == 0
    lines = [
        factories.line(factories.message(transaction_id=f"t{k}", event_time=1_772_000_000_000 + k))
        for k in range(10)
    ]
    core.apply(lines, ["x"] * 10)
    assert metrics.snapshot()["weir_window_events"] == before["weir_window_events"], (
        "one walk serves a page"
    )
    metrics._clock.advance_us(2_000_000)
    found = served(metrics)
    held = {
        name.split()[1]: value
        for name, value in found.items()
        if name.startswith("weir_window_events ")
    }
    assert held.keys() == logs_of(core.windows).keys()
    assert held["0/account.0"] == 10
    assert found["weir_window_entities 0/account.0"] == 1
    assert found["weir_window_oldest_seconds 0/account.0"] == pytest.approx(0.009)
    used = sum(v for name, v in found.items() if name.startswith("weir_window_used_bytes "))
    assert found["weir_memory_bytes windows"] == used > 0
    assert found["weir_memory_bytes process"] == 123_000_000
    assert found["weir_memory_bytes budget"] == 4_000_000_000
    assert found["weir_memory_warnings_total"] == 0
