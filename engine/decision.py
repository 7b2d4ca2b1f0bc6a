"""The last stage of the core: what rules, models and restrictions together mean for each row, and what it sets off.

Facts written here (restrictions, caps, groups of alerts; engine/books.py) are read only here, row by row, so where
batches are cut changes nothing. Rows with nothing to tell, most of them, are found by masks over columns
(engine/survey.py) and never reach Python one by one; the others are taken in order, after what is due by then
(engine/due.py). What a row sets off can make later rows of its batch interesting, and those are queued when it happens.

The decision is the most severe of: the band of the combined score; what the actions of fired rules ask for, within
their caps; what fields that rules missed ask for (`if_undecided`); what the champion alone asks for, where settings
say so; review for an amount without a rate; and what restrictions in force demand.
"""

import heapq
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config import reasons
from config.decisions import (
    APPROVE,
    CHALLENGE,
    CHALLENGE_PASSED,
    DECISIONS,
    DECLINE,
    HOLD,
    RESTRICTABLE,
    REVIEW,
    SEVERITY,
    DecisionSettings,
)
from config.errors import ConfigError
from config.people import People
from engine.actions import Actions
from engine.alerts import Suppression
from engine.batch import ACTIVITY, COMMAND, DUPLICATE, TRANSACTION
from engine.books import Books
from engine.cases import Case
from engine.commands import Answer
from engine.due import Due
from engine.governing import Governing
from engine.held import APPROVED, DECLINED, Held
from engine.judge import Judge
from engine.limits import PARTNERS
from engine.lists import Lists
from engine.outcomes import (
    DecisionParts,
    Streams,
    decision_text,
    duplicate_line,
    fired_text,
    line,
    model_order,
    rfc3339,
)
from engine.patterns import Pattern, Patterns
from engine.proposals import Proposals
from engine.quiet import QuietLines
from engine.restrictions import ALL, DictionaryLike, Restriction
from engine.survey import Survey
from engine.verdict import Decided, DecideInputs, Plan, RulesetLike, SchemaLike, Work, combined
from rules.columns import Layout
from rules.definitions import Action, Pack, Rule

I8: TypeAlias = NDArray[np.int64]

THEN = ("release", "review", "decline")  # what becomes of a hold, from mild to strict
FACTS = ("direction", "amount", "type", "channel")  # columns read beside entities


