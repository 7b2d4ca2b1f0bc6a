"""What a process of a cluster says of itself over HTTP: /health (start it anew?), /ready (count on it?), /metrics.

200 and `ok`, or 503 and the reason as text; whoever may reach the port may read it, and nothing there is personal
"""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from engine.metrics import unopened

Page: TypeAlias = tuple[int, str, bytes]  # status, content type, content
TEXT = "text/plain; charset=utf-8"


class Health:
    """Serves until it is closed; `port` is the one that was opened.

    unhealthy, unready : say why not; "" where all is well
    registry           : the numbers of this process
    """

    def __init__(
        self,
        host: str,
        port: int,
        unhealthy: Callable[[], str],
        unready: Callable[[], str],
        registry: CollectorRegistry,
    ) -> None:
        pages: dict[str, Callable[[], Page]] = {
            "/health": lambda: _state(unhealthy()),
            "/ready": lambda: _state(unhealthy() or unready()),
            "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry)),
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = pages.get(self.path.partition("?")[0])
                status, kind, content = page() if page is not None else _nothing(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the class has it
                """Nothing: a probe asks every few seconds."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except (OSError, OverflowError) as error:
            raise unopened(port, error) from None
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="health", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _state(why_not: str) -> Page:
    return (503, TEXT, f"{why_not}\n".encode()) if why_not else (200, TEXT, b"ok\n")


def _nothing(path: str) -> Page:
    return 404, TEXT, f"there is no {path}: /health, /ready, /metrics\n".encode()
