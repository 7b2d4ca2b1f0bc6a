"""How people lift restrictions: one person or two, at night, after an appeal, or everything that one rule did.

    lesser levels       one person
    full_freeze         two different people; at night a duty officer alone, and a second person signs within 24 h: else
                        an alarm says so, and the restriction says so until somebody does
    by order            somebody with the legal role, naming the order that lifts it

Reason and legal basis are asked for each time; which evidence was wrong, and whether the restriction was justified, are
put on record with how long it really lasted, a line each in `resolutions`. A granted appeal counts like the word of one
person for the release. `release_rule` releases what its dry run has shown and nothing else; where that holds a full
freeze, the dry run and the release are of different people.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from config import reasons
from config.errors import InputError
from config.people import People
from config.settings import instant_us
from engine.agenda import FORGIVE, SIGN, Agenda
from engine.alerts import operational_alert
from engine.forms import Appeal, Countersign, DecideAppeal, Release, ReleaseRule
from engine.outcomes import Streams, line, rfc3339, short_id
from engine.restrictions import RELEASED, Registry, Restriction, Statement

DAY_US: Final = 86_400_000_000
SIGN_WITHIN_US: Final = DAY_US
DRY_RUN_KEPT_US: Final = DAY_US
OPEN, GRANTED, REFUSED = "open", "granted", "refused"


class DryRun(msgspec.Struct, kw_only=True):
    """What `release_rule` has shown somebody."""

    token: str
    rule: str
    by: str
    restrictions: tuple[str, ...]


class Appealed(msgspec.Struct, kw_only=True):
    """A customer's appeal against a restriction."""

    id: str
    restriction_id: str
    by: str
    opened_us: int


