"""Columns of generated rows before they become lines: transactions, account activities, and what follows later.

Codes are the generator's own (row numbers of its population, indices into the tuples below), not the engine's. -1 means
none: the field is left out of the message. Times are microseconds since the Unix epoch, UTC; money is in minor units of
the row's own currency.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

I8: TypeAlias = NDArray[np.int64]
F8: TypeAlias = NDArray[np.float64]
Column: TypeAlias = NDArray[Any]

TRANSACTION_COLUMNS: Final = (
    "time_us",  # event time
    "type",  # index into TYPES
    "account",  # whose leg it is, row of the population
    "card",
    "amount",  # minor units of `currency`
    "currency",  # index into CURRENCIES
    "amount_cny",  # minor units (fen): what the row moves on the account
    "is_in",  # 1: money comes in
    "status",  # index into STATUSES
    "channel",  # index into CHANNELS
    "entry_mode",  # index into ENTRY_MODES
    "auth_method",  # index into AUTH_METHODS
    "merchant",
    "terminal",
    "counterparty",  # account on the other side: below OUTSIDE one of the bank's own, else one of another bank
    "counterparty_country",  # index into COUNTRIES
    "device",
    "ip",
    "ip_country",  # index into COUNTRIES
    "city",  # where the card or the customer is
    "original",  # number of the transaction that a refund gives back; -2 - k: the k-th card_auth of its attempt in time
    "purpose",  # index into PURPOSES
    "attempt",  # index into the plan of attempts, -1: everyday life
    "is_money",  # 1: this row carries the money an attempt is after
)
ACTIVITY_COLUMNS: Final = (
    "time_us",
    "type",  # index into ACTIVITIES
    "account",
    "device",
    "ip",
    "ip_country",
    "city",
    "payee",  # of payee_added, numbered like counterparties
    "duration_s",  # of phone_session
    "attempt",
)
UPDATE_COLUMNS: Final = (
    "arrival_us",  # when the message comes; also its event time
    "number",  # of the transaction it is about
    "account",
    "status",  # index into UPDATE_STATUSES
    "amount",  # minor units of `currency`, net; -1: unchanged
    "currency",
)
LABEL_COLUMNS: Final = (
    "arrival_us",
    "number",
    "account",
    "label",  # index into LABELS
    "source",  # index into SOURCES
    "typology",  # index into the names of typologies, -1: not told
)
UPDATE_STATUSES: Final = ("booked", "reversed", "cancelled", "refused")
UPDATED_BOOKED, UPDATED_REVERSED, UPDATED_CANCELLED, UPDATED_REFUSED = range(4)
LABELS: Final = ("genuine", "fraud", "withdrawn")
GENUINE, FRAUD, WITHDRAWN = range(3)
SOURCES: Final = ("analyst", "customer", "chargeback", "police")
ANALYST, CUSTOMER, CHARGEBACK, POLICE = range(4)
OUTSIDE: Final = 1 << 40  # account numbers from here on belong to other banks

TYPES: Final = (
    "card_auth",
    "payment",
    "transfer",
    "cash_deposit",
    "cash_withdrawal",
    "refund",
    "salary",
    "direct_debit",
    "standing_order",
    "topup",
    "fee",
    "interest",
    "loan_payout",
)
(
    CARD_AUTH,
    PAYMENT,
    TRANSFER,
    CASH_DEPOSIT,
    CASH_WITHDRAWAL,
    REFUND,
    SALARY,
    DIRECT_DEBIT,
    STANDING_ORDER,
    TOPUP,
    FEE,
    INTEREST,
    LOAN_PAYOUT,
) = range(13)
STATUSES: Final = ("requested", "approved", "booked", "declined")
REQUESTED, APPROVED, BOOKED, DECLINED = range(4)
CHANNELS: Final = (
    "pos",
    "online",
    "atm",
    "web",
    "mobile",
    "branch",
    "branch_cash",
    "atm_deposit",
    "file",
)
POS, ONLINE, ATM, WEB, MOBILE, BRANCH, BRANCH_CASH, ATM_DEPOSIT, FILE = range(9)
ENTRY_MODES: Final = ("chip", "contactless", "ecommerce", "credential_on_file", "wallet", "qr")
CHIP, CONTACTLESS, ECOMMERCE, ON_FILE, WALLET, QR = range(6)
AUTH_METHODS: Final = ("none", "pin", "password", "sms", "app", "biometric", "three_d_secure")
NONE, PIN, PASSWORD, SMS, APP, BIOMETRIC, THREE_D_SECURE = range(7)
CURRENCIES: Final = ("CNY", "USD", "EUR", "HKD", "JPY", "THB", "GBP", "SGD")
CNY, USD, EUR, HKD, JPY, THB, GBP, SGD = range(8)
ACTIVITIES: Final = (
    "login",
    "login_failed",
    "password_reset",
    "phone_change",
    "sim_swap",
    "device_enrolled",
    "payee_added",
    "limit_change",
    "phone_session",
    "remote_access",
    "challenge_sent",
    "challenge_passed",
    "challenge_failed",
    "account_opened",
    "card_issued",
)
(
    LOGIN,
    LOGIN_FAILED,
    PASSWORD_RESET,
    PHONE_CHANGE,
    SIM_SWAP,
    DEVICE_ENROLLED,
    PAYEE_ADDED,
    LIMIT_CHANGE,
    PHONE_SESSION,
    REMOTE_ACCESS,
    CHALLENGE_SENT,
    CHALLENGE_PASSED,
    CHALLENGE_FAILED,
    ACCOUNT_OPENED,
    CARD_ISSUED,
) = range(15)
PURPOSES: Final = (
    "salary",
    "rent",
    "tuition",
    "goods",
    "gift",
    "wedding",
    "loan",
    "medical",
    "living",
    "invoice",
)
(
    FOR_SALARY,
    FOR_RENT,
    FOR_TUITION,
    FOR_GOODS,
    FOR_GIFT,
    FOR_WEDDING,
    FOR_LOAN,
    FOR_MEDICAL,
    FOR_LIVING,
    FOR_INVOICE,
) = range(10)

_ZERO: Final = {"is_in": 0, "is_money": 0, "currency": CNY}


@dataclass(slots=True)
class Table:
    """Named int64 columns of `n` rows."""

    n: int
    columns: dict[str, I8]

    @classmethod
    def of(cls, names: Sequence[str], n: int, **values: Column | int) -> "Table":
        """Make `n` rows; scalars are repeated and columns that are not given hold -1."""
        assert values.keys() <= set(names), values.keys() - set(names)
        return cls(
            n,
            {
                name: np.broadcast_to(np.asarray(values.get(name, -1), np.int64), (n,)).copy()
                for name in names
            },
        )

    @classmethod
    def transactions(cls, n: int, **values: Column | int) -> "Table":
        """Make `n` transactions; `amount_cny` is `amount` where the row is in CNY and nothing else was given."""
        made = cls.of(TRANSACTION_COLUMNS, n, **(_ZERO | values))
        if "amount_cny" not in values:
            assert (made["currency"] == CNY).all(), "a foreign amount needs its value in CNY"
            made.columns["amount_cny"] = made["amount"].copy()
        return made

    @classmethod
    def activities(cls, n: int, **values: Column | int) -> "Table":
        return cls.of(ACTIVITY_COLUMNS, n, **values)

    @classmethod
    def joined(cls, tables: Sequence["Table"]) -> "Table":
        names = tables[0].columns
        return cls(
            sum(t.n for t in tables),
            {name: np.concatenate([t.columns[name] for t in tables]) for name in names},
        )

    def __getitem__(self, name: str) -> I8:
        return self.columns[name]

    def take(self, index: Column) -> "Table":
        """The rows at `index`: row numbers, or one flag a row."""
        taken = {name: column[index] for name, column in self.columns.items()}
        return Table(len(next(iter(taken.values()))), taken)
