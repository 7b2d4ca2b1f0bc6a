"""The process that derives the past of features which came in while the engine runs: it follows the journal beside it.

`Follower` is plain code without a process around it, so that the simulator can run it on its own disk. Requests and
answers are JSON objects:

    {"do": "begin", "config": H, "question": base64}    what is missing (engine/backfill.py), without dictionaries
    {"do": "texts", "dictionary": name, "texts": [..]}  of the dictionaries, in their order, a piece at a time
    {"do": "follow", "to": seq, "orders": base64}       take in what comes before `seq`; rows of lists count by then
        -> {"at": seq}
    {"do": "answer", "seq": seq, "orders": base64, "forgotten": {...}}    as `follow`, before a record `seq - 1`
        -> {"answer": [[name, dtype, shape, offset], ...], "bytes": n, "took_ms": t}   the arrays stand in the file
    whatever fails -> {"failed": what, "why": ..., "fix": ...}, and nothing more

The arrays go into a file without a name that both processes have open: in memory where the system can (Linux), so that
of an encrypted folder nothing is ever on a disk in plain.
"""

import base64
import json
import os
import select
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec
from numpy.typing import NDArray

from config.errors import WeirError
from engine.backfill import ROWS_MAX, Side, beginning, packed_arrays, unpacked_arrays
from engine.clock import SystemClock
from engine.durable.disk import Disk, RealDisk
from engine.durable.journal import Following
from engine.durable.rederive import Rederivation, blocks
from engine.framing import Told, write_frame
from engine.lists import Order
from engine.sharing import put, warm
from engine.state import Arrays
from engine.texts import save_texts

READ_BYTES: Final = 1 << 16
REMEMBERED_BYTES: Final = 16  # of a transaction, in an answer
NICENESS: Final = 10


class Follower:
    """Answers the requests of one engine about one configuration; another `begin` begins anew."""

    def __init__(self, disk: Disk, root: Path, key: bytes | None = None) -> None:
        """`key` in place of the one that the settings of the configuration name."""
        self._disk, self._root, self._key = disk, root, key
        self._question: Arrays = {}
        self._texts: dict[str, list[str]] = {}
        self._config = ""
        self._side: Side | None = None
        self._following: Following | None = None
        self.arrays: Arrays = {}  # the last answer

    def requested(self, request: Mapping[str, Any]) -> Told | None:
        """Answer one request; what is wrong is an answer, never an exception."""
        try:
            return self._requested(request)
        except (WeirError, OSError, MemoryError) as error:
            said = (
                {"failed": error.what, "why": error.why, "fix": error.fix}
                if isinstance(error, WeirError)
                else {"failed": f"{type(error).__name__}: {error}", "why": "", "fix": ""}
            )
            self._side = self._following = None
            return said

    def _requested(self, request: Mapping[str, Any]) -> Told | None:
        if request["do"] == "begin":
            self._config, self._texts = request["config"], {}
            self._question = unpacked_arrays(base64.b64decode(request["question"]))
            self._side = self._following = None
        elif request["do"] == "texts":
            self._texts.setdefault(request["dictionary"], []).extend(request["texts"])
        elif request["do"] == "follow":
            if self._side is None:
                self._begin()
            assert self._side is not None
            self._follow(request["to"], request["orders"])
            return {"at": self._side.core.seq}
        elif request["do"] == "answer":
            assert self._side is not None, "nothing was followed"
            self._follow(request["seq"] - 1, request["orders"])
            self.arrays = self._side.answer(request["seq"], request["forgotten"])
            self._side = self._following = None
            return {"answer": True}
        return None

    @property
    def n_bytes(self) -> int:
        """About how large the answer would be now."""
        if self._side is None:
            return 0
        core = self._side.core
        logs = [log for windows in core.windows for log in windows.logs.values()]
        used = sum(array.nbytes for log in logs for array in log.used().values())
        return used + len(core.remembered) * REMEMBERED_BYTES

    def _begin(self) -> None:
        from engine.starting import key_of  # it comes here itself

        found = Rederivation(self._disk, self._root)
        setup = found.setup_of(self._config)
        key = self._key or key_of(setup.configuration.settings)
        again = Rederivation(self._disk, self._root, key=key)
        for name, texts in self._texts.items():
            saved = save_texts(texts)
            self._question |= {f"dictionaries/{name}/{k}": v for k, v in saved.items()}
        start = beginning(again, self._root)
        self._side = Side(self._question, setup, start)
        self._texts = {}
        self._following = Following(again.disk, again.journal, self._side.core.seq)

    def _follow(self, seq_end: int, orders: str) -> None:
        assert self._side is not None
        assert self._following is not None
        known = msgspec.json.decode(base64.b64decode(orders), type=list[Order])
        core = self._side.core
        core.lists.expect(order for order in known if order.row.seq >= core.seq)
        parent = os.getppid()
        for block in blocks(self._following.read(seq_end), ROWS_MAX):
            self._side.take(block)
            if os.getppid() != parent:  # the engine has gone
                return


def question_of(arrays: Mapping[str, NDArray[Any]]) -> str:
    """A question as text, for `begin`."""
    return base64.b64encode(packed_arrays(arrays)).decode()


def orders_of(orders: list[Order]) -> str:
    """Orders as text, for `follow`."""
    return base64.b64encode(msgspec.json.encode(orders)).decode()


def serve(root: Path, file: int) -> int:
    """Answer requests on standard input until it ends; returns the exit status."""
    out = os.dup(1)
    os.dup2(2, 1)  # what anybody prints is for people
    follower, clock = Follower(RealDisk(), root), SystemClock()
    with ThreadPoolExecutor(1, initializer=_step_back) as patient:
        for request in _requests():
            began_ns = clock.monotonic_ns()
            if request["do"] != "answer":
                told = patient.submit(follower.requested, request).result()
                warm(file, follower.n_bytes)
            else:  # transactions wait
                told = follower.requested(request)
            if told is not None and "answer" in told:
                told = put(file, follower.arrays)
                follower.arrays = {}
                told["took_ms"] = round((clock.monotonic_ns() - began_ns) / 1e6, 3)
            if told is not None:
                write_frame(out, told)
    return 0


def _step_back() -> None:
    """Let others go first; on Linux that holds for the thread that asks for it, elsewhere for the process."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)


def _requests() -> Iterator[Told]:
    pending = bytearray()
    while True:
        select.select([0], [], [])
        data = os.read(0, READ_BYTES)
        if not data:
            return
        pending += data
        *lines, rest = pending.split(b"\n")
        pending = rest
        for line in lines:
            yield json.loads(line)


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1]), int(sys.argv[2])))
