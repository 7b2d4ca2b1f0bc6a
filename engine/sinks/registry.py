"""What the streams of an output folder say about who is restricted at this moment, and what changed since Redis knew.

`restrict` in commands.ndjson begins a restriction, `release` and `expired` end it, and so does an alert that core
banking rejected it. Only what was really sent counts (`effect: enforce`): what is observed binds nobody outside.

Memory grows with the restrictions in force. OUT/registry.json keeps them and the places in the streams, so that a start
need not read years of commands; it is a shortcut, and without it everything is read again.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from config.reasons import COMMAND_REJECTED
from config.settings import instant_us
from engine.brokers.redis_registry import EMPTY_MS, Entry
from engine.clock import random_bytes
from engine.durable.disk import Disk
from engine.sinks.tail import Tail, read_state, write_state

FILE: Final = "registry.json"
COMMANDS, ALERTS = "commands.ndjson", "alerts.ndjson"
FILL: Final = 5_000
SHOWN: Final = ("level", "amount_minor", "channels", "started_at", "expires_at", "order")
_REJECTED: Final = COMMAND_REJECTED.encode()


class _Command(msgspec.Struct):
    verb: str
    seq: int
    restriction_id: str = ""
    entity: dict[str, str] = {}
    effect: str = "observe"
    level: str = ""
    amount_minor: int | None = None
    channels: tuple[str, ...] = ()
    started_at: str = ""
    expires_at: str = ""
    order: str | None = None


class _Alert(msgspec.Struct):
    seq: int
    reason: str = ""
    restriction_id: str = ""


class Followed:
    """The restrictions in force, by entity.

    run     : names this output folder; Redis is told whose registry it holds
    changed : entities that Redis does not know the newest of -> seq of the change
    """

    def __init__(self, disk: Disk, root: Path) -> None:
        self._disk, self._path = disk, root / FILE
        state = read_state(disk, self._path)
        self.run = str(state.get("run") or random_bytes(8).hex())
        self._commands, self._alerts = Tail(disk, root / COMMANDS), Tail(disk, root / ALERTS)
        self._of: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
        self._where: dict[str, tuple[str, str]] = {}  # restriction -> entity
        self._ended: set[str] = set()  # before we have seen them begin
        self._seqs: dict[tuple[str, str], int] = {}  # of the last change
        self.seq = 0
        self.changed: dict[tuple[str, str], int] = {}
        self._decode = msgspec.json.Decoder(_Command).decode
        self._decode_alert = msgspec.json.Decoder(_Alert).decode
        if state and self._fits(state):
            self._restore(state)
        else:
            self.keep()  # the name of the run outlives whatever happens next

    # What there is

    @property
    def n_unread(self) -> int:
        """Bytes of the streams that have not been looked at."""
        return self._commands.n_unread + self._alerts.n_unread

    def in_force(self) -> dict[tuple[str, str], list[str]]:
        """Ids of restrictions by entity."""
        return {entity: sorted(held) for entity, held in self._of.items()}

    def entry(
        self, entity: tuple[str, str], shown: Callable[[str, str], str], now_ms: int
    ) -> Entry:
        """What Redis should hold about an entity. shown : domain and id -> what stands in the key."""
        held = self._of.get(entity, {})
        listed = [{"id": id_, **held[id_]} for id_ in sorted(held)]
        seq = self._seqs.get(entity, self.seq)
        value = json.dumps({"seq": seq, "restrictions": listed}, separators=(",", ":")).encode()
        ends = [instant_us("expires_at", told["expires_at"]) // 1_000 for told in listed]
        expires_ms = max(ends, default=now_ms + EMPTY_MS)
        return Entry(entity[0], shown(*entity), seq, value, expires_ms)

    # What comes

    def fill(self) -> bool:
        """Take in what was added to the streams; whether there was anything. Commands first: see `_ended`."""
        before = self._commands.at, self._alerts.at
        for _, text in self._commands.read(FILL):
            if b'"restriction_id"' in text:
                self._take(self._decode(text))
        for _, text in self._alerts.read(FILL):
            if _REJECTED in text:
                alert = self._decode_alert(text)
                if alert.reason == COMMAND_REJECTED and alert.restriction_id:
                    self._end(alert.restriction_id, alert.seq)
        return before != (self._commands.at, self._alerts.at)

    def _take(self, command: _Command) -> None:
        self.seq = max(self.seq, command.seq)
        if command.effect != "enforce":
            return
        id_ = command.restriction_id
        if command.verb != "restrict":
            self._end(id_, command.seq)
            return
        if id_ in self._ended:
            self._ended.discard(id_)
            return
        [entity] = command.entity.items()
        told = {name: getattr(command, name) for name in SHOWN}
        self._of.setdefault(entity, {})[id_] = {
            k: v for k, v in told.items() if v not in (None, ())
        }
        self._where[id_] = entity
        self._note(entity, command.seq)

    def _end(self, id_: str, seq: int) -> None:
        self.seq = max(self.seq, seq)
        entity = self._where.pop(id_, None)
        if entity is None:  # it was rejected before we have read that it began
            self._ended.add(id_)
            return
        held = self._of[entity]
        del held[id_]
        if not held:
            del self._of[entity]
        self._note(entity, seq)

    def _note(self, entity: tuple[str, str], seq: int) -> None:
        self._seqs[entity] = max(seq, self._seqs.get(entity, 0))
        self.changed[entity] = self._seqs[entity]

    def written(self, entity: tuple[str, str], seq: int) -> None:
        """Redis holds what was so at `seq`."""
        if self.changed.get(entity) == seq:
            del self.changed[entity]
            if entity not in self._of:
                self._seqs.pop(entity, None)

    def all_changed(self) -> None:
        """Redis knows nothing for certain."""
        for entity in self._of:
            self.changed[entity] = self._seqs.get(entity, self.seq)

    # What is kept

    def keep(self) -> None:
        """Write down what is in force and where the streams stand; durable when it returns."""
        write_state(self._disk, self._path, self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "seq": self.seq,
            "at": {
                COMMANDS: [self._commands.at, self._commands.anchor(self._commands.at)],
                ALERTS: [self._alerts.at, self._alerts.anchor(self._alerts.at)],
            },
            "ended": sorted(self._ended),
            "in_force": [
                [*entity, self._seqs.get(entity, self.seq), held]
                for entity, held in self._of.items()
            ],
        }

    def _fits(self, state: Mapping[str, Any]) -> bool:
        return all(
            tail.holds(*state["at"][name])
            for name, tail in ((COMMANDS, self._commands), (ALERTS, self._alerts))
        )

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.seq = state["seq"]
        self._commands.at, self._alerts.at = state["at"][COMMANDS][0], state["at"][ALERTS][0]
        self._ended = set(state["ended"])
        for domain, id_, seq, held in state["in_force"]:
            self._of[domain, id_], self._seqs[domain, id_] = held, seq
            self._where.update(dict.fromkeys(held, (domain, id_)))
