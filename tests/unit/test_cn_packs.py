"""The Chinese packs as a whole: every large-value report that PBOC order 2016 no. 3 asks for, and no other."""

import csv
import functools
import json
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from config.settings import BANK
from engine.core import Core
from engine.setup import read_setup

SHANGHAI = timezone(timedelta(hours=8))
START = datetime(2026, 4, 28, tzinfo=SHANGHAI)  # the days before and after Labour Day
DAYS = 9
N = 1_500
# Foreign sums are made in dollars only, so that nothing here needs a rate.
OFF = {date(2026, 5, day) for day in (1, 4, 5)}
WORKED = {date(2026, 5, 9)}
CASH = ("cash_deposit", "cash_withdrawal")
LEGAL = {"K01", "K02", "K04"}
EXEMPT = {"K04"}
PERSONS = ["K05", "K06", "K07", "K08"]
LIMITS = {
    "large_cash_cny": 50_000,
    "large_cash_foreign": 10_000,
    "large_transfer_legal_cny": 2_000_000,
    "large_transfer_legal_foreign": 200_000,
    "large_transfer_natural_cny": 500_000,
    "large_transfer_natural_foreign": 100_000,
    "large_border_natural_cny": 200_000,
    "large_border_natural_foreign": 10_000,
}


def bank(folder: Path) -> Path:
    """What ships, with one public body on the list of those that are exempt."""
    for file in BANK.rglob("*"):
        if file.is_file():
            copy = folder / file.relative_to(BANK)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    (folder / "lists" / "exempt_authorities.csv").write_text("customer\nK04\n", encoding="utf-8")
    return folder


def reports_of(folder: Path, messages: list[dict[str, object]]) -> list[dict[str, object]]:
    core = Core(read_setup(folder, pack_paths=[folder / "packs" / "aml-cn"]))
    lines = [json.dumps(message).encode() for message in messages]
    written = b""
    for at in range(0, len(lines), 211):
        part = lines[at : at + 211]
        outcome = core.apply(part, [f"x:{at + i}" for i in range(len(part))])
        assert not outcome.batch.dead, next(iter(outcome.batch.dead.values()))
        written += outcome.streams.get("reports", b"")
    return [json.loads(line) for line in written.splitlines()]


