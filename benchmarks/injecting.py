"""Laundering attempts recorded elsewhere, put into the traffic of a generated bank.

A recording is read line by line and written again with the lines of the attempts between its own. Its own lines stay as
they are, but for `balance_before` on the accounts that the attempts move money on. What was chosen, and why, stands in
bench_laundering.py.
"""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from replay.bank import messages
from replay.bank.population import PAYROLL_BUREAU
from replay.bank.scene import DAY_US, MINUTE_US, Scene
from replay.bank.table import OUTSIDE, Table
from replay.bank.writer import Renderer, Slice

WARM_DAYS = 7  # before the first attempt, as the generator has it for its own frauds
NUMBER = 9_000_000_000  # transactions of the attempts are numbered from here on
ATTEMPT = 1_000_000  # and so are the attempts, for what is fresh in them
# Units of a currency for a US dollar, as AMLworld itself converts: accounts there receive one currency and pass on the
# same worth in another, and these are the quotients that such hops have (the pound's is the least certain).
A_DOLLAR = {
    "US Dollar": 1.0,
    "Yuan": 6.6976,
    "Euro": 0.8534,
    "UK Pound": 0.7739,
    "Swiss Franc": 0.915,
    "Saudi Riyal": 3.751,
    "Canadian Dollar": 1.3193,
    "Australian Dollar": 1.4128,
    "Brazil Real": 5.6465,
    "Shekel": 3.377,
    "Mexican Peso": 21.1431,
    "Ruble": 77.8044,
    "Rupee": 73.444,
    "Yen": 105.4,
}
YUAN = {name: A_DOLLAR["Yuan"] / units for name, units in A_DOLLAR.items()}
_TIME, _ACCOUNT, _BEFORE = b'"event_time":"', b'"account":"', b'"balance_before":"'
_TRANSACTION = b'{"kind":"transaction"'
_PAID = (b'"type":"payment"', b'"direction":"out"')


@dataclass(frozen=True, slots=True)
class Hop:
    """One transaction of an attempt: who pays whom (bank and account), when after local midnight of its first day."""

    payer: tuple[str, str]
    receiver: tuple[str, str]
    after_us: int
    fen: int


@dataclass(frozen=True, slots=True)
class Pattern:
    """One attempt as it was recorded: hops in order of time."""

    number: int
    family: str
    hops: tuple[Hop, ...]

    @property
    def accounts(self):
        """All accounts, the one with most hops first; among equals the one that was there first."""
        counts = Counter(each for hop in self.hops for each in (hop.payer, hop.receiver))
        return [account for account, _ in counts.most_common()]

    @property
    def days(self):
        return self.hops[-1].after_us // DAY_US + 1


@dataclass(frozen=True, slots=True)
class Cast:
    """An attempt with its day and its people: pattern account -> row of the population, for all of its accounts."""

    pattern: Pattern
    day: int
    account: dict[tuple[str, str], int]


@dataclass(slots=True)
class Staged:
    """What the bank sees of an attempt.

    legs     : (account, transaction_id) -> which of the hops it is
    accounts : those that are here, as messages name them
    begin_us, end_us : of the first and the last leg
    hop_us   : moments of the hops that are seen, in order
    """

    family: str
    legs: dict[tuple[str, str], int]
    accounts: set[str]
    hop_us: list[int]

    @property
    def begin_us(self):
        return self.hop_us[0]

    @property
    def end_us(self):
        return self.hop_us[-1] + MINUTE_US  # the other leg comes seconds later


def read_patterns(path):
    """The attempts in order of their numbers; an account that pays itself moves nothing, such rows are left out."""
    import pyarrow.parquet as pq

    rows = sorted(pq.read_table(path).to_pylist(), key=lambda r: (r["timestamp"], r["seq"]))
    of = {}
    for row in rows:
        payer = (row["from_bank"], row["from_account"])
        receiver = (row["to_bank"], row["to_account"])
        if payer != receiver:
            of.setdefault((row["pattern_id"], row["family"]), []).append((payer, receiver, row))
    patterns = []
    for (number, family), each in sorted(of.items()):
        midnight = each[0][2]["timestamp"].replace(hour=0, minute=0, second=0, microsecond=0)
        hops = [
            Hop(
                payer,
                receiver,
                round((row["timestamp"] - midnight).total_seconds() * 1e6),
                max(round(100 * row["amount_paid"] * YUAN[row["payment_currency"]]), 1),
            )
            for payer, receiver, row in each
        ]
        patterns.append(Pattern(number, family, tuple(hops)))
    return patterns


