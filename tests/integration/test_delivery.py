"""Commands on their way to a core banking system that fails, hangs, answers late and hears twice, over real HTTP."""

import collections
import contextlib
import datetime as dt
import json
import socket
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from config.outlets import SinkSettings
from engine.clock import SystemClock
from engine.durable.disk import RealDisk
from engine.sinks.dispatching import Dispatcher, open_outbox, open_sinks
from engine.sinks.outbox import FILE, STREAM
from engine.sinks.sink import ACKNOWLEDGED, AGAIN, REJECTED, TAKEN
from engine.sinks.tail import FolderTail
from engine.sinks.webhook import Webhook, read_answer
from tests.core_banking import SECRET, Bank, command, unreliable, write

WAIT_S = 60.0  # for what takes a few seconds; a test never passes because of it


class Engine:
    """What the engine is to a dispatcher: it journals what it is told, and says so; sometimes it dies before."""

    def __init__(self, root, url, monkeypatch, **settings):
        monkeypatch.setenv("WEIR_SINK_KEY", SECRET.decode())
        quick = {"timeout": "200ms", "retry_first": "10ms", "retry_max": "100ms", "in_flight": 16}
        self.settings = SinkSettings(webhook=url, key_env="WEIR_SINK_KEY", **(quick | settings))
        self.root, self.journal = root, []
        self.open()

    def open(self):
        clock, disk = SystemClock(), RealDisk()
        tail = FolderTail(disk, self.root / STREAM)
        self.outbox = open_outbox(tail, disk, self.root / FILE, self.settings)
        sinks = open_sinks(self.settings, clock)
        self.dispatcher = Dispatcher([self.outbox], sinks, self.settings, clock, lambda: None)

    def step(self, *, hears=True):
        for told in self.dispatcher.step():
            if hears:
                self.journal.append(told["record"])
                self.dispatcher.confirm(told["n"])
        time.sleep(0.001)

    def until(self, holds):
        end = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < end, (len(self.outbox), self.dispatcher.status())
            self.step()


def until_nothing_is_on_its_way(dispatcher):
    """Wait for the attempts of a dispatcher that takes no more steps: each has arrived by now, or never will."""
    end = time.monotonic() + WAIT_S
    while len(dispatcher._done) < len(dispatcher._on_way):
        assert time.monotonic() < end
        time.sleep(0.001)


def is_in_order(effective, sent):
    """Whether the commands of each account were carried out in the order of the stream."""
    lanes = collections.defaultdict(list)
    for told in effective:
        lanes[told["entity"]["account"]].append(told["command_id"])
    wanted = collections.defaultdict(list)
    for told in sent:
        wanted[told["entity"]["account"]].append(told["command_id"])
    return lanes == wanted


@pytest.mark.parametrize("seed", [1, 2])
def test_every_command_arrives_counts_once_and_overtakes_none_of_its_account(
    tmp_path, monkeypatch, seed
):
    """600 commands of 40 accounts; three requests in ten fail, others hang, come late or twice; two crashes."""
    sent = [command(n, f"A{n * 7 % 40}") for n in range(600)]
    write(tmp_path / STREAM, sent[:300])
    with Bank(unreliable(seed), hang_s=0.5) as bank:
        engine = Engine(tmp_path, bank.url, monkeypatch)
        engine.until(lambda: len(bank.effective) >= 150)
        engine.step(hears=False)  # answers that no journal holds
        engine.open()  # the one before ends without a word: what it had on its way may still arrive
        write(tmp_path / STREAM, sent[300:], "ab")
        engine.until(lambda: len(bank.effective) >= 450)
        engine.outbox.keep()
        engine.open()
        engine.until(lambda: engine.dispatcher.is_idle)
        requests, effective = list(bank.requests), list(bank.effective)
        assert not bank.unsigned
    assert sorted(told["key"] for told in effective) == sorted(told["key"] for told in sent)
    assert len({told["key"] for told in effective}) == len(effective) == 600
    assert is_in_order(effective, sent)
    told = collections.Counter(record["command_id"] for record in engine.journal)
    assert set(told) == {told["command_id"] for told in sent}, "each answer reached the journal"
    assert len(requests) > 700, "core banking was not unreliable"
    print(f"600 commands, {len(requests)} requests, {engine.dispatcher.status()}")


