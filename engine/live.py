"""`weir run`: messages from a file or standard input as they come, decided by one process, outcomes in a folder."""

import sys
from argparse import Namespace
from pathlib import Path

from config.errors import InputError
from engine.app import Job, execute, summary_table
from engine.brokers.files import STDIN, FileSource, StreamSource
from engine.clock import SystemClock
from engine.durable.output import OutputFolder
from engine.ports import Source
from engine.setup import read_setup


def run(arguments: Namespace) -> int:
    """Run the command; an output folder that was written before is gone on with."""
    setup = read_setup(arguments.config, feed=arguments.feed)
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
    )
    print(summary_table(execute(job, source)))
    return 0
