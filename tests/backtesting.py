"""A pack with everything that a backtest counts, its traffic, and a slow retelling from what a replay has written."""

import json
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path

from engine import cli
from engine.outcomes import rfc3339
from tests.auditing import HOUR, START, small_bank, small_traffic
from tests.ruling import HEAD, write

RULES = """\
lists:
  watched: {file: watched.csv, type: id, of: account}
rules:
  - id: BIG-001
    name: A big payment
    version: 1
    owner: payments
    severity: high
    reason: TEST
    on: payment
    mode: live
    params: {big: 700 CNY}
    when: amount >= $big and (channel != "web" or channel is missing)
    score: 300
    actions:
      - alert: {queue: l1, title: "Big {amount}"}
      - challenge: {method: push}
      - restrict: {entity: account, level: limit, amount: 100 CNY, for: 2h, max_per_hour: 1}
      - freeze: {scope: account, for: 2h, max_per_hour: 20}
    dedup: {by: account, for: 3h}
    exceptions:
      - {id: EX-MOB, when: channel == "mobile", why: tests, approved_by: t.hill, expires: 2027-12-31}
  - id: CHAN-002
    name: Over the web, for half of the accounts
    version: 1
    owner: payments
    severity: high
    reason: TEST
    on: payment
    mode: live
    rollout: 50% by account
    when: channel in ["web", "pos"]
    score: 200
    actions:
      - alert: {queue: l1, title: "Web"}
    dedup: {by: account, for: 1h}
  - id: FAST-003
    name: Many payments in an hour
    version: 1
    owner: payments
    severity: high
    reason: TEST
    on: payment
    mode: shadow
    params: {n: 3}
    features: {fast_1h: count() by account over 1h}
    when: fast_1h >= $n
    score: 300
    actions:
      - alert: {queue: l1, title: "Fast {fast_1h}"}
      - hold: {for: 2h}
    dedup: {by: account, for: 1h}
  - id: LIST-004
    name: An account that somebody watches
    version: 1
    owner: payments
    severity: high
    reason: TEST
    on: payment
    mode: live
    when: account in @watched
    score: 100
    actions:
      - alert: {queue: l1, title: "Watched"}
"""
LIST = "account\nA01\nA02\n"
NO_MODEL = "champion: only\nmodels:\n  only: {kind: half_space_trees, inputs: [amount], params: {trees: 2, depth: 4}}\n"
IDS = ("BIG-001", "CHAN-002", "FAST-003", "LIST-004")


def head() -> str:
    return HEAD.replace("EUR", "CNY").replace("Europe/Berlin", "Asia/Shanghai")


def pack(folder: Path, rules: str = RULES, watched: str = LIST) -> Path:
    return write(folder, {"pack.yaml": head(), "rules.yaml": rules, "watched.csv": watched})


def bank(folder: Path) -> Path:
    """A configuration whose one pack is the one above."""
    small_bank(folder)
    (folder / "models.yaml").write_text(NO_MODEL)
    pack(folder / "packs" / "one")
    return folder


def traffic(path: Path, n: int = 1_200, corrections: int = 12) -> Path:
    """Payments of twenty accounts with frauds among them; some verdicts are corrected or withdrawn days later."""
    small_traffic(path, n, seed=3, days=3.0)
    frauds = [m for m in messages(path) if m.get("kind") == "label"]
    with path.open("ab") as file:
        for k, label in enumerate(frauds[:corrections]):
            later = {"label": ("genuine", "withdrawn", "fraud")[k % 3]}
            later["event_time"] = rfc3339(START + 90 * HOUR + k * 1_000_000)
            file.write(json.dumps(label | later).encode() + b"\n")
    return path


def messages(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def replay(recording: Path, config: Path, out: Path, *more: str) -> Path:
    command = [
        "replay",
        str(recording),
        "--config",
        str(config),
        "--out",
        str(out),
        "--json",
        *more,
    ]
    assert cli.main(command) == 0
    return out


def told(out: Path, recording: Path, from_: str = "") -> dict[str, dict]:
    """What each rule did, from the streams of a replay and the messages of the recording."""
    frauds: dict[str, bool] = {}
    for message in messages(recording):
        if message.get("kind") == "label":
            frauds[message["transaction_id"]] = message["label"] == "fraud"
    amount = {m["transaction_id"]: m.get("amount") for m in messages(recording) if "amount" in m}
    found = defaultdict(
        lambda: {"matches": set(), "outside": set(), "excepted": set(), "undecided": Counter()}
    )
    n_frauds = 0
    for line in (out / "decisions.ndjson").read_bytes().splitlines():
        decision = json.loads(line)
        id_ = decision["transaction_id"]
        if from_ and decision["event_time"] < from_:
            continue
        n_frauds += frauds.get(id_, False)
        for fired in decision["fired"]:
            found[fired["rule"]]["matches"].add(id_)
        for shadow in decision["shadow"]:
            kind = "matches" if shadow["rule"] == "FAST-003" else "outside"
            found[shadow["rule"]][kind].add(id_)
        for rule, _ in decision["excepted"]:
            found[rule]["excepted"].add(id_)
        for rule, name in decision["undecided"]:
            found[rule]["undecided"][name] += 1
    for of_rule in found.values():
        hit = [id_ for id_ in of_rule["matches"] if frauds.get(id_)]
        of_rule["frauds"] = len(hit)
        of_rule["recall"] = len(hit) / n_frauds
        of_rule["value_caught"] = int(sum(100 * Decimal(amount[id_]) for id_ in hit))
    return dict(found)


def alerts(out: Path) -> dict[str, list[set[str]]]:
    """The transactions of each alert, by rule."""
    groups: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for line in (out / "alerts.ndjson").read_bytes().splitlines():
        alert = json.loads(line)
        if alert["kind"] in ("rule", "update"):
            members = groups[alert["rule"]].setdefault(alert["alert_id"], set())
            members.add(alert["transaction_id"])
    return {rule: list(of_rule.values()) for rule, of_rule in groups.items()}
