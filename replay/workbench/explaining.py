"""`weir rules explain`: a rule in plain words, what it said of one transaction; what a feature shares and costs."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.errors import ConfigError, InputError
from config.settings import BANK

if TYPE_CHECKING:
    from engine.setup import Setup
    from engine.windows.explain import Explainer


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    explain = verbs.add_parser(
        "explain",
        help="say in plain words what a rule or a feature does, and what a rule said of a transaction",
        description="Of a rule: what it looks for in plain words, what it does then, its exceptions, values, tests and "
        "costs. With --event and --out: each clause with the value it had, and what would have turned the rule. Of a "
        "feature: what it is, what it shares with which others, who reads it, what it costs in time and memory, and "
        "what taking it out would save.",
    )
    explain.add_argument("name", nargs="?", metavar="NAME", help="a rule, or a feature")
    explain.add_argument(
        "packs", nargs="*", type=Path, metavar="PACK", help="in place of the configuration's packs"
    )
    explain.add_argument(
        "--config",
        type=Path,
        metavar="DIR",
        help="whose rules are explained: config/bank as shipped, or with --out what is active there",
    )
    explain.add_argument("--all", action="store_true", help="a table of all features by cost")
    explain.add_argument(
        "--format", choices=("text", "json"), default="text", help="json for machines"
    )
    event = explain.add_argument_group("one transaction, by the rules as they were then")
    event.add_argument("--event", default="", metavar="TRANSACTION", help="its id")
    event.add_argument("--seq", type=int, default=-1, metavar="N", help="its record instead")
    event.add_argument("--account", default="", metavar="A", help="whose leg it is")
    event.add_argument("--out", type=Path, metavar="OUT", help="output folder of run or replay")
    event.add_argument("--by", default="", metavar="NAME", help="who asks; the call is recorded")
    key = event.add_mutually_exclusive_group()
    key.add_argument("--key-env", default="", metavar="NAME", help="variable with the folder's key")
    key.add_argument("--key-file", default="", metavar="FILE", help="file with the folder's key")
    event.add_argument("--reveal", action="store_true", help="show personal values as they are")
    explain.set_defaults(command=_explain)


def _explain(arguments: argparse.Namespace) -> int:
    from engine.setup import read_setup
    from engine.windows import explain

    name, packs = arguments.name, arguments.packs
    if arguments.all and name:  # the first word is a pack too then
        packs = [Path(name), *packs]
    elif not arguments.all and not name:
        raise ConfigError(
            "no rule or feature was named",
            fix="write weir rules explain NAME, or --all for a table of all features",
        )
    given = arguments.config is not None or packs or arguments.out is None
    setup = None if given else _active(arguments)
    explainer = explain.Explainer(setup or read_setup(arguments.config or BANK, pack_paths=packs))
    as_json = arguments.format == "json"
    if arguments.all:
        rows = explainer.everything()
        print(json.dumps(rows) if as_json else explain.as_table(rows, explainer), end="")
    else:
        told, text = _told(arguments, explainer)
        print(json.dumps(told, ensure_ascii=False) if as_json else text, end="")
    if as_json:
        print()
    return 0


def _told(arguments: argparse.Namespace, explainer: "Explainer") -> tuple[dict[str, Any], str]:
    """The answer about one name, as a document and as text."""
    from engine.windows import explain
    from replay.workbench import plainly

    name = arguments.name
    rule = next((r for r in explainer.setup.pack.rules if r.id == name), None)
    told = plainly.document(explainer, rule) if rule is not None else None
    if arguments.event or arguments.seq >= 0 or arguments.out is not None:
        answer = plainly.decided(told, _case(arguments))
        return answer, plainly.decided_text(answer)
    if told is not None:
        return told, plainly.as_text(told)
    try:
        feature = explainer.feature(name)
    except ConfigError as error:
        if arguments.packs:
            raise
        fix = f"{error.fix}; or name the pack that it is in: weir rules explain {name} PACK"
        raise ConfigError(error.what, error.where, why=error.why, fix=fix) from None
    return feature, explain.as_text(feature)


def _active(arguments: argparse.Namespace) -> "Setup | None":
    """The configuration that an output folder was last written with; None if its journal does not say."""
    from engine.durable import config_store, encryption
    from engine.durable.disk import RealDisk
    from engine.durable.journal import read_journal
    from engine.durable.output import JOURNAL
    from engine.starting import key_of

    disk = RealDisk()
    if not disk.names(arguments.out / JOURNAL):
        return None
    journal = read_journal(disk, arguments.out / JOURNAL)
    if not journal.segments:
        return None
    header = journal.segments[-1].header
    if header.salt:
        if arguments.key_env or arguments.key_file:
            key = encryption.read_key(arguments.key_env, arguments.key_file)
        else:
            first = config_store.stored(disk, arguments.out, header.config)
            key = key_of(first.configuration.settings)
        journal = read_journal(disk, arguments.out / JOURNAL, key)
    return config_store.stored(disk, arguments.out, journal.config)


def _case(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `weir audit explain` says of the transaction and the rule; the call is recorded as one of it."""
    from replay.audit import case, cli, records

    if arguments.out is None or not (arguments.event or arguments.seq >= 0):
        raise InputError(
            "a transaction is looked up in an output folder",
            fix="write --event TRANSACTION (or --seq N) and --out OUT",
        )
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers())
    given = ["audit", "explain", "--rule", arguments.name, str(arguments.out)]
    given += [arguments.event] if arguments.event else ["--seq", str(arguments.seq)]
    for option in ("account", "by", "key_env", "key_file"):
        if value := getattr(arguments, option):
            given.append(f"--{option.replace('_', '-')}={value}")
    given += ["--reveal"] if arguments.reveal else []
    asked = parser.parse_args(given)
    cli.record_call("explain", asked)
    key = cli.journal_key(asked)
    with records.reading_with(key):
        report = case.explain(asked, key)
    assert isinstance(report, case.Explanation)
    return report.document
