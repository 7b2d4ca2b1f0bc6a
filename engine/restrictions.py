"""Restrictions on entities: who imposed which, how long, what they demand of a transaction, and their whole life.

    proposed -> sent -> active (acknowledged) | rejected | timed_out -> expired | released

One restriction has one id and touches no other. It is in force for our own decisions from the next seq on, acknowledged
or not, until it is rejected, expires or is released. Core banking lifts it by itself at `expires_at`; we only put on
record that it ended. When effect is `observe`, nothing is sent and it stays proposed until it ends.
"""

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.decisions import DecisionSettings
from engine.agenda import EXPIRE, FORGET, TIME_OUT, Agenda
from engine.outcomes import Streams, rfc3339, short_id
from rules import texts
from rules.columns import Frame, Place

B1: TypeAlias = NDArray[np.bool_]
U1: TypeAlias = NDArray[np.uint8]

PROPOSED: Final = "proposed"
SENT: Final = "sent"
ACTIVE: Final = "active"
TIMED_OUT: Final = "timed_out"
REJECTED: Final = "rejected"
EXPIRED: Final = "expired"
RELEASED: Final = "released"
IN_FORCE: Final = frozenset({PROPOSED, SENT, ACTIVE, TIMED_OUT})
BLOCKING: Final = frozenset({"no_debit", "no_credit", "full_freeze"})
WITH_AMOUNT: Final = frozenset({"limit", "amount_hold"})


class DictionaryLike(texts.DictionaryLike, Protocol):
    """Codes and texts of one domain; `find` adds nothing."""

    def find(self, text: str) -> int: ...


class Restriction(msgspec.Struct, kw_only=True):
    """One restriction. Times are core times in microseconds UTC; -1 is never."""

    id: str
    domain: str
    entity: str
    level: str
    channels: tuple[str, ...] = ()  # none: all channels
    amount_minor: int = 0
    state: str = PROPOSED
    rule: str = ""  # none: a person imposed it
    action: int = -1  # which of the rule's actions
    author: str
    reason: str
    order: str = ""  # number of an authority's order
    source_seq: int
    source: str | None  # the transaction
    started_us: int
    expires_us: int
    ended_us: int = -1
    commands: tuple[str, ...] = ()  # ids of what was put out about it, oldest first
    released_by: tuple[str, ...] = ()

    @property
    def is_in_force(self) -> bool:
        return self.state in IN_FORCE

    @property
    def until_us(self) -> int:
        """When it ended, or will at the latest."""
        return self.ended_us if self.ended_us >= 0 else self.expires_us


def demands(
    level: str,
    limit_minor: int,
    channels: Sequence[str],
    *,
    incoming: bool,
    amount_minor: float,
    channel: str | None,
) -> bool:
    """Whether a restriction demands the `blocked` answer of a transaction.

    What is unknown counts against the transaction: no channel is any channel, no amount (NaN) exceeds every limit.
    `limit` and `amount_hold` let outgoing amounts up to theirs pass; `watch` demands nothing.
    """
    if channels and channel is not None and channel not in channels:
        return False
    if level == "full_freeze":
        return True
    if level == "no_credit":
        return incoming
    if level == "no_debit":
        return not incoming
    return level in WITH_AMOUNT and not incoming and not amount_minor <= limit_minor


