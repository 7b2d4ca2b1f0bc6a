"""`weir rules fmt`: puts rule files in order; comments stay, and what a file says stays."""

import argparse
import contextlib
import difflib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from config.errors import ConfigError


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    fmt = verbs.add_parser(
        "fmt",
        help="put rule files in order",
        description="Put rule files in order: keys in one order, a clause a line, one spelling for each operator, "
        "digits in groups. Comments stay, and so does what a file says: it is read again before it is written. "
        "Exit code 0 done, 1 with --check or --diff where a file is not in order, 2 for a file with a mistake, which "
        "is not touched.",
    )
    fmt.add_argument("paths", nargs="+", type=Path, metavar="PACK|FILE", help="folders or files")
    fmt.add_argument("--check", action="store_true", help="write nothing, list the files")
    fmt.add_argument("--diff", action="store_true", help="write nothing, show what would change")
    fmt.set_defaults(command=_fmt)


def _fmt(arguments: argparse.Namespace) -> int:
    from config import marks
    from config.packs import HEAD_FILE
    from rules.format import formatted

    n_files = n_changed = n_wrong = 0
    for path in files_of(arguments.paths):
        n_files += 1
        shown = str(path)
        try:
            text = marks.read_text(path, shown)
            result = formatted(text, shown, is_head=path.name == HEAD_FILE)
            is_changed = result != text
            if is_changed and not (arguments.check or arguments.diff):
                write(path, result)
        except ConfigError as error:
            n_wrong += 1
            print(f"error: {error}\n  this file was not touched", file=sys.stderr)
            continue
        n_changed += is_changed
        if is_changed and arguments.diff:
            sys.stdout.writelines(_diff(text, result, shown))
        elif is_changed:
            print(f"{shown}: {'not in order' if arguments.check else 'put in order'}")
    is_dry = arguments.check or arguments.diff
    words = "not in order" if is_dry else "put in order"
    wrong = f", {n_wrong} with mistakes" if n_wrong else ""
    print(f"{n_files} files, {n_changed} {words}{wrong}.", file=sys.stderr)
    return 2 if n_wrong else int(bool(n_changed and is_dry))


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The rule files named, and those of the packs named, each once.

    Raises `ConfigError` for what is neither.
    """
    from rules.pack import yaml_files

    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = yaml_files(path)
            if not inside:
                raise ConfigError("there is no rule file here", str(path), fix="name a pack")
            found.update(dict.fromkeys(inside))
        elif path.is_file():
            found[path] = None
        else:
            raise ConfigError(
                "there is no such file or folder", str(path), fix="name a pack or file"
            )
    return list(found)


def write(path: Path, text: str) -> None:
    """Replace the file at once or not at all; links, permissions and a byte order mark stay.

    Raises `ConfigError` if it cannot be written.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        raw = text.encode()
        with path.open("rb") as old:
            mark = old.read(3)
            mode = os.fstat(old.fileno()).st_mode & 0o7777
        with temporary.open("xb") as new:
            new.write((mark if mark == b"\xef\xbb\xbf" else b"") + raw)
            new.flush()
            os.fsync(new.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise ConfigError(f"cannot be written: {error.strerror}", str(path)) from None


def _diff(old: str, new: str, shown: str) -> Iterator[str]:
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), shown, f"{shown} in order"
    )
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
