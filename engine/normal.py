"""An input of the champion beside what is normal for its customer: "amount: 12x own 30-day average".

Which feature says what is normal stands in models.yaml (`baselines`), written by whoever declares the features. A
reason is about the score, so this only puts words to inputs that moved it; the parts themselves stay as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from config.errors import ConfigError
from config.models import BaselineEntry, ModelsFile
from rules.columns import Frame, Layout

LANGUAGES = ("en", "zh")
Told: TypeAlias = tuple[
    str, str, float
]  # input, the feature that says what is normal, how many times it


@dataclass(frozen=True, slots=True)
class _Pair:
    input_row: int
    normal_row: int
    entry: BaselineEntry


class Normals:
    """Compare inputs with their baselines, in the rows of a frame."""

    def __init__(self, file: ModelsFile, layout: Layout) -> None:
        self._pairs: dict[str, _Pair] = {}
        for name, entry in file.baselines.items():
            rows = []
            for column in (name, entry.feature):
                if column not in layout or layout[column].is_code:
                    raise ConfigError(
                        f"`{column}` in `baselines` is no number field or feature",
                        "models.yaml",
                        why="an input is compared with what a feature says is normal",
                        fix="declare the feature in a pack, such as an average over 30d",
                    )
                rows.append(layout[column].row)
            one, other = layout[name].type, layout[entry.feature].type
            if (one.kind, one.detail) != (other.kind, other.detail):
                raise ConfigError(
                    f"`{name}` is {one}, and its baseline `{entry.feature}` is {other}",
                    "models.yaml",
                    why="so many times something else means nothing",
                    fix="name a feature of the same type",
                )
            self._pairs[name] = _Pair(rows[0], rows[1], entry)

    def of(self, frame: Frame, row: int, names: Sequence[str]) -> list[Told]:
        """Those of the inputs `names` that have a baseline above 0 in this row, and how many times it they are."""
        told = []
        for name in names:
            pair = self._pairs.get(name)
            if pair is None:
                continue
            value = float(frame.number[pair.input_row, row])
            normal = float(frame.number[pair.normal_row, row])
            if np.isfinite(value) and np.isfinite(normal) and normal > 0:
                told.append((name, pair.entry.feature, rounded(value / normal)))
        return told

    def words(self, told: Told, language: str = "en") -> str:
        """A comparison in words, in English or Chinese."""
        name, feature, times = told
        entry = self._pairs[name].entry
        if language == "zh":
            return f"{entry.zh or entry.en or feature}的{times:g}倍"
        return f"{times:g}x {entry.en or feature}"


def rounded(times: float) -> float:
    """So many digits as people read: two, or all of a whole number.

    >>> rounded(12.345), rounded(1.26), rounded(0.0333), rounded(1234.5)
    (12.0, 1.3, 0.03, 1234.0)
    """
    size = abs(times)
    return round(times, 0 if size >= 10 else 1 if size >= 1 else 2)
