"""What streams of commands and alerts say about who is restricted at this moment, and what changed since Redis knew.

`restrict` in commands.ndjson begins a restriction, `release` and `expired` end it, and so does an alert that core
banking rejected it. Only what was really sent counts (`effect: enforce`): what is observed binds nobody outside.

Memory grows with the restrictions in force. A file keeps them and the places in the streams, so that a start need not
read years of commands; it is a shortcut, and without it everything that is there is read again.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from config.reasons import COMMAND_REJECTED
from config.settings import instant_us
from engine.brokers.redis_registry import EMPTY_MS, Entry
from engine.clock import random_bytes
from engine.durable.disk import Disk
from engine.sinks.tail import FolderTail, Tail, read_state, write_state

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


@dataclass(slots=True)
class Streams:
    """What one engine, or one partition, gives out. seq : the highest that was read in it."""

    commands: Tail
    alerts: Tail
    seq: int = 0


def streams_of(disk: Disk, root: Path) -> Streams:
    """The streams of an output folder."""
    return Streams(FolderTail(disk, root / COMMANDS), FolderTail(disk, root / ALERTS))


class Followed:
    """The restrictions in force, by entity, as one or several engines put them out.

    path    : where they are kept
    run     : names who writes into Redis: one life of whoever follows; "" for one name as long as the file at `path`
    changed : entities that Redis does not know the newest of -> seq of the change
    """

    def __init__(self, streams: Sequence[Streams], disk: Disk, path: Path, run: str = "") -> None:
        self._streams, self._disk, self._path = streams, disk, path
        state = read_state(disk, self._path)
        self._is_one_life = bool(run)
        self.run = run or str(state.get("run") or random_bytes(8).hex())
        self._of: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
        self._where: dict[str, tuple[str, str]] = {}  # restriction -> entity
        self._ended: set[str] = set()  # before we have seen them begin
        self._seqs: dict[tuple[str, str], int] = {}  # of the last change
        self.changed: dict[tuple[str, str], int] = {}
        self._decode = msgspec.json.Decoder(_Command).decode
        self._decode_alert = msgspec.json.Decoder(_Alert).decode
        if state and self._fits(state):
            self._restore(state)
        else:
            self.keep()  # the name of the run outlives whatever happens next

    # What there is

    @property
    def seq(self) -> int:
        """Grows with every change: the seq of the engine; of several, their sum."""
        return sum(streams.seq for streams in self._streams)

    @property
    def n_unread(self) -> int:
        """What stands in the streams and has not been looked at, see `Tail`."""
        return sum(tail.n_unread for tail in self._tails())

    def _tails(self) -> Iterator[Tail]:
        for streams in self._streams:
            yield streams.commands
            yield streams.alerts

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
        before = [tail.at for tail in self._tails()]
        for streams in self._streams:
            for _, text in streams.commands.read(FILL):
                if b'"restriction_id"' in text:
                    self._take(self._decode(text), streams)
            for _, text in streams.alerts.read(FILL):
                if _REJECTED in text:
                    alert = self._decode_alert(text)
                    if alert.reason == COMMAND_REJECTED and alert.restriction_id:
                        self._end(alert.restriction_id, alert.seq, streams)
        return before != [tail.at for tail in self._tails()]

    def _take(self, command: _Command, streams: Streams) -> None:
        streams.seq = max(streams.seq, command.seq)
        if command.effect != "enforce":
            return
        id_ = command.restriction_id
        if command.verb != "restrict":
            self._end(id_, command.seq, streams)
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

    def _end(self, id_: str, seq: int, streams: Streams) -> None:
        streams.seq = max(streams.seq, seq)
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
        """One engine gives a change the same seq whenever it is read; several have none in common, and seqs grow."""
        seq = self.seq if self._is_one_life else max(seq, self._seqs.get(entity, 0))
        self._seqs[entity] = self.changed[entity] = seq

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
            "seqs": [streams.seq for streams in self._streams],
            "at": {tail.name: [tail.at, tail.anchor(tail.at)] for tail in self._tails()},
            "ended": sorted(self._ended),
            "in_force": [
                [*entity, self._seqs.get(entity, self.seq), held]
                for entity, held in self._of.items()
            ],
        }

    def _fits(self, state: Mapping[str, Any]) -> bool:
        places = state["at"]
        return "seqs" in state and all(
            tail.name in places and tail.holds(*places[tail.name]) for tail in self._tails()
        )

    def _restore(self, state: Mapping[str, Any]) -> None:
        for streams, seq in zip(self._streams, state["seqs"], strict=True):
            streams.seq = seq
        for tail in self._tails():
            tail.at = state["at"][tail.name][0]
        self._ended = set(state["ended"])
        for domain, id_, seq, held in state["in_force"]:
            self._of[domain, id_], self._seqs[domain, id_] = held, seq
            self._where.update(dict.fromkeys(held, (domain, id_)))
