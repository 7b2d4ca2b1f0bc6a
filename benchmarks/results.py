"""Run the benchmarks, keep what they found, and write the pages that show it.

    python -m benchmarks.results [--smoke] [NAME ...]      all of them, or those named: handbook quality rules ...
    python -m benchmarks.results --pages                   only write RESULTS.md and README.md anew

Each bench runs in a process of its own, one after the other. What it found is kept in benchmarks/results/NAME.json;
RESULTS.md and the part of README.md between the two markers are made of these files and of nothing else
(tests/style/test_results.py holds them to it). A smoke run shows that a bench runs: its figures are marked wherever
they stand, and never replace those of a real one.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass

from benchmarks import goals, measuring, planning
from benchmarks.measuring import ROOT

FOLDER = ROOT / "benchmarks" / "results"
PAGE, README = ROOT / "RESULTS.md", ROOT / "README.md"
BEGIN = "<!-- numbers: written by `make bench`, not by hand -->"
END = "<!-- end of numbers -->"
SMOKE = (
    "**Smoke run: small sizes, other work on the machine. It shows that the bench runs and says nothing about speed "
    "or quality. `make bench` measures.**"
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the key in the result, what stands above it, and how a number is written."""

    key: str
    heading: str
    form: str = "{}"

    def cell(self, row):
        value = row[self.key]
        return "" if value is None else self.form.format(value)


@dataclass(frozen=True, slots=True)
class Section:
    """How the result of a bench stands on the page: `tables` has columns by the name of the list of rows."""

    title: str
    about: str
    tables: dict[str, tuple[Column, ...]]


QUALITY = (
    Column("roc_auc", "AUC ROC", "{:.3f}"),
    Column("average_precision", "average precision", "{:.3f}"),
    Column("card_precision_100", "CP@100", "{:.3f}"),
)
DETECTORS = (
    Column("half_space_trees", "half-space trees", "{:.3f}"),
    Column("isolation_forest", "isolation forest", "{:.3f}"),
    Column("consensus", "consensus", "{:.3f}"),
)
BANK_VIEW = (
    Column("bank_roc_auc", "all: AUC ROC", "{:.3f}"),
    Column("bank_average_precision", "average precision", "{:.3f}"),
    Column("recall_0.1", "recall at 0.1 %", "{:.1%}"),
    Column("recall_0.5", "0.5 %", "{:.1%}"),
    Column("recall_1", "1 %", "{:.1%}"),
)
APART = (
    Column("roc_auc", "AUC ROC"),
    Column("average_precision", "average precision"),
    Column("card_precision_100", "CP@100"),
)
RECALL = (
    Column("frauds", "frauds", "{:,}"),
    Column("recall_0.1", "recall at 0.1 %", "{:.1%}"),
    Column("recall_0.5", "0.5 %", "{:.1%}"),
    Column("recall_1", "1 %", "{:.1%}"),
)
PACKS = ("core", "fraud-cn", "aml-cn")
LAUNDERING = (
    Column("attempts", "attempts"),
    Column("hops", "hops seen", "{:,}"),
    Column("alerted", "alerted", "{:.0%}"),
    *(Column(pack, pack, "{:.0%}") for pack in PACKS),
    Column("before", "hops before", "{:.1f}"),
    Column("anyway", "anyway", "{:.0%}"),
    Column("reported", "reported", "{:.0%}"),
    Column("scaled", "alerted, scaled", "{:.0%}"),
)
HASH = Column("sha256", "result", "`{:.8}`")

HISTORY = (
    Column("history", "events of history", "{:,}"),
    Column("cpu_us", "CPU, us an event", "{:.2f}"),
    Column("clock_us", "clock, us", "{:.2f}"),
    Column("times", "times the shortest", "{:.2f}"),
)

