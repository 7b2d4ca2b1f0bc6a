"""What rules cost: 50 rules of 3 clauses over batches of 1 to 4,096 rows, beside the naive walk of the tests' oracle.

    python -m benchmarks.bench_rules [--smoke] [--json]

Microseconds per event, the quickest chunk of a millisecond; 6 % of all values are missing. "plain" are three
comparisons of a number with a constant, about half of them true; "mixed" has a list, an `or`, a missing test and
arithmetic in each rule, and `on` for one of four event types. `refresh` is the call that every
batch makes when no dictionary has grown. The hash is over the truth of all rules at 4,096 rows. Other expression
engines get the plain rules (rule_peers.py), and stand beside ours in the same run.
"""

import hashlib
import random
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import measuring, rule_peers
from config.schema import Column, Schema
from engine.entities import Dictionaries
from rules.columns import Frame, Layout
from rules.definitions import ListDefinition, Pack, Place, Rule
from rules.ruleset import TRUE, Ruleset
from rules.tree import Node, Type
from tests.oracles import expressions as oracle

NUMBERS = [f"n{i}" for i in range(40)]
CODES = [f"c{i}" for i in range(8)]
COMPARISONS = ("<", "<=", "==", ">=", ">", "!=")
BOOL, NUMBER = Type("bool"), Type("number")
NOWHERE = Place("bench", 1, 1)
N_RULES = 50
BATCHES = (1, 16, 64, 256, 4_096)


def schema():
    columns = {name: Column(name, "number") for name in NUMBERS}
    columns |= {name: Column(name, "category", name) for name in CODES}
    columns["type"] = Column("type", "category", "type")
    columns["event_time"] = Column("event_time", "time")
    return Schema("bench", "1", columns, {})


def column(name):
    kind = Type("category", name) if name in CODES else NUMBER
    return Node("column", kind, value=name)


def compare(rng):
    constant = Node("const", NUMBER, value=float(rng.randrange(-2, 3)))
    return Node(rng.choice(COMPARISONS), BOOL, (column(rng.choice(NUMBERS)), constant))


def plain(rng):
    return Node("and", BOOL, tuple(compare(rng) for _ in range(3)))


def mixed(rng):
    double = Node("*", NUMBER, (column(rng.choice(NUMBERS)), Node("const", NUMBER, value=2.0)))
    member = Node("in", BOOL, (column(rng.choice(CODES)),), "@some")
    absent = Node("missing", BOOL, (column(rng.choice(NUMBERS)),))
    more = (
        Node("or", BOOL, (member, absent)),
        Node(">", BOOL, (double, column(rng.choice(NUMBERS)))),
    )
    return Node("and", BOOL, (*plain(rng).args, *more))


def pack(rng, make, on):
    rules = tuple(
        Rule(
            f"R-{i:03d}", "", 1, "", "high", "X", on[i % len(on)], "live", make(rng),
            Node("const", NUMBER, value=100.0), (), NOWHERE,
        )
        for i in range(N_RULES)
    )  # fmt: skip
    some = ListDefinition("some", Type("category"), frozenset({"v1", "v2"}), NOWHERE)
    return Pack(
        "bench", "1", Path(), "EUR", "UTC", 0, "sum", (), {}, {}, {"some": some}, {}, rules
    )  # fmt: skip


def rows_of(seed, n):
    rng = random.Random(seed)
    for _ in range(n):
        row = {name: float(rng.randrange(-2, 3)) for name in NUMBERS}
        row |= {name: f"v{rng.randrange(6)}" for name in CODES}
        row = {name: None if rng.random() < 0.06 else value for name, value in row.items()}
        yield row | {"type": f"t{rng.randrange(4)}", "event_time": 0.0}


def frame_of(layout, dictionaries, rows):
    frame = Frame.empty(layout, len(rows))
    for name, place in layout.places.items():
        values = [row.get(name) for row in rows]
        if place.is_code:
            frame.code[place.row] = dictionaries[place.dictionary].encode(values)
        else:
            frame.number[place.row] = [np.nan if x is None else x for x in values]
    return frame


