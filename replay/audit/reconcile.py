"""Control totals of the feed against what was journaled: is every transaction that was sent decided, once.

Totals are lines of JSON (.ndjson) or rows of CSV with the same names, one for each group of a day:

    {"day":"2026-03-02","count":1204,"sum":"81234.50","currency":"CNY","direction":"out","type":"payment"}
    day,count,sum,currency,direction,type

`day` is the day of the event; `zone` (an IANA name, UTC unless given) says whose. `currency`, `direction` and `type`
may be left out: then the group is over all of them. `sum` may be left out too; it is in major units, unsigned, of the
amounts as sent. Repeats of the same transaction count once; updates, activities and labels not at all.

For each group: sent, decided, duplicate (said again), dead-lettered (arrived, could not be taken), missing (sent, never
arrived), surplus (arrived, never sent). It agrees where decided plus dead-lettered is what was sent, in number and sum.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from config.errors import InputError
from engine.durable.journal import JournalReader
from engine.progress import Progress
from replay.audit.records import lines
from replay.audit.tables import Cell, Report, Section
from replay.pacing import event_time_us

GROUP: Final = ("currency", "direction", "type")
DECIDED, DUPLICATE, DEAD = "decided", "duplicate", "dead_letter"
Group: TypeAlias = tuple[str, str, str]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Total(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the feed says it sent of one group of one day."""

    day: str
    count: int
    sum: Decimal | None = None
    zone: str = "UTC"
    currency: str | None = None
    direction: str | None = None
    type: str | None = None

    def covers(self, group: Group) -> bool:
        asked = (self.currency, self.direction, self.type)
        return all(a in (None, g) for a, g in zip(asked, group, strict=True))


@dataclass(slots=True)
class Tally:
    """What was found of one group: number and sum by what became of them."""

    counts: dict[str, int] = field(default_factory=lambda: {DECIDED: 0, DUPLICATE: 0, DEAD: 0})
    sums: dict[str, Decimal] = field(default_factory=dict)
    unreadable: int = 0  # dead letters without an amount that could be read

    def add(self, what: str, amount: Decimal | None) -> None:
        self.counts[what] += 1
        if amount is not None:
            self.sums[what] = self.sums.get(what, Decimal(0)) + abs(amount)
        elif what == DEAD:
            self.unreadable += 1


class _Message(msgspec.Struct):
    """What reconciling reads of a message."""

    kind: str = "transaction"
    amount: Decimal | None = None
    currency: str | None = None
    direction: str | None = None
    type: str | None = None


class _Seq(msgspec.Struct):
    seq: int


_DECODE: Final = msgspec.json.Decoder(_Message).decode


def read_totals(paths: Iterable[Path]) -> list[Total]:
    """Read control totals; `InputError` names the file and line that is none."""
    found = []
    for path in paths:
        for number, record in _rows(path):
            try:
                total = msgspec.convert(record, Total, strict=False)
                ZoneInfo(total.zone)
                date.fromisoformat(total.day)
            except (msgspec.ValidationError, ZoneInfoNotFoundError, ValueError) as error:
                raise InputError(
                    f"not a control total: {error}",
                    f"{path}:{number}",
                    why="a total has day and count, and may have sum, zone, currency, direction and type",
                    fix='write it like {"day":"2026-03-02","count":1204,"sum":"81234.50","currency":"CNY"}',
                ) from None
            found.append(total)
    return found


def report(root: Path, day: str, totals: Sequence[Total], journal: JournalReader) -> Report:
    """Each total of `day` beside what was found; without totals, what was found by group (UTC days)."""
    told = sorted({total.day for total in totals})
    if told and day not in told:
        raise InputError(
            f"the control totals say nothing about {day}",
            "--totals",
            why=f"their days are {told[0]} to {told[-1]}",
            fix="name one of those days, or the file of this one",
        )
    totals = [total for total in totals if total.day == day]
    zones = sorted({total.zone for total in totals}) or ["UTC"]
    tallies, n_timeless = tally(root, day, zones, journal)
    if not totals:
        return _without_totals(day, tallies["UTC"])
    columns = (*GROUP, "zone", "sent", DECIDED, "duplicate", "dead letter", "missing", "surplus")
    section = Section("groups", "Groups", (*columns, "sum sent", "sum found", "verdict"))
    answer = Report([section], {"day": day})
    for total in totals:
        found = Tally()
        for group, part in tallies[total.zone].items():
            if total.covers(group):
                _merge(found, part)
        row, agrees = _compared(total, found)
        section.rows.append(row)
        answer.is_fine &= agrees
    answer.facts["groups that differ"] = sum(row[-1] != "agrees" for row in section.rows)
    answer.facts["dead letters of no day"] = n_timeless
    uncovered = [
        (*group, zone, sum(part.counts.values()))
        for zone in zones
        for group, part in sorted(tallies[zone].items())
        if not any(t.covers(group) for t in totals)
    ]
    if uncovered:
        title, names = "Journaled, and covered by no total", (*GROUP, "zone", "journaled")
        answer.sections.append(Section("uncovered", title, names, list(uncovered)))
        answer.is_fine = False
    return answer


