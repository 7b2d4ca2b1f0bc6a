"""Nobody is named where it is not needed: not in metrics, not on the screen, not in summaries, seals or manifests.

Streams, journal, snapshots and the stored configuration do hold names; they are what an audit needs, and can be
encrypted. Everything else an engine says about itself must not.
"""

import json

import pytest
from prometheus_client import generate_latest

from config.pseudonyms import KEY_ENV
from config.settings import BANK
from engine import cli
from engine.durable.output import STREAMS
from engine.metrics import Metrics
from tests.banking import every, fresh_core, shipped_setup, traffic


def personal_values(lines):
    """Every text that stands in a personal field of a message, four characters or longer."""
    keys = {c.key for c in shipped_setup().schema.columns.values() if c.personal}
    found = set()
    for line in lines:
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        if isinstance(fields, dict):
            found |= {
                v for k, v in fields.items() if k in keys and isinstance(v, str) and len(v) > 3
            }
    return found


def named_in(text, names):
    """Which of the names stand in a text, as whole words."""
    words = set()
    for mark in ('"', "'", " ", "\n", ",", ":", "{", "}", "[", "]", "`", "=", "/", "(", ")"):
        text = text.replace(mark, "\0")
    words |= set(text.split("\0"))
    return words & names


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with everything that goes wrong on the way; returns its folder and the names in its messages."""
    folder = tmp_path_factory.mktemp("personal")
    lines = traffic(folder, 8, accounts=80, days=3)
    recording = folder / "bank.ndjson"
    recording.write_bytes(b"".join(line + b"\n" for line in lines))
    return folder, recording, personal_values(lines)


@pytest.fixture(scope="module")
def out(run):
    """Its output folder, for reports."""
    folder, recording, _ = run
    command = ["replay", str(recording), "--config", str(BANK), "--out", str(folder / "reports")]
    assert cli.main(command) == 0
    return folder / "reports"


def test_the_screen_shows_no_name(run, capfd):
    """Summary, progress and warnings of a replay, with late, repeated, broken and undecided messages in it."""
    folder, recording, names = run
    command = ["replay", str(recording), "--config", str(BANK), "--out", str(folder / "out")]
    assert cli.main([*command, "--batch-rows", "64"]) == 0
    said = capfd.readouterr()
    assert len(names) > 200
    assert not named_in(said.out, names)
    assert not named_in(said.err, names)
    for path in sorted((folder / "out").rglob("*")):
        inside = path.relative_to(folder / "out")
        holds_names = inside.parts[0] in ("journal", "config") or path.name == "state.npz"
        if path.is_file() and not holds_names and path.stem not in STREAMS:
            assert not named_in(path.read_text(errors="replace"), names), inside


def test_metrics_carry_no_name(run):
    """Labels are rules, kinds, reasons and stages; none is taken from a message's personal field."""
    _, recording, names = run
    core, metrics = fresh_core(), Metrics()
    lines = recording.read_bytes().splitlines()
    for a in [0, *every(200, len(lines))]:
        part = lines[a : a + 200]
        outcome = core.apply(part, [f"x:{a + i}" for i in range(len(part))])
        metrics.count(outcome.counts, len(part))
    page = generate_latest(metrics.registry()).decode()
    assert "weir_decisions_total" in page
    assert not named_in(page, names)


@pytest.mark.parametrize(
    "verb", ["exceptions", "restrictions", "changes", "verify", "access", "explain"]
)
def test_reports_show_pseudonyms(run, out, verb, capsys, monkeypatch):
    _, _, names = run
    monkeypatch.setenv(KEY_ENV, "a secret that is long enough")
    capsys.readouterr()
    loudest = max(
        map(json.loads, (out / "decisions.ndjson").read_bytes().splitlines()),
        key=lambda d: len(d["fired"]),
    )
    more = ["--seq", str(loudest["seq"])] if verb == "explain" else []
    assert cli.main(["audit", verb, str(out), *more]) == 0
    assert not named_in(capsys.readouterr().out, names)
