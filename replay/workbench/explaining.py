"""`weir rules explain`: what a feature is, shares and costs; which features a rule reads."""

import argparse
import json
from pathlib import Path

from config.errors import ConfigError
from config.settings import BANK


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    explain = verbs.add_parser(
        "explain",
        help="say what a feature is, shares and costs",
        description="Say in plain words what a feature is, what it shares with which others, who reads it, what it "
        "costs in time and memory, and what taking it out would save. Of a rule: which features it reads.",
    )
    explain.add_argument("name", nargs="?", metavar="FEATURE", help="a feature, or a rule")
    explain.add_argument(
        "packs", nargs="*", type=Path, metavar="PACK", help="in place of the configuration's packs"
    )
    explain.add_argument(
        "--config", type=Path, default=BANK, metavar="DIR", help="shipped: config/bank"
    )
    explain.add_argument("--all", action="store_true", help="a table of all features by cost")
    explain.add_argument(
        "--format", choices=("text", "json"), default="text", help="json for machines"
    )
    explain.set_defaults(command=_explain)


def _explain(arguments: argparse.Namespace) -> int:
    from engine.setup import read_setup
    from engine.windows import explain

    name, packs = arguments.name, arguments.packs
    if arguments.all and name:  # the first word is a pack too then
        packs = [Path(name), *packs]
    elif not arguments.all and not name:
        raise ConfigError(
            "no feature was named",
            fix="write weir rules explain FEATURE, or --all for a table of all of them",
        )
    explainer = explain.Explainer(read_setup(arguments.config, pack_paths=packs))
    as_json = arguments.format == "json"
    if arguments.all:
        rows = explainer.everything()
        print(json.dumps(rows) if as_json else explain.as_table(rows, explainer), end="")
    else:
        told = explain.explained(explainer, name)
        print(json.dumps(told) if as_json else explain.as_text(told), end="")
    if as_json:
        print()
    return 0
