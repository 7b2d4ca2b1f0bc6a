"""Do window features cost the same after 10,000 events and after 10,000,000, and how much memory do they take?

    python -m benchmarks.bench_scale [--smoke] [--json]

- History: steady traffic for ten weeks, 1 % of it out of order; microseconds an event over the second half of each
  history (the short ones several times, each from nothing), and the memory in use week by week. Devices come and go:
  one event in twenty is of a device never seen before, and those of before fade away. All other keys have the same
  entities for ever.
- History of full windows: the same features at a rate at which a week holds 5,000 events, of 1,000 entities a key, so
  that every window is full before the clock starts, whatever the length. What grows is the history and nothing else: in
  the first curve the windows fill and the state outgrows the caches, too.
- Longer windows: the same rows, with every window and lag as declared and 10 times as long; full in both cases.
- A million accounts: entities numbered as they appear, batches of 256, until windows of a week have been full for a
  week. What is allocated (the words of state in use, room kept free in segments among them), what the process grew by,
  and the longest batch on the way. Values kept for quantiles are beside the limits, which do not speak of them.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np

from benchmarks import measuring
from benchmarks.windowing import (
    DAY_US,
    DISTINCT,
    ENTITIES,
    FORTY,
    HOT,
    LATENESS_US,
    QUANTILES,
    START_US,
    TWO_HUNDRED,
    Ours,
    Wanted,
    longer,
    make_stream,
)
from engine.windows.kernels import layout as at

CHUNK = 1 << 17  # rows of a stream that are made at once
BATCH, SMALL_BATCH = 2_048, 256
LATE = 0.01
WEEK_US, WEEKS = 7 * DAY_US, 10
FRESH_DEVICE_EVERY = 20  # events
FULL_EVENTS, FULL_ENTITIES = (
    5_000,
    1_000,
)  # in the longest window, and of each key, of the curve with full windows
FLAT = 1.25  # times the cost of a short history or window that still counts as flat
STEADY = 1.1  # times the memory of the second week that still counts as not growing
FIXED, DEVICES = ("records_mb", "events_mb"), ("devices_mb", "device_events_mb")
STALL_MS = 20.0
ACCOUNT_BYTES, EVENT_BYTES, DISTINCT_BYTES = 3_000, 220, 60
PER_ACCOUNT = {"account": 1.0, "card": 1.0, "device": 1.2, "merchant": 0.05, "customer": 0.9}
MILLION = [
    *FORTY,
    *(Wanted("count_distinct", "account", days * DAY_US, "value") for days in (1, 3, 7)),
    *(Wanted("count_distinct", "merchant", days * DAY_US, "value") for days in (1, 7)),
    *QUANTILES,
]


def resident_bytes():
    """Memory of this process that is in use, or None where the system does not say."""
    path = Path("/proc/self/statm")
    if not path.is_file():
        return None
    import resource

    return int(path.read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def chunks(n, entities, step_us, codes=None):
    """A stream of `n` rows in pieces, which are the same however far one goes."""
    for first in range(0, n, CHUNK):
        stream = make_stream(CHUNK, entities, LATE, step_us=step_us, first=first, codes=codes)
        yield stream, min(CHUNK, n - first)


def with_fresh_devices(entities):
    def codes(rng, first, n):
        code = {key: rng.integers(0, k, n).astype(np.int32) for key, k in entities.items()}
        code["device"] += (np.arange(first, first + n) // FRESH_DEVICE_EVERY).astype(np.int32)
        return code

    return codes


class Appearing:
    """Codes numbered in the order in which entities appear, as the dictionaries of the engine do."""

    def __init__(self, entities):
        self.known = {key: np.full(k, -1, np.int32) for key, k in entities.items()}
        self.count = dict.fromkeys(entities, 0)

    def __call__(self, rng, _first, n):
        codes = {}
        for key, known in self.known.items():
            drawn = rng.integers(0, len(known), n)
            fresh, where = np.unique(drawn[known[drawn] < 0], return_index=True)
            fresh = fresh[np.argsort(where)]
            known[fresh] = self.count[key] + np.arange(len(fresh), dtype=np.int32)
            self.count[key] += len(fresh)
            codes[key] = known[drawn]
        return codes


# ---------------------------------------------------------------- history


def history(n):
    """Rows of the curve and of the weeks: one run over all `n` events, short histories beside it."""
    step_us = WEEKS * WEEK_US // n
    lengths = [k for k in (10_000, 100_000, 1_000_000, 10_000_000) if k <= n]
    curve = []
    for length in lengths[:-1]:
        times = [short(length, step_us) for _ in range(max(200_000 // length, 1))]
        curve.append((length, *np.mean(times, axis=0)))
    ours, digest = Ours(FORTY, ENTITIES), hashlib.sha256()
    before, done, cpu, clock, rows, timed = resident_bytes(), 0, 0.0, 0.0, 0, []
    weeks, n_week = [], n // WEEKS

    def seen(_, results):
        digest.update(results.tobytes())

    for stream, n_chunk in chunks(n, ENTITIES, step_us, with_fresh_devices(ENTITIES)):
        low = 0
        while low < n_chunk:
            high = min(n_chunk, low + n_week - done % n_week)
            timed = ours.feed(stream, low, high, BATCH, seen)
            done, low = done + high - low, high
            if done > n // 2:
                cpu, clock, rows = cpu + sum(timed.cpu), clock + sum(timed.clock), rows + timed.n
            if done % n_week == 0:
                weeks.append(week(ours, done, done // n_week, before))
    curve.append((n, cpu / rows * 1e6, clock / rows * 1e6))
    first = curve[0][1]
    rows = [
        {"history": k, "cpu_us": cpu, "clock_us": clock, "times": cpu / first}
        for k, cpu, clock in curve
    ]
    return rows, weeks, digest.hexdigest()[:16]


def full(n):
    """Rows of the curve whose windows are full all the time."""
    step_us = WEEK_US // FULL_EVENTS
    entities = dict.fromkeys(ENTITIES, FULL_ENTITIES)
    rows = []
    for length in [k for k in (10_000, 100_000, 1_000_000, 10_000_000) if k <= n]:
        times = [short(length, step_us, entities) for _ in range(max(200_000 // length, 1))]
        cpu, clock = np.mean(times, axis=0)
        times_first = cpu / rows[0]["cpu_us"] if rows else 1.0
        rows.append({"history": length, "cpu_us": cpu, "clock_us": clock, "times": times_first})
    return rows


def short(length, step_us, entities=None):
    """Processor and clock us an event, of the second half of a history; without `entities`, devices come and go."""
    of, codes = entities or ENTITIES, None if entities else with_fresh_devices(ENTITIES)
    ours, done, cpu, clock = Ours(FORTY, of), 0, 0.0, 0.0
    for stream, n in chunks(length, of, step_us, codes):
        half = min(max(length // 2 - done, 0), n)
        ours.feed(stream, 0, half, BATCH)
        timed = ours.feed(stream, half, n, BATCH)
        cpu, clock, done = cpu + sum(timed.cpu), clock + sum(timed.clock), done + n
    return cpu / (length - length // 2) * 1e6, clock / (length - length // 2) * 1e6


def week(ours, events, number, resident_before):
    parts = {name.split(".")[0]: allocated(log) for name, log in ours.windows.logs.items()}
    device = parts.pop("device")
    now = resident_bytes()
    return {
        "week": number,
        "events": events,
        "records_mb": sum(p["record"] for p in parts.values()) / 1e6,
        "events_mb": sum(p["log"] for p in parts.values()) / 1e6,
        "devices_mb": device["record"] / 1e6,
        "device_events_mb": device["log"] / 1e6,
        "resident_mb": None if now is None else (now - resident_before) / 1e6,
    }


def allocated(log):
    """Bytes of the state in use of one event log: records and where they are, events, tables, sorted values."""
    note, plan = log.state.note, log.plan
    slots = int(note[at.SLOTS])
    record = log.state.record[: slots * log.width].reshape(slots, log.width)
    found = {
        "record": record.nbytes + 4 * int(note[at.PLACES]),
        "log": int(note[at.LOG_FREE]) * log.event_width * 8,
        "pool": int(note[at.POOL_FREE]) * 8,
        "slots": slots,
    }
    for name, table, width, place in (
        ("distinct", at.GROUPS, at.GROUP_ROW, at.G_AT),
        ("sorted", at.ORDERS, at.ORDER_ROW, at.O_AT),
    ):
        rows = range(int(plan[table]), int(plan[table + 1]), width)
        klass = [record[:, int(plan[row + place]) + 1] for row in rows]
        found[name] = int(sum((np.int64(8) << k[k > 0]).sum() for k in klass))
    return found


# ---------------------------------------------------------------- longer windows


def windows_ten_times(n):
    """Rows of the table: microseconds an event with windows as declared and 10 times as long, both full."""
    some = {key: max(k // 20, 20) for key, k in ENTITIES.items()}
    step_us = 2 * 10 * WEEK_US // n
    what = (
        ("40 features over 5 keys", FORTY, some),
        ("40 features over 5 keys, 200 entities each", FORTY, dict.fromkeys(ENTITIES, 200)),
        ("200 features over the same pairs", TWO_HUNDRED, some),
        ("5 distinct counts", DISTINCT, some),
        ("5 distinct counts, 200 entities", DISTINCT, HOT),
        ("2 quantiles", QUANTILES, some),
        ("2 quantiles, 200 entities", QUANTILES, HOT),
    )
    rows = []
    for name, features, entities in what:
        stream = make_stream(n, entities, LATE, step_us=step_us)
        took = []
        for times in (1, 10):
            ours = Ours(longer(features, times), entities)
            ours.feed(stream, 0, n // 2, BATCH)
            took.append(ours.feed(stream, n // 2, n, BATCH))
        n_entities = entities[features[0].key]
        rows.append(
            {
                "features": name,
                "in_window": n / 20 / n_entities,
                "cpu_us": took[0].cpu_us,
                "cpu_us_longer": took[1].cpu_us,
                "times": took[1].cpu_us / took[0].cpu_us,
            }
        )
    return rows


# ---------------------------------------------------------------- a million accounts


def million(n_accounts):
    """Tables of the memory by key, of the limits with what was found, and of the longest batches."""
    entities = {key: max(int(k * n_accounts), 20) for key, k in PER_ACCOUNT.items()}
    n = 4 * n_accounts
    step_us = 2 * WEEK_US // n
    ours, codes = Ours(MILLION, entities), Appearing(entities)
    clock, cpu, kept, done = [], [], [], 0
    before = resident_bytes()
    for stream, n_chunk in chunks(n, entities, step_us, codes):
        timed = ours.feed(stream, 0, n_chunk, SMALL_BATCH)
        clock += timed.clock
        cpu += timed.cpu
        done += n_chunk
        young = stream.time_us[:n_chunk] > START_US + done * step_us - WEEK_US - LATENESS_US
        if young.any():
            keys = [stream.code[key][:n_chunk][young] for key in ("account", "merchant")]
            kept.append((*keys, stream.value[:n_chunk][young], stream.time_us[:n_chunk][young]))
    now = resident_bytes()
    end_us = START_US + (n - 1) * step_us
    account, merchant, value, time_us = (np.concatenate(c) for c in zip(*kept, strict=True))
    n_kept = int((time_us > end_us - WEEK_US - LATENESS_US).sum())
    inside = time_us > end_us - WEEK_US
    n_distinct = sum(
        len(np.unique(key[inside].astype(np.int64) << 32 | value[inside]))
        for key in (account, merchant)
    )
    by_key = {name.split(".")[0]: allocated(log) for name, log in ours.windows.logs.items()}
    total = {name: sum(p[name] for p in by_key.values()) for name in by_key["account"]}
    rows = [
        {
            "key": key,
            "entities": p["slots"],
            "record_bytes": p["record"] / p["slots"],
            "records_mb": p["record"] / 1e6,
            "events_mb": p["log"] / 1e6,
            "event_bytes": p["log"] / n_kept,
            "tables_mb": p["distinct"] / 1e6,
            "sorted_mb": p["sorted"] / 1e6,
            "left_mb": (p["pool"] - p["distinct"] - p["sorted"]) / 1e6,
        }
        for key, p in by_key.items()
    ]
    everything = total["record"] + total["log"] + total["pool"]
    allowed = ACCOUNT_BYTES * n_accounts + EVENT_BYTES * n_kept + DISTINCT_BYTES * n_distinct
    distinct_bytes = total["distinct"] + sum(r["left_mb"] for r in rows) * 1e6
    order = np.sort(clock)
    limits = [
        ("bytes an account", ACCOUNT_BYTES, total["record"] / n_accounts),
        ("bytes a retained event, over all keys", EVENT_BYTES, total["log"] / n_kept),
        ("bytes a distinct value kept", DISTINCT_BYTES, distinct_bytes / n_distinct),
        ("MB allocated in all", round(allowed / 1e6), everything / 1e6),
    ]
    if now is not None:
        limits.append(("MB the process grew by", round(allowed / 1e6), (now - before) / 1e6))
    limits += [
        ("longest batch, ms on the clock", STALL_MS, float(order[-1]) * 1e3),
        ("longest batch, ms of the processor", STALL_MS, max(cpu) * 1e3),
        ("batch p99.9, ms on the clock", STALL_MS, float(order[int(len(order) * 0.999)]) * 1e3),
    ]
    return (
        rows,
        [{"what": what, "limit": limit, "found": found} for what, limit, found in limits],
        {
            "accounts": n_accounts,
            "events": n,
            "retained_events": n_kept,
            "distinct_values": n_distinct,
            "batches": len(clock),
            "batches_over_20_ms": int((order * 1e3 > STALL_MS).sum()),
            "batches_over_20_ms_of_processor": sum(t * 1e3 > STALL_MS for t in cpu),
        },
    )


def main(argv=None):
    given = measuring.arguments(
        __doc__, argv, real=10_000_000, smoke=100_000, of="events of the longest history"
    )
    n = given.n
    for features in (FORTY, TWO_HUNDRED, DISTINCT, QUANTILES, MILLION):
        warm = dict.fromkeys(ENTITIES, 100)
        Ours(features, warm).feed(make_stream(4_096, warm, LATE), 0, 4_096, 1_024)
    memory, limits, sizes = million(max(n // 10, 1_000))
    rows, weeks, digest = history(n)
    filled = full(n)
    times = windows_ten_times(max(n // 25, 20_000))
    limits += [
        {"what": what, "limit": limit, "found": found}
        for what, limit, found in (
            ("us an event, longest history over shortest", FLAT, rows[-1]["times"]),
            ("the same, windows full all the time", FLAT, filled[-1]["times"]),
            ("us an event, windows 10 times as long", FLAT, times[0]["times"]),
            ("memory of week 10 over week 2, keys that stay", STEADY, grown(weeks, FIXED)),
            ("memory of week 10 over week 2, devices", STEADY, grown(weeks, DEVICES)),
        )
    ]
    workload = (
        f"{n:,} events in ten weeks, {', '.join(f'{k:,} {key}s' for key, k in ENTITIES.items())}, 1 % out of order, "
        f"40 features over 5 keys; {sizes['accounts']:,} accounts, {sizes['events']:,} events in two weeks, "
        f"{len(MILLION)} features"
    )
    return measuring.report(
        given,
        workload,
        rows,
        full=filled,
        longer=times,
        weeks=weeks,
        memory=memory,
        limits=limits,
        **sizes,
        sha256=digest,
    )


def grown(weeks, names):
    """Memory of the last week as a multiple of that of the second, whose windows are the first to be full."""
    last, second = (sum(week[name] for name in names) for week in (weeks[-1], weeks[1]))
    return last / second


if __name__ == "__main__":
    sys.exit(main())
