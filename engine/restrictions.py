"""Restrictions on entities: who imposed which, how long, what they demand of a transaction, and their whole life.

    proposed -> sent -> active (acknowledged) | timed_out (acknowledged late: active) -> expired | released
                     -> rejected                         any time, by core banking
    proposed -> observed                                 -> expired | released
    sent | timed_out -> observed                         withdrawn: the mode became observe before anybody confirmed it

One restriction has one id and touches no other. It is in force for our own decisions from the next seq on, acknowledged
or not, until it is rejected, expires or is released. Core banking lifts it by itself at `expires_at`; we only put on
record that it ended. Under effect `observe` its commands are recorded and never sent: it is `observed` until it ends.
The effect is that of the moment it was imposed: what was sent is also released for real, whatever the mode is by then.

When the mode becomes observe, what core banking has confirmed stands until it ends. What it has not is withdrawn: the
outbox sends it no more (`withheld_before`), a release is put out for what may have arrived, and for us it goes on as
observed. Back to enforce sends none of it; the next match of its rule is a new restriction.

A release or withdrawal is a command like the imposition, and has to be acknowledged:

    sent -> acknowledged | timed_out (an alarm, again and again) | rejected (an alarm, again and again)

until core banking has lifted the restriction by itself.

Several on one transaction: each that concerns it asks for the `blocked` answer of its type, the strictest answer
counts, and none changes another. Releasing one leaves the others, and so the answer they demand.

    level                     concerns
    watch                     nothing; it is named in the decision
    limit, amount_hold        outgoing amounts above theirs; the smallest of several decides
    no_debit                  all that goes out
    no_credit                 all that comes in
    full_freeze               both; it contains all the others
    an order of an authority  as its level; it stands beside automation's, outlives their release, and nothing but a
                              release that names an order lifts it
"""

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.decisions import DecisionSettings
from engine.agenda import CONFIRM, EXPIRE, FORGET, TIME_OUT, Agenda
from engine.caps import HOUR_US
from engine.outcomes import Streams, rfc3339, short_id
from rules import texts
from rules.columns import Frame, Place

B1: TypeAlias = NDArray[np.bool_]
U1: TypeAlias = NDArray[np.uint8]

PROPOSED: Final = "proposed"
OBSERVED: Final = "observed"
SENT: Final = "sent"
ACTIVE: Final = "active"
TIMED_OUT: Final = "timed_out"
REJECTED: Final = "rejected"
EXPIRED: Final = "expired"
RELEASED: Final = "released"
IN_FORCE: Final = frozenset({PROPOSED, OBSERVED, SENT, ACTIVE, TIMED_OUT})
ACKNOWLEDGED: Final = "acknowledged"  # of a release
STUCK: Final = frozenset(
    {SENT, TIMED_OUT, REJECTED}
)  # a release that core banking has not carried out
UNCONFIRMED: Final = frozenset({SENT, TIMED_OUT})
ALL: Final = 2**63 - 1  # more than any seq
BLOCKING: Final = frozenset({"no_debit", "no_credit", "full_freeze"})
WITH_AMOUNT: Final = frozenset({"limit", "amount_hold"})


