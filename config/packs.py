"""Which packs run together: those named, and those they extend.

`extends: core` in a pack.yaml means the pack called core: one of those named, else the folder `core` beside this one.
Only names and folders are looked at here; whether the packs fit together is found by rules/pack.py.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from config import marks
from config.errors import ConfigError

HEAD_FILE: Final = "pack.yaml"
EXTENDS: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*)(?:@\^([0-9]+(?:\.[0-9]+){0,2}))?")


class Extension(NamedTuple):
    """What `extends` says: the name of a pack, and the least version of it, () for any."""

    name: str
    least: tuple[int, ...]


def extension(text: str) -> Extension | None:
    """Read `core` or `core@^2.1`; None for anything else.

    >>> extension("core@^2.1"), extension("core"), extension("core@2")
    (Extension(name='core', least=(2, 1)), Extension(name='core', least=()), None)
    """
    match = EXTENDS.fullmatch(text.strip())
    return None if match is None else Extension(match[1], numbers(match[2] or ""))


def numbers(version: str) -> tuple[int, ...]:
    """Read a version such as 4.2.0; () for what is none.

    >>> numbers("4.2.0"), numbers("beta")
    ((4, 2, 0), ())
    """
    parts = version.split(".")
    return tuple(map(int, parts)) if all(p.isdecimal() and len(p) < 10 for p in parts) else ()


def fits(version: str, least: tuple[int, ...]) -> bool:
    """Whether a version is of the same first number and not older than `least`.

    >>> fits("2.3.0", (2, 1)), fits("3.0.0", (2, 1)), fits("2", (2, 0)), fits("2.0.9", (2, 1))
    (True, False, True, False)
    """
    have = numbers(version)
    if not least or not have:
        return not least
    width = max(len(have), len(least))
    padded = [v + (0,) * (width - len(v)) for v in (have, least)]
    return have[0] == least[0] and padded[0] >= padded[1]


def with_extended(named: Sequence[Path]) -> tuple[Path, ...]:
    """The packs named and those they extend, each once, each after the one it extends.

    What cannot be read or found is left out here, and reported when the packs are loaded.
    """
    heads = {path.resolve(): _head(path) for path in named}
    by_name = {head[0]: path for path in named if (head := heads[path.resolve()])[0]}
    found: dict[Path, Path] = {}
    open_: set[Path] = set()

    def visit(path: Path) -> None:
        key = path.resolve()
        if key in found or key in open_:
            return
        open_.add(key)
        name = (heads.get(key) or _head(path))[1]
        below = by_name.get(name) or beside(path, name) if name else None
        if below is not None and (below / HEAD_FILE).is_file():
            visit(below)
        found[key] = path

    for path in named:
        visit(path)
    return tuple(found.values())


def beside(path: Path, name: str) -> Path:
    """The folder `name` beside a pack, written like the pack's own."""
    real = path.resolve().parent / name
    plain = path.parent / name
    return plain if plain.resolve() == real.resolve() else real


def _head(path: Path) -> tuple[str, str]:
    """Name of the pack in a folder and of the one it extends; "" for what is not there or cannot be read."""
    try:
        node = marks.read(path / HEAD_FILE)
    except (ConfigError, OSError):
        return "", ""
    name, extends = node.get("pack"), node.get("extends")
    below = extension(extends.value) if isinstance(extends, marks.TextNode) else None
    return (
        name.value if isinstance(name, marks.TextNode) else "",
        below.name if below is not None else "",
    )
