"""The last stage of the core: what rules, models and restrictions together mean for each row, and what it sets off.

Facts written here (restrictions, caps, groups of alerts) are read only here, row by row, so where batches are cut
changes nothing. Rows with nothing to tell, most of them, are found by masks over columns and never reach Python one by
one; the others are taken in order. What a row sets off can make later rows of its batch interesting, and those are
queued when it happens.

The decision is the most severe of: the band of the combined score; what the actions of fired rules ask for, within
their caps; what fields that rules missed ask for (`if_undecided`); what the champion alone asks for, where settings
say so; review for an amount without a rate; and what restrictions in force demand.
"""

import heapq
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
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
from config.errors import ConfigError, StateError
from config.money import exponent
from config.people import People
from engine.actions import Actions
from engine.agenda import (
    AGE,
    CONFIRM,
    EXPIRE,
    FORGET,
    FORGIVE,
    LAPSE,
    OUTLIVE,
    SIGN,
    TIME_OUT,
    Agenda,
    Entry,
)
from engine.alerts import AlertBook, Group, OpenAlert, Suppression, operational_alert
from engine.batch import ACTIVITY, COMMAND, DUPLICATE, TRANSACTION
from engine.breakers import Breakers
from engine.caps import Caps
from engine.cases import Case, CaseBook
from engine.commands import Answer, Desk, DeskState
from engine.governing import Governing
from engine.held import APPROVED, DECLINED, Held, HeldBook
from engine.limits import PARTNERS
from engine.lists import Lists
from engine.outcomes import (
    CHAMPION,
    DecisionParts,
    Streams,
    decision_text,
    duplicate_line,
    fired_text,
    line,
    model_order,
    rfc3339,
    short_id,
)
from engine.patterns import Pattern, Patterns
from engine.proposals import Proposals
from engine.quiet import QuietLines
from engine.ratings import Kept, Ratings
from engine.reports import ReportBook, Reported
from engine.restrictions import ALL, DictionaryLike, Registry, Restriction
from engine.verdict import (
    FIRES,
    NO_DECISION,
    Decided,
    DecideInputs,
    Match,
    Plan,
    RulesetLike,
    SchemaLike,
    Verdict,
    Work,
    combined,
)
from rules.columns import Layout
from rules.definitions import Action, Pack, Rule

__all__ = ["FIRES", "NO_DECISION", "DecideInputs", "Decided", "Decider", "Match"]

B1: TypeAlias = NDArray[np.bool_]
I8: TypeAlias = NDArray[np.int64]
U1: TypeAlias = NDArray[np.uint8]