def traffic(seed: int) -> list[dict[str, object]]:
    """Nine days of a few customers whose sums come near every limit."""
    rng = random.Random(seed)
    start = START.astimezone(UTC).isoformat().replace("+00:00", "Z")
    messages: list[dict[str, object]] = []
    for customer in sorted(LEGAL) + PERSONS:
        person = "legal" if customer in LEGAL else "natural"
        messages.append(
            {"kind": "profile", "event_time": start, "customer": customer, "person": person}
        )
        for suffix, product in (("a", "current"), ("b", "savings"), ("t", "term_deposit")):
            messages.append(
                {
                    "kind": "profile",
                    "event_time": start,
                    "account": customer + suffix,
                    "customer": customer,
                    "product": product,
                }
            )
    times = sorted(START + timedelta(seconds=rng.uniform(0, DAYS * 86_400)) for _ in range(N))
    for number, at in enumerate(times):
        customer = rng.choice(sorted(LEGAL) + PERSONS)
        type_ = rng.choice((*CASH, "payment", "payment", "transfer", "card_auth", "fee", "salary"))
        is_in = {"cash_deposit": True, "salary": True, "cash_withdrawal": False}.get(
            type_, rng.random() < 0.4
        )
        currency = rng.choice(("CNY", "CNY", "USD"))
        dollars = 3 if currency == "USD" else 1
        step = {"cash_deposit": 15_000, "cash_withdrawal": 15_000}.get(type_, 120_000)
        if customer in LEGAL and type_ not in CASH:
            step *= 4
        yuan = rng.choice((step, step // 3, rng.randrange(100, 2 * step)))
        messages.append(
            {
                "transaction_id": f"t{number}",
                "event_time": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
                "type": type_,
                "account": customer + rng.choice("aaabt"),
                "customer": customer,
                "amount": f"{yuan // dollars}.00",
                "currency": currency,
                "direction": "in" if is_in else "out",
                "status": rng.choice(("booked", "booked", "requested", "declined")),
                "counterparty": "X1",
                **rng.choice(
                    ({}, {}, {"counterparty_country": "US"}, {"counterparty_country": "CN"})
                ),
            }
        )
    return messages


def kinds_of(message: dict[str, object]) -> list[str]:
    """Which of the sums of article 5 a transaction belongs to."""
    type_, customer = message["type"], message["customer"]
    money = "cny" if message["currency"] == "CNY" else "foreign"
    if message["status"] == "declined" or type_ == "fee":
        return []
    if type_ in CASH:
        return [] if customer in EXEMPT else [f"large_cash_{money}"]
    if type_ == "transfer" and str(message["account"]).endswith("t"):
        return []  # a term deposit of the same name
    if customer in LEGAL:
        return [] if customer in EXEMPT else [f"large_transfer_legal_{money}"]
    is_abroad = message.get("counterparty_country", "CN") != "CN"
    return [f"large_border_natural_{money}" if is_abroad else f"large_transfer_natural_{money}"]


def expected(messages: list[dict[str, object]]) -> Counter[tuple[object, ...]]:
    """Lines of each kind, customer, direction and day: one for the transaction that reaches the limit and each after it."""
    sums: Counter[tuple[object, ...]] = Counter()
    lines: Counter[tuple[object, ...]] = Counter()
    for message in messages:
        if "transaction_id" not in message:
            continue
        at = datetime.fromisoformat(str(message["event_time"]))
        day = at.astimezone(SHANGHAI).date().isoformat()
        for kind in kinds_of(message):
            key = (kind, message["customer"], message["direction"], day)
            sums[key] += Decimal(str(message["amount"]))
            if sums[key] >= LIMITS[kind]:
                lines[key] += 1
    return lines


def due(day: str) -> str:
    at, left = date.fromisoformat(day), 5
    while left:
        at += timedelta(days=1)
        left -= at in WORKED or (at.weekday() < 5 and at not in OFF)
    return at.isoformat()


@functools.cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    with (BANK / "lists" / name).open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_customer_is_reported_on_the_days_on_which_a_limit_is_reached(tmp_path, seed):
    """Kinds, customers, directions, days and numbers of lines are those of a count with a dictionary."""
    messages = traffic(seed)
    wanted = expected(messages)
    written = reports_of(bank(tmp_path), messages)
    got = Counter(
        (line["kind"], line["entity"]["customer"], line["entity"]["direction"], line["day"])
        for line in written
    )
    assert {kind for kind, *_ in wanted} == set(LIMITS), "the traffic leaves a limit untried"
    assert got == wanted
    assert {line["due_by"] for line in written if line["day"] == "2026-04-30"} == {"2026-05-11"}
    assert [line["due_by"] for line in written] == [due(line["day"]) for line in written]


def test_the_last_cent_of_the_limit_counts(tmp_path):
    """50,000 yuan and 10,000 dollars are reported, a cent less is not."""
    start = START.astimezone(UTC).isoformat().replace("+00:00", "Z")
    common = {"event_time": start, "type": "cash_deposit", "direction": "in", "status": "booked"}
    sums = (("49999.99", "CNY"), ("50000.00", "CNY"), ("9999.99", "USD"), ("10000.00", "USD"))
    messages = [
        {
            **common,
            "transaction_id": f"t{n}",
            "account": f"A{n}",
            "customer": f"K9{n}",
            "amount": amount,
            "currency": currency,
        }
        for n, (amount, currency) in enumerate(sums)
    ]
    written = reports_of(bank(tmp_path), messages)
    assert [(line["transaction_id"], line["kind"]) for line in written] == [
        ("t1", "large_cash_cny"),
        ("t3", "large_cash_foreign"),
    ]


WHOLE = {
    "large_cash_cny": {"type": "cash_deposit", "amount": "50000.00"},
    "large_cash_foreign": {"type": "cash_deposit", "amount": "10000.00", "currency": "USD"},
    "large_transfer_legal_cny": {"amount": "2000000.00", "customer": "K01"},
    "large_transfer_legal_foreign": {"amount": "200000.00", "currency": "USD", "customer": "K01"},
    "large_transfer_natural_cny": {"amount": "500000.00"},
    "large_transfer_natural_foreign": {"amount": "100000.00", "currency": "USD"},
    "large_border_natural_cny": {"amount": "200000.00", "counterparty_country": "US"},
    "large_border_natural_foreign": {
        "amount": "10000.00",
        "currency": "USD",
        "counterparty_country": "US",
    },
}


@pytest.mark.parametrize("kind", WHOLE)
def test_what_reaches_a_limit_alone_is_reported_even_late_or_without_a_customer(tmp_path, kind):
    """The law knows no lateness: a file of the night before, or a message that lacks a field, is reported as well."""
    at = [
        (START + timedelta(hours=hours)).astimezone(UTC).isoformat().replace("+00:00", "Z")
        for hours in (0, 9, 11)
    ]
    common = {"type": "payment", "status": "booked", "currency": "CNY", "customer": "K05"}
    message = common | {"event_time": at[1], "direction": "in", "account": "A1"} | WHOLE[kind]
    other = common | {"event_time": at[2], "direction": "in", "account": "A2", "amount": "1.00"}
    undirected = {key: value for key, value in message.items() if key != "direction"}
    messages: list[dict[str, object]] = [
        {"kind": "profile", "event_time": at[0], "customer": "K01", "person": "legal"},
        undirected | {"transaction_id": "undirected"},
        other | {"transaction_id": "newest"},
        message | {"transaction_id": "late"},
    ]
    if "legal" not in kind:
        nobody = {key: value for key, value in message.items() if key != "customer"}
        messages.append(nobody | {"transaction_id": "nobody", "event_time": at[2], "account": "A3"})
    told = [line["transaction_id"] for line in reports_of(bank(tmp_path), messages)]
    assert told == ["undirected", "late", "nobody"][: len(messages) - 2]


def test_holidays_fall_on_working_days_and_worked_days_on_weekends():
    """A day on the wrong list would move no deadline and nobody would notice."""
    assert all(date.fromisoformat(row["day"]).weekday() < 5 for row in rows("cn_holidays.csv"))
    assert all(date.fromisoformat(row["day"]).weekday() >= 5 for row in rows("cn_workdays.csv"))


@pytest.mark.parametrize(
    ("name", "column", "least"),
    [
        ("police_listed_accounts.csv", "account", 9_000_000_000),
        ("schools_abroad.csv", "account", 9_000_000_000),
        ("protected_customers.csv", "customer", 9_000_000),
        ("cash_intensive_customers.csv", "customer", 9_000_000),
        ("exempt_authorities.csv", "customer", 9_000_000),
    ],
)
def test_shipped_lists_name_nobody_of_a_generated_bank(name, column, least):
    """They are examples: nothing on them may switch a rule on or off in a generated bank by accident."""
    assert rows(name)
    assert all(int(row[column][1:]) >= least for row in rows(name))
