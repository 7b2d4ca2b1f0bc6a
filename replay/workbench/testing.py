"""`weir rules test`: the tests inside rules, through the real core."""

import argparse
from pathlib import Path

from config.settings import BANK


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    test = verbs.add_parser("test", help="run the tests inside rules through the real core")
    test.add_argument("packs", nargs="+", type=Path, metavar="PACK")
    test.add_argument(
        "--config", type=Path, default=BANK, metavar="DIR", help="whose schema and models apply"
    )
    test.add_argument("--rule", action="append", default=[], metavar="ID", help="only this rule")
    test.add_argument(
        "--mutate",
        action="store_true",
        help="move every number of every rule by a fifth, and say which ones no test notices",
    )
    test.set_defaults(command=_test)


def _test(arguments: argparse.Namespace) -> int:
    if arguments.mutate:
        return _mutate(arguments)
    from replay.workbench import ruletests

    results, untested = ruletests.run(arguments.packs, arguments.config, frozenset(arguments.rule))
    print(ruletests.report(results, untested))
    return 0 if all(result.is_fine for result in results) else 1


def _mutate(arguments: argparse.Namespace) -> int:
    from replay.workbench import mutation

    verdicts = mutation.run(arguments.packs, arguments.config, frozenset(arguments.rule))
    print(mutation.report(verdicts))
    return 0 if all(verdict.is_fine for verdict in verdicts) else 1
