"""What a command does not need it does not load: most of the time of a start goes into imports."""

import subprocess
import sys

SLOW = {"faust", "prometheus_client", "pyarrow", "river", "scipy.linalg", "sklearn", "tqdm"}
RUN = """
import sys
from engine.cli import main

status = main(["run", "--input", sys.argv[1], "--out", sys.argv[2]])
print(status, *sys.modules, file=sys.stderr)
"""
MULTIPLY = """
import sys
import numpy as np
from rules import kernels  # the first kernel makes numba ready
from numba import njit

assert "scipy.linalg" not in sys.modules
print(njit(lambda a, b: a @ b)(np.eye(2), 3 * np.eye(2)).tolist())
"""


def test_an_engine_starts_and_stops_without_what_only_some_runs_need(tmp_path):
    (tmp_path / "none.ndjson").touch()
    command = [sys.executable, "-c", RUN, str(tmp_path / "none.ndjson"), str(tmp_path / "out")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    status, *modules = told.splitlines()[-1].split()
    assert status == "0"
    assert "numba" in modules
    assert not SLOW & set(modules)


def test_whoever_multiplies_matrices_in_a_kernel_still_can():
    done = subprocess.run(
        [sys.executable, "-c", MULTIPLY], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[[3.0, 0.0], [0.0, 3.0]]"
