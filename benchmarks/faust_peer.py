"""A plain Faust worker that does the same scoring: what bench_cluster.py compares the bulk lane with.

    python -m benchmarks.faust_peer CONFIG one|take|score

one   : `async for` over the events, each decided by itself, its decision sent
take  : `stream.take`, the list decided as one batch, each decision sent
score : the same, and nothing is sent: what of the time is Faust's way in

The same core, configuration and topics as those of a worker; nothing durable, no transactions, at least once: whatever
makes the peer slower than it must be is left out.
"""

import sys
import time
from pathlib import Path

import faust
import numpy as np

from engine.core import Core
from engine.setup import read_setup

TAKE, WITHIN_S = 4_096, 0.05


class Scoring:
    """The core of one partition, as a worker runs it."""

    def __init__(self, setup, topic):
        self.core = Core(setup)
        self.core.warm_up()
        self.topic, self.offset = topic, 0

    def decide(self, lines):
        """The decisions on `lines`, in their order."""
        positions = [f"{self.topic}/0@{self.offset + k}" for k in range(len(lines))]
        self.offset += len(lines)
        taken_us = np.full(len(lines), time.time_ns() // 1_000, np.int64)
        outcome = self.core.apply(lines, positions, taken_us)
        return (outcome.streams.get("decisions") or b"").splitlines()


def main(argv):
    setup = read_setup(Path(argv[0]))
    kind = argv[1]
    settings = setup.configuration.settings.cluster
    scoring = Scoring(setup, settings.input)
    app = faust.App(
        f"{settings.prefix}-plain",
        broker=f"kafka://{settings.brokers}",
        store="memory://",
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=TAKE,
        stream_buffer_maxsize=TAKE,
        web_enabled=False,
    )
    raw = {"value_type": bytes, "value_serializer": "raw"}
    decisions = app.topic(settings.topic("decisions"), **raw)

    async def each(stream):
        async for line in stream:
            for decision in scoring.decide([line]):
                await decisions.send(value=decision, partition=0)

    async def lists(stream):
        async for lines in stream.take(TAKE, within=WITHIN_S):
            for decision in scoring.decide(lines):
                await decisions.send(value=decision, partition=0)

    async def score(stream):
        n = 0
        async for lines in stream.take(TAKE, within=WITHIN_S):
            told = scoring.decide(lines)
            n += len(told)
            await decisions.send(value=b"%d" % n, partition=0)  # how far it is

    app.agent(app.topic(settings.input, **raw), name="plain")(
        {"one": each, "take": lists, "score": score}[kind]
    )
    app.Worker(loglevel="WARN", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(sys.argv[1:])
