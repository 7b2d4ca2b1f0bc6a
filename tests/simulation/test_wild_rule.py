"""A rule gone wild: whatever matches, automation acts on no more than caps and breakers allow, and says so at once.

WEIR_WILD sets how many transactions each rule meets (10,000; a million by hand, `-s` shows the figures).
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from config.reasons import BREAKER_OPEN, CAP_REACHED
from engine import cli
from engine.outcomes import rfc3339
from tests.auditing import START, small_bank

N = int(os.environ.get("WEIR_WILD", "10000"))
EVERY_US = 2_000  # 500 transactions a second
WINDOW_US, SHARE, MINIMUM = 300_000_000, 0.02, 50  # as shipped
CAP = 30  # freezes of a rule in an hour
HOUR_US = 3_600_000_000

WILD = """\
rules:
  - id: WILD-001
    name: Everything is fraud
    version: 1
    owner: payments
    severity: high
    reason: TEST
    on: payment
    mode: live
    when: amount >= 0 CNY
    score: {score}
    actions: [{action}]
"""
DOES = {  # what the rule asks for -> its score, the action, the verb of the decisions
    "freeze": (
        600,
        f"restrict: {{entity: card, level: full_freeze, for: 2h, max_per_hour: {CAP}}}",
        "",
    ),
    "hold": (600, "hold: {for: 30m}", "hold"),
    "challenge": (600, "challenge: {method: push}", "challenge"),
    "decline": (600, "decline: TEST", "decline"),
}


@pytest.fixture(scope="module")
def traffic(tmp_path_factory):
    """Payments of as many cards as there are payments, one every two milliseconds of core time."""
    path = tmp_path_factory.mktemp("wild") / "traffic.ndjson"
    with path.open("w") as file:
        for k in range(N):
            record = {
                "transaction_id": f"t-{k}",
                "account": f"A{k}",
                "card": f"C{k}",
                "event_time": rfc3339(START + k * EVERY_US),
                "type": "payment",
                "direction": "out",
                "amount": "10.00",
                "currency": "CNY",
            }
            file.write(json.dumps(record) + "\n")
    return path


def most_in(times_us: np.ndarray, window_us: int) -> np.ndarray:
    """How many stand in the window that ends with each of them, itself included. times_us : (n,) int64, rising."""
    first = np.searchsorted(times_us, times_us - window_us, side="right")
    return np.arange(1, len(times_us) + 1) - first


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("verb", DOES)
def test_a_rule_that_matches_everything_does_what_caps_and_breakers_allow(tmp_path, traffic, verb):
    score, action, decided = DOES[verb]
    bank = small_bank(tmp_path / "bank", durability="none")
    text = WILD.format(score=score, action=action)
    (bank / "packs" / "one" / "rules.yaml").write_text(text)
    models = bank / "models.yaml"
    models.write_text(models.read_text().replace("amount, fast_1h", "amount"))
    out = tmp_path / "out"
    assert cli.main(["replay", str(traffic), "--config", str(bank), "--out", str(out)]) == 0

    at_us = START + np.arange(N) * EVERY_US
    seen = np.minimum(np.arange(1, N + 1), WINDOW_US // EVERY_US)  # transactions in the window
    allowed = np.maximum(MINIMUM, np.floor(seen * SHARE))
    if decided:
        acted = np.array([d["decision"] == decided for d in lines(out / "decisions.ndjson")])
    else:
        imposed = [c["source"] for c in lines(out / "commands.ndjson") if c["verb"] == "restrict"]
        acted = np.zeros(N, bool)
        acted[[int(source.removeprefix("t-")) for source in imposed]] = True
        assert most_in(at_us[acted], HOUR_US).max() <= CAP
    rows = np.flatnonzero(acted)
    assert len(rows), "it does something"
    over = most_in(at_us[rows], WINDOW_US) > allowed[rows]
    assert not over.any(), f"{over.sum()} beyond the breaker, first at {rows[over][:3]}"

    first_refused = np.flatnonzero(~acted)[0]
    alarms = [a for a in lines(out / "alerts.ndjson") if a["reason"] in (BREAKER_OPEN, CAP_REACHED)]
    assert alarms, "nobody is told"
    late_us = min(int(a["seq"]) for a in alarms) * EVERY_US - first_refused * EVERY_US
    assert 0 <= late_us <= 1_000_000
    print(f"{verb}: {len(rows):,} of {N:,}; alarm {late_us / 1e6:g} s after the first refusal")
