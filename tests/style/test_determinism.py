"""Same input, same bytes: no clock, no chance, no machine-dependent arithmetic where it could reach an outcome."""

import ast

import pytest

from tests.style.sources import dotted, imported, is_kernel_module, modules

CLOCK = "engine/clock.py"
CLOCKS = ("time", "sched")
CHANCE = ("secrets", "uuid.uuid1", "uuid.uuid4", "os.urandom", "os.getrandom")
NOW = (
    "now",
    "utcnow",
    "today",
    "fromtimestamp",
)  # of datetime and date; fromtimestamp needs a zone
SEEDED = ("default_rng", "SeedSequence", "PCG64", "Philox", "Random", "RandomState")
UNSEEDED_TYPES = ("Generator", "BitGenerator")  # wrap a generator that was seeded
MACHINE = frozenset(
    [
        *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "power", "pow", "float_power"),
        *("sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "asin", "acos", "atan"),
        *("atan2", "sinh", "cosh", "tanh", "hypot", "cbrt", "gamma", "lgamma", "erf"),
        *("dot", "matmul", "vdot", "inner", "tensordot", "einsum"),
    ]
)  # libm, SIMD and BLAS give other last bits on other machines


def offences_in(text: str, name: str = "engine/some.py") -> list[str]:
    return list(offences(name, ast.parse(text)))


def offences(name: str, tree: ast.Module):
    """Lines of one module that bring in a clock or chance."""
    for line, what in imported(tree):
        drawn = what.startswith("random.") and what != "random.Random"
        if drawn or what.split(".")[0] in CLOCKS or what in CHANCE or what.split(".")[0] in CHANCE:
            yield f"{name}:{line}: imports {what}"
    # what an object is found by in this process's dicts is no outcome
    within = {id(c) for node in ast.walk(tree) if _is_dunder_hash(node) for c in ast.walk(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = dotted(node.func)
        owner, _, last = called.rpartition(".")
        if owner.split(".")[-1] in ("datetime", "date") and last in NOW:
            if last != "fromtimestamp" or (len(node.args) < 2 and not node.keywords):
                yield f"{name}:{node.lineno}: calls {called}"
        elif called in CHANCE or owner in CLOCKS:
            yield f"{name}:{node.lineno}: calls {called}"
        elif owner in ("np.random", "numpy.random", "random") or last in SEEDED:
            seeded = last in SEEDED and (node.args or node.keywords)
            if not seeded and last not in UNSEEDED_TYPES:
                yield f"{name}:{node.lineno}: calls {called} without a seed"
        elif called == "hash" and id(node) not in within:
            yield f"{name}:{node.lineno}: calls hash(), which differs from process to process for text"


def _is_dunder_hash(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "__hash__"


def machine_arithmetic(name: str, tree: ast.Module):
    """Lines of a kernel module whose result depends on the CPU, its libm or the compiler's liberties."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            owner, _, last = dotted(node.func).rpartition(".")
            if owner in ("np", "numpy", "math", "np.linalg", "numpy.linalg") and (
                last in MACHINE or owner.endswith("linalg")
            ):
                yield f"{name}:{node.lineno}: calls {owner}.{last}"
            for keyword in node.keywords:
                if keyword.arg in ("fastmath", "parallel") and not (
                    isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                ):
                    yield f"{name}:{node.lineno}: {keyword.arg} is on"
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            yield f"{name}:{node.lineno}: @ calls BLAS"
        elif isinstance(node, ast.FunctionDef):
            for inner in ast.walk(
                node
            ):  # a table of powers made at import is exact, and may stand there
                if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Pow):
                    power = inner.right
                    if not (isinstance(power, ast.Constant) and isinstance(power.value, int)):
                        yield f"{name}:{inner.lineno}: ** with a computed exponent calls libm"


def test_no_module_but_the_clock_asks_for_the_time_or_throws_dice():
    found = [o for name, tree in modules().items() if name != CLOCK for o in offences(name, tree)]
    assert not found, "\n".join(found)


def test_kernels_use_no_arithmetic_that_differs_between_machines():
    found = [
        o
        for name, tree in modules().items()
        if is_kernel_module(name)
        for o in machine_arithmetic(name, tree)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "from time import sleep",
        "from random import random",
        "import random\nrandom.random()",
        "import random\nrandom.Random()",
        "from uuid import uuid4",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import date\ndate.today()",
        "from datetime import datetime\ndatetime.fromtimestamp(0)",
        "import numpy as np\nnp.random.default_rng()",
        "import numpy as np\nnp.random.seed(1)",
        "import numpy as np\nnp.random.normal()",
        "import os\nos.urandom(8)",
        "hash('A1')",
    ],
)
def test_the_check_sees_clocks_and_dice(text):
    assert offences_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "from datetime import UTC, datetime\ndatetime.fromtimestamp(0, UTC)",
        "from datetime import datetime\ndatetime.fromisoformat('2026-01-01')",
        "import numpy as np\nnp.random.default_rng(7)\nnp.random.Generator(x)",
        "from engine.clock import Clock",
        "import random\nrandom.Random(7)",
        "event_time = row.time",
    ],
)
def test_the_check_lets_seeds_and_conversions_pass(text):
    assert not offences_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "np.exp(x)",
        "math.log(x)",
        "a @ b",
        "def f(x): return 2.0 ** x",
        "np.dot(a, b)",
        "njit(fastmath=True)",
    ],
)
def test_the_check_sees_arithmetic_of_the_machine(text):
    assert list(machine_arithmetic("kernels.py", ast.parse(text)))


@pytest.mark.parametrize(
    "text",
    [
        "np.sqrt(x)",
        "def f(x): return x ** 2",
        "UP = 2.0 ** LADDER",
        "njit(cache=True, fastmath=False)",
    ],
)
def test_the_check_lets_exact_arithmetic_pass(text):
    assert not list(machine_arithmetic("kernels.py", ast.parse(text)))
