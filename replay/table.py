"""Columns of generated rows, before they become lines: a table of transactions and one of account activity.

Codes here are the generator's own (row numbers of its population), not the engine's. -1 means none.
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
    "account",
    "card",
    "amount",  # cents
    "is_in",  # 1: money comes in
    "status",  # index into STATUSES
    "channel",  # index into CHANNELS
    "entry_mode",  # index into ENTRY_MODES
    "merchant",
    "terminal",
    "counterparty",  # number of an account outside the bank
    "device",
    "ip",
    "city",  # where the card or the customer is
    "original",  # number of the transaction a refund gives back
    "attempt",  # index into the truth
    "is_money",  # 1: this row carries the money an attempt is after
)
ACTIVITY_COLUMNS: Final = ("time_us", "type", "account", "device", "ip", "city")

TYPES: Final = ("card_auth", "payment", "cash_deposit", "refund")
CARD_AUTH, PAYMENT, CASH_DEPOSIT, REFUND = range(4)
STATUSES: Final = ("requested", "booked", "declined")
REQUESTED, BOOKED, DECLINED = range(3)
CHANNELS: Final = ("pos", "online", "atm", "web", "mobile", "branch_cash", "atm_deposit", "file")
POS, ONLINE, ATM, WEB, MOBILE, BRANCH_CASH, ATM_DEPOSIT, FILE = range(8)
ENTRY_MODES: Final = ("chip", "contactless", "ecommerce")
CHIP, CONTACTLESS, ECOMMERCE = range(3)
ACTIVITIES: Final = (
    "login",
    "password_reset",
    "phone_change",
    "sim_swap",
    "device_enrolled",
    "payee_added",
)
LOGIN, PASSWORD_RESET, PHONE_CHANGE, SIM_SWAP, DEVICE_ENROLLED, PAYEE_ADDED = range(6)


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
        return cls.of(TRANSACTION_COLUMNS, n, **({"is_in": 0, "is_money": 0} | values))

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
        return Table(len(taken["time_us"]), taken)