def best_us(run, chunks=100):
    """Microseconds a call of the quickest of many chunks of a millisecond: other work on the machine is left out."""
    began = time.perf_counter()
    run()
    repeat = max(1, int(1e-3 / (time.perf_counter() - began)))
    took = []
    for _ in range(chunks):
        began = time.perf_counter()
        for _ in range(repeat):
            run()
        took.append((time.perf_counter() - began) / repeat * 1e6)
    return min(took)


def walk(rows, pack_, world):
    """The naive way: every row, every rule that its type asks for, one walk over the tree."""
    for row in rows:
        for rule in pack_.rules:
            if not rule.on or row["type"] in rule.on:
                oracle.truth(rule.when, row, world)


def measure(name, make, on, sizes, naive_rows):
    world = oracle.World({"some": ("category", ("v1", "v2"))})
    pack_ = pack(random.Random(3), make, on)
    layout, dictionaries = Layout(), Dictionaries()
    began = time.perf_counter()
    ruleset = Ruleset.compile(pack_, schema(), layout)
    compile_ms = (time.perf_counter() - began) * 1e3
    ruleset.refresh(dictionaries)
    out = []
    for n in sizes:
        rows = list(rows_of(n, n))
        frame = frame_of(layout, dictionaries, rows)
        ruleset.refresh(dictionaries)
        judgement = ruleset.judge(frame)
        judge = partial(ruleset.judge, frame)
        refresh = partial(ruleset.refresh, dictionaries)
        naive = partial(walk, rows[:naive_rows], pack_, world)
        out.append(
            {
                "rules": name,
                "rows": n,
                "us_per_event": round(best_us(judge) / n, 3),
                "refresh_us_per_batch": round(best_us(refresh), 2),
                "naive_us_per_event": round(best_us(naive, 5) / min(n, naive_rows), 1),
                "compile_ms": round(compile_ms, 1),
                "fires": int((judgement.truth == TRUE).sum()),
                "sha256": hashlib.sha256(judgement.truth.tobytes()).hexdigest()[:16],
            }
        )
    return out


def beside(rows, peers):
    """Each engine in its quicker form, beside ours at every size of a batch."""
    best = {}
    for peer in peers:
        key = (peer["engine"], peer["form"])
        if peer["job"] == "three values":
            best[key] = peer["us_per_event"]
    return [
        {
            "engine": engine,
            "form": form,
            "batch": row["rows"],
            "peer_us": us,
            "ours_us": row["us_per_event"],
            "times": round(us / row["us_per_event"], 1),
        }
        for (engine, form), us in best.items()
        for row in rows
        if row["rules"] == "plain"
    ]


def peers_of(n):
    """What other engines take for the plain rules, and whether they agree with ours; of `n` rows."""
    pack_ = pack(random.Random(3), plain, [()])
    layout, dictionaries = Layout(), Dictionaries()
    ruleset = Ruleset.compile(pack_, schema(), layout)
    rows = list(rows_of(n, n))
    frame = frame_of(layout, dictionaries, rows)
    ruleset.refresh(dictionaries)
    truth = ruleset.judge(frame).truth
    return rule_peers.compare(pack_.rules, rows, truth, TRUE, 0)


def main(argv=None):
    given = measuring.arguments(__doc__, argv, real=4_096, smoke=64, of="rows in the largest batch")
    sizes = [n for n in BATCHES if n <= given.n]
    types = [(f"t{i}",) for i in range(4)]
    rows = [
        row
        for name, make, on in (("plain", plain, [()]), ("mixed", mixed, types))
        for row in measure(name, make, on, sizes, 4 if given.is_smoke else 64)
    ]
    peers = peers_of(4 if given.is_smoke else 16)
    workload = f"{N_RULES} rules of 3 clauses over 48 columns, 6 % of values missing, seeded"
    return measuring.report(given, workload, rows, beside=beside(rows, peers), peers=peers)


if __name__ == "__main__":
    sys.exit(main())
