"""Dictionaries and attributes: codes in the order of appearance, profiles that count from their row on."""

import math
import pickle

import pytest

from config.errors import StateError
from engine import entities
from engine.entities import Attributes, Dictionaries
from engine.scanning import codes
from engine.texts import PIECE, Texts, load_texts, save_texts
from tests.factories import PLACED, SCHEMA, decode, decoder, message


def profile(**fields):
    return {"kind": "profile", **fields}


def filled(*messages, cut=None, using=None, attributes=None):
    """Columns of the messages after profiles have been applied, decoded in batches of `cut`."""
    using = using or decoder()
    attributes = attributes or Attributes(SCHEMA, using.layout)
    found = {name: [] for name in PLACED}
    step = cut or len(messages)
    for start in range(0, len(messages), step):
        batch = decode(*messages[start : start + step], using=using)
        assert batch.dead == {}
        attributes.fill(batch)
        for name in PLACED:
            place = using.layout[name]
            for value in batch.frame.column(name).tolist():
                if place.is_code:
                    value = (
                        using.dictionaries[place.dictionary].texts[value] if value >= 0 else None
                    )
                found[name].append(None if value != value else value)
    return found


@pytest.mark.parametrize("name", ["account", "text"])
def test_codes_follow_the_order_of_appearance(name):
    dictionary = Dictionaries()[name]
    assert dictionary.encode(["b", None, "a", "b"]).tolist() == [0, -1, 1, 0]
    assert (dictionary.code("c"), dictionary.find("c"), dictionary.find("d")) == (2, 2, -1)
    assert dictionary.find("b" * (1 << 20)) == -1
    assert (dictionary.find(""), dictionary.code(""), dictionary.find("")) == (-1, 3, 3)
    assert dictionary.encode([]).tolist() == []
    assert len(dictionary) == 4
    assert list(dictionary.texts) == ["b", "a", "c", ""]


def test_dictionaries_come_back_as_they_were():
    first, again = Dictionaries(), Dictionaries()
    first["x"].encode(["é", "", "a"])
    again["x"].encode(["other"])
    again.load(first.save())
    assert list(again["x"].texts) == ["é", "", "a"]
    assert again["x"].find("other") == -1
    assert again["x"].encode(["a", "new", None]).tolist() == [2, 3, -1]


def test_a_damaged_dictionary_is_refused():
    saved = {f"x/{name}": array for name, array in save_texts(["a", "b", "a"]).items()}
    with pytest.raises(StateError, match="`x` has a text twice"):
        Dictionaries().load(saved)


TEXTS = [[], [""], ["a"], ["é", "", "日本"], ["", "a" * 5_000, "b"], list(map(str, range(9_999)))]


@pytest.mark.parametrize("texts", TEXTS)
def test_texts_survive_as_arrays(texts):
    assert load_texts(save_texts(texts)) == texts


@pytest.mark.parametrize("texts", TEXTS)
def test_texts_are_read_like_a_list(texts):
    held = Texts(texts[:3])
    for text in texts[3:]:
        held.extend([text.encode()])
    other = Texts.of(save_texts(texts))
    views = Texts.of(other.save(copied=False))
    for each in (held, other, views, pickle.loads(pickle.dumps(held))):
        n = len(texts)
        assert len(each) == n
        assert list(each) == texts
        for cut in (slice(1, n), slice(n, 1), slice(-2, None), slice(None, None, 2)):
            assert each[cut] == texts[cut]
        assert [each[k] for k in range(-n, n)] == texts + texts
        for k in (n, -n - 1):
            with pytest.raises(IndexError):
                each[k]
        for name, array in save_texts(texts).items():
            assert each.save()[name].tolist() == array.tolist()


def test_texts_are_read_piece_by_piece():
    texts = [f"{k}é" for k in range(PIECE + 5)]
    assert list(Texts(texts)) == texts


def test_what_was_saved_stays_when_texts_are_added():
    held = Texts(["a"])
    saved = held.save()
    held.extend([b"b"] * 10_000)
    assert load_texts(saved) == ["a"]


def test_dictionaries_keep_their_objects_and_leave_out_the_texts_of_a_batch():
    first, second = Dictionaries(), Dictionaries()
    held = second["account"]
    held.code("stale")
    second["gone"].code("stale")
    first["account"].code("A")
    first["text"].code("of one batch")
    first["empty"]
    saved = first.save()
    assert sorted(saved) == ["account/bytes", "account/end"]
    second.load(saved)
    assert second["account"] is held
    assert list(held.texts) == ["A"]
    assert len(second["gone"]) == 0


def test_a_profile_fills_what_comes_after_it():
    found = filled(
        message(),
        profile(account="A1", customer="K1", segment="sme", opened_on="2020-01-01"),
        message(),
    )
    assert found["customer"] == [None, "K1", "K1"]
    assert found["segment"] == [None, "sme", "sme"]
    assert found["account.opened_on"] == [None, None, 1_577_836_800_000_000]


