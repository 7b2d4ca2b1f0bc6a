"""How good the decisions on the whole handbook recording are, labels 7 days late, beside the published figures.

    python -m benchmarks.bench_quality [--smoke] [--json]

The whole recording goes through the engine once, in order, with the configuration of benchmarks/handbook: every payment
is scored before its label is known, and the label arrives 7 days later. Measured are the four test weeks of the Fraud
Detection Handbook (Le Borgne, Siblini, Lebichot, Bontempi, 2022, chapters 5 to 7), as it measures them: without cards
that were known to be compromised by then. Beside them stand the handbook's own means over the same weeks; its models
are fitted anew offline for each week, on the week that ended 7 days before.

Every model of the configuration is measured, and beside them a challenger that scikit-learn fits anew every week (not
part of the shipped configuration: the champion is no better with it) and river's models on the same inputs and labels,
the slow ones on every tenth customer, where ours are run anew on those rows alone. Then the same recording once more
with the labels of its last 7 days dealt out anew, without the challenger, whose fits cost as much as all the rest: no
byte of the decisions may differ but for its score and the configuration's hash. Last, the same kinds of model with the
same parameters in a generated bank. Features and parameters were chosen on days before 115. Smoke takes one customer
of fifty.
"""

import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import measuring
from benchmarks.measuring import HANDBOOK, RECORDING, ROOT

N_CUSTOMERS, SMOKE_CUSTOMERS = 5_000, 100
DAYS_UNKNOWN, SEED = 7, 8  # of labels that are dealt out anew, and how
BANK_ACCOUNTS, BANK_DAYS, BANK_SEED, BANK_FROM_DAY = 4_000, 60, 20_261_125, 14
SMOKE_ACCOUNTS = 300
PEER_SECONDS = 3_600  # for one peer; what is not done by then is left out, and said
TENTH = 10  # slow peers see the customers whose number this divides

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
ONLY_REFITTED = re.compile(rb',"refreshed":[^,}]+|"config":"[^"]*"')  # of a line of decisions
REFRESHED = """
  refreshed:
    kind: boosted
    refit: {{every: 7d, train: 28d, delay: 1h}}
    inputs: [{inputs}]
"""
SCENARIOS = {"1": "amounts over 220", "2": "terminal taken over", "3": "card data stolen"}


def some_customers(recording, folder, n):
    """A recording of the first `n` customers only."""
    import pyarrow.compute as pc

    table = pq.read_table(recording)
    path = folder / "some.parquet"
    pq.write_table(table.filter(pc.less(table.column("CUSTOMER_ID"), n)), path)
    return path


def permuted(recording, path, days, seed):
    """Write the recording with the labels of its last `days` dealt out anew; return how many rows have another one."""
    table = pq.read_table(recording)
    at = table.column("TX_DATETIME").to_numpy().astype("datetime64[us]")
    label = table.column("TX_FRAUD").to_numpy().copy()
    last = np.flatnonzero(at > at.max() - np.timedelta64(days, "D"))
    dealt = np.random.default_rng(seed).permutation(label[last])
    n_moved = int(np.sum(label[last] != dealt))
    label[last] = dealt
    place = table.schema.get_field_index("TX_FRAUD")
    pq.write_table(table.set_column(place, "TX_FRAUD", pa.array(label)), path)
    return n_moved


def refreshed(folder):
    """The configuration of benchmarks/handbook with one more challenger: the inputs of its first model, refitted."""
    from engine.setup import read_setup

    file = read_setup(HANDBOOK).configuration.models
    inputs = next(each.inputs for each in file.models.values() if each.inputs)
    config = folder / "handbook"
    shutil.copytree(HANDBOOK, config)
    path = config / "models.yaml"
    text = path.read_text(encoding="utf-8").rstrip("\n") + "\n"
    path.write_text(text + REFRESHED.format(inputs=", ".join(inputs)), encoding="utf-8")
    return config


class Caught:
    """An observer that keeps the inputs of a model, of each transaction as it was decided."""

    def __init__(self, core, inputs):
        self.core, self.inputs, self.parts = core, inputs, []

    def __call__(self, outcome):
        from engine.batch import TRANSACTION

        rows = np.flatnonzero(outcome.batch.kind == TRANSACTION)
        with np.errstate(over="ignore"):
            columns = [outcome.frame.column(n)[rows].astype(np.float32) for n in self.inputs]
        self.parts.append(np.stack(columns, axis=1))

    @property
    def x(self):
        return np.concatenate(self.parts)


