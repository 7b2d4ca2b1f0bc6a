"""Output folders written by hand, line by line, for audits that read streams."""

import json
from pathlib import Path

from engine.outcomes import rfc3339

START = 1_772_445_600_000_000  # 2026-03-02T10:00:00Z
HOUR = 3_600_000_000


def decision(seq: int, at: int = 0, **more) -> dict:
    """A quiet decision `at` microseconds after START, with `more` in it."""
    return {
        "seq": seq,
        "transaction_id": f"t-{seq}",
        "event_time": rfc3339(START + at),
        "account": f"A{seq}",
        "decision": "approve",
        "score": 0,
        "models": {},
        "fired": [],
        "shadow": [],
        "excepted": [],
        "suppressed": [],
        "undecided": [],
        "reasons": [],
        "contributions": [],
        "restrictions": [],
        "alerts": [],
        "commands": [],
        "late": False,
        "config": "sha256:ab",
    } | more


def restrict(seq: int, id_: str, at: int = 0, hours: int = 24, verb: str = "restrict", **more):
    """A command about restriction `id_` on card C1, imposed `at` microseconds after START."""
    return {
        "command_id": f"c-{id_}-{verb}",
        "key": f"{id_}:{verb}:1",
        "verb": verb,
        "restriction_id": id_,
        "entity": {"card": "C1"},
        "level": "full_freeze",
        "amount_minor": None,
        "channels": [],
        "started_at": rfc3339(START + at),
        "expires_at": rfc3339(START + at + hours * HOUR),
        "reason": "CARD_TESTING",
        "rule": "CARD-001",
        "author": "rule CARD-001",
        "order": None,
        "released_by": [],
        "source": f"t-{seq}",
        "effect": "enforce",
        "seq": seq,
        "core_time": rfc3339(START + at),
    } | more


def write(folder: Path, **streams: list[dict]) -> Path:
    """Write `streams` into `folder`; decisions are there even if none is given."""
    for name, lines in ({"decisions": []} | streams).items():
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        (folder / f"{name}.ndjson").write_text(text)
    return folder
