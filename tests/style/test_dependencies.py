"""Every dependency is declared, pinned, has its reason on the page, and is really used."""

import re
import tomllib
from importlib.metadata import packages_distributions

from tests.style.sources import PACKAGES, ROOT, imported, modules

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = {
    "run": PROJECT["dependencies"],
    **PROJECT["optional-dependencies"],
    "build": ["hatchling", "editables"],
}


def plain(name: str) -> str:
    """The name of a distribution as pip compares it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", name, maxsplit=1)[0]).lower()


DECLARED = {group: {plain(line) for line in lines} for group, lines in REQUIREMENTS.items()}


def test_every_dependency_is_pinned_to_one_version():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.+!]+", line) for line in lines)
    names = [line.split("==")[0] for line in lines]
    assert names == sorted(set(names))
    assert not set().union(*DECLARED.values()) - set(names), "resolve again: make lock"


def test_every_dependency_has_its_reason_in_the_decision_record():
    page = (ROOT / "DECISIONS.md").read_text(encoding="utf-8").split("## Dependencies", 1)[1]
    told = {plain(word) for word in re.findall(r"[A-Za-z][A-Za-z0-9_.-]+", page)}
    assert not set().union(*DECLARED.values()) - told


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    """tzdata is read by zoneinfo, not imported; extras are imported by the rooms that need them."""
    owners = packages_distributions()
    used: dict[str, str] = {}
    for name, tree in modules().items():
        for line, what in imported(tree):
            top = what.split(".")[0]
            for owner in owners.get(top, ()):
                if top not in PACKAGES:
                    used[plain(owner)] = f"{name}:{line}"
    extras = DECLARED["adapters"] | DECLARED["kafka"] | DECLARED["redis"]
    undeclared = {k: v for k, v in used.items() if k not in DECLARED["run"] | extras}
    assert not undeclared
    assert DECLARED["run"] - set(used) == {"tzdata"}
