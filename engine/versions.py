"""With what something was decided: the versions that bits may depend on, for those who find other bits later."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

ARITHMETIC: Final = ("numba", "llvmlite", "numpy")  # what turns our kernels into machine code
OURS: Final = "weir-fraud"


@cache
def software() -> dict[str, str]:
    """Name -> version of Weir, Python, what compiles kernels, and the kind of CPU."""
    found = {"weir": _version(OURS), "python": platform.python_version()}
    found |= {name: _version(name) for name in ARITHMETIC}
    return found | {"cpu": platform.machine()}


def as_text() -> str:
    """The same on one line, Weir's own version first."""
    weir, *others = software().items()
    return ", ".join([weir[1], *(" ".join(each) for each in others)])


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # run from a folder that nobody installed
        return ""
