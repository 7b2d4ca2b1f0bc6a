"""Bounds of settings: a value outside is told with the reason for the bound, and with what to do."""

from config.durations import duration_us
from config.errors import ConfigError


def check_count(key: str, value: int, bounds: tuple[int, int], *, why: str, fix: str) -> None:
    """Raise `ConfigError` unless `value` lies within `bounds`, both included."""
    low, high = bounds
    if not low <= value <= high:
        raise ConfigError(f"`{key}` must lie in [{low}, {high}], was {value}", why=why, fix=fix)


def check_duration(key: str, text: str, bounds: tuple[str, str], *, why: str, fix: str) -> None:
    """Raise `ConfigError` unless `text` is a duration within `bounds`, both included."""
    try:
        value_us = duration_us(text)
    except ConfigError as error:
        raise ConfigError(
            f"`{key}` must be a duration, was {text}", why=error.why, fix=error.fix
        ) from None
    low, high = bounds
    if not duration_us(low) <= value_us <= duration_us(high):
        raise ConfigError(f"`{key}` must lie in [{low}, {high}], was {text}", why=why, fix=fix)
