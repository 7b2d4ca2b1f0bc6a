"""Verbs of `weir audit` about one case: explain and export. Their options; the work is in modules of their names."""

import argparse
import json
import sys
from dataclasses import dataclass, field
from typing import Any, Final

from config.errors import InputError
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
    from engine.disk import RealDisk
    from engine.rederive import Rederivation
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
