"""Commands that people drop into OUT/control/ of a running engine, and the answers written beside them.

A command file is one JSON object (`kind` command) under a name ending in `.json`, moved in by atomic rename. It is read
once, becomes an input record with a seq like any other, and is answered in `NAME.answer`; the file itself is renamed to
`NAME.taken`, so that nothing is done twice after a restart.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class ControlFile:
    """A command as it was dropped in: its path once taken, and its bytes on one line."""

    path: Path
    line: bytes


class Control:
    """Poll a folder for commands; write answers beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self) -> list[ControlFile]:
        """Take what has been dropped in since the last call, in the order of the names."""
        taken = []
        for path in sorted(self.folder.glob("*.json")):
            if not path.is_file():  # a folder is no command, and a pipe would never end
                continue
            try:
                with path.open("rb") as file:
                    content = file.read(BYTES_MAX + 1)
                moved = path.rename(path.with_suffix(".taken"))
            except OSError:  # taken back meanwhile, or not for us to read: it stays where it is
                continue
            line = b" ".join(content.split(b"\n")).strip()
            taken.append(ControlFile(moved, line))
        return taken

    @staticmethod
    def answer(file: ControlFile, answer: Mapping[str, object]) -> None:
        """Write the answer to a command beside it, by rename."""
        target = file.path.with_suffix(".answer")
        temporary = target.with_suffix(".answer.new")
        temporary.write_text(json.dumps(answer, sort_keys=True) + "\n")
        temporary.rename(target)


def named(file: ControlFile) -> ControlFile:
    """The file with its `kind` filled in, if it is a command without one; anything else as it is."""
    try:
        found = json.loads(file.line)
    except (ValueError, RecursionError):  # a dead letter, later
        return file
    if not isinstance(found, dict) or "command" not in found or "kind" in found:
        return file
    return ControlFile(file.path, json.dumps({"kind": "command", **found}).encode())
