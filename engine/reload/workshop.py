"""What the process beside a running engine does with a configuration: read, check, try, keep, compile.

`Workshop` is plain code without a process around it, so that the simulator can run it on its own disk;
engine/reload/process.py puts it into one. Requests and answers are JSON objects:

    {"do": "check", "config": H, "folder": F, "active": H0, "overrides": {...}, "shapes": [...], "send": true}
        -> with `send`, what the next request asks for; then
        -> {"about": H, "ok": true, "tests": n, "tested": [rules], "warnings": n, ...}   it can go live
        -> {"about": H, "ok": false, "what": ..., "why": ..., "fix": ...}                and why it cannot
    {"do": "send", "config": H}
        -> {"about": H, "sends": true}, its pieces (engine/reload/parcel.py), {"about": H, "sent": n}
    {"do": "forget", "config": H}, {"do": "watch", "config": H0, ...}       no answer

A configuration is read from its folder, kept in the configuration store, and read again from there: what is checked and
compiled is what stands in the store, whatever is being saved in the folder meanwhile. One that nobody has to approve is
sent before it is tested, so that the engine puts it together meanwhile.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from config import settings as configs
from config.errors import ConfigError, StateError, WeirError
from engine.core import Core
from engine.durable import config_store
from engine.durable.disk import Disk
from engine.meanings import Meanings
from engine.reload.parcel import Sender, for_running
from engine.setup import Setup, read_setup
from engine.windows import budget
from engine.windows.shape import Shape
from rules.definitions import Place, Rule
from rules.pack import Loaded

Told: TypeAlias = dict[str, Any]
# Runs the embedded tests of some rules of a configuration: how many ran, and what failed, a line each.
RunTests: TypeAlias = Callable[[Setup, Sequence[Rule]], tuple[int, list[str]]]
# Looks for everything else that is odd in a configuration: errors, a line each, and how many warnings there are.
Lint: TypeAlias = Callable[[Setup, Loaded], tuple[list[str], int]]

FAILURES_SHOWN: Final = 3
READ_KEPT: Final = 4  # configurations: the active one, and those that are proposed at a time
FOLDER_FIXED: Final = ("durability", "encryption")  # an output folder is begun with them
AT_START: Final = ("root_copy", "segment_bytes", "message_bytes_max")  # read when an engine starts


class Workshop:
    """Checks and compiles configurations for the engine that writes the output folder `root`."""

    def __init__(
        self,
        disk: Disk,
        root: Path,
        run_tests: RunTests,
        lint: Lint = lambda _setup, _loaded: ([], 0),
    ) -> None:
        self._disk, self._root, self._run_tests, self._lint = disk, root, run_tests, lint
        self._read: dict[str, _Read] = {}  # the one that was needed last stands last
        self._pieces: dict[str, Iterator[bytes]] = {}

    def prepare(self, config: str) -> None:
        """Look at the configuration that is active, so that the next one costs what is new in it."""
        with contextlib.suppress(WeirError, OSError):  # a check says what is wrong
            setup, loaded = config_store.stored_with(self._disk, self._root, config)
            known = self._keep(config, setup)
            _all(known.meanings.work_out())
            self._lint(setup, loaded)

    def check(self, request: Mapping[str, Any]) -> Iterator[bytes | Told]:
        """Answer a request to check; what is wrong is an answer, never an exception."""
        config = str(request["config"])
        try:
            found, loaded = self._kept(config, request)
            before = self._stored(str(request["active"]))
            _refuse(before.setup, found.setup)
            budget.refuse(found.setup)
            self._pieces[config] = _pieces(before, found, request)
            if request.get("send"):
                yield from self.send(config)
            told = self._look_into(before, found, loaded)
        except (WeirError, OSError, MemoryError) as error:
            self._pieces.pop(config, None)
            yield {"about": config, "ok": False, **_said(error)}
        else:
            yield {"about": config, "ok": True, **told}

    def send(self, config: str) -> Iterator[bytes | Told]:
        """The pieces of a configuration that was compiled; they are not kept any longer."""
        yield {"about": config, "sends": True}
        n = 0
        for piece in self._pieces.pop(config, ()):
            n += 1
            yield piece
        yield {"about": config, "sent": n}

    def forget(self, config: str) -> None:
        """Let go of a configuration that will not go live."""
        self._pieces.pop(config, None)
        self._read.pop(config, None)

    def _look_into(self, before: "_Read", found: "_Read", loaded: Loaded) -> Told:
        """What lint and tests say; `ConfigError` if it cannot go live."""
        active, setup = before.setup, found.setup
        errors, n_warnings = self._lint(setup, loaded)
        if errors:
            raise ConfigError(
                f"the rules have {len(errors)} error{'s' if len(errors) != 1 else ''}",
                why=_first(errors),
                fix="see them in full with: weir rules check",
            )
        known = {rule.id: before.meanings.rule(rule) for rule in active.pack.rules}
        now = found.meanings
        changed = [rule for rule in setup.pack.rules if known.get(rule.id) != now.rule(rule)]
        ids, earlier = {r.id for r in changed}, {r.id: r for r in active.pack.rules}
        tried = [r for r in setup.pack.rules if r.id in ids or _asks_else(earlier[r.id], r)]
        n_tests, failures = self._run_tests(setup, tried)
        if failures:
            raise ConfigError(
                f"{len(failures)} of {n_tests} tests of rules that are new or changed fail",
                why=_first(failures),
                fix="see them in full with: weir rules test",
            )
        return {
            "tests": n_tests,
            "warnings": n_warnings,
            "tested": [rule.id for rule in tried if rule.tests],
            "untested": [rule.id for rule in changed if not rule.tests],
            "notes": list(setup.notes) + _at_next_start(active, setup),
            "restart": _reads_otherwise(active, setup),
        }

    def _kept(self, config: str, request: Mapping[str, Any]) -> "tuple[_Read, Loaded]":
        """The configuration as the store has it, after it was put there from its folder if need be."""
        folder = str(request.get("folder", ""))
        stored = self._root / config_store.FOLDER / config.removeprefix("sha256:")
        overrides = request.get("overrides", {})
        feed, lateness = str(overrides.get("feed", "")), str(overrides.get("lateness", ""))
        is_new = bool(folder) and self._disk.size(stored / "overrides.json") < 0
        if is_new:
            given = configs.load(Path(folder), feed=feed, lateness=lateness)
            if f"sha256:{given.sha256}" != config:
                raise _has_changed(config, f"sha256:{given.sha256}", folder)
            config_store.keep(self._disk, self._root, given)
        try:
            setup, loaded = config_store.stored_with(self._disk, self._root, config)
        except StateError:
            if not folder:
                raise
            self._disk.remove(
                stored
            )  # what is wrong in it stays out of the store; or it was saved anew while copied
            if is_new:  # the author's own files say better what is wrong
                read_setup(Path(folder), feed=feed, lateness=lateness)
            raise _has_changed(config, "", folder) from None
        return self._keep(config, setup), loaded

    def _stored(self, config: str) -> "_Read":
        found = self._read.pop(config, None)
        if found is None:
            return self._keep(config, config_store.stored(self._disk, self._root, config))
        self._read[config] = found
        return found

    def _keep(self, config: str, setup: Setup) -> "_Read":
        self._read.pop(config, None)
        self._read[config] = _Read(setup, Meanings(setup))
        while len(self._read) > READ_KEPT:
            del self._read[next(iter(self._read))]
        return self._read[config]


@dataclass(frozen=True, slots=True)
class _Read:
    """A configuration that was read, and what the parts of it mean, as far as somebody has asked."""

    setup: Setup
    meanings: Meanings


def _all(steps: Iterator[None]) -> None:
    for _ in steps:
        pass


def _pieces(before: _Read, found: _Read, request: Mapping[str, Any]) -> Iterator[bytes]:
    """A configuration compiled, in pieces; compiled now, pickled as they are asked for."""
    shapes = msgspec.convert(request.get("shapes", []), list[Shape])
    core = Core(for_running(found.setup), shapes=shapes)
    for meanings in (before.meanings, found.meanings):
        _all(meanings.work_out())
    core.meanings.take_over(found.meanings.worked_out)
    was, now = before.setup.pack.lists, found.setup.pack.lists
    same = frozenset(name for name, of in now.items() if name in was and of.holds_as(was[name]))
    return Sender(same, before.meanings).pieces(core.compiled())


def _asks_else(before: Rule, now: Rule) -> bool:
    """Whether the tests of a rule ask something else than they did."""
    return before.tests != now.tests and asked_of(before) != asked_of(now)


def asked_of(rule: Rule) -> object:
    """What the tests of a rule ask, wherever they stand; equal if two rules are tested alike."""
    return [_asked(test) for test in rule.tests]


def _asked(value: Any) -> object:
    if is_dataclass(value):
        named = [(f.name, getattr(value, f.name)) for f in fields(value)]
        return [(name, _asked(part)) for name, part in named if not isinstance(part, Place)]
    if isinstance(value, Mapping):
        return {name: _asked(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [_asked(part) for part in value]
    return value


def hash_of(folder: Path, overrides: Mapping[str, str]) -> tuple[str, tuple[Path, ...]]:
    """The hash that the configuration in `folder` would be active under, `sha256:...`, and where its packs stand.

    `ConfigError` if it has none.
    """
    found = configs.load(
        folder, feed=overrides.get("feed", ""), lateness=overrides.get("lateness", "")
    )
    return f"sha256:{found.sha256}", found.pack_paths


def _refuse(active: Setup, setup: Setup) -> None:
    """Raise `ConfigError` where a running engine cannot go over, whatever its state."""
    before, now = active.configuration.settings, setup.configuration.settings
    for name in FOLDER_FIXED:
        if getattr(before, name) != getattr(now, name):
            raise ConfigError(
                f"`{name}` cannot be changed while the engine runs",
                "weir.yaml",
                why="an output folder is written with it from its first record on",
                fix="leave it as it is, or begin another output folder",
            )
    if active.pack.currency != setup.pack.currency:
        raise ConfigError(
            f"the packs are in {setup.pack.currency}, the running engine in {active.pack.currency}",
            why="every amount it holds, from windows to restrictions, would mean other money",
            fix="start the new configuration in another output folder",
        )


def _reads_otherwise(active: Setup, setup: Setup) -> bool:
    """Whether the source must be opened anew, because messages are mapped by the feed and the schema."""
    if active.feed.is_canonical and setup.feed.is_canonical:
        return False
    return active.feed != setup.feed or active.schema != setup.schema


def _at_next_start(active: Setup, setup: Setup) -> list[str]:
    before, now = active.configuration.settings, setup.configuration.settings
    return [
        f"`{name}` takes effect at the next start"
        for name in AT_START
        if getattr(before, name) != getattr(now, name)
    ]


def _has_changed(config: str, found: str, folder: str) -> ConfigError:
    return ConfigError(
        f"the files are no longer those that were proposed ({config[:19]}...)",
        folder,
        why=f"they are {found[:19]}... now" if found else "they were saved anew in this moment",
        fix="propose them again",
    )


def _first(lines: Sequence[str]) -> str:
    more = len(lines) - FAILURES_SHOWN
    shown = [*lines[:FAILURES_SHOWN], *([f"and {more} more"] if more > 0 else [])]
    return "\n       ".join(shown)


def _said(error: BaseException) -> Told:
    if isinstance(error, WeirError):
        what = f"{error.where}: {error.what}" if error.where else error.what
        return {"what": what, "why": error.why, "fix": error.fix}
    return {"what": f"{type(error).__name__}: {error}", "why": "", "fix": ""}


def frames(workshop: Workshop, request: Mapping[str, Any]) -> Iterator[bytes | Told]:
    """Everything there is to answer to one request: pieces as bytes, else what is told."""
    config = str(request.get("config", ""))
    if request["do"] == "check":
        yield from workshop.check(request)
    elif request["do"] == "send":
        yield from workshop.send(config)
    elif request["do"] == "forget":
        workshop.forget(config)
    elif request["do"] == "watch":
        workshop.prepare(config)


def shapes_of(core: Core) -> Any:
    """The shapes of the windows of `core`, as a request carries them."""
    return json.loads(msgspec.json.encode([windows.shape for windows in core.windows]))
