"""`weir run`: messages from a file or standard input as they come, decided by one process, outcomes in a folder."""

import sys
from argparse import Namespace
from pathlib import Path

from config.errors import InputError
from config.settings import NONE
from engine.app import Job, execute, summary_table
from engine.brokers.files import STDIN, FileSource, StreamSource
from engine.clock import SystemClock
from engine.durable import config_store
from engine.durable.disk import RealDisk
from engine.durable.journal import read_journal
from engine.durable.output import JOURNAL, OutputFolder
from engine.ports import Source
from engine.setup import Setup, read_setup
from engine.starting import key_of, needs_a_proposal, needs_approval


def run(arguments: Namespace, reload_helper: str = "") -> int:
    """Run the command; an output folder that was written before is gone on with.

    reload_helper : module whose process checks configurations that are proposed while the engine runs
    """
    given = read_setup(arguments.config, feed=arguments.feed)
    setup = _in_force(arguments.out, given)
    if setup is not given:
        print(needs_a_proposal(arguments.out, setup, given), file=sys.stderr)
    settings = setup.configuration.settings
    clock = SystemClock()
    source: Source
    if arguments.input == STDIN:
        if not setup.feed.is_canonical:
            raise InputError(
                f"standard input cannot be read through the feed `{setup.feed.name}`",
                why="a pipe carries our own NDJSON; foreign shapes need a file",
                fix="leave --feed out, or write the messages to a file",
            )
        source = StreamSource(sys.stdin.fileno(), clock, line_bytes=settings.message_bytes_max)
        total = None
    else:
        files = FileSource(
            [Path(arguments.input)],
            setup.feed,
            setup.schema,
            clock=clock,
            line_bytes=settings.message_bytes_max,
        )
        source, total = files, files.records_total
    job = Job(
        setup,
        arguments.out,
        settings.rows_max,
        inputs=(arguments.input,),
        resume=OutputFolder(arguments.out).is_used(),
        rewinds=arguments.input != STDIN,
        is_live=True,
        metrics_port=arguments.metrics_port,
        total=total,
        reload_helper=reload_helper,
        watched=str(arguments.config.resolve()) if arguments.watch else "",
    )
    print(summary_table(execute(job, source)))
    return 0


def _in_force(root: Path, given: Setup) -> Setup:
    """The configuration to start with: the active one if it asks for approval, else what was given.

    Messages are mapped by feed and schema before an engine sees them, so this is settled first.
    """
    disk, settings = RealDisk(), given.configuration.settings
    if settings.durability == NONE or not disk.names(root / JOURNAL):
        return given
    active = read_journal(disk, root / JOURNAL, key_of(settings)).config
    if active in ("", given.sha256):
        return given
    stored = config_store.stored(disk, root, active)
    return stored if needs_approval(stored) else given
