"""What the last stage of the core remembers: every book that outlives a batch, begun, saved, loaded and handed over."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.decisions import RESTRICTABLE, DecisionSettings
from config.errors import StateError
from config.money import exponent
from config.people import People
from engine.agenda import Agenda, Entry
from engine.alerts import AlertBook, Group, OpenAlert, Suppression
from engine.breakers import Breakers
from engine.caps import Caps
from engine.cases import Case, CaseBook
from engine.commands import Desk, DeskState
from engine.governing import Governing
from engine.held import Held, HeldBook
from engine.lists import Lists
from engine.outcomes import short_id
from engine.proposals import Proposals
from engine.ratings import Kept, Ratings
from engine.reports import ReportBook, Reported
from engine.restrictions import DictionaryLike, Registry, Restriction
from rules.columns import Layout
from rules.definitions import Pack

FORMAT = 2  # of the saved state


class _State(msgspec.Struct, kw_only=True):
    """Everything that outlives a batch, in canonical order."""

    format: int = FORMAT
    agenda: list[Entry]
    restrictions: list[Restriction]
    groups: list[Group]
    alerts: list[OpenAlert]
    suppressions: list[Suppression]
    caps: list[tuple[str, list[int]]]
    alarms: list[tuple[str, int]]
    reports: list[Reported] = []
    held: list[Held] = []
    cases: list[Case] = []
    breakers: list[tuple[str, list[int]]] = []
    rated: list[Kept] = []
    owed: list[dict[str, str]] = []
    desk: DeskState = msgspec.field(default_factory=DeskState)


class Books:
    """The books of one decider, empty at first. `load` and `adopt` begin all anew: take hold of them again."""

    def __init__(
        self,
        pack: Pack,
        settings: DecisionSettings,
        layout: Layout,
        dictionaries: Mapping[str, DictionaryLike],
        effect: str,
        *,
        proposals: Proposals,
        lists: Lists,
        people: People,
        governing: Governing | None,
    ) -> None:
        self._pack = pack
        self._settings = settings
        self._layout = layout
        self._dictionaries = dictionaries
        self._effect = effect
        self._proposals = proposals
        self._lists = lists
        self._people = people
        self._governing = governing
        self._digits = exponent(pack.currency)
        self._begin((), (), (), ())

    def save(self) -> dict[str, NDArray[Any]]:
        """Everything that outlives a batch; the same bytes however batches were cut."""
        groups, alerts, suppressions = self.alerts.save()
        state = _State(
            agenda=self.agenda.entries(),
            restrictions=self.registry.all(),
            groups=groups,
            alerts=alerts,
            suppressions=suppressions,
            caps=self.caps.taken(),
            alarms=self.caps.alarmed(),
            reports=self.reports.save(),
            held=self.held.all(),
            cases=self.cases.all(),
            breakers=self.breakers.taken(),
            rated=self.ratings.kept(),
            owed=self.cases.owed,
            desk=self.desk.save(),
        )
        saved = np.frombuffer(msgspec.msgpack.encode(state), np.uint8).copy()
        return {"state": saved, **self.breakers.save(), **self.ratings.save()}

    def load(
        self,
        saved: Mapping[str, NDArray[Any]],
        actions: Mapping[tuple[str, int], int],
    ) -> None:
        """Take over what `save` gave; dictionaries are loaded before. The pack may be another one.

        actions : (rule, place of one of its actions) -> its place in this pack, -1 where it is no longer there; caps
                  and restrictions follow it. What a rule did that is gone stays in force.
        """
        try:
            state = msgspec.msgpack.decode(saved["state"].tobytes(), type=_State)
        except (msgspec.DecodeError, KeyError) as error:
            raise StateError(
                f"the saved restrictions cannot be read: {error}",
                why="without them a frozen account would be open again",
                fix="go on from the snapshot before, or replay the journal",
            ) from None
        if state.format != FORMAT:
            raise StateError(
                f"saved restrictions have format {state.format}, this version reads {FORMAT}",
                fix="go on with the version that saved them, or replay the journal",
            )
        for restriction in state.restrictions:
            at = restriction.rule, restriction.action
            restriction.action = actions.get(at, restriction.action)
        caps = [(key, times) for old, times in state.caps if (key := _moved(old, actions))]
        alarms = [(key, at_us) for old, at_us in state.alarms if (key := _moved(old, actions))]
        self._begin(state.agenda, state.restrictions, caps, alarms)
        self.alerts.restore(state.groups, state.alerts, state.suppressions)
        self.reports.restore(state.reports)
        self.held.restore(state.held)
        self.cases.restore(state.cases, state.owed)
        self.breakers.restore(saved, state.breakers)
        self.ratings.load(saved, state.rated)
        self.desk.restore(state.desk)

    def adopt(self, other: "Books", actions: Mapping[tuple[str, int], int]) -> None:
        """Go on from the very state of `other`, whose dictionaries this one has taken over; else as `load` does.

        What grows with the bank's day (alerts, cases, who waits, ratings) is handed over as it is: writing and reading
        10,000 cases took 150 ms. `other` must not be used any more.
        """
        restrictions = other.registry.all()
        for restriction in restrictions:
            at = restriction.rule, restriction.action
            restriction.action = actions.get(at, restriction.action)
        taken, alarmed = other.caps.taken(), other.caps.alarmed()
        caps = [(key, times) for old, times in taken if (key := _moved(old, actions))]
        alarms = [(key, at_us) for old, at_us in alarmed if (key := _moved(old, actions))]
        self._begin((), restrictions, caps, alarms)
        self.agenda.adopt(other.agenda)
        self.alerts.adopt(other.alerts)
        self.reports.adopt(other.reports)
        self.held.adopt(other.held)
        self.cases.adopt(other.cases)
        self.breakers.restore(other.breakers.save(), other.breakers.taken())
        if self.ratings.follows(other.ratings):
            self.ratings.adopt(other.ratings)
        else:
            self.ratings.load(other.ratings.save(), other.ratings.kept())
        self.desk.restore(other.desk.save())

    def _begin(
        self,
        agenda: Sequence[Entry],
        restrictions: Sequence[Restriction],
        caps: Sequence[tuple[str, list[int]]],
        alarms: Sequence[tuple[str, int]],
    ) -> None:
        self.agenda = Agenda(agenda)
        self.caps = Caps(caps, alarms)
        self.alerts = AlertBook(self.agenda, self._settings.alerts_kept_us)
        self.alerts.stand(_of_pack(self._pack))
        self.held = HeldBook(self.agenda, self._settings.outcomes_kept_us)
        self.cases = CaseBook(self.agenda, self._settings.alerts_kept_us)
        settings = self._settings
        shares = settings.breakers if settings.caps else {}
        self.breakers = Breakers(shares, settings.breaker_minimum, settings.breaker_window_us)
        self.registry = Registry(self._settings, self._effect, self._dictionaries, self.agenda)
        self.registry.restore(restrictions)
        self.reports = ReportBook()
        customer = self._layout.places.get("customer")
        coded = customer is not None and customer.is_code
        self.ratings = Ratings(
            self._dictionaries[customer.dictionary] if customer and coded else None, self._digits
        )
        domains = {
            name: place.dictionary for name, place in self._layout.places.items() if place.is_code
        }
        self.desk = Desk(
            self.registry,
            self.alerts,
            self.held,
            self.cases,
            self.agenda,
            self._people,
            {name: domain for name, domain in domains.items() if name in RESTRICTABLE},
            frozenset(rule.id for rule in self._pack.rules),
            self._digits,
            self._effect,
            self._proposals,
            self._lists,
            self.ratings,
            self._governing,
        )


def _of_pack(pack: Pack) -> list[Suppression]:
    """The suppressions that the pack itself declares; they end by event time."""
    return [
        Suppression(
            id=short_id("s-", s.rule, s.field, s.entity, s.pack, s.until_us),
            rule=s.rule,
            field=s.field,
            entity=s.entity,
            until_us=s.until_us,
            author=s.by,
            reason=s.why,
        )
        for s in pack.suppressions
    ]


def _moved(key: str, actions: Mapping[tuple[str, int], int]) -> str:
    """The key of a cap when the actions of its rule have moved; "" when the action is no longer there."""
    rule, _, place = key.rpartition(":")
    if not place.isdigit() or (rule, int(place)) not in actions:
        return key
    now = actions[rule, int(place)]
    return f"{rule}:{now}" if now >= 0 else ""
