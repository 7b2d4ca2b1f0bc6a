"""The messages that a recording is made of: their fields, in the order of the line, and the column behind each.

One list of fields serves NDJSON (writer.py) and Parquet (parquet.py), so that both say the same. A field is left out of
a message where its column says that there is nothing. What follows from something else, such as a customer from an
account or a country from a city, is looked up here; the tables do not carry it.

Forms of a field (kernels.py writes them):

    TEXT     one of `texts`, by index              NUMBER   `prefix` and at least `width` digits
    ACCOUNT  A0000001 here, X0000000001 elsewhere  ADDRESS  of the internet, in ranges that belong to nobody
    MONEY    minor units as a decimal text         SIGNED   likewise, may lie below zero
    TIME     RFC 3339, UTC, milliseconds           DAY      a date
    INTEGER  a plain number                        DEGREES  a number with four decimals, from ten thousandths
    FLAG     true (0); false is never said
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from config.money import EXPONENTS
from replay.bank import table
from replay.bank.kernels import (
    ACCOUNT,
    ADDRESS,
    DAY,
    DEGREES,
    FLAG,
    INTEGER,
    MISSING,
    MONEY,
    NUMBER,
    SIGNED,
    TEXT,
    TIME,
)
from replay.bank.merchants import CASH_MACHINE, CATEGORIES
from replay.bank.places import CITY_COUNTRY, CITY_LAT, CITY_LON, COUNTRIES
from replay.bank.population import DAY_US, PRODUCTS, SEGMENTS, Population
from replay.bank.table import I8, Column, Table

TRANSACTION, ACTIVITY, UPDATE, LABEL, CUSTOMER_PROFILE, ACCOUNT_PROFILE, CARD_PROFILE = range(7)
N_KINDS: Final = 7
EVENTS: Final = (TRANSACTION, ACTIVITY, UPDATE, LABEL)
PROFILES: Final = (CUSTOMER_PROFILE, ACCOUNT_PROFILE, CARD_PROFILE)
KIND_NAMES: Final = ("transaction", "activity", "update", "label", "profile", "profile", "profile")
ZONE_US: Final = (
    8 * 3_600_000_000
)  # Asia/Shanghai, the zone of the books, has had no other offset since 1991
DIGITS: Final[I8] = np.array([EXPONENTS[name] for name in table.CURRENCIES], np.int64)
SPREAD: Final = 200  # shops stand up to 0.05 degrees, about 5 km, from the middle of their city
MCC_OF_CASH: Final = "6011"
MCCS: Final = (*(category.mcc for category in CATEGORIES), MCC_OF_CASH)


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a kind of message. `currency`: the column that says how many decimals the amount has, "" CNY."""

    key: str
    form: int
    column: str
    texts: tuple[str, ...] = ()
    prefix: str = ""
    width: int = 0
    currency: str = ""


def _kind(kind: int) -> Field:
    return Field("kind", TEXT, "zero", (KIND_NAMES[kind],))


def _id(key: str, prefix: str, width: int, column: str = "") -> Field:
    return Field(key, NUMBER, column or key, prefix=prefix, width=width)


_TRANSACTION_ID: Final = _id("transaction_id", "t", 10, "number")
_EVENT_TIME: Final = Field("event_time", TIME, "time_us")
_ARRIVAL: Final = Field("event_time", TIME, "arrival_us")
_ACCOUNT: Final = Field("account", ACCOUNT, "account")
_CUSTOMER: Final = _id("customer", "K", 7)
_AMOUNT: Final = Field("amount", MONEY, "amount", width=2, currency="currency")
_CURRENCY: Final = Field("currency", TEXT, "currency", table.CURRENCIES)
_SEGMENT: Final = Field("segment", TEXT, "segment", SEGMENTS)
_HOME: Final = Field("home_country", TEXT, "zero", ("CN",))


def _where(*keys: str) -> tuple[Field, ...]:
    """Fields of where somebody was and with what."""
    known = {
        "device": _id("device", "D", 9),
        "ip": Field("ip", ADDRESS, "ip"),
        "ip_country": Field("ip_country", TEXT, "ip_country", COUNTRIES),
        "country": Field("country", TEXT, "country", COUNTRIES),
        "lat": Field("lat", DEGREES, "lat", width=4),
        "lon": Field("lon", DEGREES, "lon", width=4),
    }
    return tuple(known[key] for key in keys)


