"""What somebody who is to approve a proposal sees of it: rules by meaning, settings by key, and what to do next."""

import json

import pytest

from engine import cli
from engine.durable import config_store
from engine.durable.disk import RealDisk
from engine.setup import read_setup
from tests.auditing import small_bank

RULES = "packs/one/rules.yaml"


@pytest.fixture
def out(tmp_path):
    """An output folder with two configurations, the second of which waits."""
    root, hashes = tmp_path / "out", []
    (root / "control").mkdir(parents=True)
    for name, big in (("one", "900 CNY"), ("two", "400 CNY")):
        folder = small_bank(tmp_path / name, lateness="15m" if name == "one" else "20m")
        path = folder / RULES
        path.write_text(path.read_text().replace("big: 900 CNY", f"big: {big}"))
        setup = read_setup(folder)
        config_store.keep(RealDisk(), root, setup.configuration)
        hashes.append(setup.sha256)
    proposal = {"config": hashes[1], "state": "open", "phase": "ready to go live", "by": "ana"}
    say(root, hashes[0], {**proposal, "seq": 7, "reason": "too many get through"})
    return root, hashes[1]


def say(root, active, *proposals):
    told = {"active": active, "proposals": proposals, "ended": []}
    (root / "control" / "active.status").write_text(json.dumps(told))


def test_a_proposal_is_told_by_meaning(out, capsys):
    root, config = out
    assert cli.main(["rules", "pending", str(root)]) == 0
    told = capsys.readouterr().out
    assert f"{config[7:19]} waits for approval: its checks and tests have passed" in told
    assert "proposed by ana at seq 7: too many get through" in told
    assert "params.big 900.00 CNY -> 400.00 CNY" in told
    assert "strictly wider: every old match still matches" in told
    assert "weir.yaml   lateness changed   15m -> 20m" in told
    assert f"weir rules approve {root} {config[7:19]} --by NAME" in told


def test_machines_get_the_same(out, capsys):
    root, config = out
    assert cli.main(["rules", "pending", str(root), config[7:15], "--json"]) == 0
    [told] = json.loads(capsys.readouterr().out)
    assert told["config"] == config
    assert [rule["id"] for rule in told["changes"]["packs"]["rules"]] == ["BIG-001"]
    assert [change["what"] for change in told["changes"]["settings"]] == ["lateness"]


def test_what_is_not_stored_yet_is_said_to_be_unknown(out, capsys):
    root, _ = out
    config = "sha256:" + "ef" * 32
    known = json.loads((root / "control" / "active.status").read_text())
    waiting = {"config": config, "state": "open", "phase": "checking", "by": "ana", "seq": 9}
    say(root, known["active"], waiting)
    assert cli.main(["rules", "pending", str(root)]) == 0
    told = capsys.readouterr().out
    assert "it is being checked" in told
    assert "what it changes is not known yet" in told


def test_a_hash_that_names_nothing_is_refused(out, capsys):
    root, config = out
    assert cli.main(["rules", "pending", str(root), "123456"]) == 2
    told = capsys.readouterr().err
    assert "no proposal that waits is known as `123456`" in told
    assert config[7:19] in told


def test_nothing_waits_in_a_folder_that_no_engine_has_spoken_of(tmp_path, capsys):
    (tmp_path / "journal").mkdir()
    assert cli.main(["rules", "pending", str(tmp_path)]) == 0
    assert "no proposal waits" in capsys.readouterr().out


@pytest.mark.parametrize("path", [".", "nowhere"])
def test_a_wrong_path_is_not_taken_for_a_folder_where_nothing_waits(tmp_path, capsys, path):
    assert cli.main(["rules", "pending", str(tmp_path / path)]) == 2
    assert "this is no output folder" in capsys.readouterr().err
