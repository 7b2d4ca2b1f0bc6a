"""How the workers of a cluster find Kafka, and what their topics are called (`cluster` in weir.yaml).

Changes no outcome. Secrets never stand in a configuration, which is stored and handed on: a password is named by the
environment variable that holds it.
"""

import re
from typing import Final

import msgspec

from config.bounds import check_duration
from config.durations import duration_us
from config.errors import ConfigError

PARTITIONS_MAX: Final = 4_096
PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
KEYS: Final = ("account", "customer")  # what messages may be distributed by
REFUSE, ACCEPT = "refuse", "accept"
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class ClusterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Kafka, as a worker sees it.

    brokers    : host:port, several with commas between
    prefix     : begins the name of every topic, group and transactional id; one for each cluster
    partitions : of the input and of every outcome topic, when they are created
    replicas   : copies of each partition, when topics are created
    create     : topics that are not there are created
    session    : how long a worker may be silent before its partitions go to others; most brokers take no less than 6s
    slow       : topics whose messages are written into the input topic, under their own keys
    key        : what messages are distributed by; everything of one account, or of one customer, is in one partition
    local      : further fields whose values never stand in two partitions, such as a session
    partial    : whether packs are accepted that read features of which a partition sees a part only (rules/locality.py)
    lists      : begins the keys of lists that stand in the Redis of `redis` for all workers; "" where there are none
    protocol, mechanism, user, password_env, ca_file, cert_file, key_file : TLS and SASL, as Kafka calls them
    """

    brokers: str
    prefix: str = "weir"
    partitions: int = 8
    replicas: int = 1
    create: bool = True
    session: str = "6s"
    slow: tuple[str, ...] = ()
    key: str = "account"
    local: tuple[str, ...] = ()
    partial: str = REFUSE
    lists: str = ""
    protocol: str = "PLAINTEXT"
    mechanism: str = ""
    user: str = ""
    password_env: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def __post_init__(self) -> None:
        for broker in self.brokers.split(","):
            if not re.fullmatch(r"\s*[\w.\-\[\]:]+:\d{1,5}\s*", broker):
                raise ConfigError(
                    f"`brokers` must be host:port, was `{broker}`",
                    fix="write 127.0.0.1:9092, several with commas between",
                )
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}", self.prefix):
            raise ConfigError(
                f"`prefix` must be letters, digits, dots and hyphens, was `{self.prefix}`",
                why="topics, groups and transactional ids are named by it",
                fix="leave it at weir",
            )
        if not 1 <= self.partitions <= PARTITIONS_MAX:
            raise ConfigError(
                f"`partitions` must lie in [1, {PARTITIONS_MAX}], was {self.partitions}",
                why="one partition is one core; their number cannot be changed without moving accounts between cores",
                fix="take some times as many as there will ever be workers",
            )
        check_duration(
            "session",
            self.session,
            ("1s", "30m"),
            why="a shorter one takes partitions from workers that are only busy, a longer one leaves them to dead ones",
            fix="leave it at 6s",
        )
        for name, value, known in (
            ("protocol", self.protocol, PROTOCOLS),
            ("mechanism", self.mechanism, (*MECHANISMS, "")),
        ):
            if value not in known:
                raise ConfigError(
                    f"`{name}` must be one of {', '.join(filter(None, known))}, was {value}",
                    fix="ask who runs the brokers",
                )
        if self.key not in KEYS:
            raise ConfigError(
                f"`key` must be account or customer, was {self.key}",
                why="it says what the keys of messages are, and so which features are exact",
                fix="write what the sender takes as the key",
            )
        if self.partial not in (REFUSE, ACCEPT):
            raise ConfigError(
                f"`partial` must be refuse or accept, was {self.partial}",
                why="it says whether rules may read features of which a partition sees a part only",
                fix="look at weir rules check --cluster, then decide",
            )
        if self.protocol.startswith("SASL") and not (
            self.mechanism and self.user and self.password_env
        ):
            raise ConfigError(
                f"`protocol: {self.protocol}` needs `mechanism`, `user` and `password_env`",
                why="the brokers ask who we are",
                fix="write mechanism: SCRAM-SHA-512, user: weir, password_env: WEIR_KAFKA_PASSWORD",
            )

    @property
    def session_s(self) -> float:
        """Seconds after which a silent worker loses its partitions."""
        return duration_us(self.session) / 1e6

    @property
    def input(self) -> str:
        """The topic whose offset is the order."""
        return f"{self.prefix}.input"

    def topic(self, stream: str) -> str:
        """The topic of a stream of outcomes."""
        return f"{self.prefix}.{stream}"