def test_what_the_event_says_wins():
    found = filled(
        profile(account="A1", customer="K1", segment="sme"),
        message(customer="K2"),
        message(segment="x"),
    )
    assert found["customer"] == ["K1", "K2", "K1"]
    assert found["segment"] == ["sme", "sme", "x"]


def test_attributes_of_the_customer_are_found_through_the_account():
    """customer is filled first, then what depends on it; the account's segment stands before the customer's."""
    found = filled(
        profile(account="A1", customer="K1"), profile(customer="K1", segment="private"), message(),
        profile(account="A1", segment="sme"), message(),
    )  # fmt: skip
    assert found["segment"][2] == "private"
    assert found["customer.segment"][2] == "private"
    assert found["segment"][4] == "sme"
    assert found["customer.segment"][4] == "private"


def test_a_link_of_another_role_does_not_replace_the_owner():
    using = decoder()
    attributes = Attributes(SCHEMA, using.layout)
    found = filled(
        profile(account="A1", customer="K1", role="owner"), profile(account="A1", customer="K2", role="joint"),
        profile(account="A1", customer="K3", role="neighbour"), message(),
        using=using, attributes=attributes,
    )  # fmt: skip
    assert found["customer"][3] == "K1"
    assert sorted(attributes.save()) == ["account.customer", "account.joint"]


def test_the_nearest_entity_that_has_the_attribute_takes_it_and_every_link_is_made():
    batch = decode(
        profile(
            card="C1", account="A1", customer="K1", opened_on="2020-01-01", birth_date="1990-01-01"
        ),
    )
    assert {p.entity: sorted(name for name, _ in p.values) for p in batch.profiles} == {
        "card": ["card.account", "card.customer"],
        "account": ["account.customer", "account.opened_on"],
        "customer": ["customer.birth_date"],
    }


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_cuts_change_nothing_not_even_where_a_profile_stands_at_the_edge(cut):
    messages = [
        message(), profile(account="A1", customer="K1"), message(customer="K9"), message(payee="A7"),
        profile(account="A7", home_country="PT", customer="K5"), profile(customer="K1", segment="sme"),
        message(country="PT"), message(account="A7", merchant_country="SE"),
        {"kind": "activity", "type": "login", "event_time": 0, "account": "A7"},
    ]  # fmt: skip
    whole, pieces = decoder(), decoder()
    kept, cuts = Attributes(SCHEMA, whole.layout), Attributes(SCHEMA, pieces.layout)
    assert filled(*messages, using=whole, attributes=kept) == filled(
        *messages, using=pieces, attributes=cuts, cut=cut
    )
    a, b = kept.save() | whole.dictionaries.save(), cuts.save() | pieces.dictionaries.save()
    assert a.keys() == b.keys()
    assert all(a[k].tobytes() == b[k].tobytes() for k in a)


def test_labels_and_updates_are_not_filled():
    found = filled(
        profile(account="A1", customer="K1"),
        {
            "kind": "update",
            "update_id": "u",
            "transaction_id": "t",
            "account": "A1",
            "status": "booked",
        },
    )
    assert found["customer"][1] is None


def test_attributes_survive_saving():
    using = decoder()
    attributes = Attributes(SCHEMA, using.layout)
    filled(
        profile(account="A1", customer="K1", opened_on="2020-01-01"),
        using=using,
        attributes=attributes,
    )
    fresh = Attributes(SCHEMA, using.layout)
    fresh.load(attributes.save())
    assert filled(message(), using=using, attributes=fresh)["customer"] == ["K1"]
    assert {k: v.tobytes() for k, v in fresh.save().items()} == {
        k: v.tobytes() for k, v in attributes.save().items()
    }
    assert not math.isnan(fresh.save()["account.opened_on"][0])


def test_attributes_nobody_reads_yet_are_kept_for_the_day_somebody_does():
    using = decoder(names=("amount",))
    attributes = Attributes(SCHEMA, using.layout)
    attributes.fill(decode(profile(card="C1", card_type="credit"), using=using))
    assert attributes.save()["card.card_type"].tolist() == [0]


def test_no_message_waits_for_a_kernel_that_an_empty_batch_can_load(monkeypatch):
    """Warming up calls the kernels themselves, whatever little there is to do."""
    called = []
    for module, name in (
        (entities, "fill_rows"),
        (codes, "encode"),
        (codes, "enter"),
        (codes, "find"),
    ):
        kernel = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *a, _k=kernel, _n=name: (called.append(_n), _k(*a))[1]
        )
    using = decoder()
    Attributes(SCHEMA, using.layout).fill(decode(using=using))
    using.dictionaries.table.warm_up()
    assert {"fill_rows", "encode", "enter", "find"} <= set(called)
