"""The event schema: what the shipped one says, and how a wrong one is refused."""

from pathlib import Path

import pytest

import config
from config import marks, schema
from config.errors import ConfigError

SHIPPED = Path(config.__file__).parent / "bank" / "schema.yaml"
HEAD = """schema: s
event_types: {transaction: [payment], activity: [login]}
fields:
  transaction_id: {type: id, required: true}
  event_time: {type: time, required: true}
  account: {type: id, required: true}
  amount: {type: money, required: true}
  currency: {type: category, required: true}
  type: {type: category, required: true}
"""


def build(extra="", head=HEAD):
    node, faults = marks.parse(head + extra, "s.yaml")
    assert not faults
    return schema.build(node)


def refusal(extra="", head=HEAD):
    with pytest.raises(ConfigError) as caught:
        build(extra, head)
    return str(caught.value)


def test_the_shipped_schema_has_the_fields_of_the_design():
    s = schema.read(SHIPPED)
    wanted = [
        "transaction_id",
        "event_time",
        "account",
        "amount",
        "currency",
        "type",
        "direction",
        "channel",
        "status",
        "customer",
        "card",
        "counterparty",
        "payee",
        "device",
        "ip",
        "merchant",
        "terminal",
        "mcc",
        "merchant_country",
        "country",
        "lat",
        "lon",
        "balance_before",
        "entry_mode",
        "auth_method",
        "purpose",
        "original_transaction_id",
        "booking_date",
        "segment",
        "account_age",
        "account.opened_on",
        "customer.segment",
        "customer.birth_date",
        "label",
    ]
    assert [n for n in wanted if n not in s.columns] == []
    assert {n for n, c in s.columns.items() if c.required} == set(schema.NEEDED)
    assert {s.columns[n].domain for n in ("account", "counterparty", "payee")} == {"account"}
    assert {s.columns[n].domain for n in ("country", "merchant_country")} == {"country"}
    assert s.columns["account_age"].derived == "event_time - account.opened_on"
    assert s.columns["customer"].sources[0] == "account.customer"
    assert s.columns["segment"].sources == ("account.segment", "customer.segment")
    assert s.kind_of("card_auth") == "transaction"
    assert s.kind_of("sim_swap") == "activity"
    assert {"cvv", "pin_block", "track_data"} <= set(s.never_store)
    assert s.columns["lat"].high == 90
    assert s.columns["lon"].low == -180


def test_an_attribute_knows_its_entity_and_its_key():
    s = schema.read(SHIPPED)
    column = s.columns["account.opened_on"]
    assert (column.entity, column.key) == ("account", "opened_on")
    assert s.keys["segment"] is s.columns["segment"]
    assert s.attributes["card"][0].name == "card.account"


def test_short_and_long_spelling_of_a_field_are_the_same():
    assert (
        build("  device: id\n").columns["device"]
        == build("  device: {type: id}\n").columns["device"]
    )


def test_every_schema_has_the_label():
    assert build().columns["label"].allowed == ("fraud", "genuine", "withdrawn")
    assert "must be a category with the values" in refusal("  label: text\n")


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ("  device: {type: idd}\n", "s.yaml:10:11: unknown type `idd`\n  fix: did you mean `id`?"),
        ("  device: {type: id, requird: true}\n", "s.yaml:10:22: unknown key `requird`"),
        ("  Device: id\n", "s.yaml:10:3: `Device` cannot be the name of a field"),
        ("  kind: id\n", "s.yaml:10:3: `kind` cannot be the name of a field"),
        ("  device: {type: id, values: [a]}\n", "s.yaml:10:11: `values` means nothing for a id"),
        ("  n: {type: number, scale: 12}\n", "`scale` must lie in [0, 9], was 12"),
        ("  n: {type: number, scale: x}\n", "s.yaml:10:28: Expected `int | null`, got `str`"),
        ("  n: {type: number, range: [3, 1]}\n", "`range` is two numbers, the lower first"),
        ("  c: {type: category, closed: true}\n", "`closed` needs `values`"),
        ("  d: {type: duration, derived: a, required: true}\n", "cannot be required"),
        ("  c: {type: id, required_for: [paymen]}\n", "fix: did you mean `payment`?"),
        ("  c: {type: id, messages: [labels]}\n", "fix: did you mean `label`?"),
        ("  c: {type: id, from: account.customer}\n", "which is no attribute"),
        ("attributes:\n  account: {opened: tim}\n", "s.yaml:11:21: unknown type `tim`"),
        ("attributes:\n  device: {opened: time}\n", "s.yaml:11:3: `device` cannot have attributes"),
        ("attributes:\n  card: {opened: time}\n", "has attributes but is no field of type id"),
        (
            "  c: {type: id, from: account.c}\nattributes:\n  account: {c: {type: text}}\n",
            "s.yaml:10:6: `c` is id of c, but comes from `account.c`, which is text of text",
        ),
        (
            "  c: id\nattributes:\n  account: {c: text}\n",
            "`account.c` is text of text, but `c` is id of c",
        ),
        ("never_store: [amount]\n", "s.yaml:10:14: `amount` is a field, and must never be stored"),
        ("feilds: {}\n", "s.yaml:10:1: unknown key `feilds`\n  fix: did you mean `fields`?"),
    ],
)  # fmt: skip
def test_a_wrong_schema_is_refused_at_its_place(extra, says):
    assert says in refusal(extra)


def test_what_the_engine_needs_must_be_there():
    assert "the field `amount` is missing" in refusal(head=HEAD.replace("amount", "sum"))
    assert "must be `type: money` and `required: true`" in refusal(
        head=HEAD.replace("{type: money, required: true}", "money")
    )
    assert "must be an id of the domain `account`" in refusal(
        head=HEAD.replace("account: {type: id,", "account: {type: id, domain: iban,")
    )
    twice = HEAD.replace("[login]", "[login, payment]")
    assert "s.yaml:2:14: the event type `payment` stands here twice" in refusal(head=twice)
