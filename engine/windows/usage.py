"""How much memory the windows of a running engine use, and for what; for people and alarms, never for a decision.

Bytes are read from a few scalars of each log, so that they can be looked at between any two batches. How many entities,
events and values there are takes a walk over the records (0.1 us each); it is done when somebody asks, and may run in
another thread while the engine goes on: numbers then belong to slightly different moments, and an entity that changes
under the walk is left out of the search for the oldest event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from config.memory import size_text
from engine.windows.events import EventLog
from engine.windows.kernels import layout as at
from engine.windows.kernels.layout import I8

if TYPE_CHECKING:
    from engine.windows.plan import Windows

WORD = 8
CHUNK = 4_096  # records looked at together


@dataclass(frozen=True, slots=True)
class Usage:
    """What one event log holds.

    entities       : of which something is known; what is idle and over is evicted
    events         : retained
    values         : kept beside the events: in tables of distinct values, sorted arrays, chains of extremes
    used_bytes     : of what was ever written to; the system has given memory for these
    reserved_bytes : of address space
    oldest_us      : event time of the oldest retained event, microseconds UTC; None if there is none
    """

    entities: int
    events: int
    values: int
    used_bytes: int
    reserved_bytes: int
    oldest_us: int | None


def used_bytes(log: EventLog) -> int:
    """Bytes of a log that were ever written to."""
    note = log.state.note
    pairs = sum(int(note[at.PAIRS + 2 * level]) for level in range(log.levels))
    words = (
        int(note[at.SLOTS]) * log.width
        + int(note[at.LOG_FREE]) * log.event_width
        + int(note[at.POOL_FREE])
        + len(note)
    )
    place_bytes = log.state.place.itemsize * int(note[at.PLACES])
    pair_bytes = log.state.pairs.itemsize + log.state.follow.itemsize + log.state.head.itemsize
    return WORD * words + pair_bytes * pairs + place_bytes


def reserved_bytes(log: EventLog) -> int:
    """Bytes of address space that a log has."""
    return sum(array.nbytes for array in log.state)


def usage(log: EventLog) -> Usage:
    """Walk over the records of a log."""
    state, plan, width = log.state, log.plan, log.width
    n = min(int(state.note[at.SLOTS]), len(state.record) // width)
    records = state.record[: n * width].reshape(n, width)
    places = [
        (at.GROUPS, at.GROUP_ROW, at.G_AT, 2),
        (at.ORDERS, at.ORDER_ROW, at.O_AT, 2),
        (at.CHAINS, at.CHAIN_ROW, at.X_AT, 3),
    ]
    counts = [
        int(plan[row + column]) + offset
        for table, row_width, column, offset in places
        for row in range(int(plan[table]), int(plan[table + 1]), row_width)
    ]
    entities = events = values = 0
    oldest_us: int | None = None
    for low in range(
        0, n, CHUNK
    ):  # so that a chunk stays in the cache, and the engine gets its turn
        part = records[low : low + CHUNK]
        is_live = part[:, at.OWNER] >= 0  # the others are free
        length = np.where(is_live, part[:, at.LENGTH], 0)
        entities += int((is_live & ((part[:, at.CLASS] > 0) | (part[:, at.BASE] > 0))).sum())
        events += int(length.sum())
        values += sum(int(part[:, place].sum(where=is_live)) for place in counts)
        first_us = _oldest_us(part, length, state.log, log.event_width)
        if first_us is not None:
            oldest_us = first_us if oldest_us is None else min(oldest_us, first_us)
    return Usage(entities, events, values, used_bytes(log), reserved_bytes(log), oldest_us)


def _oldest_us(records: I8, length: I8, events: I8, event_width: int) -> int | None:
    """Time of the oldest event of some records; those that change meanwhile are left out."""
    held = np.flatnonzero(length > 0)
    start = records[held, at.START]
    time_us = events[start * event_width + at.TIME]
    same = (records[held, at.START] == start) & (records[held, at.LENGTH] == length[held])
    oldest = time_us[same & (time_us >= 0)]
    return int(oldest.min()) if len(oldest) else None


def logs_of(windows: Sequence["Windows"]) -> dict[str, EventLog]:
    """The logs of all strata, by the name that metrics show: `stratum/keys.number`."""
    return {f"{k}/{name}": log for k, part in enumerate(windows) for name, log in part.logs.items()}


def usages(windows: Sequence["Windows"]) -> dict[str, Usage]:
    """What every log of a core holds."""
    return {name: usage(log) for name, log in logs_of(windows).items()}


def total_used_bytes(windows: Sequence["Windows"]) -> int:
    """Bytes that all logs of a core use; reads a few scalars a log."""
    return sum(map(used_bytes, logs_of(windows).values()))


def as_summary(found: Mapping[str, Usage], core_us: int) -> dict[str, dict[str, float]]:
    """What summary.json says of each log; the age of the oldest event in seconds of core time."""
    return {
        name: {
            "entities": u.entities,
            "events": u.events,
            "values": u.values,
            "used_bytes": u.used_bytes,
            "reserved_bytes": u.reserved_bytes,
            "oldest_seconds": 0.0 if u.oldest_us is None else (core_us - u.oldest_us) / 1e6,
        }
        for name, u in found.items()
    }


def as_line(summary: Mapping[str, Mapping[str, float]]) -> str:
    """The same for people, on one line: how much there is, and where most of it is."""
    if not summary:
        return ""
    events = sum(log["events"] for log in summary.values())
    total = sum(log["used_bytes"] for log in summary.values())
    most = max(summary, key=lambda name: summary[name]["used_bytes"])
    return (
        f"{events:,.0f} events retained, {size_text(total)} used, most by {most} "
        f"({size_text(summary[most]['used_bytes'])})"
    )
