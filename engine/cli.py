"""The command `weir`: which commands there are, their options, and how errors and exit codes come out.

Composition root: the only module of engine/ that knows replay/. Standard output is for machines or the table that was
asked for, standard error for people. Exit codes: 0 fine, 1 the check found something, 2 could not run, 130 interrupted
by Ctrl-C (a run stops in order and is fine).
"""

import argparse
import errno
import json
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from config.errors import ConfigError, WeirError
from config.settings import BANK
from replay import cli as replay_cli

if TYPE_CHECKING:
    from config.schema import Schema
    from config.settings import Settings
    from rules.definitions import Pack

EXIT_OK, EXIT_FOUND, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
_FIXES = {
    errno.ENOSPC: "free some space, or name a place on another disk",
    errno.EDQUOT: "free some space, or name a place on another disk",
    errno.EACCES: "name a place that may be read or written, or change its permissions",
    errno.EROFS: "name a place on a disk that can be written",
    errno.EISDIR: "name a file, not a folder",
    errno.ENOTDIR: "name a place below a folder, not below a file",
    errno.ENOENT: "correct the path",
}
Command: TypeAlias = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    arguments = parser().parse_args(argv)
    command: Command = arguments.command
    try:
        return command(arguments)
    except WeirError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except BrokenPipeError:  # the reader of our output has gone; nothing is wrong
        sys.stderr.close()
        return EXIT_OK
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except MemoryError as error:
        print(f"error: not enough memory: {error}\n  fix: ask for less at a time", file=sys.stderr)
        return EXIT_USAGE
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        if error.errno in _FIXES:
            print(f"  fix: {_FIXES[error.errno]}", file=sys.stderr)
        return EXIT_USAGE


def parser() -> argparse.ArgumentParser:
    """Every command with its options, as `weir --help` shows them."""
    top = argparse.ArgumentParser(
        prog="weir",
        description="Score bank transactions as they flow: exact windows, rules, models.",
    )
    top.add_argument("--version", action="version", version=f"weir {version('weir-fraud')}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _add_run(commands)
    _add_backup(commands)
    replay_cli.add_commands(commands)
    _add_rules(commands)
    doctor = commands.add_parser("doctor", help="check this installation and say what is wrong")
    doctor.set_defaults(command=_doctor)
    return top


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = commands.add_parser(
        "run",
        help="live, embedded: messages in, decisions out",
        description="Decide messages as they come. An output folder that was written before is gone on with.",
    )
    run.add_argument(
        "--input", required=True, metavar="FILE|-", help="NDJSON, or - for standard input"
    )
    run.add_argument("--out", required=True, type=Path, metavar="DIR", help="output folder")
    run.add_argument(
        "--config", type=Path, default=BANK, metavar="DIR", help="shipped: config/bank"
    )
    run.add_argument("--feed", default="", help="name of a feed of the configuration")
    run.add_argument(
        "--metrics-port",
        type=int,
        default=0,
        metavar="PORT",
        help="serve Prometheus metrics on 127.0.0.1",
    )
    run.set_defaults(command=_run)


def _add_backup(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    backup = commands.add_parser(
        "backup",
        help="copy an output folder, also while the engine runs",
        description="Copy an output folder so that it can be gone on with; backup.json lists what was copied.",
    )
    backup.add_argument("out", type=Path, metavar="OUT", help="output folder of a run or replay")
    backup.add_argument("to", type=Path, metavar="TO", help="a new folder")
    backup.set_defaults(command=_backup)
    restore = commands.add_parser(
        "restore",
        help="put a backup back, and prove that it can be gone on with",
        description="Copy a backup into a new output folder, check every byte, and write restore.json.",
    )
    restore.add_argument(
        "from_", type=Path, metavar="FROM", help="a folder that weir backup has written"
    )
    restore.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    restore.add_argument(
        "--drill",
        action="store_true",
        help="decide what came after the newest snapshot again, and compare every line",
    )
    restore.add_argument(
        "--all", action="store_true", help="the drill over everything that the journal holds"
    )
    restore.set_defaults(command=_restore)


def _add_rules(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    rules = commands.add_parser("rules", help="check and test rule packs")
    verbs = rules.add_subparsers(metavar="VERB", required=True)
    check = verbs.add_parser("check", help="find mistakes in packs, each with its place and code")
    check.add_argument("packs", nargs="+", type=Path, metavar="PACK")
    check.add_argument(
        "--config", type=Path, default=BANK, metavar="DIR", help="whose schema and models apply"
    )
    check.set_defaults(command=_rules_check)
    replay_cli.add_rules_test(verbs)
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
    explain.set_defaults(command=_rules_explain)


def _run(arguments: argparse.Namespace) -> int:
    from engine import live

    return live.run(arguments)


def _backup(arguments: argparse.Namespace) -> int:
    from engine.durable import backup

    return backup.run_backup(arguments)


def _restore(arguments: argparse.Namespace) -> int:
    from engine.durable import backup

    return backup.run_restore(arguments)


def _rules_check(arguments: argparse.Namespace) -> int:
    from config import rates, schema, settings
    from rules import pack
    from rules.check import findings

    folder = arguments.config
    configured = settings.read_settings(folder / settings.SETTINGS_FILE)
    table = settings.rates_file(folder, configured)
    columns = schema.read(folder / settings.SCHEMA_FILE)
    loaded = pack.load(arguments.packs, columns, rates.read(table) if table is not None else None)
    print(findings.as_text(loaded.findings), end="")
    is_dear = False
    if loaded.pack is not None:
        is_dear = _say_cost(loaded.pack, columns, configured, folder)
    print(
        f"{loaded.n_rules} rules, {loaded.n_features} features, {loaded.n_lists} lists: "
        f"{loaded.n_errors} errors, {loaded.n_warnings} warnings."
    )
    return EXIT_FOUND if loaded.n_errors or is_dear else EXIT_OK


def _say_cost(pack: "Pack", columns: "Schema", configured: "Settings", folder: Path) -> bool:
    """Print what the window features of a pack cost; whether that is more memory than the budget."""
    from config.settings import SETTINGS_FILE
    from engine.windows import budget, explain

    found = budget.weigh(pack, columns, configured)
    print(explain.cost_line(found))
    try:
        budget.check(found, configured.memory_budget_bytes, str(folder / SETTINGS_FILE))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return True
    return False


def _rules_explain(arguments: argparse.Namespace) -> int:
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
    return EXIT_OK


def _doctor(_arguments: argparse.Namespace) -> int:
    from engine import doctor

    checks = doctor.examine()
    print(doctor.table(checks))
    return EXIT_OK if all(check.is_fine for check in checks) else EXIT_FOUND


if __name__ == "__main__":
    sys.exit(main())
