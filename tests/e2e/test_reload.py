"""Other configurations in a real `weir run` process: proposed, refused, approved, watched, rolled back, killed."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from engine import cli
from engine.durable.output import STREAMS
from engine.setup import read_setup
from replay.audit import verify
from replay.workbench.activating import versions
from tests.auditing import small_bank

WAIT_S = 60.0  # for what takes a second or two; a test never passes because of it
RULES = "packs/one/rules.yaml"
TESTS = """\
    tests:
      - name: a big one
        start: 2026-03-02T10:00:00Z
        defaults: {type: payment, account: A1, channel: pos, currency: CNY}
        events: [{at: +0m, amount: 650 CNY, expect: fires}]
"""


class Engine:
    """A running engine that is fed by the test, and what people tell it."""

    def __init__(self, bank, out, *options):
        self.bank, self.out, self.options, self.sent = bank, out, options, 0
        self.log = out.parent / f"{out.name}.log"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def start(self):
        command = [sys.executable, "-m", "engine.cli", "run", "--config", str(self.bank)]
        command += ["--input", "-", "--out", str(self.out), *self.options]
        log = self.log.open("ab")
        status = self.out / "control" / "active.status"
        status.unlink(missing_ok=True)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        self.until(status.exists)

    def send(self, n=1, amount="500.00", **more):
        """Payments of one account each, and wait until the last is decided."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        for _ in range(n):
            self.sent += 1
            record = {
                "transaction_id": f"t-{self.sent}",
                "account": f"A{self.sent}",
                "event_time": now,
                "type": "payment",
                "direction": "out",
                "amount": amount,
                "currency": "CNY",
                **more,
            }
            self.process.stdin.write(json.dumps(record).encode() + b"\n")
        self.process.stdin.flush()
        self.until(lambda: len(self.decisions()) == self.sent)
        return self.decisions()[-n:]

    def decisions(self):
        path = self.out / "decisions.ndjson"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def until(self, holds):
        end = time.monotonic() + WAIT_S
        while not holds():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.01)

    def status(self):
        try:
            return json.loads((self.out / "control" / "active.status").read_text())
        except FileNotFoundError:
            return {}

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(WAIT_S) == 0, self.log.read_text()


def weir(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture
def bank(tmp_path):
    return small_bank(tmp_path / "bank")


def edited(tmp_path, name, *changes, **settings):
    """Another configuration: the small bank with its rules changed."""
    folder = small_bank(tmp_path / name, **settings)
    path = folder / RULES
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) >= 1, old
        text = text.replace(old, new)
    path.write_text(text)
    return folder


LOWER = ("big: 900 CNY", "big: 400 CNY")


def fired(decision):
    return [found["rule"] for found in decision["fired"]]


def is_whole(out):
    report = verify.report(out)
    assert report.is_fine, report.as_text()


