"""A Redis server of its own for a test: on a free port of 127.0.0.1, in a folder of its own, killed by its pid."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

WAIT_S = 120.0


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Redis:
    """A real server; `kill` is SIGKILL. It forgets everything then, or remembers what `save` has written."""

    def __init__(self, folder, *options):
        self.folder, self.options, self.port, self.process = folder, options, free_port(), None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self.folder), "--daemonize", "no", *self.options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + WAIT_S
        while True:
            try:
                if self.ask("PING") == "PONG":
                    return
            except OSError:
                pass
            assert time.monotonic() < end
            assert self.process.poll() is None, "redis-server did not start"
            time.sleep(0.005)

    def kill(self):
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def ask(self, *words):
        """One command over a connection of its own: the answer as text, a list, a number or None."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            text = f"*{len(words)}\r\n".encode()
            for word in words:
                data = str(word).encode()
                text += b"$%d\r\n%b\r\n" % (len(data), data)
            connection.sendall(text)
            with connection.makefile("rb") as file:
                return _read(file)


def _read(file):
    line = file.readline()
    if not line:
        raise ConnectionResetError
    kind, rest = line[:1], line[1:].strip()
    if kind == b"-":
        raise ValueError(rest.decode())
    if kind == b"$":
        return None if rest == b"-1" else file.read(int(rest) + 2)[:-2].decode()
    if kind == b"*":
        return [_read(file) for _ in range(int(rest))]
    return int(rest) if kind == b":" else rest.decode()


needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None,
    reason="redis-server is missing: apt-get install redis-server",
)
