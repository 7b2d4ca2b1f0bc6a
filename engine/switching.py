"""Switches that people throw in an emergency: what is sent to core banking at all, and whether one rule acts.

    mode               observe by one person, at once; back to enforce by two
    rule_off, rule_on  withhold a rule from every row for a day at most, and undo that

An order never does more than the settings allow. Where another configuration says another effect than the one before,
the same happens as by order, before the first record that it decides.
"""

from typing import Final, TypeAlias

from config.durations import duration_us
from config.errors import InputError
from config.people import People
from config.reasons import MODE_SWITCHED, RULE_SWITCHED
from engine import forms
from engine.alerts import AlertBook, Suppression, operational_alert
from engine.outcomes import Streams, rfc3339, short_id
from engine.restrictions import ALL, Registry

Answer: TypeAlias = dict[str, object]

DAY_US: Final = 86_400_000_000
RULE_OFF_MAX_US: Final = DAY_US
ENFORCE_WITHIN_US: Final = DAY_US  # the second person has to agree within that


class Switches:
    """Carry out orders that switch something. The rule of an order is one of the pack's.

    effect : of the settings
    asked  : who has asked for enforce, and at what core time; None if nobody has
    """

    def __init__(self, registry: Registry, book: AlertBook, people: People, effect: str) -> None:
        self._registry = registry
        self._book = book
        self._people = people
        self._effect = effect
        self.asked: tuple[str, int] | None = None

    # The mode

    @property
    def is_observing(self) -> bool:
        """Whether somebody's order holds back what the settings would send."""
        return self._registry.effect != self._effect

    def restore(
        self, asked: tuple[str, int] | None, withheld_before: int, *, is_observing: bool
    ) -> None:
        """Take over what was saved, maybe under other settings; see `follow`."""
        self.asked = asked
        self._registry.withheld_before = withheld_before
        if is_observing:
            self._registry.effect = "observe"

    def follow(self, seq: int, now_us: int, out: Streams) -> bool:
        """Bring what is sent in line with settings that have changed; whether people hear of it."""
        is_open = self._registry.withheld_before < ALL
        if is_open == (self._registry.effect == "enforce"):
            return False
        if is_open:
            self._observe("", "the configuration: observe", seq, now_us, out)
        else:
            self._registry.enforce(seq)
            self._tell(out, "the configuration: enforce", seq, now_us)
        return True

    def mode(self, command: forms.Mode, seq: int, now_us: int, out: Streams) -> Answer:
        """One person stops what is sent to core banking, at once; two people let it go on."""
        self._people.demand(command.by, command.effect)
        if command.effect == "observe":
            self.asked = None
            if self._registry.effect == "observe":
                return {"effect": "observe"}
            what = f"{command.by}: observe: {command.reason}"
            return {
                "effect": "observe",
                "withdrawn": self._observe(command.by, what, seq, now_us, out),
            }
        if self._effect == "observe":
            raise InputError(
                "the settings say `effect: observe`",
                why="an order never does more than the configuration allows",
                fix="activate a configuration with effect: enforce",
            )
        if self._registry.effect == "enforce":
            return {"effect": "enforce"}
        asked = self.asked
        if asked is None or asked[1] + ENFORCE_WITHIN_US < now_us or asked[0] == command.by:
            self.asked = (command.by, now_us)
            return {"effect": "observe", "awaiting": "a second person"}
        self.asked = None
        self._registry.enforce(seq)
        self._tell(out, f"{asked[0]} and {command.by}: enforce: {command.reason}", seq, now_us)
        return {"effect": "enforce"}

    def _observe(self, by: str, what: str, seq: int, now_us: int, out: Streams) -> list[str]:
        """Ids of the restrictions that are withdrawn."""
        withdrawn = [known.id for known in self._registry.observe(by, seq, now_us, out)]
        if withdrawn:
            what += (
                f" ({len(withdrawn)} restrictions withdrawn that core banking had not confirmed)"
            )
        self._tell(out, what, seq, now_us)
        return withdrawn

    def _tell(self, out: Streams, what: str, seq: int, now_us: int) -> None:
        about = {"effect": self._registry.effect}
        operational_alert(
            out, MODE_SWITCHED, f"Mode switched by {what}", seq=seq, now_us=now_us, about=about
        )

    # Rules

    def rule_off(self, command: forms.RuleOff, seq: int, now_us: int, out: Streams) -> Answer:
        """Withhold a rule from every row, at once and for a day at most."""
        for_us = duration_us(command.for_) if command.for_ else RULE_OFF_MAX_US
        if not 0 < for_us <= RULE_OFF_MAX_US:
            raise InputError(
                f"a rule is off for at most 24h, was {command.for_}",
                why="an emergency is over, or becomes a change of the pack",
                fix="write 24h or less, and set mode: off in the pack",
            )
        suppression = Suppression(
            id=short_id("s-", command.rule, "off", seq),
            rule=command.rule,
            field="",
            entity="",
            until_us=now_us + for_us,
            author=command.by,
            reason=command.reason,
        )
        self._book.suppress(suppression)
        until = rfc3339(suppression.until_us)
        what = f"{command.by} switched {command.rule} off until {until}: {command.reason}"
        _tell_rule(out, suppression, what, seq, now_us)
        return {"suppression_id": suppression.id, "rule": command.rule, "until": until}

    def rule_on(self, command: forms.RuleOn, seq: int, now_us: int, out: Streams) -> Answer:
        """Let a rule act again before its time."""
        off = self._book.switched_off(command.rule)
        if not off:
            raise InputError(
                f"the rule `{command.rule}` is not switched off",
                why="it never was in an emergency, or its time is over",
                fix="nothing needs to be done; a pack can hold `mode: off` too",
            )
        for suppression in off:
            self._book.lift(suppression)
            what = f"{command.by} switched {command.rule} on again: {command.reason}"
            _tell_rule(out, suppression, what, seq, now_us)
        return {"rule": command.rule, "lifted": [suppression.id for suppression in off]}

    def end_of(self, suppression: Suppression, seq: int, now_us: int, out: Streams) -> bool:
        """The time of a suppression is over; whether people hear of it: a rule is on again."""
        if suppression.field:
            return False
        what = f"{suppression.rule} is on again: the time for which {suppression.author} switched it off is over"
        _tell_rule(out, suppression, what, seq, now_us)
        return True


def _tell_rule(out: Streams, suppression: Suppression, what: str, seq: int, now_us: int) -> None:
    about = {"rule": suppression.rule, "suppression_id": suppression.id}
    operational_alert(out, RULE_SWITCHED, what, seq=seq, now_us=now_us, about=about)
