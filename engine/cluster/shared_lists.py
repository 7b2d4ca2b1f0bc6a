"""Lists that stand in one place for all workers, and are swapped while they run: what a partition makes of them.

A list is configuration: it must change at one position of the input, or another owner could not derive what was
decided (law 3). So whoever owns a partition writes the difference into that partition's input, as orders `list_add` and
`list_remove` by `redis`, and everything else is as with the orders of people (engine/lists.py): they count from the
next multiple of 256 on, stand in journal and snapshot, and are verified. Only rows that came this way are taken away
this way. Where the lists stand is for engine/brokers/redis_lists.py.
"""

import json
from dataclasses import dataclass
from typing import Final

from engine.cluster.ports import Own
from engine.lists import Lists

BY: Final = "redis"  # who gives the orders; where people.yaml names people, it must name this one
UNTIL: Final = "2199-12-31T00:00:00Z"  # rows stand until they are taken away


@dataclass(frozen=True, slots=True)
class Shared:
    """One list as it stands outside. `version` changes whenever `values` do."""

    version: str
    values: frozenset[str]


def orders(lists: Lists, name: str, shared: Shared, now_us: int) -> list[Own]:
    """What brings the list `name` to what is shared, by value; nothing where it says so already."""
    there = lists.standing(name, BY, now_us)
    added = [(value, "list_add") for value in shared.values - there]
    removed = [(value, "list_remove") for value in there - shared.values]
    return [
        Own(_line(name, value, order, shared.version)) for value, order in sorted(added + removed)
    ]


def _line(name: str, value: str, order: str, version: str) -> bytes:
    said = {"kind": "command", "command": order, "list": name, "value": value}
    said |= {"by": BY, "reason": f"version {version} of the shared list"}
    if order == "list_add":
        said |= {"until": UNTIL, "reference": version}
    return json.dumps(said, sort_keys=True).encode()
