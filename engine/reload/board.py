"""Where people see which configuration is active, what waits, and what was refused: OUT/control/active.status.

A view for people and tools, written anew at each change by rename: the truth stands in the journal.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from engine.core import Core
from engine.durable.disk import Disk
from engine.outcomes import rfc3339
from engine.proposals import REJECTED

FILE: Final = "active.status"
FOLDER: Final = "control"
ENDED_SHOWN: Final = 8
NOTES_KEPT: Final = 8


class Board:
    """Writes the view of one output folder."""

    def __init__(
        self,
        disk: Disk,
        root: Path,
        say: Callable[[str], None] = lambda text: print(text, file=sys.stderr),
    ) -> None:
        self._disk, self._folder, self._say, self.root = disk, root / FOLDER, say, root
        self._notes: list[str] = []
        self.last: dict[str, float] = {}  # how the last configuration went in
        self.filling = ""  # what is being done about features that are warming
        self.phases: Mapping[str, str] = {}
        self.unsigned: dict[str, str] = {}  # what was saved, and needs somebody to propose it

    def note(self, text: str) -> None:
        """Tell whoever looks after the engine."""
        self._say(f"note: {text}")
        self._notes = [*self._notes, text][-NOTES_KEPT:]

    def show(self, core: Core, phases: Mapping[str, str]) -> None:
        """Write what `core` knows, and what is being done about each proposal."""
        self.phases = phases
        shown = view(core, phases, self._notes, self.last) | {"filling": self.filling}
        shown["unsigned"] = self.unsigned
        content = json.dumps(shown, indent=1, sort_keys=True) + "\n"
        temporary = self._folder / f"{FILE}.new"
        file = self._disk.create(temporary)
        file.write(content.encode())
        file.close()
        self._disk.rename(temporary, self._folder / FILE)


def view(
    core: Core, phases: Mapping[str, str], notes: list[str], last: Mapping[str, float]
) -> dict[str, Any]:
    """The same as an object."""
    book = core.proposals
    ended = [p.facts() for p in book.ended]
    refused = [p.facts() for p in book.ended if p.state == REJECTED]
    return {
        "active": core.config,
        "active_since_seq": book.active_seq,
        "approval": "required" if book.needs_approval else "none",
        "overrides": dict(core.setup.configuration.overrides),
        "core_time": rfc3339(core.core_us) if core.core_us >= 0 else None,
        "proposals": [
            p.facts() | ({"phase": phases[p.config]} if p.config in phases else {})
            for p in book.live
        ],
        "ended": ended[-ENDED_SHOWN:],
        "last_refusal": refused[-1] if refused else None,
        "warming": sorted(
            name for name in core.warming.since_us if core.warming.ready_us(name) > core.core_us
        ),
        "warming_until": {
            name: rfc3339(until_us)
            for name in sorted(core.warming.since_us)
            if (until_us := core.warming.ready_us(name)) > core.core_us
        },
        "rules_warming": {
            rule.id: rfc3339(until_us)
            for rule, until_us in zip(
                core.ruleset.rules, core.warming.rule_us.tolist(), strict=True
            )
            if until_us > core.core_us
        },
        "off": [
            {"rule": s.rule, "until": rfc3339(s.until_us), "by": s.author, "reason": s.reason}
            for s in sorted(core.decider.switched_off, key=lambda s: (s.rule, s.until_us))
        ],
        "notes": notes,
        "last": dict(last),
    }