def test_a_proposal_goes_live_and_back_again(bank, tmp_path, capsys):
    """The first decision after the record is of the new rules, the last before of the old, and all verify."""
    other = edited(
        tmp_path,
        "other",
        LOWER,
        (
            "    dedup: {by: account, for: 1h}\n    exc",
            TESTS + "    dedup: {by: account, for: 1h}\n    exc",
        ),
    )
    with Engine(bank, tmp_path / "out") as engine:
        (before,) = engine.send()
        assert fired(before) == []
        asked = ("--by", "m.keller", "--reason", "too many get through", "--wait")
        assert weir("rules", "activate", engine.out, other, *asked) == 0
        (after,) = engine.send()
        assert fired(after) == ["BIG-001"]
        assert after["config"] == read_setup(other).sha256 != before["config"]
        capsys.readouterr()
        assert weir("rules", "active", engine.out) == 0
        shown = capsys.readouterr().out
        assert read_setup(other).sha256[7:19] in shown
        assert "m.keller" in shown
        assert weir("rules", "rollback", engine.out, "--by", "s.aydin", "--wait") == 0
        (again,) = engine.send()
        assert (fired(again), again["config"]) == ([], before["config"])
        engine.stop()
    known = versions(engine.out)
    assert [v["config"] for v in known] == [before["config"], after["config"], before["config"]]
    assert [v["by"] for v in known] == ["", "m.keller", "s.aydin"]
    assert before["seq"] < known[1]["seq"] <= after["seq"] < known[2]["seq"] <= again["seq"]
    assert known[1]["reason"] == "too many get through"
    capsys.readouterr()
    assert weir("audit", "changes", engine.out) == 0
    told = capsys.readouterr().out
    assert "tested BIG-001" in told
    assert [f"  {v['seq']}  {v['at']}" in told for v in known[1:]] == [True, True]
    is_whole(engine.out)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("amount >= $big", "amuont >= $big"), "the rules have 1 error;"),
        (("expect: fires", "expect: quiet"), "tests of rules that are new or changed fail"),
        (("severity: high", "severity: hihg"), "errors"),
    ],
    ids=["unknown field", "failing test", "typing error"],
)
def test_what_does_not_pass_keeps_the_old_rules_and_says_why(bank, tmp_path, capsys, change, says):
    with_tests = ("    exceptions:\n", TESTS + "    exceptions:\n")
    other = edited(tmp_path, "other", LOWER, with_tests, change)
    with Engine(bank, tmp_path / "out") as engine:
        (before,) = engine.send()
        assert weir("rules", "activate", engine.out, other, "--by", "m.keller", "--wait") == 1
        assert says in capsys.readouterr().err
        (after,) = engine.send()
        assert (fired(after), after["config"]) == ([], before["config"])
        assert says in engine.status()["last_refusal"]["why"]
        assert weir("rules", "active", engine.out) == 0
        assert says in capsys.readouterr().out
        engine.stop()
    is_whole(engine.out)


def test_with_approval_required_it_takes_two(bank, tmp_path, capsys):
    """Neither the author under another spelling nor a start with changed files gets past it."""
    guarded = small_bank(tmp_path / "guarded", approval="required")
    other = edited(tmp_path, "other", LOWER, approval="required")
    with Engine(guarded, tmp_path / "out") as engine:
        assert weir("rules", "activate", engine.out, other, "--by", "m.keller", "--wait") == 0
        config = read_setup(other).sha256
        digits = config[7:19]
        told = capsys.readouterr().out
        assert f"{digits} was proposed by m.keller; it passed the checks" in told
        assert weir("rules", "activate", engine.out, other, "--by", "s.aydin", "--wait") == 0
        assert "had been proposed by m.keller" in capsys.readouterr().out
        assert weir("rules", "approve", engine.out, digits, "--by", " M.Keller") == 1
        assert "has proposed" in capsys.readouterr().err
        assert fired(engine.send()[0]) == []
        engine.stop()
        engine.bank = other
        engine.start()
        assert "which asks for approval" in engine.log.read_text()
        assert fired(engine.send()[0]) == []
        assert weir("rules", "approve", engine.out, digits, "--by", "s.aydin", "--wait") == 0
        (after,) = engine.send()
        assert (fired(after), after["config"]) == (["BIG-001"], config)
        engine.stop()
    assert (versions(engine.out)[-1]["by"], versions(engine.out)[-1]["approved_by"]) == (
        "m.keller",
        "s.aydin",
    )
    capsys.readouterr()
    assert weir("audit", "changes", engine.out) == 0
    assert "s.aydin" in capsys.readouterr().out
    is_whole(engine.out)


