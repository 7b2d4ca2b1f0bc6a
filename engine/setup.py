"""A configuration read as a whole: settings, schema, models and packs, checked and ready to build a core from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from config import feeds, settings
from config import schema as schemas
from config.errors import ConfigError
from config.feeds import Feed
from config.schema import Schema
from config.settings import Configuration
from rules import pack as packs
from rules.check.findings import Finding
from rules.definitions import Pack
from rules.tree import Node


@dataclass(frozen=True, slots=True)
class Setup:
    """A configuration read as a whole: what a core is built from."""

    configuration: Configuration
    schema: Schema
    feed: Feed
    pack: Pack
    derived: dict[str, Node]

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
) -> Setup:
    """Read and check the configuration in `folder`; the keywords replace what weir.yaml says.

    Raises `ConfigError` for the first thing wrong with settings, schema or models, and one `ConfigError` with every
    finding for packs.
    """
    configuration = settings.load(
        folder, packs=pack_paths, feed=feed, lateness=lateness, rows_max=rows_max
    )
    schema = schemas.read(configuration.schema_path)
    loaded = packs.load(configuration.pack_paths, schema)
    if loaded.pack is None:
        raise ConfigError(
            f"the rules have {loaded.n_errors} errors",
            why=_listed([f for f in loaded.findings if f.is_error]),
            fix=f"see them in full with: weir rules check {configuration.pack_paths[0]}",
        )
    derived = packs.derived_fields(schema, loaded.pack.currency, loaded.pack.timezone)
    return Setup(
        configuration,
        schema,
        feeds.find(configuration.feeds_folder, configuration.settings.feed, schema),
        loaded.pack,
        derived,
    )


def _listed(findings: Sequence[Finding]) -> str:
    few = [f"{f.place} {f.code} {f.message}" for f in findings[:5]]
    more = [f"and {len(findings) - 5} more"] if len(findings) > 5 else []
    return "\n       ".join([*few, *more])
