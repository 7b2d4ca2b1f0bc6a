"""The wheel, installed into a fresh environment and used from another folder, is the whole application."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("config", "engine", "models", "replay", "rules")


def run(*command, cwd, status=0):
    """Run a command without anything of this environment but the cache of compiled kernels; return its output."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("PYTHON", "VIRTUAL_ENV", "NUMBA_CACHE"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """A fresh environment with the wheel. Its dependencies are those of this one, through a .pth line.

    Lines of a .pth file add folders to the path, but do not read the .pth files in them: the editable install beside
    the dependencies stays unseen, so what is imported as `config` can only come from the wheel.
    """
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        wheel,
        cwd=folder.parent,
    )
    site = Path(
        run(
            python,
            "-c",
            "import sysconfig; print(sysconfig.get_path('purelib'))",
            cwd=folder.parent,
        ).strip()
    )
    (site / "dependencies.pth").write_text(
        "\n".join(dict.fromkeys(sysconfig.get_path(k) for k in ("purelib", "platlib"))) + "\n"
    )
    return folder


def test_the_wheel_holds_the_rooms_the_shipped_configuration_and_the_licence(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        fields = Parser().parsestr(archive.read(metadata).decode())
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == set(PACKAGES)
    tracked = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "config" / "bank").rglob("*")
        if path.is_file()
    }
    assert tracked <= set(names)
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert "Private :: Do Not Upload" in fields.get_all("Classifier")
    assert not [name for name in names if "__pycache__" in name or name.endswith((".nbi", ".nbc"))]


def test_the_installed_packages_are_those_of_the_wheel(environment, tmp_path):
    program = f"import importlib, json; print(json.dumps([importlib.import_module(n).__file__ for n in {PACKAGES!r}]))"
    found = json.loads(run(environment / "bin" / "python", "-c", program, cwd=tmp_path))
    assert all(Path(file).is_relative_to(environment) for file in found), found


def test_doctor_is_content_in_another_folder(environment, tmp_path):
    """It imports every kernel module, and reads the configuration that ships."""
    assert "FAIL" not in run(environment / "bin" / "weir", "doctor", cwd=tmp_path)
    assert not list(tmp_path.iterdir()), "it leaves nothing behind"


def test_generated_traffic_is_replayed_into_one_decision_a_transaction(environment, tmp_path):
    weir = environment / "bin" / "weir"
    run(
        weir,
        "generate",
        "--accounts",
        60,
        "--days",
        5,
        "--rate",
        2,
        "--out",
        "day.ndjson",
        cwd=tmp_path,
    )
    run(weir, "replay", "day.ndjson", "--out", "out", cwd=tmp_path)
    sent = [json.loads(line) for line in (tmp_path / "day.ndjson").read_text().splitlines()]
    wanted = [m["transaction_id"] for m in sent if m.get("kind", "transaction") == "transaction"]
    decided = [
        json.loads(line) for line in (tmp_path / "out/decisions.ndjson").read_text().splitlines()
    ]
    assert len(wanted) > 100
    assert [d["transaction_id"] for d in decided] == wanted
    assert (tmp_path / "out/summary.json").exists()


def test_a_wrong_call_is_told_so_on_standard_error_with_status_2(environment, tmp_path):
    nowhere = tmp_path / "nowhere"
    command = (environment / "bin" / "weir", "replay", nowhere, "--out", tmp_path / "out")
    assert run(*command, cwd=tmp_path, status=2) == ""
