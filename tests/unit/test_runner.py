"""When a round is finished: as soon as its input is durable, but no later than behind the next decision."""

import pytest

from engine.app import StopRequest
from engine.clock import ManualClock
from engine.core import Core
from engine.durable.disk import RealDisk
from engine.durable.journal import SegmentedJournal
from engine.progress import Progress
from engine.setup import read_setup
from engine.starting import open_engine
from tests.auditing import small_bank, small_traffic
from tests.sources import Sent

NOW_US = 1_772_790_000_000_000  # after the last of the traffic
CUT = 25


@pytest.mark.parametrize(
    ("is_live", "is_durable", "behind"),
    [(True, True, 0), (True, False, CUT), (False, True, CUT)],
    ids=["durable", "not yet", "recording"],
)
def test_a_live_round_that_is_durable_leaves_before_the_next_is_decided(
    tmp_path, monkeypatch, is_live, is_durable, behind
):
    setup = read_setup(small_bank(tmp_path / "bank"))
    lines = small_traffic(tmp_path / "t.ndjson", 100).read_bytes().splitlines()
    clock = ManualClock(NOW_US)
    source = Sent(lines, CUT, clock if is_live else None)
    engine = open_engine(RealDisk(), tmp_path / "out", source, setup, clock, threaded=False)
    monkeypatch.setattr(SegmentedJournal, "is_durable", lambda *_: is_durable)
    decide, left_behind = Core.apply, []

    def look_and_decide(core, *given, **more):
        left_behind.append(core.seq - engine.runner.written_seq)
        return decide(core, *given, **more)

    monkeypatch.setattr(Core, "apply", look_and_decide)
    with StopRequest() as stop, Progress(None, "msg") as progress:
        engine.runner.run(progress, stop)
    engine.close()
    assert left_behind[:4] == [0, behind, behind, behind]
    assert engine.runner.written_seq == engine.runner.core.seq
