"""`weir audit export`: what leaves the house is decided again elsewhere just so, and names nobody."""

import json
import re
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from config.pseudonyms import KEY_ENV, is_pseudonym
from config.settings import BANK
from engine import cli
from replay.audit import export
from tests.auditing import replayed
from tests.banking import traffic

KEY = "a secret that is long enough"
NAMED = re.compile(rb"(?<![0-9a-zA-Z_-])[AKCD]0{2,}[0-9]+(?![0-9a-zA-Z])")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Three days of a small bank under the shipped configuration."""
    folder = tmp_path_factory.mktemp("export")
    bank = Path(shutil.copytree(BANK, folder / "bank"))
    lines = traffic(folder, 6, accounts=120, days=3)
    accounts = sorted(
        {json.loads(x)["account"] for x in lines if b'"account":"' in x and x[-1:] == b"}"}
    )
    listed = bank / "lists" / "police_listed_accounts.csv"
    heading = listed.read_text().splitlines()[0]
    listed.write_text("\n".join([heading, *accounts[:9]]) + "\n")
    recording = folder / "bank.ndjson"
    recording.write_bytes(b"".join(line + b"\n" for line in lines))
    out = folder / "out"
    command = ["replay", str(recording), "--config", str(bank), "--out", str(out)]
    assert cli.main([*command, "--batch-rows", "128"]) == 0
    return out


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv(KEY_ENV, KEY)


@pytest.fixture(scope="module")
def day(out, tmp_path_factory):
    """A whole day of it, masked."""
    bundle = tmp_path_factory.mktemp("bundle") / "day.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_ENV, KEY)
        chosen = days(out)[1]
        assert cli.main(["audit", "export", str(out), "--day", chosen, "--to", str(bundle)]) == 0
    return bundle


def days(out):
    seals = [json.loads(line) for line in (out / "seals.ndjson").read_bytes().splitlines()]
    return [seal["closes_day"] for seal in seals if seal.get("closes_day")]


def decisions(out):
    return [json.loads(line) for line in (out / "decisions.ndjson").read_bytes().splitlines()]


def parts(bundle):
    with zipfile.ZipFile(bundle) as file:
        return {name: file.read(name) for name in file.namelist()}


def rewritten(bundle, target, changes):
    with zipfile.ZipFile(target, "w") as file:
        for name, data in (parts(bundle) | changes).items():
            file.writestr(name, data)
    return target


def replay(bundle, capsys):
    capsys.readouterr()
    status = cli.main(["audit", "replay", str(bundle)])
    return status, capsys.readouterr().out


def test_an_outsider_decides_the_day_again_with_one_command(
    out, day, tmp_path, capsys, monkeypatch
):
    """Without the folder, the key, the journal or the configuration: the bundle is all there is."""
    alone = Path(shutil.copy(day, tmp_path / "alone.zip"))
    monkeypatch.delenv(KEY_ENV)
    monkeypatch.chdir(tmp_path)
    status, text = replay(alone, capsys)
    assert status == 0, text
    manifest = json.loads(parts(alone)["manifest.json"])
    assert manifest["n_decisions"] > 150
    assert f"{manifest['n_decisions']:,}" in text


def test_decisions_are_those_on_record_up_to_the_pseudonyms(out, day):
    """Decision, score, rules, reasons, models and contributions are equal; the account is its pseudonym, one for one."""
    masked = [json.loads(line) for line in parts(day)["expected.ndjson"].splitlines()]
    real = {d["seq"]: d for d in decisions(out)}
    named = {}
    derived = ("account", "alerts", "commands", "restrictions")
    for one in masked:
        other = real[one["seq"]]
        assert {k: v for k, v in one.items() if k not in derived} == {
            k: v for k, v in other.items() if k not in derived
        }
        assert [len(one[k]) for k in derived[1:]] == [len(other[k]) for k in derived[1:]]
        assert is_pseudonym(one["account"])
        assert named.setdefault(other["account"], one["account"]) == one["account"]
    assert len(set(named.values())) == len(named) > 10
    assert Counter(d["decision"] for d in masked)["approve"] < len(masked)


def test_nobody_is_named_in_any_file(day):
    """No id of the bank in plain: not in records, state, lists, decisions, proof or manifest."""
    for name, data in parts(day).items():
        found = NAMED.search(data)
        assert found is None, (name, found)


def test_only_fields_that_are_read_leave_the_house(out, day):
    records = [
        json.loads(json.loads(x)["line"])
        for x in parts(day)["records.ndjson"].splitlines()
        if b"could not" not in x
    ]
    kept = {name for record in records for name in record}
    assert {"account", "amount", "event_time"} <= kept
    assert not kept & {"purpose", "counterparty_name", "balance_after", "session"}
    manifest = json.loads(parts(day)["manifest.json"])
    assert set(manifest["kept_in_the_clear"]) == {"lat", "lon", "customer.birth_date"}


def test_lists_of_people_are_masked_and_still_match(out, day):
    """The police's list works in the bundle: its rules fire for the same transactions as at the bank."""
    files = parts(day)
    (listed,) = [n for n in files if n.endswith("police_listed_accounts.csv")]
    rows = files[listed].decode().splitlines()[1:]
    assert len(rows) == 9
    assert all(map(is_pseudonym, rows))


