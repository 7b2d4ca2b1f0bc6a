"""Core banking as tests play it: a real HTTP server on 127.0.0.1 that fails, hangs, answers late and hears twice."""

import hashlib
import hmac
import http.server
import json
import random
import threading

SECRET = b"0123456789abcdef0123"


class Bank:
    """Carries each command out once, by its key; `effective` is what happened, in order.

    behave : (number of the request) -> "fine", "error", "drop", "hang" (never carried out), "late" (carried out, and
             answered when nobody listens any more), "twice" (the request arrives two times)
    answer : (command) -> (status, JSON body)
    """

    def __init__(self, behave=lambda _n: "fine", answer=lambda _command: (200, {}), hang_s=1.0):
        self.behave, self.answer, self.hang_s = behave, answer, hang_s
        self.effective, self.requests, self.unsigned = [], [], []
        self.keys = set()
        self.lock, self.over = threading.Lock(), threading.Event()
        bank = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:  # who was killed while it spoke: half a request is none
                    self.close_connection = True
                    return
                bank.hear(self, body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):  # who hung up has been told what happened
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/commands"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def hear(self, handler, body):
        told = handler.headers
        signed = told["X-Weir-Timestamp"].encode() + b"." + body
        good = "v1=" + hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
        with self.lock:
            n = len(self.requests)
            self.requests.append((told["Idempotency-Key"], told["X-Weir-Command"]))
            if told["X-Weir-Signature"] != good:
                self.unsigned.append(n)
        what = self.behave(n)
        if what == "hang":
            self.over.wait(self.hang_s)
            handler.close_connection = True
            return
        if what == "drop":
            handler.close_connection = True
            return
        if what == "error":
            self.reply(handler, 503, {})
            return
        status, answer = self.carry_out(told["Idempotency-Key"], json.loads(body))
        if what == "twice":
            status, answer = self.carry_out(told["Idempotency-Key"], json.loads(body))
        if what == "late":
            self.over.wait(self.hang_s)
        self.reply(handler, status, answer)

    def carry_out(self, key, command):
        with self.lock:
            if key in self.keys:
                return 409, {"status": "duplicate"}
            status, answer = self.answer(command)
            if status < 500:
                self.keys.add(key)
            if status < 300:
                self.effective.append(command)
            return status, answer

    def reply(self, handler, status, answer):
        body = json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


def unreliable(seed, *, fails=0.3, hangs=0.03, late=0.03, twice=0.1):
    """A behaviour drawn from one integer: of all requests, `fails` get an error or none, and so on."""
    chance = random.Random(seed)
    lock = threading.Lock()

    def behave(_n):
        with lock:
            what = chance.random()
        for share, name in (
            (fails / 2, "error"),
            (fails / 2, "drop"),
            (hangs, "hang"),
            (late, "late"),
            (twice, "twice"),
        ):
            if what < share:
                return name
            what -= share
        return "fine"

    return behave


def command(n, account, *, verb="restrict", effect="enforce", **more):
    """Line `n` of a stream of commands, about one account."""
    return {
        "command_id": f"c-{n}",
        "key": f"r-{n}:{verb}:1",
        "verb": verb,
        "restriction_id": f"r-{n}",
        "entity": {"account": account},
        "level": "no_debit",
        "effect": effect,
        "seq": n,
    } | more


def write(path, commands, mode="wb"):
    with path.open(mode) as file:
        file.write(b"".join(json.dumps(c).encode() + b"\n" for c in commands))
