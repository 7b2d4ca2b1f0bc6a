"""RESULTS.md, and the part of README.md between the two markers, made of the files of results and of nothing else."""

import json

from benchmarks import goals, planning
from benchmarks.columns import markdown
from benchmarks.headlines import HEADLINES
from benchmarks.measuring import ROOT
from benchmarks.sections import SECTIONS

FOLDER = ROOT / "benchmarks" / "results"
PAGE, README = ROOT / "RESULTS.md", ROOT / "README.md"
BEGIN = "<!-- numbers: written by `make bench`, not by hand -->"
END = "<!-- end of numbers -->"
SMOKE = (
    "**Smoke run: small sizes, other work on the machine. It shows that the bench runs and says nothing about speed "
    "or quality. `make bench` measures.**"
)


def read(folder=FOLDER):
    """Name -> result of every bench that has been run."""
    paths = {name: folder / f"{name}.json" for name in SECTIONS}
    return {
        name: json.loads(path.read_text(encoding="utf-8"))
        for name, path in paths.items()
        if path.is_file()
    }


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


def with_numbers(text, results):
    """The README `text` with its part between the markers made of `results`."""
    before, rest = text.split(f"{BEGIN}\n")
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{numbers(results)}\n{END}{after}"


def write():
    """Write both pages anew."""
    results = read()
    PAGE.write_text(page(results), encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    README.write_text(with_numbers(text, results), encoding="utf-8")
