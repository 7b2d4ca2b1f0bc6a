"""A real engine, a real web server as core banking, a real Redis: killed, hanging, restarted, and nothing is lost."""

import collections
import json
import random
import re
import time

import pytest

from engine import cli
from engine.clock import SystemClock
from engine.durable.disk import RealDisk
from engine.setup import read_setup
from engine.starting import open_engine
from replay.audit.inputs import read_inputs
from tests.auditing import small_bank
from tests.core_banking import SECRET, Bank, unreliable
from tests.redis_server import Redis, needs_redis
from tests.running import Live

QUICK = "timeout: 300ms, retry_first: 20ms, retry_max: 200ms"


def configured(folder, *, sink="", redis=""):
    """A bank that enforces; its rule restricts the account of each payment of 900 or more for 2 h."""
    settings = {"effect": "enforce"}
    if sink:
        settings["sink"] = f'{{webhook: "{sink}", key_env: WEIR_SINK_KEY, {QUICK}}}'
    if redis:
        settings["redis"] = f'{{url: "{redis}", timeout: 500ms}}'
    bank = small_bank(folder, **settings)
    rules = bank / "packs" / "one" / "rules.yaml"
    rules.write_text(rules.read_text().replace("max_per_hour: 20", "max_per_hour: 100000"))
    path = bank / "weir.yaml"
    text = re.sub(
        r"^  breaker_minimum: .*$",
        "  breaker_minimum: 100000",
        path.read_text(),
        flags=re.MULTILINE,
    )
    text = text.replace("  automation_max: 72h", "  automation_max: 720h")
    text = text.replace("  cool_down: 24h", "  cool_down: 0s")
    path.write_text(text)
    return bank


def enforced(live):
    return [told for told in live.lines("commands") if told["effect"] == "enforce"]


def test_an_engine_that_is_killed_again_and_again_delivers_every_command_once(tmp_path):
    """Six kills of the engine, which takes its helpers along, and core banking at its worst."""
    chance = random.Random(3)
    with Bank(unreliable(7), hang_s=0.6) as bank:
        folder = configured(tmp_path / "bank", sink=bank.url)
        live = Live(folder, tmp_path / "out", WEIR_SINK_KEY=SECRET.decode())
        with live:
            for _ in range(6):
                release_some(live, chance)
                ids = [live.send(f"A{chance.randrange(25)}", "950.00") for _ in range(40)]
                live.until(lambda ids=ids: ids[-1] in live.decided())
                time.sleep(chance.uniform(0.0, 0.6))  # somewhere in the middle of delivering
                live.kill()
                live.start()
            last = live.send("A0", "950.00")
            live.until(lambda: last in live.decided())
            wanted = {told["key"] for told in enforced(live)}
            live.until(lambda: wanted <= bank.keys)
            live.until(lambda: set(acknowledged(live)) == {t["command_id"] for t in enforced(live)})
            live.stop()
        sent, effective = enforced(live), list(bank.effective)
        assert not bank.unsigned
    keys = collections.Counter(told["key"] for told in effective)
    assert set(keys) == {told["key"] for told in sent}
    assert set(keys.values()) == {1}
    for account in {told["entity"]["account"] for told in sent}:
        of = lambda all_, a=account: [t["key"] for t in all_ if t["entity"] == {"account": a}]  # noqa: E731
        assert of(effective) == of(sent), "one was overtaken"
    assert cli.main(["audit", "verify", str(live.out)]) == 0
    print(f"{len(sent)} commands, {len(bank.requests)} requests, 6 kills")


def order(live, name, by, **more):
    """Give an order through the input stream, in which nobody must sign here."""
    told = {"kind": "command", "command": name, "by": by, "reason": "a test", **more}
    live.process.stdin.write(json.dumps(told).encode() + b"\n")
    live.process.stdin.flush()


def switched(live):
    return [t["effect"] for t in live.lines("alerts") if t["reason"] == "MODE_SWITCHED"]


