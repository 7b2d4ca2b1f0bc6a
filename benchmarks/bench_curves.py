"""Throughput and memory of the canonical workload against accounts, history, features and rules.

    python -m benchmarks.bench_curves [--smoke] [--json]

One thing is changed at a time, the rest stays: accounts from 10,000 to 1,000,000 over the same number of transactions,
transactions over the same accounts, features times two and four (other windows of the same aggregates: nothing is
shared but the events), rules times four and ten (other thresholds). Each run is a process of its own on one core, as
bench_canonical measures; "times" is against the canonical row. Windows, models and rules are the engine's own
stopwatch, microseconds a transaction.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import bench_canonical, measuring
from replay.speed import workload

ACCOUNTS = (10_000, 100_000, 1_000_000)
FEATURES, RULES = (2, 4), (4, 10)
STAGES = ("decode", "windows", "models", "rules", "decide", "seal")


def more_features(config, times):
    """Have every window once more for each further time, wider by one hour or day."""
    path = config / "packs" / "canonical" / "features.yaml"
    added = []
    for line in path.read_text().splitlines():
        if not (found := re.match(r"  (\w+): +(.+ over )(\d+)([hd])( .*)?$", line)):
            continue
        name, head, number, unit, rest = found.groups()
        added += [
            f"  {name}_w{k}: {head}{int(number) + k}{unit}{rest or ''}" for k in range(1, times)
        ]
    path.write_text(path.read_text() + "\n".join(added) + "\n")


def more_rules(config, times):
    """Have every rule once more for each further time, under another id and with a clause that no other has."""
    for path in sorted((config / "packs" / "canonical" / "rules").glob("*.yaml")):
        head, *rules = re.split(r"(?m)^(?=  - id: )", path.read_text())
        made = []
        for k in range(1, times):
            for rule in rules:
                other = re.sub(r"(?m)^  - id: (\S+)$", rf"  - id: \1-{k}", rule)
                made.append(
                    re.sub(
                        r"(?m)^    when: \|\n",
                        rf"    when: |\n      amount > {7 + k}.5 CNY\n      and ",
                        other,
                    )
                )
        path.write_text(head + "".join(rules).rstrip("\n") + "\n\n" + "".join(made))


def main(argv=None):
    given = measuring.arguments(__doc__, argv, real=200_000, smoke=10_000, of="transactions")
    n, usual = given.n, max(given.n // 5, 200)
    accounts = [min(a, n * 5) for a in ACCOUNTS]
    rows, seen = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workload.configure(folder / "canonical")

        def run(what, value, config, n_transactions=n, n_accounts=usual):
            key = (n_transactions, n_accounts)
            stream = f"stream-{key[0]}-{key[1]}.ndjson"
            if key not in seen:
                workload.write(
                    folder / stream, workload.stream(n_transactions, accounts=n_accounts)
                )
                seen[key] = stream
            found = bench_canonical.measured(folder, config, stream)
            us = {name: found.stage_s.get(name, 0.0) / found.transactions * 1e6 for name in STAGES}
            rows.append(
                {
                    "what": what,
                    "value": value,
                    "tx_per_second": round(found.tx_per_second),
                    "cpu_us": found.cpu_us,
                    "memory_mb": found.memory_mb,
                    **us,
                    "sha256": found.sha256[:16],
                }
            )

        run("canonical", n, "canonical")
        for value in dict.fromkeys(accounts):
            run("accounts", value, "canonical", n_accounts=value)
        for value in (n // 2, n * 2):
            run("transactions of history", value, "canonical", n_transactions=value)
        for what, times, change in (
            ("features", FEATURES, more_features),
            ("rules", RULES, more_rules),
        ):
            for k in times:
                config = f"{what}-{k}"
                shutil.copytree(folder / "canonical", folder / config)
                change(folder / config, k)
                run(what, k * {"features": 47, "rules": 50}[what], config)
    base = rows[0]
    for row in rows:
        row["times"] = row["cpu_us"] / base["cpu_us"]
    return measuring.report(
        given,
        f"canonical with one thing changed; {n:,} transactions, {usual:,} accounts, 47 features and 50 rules else",
        rows,
        sha256=base["sha256"],
    )


if __name__ == "__main__":
    sys.exit(main())