def test_a_command_that_is_stuck_holds_up_nobody_else(tmp_path, monkeypatch):
    sent = [command(n, f"A{n % 5}") for n in range(50)]
    write(tmp_path / STREAM, sent)
    stuck = lambda told: (503, {}) if told["entity"] == {"account": "A0"} else (200, {})  # noqa: E731
    with Bank(answer=stuck) as bank:
        engine = Engine(tmp_path, bank.url, monkeypatch)
        engine.until(lambda: len(engine.outbox) == 10)
        assert len(bank.effective) == 40
        assert engine.dispatcher.status()["failure"] == "HTTP 503"


def test_what_core_banking_refuses_is_told_to_the_engine(tmp_path, monkeypatch, capsys):
    answers = iter(
        [(422, {"status": "rejected", "reason": "unknown account"}), (200, {}), (202, {})]
    )
    write(tmp_path / STREAM, [command(n, f"A{n}") for n in range(3)])
    with Bank(answer=lambda _told: next(answers)) as bank:
        engine = Engine(tmp_path, bank.url, monkeypatch, in_flight=1)
        engine.until(lambda: engine.dispatcher.is_idle)
    by = {"by": "core_banking"}
    assert engine.journal == [
        {"command": "reject", "command_id": "c-0", "reason": "unknown account", **by},
        {"command": "acknowledge", "command_id": "c-1", **by},
    ], "what was only taken is answered by an event"
    assert "c-0" in capsys.readouterr().err


def test_notices_are_delivered_and_ask_for_no_answer(tmp_path, monkeypatch):
    notice = {
        "command_id": "c-9",
        "key": "n-9:notify:1",
        "verb": "notify",
        "account": "A",
        "effect": "enforce",
    }
    write(tmp_path / STREAM, [notice, command(1, "A", verb="expired")])
    with Bank() as bank:
        engine = Engine(tmp_path, bank.url, monkeypatch)
        engine.until(lambda: engine.dispatcher.is_idle)
        assert [told["verb"] for told in bank.effective] == ["notify", "expired"]
    assert engine.journal == []


def test_after_the_switch_nothing_new_arrives_and_what_may_have_arrived_is_lifted(
    tmp_path, monkeypatch
):
    """600 freezes of 40 accounts on their way through chaos when the mode becomes observe; two crashes."""
    frozen = [command(n, f"A{n * 7 % 40}") for n in range(600)]
    lifted = [
        command(n, f"A{n * 7 % 40}", verb="release") | {"command_id": f"l-{n}", "seq": 600 + n}
        for n in range(600)
    ]
    write(tmp_path / STREAM, frozen)
    with Bank(unreliable(5), hang_s=0.5) as bank:
        engine = Engine(tmp_path, bank.url, monkeypatch)
        engine.until(lambda: len(bank.effective) >= 200)
        engine.outbox.keep()
        dead = engine.dispatcher
        engine.open()
        engine.dispatcher.withhold(2**63 - 1)
        until_nothing_is_on_its_way(dead)
        arrived = {told["restriction_id"] for told in bank.effective}
        for _ in range(20):
            engine.step()
        write(tmp_path / STREAM, lifted, "ab")
        engine.until(lambda: len(engine.journal) > 700)
        engine.outbox.keep()
        engine.open()
        engine.dispatcher.withhold(600)  # the mode is enforce again
        more = command(2_000, "A1")
        write(tmp_path / STREAM, [more], "ab")
        engine.until(lambda: engine.dispatcher.is_idle)
        effective = list(bank.effective)
    restricted = [t["restriction_id"] for t in effective if t["verb"] == "restrict"]
    assert set(restricted) - arrived == {"r-2000"}, "a freeze left after the switch"
    released = {t["restriction_id"] for t in effective if t["verb"] == "release"}
    assert arrived <= released, "somebody stays frozen whom nobody knows of"
    withheld = {t["command_id"] for t in engine.journal if t["command"] == "withheld"}
    answered = {t["command_id"] for t in engine.journal if t["command"] == "acknowledge"}
    assert withheld | answered == {t["command_id"] for t in (*frozen, *lifted, more)}
    assert {t["command_id"] for t in lifted} <= answered


