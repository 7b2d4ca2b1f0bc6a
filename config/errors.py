"""The errors Weir raises at people, and how they read.

    WeirError              what, where, why, fix
    +-- ConfigError        a file that somebody edits (settings, schema, feeds, packs) is wrong
    +-- InputError         a file or stream that was given cannot be read
    +-- StateError         state on disk does not fit, or is damaged

A bad *message* raises nothing: it becomes a dead letter (engine/decoding/). A broken invariant of ours is an
`assert`.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class WeirError(Exception):
    """Say what went wrong, where, why, and what to do about it.

    All four parts go to ``Exception.args``, so the error survives pickling between processes.
    """

    def __init__(self, what: str, where: str = "", why: str = "", fix: str = "") -> None:
        super().__init__(what, where, why, fix)
        self.what, self.where, self.why, self.fix = what, where, why, fix

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        tail = (f"  {k}: {v}" for k, v in (("why", self.why), ("fix", self.fix)) if v)
        return "\n".join((head, *tail))


class ConfigError(WeirError, ValueError):
    """A setting, schema, feed or pack is wrong or contradicts another one."""


class InputError(WeirError, ValueError):
    """A recording or stream cannot be read at all."""


class StateError(WeirError, RuntimeError):
    """Saved state cannot be used: another format, another configuration, or damaged."""


@contextmanager
def demanding(what: str, extra: str) -> Iterator[None]:
    """Around imports that not everybody needs: `ConfigError` names the extra with what speaks with `what`."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"what speaks with {what} is not installed: {error}",
            fix=f"pip install 'weir-fraud[{extra}]'",
        ) from None
