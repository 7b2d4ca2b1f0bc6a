"""Output folders for audits: written by hand, line by line, or by a replay of a small bank."""

import json
import re
import shutil
from pathlib import Path

import numpy as np

from config.settings import BANK
from engine import cli
from engine.outcomes import rfc3339
from tests.ruling import HEAD
from tests.ruling import write as write_pack

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


RULES = """\
rules:
  - id: BIG-001
    name: A big payment
    version: 1
    owner: payments
    severity: high
    reason: TEST
    on: payment
    mode: live
    params: {big: 900 CNY}
    when: amount >= $big and (channel != "web" or channel is missing)
    score: 600
    actions:
      - alert: {queue: l1, title: "Big {amount}"}
      - restrict: {entity: account, level: limit, amount: 100 CNY, for: 2h, max_per_hour: 20}
    dedup: {by: account, for: 1h}
    exceptions:
      - {id: EX-WEB, when: channel == "mobile", why: tests, approved_by: t.hill, expires: 2027-12-31}
  - id: FAST-002
    name: Many payments in an hour
    version: 2
    owner: payments
    severity: high
    reason: TEST
    on: payment
    mode: live
    features: {fast_1h: count() by account over 1h}
    when: fast_1h >= 4
    score: 300
    actions:
      - alert: {queue: l1, title: "Fast {fast_1h}"}
    dedup: {by: account, for: 1h}
  - id: TOLD-003
    name: What an authority wants to know
    version: 1
    owner: aml
    severity: low
    reason: TEST
    on: payment
    mode: live
    when: amount >= 950 CNY
    score: 0
    actions:
      - report: {kind: large, to: authority, by: account, due: 5d, title: "Large {amount}"}
"""
MODELS = (
    "champion: only\nmodels:\n  only: {kind: half_space_trees, inputs: [amount, fast_1h], "
    "params: {trees: 2, depth: 4}}\n"
)


def small_bank(folder: Path, **settings: str) -> Path:
    """A configuration with one pack of three rules and a tiny model; `settings` replace what weir.yaml says."""
    shutil.copytree(BANK, folder, ignore=shutil.ignore_patterns("packs", "lists"))
    (folder / "models.yaml").write_text(MODELS)
    path = folder / "weir.yaml"
    text = re.sub(r"^packs:.*$", "packs: [packs/one]", path.read_text(), flags=re.MULTILINE)
    for name, value in settings.items():
        line = re.compile(rf"^(# )?{name}:.*$", re.MULTILINE)
        text, n = line.subn(f"{name}: {value}", text, count=1)
        assert n == 1, name
    path.write_text(text)
    head = HEAD.replace("EUR", "CNY").replace("Europe/Berlin", "Asia/Shanghai")
    write_pack(folder / "packs" / "one", {"pack.yaml": head, "rules.yaml": RULES})
    return folder


def small_traffic(path: Path, n: int, seed: int = 1, days: float = 2.0, orders: int = 0) -> Path:
    """`n` messages of twenty accounts: payments, repeats, late and broken ones, labels; and some `orders` of people."""
    rng = np.random.default_rng(seed)
    lines: list[bytes] = []
    accounts: list[str] = []
    at_us = START
    for i in range(n):
        at_us += int(rng.exponential(days * 24 * HOUR / n))
        account = f"A{int(rng.integers(20)):02d}"
        accounts.append(account)
        what = rng.random()
        record = {
            "transaction_id": f"t-{i}",
            "account": account,
            "event_time": rfc3339(at_us // 1000 * 1000),
            "type": "payment",
            "direction": "out",
            "amount": f"{float(rng.integers(1, 100_000)) / 100:.2f}",
            "currency": "CNY",
            "note": rng.bytes(100).hex(),
        }
        if what < 0.2:
            record["channel"] = str(rng.choice(["web", "mobile", "pos"]))
        if 0.2 < what < 0.24:
            record["event_time"] = rfc3339((at_us - 5 * HOUR) // 1000 * 1000)
        if 0.24 < what < 0.27:
            record["amount"] = "a lot"
        if 0.27 < what < 0.32:
            del record["type"], record["amount"], record["currency"], record["direction"]
            known = {"transaction_id": f"t-{i // 2}", "account": accounts[i // 2]}
            record |= {"kind": "label", "label": "fraud", **known}
        lines.append(json.dumps(record).encode())
        if 0.32 < what < 0.35:
            lines.append(lines[-1])
        if orders and i % (n // orders) == 0:
            order = {"kind": "command", "command": "rule_off", "rule": "FAST-002", "for": "1h"}
            order |= {"by": "li", "reason": f"order {i}", "event_time": rfc3339(at_us)}
            lines.append(json.dumps(order).encode())
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def replayed(
    folder: Path, n: int = 400, *, stops: int = 1, seed: int = 1, orders: int = 0, **settings: str
) -> Path:
    """An output folder of `n` messages; with `stops`, the run was stopped in order that often and gone on with."""
    bank = small_bank(folder / "bank", **settings)
    traffic = small_traffic(folder / "traffic.ndjson", n, seed, orders=orders)
    out = folder / "out"
    command = ["replay", str(traffic), "--config", str(bank), "--out", str(out)]
    command += ["--batch-rows", "64", "--json"]
    for stop in range(1, stops + 1):
        until = ["--to", rfc3339(START + stop * 13 * HOUR)] if stop < stops else []
        resume = ["--resume"] if stop > 1 else []
        assert cli.main([*command, *until, *resume]) == 0
    return out
