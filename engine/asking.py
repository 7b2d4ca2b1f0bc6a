"""Ask a running engine: drop a command into OUT/control/, wait for its answer (engine/control.py is the other end)."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from config.errors import StateError
from engine.clock import Clock, SystemClock, random_bytes
from engine.durable.holding import is_being_written

CONTROL: Final = "control"  # as engine/durable/output.py has it, which would import half the engine
LOOK_EVERY_US: Final = 5_000
NAME_BYTES: Final = 6  # of chance in a name, beside the time


def ask(
    root: Path,
    command: Mapping[str, object],
    *,
    timeout_s: float = 10.0,
    clock: Clock | None = None,
) -> dict[str, object]:
    """Have the engine that writes `root` carry out `command`; return its answer, `ok` and `seq` in it.

    command : `command`, and what belongs to it, as in engine/commands.py

    Raises `StateError` if no engine is running, if the folder cannot be written, or if no answer comes within
    `timeout_s` seconds. Then the command is taken back, unless the engine has it already.
    """
    clock = SystemClock() if clock is None else clock
    folder = root / CONTROL
    if not folder.is_dir() or (sys.platform != "win32" and not is_being_written(root)):
        raise StateError(
            "no engine is running on this output folder",
            str(root),
            why="a command is carried out by the engine that writes the folder",
            fix="start it with: weir run --out " + str(root),
        )
    stem = (
        f"{clock.now_us():016d}-{command.get('command', 'none')}-{random_bytes(NAME_BYTES).hex()}"
    )
    path = folder / f"{stem}.json"
    _drop(path, json.dumps({"kind": "command", **command}, sort_keys=True).encode() + b"\n")
    until_ns = clock.monotonic_ns() + round(timeout_s * 1e9)
    while True:
        answer = _read(path.with_suffix(".answer"))
        if answer is not None:
            return answer
        if clock.monotonic_ns() >= until_ns:
            break
        clock.sleep_us(LOOK_EVERY_US)
    return _give_up(path, timeout_s)


def _drop(path: Path, content: bytes) -> None:
    """Write a command file, whole or not at all."""
    new = path.with_suffix(".new")
    try:
        with new.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise StateError(
            f"the command cannot be dropped in: {error.strerror or error}",
            str(path.parent),
            why="engines take commands from files in this folder",
            fix="run as a user who may write there, or make room on that disk",
        ) from None


def _read(path: Path) -> dict[str, object] | None:
    """The answer, which its writer moves in whole; None as long as there is none."""
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return dict(told)


def _give_up(path: Path, timeout_s: float) -> dict[str, object]:
    """Take the command back; the answer if it has come meanwhile, else `StateError`."""
    try:
        path.unlink()
        became = "it was taken back; should the engine have been reading it just then, it holds"
    except FileNotFoundError:  # renamed: it is in the journal
        became = "the engine has taken it, and will answer"
    answer = _read(path.with_suffix(".answer"))
    if answer is not None:
        return answer
    raise StateError(
        f"no answer came within {timeout_s:g} s",
        str(path.with_suffix(".answer")),
        why=f"the engine is busy, halted, or at the end of its input: {became}",
        fix="look whether that file is there before asking again",
    )
