"""The process beside a running engine that checks and compiles what is proposed to it: engine/reload/, with rule tests.

`python -m replay.workbench.reloading OUT` is started by the engine, and ends with it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from engine.clock import SystemClock
from engine.reload.process import serve
from engine.setup import Setup
from replay.workbench.ruletests import run_test
from rules import pack as packs
from rules.check import lint as check
from rules.definitions import Rule


def run_tests(setup: Setup, rules: Sequence[Rule]) -> tuple[int, list[str]]:
    """Run the embedded tests of `rules`: how many, and a line for each expectation that was not met."""
    results = [run_test(setup, rule, test) for rule in rules for test in rule.tests]
    failures = [
        f"{failure.place}: {result.rule}, `{result.test}`: expected {failure.expected}, got {failure.got}"
        for result in results
        for failure in result.failures
    ]
    return len(results), failures


def lint(setup: Setup) -> tuple[list[str], int]:
    """What `weir rules check` finds in the packs of a stored configuration, as of today: errors, and n warnings."""
    configuration = setup.configuration
    loaded = packs.load(configuration.pack_paths, setup.schema, setup.rates)
    now_us = SystemClock().now_us()
    found = check.lint(loaded, setup.schema, now_us, used=configuration.models.inputs)
    errors = [f"{f.place} {f.code} {f.message}" for f in found if f.is_error]
    return errors, sum(f.severity == "warn" for f in found)


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1]), run_tests, lint))