SECTIONS = {
    "canonical": Section(
        "The canonical workload",
        "NDJSON on disk to decisions on disk with everything on: 40 features over 20 pairs of key and window, with "
        "filters and lags, 5 distinct counts and 2 quantiles beside them, 50 rules, half-space trees and an online "
        "linear model that both learn; canonical+forest has trees learned from labels too, which decide there. 5 % "
        "activities, labels for 2 %, 1 % out of order, 0.1 % late, 0.1 % twice. One process on one core, journal "
        "synced, chain of seals. Runs take turns, each in a process of its own; the clock ends when all is synced. "
        "Decode only is msgspec into a Struct of the same bytes, batches of 2,048 kept, no garbage collection. Only "
        "transactions count in tx/s. The result is the hash of `decisions.ndjson`.\n\n"
        "The obvious Python build is benchmarks/canonical_peers.py: dict and deque windows, river's models, a loop "
        "over rules that are closures; it took turns with Weir over the first part of the same stream. Before that all "
        "window features and the rules without models were compared over a stream in order; wrong is the share of "
        "feature values that it has wrong where rows come out of order. The profile is the engine's own stopwatch, on "
        "the clock, medians over the runs.",
        {
            "rows": (
                Column("workload", "workload"),
                Column("run", "run"),
                Column("tx_per_second", "tx/s", "{:,}"),
                Column("messages_per_second", "messages/s", "{:,}"),
                Column("cpu_us", "CPU, us a transaction", "{:.2f}"),
                Column("memory_mb", "memory, MB", "{:,.0f}"),
                Column("decode_only_messages_per_second", "decode only, messages/s", "{:,}"),
                Column("share_of_decode_only", "of it", "{:.1%}"),
                HASH,
            ),
            "peers": (
                Column("peer", "peer"),
                Column("transactions", "transactions", "{:,}"),
                Column("peer_tx_per_second", "peer, tx/s", "{:,}"),
                Column("tx_per_second", "Weir, tx/s", "{:,}"),
                Column("times", "times", "{:.1f}"),
                Column("compared", "compared", "{:,}"),
                Column("different", "different", "{:,}"),
                Column("wrong_out_of_order", "wrong", "{:.3%}"),
                Column("note", "what it does not do"),
            ),
            "profile": (
                Column("workload", "where the time goes"),
                Column("stage", "stage"),
                Column("us", "us a transaction", "{:.2f}"),
                Column("share", "share", "{:.1%}"),
            ),
        },
    ),
    "latency": Section(
        "Latency",
        "Milliseconds from when a transaction was due to when its decision was durable and published, open loop: the "
        "schedule is fixed before the first is sent, whatever the engine does, so everything that waits is counted. "
        "Percentiles are those of all samples, not of buckets. A real `weir run` on one core, the load on the other. "
        "Each rate is started anew; up to 5,000 tx/s in three turns, of which the one with the median p99 is told. A "
        "rate that is more than the engine can decide falls behind, and its latency says how long it was sent for and "
        "nothing else. A decision is durable when the disk says so: what the disk alone takes to sync another 4 KB "
        "stands below, measured in the same run, and the rates were sent again to a folder in memory, where a sync "
        "costs nothing, which leaves what the engine adds.",
        {
            "rows": (
                Column("place", "journal on"),
                Column("rate", "tx/s", "{:,}"),
                Column("transactions", "transactions", "{:,}"),
                Column("p50", "p50", "{:,.2f}"),
                Column("p90", "p90", "{:,.2f}"),
                Column("p99", "p99", "{:,.2f}"),
                Column("p99.9", "p99.9", "{:,.2f}"),
                Column("p99.99", "p99.99", "{:,.2f}"),
                Column("max", "max", "{:,.1f}"),
                Column("rows_per_batch", "rows a batch", "{:,.1f}"),
                Column("published_per_second", "published a second", "{:,}"),
                Column("keeps_up", "keeps up"),
                Column("sender_late_p99", "sent late, p99", "{:,.2f}"),
                Column("p99_of_turns", "p99 of each turn"),
            ),
            "disks": (
                Column("place", "a sync of 4 KB alone"),
                Column("p50", "p50", "{:,.3f}"),
                Column("p99", "p99", "{:,.3f}"),
                Column("p99.9", "p99.9", "{:,.3f}"),
            ),
            "limits": (
                Column("what", "median of the turns"),
                Column("limit", "limit", "{:g}"),
                Column("found", "found", "{:,.2f}"),
            ),
        },
    ),
    "curves": Section(
        "Scale curves",
        "The canonical workload with one thing changed at a time: accounts over the same transactions, transactions "
        "over the same accounts, every window once or three times more a little wider, every rule three or nine times "
        "more with another first clause. Each row is a process of its own on one core; times is its processor time "
        "against the first row, the stages are clock, microseconds a transaction. Memory is all of the process. It "
        "bends where state outgrows the caches: more accounts are more cache misses in windows, slots and links, not "
        "more work; features cost what they compute, rules nearly nothing until hundreds of them fire.",
        {
            "rows": (
                Column("what", "changed"),
                Column("value", "to", "{:,}"),
                Column("tx_per_second", "tx/s", "{:,}"),
                Column("cpu_us", "CPU, us a transaction", "{:.2f}"),
                Column("times", "times", "{:.2f}"),
                Column("memory_mb", "memory, MB", "{:,.0f}"),
                Column("decode", "decode", "{:.2f}"),
                Column("windows", "windows", "{:.2f}"),
                Column("models", "models", "{:.2f}"),
                Column("rules", "rules", "{:.2f}"),
                Column("decide", "decide", "{:.2f}"),
                Column("seal", "seal", "{:.2f}"),
                HASH,
            )
        },
    ),
    "start": Section(
        "Start",
        "Seconds from the start of a process to its end, kernels compiled before; medians, commands in turns. The "
        "first row is an interpreter that does nothing. Modules are those imported; kernels says whether numba was "
        "among them: commands that decide nothing do without. `run` opens an engine, finds nothing to read, and stops "
        "with a snapshot.",
        {
            "rows": (
                Column("command", "command"),
                Column("seconds", "s", "{:.2f}"),
                Column("slowest_s", "slowest, s", "{:.2f}"),
                Column("cpu_s", "CPU, s", "{:.2f}"),
                Column("modules", "modules", "{:,}"),
                Column("kernels", "kernels"),
            )
        },
    ),
    "handbook": Section(
        "Throughput on the handbook feed",
        "NDJSON in, decisions on disk: decoding, windows, both models learning, rules, decisions. A message is a "
        "transaction or the label that follows it. The time of a batch is from read to written. Decode only, in the "
        "same run on the same bytes, is msgspec into a struct of the same fields and nothing else. The result is the "
        "hash of `decisions.ndjson`.",
        {
            "rows": (
                Column("run", "run"),
                Column("tx_per_second", "tx/s", "{:,}"),
                Column("messages_per_second", "messages/s", "{:,}"),
                Column("batch_ms_p50", "batch p50, ms", "{:.1f}"),
                Column("batch_ms_p99", "batch p99, ms", "{:.1f}"),
                Column("decode_only_messages_per_second", "decode only, messages/s", "{:,}"),
                Column("share_of_decode_only", "of it", "{:.1%}"),
                Column("decisions_sha256", "result", "`{:.8}`"),
            )
        },
    ),
    "quality": Section(
        "Quality on the handbook recording",
        "One pass, each payment scored before its label is known, labels 7 days later. The four test weeks of the "
        "Fraud Detection Handbook as it measures them (cards known to be compromised are left out), and its own means"
        " over the same weeks, of models fitted anew for each week. CP@100: of the 100 cards with the highest scores "
        "of a day, the share that was compromised, mean over days. Features and parameters were chosen on days before "
        "115; nothing was chosen on the test weeks. Refreshed is fitted anew every week by scikit-learn, all other "
        "models learn label by label. All: every transaction from day 37 on, no card left out; recall at so many % "
        "alerts. Differences are means over the test weeks, ± their deviation. river's models score and learn the same "
        "rows a label at a time, in their defaults; where they get every tenth customer, so does the champion. Its "
        "half-space trees are given what the supervised models read, and some of that is made of labels; our detectors "
        "are not.",
        {
            "rows": (
                Column("week", "test week"),
                Column("transactions", "transactions", "{:,}"),
                Column("frauds", "frauds", "{:,}"),
                *QUALITY,
            ),
            "published": (Column("model", "published"), *QUALITY),
            "models": (
                Column("model", "model of the configuration"),
                *QUALITY,
                *BANK_VIEW,
            ),
            "apart": (Column("model", "the champion, minus"), *APART),
            "peers": (
                Column("model", "on the same inputs"),
                Column("rows", "transactions", "{:,}"),
                *QUALITY,
                Column("ours_average_precision", "ours there: average precision", "{:.3f}"),
                Column("apart_roc_auc", "ours minus it: AUC ROC"),
                Column("apart_average_precision", "average precision"),
                Column("seconds", "s", "{:,.0f}"),
            ),
            "kinds": (Column("kind", "fraud"), *RECALL),
            "calibration": (
                Column("from", "probability from", "{:.3f}"),
                Column("to", "to", "{:.3f}"),
                Column("rows", "transactions", "{:,.0f}"),
                Column("said", "said", "{:.3%}"),
                Column("fraud", "found", "{:.3%}"),
                Column("error", "±", "{:.3%}"),
            ),
            "weekly": (
                Column("week", "week"),
                Column("frauds", "frauds", "{:,.0f}"),
                Column("roc_auc", "AUC ROC", "{:.3f}"),
                Column("average_precision", "average precision", "{:.3f}"),
                Column("recall_at_1_percent", "recall at 1 %", "{:.0%}"),
            ),
            "generated": (Column("model", "in a generated bank"), *BANK_VIEW),
            "generated_kinds": (Column("kind", "fraud there"), *RECALL),
        },
    ),
    "bank": Section(
        "What the packs notice",
        "A generated bank (replay/bank/README.md), of a seed that nobody saw while the rules were written, through the "
        "shipped configuration. Attempts at fraud of 13 kinds, easy and hard, and the share of them that got an alert: "
        "from all packs, and counting the rules of one pack alone. Stopped is the money that was challenged, held or "
        "declined; these fraudsters go on whatever is answered. Then honest events that look like fraud. Rules and "
        "traffic come from one house: the table shows that they fit, not what a real bank would see.",
        {
            "rows": (
                Column("typology", "typology"),
                Column("easy", "easy"),
                Column("easy_all", "alerted", "{:.0%}"),
                *(Column(f"easy_{pack}", pack, "{:.0%}") for pack in PACKS),
                Column("hard", "hard"),
                Column("hard_all", "alerted", "{:.0%}"),
                *(Column(f"hard_{pack}", pack, "{:.0%}") for pack in PACKS),
                Column("stopped", "stopped", "{:.0%}"),
            ),
            "look_alikes": (
                Column("kind", "honest, and looks like fraud"),
                Column("events", "events"),
                Column("alerted", "alerted"),
                Column("disturbed", "not simply approved"),
            ),
            "packs": (
                Column("pack", "pack"),
                Column("rules", "rules"),
                Column("honest_alerted", "honest transactions alerted", "{:.4%}"),
                Column("look_alikes_alerted", "look-alikes alerted", "{:.2%}"),
            ),
            "limits": (
                Column("what", "asked for"),
                Column("limit", "limit", "{:.1%}"),
                Column("found", "found", "{:.3%}"),
            ),
        },
    ),
    "laundering": Section(
        "Laundering patterns from elsewhere",
        "185 laundering attempts that somebody else thought up (IBM's AMLworld, HI-Small), put into the traffic of a "
        "generated bank without frauds; benchmarks/bench_laundering.py says how. In the first table all accounts of an "
        "attempt bank here, which no bank ever has; in the second only the busiest one does. Hops before: how many the "
        "bank had seen before the one that was alerted, median. Anyway: these accounts had an alert in these days "
        "without the attempt, too. Reported: a large-value report was due, which is no suspicion. Scaled: all amounts "
        "shrunk by one factor, so that their median is what people here usually pay. No rule was changed because of "
        "this.\n\n**Found** is money that goes on in nearly the same sum to somebody new within days (cycle, random, "
        "stack), more often where the bank sees several accounts of the chain, and payees that are added in bulk (fan "
        "out, the first half of scatter gather). AMLworld knows no adding of payees: it comes with our rendering as "
        "payments from the app, and in a recording this short nearly all that is found of one account, but for "
        "circles, rests on it.\n\n**Not found** is an account that only collects (fan in): nothing leaves it within "
        "the attempt, and the rules wait for that. Nor pairs that pay once (bipartite), half of them a single "
        "transfer. Gather scatter takes about a week, the rules on mules look at one or two days and most ask for a "
        "young account, and most accounts here are years old. Of a cycle, a stack or a random walk one bank alone sees "
        "one receipt and one payment, often of another sum. With everyday sums next to nothing is found: the floors "
        "that leave honest people alone leave small launderers alone as well.",
        {
            "rows": (Column("family", "all accounts here"), *LAUNDERING),
            "hub": (Column("family", "busiest account here, others elsewhere"), *LAUNDERING),
            "rules": (
                Column("rule", "rule"),
                Column("pack", "pack"),
                Column("rows", "attempts alerted, all here"),
                Column("hub", "busiest here"),
                Column("rows_scaled", "all here, scaled"),
                Column("hub_scaled", "busiest here, scaled"),
            ),
        },
    ),
    "rules": Section(
        "Rules",
        "Microseconds an event for all rules together, the quickest of many chunks of a millisecond, beside the naive"
        " walk over the trees that the tests use as oracle. Plain are three comparisons with a constant; mixed has a "
        "list, an `or`, a missing test and arithmetic in each rule, and `on` for one of four types of event. Refresh "
        "is the call of every batch that brought no new text. The result is the hash of the truth of all rules.\n\n"
        "Other engines take one row at a time, so one figure stands for every batch, and convert the row from Python "
        "at every call. Three values: a rule is true, false, or undecided for want of a column, which is spelt out "
        "for them; they do not say which column. Singly is one expression a rule, called with the columns it reads; "
        "together is one expression that lists all rules, where a mistake in one takes all of them down.",
        {
            "rows": (
                Column("rules", "rules"),
                Column("rows", "batch", "{:,}"),
                Column("us_per_event", "us an event", "{:.3f}"),
                Column("naive_us_per_event", "naive walk, us", "{:.1f}"),
                Column("refresh_us_per_batch", "refresh, us a batch", "{:.2f}"),
                Column("compile_ms", "compile, ms", "{:.1f}"),
                HASH,
            ),
            "beside": (
                Column("engine", "the plain rules in"),
                Column("form", "compiled"),
                Column("batch", "batch", "{:,}"),
                Column("peer_us", "us an event", "{:,.1f}"),
                Column("ours_us", "ours, us", "{:.3f}"),
                Column("times", "times", "{:,.1f}"),
            ),
            "peers": (
                Column("engine", "engine"),
                Column("version", "version"),
                Column("job", "asked for"),
                Column("form", "compiled"),
                Column("us_per_event", "us an event", "{:,.1f}"),
                Column("agrees", "same answers"),
            ),
        },
    ),
    "reload": Section(
        "Rules that come in while transactions flow",
        "Rule files are saved over and over into the folder that a running engine watches. Save is from the last byte "
        "to the first decision under the new rules, published; accepted is from the end of the checks. Every second "
        "save changes 100 rows of a list of 100,000 and nothing else. Around it are the transactions due from the save "
        "to 0.2 s after the first decision under the new rules; calm is the median, and the worst, of five half "
        "seconds before the save, when nothing is reloaded. A gap is the longest time between two batches published "
        "then, a sync the longest that one of them waited for the disk. Feed, engine and the process that checks share "
        "two cores. Every transaction has one decision, under the rules of its seq, and `weir audit verify` finds no "
        "difference.",
        {
            "rows": (
                Column("reload", "reload"),
                Column("changed", "of"),
                Column("save_s", "save to live, s", "{:.2f}"),
                Column("accepted_ms", "accepted to live, ms", "{:.0f}"),
                Column("longest_step_ms", "longest step, ms", "{:.1f}"),
                Column("swap_ms", "swap, ms", "{:.1f}"),
                Column("p999_ms", "around it: p99.9, ms", "{:.1f}"),
                Column("calm_p999_ms", "calm: p99.9", "{:.1f}"),
                Column("max_ms", "around it: longest, ms", "{:.1f}"),
                Column("calm_max_ms", "calm: longest", "{:.1f}"),
                Column("calm_worst_ms", "worst", "{:.1f}"),
                Column("gap_ms", "gap, ms", "{:.1f}"),
                Column("calm_gap_ms", "calm", "{:.1f}"),
                Column("sync_ms", "sync, ms", "{:.1f}"),
                Column("calm_sync_ms", "calm", "{:.1f}"),
            ),
            "limits": (
                Column("what", "median of the reloads"),
                Column("limit", "limit", "{:g}"),
                Column("found", "found", "{:g}"),
            ),
        },
    ),
    "windows": Section(
        "Windows",
        "Microseconds an event for all features of the row together, over the second half of the stream, when every "
        "window is full. CPU is processor time, which other work on the machine disturbs less than the clock. Batches "
        "of 1 are the kernels called one row at a time from a compiled loop; through Python is the same rows as the "
        "engine would apply them. Rows and state are the same in both kinds of batch, or the bench fails. The limits "
        "are those of the issue. Peers compute the same features over the same rows, fewer and in order; different is "
        "how many of the compared results are not ours (whole numbers equal, quotients to 1e-9). Ours in batches of 1 "
        "is through Python there.",
        {
            "rows": (
                Column("features", "features"),
                Column("late", "late", "{:.0%}"),
                Column("batch", "batch", "{:,}"),
                Column("cpu_us", "CPU, us an event", "{:.2f}"),
                Column("limit_us", "limit", "{:.0f}"),
                Column("clock_us", "clock, us", "{:.2f}"),
                Column("python_us", "through Python, us", "{:.1f}"),
                Column("slowest_batch_ms", "slowest batch, ms", "{:.1f}"),
                HASH,
            ),
            "peers": (
                Column("features", "features"),
                Column("peer", "peer"),
                Column("batch", "batch", "{:,}"),
                Column("peer_us", "peer, us an event", "{:,.1f}"),
                Column("ours_us", "ours, us", "{:.2f}"),
                Column("times", "times", "{:,.1f}"),
                Column("computed", "features it has"),
                Column("compared", "compared", "{:,}"),
                Column("different", "different", "{:,}"),
            ),
            "hot": (
                Column("function", "one hot key"),
                Column("in_window", "values in its window", "{:,}"),
                Column("approx", "approx", "{:.0%}"),
                Column("cpu_us", "in order: CPU, us an event", "{:.2f}"),
                Column("late_us", "1% late", "{:.2f}"),
                Column("memory_kb", "held, KB", "{:,.0f}"),
                Column("off", "largest error seen", "{:.1%}"),
            ),
            "notes": (Column("peer", "peer"), Column("note", "what to know about it")),
        },
    ),
    "scale": Section(
        "Scale of windows",
        "Whether 40 features over 5 keys cost the same after a long history and with long windows, and what they take "
        "of memory. Allocated is the state in use, room kept free inside it included; resident is what the process "
        "grew by. Devices come and go in the weeks (one event in twenty is of a new one), all other keys stay. In the "
        "table of longer windows all windows and lags are 10 times as long over the same rows, and full in both cases. "
        "In the first curve history is ten weeks at most: windows fill, and state outgrows the caches. In the second "
        "every window is full before the clock starts, and nothing grows but the history.",
        {
            "rows": HISTORY,
            "full": HISTORY,
            "longer": (
                Column("features", "features"),
                Column("in_window", "events in the longest window", "{:,.1f}"),
                Column("cpu_us", "CPU, us an event", "{:.2f}"),
                Column("cpu_us_longer", "10 times as long, us", "{:.2f}"),
                Column("times", "times", "{:.2f}"),
            ),
            "weeks": (
                Column("week", "week"),
                Column("events", "events", "{:,}"),
                Column("records_mb", "records, MB", "{:,.0f}"),
                Column("events_mb", "events kept, MB", "{:,.0f}"),
                Column("devices_mb", "records of devices, MB", "{:,.0f}"),
                Column("device_events_mb", "their events, MB", "{:,.0f}"),
                Column("resident_mb", "resident, MB", "{:,.0f}"),
            ),
            "memory": (
                Column("key", "key"),
                Column("entities", "entities", "{:,}"),
                Column("record_bytes", "bytes an entity", "{:,.0f}"),
                Column("records_mb", "records, MB", "{:,.0f}"),
                Column("events_mb", "events kept, MB", "{:,.0f}"),
                Column("event_bytes", "bytes a retained event", "{:,.0f}"),
                Column("tables_mb", "distinct values, MB", "{:,.0f}"),
                Column("sorted_mb", "sorted values, MB", "{:,.0f}"),
                Column("left_mb", "left behind, MB", "{:,.0f}"),
            ),
            "limits": (
                Column("what", "what"),
                Column("limit", "limit", "{:,.10g}"),
                Column("found", "found", "{:,.2f}"),
            ),
        },
    ),
    "models": Section(
        "Models",
        "Microseconds a transaction, the best of three, by the rows of a batch; with labels, it is scored and later "
        "learned, and both are counted. Limits, and times quicker than river, are those of the issue, held against "
        "batches of 2,048. river's are its half-space trees for the detectors, its logistic regression, and its "
        "adaptive random forest for the streaming trees; they take the rows one by one as dicts, behind the scaler "
        "they need. Our logistic regression as it ships makes 119 columns of the 15 inputs and learns a draw of the "
        "genuine labels; inputs as they are, every label, is what river's does. Below, estimators of other libraries "
        "behind our adapters, on the same rows.",
        {
            "rows": (
                Column("model", "model"),
                Column("inputs", "inputs"),
                Column("does", "does"),
                Column("batch_1_us", "batches of 1, us", "{:.1f}"),
                Column("batch_64_us", "of 64", "{:.2f}"),
                Column("batch_2048_us", "of 2,048", "{:.2f}"),
                Column("limit_us", "limit", "{:g}"),
                Column("river_us", "river, us", "{:,.0f}"),
                Column("times", "times", "{:,.0f}"),
                Column("times_min", "asked for", "{:g}"),
            ),
            "adapters": (
                Column("adapter", "adapter"),
                Column("estimator", "estimator"),
                Column("does", "does"),
                Column("us", "us a transaction", "{:,.0f}"),
                Column("state_kb", "pickled, KB", "{:,.0f}"),
            ),
        },
    ),
    "detectors": Section(
        "Detectors without labels",
        "AUC ROC on labelled anomalies that nobody here planted: one pass, scored before learned, the same default "
        "parameters everywhere. Shuffled, mean of all orders; the consensus is that of the two before it. river's "
        "half-space trees see a sample of 20,000 rows, ours beside them the same rows. Published are half-space trees "
        "(HST), online isolation forest (oIFOR), robust random cut forest (RRCF), LODA and isolation forest ASD "
        "(Leveni et al., ICML 2024). In their own order the anomalies come in bursts, and a detector with a short "
        "memory takes them for the normal. Then the Numenta Anomaly Benchmark, standard profile, published scoring and "
        "one threshold for all series; the deviation from the own week is the third member. Windowed Gaussian is NAB's "
        "own, made anew to check the scorer. Least and most are of the seeds. Parameters were chosen on the shuffled "
        "sets, the columns of NAB on NAB: it shows that they fit, not what another series would give.",
        {
            "rows": (
                Column("set", "shuffled"),
                Column("rows", "rows", "{:,}"),
                Column("anomalies", "anomalies", "{:,}"),
                *DETECTORS,
                Column("river_sample", "river, sample", "{:.3f}"),
                Column("ours_sample", "ours, sample", "{:.3f}"),
                Column("published_hst", "HST", "{:.3f}"),
                Column("published_oifor", "oIFOR", "{:.3f}"),
                Column("published_rrcf", "RRCF", "{:.3f}"),
                Column("published_loda", "LODA", "{:.3f}"),
                Column("published_ifasd", "IF ASD", "{:.3f}"),
            ),
            "in_order": (
                Column("set", "in its own order"),
                *DETECTORS,
                Column("river", "river", "{:.3f}"),
            ),
            "nab": (
                Column("detector", "NAB"),
                Column("score", "score", "{:.1f}"),
                Column("least", "least", "{:.1f}"),
                Column("most", "most", "{:.1f}"),
            ),
            "nab_published": (
                Column("detector", "NAB, published"),
                Column("score", "score", "{:.1f}"),
            ),
        },
    ),
    "durability": Section(
        "What durability costs",
        "First the same replay without a journal (none), with one that survives a killed process (flush) and one that "
        "survives a power failure (sync): journal, delivery log and chain of seals together, from the first poll to "
        "the end of the source, in turns; costs are medians of pairs. Then a restart: the files of the engine were "
        "dropped from the memory of the system, and a new process goes on until one decision is written. Then a live "
        "run of that engine: latency from when the oldest message of a batch was due, which a process sends at a fixed "
        "rate whatever the engine does, to when its outcome was written; ms. While a snapshot is written by the "
        "process beside, and as long before it with nothing beside, on the same two cores: slowest is the median over "
        "turns of the slowest batch. What the machine itself adds to a batch stands in the first row. Last, going "
        "over a day again: whole commands without the start of Python; times is the speed of the replay with sync.",
        {
            "rows": (
                Column("feed", "feed"),
                Column("durability", "durability"),
                Column("messages", "messages", "{:,}"),
                Column("tx_per_second", "tx/s", "{:,}"),
                Column("cpu_us", "CPU, us a message", "{:.2f}"),
                Column("cost", "cost, clock", "{:.1%}"),
                Column("cpu_cost", "cost, CPU", "{:.1%}"),
                Column("journal_bytes", "journal, bytes a message", "{:.0f}"),
            ),
            "restart": (Column("what", "restart"), Column("found", "found", "{:,.2f}")),
            "live": (
                Column("what", "live"),
                Column("batches", "batches", "{:,}"),
                Column("p50", "p50", "{:.2f}"),
                Column("p99", "p99", "{:.2f}"),
                Column("p99.9", "p99.9", "{:.2f}"),
                Column("slowest", "slowest", "{:.1f}"),
                Column("slowest_of_all", "of all turns", "{:.1f}"),
            ),
            "verify": (
                Column("what", "a day again"),
                Column("seconds", "s", "{:.2f}"),
                Column("cpu_seconds", "CPU, s", "{:.2f}"),
                Column("times", "times", "{:.2f}"),
                Column("cpu_times", "times, CPU", "{:.2f}"),
            ),
            "limits": (
                Column("what", "what"),
                Column("limit", "limit", "{:,.10g}"),
                Column("found", "found", "{:,.2f}"),
            ),
        },
    ),
    "cluster": Section(
        "A cluster on Kafka",
        "One broker on the same machine: it, the workers and the bench share the cores. The input topic is "
        "filled, then one process decides it; transactions a second from the first decision that the broker wrote "
        "to the last, by the broker's clock. `weir worker` keeps its journal, synced, and publishes exactly once; "
        "the plain Faust agents run the same core on the same configuration, keep nothing and publish at least "
        "once; times is against the better of the two that publish. With one partition all of them, and the "
        "embedded engine, decide the same, byte for byte: the result is the hash. Then latency at a fixed rate, "
        "open loop, from when a transaction was due to when a reader of what is committed had its decision, ms. "
        "Then a rebalance: two workers share 8 partitions, one is killed; a moved partition decides again when "
        "the first transaction sent after the kill is decided.",
        {
            "rows": (
                Column("way", "way"),
                Column("transactions", "transactions", "{:,}"),
                Column("tx_per_second", "tx/s", "{:,}"),
                Column("times", "times", "{:.1f}"),
            ),
            "latency": (
                Column("partitions", "partitions"),
                Column("rate", "tx/s", "{:,}"),
                Column("p50", "p50", "{:.1f}"),
                Column("p99", "p99", "{:.1f}"),
                Column("p99.9", "p99.9", "{:.1f}"),
                Column("slowest", "slowest", "{:.1f}"),
            ),
            "rebalance": (Column("what", "rebalance"), Column("found", "found", "{:,.4g}")),
            "limits": (
                Column("what", "what"),
                Column("limit", "limit", "{:,.10g}"),
                Column("found", "found", "{:,.4g}"),
            ),
        },
    ),
    "decode": Section(
        "Decoding",
        "CPU microseconds a message, the best of three passes: from bytes to validated columns, beside msgspec alone "
        "into the struct that the decoder uses (gc off, same bytes). The result is the hash of the columns.",
        {
            "rows": (
                Column("messages", "messages"),
                Column("msgspec_us", "msgspec alone, us", "{:.2f}"),
                *(Column(f"batch_{n}_us", f"batch {n:,}, us", "{:.2f}") for n in (2_048, 256, 16, 1)),
            )
        },
    ),
    "generate": Section(
        "The generated bank",
        "Drawn, booked, sorted, rendered and on disk, each form in a process of its own. A message is a transaction, "
        "an activity, an update, a label or a profile; events are the first two. Memory is the most that the process "
        "ever held. Below: a transaction from columns to text, beside dicts and json.dumps of the same columns; the "
        "result is the hash of these lines.",
        {
            "rows": (
                Column("form", "form"),
                Column("messages", "messages", "{:,}"),
                Column("messages_per_second", "messages/s", "{:,}"),
                Column("events_per_second", "events/s", "{:,}"),
                Column("cpu_us", "CPU, us a message", "{:.2f}"),
                Column("memory_mb", "memory, MB", "{:,.0f}"),
                Column("bytes_a_message", "bytes a message", "{:.0f}"),
                HASH,
            ),
            "rendering": (
                Column("rows", "transactions", "{:,}"),
                Column("bytes_a_line", "bytes a line", "{:.0f}"),
                Column("kernel_us", "kernel, us a line", "{:.2f}"),
                Column("dumps_us", "json.dumps, us a line", "{:.1f}"),
            ),
        },
    ),
}  # fmt: skip


