"""`weir rules test`: the tests inside rules, through the real core; with --mutate, what they would not notice."""

import argparse
import json
import sys
from pathlib import Path

from config.errors import ConfigError
from config.settings import BANK


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    test = verbs.add_parser("test", help="run the tests inside rules through the real core")
    test.add_argument("packs", nargs="+", type=Path, metavar="PACK")
    test.add_argument(
        "--config", type=Path, default=BANK, metavar="DIR", help="whose schema and models apply"
    )
    test.add_argument("--rule", action="append", default=[], metavar="ID", help="only this rule")
    test.add_argument(
        "--strict", action="store_true", help="a rule without a test fails too (exit code 1)"
    )
    test.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML there as well")
    test.add_argument(
        "--format", choices=("text", "json"), default="text", help="json for machines"
    )
    test.add_argument(
        "--mutate",
        action="store_true",
        help="move every number of every rule by a fifth, delete and negate every condition, drop every exception and "
        "action, and say which changes no test notices",
    )
    test.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="processes for --mutate; default 1"
    )
    test.set_defaults(command=_test)


def _test(arguments: argparse.Namespace) -> int:
    if arguments.mutate:
        return _mutate(arguments)
    from engine.clock import SystemClock
    from replay.workbench import reporting, ruletests

    clock = SystemClock()
    began_ns = clock.monotonic_ns()
    results, untested = ruletests.run(arguments.packs, arguments.config, frozenset(arguments.rule))
    seconds = (clock.monotonic_ns() - began_ns) / 1e9
    if arguments.junit is not None:
        _write(arguments.junit, reporting.as_junit(results, untested))
    if arguments.format == "json":
        json.dump(reporting.as_json(results, untested), sys.stdout)
        print()
    else:
        print(reporting.report(results, untested, seconds))
    is_bad = arguments.strict and untested
    return 0 if all(result.is_fine for result in results) and not is_bad else 1


def _write(path: Path, text: str) -> None:
    try:
        path.write_text('<?xml version="1.0" encoding="UTF-8"?>\n' + text + "\n", encoding="utf-8")
    except OSError as error:
        what = f"cannot be written: {error.strerror}"
        raise ConfigError(what, str(path), fix="name another file after --junit") from None


def _mutate(arguments: argparse.Namespace) -> int:
    from replay.workbench import mutation

    if arguments.jobs < 1:
        raise ConfigError(f"--jobs must be at least 1, was {arguments.jobs}", fix="leave it out")
    verdicts = mutation.run(
        arguments.packs, arguments.config, frozenset(arguments.rule), jobs=arguments.jobs
    )
    if arguments.format == "json":
        json.dump(mutation.as_json(verdicts), sys.stdout)
        print()
    else:
        print(mutation.report(verdicts))
    return 0 if all(verdict.is_fine for verdict in verdicts) else 1
