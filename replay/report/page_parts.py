"""What text and page of the daily report say the same way: names, values, and how they compare."""

from replay.report import units
from replay.report.daily import Daily, Figure

INSET = "  "


def heads_of(report: Daily) -> tuple[str, ...]:
    """Headings of a table of figures: today, then yesterday and last week with the change since."""
    return (
        "",
        report.day,
        f"yesterday {report.yesterday or ''}".strip(),
        "change",
        f"last week {report.last_week or ''}".strip(),
        "change",
    )


def figure_name(figure: Figure) -> str:
    """The name of a figure; one that is a part of the one above it begins small, and stands further in."""
    return INSET + figure.name if figure.name[:1].islower() else figure.name


def value_text(value: float | str | None, unit: str, currency: str) -> str:
    """A value with its unit."""
    if value is None:
        return units.NONE
    if isinstance(value, str):
        return units.decimal(value, currency)
    return {units.SHARE: units.share, units.SCORE: units.score}.get(unit, units.count)(value)


def figure_cells(figure: Figure, currency: str) -> list[str]:
    """Today, yesterday and the change since, last week and the change since."""
    cells = [value_text(figure.today, figure.unit, currency)]
    for then in (figure.yesterday, figure.last_week):
        cells += [value_text(then, figure.unit, currency), change(figure, then)]
    return cells


def change(figure: Figure, then: float | str | None) -> str:
    """How a figure moved; shares in points of a hundred, scores in their own unit."""
    now = figure.today
    if now is None or then is None:
        return units.NONE
    if figure.unit == units.SHARE:
        points = 100 * (float(now) - float(then))
        return "=" if abs(points) < 0.005 else f"{points:+.2f} pt"
    if figure.unit == units.SCORE:
        apart = float(now) - float(then)
        return "=" if apart == 0 else f"{apart:+.2g}"
    return units.change(float(now), float(then))
