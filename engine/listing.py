"""Orders of people about lists: put a value in until a time, and end that. What rows count when: engine/lists.py."""

from config.durations import duration_us
from config.errors import InputError
from config.people import People
from config.settings import instant_us
from engine import forms
from engine.lists import Lists, counts_from
from engine.outcomes import rfc3339
from engine.releasing import demand_clock


class Listing:
    """Add and remove rows of `lists` for whoever `people` allows to."""

    def __init__(self, lists: Lists, people: People) -> None:
        self._lists = lists
        self._people = people

    def add(self, command: forms.ListAdd, seq: int, now_us: int) -> dict[str, object]:
        """Put a value into a list, or prolong it; return the answer."""
        self._people.demand(command.by, "list_add")
        values = self._lists.values(command.list_, command.value)
        until_us = _until(command.until, command.for_, now_us)
        for value in values:
            self._lists.add(
                command.list_,
                value,
                now_us,
                until_us,
                seq,
                by=command.by,
                reason=command.reason,
                reference=command.reference,
            )
        told = {"list": command.list_, "value": command.value, "state": "added"}
        return told | {"until": rfc3339(until_us), "counts_from_seq": counts_from(seq)}

    def remove(self, command: forms.ListRemove, seq: int, now_us: int) -> dict[str, object]:
        """End what was added; return the answer."""
        self._people.demand(command.by, "list_remove")
        demand_clock(now_us)
        values = self._lists.values(command.list_, command.value)
        self._lists.demand_added(command.list_, values, now_us)
        for value in values:
            self._lists.remove(
                command.list_, value, now_us, seq, by=command.by, reason=command.reason
            )
        told = {"list": command.list_, "value": command.value, "state": "removed"}
        return told | {"counts_from_seq": counts_from(seq)}


def _until(until: str, for_: str, now_us: int) -> int:
    """The end of something that begins now, given as a time or as a duration."""
    if bool(until) == bool(for_):
        raise InputError(
            "a row of a list needs `until` or `for`, one of them",
            why="what holds for good stands in the file of the list",
            fix="add for: 30d",
        )
    demand_clock(now_us)
    end_us = now_us + duration_us(for_) if for_ else instant_us("until", until)
    if end_us <= now_us:
        raise InputError(
            f"the row would be over at {rfc3339(end_us)}",
            why=f"core time is {rfc3339(now_us)}",
            fix="name a later time",
        )
    return end_us
