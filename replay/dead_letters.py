"""`weir dead-letters`: what could not be read, and sending it again once the cause is mended.

    list      how many of which reason, where the last one stood, and what to do; from a folder or from the topic
    redrive   the stored bytes into the input again; without --to or --send it only says what it would do

Whatever was sent twice is harmless: a transaction that was taken in meanwhile is answered with its first decision, and
what is still wrong becomes a dead letter again. What cannot be sent again is said, with the reason.
"""

import argparse
import base64
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from config.errors import ConfigError, InputError
from config.settings import BANK

if TYPE_CHECKING:
    from config.cluster import ClusterSettings

Parsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001
EXIT_OK, EXIT_FOUND = 0, 1
WIDTH: Final = 78  # of what is said about a reason
HOPELESS: Final = {  # reason -> why the same bytes would not do better
    "id_conflict": "its identity belongs to another message: send a correction as kind `update`",
    "empty_line": "there is no message",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. `message` is None where its bytes are not kept; `why_not` says why it cannot be sent again."""

    seq: int
    position: str
    reason: str
    what: str
    fix: str
    message: bytes | None
    why_not: str = ""


class Topic(Protocol):
    """The dead letters of a cluster; given by engine/cli.py, for nothing in this room speaks with a broker."""

    def read(self, settings: "ClusterSettings") -> Iterable[bytes]:
        """Every line that is committed now."""
        ...

    def send(self, settings: "ClusterSettings", messages: Sequence[tuple[int, bytes]]) -> None:
        """Write (partition, message) into the input; all of them are there when it returns."""
        ...


def add_commands(commands: Parsers, topic: Topic) -> None:
    text = "what could not be read, and sending it again once the cause is mended"
    group = commands.add_parser("dead-letters", help=text, description=text)
    verbs: Parsers = group.add_subparsers(metavar="VERB", required=True)
    list_ = verbs.add_parser(
        "list",
        help="how many of which reason, and what to do",
        description="Count dead letters by reason, of an output folder or of the topic of a cluster.",
    )
    list_.set_defaults(command=lambda arguments: _list(arguments, topic))
    redrive = verbs.add_parser(
        "redrive",
        help="send the stored bytes into the input again",
        description="Send dead letters again, once what was wrong is mended. Without --to or --send it only says "
        "what would be sent, and what cannot be. Sending something twice is harmless.",
    )
    for verb in (list_, redrive):
        verb.add_argument("out", nargs="?", type=Path, metavar="OUT", help="an output folder")
        verb.add_argument(
            "--cluster", action="store_true", help="the topic that --config names, in place of OUT"
        )
        verb.add_argument("--config", type=Path, default=BANK, metavar="DIR", help="of the cluster")
        verb.add_argument(
            "--reason", action="append", default=[], metavar="WORD", help="only those; repeatable"
        )
        verb.add_argument("--key-env", default="", metavar="NAME", help="of an encrypted folder")
        verb.add_argument("--key-file", type=Path, metavar="FILE", help="of an encrypted folder")
        verb.add_argument("--by", default="", metavar="NAME", help="who asks; the user if left out")
    list_.add_argument("--json", action="store_true", help="a line of JSON for each dead letter")
    list_.add_argument(
        "--reveal", action="store_true", help="with --json: also the message, and what names ids"
    )
    redrive.add_argument("--to", metavar="FILE|-", help="write the messages there, as NDJSON")
    redrive.add_argument("--send", action="store_true", help="send them to the input topic")
    redrive.set_defaults(command=lambda arguments: _redrive(arguments, topic), reveal=True)


def _list(arguments: argparse.Namespace, topic: Topic) -> int:
    letters = _wanted(arguments, topic, "dead-letters list")
    if arguments.json:
        for letter in letters:
            print(json.dumps(_shown(letter, reveal=arguments.reveal), sort_keys=True))
        return EXIT_OK
    rows = Counter(letter.reason for letter in letters)
    last = {letter.reason: letter for letter in letters}
    if not rows:
        print("no dead letters")
        return EXIT_OK
    width = max(map(len, rows))
    for reason, n in sorted(rows.items(), key=lambda p: (-p[1], p[0])):
        print(f"{n:>8,}  {reason:<{width}}  last at {last[reason].position}")
        print(f"{'':>8}  {'':<{width}}  {last[reason].fix}")
    return EXIT_OK


def _redrive(arguments: argparse.Namespace, topic: Topic) -> int:
    if arguments.to and arguments.send:
        raise ConfigError("--to and --send exclude each other", fix="give one of them")
    if arguments.send and not arguments.cluster:
        raise ConfigError(
            "--send goes with --cluster",
            why="the input of an embedded engine is a file or a pipe",
            fix="write them with --to FILE, and have the engine read that: weir run --input FILE",
        )
    letters = _wanted(arguments, topic, "dead-letters redrive")
    able, not_able = sorted_out(letters)
    for why, n in sorted(Counter(letter.why_not for letter in not_able).items()):
        print(f"{n:>8,}  not sent: {why}", file=sys.stderr)
    does = bool(arguments.to or arguments.send)
    if arguments.to == "-":
        for letter in able:
            sys.stdout.buffer.write((letter.message or b"") + b"\n")
        sys.stdout.buffer.flush()
    elif arguments.to:
        Path(arguments.to).write_bytes(b"".join((x.message or b"") + b"\n" for x in able))
    elif arguments.send:
        settings = _cluster(arguments.config)  # each to where its account is decided
        told = [(partition_of(settings, x.position), x.message or b"") for x in able]
        topic.send(settings, told)
    for reason, n in sorted(Counter(letter.reason for letter in able).items()):
        print(f"{n:>8,}  {'sent' if does else 'would be sent'}: {reason}", file=sys.stderr)
    if not does:
        how = "--send" if arguments.cluster else "--to FILE"
        print(f"nothing was sent; {how} does it", file=sys.stderr)
    return EXIT_FOUND if not_able else EXIT_OK


def sorted_out(letters: Iterable[Letter]) -> tuple[list[Letter], list[Letter]]:
    """Those that can be sent again, each message once, and those that cannot."""
    able: dict[bytes, Letter] = {}
    not_able: list[Letter] = []
    for letter in letters:
        if letter.why_not or letter.message is None:
            not_able.append(letter)
        else:
            able.setdefault(letter.message, letter)
    return list(able.values()), not_able


def letter_of(record: dict[str, Any]) -> Letter:
    """A line of dead_letters.ndjson, and whether its bytes can be sent again."""
    message: bytes | None = None
    if "message" in record:
        message = str(record["message"]).encode()
    elif "message_base64" in record:
        message = base64.b64decode(record["message_base64"])
    reason, position = str(record["reason"]), str(record["position"])
    why_not = HOPELESS.get(reason, "")
    if record.get("answered"):
        why_not = "it has an answer already, which a repeat would be given again"
    elif reason in ("too_large", "unreadable_secret"):
        why_not = f"its bytes were not kept ({reason})"
    elif " " in position or position.startswith("control/"):
        why_not = "the engine or a person wrote it, not the input"
    elif message is not None and b"\n" in message:
        why_not = "it has line breaks, and would come as several messages"
    return Letter(
        int(record["seq"]),
        position,
        reason,
        str(record.get("what", "")),
        str(record.get("fix", "")),
        message,
        why_not or ("" if message is not None else "its bytes were too many for the topic"),
    )


def _shown(letter: Letter, *, reveal: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "seq": letter.seq,
        "position": letter.position,
        "reason": letter.reason,
        "bytes": None if letter.message is None else len(letter.message),
        "can_be_sent": not letter.why_not,
    }
    if letter.why_not:
        told["why_not"] = letter.why_not
    if reveal:
        message = letter.message or b""
        told |= {"what": letter.what, "message": message.decode(errors="backslashreplace")}
    return told


def _wanted(arguments: argparse.Namespace, topic: Topic, verb: str) -> list[Letter]:
    """The dead letters that are asked for, oldest first."""
    if arguments.cluster == (arguments.out is not None):
        raise ConfigError("name an output folder, or --cluster", fix="give exactly one of the two")
    if arguments.cluster:
        letters = [letter_of(json.loads(x)) for x in topic.read(_cluster(arguments.config))]
    else:
        letters = [letter_of(record) for record in _of_folder(arguments, verb)]
    unknown = set(arguments.reason) - {letter.reason for letter in letters}
    if unknown:
        there = sorted({letter.reason for letter in letters})
        raise InputError(
            f"there is no dead letter with the reason {min(unknown)}",
            fix=f"name one of {', '.join(there)}" if there else "there is none at all",
        )
    return [x for x in letters if not arguments.reason or x.reason in arguments.reason]


def _of_folder(arguments: argparse.Namespace, verb: str) -> Iterator[dict[str, Any]]:
    from replay.audit import cli as audit_cli
    from replay.audit import records

    audit_cli.record_call(verb, arguments)
    with records.reading_with(audit_cli.journal_key(arguments)):
        for record in records.records(arguments.out, "dead_letters"):
            yield dict(record)


def _cluster(folder: Path) -> "ClusterSettings":
    from config.settings import SETTINGS_FILE, read_settings

    found = read_settings(folder / SETTINGS_FILE).cluster
    if found is None:
        raise ConfigError(
            "`cluster` is not set",
            str(folder / SETTINGS_FILE),
            why="it says where Kafka is, and how the topics are called",
            fix="name the configuration of the workers with --config",
        )
    return found


def partition_of(settings: "ClusterSettings", position: str) -> int:
    """The partition in a position such as weir.input/3@120; `InputError` for one of another input."""
    topic, _, rest = position.rpartition("/")
    number = rest.partition("@")[0]
    if topic != settings.input or not number.isdecimal():
        raise InputError(
            f"the dead letter stood at {position}, which is no place in {settings.input}",
            fix="name the configuration of the cluster that has written it",
        )
    return int(number)
