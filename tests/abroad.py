"""A bank of one pack and a table of rates of its own, for tests of amounts in several currencies."""

import json
import shutil
from pathlib import Path

from config.settings import BANK
from engine.core import Core
from engine.setup import Setup, read_setup

RATES = """\
rates: test
version: 1
source: made up
base: CNY
timezone: Asia/Shanghai
valid_for: 40d
entries:
  - {from: 2026-03-01, USD: 7.00, EUR: 8.00, JPY: 0.05, KWD: 23.00}
  - {from: 2026-03-03, USD: 6.00}
"""
PACK = """\
pack: test
version: 1.0.0
language: 1
currency: CNY
timezone: Asia/Shanghai
retention: 400d
decision:
  combine: sum
  bands: [{from: 0, to: 500, do: approve}, {from: 500, to: 1000, do: review}]
reasons: {TEST: A reason for tests}
"""
MODELS = """\
champion: fraud
models:
  fraud: {kind: logistic, inputs: [amount]}
"""


def setup(folder: Path, rules: str, *, rates: str | None = RATES) -> Setup:
    """Write a configuration whose pack is PACK and `rules`, and read it."""
    pack = folder / "packs" / "test"
    pack.mkdir(parents=True)
    (pack / "pack.yaml").write_text(PACK, encoding="utf-8")
    (pack / "rules.yaml").write_text(rules, encoding="utf-8")
    shutil.copyfile(BANK / "schema.yaml", folder / "schema.yaml")
    settings = "packs: [packs/test]\nfeed: canonical\n"
    if rates is not None:
        (folder / "rates.yaml").write_text(rates, encoding="utf-8")
        settings += "rates: rates.yaml\n"
    (folder / "weir.yaml").write_text(settings, encoding="utf-8")
    (folder / "models.yaml").write_text(MODELS, encoding="utf-8")
    return read_setup(folder)


def rule(when: str, *, more: str = "", tests: str = "") -> str:
    """A pack file with one rule, R-1, on payments."""
    return f"""\
rules:
  - id: R-1
    name: A rule
    version: 1
    owner: tests
    severity: high
    reason: TEST
    on: payment
    mode: live
    purpose: to see
    description: what fires
    when: |
      {when}
    score: 100
{more}{tests}"""


def message(at: str, name: str, **fields: object) -> bytes:
    """A payment of account A1 on a day of March 2026, `at` such as 02T10:00:00."""
    made = {
        "transaction_id": name,
        "event_time": f"2026-03-{at}Z",
        "account": "A1",
        "type": "payment",
        "status": "booked",
        "direction": "out",
        **fields,
    }
    return json.dumps({k: v for k, v in made.items() if v is not None}).encode()


def update(at: str, name: str, of: str, **fields: object) -> bytes:
    made = {
        "kind": "update",
        "update_id": name,
        "transaction_id": of,
        "account": "A1",
        "event_time": f"2026-03-{at}Z",
        **fields,
    }
    return json.dumps(made).encode()


def last(core: Core, name: str, lines: list[bytes], *, apart: bool = False) -> float | None:
    """The column `name` of the last of the lines, applied together or one by one; None for missing."""
    for part in [[line] for line in lines] if apart else [lines]:
        outcome = core.apply(part, ["x"] * len(part))
        assert not outcome.batch.dead, outcome.batch.dead
    value = float(outcome.frame.column(name)[-1])
    return value if value == value else None