@pytest.mark.parametrize("dies", ["before", "after", "never"])
def test_the_kill_switch_keeps_back_what_has_not_arrived_whatever_dies(tmp_path, dies):
    """Core banking is down; freezes pile up; observe, a kill, enforce again: none of them ever arrives."""
    is_down = True
    with Bank(behave=lambda _n: "drop" if is_down else "fine") as bank:
        folder = configured(tmp_path / "bank", sink=bank.url)
        live = Live(folder, tmp_path / "out", WEIR_SINK_KEY=SECRET.decode())
        with live:
            old = [live.send(f"A{n}", "950.00") for n in range(30)]
            live.until(lambda: old[-1] in live.decided() and bank.requests)
            order(live, "mode", "li", effect="observe")
            if dies == "before":  # the order may be on record, or not
                live.kill()
                live.start()
                order(live, "mode", "li", effect="observe")
            live.until(lambda: "observe" in switched(live))
            if dies == "after":
                live.kill()
                live.start()
            # attempts that were on their way when the order came may still arrive; after them only releases leave
            live.until(
                lambda: (
                    len(bank.requests) > 40
                    and not any(":restrict:" in key for key, _ in bank.requests[-20:])
                )
            )
            is_down = False
            quiet = live.send("A90", "950.00")
            live.until(lambda: quiet in live.decided())
            wanted = {t["command_id"] for t in live.lines("commands") if t.get("withdrawn")}
            live.until(lambda: wanted <= set(acknowledged(live)))
            assert len(wanted) == 30
            for by in ("li", "wu"):
                order(live, "mode", by, effect="enforce")
            live.until(lambda: switched(live)[-1] == "enforce")
            again = live.send("A7", "950.00")
            live.until(lambda: again in live.decided())
            live.until(lambda: any(t["source"] == again for t in bank.effective))
            live.stop()
        effective = list(bank.effective)
    assert [t["source"] for t in effective if t["verb"] == "restrict"] == [again]
    told = live.lines("commands")
    restricted = {
        t["command_id"] for t in told if t["verb"] == "restrict" and t["effect"] == "enforce"
    }
    withheld = {t["command_id"] for t in live.lines("resolutions") if t["outcome"] == "withheld"}
    assert len(withheld) == 30
    assert restricted - withheld == {t["command_id"] for t in told if t["source"] == again}
    assert known_to_core(folder, live.out) == {
        ("account", "A7"): [t["restriction_id"] for t in told if t["source"] == again]
    }
    assert cli.main(["audit", "verify", str(live.out)]) == 0


def release_some(live, chance):
    """Orders to release, by somebody, of a third of what is in force; what is released can be restricted anew."""
    ended = {
        told["restriction_id"] for told in live.lines("commands") if told["verb"] != "restrict"
    }
    for told in live.lines("commands"):
        id_ = told["restriction_id"]
        if id_ not in ended and chance.random() < 0.4:
            order = {"kind": "command", "command": "release", "restriction_id": id_, "by": "li"}
            order |= {"reason": "wrong", "legal_basis": "contract"}
            live.process.stdin.write(json.dumps(order).encode() + b"\n")


def acknowledged(live):
    """Commands whose acknowledgement stands in the journal."""
    orders = read_inputs(live.out).orders
    return [told.record["command_id"] for told in orders if told.command == "acknowledge"]


@needs_redis
def test_twenty_kills_of_redis_under_load_change_no_decision(tmp_path):
    """What was decided is what the journal gives again without any Redis; the registry is right after each return.

    How soon is printed (within 5 s is asked for); a busy machine is no reason to fail.
    """
    chance = random.Random(5)
    (tmp_path / "redis").mkdir()
    with Redis(tmp_path / "redis") as redis:
        folder = configured(tmp_path / "bank", redis=redis.url)
        with Live(folder, tmp_path / "out") as live:
            longest_s, accounts = 0.0, set()
            for _ in range(20):
                send_some(live, chance, accounts, 30)
                redis.kill()
                ids = send_some(live, chance, accounts, 30)
                live.until(lambda ids=ids: ids[-1] in live.decided())
                redis.start()
                back_s = time.monotonic()
                send_some(live, chance, accounts, 5)
                live.until(lambda: is_right(live, redis))
                longest_s = max(longest_s, time.monotonic() - back_s)
            live.stop()
            assert known_to_redis(redis) == known_to_core(folder, live.out)
    n = len(live.decided())
    assert n == live.sent == 20 * 65
    assert cli.main(["audit", "verify", str(live.out)]) == 0
    print(f"{n} decisions, 20 kills, registry right again within {longest_s:.2f} s")


def known_to_redis(redis):
    """Restriction ids by entity, of all keys there are."""
    found = {}
    for key in redis.ask("KEYS", "weir:r:*:*"):
        _, _, domain, entity = key.split(":", 3)
        told = json.loads(redis.ask("GET", key))["restrictions"]
        if told:
            found[domain, entity] = sorted(one["id"] for one in told)
    return found


