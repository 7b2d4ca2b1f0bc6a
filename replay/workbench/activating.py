"""What a running engine decides with: the verbs activate, approve, reject, rollback, off, on, active, versions.

The first six ask the engine (engine/asking.py), and what they ask becomes a record of its journal; the last two read
the output folder, whether an engine is running or not.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from replay.workbench import following
from replay.workbench.following import SHORT
from replay.workbench.following import short as _short
from replay.workbench.following import status as _status

OFF_FOR: Final = "24h"  # as long as an emergency may last


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    activate = _verb(verbs, "activate", _activate, "propose a configuration to a running engine")
    activate.add_argument("folder", type=Path, metavar="CONFIG_DIR", help="what shall decide")
    _who(activate, reason=False)
    _waiting(activate)
    rollback = _verb(verbs, "rollback", _rollback, "go back to a configuration that was active")
    rollback.add_argument("--to", default="", metavar="HASH", help="else the one before")
    _who(rollback, reason=False)
    _waiting(rollback)
    approve = _verb(verbs, "approve", _approve, "let what somebody else proposed go live")
    approve.add_argument("config", metavar="HASH", help="as `weir rules active` shows it")
    _who(approve, reason=False)
    _waiting(approve)
    reject = _verb(verbs, "reject", _reject, "refuse what was proposed")
    reject.add_argument("config", metavar="HASH", help="as `weir rules active` shows it")
    _who(reject)
    off = _verb(verbs, "off", _off, "withhold a rule at once, in an emergency")
    off.add_argument("rule", metavar="RULE", help="its id")
    _who(off)
    off.add_argument("--for", dest="for_", default=OFF_FOR, metavar="24h", help="at most 24h")
    on = _verb(verbs, "on", _on, "let a rule act again that was switched off")
    on.add_argument("rule", metavar="RULE", help="its id")
    _who(on)
    _verb(verbs, "active", _active, "which configuration decides, and what waits")
    versions = _verb(verbs, "versions", _versions, "every configuration that was ever active")
    versions.add_argument("--json", action="store_true", help="print them as JSON")


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, command: Any, text: str
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text)
    verb.add_argument("out", type=Path, metavar="OUT", help="output folder of the engine")
    verb.set_defaults(command=command)
    return verb


def _who(verb: argparse.ArgumentParser, *, reason: bool = True) -> None:
    verb.add_argument("--by", required=True, metavar="NAME", help="who asks; is on record")
    verb.add_argument("--reason", required=reason, default="", help="why; is on record")
    verb.add_argument(
        "--sign-with",
        default="",
        metavar="KEY",
        help="name of the key in people.yaml; else the first of --by whose secret can be read",
    )
    verb.add_argument("--json", action="store_true", help="print the answer as JSON")


def _waiting(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--wait", action="store_true", help="until it is active or refused, or waits for approval"
    )


# ------------------------------------------------------------ asking the engine


def _activate(arguments: argparse.Namespace) -> int:
    from engine.reload.workshop import hash_of

    folder = arguments.folder.resolve()
    config, _ = hash_of(folder, _overrides(arguments.out))
    return _propose(arguments, config, str(folder), arguments.reason)


def _rollback(arguments: argparse.Namespace) -> int:
    from config.errors import InputError

    known = versions(arguments.out)
    active = known[-1]["config"] if known else ""
    older = [v["config"] for v in known if v["config"] != active]
    wanted = arguments.to.removeprefix("sha256:")
    found = [c for c in dict.fromkeys(older) if c.removeprefix("sha256:").startswith(wanted)]
    if (wanted and len(found) != 1) or not found:
        raise InputError(
            f"`{arguments.to}` does not name one configuration that was active before"
            if wanted
            else "no other configuration was active before",
            str(arguments.out),
            fix="see them all: weir rules versions " + str(arguments.out),
        )
    config = found[0] if wanted else older[-1]
    reason = arguments.reason or f"rollback from {_short(active)}"
    return _propose(arguments, config, "", reason)


def _propose(arguments: argparse.Namespace, config: str, folder: str, reason: str) -> int:
    command = {"command": "activate", "config": config, "folder": folder, "reason": reason}
    return _ask(arguments, command)


def _approve(arguments: argparse.Namespace) -> int:
    command = {"command": "approve", "config": arguments.config, "reason": arguments.reason}
    return _ask(arguments, command)


def _reject(arguments: argparse.Namespace) -> int:
    command = {"command": "reject_proposal", "config": arguments.config, "reason": arguments.reason}
    return _ask(arguments, command)


def _off(arguments: argparse.Namespace) -> int:
    command = {"command": "rule_off", "rule": arguments.rule, "reason": arguments.reason}
    return _ask(arguments, {**command, "for": arguments.for_})


def _on(arguments: argparse.Namespace) -> int:
    return _ask(
        arguments, {"command": "rule_on", "rule": arguments.rule, "reason": arguments.reason}
    )


def _ask(arguments: argparse.Namespace, command: Mapping[str, object]) -> int:
    """Ask, print the answer, and wait for what follows from it where that is asked for; the exit status."""
    from engine.asking import ask
    from engine.clock import SystemClock
    from replay.desk.orders import signed_order

    order = {**command, "by": arguments.by}
    known = following.proposal(_status(arguments.out), str(command.get("config", "")))
    is_old = command["command"] == "activate" and known is not None
    answer = ask(arguments.out, signed_order(arguments.out, order, arguments.sign_with))
    if not answer.get("ok"):
        what, why, fix = (str(answer.get(part)) for part in ("what", "why", "fix"))
        following.refused(what, why, fix)
        return 1
    told = {k: v for k, v in answer.items() if k not in ("ok", "command")}
    config, seq = str(answer.get("config", "")), int(str(answer.get("seq", -1)))
    if config and getattr(arguments, "wait", False):
        asked = {"is_old": is_old, "as_json": arguments.json}
        return following.wait(arguments.out, config, seq, SystemClock(), **asked)
    if arguments.json:
        print(json.dumps(told, sort_keys=True))
    elif config:
        print(following.words(arguments.out, told, str(answer.get("state")), is_old=is_old))
    elif "until" in told:
        print(f"{told['rule']} is off until {told['until']}; on again: weir rules on")
    else:
        print(f"{told.get('rule')} acts again")
    return 0


# ------------------------------------------------------------ looking into the folder


def _active(arguments: argparse.Namespace) -> int:
    from engine.durable.holding import is_being_written

    known = versions(arguments.out)
    status = _status(arguments.out)
    running = is_being_written(arguments.out)
    last = known[-1] if known else {}
    rows = [
        ("active", _short(str(last.get("config", "")))),
        ("since seq", str(last.get("seq", ""))),
        ("at", str(last.get("at", ""))),
        ("by", str(last.get("by", ""))),
        ("approved by", str(last.get("approved_by", ""))),
        ("engine", "running" if running else "not running"),
        ("approval", str(status.get("approval", ""))),
        *(
            ("warming", f"{n} until {until}")
            for n, until in status.get("warming_until", {}).items()
        ),
        *(
            ("not yet live", f"{rule}, in shadow until {until}: what it reads is warming")
            for rule, until in status.get("rules_warming", {}).items()
        ),
        ("their past", str(status.get("filling", ""))),
    ]
    rows += [
        ("switched off", f"{off['rule']} until {off['until']}, by {off['by']}: {off['reason']}")
        for off in status.get("off", [])
    ]
    unsigned = status.get("unsigned") or {}
    if unsigned:
        about = f"saved in {unsigned['folder']}, waits for a proposal of {unsigned['who']}"
        rows.append(("saved", f"{_short(unsigned['config'])}  {about}: {unsigned['how']}"))
    for proposal in status.get("proposals", []):
        state = proposal.get("phase", proposal["state"])
        if proposal["state"] == "open" and state != "checking":
            state = "waits for approval"
        about = f"{state}, by {proposal['by']}, seq {proposal['seq']}"
        rows.append(("proposed", f"{_short(proposal['config'])}  {about}"))
    refusal = status.get("last_refusal")
    if refusal:
        by, why = refusal.get("rejected_by"), refusal.get("why", "")
        rows.append(("last refusal", f"{_short(refusal['config'])}  by {by}: {why}"))
    print("\n".join(f"{name:13s} {text}" for name, text in rows if text))
    return 0


def _versions(arguments: argparse.Namespace) -> int:
    known = versions(arguments.out)
    if arguments.json:
        print(json.dumps(known, indent=1, sort_keys=True))
        return 0
    print(f"{'seq':>12s}  {'config':{SHORT}s}  {'at':20s}  {'by':16s}  {'approved by':16s}  reason")
    for v in known:
        at = str(v["at"])[:19] + "Z" if v["at"] else ""
        who = f"{v['by']:16s}  {v['approved_by']:16s}"
        print(f"{v['seq']:>12,}  {_short(v['config'])}  {at:20s}  {who}  {v['reason']}".rstrip())
    return 0


def versions(root: Path) -> list[dict[str, Any]]:
    """Every configuration that was ever active in an output folder, oldest first, as far as its journal reaches.

    Each with `seq` of the record that brought it (it decides from the next one on), `config`, `at`, `by`,
    `approved_by` and `reason`.
    """
    from config.errors import InputError
    from engine.durable import config_store
    from engine.durable.disk import RealDisk
    from engine.durable.journal import read_journal
    from engine.durable.journal.frames import CONFIG
    from engine.durable.output import JOURNAL
    from engine.starting import key_of

    disk = RealDisk()
    if not disk.names(root / JOURNAL):
        raise InputError(
            "there is no journal in this folder",
            str(root),
            why="which configuration decided when stands in the journal",
            fix="name the output folder of a run",
        )
    journal = read_journal(disk, root / JOURNAL)
    first = journal.segments[0].header.config if journal.segments else ""
    found = [_version(journal.first_seq, {"config": first})] if first else []
    if journal.segments and journal.segments[-1].header.salt:
        setup = config_store.stored(disk, root, journal.segments[-1].header.config)
        journal = read_journal(disk, root / JOURNAL, key_of(setup.configuration.settings))
    for segment, frame in journal.frames(journal.first_seq):
        if frame.kind == CONFIG:
            payload, _ = journal.decode(segment, frame)
            told = json.loads(payload.lines[0])
            if not found or told["config"] != found[-1]["config"]:
                found.append(_version(frame.seq0, told))
    return found


def _version(seq: int, told: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: told.get(name) or "" for name in ("config", "at", "by", "approved_by", "reason")}
    return {"seq": seq, **known}


def _overrides(root: Path) -> dict[str, str]:
    """Options of the command line that the running engine was started with, which enter its hash."""
    return dict(_status(root).get("overrides", {}))
