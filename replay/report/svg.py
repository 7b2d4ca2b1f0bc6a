"""Plots as static SVG: bars, lines and curves, drawn by a few functions; no script, no font, no picture from elsewhere.

Colours are classes that the page's style gives values to, light, dark and on paper; what a colour means is also said
by the legend's order and by the table beside the plot. Texts are escaped here. Everything is laid out in a box of
WIDTH x HEIGHT units, which the page stretches to its own width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, TypeAlias

WIDTH: Final = 540
HEIGHT: Final = 215
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 26, 32
TICKS: Final = 4
LETTER: Final = 6.4  # width of one of the axis texts, about

Values: TypeAlias = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """One thing that is plotted: its name, its values (None: unknown), and the class of its colour."""

    name: str
    values: Values
    colour: str


def bars(
    title: str, labels: Sequence[str], series: Sequence[Series], unit: str, *, log: bool = False
) -> str:
    """Bars, one place a label; several series stand on each other (beside each other on a logarithmic axis)."""
    totals = [sum(s.values[i] or 0 for s in series) for i in range(len(labels))]
    if log:
        totals = [max((s.values[i] or 0 for s in series), default=0) for i in range(len(labels))]
    axis = _Axis.over(max(totals, default=0), log=log, whole=True)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    marks = []
    for i in range(len(labels)):
        at = LEFT + i * step
        base = 0.0
        for k, one in enumerate(series):
            value = one.values[i] or 0
            if value <= 0:
                continue
            if log:
                width = step * 0.84 / len(series)
                top, low, x = axis.y(value), axis.y(0), at + step * 0.08 + k * width
            else:
                width = step * 0.84
                top, low, x = axis.y(base + value), axis.y(base), at + step * 0.08
                base += value
            height = max(low - top, 0.6)
            marks.append(
                f'<rect class="{one.colour}" x="{x:.1f}" y="{low - height:.1f}" width="{max(width, 0.5):.1f}" '
                f'height="{height:.1f}"><title>{_text(labels[i])}: {_text(one.name)} {_text(number(value))}'
                f"</title></rect>"
            )
    return _frame(title, unit, labels, series, axis, "".join(marks), step, centred=True)


def lines(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    unit: str,
    *,
    top: float | None = None,
    log: bool = False,
    percent: bool = False,
) -> str:
    """Lines through points, one place a label; a value that is unknown breaks the line."""
    known = [v for s in series for v in s.values if v is not None]
    axis = _Axis.over(
        top if top is not None else max(known, default=0),
        log=log,
        least=min((v for v in known if v > 0), default=0),
        percent=percent,
    )
    step = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    marks = [_line(one, labels, axis, step) for one in series]
    return _frame(title, unit, labels, series, axis, "".join(marks), step, centred=True)


def _line(one: Series, labels: Sequence[str], axis: "_Axis", step: float) -> str:
    path, pen, dots = [], "M", []
    for i, value in enumerate(one.values):
        if value is None:
            pen = "M"
            continue
        x, y = LEFT + (i + 0.5) * step, axis.y(value)
        path.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
        if len(labels) <= 40 or _is_alone(one.values, i):
            dots.append(
                f'<circle class="{one.colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"><title>{_text(labels[i])}: '
                f"{_text(one.name)} {_text(axis.text(value))}</title></circle>"
            )
    if not path:
        return ""
    return f'<path class="line {one.colour}" d="{" ".join(path)}"/>{"".join(dots)}'


def _is_alone(values: Values, i: int) -> bool:
    """Whether a value has no neighbour, so that no line shows it."""
    before = values[i - 1] if i else None
    after = values[i + 1] if i + 1 < len(values) else None
    return before is None and after is None


def curve(title: str, points: Sequence[tuple[float, float]], x_unit: str, y_unit: str) -> str:
    """A curve in the unit square, such as precision over recall."""
    axis = _Axis.over(1.0, percent=True)
    wide = WIDTH - LEFT - RIGHT
    path = " ".join(
        f"{'L' if k else 'M'}{LEFT + x * wide:.1f} {axis.y(y):.1f}"
        for k, (x, y) in enumerate(points)
    )
    labels = [f"{k / 10:.0%}" for k in range(11)]
    marks = f'<path class="line c1" d="{path}"/>' if points else ""
    marks += f'<text class="unit" x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" text-anchor="end">{_text(x_unit)}</text>'
    return _frame(title, y_unit, labels, (), axis, marks, wide / 10, centred=False)


def inline_bar(part: float, colour: str = "c1") -> str:
    """A small bar for a cell of a table; `part` of its width is filled."""
    part = min(max(part, 0.0), 1.0)
    return (
        f'<svg class="cell" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="10"/>'
        f'<rect class="{colour}" width="{100 * part:.1f}" height="10"/></svg>'
    )


class _Axis:
    """Where a value stands; linear from 0, or logarithmic with 0 at the bottom."""

    def __init__(self, ticks: Sequence[float], *, low: float = 0.0, percent: bool = False) -> None:
        self.ticks, self._percent = ticks, percent
        self._low = low  # of a logarithmic axis, its lower end; 0: linear
        self._high = ticks[-1]

    @classmethod
    def over(
        cls,
        most: float,
        *,
        log: bool = False,
        least: float = 0.0,
        percent: bool = False,
        whole: bool = False,
    ) -> "_Axis":
        """Ticks at round numbers that reach `most`."""
        if not log or most <= 0:
            step = round_up((most or 1.0) / TICKS)
            if whole and step != int(step):  # there is no half of a transaction
                step = math.ceil(step)
            n = max(1, math.ceil((most or 1.0) / step - 1e-9))
            return cls([k * step for k in range(n + 1)], percent=percent)
        bottom = math.floor(math.log10(least) + 1e-9) if least > 0 else 0
        low = bottom if least > 0 else bottom - 0.5  # of bars, one is to be seen
        high = max(bottom + 1, math.ceil(math.log10(most) - 1e-9))
        skip = max(1, (high - bottom) // 5 + 1) if high - bottom > 5 else 1
        powers = list(range(bottom, high + 1, skip))
        if powers[-1] != high:
            powers.append(high)
        return cls([10.0**p for p in powers], low=10.0**low)

    def text(self, value: float) -> str:
        """A value as it stands at the axis."""
        return f"{100 * value:.3g}%" if self._percent else number(value)

    def y(self, value: float) -> float:
        """The height at which a value stands, from the top."""
        tall = HEIGHT - TOP - BOTTOM
        if self._low:
            least, most = math.log10(self._low), math.log10(self._high)
            part = (math.log10(max(value, self._low)) - least) / (most - least)
        else:
            part = value / self._high
        return HEIGHT - BOTTOM - tall * min(max(part, 0.0), 1.0)


def round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten.

    >>> [round_up(v) for v in (0.3, 1, 1.1, 2.2, 26, 60)]
    [0.5, 1.0, 2.0, 2.5, 50.0, 100.0]
    """
    power = 10.0 ** math.floor(math.log10(value))
    for factor in (1.0, 2.0, 2.5, 5.0, 10.0):
        if value <= factor * power * (1 + 1e-9):
            return factor * power
    return 10.0 * power