def read(folder=FOLDER):
    """Name -> result of every bench that has been run."""
    paths = {name: folder / f"{name}.json" for name in SECTIONS}
    return {
        name: json.loads(path.read_text(encoding="utf-8"))
        for name, path in paths.items()
        if path.is_file()
    }


# ---------------------------------------------------------------- pages


def page(results):
    """RESULTS.md."""
    head = (
        "Written by `make bench` from `benchmarks/results/`, not by hand. us are microseconds; each bench has one "
        "process, one core, fixed seeds and its warm-up outside the clock; `load` is what else was running as it "
        "began, in processes a core.\n"
    )
    parts = ["# Results\n", head, f"## {goals.TITLE}\n", f"{goals.ABOUT}\n"]
    asked = ["what", "first", "then", "found", "reached", "section"]
    table = goals.rows(results)
    parts.append(markdown(asked, [[*row[:-1], linked(row[-1])] for row in table]))
    for name, section in SECTIONS.items():
        parts.append(f"## {section.title}\n")
        result = results.get(name)
        if result is None:
            parts.append(f"Not measured yet: `python -m benchmarks.results {name}`.\n")
            continue
        parts += [f"{SMOKE}\n"] if result["is_smoke"] else []
        parts += [f"{where(result)}\n", f"{section.about}\n"]
        parts += [
            markdown([c.heading for c in columns], [[c.cell(r) for c in columns] for r in rows])
            for key, columns in section.tables.items()
            if (rows := result.get(key))
        ]
        parts += [f"{line}\n" for line in more(name, result)]
    if planned := planning.rows(results):
        sources = ("canonical", "scale")
        parts += [f"## {planning.TITLE}\n"]
        parts += [f"{SMOKE}\n"] if any(results[name]["is_smoke"] for name in sources) else []
        parts += [f"{planning.about(results)}\n", markdown(planning.HEADINGS, planned)]
    return "\n".join(parts)


