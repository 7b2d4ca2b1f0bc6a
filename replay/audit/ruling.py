"""What the rules said of one record, how that became a decision, and the smallest change that gives another one.

The decision on record is the engine's; here it is put together again, from the same parts by the same arithmetic, so
that each part can be shown and one of them changed. Where both differ a limit on automatic actions took part (nothing
else is left out), and that is said.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from config.decisions import APPROVE, DECISIONS, REVIEW, SEVERITY
from config.pseudonyms import HIDDEN
from engine.core import Core, Outcome
from engine.outcomes import CHAMPION
from engine.restrictions import BLOCKING, demands
from engine.setup import Setup
from engine.verdict import FIRES
from rules.definitions import Action, Pack, Rule
from rules.explain import Evaluator, Explained, Flip, Value, open_clauses

FIRED, NO, UNDECIDED, OFF_TYPE = "fired", "did not fire", "undecided", "does not apply"
ENDS: Final = {"fires": FIRED, "deduplicated": FIRED}  # of matches; others keep their name
NEAREST: Final = 3  # rules that did not fire and are shown all the same
FLIPS: Final = 5


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that asks for a decision."""

    what: str
    severity: int

    @property
    def decision(self) -> str:
        return DECISIONS[self.severity]


@dataclass(frozen=True, slots=True)
class Weighed:
    """How a score and a decision come about."""

    score: float
    parts: tuple[Part, ...]

    @property
    def severity(self) -> int:
        return max((part.severity for part in self.parts), default=APPROVE)


@dataclass(frozen=True, slots=True)
class Ruled:
    """One rule and what became of it.

    outcome : fired, did not fire, undecided, does not apply, or shadow, excepted, suppressed
    points  : what it added to the score
    """

    explained: Explained
    outcome: str
    points: float = 0.0
    is_joined: bool = False  # its alert had been raised before


@dataclass(frozen=True, slots=True)
class Change:
    """One value that would have to be different, and the decision that would follow."""

    what: str
    column: str
    distance: float | None
    decision: str
    turns: tuple[str, ...]  # ids of rules that would fire, or no longer


@dataclass(slots=True)
class Standing:
    """What does not depend on rules: the facts that raise a decision by themselves."""

    type: str
    incoming: bool
    amount_minor: float
    channel: str | None
    fixed: list[Part] = field(default_factory=list)


