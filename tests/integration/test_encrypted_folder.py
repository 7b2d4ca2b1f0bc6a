"""One folder from its first run to a restored copy, in the clear and encrypted: everything works the same on both.

And of an encrypted folder: no id, account, amount or note of any message stands in any byte of it but in control/,
where people and other programs write and read.
"""

import json
import os
import re
import secrets
import struct
from pathlib import Path

import numpy as np
import pytest

from config.pseudonyms import KEY_ENV
from engine import cli
from engine.durable import snapshot_helper
from engine.durable.disk import RealDisk
from engine.durable.encrypted_disk import unlocked
from engine.durable.output import STREAMS
from engine.durable.rederive import Rederivation
from engine.durable.snapshots import numbers
from replay.audit import verify
from tests.auditing import replayed, small_bank, small_traffic
from tests.simulation import test_tampering as tampering

TRIES = int(os.environ.get("WEIR_TAMPERINGS", "75"))
ENV = "WEIR_TEST_KEY"
TEXT = bytes(range(32)).hex()
KEY = bytes.fromhex(TEXT)
DAY = "2026-03-02"
ORDER = {
    "command": "restrict",
    "entity": {"account": "ACCOUNT-NO-07"},
    "level": "watch",
    "for": "2h",
    "by": "m.keller",
    "reason": "the payment to Eleonora Rigby",
}


@pytest.fixture(scope="module", autouse=True)
def keys():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENV, TEXT)
        patch.setenv(KEY_ENV, "a secret that is long enough")
        yield


class Folder:
    """An output folder and what it was made from."""

    def __init__(self, place: Path, kind: str) -> None:
        self.is_encrypted = kind == "encrypted"
        named = {"encryption": f"{{key_env: {ENV}}}"} if self.is_encrypted else {}
        self.bank = small_bank(place / "bank", **named)
        self.traffic, self.out = place / "traffic.ndjson", place / "out"
        text = small_traffic(place / "all.ndjson", 500).read_text()
        text = text.replace('"t-', '"TRANSFER-NO-').replace(
            '"account": "A', '"account": "ACCOUNT-NO-'
        )
        self.lines = text.encode().splitlines(keepends=True)
        self.key = ["--key-env", ENV] if self.is_encrypted else []

    def run(self, n_lines: int) -> int:
        self.traffic.write_bytes(b"".join(self.lines[:n_lines]))
        return weir("run", "--input", self.traffic, "--config", self.bank, "--out", self.out)

    def content(self) -> dict[str, bytes]:
        paths = [p for p in self.out.rglob("*") if p.is_file()]
        return {p.relative_to(self.out).as_posix(): p.read_bytes() for p in paths}


def weir(*arguments: object) -> int:
    return cli.main([str(a) for a in arguments])


@pytest.fixture(scope="module", params=["plain", "encrypted"])
def folder(request, tmp_path_factory, keys):
    """A live run, stopped and gone on with, with a command of somebody; then the process beside wrote a snapshot."""
    folder = Folder(tmp_path_factory.mktemp(request.param), request.param)
    assert folder.run(300) == 0
    (folder.out / "control" / "order.json").write_text(json.dumps(ORDER))
    assert folder.run(len(folder.lines)) == 0
    return folder


@pytest.fixture(scope="module")
def told(folder):
    """What is said of the same messages in the clear, with its own configuration."""
    disk = unlocked(RealDisk(), folder.out, KEY if folder.is_encrypted else None)
    return {s: disk.read(folder.out / f"{s}.ndjson") for s in STREAMS}


def test_streams_are_encrypted_from_the_first_byte(folder, told):
    assert told["decisions"].startswith(b'{"seq":')
    for stream in STREAMS:
        stands = (folder.out / f"{stream}.ndjson").read_bytes()
        assert len(stands) == len(told[stream])
        assert (stands == told[stream]) == (not folder.is_encrypted or not stands)


def test_show_prints_a_stream_and_a_part_of_it(folder, told, capfdbinary):
    capfdbinary.readouterr()
    assert weir("audit", "show", folder.out, "decisions", *folder.key) == 0
    assert capfdbinary.readouterr().out == told["decisions"]
    assert weir("audit", "show", folder.out, "alerts", "--day", DAY, *folder.key) == 0
    shown = capfdbinary.readouterr().out.splitlines()
    assert 0 < len(shown) < told["alerts"].count(b"\n")
    assert shown == told["alerts"].splitlines()[: len(shown)]
    assert weir("audit", "show", folder.out, "delivery", *folder.key) == 0
    assert capfdbinary.readouterr().out.startswith(b'{"seq0":0,')
    assert weir("audit", "show", folder.out, "seals", *folder.key) == 2


