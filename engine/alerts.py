"""Alerts: which matches of a rule are one case, which are suppressed, and what is still open.

`dedup` groups: the first match of a rule for an entity opens an alert, those within `for` of the first join it and are
put on record as updates (count, amount). Once an alert is resolved the next match opens a new one, so that nothing
joins what nobody looks at. Suppressions withhold score and actions of a rule for one entity until they end; what they
withheld stays on record.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from engine.agenda import CLOSE, DROP, UNSUPPRESS, Agenda
from engine.outcomes import Streams, line, rfc3339, short_id

SEPARATOR = "\x1f"  # cannot stand in an id: ids refuse control characters


class Group(msgspec.Struct, kw_only=True):
    """Matches of one rule for one entity that are one case."""

    rule: str
    entity: str  # the texts of the rule's `dedup` fields
    first_seq: int
    until_us: int  # core time; a match then or later opens another group
    alerts: tuple[str, ...]
    count: int
    amount_minor: int

    @property
    def id(self) -> str:
        return f"{self.first_seq}{SEPARATOR}{self.rule}{SEPARATOR}{self.entity}"


class OpenAlert(msgspec.Struct):
    """An alert nobody has resolved, and the group it stands for while that lasts."""

    id: str
    rule: str
    group: str  # id of the group, or ""
    kept_until_us: int  # core time


class Suppression(msgspec.Struct, kw_only=True):
    """Withhold one rule for one entity, or for all (`field` is ""), until `until_us` (core time)."""

    id: str
    rule: str
    field: str  # the column whose value is compared: card, account, ...; "" in an emergency: the rule is off
    entity: str
    until_us: int
    author: str
    reason: str


class AlertBook:
    """Open groups and alerts, and the suppressions in force."""

    def __init__(self, agenda: Agenda, kept_us: int) -> None:
        self._agenda = agenda
        self._kept_us = kept_us
        self.groups: dict[str, Group] = {}  # by rule and entity
        self.open: dict[str, OpenAlert] = {}
        self.suppressions: dict[str, Suppression] = {}
        self._of_pack: dict[str, Suppression] = {}  # they end by event time, and are not saved

    def stand(self, suppressions: Iterable[Suppression]) -> None:
        """Honour the suppressions of the pack beside those of commands."""
        self._of_pack = {s.id: s for s in suppressions}

    @property
    def withheld(self) -> frozenset[str]:
        """Ids of rules that a suppression may withhold from a row."""
        return frozenset(s.rule for s in (*self.suppressions.values(), *self._of_pack.values()))

    def join(self, rule: str, entity: str, amount_minor: int, now_us: int) -> Group | None:
        """Add a match to the open group of `rule` and `entity`; None if there is none."""
        group = self.groups.get(f"{rule}{SEPARATOR}{entity}")
        if group is not None:
            group.count += 1
            group.amount_minor += amount_minor
            for alert_id in group.alerts:
                if alert_id in self.open:
                    self.open[alert_id].kept_until_us = now_us + self._kept_us
        return group

    def begin(self, group: Group) -> None:
        """Open a group; the caller has found none to join."""
        key = f"{group.rule}{SEPARATOR}{group.entity}"
        assert key not in self.groups, key
        self.groups[key] = group
        self._agenda.add(group.until_us, CLOSE, group.id)

    def raise_alert(self, alert_id: str, rule: str, group: Group | None, now_us: int) -> None:
        """Remember an alert until it is resolved, or for as long as alerts are kept after its last match."""
        until_us = now_us + self._kept_us
        self.open[alert_id] = OpenAlert(alert_id, rule, group.id if group else "", until_us)
        self._agenda.add(until_us, DROP, alert_id)

    def resolve(self, alert_id: str) -> OpenAlert | None:
        """Close an alert, and its group; None if no such alert is open."""
        alert = self.open.pop(alert_id, None)
        if alert is not None and alert.group:
            self.close(alert.group)
        return alert

    def close(self, group_id: str) -> None:
        """End a group, if it is still the one that `group_id` names."""
        key = group_id.partition(SEPARATOR)[2]
        group = self.groups.get(key)
        if group is not None and group.id == group_id:
            del self.groups[key]

    def suppress(self, suppression: Suppression) -> None:
        self.suppressions[suppression.id] = suppression
        self._agenda.add(suppression.until_us, UNSUPPRESS, suppression.id)

    def suppressed(
        self, rule: str, event_time_us: int, value_of: Callable[[str], str | None]
    ) -> str:
        """Id of the first suppression that withholds `rule` from a row; "" if none does."""
        if not self.suppressions and not self._of_pack:
            return ""
        in_time = (s for s in self._of_pack.values() if s.until_us > event_time_us)
        fits = (
            s.id
            for s in (*self.suppressions.values(), *in_time)
            if s.rule == rule and (not s.field or value_of(s.field) == s.entity)
        )
        return min(fits, default="")

    @property
    def emergencies(self) -> list[Suppression]:
        """Suppressions of rules that are switched off altogether."""
        return [s for s in self.suppressions.values() if not s.field]

    def switched_off(self, rule: str) -> list[Suppression]:
        """The emergency suppressions of a rule, by id."""
        return [s for _, s in sorted(self.suppressions.items()) if s.rule == rule and not s.field]

    def lift(self, suppression: Suppression) -> None:
        """End a suppression before its time."""
        del self.suppressions[suppression.id]

    def due(self, due_us: int, kind: int, id_: str) -> Suppression | None:
        """What the agenda says has come to its end, unless it has been prolonged; return a suppression that is over."""
        if kind == CLOSE:
            self.close(id_)
        elif kind == DROP:
            alert = self.open.get(id_)
            if alert is not None and alert.kept_until_us > due_us:
                self._agenda.add(alert.kept_until_us, DROP, id_)
            elif alert is not None:
                del self.open[id_]
        else:
            assert kind == UNSUPPRESS, kind
            return self.suppressions.pop(id_, None)
        return None

    def save(self) -> tuple[list[Group], list[OpenAlert], list[Suppression]]:
        """Everything held, each part in order of its ids."""
        return (
            [group for _, group in sorted(self.groups.items())],
            [alert for _, alert in sorted(self.open.items())],
            [suppression for _, suppression in sorted(self.suppressions.items())],
        )

    def restore(
        self,
        groups: Iterable[Group],
        alerts: Iterable[OpenAlert],
        suppressions: Iterable[Suppression],
    ) -> None:
        """Take over what `save` gave; the agenda is loaded by its owner."""
        self.groups = {f"{g.rule}{SEPARATOR}{g.entity}": g for g in groups}
        self.open = {alert.id: alert for alert in alerts}
        self.suppressions = {s.id: s for s in suppressions}

    def adopt(self, other: "AlertBook") -> None:
        """Go on from everything that `other` holds, which must not be used any more."""
        self.groups, self.open, self.suppressions = other.groups, other.open, other.suppressions


def operational_alert(
    out: Streams,
    reason: str,
    title: str,
    *,
    seq: int,
    now_us: int,
    about: dict[str, Any],
    severity: str = "high",
) -> str:
    """Put out an alarm for operations, about the engine's own actions; return its id."""
    alert_id = short_id("a-", "operational", reason, *map(str, about.values()), seq)
    out.alerts.append(
        line(
            {
                "alert_id": alert_id,
                "kind": "operational",
                "seq": seq,
                "reason": reason,
                "severity": severity,
                "queue": "operations",
                "title": title,
                "core_time": rfc3339(now_us) if now_us >= 0 else None,
                **about,
            }
        )
    )
    return alert_id
