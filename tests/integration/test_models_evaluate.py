"""`weir models evaluate` over a small recording: its figures by scikit-learn, and labels that nobody can know yet."""

import hashlib
import json
import shutil
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks import measuring
from benchmarks.bench_quality import permuted
from engine.cli import main
from engine.setup import read_setup
from replay import evaluating

DAYS, DAY_0 = 60, np.datetime64("2018-04-01T00:00:00", "us")


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """4,000 payments of 40 cards at 30 terminals; large ones are fraud, and all at a terminal that was taken over."""
    rng = np.random.default_rng(7)
    n = 4_000
    second = np.sort(rng.integers(0, DAYS * 86_400, n))
    customer, terminal = rng.integers(0, 40, n), rng.integers(0, 30, n)
    taken = (terminal == second // (86_400 * 20) + 3) & (rng.random(n) < 0.9)
    large = rng.random(n) < 0.01
    amount = np.round(rng.gamma(3.0, 10.0, n) + 250.0 * large, 2)
    path = tmp_path_factory.mktemp("recording") / "small.parquet"
    table = {
        "TRANSACTION_ID": np.arange(n),
        "TX_DATETIME": DAY_0 + second.astype("timedelta64[s]"),
        "CUSTOMER_ID": customer,
        "TERMINAL_ID": terminal,
        "TX_AMOUNT": amount,
        "TX_TIME_SECONDS": second,
        "TX_TIME_DAYS": second // 86_400,
        "TX_FRAUD": (taken | large).astype(np.int64),
        "TX_FRAUD_SCENARIO": np.where(large, 1, np.where(taken, 2, 0)),
    }
    pq.write_table(pa.table(table), path)
    return path


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The configuration for the handbook with one model more, so that every way of learning is here."""
    folder = tmp_path_factory.mktemp("config") / "handbook"
    shutil.copytree(measuring.HANDBOOK, folder)
    models = folder / "models.yaml"
    refit = "{every: 30d, train: 28d, delay: 1h}"
    more = f"  refreshed: {{kind: boosted, inputs: [amount, amount_vs_usual], refit: {refit}}}"
    models.write_text(f"{models.read_text('utf-8').rstrip()}\n{more}\n", "utf-8")
    return folder


def columns(truth):
    customer, transaction = (map(str, truth[name]) for name in ("CUSTOMER_ID", "TRANSACTION_ID"))
    return customer, transaction, truth["TX_FRAUD"]


def evaluate(config, path, out, *more):
    asked = ("models", "evaluate", path, "--config", config, "--feed", "handbook")
    assert main([str(word) for word in (*asked, "--out", out, *more)]) == 0
    return (out / "decisions.ndjson").read_bytes()


def test_figures_are_those_of_what_was_decided(recording, config, tmp_path, capsys):
    decisions = evaluate(config, recording, tmp_path / "run", "--json")
    told = json.loads(capsys.readouterr().out)
    truth = pq.read_table(recording).to_pydict()
    fraud = dict(zip(map(str, truth["TRANSACTION_ID"]), truth["TX_FRAUD"], strict=True))
    scores, label = defaultdict(list), []
    for line in decisions.splitlines():
        decision = json.loads(line)
        if decision["event_time"] < "2018-05-08":  # day 37
            continue
        label.append(fraud[decision["transaction_id"]])
        for name, value in decision["models"].items():
            scores[name].append(value)
    assert sum(label) > 20
    assert set(scores) | {"score"} == set(told["models"])
    for name, said in scores.items():
        values = np.array([np.nan if s is None else s for s in said])
        if np.isnan(values).any():
            continue  # a model that had not been fitted yet
        bank = told["models"][name]["bank"]
        assert bank["rows"] == len(label)
        assert bank["roc_auc"] == pytest.approx(roc_auc_score(label, values))
        assert bank["average_precision"] == pytest.approx(average_precision_score(label, values))
    assert sum(line["rows"] for line in told["calibration"]) == len(label)
    found = sum(line["rows"] * line["fraud"] for line in told["calibration"])
    assert round(found) == sum(label)
    frauds = {(c, t): f for c, t, f in zip(*columns(truth), strict=True)}
    text = evaluating.judge(read_setup(config), tmp_path / "run", frauds).table()
    for name in scores:
        assert ("(champion)" if name == "champion" else f"  {name} ") in text
    assert "What the champion said against what was so" in text


def test_labels_that_are_not_back_yet_change_no_score(recording, config, tmp_path, capsys):
    """A label takes 7 days: those of the last 7 days may be anything. With one that takes a day, they may not."""
    other = tmp_path / "permuted.parquet"
    n_moved = permuted(recording, other, days=7, seed=3)
    assert n_moved > 10
    same = [
        hashlib.sha256(evaluate(config, path, tmp_path / f"late{k}")).hexdigest()
        for k, path in enumerate((recording, other))
    ]
    assert same[0] == same[1]
    early = [
        evaluate(config, path, tmp_path / f"early{k}", "--label-delay", "1d")
        for k, path in enumerate((recording, other))
    ]
    assert early[0] != early[1], "the permutation permutes nothing: this test could not fail"
    capsys.readouterr()


def test_a_recording_without_frauds_is_refused(recording, tmp_path, capsys):
    table = pq.read_table(recording)
    none = table.set_column(
        table.schema.get_field_index("TX_FRAUD"),
        "TX_FRAUD",
        pa.array(np.zeros(table.num_rows, int)),
    )
    path = tmp_path / "genuine.parquet"
    pq.write_table(none, path)
    asked = ("models", "evaluate", path, "--config", measuring.HANDBOOK, "--feed", "handbook")
    assert main([str(word) for word in asked]) == 2
    assert "called a fraud" in capsys.readouterr().err
