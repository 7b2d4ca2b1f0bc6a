"""How good the decisions on the whole handbook recording are, labels 7 days late, beside the published figures.

    python -m benchmarks.bench_quality [--smoke] [--json]

The whole recording goes through the engine once, in order, with the configuration of benchmarks/handbook: every payment
is scored before its label is known, and the label arrives 7 days later. Measured are the four test weeks of the Fraud
Detection Handbook (Le Borgne, Siblini, Lebichot, Bontempi, 2022, chapters 5 to 7), as it measures them: without cards
that were known to be compromised by then. Beside them stand the handbook's own means over the same weeks; its models
are fitted anew offline for each week, on the week that ended 7 days before. Smoke takes one customer of fifty.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks import measuring
from benchmarks.measuring import HANDBOOK, RECORDING

N_CUSTOMERS, SMOKE_CUSTOMERS = 5_000, 100

# (model, AUC ROC, average precision, card precision at 100), mean of the four test weeks
PUBLISHED = (
    ("logistic regression", 0.868, 0.623, 0.297),
    ("random forest", 0.870, 0.678, 0.299),
    ("XGBoost", 0.869, 0.687, 0.303),
    ("XGBoost, best parameters in hindsight", 0.872, 0.694, 0.304),
    ("balanced bagging", 0.879, 0.680, 0.305),
    ("neural network", 0.876, 0.675, 0.303),
)
PERFECT_CARD_PRECISION = (
    0.419  # of a ranking by the truth: most days have fewer than 100 such cards
)


def some_customers(recording, folder, n):
    """A recording of the first `n` customers only."""
    import pyarrow.compute as pc

    table = pq.read_table(recording)
    path = folder / "some.parquet"
    pq.write_table(table.filter(pc.less(table.column("CUSTOMER_ID"), n)), path)
    return path


def replay(recording, out):
    """One pass of the recording through the engine; return the summary, which has its speed and memory."""
    from engine.app import Job, execute
    from engine.brokers.files import FileSource
    from engine.setup import read_setup

    setup = read_setup(HANDBOOK)
    source = FileSource([recording], setup.feed, setup.schema)
    rows_max = setup.configuration.settings.rows_max
    return execute(Job(setup, out, rows_max, inputs=(recording.name,), quiet=True), source)


def measure(recording, decisions):
    from replay import evaluate

    labels = evaluate.handbook_labels(recording)
    scored = evaluate.read_scored(decisions, labels, evaluate.HANDBOOK_DAY_0)
    return evaluate.evaluate(scored, evaluate.HANDBOOK_TRAINING, evaluate.HANDBOOK_BANK_DAY)


def week(name, n, frauds, metrics):
    return {"week": name, "transactions": n, "frauds": frauds, **metrics}


def main(argv=None):
    from replay.evaluate import N_DAYS, NAMES

    given = measuring.arguments(
        __doc__, argv, real=N_CUSTOMERS, smoke=SMOKE_CUSTOMERS, of="customers of the recording"
    )
    recording = RECORDING
    if not recording.is_file():
        print(
            f"error: {'/'.join(recording.parts[-3:])} is not there\n"
            "  fix: put it under ../shared, or let WEIR_SHARED name the folder it is in",
            file=sys.stderr,
        )
        return measuring.EXIT_MISSING
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.n < N_CUSTOMERS:
            recording = some_customers(recording, folder, given.n)
        n_transactions = pq.read_metadata(recording).num_rows
        summary = replay(recording, folder / "run")
        decisions = folder / "run" / "decisions.ndjson"
        found = measure(recording, decisions)
        with decisions.open("rb") as file:
            n_lines = sum(1 for _ in file)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    rows = [
        week(
            f"days {w.first_day} to {w.first_day + N_DAYS - 1}",
            w.n_transactions,
            w.n_frauds,
            w.metrics,
        )
        for w in found.published
    ]
    of = f"{given.n:,} customers of the" if given.is_smoke else "the whole"
    mean = {metric: found.published_mean(metric) for metric in NAMES}
    sums = [sum(row[key] for row in rows) for key in ("transactions", "frauds")]
    n_messages = summary["messages"]["all"]
    return measuring.report(
        given,
        f"{of} handbook recording, one pass, "
        f"{n_messages:,} messages, labels 7 days late, from Parquet to decisions on disk",
        [*rows, week("all four, mean", *sums, mean)],
        published=[
            {"model": model, **dict(zip(NAMES, figures, strict=True))}
            for model, *figures in PUBLISHED
        ],
        card_precision_100_of_a_perfect_ranking=PERFECT_CARD_PRECISION,
        bank={"from_day": found.bank_from_day, **found.bank},
        transactions=n_transactions,
        decisions=n_lines,
        dead_letters=sum(summary.get("dead_letters", {}).values()),
        tx_per_second=summary["speed"]["tx_per_second"],
        seconds=summary["speed"]["seconds"],
        memory_mb_max=summary["memory_mb_max"],
        sha256=digest[:16],
    )


if __name__ == "__main__":
    sys.exit(main())
