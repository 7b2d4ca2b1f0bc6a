"""What the README says of each result: a few lines of figure and peer."""

from benchmarks.columns import few
from benchmarks.quality_sections import QUALITY


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
        "journal with seals, synced: handbook feed, shipped packs on a generated bank, canonical workload",
        ", ".join(f"**{row['found']:.1%}**" for row in clock) + " of throughput",
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
