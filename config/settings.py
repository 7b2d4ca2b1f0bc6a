"""What a configuration folder says: the engine's settings, its models, and where schema, feeds and packs stand.

    weir.yaml      Settings: limits, times, labels, decisions           models.yaml    ModelsFile
    schema.yaml    read by config/schema.py                             feeds/         read by config/schema.py
    packs/         read by rules/pack.py                                lists/         read by rules/pack.py
    rates.yaml     read by config/rates.py, where `rates` names it

Bounds are checked once, here; a message names file, line and key, says why the bound exists and what to do. Every
setting stands in config/bank/weir.yaml with its shipped value and its meaning; a style test holds the two together.
Not here: what schema, feeds and packs mean; this module only finds and hashes their files.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

import msgspec

from config import marks
from config.bounds import check_count, check_duration
from config.cluster import ClusterSettings
from config.decisions import DecisionSettings
from config.durations import duration_text, duration_us
from config.errors import ConfigError
from config.memory import Expected, size_bytes
from config.models import (
    BaselineEntry,
    DriftEntry,
    ModelEntry,
    ModelsFile,
    RefitEntry,
    RollbackEntry,
)
from config.outlets import RedisSettings, SinkSettings
from config.packs import with_extended
from config.people import NOBODY, PEOPLE_FILE, People
from config.people import read as read_people

T = TypeVar("T")

BANK = Path(__file__).parent / "bank"  # the configuration that ships
SETTINGS_FILE, MODELS_FILE, SCHEMA_FILE = "weir.yaml", "models.yaml", "schema.yaml"
EFFECTS = ("observe", "enforce")
SYNC, FLUSH, NONE = "sync", "flush", "none"
ONLINE, FROZEN = "online", "frozen"
LEARNING = (ONLINE, FROZEN)
NOT_NEEDED, REQUIRED = "none", "required"
APPROVALS = (NOT_NEEDED, REQUIRED)
DURABILITIES = (SYNC, FLUSH, NONE)  # what a record must survive before its outcome leaves
PARTITIONS = "partitions"  # among the overrides: of the cluster that a configuration is for
BUDGET_MIN = 300_000_000  # bytes that any engine holds, before the first event
SUFFIXES = frozenset({".yaml", ".yml", ".csv"})  # what a configuration consists of
BESIDE = frozenset({".lock"})  # says something about it and changes no outcome: kept, not hashed


class EncryptionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the key stands that encrypts what is written: an environment variable, or a file. Exactly one of them."""

    key_env: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        if (self.key_env is None) == (self.key_file is None):
            raise ConfigError(
                "`encryption` must name either `key_env` or `key_file`",
                why="the key is 32 bytes that stand outside the configuration, which is copied and shown",
                fix="write {key_env: WEIR_KEY}, or leave `encryption` out",
            )


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of one engine. Durations are texts as written; the properties ending in `_us` are what code reads."""

    packs: tuple[str, ...] = ("packs/core",)
    feed: str = "canonical"
    rates: str | None = None
    effect: str = "observe"
    rows_max: int = 4_096
    message_bytes_max: int = 1_048_576
    lateness: str = "15m"
    future_max: str = "5m"
    jump_max: str = "30d"
    remember: str = "120d"
    warm_after: str = "35d"
    history_from: str | None = None
    assume_genuine_after: str | None = None
    learning: str = ONLINE
    memory_budget: str | None = None
    expected: Expected | None = None
    decisions: DecisionSettings = DecisionSettings()
    durability: str = SYNC
    segment_bytes: int = 67_108_864
    journal_keep: str = "400d"
    snapshot_every: str = "15m"
    snapshot_records: int = 2_000_000
    snapshots_kept: int = 8
    approval: str = NOT_NEEDED  # by somebody other than the author of a configuration
    root_copy: str | None = None
    encryption: EncryptionSettings | None = None
    sink: SinkSettings | None = None  # where commands go under effect: enforce
    redis: RedisSettings | None = None  # where the restriction registry stands
    cluster: ClusterSettings | None = None  # where workers find Kafka

    def __post_init__(self) -> None:
        if not self.packs:
            raise ConfigError(
                "`packs` is empty",
                why="without rules every transaction would be approved in silence",
                fix="name at least one folder with a pack.yaml, such as packs/core",
            )
        if self.rates is not None and not _is_inside(self.rates):
            raise ConfigError(
                f"`rates` must name a file of this folder, was {self.rates}",
                why="rates change what is decided, so they are hashed and kept with the configuration",
                fix="put the table beside weir.yaml, such as rates.yaml",
            )
        if self.effect not in EFFECTS:
            raise ConfigError(
                f"`effect` must be observe or enforce, was {self.effect}",
                why="it says whether commands reach the core banking system or are only recorded",
                fix="write observe until the decisions have been looked at",
            )
        if self.approval not in APPROVALS:
            raise ConfigError(
                f"`approval` must be none or required, was {self.approval}",
                why="it says whether a configuration goes live only with the approval of a second person",
                fix="write required where nobody may change rules alone",
            )
        if self.learning not in LEARNING:
            raise ConfigError(
                f"`learning` must be online or frozen, was {self.learning}",
                why="it says whether models go on learning, or only score with what they have learned",
                fix="write online; frozen where a validated state must stay as it is",
            )
        _check_budget(self.memory_budget)
        check_count(
            "rows_max",
            self.rows_max,
            (1, 65_536),
            why="larger batches only delay their first row: speed stops growing at a few thousand",
            fix="leave it at 4096",
        )
        check_count(
            "message_bytes_max",
            self.message_bytes_max,
            (256, 67_108_864),
            why="one message must fit a batch in memory, and a payment needs some hundred bytes",
            fix="leave it at 1048576; larger messages become dead letters",
        )
        check_duration(
            "lateness",
            self.lateness,
            ("0s", "7d"),
            why="every window keeps its events that much longer",
            fix="have the sender publish sooner; a row that is later is decided but not counted",
        )
        check_duration(
            "future_max",
            self.future_max,
            ("0s", "1d"),
            why="one event far ahead would move core time, and with it expiry, for everybody",
            fix="correct the sender's clock",
        )
        check_duration(
            "jump_max",
            self.jump_max,
            ("1m", "36500d"),
            why="in a recording, one wrong year would make everything after it late",
            fix="raise it only for a recording that really has such a gap",
        )
        check_duration(
            "remember",
            self.remember,
            ("1d", "3650d"),
            why="a repeat, label or update finds its transaction that long; memory grows with it",
            fix="make it as long as labels and charge-backs take to arrive",
        )
        if self.remember_us < self.lateness_us:
            raise ConfigError(
                f"`remember` must be at least `lateness`, was {self.remember} and {self.lateness}",
                why="a late repeat would be decided a second time",
                fix=f"raise `remember` to {duration_text(self.lateness_us)} or more",
            )
        assumed_us = self.assume_genuine_after_us
        if assumed_us is not None and assumed_us >= self.remember_us:
            raise ConfigError(
                f"`assume_genuine_after` must be shorter than `remember`, was "
                f"{self.assume_genuine_after} and {self.remember}",
                why="what is forgotten can no longer be learned",
                fix="raise `remember`",
            )
        check_duration(
            "warm_after",
            self.warm_after,
            ("0s", "400d"),
            why="until then rules that use a feature without its history run in shadow",
            fix="give single features a `warm_after` of their own instead",
        )
        self._check_durability()
        if self.history_from is not None:
            instant_us("history_from", self.history_from)
        if self.assume_genuine_after is not None:
            check_duration(
                "assume_genuine_after",
                self.assume_genuine_after,
                ("1d", "400d"),
                why="a fraud is reported days or weeks later; before that, silence says nothing",
                fix="leave it out, so that unlabelled transactions teach nothing",
            )

    def _check_durability(self) -> None:
        if self.durability not in DURABILITIES:
            raise ConfigError(
                f"`durability` must be sync, flush or none, was {self.durability}",
                why="it says what an input has to survive before its outcome leaves: a power failure, a killed process",
                fix="write sync; flush where power never fails, none only for backtests",
            )
        check_count(
            "segment_bytes",
            self.segment_bytes,
            (65_536, 1_073_741_824),
            why="a segment is what the journal removes and copies as a whole",
            fix="leave it at 67108864",
        )
        check_duration(
            "journal_keep",
            self.journal_keep,
            ("1d", "36500d"),
            why="a day can be decided again only while the journal holds it",
            fix="make it as long as auditors may ask back",
        )
        check_duration(
            "snapshot_every",
            self.snapshot_every,
            ("10s", "7d"),
            why="after a crash everything since the newest snapshot is decided again before the next message",
            fix="leave it at 15m",
        )
        check_count(
            "snapshot_records",
            self.snapshot_records,
            (4_096, 1_000_000_000),
            why="writing a snapshot stops a replay, and resuming decides again what came after it",
            fix="leave it at 2000000",
        )
        check_count(
            "snapshots_kept",
            self.snapshots_kept,
            (2, 10_000),
            why="a broken snapshot is skipped for the one before it",
            fix="leave it at 8",
        )

    @property
    def lateness_us(self) -> int:
        """How far a row may lie behind core time and still count; a feed may say otherwise."""
        return duration_us(self.lateness)

    @property
    def future_max_us(self) -> int:
        return duration_us(self.future_max)

    @property
    def jump_max_us(self) -> int:
        return duration_us(self.jump_max)

    @property
    def remember_us(self) -> int:
        return duration_us(self.remember)

    @property
    def warm_after_us(self) -> int:
        return duration_us(self.warm_after)

    @property
    def journal_keep_us(self) -> int:
        return duration_us(self.journal_keep)

    @property
    def snapshot_every_us(self) -> int:
        return duration_us(self.snapshot_every)

    @property
    def history_from_us(self) -> int | None:
        """Microseconds UTC from which the history is complete; None: a fresh core has all of it."""
        if self.history_from is None:
            return None
        return instant_us("history_from", self.history_from)

    @property
    def assume_genuine_after_us(self) -> int | None:
        """Microseconds after which an unlabelled transaction counts as genuine; None: never."""
        return None if self.assume_genuine_after is None else duration_us(self.assume_genuine_after)

    @property
    def memory_budget_bytes(self) -> int | None:
        """Bytes that the process may hold; None: nobody looks."""
        return None if self.memory_budget is None else size_bytes(self.memory_budget)


KEYS = tuple(
    name
    for kind in (
        *(Settings, Expected, DecisionSettings, EncryptionSettings, SinkSettings, RedisSettings),
        ClusterSettings,
        *(ModelsFile, ModelEntry, RefitEntry, RollbackEntry, DriftEntry, BaselineEntry),
    )
    for name in kind.__struct_encode_fields__
)


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration folder, read and checked as far as `config` can: schema, feeds and packs are paths still.

    files     : name inside the configuration -> (path, sha256 of its bytes), sorted; packs from elsewhere stand
                under `packs[i]/`
    beside    : the same of files that say something about it and change no outcome, the locks of its packs
    overrides : settings that were given from outside the folder (command line) and change outcomes, as text
    sha256    : over names and hashes of all files and the overrides: what a decision names as its `config`
    """

    folder: Path
    settings: Settings
    models: ModelsFile
    schema_path: Path
    feeds_folder: Path
    pack_paths: tuple[Path, ...]
    files: Mapping[str, tuple[Path, str]]
    overrides: Mapping[str, str]
    sha256: str
    beside: Mapping[str, tuple[Path, str]] = field(default_factory=dict)
    people: People = NOBODY

    @property
    def pack_names(self) -> tuple[str, ...]:
        """Where each of `pack_paths` stands among `files`: its folder inside, or `packs[i]`."""
        return tuple(
            _inside_name(self.folder, path) or f"packs[{i}]"
            for i, path in enumerate(self.pack_paths)
        )


