"""Attempts recorded elsewhere stand in a generated bank's traffic as its own payments would."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from benchmarks import injecting
from benchmarks.injecting import Hop, Pattern
from replay.bank.population import make_population
from replay.generate import ZONE, generate

SEED, DAYS, ACCOUNTS = 4, 6, 60
HOUR_US = 3_600_000_000
A, B, C, D = (("bank", name) for name in "ABCD")
HOPS = (  # A collects and pays on: more hops than anybody else
    Hop(B, A, 9 * HOUR_US, 4_000_000),
    Hop(C, A, 10 * HOUR_US, 3_000_050),
    Hop(A, D, 34 * HOUR_US, 9_000_000),
    Hop(A, D, 35 * HOUR_US, 500_000),
)
CIRCLE = (Hop(A, B, HOUR_US, 100), Hop(B, A, 2 * HOUR_US, 100))


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    path: Path = tmp_path_factory.mktemp("bank") / "bank.ndjson"
    generate(path, accounts=ACCOUNTS, days=DAYS, seed=SEED, fraud_share=0.0)
    start_us = round(datetime(2026, 3, 2, tzinfo=ZONE).timestamp() * 1e6)
    population = make_population(SEED, ACCOUNTS, 4.0, start_us)
    patterns = [Pattern(0, "GATHER", HOPS), Pattern(1, "CYCLE", CIRCLE)]
    casts = injecting.cast(patterns, population, DAYS, SEED)
    return injecting.Background(path, population), population, casts


def injected(bank, tmp_path, *, is_hub_alone, scale=1.0):
    background, population, casts = bank
    path = tmp_path / "injected.ndjson"
    staged = injecting.inject(
        background, population, casts, path, is_hub_alone=is_hub_alone, scale=scale, seed=SEED
    )
    return staged, [json.loads(line) for line in path.read_bytes().splitlines()]


def own(messages, staged):
    """The transactions of the attempts, by leg."""
    legs = {leg: k for k, each in enumerate(staged) for leg in each.legs}
    found = {}
    for m in messages:
        key = (m.get("account"), m.get("transaction_id"))
        if m["kind"] == "transaction" and key in legs:
            found[key] = m
    assert found.keys() == legs.keys()
    return found


def test_everything_else_stays_as_it_is_but_for_the_balances(bank, tmp_path):
    staged, messages = injected(bank, tmp_path, is_hub_alone=False)
    new = own(messages, staged)
    before = [json.loads(line) for line in bank[0].path.read_bytes().splitlines()]
    rest = iter(m for m in messages if (m.get("account"), m.get("transaction_id")) not in new)
    accounts = set().union(*(each.accounts for each in staged))
    n_more = 0
    for old in before:
        now = next(rest)
        while now != old and now["kind"] == "activity":
            assert now["account"] in accounts
            assert now["type"] in ("login", "payee_added")
            n_more, now = n_more + 1, next(rest)
        if now != old:
            assert now.keys() == old.keys()
            assert {k for k in now if now[k] != old[k]} == {"balance_before"}
            assert now["account"] in accounts
    assert n_more + sum(m["kind"] == "activity" for m in rest) == 6 + 5  # logins, new payees


def test_hops_keep_amounts_and_gaps_and_everybody_here_sees_both_legs(bank, tmp_path):
    staged, messages = injected(bank, tmp_path, is_hub_alone=False)
    new = own(messages, staged)
    assert len(new) == 2 * (len(HOPS) + len(CIRCLE))
    for hops, each in zip((HOPS, CIRCLE), staged, strict=True):
        gaps = [hop.after_us - hops[0].after_us for hop in hops]
        assert [at - each.hop_us[0] for at in each.hop_us] == gaps
        for leg, k in each.legs.items():
            assert new[leg]["amount"] == f"{hops[k].fen / 100:.2f}"
    out = [m for m in new.values() if m["direction"] == "out"]
    assert len(out) == len(new) / 2
    assert all(m["payee"].startswith("A") and m["device"] and m["customer"] for m in out)


def test_alone_the_hub_sees_only_its_own_legs_and_strangers_beyond(bank, tmp_path):
    staged, messages = injected(bank, tmp_path, is_hub_alone=True, scale=0.01)
    new = own(messages, staged)
    assert [len(each.accounts) for each in staged] == [1, 1]
    assert [len(each.legs) for each in staged] == [len(HOPS), len(CIRCLE)]
    assert all(m["counterparty"].startswith("X") for m in new.values())
    assert sorted(m["amount"] for m in new.values()) == sorted(
        ["400.00", "300.00", "900.00", "50.00", "0.01", "0.01"]
    )


def test_no_payment_lacks_cover_and_money_that_came_in_is_there(bank, tmp_path):
    staged, messages = injected(bank, tmp_path, is_hub_alone=True)
    (account,) = staged[0].accounts
    before = [json.loads(line) for line in bank[0].path.read_bytes().splitlines()]
    mine = (m for m in before if m["kind"] == "transaction" and m["account"] == account)
    held = {m["transaction_id"]: m for m in mine}
    begin = min(own(messages, staged).values(), key=lambda m: m["event_time"])["event_time"]
    more = set()
    for m in messages:
        if m.get("account") != account or m["kind"] != "transaction":
            continue
        if m["transaction_id"] in held:
            was = float(held[m["transaction_id"]]["balance_before"])
            more.add(round(float(m["balance_before"]) - was, 2))
        elif m["direction"] == "out":
            assert float(m["balance_before"]) >= float(m["amount"])
        assert m["event_time"] >= begin or not more - {24_999.5}
    # 95,000.00 goes and 70,000.50 came: the rest was there before, and what the owner has is not touched
    assert more >= {24_999.5, 0.0}
    assert max(more) <= 24_999.5 + 70_000.5
    assert min(more) == 0.0


def test_messages_stand_in_order_of_time(bank, tmp_path):
    staged, messages = injected(bank, tmp_path, is_hub_alone=False)
    new, newest = own(messages, staged), ""
    for m in messages:
        if (m.get("account"), m.get("transaction_id")) in new and m["kind"] == "transaction":
            assert m["event_time"] >= newest
        newest = max(newest, m["event_time"])


def test_an_attempt_that_does_not_fit_is_left_out(bank):
    _, population, _ = bank
    long = Pattern(0, "FAN-OUT", (Hop(A, B, 0, 1), Hop(A, C, DAYS * 24 * HOUR_US, 1)))
    crowd = Pattern(
        1, "FAN-OUT", tuple(Hop(A, ("bank", str(k)), k, 1) for k in range(ACCOUNTS + 1))
    )
    fits = Pattern(2, "FAN-OUT", CIRCLE)
    chosen = injecting.cast([long, crowd, fits], population, DAYS, SEED)
    assert [each.pattern for each in chosen] == [fits]
