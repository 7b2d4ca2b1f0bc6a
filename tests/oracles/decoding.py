"""What one transaction means, read the naive way: the standard library's json, Decimal and datetime; no msgspec, no numpy.

`meaning(line)` gives a dict of exact values by key (money in minor units, times in microseconds), or the reason why the
message is a dead letter. Only messages of kind `transaction`, as the shipped schema has them, in EUR.
"""

import datetime as dt
import json
import re
from decimal import Decimal

EXPONENTS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3, "XXX": None}
REQUIRED = ("transaction_id", "event_time", "account", "amount", "currency", "type")
REASON = {
    "event_time": "wrong_time",
    "amount": "wrong_amount",
    "currency": "unknown_currency",
    "type": "unknown_type",
}
ACTIVITIES = ("login", "sim_swap")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):?(\d\d))?", re.ASCII
)


class BadError(Exception):
    pass


def amount(value, digits, *, signed=False):
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise BadError
    text = value if isinstance(value, str) else repr(value)
    body = text[1:] if signed and text[:1] == "-" else text
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", body):
        raise BadError
    units = Decimal(text).scaleb(digits)
    if len(body) > 60 or units != int(units) or abs(units) > 2**53:
        raise BadError
    return int(units)


def moment(value, *, dated=False):
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise BadError
    if isinstance(value, int):
        us = value * 1000
    else:
        if dated and re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
            value += "T00:00:00Z"
        found = RFC3339.fullmatch(value)
        if not found:
            raise BadError
        day, clock, fraction, sign, hours, minutes = found.groups()
        if sign is None and value[-1] not in "Zz":
            raise BadError
        try:
            at = dt.datetime.fromisoformat(f"{day}T{clock}+00:00")
        except ValueError:
            raise BadError from None
        if sign and (int(hours) > 23 or int(minutes) > 59):
            raise BadError
        offset = (int(hours) * 60 + int(minutes)) * 60_000_000 if sign else 0
        us = (at - EPOCH) // dt.timedelta(microseconds=1) - (offset if sign == "+" else -offset)
        # beyond the sixth decimal, halves go up
        us += int((Decimal("0." + (fraction or "0")) * 10**6 + Decimal("0.5")) // 1)
    year_low = 1900 if dated else 1970
    low = (dt.datetime(year_low, 1, 1, tzinfo=dt.UTC) - EPOCH) // dt.timedelta(microseconds=1)
    if not low <= us < 7_258_118_400_000_000:
        raise BadError
    return us


def word(value):
    if not isinstance(value, str) or not 1 <= len(value) <= 256 or any(c < " " for c in value):
        raise BadError
    return value


def depth(value):
    if isinstance(value, (list, dict)):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth, inner), default=0)
    return 0


def no_constant(_):
    raise ValueError


def meaning(line):
    """Values by key, or a reason."""
    if not line.strip(b" \t\r\n"):
        return "empty_line"
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return "bad_utf8"
    opens = re.sub(r'"(?:[^"\\]|\\.)*"?', "", text, flags=re.DOTALL)
    level = deepest = 0
    for c in opens:
        level += (c in "[{") - (c in "]}")
        deepest = max(deepest, level)
    if deepest > 64:
        return "nested_too_deep"
    try:
        found = json.loads(text, parse_constant=no_constant)
        json.dumps(found, ensure_ascii=False).encode()  # lone surrogates are no text
    except (ValueError, RecursionError):
        return "malformed_json"
    if not isinstance(found, dict):
        return "not_an_object"
    if found.get("kind") not in (None, "transaction"):
        return "unknown_kind"
    return values(found)


def values(found):
    out, bad = {}, set()

    def read(key, reader, *more, **named):
        if found.get(key) is None:
            return
        try:
            out[key] = reader(found[key], *more, **named)
        except BadError:
            bad.add(key)

    for key in (
        "transaction_id",
        "account",
        "customer",
        "card",
        "counterparty",
        "payee",
        "merchant",
        "type",
    ):
        read(key, word)
    for key in ("channel", "status", "country", "merchant_country", "segment"):
        read(key, word)
    read("direction", word)
    if out.get("direction") not in (None, "in", "out"):
        del out["direction"]
    read("currency", word)
    read("event_time", moment)
    read("booking_date", moment, dated=True)
    currency = out.get("currency", "EUR")
    if EXPONENTS.get(currency) is None:
        out.pop("currency", None)
        bad |= {"currency"}
        bad |= {"amount"} if found.get("amount") is not None else set()
    else:
        read("amount", amount, EXPONENTS[currency])
    read("balance_before", amount, EXPONENTS["EUR"], signed=True)
    if out.get("type") in ACTIVITIES:
        out[""] = "wrong_kind"
    reasons = {REASON.get(k, "wrong_field") for k in bad if k in REQUIRED}
    reasons |= {"missing_field" for k in REQUIRED if found.get(k) is None}
    if out.get("type") == "refund" and found.get("original_transaction_id") is None:
        reasons.add("missing_field")
    if out.pop("", None):
        reasons.add("wrong_kind")
    return reasons or out
