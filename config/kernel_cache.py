"""Where compiled kernels are kept: a folder named by everything that goes into them.

numba notices that the file of a kernel has changed, but not that a kernel or constant it takes from another file has,
and would go on with old machine code. So its cache is put into a folder named by the hash of every kernel source and
what it imports from us, of Python, numba, numpy and the CPU.

    WEIR_KERNEL_CACHE    the folder above; else the user's cache folder (XDG_CACHE_HOME, ~/.cache)

Inside, files stand by module, not by the path of the checkout (config/kernels_locator.py): an installed wheel and a
clone with the same sources share them. A new folder starts with what the newest old one has for kernels whose sources
are the same, so that editing one file compiles one file again. Old folders beyond KEPT go. Nothing here imports numba.
"""

import atexit
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from config import numba_settings

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("config", "rules", "models", "engine", "replay")
KEPT = 16  # folders, some MB each: a few branches and clones side by side
MANIFEST = "sources.json"

_FROM = re.compile(r"^[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]+)", re.MULTILINE)
_IMPORT = re.compile(r"^[ \t]*import[ \t]+([\w.]+)", re.MULTILINE)


@cache
def use() -> Path:
    """Point numba at the folder for these sources and this machine, and return it. Harmless when called again."""
    folder = prepare(base_folder(), ROOT)
    numba_settings.name_locator()
    numba_settings.tell("CACHE_DIR", str(folder))
    return folder


def is_cold(room: str, folder: Path | None = None) -> bool:
    """Whether no kernel of a `room` (engine, rules ...) has been compiled yet for these sources and this machine."""
    return not any(((folder or use()) / room).rglob("*.nbi"))


def base_folder() -> Path:
    """Where the folders stand: one that can be written, a private temporary one if there is none."""
    named = os.environ.get("WEIR_KERNEL_CACHE")
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        base = Path(named) if named else home / "weir" / "kernels"
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=base):
            return base
    except (
        OSError,
        RuntimeError,
    ):  # no home, or read-only: compile anew each time rather than not at all
        private = Path(tempfile.mkdtemp(prefix="weir-kernels-"))
        atexit.register(shutil.rmtree, private, ignore_errors=True)
        return private


def prepare(base: Path, root: Path) -> Path:
    """The folder in `base` for the sources under `root` on this machine; made and filled if it is not there."""
    hashes = source_hashes(root)
    sources = hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:16]
    machine = hashlib.sha256(json.dumps(machine_facts()).encode()).hexdigest()[:16]
    folder = base / f"{machine}-{sources}"
    if not folder.is_dir():
        _fill(folder, _newest(base, f"{machine}-*"), hashes)
        for old in _sorted(base, "*-*")[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
    with suppress(OSError):  # another process may have removed it meanwhile; numba makes it again
        os.utime(folder)  # the order of use is what decides which ones go
    return folder


def kernel_modules(root: Path) -> list[Path]:
    """Modules that may hold kernels: named kernels*.py, or anywhere in a folder kernels/."""
    return sorted(
        path
        for package in PACKAGES
        for path in (root / package).rglob("*.py")
        if path.name.startswith("kernels") or "kernels" in path.relative_to(root).parts[:-1]
    )


def source_hashes(root: Path) -> dict[str, str]:
    """Kernel module -> hash over its source and that of everything of ours it imports, directly or not."""
    return {m.relative_to(root).as_posix(): source_hash(m, root) for m in kernel_modules(root)}


def source_hash(module: Path, root: Path) -> str:
    """Hash over one module and what it imports from us, as these sources are now."""
    reached: dict[Path, Source] = {}
    todo = [module]
    while todo:
        path = todo.pop()
        if path not in reached:
            reached[path] = _source(path, root)
            todo += reached[path].imported
    lines = sorted(f"{source.name} {source.sha256}" for source in reached.values())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Source(NamedTuple):
    """What was read of one file.

    told     : what the file system said of it then: an edit while the process runs changes that
    name     : the path below the root
    imported : files of ours that it imports
    """

    told: tuple[int, ...]
    name: str
    sha256: str
    imported: frozenset[Path]


_SOURCES: dict[Path, Source] = {}  # kernels ask for their sources as they are made, 75 times


def _source(path: Path, root: Path) -> Source:
    """What a file holds now: read again only if the file system tells of a change."""
    stat = path.stat()
    told = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)
    known = _SOURCES.get(path)
    if known is None or known.told != told:
        text = path.read_text(encoding="utf-8")
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        name = path.relative_to(root).as_posix()
        known = _SOURCES[path] = Source(told, name, sha256, _imported(text, root))
    return known


def machine_facts() -> list[str]:
    """What else machine code depends on."""
    try:
        cpu = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split("\n\n")[0]
        facts = re.findall(r"^(?:model name|flags|Features|CPU part)\s*:.*$", cpu, re.MULTILINE)
    except OSError:
        facts = [platform.processor()]
    facts += [platform.system(), platform.machine(), sys.version, _version("numba")]
    facts += [_version("llvmlite"), _version("numpy")]
    return facts + [
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if name.startswith("NUMBA_") and not name.startswith("NUMBA_CACHE_")
    ]


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _imported(text: str, root: Path) -> frozenset[Path]:
    """Files of ours that the source `text` imports; names inside a package may be modules too."""
    modules = set(_IMPORT.findall(text))
    for module, names in _FROM.findall(text):
        modules.add(module)
        if _is_ours(module):
            modules |= {f"{module}.{name}" for name in re.findall(r"\w+", names)}
    paths: set[Path] = set()
    for module in filter(_is_ours, modules):
        path = root.joinpath(*module.split("."))
        paths |= {p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()}
    return frozenset(paths)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def _fill(folder: Path, old: Path | None, hashes: dict[str, str]) -> None:
    """Make `folder`, at once visible as a whole, with the files of `old` whose sources have not changed."""
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    if old is not None:
        try:
            known = json.loads((old / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        for name in (name for name, digest in hashes.items() if known.get(name) == digest):
            module = Path(name)  # its files: FOLDER/MODULE.FUNCTION-...
            for path in (old / module.parent).glob(f"{module.stem}.*"):
                target = fresh / path.relative_to(old)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
    (fresh / MANIFEST).write_text(json.dumps(hashes, indent=1, sort_keys=True), encoding="utf-8")
    try:
        fresh.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(fresh, ignore_errors=True)


def _newest(base: Path, pattern: str) -> Path | None:
    return next(iter(_sorted(base, pattern)), None)


def _sorted(base: Path, pattern: str) -> list[Path]:
    """Folders that are ours, the one used last first."""
    ours = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}")
    found = []
    for path in base.glob(pattern):
        try:
            if ours.fullmatch(path.name):
                found.append((path.stat().st_mtime_ns, path))
        except OSError:  # another process has just removed it
            continue
    return [path for _, path in sorted(found, reverse=True)]
