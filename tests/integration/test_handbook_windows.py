"""The windows of the Fraud Detection Handbook, event by event: 1.75 million transactions and as many labels.

Le Borgne, Siblini, Lebichot, Bontempi, 2022. Customer windows include the transaction; terminal windows end 7 days ago,
when the verdicts of their transactions are known: each verdict arrives as a label 7 days after its transaction, before
transactions of the same instant.
"""

import numpy as np
import pyarrow.parquet as pq
import pytest

from engine.windows.plan import EVENT, PUT, Rows, Windows
from rules.columns import Frame, Layout
from rules.definitions import Aggregate, Window
from rules.ruleset import WindowSpec
from rules.tree import ID, MONEY, NUMBER, Node, Type

pytestmark = pytest.mark.shared

DAY_US = 86_400_000_000
DELAY_US = 7 * DAY_US
LENGTHS = (1, 7, 30)  # days
TRANSACTIONS, FRAUD_LABELS = 0, 1  # filters
BATCH = 2_048


def declare(layout):
    """Name -> spec of each window of the golden file."""
    for name in ("customer", "terminal"):
        layout.add(name, Type(ID, name))
    amount = layout.add("amount", Type(MONEY, "EUR"))
    specs = {}

    def add(name, function, key, window, filter_):
        out = layout.add(name, Type(MONEY if function == "avg" else NUMBER))
        argument = Node("column", Type(MONEY, "EUR"), value="amount") if function == "avg" else None
        aggregate = Aggregate(function, (key,), window, argument=argument)
        specs[name] = WindowSpec(name, aggregate, filter_, amount if argument else None, 0, out)

    for days in LENGTHS:
        width = days * DAY_US
        add(f"customer_count_{days}", "count", "customer", Window(width), TRANSACTIONS)
        add(f"customer_avg_{days}", "avg", "customer", Window(width), TRANSACTIONS)
        lagged = Window(width + DELAY_US, DELAY_US)
        add(f"terminal_count_{days}", "count", "terminal", lagged, TRANSACTIONS)
        add(f"terminal_fraud_{days}", "count", "terminal", Window(width), FRAUD_LABELS)
    return specs


def merge(raw):
    """Transactions and their labels in one order: by time, labels first, then by id. Columns, one value a row."""
    n = len(raw["TRANSACTION_ID"])
    time_us = raw["TX_DATETIME"].astype("datetime64[us]").astype(np.int64)
    twice = {name: np.concatenate([column, column]) for name, column in raw.items()}
    twice["time_us"] = np.concatenate([time_us, time_us + DELAY_US])
    twice["is_label"] = np.repeat([False, True], n)
    order = np.lexsort((twice["TRANSACTION_ID"], ~twice["is_label"], twice["time_us"]))
    return {name: column[order] for name, column in twice.items()}


@pytest.fixture(scope="module")
def seen(shared):
    """What our windows say: transaction id -> place, and a column a feature."""
    names = ["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"]
    table = pq.read_table(shared("data/handbook/transactions_raw.parquet"), columns=names)
    rows = merge({name: table[name].to_numpy() for name in names})
    n, layout = len(rows["time_us"]), Layout()
    specs = declare(layout)
    windows = Windows(list(specs.values()), layout, 0, "UTC")
    out = np.full((len(specs), n), np.nan)
    amount = np.rint(rows["TX_AMOUNT"] * 100)
    action = np.where(rows["is_label"], PUT, EVENT).astype(np.int8)
    seq = np.arange(n)
    for a in range(0, n, BATCH):
        cut = slice(a, min(a + BATCH, n))
        frame = Frame.empty(layout, cut.stop - cut.start)
        frame.column("customer")[:] = rows["CUSTOMER_ID"][cut]
        frame.column("terminal")[:] = rows["TERMINAL_ID"][cut]
        frame.column("amount")[:] = amount[cut]
        is_label = rows["is_label"][cut]
        filters = np.stack([~is_label, is_label & (rows["TX_FRAUD"][cut] == 1)])
        facts = Rows(seq[cut], rows["time_us"][cut], action[cut], np.full(frame.n, -1))
        windows.apply(frame, filters, facts)
        for k, name in enumerate(specs):
            out[k, cut] = frame.column(name)
    is_transaction = ~rows["is_label"]
    place = np.empty(n // 2, np.int64)
    place[rows["TRANSACTION_ID"][is_transaction]] = np.arange(n // 2)
    return place, dict(zip(specs, out[:, is_transaction], strict=True))


@pytest.fixture(scope="module")
def golden(shared):
    table = pq.read_table(shared("data/handbook/golden_windows_sample.parquet"))
    return {name: table[name].to_numpy() for name in table.column_names}


@pytest.mark.parametrize("days", LENGTHS)
def test_customer_windows_are_those_of_the_handbook(seen, golden, days):
    place, columns = seen
    full = golden["CUST_FULL"] == 1
    at = place[golden["TRANSACTION_ID"][full]]
    want = golden[f"CUSTOMER_ID_NB_TX_{days}DAY_WINDOW"][full]
    assert len(want) > 10_000
    np.testing.assert_array_equal(columns[f"customer_count_{days}"][at], want)
    want = golden[f"CUSTOMER_ID_AVG_AMOUNT_{days}DAY_WINDOW"][full]
    np.testing.assert_allclose(columns[f"customer_avg_{days}"][at] / 100, want, rtol=1e-9)


@pytest.mark.parametrize("days", LENGTHS)
def test_terminal_windows_are_those_of_the_handbook(seen, golden, days):
    place, columns = seen
    full = golden["TERM_FULL"] == 1
    at = place[golden["TRANSACTION_ID"][full]]
    count, fraud = columns[f"terminal_count_{days}"][at], columns[f"terminal_fraud_{days}"][at]
    assert len(at) > 10_000
    np.testing.assert_array_equal(count, golden[f"TERMINAL_ID_NB_TX_{days}DAY_WINDOW"][full])
    risk = golden[f"TERMINAL_ID_RISK_{days}DAY_WINDOW"][full]
    np.testing.assert_allclose(fraud, risk * np.maximum(count, 1), rtol=1e-9, atol=1e-9)
    assert fraud.sum() > 0
