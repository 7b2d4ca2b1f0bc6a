"""A real `weir run` process that a test feeds, kills, and asks; on 127.0.0.1, ended by its own pid."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

WAIT_S = 90.0  # for what takes a second or two; a test never passes because of it


class Live:
    """`weir run --input -` on a folder. `big` payments set off a restriction of their account (tests/auditing.py)."""

    def __init__(self, bank, out, **environment):
        self.bank, self.out, self.sent = bank, out, 0
        self.environment = os.environ | environment
        self.log = out.parent / f"{out.name}.log"
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self):
        command = [sys.executable, "-m", "engine.cli", "run", "--config", str(self.bank)]
        command += ["--input", "-", "--out", str(self.out)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=self.environment
            )

    def kill(self):
        """As a power button does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process = None

    def stop(self):
        """In order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(WAIT_S)
        self.process.stdin.close()
        self.process = None

    def send(self, account, amount="500.00", **more):
        """One payment, without waiting; returns its id."""
        self.sent += 1
        now = datetime.now(UTC) - timedelta(seconds=1)
        record = {
            "transaction_id": f"t-{self.sent}",
            "account": account,
            "event_time": now.isoformat().replace("+00:00", "Z"),
            "type": "payment",
            "direction": "out",
            "amount": amount,
            "currency": "CNY",
        }
        self.process.stdin.write(json.dumps(record | more).encode() + b"\n")
        self.process.stdin.flush()
        return record["transaction_id"]

    def lines(self, stream):
        path = self.out / f"{stream}.ndjson"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def decided(self):
        return {told["transaction_id"]: told for told in self.lines("decisions")}

    def until(self, holds, wait_s=WAIT_S):
        end = time.monotonic() + wait_s
        while not holds():
            assert time.monotonic() < end, self.log.read_text()[-2000:]
            assert self.process is None or self.process.poll() is None, self.log.read_text()[-2000:]
            time.sleep(0.02)


def answer_of(helper):
    """What the process that writes snapshots (engine/durable/keeping.py) has told, once it has; None if it never does."""
    until = time.monotonic() + 600  # it runs when nobody else wants the processor
    while (told := helper.result()) is None and time.monotonic() < until:
        time.sleep(0.01)
    return told