def test_an_answer_that_trickles_in_is_given_up_in_time(tmp_path, monkeypatch):
    """A byte now and then keeps each read alive; the watch over the whole attempt ends it."""
    write(tmp_path / STREAM, [command(0, "A")])
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAIT_S)
        engine = Engine(
            tmp_path,
            f"http://127.0.0.1:{server.getsockname()[1]}/",
            monkeypatch,
            retry_max="1m",
            retry_first="1m",
        )
        engine.step()
        connection, _ = server.accept()
        with connection:
            connection.setblocking(False)
            end = time.monotonic() + WAIT_S
            while not engine.dispatcher.counts["failed"]:
                assert time.monotonic() < end
                with contextlib.suppress(OSError):
                    connection.send(b"H")
                engine.step()
    assert engine.dispatcher.newest_failure == "no answer within 0.2 s"


@pytest.mark.parametrize(
    ("status", "told", "outcome"),
    [
        (200, b"", ACKNOWLEDGED),
        (204, b"", ACKNOWLEDGED),
        (409, b"{}", ACKNOWLEDGED),
        (202, b"", TAKEN),
        (400, b"", REJECTED),
        (422, b'{"reason": "no such account"}', REJECTED),
        (404, b"<html>", AGAIN),
        (404, b'{"status": "rejected"}', REJECTED),
        (401, b"", AGAIN),
        (429, b"", AGAIN),
        (302, b"", AGAIN),
        (500, b"[[[", AGAIN),
        (503, b'{"status": "rejected"}', AGAIN),
    ],
)
def test_answers_mean_what_the_table_says(status, told, outcome):
    assert read_answer(status, told).outcome == outcome


def test_retry_after_is_heeded_and_bounded():
    assert read_answer(503, b"", "7").after_us == 7_000_000
    assert read_answer(503, b"", "99999999").after_us == 3_600_000_000
    assert read_answer(503, b"", "Wed, 21 Oct 2026 07:28:00 GMT").after_us == 0


def test_a_certificate_that_nobody_trusts_ends_the_attempt(tmp_path):
    """TLS verification is on: a server with a certificate of its own is not spoken to."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    )
    made = made.serial_number(1).not_valid_before(now - dt.timedelta(days=1))
    made = made.not_valid_after(now + dt.timedelta(days=1))
    made = made.add_extension(
        x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
    )
    certificate = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with Bank() as bank:
        pem, path = tmp_path / "both.pem", tmp_path / "ca.pem"
        pem.write_bytes(certificate + secret)
        path.write_bytes(certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        plain = bank.server.socket
        bank.server.socket = context.wrap_socket(plain, server_side=True)
        url = f"https://localhost:{bank.server.server_port}/"
        body = json.dumps(command(0, "A")).encode()
        strict = Webhook(url, SECRET, 5_000_000, SystemClock().now_us)
        answer = strict.send("c-0", "k", body)
        assert answer.outcome == AGAIN
        assert "certificate verify failed" in answer.why
        assert not bank.effective
        trusting = Webhook(url, SECRET, 5_000_000, SystemClock().now_us, ca_file=str(path))
        assert trusting.send("c-0", "k", body).outcome == ACKNOWLEDGED
        assert len(bank.effective) == 1
        trusting.close()


def test_a_file_takes_each_command_as_a_line_and_mends_a_torn_one(tmp_path):
    out = tmp_path / "spool.ndjson"
    out.write_bytes(b'{"torn')
    write(tmp_path / STREAM, [command(n, "A") for n in range(3)])
    settings, clock = SinkSettings(file=str(out)), SystemClock()
    disk = RealDisk()
    outbox = open_outbox(FolderTail(disk, tmp_path / STREAM), disk, tmp_path / FILE, settings)
    dispatcher = Dispatcher([outbox], open_sinks(settings, clock), settings, clock, lambda: None)
    end = time.monotonic() + WAIT_S
    while not dispatcher.is_idle:
        assert time.monotonic() < end
        assert dispatcher.step() == []
        time.sleep(0.001)
    torn, *lines = out.read_bytes().splitlines()
    assert torn == b'{"torn'
    assert [json.loads(line)["command_id"] for line in lines] == ["c-0", "c-1", "c-2"]


def test_half_a_request_is_none():
    """Who is killed while it speaks has said nothing; a signature of half a body would look forged."""
    with Bank() as bank, socket.create_connection(bank.server.server_address, WAIT_S) as peer:
        head = "POST /commands HTTP/1.1\r\nContent-Length: 100\r\nX-Weir-Timestamp: 1\r\n\r\n"
        peer.sendall(head.encode() + b"{half")
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(1) == b"", "hung up on, without an answer"
        assert (bank.requests, bank.unsigned) == ([], [])
