"""What is counted by account does not depend on how many partitions the accounts are spread over, or on who has them."""

import json
import zlib

import numpy as np
import pytest

from engine.clock import SystemClock
from engine.cluster.lane import Lane
from engine.cluster.partition import take_over
from engine.outcomes import rfc3339
from engine.setup import read_setup
from tests.auditing import START, small_bank
from tests.clustering import MemoryBroker, embedded

N, ACCOUNTS = 500, 23
TOLD = """\
rules:
  - id: TOLD-001
    name: Says what is known of the account
    version: 1
    owner: tests
    severity: low
    reason: TEST
    on: payment
    mode: live
    features:
      n_1h: count() by account over 1h
      sum_1d: sum(amount) by account over 1d prior
      payees_1d: count_distinct(counterparty) by account over 1d
    when: amount >= 0 CNY
    score: 1
    actions:
      - alert: {queue: l1, title: "{amount} {n_1h} {sum_1d} {payees_1d}"}
"""


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = small_bank(tmp_path_factory.mktemp("partitions") / "bank", durability="flush")
    (folder / "packs" / "one" / "rules.yaml").write_text(TOLD)
    (folder / "models.yaml").write_text(
        "champion: only\nmodels:\n  only: {kind: half_space_trees, inputs: [amount, n_1h], "
        "params: {trees: 2, depth: 4}}\n"
    )
    return folder


@pytest.fixture(scope="module")
def payments():
    rng = np.random.default_rng(4)
    at_us, lines = START, []
    for k in range(N):
        at_us += int(rng.integers(1, 900_000_000))
        payment = {
            "transaction_id": f"t-{k}",
            "account": f"A{int(rng.integers(ACCOUNTS)):02d}",
            "counterparty": f"B{int(rng.integers(5))}",
            "event_time": rfc3339(at_us // 1_000 * 1_000),
            "type": "payment",
            "direction": "out",
            "amount": f"{int(rng.integers(1, 9_999)) / 100:.2f}",
            "currency": "CNY",
        }
        lines.append((payment["account"], json.dumps(payment).encode()))
    return lines


def known(alerts):
    """By transaction, what its alert says of the account."""
    told = [json.loads(line) for line in alerts]
    return {alert["transaction_id"]: alert["title"] for alert in told}


@pytest.fixture(scope="module")
def alone(bank, payments, tmp_path_factory):
    """The same from one engine that sees everything."""
    broker = MemoryBroker()
    for _, line in payments:
        broker.write(line)
    out = tmp_path_factory.mktemp("alone") / "out"
    found = known(embedded(bank, broker.records(), out)["alerts"])
    assert len(found) == N
    assert len(set(found.values())) > N // 2, "they say something"
    return found


@pytest.mark.parametrize("n_partitions", [1, 3, 8])
def test_local_features_are_those_of_one_engine(bank, payments, alone, tmp_path, n_partitions):
    broker = MemoryBroker(n_partitions)
    setup = read_setup(bank, partitions=n_partitions)
    for account, line in payments:
        broker.write(line, zlib.crc32(account.encode()) % n_partitions)
    found = {}
    for number in range(n_partitions):
        records = broker.records(number)
        for part in (records[: len(records) // 3], records):  # owners come and go
            lane = Lane("in", number, lambda: None)
            publisher = broker.publisher(number)
            partition = take_over(
                tmp_path / "out", number, lane, publisher, setup, SystemClock(), helper=False
            )
            lane.put(part)
            while partition.step():
                pass
            partition.hand_on()
        found |= known(broker.lines("alerts", number))
    assert found == alone
