"""Law: what a window adds up in two currencies is what a naive bank adds up, however the day is cut into batches."""

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import Core
from tests.abroad import message, rule, setup, update
from tests.oracles import exchange

RULES = """\
features:
  yuan: sum(amount) by account over 9d
  dollars: sum(convert(amount, "USD")) by account over 9d
""" + rule("yuan > 0 and dollars > 0 USD")
TABLE = [  # as tests/abroad.py has it
    (dt.date(2026, 3, 1), {"USD": "7.00", "EUR": "8.00", "JPY": "0.05", "KWD": "23.00"}),
    (dt.date(2026, 3, 3), {"USD": "6.00"}),
]
DECIMALS = {"CNY": 2, "USD": 2, "EUR": 2, "JPY": 0, "KWD": 3, "ISK": 0}
CURRENCIES = st.sampled_from(sorted(DECIMALS))


@st.composite
def days(draw):
    """Payments and updates of them, as (time, kind, name, amount in minor units or None, currency or None)."""
    facts, known = [], []
    hours = sorted(draw(st.lists(st.integers(0, 90), min_size=6, max_size=14)))
    for k, hour in enumerate(hours):
        at = dt.datetime(2026, 3, 1, tzinfo=dt.UTC) + dt.timedelta(hours=hour, seconds=k)
        currency = draw(CURRENCIES)
        amount = draw(st.integers(0, 3_000))
        if known and draw(st.integers(0, 2)):
            named = draw(st.one_of(st.none(), st.just(currency)))
            changed = amount if named or draw(st.booleans()) else None
            facts.append((at, "update", draw(st.sampled_from(known)), changed, named))
        else:
            known.append(f"t{k}")
            facts.append((at, "payment", f"t{k}", amount, currency))
    return facts


def written(minor, currency):
    digits = DECIMALS[currency]
    return f"{minor // 10**digits}.{minor % 10**digits:0{digits}d}" if digits else str(minor)


def naive(facts):
    """The sums in fen and cents: each transaction as it is last known, at the rate of its own time."""
    last = {}
    for at, kind, name, minor, currency in facts:
        if kind == "payment":
            last[name] = (at, minor, currency)
        elif minor is not None or currency is not None:
            paid_at, _, before = last[name]
            last[name] = (paid_at, minor, currency or before)
    found = []
    for target in ("CNY", "USD"):
        worth = [
            exchange.converted(TABLE, "CNY", minor, currency, target, at, offset_hours=8, valid_days=40)
            for at, minor, currency in last.values()
        ]  # fmt: skip
        found.append(sum(amount for amount in worth if amount is not None))
    return found


def lines_of(facts):
    """The messages; an update without a currency writes its amount with the digits of what it updates."""
    currencies, lines = {}, []
    for k, (at, kind, name, minor, currency) in enumerate(facts):
        currencies[name] = currency or currencies[name]
        fields = {"currency": currency} if currency else {}
        if minor is not None:
            fields["amount"] = written(minor, currencies[name])
        stamp = at.strftime("%dT%H:%M:%S")
        if kind == "payment":
            lines.append(message(stamp, name, **fields))
        else:
            lines.append(update(stamp, f"u{k}", name, **(fields or {"status": "booked"})))
    return [*lines, message("05T12:00:00", "ask", amount="0", currency="CNY")]


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return setup(tmp_path_factory.mktemp("abroad") / "bank", RULES)


@given(days(), st.lists(st.integers(1, 10), max_size=4))
def test_sums_in_two_currencies_are_those_of_a_naive_bank(bank, facts, cuts):
    facts = [f for f in facts if not (f[1] == "update" and f[4] is None and _is_kwd(facts, f))]
    lines = lines_of(facts)
    core = Core(bank)
    edges = sorted({0, len(lines), *(c for c in cuts if c < len(lines))})
    for a, b in itertools.pairwise(edges):
        outcome = core.apply(lines[a:b], ["x"] * (b - a))
        assert not outcome.batch.dead
    got = [int(outcome.frame.column(name)[-1]) for name in ("yuan", "dollars")]
    assert got == naive(facts)


def _is_kwd(facts, fact):
    """Whether an update that names no currency may be of dinars, whose third decimal decode would refuse."""
    before = [f[4] for f in facts[: facts.index(fact)] if f[2] == fact[2] and f[4]]
    return before[-1:] == ["KWD"]