class DictionaryLike(texts.DictionaryLike, Protocol):
    """Codes and texts of one domain; `find` adds nothing."""

    def find(self, text: str) -> int: ...


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody said who asked for a release."""

    by: str
    reason: str
    legal_basis: str
    discounted: tuple[str, ...] = ()  # rules or alerts that were wrong
    verdict: str = "unclear"
    order: str = ""


class Restriction(msgspec.Struct, kw_only=True):
    """One restriction. Times are core times in microseconds UTC; -1 is never."""

    id: str
    domain: str
    entity: str
    level: str
    channels: tuple[str, ...] = ()  # none: all channels
    amount_minor: int = 0
    state: str = PROPOSED
    effect: str = "observe"  # when it was imposed; observe once it is withdrawn
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
    statements: tuple[Statement, ...] = ()  # of those who asked for the release
    release_state: str = ""  # of the release or withdrawal at core banking
    lift: str = ""  # id of that command
    legal_basis: str = ""
    edges: tuple[tuple[str, int, int], ...] = ()  # (state, core time, seq) of each step of its life
    unsigned_since_us: int = -1  # released at night, and still without a second signature
    verdict: str = ""  # given with the release: justified, mistaken or unclear
    appeals: int = 0

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


def step(restriction: Restriction, state: str, now_us: int, seq: int) -> None:
    """Take a restriction one step further in its life."""
    restriction.state = state
    restriction.edges += ((state, now_us, seq),)


class Registry:
    """All restrictions in force, and those that ended within the span over which automation is bounded.

    effect          : of what is imposed from now on
    withheld_before : commands with a smaller seq no longer leave, but those that lift something
    """

    def __init__(
        self,
        settings: DecisionSettings,
        effect: str,
        dictionaries: Mapping[str, DictionaryLike],
        agenda: Agenda,
    ) -> None:
        self._settings = settings
        self.effect = effect
        self.withheld_before = 0 if effect == "enforce" else ALL
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
        """The same restriction (rule, action, entity), if it is pending or active already.

        One that was only observed does not stand for one that would be sent.
        """
        for restriction in self.on(domain, entity):
            same = restriction.rule == rule and restriction.action == action
            if same and (restriction.effect == "enforce" or self.effect == "observe"):
                return restriction
        return None

    def is_cooling_down(self, rule: str, domain: str, entity: str, now_us: int) -> bool:
        """Whether a person has released the entity from this very rule within the cool-down."""
        since_us = now_us - self._settings.cool_down_us
        return any(
            known.rule == rule and known.state == RELEASED and known.ended_us > since_us
            for _, id_ in self._of_entity.get((domain, entity), ())
            if (known := self.by_id[id_])
        )

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

    def impose(
        self,
        restriction: Restriction,
        out: Streams,
        told: Mapping[str, object] = MappingProxyType({}),
    ) -> Restriction:
        """Enter a new restriction and give out its command; it gets its id here.

        told : what the command says beside that
        """
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
        restriction.effect = self.effect
        sends = restriction.effect == "enforce"
        step(restriction, PROPOSED, restriction.started_us, seq)
        step(restriction, SENT if sends else OBSERVED, restriction.started_us, seq)
        self._enter(restriction)
        self._command(restriction, "restrict", seq, restriction.started_us, out, told)
        self._agenda.add(restriction.expires_us, EXPIRE, restriction.id)
        if sends:
            due_us = restriction.started_us + self._settings.ack_timeout_us
            self._agenda.add(due_us, TIME_OUT, restriction.id)
        return restriction

    def find(self, restriction_id: str, command_id: str) -> Restriction | None:
        """The restriction that an answer or order means, by its own id or that of one of its commands."""
        return self.by_id.get(restriction_id or self._by_command.get(command_id, ""))

    def end(
        self,
        restriction: Restriction,
        state: str,
        seq: int,
        now_us: int,
        out: Streams,
        told: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        """End a restriction: expired, released or rejected. The first two are put out as commands.

        told : what the command of a release says beside who asked for it
        """
        assert restriction.is_in_force, restriction
        step(restriction, state, now_us, seq)
        restriction.ended_us = now_us
        if state != REJECTED:
            verb = "release" if state == RELEASED else "expired"
            self._command(restriction, verb, seq, now_us, out, told)
        if state == RELEASED and restriction.effect == "enforce":
            self._await_release(restriction, now_us)
        self._agenda.add(now_us + self._settings.automation_span_us, FORGET, restriction.id)
        self._flag(restriction.domain, restriction.entity)

    def observe(self, by: str, seq: int, now_us: int, out: Streams) -> list[Restriction]:
        """Impose nothing more for real, and withdraw what core banking has not confirmed; return that."""
        self.effect, self.withheld_before = "observe", ALL
        withdrawn = [
            known
            for known in self.all()
            if known.effect == "enforce" and known.state in UNCONFIRMED
        ]
        for restriction in withdrawn:
            told = {"withdrawn": True, "withdrawn_by": by or None}
            self._command(restriction, "release", seq, now_us, out, told)
            self._await_release(restriction, now_us)
            step(restriction, OBSERVED, now_us, seq)
            restriction.effect = "observe"
        return withdrawn

    def enforce(self, seq: int) -> None:
        """Send what is imposed from `seq` on, and nothing from before."""
        self.effect, self.withheld_before = "enforce", seq

    def _await_release(self, restriction: Restriction, now_us: int) -> None:
        """The newest command lifts the restriction; core banking has to acknowledge that."""
        restriction.release_state, restriction.lift = SENT, restriction.commands[-1]
        self._agenda.add(now_us + self._settings.ack_timeout_us, CONFIRM, restriction.id)

    def acknowledge(self, restriction: Restriction, command_id: str, now_us: int, seq: int) -> None:
        """Core banking has carried out a command: the one named, else the newest. Told twice, it changes nothing."""
        if restriction.release_state and command_id in ("", restriction.lift):
            restriction.release_state = ACKNOWLEDGED
        elif restriction.state in UNCONFIRMED:
            step(restriction, ACTIVE, now_us, seq)

    def reject_release(self, restriction: Restriction, command_id: str) -> bool:
        """Whether core banking's refusal is of a release; it stands until core banking thinks better of it."""
        if not restriction.release_state or command_id not in ("", restriction.lift):
            return False
        if restriction.release_state != ACKNOWLEDGED:
            restriction.release_state = REJECTED
        return True

    def confirm(self, id_: str, due_us: int, now_us: int) -> Restriction | None:
        """Nobody has acknowledged a release when it was due; return its restriction if so, and ask again later.

        Once core banking has lifted it by itself nobody is stuck any more.
        """
        restriction = self.by_id.get(id_)
        if restriction is None or restriction.release_state not in STUCK:
            return None
        if restriction.expires_us <= due_us:
            return None
        if restriction.release_state == SENT:
            restriction.release_state = TIMED_OUT
        again_us = max(self._settings.ack_timeout_us, HOUR_US)
        self._agenda.add(now_us + again_us, CONFIRM, restriction.id)
        return restriction

    def expire(self, id_: str, seq: int, out: Streams) -> None:
        """The due time of a restriction has come; its end is that time, whenever a record noticed."""
        restriction = self.by_id.get(id_)
        if restriction is not None and restriction.is_in_force:
            self.end(restriction, EXPIRED, seq, restriction.expires_us, out)

    def time_out(self, id_: str, now_us: int, seq: int) -> Restriction | None:
        """Nobody acknowledged in time; return the restriction if that is so. It stays in force for us."""
        restriction = self.by_id.get(id_)
        if restriction is None or restriction.state != SENT:
            return None
        step(restriction, TIMED_OUT, now_us, seq)
        return restriction

    def forget(self, id_: str, now_us: int) -> None:
        """Drop a restriction that ended longer ago than automation is bounded over; not while somebody is stuck."""
        held_until_us = self.by_id[id_].expires_us
        if self.by_id[id_].release_state in STUCK and held_until_us > now_us:
            self._agenda.add(held_until_us, FORGET, id_)
            return
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
        self,
        restriction: Restriction,
        verb: str,
        seq: int,
        now_us: int,
        out: Streams,
        told: Mapping[str, object] = MappingProxyType({}),
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
                "effect": restriction.effect,
                "seq": seq,
                "core_time": rfc3339(now_us),
                **({"legal_basis": restriction.legal_basis} if restriction.legal_basis else {}),
                **told,
            }
        )
