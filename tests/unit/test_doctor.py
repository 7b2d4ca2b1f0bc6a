"""What `weir doctor` says of machines that are not well."""

import importlib.metadata
import resource
import tempfile

import numpy as np
import pytest

from config import settings
from engine import doctor


def check(subject):
    return next(c for c in doctor.examine() if c.subject == subject)


def test_a_well_installed_machine_is_told_so_line_by_line():
    checks = doctor.examine()
    assert all(c.is_fine for c in checks), doctor.table(checks)
    table = doctor.table(checks)
    assert len(table.splitlines()) == len(checks)
    assert all(line.startswith("ok  ") for line in table.splitlines())


def test_a_missing_package_is_named_with_how_to_get_it(monkeypatch):
    found = importlib.metadata.version

    def version(name):
        if name == "orjson":
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    seen = check("packages")
    assert (seen.is_fine, seen.seen, seen.fix) == (
        False,
        "missing: orjson",
        "python -m pip install orjson",
    )
    assert "\n      fix: python -m pip install orjson" in "\n" + doctor.table([seen])


def test_another_owner_of_our_names_is_found(monkeypatch):
    owners = {"config": ["weir-fraud", "some-config"], "rules": ["weir-fraud"]}
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: owners)
    seen = check("package names")
    assert (seen.is_fine, seen.seen) == (False, "`config` also belongs to some-config")


@pytest.mark.parametrize(("mode", "is_fine"), [("0", True), ("1", True), ("2", False), ("", True)])
def test_strict_overcommit_is_told_because_growing_then_copies(
    monkeypatch, tmp_path, mode, is_fine
):
    setting = tmp_path / "overcommit_memory"
    if mode:
        setting.write_text(mode + "\n")
    monkeypatch.setattr(doctor, "OVERCOMMIT", setting)
    seen = doctor._address_space()
    assert seen.is_fine == is_fine, seen.seen
    assert is_fine or "vm.overcommit_memory is 2 (strict)" in seen.seen
    assert is_fine or "batches wait" in seen.seen
    assert seen.fix.startswith("sysctl vm.overcommit_memory=0") != is_fine


def test_a_system_that_grants_less_than_is_reserved_is_told(monkeypatch):
    import engine.windows.events

    monkeypatch.setattr(
        engine.windows.events, "reserve", lambda words, _bytes: np.zeros(1 << 20, np.int64)
    )
    seen = doctor._address_space()
    assert not seen.is_fine
    assert "the system grants 8.39 MB where 4.29 GB are asked for" in seen.seen


def test_a_limit_on_addresses_is_told(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (8 << 30, 8 << 30))
    assert "this process may have 8.59 GB of addresses (ulimit -v)" in doctor._address_space().seen


def test_a_disk_that_cannot_be_written_is_found(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    seen = check("disk")
    assert not seen.is_fine
    assert "No space left" in seen.seen
    assert seen.fix


def test_a_broken_configuration_is_told_and_not_raised(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "BANK", tmp_path / "none")
    seen = check("configuration")
    assert not seen.is_fine
    assert "there is no configuration folder" in seen.seen


@pytest.mark.parametrize("error", [RuntimeError("no LLVM here"), ImportError("libomp")])
def test_kernels_that_do_not_compile_are_told_and_not_raised(monkeypatch, error):
    import engine.core

    def refuse(_self):
        raise error

    monkeypatch.setattr(engine.core.Core, "warm_up", refuse)
    seen = next(c for c in doctor.examine() if not c.is_fine)
    assert (seen.subject, seen.seen) == ("kernels", f"{type(error).__name__}: {error}")