def test_a_case_is_one_record_and_names_nobody_else(out, tmp_path, capsys):
    """Its state holds pseudonyms for those that the record is about, and numbers for all others."""
    case = max(decisions(out), key=lambda d: (len(d["fired"]), d["seq"]))
    bundle = tmp_path / "case.zip"
    arguments = [case["transaction_id"], "--account", case["account"], "--to", str(bundle)]
    assert cli.main(["audit", "export", str(out), *arguments]) == 0
    status, text = replay(bundle, capsys)
    assert status == 0, text
    files = parts(bundle)
    assert len(files["records.ndjson"].splitlines()) == 1
    (expected,) = map(json.loads, files["expected.ndjson"].splitlines())
    assert (expected["decision"], expected["score"]) == (case["decision"], case["score"])
    assert len(re.findall(rb"p-[0-9a-f]{16}", files["state.npz"])) < 40
    assert not NAMED.search(files["state.npz"])


def test_what_was_changed_in_a_bundle_is_found(out, day, tmp_path, capsys):
    """A decision, a record, a rule, the state, the proof: each with its own hash set right, so only deciding tells."""
    files = parts(day)
    manifest = json.loads(files["manifest.json"])
    (weir,) = [n for n in files if n.endswith("core/pack.yaml")]
    changes = {
        "expected.ndjson": files["expected.ndjson"].replace(
            b'"decision":"approve"', b'"decision":"decline"', 1
        ),
        "records.ndjson": b"\n".join(files["records.ndjson"].splitlines()[:-3]) + b"\n",
        "proof/leaves.ndjson": re.sub(
            rb'"leaves": "..', b'"leaves": "00', files["proof/leaves.ndjson"], count=1
        ),
        "proof/seals.ndjson": files["proof/seals.ndjson"].replace(b'"n":', b'"n":1', 1),
    }
    for k, (name, data) in enumerate(changes.items()):
        assert data != files[name], name
        status, _ = replay(rewritten(day, tmp_path / f"a{k}.zip", {name: data}), capsys)
        assert status == 1, name
        import hashlib

        told = manifest | {"files": manifest["files"] | {name: hashlib.sha256(data).hexdigest()}}
        both = {name: data, "manifest.json": json.dumps(told).encode()}
        status, text = replay(rewritten(day, tmp_path / f"b{k}.zip", both), capsys)
        assert status == 1, (name, text)
    assert weir


def test_revealed_records_are_held_against_their_leaves(out, tmp_path, capsys):
    """With names, each line hashes to the leaf that the chain sealed; one changed letter shows."""
    chosen = days(out)[1]
    bundle = tmp_path / "plain.zip"
    command = ["audit", "export", str(out), "--day", chosen, "--to", str(bundle), "--reveal"]
    assert cli.main(command) == 0
    status, text = replay(bundle, capsys)
    assert status == 0, text
    import hashlib

    files = parts(bundle)
    data = files["records.ndjson"].replace(
        b'\\"status\\":\\"booked\\"', b'\\"status\\":\\"booked\\" ', 1
    )
    assert data != files["records.ndjson"]
    manifest = json.loads(files["manifest.json"])
    manifest["files"]["records.ndjson"] = hashlib.sha256(data).hexdigest()
    changes = {"records.ndjson": data, "manifest.json": json.dumps(manifest).encode()}
    status, text = replay(rewritten(bundle, tmp_path / "b.zip", changes), capsys)
    assert status == 1
    assert "is not the one that was sealed" in text


def test_the_same_bundle_has_the_same_bytes(out, day, tmp_path):
    again = tmp_path / "day.zip"
    assert cli.main(["audit", "export", str(out), "--day", days(out)[1], "--to", str(again)]) == 0
    assert again.read_bytes() == day.read_bytes()


def test_a_stream_with_labels_repeats_and_broken_messages_can_leave_too(tmp_path, capsys):
    """Repeats of the day before are repeats in the bundle, labels find their transactions, broken lines stay broken."""
    out = replayed(tmp_path / "run", 600)
    for k, chosen in enumerate(days(out)):
        bundle = tmp_path / f"{k}.zip"
        command = ["audit", "export", str(out), "--day", chosen, "--to", str(bundle)]
        assert cli.main(command) == 0
        status, text = replay(bundle, capsys)
        assert status == 0, text


def test_without_a_key_nothing_leaves(out, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv(KEY_ENV)
    bundle = tmp_path / "x.zip"
    assert cli.main(["audit", "export", str(out), "--day", days(out)[0], "--to", str(bundle)]) == 2
    assert "there are no pseudonyms" in capsys.readouterr().err
    assert not bundle.exists()


def test_what_is_no_bundle_says_so(tmp_path, capsys):
    path = tmp_path / "x.zip"
    path.write_bytes(b"nothing")
    assert cli.main(["audit", "replay", str(path)]) == 2
    assert "this is no bundle" in capsys.readouterr().err
    assert export.FORMAT == 1
