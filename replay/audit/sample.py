"""Cases just under a threshold: decided rows where a rule stayed quiet, and would have fired with one number moved.

The period is derived again from the journal, and beside the rule stand variants of it, each with one number moved a
little: as a person would have written them, read by the same compiler, judged over the same columns. A row counts where
a variant fires and the rule does not; how near it was is the smallest move that would have been enough. Numbers inside
windows (a span, a filter of a feature) would need other windows and are not moved: the report names them.
"""

import copy
import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

import numpy as np

from config.decisions import DECISIONS
from config.durations import duration_us
from config.errors import ConfigError, InputError, StateError
from engine.batch import TRANSACTION
from engine.core import Core, Outcome
from engine.durable.disk import RealDisk
from engine.durable.rederive import Rederivation
from engine.outcomes import rfc3339
from engine.progress import Progress
from engine.setup import Setup
from engine.verdict import FIRES
from replay.audit.records import END, Seqs
from replay.audit.tables import Cell, Report, Section
from replay.audit.veil import PLAIN, Veil
from rules import pack as packs
from rules.definitions import Rule
from rules.numbers import Number, changed, numbers_of
from rules.ruleset import Ruleset
from rules.tree import NUMBER, Node, Type

STEPS: Final = 20  # moves tried between nothing and the share asked for, each way
QUIET_SCORE: Final = Node("const", Type(NUMBER), value=0.0)


@dataclass(frozen=True, slots=True)
class Variant:
    """A rule with one number moved; `size` is how far, as a share of the number."""

    number: Number
    moved: str
    size: float
    rule: Rule


@dataclass(frozen=True, slots=True)
class Case:
    """One decided row just under a threshold."""

    size: float
    seq: int
    cells: tuple[Cell, ...]


class Neighbours:
    """The rule and its variants under one configuration, judged over the columns of a core.

    fixed : numbers that cannot be moved without other windows
    """

    def __init__(self, setup: Setup, core: Core, rule_id: str, below: Decimal) -> None:
        loaded = packs.load(setup.configuration.pack_paths, setup.schema, setup.rates)
        rules = {rule.id: rule for rule in setup.pack.rules}
        if rule_id not in rules or loaded.workshop is None:
            raise ConfigError(
                f"there is no rule `{rule_id}` in the configuration of that time",
                "--rule",
                fix=f"it has {len(rules)} rules, such as {', '.join(sorted(rules)[:3])}",
            )
        self.rule = rules[rule_id]
        node = loaded.workshop.nodes[rule_id]
        own = loaded.workshop.remake(node)
        self.variants: list[Variant] = []
        self.fixed: list[Number] = []
        for number in numbers_of(node):
            found: list[Variant] = []
            texts: set[str] = set()
            for step in range(1, STEPS + 1):
                for up in (False, True):
                    text = number.moved(up=up, share=below * step / STEPS)
                    if text is None or text in texts:
                        continue
                    texts.add(text)
                    made = loaded.workshop.remake(changed(node, number, text))
                    if made is None:  # the language refuses it: a share of 114 %
                        continue
                    if own is None or made[1] != own[1]:
                        self.fixed.append(number)
                        found = []
                        break
                    found.append(Variant(number, text, _size(number, text), made[0]))
                else:
                    continue
                break
            self.variants += found
        self.variants.sort(key=lambda v: v.size)
        judged = [self.rule, *(v.rule for v in self.variants)]
        bare = tuple(replace(_bare(rule), id=f"{rule_id}-{i:04d}") for i, rule in enumerate(judged))
        self._ruleset = Ruleset.compile(
            replace(setup.pack, rules=bare), setup.schema, copy.deepcopy(core.layout), setup.derived
        )
        self._ruleset.refresh(core.dictionaries)

    def near(self, core: Core, outcome: Outcome) -> list[tuple[int, Variant]]:
        """(row, nearest variant) of transactions where the rule does not fire and a variant does."""
        self._ruleset.refresh(core.dictionaries)
        fires = self._ruleset.judge(outcome.frame).truth == FIRES
        fires[:, outcome.batch.kind != TRANSACTION] = False
        decided = outcome.decided.decision >= 0
        rows = np.flatnonzero(fires[1:].any(axis=0) & ~fires[0] & decided)
        return [(row, self.variants[int(fires[1:, row].argmax())]) for row in rows.tolist()]


