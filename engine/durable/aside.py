"""Something slow beside the loop: a sync releases the interpreter, so that the next batch is decided meanwhile."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeAlias

Action: TypeAlias = Callable[[], None]


class Aside:
    """One action at a time, in a thread of its own; `wait` ends each.

    threaded : without it an action is run by `wait`, in the thread that waits and in a fixed order
    """

    def __init__(self, name: str, *, threaded: bool) -> None:
        self._begun: Action | None = None  # and not waited for
        self._ended: list[Exception | None] = []  # what it raised, once that is known
        self._asked: SimpleQueue[Action | None] = SimpleQueue()
        self._done: SimpleQueue[Exception | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()

    def begin(self, action: Action) -> None:
        """Run `action` beside what follows; the one before it was waited for."""
        assert self._begun is None, "one at a time"
        self._begun = action
        if self._thread is not None:
            self._asked.put(action)

    def is_done(self, within_us: int = 0) -> bool:
        """Whether `wait` would return at once, now or within that time; without a thread, if nothing was begun."""
        if self._begun is None or self._ended:
            return True
        if self._thread is None:
            return False
        try:
            self._ended.append(self._done.get(timeout=within_us / 1e6))
        except Empty:
            return False
        return True

    def wait(self) -> None:
        """Return when what was begun is done, at once if nothing was; raises what it raised."""
        action, self._begun = self._begun, None
        if action is None:
            return
        if self._thread is None:
            action()
            return
        error = self._ended.pop() if self._ended else self._done.get()
        if error is not None:
            raise error

    def stop(self) -> None:
        """End the thread, after what was begun. Harmless when called twice."""
        if self._thread is not None and self._thread.is_alive():
            self._asked.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (action := self._asked.get()) is not None:
            try:
                action()
            except Exception as error:  # noqa: BLE001  told by `wait`, whatever it is
                self._done.put(error)
            else:
                self._done.put(None)
