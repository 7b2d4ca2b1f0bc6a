"""What customers may be told: their words in two languages, and nothing that warns a launderer."""

from rules.definitions import Reason
from tests.banking import shipped_setup
from tests.deciding import Bench, action, fires, restrict, rule

OPEN = Reason({"en": "tested"}, {"zh": "请联系我行", "en": "Please call us"})
SILENT = Reason({"en": "laundering"}, {"en": "We are checking", "zh": "正在核实"}, tell=False)


def commands(reason):
    asks = (action("notify", template="card_blocked", to="customer"), restrict())
    bench = Bench(rule("A", *asks, reason="CODE"), reasons={"CODE": reason})
    bench.batch([fires("A")])
    return {line["verb"]: line for line in bench.lines("commands")}


def test_a_notice_carries_the_words_of_its_reason():
    found = commands(OPEN)
    words = {"tell": True, "en": "Please call us", "zh": "请联系我行"}
    assert found["notify"]["customer"] == found["restrict"]["customer"] == words
    assert (found["notify"]["reason"], found["notify"]["rule"]) == ("CODE", "A")
    assert found["notify"]["template"] == "card_blocked"


def test_where_laundering_is_suspected_a_notice_says_nothing_that_could_warn():
    found = commands(SILENT)
    words = {"tell": False, "en": "We are checking", "zh": "正在核实"}
    assert found["notify"]["customer"] == found["restrict"]["customer"] == words
    assert [found["notify"][name] for name in ("reason", "rule", "template")] == [None] * 3
    assert "CODE" not in str(found["notify"])
    assert found["restrict"]["reason"] == "CODE", "core banking's own staff acts on it"


def test_without_words_a_silent_reason_still_says_that_nothing_may_be_told():
    found = commands(Reason({"en": "laundering"}, tell=False))
    assert found["notify"]["customer"] == {"tell": False}
    assert found["notify"]["reason"] is None
    assert "customer" not in found["restrict"]


def test_a_reason_without_words_for_the_customer_adds_nothing():
    found = commands(Reason({"en": "tested"}))
    assert "customer" not in found["notify"]
    assert "customer" not in found["restrict"]


def test_the_shipped_reasons_have_words_in_both_languages():
    shipped = shipped_setup().pack.reasons
    assert not [code for code, reason in shipped.items() if set(reason.customer) - {"en", "zh"}]
    assert any(not reason.tell for reason in shipped.values())
