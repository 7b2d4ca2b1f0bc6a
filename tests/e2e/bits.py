"""Replay a recording and print a digest of every bit of the result: `python -m tests.e2e.bits CONFIG RECORDING OUT`.

One JSON object: `digests` of each stream, of all columns of all rows (features, model scores, fields), of each array of
the saved state; `on` says what the arithmetic ran on; `canary` is a digest of what may differ between CPUs: functions
of numpy, libm and BLAS that no kernel may use.
"""

import json
import math
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np

from config.feeds import CANONICAL, Feed
from config.settings import FLUSH
from engine.app import Job, execute
from engine.brokers.files import FileSource
from engine.durable import snapshots
from engine.durable.disk import RealDisk
from engine.durable.output import STREAMS, stream_path
from engine.setup import read_setup


def replay(config, recording, out):
    """Digest by name of everything that came out."""
    setup = read_setup(config)
    columns = sha256()

    def look(outcome):
        columns.update(outcome.frame.number.tobytes() + outcome.frame.code.tobytes())

    execute(
        Job(setup, out, 1_000, inputs=(recording.name,), durability=FLUSH, quiet=True),
        FileSource([recording], Feed(CANONICAL), setup.schema),
        observe=lambda _core: (look,),
    )
    digests = {"all columns": columns.hexdigest()}
    for stream in STREAMS:
        digests[f"{stream}.ndjson"] = sha256(stream_path(out, stream).read_bytes()).hexdigest()
    (seq,) = snapshots.numbers(RealDisk(), out)
    for name, array in snapshots.read(RealDisk(), out, seq).arrays.items():
        about = f"{array.dtype.str}{array.shape}".encode()
        digests[f"state {name}"] = sha256(about + array.tobytes()).hexdigest()
    return digests


def arithmetic():
    """What compiled kernels and numpy run on: the CPU that numba compiles for, and what numpy has found in it."""
    from numba.core.registry import cpu_target
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    _, name, features = cpu_target.target_context.codegen().magic_tuple()
    found = [feature for feature in __cpu_dispatch__ if __cpu_features__.get(feature)]
    return {"numba": [name, features], "numpy": found}


def canary():
    """Digest of what may come out otherwise on another CPU."""
    x = np.random.default_rng(1).random(1 << 12) * 20
    digest = sha256()
    for function in (np.exp, np.log, np.sin, np.cbrt, np.arctan):
        digest.update(function(x).tobytes() + function(x.astype(np.float32)).tobytes())
    digest.update(np.array([x @ x, math.fsum(map(math.exp, x))]).tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    done = replay(*map(Path, sys.argv[1:]))
    print(json.dumps({"on": arithmetic(), "canary": canary(), "digests": done}))
