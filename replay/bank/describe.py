"""What a recording holds, in one page: `weir generate --describe FILE`.

For any recording of canonical messages, generated or not, as NDJSON (plain or packed) or Parquet. It is read once, and
the identities of transactions a second time if there are labels, to see how long each took. Memory grows with the
number of accounts, devices and labels, not with the number of messages: amounts and gaps are kept in bins of half a
percent, so their quantiles are right to a quarter of a percent; greatest values are exact.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa

from config.errors import InputError
from engine.brokers.packed import BLOCK_BYTES, DAMAGED, Splitter, damaged, open_packed
from engine.brokers.parquet import batches, opened
from engine.quantities import read_times
from replay.bank.table import F8, I8
from replay.bank.truth import Truth, truth_path

Values: TypeAlias = list[Any]

LINE_BYTES: Final = 1 << 20  # a longer line is not read
ROWS: Final = 65_536
AMOUNT_MAX: Final = 1e18  # nobody has as much, in any currency
BIN: Final = 0.005  # width in natural logarithms
LATENESS_US: Final = 15 * 60_000_000
QUARTER_US: Final = 15 * 60_000_000  # no zone is off by less than that
PARTIES: Final = ("account", "customer", "card", "device", "merchant", "terminal")
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
BARS: Final = "▁▂▃▄▅▆▇█"
UNREAD: Final = -1


class Identity(msgspec.Struct, gc=False):
    """What tells a transaction from others, and when it happened."""

    kind: str | None = None
    event_time: str | int | None = None
    account: str | None = None
    transaction_id: str | None = None


class Message(Identity, gc=False):
    """What is looked at of one message."""

    type: str | None = None
    status: str | None = None
    label: str | None = None
    customer: str | None = None
    card: str | None = None
    device: str | None = None
    merchant: str | None = None
    terminal: str | None = None
    amount: str | int | float | None = None
    currency: str | None = None


Shape: TypeAlias = type[Identity]


@dataclass(slots=True)
class Bins:
    """Counts of positive numbers in bins of equal width on a logarithmic scale."""

    counts: Counter[int] = field(default_factory=Counter)
    greatest: float = 0.0

    def add(self, values: F8) -> None:
        """Count `values` (n,), those that are not above zero as zero."""
        if not len(values):
            return
        self.greatest = max(self.greatest, float(values.max()))
        index = np.full(len(values), _ZERO)
        above = values > 0.0
        index[above] = np.rint(np.log(values[above]) / BIN).astype(np.int64)
        found, n = np.unique(index, return_counts=True)
        self.counts.update(dict(zip(found.tolist(), n.tolist(), strict=True)))

    @property
    def n(self) -> int:
        return self.counts.total()

    def quantile(self, share: float) -> float:
        """The least value that at least `share` of the numbers do not exceed."""
        rank, seen = share * self.n, 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= rank:
                return 0.0 if index == _ZERO else min(float(np.exp(index * BIN)), self.greatest)
        return 0.0


_ZERO: Final = -(1 << 40)


@dataclass(slots=True)
class Description:
    """What was found. Times in microseconds UTC; `hours` and `weekdays` count transactions in local time."""

    path: Path
    zone: str
    n_lines: int = 0
    n_unreadable: int = 0
    first_us: int = 1 << 62
    last_us: int = UNREAD
    by_type: Counter[tuple[str, str]] = field(default_factory=Counter)
    parties: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in PARTIES})
    amounts: dict[tuple[str, str], Bins] = field(default_factory=dict)
    n_without_amount: int = 0
    hours: I8 = field(default_factory=lambda: np.zeros(24, np.int64))
    weekdays: I8 = field(default_factory=lambda: np.zeros(7, np.int64))
    gaps_s: Bins = field(
        default_factory=Bins
    )  # from the newest before it of its account, where it is newer
    behind_s: Bins = field(default_factory=Bins)  # how far those that are out of order lie behind
    n_late: int = 0  # of these, behind by more than the shipped lateness
    delays_s: dict[str, Bins] = field(default_factory=dict)  # by verdict
    n_unlinked: int = 0  # labels on transactions that are not there
    n_called_fraud: int = 0  # transactions whose last verdict is fraud
    truth: Truth | None = None

    @property
    def n_transactions(self) -> int:
        return sum(n for (kind, _), n in self.by_type.items() if kind == "transaction")


def describe(path: Path, zone: str = "Asia/Shanghai") -> Description:
    """Read a recording, and the truth if it stands beside it; raise `InputError` for what cannot be read at all."""
    found = Description(path, zone)
    reading = _Reading(found)
    for columns in _chunks(path, Message, found):
        reading.add(columns)
    if reading.labels:
        _measure_delays(path, found, reading.labels)
    truth = truth_path(path)
    found.truth = Truth.read(truth) if truth.is_file() else None
    return found


# ---------------------------------------------------------------- files to columns


def _chunks(path: Path, shape: Shape, found: Description | None) -> Iterator[dict[str, Values]]:
    """The keys of `shape` of the messages of a file, many at a time; None where a message has no such key."""
    if not path.is_file():
        raise InputError(f"there is no file {path}", fix="correct the path of the recording")
    if path.suffix == ".parquet":
        return _parquet(path, shape.__struct_fields__, found)
    return _ndjson(path, shape, found)


def _ndjson(path: Path, shape: Shape, found: Description | None) -> Iterator[dict[str, Values]]:
    decode = msgspec.json.Decoder(shape).decode
    names = shape.__struct_fields__
    values_of = attrgetter(*names)
    splitter = Splitter(LINE_BYTES)
    with open_packed(path) as stream:
        while True:
            try:
                block = stream.read(BLOCK_BYTES)
            except DAMAGED as error:
                raise damaged(path, error) from None
            lines = splitter.split(block) if block else splitter.rest()
            messages = _decoded(decode, lines)
            if found is not None:
                found.n_lines += len(lines)
                found.n_unreadable += len(lines) - len(messages)
            if messages:
                columns = zip(*map(values_of, messages), strict=True)
                yield {name: list(c) for name, c in zip(names, columns, strict=True)}
            if not block:
                return


def _decoded(decode: Callable[[bytes], Identity], lines: list[bytes]) -> list[Identity]:
    """The messages of lines that can be read."""
    try:
        return list(map(decode, lines))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        messages = []
    for line in lines:
        try:
            messages.append(decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return messages


def _parquet(
    path: Path, names: Sequence[str], found: Description | None
) -> Iterator[dict[str, Values]]:
    with opened(path) as file:
        there = [name for name in names if name in file.schema_arrow.names]
    for batch in batches(path, there, ROWS):
        if found is not None:
            found.n_lines += batch.num_rows
        nothing = [None] * batch.num_rows
        yield {name: _plain(path, batch, name) if name in there else nothing for name in names}


def _plain(path: Path, batch: Any, name: str) -> Values:
    """A column as texts, but times that are numbers and amounts as they stand."""
    column = batch.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        raise InputError(
            f"the column `{name}` holds {column.type}",
            str(path),
            "a message has texts and numbers",
            "write the column as text, or under another name",
        )
    if name not in ("event_time", "amount"):
        column = column.cast(pa.string())
    if pa.types.is_timestamp(column.type):  # as epoch milliseconds, which messages may have too
        column = column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
    values: Values = column.to_pylist()
    return values


# ---------------------------------------------------------------- columns to counts


@dataclass(slots=True)
class _Reading:
    """Adds one chunk after the other to a description."""

    found: Description
    labels: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)
    _account: dict[str, int] = field(default_factory=dict)
    _last_us: I8 = field(default_factory=lambda: np.full(1_024, UNREAD, np.int64))
    _newest_us: int = UNREAD
    _local: dict[int, tuple[int, int]] = field(default_factory=dict)  # quarter -> weekday, hour

    def add(self, columns: Mapping[str, Values]) -> None:
        found = self.found
        times = _times(columns["event_time"])
        kinds = [kind or "transaction" for kind in columns["kind"]]
        known = times[times != UNREAD]
        if len(known):
            found.first_us = min(found.first_us, int(known.min()))
            found.last_us = max(found.last_us, int(known.max()))
        names = [
            (label if kind == "label" else status if kind == "update" else type_) or ""
            for kind, type_, status, label in zip(
                kinds, columns["type"], columns["status"], columns["label"], strict=True
            )
        ]
        found.by_type.update(zip(kinds, names, strict=True))
        for party, seen in found.parties.items():
            seen.update(columns[party])
            seen.discard(_NOBODY)
        self._keep_labels(kinds, times, columns)
        moved = np.flatnonzero((np.array(kinds, object) == "transaction") & (times != UNREAD))
        if len(moved):
            some = {name: [columns[name][i] for i in moved.tolist()] for name in _OF_AMOUNTS}
            self._add_amounts(some)
            self._add_times(times[moved], some["account"])

    def _keep_labels(self, kinds: list[str], times: I8, columns: Mapping[str, Values]) -> None:
        if "label" not in kinds:
            return
        for i, kind in enumerate(kinds):
            if kind == "label":
                key = (str(columns["account"][i]), str(columns["transaction_id"][i]))
                told = (int(times[i]), str(columns["label"][i]))
                self.labels.setdefault(key, []).append(told)

    def _add_amounts(self, columns: Mapping[str, Values]) -> None:
        amounts = _numbers(columns["amount"])
        self.found.n_without_amount += int(np.isnan(amounts).sum())
        keys = list(zip(columns["type"], columns["currency"], strict=True))
        code = {key: k for k, key in enumerate(dict.fromkeys(keys))}
        which = np.fromiter(map(code.__getitem__, keys), np.int64, len(keys))
        for (type_, currency), k in code.items():
            mine = amounts[(which == k) & ~np.isnan(amounts)]
            self.found.amounts.setdefault((type_ or "", currency or ""), Bins()).add(mine)

    def _add_times(self, times: I8, accounts: Values) -> None:
        found = self.found
        quarters, n = np.unique(times // QUARTER_US, return_counts=True)
        zone = ZoneInfo(found.zone)
        for quarter, count in zip(quarters.tolist(), n.tolist(), strict=True):
            if quarter not in self._local:
                moment = datetime.fromtimestamp(quarter * QUARTER_US // 1_000_000, zone)
                self._local[quarter] = (moment.weekday(), moment.hour)
            weekday, hour = self._local[quarter]
            found.weekdays[weekday] += count
            found.hours[hour] += count
        newest = np.maximum.accumulate(np.append(self._newest_us, times))
        behind = newest[:-1] - times
        self._newest_us = int(newest[-1])
        found.behind_s.add(behind[behind > 0] / 1e6)
        found.n_late += int((behind > LATENESS_US).sum())
        self._add_gaps(times, accounts)

    def _add_gaps(self, times: I8, accounts: Values) -> None:
        code = self._account
        for account in accounts:
            if account not in code:
                code[account] = len(code)
        if len(code) > len(self._last_us):
            more = np.full(2 * len(code) - len(self._last_us), UNREAD, np.int64)
            self._last_us = np.concatenate([self._last_us, more])
        which = np.fromiter(map(code.__getitem__, accounts), np.int64, len(accounts))
        order = np.argsort(which, kind="stable")
        n, which, times = len(order), which[order], times[order]
        by_time = np.argsort(times, kind="stable")
        rank = np.empty(n, np.int64)
        rank[by_time] = np.arange(n)
        newest = times[
            by_time[np.maximum.accumulate(which * n + rank) % n]
        ]  # of its account so far
        before = np.append(UNREAD, newest[:-1])
        before[np.append(True, which[1:] != which[:-1])] = UNREAD
        before = np.maximum(before, self._last_us[which])
        gap_us = (times - before)[before != UNREAD]
        self.found.gaps_s.add(gap_us[gap_us > 0] / 1e6)
        np.maximum.at(self._last_us, which, times)


_NOBODY: Final[Any] = None
_OF_AMOUNTS: Final = ("account", "amount", "type", "currency")


def _times(values: Values) -> I8:
    """Microseconds UTC (n,), UNREAD where there is no time."""
    us = np.full(len(values), UNREAD, np.int64)
    for kind in (str, int):
        at = [i for i, value in enumerate(values) if type(value) is kind]
        if len(at) == len(values):
            at = list(range(len(values)))
        if at:
            read, wrong = read_times([values[i] for i in at])
            read[list(wrong)] = UNREAD
            us[at] = read
    return us


def _numbers(values: Values) -> F8:
    """Amounts as numbers (n,), NaN where there is none."""
    try:
        numbers = np.fromiter(map(float, values), np.float64, len(values))
    except (TypeError, ValueError, OverflowError):
        numbers = np.array([_number(value) for value in values], np.float64)
    return np.where(np.abs(numbers) < AMOUNT_MAX, numbers, np.nan)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _measure_delays(
    path: Path, found: Description, labels: Mapping[tuple[str, str], list[tuple[int, str]]]
) -> None:
    """Look up when the transactions with labels happened."""
    delays: dict[str, list[float]] = {}
    waiting = dict(labels)
    for columns in _chunks(path, Identity, None):
        rows = zip(*(columns[name] for name in ("kind", "account", "transaction_id")), strict=True)
        at = [
            i
            for i, (kind, account, id_) in enumerate(rows)
            if (account, id_) in waiting and kind in (None, "transaction")
        ]
        for i, us in zip(at, _times([columns["event_time"][i] for i in at]).tolist(), strict=True):
            told = waiting.pop((columns["account"][i], columns["transaction_id"][i]), [])
            for label_us, verdict in told:
                delays.setdefault(verdict, []).append(max(label_us - us, 0) / 1e6)
            found.n_called_fraud += bool(told) and max(told)[1] == "fraud"
    found.n_unlinked = len(waiting)
    for verdict, values in sorted(delays.items()):
        found.delays_s.setdefault(verdict, Bins()).add(np.array(values))


# ---------------------------------------------------------------- counts to text


def page(found: Description) -> str:
    """A description as a person reads it."""
    parts = ["\n".join(_head(found)), _types(found), _amounts(found), "\n".join(_rhythm(found))]
    parts += [_labels(found)] if found.delays_s or found.n_unlinked else []
    parts += [_truth(found, found.truth)] if found.truth is not None else []
    return "\n\n".join(part for part in parts if part)


def _head(found: Description) -> Iterator[str]:
    zone = ZoneInfo(found.zone)
    yield f"recording    {found.path.name}, {found.path.stat().st_size / 1e6:,.1f} MB, {found.n_lines:,} messages"
    if found.last_us >= 0:
        first, last = (
            datetime.fromtimestamp(us / 1e6, UTC).astimezone(zone)
            for us in (found.first_us, found.last_us)
        )
        days = (found.last_us - found.first_us) / 86_400e6
        yield f"period       {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}, {found.zone}, {days:,.1f} days"
    who = (f"{party}s {len(seen):,}" for party, seen in found.parties.items() if seen)
    yield f"who          {', '.join(who) or 'nobody'}"
    if found.n_unreadable:
        yield f"unreadable   {found.n_unreadable:,} lines"


def _types(found: Description) -> str:
    total = max(found.by_type.total(), 1)
    rows = []
    kinds = Counter[str]()
    for (kind, _), n in found.by_type.items():
        kinds[kind] += n
    for kind, n in kinds.most_common():
        rows.append([kind, "", f"{n:,}", f"{n / total:.1%}"])
        each = sorted((-m, name) for (k, name), m in found.by_type.items() if k == kind and name)
        rows += [["", name, f"{-m:,}", f"{-m / total:.2%}"] for m, name in each]
    return _table(["messages", "type", "n", "share"], rows, n_text=2)


def _amounts(found: Description) -> str:
    rows = []
    by_size = sorted(found.amounts.items(), key=lambda item: (item[0][0], -item[1].n))
    for (type_, currency), bins in by_size:
        quantiles = [_amount(bins.quantile(share)) for share in (0.5, 0.95, 0.99)]
        rows.append([type_, currency, f"{bins.n:,}", *quantiles, f"{bins.greatest:,.2f}"])
    return _table(["amounts", "currency", "n", "median", "p95", "p99", "max"], rows, n_text=2)


def _rhythm(found: Description) -> Iterator[str]:
    n = max(found.n_transactions, 1)
    yield f"hours        {_bars(found.hours)}  transactions at 0 to 23 o'clock, busiest {int(found.hours.argmax())}"
    names = " ".join(
        f"{day} {count / n:.0%}" for day, count in zip(WEEKDAYS, found.weekdays, strict=True)
    )
    yield f"weekdays     {_bars(found.weekdays)}  {names}"
    if found.gaps_s.n:
        gaps = [_span(found.gaps_s.quantile(share)) for share in (0.1, 0.5, 0.9)]
        yield f"gaps         between transactions of an account: p10 {gaps[0]}, median {gaps[1]}, p90 {gaps[2]}"
    behind = found.behind_s
    text = f"out of order {behind.n / n:.2%} of the transactions"
    if behind.n:
        text += f", median {_span(behind.quantile(0.5))} behind, at most {_span(behind.greatest)}"
        text += f"; {found.n_late:,} by more than {_span(LATENESS_US / 1e6)}"
    yield text


def _labels(found: Description) -> str:
    rows = []
    for verdict, bins in found.delays_s.items():
        delays = [_span(bins.quantile(share)) for share in (0.05, 0.5, 0.95)]
        rows.append([verdict, f"{bins.n:,}", *delays, _span(bins.greatest)])
    table = _table(["labels", "n", "delay p5", "median", "p95", "max"], rows, n_text=1)
    share = found.n_called_fraud / max(found.n_transactions, 1)
    last = f"by label     {found.n_called_fraud:,} transactions were last called fraud, {share:.4%}"
    if found.n_unlinked:
        last += f"; {found.n_unlinked:,} labels are about transactions that are not there"
    return f"{table}\n{last}"


def _truth(found: Description, truth: Truth) -> str:
    frauds = sum(not mark.is_honest for mark in truth.marks)
    share = frauds / max(found.n_transactions, 1)
    attempts: dict[tuple[bool, str], Counter[str]] = {}
    rows_of = Counter[tuple[bool, str]]()
    for marks in truth.attempts.values():
        key = (marks[0].is_honest, marks[0].typology)
        attempts.setdefault(key, Counter())[marks[0].variant] += 1
        rows_of[key] += len(marks)
    rows = [
        ["honest" if is_honest else "fraud", name, *(str(n[v] or "") for v in ("easy", "hard")), str(n.total()),
         f"{rows_of[is_honest, name]:,}"]
        for (is_honest, name), n in sorted(attempts.items())
    ]  # fmt: skip
    table = _table(
        ["by truth", "typology", "easy", "hard", "attempts", "transactions"], rows, n_text=2
    )
    return f"{table}\nby truth     {frauds:,} transactions are fraud, {share:.4%}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], n_text: int) -> str:
    """Columns one below the other; the first `n_text` hold words, the others numbers."""
    if not rows:
        return ""
    width = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    width[0] = max(width[0], 11)
    return "\n".join(
        "  ".join(
            cell.ljust(w) if k < n_text else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(row, width, strict=True))
        ).rstrip()
        for row in (heads, *rows)
    )


def _bars(counts: I8) -> str:
    most = max(int(counts.max()), 1)
    return "".join(BARS[min(int(n) * len(BARS) // most, len(BARS) - 1)] for n in counts)


def _amount(value: float) -> str:
    """Three significant digits, which is what the bins can tell."""
    return f"{float(f'{value:.3g}'):,.{0 if value >= 99.95 else 2}f}"


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 0.9975 * size:  # as near as the bins are
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
