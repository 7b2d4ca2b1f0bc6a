"""What people see when a command is interrupted, or the machine has no room: a sentence, never a traceback."""

import errno
import os
import signal
from argparse import Namespace

import pytest

from engine import cli
from engine.app import Job, execute, summary_table
from engine.brokers.files import FileSource
from replay.generate import generate
from tests.banking import shipped_setup


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, ["stopped"]),
        (MemoryError("7 TiB"), 2, ["not enough memory: 7 TiB", "fix: "]),
        (OSError(errno.ENOSPC, "No space left on device"), 2, ["error: No space left", "fix: "]),
        (OSError(errno.EISDIR, "Is a directory", "x"), 2, ["error: x: Is a directory", "fix: "]),
        (OSError("odd"), 2, ["error: odd"]),
    ],
)
def test_what_stops_a_command_is_one_sentence(monkeypatch, capsys, error, status, said):
    def broken(_arguments: Namespace) -> int:
        raise error

    monkeypatch.setattr(cli, "_doctor", broken)
    assert cli.main(["doctor"]) == status
    told = capsys.readouterr().err
    assert all(part in told for part in said)
    assert "Traceback" not in told


class Interrupted(FileSource):
    """A file during which somebody presses Ctrl-C."""

    def poll(self, rows_max, wait_us):
        os.kill(os.getpid(), signal.SIGINT)
        return super().poll(rows_max, wait_us)


@pytest.mark.parametrize("kind", [FileSource, Interrupted])
def test_a_summary_says_that_the_run_was_stopped(tmp_path, kind):
    """Figures of half a recording look like those of a whole one."""
    path = tmp_path / "a.ndjson"
    generate(path, accounts=60, days=3, fraud_share=0.0)
    setup = shipped_setup()
    job = Job(setup, tmp_path / "out", 64, inputs=("a",), quiet=True)
    summary = execute(job, kind([path], setup.feed, setup.schema))
    assert ("stopped" in summary) == ("stopped " in summary_table(summary)) == (kind is Interrupted)
