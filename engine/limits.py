"""The bounds on what the engine does by itself: caps, breakers, evidence and cool-down. Beyond one it becomes review.

What was withheld stands in the decision as a reason, and is told to operations once an hour with the numbers.
"""

from collections.abc import Callable
from typing import Final

from config import reasons
from config.decisions import (
    CHALLENGE,
    DECISIONS,
    DECLINE,
    HOLD,
    REVIEW,
    DecisionSettings,
)
from engine.alerts import operational_alert
from engine.breakers import Breakers, Full
from engine.caps import Caps
from engine.lists import Lists
from engine.restrictions import BLOCKING, Registry
from engine.verdict import Plan, Verdict, Work, combined
from rules.definitions import Action, Pack, Rule

EVIDENT: Final = frozenset({"account", "customer"})  # entities that are blocked on evidence only
PARTNERS: Final = ("counterparty", "payee")


class Limits:
    """Say whether something may be done, of the caps and breakers that it is given; `text_of` reads a row."""

    def __init__(
        self,
        pack: Pack,
        settings: DecisionSettings,
        registry: Registry,
        caps: Caps,
        breakers: Breakers,
        lists: Lists,
        text_of: Callable[[Work, int, str], str | None],
    ) -> None:
        self._pack = pack
        self._settings = settings
        self._registry = registry
        self._caps = caps
        self._breakers = breakers
        self._lists = lists
        self._text_of = text_of

    def withheld(
        self,
        work: Work,
        row: int,
        verdict: Verdict,
        plan: Plan,
        k: int,
        domain: str,
        entity: str,
    ) -> bool:
        """Whether something forbids action `k`; what, is put on record and told to operations."""
        if not self._settings.caps:
            return False
        rule, now_us = plan.rule, int(work.inputs.core_us[row])
        action = rule.actions[k]
        if not self._has_evidence(work, row, verdict, action):
            verdict.reasons.add(reasons.EVIDENCE_THIN)
            work.count("capped", "evidence")
            return True
        if action.level != "watch" and self._registry.is_cooling_down(
            rule.id, domain, entity, now_us
        ):
            verdict.reasons.add(reasons.COOLING_DOWN)
            work.count("capped", "cool_down")
            return True
        full = self._full_cap(rule, k, domain, entity, now_us)
        if full is not None:
            self.cap(work, row, verdict, *full)
            return True
        broken = self._breakers.full("freeze", row, now_us) if action.level != "watch" else None
        if broken is not None:
            self._break(work, row, verdict, broken)
        return broken is not None

    def _has_evidence(self, work: Work, row: int, verdict: Verdict, action: Action) -> bool:
        """Whether what speaks against an account or customer is enough to block it.

        A high combined score, several rules that fired for different reasons, or a counterparty that is on a list.
        """
        settings = self._settings
        if action.entity not in EVIDENT or action.level not in BLOCKING:
            return True
        if combined(self._pack.combine, verdict.scores) >= settings.evidence_score:
            return True
        if len({plan.rule.reason for plan, _ in verdict.fired}) >= settings.evidence_rules > 0:
            return True
        partners = {self._text_of(work, row, name) for name in PARTNERS}
        time_us = int(work.inputs.event_time_us[row])
        return any(
            partner is not None and self._lists.holds(name, partner, time_us)
            for name in settings.evidence_lists
            for partner in partners
        )

    def _full_cap(
        self, rule: Rule, k: int, domain: str, entity: str, now_us: int
    ) -> tuple[str, str] | None:
        """Key and wording of the first cap that forbids action `k`; None if all have room."""
        action, settings = rule.actions[k], self._settings
        key = f"{rule.id}:{k}"
        if not self._caps.has_room(key, action.max_per_hour, now_us):
            return key, f"{action.max_per_hour} restrictions an hour by {rule.id}"
        limit = self._pack.max_freezes_per_hour
        if action.level in BLOCKING and not self._caps.has_room("pack:freeze", limit, now_us):
            return "pack:freeze", f"{limit} freezes an hour by all rules"
        if action.level != "watch" and self._registry.exceeds_automation(
            domain, entity, now_us, now_us + action.for_us
        ):
            wording = (
                f"{settings.automation_max} in {settings.automation_span} by automation on "
                f"{domain} {entity}"
            )
            return f"automation:{domain}:{entity}", wording
        return None

    def within_breaker(
        self, work: Work, row: int, verdict: Verdict, asked: int, now_us: int
    ) -> int:
        """Hold, challenge and decline within what all rules, bands and models may do together; beyond it, review.

        What restrictions in force demand is not counted: each of them was bounded when it was imposed.
        """
        if asked not in (CHALLENGE, HOLD, DECLINE):
            return asked
        name = DECISIONS[asked]
        limit = {
            HOLD: self._settings.max_holds_per_hour,
            CHALLENGE: self._settings.max_challenges_per_hour,
        }.get(asked, 0)
        limit, key = self.limit(limit), f"pack:{name}"
        if limit and not self._caps.has_room(key, limit, now_us):
            self.cap(work, row, verdict, key, f"{limit} {name}s an hour by all rules")
            return REVIEW
        broken = self._breakers.full(name, row, now_us)
        if broken is not None:
            self._break(work, row, verdict, broken)
            return REVIEW
        self._caps.take(key, limit, now_us)
        self._breakers.take(name, now_us)
        return asked

    def _break(self, work: Work, row: int, verdict: Verdict, full: Full) -> None:
        """A breaker is open: say so in the decision, and to operations once an hour, with the numbers."""
        verdict.reasons.add(reasons.BREAKER_OPEN)
        key = f"breaker:{full.verb}"
        work.count("capped", key)
        now_us, settings = int(work.inputs.core_us[row]), self._settings
        if self._caps.alarm(key, now_us):
            work.count("alerts", "operational")
            title = (
                f"Breaker open: {full.taken} x {full.verb} among {full.transactions} transactions "
                f"in {settings.breaker_window}, at most {full.limit} are allowed; "
                "what goes beyond it becomes review"
            )
            about = {
                "cap": key,
                "taken": full.taken,
                "limit": full.limit,
                "transactions": full.transactions,
                "window": settings.breaker_window,
                "transaction_id": work.inputs.transaction_id[row],
            }
            alert_id = operational_alert(
                work.out,
                reasons.BREAKER_OPEN,
                title,
                seq=int(work.inputs.seq[row]),
                now_us=now_us,
                about=about,
            )
            verdict.alerts.append(alert_id)

    def limit(self, limit: int) -> int:
        """A limit as it counts here: none in rule tests."""
        return limit if self._settings.caps else 0

    def cap(self, work: Work, row: int, verdict: Verdict, key: str, wording: str) -> None:
        """An action was withheld: say so in the decision, and to operations once an hour."""
        verdict.reasons.add(reasons.CAP_REACHED)
        work.count("capped", "automation" if key.startswith("automation:") else key)
        now_us = int(work.inputs.core_us[row])
        if self._caps.alarm(key, now_us):
            work.count("alerts", "operational")
            alert_id = operational_alert(
                work.out,
                reasons.CAP_REACHED,
                f"Limit reached: {wording}; what goes beyond it becomes review",
                seq=int(work.inputs.seq[row]),
                now_us=now_us,
                about={"cap": key, "transaction_id": work.inputs.transaction_id[row]},
            )
            verdict.alerts.append(alert_id)
