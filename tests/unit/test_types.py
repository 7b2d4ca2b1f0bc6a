"""Types, units and names: what a text means, and what does not fit together."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from rules.types import date_us
from tests.ruling import SCHEMA, Schema, scope, shown, typed

HOUR = 3_600_000_000
RATED = frozenset({"EUR", "USD", "JPY"})


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("amount > 500 EUR", ">(amount, 50000.0)"),
        ("amount > 500", ">(amount, 50000.0)"),
        ("500.5 < amount", "<(50050.0, amount)"),
        ("amount between 1 and 9.99", "between(amount, 100.0, 999.0)"),
        ("amount in [1, 2 EUR]", "in [100.0, 200.0](amount)"),
        ("amount > 2 * (sum_1h ?? $floor)", ">(amount, *(2.0, ??(sum_1h, 10000.0)))"),
        ("(sum_1h ?? 0) + 5 > -3", ">(+(??(sum_1h, 0.0), 500.0), -300.0)"),
        (
            "amount > if is_new then 5 else 7 + 1",
            ">(amount, if(==(is_new, 1.0), 500.0, +(700.0, 100.0)))",
        ),
        ("1000 / amount > 2", ">(/(100000.0, amount), 2.0)"),
        ("amount / sum_1h > 80%", ">(/(amount, sum_1h), 0.8)"),
        (
            "max(amount, 100) > min(sum_1h, 5 EUR)",
            ">(call max(amount, 10000.0), call min(sum_1h, 500.0))",
        ),
        ("seen <= 24h", f"<=(seen, {24.0 * HOUR})"),
        ("seen / 1h > 5", f">(/(seen, {1.0 * HOUR}), 5.0)"),
        (
            "event_time - account.opened_on < 90d",
            f"<(-(event_time, account.opened_on), {90 * 24.0 * HOUR})",
        ),
        (
            "local_time(event_time) between 22:00 and 06:00",
            f"between(call local_time(event_time), {22.0 * HOUR}, {6.0 * HOUR})",
        ),
        ("n_1h >= $n", ">=(n_1h, 5.0)"),
        ("model.score >= limits[segment]", ">=(model.score, lookup limits(segment))"),
        (
            "at_least(2, is_new, outgoing, n_1h > 3)",
            "at_least 2(==(is_new, 1.0), ==(direction, 'out'), >(n_1h, 3.0))",
        ),
        ("is_new == false", "not(==(is_new, 1.0))"),
        ("is_new ?? true", "??(==(is_new, 1.0), True)"),
        ("channel not in @cash", "not(in @cash(channel))"),
        ('channel in ["atm", "pos"]', "in ['atm', 'pos'](channel)"),
        ("lat is present", "not(missing(lat))"),
        ("payee == counterparty", "==(payee, counterparty)"),
        ("country != merchant_country", "!=(country, merchant_country)"),
        ('"DE" == country', "==(country, 'DE')"),
        ('lower(purpose) contains "rent"', "contains rent(call lower(purpose))"),
        ('lower("ABC") == purpose', "==(purpose, 'abc')"),
        ('ip_in(ip, "10.0.0.0/8")', "call ip_in(ip, '10.0.0.0/8')"),
        ('age(account.opened_on, "years") < 1', "<(call age(account.opened_on, 'years'), 1.0)"),
        ("distance_km(lat, lon, 1.5, -2) > 3", ">(call distance_km(lat, lon, 1.5, -2.0), 3.0)"),
        ("share(amount, 5) > 0.5", ">(/(amount, +(amount, 500.0)), 0.5)"),
        (
            "speed_kmh(lat, lon, 1.5, -2, 90m) > 900",
            ">(/(call distance_km(lat, lon, 1.5, -2.0), call in_hours(call max(5400000000.0, 1000000.0))), 900.0)",
        ),
    ],
)
def test_an_expression_becomes_numbers_and_columns(text, tree):
    """Money in minor units, durations in microseconds, bare numbers beside money in the pack's currency."""
    node, found = typed(text)
    assert found == []
    assert shown(node) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ('(segment ?? "retail") == "retail"', "if(missing(segment), True, ==(segment, 'retail'))"),
        (
            "(payee ?? counterparty) == account",
            "if(missing(payee), ==(counterparty, account), ==(payee, account))",
        ),
        (
            '(if is_new then country else merchant_country) in ["DE"]',
            "if(==(is_new, 1.0), in ['DE'](country), in ['DE'](merchant_country))",
        ),
        ('limits[segment ?? "retail"]', "if(missing(segment), 0.5, lookup limits(segment))"),
        ('length(purpose ?? "")', "if(missing(purpose), 0.0, call length(purpose))"),
        (
            "(payee ?? counterparty) is missing",
            "if(missing(payee), missing(counterparty), missing(payee))",
        ),
    ],
)
def test_a_choice_between_texts_moves_outwards(text, tree):
    """The code plane holds columns and constants only; `if missing(x)` is exact in three-valued logic."""
    node, found = typed(text)
    assert found == []
    assert shown(node) == tree


