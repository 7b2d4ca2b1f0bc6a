"""`weir audit verify`: is an output folder what was written, and is that what the inputs give again.

First the chain (replay/audit/chain.py), then the derivation (replay/audit/derived.py). The chain says whether any byte
was changed since it was sealed; the derivation says whether outcomes follow from inputs, record by record. What the
chain found damaged is derived all the same as far as the journal can be read: that names record and field.
"""

import re
from pathlib import Path
from typing import Final

from config.errors import InputError
from engine.clock import Clock, SystemClock
from engine.durable.disk import Disk, RealDisk
from engine.durable.holding import is_being_written
from replay.audit import chain as chains
from replay.audit.chain import Checked
from replay.audit.derived import TORN, Derived, derive
from replay.audit.findings import Findings
from replay.audit.tables import Report

PARTITION: Final = re.compile(r"p\d{4,}")
ALONE: Final = (
    "Self-consistent only: whoever can write the folder can write it anew, chain and all. Compare the root with one "
    "kept elsewhere: --root ROOT, or --root FILE of the setting root_copy."
)


def report(
    root: Path,
    *,
    day: str = "",
    kept: str | None = None,
    chain_only: bool = False,
    key: bytes | None = None,
    reveal: bool = True,
    disk: Disk | None = None,
    clock: Clock | None = None,
) -> Report:
    """Verify an output folder, or one day of it.

    day        : UTC day of core time; all of it unless given
    kept       : a root that was kept elsewhere, or a file of them
    chain_only : leave out the derivation
    reveal     : show values that differ even where they may name somebody
    """
    disk = disk or RealDisk()
    clock = clock or SystemClock()
    began_ns = clock.monotonic_ns()
    findings, answer = Findings(), Report()
    is_live = is_being_written(root)
    checked = chains.check(disk, root, findings, key=key, leaves=not chain_only, is_live=is_live)
    roots = chains.read_roots(kept) if kept is not None else []
    proven = chains.pinned(checked.chain, roots, findings) if roots else None
    derived: Derived | None = None
    if not chain_only and checked.journal is not None and checked.journal.segments:
        first, end = _range(checked, day)
        if is_live and end < 0:
            end = checked.chain.seq_end
        derived = derive(disk, root, findings, first=first, end=end, key=key, is_live=is_live)
    if not reveal:
        shown = [finding.hidden() for finding in findings.items]
        if shown != findings.items:
            answer.remarks.append("Values that may name somebody are hidden: --reveal shows them.")
        findings.items = shown
    seconds = (clock.monotonic_ns() - began_ns) / 1e9
    owner = _owner(disk, root, checked)
    _tell(answer, checked, derived, findings, owner)
    if day:
        answer.facts["day"] = day
    answer.facts["seconds"] = f"{seconds:.1f}"
    if not chain_only and derived is None:
        answer.remarks.append("Nothing was derived: there is no journal that can be read.")
    if is_live:
        answer.remarks.append(
            f"An engine is writing this folder: verified is what was sealed when this began, {checked.chain.seq_end:,} "
            "records. For the rest verify again after it has stopped."
        )
    if not roots:
        answer.remarks.append(ALONE)
    elif proven is not None:
        answer.remarks.append(
            f"The root given proves the records up to seq {proven.seq_end - 1}"
            + ("" if proven.seq_end < checked.chain.seq_end else ": all that is sealed")
            + "."
        )
    if checked.uncovered:
        names = ", ".join(checked.uncovered)
        answer.remarks.append(f"Outside of the chain, proven by nothing: {names}")
    return answer


def _range(checked: Checked, day: str) -> tuple[int, int]:
    """The records to derive; `InputError` for a day that the folder does not have."""
    if not day:
        return 0, -1
    days = sorted({seal.closes_day for seal in checked.chain.seals if seal.closes_day})
    open_ = checked.chain.seals[-1].core_time[:10] if checked.chain.seals else ""
    if day not in days and day != open_:
        raise InputError(
            f"there is no day {day} in the folder",
            "--day",
            why="days are UTC days of core time, closed by a seal",
            fix=f"name one of {days[0]} to {open_}" if days else "leave out --day",
        )
    return chains.day_range(checked.chain, day)


