"""The configuration store: what was active reads back with the same hash, wherever its parts stood, or not at all."""

import json
import shutil

import pytest

from config.errors import StateError
from config.settings import BANK
from engine.core import Core
from engine.durable import config_store
from engine.durable.disk import RealDisk
from engine.setup import read_setup, read_stored

DISK = RealDisk()


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """The shipped configuration without its packs, and the packs and their lists in another place."""
    root = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(BANK, root / "bank", ignore=shutil.ignore_patterns("packs"))
    shutil.copytree(BANK / "packs", root / "mine")
    shutil.copytree(BANK / "lists", root / "lists")
    path = root / "bank" / "weir.yaml"
    path.write_text(
        path.read_text().replace("[packs/core, packs/fraud-cn, packs/aml-cn]", "[../mine/core]")
    )
    return root


def given(kind, root):
    """A configuration as a command may be given it."""
    mine = root / "mine"
    return {
        "as it ships": lambda: read_setup(BANK),
        "other lateness": lambda: read_setup(BANK, lateness="1h"),
        "a pack inside": lambda: read_setup(BANK, pack_paths=[BANK / "packs" / "core"]),
        "a pack from elsewhere": lambda: read_setup(BANK, pack_paths=[mine / "core"]),
        "packs that extend one": lambda: read_setup(BANK, pack_paths=[mine / "fraud-cn"]),
        "two packs, one inside": lambda: read_setup(
            BANK, pack_paths=[BANK / "packs" / "core", mine / "aml-cn"], lateness="30m"
        ),
        "weir.yaml names one outside": lambda: read_setup(root / "bank"),
        "a feed": lambda: read_setup(BANK, feed="handbook"),
        "other batches": lambda: read_setup(BANK, rows_max=7),
    }[kind]()


KINDS = (
    "as it ships",
    "other lateness",
    "a pack inside",
    "a pack from elsewhere",
    "packs that extend one",
    "two packs, one inside",
    "weir.yaml names one outside",
    "a feed",
    "other batches",
)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_stored_reads_back_as_the_same_configuration(tmp_path, elsewhere, kind):
    """Same hash, same rules, same models, same lateness: the core built from it decides the same."""
    setup = given(kind, elsewhere)
    config_store.keep(DISK, tmp_path, setup.configuration)
    (folder,) = (tmp_path / "config").iterdir()
    back = read_stored(folder)
    assert back.sha256 == setup.sha256
    assert back.configuration.overrides == setup.configuration.overrides
    assert back.configuration.models == setup.configuration.models
    assert back.lateness_us == setup.lateness_us
    assert back.feed.name == setup.feed.name
    assert [p.name for p in back.pack.members] == [p.name for p in setup.pack.members]
    assert [r.id for r in back.pack.rules] == [r.id for r in setup.pack.rules]


def test_a_core_of_the_stored_configuration_takes_state_of_the_first(tmp_path, elsewhere):
    setup = given("two packs, one inside", elsewhere)
    config_store.keep(DISK, tmp_path, setup.configuration)
    core = Core(config_store.stored(DISK, tmp_path, setup.sha256))
    core.load(Core(setup).save())
    assert core.config == setup.sha256


def test_it_is_stored_whole_or_not_at_all(tmp_path):
    """What a killed process left behind is thrown away; what is there is not written again."""
    configuration = read_setup(BANK).configuration
    left = tmp_path / "config" / f".{configuration.sha256}.new"
    left.mkdir(parents=True)
    (left / "weir.yaml").write_text("half")
    theirs = tmp_path / "config" / ".git" / "HEAD"
    theirs.parent.mkdir()
    theirs.write_text("not ours")
    config_store.keep(DISK, tmp_path, configuration)
    folder = tmp_path / "config" / configuration.sha256
    assert not left.exists()
    assert theirs.exists()
    before = (folder / "weir.yaml").stat().st_mtime_ns
    config_store.keep(DISK, tmp_path, configuration)
    assert (folder / "weir.yaml").stat().st_mtime_ns == before


def changed(name, change):
    def do(folder):
        path = folder / name
        path.unlink() if change is None else path.write_bytes(change(path.read_bytes()))

    return do


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (changed("packs/core/pack.yaml", lambda raw: raw + b"\n# a word"), "another one"),
        (changed("lists/schools_abroad.csv", None), "cannot be read"),
        (changed("lists/schools_abroad.csv", lambda raw: raw + b"S9\n"), "another one"),
        (changed("weir.yaml", None), "cannot be read"),
        (changed("schema.yaml", lambda _: b"fields: ["), "cannot be read"),
        (changed("overrides.json", None), "cannot be read"),
        (changed("overrides.json", lambda _: b"[]"), "cannot be read"),
        (
            changed(
                "overrides.json",
                lambda raw: json.dumps(
                    json.loads(raw) | {"overrides": {"lateness": "1h"}}
                ).encode(),
            ),
            "another one",
        ),
    ],
)
def test_a_stored_configuration_that_was_changed_is_refused(tmp_path, harm, what):
    configuration = read_setup(BANK).configuration
    config_store.keep(DISK, tmp_path, configuration)
    folder = tmp_path / "config" / configuration.sha256
    harm(folder)
    with pytest.raises(StateError, match=what) as error:
        read_stored(folder)
    assert str(error.value).startswith(str(folder))
    assert error.value.why
    assert error.value.fix


def test_a_configuration_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StateError, match="cannot be read"):
        config_store.stored(DISK, tmp_path, "sha256:" + "0" * 64)


def test_a_lock_is_kept_and_changes_no_hash(tmp_path, elsewhere):
    """What a lock says of a pack is not the pack: decisions name the same configuration with and without it."""
    root = tmp_path / "bank"
    shutil.copytree(BANK, root)
    path = root / "packs" / "core" / "rules.lock"
    path.unlink(missing_ok=True)
    without = read_setup(root)
    path.write_text("form: 1\npack: core\n")
    setup = read_setup(root)
    assert setup.sha256 == without.sha256
    assert setup.pack.sha256 == without.pack.sha256
    config_store.keep(DISK, tmp_path, setup.configuration)
    folder = tmp_path / "config" / setup.configuration.sha256
    assert (folder / "packs/core/rules.lock").read_text() == "form: 1\npack: core\n"
    assert read_stored(folder).sha256 == setup.sha256


def test_what_is_retired_is_a_file_like_any_other(tmp_path):
    """It is kept with the packs and reads back."""
    root = tmp_path / "bank"
    shutil.copytree(BANK, root)
    gone = "retired: [{id: OLD-001, on: 2026-05-01, why: better ones}]\n"
    (root / "packs" / "core" / "retired.yaml").write_text(gone)
    setup = read_setup(root)
    config_store.keep(DISK, tmp_path, setup.configuration)
    back = read_stored(tmp_path / "config" / setup.configuration.sha256)
    assert [(r.id, r.why, r.pack) for r in back.pack.retired] == [
        ("OLD-001", "better ones", "core")
    ]
