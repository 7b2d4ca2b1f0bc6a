"""`weir audit verify` beside a running engine, and on a folder that somebody made look like a killed run."""

import shutil

import numpy as np
import pytest

from engine.clock import ManualClock
from engine.durable.disk import RealDisk
from engine.durable.holding import is_being_written, only_writer
from engine.durable.journal.frames import HEAD_BYTES
from engine.durable.sealing import GRID
from engine.ports import Messages
from engine.progress import Progress
from engine.runner import StopRequest
from engine.setup import read_setup
from engine.starting import open_engine
from replay.audit import verify
from tests.auditing import replayed, small_bank

NOW_US = 1_772_790_000_000_000


class Ticks:
    """A source of `n` messages, `GRID` a poll."""

    is_live = False

    def __init__(self, n):
        self.n, self.at = n, 0

    def poll(self, rows_max, wait_us):
        numbers = range(self.at, min(self.n, self.at + rows_max))
        self.at = numbers.stop
        lines = [b'{"kind":"tick","event_time":%d}' % (NOW_US // 1_000 + k) for k in numbers]
        return Messages(lines, [f"t:{k}" for k in numbers], None) if lines else None

    def resume_after(self, position):
        return None

    def commit(self, position):
        pass

    def close(self):
        pass


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return replayed(tmp_path_factory.mktemp("running"), 300)


def test_what_a_running_engine_has_under_its_hands_is_no_difference(whole, tmp_path):
    """Lines behind the chain, half a frame, half a seal, a snapshot without its note: all of it is on its way."""
    root = tmp_path / "out"
    shutil.copytree(whole, root)
    (segment,) = (root / "journal").iterdir()
    for name, more in [
        ("decisions.ndjson", b'{"seq":9999,"transaction_id":"next"}\n'),
        ("delivery.ndjson", b'{"seq0":9999,'),
        ("seals.ndjson", b'{"about":"'),
        (f"journal/{segment.name}", b"WjF1"),
    ]:
        with (root / name).open("ab") as file:
            file.write(more)
    (root / "snapshots" / f"{99_999:016d}").mkdir()
    (root / "snapshots" / f".{99_998:016d}.new").mkdir()
    assert not verify.report(root).is_fine, "where nobody writes, each of them is a finding"
    with only_writer(root):
        assert is_being_written(root)
        report = verify.report(root)
        assert report.is_fine, report.headline
        assert any("An engine is writing this folder" in remark for remark in report.remarks)
        with (root / "decisions.ndjson").open("r+b") as file:
            file.seek(200)
            file.write(np.random.default_rng(0).bytes(8))
        assert not verify.report(root).is_fine, "what is sealed is verified all the same"
    assert not is_being_written(root)


@pytest.mark.parametrize("n", [2, 3])
def test_a_chain_cut_further_than_a_crash_can_is_found_and_no_other(tmp_path, n):
    """Without the end of its journal the folder looks like that of a killed run, and everything derives."""
    root, setup = tmp_path / "out", read_setup(small_bank(tmp_path / "bank"))
    clock = ManualClock(NOW_US)
    engine = open_engine(RealDisk(), root, Ticks(n * GRID), setup, clock, threaded=False)
    with StopRequest() as stop, Progress(None, "msg") as progress:
        engine.runner.run(progress, stop)
    engine.close()
    shutil.rmtree(root / "snapshots")
    (segment,) = (root / "journal").iterdir()
    segment.write_bytes(segment.read_bytes()[:-HEAD_BYTES])
    (root / "seals.ndjson").unlink()
    report = verify.report(root)
    assert report.is_fine == (n == 2), report.headline
    is_cut = f"and a crash leaves {2 * GRID} at most: the chain was cut" in report.headline
    assert is_cut == (n == 3), report.headline
