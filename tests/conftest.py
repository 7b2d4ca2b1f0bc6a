"""What every test may ask for: the shared folder with recorded traffic, and golden files.

shared("data/handbook/...")   a path in the shared folder; the test is skipped, saying what is missing, if it is not
                              there. WEIR_SHARED names the folder, else ../shared beside the repository.
kafka                         a real broker for the tests of a module
golden("cli/check", text)     `text` must equal tests/golden/files/cli/check.txt; `--update-golden` rewrites it
"""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = Path(__file__).resolve().parent / "golden" / "files"

# 50 examples on each commit, the same ones on every machine; HYPOTHESIS_PROFILE=nightly looks further.
settings.register_profile("commit", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=5_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "commit"))


def pytest_collection_finish() -> None:
    """Leave thousands of tests out when runs within them look for garbage: half of the time else."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite golden files that differ"
    )


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A broker of its own for the tests of a module; they are skipped, saying what is missing, where none can run."""
    from tests.clustering import local_kafka, missing_kafka

    if missing_kafka():
        pytest.skip(missing_kafka())
    with local_kafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Find a file of the shared folder, or skip the test with a line that says where to put it."""
    folder = Path(os.environ.get("WEIR_SHARED") or ROOT.parent / "shared")

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(
                f"{name} is not there: put it under ../shared, or let WEIR_SHARED name the folder it is in"
            )
        return path

    return find


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the one on record."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        assert path.exists(), (
            f"no golden file {name}: look at the text, then --update-golden\n{text}"
        )
        assert text == path.read_text(encoding="utf-8")

    return compare
