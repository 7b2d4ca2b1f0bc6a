"""Amounts in other currencies: at whose rate, with which rounding, and when they are missing."""

import json

import pytest

from config.errors import ConfigError
from engine.core import Core
from tests.abroad import last, message, rule, setup, update

RULES = """\
features:
  sum_9d: sum(amount) by account over 9d
  dollars_9d: sum(convert(amount, "USD")) by account over 9d
  n_large: count() by account over 9d where convert(amount, "USD") >= 10 USD
""" + rule("sum_9d > 0 and dollars_9d > 0 USD and n_large >= 0 and balance_before > 0")
ASK = message("02T20:00:00", "ask", amount="1.00", currency="CNY")


@pytest.fixture
def core(tmp_path):
    return Core(setup(tmp_path / "bank", RULES))


def paid(at, amount, currency, **fields):
    return message(at, "t1", amount=amount, currency=currency, **fields)


@pytest.mark.parametrize(
    ("at", "amount", "currency", "expected"),
    [
        ("01T10:00:00", "10.00", "USD", 7000),
        ("02T15:59:59", "10.00", "USD", 7000),
        ("02T16:00:00", "10.00", "USD", 6000),  # midnight of the third in Shanghai
        ("02T10:00:00", "1", "JPY", 5),
        ("02T10:00:00", "1.234", "KWD", 2838),  # 2838.2 fen
        ("02T10:00:00", "0.01", "CNY", 1),
        ("02T10:00:00", "5", "ISK", None),
    ],
)
def test_an_amount_is_worth_the_rate_of_its_own_time(core, at, amount, currency, expected):
    assert last(core, "amount", [paid(at, amount, currency)]) == expected


def test_rows_of_many_currencies_do_not_disturb_each_other(core):
    """Each row gets its own rate, in whatever order and beside amounts that are wrong."""
    lines = [
        message("02T10:00:00", f"t{k}", amount=amount, currency=currency)
        for k, (amount, currency) in enumerate(
            [("1", "USD"), ("1.00", "CNY"), ("1.234", "KWD"), ("1.5", "JPY"), ("2", "EUR"), ("1.005", "CNY"), ("7", "JPY")] * 3
        )
    ]  # fmt: skip
    batch = core.apply(lines, ["x"] * len(lines)).batch
    wrong = {3, 5, 10, 12, 17, 19}
    assert set(batch.dead) == wrong
    assert {batch.dead[row].reason for row in wrong} == {"wrong_amount"}
    amounts = batch.frame.column("amount").tolist()
    assert [a for i, a in enumerate(amounts) if i not in wrong] == [700, 100, 2838, 1600, 35] * 3


def test_without_a_rate_the_decision_is_at_least_review_and_windows_leave_it_out(core):
    outcome = core.apply([paid("02T10:00:00", "5", "ISK"), ASK], ["x"] * 2)
    first, second = [json.loads(line) for line in outcome.streams["decisions"].splitlines()]
    assert (first["decision"], first["reasons"]) == ("review", ["FX_RATE_MISSING"])
    assert "FX_RATE_MISSING" not in second["reasons"]
    assert outcome.frame.column("sum_9d").tolist() == [0, 100]


def test_an_amount_too_large_for_the_books_is_a_dead_letter(core):
    outcome = core.apply([paid("02T10:00:00", "9000000000000.000", "KWD")], ["x"])
    dead = outcome.batch.dead[0]
    assert (dead.reason, dead.answerable) == ("wrong_amount", True)
    assert "more than 2**53 minor units of CNY" in dead.what


def test_a_configuration_without_rates_knows_its_own_currency_only(tmp_path):
    core = Core(setup(tmp_path / "bank", rule("amount > 5"), rates=None))
    assert last(core, "amount", [paid("02T10:00:00", "5", "USD")]) is None
    assert last(core, "amount", [ASK]) == 100


def test_a_balance_is_in_the_books_currency_whatever_the_message_is_in(core):
    line = paid("02T10:00:00", "10", "JPY", balance_before="-250.75")
    assert last(core, "balance_before", [line]) == -25075


def test_an_activity_is_converted_like_a_transaction(core):
    line = message("02T10:00:00", None, type="limit_change", kind="activity", amount="3", currency="USD")  # fmt: skip
    assert last(core, "amount", [line]) == 2100


# ---- updates


