"""Commands that people drop into OUT/control/ of a running engine, and the answers written beside them.

A command file is one JSON object (`kind` command) under a name ending in `.json`, moved in by atomic rename. It becomes
an input record with a seq like any other, at the position `control/NAME`; once that record is durable the file is
renamed to `NAME.taken`, and then answered in `NAME.answer`. So a file is never lost, and never taken twice: an engine
that was killed in between finds the record in its journal (engine/durable/recovery.py), and finishes both.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.durable.disk import Disk, RealDisk
from engine.signing import Door, same_order

BYTES_MAX: Final = 1 << 20
PREFIX: Final = "control/"  # of the positions of such records
TAKEN, ANSWER, NEW_ANSWER = ".taken", ".answer", ".answer.new"
NAME_BYTES_MAX: Final = 255  # of a name in a folder, on nearly every file system


@dataclass(frozen=True, slots=True)
class ControlFile:
    """A command as it was dropped in: its path, its bytes as they are, and as one line of a message."""

    path: Path
    content: bytes
    line: bytes

    @property
    def position(self) -> str:
        return f"{PREFIX}{self.path.stem}"


class Control:
    """Poll a folder for commands; write answers beside them."""

    def __init__(self, folder: Path, disk: Disk | None = None, door: Door | None = None) -> None:
        self.folder = folder
        self.door = door  # checks signatures; None: there are none to check
        self._disk: Disk = RealDisk() if disk is None else disk
        self._in_hand: set[str] = set()  # read, and not finished yet
        self._refused: set[str] = set()  # and told so

    def take(self, n_max: int) -> list[ControlFile]:
        """Up to `n_max` files that have been dropped in and are not in hand, in the order of their names."""
        taken: list[ControlFile] = []
        names = self._disk.names(self.folder)
        there = frozenset(names)
        for name in names:
            if len(taken) == n_max:
                break
            if not name.endswith(".json") or name in self._in_hand:
                continue
            if not self._can_be_finished(name, there):
                continue
            found = self._read(self.folder / name)
            if found is not None:
                self._in_hand.add(name)
                taken.append(found)
        return taken

    def _can_be_finished(self, name: str, there: frozenset[str]) -> bool:
        """Whether renaming and answering will work; told once if not, and the file stays where it is.

        A command that was journaled and cannot be answered would end the engine, at every start again.
        """
        path = self.folder / name
        ends = [path.with_suffix(ending) for ending in (TAKEN, ANSWER, NEW_ANSWER)]
        blocked = [end.name for end in ends if end.name in there and self._disk.size(end) < 0]
        what = ""
        if path.suffix != ".json":
            what = "it has no name before `.json`"
        elif len(os.fsencode(ends[-1].name)) > NAME_BYTES_MAX:
            what = f"its name is too long: with `{NEW_ANSWER}` at most {NAME_BYTES_MAX} bytes"
        elif blocked:
            what = f"`{blocked[0]}` is no file, so it could not be answered"
        if what and name not in self._refused:
            self._refused.add(name)
            print(f"warning: {path}: the command is not taken: {what}", file=sys.stderr)
        return not what

    def _read(self, path: Path) -> ControlFile | None:
        try:
            if self._disk.size(path) < 0:  # a folder is no command, and a pipe would never end
                return None
            content = self._disk.read(path, 0, BYTES_MAX + 1)
        except OSError:  # taken back meanwhile, or not for us to read: it stays where it is
            return None
        line = named(b" ".join(content.split(b"\n")).strip())
        return ControlFile(path, content, line if self.door is None else self.door.stamp(line))

    def finish(self, file: ControlFile, answer: Mapping[str, object]) -> None:
        """Rename a file whose record is durable, and answer it. What was put in its place meanwhile stays."""
        path = file.path
        try:
            if self._disk.read(path, 0, BYTES_MAX + 1) == file.content:
                self._disk.rename(path, path.with_suffix(TAKEN))
        except FileNotFoundError:  # taken back after it was read: it holds all the same
            pass
        self._disk.sync_folder(self.folder)
        self._answer(path, answer)
        self._in_hand.discard(path.name)

    def catch_up(
        self,
        position: str,
        line: bytes,
        answer: Mapping[str, object],
        scrub: Callable[[bytes], bytes],
    ) -> None:
        """Finish what an engine that was killed may have left: the record at `position` stands in the journal.

        scrub takes out what is never stored, so that the file can be told by the `line` that was.
        """
        path = self.folder / f"{position.removeprefix(PREFIX)}.json"
        if self._answered(path) == answer["seq"]:
            return
        found = self._read(path)
        if found is not None and same_order(scrub(found.line), line):
            self.finish(found, answer)
        else:
            self._answer(path, answer)

    def _answered(self, path: Path) -> object:
        """The seq that the answer beside `path` is about; None without one."""
        try:
            told = json.loads(self._disk.read(path.with_suffix(ANSWER)))
        except (OSError, ValueError):
            return None
        return told.get("seq") if isinstance(told, dict) else None

    def _answer(self, path: Path, answer: Mapping[str, object]) -> None:
        target = path.with_suffix(ANSWER)
        temporary = path.with_suffix(NEW_ANSWER)
        file = self._disk.create(temporary)
        file.write(json.dumps(answer, sort_keys=True).encode() + b"\n")
        file.sync()
        file.close()
        self._disk.rename(temporary, target)
        self._disk.sync_folder(self.folder)


def named(line: bytes) -> bytes:
    """The line with its `kind` filled in, if it is a command without one; anything else as it is."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):  # a dead letter, later
        return line
    if not isinstance(found, dict) or "command" not in found or "kind" in found:
        return line
    return json.dumps({"kind": "command", **found}).encode()