def cast(patterns, population, days, seed):
    """Give attempts days and people, all different; those of each family in turn, as long as there are people left."""
    p, rng = population, np.random.default_rng([seed, 3_000])
    able = (p.is_dormant[: p.n_customers] == 0) & (p.segment != PAYROLL_BUREAU)
    people = rng.permutation(np.flatnonzero(able)).tolist()
    turn, waiting = Counter(), []
    for pattern in patterns:
        waiting.append((turn[pattern.family], pattern.number, pattern))
        turn[pattern.family] += 1
    chosen = []
    for _, _, pattern in sorted(waiting, key=lambda w: w[:2]):
        last = days - pattern.days
        first = min(WARM_DAYS, days // 3)
        day = int(rng.integers(first, last + 1)) if last >= first else None
        if day is not None and len(pattern.accounts) <= len(people):
            account = {each: people.pop() for each in pattern.accounts}
            chosen.append(Cast(pattern, day, account))
    return sorted(chosen, key=lambda c: c.pattern.number)


class Background:
    """A recording without attempts: what its accounts hold, and what people usually pay each other."""

    def __init__(self, path, population):
        self.path, self._population = path, population
        self._names = {messages.account_text(a).encode(): a for a in range(population.n_customers)}
        self._held = {}  # account -> (moments as text, fen before that transaction), in order
        paid = []
        with path.open("rb") as file:
            for line in file:
                if not line.startswith(_TRANSACTION):
                    continue
                account = self._names.get(_text(line, _ACCOUNT))
                if account is not None:
                    held = self._held.setdefault(account, [])
                    held.append((_text(line, _TIME), _fen(_text(line, _BEFORE))))
                if all(mark in line for mark in _PAID):
                    paid.append(_fen(_text(line, b'"amount":"')))
        for held in self._held.values():
            held.sort()
        self.typical_fen = float(np.median(paid))

    def held(self, account, moment):
        """Fen on an account at a moment, as the next transaction tells."""
        held = self._held.get(account)
        if held is None:
            return int(self._population.balance[account])
        k = bisect_right(held, moment, key=lambda each: each[0])
        return held[min(k, len(held) - 1)][1]

    def account(self, line):
        """The account of a transaction, -1 for all other messages."""
        return self._names.get(_text(line, _ACCOUNT), -1) if line.startswith(_TRANSACTION) else -1


def inject(background, population, casts, path, *, is_hub_alone, scale, seed):
    """Write the recording with the attempts to `path`; return what the bank sees of each.

    is_hub_alone : only the account with most hops is a customer here, all others bank elsewhere; otherwise all are here
    scale        : of all amounts
    """
    scenes, hops = [], []
    for k, each in enumerate(casts):
        scene, of_row = _stage(population, each, ATTEMPT + k, is_hub_alone, scale, seed)
        scenes.append(scene)
        hops.append(of_row)
    rows = Table.joined([part for scene in scenes for part in scene.transactions])
    of_row = np.array([hop for of_one in hops for hop in of_one])
    order = np.argsort(rows["time_us"], kind="stable")
    rows, of_row = rows.take(order), of_row[order]
    rows.columns["time_us"] = rows["time_us"] // 1_000 * 1_000
    moment = _moments(rows["time_us"])
    moved = np.where(rows["is_in"] == 1, rows["amount_cny"], -rows["amount_cny"])
    more = _raised(rows["account"], moment, moved)
    before = [
        background.held(a, at) + _more(more, a, at, i)
        for i, (a, at) in enumerate(zip(rows["account"].tolist(), moment, strict=True))
    ]
    rows.columns |= {"number": NUMBER + np.arange(rows.n), "before": np.array(before)}
    activities = Table.joined([part for scene in scenes for part in scene.activities])
    _merge(background, path, _lines(population, rows, activities), more)
    return _staged(casts, rows, of_row)


def _stage(population, one, number, is_hub_alone, scale, seed):
    """Put an attempt on stage; return the scene, and which hop each of its transactions is."""
    scene = Scene(
        population=population,
        rng=np.random.default_rng([seed, 3_001, number]),
        attempt=number,
        account=-1,
        start_us=population.start_us + one.day * DAY_US,
        balance=population.balance,
        honest=Table.transactions(0),
    )
    pattern = one.pattern
    here = pattern.accounts[:1] if is_hub_alone else pattern.accounts
    name = {
        each: one.account[each] if each in here else scene.outsider(k)
        for k, each in enumerate(pattern.accounts)
    }
    known, of_row = set(), []
    for k, hop in enumerate(pattern.hops):
        payer, receiver = name[hop.payer], name[hop.receiver]
        at_us, fen = scene.start_us + hop.after_us, max(round(hop.fen * scale), 1)
        n_before = len(scene.transactions)
        if payer < OUTSIDE:
            scene.session(
                at_us, payer, -1 if (payer, receiver) in known else receiver, **scene.home(payer)
            )
            known.add((payer, receiver))
            scene.send(at_us, payer, fen, receiver)
        elif receiver < OUTSIDE:
            scene.receive(np.array([at_us]), receiver, np.array([fen]), payer)
        of_row += [k] * (len(scene.transactions) - n_before)
    return scene, of_row


def _raised(account, moment, moved):
    """Account -> moments and how much more it holds from then on: at first what it needs so as never to run short.

    Whatever an attempt takes from an account beyond what it brought was there before the recording began; what the
    owner has besides is not touched.
    """
    more = {}
    for i, (a, at) in enumerate(zip(account.tolist(), moment, strict=True)):
        at_i = more.setdefault(a, [[], [], [0]])
        at_i[0].append(at)
        at_i[1].append(i)
        at_i[2].append(at_i[2][-1] + int(moved[i]))
    return {
        a: (times, rows, [total - min(totals) for total in totals])
        for a, (times, rows, totals) in more.items()
    }


def _more(more, account, moment, row=None):
    """How much more `account` holds at a moment, or before a row of an attempt."""
    times, rows, totals = more[account]
    return totals[bisect_right(times, moment) if row is None else rows.index(row)]


def _lines(population, rows, activities):
    """Moments and lines of the attempts' messages, in order."""
    tables = {messages.TRANSACTION: rows, messages.ACTIVITY: activities}
    kind = np.repeat(list(tables), [each.n for each in tables.values()])
    index = np.concatenate([np.arange(each.n) for each in tables.values()])
    time_us = np.concatenate([each["time_us"] for each in tables.values()])
    order = np.argsort(time_us, kind="stable")
    known = messages.Columns(population)
    part = Slice(kind[order], index[order], {k: known.of(k, each) for k, each in tables.items()})
    out, end = Renderer(messages.fields([])).render(part)
    text = out.tobytes()
    starts = [0, *end.tolist()]
    lines = [text[a:b] for a, b in pairwise(starts)]
    return list(zip(_moments(time_us[order]), lines, strict=True))


def _merge(background, path, lines, more):
    """Write the recording anew, each line of `lines` before the first message of a later moment."""
    waiting = iter([*lines, (b"~", b"")])
    moment, line = next(waiting)
    with background.path.open("rb") as old, path.open("wb") as new:
        for own in old:
            at = _text(own, _TIME)
            while moment < at:
                new.write(line)
                moment, line = next(waiting)
            account = background.account(own)
            if account in more:
                was = _text(own, _BEFORE)
                now = _fen(was) + _more(more, account, at)
                own = own.replace(_BEFORE + was, _BEFORE + _yuan(now))
            new.write(own)
        while line:
            new.write(line)
            moment, line = next(waiting)


def _staged(casts, rows, of_row):
    staged = [Staged(each.pattern.family, {}, set(), []) for each in casts]
    moments = [{} for _ in casts]
    columns = (rows[name].tolist() for name in ("attempt", "account", "number", "time_us"))
    for attempt, account, number, time_us, hop in zip(*columns, of_row.tolist(), strict=True):
        one, name = staged[attempt - ATTEMPT], messages.account_text(account)
        one.legs[name, messages.transaction_text(number)] = hop
        one.accounts.add(name)
        moments[attempt - ATTEMPT].setdefault(hop, time_us)
    for one, of_hop in zip(staged, moments, strict=True):
        one.hop_us += sorted(of_hop.values())
        seen = {hop: k for k, hop in enumerate(sorted(of_hop))}
        one.legs = {leg: seen[hop] for leg, hop in one.legs.items()}
    return staged


def _text(line, key):
    start = line.index(key) + len(key)
    return line[start : line.index(b'"', start)]


def _fen(text):
    return round(float(text) * 100)


def _yuan(fen):
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}".encode()


def _moments(time_us):
    """As messages write them, which sort as texts."""
    return [
        f"{text}Z".encode()
        for text in np.datetime_as_string(
            time_us.astype("datetime64[us]").astype("datetime64[ms]")
        ).tolist()
    ]
