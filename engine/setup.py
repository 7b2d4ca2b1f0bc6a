"""A configuration read as a whole: settings, schema, models and packs, checked and ready to build a core from."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from config import feeds, settings
from config import rates as tables
from config import schema as schemas
from config.cluster import ClusterSettings
from config.decisions import divided
from config.errors import ConfigError, StateError
from config.feeds import Feed
from config.models import SHADOW, ModelsFile
from config.rates import Rates
from config.schema import Schema
from config.settings import Configuration
from rules import lock
from rules import pack as packs
from rules.check.findings import Finding
from rules.definitions import Pack
from rules.locality import Locality, partial_keys
from rules.pack import Loaded
from rules.reader import Findings
from rules.tree import Node

OVERRIDES_FILE: Final = "overrides.json"  # of a stored configuration: what its folder does not say


@dataclass(frozen=True, slots=True)
class Setup:
    """A configuration read as a whole: what a core is built from."""

    configuration: Configuration
    schema: Schema
    feed: Feed
    pack: Pack
    derived: dict[str, Node]
    rates: Rates | None = None  # without them no amount in another currency is known
    notes: tuple[str, ...] = ()  # what people should know about it
    # keys by which one of several partitions sees a part only, and something reads it
    partial: tuple[str, ...] = ()

    @property
    def lateness_us(self) -> int:
        """How far a row may lie behind core time and still count: what the feed says, else the setting."""
        own = self.feed.lateness_us
        if own is None or "lateness" in self.configuration.overrides:
            return self.configuration.settings.lateness_us
        return own

    @property
    def sha256(self) -> str:
        """What a decision names as its `config`."""
        return f"sha256:{self.configuration.sha256}"


def read_setup(
    folder: Path,
    *,
    pack_paths: Sequence[Path] = (),
    feed: str = "",
    lateness: str = "",
    rows_max: int = 0,
    compares_locks: bool = False,
    partitions: int = 1,
) -> Setup:
    """Read and check the configuration in `folder`; the keywords replace what weir.yaml says.

    partitions     : of the cluster that it is for
    compares_locks : have a note for every rule that does something else than its pack's rules.lock says of its version

    Raises `ConfigError` for the first thing wrong with settings, schema or models, and one `ConfigError` with every
    finding for packs.
    """
    configuration = settings.load(
        folder,
        packs=pack_paths,
        feed=feed,
        lateness=lateness,
        rows_max=rows_max,
        partitions=partitions,
    )
    return _checked(configuration, fits_models=bool(pack_paths), compares_locks=compares_locks)[0]


def stored_overrides(configuration: Configuration) -> dict[str, Any]:
    """What overrides.json of a stored configuration says: options of the command line, packs and files."""
    return {
        "overrides": dict(configuration.overrides),
        "packs": list(configuration.pack_names),
        "files": {name: sha256 for name, (_, sha256) in configuration.files.items()},
    }


def read_stored(folder: Path) -> Setup:
    """Read a configuration as an output folder keeps it, in the folder named by its hash.

    Raises `StateError` if it is not there, not whole, or no longer what it was stored as.
    """
    return read_stored_with(folder)[0]


def read_stored_with(folder: Path) -> tuple[Setup, Loaded]:
    """The same, and what reading its packs gave, for whoever looks closer at them (rules/check/lint.py)."""
    where = str(folder)
    try:
        kept = json.loads((folder / OVERRIDES_FILE).read_bytes())
        overrides: Mapping[str, str] = kept["overrides"]
        configuration = settings.load(
            folder,
            packs=[folder / name for name in kept["packs"]],
            feed=overrides.get("feed", ""),
            lateness=overrides.get("lateness", ""),
            overrides=overrides,
        )
        setup, loaded = _checked(configuration, fits_models="packs" in overrides)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(
            f"the stored configuration cannot be read: {error}",
            where,
            why="records can be decided again only with the configuration that was active",
            fix="restore config/ of the output folder from a backup",
        ) from None
    if configuration.sha256 != folder.name:
        raise StateError(
            f"the stored configuration is another one: it hashes to {configuration.sha256}",
            where,
            why="somebody has changed it since; records would be decided otherwise than they were",
            fix="restore config/ of the output folder from a backup",
        )
    return setup, loaded


def _checked(
    configuration: Configuration, *, fits_models: bool, compares_locks: bool = False
) -> tuple[Setup, Loaded]:
    """Read schema, rates, packs and feed of a configuration; `fits_models`: its packs came from elsewhere."""
    schema = schemas.read(configuration.schema_path)
    name = configuration.settings.rates
    rates = tables.read(configuration.folder / name) if name is not None else None
    loaded = packs.load(configuration.pack_paths, schema, rates)
    if loaded.pack is None:
        errors = [f for f in loaded.findings if f.is_error]
        raise ConfigError(
            f"the rules have {len(errors)} error{'s' if len(errors) != 1 else ''}",
            why=_listed(errors),
            fix=f"see them in full with: weir rules check {_pack_of(errors, configuration.pack_paths)}",
        )
    derived = packs.derived_fields(schema, loaded.pack.currency, loaded.pack.timezone)
    notes: tuple[str, ...] = ()
    if fits_models:
        known = {*schema.columns, *loaded.pack.features}
        models, notes = models_for(configuration.models, known)
        configuration = replace(configuration, models=models)
    refuse_shadows(configuration.models, loaded.pack)
    if compares_locks:
        notes += changed_bodies(loaded)
    feed = feeds.find(configuration.feeds_folder, configuration.settings.feed, schema)
    pack = loaded.pack
    partial: tuple[str, ...] = ()
    n = settings.partitions_of(configuration.overrides)
    if n > 1:
        partial = partial_of(configuration, pack)
        pack = shared_out(pack, n)
    setup = Setup(configuration, schema, feed, pack, derived, rates, notes, partial)
    return setup, loaded


def partial_of(configuration: Configuration, pack: Pack) -> tuple[str, ...]:
    """The keys by which something that is read is partial where there are several partitions."""
    cluster = configuration.settings.cluster or ClusterSettings(brokers="none:0")
    inputs = [name for entry in configuration.models.models.values() for name in entry.inputs]
    return partial_keys(pack, Locality(pack.features, cluster.key, cluster.local), inputs)


def shared_out(pack: Pack, n: int) -> Pack:
    """The pack with its limits an hour divided by `n` partitions."""
    rules = tuple(
        replace(
            rule,
            actions=tuple(
                replace(a, max_per_hour=divided(a.max_per_hour, n)) for a in rule.actions
            ),
        )
        for rule in pack.rules
    )
    return replace(pack, rules=rules, max_freezes_per_hour=divided(pack.max_freezes_per_hour, n))


def models_for(file: ModelsFile, known: Collection[str]) -> tuple[ModelsFile, tuple[str, ...]]:
    """The models as far as other packs declare what they read, and a note for each that lost an input.

    A pack tried in place of the configuration's own need not declare the features of its models; an input that is
    not there would be missing in every row anyway. Where inputs come in groups, a group goes as a whole, and a model
    that has none left goes too, also out of what combines it.
    """
    from models.registry import (
        KINDS,
    )  # numba is slow to load, and most who read a setup run nothing

    entries, notes = {}, []
    gone: set[str] = set()
    for name in file.order:
        entry = file.models[name]
        if entry.of:
            members = tuple(member for member in entry.of if member not in gone)
            if members:
                entries[name] = msgspec.structs.replace(entry, of=members)
            else:
                gone.add(name)
            continue
        size = len(KINDS[entry.kind].group) if entry.kind in KINDS else 1
        groups = [entry.inputs[i : i + size] for i in range(0, len(entry.inputs), size)]
        inputs = tuple(i for group in groups if all(i in known for i in group) for i in group)
        lost = [i for i in entry.inputs if i not in known]
        if not inputs and size > 1:
            gone.add(name)
            notes.append(
                f"model `{name}` is left out: the packs given do not declare {', '.join(lost)}"
            )
            continue
        if not inputs:
            raise ConfigError(
                f"none of the inputs of model `{name}` is declared by the packs given",
                settings.MODELS_FILE,
                why="a model that reads nothing gives every transaction the same score",
                fix=f"declare one of {', '.join(lost[:5])}, or give a --config whose models fit",
            )
        if lost:
            notes.append(
                f"model `{name}` goes without {', '.join(lost)}: the packs given do not declare them"
            )
        entries[name] = msgspec.structs.replace(entry, inputs=inputs)
    entries = {name: entries[name] for name in file.models if name in entries}
    left = {i for entry in entries.values() for i in entry.inputs}
    baselines = {i: b for i, b in file.baselines.items() if i in left and b.feature in known}
    file = msgspec.structs.replace(file, models=entries, baselines=baselines)
    return file, tuple(notes)


def refuse_shadows(file: ModelsFile, pack: Pack) -> None:
    """Raise `ConfigError` if a live rule reads a model that is a shadow."""
    shadows = {f"model.{name}": name for name, entry in file.models.items() if entry.role == SHADOW}
    for rule in pack.rules if shadows else ():
        if rule.mode != "live":
            continue
        for tree in (rule.when, rule.score, *(clause.when for clause in rule.exceptions)):
            for column in tree.columns():
                if column in shadows:
                    raise ConfigError(
                        f"the live rule {rule.id} reads {column}, and {shadows[column]} is a shadow",
                        str(rule.place),
                        why="a shadow is scored and recorded only; nothing may follow from it",
                        fix=f"take `role: shadow` of {shadows[column]} out of {settings.MODELS_FILE}, "
                        "or write mode: shadow in the rule",
                    )


def changed_bodies(loaded: Loaded) -> tuple[str, ...]:
    """A note for every rule that does something else than its pack's rules.lock says of its version.

    An engine starts all the same: what `weir rules check` and activation refuse may stand on a disk for other reasons.
    """
    findings = Findings()
    lock.check(loaded, findings)
    return tuple(
        f"{f.place} {f.code} {f.message}; {f.hint}" for f in findings.all if f.code == "WR325"
    )


def _pack_of(findings: Sequence[Finding], packs: Sequence[Path]) -> Path:
    """The pack that the first finding is in, the last one where that is not to be seen."""
    inside = (p for p in packs if findings and Path(findings[0].place.file).is_relative_to(p))
    return next(inside, packs[-1])


def _listed(findings: Sequence[Finding]) -> str:
    few = [f"{f.place} {f.code} {f.message}" for f in findings[:5]]
    more = [f"and {len(findings) - 5} more"] if len(findings) > 5 else []
    return "\n       ".join([*few, *more])