def known_to_core(folder, out):
    """The same of the core itself, as it is recovered from its snapshot and journal."""
    engine = open_engine(
        RealDisk(), out, NoSource(), read_setup(folder), SystemClock(), threaded=False
    )
    try:
        found = collections.defaultdict(list)
        for one in engine.runner.core.decider.restrictions:
            if one.is_in_force and one.effect == "enforce":
                found[one.domain, one.entity].append(one.id)
        return {entity: sorted(ids) for entity, ids in found.items()}
    finally:
        engine.close()


class NoSource:
    """Nothing more comes."""

    is_live = True

    def poll(self, _rows_max, _wait_us):
        return None

    def resume_after(self, _position):
        return None

    def commit(self, position):
        pass

    def close(self):
        pass


def send_some(live, chance, accounts, n):
    """`n` payments of 60 accounts, one in three restricting its account."""
    ids = []
    for _ in range(n):
        account = f"A{chance.randrange(60)}"
        big = chance.random() < 0.3
        ids.append(live.send(account, "950.00" if big else "20.00"))
        accounts |= {account} if big else set()
    return ids


def is_right(live, redis):
    """Whether Redis holds exactly what the streams say is in force."""
    wanted = collections.defaultdict(list)
    for told in live.lines("commands"):
        of = wanted["account:" + told["entity"]["account"]]
        if told["verb"] == "restrict":
            of.append(told["restriction_id"])
        else:
            of.remove(told["restriction_id"])
    keys = sorted(wanted)
    found = redis.ask("MGET", "weir:r:complete", *[f"weir:r:{key}" for key in keys])
    if found[0] is None or not keys:
        return False
    held = [sorted(r["id"] for r in json.loads(v)["restrictions"]) if v else [] for v in found[1:]]
    return held == [sorted(wanted[key]) for key in keys]


def test_a_secret_that_is_not_there_stops_the_start_and_not_the_stream(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.delenv("WEIR_SINK_KEY", raising=False)
    folder = configured(tmp_path / "bank", sink="http://127.0.0.1:9/x")
    (tmp_path / "in.ndjson").write_bytes(b"")
    arguments = ["run", "--config", str(folder), "--input", str(tmp_path / "in.ndjson")]
    assert cli.main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert "environment WEIR_SINK_KEY: the secret cannot be read" in capsys.readouterr().err


@needs_redis
def test_an_encrypted_folder_is_followed_too_and_what_is_kept_beside_is_encrypted(tmp_path):
    (tmp_path / "redis").mkdir()
    with Redis(tmp_path / "redis") as redis, Bank() as bank:
        folder = configured(tmp_path / "bank", sink=bank.url, redis=redis.url)
        with (folder / "weir.yaml").open("a") as file:
            file.write("encryption: {key_env: WEIR_KEY}\n")
        key = {"WEIR_KEY": "ab" * 32, "WEIR_SINK_KEY": SECRET.decode()}
        with Live(folder, tmp_path / "out", **key) as live:
            live.send("A1", "950.00")
            live.until(lambda: bank.effective)
            [told] = bank.effective
            held = lambda: redis.ask("GET", "weir:r:account:A1")  # noqa: E731
            live.until(lambda: held() and told["restriction_id"] in held())
            live.stop()
    for name in ("registry.json", "outbox.json", "commands.ndjson"):
        content = (live.out / name).read_bytes()
        assert content
        assert b"restriction" not in content
        assert b"anchor" not in content


@pytest.mark.parametrize("effect", ["observe", "enforce"])
def test_nothing_is_sent_unless_the_settings_say_enforce_and_name_a_sink(tmp_path, effect, capsys):
    with Bank() as bank:
        sink = bank.url if effect == "observe" else ""
        folder = configured(tmp_path / "bank", sink=sink)
        path = folder / "weir.yaml"
        path.write_text(path.read_text().replace("effect: enforce", f"effect: {effect}"))
        with Live(folder, tmp_path / "out", WEIR_SINK_KEY=SECRET.decode()) as live:
            last = live.send("A1", "950.00")
            live.until(lambda: last in live.decided())
            live.stop()
        assert len(live.lines("commands")) == 1
        assert not bank.requests
    assert ("no `sink` is set" in live.log.read_text()) == (effect == "enforce")
