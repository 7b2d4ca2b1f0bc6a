"""A progress bar for long work: on a terminal only, on standard error, never in a file or a pipe."""

import sys
from types import TracebackType
from typing import Any, Self


class Progress:
    """Count records towards a known or unknown total.

    Use as a context manager; `advance` is cheap enough to be called once a batch.
    """

    def __init__(self, total: int | None, unit: str, *, quiet: bool = False) -> None:
        self._bar: Any = None
        if sys.stderr.isatty() and not quiet:
            from tqdm import tqdm  # slow to load, and most runs show no bar

            self._bar = tqdm(
                total=total,
                unit=unit,
                unit_scale=True,
                file=sys.stderr,
                mininterval=0.2,
                dynamic_ncols=True,
                leave=False,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, n: int, note: str = "") -> None:
        if self._bar is not None:
            self._bar.update(n)
            if note:
                self._bar.set_postfix_str(note, refresh=False)
