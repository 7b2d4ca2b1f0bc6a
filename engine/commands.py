"""Commands that people and the core banking system give the engine, and the answers they get.

    acknowledge, reject    core banking has carried out, or refuses, a command about a restriction
    release                lift a restriction: one person; two different ones for full_freeze
    restrict               a person's restriction, outside the caps; with `order`, that of an authority
    resolve                close an alert               suppress    withhold a rule for one entity until a date

Every command is answered. What cannot be done is answered with the reason, never with an exception: the command is a
record of the stream like any other. Lists, packs and models are activated elsewhere.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from config.decisions import RESTRICTABLE
from config.durations import duration_us
from config.errors import ConfigError, InputError
from config.money import minor_units
from config.reasons import COMMAND_REJECTED
from config.settings import instant_us
from engine.alerts import AlertBook, Suppression, operational_alert
from engine.outcomes import Streams, line, rfc3339, short_id
from engine.proposals import COMMANDS as PROPOSING
from engine.proposals import Proposals
from engine.restrictions import (
    ACTIVE,
    IN_FORCE,
    REJECTED,
    RELEASED,
    SENT,
    TIMED_OUT,
    WITH_AMOUNT,
    Registry,
    Restriction,
)

Answer: TypeAlias = dict[str, object]


class _Named(msgspec.Struct, tag_field="command", kw_only=True):
    by: str = ""
    reason: str = ""


class Acknowledge(_Named, tag="acknowledge"):
    restriction_id: str = ""
    command_id: str = ""


class Reject(_Named, tag="reject"):
    restriction_id: str = ""
    command_id: str = ""


class Release(_Named, tag="release"):
    restriction_id: str = ""
    command_id: str = ""
    order: str = ""


class Restrict(_Named, tag="restrict"):
    entity: dict[str, str]
    level: Literal["watch", "limit", "amount_hold", "no_debit", "no_credit", "full_freeze"]
    for_: str = msgspec.field(default="", name="for")
    expires_at: str = ""
    amount: str | float | None = None
    channels: tuple[str, ...] = ()
    order: str = ""


class Resolve(_Named, tag="resolve"):
    alert_id: str
    outcome: str = ""


class Suppress(_Named, tag="suppress"):
    rule: str
    entity: dict[str, str]
    until: str


Command: TypeAlias = Acknowledge | Reject | Release | Restrict | Resolve | Suppress
COMMANDS: Final = frozenset({"acknowledge", "reject", "release", "restrict", "resolve", "suppress"})


class Desk:
    """Carry out commands on restrictions and alerts.

    domains : field name -> domain of what can be restricted or suppressed here
    rules   : ids of the rules of the pack
    digits  : decimals of the pack's currency
    proposals : configurations that are to become active
    """

    def __init__(
        self,
        registry: Registry,
        book: AlertBook,
        domains: Mapping[str, str],
        rules: frozenset[str],
        digits: int,
        proposals: Proposals,
    ) -> None:
        self._registry = registry
        self._book = book
        self._domains = domains
        self._rules = rules
        self._digits = digits
        self._proposals = proposals

    def carry_out(self, record: Mapping[str, Any], seq: int, now_us: int, out: Streams) -> Answer:
        """Do what a decoded command says at core time `now_us`; return its answer."""
        name = record.get("command")
        head: Answer = {"seq": seq, "command": name}
        if not isinstance(name, str) or name not in COMMANDS | PROPOSING:
            fix = f"use one of {', '.join(sorted(COMMANDS | PROPOSING))}"
            what = {"what": f"there is no command `{name}`", "why": "", "fix": fix}
            return head | {"ok": False} | what
        try:
            if name in PROPOSING:
                return head | {"ok": True} | self._proposals.carry_out(record, seq, now_us)
            command = msgspec.convert(dict(record), Command)
            return head | {"ok": True} | self._answer(command, seq, now_us, out)
        except msgspec.ValidationError as error:
            return head | {"ok": False, "what": str(error), "why": "", "fix": "correct the command"}
        except (InputError, ConfigError) as error:
            what = {"what": error.what, "why": error.why, "fix": error.fix}
            return head | {"ok": False} | what

    def _answer(self, command: Command, seq: int, now_us: int, out: Streams) -> Answer:
        if isinstance(command, Acknowledge):
            return self._acknowledge(command)
        _demand(command.by, "by", "who did it is part of the record")
        _demand(command.reason, "reason", "why it was done is part of the record")
        if isinstance(command, Reject):
            return self._reject(command, seq, now_us, out)
        if isinstance(command, Release):
            return self._release(command, seq, now_us, out)
        if isinstance(command, Restrict):
            return self._restrict(command, seq, now_us, out)
        if isinstance(command, Resolve):
            return self._resolve(command, seq, now_us, out)
        return self._suppress(command, seq, now_us)

    def _acknowledge(self, command: Acknowledge) -> Answer:
        restriction = self._meant(command)
        if restriction.state in (SENT, TIMED_OUT):
            restriction.state = ACTIVE
        return _state(restriction)

    def _reject(self, command: Reject, seq: int, now_us: int, out: Streams) -> Answer:
        restriction = self._meant(command)
        _demand_in_force(restriction)
        self._registry.end(restriction, REJECTED, seq, now_us, out)
        operational_alert(
            out,
            COMMAND_REJECTED,
            f"{command.by} rejected {restriction.level} of {restriction.domain} "
            f"{restriction.entity}: {command.reason}",
            seq=seq,
            now_us=now_us,
            about={"restriction_id": restriction.id},
        )
        return _state(restriction)

    def _release(self, command: Release, seq: int, now_us: int, out: Streams) -> Answer:
        restriction = self._meant(command)
        _demand_in_force(restriction)
        if restriction.order:
            _demand(
                command.order,
                "order",
                f"it stands by order {restriction.order} of an authority, and falls by order only",
            )
        if command.by in restriction.released_by:
            raise InputError(
                f"`{command.by}` has asked for this release already",
                why="a full freeze is lifted by two different people",
                fix="have somebody else release it too",
            )
        restriction.released_by += (command.by,)
        if restriction.level == "full_freeze" and len(restriction.released_by) < 2:
            return _state(restriction) | {"awaiting": "a second person"}
        self._registry.end(restriction, RELEASED, seq, now_us, out)
        return _state(restriction)

    def _restrict(self, command: Restrict, seq: int, now_us: int, out: Streams) -> Answer:
        field, entity = self._entity(command.entity)
        if bool(command.for_) == bool(command.expires_at):
            raise InputError(
                "a restriction needs `for` or `expires_at`, one of them",
                why="nothing is restricted without an end",
                fix="add for: 24h",
            )
        _demand_clock(now_us)
        if command.for_:
            expires_us = now_us + duration_us(command.for_)
        else:
            expires_us = instant_us("expires_at", command.expires_at)
        if expires_us <= now_us:
            raise InputError(
                f"the restriction would be over at {rfc3339(expires_us)}",
                why=f"core time is {rfc3339(now_us)}",
                fix="name a later time",
            )
        restriction = Restriction(
            id="",
            domain=self._domains[field],
            entity=entity,
            level=command.level,
            channels=command.channels,
            amount_minor=self._amount(command),
            author=command.by,
            reason=command.reason,
            order=command.order,
            source_seq=seq,
            source=None,
            started_us=now_us,
            expires_us=expires_us,
        )
        self._registry.impose(restriction, out)
        return _state(restriction)

    def _amount(self, command: Restrict) -> int:
        if (command.level in WITH_AMOUNT) != (command.amount is not None):
            raise InputError(
                f"level {command.level} "
                + ("needs an `amount`" if command.amount is None else "takes no `amount`"),
                fix="limit and amount_hold have an amount in the pack's currency, others none",
            )
        if command.amount is None:
            return 0
        try:
            return minor_units(command.amount, self._digits)
        except ValueError as error:
            raise InputError(
                f"`amount` was {command.amount}: {error}", fix='write it like "250.00"'
            ) from None

    def _resolve(self, command: Resolve, seq: int, now_us: int, out: Streams) -> Answer:
        alert = self._book.resolve(command.alert_id)
        if alert is None:
            raise InputError(
                f"no alert `{command.alert_id}` is open",
                why="it was resolved before, is too old, or never was",
                fix="look for its id in alerts and resolutions",
            )
        out.resolutions.append(
            line(
                {
                    "seq": seq,
                    "alert_id": alert.id,
                    "rule": alert.rule,
                    "outcome": command.outcome or None,
                    "by": command.by,
                    "reason": command.reason,
                    "core_time": _time(now_us),
                }
            )
        )
        return {"alert_id": alert.id, "state": "resolved"}

    def _suppress(self, command: Suppress, seq: int, now_us: int) -> Answer:
        field, entity = self._entity(command.entity)
        if command.rule not in self._rules:
            raise InputError(
                f"there is no rule `{command.rule}`",
                fix="name the rule by its id, such as TRAVEL-001",
            )
        until_us = instant_us("until", command.until)
        if until_us <= now_us:
            raise InputError(
                f"`until` is over: {command.until}",
                why=f"core time is {rfc3339(now_us)}",
                fix="name a later time",
            )
        suppression = Suppression(
            id=short_id("s-", command.rule, field, entity, seq),
            rule=command.rule,
            field=field,
            entity=entity,
            until_us=until_us,
            author=command.by,
            reason=command.reason,
        )
        self._book.suppress(suppression)
        return {"suppression_id": suppression.id, "state": "in force"}

    def _meant(self, command: Acknowledge | Reject | Release) -> Restriction:
        restriction = self._registry.find(command.restriction_id, command.command_id)
        if restriction is None:
            given = command.restriction_id or command.command_id
            raise InputError(
                f"no restriction is known as `{given}`" if given else "no restriction is named",
                why="it ended long ago, or never was",
                fix="name a restriction_id or command_id from the stream of commands",
            )
        return restriction

    def _entity(self, entity: Mapping[str, str]) -> tuple[str, str]:
        if len(entity) != 1:
            raise InputError(
                f"`entity` must name one entity, was {dict(entity)}", fix='write {"card": "C7"}'
            )
        [(field, text)] = entity.items()
        if field not in self._domains or not text:
            known = [name for name in RESTRICTABLE if name in self._domains]
            raise InputError(
                f"`entity` names a {field}, which the engine does not look at"
                if text
                else "`entity` is empty",
                fix=f"use one of {', '.join(known)}",
            )
        return field, text


def _demand(value: str, name: str, why: str) -> None:
    if not value.strip():
        raise InputError(f"`{name}` is missing", why=why, fix=f"add `{name}`")


def _demand_in_force(restriction: Restriction) -> None:
    if restriction.state not in IN_FORCE:
        raise InputError(
            f"the restriction has ended: {restriction.state}",
            why=f"it ended at {rfc3339(restriction.ended_us)}",
            fix="nothing needs to be done",
        )


def _demand_clock(now_us: int) -> None:
    if now_us < 0:
        raise InputError(
            "no event has told the engine what time it is",
            why="a restriction begins and ends at core time",
            fix="send it once events have begun to arrive",
        )


def _time(now_us: int) -> str | None:
    """Core time as text; None before the first event."""
    return rfc3339(now_us) if now_us >= 0 else None


def _state(restriction: Restriction) -> Answer:
    return {"restriction_id": restriction.id, "state": restriction.state}