def test_every_audit_verb_answers(folder, told, tmp_path, capsys):
    capsys.readouterr()
    fired = [d for d in map(json.loads, told["decisions"].splitlines()) if d["fired"]]
    one = fired[len(fired) // 2]
    asked = ("--account", one["account"], "--seq", one["seq"])
    calls = {
        "verify": (),
        "changes": (),
        "exceptions": (),
        "restrictions": (),
        "sample": ("--rule", "BIG-001"),
        "reconcile": ("--day", DAY),
        "access": (),
        "explain": asked,
    }
    for verb, more in calls.items():
        assert weir("audit", verb, folder.out, *more, *folder.key) == 0, verb
        assert capsys.readouterr().out, verb
    assert weir("audit", "verify", folder.out, "--chain-only") == 0, "no key is needed"
    bundle = tmp_path / "case.zip"
    assert weir("audit", "export", folder.out, *asked, "--to", bundle, *folder.key) == 0
    assert weir("audit", "replay", bundle) == 0


def test_the_process_beside_writes_the_snapshot_of_any_seal(folder, tmp_path):
    out = copied(folder, tmp_path)
    newest = numbers(RealDisk(), out)[-1]
    before = snapshot_helper.Follower(RealDisk(), out).snapshot(newest)
    assert before["seq"] == newest
    (file,) = (out / "snapshots" / f"{newest:016d}").glob("state.npz")
    assert file.read_bytes().startswith(b"WEIRENC1" if folder.is_encrypted else b"PK")
    again = Rederivation(RealDisk(), out, key=KEY if folder.is_encrypted else None)
    again.start(newest)
    assert again.snapshot is not None
    assert again.snapshot.seq == newest


def copied(folder, place):
    """A backup of the folder, restored without a drill."""
    assert weir("backup", folder.out, place / "backup") == 0
    assert weir("restore", place / "backup", place / "restored") == 0
    return place / "restored"


def test_a_backup_is_proved_and_gone_on_with(folder, tmp_path):
    """The copy is as encrypted as the folder; two that go on from it differ, and share no keystream."""
    assert weir("backup", folder.out, tmp_path / "backup") == 0
    more = [line.replace(b"-NO-", b"-NR-") for line in folder.lines[:40]]
    kept = {}
    for name in ("one", "other"):
        restored = tmp_path / name
        assert weir("restore", tmp_path / "backup", restored, "--drill", "--all") == 0
        traffic = tmp_path / "traffic.ndjson"
        traffic.write_bytes(folder.traffic.read_bytes() + b"".join(more))
        assert weir("replay", traffic, "--config", folder.bank, "--out", restored, "--resume") == 0
        assert weir("audit", "verify", restored, *folder.key) == 0
        kept[name] = (restored / "decisions.ndjson").read_bytes()
    start = (folder.out / "decisions.ndjson").stat().st_size
    assert kept["one"][:start] == kept["other"][:start]
    assert len(kept["one"]) > start
    assert (kept["one"] == kept["other"]) == (not folder.is_encrypted)


def test_a_new_configuration_is_adopted(folder, tmp_path):
    """Windows are filled from an encrypted journal by a process of their own."""
    out = copied(folder, tmp_path)
    rules = folder.bank / "packs" / "one" / "rules.yaml"
    text = rules.read_text()
    changed = text.replace(
        "fast_1h: count()", "many_6h: sum(amount) by account over 6h, fast_1h: count()"
    )
    try:
        rules.write_text(
            changed.replace("when: fast_1h >= 4", "when: fast_1h >= 4 or many_6h >= 2_000 CNY")
        )
        assert weir("run", "--input", folder.traffic, "--config", folder.bank, "--out", out) == 0
    finally:
        rules.write_text(text)
    assert weir("audit", "verify", out, *folder.key) == 0


def names(lines):
    """What must not be read by anybody: ids, accounts, amounts as text and as a number, notes."""
    found = {b"Eleonora", b"ACCOUNT-NO", b"TRANSFER-NO"}
    for line in lines:
        record = json.loads(line)
        amount = record.get("amount", "")
        found |= {str(record.get(k, "")).encode() for k in ("transaction_id", "account", "note")}
        if re.fullmatch(r"[0-9.]{6,}", amount):
            found |= {amount.encode(), struct.pack("<d", float(amount))}
    return {name for name in found if len(name) > 5}


def test_no_name_stands_in_any_byte_of_an_encrypted_folder(folder):
    weir("audit", "explain", folder.out, "TRANSFER-NO-3", *folder.key)
    weir("audit", "explain", folder.out, "TRANSFER-NO-3")  # without the key it is on record too
    wanted = names(folder.lines)
    assert len(wanted) > 1_000
    holding = {
        name for name, data in folder.content().items() if any(text in data for text in wanted)
    }
    if folder.is_encrypted:
        assert holding == {"control/order.taken"}
        assert len(folder.content()) > 20
    else:
        assert {"decisions.ndjson", "access.ndjson"} < holding, "the test can fail"


def test_who_looked_at_whom_is_shown_with_the_key(folder, capsys):
    weir("audit", "explain", folder.out, "TRANSFER-NO-3", *folder.key)
    capsys.readouterr()
    assert weir("audit", "access", folder.out, *folder.key) == 0
    assert "transaction=TRANSFER-NO-3" in capsys.readouterr().out
    assert weir("audit", "access", folder.out) == 0
    assert ("transaction=TRANSFER-NO-3" in capsys.readouterr().out) != folder.is_encrypted


@pytest.mark.parametrize("value", [secrets.token_hex(32), None, "no key at all"])
def test_without_the_right_key_nothing_is_touched(folder, value, monkeypatch, capsys):
    if value is None:
        monkeypatch.delenv(ENV)
    else:
        monkeypatch.setenv(ENV, value)
    before = folder.content()
    if not folder.is_encrypted:  # nobody asks for it
        assert weir("audit", "verify", folder.out) == 0
        return
    assert folder.run(len(folder.lines)) == 2
    assert (
        weir("replay", folder.traffic, "--config", folder.bank, "--out", folder.out, "--resume")
        == 2
    )
    assert folder.content() == before
    assert weir("audit", "show", folder.out, "decisions", *folder.key) == 2
    assert weir("audit", "verify", folder.out, *folder.key) == 2
    assert "key" in capsys.readouterr().err
    changed = {n for n, data in folder.content().items() if before[n] != data}
    assert changed == {"access.ndjson"}


def test_an_encrypted_folder_is_not_gone_on_with_in_the_clear(folder, tmp_path, capsys):
    bank, out = small_bank(tmp_path / "bank"), folder.out
    if not folder.is_encrypted:
        out = copied(folder, tmp_path)
        assert weir("run", "--input", folder.traffic, "--config", bank, "--out", out) == 0
        return
    before = folder.content()
    assert weir("run", "--input", folder.traffic, "--config", bank, "--out", out) == 2
    assert "the output folder is encrypted and no key is given" in capsys.readouterr().err
    assert folder.content() == before


def test_a_folder_in_the_clear_is_encrypted_from_the_next_start_on(folder, told, tmp_path):
    """Turning encryption on is a change of configuration; what stood there stays, and can be read."""
    out, traffic = copied(folder, tmp_path), tmp_path / "traffic.ndjson"
    bank = small_bank(tmp_path / "bank", encryption=f"{{key_env: {ENV}}}")
    more = [line.replace(b"-NO-", b"-NR-") for line in folder.lines[:40]]
    traffic.write_bytes(folder.traffic.read_bytes() + b"".join(more))
    assert weir("run", "--input", traffic, "--config", bank, "--out", out) == 0
    before, after = told["decisions"], (out / "decisions.ndjson").read_bytes()
    text = unlocked(RealDisk(), out, KEY).read(out / "decisions.ndjson")
    assert text.startswith(before)
    assert after.startswith(before) == (not folder.is_encrypted)
    assert b"-NR-" in text[len(before) :]
    assert b"-NR-" not in after
    assert weir("audit", "verify", out, "--key-env", ENV) == 0
    assert weir("audit", "verify", out, "--chain-only") == 0


# ---------------------------------------------------------------- tampering


@pytest.fixture(scope="module")
def whole(tmp_path_factory, keys):
    """An encrypted folder of several segments and snapshots."""
    place = tmp_path_factory.mktemp("whole")
    out = replayed(place, 1_500, stops=2, segment_bytes="65536", encryption=f"{{key_env: {ENV}}}")
    assert verify.report(out, chain_only=True).is_fine
    return out


@pytest.mark.parametrize("seed", range(5))
def test_every_tampering_with_ciphertext_is_found_without_the_key(whole, seed, monkeypatch):
    """As tests/simulation/test_tampering.py does it in the clear; WEIR_TAMPERINGS asks for more."""
    plain = tampering.classes
    monkeypatch.setattr(
        tampering, "classes", lambda root: plain(root) | {"keys": [root / "encryption.ndjson"]}
    )
    rng = np.random.default_rng(seed)
    kinds = [(k, of) for k in tampering.KINDS for of, at in tampering.classes(whole).items() if at]
    for k in range(TRIES // 5):
        kind, of = kinds[(seed * (TRIES // 5) + k) % len(kinds)]
        done = tampering.draw(rng, whole, kind, of)
        while not done.changes_something():
            done = tampering.draw(rng, whole, kind, of)
        report = tampering.tampered(whole, done, lambda: verify.report(whole, chain_only=True))
        assert not report.is_fine, done.what
        assert tampering.is_named(whole, done, report), (done.what, report.headline)


def test_a_key_that_was_changed_in_the_list_is_told_by_the_derivation_too(whole):
    path = whole / "encryption.ndjson"
    kept = path.read_bytes()
    try:
        path.write_bytes(kept.replace(b'"from":0', b'"from":1', 1))
        report = verify.report(whole, key=KEY)
    finally:
        path.write_bytes(kept)
    assert not report.is_fine
    assert "encryption.ndjson" in report.as_text()
    assert verify.report(whole, key=KEY).is_fine
