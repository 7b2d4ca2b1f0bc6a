"""`weir report`, and `--report` of the commands that run a core: their options, and what they print.

Nothing that takes long is imported at the top, so that `weir --help` is quick.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from replay.audit.cli import add_access

if TYPE_CHECKING:
    from replay.report.daily import Daily

Parsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001
IN_THE_FOLDER = Path()  # `--report` without a name


def add_commands(commands: Parsers) -> None:
    """Add `weir report`."""
    about = "a page about a whole run, or the risk report of one business day"
    report = commands.add_parser(
        "report",
        help=about,
        description="Write a page about an output folder (OUT/report.html), or with --day print the risk report of a "
        "business day for management, beside the day before and a week before. Nothing is changed but access.ndjson, "
        "where the call is recorded.",
    )
    report.add_argument("out", type=Path, metavar="OUT", help="output folder of run or replay")
    report.add_argument(
        "--day", default="", metavar="D", help="a business day, in the time zone of the packs"
    )
    report.add_argument(
        "--html",
        type=page_name,
        metavar="FILE",
        help="write an HTML page there; else OUT/report.html, or text with --day",
    )
    report.add_argument("--json", action="store_true", help="the day for machines")
    report.add_argument(
        "--region",
        default="country",
        metavar="FIELD",
        help="field of the messages that tells the region; country unless given",
    )
    report.add_argument(
        "--no-ratings",
        action="store_true",
        help="leave out ratings of customers, which are derived again from the newest snapshot before the day's end",
    )
    add_access(report)
    report.set_defaults(command=_report, format="text")


def add_option(command: argparse.ArgumentParser) -> None:
    """Give a command that runs a core the option `--report`."""
    command.add_argument(
        "--report",
        nargs="?",
        type=page_name,
        const=IN_THE_FOLDER,
        metavar="FILE.html",
        help="write a page about the run when it has ended; OUT/report.html unless named",
    )


def page_name(text: str) -> Path:
    """The name of a page; anything else is refused, so that no input is taken for it and overwritten."""
    path = Path(text)
    if path.suffix.lower() not in (".html", ".htm"):
        raise argparse.ArgumentTypeError(f"a report is a file that ends in .html, was {text}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}")
    return path


def write(arguments: argparse.Namespace, key: bytes | None) -> None:
    """Write the page that `--report` asked for, and say where; nothing if it did not."""
    if arguments.report is None:
        return
    from replay.report.making import write_whole

    to = None if arguments.report == IN_THE_FOLDER else arguments.report
    print(f"report: {write_whole(arguments.out, to, key=key)}", file=sys.stderr)


def write_after_run(arguments: argparse.Namespace) -> None:
    """The same for `weir run`, whose configuration stands in the folder."""
    if arguments.report is None:
        return
    from config.settings import SETTINGS_FILE, read_settings
    from engine.starting import key_of

    write(arguments, key_of(read_settings(arguments.config / SETTINGS_FILE)))


def _report(arguments: argparse.Namespace) -> int:
    from config.errors import InputError
    from replay.audit.cli import journal_key, record_call
    from replay.report import businessday, making

    if arguments.json and not arguments.day:
        raise InputError("--json goes with --day", fix="add --day D, or leave --json out")
    if arguments.json and arguments.html is not None:
        raise InputError("--json goes without --html", fix="give one or the other")
    if arguments.reveal and arguments.html is None and not arguments.day:
        raise InputError(
            "--reveal needs --html FILE here",
            why="a page with names must not come to lie in the folder unnoticed",
            fix="say with --html where it may stand",
        )
    if arguments.day:
        businessday.checked(arguments.day)
    record_call("report", arguments)
    key = journal_key(arguments)
    if not arguments.day:
        path = making.write_whole(
            arguments.out, arguments.html, key=key, reveal=arguments.reveal, region=arguments.region
        )
        print(path)
        return 0
    report = making.make_daily(
        arguments.out,
        arguments.day,
        key=key,
        reveal=arguments.reveal,
        region=arguments.region,
        ratings=not arguments.no_ratings,
    )
    _show(report, arguments)
    return 0


def _show(report: "Daily", arguments: argparse.Namespace) -> None:
    if arguments.html is not None:
        from replay.report.daily_page import as_page
        from replay.report.making import write_page

        print(write_page(arguments.html, as_page(report)))
    elif arguments.json:
        import msgspec

        print(msgspec.json.encode(report).decode())
    else:
        from replay.report.daily_text import as_text

        print(as_text(report))
