"""Messages and decoders for tests: `message(...)` is a valid transaction, `decoder(...)` reads it."""

import json
from pathlib import Path

import config
from config import feeds, schema
from engine.decoding.decoder import Decoder
from engine.entities import Dictionaries
from rules.columns import Layout
from rules.tree import MONEY, Type

BANK = Path(config.__file__).parent / "bank"
SCHEMA = schema.read(BANK / "schema.yaml")
PLACED = (
    "event_time", "account", "customer", "card", "counterparty", "payee", "amount", "type", "direction", "channel",
    "status", "merchant", "country", "merchant_country", "balance_before", "lat", "duration", "segment", "purpose",
    "is_first_use", "booking_date", "label", "account.opened_on", "customer.segment", "account.home_country",
)  # fmt: skip


def message(**fields):
    """A transaction as a dict; fields replace or add, `None` takes one away."""
    base = {
        "transaction_id": "t-1",
        "event_time": "2026-03-02T10:00:09Z",
        "account": "A1",
        "amount": "12.50",
        "currency": "EUR",
        "type": "payment",
    }
    return {k: v for k, v in {**base, **fields}.items() if v is not None}


def label(**fields):
    """A label of that transaction."""
    base = {"kind": "label", "transaction_id": "t-1", "account": "A1", "label": "fraud"}
    return {k: v for k, v in {**base, **fields}.items() if v is not None}


def line(fields):
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


def layout(names=PLACED, known=SCHEMA, currency="EUR"):
    """A layout with these columns of the schema."""
    made = Layout()
    for name in names:
        column = known.columns[name]
        made.add(name, Type(column.kind, currency if column.kind == MONEY else column.domain))
    return made


def decoder(names=PLACED, known=SCHEMA, currency="EUR", **options):
    return Decoder(known, layout(names, known, currency), Dictionaries(), currency, **options)


def decode(*messages, using=None, seq0=0):
    """Decode messages (dicts or bytes) in one batch."""
    lines = [m if isinstance(m, bytes) else line(m) for m in messages]
    positions = [f"f:{i}" for i in range(1, len(lines) + 1)]
    return (using or decoder()).decode(lines, positions, seq0)


def feed(name):
    return feeds.find(BANK / "feeds", name, SCHEMA)
