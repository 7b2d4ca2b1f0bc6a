"""Pseudonyms: the same for the same id, unlike for anything else, and nothing plain beside them."""

import json

import pytest

from config.errors import ConfigError
from config.pseudonyms import HIDDEN, Pseudonyms, is_pseudonym, read_key
from tests.factories import SCHEMA, message

KEY = b"a key of some length"
STANDINS = Pseudonyms(SCHEMA, KEY)


def test_one_id_has_one_pseudonym_in_every_field_of_its_domain():
    """Account, counterparty and payee share a domain, so that a chain of payments can still be followed."""
    fields = STANDINS.fields(message(account="A1", counterparty="A1", payee="A1", card="A1"))
    assert fields["account"] == fields["counterparty"] == fields["payee"]
    assert fields["card"] != fields["account"]
    assert is_pseudonym(fields["account"])


def test_pseudonyms_depend_on_the_key_and_on_nothing_else():
    assert Pseudonyms(SCHEMA, KEY).of("account", "A1") == STANDINS.of("account", "A1")
    assert Pseudonyms(SCHEMA, b"another key of length").of("account", "A1") != STANDINS.of(
        "account", "A1"
    )


def test_a_pseudonym_is_the_hmac_that_anybody_with_the_key_can_compute():
    """HMAC-SHA256 over domain, a zero byte and the text; from `openssl dgst -sha256 -hmac`."""
    assert STANDINS.of("account", "A1") == "p-d004518fc36ffa3a"


def test_what_is_not_personal_stays_as_it_is():
    fields = STANDINS.fields(message(merchant="M1", status="booked"))
    assert (fields["merchant"], fields["amount"], fields["status"]) == ("M1", "12.50", "booked")
    assert fields["transaction_id"] == "t-1"


def test_numbers_and_dates_that_are_personal_are_hidden():
    fields = STANDINS.fields({"kind": "profile", "customer": "K1", "birth_date": "1954-05-01"})
    assert fields["birth_date"] == HIDDEN
    assert STANDINS.fields(message(lat=52.5))["lat"] == HIDDEN
    assert STANDINS.column("customer.birth_date", "1954-05-01") == HIDDEN


def test_alerts_name_their_entity_and_say_it_in_their_title_by_pseudonym():
    alert = {"entity": {"card": "C00000046"}, "title": "card C00000046 in two places", "rule": "X"}
    shown = STANDINS.fields(alert)
    standin = STANDINS.of("card", "C00000046")
    assert shown["entity"] == {"card": standin}
    assert shown["title"] == f"card {standin} in two places"


def test_an_id_is_not_replaced_inside_of_a_longer_one():
    shown = STANDINS.fields({"account": "A1", "title": "A12 is not A1"})
    assert shown["title"] == f"A12 is not {STANDINS.of('account', 'A1')}"


def test_values_inside_lists_and_objects_are_replaced_too():
    shown = STANDINS.fields({"about": [{"account": "A7"}], "accounts": ["A7"], "account": "A7"})
    assert "A7" not in json.dumps(shown)


def test_the_key_comes_from_the_environment_and_must_be_long():
    assert read_key("K", {}) is None
    assert read_key("K", {"K": "0123456789abcdef"}) == b"0123456789abcdef"
    with pytest.raises(ConfigError, match="at least 16 are needed"):
        read_key("K", {"K": "short"})
