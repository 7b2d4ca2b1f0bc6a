"""How the result of each bench stands on the page, in the order of the page."""

from benchmarks import quality_sections
from benchmarks.columns import HASH, Column, Section

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
        "costs nothing, which leaves what the engine adds. 40,000 people take turns; at high rates they pay again in "
        "seconds, so more is not simply approved, and such rows cost more.",
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
                Column("loud", "not approved", "{:.1%}"),
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
    "quality": quality_sections.SECTIONS["quality"],
    "bank": quality_sections.SECTIONS["bank"],
    "laundering": quality_sections.SECTIONS["laundering"],
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
        "then, a sync the longest that one of them waited for the disk. The probe is the longest sync of a process "
        "that does nothing but overwrite 512 bytes 50 times a second on the same file system, taken the most processor "
        "time that the host of this virtual machine took for others within a quarter of a second: what was done to "
        "everybody, told beside the rest and subtracted from nothing. In memory is a file system where a sync costs "
        "nothing: what is left there is our own work. Feed, engine and the process that checks share two cores. Every "
        "transaction has one decision, under the rules of its seq, and `weir audit verify` finds no difference.",
        {
            "rows": (
                Column("on", "on"),
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
                Column("probe_ms", "probe, ms", "{:.1f}"),
                Column("calm_probe_ms", "calm", "{:.1f}"),
                Column("taken_ms", "taken, ms", "{:.0f}"),
                Column("calm_taken_ms", "calm", "{:.0f}"),
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
    "detectors": quality_sections.SECTIONS["detectors"],
    "durability": Section(
        "What durability costs",
        "First the same replay without a journal (none), with one that survives a killed process (flush) and one that "
        "survives a power failure (sync): journal, delivery log and chain of seals together, from the first poll to "
        "the end of the source, beside each other in slices of half a second, so that all three get the same share of "
        "what the host takes; costs are medians of pairs. Then a restart: the files of the engine were "
        "dropped from the memory of the system, and a new process goes on until one decision is written. Then a live "
        "run of that engine: latency of each decision, from when its message was due, which a process sends at a fixed "
        "rate whatever the engine does, to when its outcome was written; ms. In turns nothing is written beside, and "
        "a snapshot is, by the process beside, on the same two cores; delayed are decisions that took over 20 ms more "
        "than the slowest of a calm window (median over those). What a snapshot adds is told against the mean of the "
        "calm windows before and after it. A probe syncs 512 bytes over and over meanwhile: its longest sync stands "
        "beside, and the most processor time that the host of this virtual machine took for others within a quarter of "
        "a second, which is what was done to everybody. In memory a sync costs nothing, so what is left "
        "is what the snapshot itself delays. Last, going over a day again: whole commands without the start of Python; "
        "times is the speed of the replay with sync.",
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
            "delays": (
                Column("place", "live"),
                Column("what", "meanwhile"),
                Column("seconds", "s", "{:.0f}"),
                Column("decisions", "decisions", "{:,}"),
                Column("p50", "p50", "{:.2f}"),
                Column("p99", "p99", "{:.2f}"),
                Column("p99.9", "p99.9", "{:.2f}"),
                Column("slowest", "slowest", "{:.1f}"),
                Column("delayed", "delayed", "{:,.0f}"),
                Column("sync_ms", "probe's longest sync", "{:.1f}"),
                Column("taken_ms", "taken by the host", "{:.0f}"),
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
        "open loop, from when a transaction was due to when a reader of what is committed had its decision, ms: with "
        "the journal synced, and with it left to the system (`durability: flush`), for the topic holds the input. "
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
                Column("durability", "journal"),
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
