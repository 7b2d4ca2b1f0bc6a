"""What a fired rule sets off (alerts, restrictions, reports), and what restrictions in force demand of a row.

Every action of every fired rule is carried out, each within its caps; over a cap it becomes review and an alarm.
Whether a row is decided at all, and its decision, stand in engine/decision.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from config import reasons
from config.decisions import (
    APPROVE,
    RESTRICTABLE,
    REVIEW,
    SEVERITY,
    DecisionSettings,
)
from config.money import exponent, major_text
from engine.alerts import AlertBook, Group
from engine.batch import ACTIVITY, TRANSACTION
from engine.breakers import Breakers
from engine.caps import Caps
from engine.cases import CaseBook
from engine.limits import Limits
from engine.lists import Lists
from engine.notices import customer_words, notice
from engine.outcomes import (
    line,
    rfc3339,
    short_id,
)
from engine.ratings import Ratings
from engine.reports import Calendar, ReportBook
from engine.restrictions import BLOCKING, DictionaryLike, Registry, Restriction, demands
from engine.verdict import Match, Plan, RulesetLike, Verdict, Work
from rules.calendar import zone
from rules.columns import Layout, Place
from rules.definitions import Action, Pack, Rule

TOP_REASONS = (
    "model.top_reasons"  # in titles: the strongest contributions, with what is normal for them, ...
)
TOP = 3  # ... that many


class Actions:
    """Carry out actions on the registry, the book of alerts and the caps that it is given."""

    def __init__(
        self,
        pack: Pack,
        ruleset: RulesetLike,
        settings: DecisionSettings,
        layout: Layout,
        dictionaries: Mapping[str, DictionaryLike],
        registry: Registry,
        book: AlertBook,
        cases: CaseBook,
        caps: Caps,
        breakers: Breakers,
        reports: ReportBook,
        lists: Lists,
        ratings: Ratings,
    ) -> None:
        self._pack = pack
        self._ruleset = ruleset
        self._settings = settings
        self._layout = layout
        self._dictionaries = dictionaries
        self._registry = registry
        self._book = book
        self._cases = cases
        self._caps = caps
        self._breakers = breakers
        self._reports = reports
        self._lists = lists
        self._ratings = ratings
        self._limits = Limits(pack, settings, registry, caps, breakers, lists, self.text_of)
        self._calendar = Calendar(lists, zone(pack.timezone))
        self._digits = exponent(pack.currency)
        self.subjects = tuple(
            layout[name] for name in RESTRICTABLE if name in layout and layout[name].is_code
        )

    def demanded(self, work: Work, row: int) -> tuple[int, list[str]]:
        """Severity that restrictions in force demand of a row, and their ids."""
        in_force: dict[str, Restriction] = {}
        if not self._registry.by_id:
            return APPROVE, []
        frame = work.inputs.frame
        for place in self.subjects:
            code = int(frame.code[place.row, row])
            if code >= 0:
                text = self._dictionaries[place.dictionary].texts[code]
                for restriction in self._registry.on(place.dictionary, text):
                    in_force[restriction.id] = restriction
        severity = APPROVE
        for restriction in in_force.values():
            if self._concerns(
                work, row, restriction.level, restriction.amount_minor, restriction.channels
            ):
                severity = max(severity, self._blocked(work, row))
        return severity, list(in_force)

    def _concerns(
        self, work: Work, row: int, level: str, amount_minor: int, channels: Sequence[str]
    ) -> bool:
        direction = self.text_of(work, row, "direction")
        type_ = self.text_of(work, row, "type") or ""
        incoming = (
            direction == "in" if direction is not None else type_ in self._settings.incoming_types
        )
        return demands(
            level,
            amount_minor,
            channels,
            incoming=incoming,
            amount_minor=self._amount(work, row),
            channel=self.text_of(work, row, "channel"),
        )

    def _blocked(self, work: Work, row: int) -> int:
        return self._settings.blocked_for(self.text_of(work, row, "type") or "")

    def look_again(self, work: Work, row: int, domain: str, entity: str) -> None:
        """Queue the transactions after `row` that name an entity whose restrictions have changed."""
        code = self._dictionaries[domain].find(entity)
        inputs, later = work.inputs, slice(row + 1, None)
        if code < 0 or row + 1 == work.n:
            return
        for place in self.subjects:
            if place.dictionary == domain:
                named = inputs.frame.code[place.row, later] == code
                named &= inputs.kind[later] == TRANSACTION
                work.enqueue((np.flatnonzero(named) + row + 1).tolist())

    def act(self, work: Work, row: int, verdict: Verdict) -> None:
        """Carry out every action of every rule that fired."""
        for plan, _ in verdict.fired:
            rule = plan.rule
            group, joined = self._group(work, row, plan)
            outcome = "deduplicated" if joined else "fires"
            work.matches.append(Match(row, plan.index, rule.id, outcome))
            tags = [action.tag for action in rule.actions if action.kind == "tag"]
            if joined:
                assert group is not None
                self._update_alerts(work, row, plan, group, verdict)
            else:
                self._raise_alerts(work, row, plan, group, verdict, tags)
            if tags and not any(action.kind == "alert" for action in rule.actions):
                work.out.alerts.append(line(self._about(work, row, rule, "tag") | {"tags": tags}))
            for k, action in enumerate(rule.actions):
                if action.kind == "restrict":
                    self._restrict(work, row, plan, k, verdict)
                elif action.kind in ("challenge", "hold", "decline"):
                    if work.inputs.kind[row] == TRANSACTION:
                        self._ask(work, row, rule, k, verdict)
                elif action.kind in ("notify", "list_add"):
                    self._commission(work, row, rule, k, verdict)
                else:
                    assert action.kind in ("alert", "tag", "report"), action.kind
        self._report_all(work, row, verdict)
        if verdict.suppressed and work.inputs.kind[row] == ACTIVITY:
            for rule_id, suppression in verdict.suppressed:  # no decision line to keep it in
                rule = next(rule for rule in self._pack.rules if rule.id == rule_id)
                record = self._about(work, row, rule, "suppressed")
                work.out.alerts.append(line(record | {"suppression_id": suppression}))

    def _ask(self, work: Work, row: int, rule: Rule, k: int, verdict: Verdict) -> None:
        """Challenge, hold or decline, within the action's own cap."""
        action = rule.actions[k]
        key, now_us = f"{rule.id}:{k}", int(work.inputs.core_us[row])
        limit = self._limits.limit(action.max_per_hour)
        if self._caps.has_room(key, limit, now_us):
            self._caps.take(key, limit, now_us)
            verdict.asked = max(verdict.asked, SEVERITY[action.kind])
            verdict.asking.append(action)
        else:
            verdict.asked = max(verdict.asked, REVIEW)
            self._limits.cap(
                work, row, verdict, key, f"{limit} {action.kind}s an hour by {rule.id}"
            )

    def _restrict(self, work: Work, row: int, plan: Plan, k: int, verdict: Verdict) -> None:
        """Restrict an entity of the row, unless that is so already or a cap forbids it."""
        inputs, rule, place = work.inputs, plan.rule, plan.targets[k]
        action, now_us = rule.actions[k], int(inputs.core_us[row])
        blocking = action.level in BLOCKING
        blocks = blocking or self._concerns(
            work, row, action.level, action.amount_minor, action.channels
        )
        implied = self._blocked(work, row) if blocks else APPROVE
        code = int(inputs.frame.code[place.row, row])
        if code < 0:
            verdict.reasons.add(reasons.ENTITY_MISSING)
            verdict.asked = max(verdict.asked, implied)  # nothing bounds these but the breakers
            return
        domain = place.dictionary
        entity = self._dictionaries[domain].texts[code]
        if self._registry.standing(rule.id, k, domain, entity) is not None:
            verdict.implied = max(verdict.implied, implied)
            return
        withheld = self._limits.withheld(work, row, verdict, plan, k, domain, entity)
        if withheld:
            verdict.implied = max(verdict.implied, REVIEW)
            return
        self._caps.take(f"{rule.id}:{k}", self._limits.limit(action.max_per_hour), now_us)
        if blocking:
            self._caps.take(
                "pack:freeze", self._limits.limit(self._pack.max_freezes_per_hour), now_us
            )
        if action.level != "watch":
            self._breakers.take("freeze", now_us)
        restriction = self._registry.impose(
            Restriction(
                id="",
                domain=domain,
                entity=entity,
                level=action.level,
                channels=action.channels,
                amount_minor=action.amount_minor,
                rule=rule.id,
                action=k,
                author=f"rule {rule.id}",
                reason=rule.reason,
                source_seq=int(inputs.seq[row]),
                source=inputs.transaction_id[row],
                started_us=now_us,
                expires_us=now_us + action.for_us,
            ),
            work.out,
            {"customer": words}
            if (words := customer_words(self._pack.reasons, rule.reason))
            else {},
        )
        customer = entity if action.entity == "customer" else self.text_of(work, row, "customer")
        if customer is not None:
            self._ratings.restricted(restriction.id, customer, action.level, now_us)
        verdict.implied = max(verdict.implied, implied)
        verdict.commands.append(restriction.commands[-1])
        self.look_again(work, row, domain, entity)

    def within_breaker(
        self, work: Work, row: int, verdict: Verdict, asked: int, now_us: int
    ) -> int:
        """What is asked for, or review where a limit on all rules together forbids it."""
        return self._limits.within_breaker(work, row, verdict, asked, now_us)

    def _commission(self, work: Work, row: int, rule: Rule, k: int, verdict: Verdict) -> None:
        """Put out a notification or an addition to a list as a command."""
        inputs, action = work.inputs, rule.actions[k]
        seq, now_us = int(inputs.seq[row]), int(inputs.core_us[row])
        key, limit = f"{rule.id}:{k}", self._limits.limit(action.max_per_hour)
        if not self._caps.has_room(key, limit, now_us):
            verdict.implied = max(verdict.implied, REVIEW)
            self._limits.cap(work, row, verdict, key, f"{limit} {action.kind} an hour by {rule.id}")
            return
        self._caps.take(key, limit, now_us)
        command_key = f"{short_id('n-', rule.id, k, seq)}:{action.kind}:1"
        command_id = short_id("c-", command_key)
        why: dict[str, object] = {"reason": rule.reason, "rule": rule.id}
        if action.kind == "notify":
            why = notice(self._pack.reasons, rule.reason, rule.id, action.template)
        what: dict[str, object] = {"template": why.pop("template", None), "to": action.to}
        if action.kind == "list_add":
            assert action.value is not None
            assert action.value.op == "column", action.value
            value = self.text_of(work, row, str(action.value.value))
            if value is not None:
                self._lists.add(
                    action.list_name,
                    value,
                    now_us,
                    now_us + action.for_us,
                    seq,
                    by=f"rule {rule.id}",
                    reason=rule.reason,
                    reference=inputs.transaction_id[row] or "",
                )
            what = {
                "list": action.list_name,
                "value": value,
                "expires_at": rfc3339(now_us + action.for_us) if action.for_us else None,
            }
        work.out.command(
            {
                "command_id": command_id,
                "key": command_key,
                "verb": action.kind,
                **what,
                **why,
                "source": inputs.transaction_id[row],
                "account": inputs.account[row],
                "effect": self._registry.effect,
                "seq": seq,
                "core_time": rfc3339(now_us),
            }
        )
        verdict.commands.append(command_id)

    # Reports

    def _report_all(self, work: Work, row: int, verdict: Verdict) -> None:
        """Write the reports that rules ask for, in the order of their ids."""
        for plan in verdict.reported:
            work.matches.append(Match(row, plan.index, plan.rule.id, "fires"))
        asking = [*verdict.reported, *(plan for plan, _ in verdict.fired)]
        for plan in sorted(asking, key=lambda p: p.index):
            for action in plan.rule.actions:
                if action.kind == "report":
                    self._report(work, row, plan.rule, action)

    def _report(self, work: Work, row: int, rule: Rule, action: Action) -> None:
        inputs = work.inputs
        about = self._about(work, row, rule, action.report)
        entity = {name: self.text_of(work, row, name) for name in action.by}
        time_us = int(inputs.event_time_us[row])
        day = self._calendar.day(time_us)
        report_id, revision = self._reports.number(
            action.report,
            list(entity.items()),
            day,
            seq=int(inputs.seq[row]),
            now=self._calendar.day(int(inputs.core_us[row])),
        )
        work.count("reports", action.report)
        record = {
            "report_id": report_id,
            "revision": revision,
            "kind": action.report,
            "to": action.to,
            "rule": rule.id,
            "version": rule.version,
            "seq": about["seq"],
            "transaction_id": about["transaction_id"],
            "account": about["account"],
            "entity": entity,
            "event_time": about["event_time"],
            "day": day.isoformat(),
            "amount": about["amount"],
            "currency": about["currency"],
            "title": self._title(work, row, action),
            "reason": rule.reason,
            "due_by": self._calendar.due_by(action, day, time_us).isoformat(),
        }
        work.out.reports.append(line(record))

    # Alerts

    def _group(self, work: Work, row: int, plan: Plan) -> tuple[Group | None, bool]:
        """The group that a match belongs to, and whether it joined an open one; None for rules without `dedup`.

        A match that misses a `dedup` field stands alone: it must not hide in somebody else's case.
        """
        rule, inputs = plan.rule, work.inputs
        if not plan.dedup:
            return None, False
        texts = [self._text(work, row, place) for place in plan.dedup]
        if any(text is None for text in texts):
            return None, False
        entity = "\x1f".join(str(text) for text in texts)
        amount_minor = self._amount_or_zero(work, row)
        group = self._book.join(rule.id, entity, amount_minor, int(inputs.core_us[row]))
        if group is not None:
            return group, True
        seq = int(inputs.seq[row])
        asked = [k for k, action in enumerate(rule.actions) if action.kind == "alert"]
        group = Group(
            rule=rule.id,
            entity=entity,
            first_seq=seq,
            until_us=int(inputs.core_us[row]) + rule.dedup_for_us,
            alerts=tuple(_alert_id(rule.id, entity, seq, n) for n in range(len(asked))),
            count=1,
            amount_minor=amount_minor,
        )
        self._book.begin(group)
        return group, False

    def _raise_alerts(
        self,
        work: Work,
        row: int,
        plan: Plan,
        group: Group | None,
        verdict: Verdict,
        tags: Sequence[str],
    ) -> None:
        rule, inputs = plan.rule, work.inputs
        seq, now_us = int(inputs.seq[row]), int(inputs.core_us[row])
        asked = [action for action in rule.actions if action.kind == "alert"]
        entity = group.entity if group else inputs.account[row] or ""
        ids = [
            group.alerts[n] if group else _alert_id(rule.id, entity, seq, n)
            for n in range(len(asked))
        ]
        case = self._gather(work, row, rule, ids, joins=False)
        for alert_id, action in zip(ids, asked, strict=True):
            self._book.raise_alert(alert_id, rule.id, group, now_us)
            work.count("alerts", "rule")
            title = self._title(work, row, action)
            record = {"alert_id": alert_id, **self._about(work, row, rule, "rule")}
            record |= {"queue": action.queue, "title": title, "case_id": case}
            work.out.alerts.append(line(record | ({"tags": tags} if tags else {})))
            verdict.alerts.append(alert_id)

    def _update_alerts(
        self, work: Work, row: int, plan: Plan, group: Group, verdict: Verdict
    ) -> None:
        case = self._gather(work, row, plan.rule, group.alerts, joins=True)
        for alert_id in group.alerts:
            work.count("alerts", "update")
            record = {"alert_id": alert_id, **self._about(work, row, plan.rule, "update")}
            total = major_text(group.amount_minor, self._digits)
            record |= {"count": group.count, "amount_total": total, "case_id": case}
            work.out.alerts.append(line(record))
            verdict.alerts.append(alert_id)

    def _gather(
        self, work: Work, row: int, rule: Rule, alerts: Sequence[str], *, joins: bool
    ) -> str:
        """Add a match to the case of its customer, else of its account; return its id, "" without alerts."""
        if not alerts:
            return ""
        inputs = work.inputs
        customer, account = self.text_of(work, row, "customer"), inputs.account[row]
        field = "customer" if customer is not None else "account" if account is not None else ""
        transaction_id = inputs.transaction_id[row]
        is_one = inputs.kind[row] == TRANSACTION and account is not None
        now_us, amount_minor = int(inputs.core_us[row]), self._amount_or_zero(work, row)
        case = self._cases.gather(
            field,
            customer or account or "",
            seq=int(inputs.seq[row]),
            now_us=now_us,
            rule=rule.id,
            severity=rule.severity,
            alerts=alerts,
            amount_minor=amount_minor,
            transaction=(str(account), transaction_id) if is_one and transaction_id else None,
        )
        if customer is not None:
            self._ratings.alerted(
                customer, rule.severity, amount_minor, now_us, joins=joins, opens=case.count == 1
            )
        return case.id

    def _about(self, work: Work, row: int, rule: Rule, kind: str) -> dict[str, Any]:
        """What every line about a match says."""
        inputs = work.inputs
        amount = self._amount(work, row)
        fields = rule.dedup_by or ("account",)
        entity = {name: self.text_of(work, row, name) for name in fields}
        if entity == {"account": None}:
            entity = {"account": inputs.account[row]}
        return {
            "kind": kind,
            "seq": int(inputs.seq[row]),
            "rule": rule.id,
            "version": rule.version,
            "reason": rule.reason,
            "severity": rule.severity,
            "entity": entity,
            "transaction_id": inputs.transaction_id[row],
            "account": inputs.account[row],
            "event_time": rfc3339(int(inputs.event_time_us[row])),
            "amount": major_text(int(amount), self._digits) if amount == amount else None,  # noqa: PLR0124
            "currency": self._pack.currency,
        }

    def _title(self, work: Work, row: int, action: Action) -> str:
        title, inputs = action.title, work.inputs
        if title is None:
            return ""
        extra = {}
        if any(not isinstance(hole, str) and hole[0].value == TOP_REASONS for hole in title.parts):
            names = [name for name, _ in inputs.explain(row)[:TOP]]
            words = {name: f" ({said['en']})" for name, _, _, said in inputs.normal(row, names)}
            extra[TOP_REASONS] = ", ".join(name + words.get(name, "") for name in names)
        return self._ruleset.text(title, inputs.frame, row, self._dictionaries, extra)

    # Values of one row

    def text_of(self, work: Work, row: int, name: str) -> str | None:
        """Text of a coded column, or a number as text; None where it is missing or nobody needs the column."""
        place = self._layout.places.get(name)
        return self._text(work, row, place) if place is not None else None

    def _text(self, work: Work, row: int, place: Place) -> str | None:
        if place.is_code:
            code = int(work.inputs.frame.code[place.row, row])
            return self._dictionaries[place.dictionary].texts[code] if code >= 0 else None
        value = float(work.inputs.frame.number[place.row, row])
        return repr(value) if value == value else None  # noqa: PLR0124

    def _amount(self, work: Work, row: int) -> float:
        """The amount in minor units of the pack's currency; NaN where it is missing."""
        place = self._layout.places.get("amount")
        return float("nan") if place is None else float(work.inputs.frame.number[place.row, row])

    def _amount_or_zero(self, work: Work, row: int) -> int:
        amount = self._amount(work, row)
        return int(amount) if amount == amount else 0  # noqa: PLR0124


def _alert_id(rule: str, entity: str, first_seq: int, n: int) -> str:
    """Id of the n-th alert of a match: rule, entity, first seq."""
    return short_id("a-", rule, entity, first_seq, *((n,) if n else ()))
