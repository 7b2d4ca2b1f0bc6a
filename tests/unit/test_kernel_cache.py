"""config/kernel_cache.py: no way to go on with machine code of sources that have changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config import kernel_cache

KERNEL = """
from numba import njit
from rules.bounds import LIMIT
from rules.kernels_below import below

@njit(cache=True)
def kernel(x):
    return below(x) + LIMIT
"""
BELOW = """
from numba import njit

@njit(cache=True)
def below(x):
    return x * {factor}
"""


@pytest.fixture
def sources(tmp_path):
    """A small project: a kernel, the kernel it calls in another file, a constant in a third, and one beside them."""
    root = tmp_path / "project"
    write(root, "rules/__init__.py", "")
    write(root, "rules/kernels.py", KERNEL)
    write(root, "rules/kernels_below.py", BELOW.format(factor=2))
    write(root, "rules/bounds.py", "LIMIT = 100\n")
    write(root, "rules/text.py", "WORDS = ()\n")
    write(root, "models/kernels/trees.py", "from numba import njit\n")
    write(root, "engine/windows/kernels.py", "from engine import windows\n")
    write(root, "engine/windows/__init__.py", "")
    return root


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_modules_named_kernels_and_folders_named_kernels_are_kernel_modules(sources):
    found = [p.relative_to(sources).as_posix() for p in kernel_cache.kernel_modules(sources)]
    assert found == [
        "engine/windows/kernels.py",
        "models/kernels/trees.py",
        "rules/kernels.py",
        "rules/kernels_below.py",
    ]


@pytest.mark.parametrize(
    ("name", "text", "touched"),
    [
        ("rules/kernels.py", KERNEL + "\n", {"rules/kernels.py"}),
        (
            "rules/kernels_below.py",
            BELOW.format(factor=3),
            {"rules/kernels.py", "rules/kernels_below.py"},
        ),
        ("rules/bounds.py", "LIMIT = 101\n", {"rules/kernels.py"}),
        ("engine/windows/__init__.py", "X = 1\n", {"engine/windows/kernels.py"}),
        ("rules/text.py", "WORDS = (1,)\n", set()),
    ],
    ids=["the kernel itself", "a kernel it calls", "a constant", "a package", "nothing it imports"],
)
def test_a_change_touches_the_kernels_that_import_it_and_no_other(sources, name, text, touched):
    before = kernel_cache.source_hashes(sources)
    write(sources, name, text)
    after = kernel_cache.source_hashes(sources)
    assert {k for k in before if before[k] != after[k]} == touched


def test_names_imported_over_several_lines_are_followed(sources):
    write(sources, "rules/kernels.py", "from rules import (\n    bounds,\n    text,\n)\n")
    before = kernel_cache.source_hashes(sources)
    write(sources, "rules/text.py", "WORDS = (1,)\n")
    assert before["rules/kernels.py"] != kernel_cache.source_hashes(sources)["rules/kernels.py"]


def test_a_changed_kernel_gets_another_folder_with_the_unchanged_ones_in_it(sources, tmp_path):
    base = tmp_path / "cache"
    base.mkdir()
    old = kernel_cache.prepare(base, sources)
    assert kernel_cache.prepare(base, sources) == old
    write(old, "models/kernels/trees.grow-7.py311.nbi", "code of trees")
    write(old, "rules/kernels.kernel-6.py311.nbi", "code of kernel")
    write(old, "rules/kernels_below.below-4.py311.nbi", "code of below")
    write(sources, "rules/bounds.py", "LIMIT = 101\n")
    new = kernel_cache.prepare(base, sources)
    assert new != old
    kept = sorted(p.name for p in new.rglob("*.nbi"))
    assert kept == ["kernels_below.below-4.py311.nbi", "trees.grow-7.py311.nbi"]


def test_another_machine_gets_another_folder_with_nothing_in_it(sources, tmp_path, monkeypatch):
    base = tmp_path / "cache"
    base.mkdir()
    old = kernel_cache.prepare(base, sources)
    write(old, "models/kernels/trees.grow-7.py311.nbi", "code of trees")
    monkeypatch.setattr(kernel_cache, "machine_facts", lambda: ["flags: none"])
    new = kernel_cache.prepare(base, sources)
    assert new != old
    assert not list(new.rglob("*.nbi"))


def test_only_the_folders_used_last_stay(sources, tmp_path):
    base = tmp_path / "cache"
    base.mkdir()
    write(base, "notes/of-somebody.txt", "not ours")
    made = []
    for limit in range(kernel_cache.KEPT + 3):
        write(sources, "rules/bounds.py", f"LIMIT = {limit}\n")
        made.append(kernel_cache.prepare(base, sources))
        os.utime(made[-1], ns=(limit, limit))
    left = {p for p in base.iterdir() if p.name != "notes"}
    assert left == set(made[-kernel_cache.KEPT :])
    assert (base / "notes/of-somebody.txt").exists()


def test_the_folder_above_can_be_named_and_a_read_only_one_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("WEIR_KERNEL_CACHE", str(tmp_path / "named"))
    assert kernel_cache.base_folder() == tmp_path / "named"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WEIR_KERNEL_CACHE", str(tmp_path / "file" / "inside"))
    replaced = kernel_cache.base_folder()
    assert replaced.is_dir()
    assert "weir-kernels-" in replaced.name


@pytest.fixture
def call(tmp_path):
    """Import the toy kernel of a project in a new process; return what it gives and whether it came from the cache."""
    (tmp_path / "cache").mkdir()
    program = (
        "import sys; from pathlib import Path; from config import kernel_cache as k\n"
        "k.ROOT = Path(sys.argv[1]); k.use(); sys.path.insert(0, sys.argv[1])\n"
        "exec(sys.argv[2])\n"
        "from rules.kernels import kernel\n"
        "print(kernel(1), sum(kernel.stats.cache_hits.values()))"
    )

    def run(root: Path, *, meanwhile: str = "") -> str:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_CACHE")}
        environment |= {"WEIR_KERNEL_CACHE": str(tmp_path / "cache")}
        done = subprocess.run(
            [sys.executable, "-c", program, str(root), meanwhile],
            env={**environment, "PYTHONPATH": str(kernel_cache.ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    return run


def test_an_edited_callee_or_constant_in_another_file_is_never_run_from_the_old_cache(
    sources, call
):
    """numba alone would answer 102 four times: it looks at the file of `kernel` only."""
    assert call(sources) == "102 0"
    assert call(sources) == "102 1", "the cache is used"
    write(sources, "rules/kernels_below.py", BELOW.format(factor=3))
    assert call(sources) == "103 0"
    write(sources, "rules/bounds.py", "LIMIT = 200\n")
    assert call(sources) == "203 0"


def test_a_copy_elsewhere_with_the_same_sources_shares_the_code(sources, call, tmp_path):
    assert call(sources) == "102 0"
    copy = tmp_path / "elsewhere" / "copy"
    for path in sources.rglob("*.py"):
        write(copy, path.relative_to(sources).as_posix(), path.read_text())
    assert call(copy) == "102 1"


def test_an_edit_between_start_and_import_does_not_leave_new_code_under_the_old_name(sources, call):
    """The folder is named at the start of the process; what is compiled may be newer than that."""
    edit = f"Path({str(sources / 'rules/bounds.py')!r}).write_text('LIMIT = 200\\n')"
    assert call(sources, meanwhile=edit) == "202 0"
    write(sources, "rules/bounds.py", "LIMIT = 100\n")
    assert call(sources) == "102 0"


def test_every_package_with_kernels_names_the_locator_before_numba_is_imported():
    """Whoever imports a kernel module imports its package first."""
    program = (
        "import os, sys, importlib; importlib.import_module(sys.argv[1]); "
        "print('numba' in sys.modules, bool(os.environ.get('NUMBA_CACHE_LOCATOR_CLASSES')))"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_CACHE")}
    packages = {
        p.relative_to(kernel_cache.ROOT).parts[0]
        for p in kernel_cache.kernel_modules(kernel_cache.ROOT)
    }
    for package in sorted(packages - {"config"}):  # there, only what numba itself imports
        done = subprocess.run(
            [sys.executable, "-c", program, package],
            env=environment,
            cwd=kernel_cache.ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["False", "True"], package


@pytest.mark.parametrize("first", ["pass", "import numba.core.caching"])
def test_the_folder_is_looked_for_when_the_first_kernel_is_made(tmp_path, first):
    program = (
        f"import sys; {first}\n"
        "import models; print('config.kernel_cache' in sys.modules)\n"
        "from models.kernels import exp_log; from numba.core import config\n"
        "print(exp_log.log._cache.cache_path.startswith(config.CACHE_DIR), config.CACHE_DIR)"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_CACHE")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "WEIR_KERNEL_CACHE": str(tmp_path)},
        cwd=kernel_cache.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    [folder] = tmp_path.iterdir()
    assert done.stdout.split() == ["False", "True", str(folder)]


def test_a_room_is_cold_until_one_of_its_kernels_is_compiled(tmp_path):
    assert kernel_cache.is_cold("engine", tmp_path)
    write(tmp_path, "rules/kernels.below-3.nbi", "")
    assert kernel_cache.is_cold("engine", tmp_path)
    write(tmp_path, "engine/windows/kernels/slide.slide-1.nbi", "")
    assert not kernel_cache.is_cold("engine", tmp_path)