def number(value: float) -> str:
    """A number for an axis: short, with k, M and G.

    >>> [number(v) for v in (0, 0.25, 3, 1500, 2_000_000, 0.00001)]
    ['0', '0.25', '3', '1.5k', '2M', '1e-05']
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size or (letter == "k" and abs(value) >= 1e3):
            return f"{value / (size if letter != 'k' else 1e3):.3g}{letter}"
    return f"{value:.3g}"


def _frame(
    title: str,
    unit: str,
    labels: Sequence[str],
    series: Sequence[Series],
    axis: _Axis,
    marks: str,
    step: float,
    *,
    centred: bool,
) -> str:
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_text(title)}">'
    ]
    for tick in axis.ticks:
        y = axis.y(tick)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{_text(axis.text(tick))}</text>'
        )
    room = max(1, max((len(label) for label in labels), default=1)) * LETTER + 10
    skip = max(1, math.ceil(len(labels) * room / (WIDTH - LEFT - RIGHT)))
    for i in range(0, len(labels), skip):
        x = LEFT + (i + 0.5 * centred) * step
        anchor = "middle"
        if not centred and i == len(labels) - 1:
            anchor = "end"
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}">{_text(labels[i])}</text>'
        )
    parts.append(marks)
    parts.append(f'<text class="unit" x="{LEFT}" y="13">{_text(unit)}</text>')
    x = float(WIDTH - RIGHT)
    for one in reversed(series):
        wide = len(one.name) * LETTER + 22
        x -= wide
        parts.append(
            f'<rect class="{one.colour}" x="{x:.1f}" y="5" width="10" height="10" rx="2"/>'
            f'<text x="{x + 14:.1f}" y="14">{_text(one.name)}</text>'
        )
    parts.append("</svg>")
    return "".join(parts)


def _text(value: object) -> str:
    return escape(str(value))
