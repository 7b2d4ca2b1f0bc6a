"""The second half of a verification: decide every record again and compare every line of every stream.

From nothing, or from a snapshot whose hash the chain has; with the configurations of that time; to the end of what was
asked for. The comparison stops at the first block that differs: behind a line that is longer or shorter than it was,
everything differs. Snapshots on the way are compared too, array by array: they are derived like the lines.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from config.errors import StateError, WeirError
from engine.core import Outcome
from engine.durable import snapshots
from engine.durable.comparing import Comparison, Difference
from engine.durable.disk import Disk
from engine.durable.output import stream_path
from engine.durable.rederive import Rederivation
from engine.garbage import rare_collection
from engine.progress import Progress
from replay.audit.findings import Finding, Findings

ENDS: Final = "ends here, or holds nothing legible from here on; more was derived"
UNEXPLAINED: Final = "bytes that the journal does not explain"
PIECE_BYTES: Final = 1 << 18  # compared at once
TORN: Final = frozenset({ENDS, UNEXPLAINED})


@dataclass(slots=True)
class Derived:
    """What was derived: records `first` .. `end` - 1, and how many decisions were among them."""

    first: int = 0
    end: int = 0
    n_decisions: int = 0
    configs: list[str] = field(default_factory=list)
    snapshots: int = 0  # compared on the way
    from_snapshot: int | None = None
    is_whole: bool = (
        True  # False: it stopped at a block that differs, and others would have followed
    )

    @property
    def n_records(self) -> int:
        return self.end - self.first


def derive(
    disk: Disk,
    root: Path,
    findings: Findings,
    *,
    first: int = 0,
    end: int = -1,
    key: bytes | None = None,
    is_live: bool = False,
) -> Derived:
    """Derive the records from the last snapshot at or before `first` to `end` (-1: all) and compare.

    is_live : an engine is writing; lines behind `end` are none of ours

    Differences, and whatever keeps it from going on, become `findings`.
    """
    result = Derived()
    try:
        run = Rederivation(disk, root, key=key)
        disk = run.disk
        stop = run.journal.seq_end if end < 0 else min(end, run.journal.seq_end)
        _start(run, disk, root, first)
        for error in run.skipped:
            findings.take(Finding.of(error))
        result.first = result.end = run.core.seq
        start = run.snapshot
        result.from_snapshot = start.seq if start else None
        result.configs.append(run.core.config)
        comparison = Comparison(disk, root, start.lengths if start else {})
        with Progress(stop - run.core.seq, "rows") as progress, rare_collection():
            _compare(run, comparison, disk, root, stop, findings, result, progress)
        if not is_live and stop == run.journal.seq_end and result.end == stop:
            _look_beyond(root, comparison, findings)
    except WeirError as error:
        findings.take(Finding.of(error, result.end))
    return result


def _start(run: Rederivation, disk: Disk, root: Path, first: int) -> None:
    """Stand at the last snapshot at or before `first`; where the journal was cut, at the first one inside it."""
    if run.journal.first_seq == 0 or first > run.journal.first_seq:
        run.start(first, snapshots=first > 0)
        return
    inside = [n for n in snapshots.numbers(disk, root) if n >= run.journal.first_seq]
    run.start(inside[0] if inside else first)


def _compare(
    run: Rederivation,
    comparison: Comparison,
    disk: Disk,
    root: Path,
    stop: int,
    findings: Findings,
    result: Derived,
    progress: Progress,
) -> None:
    marks = [n for n in snapshots.numbers(disk, root) if run.core.seq < n <= stop]
    for mark in (*marks, stop):
        for block, outcome in run.outcomes(mark):
            progress.advance(len(block))
            result.end = block.seq_end
            if run.core.config not in result.configs:
                result.configs.append(run.core.config)
            if outcome is not None and not _same(root, comparison, outcome, findings, result):
                result.is_whole = result.end >= stop
                return
        if mark in marks:
            marks.remove(mark)
            result.snapshots += 1
            _compare_snapshot(run, comparison, disk, root, mark, findings)


def _same(
    root: Path, comparison: Comparison, outcome: Outcome, findings: Findings, result: Derived
) -> bool:
    """Whether the lines of one block are those on disk."""
    result.n_decisions += int((outcome.decided.decision >= 0).sum())
    n_torn = len(comparison.torn)
    found = [
        _finding(root, difference, outcome)
        for difference in comparison.differences(outcome.streams)
    ]
    for stream in list(comparison.torn)[n_torn:]:
        at = comparison.torn[stream]
        found.append(Finding(f"{stream}.ndjson@{at}", ENDS, outcome.batch.seq0))
    for finding in found:
        findings.take(finding)
    return not found


def _finding(root: Path, difference: Difference, outcome: Outcome) -> Finding:
    where = f"{stream_path(root, difference.stream).name}@{difference.offset}"
    row = difference.seq - outcome.batch.seq0
    known = 0 <= row < outcome.batch.n
    return Finding(
        where,
        "differs from what the journal gives again",
        difference.seq,
        outcome.batch.transaction_id[row] if known else None,
        difference.field or None,
        difference.found,
        difference.derived,
    )


def _look_beyond(root: Path, comparison: Comparison, findings: Findings) -> None:
    for difference in comparison.beyond():
        where = f"{stream_path(root, difference.stream).name}@{difference.offset}"
        findings.take(
            Finding(
                where,
                "a line that the journal does not explain",
                difference.seq if difference.seq >= 0 else None,
                recorded=difference.found,
            )
        )
    told = {finding.where for finding in findings.items if finding.what == ENDS}
    for stream, at in comparison.torn.items():
        if (where := f"{stream}.ndjson@{at}") not in told:
            findings.add(where, UNEXPLAINED)


def _compare_snapshot(
    run: Rederivation,
    comparison: Comparison,
    disk: Disk,
    root: Path,
    seq: int,
    findings: Findings,
) -> None:
    """A snapshot must be the state that is derived at its seq, in every array."""
    where = f"{snapshots.FOLDER}/{seq:016d}"
    derived = run.core.save(copied=False)
    wrong: dict[str, str] = {}

    def look(name: str, kept: NDArray[Any]) -> None:
        own = derived.pop(name, None)
        if own is None:
            wrong[name] = "is not derived"
        elif not _are_same(kept, own):
            wrong[name] = "is not the one derived"

    try:
        kept = snapshots.show(disk, root, seq, look)
    except StateError as error:
        findings.take(Finding(where, error.what, seq))
        return
    wrong |= dict.fromkeys(derived, "is missing")
    if wrong:
        name = min(wrong)
        findings.add(where, f"its `{name}` {wrong[name]}", seq)
        return
    lengths = {stream: n for stream, n in comparison.at.items() if n}
    if {s: n for s, n in kept.lengths.items() if n} != lengths:
        findings.add(where, "it says other lengths of the streams than are derived", seq)
    if kept.config != run.core.config:
        findings.add(where, "it says another configuration than was active", seq)


def _are_same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two arrays are the same, byte for byte; without a copy of large ones."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    a, b = (np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (one, other))
    return all(
        np.array_equal(a[k : k + PIECE_BYTES], b[k : k + PIECE_BYTES])
        for k in range(0, len(a), PIECE_BYTES)
    )
