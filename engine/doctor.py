"""What `weir doctor` looks at: the interpreter, the packages, the kernels, the configuration that ships.

Each check says what it saw, and when something is wrong, what to do.
"""

import importlib.metadata
import os
import platform
import resource
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from config import settings
from config.errors import WeirError
from config.memory import size_text

OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")
STRICT = 2
ROOMS = ("config", "engine", "models", "replay", "rules")
NEEDED = (
    "msgspec",
    "numba",
    "numpy",
    "orjson",
    "prometheus-client",
    "pyarrow",
    "pyyaml",
    "tqdm",
    "tzdata",
    "zstandard",
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    subject: str
    is_fine: bool
    seen: str
    fix: str = ""


def examine() -> list[Check]:
    """Run every check; none of them writes anything but the kernel cache and one temporary file."""
    checks: list[Callable[[], Check]] = [
        _python,
        _packages,
        _rooms,
        _cores,
        _address_space,
        _disk,
        _bank,
    ]
    return [check() for check in checks]


def table(checks: list[Check]) -> str:
    """The checks as lines for people."""
    lines = []
    for check in checks:
        lines.append(f"{'ok  ' if check.is_fine else 'FAIL'}  {check.subject:16s} {check.seen}")
        if not check.is_fine:
            lines.append(f"      fix: {check.fix}")
    return "\n".join(lines)


def _python() -> Check:
    fine = sys.version_info >= (3, 11)
    seen = f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}"
    return Check("python", fine, seen, "use Python 3.11 or newer")


def _packages() -> Check:
    missing, found = [], []
    for name in NEEDED:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    return Check(
        "packages",
        not missing,
        f"missing: {', '.join(missing)}" if missing else ", ".join(found),
        f"python -m pip install {' '.join(missing)}",
    )


def _rooms() -> Check:
    """No other distribution may own one of the five top-level names, or imports go astray."""
    owners = importlib.metadata.packages_distributions()
    foreign = {
        room: sorted(set(owners.get(room, ())) - {"weir-fraud"})
        for room in ROOMS
        if set(owners.get(room, ())) - {"weir-fraud"}
    }
    return Check(
        "package names",
        not foreign,
        "config, engine, models, replay and rules are Weir's own"
        if not foreign
        else "; ".join(
            f"`{room}` also belongs to {', '.join(names)}" for room, names in foreign.items()
        ),
        "give Weir an environment of its own: python -m venv",
    )


def _cores() -> Check:
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return Check("cores", True, f"{cores}; one engine uses one")


def _address_space() -> Check:
    """State of windows lies in arrays reserved at once and filled as needed; some systems do not lend so much."""
    from engine.windows.events import RESERVED_BYTES, reserve

    wanted = size_text(RESERVED_BYTES)
    try:
        granted = reserve(1, RESERVED_BYTES).nbytes
    except MemoryError:
        granted = 0
    limit = _limit_bytes()
    reasons = []
    if _overcommit() == STRICT:
        reasons.append("vm.overcommit_memory is 2 (strict): what is reserved counts as used")
    if limit is not None:
        reasons.append(f"this process may have {size_text(limit)} of addresses (ulimit -v)")
    if granted < RESERVED_BYTES and not reasons:
        reasons.append(f"the system grants {size_text(granted)} where {wanted} are asked for")
    if not reasons:
        return Check(
            "address space",
            True,
            f"{wanted} an array are granted; tables grow without being copied",
        )
    return Check(
        "address space",
        False,
        "; ".join(reasons)
        + ". Everything works, but tables of windows that outgrow what is granted are copied to "
        "twice the size: batches wait for it, and memory is needed twice meanwhile",
        "sysctl vm.overcommit_memory=0 (or 1), and ulimit -v unlimited; a memory limit of the container is no problem",
    )


def _overcommit() -> int:
    """How the kernel lends memory: 0 by its judgement, 1 always, 2 strictly; -1 where there is no such setting."""
    try:
        return int(OVERCOMMIT.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return -1


def _limit_bytes() -> int | None:
    """The limit on addresses of this process; None if there is none."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def _disk() -> Check:
    try:
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"weir")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Check(
            "disk",
            False,
            str(error),
            "free some space, or set TMPDIR to a folder that can be written",
        )
    return Check("disk", True, f"can be written and synced ({Path(tempfile.gettempdir())})")


def _bank() -> Check:
    """The shipped configuration must read, compile and decide; this also fills the kernel cache."""
    from engine.core import Core
    from engine.setup import read_setup

    try:
        setup = read_setup(settings.BANK)
    except WeirError as error:
        return Check("configuration", False, str(error), "mend the file named above")
    seen = (
        f"config/bank: {len(setup.schema.columns)} columns, {len(setup.pack.features)} features, "
        f"{len(setup.pack.rules)} rules, {len(setup.configuration.models.models)} models"
    )
    try:
        Core(setup).warm_up()
    except Exception as error:  # noqa: BLE001  (whatever it is, this is what people need to read)
        fix = "reinstall numba for this Python, or remove the kernel cache"
        return Check("kernels", False, f"{type(error).__name__}: {error}", fix)
    return Check("configuration", True, seen + "; kernels compiled and cached")
