"""How fast the generated bank is written, in how much memory, and what rendering costs beside json.dumps.

    python -m benchmarks.bench_generate [--smoke | --size ACCOUNTS] [--json]

Ten days of a bank, drawn, booked, sorted, rendered and on disk; each form in a process of its own, after the kernels
have been compiled by a tiny bank. The peer renders the same transactions from the same columns as dicts through
json.dumps; what it says must be what the lines say.
"""

import datetime as dt
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import measuring
from replay.bank import kernels, messages
from replay.bank.habits import Habits
from replay.bank.messages import DIGITS, TRANSACTION
from replay.bank.population import make_population
from replay.bank.writer import SLICE_ROWS, Renderer, Slice
from replay.generate import generate

DAYS, SEED = 10, 1
FORMS = ("ndjson", "parquet", "ndjson.zst")
EVENTS_A_SECOND = 100_000  # that issue 3 asks for
MEMORY_MB = 1_024
START_US = 1_772_380_800_000_000
PEER_ROWS = 50_000


def main(argv=None):
    given = measuring.arguments(__doc__, argv, real=20_000, smoke=400, of="accounts")
    rows = [apart(form, given.n) for form in FORMS]
    rendering, digest = beside_dumps(given.n)
    return measuring.report(
        given,
        f"{given.n:,} accounts over {DAYS} days at 4 transactions a day, seed {SEED}",
        rows,
        rendering=rendering,
        events_a_second_asked=EVENTS_A_SECOND,
        memory_mb_asked=MEMORY_MB,
        sha256=digest,
    )


def apart(form, accounts):
    """Generate in a process of its own, so that its memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        code = f"from benchmarks.bench_generate import one; one({form!r}, {accounts}, {folder!r})"
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, cwd=measuring.ROOT
        )
    return json.loads(done.stdout)


def one(form, accounts, folder):
    """Generate once and print what it took as JSON."""
    import resource

    generate(Path(folder) / f"warm.{form}", accounts=100, days=3, seed=SEED)
    path = Path(folder) / f"bank.{form}"
    begun, begun_cpu = time.perf_counter(), time.process_time()
    truth = generate(path, accounts=accounts, days=DAYS, seed=SEED)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
    events = truth.n_by_kind["transaction"] + truth.n_by_kind["activity"]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    found = {
        "form": form,
        "messages": truth.n_lines,
        "messages_per_second": round(truth.n_lines / seconds),
        "events_per_second": round(events / seconds),
        "cpu_us": cpu / truth.n_lines * 1e6,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
        "bytes_a_message": path.stat().st_size / truth.n_lines,
        "sha256": digest[:16],
    }
    print(json.dumps(found))


# ---------------------------------------------------------------- rendering alone


def beside_dumps(accounts):
    """Microseconds a transaction of the kernel and of json.dumps, and the hash of the lines."""
    population = make_population(SEED, accounts, 4.0, START_US)
    rows, _ = Habits(population, SEED, DAYS).day(0)
    n = min(rows.n, PEER_ROWS)
    table = rows.take(slice(0, n))
    table.columns |= {"number": table["time_us"] // 1_000 % 10**9, "before": table["amount_cny"]}
    columns = messages.Columns(population).of(TRANSACTION, table)
    fields = messages.fields(("mule",))
    renderer, lines = Renderer(fields), []
    best = float("inf")
    for _ in range(4):  # the first compiles
        lines, begun = [], time.process_time()
        for start in range(0, n, SLICE_ROWS):
            part = {name: column[start : start + SLICE_ROWS] for name, column in columns.items()}
            count = len(part["zero"])
            whole = Slice(np.full(count, TRANSACTION), np.arange(count), {TRANSACTION: part})
            lines.append(renderer.render(whole)[0].tobytes())
        best = min(best, time.process_time() - begun)
    text = b"".join(lines)
    begun = time.process_time()
    spoken = [json.dumps(m, separators=(",", ":")) for m in as_dicts(columns, fields[TRANSACTION])]
    peer = time.process_time() - begun
    for line, other in zip(text.splitlines(), spoken, strict=True):
        assert json.loads(line) == json.loads(other), (line, other)
    found = {
        "rows": n,
        "bytes_a_line": len(text) / n,
        "kernel_us": best / n * 1e6,
        "dumps_us": peer / n * 1e6,
    }
    return [found], hashlib.sha256(text).hexdigest()[:16]


def as_dicts(columns, fields):
    """The rows as a person would write them in Python."""
    lists = {f.column: columns[f.column].tolist() for f in fields}
    currency = lists["currency"]
    for i in range(len(currency)):
        message = {}
        for f in fields:
            value = lists[f.column][i]
            if value == kernels.MISSING or (value < 0 and f.form > kernels.SIGNED):
                continue
            digits = int(DIGITS[currency[i]]) if f.currency else f.width
            message[f.key] = SAY[f.form](f, value, digits)
        yield message


def money(_, value, digits):
    whole, part = divmod(abs(value), 10**digits)
    text = f"{whole}.{part:0{digits}d}" if digits else str(whole)
    return f"-{text}" if value < 0 else text


def moment(_, value, __):
    at = dt.datetime.fromtimestamp(value // 1_000 / 1_000, dt.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{value // 1_000 % 1_000:03d}Z"


def address(_, number, __):
    base = (10 << 24) + number if number < 100_000_000 else (240 << 24) + number - 100_000_000
    return f"{base >> 24}.{base >> 16 & 255}.{base >> 8 & 255}.{base & 255}"


SAY = {
    kernels.TEXT: lambda f, value, _: f.texts[value],
    kernels.NUMBER: lambda f, value, _: f"{f.prefix}{value:0{f.width}d}",
    kernels.ACCOUNT: lambda _, value, __: messages.account_text(value),
    kernels.TIME: moment,
    kernels.MONEY: money,
    kernels.SIGNED: money,
    kernels.DEGREES: lambda _, value, __: value / 10_000,
    kernels.ADDRESS: address,
}


if __name__ == "__main__":
    sys.exit(main())
