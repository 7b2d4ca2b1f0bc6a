"""`weir replay` and `weir demo`: recorded traffic through the same core as `weir run`, without any command sink."""

import contextlib
import shutil
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from config.durations import duration_us
from config.errors import InputError
from config.settings import BANK, instant_us
from engine.app import Job, execute
from engine.batch import LABEL
from engine.brokers.files import FileSource
from engine.clock import SystemClock
from engine.core import Core, Outcome
from engine.durable.disk import RealDisk
from engine.durable.encrypted_disk import unlocked
from engine.durable.output import FILES, FOLDERS, STREAMS
from engine.ports import Source
from engine.progress import Progress
from engine.runner import Observer
from engine.setup import read_setup
from engine.starting import key_of
from replay import demo, evaluate
from replay.bank.truth import Truth, truth_path
from replay.features import FeatureFile, check_folder
from replay.generate import generate
from replay.pacing import Between, Paced, check_order, factor_of
from replay.report.making import FILE as REPORT
from replay.report.making import write_whole
from replay.story import read_story


def replay(arguments: Namespace) -> tuple[dict[str, Any], str]:
    """Run the command; return the summary, and the table of the evaluation if one was asked for."""
    setup = read_setup(
        arguments.config,
        pack_paths=arguments.pack,
        feed=arguments.feed,
        lateness=arguments.lateness,
        rows_max=arguments.batch_rows,
        compares_locks=True,
    )
    for note in setup.notes:
        print(f"note: {note}", file=sys.stderr)
    from_us = instant_us("--from", arguments.from_) if arguments.from_ else None
    to_us = instant_us("--to", arguments.to) if arguments.to else None
    check_order(from_us, to_us)
    factor = factor_of(arguments.speed)
    delay_us = duration_us(arguments.label_delay) if arguments.label_delay else None
    if arguments.resume and (arguments.features is not None or arguments.evaluate):
        raise InputError(
            "`--resume` does not go with `--features` or `--evaluate`",
            why="both need the whole recording, and the run before has not kept what it saw of its part",
            fix="replay the whole into another folder, or leave them out",
        )
    if arguments.features is not None:
        check_folder(arguments.features)
    recording = FileSource(
        arguments.inputs,
        setup.feed,
        setup.schema,
        delay_us=delay_us,
        line_bytes=setup.configuration.settings.message_bytes_max,
    )
    source: Source = recording
    if from_us is not None or to_us is not None:
        source = Between(recording, from_us, to_us)
    if factor is not None:
        source = Paced(source, factor, SystemClock(), setup.configuration.settings.jump_max_us)
    job = Job(
        setup,
        arguments.out,
        setup.configuration.settings.rows_max,
        inputs=tuple(map(str, arguments.inputs)),
        resume=arguments.resume,
        total=recording.records_total,
    )
    verdicts = Verdicts()
    with contextlib.ExitStack() as stack:

        def observe(core: Core) -> Sequence[Observer]:
            observers: list[Observer] = [verdicts] if arguments.evaluate else []
            if arguments.features is not None:
                observers.append(stack.enter_context(FeatureFile(arguments.features, core)))
            return observers

        summary = execute(job, source, observe=observe)
    table = ""
    if arguments.evaluate:
        is_handbook = setup.feed.name == "handbook"
        disk = unlocked(RealDisk(), arguments.out, key_of(setup.configuration.settings))
        decisions = arguments.out / "decisions.ndjson"
        scored = evaluate.read_scored(decisions, verdicts.frauds, disk=disk)
        evaluation = evaluate.evaluate(
            scored,
            evaluate.HANDBOOK_TRAINING if is_handbook else (),
            evaluate.HANDBOOK_BANK_DAY if is_handbook else 0,
        )
        summary["evaluation"] = evaluation.as_dict()
        table = evaluation.table()
        if truth := truth_beside(arguments.inputs):
            story = read_story(arguments.out, truth, disk=disk)
            summary["story"] = story.as_dict()
            table += f"\n\n{demo.table(story)}"
    return summary, table


def truth_beside(inputs: Sequence[Path]) -> Truth | None:
    """What `weir generate` wrote beside the recordings, if they are generated ones."""
    paths = [truth_path(path) for path in inputs]
    if not all(path.is_file() for path in paths):
        return None
    return Truth(tuple(mark for path in paths for mark in Truth.read(path).marks))


class Verdicts:
    """An observer that keeps the last verdict on each transaction that was ever called a fraud."""

    def __init__(self) -> None:
        self.frauds: evaluate.Labels = {}

    def __call__(self, outcome: Outcome) -> None:
        batch = outcome.batch
        for row in np.flatnonzero(batch.kind == LABEL).tolist():
            record = batch.records[row]
            assert record is not None
            identity = (str(record.account), str(record.transaction_id))
            if record.label == "fraud" or identity in self.frauds:
                self.frauds[identity] = int(record.label == "fraud")


def show_demo(out: Path, accounts: int, days: int, seed: int) -> int:
    """Generate a bank's weeks, run them through the engine, and tell what was caught."""
    setup = read_setup(BANK)
    out.mkdir(parents=True, exist_ok=True)
    traffic = out / "traffic.ndjson"
    run = out / "run"
    _check_is_demo(run)
    print(f"generating {accounts:,} accounts over {days} days (seed {seed}) ...", file=sys.stderr)
    with Progress(days, " days") as bar:
        truth = generate(
            traffic, accounts=accounts, days=days, seed=seed, progress=lambda _: bar.advance(1)
        )
    if run.exists():  # removed only now: an impossible wish leaves the earlier run in place
        shutil.rmtree(run)
    source = FileSource([traffic], setup.feed, setup.schema)
    job = Job(setup, run, setup.configuration.settings.rows_max, inputs=(str(traffic),))
    summary = execute(job, source)
    if "stopped" in summary:
        print(f"Stopped {summary['stopped']}: this is what was seen until then.\n")
    print(demo.tell(read_story(run, truth), summary, setup.pack.reasons))
    print(
        f"\nEverything it said lies in {run}: decisions, alerts, commands and reports (.ndjson); what really "
        f"happened stands in {truth_path(traffic)}."
    )
    page = write_whole(run, out / REPORT, reveal=True)  # generated names are nobody's
    print(f"The same to look at, with plots: {page}")
    return 0


def _check_is_demo(run: Path) -> None:
    """Refuse a folder that holds anything but an earlier demo, which will be removed."""
    if not run.exists():
        return
    known = {f"{stream}.ndjson" for stream in STREAMS} | set(FOLDERS) | set(FILES)
    if not run.is_dir() or not {path.name for path in run.iterdir()} <= known:
        raise InputError(
            f"{run} holds something that no demo has written",
            fix="name another folder with --out, or move it away",
        )
