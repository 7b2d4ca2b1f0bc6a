"""The command `weir`: which commands there are, their options, and how errors and exit codes come out.

Composition root: the only module of engine/ that knows replay/. Standard output is for machines or the table that was
asked for, standard error for people. Exit codes: 0 fine, 1 the check found something, 2 could not run, 130 interrupted
by Ctrl-C (a run stops in order and is fine).
"""

import argparse
import errno
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeAlias

from config.cluster import ClusterSettings
from config.errors import WeirError
from config.settings import BANK
from engine.garbage import leave_at_exit, seldom_collected
from replay import cli as replay_cli

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
    leave_at_exit()
    try:
        with seldom_collected():
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
    top.add_argument(
        "--version", action=_Version, nargs=0, help="show program's version number and exit"
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _add_run(commands)
    _add_worker(commands)
    _add_backup(commands)
    replay_cli.add_commands(commands)
    replay_cli.add_dead_letters(commands, _DeadLetters())
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
    run.add_argument(
        "--watch",
        action="store_true",
        help="propose what is saved in the configuration folder while the engine runs",
    )
    replay_cli.add_report_option(run)
    run.set_defaults(command=_run)


def _add_worker(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    worker = commands.add_parser(
        "worker",
        help="live, one of a cluster: messages from Kafka, outcomes to Kafka",
        description="Decide the partitions of a Kafka topic that fall to this worker; settings stand under `cluster`.",
    )
    worker.set_defaults(command=_worker)
    outlets = commands.add_parser(
        "outlets",
        help="live, beside the workers of a cluster: commands to core banking, restrictions to Redis",
        description="Carry commands and restrictions of a cluster to where `sink` and `redis` say. "
        "Of several processes one works, the others wait.",
    )
    outlets.set_defaults(command=_outlets)
    for command in (worker, outlets):
        _add_cluster_options(command)


def _add_cluster_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="a folder that all workers see"
    )
    command.add_argument(
        "--config", type=Path, default=BANK, metavar="DIR", help="shipped: config/bank"
    )
    command.add_argument(
        "--metrics-port",
        type=int,
        default=0,
        metavar="PORT",
        help="serve /metrics, /health and /ready",
    )
    command.add_argument(
        "--metrics-host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen; 127.0.0.1 unless given",
    )


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


class _Version(argparse.Action):
    """Look for the version where it is asked for: that takes 0.03 s, of which every other command has no use."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"weir {version('weir-fraud')}")
        parser.exit()


class _DeadLetters:
    """The dead letters of a cluster, for `weir dead-letters`."""

    def read(self, settings: ClusterSettings) -> list[bytes]:
        import asyncio

        from engine.brokers.kafka import letters

        return asyncio.run(letters.read(settings, "dead_letters"))

    def send(self, settings: ClusterSettings, messages: Sequence[tuple[int, bytes]]) -> None:
        import asyncio

        from engine.brokers.kafka import letters

        asyncio.run(letters.send(settings, messages))


def _run(arguments: argparse.Namespace) -> int:
    from engine import live

    status = live.run(arguments, replay_cli.RELOAD_HELPER)
    replay_cli.write_report(arguments)
    return status


def _worker(arguments: argparse.Namespace) -> int:
    from engine import worker

    return worker.run(arguments)


def _outlets(arguments: argparse.Namespace) -> int:
    from engine import outlets

    return outlets.run(arguments)


def _backup(arguments: argparse.Namespace) -> int:
    from engine.durable import backup

    return backup.run_backup(arguments)


def _restore(arguments: argparse.Namespace) -> int:
    from engine.durable import backup

    return backup.run_restore(arguments)


def _doctor(_arguments: argparse.Namespace) -> int:
    from engine import doctor

    checks = doctor.examine()
    print(doctor.table(checks))
    return EXIT_OK if all(check.is_fine for check in checks) else EXIT_FOUND


if __name__ == "__main__":
    sys.exit(main())
