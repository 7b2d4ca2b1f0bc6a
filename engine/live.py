"""`weir run`: messages from a file or standard input as they come, decided by one process, outcomes in a folder."""

import contextlib
import sys
from argparse import Namespace
from pathlib import Path

from config.errors import ConfigError, InputError
from config.settings import NONE
from engine.app import Job, execute, summary_table
from engine.brokers.files import STDIN, FileSource, StreamSource
from engine.clock import SystemClock
from engine.core import Core
from engine.durable import config_store
from engine.durable.disk import RealDisk
from engine.durable.journal import read_journal
from engine.durable.output import JOURNAL, OutputFolder
from engine.ports import Source
from engine.setup import Setup, read_setup
from engine.sinks.outlets import Outlets
from engine.starting import Engine, key_of, needs_a_proposal, needs_approval


def run(arguments: Namespace, reload_helper: str = "") -> int:
    """Run the command; an output folder that was written before is gone on with.

    reload_helper : module whose process checks configurations that are proposed while the engine runs
    """
    given = read_setup(arguments.config, feed=arguments.feed, compares_locks=True)
    for note in given.notes:
        print(f"note: {note}", file=sys.stderr)
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
    print(summary_table(execute(job, source, attach=_attach_outlets)))
    return 0


def _attach_outlets(engine: Engine, stack: contextlib.ExitStack) -> None:
    """Have commands and restrictions carried out of this engine, as its settings say. No replay comes through here."""
    outlets = Outlets(engine.out.root.resolve(), engine.runner.clock)

    def follow(core: Core) -> None:
        try:
            outlets.configure(core.setup.configuration)
        except ConfigError as error:  # decisions go on; so does what carried outcomes out before
            print(f"error: what leaves the engine stays as it was: {error}", file=sys.stderr)

    for note in outlets.notes(engine.setup.configuration.settings):
        print(note, file=sys.stderr)
    outlets.configure(engine.setup.configuration)
    stack.callback(outlets.stop)
    engine.runner.outlets = outlets
    engine.runner.followers += (follow,)
    engine.runner.metrics.show_outlets(outlets)


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
