"""What stands beside an engine in tests: the workshop itself, without a process, in a fixed order."""

from engine.reload.filling import Follower
from engine.reload.workshop import Workshop, frames


class Inside:
    """Answers as the process would, when it is asked for an answer and not before."""

    def __init__(self, disk, root, run_tests=lambda _setup, _rules: (0, [])):
        self.workshop = Workshop(disk, root, run_tests)
        self.requests, self.asked = [], []
        self.answers = iter(())
        self.n_deaths = 0
        self.dies_at = ()  # numbers of requests that end it

    @property
    def is_running(self):
        return self.n_deaths == 0

    def ask(self, request):
        if self.n_deaths:  # a new process knows nothing of what the one before was told
            self.n_deaths, self.requests, self.answers = 0, [], iter(())
        self.asked.append(request)
        self.requests.append(request)

    def take(self):
        while self.n_deaths == 0:
            answer = next(self.answers, None)
            if answer is not None:
                return answer
            if not self.requests:
                return None
            if len(self.asked) in self.dies_at:
                self.n_deaths = 1
                return None
            request = self.requests.pop(0)
            if request["do"] != "watch":
                self.answers = frames(self.workshop, request)
        return None

    def stop(self):
        pass


class InsideFilling:
    """Derives the past as the process would, one request each time it is asked for an answer."""

    def __init__(self, disk, root, key=None):
        self._new = lambda: Follower(disk, root, key)
        self.follower, self.requests = self._new(), []
        self.n_answers = 0

    is_running = True

    def ask(self, request):
        self.requests.append(request)

    def take(self):
        while self.requests:
            told = self.follower.requested(self.requests.pop(0))
            if told is not None:
                self.n_answers += "answer" in told
                return told
        return None

    def arrays(self, _told):
        return self.follower.arrays

    def leave(self):
        self.requests = []

    def stop(self):
        self.follower, self.requests = self._new(), []