def fields(typologies: Sequence[str]) -> tuple[tuple[Field, ...], ...]:
    """The fields of every kind of message; labels name one of `typologies`."""
    return (
        (
            _kind(TRANSACTION),
            _TRANSACTION_ID,
            _EVENT_TIME,
            Field("type", TEXT, "type", table.TYPES),
            _ACCOUNT,
            _CUSTOMER,
            _AMOUNT,
            _CURRENCY,
            Field("direction", TEXT, "is_in", ("out", "in")),
            Field("status", TEXT, "status", table.STATUSES),
            Field("channel", TEXT, "channel", table.CHANNELS),
            _id("card", "C", 8),
            Field("entry_mode", TEXT, "entry_mode", table.ENTRY_MODES),
            Field("auth_method", TEXT, "auth_method", table.AUTH_METHODS),
            _id("merchant", "M", 6),
            _id("terminal", "T", 8),
            Field("mcc", TEXT, "mcc", MCCS),
            Field("merchant_country", TEXT, "merchant_country", COUNTRIES),
            Field("counterparty", ACCOUNT, "counterparty"),
            Field("payee", ACCOUNT, "payee"),
            Field("counterparty_country", TEXT, "counterparty_country", COUNTRIES),
            *_where("device", "ip", "ip_country", "country", "lat", "lon"),
            Field("balance_before", SIGNED, "before", width=2),
            Field("purpose", TEXT, "purpose", table.PURPOSES),
            _id("original_transaction_id", "t", 10, "original"),
        ),
        (
            _kind(ACTIVITY),
            _EVENT_TIME,
            Field("type", TEXT, "type", table.ACTIVITIES),
            _ACCOUNT,
            _CUSTOMER,
            *_where("device", "ip", "ip_country", "country"),
            Field("payee", ACCOUNT, "payee"),
            Field("duration", INTEGER, "duration_s"),
            _id("original_transaction_id", "t", 10, "original"),
            Field("auth_method", TEXT, "auth_method", table.AUTH_METHODS),
        ),
        (
            _kind(UPDATE),
            _ARRIVAL,
            _id("update_id", "u", 10, "update"),
            _TRANSACTION_ID,
            _ACCOUNT,
            Field("status", TEXT, "status", table.UPDATE_STATUSES),
            _AMOUNT,
            _CURRENCY,
        ),
        (
            _kind(LABEL),
            _ARRIVAL,
            _TRANSACTION_ID,
            _ACCOUNT,
            Field("label", TEXT, "label", table.LABELS),
            Field("source", TEXT, "source", table.SOURCES),
            Field("typology", TEXT, "typology", tuple(typologies)),
        ),
        (
            _kind(CUSTOMER_PROFILE),
            _EVENT_TIME,
            _CUSTOMER,
            Field("person", TEXT, "is_legal", ("natural", "legal")),
            _SEGMENT,
            Field("customer_since", DAY, "customer_since"),
            Field("birth_date", DAY, "birth_date"),
            _HOME,
            Field("is_vulnerable", FLAG, "is_vulnerable", ("true",)),
        ),
        (
            _kind(ACCOUNT_PROFILE),
            _EVENT_TIME,
            _ACCOUNT,
            _CUSTOMER,
            _id("joint", "K", 7),
            _SEGMENT,
            Field("product", TEXT, "product", PRODUCTS),
            Field("opened_on", DAY, "opened_on"),
            Field("last_active_on", DAY, "last_active_on"),
            _HOME,
        ),
        (
            _kind(CARD_PROFILE),
            _EVENT_TIME,
            _id("card", "C", 8),
            _ACCOUNT,
            _CUSTOMER,
            Field("card_type", TEXT, "zero", ("debit",)),
            Field("issued_on", DAY, "issued_on"),
        ),
    )


def account_text(number: int) -> str:
    """How an account of the bank or of another one is named."""
    if number < table.OUTSIDE:
        return f"A{number + 1:07d}"
    return f"X{number - table.OUTSIDE:010d}"


def customer_text(number: int) -> str:
    return f"K{number + 1:07d}"


def transaction_text(number: int) -> str:
    return f"t{number:010d}"


