"""config/kernels_loading.py: kernels from the cache run, and others are compiled with them."""

import os
import subprocess
import sys

import pytest

from config.kernel_cache import ROOT

BELOW = """
from numba import njit

@njit(cache=True)
def below(x):
    return x * 2
"""
ABOVE = """
from numba import njit
from rules.kernels_below import below

@njit(cache=True)
def above(x):
    return below(x) + {more}
"""


@pytest.fixture
def call(tmp_path):
    """Run a program with a toy kernel, and another that calls it, in a new process; return what it prints."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/__init__.py").write_text("")
    (tmp_path / "rules/kernels_below.py").write_text(BELOW)
    (tmp_path / "cache").mkdir()
    begin = (
        "import sys; from pathlib import Path; from config import kernel_cache as k\n"
        "k.ROOT = Path(sys.argv[1]); k.use(); sys.path.insert(0, sys.argv[1])\n"
        "from rules.kernels import above\n"
        "from rules.kernels_below import below\n"
    )

    def run(program: str, more: int) -> str:
        (tmp_path / "rules/kernels.py").write_text(ABOVE.format(more=more))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_CACHE")}
        environment |= {"WEIR_KERNEL_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", begin + program, str(tmp_path)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    return run


def test_bitcode_of_a_loaded_kernel_is_parsed_when_another_is_compiled_with_it(call):
    """Red with a numba that is newer than `NEWEST_KNOWN`: try it there, and raise that."""
    show = (
        "[lib] = [c.library for c in below.overloads.values()]\n"
        "print(lib._parsed is not None, sum(below.stats.cache_hits.values()))\n"
    )
    assert call("print(below(1), above(1))", more=1) == "2 3"
    assert call("print(below(1))\n" + show, more=1) == "2\nFalse 1"
    assert call("print(below(1), above(1))\n" + show, more=1) == "2 3\nFalse 1"
    assert call("print(below(1), above(1))\n" + show, more=2) == "2 4\nTrue 1"


def test_a_loaded_kernel_has_no_function_that_it_was_not_compiled_with(call):
    program = (
        "below(1)\n"
        "[c] = below.overloads.values()\n"
        "find = c.library.get_pointer_to_function\n"
        "names = c.fndesc.llvm_func_name, c.fndesc.llvm_cpython_wrapper_name, 'nothing'\n"
        "before = [bool(find(name)) for name in names]\n"
        "c.library._shared_module\n"
        "print(before, [bool(find(name)) for name in names])\n"
    )
    first = call(program, more=1)
    assert first == "[True, True, False] [True, True, False]"
    assert call(program, more=1) == first