@pytest.mark.parametrize("scans", [True, False], ids=["scanned", "read"])
@pytest.mark.parametrize("apart", [True, False], ids=["apart", "together"])
@pytest.mark.parametrize(
    ("first", "updates", "yuan", "dollars"),
    [
        # the rate is that of the transaction, on the first, not that of the update, on the fourth
        (("10.00", "USD"), [{"amount": "5.00"}], 3500, 500),
        (("10.00", "USD"), [{"amount": "5.00", "currency": "USD"}], 3500, 500),
        (("10.00", "USD"), [{"amount": "35.00", "currency": "CNY"}], 3500, 500),
        (("70.00", "CNY"), [{"amount": "5.00", "currency": "USD"}], 3500, 500),
        (("10.00", "USD"), [{"status": "booked"}], 7000, 1000),
        (("70.00", "CNY"), [{"amount": "35.00"}], 3500, 500),
        # digits are those of the currency that was meant
        (("1400", "JPY"), [{"amount": "700"}], 3500, 500),
        (("1400", "JPY"), [{"amount": "700"}, {"status": "booked"}], 3500, 500),
        (("1400", "JPY"), [{"amount": "700.5"}], 0, 0),
        (("1400", "JPY"), [{"amount": "700.5"}, {"status": "booked"}], 0, 0),
        # without a rate an amount is unknown, not what it was before
        (("10.00", "USD"), [{"amount": "500", "currency": "ISK"}], 0, 0),
        (("10.00", "USD"), [{"amount": "500", "currency": "ISK"}, {"status": "booked"}], 0, 0),
        (("10.00", "USD"), [{"amount": "500", "currency": "ISK"}, {"amount": "400"}], 0, 0),
        (("500", "ISK"), [{"amount": "400"}], 0, 0),
        (("500", "ISK"), [{"amount": "400"}, {"status": "booked"}], 0, 0),
        (("500", "ISK"), [{"amount": "5.00", "currency": "USD"}], 3500, 500),
        (("500", "ISK"), [{"amount": "5.00", "currency": "USD"}, {"amount": "10.00"}], 7000, 1000),
    ],
)
def test_money_of_an_update_is_in_the_currency_and_at_the_rate_of_what_it_updates(
    tmp_path, first, updates, yuan, dollars, apart, scans
):
    amount, currency = first
    lines = [paid("01T10:00:00", amount, currency)]
    lines += [update(f"04T10:00:{k:02d}", f"u{k}", "t1", **u) for k, u in enumerate(updates)]
    lines.append(message("05T10:00:00", "ask", amount="6.00", currency="CNY"))
    for name, expected in (("sum_9d", yuan + 600), ("dollars_9d", dollars + 100)):
        core = Core(setup(tmp_path / name, RULES))
        core.decoder.scans = scans
        core.decoder.scan_min, core.decoder.scan_share = 1, 0.0
        assert last(core, name, lines, apart=apart) == expected


def test_saved_state_keeps_the_currency_of_what_may_still_be_updated(tmp_path):
    made = setup(tmp_path / "bank", RULES)
    core, again = Core(made), Core(made)
    core.apply([paid("01T10:00:00", "1400", "JPY")], ["x"])
    again.load(core.save())
    lines = [update("02T10:00:00", "u", "t1", amount="700"), ASK]
    assert last(again, "sum_9d", lines) == last(core, "sum_9d", lines) == 3600


# ---- convert


def test_a_converted_amount_takes_one_step_from_the_currency_of_the_message(core):
    """0.009 dinars are 3.45 cents; by way of 21 fen they would be 3.5, and then four."""
    line = message("04T10:00:00", "t1", amount="0.009", currency="KWD")
    assert last(core, "dollars_9d", [line]) == 3
    again = message("04T10:00:01", "t2", amount="0.21", currency="CNY", account="A2")
    assert last(core, "dollars_9d", [again]) == 4


def test_the_same_currency_is_converted_without_any_rate(tmp_path):
    table = "rates: t\nversion: 1\nsource: s\nbase: CNY\nentries: [{from: 2030-01-01, USD: 7}]\n"
    core = Core(setup(tmp_path / "bank", RULES, rates=table))
    assert last(core, "dollars_9d", [paid("02T10:00:00", "10.00", "USD")]) == 1000
    assert last(core, "amount", [message("02T10:00:01", "t2", amount="1", currency="USD")]) is None


def test_a_condition_of_a_window_compares_dollars_with_dollars(core):
    lines = [
        paid("02T10:00:00", "10.00", "USD"),
        message("02T10:00:01", "t2", amount="69.90", currency="CNY"),  # 9.99 dollars
        message("02T10:00:02", "t3", amount="200", currency="JPY"),
        ASK,
    ]
    assert last(core, "n_large", lines) == 1


def test_convert_works_in_lets_scores_and_titles(tmp_path):
    text = rule(
        "dollars >= 10 USD",
        more="""\
    let: {dollars: 'convert(amount, "USD")'}
    actions:
      - alert: {queue: q, title: 'paid {convert(amount, "USD")}, that is {amount}'}
""",
    ).replace("score: 100", 'score: convert(amount, "USD") / 1 USD')
    core = Core(setup(tmp_path / "bank", text))
    lines = [paid("02T10:00:00", "1234.00", "USD"), message("02T10:00:01", "t2", amount="69.90", currency="CNY")]  # fmt: skip
    outcome = core.apply(lines, ["x"] * 2)
    (alert,) = map(json.loads, outcome.streams["alerts"].splitlines())
    assert alert["title"] == "paid 1234.00 USD, that is 8638.00 CNY"
    assert json.loads(outcome.streams["decisions"].splitlines()[0])["score"] == 1000


def test_a_balance_is_converted_from_the_books_currency(tmp_path):
    core = Core(setup(tmp_path / "bank", rule('convert(balance_before, "JPY") < 0 JPY')))
    line = paid("02T10:00:00", "1.00", "USD", balance_before="-0.13")
    assert last(core, 'convert(balance_before, "JPY")', [line]) == -3  # -2.6 yen


def test_what_convert_cannot_do_is_told(tmp_path):
    for when, code in (
        ("amount > 5 USD", "WR122"),
        ('convert(amount, "ISK") > 5 ISK', "WR122"),
        ("convert(amount, currency) > 5 USD", "WR124"),
    ):
        with pytest.raises(ConfigError, match=code):
            setup(tmp_path / f"{len(when)}", rule(when))
