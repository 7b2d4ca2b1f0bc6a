"""How much decoding costs beside msgspec alone, by kind of message and size of batch.

    python -m benchmarks.bench_decode [--smoke] [--json]
    python -m benchmarks.bench_decode --fuzz N [--seed S]     do the scanner and msgspec agree on N fuzzed messages?

Decode-only is msgspec into the very struct that the decoder uses, batches kept, gc off, same bytes. Times are CPU time
of this process, the best of three; the machine may be shared.
"""

import argparse
import datetime as dt
import gc
import hashlib
import json
import random
import sys
import time
from functools import partial

import msgspec

from benchmarks import measuring
from tests.factories import decoder

COLUMNS = (
    "event_time", "account", "customer", "card", "amount", "type", "direction", "channel", "status", "merchant",
    "counterparty", "label",
)  # fmt: skip
BATCHES = (2_048, 256, 16, 1)
POSITIONS = ["f:1"] * BATCHES[0]


def transactions(n, seed=1):
    """12 fields each, about 290 bytes, 200,000 accounts."""
    rng = random.Random(seed)
    for i in range(n):
        at = dt.datetime.fromtimestamp(1_762_000_000 + i * 0.02, dt.UTC)
        yield {
            "transaction_id": f"tx-{i:010d}",
            "event_time": at.isoformat(timespec="milliseconds")[:-6] + "Z",
            "account": f"A{rng.randrange(200_000):08d}",
            "customer": f"K{rng.randrange(100_000):08d}",
            "card": f"C{rng.randrange(250_000):08d}",
            "amount": f"{rng.expovariate(1 / 80):.2f}",
            "currency": "EUR",
            "type": rng.choice(["payment", "card_auth", "cash_deposit"]),
            "direction": "out",
            "channel": rng.choice(["pos", "online", "atm", "transfer"]),
            "status": "booked",
            "merchant": f"M{rng.randrange(20_000):06d}",
        }


def labels(n, seed=2):
    rng = random.Random(seed)
    for i in range(n):
        yield {
            "kind": "label",
            "transaction_id": f"tx-{i:010d}",
            "account": f"A{rng.randrange(200_000):08d}",
            "label": rng.choice(["fraud", "genuine"]),
            "event_time": "2026-03-02T10:00:00Z",
        }


def decode(using, lines):
    return using.decode(lines, POSITIONS[: len(lines)], 0)


def decode_only(plain, lines):
    return list(map(plain.decode, lines))


def microseconds(work, lines, rows):
    """CPU time a message of `work` over batches of `rows`, the best of three passes."""
    best = float("inf")
    for _ in range(3):
        gc.collect()
        gc.disable()
        start = time.process_time_ns()
        kept = [work(lines[k : k + rows]) for k in range(0, len(lines), rows)]
        best = min(best, (time.process_time_ns() - start) / 1_000 / len(lines))
        gc.enable()
        del kept
    return best


def fuzz(argv):
    """Decode fuzzed messages with the scanner and with msgspec alone; 1 where they differ."""
    from tests import scanning

    parser = argparse.ArgumentParser(description=fuzz.__doc__)
    parser.add_argument("--fuzz", type=int, required=True, metavar="N", help="messages")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="other messages; 0")
    given = parser.parse_args(argv)
    try:
        seen, taken = scanning.agree(given.fuzz, given.seed, rows=512, batches=40)
    except AssertionError as error:
        print(f"they differ: {error}")
        return 1
    print(
        f"the scanner and msgspec agree on {seen:,} fuzzed messages, of which {taken:,} were scanned"
    )
    return 0


def main(argv=None):
    if any(word.startswith("--fuzz") for word in argv or sys.argv[1:]):
        return fuzz(argv)
    given = measuring.arguments(__doc__, argv, real=200_000, smoke=4_000, of="messages")
    n = given.n
    encode = [json.dumps(m, separators=(",", ":")).encode() for m in [*transactions(n), *labels(n)]]
    streams = {
        "transactions": encode[:n],
        "labels": encode[n:],
        "half and half": [x for pair in zip(encode[:n], encode[n:], strict=True) for x in pair][:n],
    }
    rows = []
    for name, lines in streams.items():
        using = decoder(names=COLUMNS)
        first = decode(using, lines[:64])
        plain = msgspec.json.Decoder(type(first.records[0]))
        row = {
            "messages": name,
            "msgspec_us": microseconds(partial(decode_only, plain), lines, BATCHES[0]),
        }
        for size in BATCHES:
            some = lines[: size * 2_000]
            row[f"batch_{size}_us"] = microseconds(partial(decode, using), some, size)
        rows.append(row)
    using = decoder(names=COLUMNS)
    seen = hashlib.sha256()
    for k in range(0, n, BATCHES[0]):
        batch = decode(using, streams["half and half"][k : k + BATCHES[0]])
        seen.update(batch.frame.number.tobytes() + batch.frame.code.tobytes())
    return measuring.report(
        given,
        f"{n:,} NDJSON messages of a kind, seed 1: transactions of 12 fields (290 bytes) and labels",
        rows,
        sha256=seen.hexdigest()[:16],
    )


if __name__ == "__main__":
    sys.exit(main())
