"""The commands, as somebody at a terminal uses them: files, options, exit statuses, and every word of the refusals."""

import inspect
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import replay
from config.settings import BANK
from engine.cli import main
from engine.durable.output import STREAMS
from engine.quality import FLAWS
from engine.runner import Runner
from engine.setup import read_setup
from tests import banking, factories
from tests.banking import shipped_setup

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """A recording with everything that goes wrong on the way."""
    folder = tmp_path_factory.mktemp("day")
    lines = banking.traffic(folder, 5, accounts=200, days=4)
    path = folder / "day.ndjson"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@pytest.fixture
def weir(capsys, tmp_path):
    """Run a command; its status, standard output and standard error, with the folder of the test called TMP."""

    def run(*argv):
        status = main([str(a) for a in argv])
        out, err = capsys.readouterr()
        return status, out.replace(str(tmp_path), "TMP"), err.replace(str(tmp_path), "TMP")

    return run


def streams(out):
    return {name: (out / f"{name}.ndjson").read_bytes() for name in STREAMS}


def decisions(out):
    return [json.loads(line) for line in (out / "decisions.ndjson").read_bytes().splitlines()]


@pytest.fixture(scope="module")
def calm(day, tmp_path_factory):
    """The recording replayed once, undisturbed, with its features."""
    out = tmp_path_factory.mktemp("calm") / "out"
    features = out.parent / "features.parquet"
    assert main(["replay", str(day), "--out", str(out), "--features", str(features)]) == 0
    return out


# ---------------------------------------------------------------- replay


@pytest.mark.parametrize("rows", [1, 7, 64, 4096])
def test_batches_and_runs_do_not_show_in_any_stream(day, calm, weir, tmp_path, rows):
    status, _, err = weir("replay", day, "--out", tmp_path / "out", "--batch-rows", rows)
    assert (status, err) == (0, "")
    assert streams(tmp_path / "out") == streams(calm)


@pytest.mark.parametrize("stops", [[1], [100, 700], [3, 4, 5, 400]])
def test_a_replay_that_was_stopped_and_resumed_is_one_that_was_not(
    day, calm, weir, tmp_path, monkeypatch, stops
):
    """SIGINT after the batch in which so many messages were taken; the next command goes on."""
    take, waiting = Runner._take, list(stops)

    def stopped(self, messages, progress, *files):
        outcome = take(self, messages, progress, *files)
        if waiting and self.core.seq >= waiting[0]:
            waiting.pop(0)
            signal.raise_signal(signal.SIGINT)
        return outcome

    monkeypatch.setattr(Runner, "_take", stopped)
    argv = ["replay", day, "--out", tmp_path / "out", "--batch-rows", 50]
    assert weir(*argv)[0] == 0
    assert len(decisions(tmp_path / "out")) < len(decisions(calm))
    while waiting:
        assert weir(*argv, "--resume")[0] == 0
    assert weir(*argv, "--resume", "--batch-rows", 7)[0] == 0
    assert streams(tmp_path / "out") == streams(calm)
    whole, summary = (
        json.loads((o / "summary.json").read_text()) for o in (calm, tmp_path / "out")
    )
    for group in ("messages", "decisions", "dead_letters", "rules_fired"):
        assert summary.get(group) == whole.get(group)


def test_resuming_what_is_finished_changes_nothing(day, calm, weir, tmp_path):
    shutil.copytree(calm, tmp_path / "out")
    status, out, _ = weir("replay", day, "--out", tmp_path / "out", "--resume", "--json")
    assert status == 0
    assert streams(tmp_path / "out") == streams(calm)
    assert json.loads(out)["speed"]["tx_per_second"] == 0, "this run has decided nothing"


def test_a_folder_that_was_used_is_refused(day, calm, weir, tmp_path, golden):
    shutil.copytree(calm, tmp_path / "out")
    status, out, err = weir("replay", day, "--out", tmp_path / "out")
    assert (status, out) == (2, "")
    golden("cli/replay_used_folder", err)
    assert streams(tmp_path / "out") == streams(calm)


