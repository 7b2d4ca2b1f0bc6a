"""An input that is spread otherwise from one hour to the next: one alarm that names it, also across a restart."""

import json

import numpy as np
import pytest

from engine import cli
from engine.outcomes import rfc3339
from tests.auditing import HOUR, MODELS, START, small_bank

PAYMENTS_AN_HOUR, HOURS, DEARER_FROM = 600, 14, 12  # a look needs 500, and seven before it


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    bank = small_bank(tmp_path_factory.mktemp("drift") / "bank", warm_after="1h")
    (bank / "models.yaml").write_text(MODELS + "drift: {every: 1h}\n")
    return bank


@pytest.fixture(scope="module")
def traffic(bank):
    """Payments of twenty accounts; in the last two hours amounts are five times what they were."""
    rng = np.random.default_rng(3)
    n = PAYMENTS_AN_HOUR * HOURS
    at = START + np.arange(n) * (HOUR // PAYMENTS_AN_HOUR)
    fen = (rng.gamma(3.0, 300.0, n) * np.where(at >= START + DEARER_FROM * HOUR, 5.0, 1.0)).astype(
        int
    )
    path = bank.parent / "traffic.ndjson"
    path.write_text(
        "".join(
            json.dumps(
                {
                    "transaction_id": f"t-{i}",
                    "account": f"A{rng.integers(20)}",
                    "event_time": rfc3339(at_us // 1000 * 1000),
                    "type": "payment",
                    "direction": "out",
                    "amount": f"{amount / 100:.2f}",
                    "currency": "CNY",
                }
            )
            + "\n"
            for i, (at_us, amount) in enumerate(zip(at.tolist(), fen.tolist(), strict=True))
        )
    )
    return path


def alarms(bank, traffic, out, *stops):
    """Alarms of a replay that was stopped at `stops` and gone on with."""
    for k, stop in enumerate((*stops, None)):
        until = ["--to", rfc3339(stop)] if stop else []
        resume = ["--resume"] if k else []
        command = ["replay", str(traffic), "--config", str(bank), "--out", str(out)]
        assert cli.main([*command, "--json", *until, *resume]) == 0
    lines = map(json.loads, (out / "alerts.ndjson").read_text().splitlines())
    return [line for line in lines if "drift" in line]


def test_an_input_that_drifts_is_one_alarm_and_a_restart_forgets_nothing(
    bank, traffic, tmp_path, capsys
):
    found = alarms(bank, traffic, tmp_path / "whole")
    of_amount = [alarm for alarm in found if (alarm["drift"], alarm["name"]) == ("input", "amount")]
    assert [alarm["reason"] for alarm in of_amount] == ["INPUT_DRIFTED"]
    assert of_amount[0]["title"].startswith("amount: median ")
    assert of_amount[0]["statistic"] > 1.0
    # of an hour that is over, by the first payment after it
    assert of_amount[0]["seq"] == PAYMENTS_AN_HOUR * (DEARER_FROM + 1)
    assert alarms(bank, traffic, tmp_path / "stopped", START + 6 * HOUR) == found
    capsys.readouterr()