def where(result):
    """Workload, cores, machine and date of a result."""
    return (
        f"{result['workload']}. {result['cores']} core of {result['machine']}; load {result['load']}; "
        f"{result['date']}; `python -m benchmarks.bench_{result['bench']}`, {result['took_s']:,.0f} s."
    )


def more(name, result):
    """What stands below the tables of a section."""
    if name == "quality":
        bank = result["bank"]
        added = []
        if "permuted" in result:
            permuted, fits, there = (result[k] for k in ("permuted", "fits", "generated_about"))
            same = (
                "no byte of the decisions differs (the refreshed one, whose fits cost as much as the rest, left out)"
                if permuted["same"]
                else "**SCORES CHANGED**"
            )
            added = [
                (
                    f"Labels of the last {permuted['days']} days dealt out anew, {permuted['labels']:,} of them "
                    f"others than before: {same}."
                ),
                (
                    f"The champion's probabilities announce {result['calibration_error']:.1%} of all frauds in the "
                    f"wrong place. {fits['fits']} refits took {fits['seconds']:,.0f} s in a process beside the "
                    f"engine, the longest {fits['longest']:,.1f} s; a replay waits for each."
                ),
                (
                    f"The generated bank: {there['accounts']:,} accounts over {there['days']} days, seed "
                    f"{there['seed']}, {there['transactions']:,.0f} transactions from day {there['from_day']} on, "
                    f"{there['frauds']:,.0f} of them part of an attempt; the same kinds of model with the same "
                    "parameters, on the bank's own features."
                ),
            ]
        return [
            *added,
            f"A perfect ranking has CP@100 {result['card_precision_100_of_a_perfect_ranking']:.3f}.",
            (
                f"All {bank['rows']:,.0f} transactions from day {bank['from_day']} on, {bank['frauds']:,.0f} of them "
                f"frauds: AUC ROC {bank['roc_auc']:.3f}, average precision {bank['average_precision']:.3f}, recall "
                f"{bank['recall_at_0.5_percent']:.1%} at 0.5 % alerts and {bank['recall_at_1_percent']:.1%} at 1 %."
            ),
            (
                f"{result['decisions']:,} decisions on {result['transactions']:,} transactions, "
                f"{result['dead_letters']:,} dead letters, "
                f"at most {result['memory_mb_max']:,.0f} MB; `decisions.ndjson` is `{result['sha256']}`."
            ),
        ]
    if name == "bank":
        reports = ", ".join(f"{n} {kind}" for kind, n in result["reports"].items())
        return [
            (
                f"{result['honest']:,} honest transactions, {result['honest_disturbed']:.3%} not simply approved; "
                f"{result['alerts']:,} alerts, {result['alerts_false']:,} of them without a fraud behind them. "
                f"Reports: {reports or 'none'}. {result['memory_mb_max']:,.0f} MB; "
                f"`decisions.ndjson` is `{result['sha256'][:16]}`."
            )
        ]
    if name == "laundering":
        others = result["alerted_others"]
        return [
            (
                f"{result['transactions']:,} transactions of the bank itself, {result['alerted_usually']:,} of them "
                f"alerted without any attempt and {others['rows']:,} with those of the first table among them. Scaled "
                f"is times {result['scale']:.4f}, to a median of {result['typical']:,.0f} yuan. "
                f"Result `{result['sha256'][:16]}`."
            )
        ]
    if name == "canonical":
        median = result["median"]
        told = "; ".join(
            f"{name} {found['tx_per_second']:,.0f} tx/s, {found['cpu_us']:.2f} us of the processor a transaction"
            for name, found in median.items()
        )
        return [
            f"Medians: {told}.",
            (
                f"This disk syncs 64 KB {result['syncs_per_second']:,} times a second; a batch had "
                f"{result['rows_in_a_batch']:,} messages and is synced once."
            ),
        ]
    if name == "latency":
        fastest = result["fastest_tx_per_second"].items()
        told = ", ".join(f"{rate:,} tx/s ({place})" for place, rate in fastest)
        return [
            f"The highest rate tried that kept p99 within {result['p99_limit_ms']:g} ms: {told}."
        ]
    if name == "handbook":
        median = result["median"]
        return [
            f"Median: {median['tx_per_second']:,.0f} tx/s, {median['messages_per_second']:,.0f} messages/s."
        ]
    if name == "generate":
        return [
            (
                f"Asked for: {result['events_a_second_asked']:,} events/s in {result['memory_mb_asked']:,} MB. "
                f"Result `{result['sha256']}`."
            )
        ]
    return [f"Result `{result['sha256']}`."] if "sha256" in result else []