class Ruling:
    """The rules over the first row of an outcome; `core` stands right after that record."""

    def __init__(self, core: Core, setup: Setup, outcome: Outcome, evaluator: Evaluator) -> None:
        self.pack: Pack = setup.pack
        self.settings = setup.configuration.settings.decisions
        self.rules = core.ruleset.rules
        self.evaluator = evaluator
        self._core, self._outcome = core, outcome
        self._state = [int(t) for t in outcome.judgement.truth[:, 0].tolist()]
        inside = outcome.judgement.in_rollout
        self._acts = [
            rule.mode == "live" and (inside is None or bool(inside[k, 0]))
            for k, rule in enumerate(self.rules)
        ]
        self._ends = {match.place: match.outcome for match in outcome.decided.matches}
        self.standing = self._stand()

    # ---- rules

    def all(self) -> list[Ruled]:
        """Every rule, explained, in the order of ids."""
        return [self.ruled(k) for k in range(len(self.rules))]

    def ruled(self, k: int) -> Ruled:
        """Rule `k`, explained."""
        explained = self.evaluator.rule(self.rules[k])
        state = self._state[k]
        if state == FIRES:
            end = self._ends.get(k, FIRED)
            points = explained.score or 0.0
            counts = ENDS.get(end) == FIRED and not self.rules[k].only_reports
            return Ruled(
                explained, ENDS.get(end, end), points if counts else 0.0, end == "deduplicated"
            )
        if state:
            return Ruled(explained, UNDECIDED)
        is_asked = all(gate.truth is True for gate in explained.gates)
        return Ruled(explained, NO if is_asked else OFF_TYPE)

    def disagreements(self) -> list[str]:
        """Rules of which the explanation says something else than the engine did; there should be none."""
        found = []
        for k, rule in enumerate(self.rules):
            said = self.evaluator.rule_truth(rule)
            state = self._state[k]
            engine = True if state == FIRES else (None if state else False)
            if said is not engine:
                found.append(rule.id)
        return found

    def is_live(self, rule: Rule) -> bool:
        """Whether what the rule asks for was carried out, had it fired."""
        return self._acts[self.rules.index(rule)]

    # ---- the decision

    def weighed(self) -> Weighed:
        """The decision, put together again from what the rules said."""
        fired, undecided = [], []
        for k, state in enumerate(self._state):
            if state == FIRES and ENDS.get(self._ends.get(k, "")) == FIRED:
                fired.append(k)
            elif state not in (0, FIRES) and self._acts[k]:
                undecided.append(k)
        return self._weigh(fired, undecided, self.evaluator)

    def _weigh(self, fired: Iterable[int], undecided: Iterable[int], row: Evaluator) -> Weighed:
        scores: list[tuple[int, float]] = []
        parts = list(self.standing.fixed)
        weighing = [k for k in fired if not self.rules[k].only_reports]
        for k in weighing:
            rule = self.rules[k]
            points = row.value(rule.score)
            scores.append((k, points if isinstance(points, float) else 0.0))
            parts += [part for a in rule.actions if (part := self._asks(rule, a)) is not None]
        for k in undecided:
            missing = self.rules[k].if_undecided
            if missing is None:
                continue
            scores.append((k, missing.score))
            if missing.do:
                what = f"{self.rules[k].id} cannot be decided, and asks for it then (if_undecided)"
                parts.append(Part(what, SEVERITY[missing.do]))
        total = combined(self.pack, [points for _, points in sorted(scores)])
        band = self._band(total)
        parts.insert(0, Part(f"score {total:g} lies in the band {band[0]}", band[1]))
        alone = self._model_alone(row, has_fired=bool(weighing))
        return Weighed(total, (*parts, *([alone] if alone is not None else [])))

    def _band(self, score: float) -> tuple[str, int]:
        for band in reversed(self.pack.bands):
            if score >= band.low:
                return f"{band.low:g} to {band.high:g}", SEVERITY[band.decision]
        first = self.pack.bands[0]
        return f"{first.low:g} to {first.high:g}", SEVERITY[first.decision]

    def _asks(self, rule: Rule, action: Action) -> Part | None:
        """What an action of a fired rule asks of the decision."""
        if action.kind in ("challenge", "hold", "decline"):
            return Part(f"{rule.id} asks for it (action {action.kind})", SEVERITY[action.kind])
        if action.kind != "restrict":
            return None
        if action.level not in BLOCKING and not self._concerns(
            action.level, action.amount_minor, action.channels
        ):
            return None
        what = f"{rule.id} restricts the {action.entity} of this very transaction ({action.level})"
        return Part(what, self.settings.blocked_for(self.standing.type))

    def _model_alone(self, row: Evaluator, *, has_fired: bool) -> Part | None:
        """What the champion's score alone asks for, where settings say so."""
        told = row.read("model.score")
        score = told if isinstance(told, float) else self._champion()
        asked = [SEVERITY[d] for d, at in self.settings.models_alone.items() if score >= at]
        if not asked:
            return None
        severity = max(asked)
        if not has_fired:
            severity = min(severity, SEVERITY[self.settings.models_alone_max])
        return Part(f"the champion's score {score:g} alone asks for it", severity)

    def _champion(self) -> float:
        scores = self._outcome.scores.get(CHAMPION)
        value = float(scores[0]) if scores is not None else 0.0
        return value if value == value else 0.0  # noqa: PLR0124  NaN where nothing was scored

    def _stand(self) -> Standing:
        read = self.evaluator.read
        type_, direction = _text(read("type")), _text(read("direction"))
        amount, channel = read("amount"), _text(read("channel"))
        incoming = (
            direction == "in" if direction is not None else type_ in self.settings.incoming_types
        )
        return Standing(
            type_ or "",
            incoming,
            amount if isinstance(amount, float) else float("nan"),
            channel,
        )

    def _concerns(self, level: str, amount_minor: int, channels: Sequence[str]) -> bool:
        standing = self.standing
        return demands(
            level,
            amount_minor,
            channels,
            incoming=standing.incoming,
            amount_minor=standing.amount_minor,
            channel=standing.channel,
        )

    def add_restrictions(self, in_force: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Take restrictions in force into account; say of each what it demanded of this transaction."""
        told = []
        for one in in_force:
            level, amount = str(one.get("level", "")), int(one.get("amount_minor") or 0)
            demands_it = self._concerns(level, amount, tuple(one.get("channels") or ()))
            severity = self.settings.blocked_for(self.standing.type) if demands_it else APPROVE
            if demands_it:
                what = f"restriction {one['id']} ({level}) is in force and demands it"
                self.standing.fixed.append(Part(what, severity))
            told.append({**one, "demanded": DECISIONS[severity] if demands_it else None})
        return told

    def add_foreign(self) -> None:
        """An amount without a rate is reviewed at least."""
        self.standing.fixed.append(Part("the amount has no exchange rate", REVIEW))

    # ---- what would have had to be different

    def changes(self) -> list[Change]:
        """Single values that would have given another decision, the nearest first.

        Each is tried: every rule that reads the column is evaluated again with it, all else as it was. Features do not
        follow a field that they were computed from, and limits on automatic actions are left out.
        """
        before = self.weighed()
        readers: dict[str, list[int]] = {}
        for k, rule in enumerate(self.rules):
            for name in self._reads(rule):
                readers.setdefault(name, []).append(k)
        found: dict[tuple[str, str], Change] = {}
        for flip in self._candidates():
            key = (flip.column, flip.text)
            if key not in found:
                change = self._change(flip, readers[flip.column], before)
                if change is not None:
                    found[key] = change
        best: dict[tuple[str, str], Change] = {}
        for change in sorted(found.values(), key=_nearness):
            best.setdefault((change.column, change.decision), change)
        return list(best.values())[:FLIPS]

    def _candidates(self) -> list[Flip]:
        """Flips of every rule that is asked and would act."""
        flips: list[Flip] = []
        for k, rule in enumerate(self.rules):
            if self._acts[k] and not rule.only_reports:
                flips += self.evaluator.rule(rule).flips
        return flips

    def _change(self, flip: Flip, readers: Sequence[int], before: Weighed) -> Change | None:
        row = self.evaluator.having({flip.column: flip.value})
        fired, undecided, turned = [], [], []
        for k, state in enumerate(self._state):
            fires = state == FIRES and ENDS.get(self._ends.get(k, "")) == FIRED
            is_open = state not in (0, FIRES)
            if k in readers and self._acts[k]:
                truth = row.rule_truth(self.rules[k])
                is_open = truth is None
                now = truth is True and not row.rule(self.rules[k]).excepted
                suppressed = self._ends.get(k) == "suppressed"
                now = now and not suppressed
                if now != fires:
                    turned.append(self.rules[k].id)
                fires = now
            if fires:
                fired.append(k)
            elif is_open and self._acts[k]:
                undecided.append(k)
        after = self._weigh(fired, undecided, row)
        if after.severity == before.severity:
            return None
        return Change(
            flip.text, flip.column, flip.distance, DECISIONS[after.severity], tuple(turned)
        )

    def _reads(self, rule: Rule) -> set[str]:
        trees = [rule.when, rule.score, *(clause.when for clause in rule.exceptions)]
        return {name for tree in trees for name in tree.columns()}


def combined(pack: Pack, scores: Sequence[float]) -> float:
    """One score of the scores of rules in the order of their ids, as `decision.combine` of the pack says."""
    if not scores:
        return 0.0
    if pack.combine == "max":
        total = max(scores)
    elif pack.combine == "sum":
        total = 0.0
        for score in scores:
            total += score
    else:
        passes = 1.0
        for score in scores:
            passes *= 1.0 - min(max(score, 0.0), 1000.0) / 1000.0
        total = 1000.0 * (1.0 - passes)
    return round(min(max(total, 0.0), 1000.0), 6)


def shown_rules(ruled: Sequence[Ruled], wanted: str = "") -> list[Ruled]:
    """The rules worth reading: one if it was asked for, else what fired or nearly did.

    Those that matched come first, then those that could not be decided, then the nearest that did not fire: those with
    the fewest clauses in the way, and the smallest change that would do.
    """
    if wanted:
        return [r for r in ruled if r.explained.rule.id == wanted]
    matched = [r for r in ruled if r.outcome not in (NO, UNDECIDED, OFF_TYPE)]
    undecided = [r for r in ruled if r.outcome == UNDECIDED]
    quiet = sorted((r for r in ruled if r.outcome == NO), key=_farness)
    return [*matched, *undecided, *quiet[:NEAREST]]


def _farness(ruled: Ruled) -> tuple[int, float, str]:
    flips = ruled.explained.flips
    distance = flips[0].distance if flips and flips[0].distance is not None else 1.0
    return len(open_clauses(ruled.explained.when)), distance, ruled.explained.rule.id


def _nearness(change: Change) -> tuple[bool, bool, float, str]:
    """Near ones first; those whose value may not be shown tell least, and stand last."""
    distance = change.distance
    far = distance if distance is not None else 0.0
    return change.what.endswith(HIDDEN), distance is None, far, change.what


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None
