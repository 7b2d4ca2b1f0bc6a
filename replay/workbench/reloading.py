"""The process beside a running engine that checks and compiles what is proposed to it: engine/reload/, with rule tests.

`python -m replay.workbench.reloading OUT` is started by the engine, and ends with it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from engine.reload.process import serve
from engine.setup import Setup
from replay.workbench.ruletests import run_test
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


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1]), run_tests))