class Registry:
    """All restrictions in force, and those that ended within the span over which automation is bounded."""

    def __init__(
        self,
        settings: DecisionSettings,
        effect: str,
        dictionaries: Mapping[str, DictionaryLike],
        agenda: Agenda,
    ) -> None:
        self._settings = settings
        self._effect = effect
        self._dictionaries = dictionaries
        self._agenda = agenda
        self.by_id: dict[str, Restriction] = {}
        self._by_command: dict[str, str] = {}
        self._of_entity: dict[tuple[str, str], list[tuple[int, str]]] = {}  # (source seq, id)
        self._flags: dict[str, U1] = {}  # domain -> by code, 1 where one is in force
        self._without_code: set[tuple[str, str]] = set()

    def flagged(self, frame: Frame, subjects: Iterable[Place]) -> B1 | None:
        """(n,) rows that name a restricted entity in one of the columns `subjects`; None if none can."""
        for domain, entity in sorted(self._without_code):
            if self._dictionaries[domain].find(entity) >= 0:
                self._without_code.discard((domain, entity))
                self._flag(domain, entity)
        hits: B1 | None = None
        for place in subjects:
            flags = self._flags.get(place.dictionary)
            if flags is None:
                continue
            size = len(self._dictionaries[place.dictionary])
            if len(flags) <= size:  # one more than codes: -1, missing, reads the last
                grown = np.zeros(2 * size + 16, np.uint8)
                grown[: len(flags)] = flags
                flags = self._flags[place.dictionary] = grown
            column: B1 = flags[frame.code[place.row]] != 0
            hits = column if hits is None else hits | column
        return hits

    def on(self, domain: str, entity: str) -> list[Restriction]:
        """Return what is in force on an entity, in the order it was imposed."""
        known = (self.by_id[id_] for _, id_ in self._of_entity.get((domain, entity), ()))
        return [restriction for restriction in known if restriction.is_in_force]

    def standing(self, rule: str, action: int, domain: str, entity: str) -> Restriction | None:
        """The same restriction (rule, action, entity), if it is pending or active already."""
        for restriction in self.on(domain, entity):
            if restriction.rule == rule and restriction.action == action:
                return restriction
        return None

    def exceeds_automation(self, domain: str, entity: str, start_us: int, end_us: int) -> bool:
        """Whether automation would restrict the entity for longer than it may, if it did so from start to end.

        Times that overlap count once, `watch` and people's restrictions not at all. The span that ends with the last
        of them is the fullest: all begin by now, so earlier spans hold less of the new one.
        """
        spans = [(start_us, end_us)]
        for _, id_ in self._of_entity.get((domain, entity), ()):
            known = self.by_id[id_]
            if known.rule and known.level != "watch":
                spans.append((known.started_us, known.until_us))
        reach = max(end for _, end in spans) - self._settings.automation_span_us
        total = 0
        for start, end in sorted(spans):
            total += max(0, end - max(start, reach))
            reach = max(reach, end)
        return total > self._settings.automation_max_us

    def impose(self, restriction: Restriction, out: Streams) -> Restriction:
        """Enter a new restriction and give out its command; it gets its id here."""
        assert restriction.expires_us > restriction.started_us, restriction
        seq, n = restriction.source_seq, 0
        author = restriction.rule or restriction.author
        parts = (author, restriction.domain, restriction.entity, seq, restriction.action)
        restriction.id = short_id("r-", *parts)
        while (
            restriction.id in self.by_id
        ):  # 48 bits: once in a lifetime, but never two with one id
            n += 1
            restriction.id = short_id("r-", *parts, n)
        sends = self._effect == "enforce"
        restriction.state = SENT if sends else PROPOSED
        self._enter(restriction)
        self._command(restriction, "restrict", seq, restriction.started_us, out)
        self._agenda.add(restriction.expires_us, EXPIRE, restriction.id)
        if sends:
            due_us = restriction.started_us + self._settings.ack_timeout_us
            self._agenda.add(due_us, TIME_OUT, restriction.id)
        return restriction

    def find(self, restriction_id: str, command_id: str) -> Restriction | None:
        """The restriction that an answer or order means, by its own id or that of one of its commands."""
        return self.by_id.get(restriction_id or self._by_command.get(command_id, ""))

    def end(
        self, restriction: Restriction, state: str, seq: int, now_us: int, out: Streams
    ) -> None:
        """End a restriction: expired, released or rejected. The first two are put out as commands."""
        assert restriction.is_in_force, restriction
        restriction.state = state
        restriction.ended_us = now_us
        if state != REJECTED:
            verb = "release" if state == RELEASED else "expired"
            self._command(restriction, verb, seq, now_us, out)
        self._agenda.add(now_us + self._settings.automation_span_us, FORGET, restriction.id)
        self._flag(restriction.domain, restriction.entity)

    def expire(self, id_: str, seq: int, out: Streams) -> None:
        """The due time of a restriction has come; its end is that time, whenever a record noticed."""
        restriction = self.by_id.get(id_)
        if restriction is not None and restriction.is_in_force:
            self.end(restriction, EXPIRED, seq, restriction.expires_us, out)

    def time_out(self, id_: str) -> Restriction | None:
        """Nobody acknowledged in time; return the restriction if that is so. It stays in force for us."""
        restriction = self.by_id.get(id_)
        if restriction is None or restriction.state != SENT:
            return None
        restriction.state = TIMED_OUT
        return restriction

    def forget(self, id_: str) -> None:
        """Drop a restriction that ended longer ago than automation is bounded over."""
        gone = self.by_id.pop(id_)
        for command_id in gone.commands:
            del self._by_command[command_id]
        held = self._of_entity[gone.domain, gone.entity]
        held.remove((gone.source_seq, id_))
        if not held:
            del self._of_entity[gone.domain, gone.entity]

    def all(self) -> list[Restriction]:
        """Every restriction held, by id."""
        return [self.by_id[id_] for id_ in sorted(self.by_id)]

    def restore(self, restrictions: Iterable[Restriction]) -> None:
        """Take over what `all` gave; dictionaries are loaded before."""
        for restriction in restrictions:
            self._enter(restriction)
            for command_id in restriction.commands:
                self._by_command[command_id] = restriction.id

    def _enter(self, restriction: Restriction) -> None:
        self.by_id[restriction.id] = restriction
        entity = (restriction.domain, restriction.entity)
        insort(self._of_entity.setdefault(entity, []), (restriction.source_seq, restriction.id))
        self._flag(*entity)

    def _flag(self, domain: str, entity: str) -> None:
        """Bring the flag of an entity up to date; an entity no message has named yet has no code to flag."""
        code = self._dictionaries[domain].find(entity)
        in_force = bool(self.on(domain, entity))
        if code < 0:
            if in_force:
                self._without_code.add((domain, entity))
            else:
                self._without_code.discard((domain, entity))
            return
        flags = self._flags.get(domain)
        if flags is None or len(flags) <= code + 1:
            grown = np.zeros(2 * len(self._dictionaries[domain]) + 16, np.uint8)
            if flags is not None:
                grown[: len(flags)] = flags
            flags = self._flags[domain] = grown
        flags[code] = in_force

    def _command(
        self, restriction: Restriction, verb: str, seq: int, now_us: int, out: Streams
    ) -> None:
        """Give out a command about a restriction, with a key that makes its repetition harmless."""
        key = f"{restriction.id}:{verb}:{len(restriction.commands) + 1}"
        command_id = short_id("c-", key)
        restriction.commands += (command_id,)
        self._by_command[command_id] = restriction.id
        out.command(
            {
                "command_id": command_id,
                "key": key,
                "verb": verb,
                "restriction_id": restriction.id,
                "entity": {restriction.domain: restriction.entity},
                "level": restriction.level,
                "amount_minor": restriction.amount_minor or None,
                "channels": restriction.channels,
                "started_at": rfc3339(restriction.started_us),
                "expires_at": rfc3339(restriction.expires_us),
                "reason": restriction.reason,
                "rule": restriction.rule or None,
                "author": restriction.author,
                "order": restriction.order or None,
                "released_by": restriction.released_by,
                "source": restriction.source,
                "effect": self._effect,
                "seq": seq,
                "core_time": rfc3339(now_us),
            }
        )
