"""Commands posted to core banking over HTTP, signed.

    POST PATH HTTP/1.1
    Content-Type: application/json
    Idempotency-Key: r-0123456789ab:restrict:1                   the same for each repetition
    X-Weir-Command: c-0123456789ab
    X-Weir-Timestamp: 1772445609                                 seconds since 1970 UTC, of this attempt
    X-Weir-Signature: v1=HMAC-SHA256(key, timestamp + "." + body), in hexadecimal

    answer                                    means
    2xx                                       carried out: `acknowledge`
    202                                       taken; `acknowledge` or `reject` follows as an event of the input
    409                                       known already: carried out
    400, 410, 422, other 4xx, or any 4xx      refused: `reject`, with `reason` of the JSON body
      with {"status": "rejected"}
    401 403 404 405 407 408 411 413 414 421   about the way, not about the command: it is tried again, and an alarm
      425 426 429 431, 3xx, 5xx, no answer    says so if that goes on; Retry-After is heeded

The client is the standard library's: one connection a thread, kept open, certificates checked, no redirects, no
proxies, nothing new to install. What it lacks is a bound on the whole of an attempt, since its timeout is that of one
read: so whoever calls it watches the time, and `give_up` shuts the connection.
"""

import contextlib
import hashlib
import hmac
import http.client
import json
import socket
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from engine.sinks.sink import ACKNOWLEDGED, AGAIN, REJECTED, TAKEN, Answer

ANSWER_BYTES_MAX: Final = 1 << 16
WHY_MAX: Final = 500
ACCEPTED: Final = 202
CONFLICT: Final = 409
OF_THE_WAY: Final = frozenset(
    {401, 403, 404, 405, 407, 408, 411, 413, 414, 421, 425, 426, 429, 431}
)


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """What stands in X-Weir-Signature."""
    digest = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256)
    return f"v1={digest.hexdigest()}"


class Webhook:
    """Posts to one address; one object a thread.

    secret  : signs what is posted
    now_us  : the wall clock
    ca_file : certificates to trust in place of the machine's; "" for those
    """

    def __init__(
        self,
        url: str,
        secret: bytes,
        timeout_us: int,
        now_us: Callable[[], int],
        *,
        ca_file: str = "",
    ) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None, url
        self._host, self._port, self._is_tls = parts.hostname, parts.port, parts.scheme == "https"
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._secret, self._now_us = secret, now_us
        self._timeout_s = timeout_us / 1e6
        self._tls = ssl.create_default_context(cafile=ca_file or None) if self._is_tls else None
        self._connection: http.client.HTTPConnection | None = None
        self._is_late = False

    def send(self, command_id: str, key: str, body: bytes) -> Answer:
        self._is_late = False
        timestamp = str(self._now_us() // 1_000_000)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            "X-Weir-Command": command_id,
            "X-Weir-Timestamp": timestamp,
            "X-Weir-Signature": signature(self._secret, timestamp, body),
        }
        try:
            connection = self._connect()
            connection.request("POST", self._path, body, headers)
            response = connection.getresponse()
            told = response.read(ANSWER_BYTES_MAX)
            if response.will_close or not response.isclosed():
                self.close()
            return read_answer(response.status, told, response.getheader("Retry-After") or "")
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            late = self._is_late or isinstance(error, TimeoutError)
            what = f"no answer within {self._timeout_s:g} s" if late else str(error)
            return Answer(AGAIN, what or type(error).__name__)

    def give_up(self) -> None:
        self._is_late = True
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None:
            if self._tls is not None:
                self._connection = http.client.HTTPSConnection(
                    self._host, self._port, timeout=self._timeout_s, context=self._tls
                )
            else:
                self._connection = http.client.HTTPConnection(
                    self._host, self._port, timeout=self._timeout_s
                )
        return self._connection


def read_answer(status: int, told: bytes, retry_after: str = "") -> Answer:
    """What an HTTP answer means, see the table above."""
    status_told, why = _inside(told)
    if status == ACCEPTED:
        return Answer(TAKEN)
    if 200 <= status < 300 or status == CONFLICT:
        return Answer(ACKNOWLEDGED)
    if 400 <= status < 500 and (status not in OF_THE_WAY or status_told == REJECTED):
        return Answer(REJECTED, why or f"HTTP {status}")
    after = int(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0
    return Answer(AGAIN, f"HTTP {status}", min(after, 3_600) * 1_000_000)


def _inside(told: bytes) -> tuple[str, str]:
    """`status` and `reason` of a JSON body; empty where it says nothing of the kind."""
    try:
        found = json.loads(told)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(found, dict):
        return "", ""
    return str(found.get("status") or ""), str(found.get("reason") or "")[:WHY_MAX]
