"""Watch a configuration folder: tell when what stands in it has changed and then rested.

Editors save in steps (truncate, write, rename), and one change is often several files. So a folder is looked at by
names, sizes and times of its files; only what has stayed as it is for `REST_US` is read, and told by its hash.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from config.errors import WeirError
from engine.reload.workshop import hash_of

Look: TypeAlias = tuple[tuple[str, int, int, int], ...]  # path, size, time of change in ns, inode

LOOK_EVERY_US: Final = 100_000  # a look at 60 files takes less than a millisecond
REST_US: Final = 500_000


class Watcher:
    """Looks at one folder, and the folders of packs that its settings name, whenever it is told to."""

    def __init__(self, folder: Path, overrides: Mapping[str, str], config: str) -> None:
        """`config`: the hash that need not be told, because it is active."""
        self._folder, self._overrides, self._told = folder, dict(overrides), config
        self._tops = [folder]  # and the folders of packs that lie elsewhere, once they are known
        self._seen: Look | None = None
        self._since_us = 0
        self._is_read = False

    def look(self, now_us: int) -> dict[str, Any] | None:
        """What to tell at `now_us` (of any clock that does not go back); None if there is nothing new.

        `{"found": "sha256:..."}` or `{"broken": what}`, with `folder`.
        """
        seen = self._look()
        if seen != self._seen:
            self._seen, self._since_us, self._is_read = seen, now_us, False
            return None
        if self._is_read or now_us - self._since_us < REST_US:
            return None
        self._is_read = True
        try:
            found, packs = hash_of(self._folder, self._overrides)
        except (WeirError, OSError) as error:
            return self._tell(f"broken {error}", {"broken": str(error)})
        elsewhere = [path for path in packs if self._folder.resolve() not in path.resolve().parents]
        if [self._folder, *elsewhere] != self._tops:
            self._tops, self._seen = [self._folder, *elsewhere], None
            return None
        if self._look() != seen:  # saved again while it was read
            self._seen = None
            return None
        return self._tell(found, {"found": found})

    def _tell(self, what: str, told: dict[str, Any]) -> dict[str, Any] | None:
        if what == self._told:
            return None
        self._told = what
        return {**told, "folder": str(self._folder)}

    def _look(self) -> Look:
        found = []
        for folder, folders, names in (walk for top in self._tops for walk in os.walk(top)):
            folders[:] = sorted(name for name in folders if not _is_scratch(name))
            for name in sorted(names):
                if _is_scratch(name):
                    continue
                path = os.path.join(folder, name)  # noqa: PTH118 - many, and often
                try:
                    told = os.stat(path)  # noqa: PTH116
                except OSError:
                    continue
                found.append((path, told.st_size, told.st_mtime_ns, told.st_ino))
        return tuple(found)


def _is_scratch(name: str) -> bool:
    """Whether a file is what editors and version control leave while somebody works."""
    return name.startswith(".") or name.endswith(("~", ".swp", ".tmp"))