def load(
    folder: Path,
    *,
    packs: Sequence[Path] = (),
    feed: str = "",
    lateness: str = "",
    rows_max: int = 0,
    partitions: int = 1,
    overrides: Mapping[str, str] | None = None,
) -> Configuration:
    """Read the configuration in `folder`; raise ConfigError naming file, line and key.

    partitions : of the cluster that it is for; limits on what is done in an hour are divided by them

    The keywords replace what weir.yaml says, as options of the command line do. All but `rows_max` enter the hash:
    where batches are cut changes no outcome. `overrides` is for a stored configuration: what entered the hash when it
    was first read, where `packs` are the folders in which it keeps them now.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"there is no configuration folder {folder}",
            fix=f"name a folder that holds {SETTINGS_FILE}; one that works ships as config/bank",
        )
    settings = read_settings(folder / SETTINGS_FILE)
    given = {"feed": feed, "lateness": lateness}
    given = {name: value for name, value in given.items() if value}
    settings = _replaced(settings, {**given, **({"rows_max": rows_max} if rows_max else {})})
    if overrides is not None:
        given = dict(overrides)
    else:
        if packs:
            given["packs"] = f"{len(packs)} from elsewhere"  # their content is hashed below
        if partitions > 1:
            given[PARTITIONS] = str(partitions)
    n = partitions_of(given)
    if n > 1:
        settings = msgspec.structs.replace(settings, decisions=settings.decisions.divided(n))
    pack_paths = tuple(packs) or tuple(folder / name for name in settings.packs)
    for path in pack_paths:
        if not (path / "pack.yaml").is_file():
            raise ConfigError(
                f"there is no pack in {path}",
                "" if packs else str(folder / SETTINGS_FILE),
                why="a pack is a folder that holds pack.yaml",
                fix="correct the path" if packs else f"correct the path; it counts from {folder}",
            )
    schema_path = folder / SCHEMA_FILE
    if not schema_path.is_file():
        raise ConfigError(
            f"there is no {SCHEMA_FILE} in {folder}",
            why="without it no message can be read",
            fix="copy the one that ships in config/bank",
        )
    pack_paths = with_extended(pack_paths)
    rates_file(folder, settings)
    found = _files(folder, pack_paths, settings.rates)
    files = {name: file for name, file in found.items() if file[0].suffix not in BESIDE}
    models = read_models(folder / MODELS_FILE)
    _check_remembered(settings, models, folder / MODELS_FILE)
    return Configuration(
        folder=folder,
        settings=settings,
        models=models,
        schema_path=schema_path,
        feeds_folder=folder / "feeds",
        pack_paths=pack_paths,
        files=files,
        overrides=given,
        sha256=_sha256(files, given),
        beside={name: file for name, file in found.items() if name not in files},
        people=read_people(folder / PEOPLE_FILE),
    )


def partitions_of(overrides: Mapping[str, str]) -> int:
    """How many partitions the cluster has that a configuration is for; 1 without one."""
    return int(overrides.get(PARTITIONS, "1"))


def read_settings(path: Path) -> Settings:
    """Read a weir.yaml."""
    return _convert(marks.read(path), Settings)


def _check_remembered(settings: Settings, models: ModelsFile, path: Path) -> None:
    """Refuse models that would need transactions which are forgotten by then."""
    kept = f"`remember` is {settings.remember}"
    if models.maturity_us >= settings.remember_us:
        raise ConfigError(
            f"`maturity` must be shorter than `remember`, was {models.maturity}",
            str(path),
            why=f"{kept}: what is forgotten can no longer be learned",
            fix=f"raise `remember` in {SETTINGS_FILE}",
        )
    for name, entry in models.models.items():
        if entry.refit is not None and entry.refit.train_us > settings.remember_us:
            raise ConfigError(
                f"`train` of model `{name}` must not exceed `remember`, was {entry.refit.train}",
                str(path),
                why=f"{kept}: a fit would see less than it is said to",
                fix=f"raise `remember` in {SETTINGS_FILE}, or shorten `train`",
            )
        if entry.refit is not None and entry.refit.train_us <= models.maturity_us:
            raise ConfigError(
                f"`train` of model `{name}` must exceed `maturity`, was {entry.refit.train}",
                str(path),
                why=f"a fit learns from transactions older than {models.maturity}, and none would be left",
                fix="lengthen `train`",
            )


def rates_file(folder: Path, settings: Settings) -> Path | None:
    """The table of rates that the settings of `folder` name, if they do; ConfigError if it is not there."""
    if settings.rates is None:
        return None
    path = folder / settings.rates
    if not path.is_file():
        raise ConfigError(
            f"there is no table of rates {settings.rates} in {folder}",
            str(folder / SETTINGS_FILE),
            why="`rates` names it, and amounts in other currencies are converted with it",
            fix="copy the one that ships in config/bank, or leave `rates` out",
        )
    return path


def _is_inside(name: str) -> bool:
    path = Path(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts


def read_models(path: Path) -> ModelsFile:
    """Read a models.yaml."""
    node = marks.read(path)
    entries = node.get("models")
    if isinstance(entries, marks.MapNode):  # msgspec's paths hide the keys of dicts: one by one
        for entry in entries.values.values():
            if isinstance(entry, marks.MapNode):
                _convert(entry, ModelEntry)
    return _convert(node, ModelsFile)


def instant_us(key: str, text: str) -> int:
    """Microseconds UTC of a day (its start, UTC) or an RFC 3339 time with offset; ConfigError naming `key`.

    >>> instant_us("history_from", "2026-03-02") == instant_us("x", "2026-03-02T01:00:00+01:00")
    True
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    is_day = re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) is not None
    if instant is None or (instant.tzinfo is None and not is_day):
        raise ConfigError(
            f"`{key}` must be a day or a time with offset, was {text}",
            why="a time without offset means another instant in each zone",
            fix="write it like 2026-03-02 or 2026-03-02T10:00:00Z",
        )
    elapsed = instant.replace(tzinfo=instant.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds


def _convert(node: marks.MapNode, kind: type[T]) -> T:
    """`marks.convert`, but a bound that was broken is shown at its key, not at the mapping around it."""
    try:
        return marks.convert(node, kind)
    except ConfigError as error:
        unknown = re.fullmatch(r"unknown key `(.*)`", error.what)
        if unknown:
            near = get_close_matches(unknown[1], KEYS, n=1)
            fix = f"did you mean `{near[0]}`?" if near else "see config/bank for every key there is"
            raise ConfigError(error.what, error.where, error.why, fix) from None
        key = re.match(r"`(\w+)` ", error.what)
        place = _key_place(node, key[1]) if key else None
        if place is None:
            raise
        raise ConfigError(error.what, place, error.why, error.fix) from None


def _key_place(node: marks.Node, name: str) -> str | None:
    """Where the key `name` stands, at the outermost level that has it."""
    if not isinstance(node, marks.MapNode):
        return None
    if name in node:
        return node.keys[name].place()
    return next((p for v in node.values.values() if (p := _key_place(v, name))), None)


def _replaced(settings: Settings, changes: Mapping[str, object]) -> Settings:
    """`settings` with other values, bounds checked again; the message names the option."""
    try:
        return msgspec.structs.replace(settings, **changes)
    except ConfigError as error:
        raise ConfigError(error.what, "command line", error.why, error.fix) from None


def _check_budget(text: str | None) -> None:
    if text is None:
        return
    try:
        n_bytes = size_bytes(text)
    except ConfigError as error:
        raise ConfigError(
            f"`memory_budget` must be a size, was {text}", why=error.why, fix=error.fix
        ) from None
    if n_bytes < BUDGET_MIN:
        raise ConfigError(
            f"`memory_budget` must be at least {BUDGET_MIN // 10**6} MB, was {text}",
            why="Python, numpy and the compiled kernels alone take about that",
            fix="give the process more, such as 4 GB, or leave the budget out",
        )


def _files(
    folder: Path, pack_paths: Sequence[Path], rates: str | None
) -> dict[str, tuple[Path, str]]:
    """Every file of a configuration and beside it, by a name that does not depend on where the folder stands."""
    found: dict[str, Path] = {}
    roots = [folder / "feeds", folder / "lists", *pack_paths]
    for name in (SETTINGS_FILE, MODELS_FILE, SCHEMA_FILE, *([rates] if rates else [])):
        found[name] = folder / name
    if (folder / PEOPLE_FILE).is_file():
        found[PEOPLE_FILE] = folder / PEOPLE_FILE
    for i, root in enumerate(roots):
        name = _inside_name(folder, root)
        prefix = Path(name) if name else None
        for path in root.rglob("*"):
            relative = path.relative_to(root)
            if path.suffix not in SUFFIXES | BESIDE or any(
                p.startswith(".") for p in relative.parts
            ):
                continue
            if path.is_file():
                outside = f"packs[{i - 2}]/{relative.as_posix()}"
                found[(prefix / relative).as_posix() if prefix else outside] = path
        if prefix is None:
            found |= {f"packs[{i - 2}]/{name}": path for name, path in _around(root).items()}
    return {
        name: (found[name], hashlib.sha256(found[name].read_bytes()).hexdigest())
        for name in sorted(found)
    }


def _around(pack: Path) -> dict[str, Path]:
    """Files that a pack from elsewhere reads from the configuration folder around it (rules/tables.py), by name.

    Stored as files of the pack itself, where they are looked for first.
    """
    found: dict[str, Path] = {}
    for path in sorted(pack.rglob("*.y*ml")):
        try:
            waiting: list[marks.Node] = [marks.read(path)]
        except (ConfigError, OSError):  # reported when the pack is loaded
            continue
        while waiting:
            node = waiting.pop()
            if isinstance(node, marks.MapNode):
                waiting += node.values.values()
                named = node.get("file")
                name = named.value if isinstance(named, marks.TextNode) else ""
                around = pack.parent.parent / name
                if _is_inside(name) and around.is_file() and not (pack / name).is_file():
                    found[name] = around
            elif isinstance(node, marks.ListNode):
                waiting += node.items
    return found


def _inside_name(folder: Path, path: Path) -> str:
    """The name of `path` counted from `folder`; "" if it stands elsewhere."""
    if not path.resolve().is_relative_to(folder.resolve()):
        return ""
    return path.resolve().relative_to(folder.resolve()).as_posix()


def _sha256(files: Mapping[str, tuple[Path, str]], overrides: Mapping[str, str]) -> str:
    lines = [f"{sha256}  {name}\n" for name, (_, sha256) in files.items()]
    lines += [f"{name}={overrides[name]}\n" for name in sorted(overrides)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
