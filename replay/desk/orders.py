"""Give a running engine an order: signed where a key is at hand, asked through OUT/control/, answered for people.

Who gives it stands in `by`, and signs with a key of his own (people.yaml of the active configuration names it; its
secret stands in an environment variable or a file of whoever gives the order). Where signatures are required and no
secret can be read, nothing is sent. Exit status: 0 done, 1 refused by the engine, 2 could not be asked.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from config.decisions import RESTRICTABLE

if TYPE_CHECKING:
    from config.people import People

Parsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001
Answer: TypeAlias = Mapping[str, Any]

NONCE_BYTES: Final = 16
HIDDEN: Final = frozenset({"ok", "command", "seq"})  # of an answer, for people
VERDICTS: Final = ("justified", "mistaken", "unclear")


def add_order(
    verbs: Parsers, name: str, run: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    """Add a verb that gives an order to the engine of an output folder."""
    verb = verbs.add_parser(
        name, help=text, description=f"{text}. Asks the engine that is running on OUT."
    )
    verb.add_argument("out", type=Path, metavar="OUT", help="output folder of the running engine")
    verb.set_defaults(command=run)
    return verb


def add_who(verb: argparse.ArgumentParser) -> None:
    """Add who gives the order, why, and how it is signed; after the verb's own arguments."""
    verb.add_argument("--by", required=True, metavar="ID", help="who gives the order; on record")
    verb.add_argument("--reason", required=True, metavar="TEXT", help="why; on record")
    verb.add_argument(
        "--sign-with",
        default="",
        metavar="KEY",
        help="name of the key in people.yaml; else the first of --by whose secret can be read",
    )
    verb.add_argument(
        "--timeout", type=float, default=10.0, metavar="S", help="how long to wait; 10 unless given"
    )
    verb.add_argument("--json", action="store_true", help="print the answer as JSON")


def add_release(verb: argparse.ArgumentParser) -> None:
    """Add what a release has to say."""
    verb.add_argument(
        "--legal-basis", default="", metavar="TEXT", help="on what ground; a release needs one"
    )
    verb.add_argument(
        "--verdict",
        choices=VERDICTS,
        default="unclear",
        help="whether it was right; unclear unless given",
    )
    verb.add_argument(
        "--emergency",
        action="store_true",
        help="night duty lifts a full freeze alone; a second signature follows within 24 h",
    )


def add_entity(verb: argparse.ArgumentParser) -> None:
    """Add what names one account, card, customer, device, merchant or terminal."""
    verb.add_argument("account", nargs="?", default="", metavar="ACCOUNT", help="the account")
    for name in RESTRICTABLE:
        if name != "account":
            verb.add_argument(
                f"--{name}", default="", metavar="ID", help=f"a {name} in place of an account"
            )


def entity_of(arguments: argparse.Namespace) -> tuple[str, str]:
    """What was named: field and id; `InputError` unless it is one."""
    from config.errors import InputError

    named = [(name, getattr(arguments, name)) for name in RESTRICTABLE if getattr(arguments, name)]
    if len(named) != 1:
        raise InputError(
            "one entity must be named" + (f", not {len(named)}" if named else ""),
            fix="give an account, or one of --card, --customer, --device, --merchant, --terminal",
        )
    return named[0]


def give(arguments: argparse.Namespace, command: Mapping[str, Any]) -> Answer:
    """Sign and ask; the answer of the engine. `StateError` if none runs, `ConfigError` if it must be signed."""
    from engine.asking import ask

    order = {**command, "by": arguments.by, "reason": arguments.reason}
    signed = signed_order(arguments.out, order, arguments.sign_with)
    return ask(arguments.out, signed, timeout_s=arguments.timeout)


def signed_order(root: Path, order: Mapping[str, Any], key: str = "") -> dict[str, Any]:
    """The order with a signature of `by`, if a secret is at hand; as it is where none is needed."""
    from config.errors import ConfigError, InputError
    from engine.clock import SystemClock, random_bytes
    from engine.outcomes import rfc3339
    from engine.signing import read_secret, sign

    people = people_of(root)
    person = people.people.get(str(order["by"]))
    keys = dict(person.keys) if person is not None else {}
    if key and key not in keys:
        raise InputError(
            f"`{order['by']}` has no key called `{key}`",
            str(root),
            fix=f"use one of {', '.join(keys) or '(none)'}, or have it added to people.yaml",
        )
    refusal: ConfigError | None = None
    for name in [key] if key else sorted(keys):
        try:
            secret = read_secret(keys[name])
        except ConfigError as error:
            refusal = error
            continue
        at = rfc3339(SystemClock().now_us())
        return sign(order, name, secret, at, random_bytes(NONCE_BYTES).hex())
    if refusal is not None and (key or people.signatures == "required"):
        raise refusal
    if people.signatures == "required":
        raise ConfigError(
            f"orders must be signed, and `{order['by']}` has no key",
            str(root),
            why="people.yaml of the active configuration says `signatures: required`",
            fix="give --by the id of a person with a key",
        )
    return dict(order)


def people_of(root: Path) -> "People":
    """Who may give orders, by the configuration that is active; nobody is named where it cannot be told."""
    from config.people import NOBODY, PEOPLE_FILE
    from config.people import read as read_people

    folder = active_folder(root)
    return read_people(folder / PEOPLE_FILE) if folder is not None else NOBODY


def active_folder(root: Path) -> Path | None:
    """Where the active configuration stands in an output folder; None if there is none."""
    from engine.durable.config_store import FOLDER as CONFIGS
    from engine.reload.board import FILE, FOLDER

    try:
        active = str(json.loads((root / FOLDER / FILE).read_bytes()).get("active") or "")
    except (OSError, ValueError, AttributeError):
        active = ""
    if not active:
        from replay.workbench.activating import versions

        known = versions(root) if (root / "journal").is_dir() else []
        active = str(known[-1]["config"]) if known else ""
    folder = root / CONFIGS / active.removeprefix("sha256:")
    return folder if active and folder.is_dir() else None


def tell(arguments: argparse.Namespace, answer: Answer) -> int:
    """Print an answer, for people or for machines; the exit status."""
    is_done = bool(answer.get("ok"))
    if arguments.json:
        print(json.dumps(dict(answer), sort_keys=True, ensure_ascii=False))
        return 0 if is_done else 1
    if not is_done:
        print(f"refused: {answer.get('what')}", file=sys.stderr)
        for name in ("why", "fix"):
            if answer.get(name):
                print(f"  {name}: {answer[name]}", file=sys.stderr)
        return 1
    shown = {name.replace("_", " "): value for name, value in answer.items() if name not in HIDDEN}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        print(f"{name:{width}s}  {_text(value)}")
    return 0


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {told}" for name, told in value.items()) or "none"
    return str(value)
