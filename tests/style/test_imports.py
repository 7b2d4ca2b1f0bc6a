"""The arrows between the rooms, and whose names the packages are."""

import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

from tests.style.sources import PACKAGES, ROOT


def test_imports_point_right_and_brokers_and_web_stay_in_their_folders():
    """The contracts stand in pyproject.toml, [tool.importlinter]."""
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_other_installed_distribution_owns_one_of_our_names():
    """`config` is a common word: a second owner would shadow ours, or ours theirs, by the order of the path."""
    found = [
        f"{distribution.name} owns {file}"
        for distribution in distributions()
        if distribution.name.lower().replace("_", "-") != "weir-fraud"
        for file in distribution.files or ()
        if file.parts[0] in {*PACKAGES, *(f"{name}.py" for name in PACKAGES)}
    ]
    assert not found, "\n".join(found)


def test_nothing_that_ships_imports_tests_or_benchmarks():
    from tests.style.sources import imported, modules

    found = [
        f"{name}:{line}: imports {what}"
        for name, tree in modules().items()
        for line, what in imported(tree)
        if what.split(".")[0] in ("tests", "benchmarks", "pytest", "hypothesis", "lark")
    ]
    assert not found, "\n".join(found)
