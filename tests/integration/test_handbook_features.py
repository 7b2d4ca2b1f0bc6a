"""The features of the Fraud Detection Handbook, declared in the rule language and run through the whole core.

Le Borgne, Siblini, Lebichot, Bontempi, 2022. The feed is read as `weir replay` reads it, labels 7 days late; what the book
computed for the transactions of 40 customers and 80 terminals must come out again. tests/integration/
test_handbook_windows.py asks the window kernel alone.

The first 45 days, for every window is full by then; WEIR_FULL=1 replays all 183.
"""

import os
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from engine.batch import TRANSACTION
from engine.brokers.files import FileSource
from engine.core import Core
from engine.setup import read_setup
from tests.conftest import ROOT

pytestmark = pytest.mark.shared

DAYS = 183 if os.environ.get("WEIR_FULL") else 45
BEGIN = datetime(2018, 4, 1, tzinfo=UTC)
LENGTHS = (1, 7, 30)
HANDBOOK = ROOT / "benchmarks" / "handbook"
BATCH = 4_096

PACK = """\
pack: handbook
version: 1.0.0
language: 1
currency: EUR
timezone: UTC
retention: 40d
decision: {combine: sum, bands: [{from: 0, to: 1000, do: approve}]}
reasons: {RISK: A pack needs a rule}
rules:
  - id: RISK-001
    name: Fraud was confirmed at the terminal
    version: 1
    owner: tests
    severity: low
    reason: RISK
    on: card_auth
    mode: shadow
    when: terminal_risk_30d > 0.5
    score: 1
features:
"""
FEATURES = """\
  customer_n_%(n)dd:       count() of transaction by customer over %(n)dd
  customer_avg_%(n)dd:     avg(amount) of transaction by customer over %(n)dd
  terminal_n_%(n)dd:       count() of transaction by terminal over %(lagged)dd until 7d ago
  terminal_frauds_%(n)dd:  count() of label by terminal over %(n)dd where label == "fraud"
  terminal_risk_%(n)dd:    (terminal_frauds_%(n)dd / terminal_n_%(n)dd) ?? 0
"""
MODELS = "champion: fraud\nmodels: {fraud: {kind: logistic, inputs: [amount]}}\n"


def configuration(folder):
    """The schema and the feed of the benchmark, and the book's features as an analyst would write them."""
    (folder / "feeds").mkdir()
    for name in ("schema.yaml", "feeds/handbook.yaml"):
        (folder / name).write_bytes((HANDBOOK / name).read_bytes())
    (folder / "models.yaml").write_text(MODELS)
    (folder / "weir.yaml").write_text("packs: [pack]\nfeed: handbook\nremember: 30d\n")
    (folder / "pack").mkdir()
    features = "".join(FEATURES % {"n": n, "lagged": n + 7} for n in LENGTHS)
    (folder / "pack" / "pack.yaml").write_text(PACK + features)
    return read_setup(folder)


@pytest.fixture(scope="module")
def golden(shared):
    """The book's own columns of the days that are replayed."""
    table = pq.read_table(shared("data/handbook/golden_windows_sample.parquet"))
    columns = {name: table[name].to_numpy() for name in table.column_names}
    end = np.datetime64((BEGIN + timedelta(DAYS)).replace(tzinfo=None))
    inside = columns["TX_DATETIME"] < end
    return {name: column[inside] for name, column in columns.items()}


@pytest.fixture(scope="module")
def seen(shared, golden, tmp_path_factory):
    """What the core says: feature -> one value for each golden transaction."""
    setup = configuration(tmp_path_factory.mktemp("handbook"))
    core = Core(setup)
    names = list(setup.pack.features)
    path = shared("data/handbook/transactions_raw.parquet")
    source = FileSource([path], setup.feed, setup.schema)
    place = {str(k): i for i, k in enumerate(golden["TRANSACTION_ID"].tolist())}
    out = np.full((len(names), len(place)), np.nan)
    end_us = round((BEGIN + timedelta(DAYS)).timestamp() * 1e6)
    n_transactions = dead = 0
    while core.core_us < end_us and (messages := source.poll(BATCH, 0)) is not None:
        outcome = core.apply(messages.lines, messages.positions)
        dead += len(outcome.batch.dead)
        is_transaction = outcome.batch.kind == TRANSACTION
        n_transactions += int(is_transaction.sum())
        rows = np.flatnonzero(is_transaction).tolist()
        wanted = [
            (r, k) for r in rows if (k := place.get(outcome.batch.transaction_id[r])) is not None
        ]
        if wanted:
            rows, at = map(list, zip(*wanted, strict=True))
            for f, name in enumerate(names):
                out[f, at] = outcome.frame.column(name)[rows]
    source.close()
    print(
        f"{n_transactions} transactions, {core.seq} messages, {dead} dead letters, {len(place)} compared"
    )
    assert dead == 0
    return dict(zip(names, out, strict=True))


@pytest.mark.parametrize("days", LENGTHS)
def test_customer_windows_are_those_of_the_handbook(seen, golden, days):
    want = golden[f"CUSTOMER_ID_NB_TX_{days}DAY_WINDOW"]
    assert len(want) > 6_000
    np.testing.assert_array_equal(seen[f"customer_n_{days}d"], want)
    want = golden[f"CUSTOMER_ID_AVG_AMOUNT_{days}DAY_WINDOW"]
    np.testing.assert_allclose(seen[f"customer_avg_{days}d"] / 100, want, rtol=1e-9, atol=0)


@pytest.mark.parametrize("days", LENGTHS)
def test_terminal_windows_end_a_week_ago_and_its_frauds_are_labels(seen, golden, days):
    want = golden[f"TERMINAL_ID_NB_TX_{days}DAY_WINDOW"]
    np.testing.assert_array_equal(seen[f"terminal_n_{days}d"], want)
    risk = golden[f"TERMINAL_ID_RISK_{days}DAY_WINDOW"]
    np.testing.assert_allclose(seen[f"terminal_risk_{days}d"], risk, rtol=1e-9, atol=0)
    frauds = np.rint(risk * want)
    np.testing.assert_array_equal(seen[f"terminal_frauds_{days}d"], frauds)
    assert frauds.sum() > 0