class Columns:
    """Looks up what the tables about one population do not carry."""

    def __init__(self, population: Population) -> None:
        self._population = population
        self._lat = np.rint(CITY_LAT * 10_000).astype(np.int64)
        self._lon = np.rint(CITY_LON * 10_000).astype(np.int64)

    def of(self, kind: int, rows: Table) -> Mapping[str, I8]:
        """The columns of `rows`, messages of `kind`, and those that follow from them."""
        found = {"zero": np.zeros(rows.n, np.int64)} | rows.columns
        if kind == TRANSACTION:
            self._add_owner(found, is_told=rows["channel"] != table.FILE)
            self._add_place(found)
            is_out = (rows["is_in"] == 0) & (rows["counterparty"] >= 0)
            found["payee"] = np.where(is_out, rows["counterparty"], -1)
        elif kind == ACTIVITY:
            self._add_owner(found, is_told=None)
            found["country"] = _looked_up(CITY_COUNTRY, rows["city"])
            for name in ("original", "auth_method"):  # of challenges alone
                found.setdefault(name, np.full(rows.n, -1))
        elif kind == UPDATE:
            found["currency"] = np.where(rows["amount"] >= 0, rows["currency"], -1)
        return found

    def _add_owner(self, found: dict[str, I8], is_told: Column | None) -> None:
        """The customer as K numbers count, from 1; files of the clearing house name the account alone."""
        customer = self._population.customer[found["account"]] + 1
        found["customer"] = customer if is_told is None else np.where(is_told, customer, -1)

    def _add_place(self, found: dict[str, I8]) -> None:
        merchant, terminal, city = found["merchant"], found["terminal"], found["city"]
        shops = self._population.merchants
        is_cash = (merchant < 0) & (terminal >= CASH_MACHINE)
        found["mcc"] = _looked_up(shops.category, merchant)
        found["mcc"][is_cash] = len(CATEGORIES)
        found["merchant_country"] = _looked_up(shops.country, merchant)
        found["country"] = _looked_up(CITY_COUNTRY, city)
        at_counter = (terminal >= 0) & (city >= 0)
        spot = np.where(merchant >= 0, merchant, terminal) + 1
        for name, middle, step in (("lat", self._lat, 7_919), ("lon", self._lon, 6_271)):
            off = (spot * step % SPREAD - SPREAD // 2) * 5
            found[name] = np.where(at_counter, middle[city] + off, MISSING)

    # ------------------------------------------------------------ profiles

    def profiles(self) -> dict[int, Table]:
        """What is known about customers, accounts and cards as the recording begins."""
        p = self._population
        at = {"time_us": np.array([p.start_us])}
        c = np.arange(p.n_customers)
        since = np.full(p.n_customers, p.start_us)
        np.minimum.at(since, p.customer, p.opened_us)
        customers = {
            "customer": c + 1,
            "is_legal": p.is_legal,
            "segment": p.segment,
            "customer_since": _local_day(since),
            "birth_date": np.where(p.birth_year < 0, MISSING, _day_of_birth(p.birth_year, c)),
            "is_vulnerable": p.is_vulnerable - 1,
        }
        a = np.arange(p.n_accounts)
        accounts = {
            "account": a,
            "customer": p.customer + 1,
            "joint": np.where(p.joint < 0, -1, p.joint + 1),
            "segment": p.account_segment,
            "product": p.product,
            "opened_on": _local_day(p.opened_us),
            "last_active_on": _local_day(p.last_active_us),
        }
        holder = np.repeat(a, p.n_cards)
        card = 2 * holder + (np.arange(len(holder)) - (np.cumsum(p.n_cards) - p.n_cards)[holder])
        age_us = np.minimum(p.start_us - p.opened_us[holder], 1_500 * DAY_US)
        issued_us = p.start_us - age_us * (card * 7_919 % 1_000 + 1) // 1_001
        cards = {
            "card": card,
            "account": holder,
            "customer": p.customer[holder] + 1,
            "issued_on": _local_day(issued_us),
        }
        made = {}
        for kind, columns in zip(PROFILES, (customers, accounts, cards), strict=True):
            n = len(columns["customer"])
            made[kind] = Table(n, {"time_us": np.repeat(at["time_us"], n), **columns})
        return made


def _looked_up(values: I8, index: I8) -> I8:
    """`values` at `index`, -1 where that is -1."""
    return np.where(index >= 0, values[index], -1)


def _local_day(time_us: I8) -> I8:
    return (time_us + ZONE_US) // DAY_US


def _day_of_birth(year: I8, customer: I8) -> I8:
    """Days since 1970 of a date in `year`, spread over the customers."""
    first = (np.maximum(year, 1) - 1970).astype("datetime64[Y]").astype("datetime64[D]")
    return first.astype(np.int64) + customer * 7_919 % 365
