"""A recording gives the same bytes on a plain CPU as on this one: no bit depends on what the CPU happens to have.

The same replay in two processes. One uses whatever the machine has; the other is kept from it: numba compiles for the
oldest CPU of this kind, numpy, OpenBLAS and libm may not use what they would choose at run time, and texts hash
otherwise. The plain one compiles all kernels anew, a minute the first time; its machine code stands in the cache in a
folder of its own (config/kernel_cache.py), so that later runs are quick until a kernel changes.

What this can notice is what is left to the machine: vectors of another width in numpy's loops, libm and BLAS, and
machine code made for another CPU. It cannot notice what both have in common: the versions of numba, LLVM, numpy and
Python, and arithmetic of another kind of CPU (README.md, holes in determinism).
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import BANK
from tests import banking

ROOT = Path(__file__).resolve().parents[2]
IS_ARM = platform.machine() in ("arm64", "aarch64")
KEPT_FROM = ("NUMBA_", "NPY_", "OPENBLAS_", "GLIBC_", "PYTHON")  # settings that a caller may have
FLOATS = """
features:
  bits_mean:      avg(amount) by account over 7d
  bits_spread:    stddev(amount) by account over 7d
  bits_median:    quantile(amount, 50%) by account over 7d
  bits_high:      {is: "quantile(amount, 90%) by counterparty over 30d", approx: 2%}
  bits_mix:       entropy(counterparty) by account over 7d
  bits_faded:     decayed_sum(amount, 1d) by account prior
  bits_faded_n:   decayed_count(3h) by account
  bits_faded_avg: decayed_avg(amount, 2d) by counterparty
  bits_of_all:    share(bits_spread, bits_mean)
  bits_log:       log(bits_faded_n + 0.1) * bits_aged
  bits_aged:      log(in_hours(payee_age) + 1) / 3
  bits_far:       distance_km(lat, lon, 31.2304, 121.4737)
  bits_fast:      speed_kmh(lat, lon, prev_lat, prev_lon, prev_seen)
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The shipped configuration, and beside it every function of the language that computes with fractions."""
    folder = tmp_path_factory.mktemp("bits") / "config"
    shutil.copytree(BANK, folder)
    path = folder / "packs" / "core" / "features.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + FLOATS.replace("\nfeatures:\n", "\n"), encoding="utf-8")
    models = folder / "models.yaml"
    text = models.read_text(encoding="utf-8")
    named = [line.split(":")[0].strip() for line in FLOATS.splitlines()[2:]]
    inputs = "".join(f"      - {name}\n" for name in named)
    assert "      - amount\n" in text
    models.write_text(text.replace("      - amount\n", f"      - amount\n{inputs}", 1))
    return folder


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traffic")
    path = folder / "week.ndjson"
    path.write_bytes(b"\n".join(banking.traffic(folder, 11, accounts=300, days=7)) + b"\n")
    return path


@pytest.fixture(scope="module")
def twins(config, recording, tmp_path_factory):
    """What a replay gives on this machine as it is, and on what is left of it."""
    rich = run(config, recording, tmp_path_factory.mktemp("rich") / "out", {"PYTHONHASHSEED": "1"})
    plain_ones = plainest(rich["on"]["numpy"])
    return rich, run(config, recording, tmp_path_factory.mktemp("plain") / "out", plain_ones)


def plainest(numpy_found):
    """Environment of a process that may use nothing but what every CPU of this kind has.

    Names that a library does not know are passed over by it, those of numpy excepted: they come from itself.
    """
    return {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NPY_DISABLE_CPU_FEATURES": ",".join(numpy_found),
        "OPENBLAS_CORETYPE": "ARMV8" if IS_ARM else "Prescott",
        "OPENBLAS_NUM_THREADS": "1",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX,-FMA,-FMA4,-BMI2,-ERMS,-SSE4_2",
        "PYTHONHASHSEED": "2",
    }


def run(config, recording, out, environment):
    """Replay in a process with these settings and none of the caller's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(KEPT_FROM)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.bits", str(config), str(recording), str(out)],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_plain_process_really_goes_without(twins):
    rich, plain = twins
    assert plain["on"] == {"numba": ["generic", ""], "numpy": []}
    assert rich["on"]["numba"][0] != "generic"


def test_what_kernels_may_not_use_differs_where_the_cpu_has_something_to_choose(twins):
    """Otherwise the comparison below could not fail. Vectors of 512 bits are where numpy's functions are others."""
    rich, plain = twins
    if {"X86_V4", "AVX512_SKX"} & set(rich["on"]["numpy"]):
        assert rich["canary"] != plain["canary"]


def test_every_stream_and_all_saved_state_have_the_same_bytes(twins):
    rich, plain = (each["digests"] for each in twins)
    assert [name for name in {**rich, **plain} if rich.get(name) != plain.get(name)] == []


def test_the_recording_has_something_to_say(twins):
    """Nothing is compared with nothing: decisions, alerts, dead letters, and models that have learned."""
    digests = twins[0]["digests"]
    full = [name for name in digests if name.startswith("state models/")]
    assert len({digests[f"{name}.ndjson"] for name in ("decisions", "alerts", "dead_letters")}) == 3
    assert len(full) > 5