FORMAT = 2  # of the saved state
THEN = ("release", "review", "decline")  # what becomes of a hold, from mild to strict
FACTS = ("direction", "amount", "type", "channel")  # columns read beside entities


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
        self._effect = effect
        self._lists = Lists(pack) if lists is None else lists
        self._proposals = Proposals("", needs_approval=False) if proposals is None else proposals
        self._people = People() if people is None else people
        self._governing = governing
        unknown = [name for name in settings.evidence_lists if name not in pack.lists]
        if unknown:
            raise ConfigError(
                f"`evidence_lists` names `{unknown[0]}`, which is no list of the packs",
                why="a list that is not there would be no evidence, ever",
                fix=f"name some of {', '.join(sorted(pack.lists)) or 'none'}, or leave it out",
            )
        self._digits = exponent(pack.currency)
        judged = [rule for rule in pack.rules if rule.mode != "off"]
        self._plans = [self._plan(k, rule) for k, rule in enumerate(judged)]
        ids = [plan.rule.id for plan in self._plans]
        assert ids == sorted(set(ids)), "rules of a pack stand in the order of their ids"
        self._patterns = Patterns(pack, self._plans, ruleset)
        self._quiet_lines = QuietLines()
        self._alone = sorted((SEVERITY[d], at) for d, at in settings.models_alone.items())
        self._missable = {
            p.rule.id: k for k, p in enumerate(self._plans) if p.rule.if_undecided is not None
        }
        self._begin((), (), (), ())

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
        which, patterns = self._survey(work)
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
        groups, alerts, suppressions = self._book.save()
        state = _State(
            agenda=self._agenda.entries(),
            restrictions=self._registry.all(),
            groups=groups,
            alerts=alerts,
            suppressions=suppressions,
            caps=self._caps.taken(),
            alarms=self._caps.alarmed(),
            reports=self._reports.save(),
            held=self._held.all(),
            cases=self._cases.all(),
            breakers=self._breakers.taken(),
            rated=self.ratings.kept(),
            owed=self._cases.owed,
            desk=self._desk.save(),
        )
        saved = np.frombuffer(msgspec.msgpack.encode(state), np.uint8).copy()
        return {"state": saved, **self._breakers.save(), **self.ratings.save()}

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
        self._book.restore(state.groups, state.alerts, state.suppressions)
        self._reports.restore(state.reports)
        self._held.restore(state.held)
        self._cases.restore(state.cases, state.owed)
        self._breakers.restore(saved, state.breakers)
        self.ratings.load(saved, state.rated)
        self._desk.restore(state.desk)

    def adopt(self, other: "Decider", actions: Mapping[tuple[str, int], int]) -> None:
        """Go on from the very state of `other`, whose dictionaries this one has taken over; else as `load` does.

        What grows with the bank's day (alerts, cases, who waits, ratings) is handed over as it is: writing and reading
        10,000 cases took 150 ms. `other` must not be used any more.
        """
        restrictions = other._registry.all()  # noqa: SLF001
        for restriction in restrictions:
            at = restriction.rule, restriction.action
            restriction.action = actions.get(at, restriction.action)
        taken, alarmed = other._caps.taken(), other._caps.alarmed()  # noqa: SLF001
        caps = [(key, times) for old, times in taken if (key := _moved(old, actions))]
        alarms = [(key, at_us) for old, at_us in alarmed if (key := _moved(old, actions))]
        self._begin((), restrictions, caps, alarms)
        self._agenda.adopt(other._agenda)  # noqa: SLF001
        self._book.adopt(other._book)  # noqa: SLF001
        self._reports.adopt(other._reports)  # noqa: SLF001
        self._held.adopt(other._held)  # noqa: SLF001
        self._cases.adopt(other._cases)  # noqa: SLF001
        self._breakers.restore(other._breakers.save(), other._breakers.taken())  # noqa: SLF001
        if self.ratings.follows(other.ratings):
            self.ratings.adopt(other.ratings)
        else:
            self.ratings.load(other.ratings.save(), other.ratings.kept())
        self._desk.restore(other._desk.save())  # noqa: SLF001

    # Set-up

    def _begin(
        self,
        agenda: Sequence[Entry],
        restrictions: Sequence[Restriction],
        caps: Sequence[tuple[str, list[int]]],
        alarms: Sequence[tuple[str, int]],
    ) -> None:
        self._agenda = Agenda(agenda)
        self._caps = Caps(caps, alarms)
        self._book = AlertBook(self._agenda, self._settings.alerts_kept_us)
        self._book.stand(_of_pack(self._pack))
        self._held = HeldBook(self._agenda, self._settings.outcomes_kept_us)
        self._cases = CaseBook(self._agenda, self._settings.alerts_kept_us)
        settings = self._settings
        shares = settings.breakers if settings.caps else {}
        self._breakers = Breakers(shares, settings.breaker_minimum, settings.breaker_window_us)
        self._registry = Registry(self._settings, self._effect, self._dictionaries, self._agenda)
        self._registry.restore(restrictions)
        self._reports = ReportBook()
        customer = self._layout.places.get("customer")
        coded = customer is not None and customer.is_code
        self.ratings = Ratings(
            self._dictionaries[customer.dictionary] if customer and coded else None, self._digits
        )
        self._actions = Actions(
            self._pack,
            self._ruleset,
            self._settings,
            self._layout,
            self._dictionaries,
            self._registry,
            self._book,
            self._cases,
            self._caps,
            self._breakers,
            self._reports,
            self._lists,
            self.ratings,
        )
        domains = {
            name: place.dictionary for name, place in self._layout.places.items() if place.is_code
        }
        self._desk = Desk(
            self._registry,
            self._book,
            self._held,
            self._cases,
            self._agenda,
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

    # Columns

    def _survey(self, work: Work) -> tuple[I8, list[Pattern]]:
        """Queue the rows that need a look; return of the others which pattern each has, and the patterns."""
        inputs = work.inputs
        truth, kind = inputs.judgement.truth, inputs.kind
        transactions = kind == TRANSACTION
        peak = truth.max(axis=0, initial=0)
        judged = transactions | (kind == ACTIVITY)
        loud = judged & (peak == FIRES)
        loud |= transactions & (inputs.foreign | inputs.late)
        flagged = self._registry.flagged(inputs.frame, self._actions.subjects)
        if flagged is not None:
            loud |= transactions & flagged
        if self._alone and CHAMPION in inputs.models:
            lowest = min(at for _, at in self._alone)
            loud |= transactions & (inputs.models[CHAMPION] >= lowest)
        for k in self._withheld():  # what a suppression withholds depends on the row
            loud |= transactions & (truth[k] != 0)
        touched = np.flatnonzero(truth.any(axis=1))
        self._count_undecided(work, judged & (peak > 0), touched)
        plain = self._patterns.pattern((), b"")
        which, patterns = np.zeros(work.n, np.int64), [plain]
        if plain.severity > APPROVE:
            loud |= transactions
        else:
            missing = np.flatnonzero(transactions & ~loud & (peak > 0))
            if len(missing):
                which, patterns = self._patterns.of_rows(work, missing, touched)
        work.enqueue(np.flatnonzero(loud).tolist())
        if any(pattern.severity > APPROVE for pattern in patterns[1:]):
            severe = np.array([pattern.severity > APPROVE for pattern in patterns])
            severe[0] = False
            work.enqueue(np.flatnonzero(severe[which]).tolist())
        work.enqueue(sorted(map(int, inputs.unscorable)))
        work.enqueue(sorted(map(int, inputs.commands)))
        work.enqueue(sorted(map(int, inputs.ends)))
        work.enqueue(sorted(map(int, inputs.duplicates)))
        return which, patterns

    def _withheld(self) -> list[int]:
        """Places of rules that may be withheld although they are undecided."""
        rules = self._book.withheld
        return sorted(k for id_, k in self._missable.items() if id_ in rules) if rules else []

    def _look_again_at(self, work: Work, row: int, rule: str) -> None:
        """Queue the later rows of the batch in which a rule is undecided that is withheld now, or no longer."""
        k = self._missable.get(rule)
        if k is not None and row + 1 < work.n:
            later = work.inputs.judgement.truth[k, row + 1 :] != 0
            later &= work.inputs.kind[row + 1 :] == TRANSACTION
            work.enqueue((np.flatnonzero(later) + row + 1).tolist())

    def _count_undecided(self, work: Work, rows: B1, touched: I8) -> None:
        """Count for each rule in how many of `rows` it is undecided; others than `touched` never are."""
        for k in touched.tolist():
            states = work.inputs.judgement.truth[k]
            n = int(np.count_nonzero(rows & (states != 0) & (states != FIRES)))
            if n:
                work.count("undecided", self._plans[k].rule.id, n)

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
            due = self._due_row(work)
            if due <= row and due < work.n:
                self._happen(work, due)
            elif row < work.n:
                heapq.heappop(work.queue)
                self._take(work, row)
            else:
                return

    def _due_row(self, work: Work) -> int:
        """The first row at whose core time something is due; n if there is none."""
        due_us = self._agenda.next_us
        if due_us is None or not work.n or due_us > work.inputs.core_us[-1]:
            return work.n
        return int(np.searchsorted(work.inputs.core_us, due_us))

    def _happen(self, work: Work, row: int) -> None:
        """Let happen what is due by the core time of `row`, before the row itself."""
        now_us, seq = int(work.inputs.core_us[row]), int(work.inputs.seq[row])
        for due_us, kind, id_ in self._agenda.take(now_us):
            if kind == EXPIRE:
                self._registry.expire(id_, seq, work.out)
            elif kind == FORGET:
                self._registry.forget(id_, now_us)
            elif kind == TIME_OUT:
                restriction = self._registry.time_out(id_, now_us, seq)
                if restriction is not None:
                    self._alarm(work, reasons.NOT_ACKNOWLEDGED, restriction, seq, now_us)
            elif kind == CONFIRM:
                restriction = self._registry.confirm(id_, due_us, now_us)
                if restriction is not None:
                    self._alarm(work, reasons.RELEASE_NOT_ACKNOWLEDGED, restriction, seq, now_us)
            elif kind == LAPSE:
                self._held.lapse(id_, seq, work.out)
            elif kind == AGE:
                self._cases.due(due_us, id_)
            elif kind == OUTLIVE:
                self._held.outlive(id_)
            elif kind == SIGN:
                if self._desk.releases.miss(id_, seq, now_us, work.out):
                    work.count("alerts", "operational")
            elif kind == FORGIVE:
                self._desk.releases.forgive(id_)
            else:
                suppression = self._book.due(due_us, kind, id_)
                if suppression is not None:
                    self._look_again_at(work, row - 1, suppression.rule)
                    if self._desk.switches.end_of(suppression, seq, now_us, work.out):
                        work.count("alerts", "operational")

    def _alarm(
        self, work: Work, reason: str, restriction: Restriction, seq: int, now_us: int
    ) -> None:
        """Core banking has not acknowledged a restriction, or its release."""
        what = f"{restriction.level} of {restriction.domain} {restriction.entity}"
        if reason == reasons.NOT_ACKNOWLEDGED:
            title = f"{what} was not acknowledged within {self._settings.ack_timeout}"
        else:
            ended = rfc3339(restriction.ended_us)
            title = (
                f"the release of {what} at {ended} is not carried out: {restriction.release_state}"
            )
        work.count("alerts", "operational")
        about = {"restriction_id": restriction.id}
        operational_alert(work.out, reason, title, seq=seq, now_us=now_us, about=about)

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
            verdict = self._judge(work, row)
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
            self._look_again_at(work, row, rule)
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
        verdict = self._judge(work, row)
        self._actions.act(work, row, verdict)
        score = combined(self._pack.combine, verdict.scores)
        asked = max(self._patterns.band(score), verdict.missing_severity)
        if verdict.missing_weighs and asked > APPROVE:
            verdict.reasons.add(reasons.UNDECIDED)
        asked = max(asked, verdict.asked)
        alone = self._models_alone(work, row)
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
            [_fired(plan.rule, points) for plan, points in verdict.fired],
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

    # Rules

    def _judge(self, work: Work, row: int) -> Verdict:
        """Sort what the rules say of a row: fired, shadow, excepted, suppressed, undecided; each in order of ids."""
        inputs, judgement = work.inputs, work.inputs.judgement
        column = judgement.truth[:, row]
        verdict = Verdict()
        for k in np.flatnonzero(column).tolist():
            plan, state = self._plans[k], int(column[k])
            rule = plan.rule
            inside = judgement.in_rollout is None or bool(judgement.in_rollout[k, row])
            is_live = inside and self._patterns.is_live(k, inputs.warming)
            if state != FIRES:
                withheld = ""
                if is_live and rule.if_undecided is not None:
                    withheld = self._suppression(work, row, rule.id)
                self._patterns.miss(verdict, k, state, is_live=is_live, suppression=withheld)
                continue
            exception = int(judgement.excepted[k, row])
            points = float(judgement.score[k, row])
            if points != points:  # noqa: PLR0124  a score that misses a field counts nothing
                points = 0.0
                work.count("degraded", rule.id)
            if exception:
                verdict.excepted.append((rule.id, rule.exceptions[exception - 1].id))
                outcome = "excepted"
            elif not is_live:
                verdict.shadow.append(_fired(rule, points))
                outcome = "shadow"
            elif suppression := self._suppression(work, row, rule.id):
                verdict.suppressed.append((rule.id, suppression))
                outcome = "suppressed"
            elif plan.only_reports:
                verdict.reported.append(plan)
                continue
            else:
                verdict.fired.append((plan, points))
                verdict.scores.append(points)
                outcome = "fired"
            work.count(outcome, rule.id)
            if outcome != "fired":
                work.matches.append(Match(row, k, rule.id, outcome))
        return verdict

    def _suppression(self, work: Work, row: int, rule: str) -> str:
        """Id of a suppression that withholds a rule from a row; "" if none does."""
        return self._book.suppressed(
            rule,
            int(work.inputs.event_time_us[row]),
            lambda name: self._actions.text_of(work, row, name),
        )

    def _models_alone(self, work: Work, row: int) -> int:
        if not self._alone or CHAMPION not in work.inputs.models:
            return APPROVE
        score = float(work.inputs.models[CHAMPION][row])
        return max((severity for severity, at in self._alone if score >= at), default=APPROVE)


def _ordered(engine_reasons: set[str]) -> list[str]:
    """The engine's reasons in the order of config/reasons.py."""
    return [code for code in reasons.SENTENCES if code in engine_reasons]


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


def _fired(rule: Rule, points: float) -> str:
    return fired_text(rule.id, rule.version, rule.reason, points)


def _moved(key: str, actions: Mapping[tuple[str, int], int]) -> str:
    """The key of a cap when the actions of its rule have moved; "" when the action is no longer there."""
    rule, _, place = key.rpartition(":")
    if not place.isdigit() or (rule, int(place)) not in actions:
        return key
    now = actions[rule, int(place)]
    return f"{rule}:{now}" if now >= 0 else ""