def test_what_is_saved_in_a_watched_folder_goes_live(bank, tmp_path):
    """Once it rests, and not what is broken; the user of the operating system stands for it."""
    with Engine(bank, tmp_path / "out", "--watch") as engine:
        engine.send()
        path = bank / RULES
        whole = path.read_text()
        path.write_text(whole[: len(whole) // 2] + "\n   - ]broken")
        engine.until(lambda: (engine.status().get("last_refusal") or {}).get("why"))
        assert fired(engine.send()[0]) == []
        path.write_text(whole.replace(*LOWER))
        expected = read_setup(bank).sha256
        engine.until(lambda: engine.status()["active"] == expected)
        (after,) = engine.send()
        assert (fired(after), after["config"]) == (["BIG-001"], expected)
        engine.stop()
    assert versions(engine.out)[-1]["by"]
    is_whole(engine.out)


@pytest.mark.parametrize("wait_s", [0.0, 0.3, 0.8, 1.5])
def test_a_kill_on_the_way_changes_nothing(bank, tmp_path, wait_s):
    """Killed with -9 while it comes in, the next start brings it in; every line is as it would be derived."""
    other = edited(tmp_path, "other", LOWER)
    with Engine(bank, tmp_path / "out") as engine:
        engine.send(5)
        assert weir("rules", "activate", engine.out, other, "--by", "m.keller") == 0
        time.sleep(wait_s)
        os.kill(engine.process.pid, signal.SIGKILL)
        engine.process.wait()
        engine.bank = bank
        killed_at = len(engine.decisions())
        if versions(engine.out)[-1]["config"] == read_setup(other).sha256:
            engine.bank = other  # it had come in: the folder of that day is given again
        engine.start()
        config = read_setup(other).sha256
        engine.until(lambda: engine.status().get("active") == config)
        assert killed_at == 5
        (after,) = engine.send()
        assert (fired(after), after["config"]) == (["BIG-001"], config)
        engine.stop()
    assert [v["config"] for v in versions(engine.out)][-1] == config
    for stream in STREAMS:
        assert (engine.out / f"{stream}.ndjson").exists()
    is_whole(engine.out)


def test_what_the_checks_alone_can_tell_is_refused_too(bank, tmp_path, capsys):
    """A body that changed without another version is an error of `weir rules check`, not of reading the pack."""
    assert weir("rules", "lock", bank / "packs" / "one", "--config", bank) == 0
    other = edited(tmp_path, "other", LOWER)
    (other / "packs" / "one" / "rules.lock").write_bytes(
        (bank / "packs" / "one" / "rules.lock").read_bytes()
    )
    with Engine(bank, tmp_path / "out") as engine:
        assert weir("rules", "activate", engine.out, other, "--by", "m.keller", "--wait") == 1
        assert "WR325" in capsys.readouterr().err
        engine.stop()
    is_whole(engine.out)


def test_a_new_feature_gets_its_past_while_the_engine_runs(bank, tmp_path):
    """Killed right after, and derived again: nothing differs."""
    old = ("features: {fast_1h: count() by account over 1h}", "when: fast_1h >= 4")
    new = ("features: {fast_1h: count() by account over 1h, all_9d: count() by channel over 9d}",)
    other = edited(
        tmp_path, "other", (old[0], new[0]), (old[1], "when: fast_1h >= 4 or all_9d > 5")
    )
    with Engine(bank, tmp_path / "out") as engine:
        engine.send(9, channel="web")
        assert weir("rules", "activate", engine.out, other, "--by", "m.keller", "--wait") == 0
        engine.until(lambda: "fill_stall_ms" in engine.status().get("last", {}))
        assert engine.status()["warming"] == []
        (after,) = engine.send(channel="web")
        assert "FAST-002" in fired(after), "it counts what came before it was known"
        os.kill(engine.process.pid, signal.SIGKILL)
        engine.process.wait()
        engine.bank = other
        engine.start()
        assert "FAST-002" in fired(engine.send(channel="web")[0])
        engine.stop()
    is_whole(engine.out)


def test_a_rule_is_switched_off_at_once_and_on_again(bank, tmp_path, capsys):
    with Engine(bank, tmp_path / "out") as engine:
        assert fired(engine.send(amount="910.00")[0]) == ["BIG-001"]
        who = ("--by", "m.keller", "--reason", "it stops everybody")
        assert weir("rules", "off", engine.out, "BIG-001", *who, "--for", "2h") == 0
        (quiet,) = engine.send(amount="910.00")
        assert (fired(quiet), quiet["decision"]) == ([], "approve")
        capsys.readouterr()
        assert weir("rules", "active", engine.out) == 0
        shown = capsys.readouterr().out
        assert "switched off  BIG-001 until" in shown
        assert "by m.keller: it stops everybody" in shown
        assert weir("rules", "off", engine.out, "BIG-001", *who, "--for", "25h") == 1
        assert "24" in capsys.readouterr().err
        assert weir("rules", "off", engine.out, "BIG-01", *who) == 1
        assert 'did you mean "BIG-001"?' in capsys.readouterr().err
        assert weir("rules", "on", engine.out, "BIG-001", "--by", "s.aydin", "--reason", "ok") == 0
        assert fired(engine.send(amount="910.00")[0]) == ["BIG-001"]
        capsys.readouterr()
        assert weir("rules", "active", engine.out) == 0
        assert "switched off" not in capsys.readouterr().out
        engine.stop()
    is_whole(engine.out)


def test_a_list_alone_is_another_configuration(tmp_path):
    """Only its rows change: no feature begins anew, and the next payment meets the new row."""
    bank, more = (with_list(tmp_path, name, rows) for name, rows in (("a", "A77"), ("b", "A1, A2")))
    with Engine(bank, tmp_path / "out") as engine:
        assert fired(engine.send()[0]) == []
        assert weir("rules", "activate", engine.out, more, "--by", "m.keller", "--wait") == 0
        assert fired(engine.send()[0]) == ["BIG-001"]
        assert engine.status()["warming"] == []
        engine.stop()
    assert len(versions(engine.out)) == 2
    is_whole(engine.out)


def with_list(tmp_path, name, rows):
    folder = edited(tmp_path, name, ("when: amount >= $big and", "when: account in @seen and"))
    path = folder / RULES
    path.write_text(path.read_text().replace("    params: {big: 900 CNY}\n", ""))
    pack = folder / "packs" / "one" / "pack.yaml"
    entry = f"lists:\n  seen: {{type: id, of: account, values: [{rows}]}}\n"
    pack.write_text(pack.read_text() + entry)
    return folder


PEOPLE = """
signatures: required
people:
  a.li: {name: Li An, roles: [analyst], keys: {a.li-1: {key_env: WEIR_TEST_A_LI}}}
  b.wu: {name: Wu Bo, roles: [auditor]}
"""


def test_what_is_saved_under_signatures_waits_for_somebody_who_signs(bank, tmp_path, monkeypatch):
    """A file has no signature: the engine says who can propose it, and nothing goes live before."""
    monkeypatch.setenv("WEIR_TEST_A_LI", "a secret of more than 16 bytes")
    (bank / "people.yaml").write_text(PEOPLE)
    with Engine(bank, tmp_path / "out", "--watch") as engine:
        engine.send()
        path = bank / RULES
        path.write_text(path.read_text().replace(*LOWER))
        engine.until(lambda: engine.status().get("unsigned"))
        waiting = engine.status()["unsigned"]
        assert (waiting["config"], waiting["who"]) == (read_setup(bank).sha256, "a.li")
        assert "a.li" in engine.log.read_text()
        assert fired(engine.send()[0]) == []
        assert weir("rules", "activate", engine.out, bank, "--by", "b.wu", "--wait") == 2
        assert weir("rules", "activate", engine.out, bank, "--by", "a.li", "--wait") == 0
        assert fired(engine.send()[0]) == ["BIG-001"]
        engine.stop()
    assert versions(engine.out)[-1]["by"] == "a.li"
    is_whole(engine.out)