def report(
    root: Path,
    seqs: Seqs,
    rule_id: str,
    below: Decimal,
    *,
    most: int,
    key: bytes | None = None,
    veil: Veil = PLAIN,
) -> Report:
    """The `most` cases of `seqs` that were nearest to making the rule fire, nearest first."""
    run = Rederivation(RealDisk(), root, key=key)
    first = max(seqs.first, run.journal.first_seq)
    end = min(seqs.end, run.journal.seq_end)
    run.start(min(first, end))
    heap: list[tuple[float, int, Case]] = []
    counts = {"decided": 0, "fired": 0, "near": 0}
    beside: Neighbours | None = None
    run.run_to(min(first, end))
    with Progress(max(0, end - run.core.seq), "rows") as progress:
        for block, outcome in run.outcomes(end):
            progress.advance(len(block))
            if outcome is None:
                beside = None
                continue
            if beside is None:
                beside = Neighbours(run.setup, run.core, rule_id, below)
            counts["decided"] += int((outcome.decided.decision >= 0).sum())
            counts["fired"] += sum(
                m.rule == rule_id and m.outcome in ("fires", "deduplicated")
                for m in outcome.decided.matches
            )
            for row, variant in beside.near(run.core, outcome):
                counts["near"] += 1
                seq = outcome.batch.seq0 + row
                if len(heap) < most or (-variant.size, -seq) > heap[0][:2]:
                    cells = _cells(run.core, outcome, row, variant, beside.rule, veil)
                    entry = (-variant.size, -seq, Case(variant.size, seq, cells))
                    (heapq.heappush if len(heap) < most else heapq.heapreplace)(heap, entry)
    return _told(rule_id, below, counts, [case for *_, case in heap], beside, end)


def share_of(text: str) -> Decimal:
    """A share such as 20% or 0.2; `InputError` if it is none above 0 and up to 100 %."""
    try:
        percent = text.endswith("%")
        share = Decimal(text.removesuffix("%")) / (100 if percent else 1)
    except InvalidOperation:
        share = Decimal(0)
    if not 0 < share <= 1:
        raise InputError(f"--below must be a share, was {text}", fix="write it like 20%")
    return share


def _told(
    rule_id: str,
    below: Decimal,
    counts: dict[str, int],
    cases: Sequence[Case],
    beside: Neighbours | None,
    end: int,
) -> Report:
    if end in (0, END):
        raise StateError(
            "there is no journal to derive the period from",
            why="a sample needs the columns that the rule read, and only the journal gives them again",
            fix="run with durability: sync or flush",
        )
    columns = ("short by", "number", "is", "would fire at", "seq", "transaction", "account")
    section = Section(
        "cases",
        f"Just under {rule_id}, nearest first",
        (*columns, "event time", "decision", "read"),
    )
    ordered = sorted(cases, key=lambda c: (c.size, c.seq))
    section.rows = [case.cells for case in ordered]
    section.left_out = counts["near"] - len(ordered)
    answer = Report([section], dict(counts))
    if beside is not None and beside.fixed:
        names = ", ".join(f"{n.called} {n.text} ({n.place})" for n in beside.fixed)
        answer.remarks.append(f"Not moved, because they stand inside windows: {names}")
    if beside is not None and not beside.variants:
        answer.remarks.append(f"{rule_id} has no number that could be moved by {below:.0%}.")
    return answer


def _cells(
    core: Core, outcome: Outcome, row: int, variant: Variant, rule: Rule, veil: Veil
) -> tuple[Cell, ...]:
    batch = outcome.batch
    read = ", ".join(
        f"{name} {veil.value(name, core.text_of(name, outcome.frame, row))}"
        for name in rule.when.columns()
    )
    return (
        f"{variant.size:.1%}",
        variant.number.called,
        variant.number.text,
        variant.moved,
        batch.seq0 + row,
        batch.transaction_id[row],
        veil.value("account", batch.account[row]),
        rfc3339(int(batch.event_time_us[row])),
        DECISIONS[int(outcome.decided.decision[row])],
        read,
    )


def _size(number: Number, moved: str) -> float:
    """How far a number was moved, as a share of it; 1 for one that was nothing."""
    if number.kind == "duration":
        old, new = Decimal(duration_us(number.text)), Decimal(duration_us(moved))
    else:
        digits = re.match("[0-9_.]+", moved)
        assert digits is not None, moved
        old, new = Decimal(number.digits), Decimal(digits[0].replace("_", ""))
    return float(abs(new - old) / old) if old else 1.0


def _bare(rule: Rule) -> Rule:
    """Only the condition of a rule: what follows from it would take columns that the core does not have."""
    return replace(
        rule,
        mode="live",
        score=QUIET_SCORE,
        actions=(),
        exceptions=(),
        dedup_by=(),
        rollout_percent=100.0,
        rollout_by="",
        if_undecided=None,
        tests=(),
    )