def test_resuming_under_other_options_is_refused(day, calm, weir, tmp_path):
    shutil.copytree(calm, tmp_path / "out")
    status, _, err = weir("replay", day, "--out", tmp_path / "out", "--resume", "--lateness", "1h")
    assert status == 2
    assert "was written with configuration sha256:" in err
    assert streams(tmp_path / "out") == streams(calm)


def test_the_summary_is_a_table_or_json_and_adds_up(day, calm, weir, tmp_path):
    status, out, _ = weir("replay", day, "--out", tmp_path / "a", "--json")
    assert status == 0
    told, written = json.loads(out), json.loads((calm / "summary.json").read_text())
    assert told["decisions"] == written["decisions"]
    assert sum(told["decisions"].values()) == len(decisions(calm))
    assert told["messages"]["all"] == len(day.read_bytes().splitlines())
    assert sum(told["dead_letters"].values()) == streams(calm)["dead_letters"].count(b"\n")
    status, out, _ = weir("replay", day, "--out", tmp_path / "b")
    numbers, _, quality = out.partition("\n\n")
    heads = [line.split("  ")[0] for line in numbers.splitlines()]
    assert heads[:2] == ["messages", "decisions"]
    assert heads[-4:] == ["speed", "batch latency", "windows", "memory"]
    assert quality.splitlines()[0].split() == ["messages", "read", *FLAWS]


def test_from_and_to_leave_out_what_lies_outside(day, weir, tmp_path):
    status, *_ = weir(
        "replay", day, "--out", tmp_path / "out", "--from", "2026-03-03", "--to", "2026-03-04T12:00:00+01:00"
    )  # fmt: skip
    assert status == 0
    inside = [d for d in decisions(tmp_path / "out") if "UNSCORABLE" not in d["reasons"]]
    assert inside
    assert all("2026-03-03T00:00:00" <= d["event_time"] < "2026-03-04T11:00:00" for d in inside)


def test_a_replay_of_which_nothing_could_be_taken_says_so(weir, tmp_path):
    (tmp_path / "other.ndjson").write_bytes(b'{"id":1,"label":"fruad"}\n')
    status, _, err = weir("replay", tmp_path / "other.ndjson", "--out", tmp_path / "out")
    assert status == 1
    assert "warning: no message could be taken; is the feed of the configuration right?" in err


def test_fields_that_nobody_knows_stand_in_the_summary(weir, tmp_path):
    line = factories.line(factories.message(chanel="pos"))
    (tmp_path / "a.ndjson").write_bytes(line)
    status, out, _ = weir("replay", tmp_path / "a.ndjson", "--out", tmp_path / "out")
    assert status == 0
    assert "chanel 1" in out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["quality"]["unknown_fields"] == {"chanel": 1}


def test_a_pace_is_kept(day, weir, tmp_path, monkeypatch):
    from engine.clock import ManualClock

    clock = ManualClock()
    monkeypatch.setattr("replay.replaying.SystemClock", lambda: clock)
    lines = [
        factories.line(
            factories.message(transaction_id=f"t{k}", event_time=f"2026-03-02T10:0{k}:00Z")
        )
        for k in range(4)
    ]
    (tmp_path / "few.ndjson").write_bytes(b"junk\n" + b"\n".join(lines))
    status, *_ = weir(
        "replay", tmp_path / "few.ndjson", "--out", tmp_path / "out", "--speed", "10x", "--batch-rows", 1
    )  # fmt: skip
    assert status == 0
    assert clock.monotonic_ns() == 18 * 10**9, "three minutes of core time at ten times the pace"


