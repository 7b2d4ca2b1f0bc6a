"""An update in another currency, or in none, never turns foreign money into money of the pack."""

import json

import pytest

from tests import banking

T = "2026-03-02T10:00:{:02d}Z"


def message(k, **fields):
    return {"event_time": T.format(k), "account": "A1", **fields}


PAYMENT = {"type": "payment", "direction": "out", "status": "booked", "card": "C1", "payee": "P1"}
ASK = {"transaction_id": "ask", "amount": "1.00", "currency": "EUR", **PAYMENT}


def spent(*events, cut):
    """`out_48h` of a payment of 1.00 EUR that follows the events, in minor units."""
    core = banking.fresh_core()
    lines = [json.dumps(message(k, **event)).encode() for k, event in enumerate((*events, ASK))]
    steps = [[line] for line in lines] if cut else [lines]
    for step in steps:
        outcome = core.apply(step, ["x"] * len(step))
    return float(outcome.frame.column("out_48h")[-1])


def update(name, **fields):
    return {"kind": "update", "update_id": name, "transaction_id": "t1", **fields}


@pytest.mark.parametrize("cut", [True, False], ids=["apart", "together"])
@pytest.mark.parametrize(
    ("first", "updates", "expected"),
    [
        (("600", "JPY"), [{"amount": "500"}], 100),
        (("600", "JPY"), [{"amount": "500"}, {"status": "booked"}], 100),
        (("600", "JPY"), [{"amount": "5.00", "currency": "EUR"}], 600),
        (("6.00", "EUR"), [{"amount": "500", "currency": "JPY"}], 100),
        (("6.00", "EUR"), [{"amount": "500", "currency": "JPY"}, {"amount": "400"}], 100),
        (("6.00", "EUR"), [{"amount": "4.00"}], 500),
    ],
)
def test_money_of_an_update_is_in_the_currency_of_what_it_updates(first, updates, expected, cut):
    amount, currency = first
    payment = {"transaction_id": "t1", "amount": amount, "currency": currency, **PAYMENT}
    facts = [update(f"u{k}", **fields) for k, fields in enumerate(updates)]
    assert spent(payment, *facts, cut=cut) == expected
