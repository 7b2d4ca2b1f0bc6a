"""Nothing of one machine in the repository."""

import re
import subprocess

import pytest

from tests.style.sources import ROOT

MACHINE_PATH = re.compile(r"(?<![\w.])/(w[o]rk|f[a]rm|r[o]ot|h[o]me/[a-z]+|U[s]ers/[a-z]+)/")
TEXT = {".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".csv", ".json", ""}


def test_no_file_names_a_path_of_the_machine_it_was_written_on():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip(
            "git is not there, or this is not a clone: the check reads the list of tracked files"
        )
    found = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in TEXT and path.is_file():
            for number, line in enumerate(
                path.read_text(encoding="utf-8", errors="replace").splitlines(), 1
            ):
                if MACHINE_PATH.search(line):
                    found.append(f"{name}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)
