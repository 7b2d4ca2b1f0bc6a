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
from rules.check import lint as check
from rules.check.memory import Memory
from rules.definitions import Rule
from rules.pack import Loaded


def run_tests(setup: Setup, rules: Sequence[Rule]) -> tuple[int, list[str]]:
    """Run the embedded tests of `rules`: how many, and a line for each expectation that was not met."""
    results = [run_test(setup, rule, test) for rule in rules for test in rule.tests]
    failures = [
        f"{failure.place}: {result.rule}, `{result.test}`: expected {failure.expected}, got {failure.got}"
        for result in results
        for failure in result.failures
    ]
    return len(results), failures


class Linter:
    """What `weir rules check` finds in the packs of stored configurations, one after the other."""

    def __init__(self) -> None:
        self._memory = Memory()

    def __call__(self, setup: Setup, loaded: Loaded) -> tuple[list[str], int]:
        """Errors as of today, a line each, and how many warnings."""
        now_us, used = SystemClock().now_us(), setup.configuration.models.reads
        found = check.lint(loaded, setup.schema, now_us, used=used, memory=self._memory)
        errors = [f"{f.place} {f.code} {f.message}" for f in found if f.is_error]
        return errors, sum(f.severity == "warn" for f in found)


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1]), run_tests, Linter()))
