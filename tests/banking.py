"""A small generated stream and the shipped configuration, for tests that drive the whole core."""

import dataclasses
import functools
import itertools
from pathlib import Path

import msgspec

from config.settings import BANK
from engine.core import Core
from engine.setup import read_setup
from replay.generate import generate
from rules.columns import Frame

STREAMS = (
    "decisions",
    "alerts",
    "commands",
    "resolutions",
    "reports",
    "dead_letters",
    "duplicates",
)


@functools.cache
def shipped_setup():
    return read_setup(BANK)


def traffic(folder: Path, seed: int, *, accounts: int = 300, days: int = 5) -> list[bytes]:
    """A stream with everything that goes wrong on the way."""
    path = folder / f"traffic{seed}-{accounts}-{days}.ndjson"
    if not path.exists():
        generate(
            path,
            accounts=accounts,
            days=days,
            rate=2.0,
            seed=seed,
            out_of_order=0.05,
            late=0.01,
            duplicates=0.01,
            bad_lines=0.005,
        )
    return path.read_bytes().splitlines()


def fresh_core() -> Core:
    return Core(shipped_setup())


def feed(core: Core, lines: list[bytes], cuts: list[int], start: int = 0) -> dict[str, bytes]:
    """Apply `lines` in batches cut at `cuts`; the outcomes per stream."""
    whole = dict.fromkeys(STREAMS, b"")
    edges = [0, *sorted(cuts), len(lines)]
    for a, b in itertools.pairwise(edges):
        if a < b:
            outcome = core.apply(lines[a:b], [f"x:{start + i}" for i in range(a, b)])
            for stream in STREAMS:
                whole[stream] += outcome.streams.get(stream, b"")
    return whole


def every(n_rows: int, n: int) -> list[int]:
    """Cuts after every `n_rows`."""
    return list(range(n_rows, n, n_rows))


def state_bytes(core: Core) -> dict[str, bytes]:
    return {name: a.dtype.str.encode() + a.tobytes() for name, a in core.save().items()}


def plain(core: Core, frame: Frame, name: str) -> list[object]:
    """A column as Python values: texts for codes, None for missing."""
    place, column = core.layout[name], frame.column(name).tolist()
    if place.is_code:
        texts = core.dictionaries[place.dictionary].texts
        return [texts[c] if c >= 0 else None for c in column]
    return [None if v != v else v for v in column]


def assuming_core(after: str) -> Core:
    """A core that takes transactions without a label for genuine after a while."""
    setup = shipped_setup()
    settings = msgspec.structs.replace(setup.configuration.settings, assume_genuine_after=after)
    configuration = dataclasses.replace(setup.configuration, settings=settings)
    return Core(dataclasses.replace(setup, configuration=configuration))
