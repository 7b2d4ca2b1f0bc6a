"""The partitions of one worker, stepped in turn, in one thread beside the loop that speaks with the broker."""

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeAlias, TypeVar

from engine.clock import Clock, SystemClock
from engine.cluster.lane import Lane
from engine.cluster.partition import Partition
from engine.cluster.ports import FencedError, NotTakenError
from engine.cluster.shared_lists import Shared

IDLE_S = 0.005  # between two looks at everything, where nothing arrives

Result = TypeVar("Result")
TakeOver: TypeAlias = Callable[[int, Lane], Partition]


class Crew:
    """Safe to call from the broker's thread; what takes time gives a future, and every future is answered.

    take_over : opens a partition
    lost      : told of a partition that is not open any more and was not handed on, from the crew's thread
    shared    : lists as they stand for all workers
    failed    : told of what ended the thread, if not `stop`: nothing is decided any more, and the worker must end
    """

    def __init__(
        self,
        topic: str,
        take_over: TakeOver,
        lost: Callable[[int], None],
        failed: Callable[[BaseException], None],
        clock: Clock | None = None,
        shared: Callable[[], Mapping[str, Shared]] = dict,
    ) -> None:
        self._clock = SystemClock() if clock is None else clock
        self._shared = shared
        self._topic, self._take_over, self._lost, self._failed = topic, take_over, lost, failed
        self.lanes: dict[int, Lane] = {}  # of the partitions that are open, for whoever fetches
        self._partitions: dict[int, Partition] = {}  # touched by the crew's thread only
        self._asked: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake = threading.Event()
        self._is_leaving = False  # nothing is taken any more
        self._is_over = False
        self.failure: BaseException | None = None  # what ended the thread, if not `stop`
        self.seen_ns = self._clock.monotonic_ns()  # when it came round last
        self._thread = threading.Thread(target=self._run, name="crew", daemon=True)
        self._thread.start()

    def take(self, partition: int) -> "Future[Lane]":
        """Take a partition over; gives its lane once it is open. It is fed by `feed`, from `next_offset` on.

        `NotTakenError` if that was not possible, and may be another time, or if the crew is stopping.
        """
        return self._ask(lambda: self._open(partition))

    def feed(self, partition: int, lane: Lane) -> None:
        """From now on `lanes` has it: what is fetched begins where it stands."""
        self.lanes[partition] = lane

    def settle(self) -> "Future[None]":
        """Done when everything that was taken is decided and visible."""
        return self._ask(lambda: self._each(self._partitions, lambda p: p.settle()))

    def hand_on(self, partitions: Iterable[int]) -> "Future[None]":
        """Finish these partitions and leave snapshots for their next owners."""
        gone = list(partitions)
        return self._ask(lambda: self._each(gone, lambda p: p.hand_on(), keep=False))

    def stop(self) -> "Future[None]":
        """Hand on everything, and end the thread; what waits to be opened is not opened any more."""
        self._is_leaving = True
        return self._ask(self._stop)

    def waiting(self) -> dict[int, int]:
        """Lines on their way to readers, by partition; from any thread."""
        return {number: p.backlog for number, p in list(self._partitions.items())}

    # ------------------------------------------------------------ in the thread

    def _run(self) -> None:
        try:
            while not self._is_over:
                self.seen_ns = self._clock.monotonic_ns()
                self._answer_one()  # opening a large partition takes seconds: the others go on in between
                n_busy = sum(self._step(number) for number in list(self._partitions))
                # the disk has synced one batch while the next partitions decided theirs
                self._each(self._partitions, lambda p: p.finish())
                if not n_busy:
                    self._wake.wait(IDLE_S)
                    self._wake.clear()
        except BaseException as error:  # noqa: BLE001 - a full disk or a broken invariant: the worker ends with it
            self.failure = error
            self._is_leaving = self._is_over = True
            self._failed(error)
        self._answer()  # whoever asked meanwhile

    def _step(self, number: int) -> bool:
        partition = self._partitions[number]
        if partition.lane.is_held:
            return False
        try:
            partition.share(self._shared())
            if partition.step():
                return True
            partition.tick_if_silent()
        except FencedError:
            self._drop(number)
            self._lost(number)
        return False

    def _open(self, number: int) -> Lane:
        if self._is_leaving:
            raise NotTakenError("the worker is leaving")
        lane = Lane(self._topic, number, self._wake.set)
        if number in self._partitions:  # of an assignment before this one
            self._drop(number)
        self._partitions[number] = self._take_over(number, lane)
        return lane

    def _each(
        self, numbers: Iterable[int], do: Callable[[Partition], None], *, keep: bool = True
    ) -> None:
        for number in list(numbers):
            partition = self._partitions.get(number)
            if partition is None:
                continue
            try:
                do(partition)
            except FencedError:
                self._drop(number)
                if keep:
                    self._lost(number)
            if not keep:
                self._partitions.pop(number, None)
                self.lanes.pop(number, None)

    def _drop(self, number: int) -> None:
        self.lanes.pop(number, None)
        self._partitions.pop(number).close()

    def _stop(self) -> None:
        self._each(self._partitions, lambda p: p.hand_on(), keep=False)
        self._is_over = True

    def _ask(self, do: Callable[[], Result]) -> "Future[Result]":
        future: Future[Result] = Future()

        def answer() -> None:
            if not future.set_running_or_notify_cancel():
                return  # nobody waits for it any more
            if self.failure is not None:
                future.set_exception(self.failure)
                return
            try:
                future.set_result(do())
            except NotTakenError as error:
                future.set_exception(error)
            except BaseException as error:
                future.set_exception(error)
                raise

        self._asked.put(answer)
        self._wake.set()
        if self._is_over:
            self._answer()  # by whoever asks: the thread has looked for the last time, or is about to
        return future

    def _answer(self) -> None:
        while self._answer_one():
            pass

    def _answer_one(self) -> bool:
        try:
            answer = self._asked.get_nowait()
        except Empty:
            return False
        answer()
        return True
