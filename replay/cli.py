"""The commands that replay, generate and test: their options, and what they print.

Only argparse is imported at the top, so that `weir --help` is quick; each command imports what it needs.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TypeAlias

from config.settings import BANK
from replay import dead_letters
from replay.audit import cli as audit_cli
from replay.desk import cli as desk_cli
from replay.desk import models as models_cli
from replay.report import cli as report_cli
from replay.workbench import cli as workbench_cli

RELOAD_HELPER = (
    "replay.workbench.reloading"  # checks what is proposed to a running engine; knows rule tests
)
add_dead_letters = dead_letters.add_commands
add_report_option, write_report = report_cli.add_option, report_cli.write_after_run
Parsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def add_commands(commands: Parsers) -> None:
    """Add replay, demo, generate, the groups audit and rules, and what the fraud desk uses."""
    replay = commands.add_parser(
        "replay",
        help="recorded traffic through the engine, as fast as it goes or at a pace",
        description="Decide recorded traffic with the core of `run`. No command can leave: there is no sink.",
    )
    replay.add_argument(
        "inputs", nargs="+", type=Path, metavar="INPUT", help="NDJSON, CSV (.gz, .zst) or Parquet"
    )
    replay.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="output folder, empty or new"
    )
    replay.add_argument(
        "--config", type=Path, default=BANK, metavar="DIR", help="shipped: config/bank"
    )
    replay.add_argument(
        "--feed", default="", metavar="NAME", help="how the input names things: feeds/NAME.yaml"
    )
    replay.add_argument(
        "--pack",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="instead of the packs of the configuration",
    )
    replay.add_argument("--lateness", default="", metavar="15m", help="instead of the setting")
    replay.add_argument(
        "--batch-rows",
        type=int,
        default=0,
        metavar="N",
        help="rows of a batch at most; changes no outcome",
    )
    replay.add_argument(
        "--label-delay",
        default="",
        metavar="7d",
        help="when a label of the recording arrives; as the feed says",
    )
    replay.add_argument(
        "--speed", default="max", metavar="max|10x|1x", help="of core time against the clock"
    )
    replay.add_argument(
        "--from", dest="from_", default="", metavar="T", help="leave out events before T"
    )
    replay.add_argument("--to", default="", metavar="T", help="leave out events at or after T")
    replay.add_argument(
        "--features", type=Path, metavar="FILE.parquet", help="write what the rules and models saw"
    )
    replay.add_argument(
        "--evaluate", action="store_true", help="measure the champion's scores against the labels"
    )
    replay.add_argument(
        "--resume", action="store_true", help="go on with the run in the output folder"
    )
    replay.add_argument(
        "--json", action="store_true", help="print the summary as JSON instead of a table"
    )
    report_cli.add_option(replay)
    replay.set_defaults(command=_replay)

    demo = commands.add_parser(
        "demo", help="a generated bank through the whole engine, then what was caught"
    )
    demo.add_argument(
        "--out", type=Path, default=Path("out/demo"), metavar="DIR", help="shipped: out/demo"
    )
    _add_size(demo, customers=2_000, days=21)
    demo.set_defaults(command=_demo)

    _add_generate(commands)
    _add_bench(commands)
    _add_models(commands)
    audit_cli.add_commands(commands)
    desk_cli.add_commands(commands)
    workbench_cli.add_commands(commands)
    report_cli.add_commands(commands)


def _add_models(commands: Parsers) -> None:
    text = "which model decides, what each is worth, and how good they are on a recording"
    group = commands.add_parser("models", help=text, description=text)
    verbs: Parsers = group.add_subparsers(metavar="VERB", required=True)
    models_cli.add_verbs(verbs)
    evaluate = verbs.add_parser(
        "evaluate",
        help="how good every model is, over a recording with labels",
        description="Replay a recording with labels and measure every model: ranking, recall at so many alerts, week "
        "by week, calibration. Each transaction is scored before its label arrives.",
    )
    evaluate.add_argument(
        "inputs", nargs="+", type=Path, metavar="INPUT", help="NDJSON, CSV (.gz, .zst) or Parquet"
    )
    evaluate.add_argument(
        "--config", type=Path, default=BANK, metavar="DIR", help="shipped: config/bank"
    )
    evaluate.add_argument(
        "--feed", default="", metavar="NAME", help="how the input names things: feeds/NAME.yaml"
    )
    evaluate.add_argument(
        "--out", type=Path, metavar="DIR", help="keep the run here; else it is thrown away"
    )
    evaluate.add_argument(
        "--label-delay",
        default="",
        metavar="7d",
        help="when a label of the recording arrives; as the feed says",
    )
    evaluate.add_argument(
        "--from-day",
        type=int,
        metavar="N",
        help="first day that counts, from 0: models need a while; 37 of the handbook, else 0",
    )
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of tables")
    evaluate.set_defaults(command=_evaluate)


def _add_generate(commands: Parsers) -> None:
    generate = commands.add_parser(
        "generate",
        help="write seeded traffic with known frauds, or describe a recording",
        description="Write a recording of a generated bank, and beside it what really happened (NAME.truth.ndjson). "
        "What the bank is and assumes: replay/bank/README.md.",
    )
    to = generate.add_mutually_exclusive_group()
    to.add_argument(
        "--out", type=Path, metavar="FILE", help=".ndjson, .ndjson.gz, .ndjson.zst or .parquet"
    )
    to.add_argument(
        "--describe", type=Path, metavar="FILE", help="print what a recording holds, write nothing"
    )
    _add_size(generate, customers=800, days=28)
    for name, kind, default, mark, meaning in (
        ("rate", float, 4.0, "N", "transactions of an account a day; 4 unless given"),
        ("start", str, "2026-03-02", "DATE", "first day, in Shanghai; 2026-03-02 unless given"),
        (
            "fraud-share",
            float,
            0.0006,
            "X",
            "of the transactions; 0 or 0.0002 to 0.001, else 0.0006",
        ),
        ("out-of-order", float, 0.01, "X", "share that comes up to 14 minutes late; else 0.01"),
        ("late", float, 0.0, "X", "share that comes later than the shipped lateness; else none"),
        ("duplicates", float, 0.0, "X", "share that comes twice; else none"),
        ("bad-lines", float, 0.0, "X", "share that also comes broken, not in Parquet; else none"),
    ):
        generate.add_argument(f"--{name}", type=kind, default=default, metavar=mark, help=meaning)
    generate.set_defaults(command=_generate)


def _add_bench(commands: Parsers) -> None:
    bench = commands.add_parser(
        "bench",
        help="how fast this machine is: throughput, latency, where the time goes",
        description="Measure the whole engine, journal on, on one core: the canonical workload (47 features over 5 "
        "keys, 50 rules, two models that learn, a generated stream), or a recording of yours.",
    )
    bench.add_argument(
        "--profile", action="store_true", help="also show where the time goes, stage by stage"
    )
    bench.add_argument(
        "--latency",
        action="store_true",
        help="measure a live engine instead: percentiles at fixed rates, open loop",
    )
    bench.add_argument(
        "--size",
        type=int,
        default=200_000,
        metavar="N",
        help="transactions of the stream, or of the history; 200,000, and 1,000,000 in RESULTS.md",
    )
    bench.add_argument("--runs", type=int, default=3, metavar="N", help="the median of N runs; 3")
    bench.add_argument(
        "--forest", action="store_true", help="canonical+forest: with trees learned from labels"
    )
    bench.add_argument(
        "--input",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="a recording instead of the canonical stream; goes with --config",
    )
    bench.add_argument("--config", type=Path, metavar="DIR", help="the configuration for it")
    bench.add_argument("--feed", default="", metavar="NAME", help="the feed for it")
    bench.add_argument(
        "--rates",
        nargs="+",
        type=int,
        metavar="N",
        help="of --latency: transactions a second; 1000 5000 20000 50000",
    )
    bench.add_argument(
        "--seconds", type=float, default=10.0, metavar="S", help="of --latency: at each rate; 10"
    )
    bench.add_argument(
        "--histogram",
        type=Path,
        metavar="FILE.hgrm",
        help="of --latency: write FILE-RATE.hgrm for HdrHistogram's plotters",
    )
    bench.add_argument("--json", action="store_true", help="print JSON instead of tables")
    bench.set_defaults(command=_bench)


def _add_size(command: argparse.ArgumentParser, *, customers: int, days: int) -> None:
    """Add what says how much traffic is drawn."""
    size = command.add_mutually_exclusive_group()
    size.add_argument(
        "--customers",
        type=int,
        default=customers,
        metavar="N",
        help=f"customers of the bank; {customers:,} unless given",
    )
    size.add_argument(
        "--accounts", type=int, metavar="N", help="accounts instead, five for four customers"
    )
    for name, default, meaning in (
        ("days", days, "days of traffic"),
        ("seed", 1, "the same seed draws the same traffic"),
    ):
        text = f"{meaning}; {default:,} unless given"
        command.add_argument(f"--{name}", type=int, default=default, metavar="N", help=text)


def _replay(arguments: argparse.Namespace) -> int:
    from engine.app import summary_table
    from replay import replaying

    summary, table = replaying.replay(arguments)
    if arguments.json:
        print(json.dumps(summary, sort_keys=True))
    else:
        print(summary_table(summary))
        if table:
            print(f"\n{table}")
    report_cli.write_after_run(arguments)
    if "decisions" not in summary and summary.get("dead_letters"):
        feed = arguments.feed or "the feed of the configuration"
        print(
            f"warning: no message could be taken; is {feed} right? See dead_letters.ndjson",
            file=sys.stderr,
        )
        return 1
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from replay import evaluating

    return evaluating.run(arguments)


def _demo(arguments: argparse.Namespace) -> int:
    from replay import replaying
    from replay.generating import size_of

    return replaying.show_demo(arguments.out, size_of(arguments), arguments.days, arguments.seed)


def _bench(arguments: argparse.Namespace) -> int:
    from replay.speed import bench

    return bench.run(arguments)


def _generate(arguments: argparse.Namespace) -> int:
    from replay import generating

    return generating.run(arguments)