class Releases:
    """Carry out orders that lift restrictions. Asking for roles is part of it."""

    def __init__(self, registry: Registry, agenda: Agenda, people: People) -> None:
        self._registry = registry
        self._agenda = agenda
        self._people = people
        self._dry_runs: dict[str, DryRun] = {}
        self._appeals: dict[str, Appealed] = {}

    def release(
        self, order: Release, restriction: Restriction, seq: int, now_us: int, out: Streams
    ) -> dict[str, object]:
        """One person's word for a release; the restriction ends once there are enough."""
        if restriction.order:
            why = f"it stands by order {restriction.order} of an authority, and falls by order only"
            demand_text(order.order, "order", why)
        statement = Statement(
            by=order.by,
            reason=order.reason,
            legal_basis=order.legal_basis,
            discounted=order.discounted,
            verdict=order.verdict,
            order=order.order,
        )
        return self._say(statement, restriction, seq, now_us, out, emergency=order.emergency)

    def _say(
        self,
        said: Statement,
        restriction: Restriction,
        seq: int,
        now_us: int,
        out: Streams,
        *,
        emergency: bool = False,
    ) -> dict[str, object]:
        demand_text(said.legal_basis, "legal_basis", "a release is a legal act, and has a basis")
        is_full = restriction.level == "full_freeze"
        act = "release_full_freeze" if is_full else "release"
        at_night = False
        if restriction.order:
            self._people.demand(said.by, "release_order")
        elif is_full and emergency:
            self._demand_night_duty(said.by)
            at_night = not restriction.released_by
        else:
            self._people.demand(said.by, act)
        if said.by in restriction.released_by:
            raise InputError(
                f"`{said.by}` has asked for this release already",
                why="a full freeze is lifted by two different people",
                fix="have somebody else release it too",
            )
        restriction.released_by += (said.by,)
        restriction.statements += (said,)
        answer: dict[str, object] = {"restriction_id": restriction.id}
        if is_full and len(restriction.released_by) < 2 and not at_night:
            return answer | {"state": restriction.state, "awaiting": "a second person"}
        self._lift(restriction, seq, now_us, out, at_night=at_night)
        return answer | {"state": restriction.state} | (_awaiting(now_us) if at_night else {})

    def _demand_night_duty(self, by: str) -> None:
        if not self._people.people:
            raise InputError(
                "nobody has night duty",
                why="one person alone lifts a full freeze only with the role duty_officer",
                fix="name people in people.yaml, or have two people release it",
            )
        self._people.demand(by, "release_at_night")

    def _lift(
        self, restriction: Restriction, seq: int, now_us: int, out: Streams, *, at_night: bool
    ) -> None:
        words = restriction.statements
        verdicts = [word.verdict for word in words if word.verdict != "unclear"]
        restriction.verdict = verdicts[-1] if verdicts else "unclear"
        bases = list(dict.fromkeys(word.legal_basis for word in words))
        orders = [word.order for word in words if word.order]
        told = {"legal_basis": "; ".join(bases), "released_order": orders[-1] if orders else None}
        if at_night:
            restriction.unsigned_since_us = now_us
            self._agenda.add(now_us + SIGN_WITHIN_US, SIGN, restriction.id)
        self._registry.end(restriction, RELEASED, seq, now_us, out, told)
        record = {
            "seq": seq,
            "kind": "release",
            "restriction_id": restriction.id,
            "outcome": RELEASED,
            "rule": restriction.rule or None,
            "by": list(restriction.released_by),
            "reason": "; ".join(dict.fromkeys(word.reason for word in words)),
            "legal_basis": told["legal_basis"],
            "order": told["released_order"],
            "discounted": sorted({rule for word in words for rule in word.discounted}),
            "verdict": restriction.verdict,
            "started_at": rfc3339(restriction.started_us),
            "lasted_s": (now_us - restriction.started_us) / 1e6,
            "second_signature": "awaited" if at_night else None,
            "core_time": rfc3339(now_us),
        }
        out.resolutions.append(line(record))

    # Night duty

    def countersign(
        self, order: Countersign, restriction: Restriction, seq: int, now_us: int, out: Streams
    ) -> dict[str, object]:
        """A second person signs for what a duty officer has lifted alone."""
        self._people.demand(order.by, "countersign")
        if restriction.unsigned_since_us < 0:
            raise InputError(
                "no second signature is awaited for this restriction",
                why="it was not lifted by a duty officer alone, or has been signed for",
                fix="nothing needs to be done",
            )
        if order.by in restriction.released_by:
            raise InputError(
                f"`{order.by}` has lifted it",
                why="the second signature is that of another person",
                fix="have somebody else sign",
            )
        late = now_us - restriction.unsigned_since_us > SIGN_WITHIN_US
        restriction.unsigned_since_us = -1
        restriction.released_by += (order.by,)
        record = {
            "seq": seq,
            "kind": "countersignature",
            "restriction_id": restriction.id,
            "by": order.by,
            "reason": order.reason,
            "is_late": late,
            "core_time": rfc3339(now_us),
        }
        out.resolutions.append(line(record))
        return {"restriction_id": restriction.id, "state": restriction.state, "is_late": late}

    def miss(self, id_: str, seq: int, now_us: int, out: Streams) -> bool:
        """The time for a second signature is over; whether nobody gave it, which is an alarm."""
        restriction = self._registry.by_id.get(id_)
        if restriction is None or restriction.unsigned_since_us < 0:
            return False
        [by] = restriction.released_by
        operational_alert(
            out,
            reasons.SECOND_SIGNATURE_MISSING,
            f"{by} lifted {restriction.level} of {restriction.domain} {restriction.entity} alone at "
            f"{rfc3339(restriction.unsigned_since_us)}, and nobody has signed for it within 24 h",
            seq=seq,
            now_us=now_us,
            about={"restriction_id": restriction.id},
        )
        return True

    # Appeals

    def appeal(
        self, order: Appeal, restriction: Restriction, seq: int, now_us: int, out: Streams
    ) -> dict[str, object]:
        """Put a customer's appeal on record."""
        self._people.demand(order.by, "appeal")
        restriction.appeals += 1
        appeal = Appealed(
            id=short_id("v-", restriction.id, seq),
            restriction_id=restriction.id,
            by=order.by,
            opened_us=now_us,
        )
        self._appeals[appeal.id] = appeal
        out.resolutions.append(_appeal_line(appeal, OPEN, order.by, order.reason, seq, now_us))
        return {"appeal_id": appeal.id, "restriction_id": restriction.id, "state": OPEN}

    def decide_appeal(
        self, order: DecideAppeal, seq: int, now_us: int, out: Streams
    ) -> dict[str, object]:
        """Grant or refuse an appeal; granted, it is one person's word for the release."""
        appeal = self._appeals.get(order.appeal_id)
        if appeal is None:
            raise InputError(
                f"no appeal `{order.appeal_id}` is open",
                why="it was decided before, or never was",
                fix="name the appeal_id that `appeal` was answered with",
            )
        self._people.demand(order.by, "decide_appeal")
        if order.by == appeal.by:
            raise InputError(
                f"`{order.by}` has opened the appeal",
                why="an appeal is decided by somebody else",
                fix="have somebody else decide it",
            )
        restriction = self._registry.by_id.get(appeal.restriction_id)
        answer: dict[str, object] = {"appeal_id": appeal.id, "decision": order.decision}
        if order.decision == GRANTED and restriction is not None and restriction.is_in_force:
            if restriction.order:
                raise InputError(
                    f"it stands by order {restriction.order} of an authority",
                    why="the bank cannot grant an appeal against an order",
                    fix="refuse it, and name the authority to the customer",
                )
            said = Statement(
                by=order.by,
                reason=order.reason,
                legal_basis=order.legal_basis,
                discounted=order.discounted,
                verdict=order.verdict,
            )
            answer |= self._say(said, restriction, seq, now_us, out)
        del self._appeals[appeal.id]
        out.resolutions.append(
            _appeal_line(appeal, order.decision, order.by, order.reason, seq, now_us)
        )
        return answer

    # Everything that one rule did

    def release_rule(
        self, order: ReleaseRule, seq: int, now_us: int, out: Streams
    ) -> tuple[dict[str, object], list[Restriction]]:
        """Show, or release, every restriction that a rule has imposed since a time; return what was released too."""
        self._people.demand(order.by, "release_rule")
        if order.dry_run:
            return self._show(order, seq, now_us), []
        shown = self._dry_runs.get(order.token)
        if shown is None or shown.rule != order.rule:
            raise InputError(
                f"no dry run of {order.rule} has the token `{order.token}`",
                why="only what somebody has looked at is released",
                fix="send it with dry_run: true first, and then with the token it is answered with",
            )
        known = (self._registry.by_id.get(id_) for id_ in shown.restrictions)
        held = [one for one in known if one is not None and one.is_in_force and not one.order]
        demand_text(order.legal_basis, "legal_basis", "a release is a legal act, and has a basis")
        at_night = False
        if any(one.level == "full_freeze" for one in held) and order.by == shown.by:
            if not order.emergency:
                raise InputError(
                    f"`{order.by}` has made the dry run, and there are full freezes in it",
                    why="a full freeze is lifted by two different people",
                    fix="have somebody else release it, or a duty officer with emergency: true",
                )
            self._demand_night_duty(order.by)
            at_night = True
        del self._dry_runs[order.token]
        said = Statement(
            by=order.by,
            reason=order.reason,
            legal_basis=order.legal_basis,
            discounted=(order.rule,),
            verdict=order.verdict,
        )
        for one in held:
            is_alone = at_night and one.level == "full_freeze"
            others = [shown.by] if one.level == "full_freeze" and shown.by != order.by else []
            for by in (*others, order.by):
                if by not in one.released_by:
                    one.released_by += (by,)
            one.statements += (said,)
            self._lift(one, seq, now_us, out, at_night=is_alone and len(one.released_by) == 1)
        answer = {"rule": order.rule, "released": len(held), "restrictions": [o.id for o in held]}
        return answer, held

    def _show(self, order: ReleaseRule, seq: int, now_us: int) -> dict[str, object]:
        since_us = instant_us("since", order.since)
        held = [
            one
            for one in self._registry.all()
            if one.rule == order.rule and one.started_us >= since_us and one.is_in_force
        ]
        ids = tuple(one.id for one in held)
        token = short_id("t-", order.rule, seq, *ids)
        self._dry_runs[token] = DryRun(token=token, rule=order.rule, by=order.by, restrictions=ids)
        self._agenda.add(now_us + DRY_RUN_KEPT_US, FORGIVE, token)
        levels: dict[str, int] = {}
        for one in held:
            levels[one.level] = levels.get(one.level, 0) + 1
        return {
            "rule": order.rule,
            "dry_run": True,
            "count": len(ids),
            "levels": dict(sorted(levels.items())),
            "restrictions": list(ids),
            "token": token,
        }

    def forgive(self, id_: str) -> None:
        """A dry run is too old to be gone by."""
        self._dry_runs.pop(id_, None)

    # State

    def save(self) -> tuple[list[DryRun], list[Appealed]]:
        return (
            [run for _, run in sorted(self._dry_runs.items())],
            [appeal for _, appeal in sorted(self._appeals.items())],
        )

    def restore(self, dry_runs: Iterable[DryRun], appeals: Sequence[Appealed]) -> None:
        """Take over what `save` gave; the agenda is loaded by its owner."""
        self._dry_runs = {run.token: run for run in dry_runs}
        self._appeals = {appeal.id: appeal for appeal in appeals}


def demand_text(value: str, name: str, why: str) -> None:
    """Raise `InputError` if a field of an order that must be there is empty."""
    if not value.strip():
        raise InputError(f"`{name}` is missing", why=why, fix=f"add `{name}`")


def demand_clock(now_us: int) -> None:
    """Raise `InputError` if there is no core time yet for an order to begin or end at."""
    if now_us < 0:
        raise InputError(
            "no event has told the engine what time it is",
            why="a restriction begins and ends at core time",
            fix="send it once events have begun to arrive",
        )


def _awaiting(now_us: int) -> dict[str, object]:
    return {"awaiting": f"a second signature until {rfc3339(now_us + SIGN_WITHIN_US)}"}


def _appeal_line(
    appeal: Appealed, outcome: str, by: str, reason: str, seq: int, now_us: int
) -> bytes:
    return line(
        {
            "seq": seq,
            "kind": "appeal",
            "appeal_id": appeal.id,
            "restriction_id": appeal.restriction_id,
            "outcome": outcome,
            "by": by,
            "reason": reason,
            "opened_at": rfc3339(appeal.opened_us),
            "core_time": rfc3339(now_us),
        }
    )
