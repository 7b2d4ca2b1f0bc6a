"""Random typed trees and random rows for them: small whole numbers, so that ties, zeros and x / 0 happen."""

from rules.tree import Node, Type

NUMBER, BOOL = Type("number"), Type("bool")
CATEGORY, TEXT = Type("category", "colour"), Type("text", "text")
ID = Type("id", "ip")
NUMBERS = ("n0", "n1", "n2", "n3")
DEGREES = ("lat", "lon")
CODES = {
    "c0": CATEGORY,
    "c1": CATEGORY,
    "words": TEXT,
    "ip": ID,
    "other": Type("category", "other"),
}
TYPES = (
    dict.fromkeys(NUMBERS, NUMBER)
    | dict.fromkeys(DEGREES, Type("geo"))
    | {"f0": Type("flag"), "event_time": Type("time"), "t1": Type("time")}
    | CODES
)
TEXTS = {
    "c0": ("red", "blue", "Green", "3000", "3150"),
    "c1": ("red", "blue", "Green", "3000", "3150"),
    "words": ("", "Jon Smith", "john smith", "redblue", "ÄÖ", "red"),
    "ip": ("10.0.0.1", "192.168.7.7", "::1", "nowhere"),
    "other": ("blue", "RED", "red"),
}
CONSTANTS = (0.0, 1.0, 2.0, -1.0, 0.5, 1e300)
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
LISTS = {
    "colours": ("category", ("red", "3000-3200", "x-y")),
    "few": ("number", ("1", "-1", "2-3")),
    "seen": (
        "category",
        (
            ("red", None, 10**15),
            ("red", 2 * 10**15, 3 * 10**15),
            ("red", 25 * 10**14, None),
            ("3000", 0, 2 * 10**15),
            ("3000", 2 * 10**15, 2 * 10**15),
            ("blue", None, None),
            ("Green", 10**15, 2 * 10**15),
            "3150",
            ("x-y", 0, None),
        ),
    ),
    "spans": (
        "number",
        ("-1", ("1", None, 10**15), ("1-2", 2 * 10**15, None), ("2-3", 0, 3 * 10**15)),
    ),
}
TABLES = {"weight": ({"red": 1.0, "blue": -2.0}, 0.5)}
FUNCTIONS = (
    *("abs", "min", "max", "round", "floor", "mod", "in_hours", "hour", "weekday", "date"),
    *("local_time", "age", "age", "length", "similarity"),
)
ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu")


def const(value, kind=NUMBER):
    return Node("const", kind, value=value)


def column(name):
    return Node("column", TYPES[name], value=name)


def truth(rng, depth):
    """A condition."""
    if depth and rng.random() < 0.55:
        kind = rng.choice(["and", "or", "not", "and", "or", "at_least", "if", "??"])
        if kind == "at_least":
            parts = tuple(truth(rng, depth - 1) for _ in range(rng.randint(1, 4)))
            return Node(kind, BOOL, parts, rng.randint(1, len(parts)))
        n = {"not": 1, "if": 3, "??": 2}.get(kind) or rng.randint(2, 4)
        return Node(kind, BOOL, tuple(truth(rng, depth - 1) for _ in range(n)))
    return leaf(rng, depth)


def leaf(rng, depth):
    pick = rng.random()
    if pick < 0.30:
        return Node(rng.choice(COMPARISONS), BOOL, (number(rng, depth), number(rng, depth)))
    if pick < 0.38:
        return Node("between", BOOL, tuple(number(rng, depth) for _ in range(3)))
    if pick < 0.42:
        return wrapped(rng)
    if pick < 0.50:
        x = number(rng, depth)
        value = rng.choice(["@few", "@spans", frozenset({0.0, 1.0}), frozenset({2.0})])
        return Node("in", BOOL, (x,), value)
    if pick < 0.58:
        x = rng.choice([number, text, lambda r, d: truth(r, min(d, 1))])(rng, depth)
        return Node("missing", BOOL, (x,))
    if pick < 0.62:
        return column("f0")
    if pick < 0.64:
        return const(rng.random() < 0.5, BOOL)
    if pick < 0.69:
        return smooth(rng, depth)
    if pick < 0.74:
        ip = column("ip")
        network = const(rng.choice(["10.0.0.0/8", "::/16"]), Type("text"))
        return Node("call", BOOL, (ip, network), "ip_in")
    return about_text(rng, depth)


def wrapped(rng):
    kind = Type("time of day")
    x = Node("call", kind, (column(rng.choice(["event_time", "t1"])),), "local_time")
    hour = 3_600_000_000.0
    bounds = tuple(const(rng.randrange(24) * hour, kind) for _ in range(2))
    return Node("between", BOOL, (x, *bounds))


