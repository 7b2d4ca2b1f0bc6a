"""What became of a proposal, in words: what `weir rules activate`, `approve` and `rollback` say.

What an engine says of itself stands in OUT/control/active.status (engine/reload/board.py).
"""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from engine.clock import Clock

SHORT: Final = 12  # digits of a hash, for people
WAIT_S: Final = 120.0
LOOK_EVERY_US: Final = 20_000
READY: Final = (
    "ready to go live"  # as engine/reload/controller.py has it, which would import the engine
)
ACTIVE, REFUSED, WAITING = "active", "refused", "waits for approval"


def status(root: Path) -> dict[str, Any]:
    """What the engine last said about itself; nothing if it never did."""
    from engine.reload.board import FILE, FOLDER

    try:
        told = json.loads((root / FOLDER / FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return dict(told)


def short(config: str) -> str:
    """The digits of a hash that people see, and may type."""
    return config.removeprefix("sha256:")[:SHORT]


def proposal(known: Mapping[str, Any], config: str) -> dict[str, Any] | None:
    """The proposal of a configuration that is neither active nor refused yet."""
    return next((p for p in known.get("proposals", []) if p["config"] == config), None)


def where(known: Mapping[str, Any], config: str, seq: int) -> tuple[str, dict[str, Any]] | None:
    """What came of the proposal that record `seq` made, with its facts; None while nothing has.

    It is active, refused, or was checked and waits for approval: nothing more happens by itself then.
    """
    if known.get("active") == config:
        return ACTIVE, {}
    waiting = proposal(known, config)
    if waiting is not None:
        is_ready = waiting["state"] == "open" and waiting.get("phase") == READY
        return (WAITING, waiting) if is_ready else None
    ended = [p for p in known.get("ended", []) if (p["config"], p["seq"]) == (config, seq)]
    if ended and ended[-1]["state"] == "rejected":
        return REFUSED, ended[-1]
    return None


def wait(
    root: Path,
    config: str,
    seq: int,
    clock: "Clock",
    *,
    is_old: bool = False,
    as_json: bool = False,
) -> int:
    """Wait until nothing more happens to a proposal by itself, and print what became of it; the exit status.

    seq : of the record that proposed it
    is_old : it had been proposed before it was asked for now
    """
    from config.errors import StateError

    until_ns = clock.monotonic_ns() + round(WAIT_S * 1e9)
    while True:
        found = where(status(root), config, seq)
        if found is not None:
            break
        if clock.monotonic_ns() >= until_ns:
            raise StateError(
                f"the proposal is still under way after {WAIT_S:g} s",
                str(root),
                fix="look again with: weir rules active " + str(root),
            )
        clock.sleep_us(LOOK_EVERY_US)
    state, facts = found
    if as_json:
        print(json.dumps({**facts, "config": config, "state": state}, sort_keys=True))
    elif state == REFUSED:
        refused(f"{short(config)} does not go live: {facts.get('why', '')}", "", "")
    else:
        print(words(root, {**facts, "config": config}, state, is_old=is_old))
    return 1 if state == REFUSED else 0


def words(root: Path, facts: Mapping[str, Any], state: str, *, is_old: bool = False) -> str:
    """What happened to a proposal, and the next command, for people."""
    config = short(str(facts.get("config", "")))
    out = shlex.quote(str(root))
    if state == ACTIVE:
        return f"{config} is active"
    by = facts.get("by", "")
    begun = (
        f"{config} had been proposed by {by} at seq {facts.get('seq')} already" if is_old else ""
    )
    if state == WAITING:
        begun = begun or f"{config} was proposed by {by}"
        return "\n".join(
            [
                f"{begun}; it passed the checks and waits for approval by somebody else",
                f"  what it changes: weir rules pending {out} {config}",
                f"  to let it live:  weir rules approve {out} {config} --by NAME",
            ]
        )
    if state == "approved":
        approver = facts.get("approved_by")
        begun = f"{config} was approved by {approver}" if approver else begun
        begun = begun or f"{config} was proposed by {by}; nobody needs to approve it"
        return f"{begun}; it goes live once it passes the checks\n  look:  weir rules active {out}"
    if state == "rejected":
        return f"{config} was refused: {facts.get('why', '')}"
    begun = begun or f"{config} was proposed by {by}"
    return "\n".join(
        [
            f"{begun}; it is being checked, and needs approval by somebody else",
            f"  whether it passed, and what it changes: weir rules pending {out} {config}",
            f"  to let it live:  weir rules approve {out} {config} --by NAME",
        ]
    )


def refused(what: str, why: str, fix: str) -> None:
    """Say on standard error what was refused."""
    print(f"refused: {what}", file=sys.stderr)
    for name, text in (("why", why), ("fix", fix)):
        if text and text != "None":
            print(f"  {name}: {text}", file=sys.stderr)