def _owner(disk: Disk, root: Path, checked: Checked) -> str:
    """What must be known of the folder of one owner of a partition (engine/cluster/); "" of any other.

    The first owner began with nothing, so only the place of its folder tells.
    """
    root = root.resolve()
    is_in_place = PARTITION.fullmatch(root.parent.name) is not None and root.name.isdecimal()
    if not is_in_place and not checked.chain.notes("begun"):
        return ""
    later = [
        name
        for name in disk.names(root.parent)
        if is_in_place and name.isdecimal() and name > root.name
    ]
    return (
        "One owner of a partition wrote this folder, and did not hand it on: it was killed, fenced or ended. Nothing "
        "goes on here, and nothing needs to be completed. Whether what stands behind the last seal was published from "
        "here or by the next owner, who decided it again from the input, the topics of outcomes have it once. "
        + (
            f"See {root.parent / later[0]}."
            if later
            else "No folder of a later owner stands beside."
        )
    )


def _tell(
    answer: Report, checked: Checked, derived: Derived | None, findings: Findings, owner: str
) -> None:
    chain, n = checked.chain, len(findings.items)
    differences = f"{n:,} difference{'' if n == 1 else 's'}"
    answer.is_fine = not n
    if n:
        answer.headline = f"{findings.items[0]}\n{differences}, root = {chain.root}"
        answer.sections.append(findings.section())
    elif derived is not None:
        answer.headline = f"{derived.n_decisions:,} decisions, {differences}, root = {chain.root}"
    else:
        answer.headline = (
            f"{chain.seq_end:,} records in {len(chain.seals):,} seals, {differences}, "
            f"root = {chain.root}"
        )
    facts = answer.facts
    facts["root"] = chain.root
    facts["seals"] = len(chain.seals)
    facts["sealed records"] = chain.seq_end
    if chain.kept_from:
        facts["kept from seq"] = chain.kept_from
    if derived is not None:
        facts["derived"] = f"seq {derived.first} to {derived.end - 1}"
        if derived.from_snapshot is not None:
            facts["from snapshot"] = derived.from_snapshot
        facts["decisions"] = derived.n_decisions
        facts["snapshots derived"] = derived.snapshots
    days = [seal.closes_day for seal in chain.seals if seal.closes_day]
    facts["days closed"] = f"{days[0]} to {days[-1]}" if days else None
    facts["snapshots"] = checked.n_snapshots
    facts["configurations"] = ", ".join(name[:12] for name in checked.configs) or None
    if (checked.n_tail or checked.tail_bytes) and not checked.is_live:
        how = "derived again" if derived is not None else "derive them: leave out --chain-only"
        answer.remarks.append(
            f"Not sealed yet: {checked.n_tail:,} records, {checked.tail_bytes:,} bytes of streams; {how}."
        )
    if derived is not None and not derived.is_whole:
        answer.remarks.append(
            f"Deriving stopped at the first record that differs: nothing after seq {derived.end - 1} was compared."
        )
    is_torn = n > 0 and all(finding.what in TORN for finding in findings.items)
    if owner and (is_torn or checked.n_tail or checked.tail_bytes) and not checked.is_live:
        answer.remarks.append(owner)
    elif is_torn:
        answer.remarks.append(
            "A run that was killed leaves its streams like this. Go on with it (weir run, or weir replay --resume): "
            "that completes them from the journal. Then verify again."
        )
    recovered = chain.notes("recovered")
    if recovered:
        times = "once" if len(recovered) == 1 else f"{len(recovered)} times"
        answer.remarks.append(f"The run recovered from a crash {times}, on record.")
