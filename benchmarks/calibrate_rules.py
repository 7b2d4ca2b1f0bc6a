"""Measure the constants of the estimate in rules/check/costs.py: what each operation of a condition adds to an event.

For each operation two programs that differ in it alone, over the same 256 rows; the difference is the constant,
nanoseconds of the processor an event. `python -m benchmarks.calibrate_rules` prints the table as it stands there.
"""

import time

import numpy as np

from engine.entities import Dictionaries
from rules.check.costs import NANOSECONDS
from rules.code_tables import Tables
from rules.columns import Frame, Layout
from rules.compile import Builder, Context
from rules.definitions import Place, TableDefinition
from rules.kernels import RULE
from rules.tree import BOOL, CATEGORY, GEO, NUMBER, TIME, Node, Type

ROWS, COPIES, REPEATS, TURNS = 256, 64, 30, 40
TRUTH, FLOAT = Type(BOOL), Type(NUMBER)
X = Node("column", FLOAT, value="x")
TIMES = Node("column", Type(TIME), value="event_time")
WORD = Node("column", Type(CATEGORY, "word"), value="word")
PLACES = tuple(Node("column", Type(GEO), value=n) for n in ("lat", "lon", "lat2", "lon2"))


def const(k):
    return Node("const", FLOAT, value=float(k))


def above(value, k):
    return Node(">", TRUTH, (value, const(k)))


def plus(k):
    return Node("+", FLOAT, (X, const(k)))


def text(op, k):
    return Node(op, TRUTH, (WORD,), f"w{k}")


# operation -> (condition k without it, condition k with it)
PAIRS = {
    "rule": (None, lambda _: Node("missing", TRUTH, (X,))),
    "compare": (lambda _: Node("missing", TRUTH, (X,)), lambda k: above(X, k)),
    "member": (
        lambda _: Node("missing", TRUTH, (X,)),
        lambda k: Node("in", TRUTH, (WORD,), frozenset({f"w{k}"})),
    ),
    "logic": (lambda k: above(X, k), lambda k: Node("not", TRUTH, (above(X, k),))),
    "arithmetic": (lambda k: above(X, k), lambda k: above(plus(k + 1), k)),
    "text": (lambda _: Node("missing", TRUTH, (X,)), lambda k: text("contains", k)),
    "call": (
        lambda k: above(plus(k + 1), k),
        lambda k: above(Node("call", FLOAT, (plus(k + 1),), "floor"), k),
    ),
    "calendar": (
        lambda k: above(X, k),
        lambda k: above(
            Node(
                "call",
                FLOAT,
                (Node("+", Type(TIME), (TIMES, Node("const", Type("duration"), value=k * 1e9))),),
                "weekday",
            ),
            k,
        ),
    ),
    "distance": (
        lambda k: above(X, k),
        lambda k: above(Node("call", FLOAT, (*PLACES[:3], plus(k + 1)), "distance_km"), k),
    ),
    "lookup": (
        lambda k: above(X, k),
        lambda k: above(Node("lookup", FLOAT, (WORD,), f"t{k}"), k),
    ),
}


def program(make):
    """A program of COPIES rules and a frame of rows for it."""
    layout, tables = Layout(), Tables({})
    types = {n.value: n.type for n in (X, TIMES, WORD, *PLACES)}
    lookups = {
        f"t{k}": TableDefinition(f"t{k}", "word", FLOAT, {f"w{k}": 1.0}, 0.5, Place("", 1, 1))
        for k in range(COPIES)
    }
    builder = Builder(
        Context(
            lambda name: layout.add(name, types[name]), layout, tables, lookups, "Europe/Berlin"
        )
    )
    for name, kind in types.items():
        layout.add(name, kind)
    for k in range(COPIES if make is not None else 0):
        condition = make(k)
        builder.begin([condition])
        plane = builder.truth(condition)
        builder.emit(RULE, plane, k)
        builder.release(plane)
    built = builder.build()
    tables.seal()
    dictionaries = Dictionaries()
    frame = Frame.empty(layout, ROWS)
    rng = np.random.default_rng(3)
    for name, place in layout.places.items():
        if place.is_code:
            words = [f"w{i}" for i in rng.integers(0, COPIES, ROWS)]
            frame.code[place.row] = dictionaries[place.dictionary].encode(words)
        elif name == "event_time":
            frame.number[place.row] = 1.77e15 + rng.integers(0, 10**13, ROWS)
        else:
            frame.number[place.row] = rng.uniform(-40, 40, ROWS)
    tables.refresh(dictionaries)
    return built, frame


def nanoseconds(make):
    """The least time of a run, an event and rule."""
    built, frame = program(make)
    truth = np.empty((COPIES, ROWS), np.int16)
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(TURNS):
            built.run(frame, truth=truth)
        best = min(best, time.perf_counter() - start)
    return best / TURNS / ROWS / COPIES * 1e9


def main():
    for name, (without, with_) in PAIRS.items():
        found = nanoseconds(with_) - nanoseconds(without)
        if name in ("calendar", "distance"):
            found -= NANOSECONDS["arithmetic"]
        print(f'    "{name}": {max(found, 0.1):.1f},  # {NANOSECONDS[name]} stands there')


if __name__ == "__main__":
    main()
