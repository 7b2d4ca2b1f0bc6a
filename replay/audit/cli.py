"""`weir audit`: its verbs, their options, and what they print. Every call is recorded in OUT/access.ndjson first.

Only argparse is imported at the top, so that `weir --help` is quick; each verb imports what it needs. A verb is a
function from its options to a `Report`; `Audit` adds what they share: the folder, `--format`, `--by`, the keys, and the
record of who asked.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from config.errors import ConfigError, InputError, StateError
from replay.audit.tables import Report

if TYPE_CHECKING:
    from replay.audit.records import Seqs

Parsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001
Verb: TypeAlias = Callable[[argparse.Namespace], Report]

EXIT_OK, EXIT_FOUND = 0, 1
ALL: Final = sys.maxsize
NOT_GIVEN: Final = -1  # of an option that takes a number
_UNRECORDED: Final = ("command", "by", "out", "format")


class VerbParser(argparse.ArgumentParser):
    """Takes `OUT --rule ID TRANSACTION` too: before Python 3.13 a name that may be left out must stand beside OUT."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does; one word that is left over is the transaction, where none was named."""
        found, rest = super().parse_known_args(args, namespace)
        if (
            len(rest) == 1
            and not rest[0].startswith("-")
            and getattr(found, "transaction", None) == ""
        ):
            found.transaction = rest.pop()
        return found, rest


def add_commands(commands: Parsers) -> None:
    """Add the command group `audit`."""
    audit = commands.add_parser(
        "audit",
        help="is an output folder whole, what was decided and why, what was left out, who looked",
        description="Questions to an output folder of run or replay. Nothing in it is changed but access.ndjson, "
        "where every call is recorded.",
    )
    verbs: Parsers = audit.add_subparsers(
        metavar="VERB", required=True, parser_class=cast(type[argparse.ArgumentParser], VerbParser)
    )
    _add_verify(verbs)
    _add_changes(verbs)
    _add_exceptions(verbs)
    _add_restrictions(verbs)
    _add_sample(verbs)
    _add_reconcile(verbs)
    _add_access(verbs)
    _add_show(verbs)
    _add_explain(verbs)
    _add_export(verbs)


def add_verb(
    verbs: Parsers,
    name: str,
    run: Verb,
    *,
    short: str,
    about: str,
    formats: tuple[str, ...] = ("text", "json"),
) -> argparse.ArgumentParser:
    """Add a verb about an output folder, with the options that all have; `run` answers it."""
    verb = verbs.add_parser(name, help=short, description=about)
    verb.add_argument("out", type=Path, metavar="OUT", help="output folder of run or replay")
    verb.add_argument(
        "--format", choices=formats, default="text", help="for people, or for machines"
    )
    add_access(verb)
    verb.set_defaults(command=recorded(name, run))
    return verb


def add_access(verb: argparse.ArgumentParser) -> None:
    """Give a command that reads an output folder what it takes to: who asks, the key, and whether names are shown."""
    verb.add_argument(
        "--by", default="", metavar="NAME", help="who asks, if not the user of the system"
    )
    key = verb.add_mutually_exclusive_group()
    key.add_argument(
        "--key-env", default="", metavar="NAME", help="environment variable with the folder's key"
    )
    key.add_argument(
        "--key-file", type=Path, metavar="FILE", help="file with the folder's key, if encrypted"
    )
    verb.add_argument(
        "--reveal",
        action="store_true",
        help="show personal values as they are; the record of the call says so. Else their pseudonyms under "
        "WEIR_PSEUDONYM_KEY (16 characters or more), or, where that is not set, `hidden`",
    )


def recorded(name: str, run: Verb) -> Callable[[argparse.Namespace], int]:
    """The command of a verb: record the call, answer it, print; 0 fine, 1 something was found."""

    def command(arguments: argparse.Namespace) -> int:
        from replay.audit import records

        record_call(name, arguments)
        with records.reading_with(journal_key(arguments)):
            report = run(arguments)
        if text := report.write(arguments.format):
            print(text)
        return EXIT_OK if report.is_fine else EXIT_FOUND

    return command


def record_call(name: str, arguments: argparse.Namespace) -> None:
    """Append a call to OUT/access.ndjson, with the options that were given.

    A folder that cannot be written (a mounted copy) is read all the same, with a warning, but nothing is revealed.
    """
    from replay.audit import access, records

    records.check_folder(arguments.out)
    try:
        given = access.covered(arguments.out, _given(arguments), _key_for_record(arguments))
        access.record(arguments.out, name, given, by=arguments.by)
    except OSError as error:
        if arguments.reveal:
            raise InputError(
                f"the call cannot be recorded: {error.strerror}",
                str(arguments.out / access.FILE),
                why="who saw personal values must be on record",
                fix="leave out --reveal, or make the folder writable",
            ) from None
        print(
            f"warning: {arguments.out / access.FILE}: this call is not on record: {error.strerror}",
            file=sys.stderr,
        )