@pytest.mark.parametrize(
    ("text", "code", "part", "what", "hint"),
    [
        ("amuont > 5", "WR101", "amuont", 'unknown field "amuont"', 'did you mean "amount"?'),
        ("vips", "WR101", "vips", 'unknown field "vips"', "write in @vips for the list"),
        ("floor > 5", "WR101", "floor", 'unknown field "floor"', "write $floor for the param"),
        ("direction == out", "WR101", "out", 'unknown field "out"', 'write "out" if the text is meant'),
        ("amount > $flor", "WR102", "$flor", "unknown param $flor", "did you mean $floor?"),
        ("limit[segment] > 1", "WR102", "limit", "unknown table limit", "did you mean limits?"),
        ("channel in @cahs", "WR103", "@cahs", "unknown list @cahs", "did you mean @cash?"),
        ("legnth(purpose) > 5", "WR106", "legnth", "unknown function legnth", "did you mean length?"),
        ("sum(amount) > 5", "WR106", "sum", "sum is an aggregate, which only a feature can be", "write it under features: and use its name here"),
        ("now() > event_time", "WR106", "now", "rules never read the clock, so that a replay decides the same", "use event_time"),
        ('label == "fraud"', "WR108", "label", '"label" is a verdict that arrives later', "only the where of a feature can look at labels"),
        ("channel > 5", "WR120", "channel > 5", "channel is text (pos, atm, web, ...), 5 is a number", ""),
        ("mcc == 7995", "WR120", "mcc == 7995", "mcc is text, 7995 is a number", 'write "7995"'),
        ("seen > 24", "WR120", "seen > 24", "seen is a duration, 24 is a number", "write 24h, or in_hours(seen)"),
        ("amount > n_1h", "WR120", "amount > n_1h", "amount is money (EUR), n_1h is a number", ""),
        ("amount > 80%", "WR120", "amount > 80%", "amount is money (EUR), 80% is a share (0.8 of 1)", ""),
        ("amount * amount > 5", "WR120", "amount * amount", "amount is money (EUR), amount is money (EUR): they cannot be multiplied", ""),
        ('country > "DE"', "WR120", 'country > "DE"', "country is text, which has no order", "texts compare by == and != only"),
        ('ip starts with "10."', "WR120", "ip", "ip is an id (ip), a text is wanted here", 'write ip_in(ip, "10.0.0.0/8")'),
        ("purpose contains name", "WR120", "name", '"contains" needs a written text, name is text', 'write "name"'),
        ("account == device", "WR121", "account == device", "account is an id (account), device is an id (device)", "ids compare only with ids of their own kind"),
        ("device in @vips", "WR121", "device in @vips", "device is an id (device), @vips is a list of ids (customer)", ""),
        ("amount > 5 USD", "WR122", "5 USD", "amount is money (EUR), 5 USD is money (USD)", "write the amount in EUR"),
        ("amount > 5 EUD", "WR122", "5 EUD", "EUD is not an ISO 4217 currency", "did you mean EUR?"),
        ("amount > 1.005 EUR", "WR122", "1.005 EUR", "EUR has 2 decimals, 1.005 EUR has more", ""),
        ("amount > 3.000 EUR", "WR122", "3.000 EUR", "EUR has 2 decimals, 3.000 EUR has more", "write 3.00 EUR, or 3_000 EUR"),
        ("amount > 3.000", "WR122", "3.000", "EUR has 2 decimals, 3.000 has more", "write 3.00 EUR, or 3_000 EUR"),
        ('direction == "outt"', "WR123", '"outt"', 'direction is never "outt" by the schema', 'did you mean "out"?'),
        ('channel == "wbe"', "WR123", '"wbe"', 'channel is never "wbe" by the schema', 'did you mean "web"?'),
        ('channel == "telepathy"', "WR123 warn", '"telepathy"', 'channel is never "telepathy" by the schema', "known: pos, atm, web, mobile, branch_cash, atm_deposit"),
        ("round(amount)", "WR124", "amount", "amount is money (EUR), which is no x for round(x)", "for instance round(3.5)"),
        ("hour()", "WR124", "hour()", "hour is called as hour(time)", "for instance hour(event_time)"),
        ("at_least(4, is_new, outgoing)", "WR124", "at_least(4, is_new, outgoing)", "at_least is called with a whole number and at least as many conditions", "for instance at_least(2, a, b, c)"),
        ('ip_in(ip, "10.0.0")', "WR124", '"10.0.0"', "not a network: '10.0.0' does not appear to be an IPv4 or IPv6 network", 'write for instance "10.0.0.0/8"'),
        ("n_1h between 9 and 5", "WR125", "9 and 5", "9 is larger than 5", "write between 5 and 9"),
        ("amount and is_new", "WR128", "amount", "amount is money (EUR), not a condition", ""),
        ("not channel", "WR128", "channel", "channel is text (pos, atm, web, ...), not a condition", 'compare it: channel == "..."'),
        ('purpose matches "(a+)+b"', "WR130", '"(a+)+b"', "a repeat inside a repeat can take forever", "write it without nesting"),
        ('purpose matches "(?=a)b"', "WR130", '"(?=a)b"', "look-ahead and look-behind are not allowed in patterns", "write two conditions"),
        ("amount / 0 > 5", "WR131", "0", "a division by zero is always missing", ""),
        ("event_time > 2026-02-30", "WR116", "2026-02-30", "2026-02-30 is no date of the years 1900 to 2200", ""),
        ("local_time(event_time) > 24:00", "WR116", "24:00", "24:00 is no time of day", "from 00:00 to 23:59"),
        ("model.top_reasons is present", "WR120", "model.top_reasons", "model.top_reasons is text for people", "it can stand in templates only"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_reported_once(text, code, part, what, hint):
    """One finding with its part, message and fix; what follows from it stays silent."""
    _, found = typed(text)
    assert found == [(code, part, what, hint)]


def test_a_slip_lends_its_neighbour_the_type_it_would_have():
    """`amuont > 5 USD` has two errors: the name, and the currency beside what is surely an amount."""
    _, found = typed("amuont > 5 USD and cuontry > 3")
    assert [(c, p) for c, p, _, _ in found] == [
        ("WR101", "amuont"), ("WR122", "5 USD"), ("WR101", "cuontry"), ("WR120", "cuontry > 3"),
    ]  # fmt: skip


def test_a_written_day_beside_a_plain_day_of_a_message_is_the_same_day():
    """`account.opened_on: 2026-03-02` is read as midnight UTC, the literal elsewhere as midnight in Berlin."""
    day = datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1e6
    assert typed("account.opened_on == 2026-03-02")[0].args[1].value == day
    assert typed("event_time >= 2026-03-02")[0].args[1].value == day - HOUR


def test_days_begin_at_midnight_of_their_zone():
    """Summer time included."""
    assert date_us("2026-07-01", ZoneInfo("Europe/Berlin")) == 1_782_856_800 * 1_000_000
    assert date_us("1970-01-01", ZoneInfo("UTC")) == 0
    assert date_us("2026-13-01", ZoneInfo("UTC")) is None


def test_features_read_no_models_and_no_verdicts_outside_their_where():
    """Who may read what is part of the scope."""
    _, found = typed("model.score > 0.5", scope(reads=frozenset()))
    assert found[0][0] == "WR107"
    assert typed('label == "fraud"', scope(reads=frozenset({"labels"})))[1] == []


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ('convert(amount, "USD") > 10_000 USD', '>(convert(amount, "USD"), 1000000.0)'),
        ('10.5 USD <= convert(amount, "USD")', '<=(1050.0, convert(amount, "USD"))'),
        ('convert(amount, "JPY") between 1 JPY and 5 JPY', 'between(convert(amount, "JPY"), 1.0, 5.0)'),
        ('convert(amount, "USD") in [1 USD, 2 USD]', 'in [100.0, 200.0](convert(amount, "USD"))'),
        ('max(convert(amount, "USD"), 1 USD) > 2 * convert(amount, "USD")', '>(call max(convert(amount, "USD"), 100.0), *(2.0, convert(amount, "USD")))'),
        ('convert(amount, "USD") / 1 USD > 3', '>(/(convert(amount, "USD"), 100.0), 3.0)'),
        ('(convert(amount, "USD") ?? 0 USD) == 0 USD', '==(??(convert(amount, "USD"), 0.0), 0.0)'),
        ('convert(amount, "EUR") > 5', ">(amount, 500.0)"),  # which it is in already
        ('convert(amount, "USD") is missing', 'missing(convert(amount, "USD"))'),
    ],
)  # fmt: skip
def test_amounts_of_one_currency_meet(text, tree):
    """A converted amount is a column of its own, of money in that currency."""
    node, found = typed(text, scope(currencies=RATED))
    assert (found, shown(node)) == ([], tree)


@pytest.mark.parametrize(
    ("text", "code", "part", "what", "hint"),
    [
        ("amount > 5 USD", "WR122", "5 USD", "amount is money (EUR), 5 USD is money (USD)", 'write convert(amount, "USD")'),
        ("amount > 5 KWD", "WR122", "5 KWD", "amount is money (EUR), 5 KWD is money (KWD)", "write the amount in EUR"),
        ("sum_1h > 5 USD", "WR122", "5 USD", "sum_1h is money (EUR), 5 USD is money (USD)", 'convert the amount inside sum_1h, as in sum(convert(amount, "USD"))'),
        ('convert(amount, "USD") > 5 EUR', "WR122", "5 EUR", 'convert(amount, "USD") is money (USD), 5 EUR is money (EUR)', "amount is in EUR by itself"),
        ('convert(amount, "USD") > amount', "WR122", 'convert(amount, "USD") > amount', 'convert(amount, "USD") is money (USD), amount is money (EUR)', "amount is in EUR by itself"),
        ('convert(amount, "USD") > 5', "WR120", 'convert(amount, "USD") > 5', 'convert(amount, "USD") is money (USD), 5 is a number', "write 5 USD"),
        ('convert(amount, "USD") + 1 JPY > 5 USD', "WR122", "1 JPY", 'convert(amount, "USD") is money (USD), 1 JPY is money (JPY): they cannot be added', 'write convert(amount, "JPY")'),
        ("amount between 1 USD and 2 USD", "WR122", "1 USD", "amount is money (EUR), 1 USD is money (USD)", 'write convert(amount, "USD")'),
        ("amount in [1 EUR, 2 USD]", "WR122", "2 USD", "amount is money (EUR), 2 USD is money (USD)", 'write convert(amount, "USD")'),
        ('convert(amount, "USB") > 5 USD', "WR122", '"USB"', "USB is not an ISO 4217 currency", "did you mean USD?"),
        ('convert(amount, "KWD") > 5 KWD', "WR122", '"KWD"', "the configuration has no rates for KWD", "there are rates for EUR, JPY, USD"),
        ("convert(amount, channel) > 5 USD", "WR124", "channel", "channel must be a currency that is written out", 'for instance convert(amount, "USD")'),
        ("convert(amount) > 5 USD", "WR124", "convert(amount)", "convert is called with an amount and a currency", 'for instance convert(amount, "USD")'),
        ('convert(n_items, "USD") > 5 USD', "WR124", "n_items", "n_items is a number, convert wants an amount", 'for instance convert(amount, "USD")'),
        ('convert(sum_1h, "USD") > 5 USD', "WR124", "sum_1h", "convert wants a field of the message, sum_1h is computed", 'convert what it is computed from, as in sum(convert(amount, "USD"))'),
        ('convert(amount + 1, "USD") > 5 USD', "WR124", "amount + 1", "convert wants a field of the message, amount + 1 is computed", 'convert what it is computed from, as in sum(convert(amount, "USD"))'),
    ],
)  # fmt: skip
def test_amounts_of_two_currencies_never_meet(text, code, part, what, hint):
    """The message says how they come to one."""
    _, found = typed(text, scope(currencies=RATED))
    assert found == [(code, part, what, hint)]


def test_without_rates_nothing_is_converted():
    _, found = typed('convert(amount, "USD") > 5 USD')
    assert found == [
        (
            "WR122",
            '"USD"',
            "convert needs exchange rates, and there are none here",
            "name a table under `rates:` in weir.yaml",
        )
    ]


def test_money_in_a_currency_without_decimals_is_whole():
    """JPY has no minor unit."""
    node, found = typed("amount > 500", scope(currency="JPY"))
    assert (found, node.args[1].value) == ([], 500.0)


def test_a_schema_without_a_column_knows_no_such_name():
    """Nothing is built in beside model.*."""
    small = Schema({"amount": SCHEMA.columns["amount"]}, {})
    assert typed("amount > 5", scope(schema=small))[1] == []
    assert typed("customer is missing", scope(schema=small))[1][0][0] == "WR101"
