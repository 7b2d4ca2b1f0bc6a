"""`weir rules pending`: what proposals to a running engine would change, by meaning, for whoever is to approve them."""

import argparse
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from replay.workbench import following

if TYPE_CHECKING:
    from rules.diff import PackDiff

PREFIX_MIN: Final = 6  # as engine/proposals.py has it
BY_MEANING: Final = ("packs/", "lists/")  # told rule by rule and row by row, not as files


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    pending = verbs.add_parser(
        "pending",
        help="what proposals that wait would change",
        description="Compare each configuration that was proposed with the active one, by meaning: rule by rule with "
        "what is wider or narrower, lists, features, settings. Both stand in the output folder.",
    )
    pending.add_argument("out", type=Path, metavar="OUT", help="output folder of the engine")
    pending.add_argument("config", nargs="?", default="", metavar="HASH", help="only this one")
    pending.add_argument("--json", action="store_true", help="print it as JSON")
    pending.set_defaults(command=_pending)


def _pending(arguments: argparse.Namespace) -> int:
    known = following.status(arguments.out)
    if not known:
        from replay.audit.records import check_folder

        check_folder(arguments.out)
    found = [_told(arguments.out, known, p) for p in _meant(arguments, known)]
    if arguments.json:
        print(json.dumps([{**p, "changes": c} for p, c, _ in found], indent=1, sort_keys=True))
    elif not found:
        print("no proposal waits")
    else:
        print("\n\n".join(text for _, _, text in found))
    return 0


def _meant(arguments: argparse.Namespace, known: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The proposals asked about; `InputError` if the hash names none."""
    from config.errors import InputError

    waiting: list[dict[str, Any]] = known.get("proposals", [])
    wanted = arguments.config.removeprefix("sha256:")
    if not arguments.config:
        return waiting
    found = [p for p in waiting if p["config"].removeprefix("sha256:").startswith(wanted)]
    if len(wanted) >= PREFIX_MIN and len(found) == 1:
        return found
    told = ", ".join(following.short(p["config"]) for p in waiting)
    raise InputError(
        f"no proposal that waits is known as `{arguments.config}`",
        str(arguments.out),
        why=f"waiting: {told}" if told else "none is waiting",
        fix=f"give at least {PREFIX_MIN} digits of its hash, or leave it out to see all",
    )


def _told(
    root: Path, known: Mapping[str, Any], proposal: Mapping[str, Any]
) -> tuple[Mapping[str, Any], dict[str, Any] | None, str]:
    """A proposal, what it changes as a document (None where it is not known yet), and both as text."""
    from config.errors import WeirError
    from replay.audit import diffs
    from replay.workbench import diff_text

    config, out = str(proposal["config"]), shlex.quote(str(root))
    state = "waits for approval" if proposal["state"] == "open" else str(proposal["state"])
    is_checked = proposal.get("phase") != "checking"
    checked = "its checks and tests have passed" if is_checked else "it is being checked"
    head = [
        f"{following.short(config)} {state}: {checked}",
        f"proposed by {proposal['by']} at seq {proposal['seq']}: {proposal.get('reason') or 'no reason given'}",
    ]
    try:
        meant, settings = between(root, str(known["active"]), config)
    except WeirError as error:
        return proposal, None, "\n".join([*head, f"what it changes is not known yet: {error.what}"])
    names = (f"active {following.short(str(known['active']))}", following.short(config))
    lines = [] if meant.is_empty and settings else [diff_text.text_of(meant, None, names)]
    lines += [_setting(change) for change in settings]
    if proposal["state"] == "open":
        lines.append(
            f"to let it live: weir rules approve {out} {following.short(config)} --by NAME"
        )
    document = {"packs": asdict(meant) | {"touched": sorted(meant.touched)}}
    changes: list[diffs.Change] = settings
    return proposal, document | {"settings": [asdict(c) for c in changes]}, "\n".join(head + lines)


def between(root: Path, active: str, proposed: str) -> "tuple[PackDiff, list[Any]]":
    """What two configurations of the store differ in: packs by meaning, then every other file by key.

    `StateError` if one of them is not stored (yet).
    """
    from engine.durable import config_store
    from engine.durable.disk import RealDisk
    from replay.audit import diffs
    from replay.workbench import backtesting
    from rules.diff import compare

    setups = [config_store.stored(RealDisk(), root, config) for config in (active, proposed)]
    loaded = [backtesting.load(s.configuration.pack_paths, s) for s in setups]
    texts = [
        {id_: n.source.text[n.start : n.end] for id_, n in each.workshop.nodes.items()}
        for each in loaded
        if each.workshop is not None
    ]
    old, new = (setup.pack for setup in setups)
    meant = compare(old, new, setups[1].schema, (texts[0], texts[1]))
    folders = [
        root / config_store.FOLDER / config.removeprefix("sha256:") for config in (active, proposed)
    ]
    changes = [c for c in diffs.between(*folders) if not c.file.startswith(BY_MEANING)]
    return meant, changes


def _setting(change: Any) -> str:
    was, now = change.before, change.after
    moved = f"{was} -> {now}" if was is not None and now is not None else (now or was or "")
    return f"{change.file}   {change.what} {change.kind}   {moved}".rstrip()
