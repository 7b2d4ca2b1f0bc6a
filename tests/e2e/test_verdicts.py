"""A verdict on a case becomes labels of its transactions, each once, however often the engine is killed meanwhile."""

import collections
import json
import random
import time

from engine import cli
from engine.cases import PAID
from engine.durable.disk import RealDisk
from engine.durable.journal import read_journal
from engine.durable.output import JOURNAL
from tests.auditing import small_bank
from tests.running import Live

ROUNDS = 6


def closed(live):
    """Cases that are closed, on record."""
    told = live.lines("resolutions")
    return {r["case_id"] for r in told if r.get("kind") == "case" and r["outcome"] == "closed"}


def case_of(live, transaction_id):
    alerts = live.lines("alerts")
    return next((a["case_id"] for a in alerts if a.get("transaction_id") == transaction_id), None)


def labels(live):
    """Labels in the journal that the core owed itself: how often each transaction got which."""
    found = collections.Counter()
    for block in read_journal(RealDisk(), live.out / JOURNAL).read(0):
        if block.config is None:
            for position, line in zip(block.messages.positions, block.messages.lines, strict=True):
                if position.startswith(PAID):
                    told = json.loads(line)
                    found[told["account"], told["transaction_id"], told["label"]] += 1
    return found


def test_each_verdict_becomes_one_label_whatever_is_killed(tmp_path):
    """SIGKILL between the order that closes a case and long after its labels; then the order again, if it was lost."""
    chance = random.Random(11)
    live = Live(small_bank(tmp_path / "bank"), tmp_path / "out")
    wanted, lost, hasty = {}, 0, 0
    with live:
        for n in range(ROUNDS):
            account = f"A{n}"
            ids = [live.send(account, "950.00") for _ in range(3)]
            live.until(lambda i=ids: all(case_of(live, one) for one in i))
            case = case_of(live, ids[0])
            verdict = ("fraud", "genuine")[n % 2]
            close = {"kind": "command", "command": "close", "case_id": case, "verdict": verdict}
            line = json.dumps(close | {"by": "li", "reason": "looked"}).encode() + b"\n"
            live.process.stdin.write(line)
            live.process.stdin.flush()
            if n % 3:  # at the moment when the verdict has just been given out
                live.until(lambda c=case: c in closed(live))
            time.sleep(chance.choice([0.0, 0.0, 0.001, 0.003, 0.01, 0.05]))
            live.kill()
            hasty += not any(key[0] == account for key in labels(live))
            live.start()
            if case not in closed(live):
                lost += 1
                live.process.stdin.write(line)
                live.process.stdin.flush()
            live.until(lambda c=case: c in closed(live))
            wanted |= {(account, one, verdict): 1 for one in ids}
        last = live.send("A99", "10.00")
        live.until(lambda: last in live.decided())
        live.stop()
    assert labels(live) == wanted
    assert live.lines("dead_letters") == []
    assert cli.main(["audit", "verify", str(live.out)]) == 0
    print(f"{ROUNDS} kills, {lost} orders lost, {hasty} times before any label was on disk")
