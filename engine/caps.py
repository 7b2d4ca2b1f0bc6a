"""Limits on what the engine does by itself in an hour: 3,600 s of core time, sliding, never aligned to the clock."""

from collections import deque
from collections.abc import Iterable
from typing import Final

HOUR_US: Final = 3_600_000_000


class Caps:
    """When each limited action happened, by a key such as `CARD-TEST-001:1`; a limit of 0 means no limit.

    An action at t counts for those in t .. t + 3,600 s, the end not included.
    """

    def __init__(
        self,
        taken: Iterable[tuple[str, list[int]]] = (),
        alarmed: Iterable[tuple[str, int]] = (),
    ) -> None:
        self._taken = {key: deque(times) for key, times in taken}
        self._alarmed = dict(alarmed)

    def has_room(self, key: str, limit: int, now_us: int) -> bool:
        """Whether one more action stays within `limit` an hour."""
        times = self._taken.get(key)
        if times is None or limit == 0:
            return True
        while times and times[0] <= now_us - HOUR_US:
            times.popleft()
        return len(times) < limit

    def take(self, key: str, limit: int, now_us: int) -> None:
        """Count an action; the caller has asked for room."""
        if limit:
            assert self.has_room(key, limit, now_us), key
            self._taken.setdefault(key, deque()).append(now_us)

    def alarm(self, key: str, now_us: int) -> bool:
        """Whether people should hear that `key` is full: once an hour."""
        last = self._alarmed.get(key)
        if last is not None and last > now_us - HOUR_US:
            return False
        self._alarmed[key] = now_us
        return True

    def taken(self) -> list[tuple[str, list[int]]]:
        return [(key, list(times)) for key, times in sorted(self._taken.items())]

    def alarmed(self) -> list[tuple[str, int]]:
        return sorted(self._alarmed.items())
