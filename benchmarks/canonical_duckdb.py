"""The window features of the canonical workload, recomputed by DuckDB once a micro-batch: bench_canonical.py runs it.

A batch goes into a table; then one query a key asks for its features by SQL window functions, over the events of those
entities only that the batch names; then what no window needs any more goes. It reads the same NDJSON and the same
features.yaml.

What it does not do: no rules, no models that learn, no decisions, labels or journal: features only. Each batch costs
what its entities retain, not what is new. Rows must come in order, each moment once an entity: RANGE frames take events
of the same moment as one, so Weir's order within a millisecond is lost.
"""

import time
from datetime import datetime
from pathlib import Path

import numpy as np
import orjson
import yaml

from benchmarks.canonical_peers import FEATURE, duration

NOTE = (
    "window features only: no rules, no models, no journal, no decisions; every batch of {batch:,} messages reads all "
    "that its entities retain; events of one millisecond are one to it"
)
KEYS = ("account", "card", "device", "merchant", "customer")
TEXTS = ("kind", *KEYS, "counterparty", "type", "direction", "status", "channel")
SQL = {
    "count": "count(*) {f} over {w}",
    "sum": "coalesce(sum(amount) {f} over {w}, 0)",
    "avg": "avg(amount) {f} over {w}",
    "stddev": "stddev_pop(amount) {f} over {w}",
    "max": "max(amount) {f} over {w}",
    "time_since_last": "moment - max(moment) {f} over {w}",
    "time_since_first": "moment - min(moment) {f} over {w}",
    "count_distinct": "count(distinct {argument}) {f} over {w}",
    "quantile": "quantile_disc(amount, {level}) {f} over {w}",
}


def rows_of(lines):
    """Messages as columns; labels are left out, for no window counts them."""
    messages = [m for m in map(orjson.loads, lines) if m.get("kind") != "label"]
    columns = {name: np.array([m.get(name) for m in messages], object) for name in TEXTS}
    columns["kind"] = np.array([m.get("kind", "transaction") for m in messages], object)
    columns["seq"] = np.arange(len(messages))
    at = [datetime.fromisoformat(m["event_time"]).timestamp() for m in messages]
    columns["moment"] = np.array([round(s * 1e6) for s in at], np.int64)
    columns["amount"] = np.array([fen(m.get("amount", "0.00")) for m in messages], np.int64)
    return columns


def fen(amount):
    yuan, _, cents = amount.partition(".")
    return int(yuan) * 100 + int(cents)


class Recomputed:
    """Features of each micro-batch, over all events so far."""

    def __init__(self, config):
        import duckdb

        self.query = duckdb.connect(config={"threads": 1, "preserve_insertion_order": False})
        texts = ", ".join(f"{name} varchar" for name in TEXTS)
        self.query.execute(
            f"create table event (seq bigint, moment bigint, amount bigint, {texts})"
        )
        features = Path(config) / "packs" / "canonical" / "features.yaml"
        self.asked = {key: {} for key in KEYS}
        self.frames = {key: {} for key in KEYS}
        self.retained_us = 0
        for name, text in yaml.safe_load(features.read_text())["features"].items():
            self.declare(name, FEATURE.match(text))

    def declare(self, name, f):
        lag = duration(f["lag"]) if f["lag"] else int(bool(f["prior"]))
        width = duration(f["width"])
        self.retained_us = max(self.retained_us, width + lag)
        frames = self.frames[f["key"]]
        frame = frames.setdefault((width, lag), f"w{len(frames)}")
        kept = [f"kind = '{f['domain']}'", f"{f['argument']} is not null" if f["argument"] else ""]
        kept.append(condition(f["where"]) if f["where"] else "")
        self.asked[f["key"]][name] = SQL[f["function"]].format(
            f=f"filter (where {' and '.join(filter(None, kept))})",
            w=frame,
            argument=f["argument"],
            level=int(f["level"] or 0) / 100,
        )

    def take(self, columns):
        """Put a batch in; return {feature: (transactions,) values}, None where it is missing, in their order."""
        self.query.register("fresh", columns)
        self.query.execute(
            f"insert into event select seq, moment, amount, {', '.join(TEXTS)} from fresh"
        )
        self.query.unregister("fresh")
        low, found = int(columns["seq"][0]), {}
        for key in KEYS:
            found |= self.ask(key, low)
        oldest = int(columns["moment"][-1]) - self.retained_us
        self.query.execute(f"delete from event where moment <= {oldest}")
        return found

    def ask(self, key, low):
        named = ", ".join(
            f"{name} as (partition by {key} order by moment range between {width - 1} preceding and {lag} preceding)"
            for (width, lag), name in self.frames[key].items()
        )
        names = list(self.asked[key])
        what = ", ".join(f"{text} as {name}" for name, text in self.asked[key].items())
        rows = self.query.execute(
            f"with near as (select * from event where {key} in (select {key} from event where seq >= {low})), "
            f"told as (select seq, {what} from near window {named}) "
            f"select {', '.join(f'told.{name}' for name in names)}, event.{key} from event left join told using (seq) "
            f"where event.seq >= {low} and event.kind = 'transaction' order by event.seq"
        ).fetchall()
        return {
            name: [row[k] if row[-1] is not None else None for row in rows]
            for k, name in enumerate(names)
        }


def condition(text):
    """A filter of a feature in SQL."""
    left, op, right = text.split(" ", 2)
    if op == "in":
        return f"{left} in ({right.strip('[]')})".replace('"', "'")
    if right.endswith(" CNY"):
        return f"{left} {op} {int(right[:-4]) * 100}"
    return f"{left} {'=' if op == '==' else op} {right}".replace('"', "'")


def recompute(config, lines, batch, n_timed):
    """Features of all transactions of `lines`, and microseconds a transaction over the last `n_timed` batches."""
    build, columns = Recomputed(config), rows_of(lines)
    n, found, took_s, n_decided = len(columns["seq"]), {}, 0.0, 0
    first_timed = n - n_timed * batch
    for low in range(0, n, batch):
        part = {name: values[low : low + batch] for name, values in columns.items()}
        began = time.perf_counter()
        told = build.take(part)
        if low >= first_timed:
            took_s += time.perf_counter() - began
            n_decided += len(next(iter(told.values())))
        for name, values in told.items():
            found.setdefault(name, []).extend(values)
    build.query.close()
    return found, took_s / n_decided * 1e6, n_decided
