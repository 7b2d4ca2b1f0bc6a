"""`weir rules diff`: what differs between two packs, by meaning, and what that does to traffic."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.errors import InputError
from config.settings import BANK

if TYPE_CHECKING:
    from config import marks
    from replay.workbench.diff_traffic import Effects
    from rules.diff import PackDiff


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from replay.workbench.backtest import add_key, add_period

    diff = verbs.add_parser(
        "diff",
        help="what differs between two packs, and what that does to traffic",
        description="Compare two packs by meaning: rule by rule with what is wider or narrower, lists, features. OLD "
        "and NEW are folders, or REV:PATH in a git repository; or OLD is main..HEAD and NEW the folder.",
    )
    diff.add_argument("old", metavar="OLD", help="a folder, REV:PATH, or OLDREV..NEWREV")
    diff.add_argument("new", nargs="?", default="", metavar="NEW", help="a folder, or REV:PATH")
    diff.add_argument(
        "--config", type=Path, metavar="DIR", help="whose schema and settings apply; shipped: bank"
    )
    diff.add_argument(
        "--against",
        type=Path,
        metavar="FILE|OUT",
        help="run both over a recorded file, or over the journal of an output folder",
    )
    diff.add_argument(
        "--feed", default="", metavar="NAME", help="how the file names things: feeds/NAME.yaml"
    )
    add_period(diff)
    add_key(diff)
    diff.add_argument(
        "--format", choices=("text", "json"), default="text", help="json for machines"
    )
    diff.set_defaults(command=_diff)


def _diff(arguments: argparse.Namespace) -> int:
    from engine.setup import read_setup
    from replay.workbench import backtesting, diff_text, diff_traffic, revisions
    from replay.workbench.backtest import key_of, period_of
    from rules.diff import compare

    if arguments.against is None and (arguments.from_ or arguments.to or arguments.labels):
        raise InputError("no traffic was named", fix="add --against FILE or --against OUT")
    from_us, to_us = period_of(arguments)
    setup = read_setup(arguments.config or BANK, feed=arguments.feed)
    with revisions.both(arguments.old, arguments.new) as versions:
        loaded = [backtesting.load([version.folder], setup) for version in versions]
        old, new = (each.pack for each in loaded)
        assert old is not None
        assert new is not None
        texts = [
            {id_: _shape(node) for id_, node in each.workshop.nodes.items()}
            for each in loaded
            if each.workshop is not None
        ]
        found = compare(old, new, setup.schema, (texts[0], texts[1]))
        effects = None
        if arguments.against is not None:
            question = diff_traffic.question_of(
                arguments.against,
                config=arguments.config,
                feed=arguments.feed,
                from_us=from_us,
                to_us=to_us,
                labels=arguments.labels,
            )
            key = key_of(arguments)
            effects = diff_traffic.effects(old, new, found.touched, question, key=key)
    if arguments.format == "json":
        print(json.dumps(_as_dict(found, effects), sort_keys=True))
    else:
        print(diff_text.text_of(found, effects, (versions[0].name, versions[1].name)))
    return 0


def _shape(node: "marks.Node") -> object:
    """What the file says, layout and comments included, so that a change of wording shows."""
    return node.source.text[node.start : node.end]


def _as_dict(found: "PackDiff", effects: "Effects | None") -> dict[str, Any]:
    document = asdict(found) | {"touched": sorted(found.touched)}
    if effects is not None:
        document["traffic"] = effects.as_dict()
    return document
