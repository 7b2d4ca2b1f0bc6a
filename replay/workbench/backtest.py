"""`weir rules backtest`: what rules would have done over recorded traffic."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import InputError
from config.settings import BANK, instant_us

if TYPE_CHECKING:
    from replay.workbench.backtesting import Answer, Question

EXIT_OK, EXIT_DIFFERS = 0, 1


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    backtest = verbs.add_parser(
        "backtest",
        help="what rules would have done over recorded traffic",
        description="Run packs over a recording or over the journal of an output folder, with labels and lists as "
        "they were known then, and count what each rule would have found. Nothing leaves, nothing is changed.",
    )
    backtest.add_argument("packs", nargs="*", type=Path, metavar="PACK", help="folders of packs")
    add_traffic(backtest)
    backtest.add_argument(
        "--rule", action="append", default=[], metavar="ID", help="tell about this rule only"
    )
    backtest.add_argument(
        "--sweep",
        action="append",
        default=[],
        metavar="RULE.params.NAME=A,B",
        help="the rule with other values of a param, side by side in the same pass",
    )
    backtest.add_argument(
        "--segment", default="", metavar="FIELD", help="split alerts by a field: channel, type, ..."
    )
    backtest.add_argument(
        "--clauses",
        action="store_true",
        help="for each clause of a rule: how many events it holds for, alone and with those before it",
    )
    backtest.add_argument(
        "--without",
        action="store_true",
        help="decisions without the rules asked about as well; takes twice as long",
    )
    backtest.add_argument(
        "--as-written",
        action="store_true",
        help="leave rules in shadow; else all run as if live, so that their actions are simulated",
    )
    backtest.add_argument(
        "--format", choices=("text", "json"), default="text", help="json for machines"
    )
    backtest.add_argument(
        "--manifest",
        type=Path,
        metavar="FILE",
        help="where to write the manifest; out/backtests/TIME/manifest.json unless given",
    )
    backtest.add_argument(
        "--again",
        type=Path,
        metavar="MANIFEST",
        help="repeat a backtest: exit code 0 if it finds the same, 1 if not",
    )
    backtest.set_defaults(command=_backtest)


def add_traffic(verb: argparse.ArgumentParser) -> None:
    """Add the options that name recorded traffic and a period of it."""
    verb.add_argument(
        "--config",
        type=Path,
        metavar="DIR",
        help=f"whose schema and settings apply: {BANK.name} as shipped, or what the output folder has last",
    )
    verb.add_argument(
        "--input", action="append", default=[], type=Path, metavar="FILE", help="a recorded file"
    )
    verb.add_argument(
        "--feed", default="", metavar="NAME", help="how the file names things: feeds/NAME.yaml"
    )
    verb.add_argument(
        "--out", type=Path, metavar="OUT", help="an output folder of run or replay: its journal"
    )
    add_period(verb)
    add_key(verb)


def add_period(verb: argparse.ArgumentParser) -> None:
    """Add the options that name a period, and labels."""
    verb.add_argument(
        "--from", dest="from_", default="", metavar="T", help="count events from T on; before, warm"
    )
    verb.add_argument("--to", default="", metavar="T", help="leave out events at or after T")
    verb.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="more verdicts (.parquet, .csv, .ndjson: account, transaction_id, label), for measuring only",
    )


def add_key(verb: argparse.ArgumentParser) -> None:
    """Add the options that name the key of an encrypted output folder."""
    key = verb.add_mutually_exclusive_group()
    key.add_argument("--key-env", default="", metavar="NAME", help="variable with the folder's key")
    key.add_argument("--key-file", type=Path, metavar="FILE", help="file with the folder's key")


def key_of(arguments: argparse.Namespace) -> bytes | None:
    """The key of an encrypted output folder, where one was named."""
    if not arguments.key_env and arguments.key_file is None:
        return None
    from engine.durable import encryption

    return encryption.read_key(arguments.key_env, arguments.key_file or "")


def period_of(arguments: argparse.Namespace) -> tuple[int | None, int | None]:
    """The half-open period asked for, microseconds UTC."""
    from replay.pacing import check_order

    from_us = instant_us("--from", arguments.from_) if arguments.from_ else None
    to_us = instant_us("--to", arguments.to) if arguments.to else None
    check_order(from_us, to_us)
    return from_us, to_us


def _question(arguments: argparse.Namespace) -> "Question":
    from replay.workbench.backtesting import Question, Sweep

    if not arguments.packs:
        raise InputError("no pack was named", fix="write weir rules backtest PACK --input FILE")
    from_us, to_us = period_of(arguments)
    return Question(
        packs=tuple(arguments.packs),
        config=arguments.config,
        inputs=tuple(arguments.input),
        feed=arguments.feed,
        out=arguments.out,
        rules=tuple(arguments.rule),
        from_us=from_us,
        to_us=to_us,
        labels=arguments.labels,
        sweeps=tuple(map(Sweep.of, arguments.sweep)),
        segment=arguments.segment,
        as_written=arguments.as_written,
        clauses=arguments.clauses,
        without=arguments.without,
    )


def _backtest(arguments: argparse.Namespace) -> int:
    from engine.clock import SystemClock
    from engine.outcomes import rfc3339
    from replay.workbench import backtesting, manifests

    if arguments.again is not None:
        return _again(arguments)
    clock = SystemClock()
    began_ns = clock.monotonic_ns()
    question = _question(arguments)
    answer = backtesting.answer(question, key=key_of(arguments))
    stamp = rfc3339(clock.now_us() // 1_000_000 * 1_000_000).replace(":", "-")
    path = arguments.manifest or manifests.FOLDER / stamp / manifests.NAME
    manifests.write(path, manifests.manifest(question, answer, answer.journal))
    _show(arguments, answer, (clock.monotonic_ns() - began_ns) / 1e9, path)
    return EXIT_OK


def _again(arguments: argparse.Namespace) -> int:
    from engine.clock import SystemClock
    from replay.workbench import backtesting, manifests

    clock = SystemClock()
    began_ns = clock.monotonic_ns()
    question, before = manifests.read(arguments.again)
    answer = backtesting.answer(question, key=key_of(arguments))
    now = manifests.read_by(question, answer.setup.pack, answer.journal)
    manifests.check(before["read"], now, arguments.again)
    _show(arguments, answer, (clock.monotonic_ns() - began_ns) / 1e9, arguments.again)
    found, wanted = manifests.digest(answer), before["result_sha256"]
    if found == wanted:
        print(f"The same result as then: {found}", file=sys.stderr)
        return EXIT_OK
    print(f"Another result: {found}, then it was {wanted}", file=sys.stderr)
    return EXIT_DIFFERS


def _show(arguments: argparse.Namespace, answer: "Answer", seconds: float, path: Path) -> None:
    from replay.workbench import backtest_text, backtesting, manifests

    if arguments.format == "json":
        document = answer.as_dict() | {"result_sha256": manifests.digest(answer)}
        if answer.examples is not None:
            rules = [figures.rule for figures in answer.card.rules]
            document["examples"] = {rule: answer.examples.of(rule) for rule in rules}
        print(backtesting.encoded(document).decode())
        return
    again = f"Manifest: {path} (repeat with: weir rules backtest --again {path})"
    print(backtest_text.text_of(answer, seconds, again=again))
