"""Commands that people and the core banking system give the engine, and the answers they get.

    acknowledge, reject    core banking has carried out, or refuses, a command about a restriction
    withheld               a command was not sent, because the mode had become observe
    challenge_passed,
    challenge_failed       what became of a challenge
    resolve                close an alert, or approve or decline a held transaction
    release, countersign, appeal, decide_appeal, release_rule      lift restrictions, see engine/releasing.py
    restrict               a person's restriction, outside the caps; with `order`, that of an authority
    assign, close          a case: give it to somebody, end it with a verdict
    suppress               withhold a rule for one entity until a date
    rule_off, rule_on,     an emergency: a rule does nothing for a day at most; nothing more is sent to core banking;
    mode                   see engine/switching.py
    list_add, list_remove  put a value into a list until a time, and end that; see engine/listing.py
    promote, freeze,       which model decides, and which may learn; see engine/governing.py
    unfreeze, models

Every command is answered. What cannot be done is answered with the reason, never with an exception: the command is a
record of the stream like any other. Who may do what stands in config/people.py; what a signature has proved was found
out at the door (engine/signing.py, engine/gate.py). Packs and models are activated by engine/proposals.py.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from config.decisions import RESTRICTABLE
from config.durations import duration_us
from config.errors import ConfigError, InputError
from config.money import minor_units
from config.people import People
from config.reasons import COMMAND_REJECTED, RELEASE_REJECTED
from config.settings import instant_us
from engine import forms
from engine.agenda import Agenda
from engine.alerts import AlertBook, Suppression, operational_alert
from engine.cases import CaseBook
from engine.gate import STREAM, Gate
from engine.governing import COMMANDS as GOVERNING
from engine.governing import Governing
from engine.held import APPROVED, DECLINED, HeldBook
from engine.listing import Listing
from engine.lists import Lists
from engine.outcomes import Streams, line, rfc3339, short_id
from engine.proposals import COMMANDS as PROPOSING
from engine.proposals import ENGINE, Proposals
from engine.ratings import Ratings
from engine.releasing import Appealed, DryRun, Releases, demand_clock
from engine.releasing import demand_text as _demand
from engine.restrictions import IN_FORCE, REJECTED, RELEASED, WITH_AMOUNT, Registry, Restriction
from engine.switching import Switches
from rules.check.suggest import did_you_mean

Answer: TypeAlias = dict[str, object]

COMMANDS: Final = forms.COMMANDS
KNOWN: Final = COMMANDS | PROPOSING | GOVERNING


class DeskState(msgspec.Struct, kw_only=True):
    """What outlives a batch beside restrictions and alerts, in canonical order."""

    is_observing: bool = False  # by order of somebody, whatever the settings say
    enforce_asked: tuple[str, int] | None = None  # by whom, core time
    withheld_before: int = 0  # seq, see Registry
    nonces: list[tuple[str, int]] = []  # with the core time of their use
    dry_runs: list[DryRun] = []
    appeals: list[Appealed] = []


class Desk:
    """Carry out commands on restrictions, held transactions and alerts.

    domains : field name -> domain of what can be restricted or suppressed here
    rules   : ids of the rules of the pack
    digits  : decimals of the pack's currency
    effect  : of the settings; an order can only tighten it
    proposals : configurations that are to become active
    lists   : rows that are added to lists
    ratings : of customers, which verdicts change
    governing : of models; None where there are none

    touched  : restrictions that the last command has changed; switched : rules that it has withheld or let act again
    """

    def __init__(
        self,
        registry: Registry,
        book: AlertBook,
        held: HeldBook,
        cases: CaseBook,
        agenda: Agenda,
        people: People,
        domains: Mapping[str, str],
        rules: frozenset[str],
        digits: int,
        effect: str,
        proposals: Proposals,
        lists: Lists,
        ratings: Ratings,
        governing: Governing | None = None,
    ) -> None:
        self._registry = registry
        self._book = book
        self._held = held
        self._cases = cases
        self._gate = Gate(people)
        self._people = people
        self._domains = domains
        self._rules = rules
        self._digits = digits
        self._proposals = proposals
        self._listing = Listing(lists, people)
        self._ratings = ratings
        self._governing = governing
        self.releases = Releases(registry, agenda, people)
        self.switches = Switches(registry, book, people, effect)
        self.touched: list[Restriction] = []
        self.switched: list[str] = []

    def carry_out(self, record: Mapping[str, Any], seq: int, now_us: int, out: Streams) -> Answer:
        """Do what a decoded command says at core time `now_us`; return its answer."""
        self.touched, self.switched = [], []
        name = record.get("command")
        head: Answer = {"seq": seq, "command": name}
        if not isinstance(name, str) or name not in KNOWN:
            fix = f"use one of {', '.join(sorted(KNOWN))}"
            what = {"what": f"there is no command `{name}`", "why": "", "fix": fix}
            return head | {"ok": False} | what
        try:
            if name in PROPOSING:
                by = str(record.get("by") or "")
                if (name, by) != ("reject_proposal", ENGINE):
                    self._gate.let_in(record, now_us, by_core_banking=False)
                    self._people.demand(by, name)
                return head | {"ok": True} | self._proposals.carry_out(record, seq, now_us)
            if name in GOVERNING and self._governing is not None:
                if name != "models":  # a question changes nothing, whoever asks
                    self._gate.let_in(record, now_us, by_core_banking=False)
                answer = self._governing.carry_out(record, seq, now_us, out)
                return head | {"ok": True} | answer
            command = msgspec.convert(dict(record), forms.Command)
            answer = self._answer(command, record, seq, now_us, out)
            for restriction in self.touched:
                if restriction.state == RELEASED and restriction.verdict == "mistaken":
                    self._ratings.mistaken(restriction.id, now_us)
            return head | {"ok": True} | answer
        except msgspec.ValidationError as error:
            return head | {"ok": False, "what": str(error), "why": "", "fix": "correct the command"}
        except (InputError, ConfigError) as error:
            what = {"what": error.what, "why": error.why, "fix": error.fix}
            return head | {"ok": False} | what

    def _answer(
        self,
        command: forms.Command,
        record: Mapping[str, Any],
        seq: int,
        now_us: int,
        out: Streams,
    ) -> Answer:
        of_core_banking = isinstance(command, forms.OF_CORE_BANKING)
        self._gate.let_in(record, now_us, by_core_banking=of_core_banking)
        if isinstance(command, forms.OF_CORE_BANKING):
            if command.by and command.door.get("channel") != STREAM:
                self._people.demand(command.by, command.name)
            return self._of_core_banking(command, seq, now_us, out)
        _demand(command.by, "by", "who did it is part of the record")
        _demand(command.reason, "reason", "why it was done is part of the record")
        if isinstance(command, forms.Restrict):
            return self._restrict(command, seq, now_us, out)
        if isinstance(command, forms.Resolve):
            return self._resolve(command, seq, now_us, out)
        if isinstance(command, forms.Suppress):
            return self._suppress(command, seq, now_us)
        if isinstance(command, forms.Assign):
            self._people.demand(command.by, "assign")
            return self._cases.assign(command, seq, now_us, out)
        if isinstance(command, forms.Close):
            self._people.demand(command.by, "close")
            answer, case = self._cases.close(command, self._book, seq, now_us, out)
            if case.field == "customer":
                self._ratings.closed(case.entity, command.verdict, now_us)
            return answer
        if isinstance(command, forms.Mode):
            return self.switches.mode(command, seq, now_us, out)
        if isinstance(command, forms.RuleOff | forms.RuleOn):
            return self._switch_rule(command, seq, now_us, out)
        if isinstance(command, forms.ListAdd):
            return self._listing.add(command, seq, now_us)
        if isinstance(command, forms.ListRemove):
            return self._listing.remove(command, seq, now_us)
        return self._lift(command, seq, now_us, out)

    # Core banking

    def _of_core_banking(
        self,
        command: (
            forms.Acknowledge
            | forms.Reject
            | forms.Withheld
            | forms.ChallengePassed
            | forms.ChallengeFailed
        ),
        seq: int,
        now_us: int,
        out: Streams,
    ) -> Answer:
        if isinstance(command, forms.Withheld):
            return self._note_withheld(command, seq, now_us, out)
        if isinstance(command, (forms.ChallengePassed, forms.ChallengeFailed)):
            outcome = APPROVED if isinstance(command, forms.ChallengePassed) else DECLINED
            held = self._held.find(command.account, command.transaction_id)
            by, reason = command.by or "core_banking", command.reason or command.name
            self._held.resolve(held, outcome, by, reason, seq, now_us, out)
            return {"transaction_id": held.transaction_id, "outcome": held.outcome}
        restriction = self._meant(command)
        self.touched.append(restriction)
        if isinstance(command, forms.Acknowledge):
            self._registry.acknowledge(restriction, command.command_id, now_us, seq)
            return _state(restriction)
        _demand(command.by, "by", "who did it is part of the record")
        _demand(command.reason, "reason", "why it was done is part of the record")
        is_release = self._registry.reject_release(restriction, command.command_id)
        if not is_release:
            _demand_in_force(restriction)
            self._registry.end(restriction, REJECTED, seq, now_us, out)
        operational_alert(
            out,
            RELEASE_REJECTED if is_release else COMMAND_REJECTED,
            f"{command.by} rejected {'the release of ' * is_release}{restriction.level} of "
            f"{restriction.domain} {restriction.entity}: {command.reason}",
            seq=seq,
            now_us=now_us,
            about={"restriction_id": restriction.id},
        )
        return _state(restriction)

    def _note_withheld(
        self, command: forms.Withheld, seq: int, now_us: int, out: Streams
    ) -> Answer:
        """Put on record what never reached core banking; what it was about is settled by the switch itself."""
        _demand(command.command_id, "command_id", "a command was withheld, and it has an id")
        about = self._registry.find("", command.command_id)
        out.resolutions.append(
            line(
                {
                    "seq": seq,
                    "kind": "command",
                    "command_id": command.command_id,
                    "restriction_id": about.id if about is not None else None,
                    "outcome": "withheld",
                    "by": command.by or None,
                    "reason": command.reason,
                    "core_time": _time(now_us),
                }
            )
        )
        return {"command_id": command.command_id, "state": "withheld"}

    # Restrictions

    def _lift(
        self,
        command: (
            forms.Release
            | forms.Countersign
            | forms.Appeal
            | forms.DecideAppeal
            | forms.ReleaseRule
        ),
        seq: int,
        now_us: int,
        out: Streams,
    ) -> Answer:
        releases = self.releases
        if isinstance(command, forms.ReleaseRule):
            self._demand_rule(command.rule, known=not command.token)
            answer, self.touched = releases.release_rule(command, seq, now_us, out)
            return answer
        if isinstance(command, forms.DecideAppeal):
            answer = releases.decide_appeal(command, seq, now_us, out)
            named = self._registry.by_id.get(str(answer.get("restriction_id", "")))
            self.touched = [named] if named is not None else []
            return answer
        restriction = self._meant(command)
        self.touched = [restriction]
        if isinstance(command, forms.Countersign):
            return releases.countersign(command, restriction, seq, now_us, out)
        if isinstance(command, forms.Appeal):
            return releases.appeal(command, restriction, seq, now_us, out)
        _demand_in_force(restriction)
        return releases.release(command, restriction, seq, now_us, out)

    def _restrict(self, command: forms.Restrict, seq: int, now_us: int, out: Streams) -> Answer:
        self._people.demand(command.by, "restrict_order" if command.order else "restrict")
        field, entity = self._entity(command.entity)
        if bool(command.for_) == bool(command.expires_at):
            raise InputError(
                "a restriction needs `for` or `expires_at`, one of them",
                why="nothing is restricted without an end",
                fix="add for: 24h",
            )
        demand_clock(now_us)
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
            legal_basis=command.legal_basis,
            source_seq=seq,
            source=None,
            started_us=now_us,
            expires_us=expires_us,
        )
        self._registry.impose(restriction, out)
        if field == "customer":
            self._ratings.restricted(restriction.id, entity, command.level, now_us)
        self.touched.append(restriction)
        return _state(restriction)

    def _amount(self, command: forms.Restrict) -> int:
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

    # Transactions and alerts

    def _resolve(self, command: forms.Resolve, seq: int, now_us: int, out: Streams) -> Answer:
        self._people.demand(command.by, "resolve")
        if command.transaction_id:
            if command.outcome not in (APPROVED, DECLINED):
                raise InputError(
                    f"`outcome` of a transaction is {APPROVED} or {DECLINED}, was {command.outcome or 'none'}",
                    fix=f"add outcome: {APPROVED}",
                )
            held = self._held.find(command.account, command.transaction_id)
            self._held.resolve(held, command.outcome, command.by, command.reason, seq, now_us, out)
            return {"transaction_id": held.transaction_id, "outcome": held.outcome}
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

    def _suppress(self, command: forms.Suppress, seq: int, now_us: int) -> Answer:
        self._people.demand(command.by, "suppress")
        field, entity = self._entity(command.entity)
        self._demand_rule(command.rule)
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
        self.switched.append(command.rule)
        return {"suppression_id": suppression.id, "state": "in force"}

    def _switch_rule(
        self, command: forms.RuleOff | forms.RuleOn, seq: int, now_us: int, out: Streams
    ) -> Answer:
        self._people.demand(command.by, command.name)
        if isinstance(command, forms.RuleOn):
            answer = self.switches.rule_on(command, seq, now_us, out)
        else:
            self._demand_rule(command.rule)
            demand_clock(now_us)
            answer = self.switches.rule_off(command, seq, now_us, out)
        self.switched.append(command.rule)
        return answer

    # State

    def save(self) -> DeskState:
        dry_runs, appeals = self.releases.save()
        return DeskState(
            is_observing=self.switches.is_observing,
            enforce_asked=self.switches.asked,
            withheld_before=self._registry.withheld_before,
            nonces=self._gate.save(),
            dry_runs=dry_runs,
            appeals=appeals,
        )

    def restore(self, state: DeskState) -> None:
        """Take over what `save` gave."""
        self.switches.restore(
            state.enforce_asked, state.withheld_before, is_observing=state.is_observing
        )
        self._gate.restore(state.nonces)
        self.releases.restore(state.dry_runs, state.appeals)

    # What an order names

    def _meant(self, command: forms.Meant) -> Restriction:
        restriction = self._registry.find(command.restriction_id, command.command_id)
        if restriction is None:
            given = command.restriction_id or command.command_id
            raise InputError(
                f"no restriction is known as `{given}`" if given else "no restriction is named",
                why="it ended long ago, or never was",
                fix="name a restriction_id or command_id from the stream of commands",
            )
        return restriction

    def _demand_rule(self, rule: str, *, known: bool = True) -> None:
        if known and rule not in self._rules:
            near = did_you_mean(rule, self._rules)
            raise InputError(
                f"there is no rule `{rule}`",
                fix=near or "name the rule by its id, such as TRAVEL-001",
            )

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


def _demand_in_force(restriction: Restriction) -> None:
    if restriction.state not in IN_FORCE:
        raise InputError(
            f"the restriction has ended: {restriction.state}",
            why=f"it ended at {rfc3339(restriction.ended_us)}",
            fix="nothing needs to be done",
        )


def _time(now_us: int) -> str | None:
    """Core time as text; None before the first event."""
    return rfc3339(now_us) if now_us >= 0 else None


def _state(restriction: Restriction) -> Answer:
    told: Answer = {"restriction_id": restriction.id, "state": restriction.state}
    return told | ({"release": restriction.release_state} if restriction.release_state else {})