def _key_for_record(arguments: argparse.Namespace) -> bytes | None:
    """The key, if it is one and the right one; what is wrong with it is told once the call is on record."""
    from engine.durable.disk import RealDisk
    from engine.durable.encrypted_disk import unlocked

    try:
        key = journal_key(arguments)
        unlocked(RealDisk(), arguments.out, key)
    except (ConfigError, StateError):
        return None
    return key


def journal_key(arguments: argparse.Namespace) -> bytes | None:
    """The key of the folder, where one was named."""
    if not arguments.key_env and arguments.key_file is None:
        return None
    from engine.durable import encryption

    return encryption.read_key(arguments.key_env, arguments.key_file or "")


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Options that say something, as JSON takes them; text that is no UTF-8 with its bytes spelt out."""
    given: dict[str, Any] = {}
    for name, value in vars(arguments).items():
        if name in _UNRECORDED or value in (None, "", False, [], NOT_GIVEN):
            continue
        if isinstance(value, list):
            given[name] = [_legible(item) for item in value]
        else:
            given[name] = value if isinstance(value, bool | int) else _legible(value)
    return given


def _legible(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()


def _add_period(verb: argparse.ArgumentParser, *, day: bool = True) -> None:
    if day:
        verb.add_argument("--day", default="", metavar="D", help="one UTC day of core time")
    verb.add_argument(
        "--from", dest="from_", default="", metavar="T", help="leave out records before T"
    )
    verb.add_argument("--to", default="", metavar="T", help="leave out records at or after T")


def _seqs(arguments: argparse.Namespace) -> "Seqs":
    """The records of the period that `_add_period` asks for."""
    from replay.audit import records

    period = records.period_us(arguments.day, arguments.from_, arguments.to)
    return records.seqs_of(arguments.out, *period)


def _add_records(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--records",
        type=_count,
        default=20,
        metavar="N|all",
        help="rows of a kind to show, counts cover all; 20 unless given",
    )


def _count(text: str) -> int:
    if text == "all":
        return ALL
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a number or all, was {text}")
    return int(text)


def _add_verify(verbs: Parsers) -> None:
    verb = add_verb(
        verbs,
        "verify",
        _verify,
        short="was any byte changed, and do the outcomes follow from the inputs",
        about="Hold every durable byte against the chain of seals, then decide every record again and compare every "
        "line. Exit code 0: no difference; 1: something differs or is damaged; 2: could not run.",
    )
    verb.add_argument(
        "--day", default="", metavar="D", help="derive one UTC day of core time; the chain is whole"
    )
    verb.add_argument(
        "--root",
        default=None,
        metavar="ROOT|FILE",
        help="a root kept elsewhere, or the file that root_copy wrote: proves what it covers",
    )
    verb.add_argument(
        "--chain-only", action="store_true", help="leave out the derivation: quick, needs no key"
    )


def _verify(arguments: argparse.Namespace) -> Report:
    from replay.audit import verify

    return verify.report(
        arguments.out,
        day=arguments.day,
        kept=arguments.root,
        chain_only=arguments.chain_only,
        key=journal_key(arguments),
        reveal=arguments.reveal,
    )


def _add_changes(verbs: Parsers) -> None:
    verb = add_verb(
        verbs,
        "changes",
        _changes,
        short="what was changed, by whom, approved by whom, on which test evidence",
        about="Show configurations that became active, key by key, rule by rule, row by row; and orders of people.",
    )
    _add_period(verb)


def _changes(arguments: argparse.Namespace) -> Report:
    from replay.audit import changes, inputs, veil

    cover, remark = veil.of_folder(arguments.out, reveal=arguments.reveal)
    seqs = _seqs(arguments)
    read = inputs.read_inputs(arguments.out, journal_key(arguments))
    return _with(changes.report(arguments.out, seqs, read, veil=cover), remark)


def _add_sample(verbs: Parsers) -> None:
    verb = add_verb(
        verbs,
        "sample",
        _sample,
        short="cases just under a threshold of a rule, nearest first",
        about="Derive a period again and list decided rows where a rule stayed quiet, and would have fired with one "
        "of its numbers moved.",
    )
    verb.add_argument("--rule", required=True, metavar="ID", help="the rule that stayed quiet")
    verb.add_argument(
        "--below",
        default="20%",
        metavar="SHARE",
        help="how far its numbers are moved, at most, whole numbers by 1 at least; 20%% unless given",
    )
    _add_period(verb)
    _add_records(verb)


def _sample(arguments: argparse.Namespace) -> Report:
    from replay.audit import sample, veil

    cover, remark = veil.of_folder(arguments.out, reveal=arguments.reveal)
    share = sample.share_of(arguments.below)
    report = sample.report(
        arguments.out,
        _seqs(arguments),
        arguments.rule,
        share,
        most=arguments.records,
        key=journal_key(arguments),
        veil=cover,
    )
    return _with(report, remark)


def _add_reconcile(verbs: Parsers) -> None:
    verb = add_verb(
        verbs,
        "reconcile",
        _reconcile,
        short="control totals of the feed against what was journaled",
        about="Compare what the feed says it sent on a day with what was decided, repeated, refused or never came. "
        "The feed counts a transaction once, also one that it said twice. Exit code 0: all agree, or no totals were "
        "given; 1: something differs; 2: could not run.",
    )
    verb.add_argument("--day", required=True, metavar="D", help="day of the events")
    verb.add_argument(
        "--totals",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help='.ndjson lines like {"day":"2026-03-02","count":3,"sum":"9.50","currency":"CNY"}, or .csv',
    )


def _reconcile(arguments: argparse.Namespace) -> Report:
    from replay.audit import inputs, reconcile, records

    records.day_us(arguments.day)
    totals = reconcile.read_totals(arguments.totals)
    journal = inputs.open_recorded(arguments.out, journal_key(arguments))
    if journal is None:
        raise StateError(
            "there is no journal",
            str(arguments.out),
            why="what arrived and could not be taken is told by the journal alone",
            fix="run with durability: sync or flush",
        )
    return reconcile.report(arguments.out, arguments.day, totals, journal)


def _add_exceptions(verbs: Parsers) -> None:
    verb = add_verb(
        verbs,
        "exceptions",
        _exceptions,
        short="everything excepted, suppressed, capped, late, undecided, dead or repeated",
        about="Count and list what did not take its usual course: per rule, reason and kind.",
    )
    _add_period(verb)
    _add_records(verb)


def _exceptions(arguments: argparse.Namespace) -> Report:
    from replay.audit import exceptions, veil

    cover, remark = veil.of_folder(arguments.out, reveal=arguments.reveal)
    seqs = _seqs(arguments)
    return _with(exceptions.report(arguments.out, seqs, most=arguments.records, veil=cover), remark)


def _add_restrictions(verbs: Parsers) -> None:
    verb = add_verb(
        verbs,
        "restrictions",
        _restrictions,
        short="every restriction: how long it really lasted, who lifted it, and was it right",
        about="List the restrictions imposed in a period, each with its end and what labels said later.",
    )
    _add_period(verb)


def _restrictions(arguments: argparse.Namespace) -> Report:
    from replay.audit import inputs, restrictions, veil

    cover, remark = veil.of_folder(arguments.out, reveal=arguments.reveal)
    seqs = _seqs(arguments)
    read = inputs.read_inputs(arguments.out, journal_key(arguments))
    return _with(restrictions.report(arguments.out, seqs, read, veil=cover), remark)


def _add_access(verbs: Parsers) -> None:
    verb = add_verb(
        verbs,
        "access",
        _access,
        short="who looked at this folder with weir audit, and is that record whole",
        about="Show OUT/access.ndjson and check its chain. This call is the last line.",
    )
    verb.add_argument(
        "--head", default="", metavar="HASH", help="a head kept elsewhere: it must be in the chain"
    )


def _access(arguments: argparse.Namespace) -> Report:
    from replay.audit import access

    return access.report(arguments.out, arguments.head, journal_key(arguments))


def _add_show(verbs: Parsers) -> None:
    verb = add_verb(
        verbs,
        "show",
        _show,
        short="the lines of a stream as they were written, decrypted",
        about="Print the lines of a stream as the engine wrote them, also of an encrypted folder: for programs that "
        "read outcomes, and for people. Personal values are shown, as with --reveal, and the call is on record.",
        formats=("text",),
    )
    verb.add_argument("stream", metavar="STREAM", help="decisions, alerts, commands, delivery, ...")
    _add_period(verb)
    verb.set_defaults(reveal=True)


def _show(arguments: argparse.Namespace) -> Report:
    from replay.audit import show

    show.check(arguments.stream)
    seqs = _seqs(arguments)
    for line in show.lines(arguments.out, arguments.stream, seqs):
        sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
    return show.Shown()


def _add_explain(verbs: Parsers) -> None:
    from replay.audit import case

    verb = add_verb(
        verbs,
        "explain",
        _explain,
        short="why one transaction was decided as it was, and what would have had to be different",
        about="Decide one record again and show its message, fields, features with the events behind them, rules "
        "clause by clause, models, restrictions, and how they became the decision.",
        formats=case.FORMATS,
    )
    case.add_explain_options(verb)


def _explain(arguments: argparse.Namespace) -> Report:
    from replay.audit import case

    return case.explain(arguments, journal_key(arguments))


def _add_export(verbs: Parsers) -> None:
    from replay.audit import case

    verb = add_verb(
        verbs,
        "export",
        _export,
        short="one case or one day as a bundle that an outsider executes again, offline",
        about="Write configuration, opening state, records, decisions and proof into one file, names as pseudonyms; it "
        "is executed before it is written.",
    )
    case.add_export_options(verb)
    case.add_replay(verbs)


def _export(arguments: argparse.Namespace) -> Report:
    from replay.audit import case

    return case.export(arguments, journal_key(arguments))


def _with(report: Report, remark: str) -> Report:
    if remark:
        report.remarks.append(remark)
    return report
