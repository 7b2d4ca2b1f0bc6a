"""Watching a configuration folder: what has changed and rests is told once, what is being saved is not."""

import os

import pytest

from engine.reload.watching import REST_US, Watcher
from engine.setup import read_setup
from tests.auditing import small_bank

RULES = "packs/one/rules.yaml"


@pytest.fixture
def bank(tmp_path):
    return small_bank(tmp_path / "bank")


class Eye:
    """A watcher, and a clock that moves only when it looks."""

    def __init__(self, bank):
        self.bank, self.now_us = bank, 0
        self.watcher = Watcher(bank, {}, read_setup(bank).sha256)

    def look(self, after_us=REST_US):
        self.now_us += after_us
        return self.watcher.look(self.now_us)

    def rest(self, n=4):
        return [told for told in (self.look() for _ in range(n)) if told]


def save(bank, old="900 CNY", new="400 CNY"):
    path = bank / RULES
    path.write_text(path.read_text().replace(old, new))


def test_a_change_that_rests_is_told_once_with_its_hash(bank):
    eye = Eye(bank)
    assert eye.rest() == []
    save(bank)
    assert eye.rest() == [{"found": read_setup(bank).sha256, "folder": str(bank)}]
    assert eye.rest() == []


def test_what_is_still_being_saved_is_not_told(bank):
    """A file that grows at every look, and one that changes just before it would be read."""
    eye = Eye(bank)
    eye.rest()
    for k in range(5):
        save(bank, "900 CNY" if k == 0 else f"{400 + k - 1} CNY", f"{400 + k} CNY")
        assert eye.look() is None
    assert eye.look(REST_US - 1) is None
    assert eye.look(1) is not None


def test_what_changes_while_it_is_read_is_not_told(bank, monkeypatch):
    eye = Eye(bank)
    eye.rest()
    save(bank)
    from engine.reload import watching

    read = watching.hash_of

    def and_saved_again(folder, overrides):
        found = read(folder, overrides)
        save(bank, "400 CNY", "300 CNY")
        return found

    monkeypatch.setattr(watching, "hash_of", and_saved_again)
    eye.look()
    assert eye.look() is None
    monkeypatch.setattr(watching, "hash_of", read)
    assert [told["found"] for told in eye.rest()] == [read_setup(bank).sha256]


def test_settings_that_cannot_be_read_are_told_once(bank):
    eye = Eye(bank)
    eye.rest()
    path = bank / "weir.yaml"
    whole = path.read_text()
    path.write_text(whole + "\nnonsense: 1\n")
    (told,) = eye.rest()
    assert "unknown key `nonsense`" in told["broken"]
    path.write_text(whole)
    assert [t["found"] for t in eye.rest()] == [read_setup(bank).sha256]


def test_what_editors_leave_lying_about_is_not_looked_at(bank):
    eye = Eye(bank)
    eye.rest()
    save(bank)
    eye.look()
    for k, name in enumerate((".rules.yaml.swp", "rules.yaml~", ".git/index", "x.tmp")):
        path = bank / "packs" / "one" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(k))
    assert eye.look() is not None


def test_a_file_with_the_old_size_and_time_of_another_is_seen(bank):
    """`cp -p` and `mv` keep the time; a file that was moved in is another inode."""
    eye = Eye(bank)
    eye.rest()
    path = bank / RULES
    told = path.stat()
    other = bank / "packs" / "one" / ".new"
    other.write_text(path.read_text().replace("900 CNY", "400 CNY"))
    os.utime(other, ns=(told.st_atime_ns, told.st_mtime_ns))
    other.rename(path)
    assert [t["found"] for t in eye.rest()] == [read_setup(bank).sha256]


def test_packs_that_lie_elsewhere_are_watched_too(bank, tmp_path):
    (bank / "packs" / "one").rename(tmp_path / "one")
    settings = bank / "weir.yaml"
    settings.write_text(settings.read_text().replace("packs: [packs/one]", "packs: [../one]"))
    eye = Eye(bank)
    assert eye.rest() == []
    path = tmp_path / "one" / "rules.yaml"
    path.write_text(path.read_text().replace("900 CNY", "400 CNY"))
    assert [t["found"] for t in eye.rest()] == [read_setup(bank).sha256]