def test_features_are_a_row_a_transaction_with_types_and_nulls(calm):
    table = pq.read_table(calm.parent / "features.parquet")
    scored = [d for d in decisions(calm) if "UNSCORABLE" not in d["reasons"]]
    assert table.column("seq").to_pylist() == [d["seq"] for d in scored]
    assert table.column("transaction_id").to_pylist() == [d["transaction_id"] for d in scored]
    assert table.column_names[2:] == list(shipped_setup().pack.features)
    types = {f.name: f.type for f in table.schema}
    assert types["tiny_1h"] == pa.int64()
    assert types["tiny_shops_1h"] == pa.int64()
    assert types["usual_auth_60d"] == pa.float64()
    assert types["shop_age"] == pa.float64()
    nulls = {name: table.column(name).null_count for name in table.column_names}
    assert nulls["seq"] == 0
    assert 0 < nulls["payee_age"] < table.num_rows, (
        "a payment to a payee has one, a purchase has none"
    )
    sums = [v for v in table.column("out_48h").to_pylist() if v]
    assert sums
    assert all(round(v, 2) == v for v in sums), "money has as many decimals as its currency"
    assert any(v != int(v) for v in sums), "and stands in major units"


def test_nothing_in_a_replay_can_send_a_command(calm, day):
    """The sink is absent, not muted: no port to a broker or a socket, and commands say they were only recorded."""
    commands = [json.loads(line) for line in streams(calm)["commands"].splitlines()]
    assert commands, "nothing was commanded, so nothing was shown"
    assert {c["effect"] for c in commands} == {"observe"}
    assert "sink" not in {p.lower() for p in inspect.signature(Runner).parameters}
    assert "control" in inspect.signature(Runner).parameters
    reaches_out = ("socket", "http", "urllib", "requests", "aiokafka", "faust", "redis", "smtplib")
    for path in sorted(Path(replay.__file__).parent.glob("*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words and words[0] in ("import", "from"):
                assert words[1].split(".")[0] not in reaches_out, (path.name, line)
                assert "Sink" not in line, (path.name, line)


def test_a_replay_takes_no_commands_from_people(day, weir, tmp_path):
    control = tmp_path / "out" / "control"
    control.mkdir(parents=True)
    (control / "a.json").write_text('{"kind":"command"}')
    assert weir("replay", day, "--out", tmp_path / "out")[0] == 0
    assert [p.name for p in control.iterdir()] == ["a.json"]


# ---------------------------------------------------------------- run


def weir_run(*argv, **options):
    """Start `weir run` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "engine.cli", "run", *map(str, argv)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


def test_a_pipe_is_decided_as_it_comes_and_commands_are_answered_meanwhile(tmp_path):
    """One process: a payment, a freeze dropped into control/, a payment that is held; then the pipe ends."""
    out = tmp_path / "out"
    control = out / "control"
    control.mkdir(parents=True)
    clock = banking_clock()

    def pay(k):
        now_ms = clock.now_us() // 1_000
        return factories.line(factories.message(transaction_id=f"t-{k}", event_time=now_ms)) + b"\n"

    process = weir_run("--input", "-", "--out", out)
    try:
        process.stdin.write(pay(1))
        process.stdin.flush()
        wait_for(
            clock, lambda: (out / "decisions.ndjson").exists() and len(decisions(out)) == 1, process
        )
        command = {
            "kind": "command", "command": "restrict", "entity": {"account": "A1"}, "level": "no_debit", "for": "1h",
            "by": "m.keller", "reason": "called by the police",
        }  # fmt: skip
        (control / ".freeze.tmp").write_text(json.dumps(command))
        (control / ".freeze.tmp").rename(control / "freeze.json")
        wait_for(clock, (control / "freeze.answer").exists, process)
        answer = json.loads((control / "freeze.answer").read_text())
        assert answer["ok"], answer
        process.stdin.write(
            pay(2)
            + b"{broken\n"
            + factories.line(
                factories.message(transaction_id="t-3", event_time="2099-01-01T00:00:00Z")
            )
        )
        told, complaints = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, complaints) == (0, b"")
    first, second, third = decisions(out)
    assert (first["restrictions"], second["restrictions"]) == ([], [answer["restriction_id"]])
    assert third["reasons"][0] == "UNSCORABLE", (
        "the last line needs no line end, and 2099 is not now"
    )
    dead = [json.loads(line)["reason"] for line in streams(out)["dead_letters"].splitlines()]
    assert dead == ["malformed_json", "time_ahead"]
    assert told.startswith(b"messages")


def banking_clock():
    from engine.clock import SystemClock

    return SystemClock()


def wait_for(clock, is_so, process):
    """Look until it is so; the limit is for a machine that does a lot beside."""
    until = clock.now_us() + 60_000_000
    while not is_so():
        assert process.poll() is None, process.communicate()
        assert clock.now_us() < until
        clock.sleep_us(10_000)


def test_a_file_is_run_and_gone_on_with(weir, tmp_path):
    lines = [factories.line(factories.message(transaction_id=f"t{k}")) for k in range(3)]
    path, out = tmp_path / "day.ndjson", tmp_path / "out"
    path.write_bytes(b"\n".join(lines[:2]) + b"\n")
    assert weir("run", "--input", path, "--out", out)[0] == 0
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert weir("run", "--input", path, "--out", out)[0] == 0
    assert [d["transaction_id"] for d in decisions(out)] == ["t0", "t1", "t2"]
    assert [d["seq"] for d in decisions(out)] == [0, 1, 2]


# ---------------------------------------------------------------- rules, generate, doctor, demo


@pytest.fixture
def broken(tmp_path):
    """A copy of the shipped pack with a mistake in it."""
    shutil.copytree(BANK, tmp_path / "bank")
    pack = tmp_path / "bank" / "packs" / "core"
    path = pack / "features.yaml"
    wrong = path.read_text().replace(
        "tiny_1h:              count()", "tiny_1h:              cuont()"
    )
    path.write_text(wrong)
    return pack


def test_rules_check_is_content_finds_or_cannot_run(weir, broken, tmp_path):
    status, out, err = weir("rules", "check", BANK / "packs" / "core")
    assert (status, err) == (0, "")
    assert ": 0 errors, 0 warnings." in out.splitlines()[-1]
    status, out, err = weir("rules", "check", broken)
    assert (status, err) == (1, "")
    lines = (broken / "features.yaml").read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if "cuont()" in text)
    assert f"TMP/bank/packs/core/features.yaml:{line}:25 error WR124" in out
    assert ": 1 error, 0 warnings." in out.splitlines()[-1]
    status, out, err = weir(
        "rules", "check", BANK / "packs" / "core", "--config", tmp_path / "none"
    )
    assert (status, out) == (2, "")


def test_rules_test_runs_what_stands_in_rules(weir, tmp_path):
    status, out, _ = weir("rules", "test", BANK / "packs" / "core")
    assert status == 0
    assert "FAIL" not in out
    core = read_setup(BANK, pack_paths=[BANK / "packs" / "core"]).pack
    n = len([r for r in core.rules if r.tests])
    assert out.splitlines()[-1].startswith(f"{n} rules, ")
    shutil.copytree(BANK, tmp_path / "bank")
    pack = tmp_path / "bank" / "packs" / "core"
    path = pack / "rules" / "model.yaml"
    path.write_text(
        path.read_text().replace(
            "model.score: 0.8999, expect: quiet", "model.score: 0.8999, expect: fires"
        )
    )
    status, out, _ = weir("rules", "test", pack, "--rule", "MODEL-PAY-001")
    assert status == 1
    assert "expected fires, but it stayed quiet\n        " in out
    assert "model.score = 0.8999" in out
    assert "1 failed" in out
    assert weir("rules", "test", pack, "--rule", "NO-SUCH")[0] == 2


def test_generate_writes_the_same_bytes_for_the_same_seed(weir, tmp_path):
    for name in ("a", "b"):
        argv = ("--accounts", 50, "--days", 3, "--seed", 9)
        status, out, err = weir("generate", "--out", tmp_path / f"{name}.ndjson", *argv)
        assert (status, out) == (0, "")
        assert " messages in " in err
    assert (tmp_path / "a.ndjson").read_bytes() == (tmp_path / "b.ndjson").read_bytes()


def test_doctor_is_content(weir):
    status, out, _ = weir("doctor")
    assert status == 0, out
    assert "kernels compiled and cached" in out


def test_the_demo_tells_its_story_twice_in_the_same_words(weir, tmp_path):
    def story():
        status, out, _ = weir(
            "demo", "--out", tmp_path / "demo", "--accounts", 60, "--days", 8, "--seed", 3
        )
        assert status == 0
        return decisions(tmp_path / "demo" / "run"), out

    first, told = story()
    again, _ = story()
    assert first == again
    assert "decisions, alerts, commands and reports (.ndjson)" in told


def test_the_demo_removes_nothing_that_it_has_not_written(weir, tmp_path):
    mine = tmp_path / "demo" / "run" / "thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    status, _, err = weir("demo", "--out", tmp_path / "demo", "--accounts", 60, "--days", 8)
    assert status == 2
    assert "holds something that no demo has written" in err
    assert mine.read_text() == "mine"


# ---------------------------------------------------------------- refusals


def replaying(*more):
    return ("replay", "{day}", "--out", "{tmp}/out", *more)


REFUSALS = {
    "missing_input": ("replay", "{tmp}/none.ndjson", "--out", "{tmp}/out"),
    "folder_as_input": ("replay", "{tmp}", "--out", "{tmp}/out"),
    "unknown_ending": ("replay", "{tmp}/day.txt", "--out", "{tmp}/out"),
    "missing_config": replaying("--config", "{tmp}/none"),
    "file_as_config": replaying("--config", "{tmp}/file"),
    "file_as_out": ("replay", "{day}", "--out", "{tmp}/file"),
    "unknown_feed": replaying("--feed", "handbok"),
    "missing_pack": replaying("--pack", "{tmp}/none"),
    "bad_lateness": replaying("--lateness", "15"),
    "long_lateness": replaying("--lateness", "8d"),
    "bad_label_delay": replaying("--label-delay", "one week"),
    "bad_speed": replaying("--speed", "fast"),
    "bad_batch_rows": replaying("--batch-rows", "-1"),
    "bad_from": replaying("--from", "2026-03-02T10:00:00"),
    "empty_range": replaying("--from", "2026-03-02", "--to", "2026-03-02"),
    "features_nowhere": replaying("--features", "{tmp}/none/f.parquet"),
    "features_resumed": replaying("--resume", "--features", "{tmp}/f.parquet"),
    "run_missing_input": ("run", "--input", "{tmp}/none.ndjson", "--out", "{tmp}/out"),
    "run_pipe_with_feed": ("run", "--input", "-", "--out", "{tmp}/out", "--feed", "handbook"),
    "check_missing_pack": ("rules", "check", "{tmp}/none"),
    "test_missing_pack": ("rules", "test", "{tmp}/none"),
    "test_missing_rule": ("rules", "test", "{pack}", "--rule", "NO-SUCH"),
    "generate_nobody": ("generate", "--out", "{tmp}/a.ndjson", "--accounts", "0"),
    "generate_no_days": ("generate", "--out", "{tmp}/a.ndjson", "--days", "0"),
    "generate_rate": ("generate", "--out", "{tmp}/a.ndjson", "--rate", "nan"),
    "generate_ending": ("generate", "--out", "{tmp}/a.csv"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_say_what_where_why_and_what_to_do(name, weir, day, tmp_path, golden):
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "day.txt").write_text("{}")
    names = {"day": day, "tmp": tmp_path, "pack": BANK / "packs" / "core"}
    status, out, err = weir(*(a.format(**names) for a in REFUSALS[name]))
    assert status == 2, out
    assert err.startswith("error: ")
    golden(f"cli/{name}", err.replace(str(BANK), "BANK"))
    assert not (tmp_path / "out" / "decisions.ndjson").exists(), "nothing was begun"


@pytest.mark.parametrize(
    "argv",
    [(), ("nonsense",), ("replay",), ("rules",), ("replay", "x", "--out", "y", "--sped", "1x")],
)
def test_a_wrong_call_shows_how_to_call(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert "usage: weir" in capsys.readouterr().err
