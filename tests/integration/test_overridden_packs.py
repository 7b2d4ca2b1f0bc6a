"""A pack on top of the shipped core, over generated traffic: overrides change what they say, and nothing else."""

import json
import shutil
from collections import Counter
from statistics import median_low

import pytest

from config.settings import BANK
from engine.core import Core
from engine.setup import read_setup
from tests.banking import feed, traffic
from tests.ruling import write

CORE = BANK / "packs" / "core"
HEAD = "pack: branch\nversion: 1.0.0\nextends: core\n"
N_RULES = 4  # that are overridden, the most frequent ones


def decided(setup, lines):
    """The decisions by transaction."""
    out = feed(Core(setup), lines, list(range(400, len(lines), 400)))
    told = [json.loads(line) for line in out["decisions"].splitlines()]
    return {decision["transaction_id"]: decision for decision in told}


def fired(decisions, rule, key="fired"):
    """Transactions for which a rule fired (or did so in shadow), with what it added to the score."""
    return {
        id_: hit["score"] for id_, d in decisions.items() for hit in d[key] if hit["rule"] == rule
    }


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Traffic, the amount of each transaction in yuan, what core alone decides, and its most frequent rules."""
    lines = traffic(tmp_path_factory.mktemp("traffic"), 1)
    amounts = {}
    for line in lines:
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if "transaction_id" in message and "amount" in message:
            amounts.setdefault(message["transaction_id"], float(message["amount"]))
    setup = read_setup(BANK, pack_paths=[CORE])
    base = decided(setup, lines)
    counts = Counter(hit["rule"] for d in base.values() for hit in d["fired"])
    names = [name for name, _ in sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:N_RULES]]
    assert all(counts[name] >= 2 for name in names), counts
    versions = {r.id: r.version for r in setup.pack.rules}
    return lines, amounts, base, [(name, versions[name]) for name in names]


def on_top(tmp_path, body):
    """Core with a pack `branch` on top of it, both in a folder beside the lists."""
    root = tmp_path / "packs"
    shutil.copytree(CORE, root / "core")
    shutil.copytree(BANK / "lists", tmp_path / "lists")
    branch = write(root / "branch", {"pack.yaml": HEAD, "overrides.yaml": f"overrides:\n{body}"})
    return read_setup(BANK, pack_paths=[branch])


def test_narrow_and_set_do_what_they_say(tmp_path, recorded):
    """One rule is narrowed, one scores otherwise, one is in shadow, one has another exception; all others are as before."""
    lines, amounts, base, ((narrowed, v1), (scored, v2), (silent, v3), (excepted, v4)) = recorded
    before = {name: fired(base, name) for name in (narrowed, scored, silent, excepted)}
    least = median_low([amounts[id_] for id_ in before[narrowed]]) + 0.01
    setup = on_top(
        tmp_path,
        f"""
  - {{rule: {narrowed}, written_for: {v1}, narrow: amount >= {least:.2f} CNY}}
  - {{rule: {scored}, written_for: {v2}, set: {{score: 37}}}}
  - {{rule: {silent}, written_for: {v3}, set: {{mode: shadow}}}}
  - rule: {excepted}
    written_for: {v4}
    add:
      exceptions: [{{id: EX-ALL, when: amount >= 0 CNY, why: a test, approved_by: a, expires: 2030-01-01}}]
""",
    )
    after = decided(setup, lines)
    assert after.keys() == base.keys()

    wanted = {id_ for id_ in before[narrowed] if amounts[id_] >= least}
    assert len(wanted) < len(before[narrowed])
    assert fired(after, narrowed).keys() == wanted

    assert fired(after, scored) == dict.fromkeys(before[scored], 37)
    assert set(before[scored].values()) != {37}

    assert fired(after, silent) == {}
    assert fired(after, silent, "shadow") == before[silent]

    assert fired(after, excepted) == {}
    passed = {id_ for id_, d in after.items() if [excepted, "EX-ALL"] in d["excepted"]}
    assert passed == before[excepted].keys()

    changed = {narrowed, scored, silent, excepted}
    for id_, decision in base.items():
        others = [hit for hit in decision["fired"] if hit["rule"] not in changed]
        assert [hit for hit in after[id_]["fired"] if hit["rule"] not in changed] == others


def test_an_override_that_says_what_is_there_changes_no_decision(tmp_path, recorded):
    """A narrowing that always holds, and a mode that it has already: only the name of the configuration differs."""
    lines, _, base, ((name, version), *_) = recorded
    body = f"  - {{rule: {name}, written_for: {version}, narrow: amount >= 0 CNY, set: {{mode: live}}}}\n"
    setup = on_top(tmp_path, body)
    assert setup.pack.rules != read_setup(BANK, pack_paths=[CORE]).pack.rules
    after = decided(setup, lines)
    config = {decision.pop("config") for decision in after.values()}
    assert config == {setup.sha256}
    assert after == _unnamed(base)


def _unnamed(decisions):
    return {id_: {k: v for k, v in d.items() if k != "config"} for id_, d in decisions.items()}
