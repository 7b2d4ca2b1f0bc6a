"""A pack of many rules, the same for the same seed: what `weir rules check` is timed with.

    python -m benchmarks.many_rules FOLDER [RULES]       writes the pack
    time weir rules check FOLDER

Each rule has three clauses over its own thresholds, drawn from fields, macros and 60 features, as packs of a bank that
has grown for years have them. No rule covers another: the first clause of each asks for another hour of the week.
"""

import random
import sys
from pathlib import Path

SEED = 20_260_309
N_RULES = 500
HEAD = """pack: many
version: 1.0.0
language: 1
currency: CNY
timezone: Asia/Shanghai
retention: 400d
max_freezes_per_hour: 50
decision:
  combine: sum
  bands: [{from: 0, to: 300, do: approve}, {from: 300, to: 1000, do: review}]
reasons: {MANY: One of many rules}
macros:
  outgoing: direction == "out" and (status is missing or status not in ["declined", "refused"])
"""
WIDTHS = ("10m", "1h", "6h", "1d", "7d", "30d")
KEYS = ("account", "card", "customer", "device", "merchant")


def features() -> dict[str, str]:
    """Name -> text of 60 features."""
    found = {}
    for key in KEYS:
        for width in WIDTHS:
            found[f"n_{key}_{width}"] = (
                f"count() of transaction by {key} over {width} where outgoing"
            )
            found[f"sum_{key}_{width}"] = (
                f"sum(amount) of transaction by {key} over {width} where outgoing"
            )
    return found


def rule(i: int, rng: random.Random, names: list[str]) -> str:
    """One rule of three clauses with tests for both answers."""
    name = rng.choice(names)
    bound = (
        f"{rng.randrange(3, 60)}"
        if name.startswith("n_")
        else f"{rng.randrange(1, 500) * 100:_} CNY"
    )
    start = i % 167
    day, hour = start // 24 + 1, start % 24
    clauses = [
        f"weekday(event_time) == {day} and local_time(event_time) >= {hour:02d}:{1 + i % 59:02d}",
        f"{name} > {bound}",
        rng.choice(
            [
                f"amount >= {rng.randrange(1, 900) * 100:_} CNY",
                'channel in ["online", "mobile"]',
                "outgoing",
                f"balance_before < {rng.randrange(1, 90) * 1000:_} CNY",
            ]
        ),
    ]
    key = name.split("_")[1]
    return f"""
  - id: MANY-{i:04d}
    name: Rule {i} of many
    version: 1
    owner: tests
    severity: medium
    reason: MANY
    on: [payment, card_auth]
    mode: live
    when: |
      {clauses[0]}
      and {clauses[1]}
      and {clauses[2]}
    score: {rng.randrange(1, 90) * 10}
    actions:
      - alert: {{queue: q{i}, title: "{{{name}}} of one {key}"}}
    dedup: {{by: {key}, for: {rng.randrange(1, 48)}h}}
    tests:
      - name: either way
        start: 2026-03-02T10:00:00Z
        defaults: {{type: payment, account: A1}}
        events:
          - {{at: +0m, amount: 1 CNY, expect: quiet}}
          - {{at: +1m, amount: 9_000 CNY, expect: fires}}
"""


def write(folder: Path, n_rules: int = N_RULES) -> Path:
    """Write the pack into `folder` and return it."""
    rng = random.Random(SEED)
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    (folder / "pack.yaml").write_text(HEAD, encoding="utf-8")
    known = features()
    lines = "".join(f"  {name}: {text}\n" for name, text in known.items())
    (folder / "features.yaml").write_text(f"features:\n{lines}", encoding="utf-8")
    for start in range(0, n_rules, 50):
        some = range(start, min(start + 50, n_rules))
        text = "rules:" + "".join(rule(i, rng, list(known)) for i in some)
        (folder / "rules" / f"part_{start:04d}.yaml").write_text(text, encoding="utf-8")
    return folder


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else N_RULES)