class Decider:
    """Decide, restrict and alert. `load` of what `save` gave, then the same rows, gives the same bytes again."""

    def __init__(
        self,
        pack: Pack,
        ruleset: RulesetLike,
        settings: DecisionSettings,
        layout: Layout,
        dictionaries: Mapping[str, DictionaryLike],
        *,
        effect: str = "observe",
        proposals: Proposals | None = None,
        lists: Lists | None = None,
        people: People | None = None,
        governing: Governing | None = None,
    ) -> None:
        self._pack = pack
        self._ruleset = ruleset
        self._settings = settings
        self._layout = layout
        self._dictionaries = dictionaries
        self._lists = Lists(pack) if lists is None else lists
        unknown = [name for name in settings.evidence_lists if name not in pack.lists]
        if unknown:
            raise ConfigError(
                f"`evidence_lists` names `{unknown[0]}`, which is no list of the packs",
                why="a list that is not there would be no evidence, ever",
                fix=f"name some of {', '.join(sorted(pack.lists)) or 'none'}, or leave it out",
            )
        judged = [rule for rule in pack.rules if rule.mode != "off"]
        self._plans = [self._plan(k, rule) for k, rule in enumerate(judged)]
        ids = [plan.rule.id for plan in self._plans]
        assert ids == sorted(set(ids)), "rules of a pack stand in the order of their ids"
        self._patterns = Patterns(pack, self._plans, ruleset)
        self._quiet_lines = QuietLines()
        self._alone = sorted((SEVERITY[d], at) for d, at in settings.models_alone.items())
        self._books = Books(
            pack,
            settings,
            layout,
            dictionaries,
            effect,
            proposals=Proposals("", needs_approval=False) if proposals is None else proposals,
            lists=self._lists,
            people=People() if people is None else people,
            governing=governing,
        )
        self._open_books()

    @staticmethod
    def add_columns(
        pack: Pack, schema: SchemaLike, layout: Layout, settings: DecisionSettings | None = None
    ) -> tuple[str, ...]:
        """Give a place to every column this stage reads and messages have; return their names."""
        names = [*RESTRICTABLE, *FACTS]
        names += PARTNERS if settings is not None and settings.evidence_lists else ()
        for rule in pack.rules:
            names += [*rule.dedup_by, *(a.entity for a in rule.actions if a.kind == "restrict")]
            names += [name for action in rule.actions for name in action.by]
        names += [suppression.field for suppression in pack.suppressions]
        present = tuple(dict.fromkeys(name for name in names if name in schema.columns))
        for name in present:
            if name not in layout:
                layout.add(name, schema.type_of(name))
        return present

    def decide(self, inputs: DecideInputs) -> Decided:
        """Decide a batch: rows in order, each from everything the rows before it have set off."""
        n = len(inputs.kind)
        decision = np.full(n, -1, np.int8)
        work = Work(inputs, n, Streams(), decision, {}, [], set(), {}, {}, [], {})
        self._breakers.see(inputs.core_us, inputs.kind == TRANSACTION)
        if n and self._desk.switches.follow(int(inputs.seq[0]), int(inputs.core_us[0]), work.out):
            work.count("alerts", "operational")
        assert inputs.judgement.truth.shape == (len(self._plans), n)
        self._patterns.begin(inputs.config, inputs.warming, inputs.partial)
        which, patterns = self._survey.of_batch(work)
        self._walk(work)
        if n:
            self.ratings.roll(int(inputs.core_us[-1]))
        decisions = self._write(work, which, patterns)
        for row, (first_seq, known) in sorted(inputs.duplicates.items()):
            here = first_seq - int(inputs.seq[0])
            first = int(work.decision[here]) if known == -1 and 0 <= here < n else known
            work.out.duplicates.append(
                duplicate_line(
                    int(inputs.seq[row]),
                    inputs.transaction_id[row],
                    inputs.account[row],
                    first_seq,
                    first,
                    work.outcomes.get(row),
                )
            )
        for severity, count in enumerate(np.bincount(work.decision + 1, minlength=6)[1:].tolist()):
            if count:
                work.count("decisions", DECISIONS[severity], count)
        if work.out.verbs:
            work.counts["commands"] = work.out.verbs
        streams = {
            "decisions": decisions,
            "alerts": b"".join(work.out.alerts),
            "commands": b"".join(work.out.commands),
            "resolutions": b"".join(work.out.resolutions),
            "reports": b"".join(work.out.reports),
            "duplicates": b"".join(work.out.duplicates),
            "answers": b"".join(line(work.answers[row]) for row in sorted(work.answers)),
        }
        return Decided(work.decision, streams, work.answers, work.matches, work.counts)

    def save(self) -> dict[str, NDArray[Any]]:
        """Everything that outlives a batch; the same bytes however batches were cut."""
        return self._books.save()

    @property
    def restrictions(self) -> list[Restriction]:
        """Every restriction held, by id; to be read only."""
        return self._registry.all()

    @property
    def held(self) -> list[Held]:
        """Transactions that wait or waited lately, by seq; to be read only."""
        return self._held.all()

    @property
    def cases(self) -> list[Case]:
        """Cases that are not closed, the one with the highest priority first; to be read only."""
        return sorted(self._cases.all(), key=lambda case: (-case.priority_minor, case.id))

    @property
    def owed(self) -> list[dict[str, str]]:
        """Labels that verdicts of closed cases have given, and that are no records yet; to be read only."""
        return self._cases.owed

    def pay(self, n: int) -> None:
        """The oldest `n` labels that are owed have become records."""
        del self._cases.owed[:n]

    @property
    def suppressions(self) -> list[Suppression]:
        """What commands withhold, rules that are switched off among them, by id; to be read only."""
        return self._book.save()[2]

    @property
    def switched_off(self) -> list[Suppression]:
        """Rules that are switched off in an emergency; to be read only."""
        return self._book.emergencies

    @property
    def effect(self) -> str:
        """Whether new commands are to be sent: observe or enforce."""
        return self._registry.effect

    @property
    def withheld_before(self) -> int:
        """Commands with a smaller seq must not leave any more, but those that lift something."""
        return ALL if self.effect == "observe" else self._registry.withheld_before

    def load(
        self,
        saved: Mapping[str, NDArray[Any]],
        actions: Mapping[tuple[str, int], int] = MappingProxyType({}),
    ) -> None:
        """Take over what `save` gave, perhaps under another pack, as `Books.load` says."""
        self._books.load(saved, actions)
        self._open_books()

    def adopt(self, other: "Decider", actions: Mapping[tuple[str, int], int]) -> None:
        """Go on from the very state of `other`, as `Books.adopt` says; it must not be used any more."""
        self._books.adopt(other._books, actions)  # noqa: SLF001
        self._open_books()

    # Set-up

    def _open_books(self) -> None:
        """Take hold of the books as they are now, once, so that no row looks them up."""
        books = self._books
        self._book = books.alerts
        self._held = books.held
        self._cases = books.cases
        self._breakers = books.breakers
        self._registry = books.registry
        self._desk = books.desk
        self.ratings = books.ratings
        self._actions = Actions(
            self._pack,
            self._ruleset,
            self._settings,
            self._layout,
            self._dictionaries,
            books.registry,
            books.alerts,
            books.cases,
            books.caps,
            books.breakers,
            books.reports,
            self._lists,
            books.ratings,
        )
        self._survey = Survey(
            self._plans, self._patterns, self._alone, books.registry, books.alerts, self._actions
        )
        self._due = Due(books, self._settings, self._survey)
        self._judge = Judge(self._plans, self._patterns, self._alone, books.alerts, self._actions)

    def _plan(self, index: int, rule: Rule) -> Plan:
        missing = rule.if_undecided
        targets = {}
        for k, action in enumerate(rule.actions):
            if action.kind == "restrict":
                assert action.for_us > 0, f"{rule.id}: nothing is restricted without an end"
                targets[k] = self._layout[action.entity]
        return Plan(
            index,
            rule,
            rule.mode == "live",
            missing.score if missing else 0.0,
            SEVERITY[missing.do] if missing and missing.do else APPROVE,
            tuple(self._layout[name] for name in rule.dedup_by),
            targets,
            rule.only_reports,
        )

    def _write(self, work: Work, which: I8, patterns: Sequence[Pattern]) -> bytes:
        """Write the decisions of the batch: quiet rows together, the others as the walk left them."""
        quiet = work.inputs.kind == TRANSACTION
        if work.lines:
            quiet[list(work.lines)] = False
        work.decision[quiet] = APPROVE
        return self._quiet_lines.write(work.inputs, quiet, which, patterns, work.lines)

    # Rows

    def _walk(self, work: Work) -> None:
        """Take the queued rows in order, and at each what is due by then."""
        while True:
            row = work.queue[0] if work.queue else work.n
            due = self._due.first_row(work)
            if due <= row and due < work.n:
                self._due.happen(work, due)
            elif row < work.n:
                heapq.heappop(work.queue)
                self._take(work, row)
            else:
                return

    def _take(self, work: Work, row: int) -> None:
        inputs = work.inputs
        kind = int(inputs.kind[row])
        if row in inputs.commands:
            assert kind == COMMAND, kind
            work.answers[row] = self._carry_out(work, row)
        elif row in inputs.unscorable:
            self._answer_unscorable(work, row)
        elif kind == TRANSACTION:
            self._decide_row(work, row)
        elif kind == DUPLICATE:
            outcome = self._held.outcome_of(inputs.duplicates[row][0])
            if outcome is not None:
                work.outcomes[row] = outcome
        else:
            assert kind == ACTIVITY, kind
            if row in inputs.ends:
                self._end_challenge(work, row, *inputs.ends[row])
            verdict = self._judge.verdict(work, row)
            self._actions.act(work, row, verdict)

    def _carry_out(self, work: Work, row: int) -> Answer:
        """Do what a command says, and look again at the later rows of the batch that it may concern."""
        inputs, n_alerts = work.inputs, len(work.out.alerts)
        answer = self._desk.carry_out(
            inputs.commands[row], int(inputs.seq[row]), int(inputs.core_us[row]), work.out
        )
        if len(work.out.alerts) > n_alerts:
            work.count("alerts", "operational", len(work.out.alerts) - n_alerts)
        touched = dict.fromkeys((r.domain, r.entity) for r in self._desk.touched)
        for domain, entity in touched:
            self._actions.look_again(work, row, domain, entity)
        for rule in self._desk.switched:
            self._survey.look_again_at(work, row, rule)
        return answer

    def _end_challenge(self, work: Work, row: int, transaction_id: str, type_: str) -> None:
        """A customer has passed or failed a challenge; an activity about anything else ends nothing."""
        inputs = work.inputs
        held = self._held.challenged(inputs.account[row] or "", transaction_id)
        if held is not None:
            outcome = APPROVED if type_ == CHALLENGE_PASSED else DECLINED
            seq, now_us = int(inputs.seq[row]), int(inputs.core_us[row])
            self._held.resolve(held, outcome, "core_banking", type_, seq, now_us, work.out)

    def _answer_unscorable(self, work: Work, row: int) -> None:
        """Give a transaction that cannot be scored the fallback of its type, and what its account demands."""
        inputs = work.inputs
        type_, account = inputs.unscorable[row], inputs.account[row]
        severity = self._settings.fallback_for(type_)
        engine_reasons, in_force = {reasons.UNSCORABLE}, []
        if account is not None and "account" in self._layout:
            in_force = self._registry.on(self._layout["account"].dictionary, account)
        blocked = self._settings.blocked_for(type_)
        for restriction in in_force:
            if restriction.level != "watch":  # amount and direction are unknown
                severity = max(severity, blocked)
                engine_reasons.add(reasons.RESTRICTED)
        parts = DecisionParts(
            severity,
            reasons=_ordered(engine_reasons),
            restrictions=[restriction.id for restriction in in_force],
            answer=self._hold_back(work, row, severity, ()),
        )
        self._settle(work, row, parts, ())

    def _decide_row(self, work: Work, row: int) -> None:
        """Decide one transaction that has something to tell, or might have."""
        inputs, settings = work.inputs, self._settings
        now_us = int(inputs.core_us[row])
        demanded, in_force = self._actions.demanded(
            work, row
        )  # before the row restricts anything itself
        verdict = self._judge.verdict(work, row)
        self._actions.act(work, row, verdict)
        score = combined(self._pack.combine, verdict.scores)
        asked = max(self._patterns.band(score), verdict.missing_severity)
        if verdict.missing_weighs and asked > APPROVE:
            verdict.reasons.add(reasons.UNDECIDED)
        asked = max(asked, verdict.asked)
        alone = self._judge.models_alone(work, row)
        if not verdict.fired:
            alone = min(alone, SEVERITY[settings.models_alone_max])
        if alone > APPROVE:
            verdict.reasons.add(reasons.MODEL_SCORE)
            asked = max(asked, alone)
        asked = self._actions.within_breaker(work, row, verdict, asked, now_us)
        if demanded > APPROVE:
            verdict.reasons.add(reasons.RESTRICTED)
        if inputs.foreign[row]:
            verdict.reasons.add(reasons.FX_RATE_MISSING)
            demanded = max(demanded, REVIEW)
        if inputs.late[row]:
            verdict.reasons.add(reasons.LATE)
        severity = max(asked, verdict.implied, demanded)
        told = dict.fromkeys(plan.rule.reason for plan, _ in verdict.fired)
        added = inputs.explain(row) if severity > APPROVE or verdict.fired else ()
        parts = DecisionParts(
            severity,
            score,
            [
                fired_text(plan.rule.id, plan.rule.version, plan.rule.reason, points)
                for plan, points in verdict.fired
            ],
            verdict.shadow,
            verdict.excepted,
            verdict.suppressed,
            verdict.undecided,
            [*told, *_ordered(verdict.reasons)],
            added,
            in_force,
            verdict.alerts,
            verdict.commands,
            bool(inputs.late[row]),
            self._hold_back(work, row, severity, verdict.asking),
            inputs.normal(row, [name for name, _ in added]),
        )
        names = model_order(inputs.models)
        scores = [(name, float(inputs.models[name][row])) for name in names]
        self._settle(work, row, parts, scores)

    def _hold_back(
        self, work: Work, row: int, severity: int, asking: Sequence[Action]
    ) -> dict[str, dict[str, str]]:
        """What a challenge, hold or decline is in detail; the first two begin to wait for their end.

        Of several actions the longest time and the strictest end count, and the first method or code by rule id. What
        no rule asked for in these words (a band, a model, a restriction in force) lasts as long as settings say.
        """
        settings, now_us = self._settings, int(work.inputs.core_us[row])
        name = DECISIONS[severity]
        same = [action for action in asking if action.kind == name]
        if severity == DECLINE:
            codes = [action.code for action in same if action.code]
            return {"decline": {"code": codes[0]}} if codes else {}
        if severity not in (CHALLENGE, HOLD) or now_us < 0:
            return {}
        asked_us = max((action.for_us for action in same), default=0)
        told = {}
        if severity == CHALLENGE:
            for_us = asked_us or settings.challenge_for_us
            then: str = settings.challenge_then
            methods = [action.method for action in same if action.method]
            told = {"method": methods[0]} if methods else {}
        else:
            for_us = asked_us or settings.hold_for_us
            thens = [action.then or settings.hold_then for action in same]
            then = max(thens, key=THEN.index, default=settings.hold_then)
        until_us = now_us + for_us
        transaction_id, account = work.inputs.transaction_id[row], work.inputs.account[row]
        if transaction_id is not None and account is not None:
            held = Held(
                seq=int(work.inputs.seq[row]),
                transaction_id=transaction_id,
                account=account,
                decision=severity,
                since_us=now_us,
                until_us=until_us,
                then=then,
            )
            self._held.add(held)
        return {name: told | {"until": rfc3339(until_us), "then": then}}

    def _settle(
        self, work: Work, row: int, parts: DecisionParts, models: Sequence[tuple[str, float]]
    ) -> None:
        inputs = work.inputs
        work.decision[row] = parts.decision
        work.lines[row] = decision_text(
            int(inputs.seq[row]),
            inputs.transaction_id[row],
            int(inputs.event_time_us[row]),
            inputs.account[row],
            models,
            parts.head(),
            parts.tail(inputs.config, inputs.partial),
        )


def _ordered(engine_reasons: set[str]) -> list[str]:
    """The engine's reasons in the order of config/reasons.py."""
    return [code for code in reasons.SENTENCES if code in engine_reasons]