def replay(config, recording, out, inputs=()):
    """One pass of the recording through the engine; return the summary and the inputs that were asked for."""
    from engine.app import Job, execute
    from engine.brokers.files import FileSource
    from engine.setup import read_setup

    setup = read_setup(config)
    source = FileSource([recording], setup.feed, setup.schema)
    caught = []

    def observe(core):
        caught.extend([Caught(core, inputs)] if inputs else [])
        return caught

    job = Job(
        setup,
        out,
        setup.configuration.settings.rows_max,
        inputs=(recording.name,),
        quiet=True,
    )
    summary = execute(job, source, observe=observe)
    return summary, caught[0].x if caught else None


def of_recording(recording):
    """Columns of a recording in the order in which it is replayed, and the scenario of each fraud for looking at."""
    table = pq.read_table(recording)
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    time_us = columns["TX_DATETIME"].astype("datetime64[us]").astype(np.int64)
    order = np.lexsort((columns["TRANSACTION_ID"], time_us))
    identity = zip(
        map(str, columns["CUSTOMER_ID"]), map(str, columns["TRANSACTION_ID"]), strict=True
    )
    kinds = {
        each: SCENARIOS[str(kind)]
        for each, kind in zip(identity, columns["TX_FRAUD_SCENARIO"].tolist(), strict=True)
        if kind
    }
    return {
        "time_us": time_us[order],
        "day": columns["TX_TIME_DAYS"].astype(np.int64)[order],
        "customer": columns["CUSTOMER_ID"].astype(np.int64)[order],
        "label": columns["TX_FRAUD"].astype(np.int8)[order],
    }, kinds


def judge(setup, out, frauds, kinds, from_day=None):
    from replay import evaluating

    return evaluating.judge(setup, out, frauds, kinds, from_day)


def model_row(name, evaluation):
    """A model's line: mean of the test weeks, then the bank's view."""
    from replay.evaluate import NAMES

    has_weeks = bool(evaluation.published)
    weeks = {metric: evaluation.published_mean(metric) if has_weeks else None for metric in NAMES}
    bank = evaluation.bank
    return {
        "model": name,
        **weeks,
        "bank_roc_auc": bank["roc_auc"],
        "bank_average_precision": bank["average_precision"],
        **{f"recall_{s}": bank[f"recall_at_{s}_percent"] for s in ("0.1", "0.5", "1")},
    }


# ------------------------------------------------------------ river


def peers(rows, x, read, champion, folder):
    """Each of river's models beside ours, on the same rows of the test weeks; `read` are the inputs they get."""
    from benchmarks.quality_peers import JOBS
    from replay import evaluate

    tenth = rows["customer"] % TENTH == 0
    ours = {"all": champion, "tenth": None}
    found = []
    for job in JOBS:
        sample = "all" if job.startswith("plain") else "tenth"
        keep = np.ones(len(tenth), np.bool_) if sample == "all" else tenth
        at = {name: column[keep] for name, column in rows.items()}
        if ours[sample] is None:
            ours[sample] = alone(x[keep], at)
        began = time.perf_counter()
        np.savez(folder / "rows.npz", x=x[keep][:, read], time_us=at["time_us"], label=at["label"])
        said = run_peer(job, folder)
        if said is None:
            found.append({"model": job, "rows": int(keep.sum()), **dict.fromkeys(PEER_KEYS)})
            continue
        seconds = time.perf_counter() - began
        scored = [
            evaluate.Scored(at["day"], at["customer"], at["label"], score)
            for score in (said, ours[sample])
        ]
        theirs, us = (evaluate.evaluate(s, evaluate.HANDBOOK_TRAINING) for s in scored)
        apart = evaluate.paired(us, theirs)
        found.append(
            {
                "model": job,
                "rows": int(keep.sum()),
                "seconds": seconds,
                **{n: theirs.published_mean(n) for n in evaluate.NAMES},
                **{f"ours_{n}": us.published_mean(n) for n in evaluate.NAMES},
                **{f"apart_{n}": f"{mean:+.3f} ± {sd:.3f}" for n, (mean, sd) in apart.items()},
            }
        )
    return found


METRICS = ("roc_auc", "average_precision", "card_precision_100")
PEER_KEYS = (
    "seconds",
    *METRICS,
    *(f"ours_{m}" for m in METRICS),
    *(f"apart_{m}" for m in METRICS),
)


