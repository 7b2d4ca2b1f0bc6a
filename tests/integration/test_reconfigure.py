"""An output folder that is gone on with under another configuration: journal, helper process, derived again."""

import json
import shutil

import pytest

from config.settings import BANK
from engine.brokers.files import FileSource
from engine.clock import SystemClock
from engine.core import Core
from engine.durable import snapshots
from engine.durable.disk import RealDisk
from engine.durable.journal import read_journal
from engine.durable.rederive import Rederivation
from engine.progress import Progress
from engine.runner import StopRequest
from engine.setup import read_setup
from engine.starting import open_engine
from tests import banking

NEW = {
    "used_30d": "count() by device over 30d",  # nobody kept devices before
    "payees_3d": "count_distinct(payee) by account over 3d where amount > 20 CNY prior",
    "frauds_9d": 'count() by device over 9d where label == "fraud"',
    "quiet_for": "time_since_last() by counterparty over 5d",
}


@pytest.fixture(scope="module")
def configurations(tmp_path_factory):
    """The shipped configuration, and one with four more features and a rule that reads one of them."""
    folder = tmp_path_factory.mktemp("configurations")
    for name in ("before", "after"):
        shutil.copytree(BANK, folder / name)
        settings = folder / name / "weir.yaml"
        text = settings.read_text()
        assert text.count("snapshot_records: 2000000") == 1
        settings.write_text(text.replace("snapshot_records: 2000000", "snapshot_records: 4096"))
    path = folder / "after" / "packs" / "core" / "features.yaml"
    texts = [f"  {name}: {json.dumps(text)}\n" for name, text in NEW.items()]
    path.write_text(path.read_text() + "".join(texts))
    return read_setup(folder / "before"), read_setup(folder / "after")


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    return banking.traffic(tmp_path_factory.mktemp("traffic"), 4, accounts=120, days=4)


def go_on(out, path, setup):
    """Run what the file has by now, under a configuration; return the engine's notes."""
    source = FileSource([path], setup.feed, setup.schema)
    engine = open_engine(RealDisk(), out, source, setup, SystemClock())
    with StopRequest() as stop, Progress(None, "records", quiet=True) as progress:
        engine.runner.run(progress, stop)
    engine.close()
    return engine.notes, engine.runner.core


@pytest.fixture(scope="module")
def folder(configurations, lines, tmp_path_factory):
    """An output folder whose configuration changed after two thirds of the lines."""
    before, after = configurations
    root = tmp_path_factory.mktemp("runs")
    path, cut = root / "in.ndjson", 2 * len(lines) // 3
    path.write_bytes(b"".join(line + b"\n" for line in lines[:cut]))
    go_on(root / "out", path, before)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    notes, core = go_on(root / "out", path, after)
    return root / "out", notes, core


def config_records(out):
    records = read_journal(RealDisk(), out / "journal").read(0)
    return [record for record in records if record.config is not None]


def test_the_record_says_what_became_of_features_and_from_where_they_were_filled(folder, lines):
    out, notes, _ = folder
    (record,) = config_records(out)
    told = json.loads(record.config)["evidence"]
    assert record.seq0 == 2 * len(lines) // 3
    assert told["features"]["new"] == sorted(NEW)
    assert told["features"]["changed"] == told["features"]["gone"] == told["warming"] == []
    assert told["filled_from"] == 0
    assert any("the configuration changes" in note for note in notes)


def test_features_are_as_if_they_had_always_been_there(folder, configurations, lines):
    """The next message has the same value for every feature as in an engine that was never changed."""
    _, _, core = folder
    always = Core(configurations[1])
    for first in range(0, len(lines), 4_096):
        part = lines[first : first + 4_096]
        always.apply(part, ["x"] * len(part))
    more = [line for line in lines[-600:] if b'"kind":"transaction"' in line]
    more = [line.replace(b'"transaction_id":"', b'"transaction_id":"again-') for line in more]
    assert len(more) > 100
    outcomes = [c.apply(more, ["x"] * len(more)) for c in (core, always)]
    for name in configurations[1].pack.features:
        columns = [
            banking.plain(c, o.frame, name) for c, o in zip((core, always), outcomes, strict=True)
        ]
        assert columns[0] == columns[1], name
    assert any(v for v in banking.plain(core, outcomes[0].frame, "used_30d"))


def test_deriving_the_folder_again_gives_the_same_state(folder):
    """From the beginning, through the configuration record, past being filled in again."""
    out, _, _ = folder
    again = Rederivation(RealDisk(), out)
    again.start(snapshots=False)
    again.run_to(again.journal.seq_end)
    newest = snapshots.numbers(RealDisk(), out)
    found = snapshots.read(RealDisk(), out, max(newest))
    assert found.seq == again.core.seq
    saved = again.core.save()
    assert saved.keys() == found.arrays.keys()
    assert [n for n, a in saved.items() if a.tobytes() != found.arrays[n].tobytes()] == []
