"""Everything that did not take its usual course: excepted, suppressed, capped, late, undecided, dead, repeated.

    excepted      a rule's condition held, an exception of the rule applied          per rule and exception
    suppressed    a rule's condition held, a suppression withheld it                 per rule and suppression
    undecided     a rule could not be decided, and because of which field            per rule and field
    capped        an action went beyond its limit and became review                  per limit, from the alarms ...
                  ... and per decision, from its reason CAP_REACHED
    late          beyond the lateness: decided, not counted in windows
    unscorable    answered with the fallback of its type; no_rate: in a currency without a rate
    dead_letter   could not be read                                                  per reason
    duplicate     said again what had been decided

All of it stands in the streams; nothing is derived here.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from config import reasons
from replay.audit.records import Decision, Seqs, lines, records
from replay.audit.tables import Cell, Report, Section
from replay.audit.veil import PLAIN, Veil

QUIET: Final = (
    b'"excepted":[],"suppressed":[],"undecided":[],"reasons":[],"contributions":[],'
    b'"restrictions":[],"alerts":[],"commands":[],"late":false'
)
KINDS: Final = (
    "excepted",
    "suppressed",
    "undecided",
    "capped",
    "late",
    "unscorable",
    "no_rate",
    "dead_letter",
    "duplicate",
)
COLUMNS: Final = ("seq", "rule or reason", "by", "transaction", "account", "what")
_OF_REASON: Final = {
    reasons.CAP_REACHED: "capped",
    reasons.UNSCORABLE: "unscorable",
    reasons.FX_RATE_MISSING: "no_rate",
}


@dataclass(slots=True)
class _Found:
    """Counts of everything, and the first `most` records of each kind."""

    most: int
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    rows: dict[str, list[tuple[Cell, ...]]] = field(default_factory=dict)

    def add(self, kind: str, what: str, which: str, row: tuple[Cell, ...]) -> None:
        self.counts[kind, what, which] += 1
        held = self.rows.setdefault(kind, [])
        if len(held) < self.most:
            held.append((*row[:1], what, which, *row[1:]))

    def n(self, kind: str) -> int:
        return sum(n for (k, _, _), n in self.counts.items() if k == kind)


def report(root: Path, seqs: Seqs, *, most: int, veil: Veil = PLAIN) -> Report:
    """Counts per kind, rule and reason, then at most `most` records of each kind."""
    found = _Found(most)
    _decisions(root, seqs, found, veil)
    for alert in records(root, "alerts", seqs):
        if alert.get("kind") == "suppressed":  # of an activity, which has no decision line
            account = veil.value("account", alert.get("account"))
            about = (alert["seq"], alert.get("transaction_id"), account, None)
            found.add("suppressed", str(alert["rule"]), str(alert["suppression_id"]), about)
    for dead in records(root, "dead_letters", seqs):
        what = f"{dead['position']}: {veil.complaint(dead['what'])}"
        found.add("dead_letter", str(dead["reason"]), "", (dead["seq"], None, None, what))
    for again in records(root, "duplicates", seqs):
        account = veil.value("account", again.get("account"))
        first = f"first seq {again['first_seq']}"
        found.add("duplicate", "", "", (again["seq"], again["transaction_id"], account, first))
    columns = ("kind", "rule or reason", "by", "count")
    order = {kind: i for i, kind in enumerate(KINDS)}
    counted = sorted(found.counts.items(), key=lambda c: (order[c[0][0]], -c[1], c[0]))
    answer = Report([Section("counts", "Kinds", columns, [(*key, n) for key, n in counted])])
    answer.sections.append(_alarms(root, seqs, veil))
    for kind in KINDS:
        rows = found.rows.get(kind, [])
        if rows or found.n(kind):
            title = kind.replace("_", " ").capitalize()
            left_out = found.n(kind) - len(rows)
            answer.sections.append(Section(kind, title, COLUMNS, list(rows), left_out))
    answer.facts = {kind: found.n(kind) for kind in KINDS}
    return answer


def _decisions(root: Path, seqs: Seqs, found: _Found, veil: Veil) -> None:
    for decision in lines(root, "decisions", Decision, skip=QUIET):
        if decision.seq not in seqs:
            continue
        account = veil.value("account", decision.account)
        row = (decision.seq, decision.transaction_id, account, decision.decision)
        for kind in ("excepted", "suppressed", "undecided"):
            for rule, by in getattr(decision, kind):
                found.add(kind, rule, by, row)
        for reason in decision.reasons:
            if reason in _OF_REASON:
                found.add(_OF_REASON[reason], reason, "", row)
        if decision.late:
            found.add("late", "", "", row)


def _alarms(root: Path, seqs: Seqs, veil: Veil) -> Section:
    """Which limits were reached: the alarms that operations got, at most one an hour and limit."""
    section = Section("alarms", "Alarms about limits", ("seq", "core_time", "cap", "title"))
    for alert in records(root, "alerts", seqs):
        if alert.get("reason") == reasons.CAP_REACHED:
            kind, _, on = alert["cap"].partition(":")
            domain, _, entity = on.partition(":")
            about = {domain: entity} if kind == "automation" else {}
            cap, title = veil.inside(alert["cap"], about), veil.inside(alert["title"], about)
            section.rows.append((alert["seq"], alert["core_time"], cap, title))
    return section
