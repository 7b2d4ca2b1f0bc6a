"""The process that fits one model: `python -m engine.fits.helper FILE`, where FILE is the number of an open file.

It reads what it is to do from standard input (a JSON object), the training set from the file, and writes the fit there;
then it tells one JSON object on standard output: `answer` and `bytes` (engine/sharing.py), `seconds` and `software`, or
`failed`, `why` and `fix`. At low priority and in one thread, it leaves the engine its processor.
"""

import json
import os
import signal
import sys
from typing import Any, Final

import numpy as np

from config.errors import WeirError
from engine.clock import SystemClock
from engine.framing import Told
from engine.sharing import put, taken
from models import registry

NICENESS: Final = 10


def fit(file: int, asked: Told) -> Told:
    """Fit what stands in `file` as `asked` says, and put the fit in its place; what is wrong is an answer."""
    clock = SystemClock()
    began_ns = clock.monotonic_ns()
    try:
        x, label, weight = (a.copy() for a in taken(file, asked).values())
        kind = registry.KINDS[asked["kind"]]
        assert kind.fit is not None, asked["kind"]
        state = kind.fit(x.astype(np.float64), label, weight, asked["params"], asked["seed"])
        told: dict[str, Any] = put(file, state)
        told["software"] = _software()
    except WeirError as error:
        return {"failed": error.what, "why": error.why, "fix": error.fix}
    except ImportError as error:
        fix = "pip install 'weir-fraud[adapters]'"
        return {"failed": str(error), "why": "scikit-learn fits the model", "fix": fix}
    except (MemoryError, ValueError) as error:
        return {"failed": f"{type(error).__name__}: {error}", "why": "", "fix": ""}
    return {**told, "seconds": round((clock.monotonic_ns() - began_ns) / 1e9, 3)}


def _software() -> str:
    from importlib.metadata import version

    return f"scikit-learn {version('scikit-learn')}"


def main() -> int:
    """Fit once; status 0 if there is a fit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who stops the engine stops it, and it stops us
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    told = fit(int(sys.argv[1]), json.loads(sys.stdin.buffer.read()))
    print(json.dumps(told), flush=True)
    return 0 if "answer" in told else 1


if __name__ == "__main__":
    sys.exit(main())
