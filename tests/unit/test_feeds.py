"""Feed files: what the shipped ones say, and how a wrong one is refused."""

import pytest

from config import feeds, marks
from config.errors import ConfigError
from config.feeds import Feed, Target
from tests.factories import BANK, SCHEMA, feed

FIELDS = """feed: f
fields: {transaction_id: ID, event_time: AT, account: ACC, amount: AMT}
constants: {type: payment, currency: EUR}
"""


def build(text):
    node, faults = marks.parse(text, "f.yaml")
    assert not faults
    return feeds.build(node, SCHEMA)


def refusal(text):
    with pytest.raises(ConfigError) as caught:
        build(text)
    return str(caught.value)


def test_the_canonical_feed_takes_messages_as_they_are():
    assert feed("canonical").is_canonical
    assert Feed("x").is_canonical
    assert not feed("handbook").is_canonical


def test_canonical_is_there_without_a_file(tmp_path):
    assert feeds.find(tmp_path, "canonical", SCHEMA) == Feed("canonical")
    with pytest.raises(ConfigError, match="there is no feed `handbok`"):
        feeds.find(BANK / "feeds", "handbok", SCHEMA)


def test_the_handbook_feed_fills_three_fields_from_one_column():
    shipped = feed("handbook")
    from_customer = [t.name for t in shipped.targets if t.sources == ("CUSTOMER_ID",)]
    assert from_customer == ["customer", "account", "card"]
    assert shipped.constants == {"type": "card_auth", "currency": "EUR"}
    assert (shipped.time_format, shipped.zone, shipped.order) == ("local", "UTC", "time")
    assert shipped.label is not None
    assert shipped.label.delay_us == 7 * 86_400_000_000


def test_several_fields_join_into_one_id_and_values_are_translated():
    made = build(FIELDS.replace("ID,", "[DAY, NO],") + "lateness: 2h\n")
    assert made.targets[0] == Target("transaction_id", ("DAY", "NO"))
    assert made.lateness_us == 7_200_000_000
    made = build("feed: f\nfields: {direction: {field: DC, values: {D: out, C: in}}, kind: K}\n")
    assert made.targets[0].values == {"D": "out", "C": "in"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fields: {}\n", "f.yaml:1:1: `feed` is missing"),
        ("feed: f\nfeilds: {}\n", "f.yaml:2:1: unknown key `feilds`\n  fix: did you mean `fields`?"),
        (FIELDS.replace("account:", "acount:"), "`acount` is no field of the schema\n  fix: did you mean `account`?"),
        (FIELDS.replace("amount: AMT", "purpose: P"), "nothing gives `amount`"),
        (FIELDS.replace("type: payment", "amount: 5"), "`amount` cannot be a constant"),
        (FIELDS.replace("type: payment", "account: A"), "`account` is a field and a constant"),
        (FIELDS.replace("AMT", "[A, B]"), "`amount` cannot be joined from several fields"),
        (FIELDS.replace("AMT", '""'), "`amount` names no field of theirs"),
        (FIELDS + "time: {format: local}\n", "f.yaml:4:7: times in the format `local` have no offset"),
        (FIELDS + "time: {format: '%d.%m.%Y'}\n", "add `zone: UTC`, or a zone such as"),
        (FIELDS + "time: {format: rfc3339, zone: UTC}\n", "carry their offset, a zone means nothing"),
        (FIELDS + "time: {format: locl, zone: UTC}\n", "`format` cannot be `locl`\n  fix: did you mean `local`?"),
        (FIELDS + "time: {format: local, zone: Berlin}\n", "unknown zone `Berlin`"),
        (FIELDS + "amount: {unit: cents}\n", "`unit` cannot be `cents`"),
        (FIELDS + "amount: {sign: -}\n", "`sign` cannot be `-`"),
        (FIELDS + "order: random\n", "`order` cannot be `random`"),
        (FIELDS + "lateness: 15\n", "f.yaml:4:11: `15` is not a duration"),
        (FIELDS + "label: {field: F, fraud: ['1'], genuine: ['1'], delay: 7d}\n", "`1` means fraud and genuine"),
        (FIELDS + "label: {field: F, fraud: ['1']}\n", "missing required field `delay`"),
        ("feed: f\nlabel: {field: F, fraud: ['1'], delay: 7d}\n", "`label` needs `fields`"),
    ],
)  # fmt: skip
def test_a_wrong_feed_is_refused_at_its_place(text, says):
    assert says in refusal(text)
