"""How to reach the brokers."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka.errors import KafkaConnectionError

from config.cluster import ClusterSettings
from config.errors import ConfigError, StateError

# A broker that was just started anew may tell of no topics; until it is asked again nobody in the group has anything.
METADATA_MS = 10_000


def options(settings: ClusterSettings) -> dict[str, Any]:
    """What every client of aiokafka is given; `ConfigError` if a password or certificate cannot be had."""
    given: dict[str, Any] = {
        "bootstrap_servers": settings.brokers,
        "security_protocol": settings.protocol,
    }
    if settings.protocol.endswith("SSL"):
        given["ssl_context"] = _context(settings)
    if settings.protocol.startswith("SASL"):
        given |= {
            "sasl_mechanism": settings.mechanism,
            "sasl_plain_username": settings.user,
            "sasl_plain_password": _password(settings),
        }
    return given


@contextmanager
def reaching(settings: ClusterSettings) -> Iterator[None]:
    """Raise `StateError` where no broker answers."""
    try:
        yield
    except KafkaConnectionError as error:
        raise StateError(
            f"no broker answers: {error}",
            settings.brokers,
            fix="start it, or correct `brokers` and `protocol` under `cluster`",
        ) from None


def _context(settings: ClusterSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the certificates for Kafka cannot be read: {error}",
            settings.ca_file or settings.cert_file,
            fix="correct `ca_file`, `cert_file` and `key_file` under `cluster`",
        ) from None
    return context


def _password(settings: ClusterSettings) -> str:
    password = os.environ.get(settings.password_env, "")
    if not password:
        raise ConfigError(
            f"`password_env` names {settings.password_env}, which is not set",
            why="the brokers ask for the password of the user",
            fix=f"set {settings.password_env} for the worker",
        )
    return password
