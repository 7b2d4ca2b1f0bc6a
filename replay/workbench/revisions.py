"""Packs as they stand in a folder, or as they stood in a revision of a git repository.

    PATH            a folder
    REV:PATH        the folder in a revision; PATH from the top of the repository, or from here with ./ before it
    OLD..NEW PATH   the folder in two revisions; without NEW, HEAD

A revision is read with `git archive` into a temporary folder, together with what stands beside the pack (packs that it
extends) and around that (lists of the configuration). No shell is involved, and nothing in the repository is touched.
"""

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from config.errors import InputError
from config.packs import HEAD_FILE


@dataclass(frozen=True, slots=True)
class Version:
    """A pack to compare: its folder, and what people call it."""

    name: str
    folder: Path


@contextmanager
def both(old: str, new: str) -> Iterator[tuple[Version, Version]]:
    """The two packs named on a command line, there for as long as the context lasts."""
    if ".." in old.partition(":")[0] and not Path(old).exists():
        before, _, after = old.partition("..")
        path = new or "."
        old, new = f"{before or 'HEAD'}:./{path}", f"{after.lstrip('.') or 'HEAD'}:./{path}"
    elif not new:
        raise InputError(
            "only one pack was named", fix="write weir rules diff OLD NEW, or main..HEAD PATH"
        )
    with ExitStack() as stack:
        yield stack.enter_context(_version(old)), stack.enter_context(_version(new))


@contextmanager
def _version(text: str) -> Iterator[Version]:
    folder = Path(text)
    if folder.exists() or ":" not in text:
        if not (folder / HEAD_FILE).is_file():
            raise InputError(
                "there is no pack here", text, f"a pack is a folder that holds {HEAD_FILE}"
            )
        yield Version(text, folder)
        return
    revision, _, path = text.partition(":")
    with tempfile.TemporaryDirectory(prefix="weir-diff-") as name:
        inside = _extract(revision, path, Path(name))
        if not (inside / HEAD_FILE).is_file():
            raise InputError(
                "there is no pack there", text, f"the revision has no {path}/{HEAD_FILE}"
            )
        yield Version(f"{revision}:{PurePosixPath(path)}", inside)


def _extract(revision: str, path: str, to: Path) -> Path:
    """Put the folder `path` of a revision, and its configuration, under `to`; return where it is."""
    top = Path(_git("rev-parse", "--show-toplevel").decode().strip())
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if path.startswith("./"):
        try:
            inside = (Path.cwd() / path).resolve().relative_to(top.resolve())
        except ValueError:
            raise InputError(f"{path} is not inside the repository {top}") from None
    else:
        inside = Path(path)
    if inside.is_absolute() or ".." in inside.parts:
        raise InputError(f"{path} is no path inside the repository {top}")
    around = inside.parent.parent.as_posix()  # packs beside it, and the lists of its configuration
    only = [] if around == "." else ["--", around]
    packed = _git("-C", str(top), "archive", "--format=tar", commit.decode().strip(), *only)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(to, filter="data")
    return to / inside


def _git(*arguments: str) -> bytes:
    """What git answers; `InputError` with what it complains about."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=True)  # noqa: S603, S607
    except FileNotFoundError:
        raise InputError(
            "git is not installed", why="a revision is read with it", fix="name two folders instead"
        ) from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip() or "there is no such revision"
        raise InputError(
            f"git {arguments[0]} failed: {said}",
            " ".join(arguments[-1:]),
            fix="check the revision with git log, and the path with git ls-tree",
        ) from None
    return done.stdout