def smooth(rng, depth):
    """Results that two implementations may round differently, beside constants that none of them hits."""
    if rng.random() < 0.5:
        x = Node("call", NUMBER, (number(rng, depth),), "log")
        return Node(rng.choice(COMPARISONS[2:]), BOOL, (x, const(rng.choice([0.3717, -0.123]))))
    places = tuple(column(rng.choice(DEGREES)) for _ in range(4))
    x = Node("call", NUMBER, places, "distance_km")
    return Node(rng.choice(COMPARISONS[2:]), BOOL, (x, const(rng.choice([7.77, 4321.1]))))


def about_text(rng, depth):
    x = text(rng, depth)
    pick = rng.randrange(5)
    if pick == 0:
        return Node(rng.choice(["==", "!="]), BOOL, (x, text(rng, depth)))
    if pick == 1:
        value = rng.choice(
            ["@colours", "@seen", frozenset({"red", "x"}), frozenset({"blue", "3150"})]
        )
        return Node("in", BOOL, (x,), value)
    if pick == 2:
        return Node("matches", BOOL, (x,), rng.choice(["^r.*d$", "[0-9]+", "(?i)SMITH"]))
    kind = rng.choice(["contains", "starts with", "ends with"])
    return Node(kind, BOOL, (x,), rng.choice(["re", "d", "", "3"]))


def number(rng, depth):
    if depth and rng.random() < 0.45:
        kind = rng.choice(["+", "-", "*", "/", "neg", "call", "call", "??", "if", "bool", "lookup"])
        if kind == "call":
            return function(rng, depth - 1)
        if kind == "bool":
            return truth(rng, min(depth - 1, 1))
        if kind == "lookup":
            return Node("lookup", NUMBER, (text(rng, depth - 1),), "weight")
        n = {"neg": 1, "if": 3}.get(kind, 2)
        args = tuple(number(rng, depth - 1) for _ in range(n))
        if kind == "if":
            args = (truth(rng, depth - 1), *args[1:])
        return Node(kind, NUMBER, args)
    if rng.random() < 0.7:
        return column(rng.choice((*NUMBERS, "f0")))
    return const(rng.choice(CONSTANTS))


def function(rng, depth):
    name = rng.choice(FUNCTIONS)
    if name in ("min", "max"):
        return Node(
            "call", NUMBER, tuple(number(rng, depth) for _ in range(rng.randint(2, 3))), name
        )
    if name == "mod":
        return Node("call", NUMBER, (number(rng, depth), number(rng, depth)), name)
    if name in ("hour", "weekday", "date", "local_time"):
        return Node("call", NUMBER, (column(rng.choice(["event_time", "t1"])),), name)
    if name == "age":
        unit = rng.choice([None, "years", "months", "days"])
        more = () if unit is None else (const(unit, Type("text")),)
        return Node("call", NUMBER, (column("t1"), *more), name)
    if name == "length":
        return Node("call", NUMBER, (text(rng, depth),), name)
    if name == "similarity":
        return Node("call", NUMBER, (text(rng, depth), text(rng, depth)), name)
    return Node("call", NUMBER, (number(rng, depth),), name)


def text(rng, depth):
    pick = rng.random()
    if depth and pick < 0.12:
        x = text(rng, depth - 1)
        return Node("call", Type("text"), (x,), rng.choice(["lower", "upper"]))
    if depth and pick < 0.30:
        x, y = text(rng, depth - 1), text(rng, depth - 1)
        if rng.random() < 0.5:
            return Node("??", x.type, (x, y))
        return Node("if", x.type, (truth(rng, depth - 1), x, y))
    if pick < 0.38:
        return const(rng.choice(["red", "Blue", "nothing"]), Type("text"))
    return column(rng.choice(tuple(CODES)))


def row(rng, missing):
    """One row as Python values; each is missing with probability `missing`."""
    found = {name: float(rng.randint(-2, 3)) for name in NUMBERS}
    found |= {"lat": rng.choice([0.0, 52.5, 91.0, -33.25]), "lon": rng.choice([0.0, 13.4, -180.0])}
    found |= {"f0": float(rng.random() < 0.5)}
    found |= {name: rng.randrange(-(10**15), 4 * 10**15) * 1.0 for name in ("event_time", "t1")}
    found |= {name: rng.choice(TEXTS[name]) for name in CODES}
    return {name: None if rng.random() < missing else x for name, x in found.items()}