def tally(
    root: Path, day: str, zones: Sequence[str], journal: JournalReader
) -> tuple[dict[str, dict[Group, Tally]], int]:
    """By zone and group what became of the transactions of `day`, and how many dead letters tell no day.

    Reads the whole journal: a transaction may come days late.
    """
    lost = {s.seq: DUPLICATE for s in lines(root, "duplicates", _Seq)}
    lost |= {s.seq: DEAD for s in lines(root, "dead_letters", _Seq)}
    bounds = {zone: _bounds_us(day, ZoneInfo(zone)) for zone in zones}
    found: dict[str, dict[Group, Tally]] = {zone: {} for zone in zones}
    n_timeless = 0
    decided = (s.seq for s in lines(root, "decisions", _Seq))
    next_decided = next(decided, -1)
    with Progress(journal.seq_end - journal.first_seq, "rows") as progress:
        for run in journal.read(journal.first_seq):
            progress.advance(len(run))
            for seq, line in enumerate(run.messages.lines, run.seq0):
                while -1 < next_decided < seq:
                    next_decided = next(decided, -1)
                became = DECIDED if next_decided == seq else lost.get(seq, "")
                if not became:
                    continue
                time_us = event_time_us(line)
                n_timeless += time_us is None
                for zone, (start_us, end_us) in bounds.items():
                    if time_us is not None and start_us <= time_us < end_us:
                        _count(found[zone], became, line)
    return found, n_timeless


def _count(found: dict[Group, Tally], became: str, line: bytes) -> None:
    message = _read(line)
    if message.kind == "transaction":
        group = (message.currency or "", message.direction or "", message.type or "")
        found.setdefault(group, Tally()).add(became, message.amount)


def _read(line: bytes) -> _Message:
    """What can be read of a message; of a dead letter perhaps nothing but some texts."""
    try:
        return _DECODE(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        record = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        record = None
    told = record if isinstance(record, dict) else {}
    texts = {k: v for k in ("kind", *GROUP) if isinstance(v := told.get(k), str)}
    return msgspec.convert(texts, _Message)


def _compared(total: Total, found: Tally) -> tuple[tuple[Cell, ...], bool]:
    """One row of the table, and whether both sides agree."""
    counts, sums = found.counts, found.sums
    arrived = counts[DECIDED] + counts[DEAD]
    arrived_sum = sums.get(DECIDED, Decimal(0)) + sums.get(DEAD, Decimal(0))
    missing, surplus = max(0, total.count - arrived), max(0, arrived - total.count)
    verdicts = []
    if missing:
        repeats = (
            f", unless the feed counted repeats: {missing} came"
            if missing == counts[DUPLICATE]
            else ""
        )
        verdicts.append(f"{missing} sent, never arrived{repeats}")
    if surplus:
        verdicts.append(f"{surplus} arrived, never sent")
    if total.sum is not None and arrived_sum != abs(total.sum):
        off = arrived_sum - abs(total.sum)
        verdicts.append(f"the sum is off by {off:+f}")
        if found.unreadable:
            verdicts.append(f"{found.unreadable} dead letters have no amount")
    agrees = not verdicts
    if counts[DEAD]:
        verdicts.append(f"{counts[DEAD]} arrived, could not be taken")
    row: tuple[Cell, ...] = (
        total.currency or "all",
        total.direction or "all",
        total.type or "all",
        total.zone,
        total.count,
        counts[DECIDED],
        counts[DUPLICATE],
        counts[DEAD],
        missing,
        surplus,
        None if total.sum is None else f"{abs(total.sum):f}",
        f"{arrived_sum:f}",
        "; ".join(verdicts) or "agrees",
    )
    return row, agrees


def _without_totals(day: str, tallies: Mapping[Group, Tally]) -> Report:
    columns = (*GROUP, DECIDED, "duplicate", "dead letter", "sum decided")
    section = Section("groups", "Journaled by group, UTC day", columns)
    for group, found in sorted(tallies.items()):
        counts = (found.counts[what] for what in (DECIDED, DUPLICATE, DEAD))
        section.rows.append((*group, *counts, f"{found.sums.get(DECIDED, Decimal(0)):f}"))
    remark = "Nothing was compared: --totals FILE names what the feed says it sent."
    return Report([section], {"day": day}, [remark])


def _merge(whole: Tally, part: Tally) -> None:
    for what, n in part.counts.items():
        whole.counts[what] += n
    for what, amount in part.sums.items():
        whole.sums[what] = whole.sums.get(what, Decimal(0)) + amount
    whole.unreadable += part.unreadable


def _bounds_us(day: str, zone: ZoneInfo) -> tuple[int, int]:
    """Start and end of a local day, microseconds UTC."""
    start = datetime.fromisoformat(day).replace(tzinfo=zone)
    end = (start.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone)
    first, last = ((at - _EPOCH) // timedelta(microseconds=1) for at in (start, end))
    return first, last


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Number and content of each line of a file of totals; empty cells of CSV are left out."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".csv":
                for number, row in enumerate(csv.DictReader(file), 2):
                    yield number, {k: v for k, v in row.items() if k is not None and v}
                return
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"the control totals cannot be read: {error}",
            str(path),
            fix="give one JSON object a line (.ndjson), or CSV with a header (.csv)",
        ) from None