def markdown(headings, rows):
    """A table; columns that hold numbers stand to the right."""
    right = [
        any(column) and all(cell[:1].isdigit() for cell in column if cell)
        for column in zip(*rows, strict=True)
    ]
    lines = [headings, ["--:" if r else "---" for r in right], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def numbers(results):
    """The part of the README between the markers."""
    rows = []
    for name in (name for name in SECTIONS if name in results):
        for k, line in enumerate(HEADLINES[name](results[name])):
            rows.append(["" if k else f"[{SECTIONS[name].title}]({anchor(name)})", *line])
    parts = [SMOKE, ""] if any(result["is_smoke"] for result in results.values()) else []
    parts += [markdown(["what", "workload", "Weir", "beside it"], rows)]
    places = {}
    for name in (name for name in SECTIONS if name in results):
        result = results[name]
        key = f"{result['cores']} core of {result['machine']}, {result['date']}"
        places.setdefault(key, []).append(name + " (smoke)" * result["is_smoke"])
    parts += [f"Measured on {key}: {', '.join(names)}." for key, names in places.items()]
    return "\n".join(parts)


def linked(name):
    """A link to the section of a bench on the same page."""
    return (
        f"[{SECTIONS[name].title}]({anchor(name).removeprefix('RESULTS.md')})"
        if name in SECTIONS
        else name
    )


def anchor(name):
    return f"RESULTS.md#{SECTIONS[name].title.lower().replace(' ', '-')}"


def of_canonical(result):
    row, peer = result["rows"][0], result["peers"][0]
    for k, (name, median) in enumerate(result["median"].items()):
        yield [
            result["workload"] if not k else name,
            f"**{few(median['tx_per_second'])} tx/s**, {few(median['cpu_us'])} us of the processor a transaction",
            f"decode only: {few(row['decode_only_messages_per_second'])} messages/s"
            if not k
            else "",
        ]
    yield [
        f"the same features and rules, {peer['transactions']:,} transactions",
        f"**{few(peer['times'])} times** as quick, {few(peer['tx_per_second'])} tx/s",
        f"{peer['peer']}: {few(peer['peer_tx_per_second'])} tx/s",
    ]


def of_latency(result):
    alone = {row["place"]: row for row in result["disks"]}
    for k, row in enumerate(row for row in result["rows"] if row["rate"] == 5_000):
        disk = alone[row["place"]]
        yield [
            f"{'' if k else result['workload'] + '; '}5,000 tx/s, journal on {row['place']}",
            f"p50 {few(row['p50'])}, p99 **{few(row['p99'])}**, p99.9 **{few(row['p99.9'])}** ms",
            f"a sync alone: p50 {few(disk['p50'])}, p99 {few(disk['p99'])} ms; limit: p99 5, p99.9 20 ms",
        ]
    fastest = result["fastest_tx_per_second"].items()
    yield [
        f"highest rate with p99 within {result['p99_limit_ms']:g} ms",
        ", ".join(f"**{rate:,} tx/s** ({place})" for place, rate in fastest),
        "",
    ]


def of_curves(result):
    rows = [row for row in result["rows"] if row["what"] == "accounts"]
    for k, row in enumerate((rows[0], rows[-1])):
        yield [
            f"{'' if k else result['workload'] + '; '}{row['value']:,} accounts",
            f"{few(row['tx_per_second'])} tx/s, {few(row['cpu_us'])} us of the processor, {few(row['memory_mb'])} MB",
            "",
        ]


def of_start(result):
    rows = {row["command"]: row for row in result["rows"]}
    nothing = rows["python -c pass"]["seconds"]
    for k, name in enumerate(("weir --help", "weir rules check", "weir run, nothing to read")):
        yield [
            f"{'' if k else result['workload'] + '; '}{name}",
            f"{few(rows[name]['seconds'])} s",
            f"limit: {result['limit_s']:g} s; python -c pass: {few(nothing)} s",
        ]


def of_handbook(result):
    median = result["median"]
    yield [
        result["workload"],
        (
            f"**{few(median['tx_per_second'])} tx/s**, {few(median['messages_per_second'])} messages/s, "
            f"batch p99 {few(median['batch_ms_p99'])} ms"
        ),
        f"decode only: {few(median['decode_only_messages_per_second'])} messages/s",
    ]


def of_quality(result):
    mean, published = result["rows"][-1], result["published"]
    best = {c.key: max(row[c.key] for row in published) for c in QUALITY}
    yield [
        result["workload"],
        "; ".join(f"{c.heading} **{c.cell(mean)}**" for c in QUALITY),
        "best published of each: " + ", ".join(c.cell(best) for c in QUALITY),
    ]
    for row in result.get("peers", ()):
        if row.get("average_precision"):
            yield [
                f"the same inputs and labels, {row['rows']:,} of the transactions: average precision",
                f"**{row['ours_average_precision']:.3f}**",
                f"{row['model']}: {row['average_precision']:.3f}",
            ]


def of_bank(result):
    easy, hard, look_alikes, honest = result["limits"]
    yield [
        result["workload"],
        f"worst typology: easy **{easy['found']:.0%}**, hard **{hard['found']:.0%}** alerted",
        f"asked for: {easy['limit']:.0%}, {hard['limit']:.0%}",
    ]
    yield [
        "the same run",
        f"look-alikes **{look_alikes['found']:.2%}**, honest transactions **{honest['found']:.4%}** alerted",
        f"asked for: at most {look_alikes['limit']:.1%}, {honest['limit']:.1%}",
    ]


def of_laundering(result):
    here, hub = result["rows"][-1], result["hub"][-1]
    yield [
        result["workload"],
        f"alerted: **{here['alerted']:.0%}** with all accounts here, **{hub['alerted']:.0%}** with the busiest alone",
        f"without the attempts: {here['anyway']:.0%}, {hub['anyway']:.0%}",
    ]
    yield [
        "the same, sums scaled to what people here pay",
        f"**{here['scaled']:.0%}** and **{hub['scaled']:.0%}**",
        "",
    ]


def of_rules(result):
    rows = [row for row in result["rows"] if row["rules"] == "plain"]
    rows = [rows[0], rows[-1]]
    sizes = " and ".join(f"{row['rows']:,}" for row in rows)
    yield [
        f"{result['workload']}; batches of {sizes}",
        " and ".join(few(row["us_per_event"]) for row in rows) + " us an event",
        "naive walk: " + " and ".join(few(row["naive_us_per_event"]) for row in rows) + " us",
    ]
    for form in ("singly", "together"):
        asked = [row for row in result.get("beside", ()) if row["form"] == form]
        if asked:
            first = [row for row in asked if row["batch"] == asked[0]["batch"]]
            peer = min(first, key=lambda row: row["peer_us"])
            times = [row["times"] for row in asked if row["engine"] == peer["engine"]]
            yield [
                f"the quickest other engine, rules compiled {form}; batches of {sizes}",
                f"{few(times[0])} and {few(times[-1])} times as quick",
                f"{peer['engine']}: {few(peer['peer_us'])} us an event",
            ]


def of_reload(result):
    for k, row in enumerate(result["limits"]):
        yield [
            "" if k else result["workload"],
            f"{row['what']}: **{row['found']:g}**",
            f"limit: {row['limit']:g}",
        ]


def of_windows(result):
    rows = [row for row in result["rows"] if row["limit_us"] and row["late"]]
    for name in dict.fromkeys(row["features"] for row in rows):
        many, single = (row for row in rows if row["features"] == name)
        peers = [
            f"{row['peer']}: {few(row['peer_us'])} us"
            for row in result["peers"]
            if row["features"] == name and row["batch"] > 1
        ]
        yield [
            f"{name}, {many['late']:.0%} out of order; batches of {many['batch']:,} and of 1",
            f"{few(many['cpu_us'])} and {few(single['cpu_us'])} us an event (limit {few(many['limit_us'])})",
            "; ".join(peers),
        ]


def of_scale(result):
    first, last = result["rows"][0], result["rows"][-1]
    yield [
        f"40 features over 5 keys, {first['history']:,} and {last['history']:,} events of history",
        f"{few(first['cpu_us'])} and {few(last['cpu_us'])} us an event",
        "",
    ]
    found = {row["what"]: row["found"] for row in result["limits"]}
    allowed = next(row["limit"] for row in result["limits"] if row["what"] == "MB allocated in all")
    yield [
        f"{result['accounts']:,} accounts, {result['retained_events']:,} events in windows",
        f"{few(found['MB allocated in all'])} MB",
        f"limit: {few(allowed)} MB",
    ]


def of_durability(result):
    costs = [row for row in result["limits"] if row["what"].startswith("cost")]
    cost, *others = (row for row in result["limits"] if row not in costs)
    clock = [row for row in costs if "processor" not in row["what"]]
    yield [
        "journal with seals, synced: handbook feed and shipped packs on a generated bank",
        " and ".join(f"**{row['found']:.1%}**" for row in clock) + " of throughput",
        f"limit: {clock[0]['limit']:.0%}",
    ]
    yield [
        f"restart from a snapshot of {result['accounts']:,} accounts, {few(result['snapshot_mb'])} MB",
        f"**{few(cost['found'])} s** to the first decision",
        f"limit: {few(cost['limit'])} s",
    ]
    for row in others:
        yield [row["what"], few(row["found"]), f"limit: {few(row['limit'])}"]


def of_cluster(result):
    for row in result["limits"]:
        least = "at least" if row["what"].endswith("at least") else "at most"
        yield [
            row["what"].removesuffix(f", {least}"),
            f"**{few(row['found'])}**",
            f"limit: {least} {few(row['limit'])}",
        ]


def of_models(result):
    for row in (row for row in result["rows"] if row["river_us"] is not None):
        yield [
            f"{row['model']}, {row['inputs']} inputs: {row['does']}",
            f"{few(row['batch_2048_us'])} us a row",
            f"river: {few(row['river_us'])} us",
        ]


def of_detectors(result):
    for row in result["in_order"][:1]:
        yield [
            f"{row['set']}, anomalies in bursts, without labels: AUC",
            f"**{row['consensus']:.3f}**",
            f"river's half-space trees: {row['river']:.3f}",
        ]
    ours = {row["detector"]: row["score"] for row in result["nab"]}
    theirs = {row["detector"]: row["score"] for row in result["nab_published"]}
    yield [
        "Numenta Anomaly Benchmark, standard profile",
        f"**{few(ours['consensus'])}**",
        f"Random Cut Forest: {theirs['Random Cut Forest']}, HTM: {theirs['Numenta HTM']}",
    ]


def of_decode(result):
    row = result["rows"][0]
    yield [
        f"{result['workload']}; {row['messages']}, batches of 2,048",
        f"{few(row['batch_2048_us'])} us a message",
        f"msgspec alone: {few(row['msgspec_us'])} us",
    ]


def of_generate(result):
    row, alone = result["rows"][0], result["rendering"][0]
    yield [
        f"{result['workload']}, {row['form']}",
        (
            f"**{few(row['events_per_second'])} events/s**, {few(row['messages_per_second'])} messages/s, "
            f"{few(row['memory_mb'])} MB"
        ),
        (
            f"asked for: {result['events_a_second_asked']:,} events/s; a line {few(alone['kernel_us'])} us, "
            f"by json.dumps {few(alone['dumps_us'])} us"
        ),
    ]


HEADLINES = {
    "canonical": of_canonical,
    "latency": of_latency,
    "curves": of_curves,
    "start": of_start,
    "handbook": of_handbook,
    "quality": of_quality,
    "bank": of_bank,
    "laundering": of_laundering,
    "rules": of_rules,
    "reload": of_reload,
    "windows": of_windows,
    "scale": of_scale,
    "models": of_models,
    "detectors": of_detectors,
    "durability": of_durability,
    "cluster": of_cluster,
    "decode": of_decode,
    "generate": of_generate,
}


def few(value):
    """Three significant digits; more would not come again."""
    return f"{float(f'{value:.3g}'):,.10g}"


def with_numbers(text, results):
    """The README `text` with its part between the markers made of `results`."""
    before, rest = text.split(f"{BEGIN}\n")
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{numbers(results)}\n{END}{after}"


def write_pages():
    results = read()
    PAGE.write_text(page(results), encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    README.write_text(with_numbers(text, results), encoding="utf-8")


# ---------------------------------------------------------------- runs


def run(name, is_smoke):
    """Run one bench; return its result, or None with the reason on standard error, and the exit status."""
    command = [sys.executable, "-m", f"benchmarks.bench_{name}", "--json"]
    began = time.perf_counter()
    done = subprocess.run(
        command + ["--smoke"] * is_smoke, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        return None, done.returncode
    result = json.loads(done.stdout.splitlines()[-1])
    return {"bench": name, "took_s": round(time.perf_counter() - began, 1)} | result, 0


def keep(name, result, folder=FOLDER):
    """Write `result` unless it is a smoke run and a real one is there; return whether it was written."""
    path = folder / f"{name}.json"
    old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else result
    if result["is_smoke"] and not old["is_smoke"]:
        return False
    folder.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return True


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SECTIONS)}; all")
    parser.add_argument("--smoke", action="store_true", help="small sizes: do they run at all?")
    parser.add_argument("--pages", action="store_true", help="run nothing, write the pages anew")
    given = parser.parse_args(argv)
    unknown = sorted(set(given.names) - set(SECTIONS))
    if unknown:
        parser.error(f"there is no bench `{unknown[0]}`; there are {', '.join(SECTIONS)}")
    failed, began = [], time.perf_counter()
    for name in [] if given.pages else given.names or SECTIONS:
        print(f"== {name}", flush=True)
        result, status = run(name, given.smoke)
        if result is None:
            print(f"== {name}: {'skipped' if status == measuring.EXIT_MISSING else 'failed'}")
            failed += [name] if status != measuring.EXIT_MISSING else []
            continue
        kept = "" if keep(name, result) else "; a real run is on record, this one is not kept"
        print(f"{measuring.text(result)}\n== {name}: {result['took_s']:.0f} s{kept}", flush=True)
    write_pages()
    print(f"RESULTS.md and README.md written, {time.perf_counter() - began:.0f} s in all")
    if failed:
        print(f"error: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
