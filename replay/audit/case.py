"""Verbs of `weir audit` about one case: explain and export. Their options; the work is in modules of their names."""

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from config.errors import ConfigError, InputError, StateError
from replay.audit.tables import Report

FORMATS: Final = ("text", "json", "html")


@dataclass(slots=True)
class Explanation(Report):
    """The document of explain.py, written as text, JSON or a page."""

    document: dict[str, Any] = field(default_factory=dict)

    def write(self, form: str) -> str:
        """The document as `form` (text, json, html) wants it."""
        from replay.audit import page, prose

        if form == "json":
            return json.dumps(self.document, ensure_ascii=False)
        return (page.as_page if form == "html" else prose.as_text)(self.document)


def add_explain_options(verb: argparse.ArgumentParser) -> None:
    """The options of `explain` beside those that every verb has."""
    _add_case(verb)
    verb.add_argument(
        "--at",
        default="",
        metavar="T",
        help="where the id was decided more than once: the last by then",
    )
    verb.add_argument(
        "--rule", default="", metavar="ID", help="explain this rule, whatever it said"
    )
    verb.add_argument(
        "--events",
        type=_events,
        default=5,
        metavar="N|all",
        help="events to show of each window; 5 unless given",
    )


def _add_case(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("transaction", nargs="?", default="", metavar="TRANSACTION", help="its id")
    verb.add_argument("--account", default="", metavar="A", help="whose leg it is")
    verb.add_argument(
        "--seq", type=int, default=-1, metavar="N", help="the record, in place of an id"
    )


def add_export_options(verb: argparse.ArgumentParser) -> None:
    """The options of `export` beside those that every verb has."""
    _add_case(verb)
    verb.add_argument("--day", default="", metavar="D", help="a whole UTC day of core time")
    verb.add_argument("--to", required=True, type=Path, metavar="BUNDLE.zip", help="what to write")


def _events(text: str) -> int:
    if text == "all":
        return -1
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a number or all, was {text}")
    return int(text)


def check_case(arguments: argparse.Namespace) -> None:
    """One of id and seq must be given."""
    if bool(arguments.transaction) == (arguments.seq >= 0):
        raise InputError(
            "name one record",
            fix="give the id of a transaction, or --seq with the number of a record",
        )


def explain(arguments: argparse.Namespace, key: bytes | None) -> Report:
    """Answer `weir audit explain`; `key` is that of the journal."""
    from engine.durable.disk import RealDisk
    from engine.durable.rederive import Rederivation
    from replay.audit import explain as work
    from replay.audit import veil

    check_case(arguments)
    root = arguments.out
    found = work.find(
        root, arguments.transaction, arguments.account, arguments.at, seq=arguments.seq
    )
    cover, remark = veil.of_folder(root, reveal=arguments.reveal)
    again = Rederivation(RealDisk(), root, key=key)
    asked = work.Asked(arguments.rule, arguments.events)
    seq = found.seq if found is not None else arguments.seq
    document = work.explain(again, root, seq, asked, cover)
    if remark:
        document["notes"].append(remark)
    for note in document["notes"]:
        if note.startswith("WARNING"):
            print(f"warning: {note.removeprefix('WARNING: ')}", file=sys.stderr)
    return Explanation(document=document)


def export(arguments: argparse.Namespace, key: bytes | None) -> Report:
    """Answer `weir audit export`; `key` is that of the journal."""
    from config.pseudonyms import KEY_ENV, read_key
    from engine.durable.disk import RealDisk
    from engine.durable.rederive import Rederivation
    from engine.durable.seals import read_seals
    from replay.audit import chain, explain
    from replay.audit import export as work

    root, disk = arguments.out, RealDisk()
    if arguments.to.exists():
        raise InputError("there is a file of this name", str(arguments.to), fix="name another one")
    secret = None if arguments.reveal else read_key()
    if secret is None and not arguments.reveal:
        raise ConfigError(
            f"`{KEY_ENV}` is not set, so there are no pseudonyms",
            why="a bundle leaves the house, and names must not leave with it unless somebody says so",
            fix=f"set {KEY_ENV} to a secret (openssl rand -hex 32), or export with --reveal",
        )
    if arguments.day:
        sealed = read_seals(disk, root)
        first, end = chain.day_range(sealed, arguments.day)
        span = work.Span(first, sealed.seq_end if end < 0 else end, f"day {arguments.day}")
        if span.first >= span.end:
            raise StateError(
                f"the chain knows no record of {arguments.day}", str(root), fix="name another day"
            )
    else:
        check_case(arguments)
        found = explain.find(root, arguments.transaction, arguments.account, seq=arguments.seq)
        seq = found.seq if found is not None else arguments.seq
        span = work.Span(seq, seq + 1, f"record {seq}")
    again = Rederivation(disk, root, key=key)
    manifest = work.write(work.export(again, disk, root, span, secret), arguments.to)
    report = Report()
    report.facts |= {
        "bundle": str(arguments.to),
        "bytes": arguments.to.stat().st_size,
        "records": manifest["n"],
        "decisions": manifest["n_decisions"],
        "root": manifest["root"],
    }
    for name, who in manifest["kept_in_the_clear"].items():
        report.remarks.append(f"{name} stands in the clear: {who} reads its content")
    if manifest["kept_in_the_clear"]:
        report.remarks.append(
            "The opening state is that of the whole engine: the above holds for everybody in it, not only for this case"
        )
    report.remarks.append(
        f"Checked by executing it. Anybody can: weir audit replay {arguments.to.name}"
    )
    return report


def add_replay(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `replay`, which needs no output folder."""
    verb = verbs.add_parser(
        "replay",
        help="execute an exported bundle again, offline, and say whether it holds",
        description="Decide the records of a bundle again by the configuration and state inside, compare every "
        "decision, and check the chain of seals. Exit code 0: it holds; 1: it does not.",
    )
    verb.add_argument("bundle", type=Path, metavar="BUNDLE.zip", help="what export has written")
    verb.add_argument(
        "--format", choices=("text", "json"), default="text", help="for people, or for machines"
    )
    verb.set_defaults(command=_replay)


def _replay(arguments: argparse.Namespace) -> int:
    from replay.audit import export as work

    manifest, flaws = work.execute(arguments.bundle)
    report = Report(is_fine=not flaws)
    report.facts |= {
        "what": manifest["what"],
        "decisions": manifest["n_decisions"],
        "differences": len(flaws),
        "root": manifest["root"],
        "names": "pseudonyms" if manifest["is_pseudonymised"] else "revealed",
    }
    report.remarks += flaws
    if not flaws:
        report.remarks.append(
            "Every decision came out as it says. Compare the root with one kept elsewhere: alone, the chain is only "
            "consistent with itself."
        )
        if manifest["is_pseudonymised"]:
            report.remarks.append(
                "Names are masked, so that these are the sealed records can be shown only by whoever holds the folder."
            )
    print(report.write(arguments.format))
    return 0 if report.is_fine else 1