def run_peer(job, folder):
    """The peer in a process of its own; None if it took too long."""
    command = [sys.executable, "-m", "benchmarks.quality_peers", job]
    try:
        subprocess.run(
            [*command, str(folder / "rows.npz"), str(folder / "scores.npy")],
            cwd=ROOT,
            check=True,
            timeout=PEER_SECONDS,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    except subprocess.TimeoutExpired:
        return None
    return np.load(folder / "scores.npy")


def alone(x, at):
    """Our champion on these rows alone, from the same models.yaml: bases, then what combines them.

    Models that are refitted have no helper here and say nothing; the blend does without them.
    """
    from benchmarks.quality_peers import DELAY_US
    from engine.setup import read_setup
    from models import registry
    from models.protocol import LEARN, SCORE, SKIP

    file = read_setup(HANDBOOK).configuration.models
    due = at["time_us"] + DELAY_US
    n = len(x)
    known = np.flatnonzero(due <= at["time_us"][-1])
    row = np.concatenate([np.arange(n), known])
    action = np.concatenate([np.full(n, SCORE, np.int8), np.full(len(known), LEARN, np.int8)])
    order = np.lexsort((action == SCORE, np.concatenate([at["time_us"], due[known]])))
    row, action = row[order], action[order]
    unlabelled = np.where(action == LEARN, SKIP, action).astype(np.int8)
    said = {}
    for name in file.made_of(file.champion):
        entry = file.models[name]
        reads = entry.of or entry.inputs
        model = registry.build(entry.kind, reads, entry.params, file.seed)
        if entry.of:
            values = np.stack([said[member] for member in entry.of], axis=1)
        else:
            values = x[:, [file.inputs.index(i) for i in entry.inputs]]
        given = np.ascontiguousarray(values[row].astype(np.float32), dtype=np.float64)
        out = np.full(len(row), np.nan)
        model.process(given, action if model.supervised else unlabelled, at["label"][row], out)
        decided = action == SCORE
        said[name] = np.full(n, np.nan)
        said[name][row[decided]] = out[decided]
    return np.nan_to_num(said[file.champion], nan=-50.0)


# ------------------------------------------------------------ a generated bank


def generated_bank(folder, n_accounts):
    """The configuration that ships, on a bank of a seed that nothing was chosen on."""
    from config.settings import BANK
    from engine.app import Job, execute
    from engine.brokers.files import FileSource
    from engine.setup import read_setup
    from replay.generate import generate
    from replay.replaying import Verdicts

    setup = read_setup(BANK)
    recording = folder / "bank.ndjson"
    truth = generate(
        recording, accounts=n_accounts, days=BANK_DAYS, seed=BANK_SEED, fraud_share=0.001
    )
    verdicts = Verdicts()
    job = Job(
        setup,
        folder / "bank_run",
        setup.configuration.settings.rows_max,
        inputs=(recording.name,),
        quiet=True,
    )
    execute(job, FileSource([recording], setup.feed, setup.schema), observe=lambda _: [verdicts])
    marks = [m for m in truth.marks if not m.is_honest]
    kinds = {(m.account, m.transaction_id): m.typology.replace("_", " ") for m in marks}
    frauds = dict.fromkeys(kinds, 1)  # what really happened, also where no verdict ever came
    return judge(setup, folder / "bank_run", frauds, kinds, BANK_FROM_DAY)


# ------------------------------------------------------------ the bench


def week(name, n, frauds, metrics):
    return {"week": name, "transactions": n, "frauds": frauds, **metrics}


def are_same(decisions, others):
    """Whether two files of decisions differ in nothing but the refitted challenger and the hash that comes with it."""
    with decisions.open("rb") as one, others.open("rb") as other:
        return all(
            mine is not None
            and theirs is not None
            and ONLY_REFITTED.sub(b"", mine) == ONLY_REFITTED.sub(b"", theirs)
            for mine, theirs in itertools.zip_longest(one, other)
        )


def digest_of(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(argv=None):
    from replay.evaluate import N_DAYS, NAMES, handbook_labels

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
    from engine.setup import read_setup

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = refreshed(folder)
        setup = read_setup(config)
        file = setup.configuration.models
        if given.n < N_CUSTOMERS:
            recording = some_customers(recording, folder, given.n)
        rows, kinds = of_recording(recording)
        summary, x = replay(config, recording, folder / "run", file.inputs)
        decisions = folder / "run" / "decisions.ndjson"
        figures = judge(setup, folder / "run", handbook_labels(recording), kinds)
        found = figures.models["champion"]
        with decisions.open("rb") as lines:
            n_lines = sum(1 for _ in lines)
        digest = digest_of(decisions)
        n_moved = permuted(recording, folder / "permuted.parquet", DAYS_UNKNOWN, SEED)
        replay(HANDBOOK, folder / "permuted.parquet", folder / "again")
        is_same = are_same(decisions, folder / "again" / "decisions.ndjson")
        first = next(each for each in file.models.values() if each.inputs)
        read = [file.inputs.index(each) for each in first.inputs]
        beside = peers(rows, x, read, raw_champion(decisions), folder)
        bank = generated_bank(folder, SMOKE_ACCOUNTS if given.is_smoke else BANK_ACCOUNTS)
    of = f"{given.n:,} customers of the" if given.is_smoke else "the whole"
    mean = {metric: found.published_mean(metric) for metric in NAMES}
    weeks = [
        week(
            f"days {w.first_day} to {w.first_day + N_DAYS - 1}",
            w.n_transactions,
            w.n_frauds,
            w.metrics,
        )
        for w in found.published
    ]
    sums = [sum(each[key] for each in weeks) for key in ("transactions", "frauds")]
    fitted = [float(fit.get("seconds") or 0.0) for fit in figures.fits if fit.get("sha256")]
    return measuring.report(
        given,
        f"{of} handbook recording, one pass, "
        f"{summary['messages']['all']:,} messages, labels 7 days late, from Parquet to decisions on disk",
        [*weeks, week("all four, mean", *sums, mean)],
        published=[
            {"model": model, **dict(zip(NAMES, each, strict=True))} for model, *each in PUBLISHED
        ],
        models=[model_row(called(n, file), each) for n, each in figures.models.items()],
        apart=[
            {
                "model": called(n, file),
                **{m: f"{mean:+.3f} ± {sd:.3f}" for m, (mean, sd) in of.items()},
            }
            for n, of in figures.apart.items()
        ],
        peers=beside,
        kinds=kind_rows(figures),
        calibration=figures.calibration,
        calibration_error=figures.error,
        weekly=[
            {"week": n, **{k: v if v == v else None for k, v in of.items()}}
            for n, of in found.weekly.items()
        ],
        fits={"fits": len(fitted), "seconds": sum(fitted), "longest": max(fitted, default=0.0)},
        permuted={"labels": n_moved, "days": DAYS_UNKNOWN, "same": is_same},
        generated=[model_row(n, each) for n, each in bank.models.items()],
        generated_kinds=kind_rows(bank),
        generated_about={
            "accounts": SMOKE_ACCOUNTS if given.is_smoke else BANK_ACCOUNTS,
            "days": BANK_DAYS,
            "seed": BANK_SEED,
            "from_day": BANK_FROM_DAY,
            "transactions": bank.models["champion"].bank["rows"],
            "frauds": bank.models["champion"].bank["frauds"],
            "calibration_error": bank.error,
        },
        card_precision_100_of_a_perfect_ranking=PERFECT_CARD_PRECISION,
        bank={"from_day": found.bank_from_day, **found.bank},
        transactions=len(rows["label"]),
        decisions=n_lines,
        dead_letters=sum(summary.get("dead_letters", {}).values()),
        tx_per_second=summary["speed"]["tx_per_second"],
        seconds=summary["speed"]["seconds"],
        memory_mb_max=summary["memory_mb_max"],
        sha256=digest[:16],
    )


def called(name, file):
    """How a line of the tables names a model."""
    if name == "champion":
        return f"{file.champion}, the champion"
    return "the rules alone" if name == "score" else f"{name} ({file.models[name].kind})"


def kind_rows(figures):
    names = ("recall_0.1", "recall_0.5", "recall_1")
    return [
        {"kind": kind, "frauds": n, **dict(zip(names, found, strict=True))}
        for kind, (n, found) in figures.kinds.items()
    ]


def raw_champion(decisions):
    """What the champion said of each transaction, in order."""
    from replay import evaluate

    return evaluate.read_scored(decisions, {}, evaluate.HANDBOOK_DAY_0).score


if __name__ == "__main__":
    sys.exit(main())
