"""The group `weir rules`: each verb is a module of this package with a function `add` that describes it to argparse.

Only argparse is imported at the top, so that `weir --help` is quick; each verb imports what it needs when it runs.
"""

from typing import TYPE_CHECKING

from replay.workbench import (
    activating,
    backtest,
    checking,
    describing,
    diffing,
    explaining,
    formatting,
    locking,
    pending,
    testing,
)

if TYPE_CHECKING:
    import argparse

VERBS = (
    checking,
    testing,
    formatting,
    backtest,
    diffing,
    locking,
    explaining,
    describing,
    activating,
    pending,
)  # in the order of `weir rules --help`


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the group `rules` with its verbs."""
    rules = commands.add_parser("rules", help="check, test, try and explain rule packs")
    verbs = rules.add_subparsers(metavar="VERB", required=True)
    for verb in VERBS:
        verb.add(verbs)
