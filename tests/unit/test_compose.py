"""compose.yaml says what the code understands; whether a container engine runs it is for those who have one."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from config import marks
from config.cluster import ClusterSettings
from config.outlets import RedisSettings
from engine.cli import parser

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = sorted(name for name in SERVICES if name not in ("kafka", "redis"))


def script(name):
    *shell, text = SERVICES[name]["command"]
    assert shell == ["sh", "-ec"]
    return [line.strip() for line in text.splitlines()]


def test_every_image_has_a_version_and_services_wait_for_services():
    for name, service in SERVICES.items():
        assert re.fullmatch(r"[a-z/]+:\d+\.\d+[\w.-]*", service["image"]), name
        assert service.get("depends_on", {}).keys() <= SERVICES.keys()


@pytest.mark.parametrize("name", OURS)
def test_commands_and_their_options_exist(name):
    commands = [
        shlex.split(line.removeprefix("exec "))[1:]
        for line in script(name)
        if line.removeprefix("exec ").startswith("weir ")
    ]
    assert commands
    for command in commands:
        parser().parse_args(command)  # ends the process with 2 for what there is not


@pytest.mark.parametrize("name", OURS)
def test_settings_are_settings(name, tmp_path):
    given = SERVICES[name]["environment"]
    for key, kind in (("WEIR_CLUSTER", ClusterSettings), ("WEIR_REDIS", RedisSettings)):
        path = tmp_path / key
        path.write_text(f"of: {given[key]}\n")
        found = marks.convert(marks.read(path)["of"], kind)
        where = found.brokers if kind is ClusterSettings else found.url.split("//")[1].split("/")[0]
        assert where.split(":")[0] in SERVICES


def test_probes_ask_what_a_worker_answers():
    from engine.cluster import health

    [path] = re.findall(r":9100(/\w+)", str(SERVICES["worker-1"]["healthcheck"]["test"]))
    assert f'"{path}"' in Path(health.__file__).read_text()
    assert "--metrics-port 9100" in " ".join(script("worker-1"))


def test_the_broker_is_set_up_as_the_one_of_the_demonstration(tmp_path):
    pytest.importorskip("aiokafka", reason="aiokafka is missing: pip install 'weir-fraud[kafka]'")
    from engine.brokers.kafka.local import VERSION, LocalKafka

    known = dict(line.split("=", 1) for line in LocalKafka(tmp_path)._properties().splitlines())
    broker = SERVICES["kafka"]
    assert broker["image"].endswith(f":{VERSION}")
    for name, value in broker["environment"].items():
        key = name.removeprefix("KAFKA_").lower().replace("_", ".")
        assert key in known
        if key.endswith((".factor", ".isr", ".enable", ".ms", ".roles", ".map")):
            assert known[key] == value
