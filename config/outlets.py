"""Where outcomes go beside the output folder: commands to core banking (`sink`), restrictions to Redis (`redis`).

Both change no outcome. Secrets never stand in a configuration, which is stored and handed on: a key is named by the
environment variable or the file that holds it.
"""

from typing import Final
from urllib.parse import urlsplit

import msgspec

from config.durations import duration_us
from config.errors import ConfigError

HERE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
IN_FLIGHT_MAX: Final = 64


class SinkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How commands are delivered: appended to a file, or posted to a webhook.

    key_env, key_file : the secret that signs what is posted
    ca_file           : certificates to trust in place of the machine's
    timeout           : an attempt that takes longer has failed
    retry_first, retry_max : wait after the first failure, doubled each time, and at most
    in_flight         : commands of different accounts on their way at the same time
    alarm_after       : a command that waits longer is an alarm
    """

    file: str = ""
    webhook: str = ""
    key_env: str = ""
    key_file: str = ""
    ca_file: str = ""
    timeout: str = "5s"
    retry_first: str = "500ms"
    retry_max: str = "30s"
    in_flight: int = 8
    alarm_after: str = "5m"

    def __post_init__(self) -> None:
        if bool(self.file) == bool(self.webhook):
            raise ConfigError(
                "`sink` must name either `file` or `webhook`",
                why="commands go to one place, which answers for them",
                fix="write {file: /var/spool/weir/commands.ndjson}, or leave `sink` out",
            )
        if self.webhook:
            self._check_webhook()
        for name, low, high in (
            ("timeout", "100ms", "1m"),
            ("retry_first", "10ms", "1m"),
            ("retry_max", "10ms", "1h"),
            ("alarm_after", "1s", "1d"),
        ):
            text = getattr(self, name)
            if not duration_us(low) <= duration_us(text) <= duration_us(high):
                raise ConfigError(
                    f"`{name}` must lie in [{low}, {high}], was {text}",
                    why="shorter floods core banking, longer leaves it waiting",
                    fix="leave it out",
                )
        if not 1 <= self.in_flight <= IN_FLIGHT_MAX:
            raise ConfigError(
                f"`in_flight` must lie in [1, {IN_FLIGHT_MAX}], was {self.in_flight}",
                why="each has a connection of its own",
                fix="leave it at 8",
            )

    def _check_webhook(self) -> None:
        parts = urlsplit(self.webhook)
        if not parts.hostname or not (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in HERE)
        ):
            raise ConfigError(
                f"`webhook` must be an https address, was {self.webhook}",
                why="commands name accounts, and whoever reads them on the way learns whom the bank suspects",
                fix="write https://...; http only for 127.0.0.1",
            )
        if parts.username or parts.password:
            raise ConfigError(
                "`webhook` must not hold a name or password",
                why="a secret never stands in a configuration, which is stored and handed on",
                fix="take it out; what is posted is signed with the key",
            )
        if bool(self.key_env) == bool(self.key_file):
            raise ConfigError(
                "a webhook needs `key_env` or `key_file`, one of them",
                why="core banking can only trust commands that are signed",
                fix="write key_env: WEIR_SINK_KEY",
            )

    @property
    def timeout_us(self) -> int:
        return duration_us(self.timeout)

    @property
    def retry_first_us(self) -> int:
        return duration_us(self.retry_first)

    @property
    def retry_max_us(self) -> int:
        return duration_us(self.retry_max)

    @property
    def alarm_after_us(self) -> int:
        return duration_us(self.alarm_after)


class RedisSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The restriction registry that other systems look up.

    url          : redis://host:port/db or rediss://..., without a password
    user, password_env : who we are there; the environment variable that holds the password
    prefix       : begins every key; one for each engine that writes into the same Redis
    pseudonyms   : keys name pseudonyms (WEIR_PSEUDONYM_KEY) in place of ids that the schema calls personal
    timeout      : of one round trip
    """

    url: str
    user: str = ""
    password_env: str = ""
    prefix: str = "weir:r"
    pseudonyms: bool = False
    timeout: str = "2s"

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname:
            raise ConfigError(
                f"`url` must be redis:// or rediss://, was {self.url}",
                fix="write redis://127.0.0.1:6379/0",
            )
        if parts.password or parts.username:
            raise ConfigError(
                "`url` must not hold a name or password",
                why="a secret never stands in a configuration, which is stored and handed on",
                fix="write password_env: WEIR_REDIS_PASSWORD",
            )
        if not self.prefix or any(c in self.prefix for c in "{}*?[]\\ "):
            raise ConfigError(
                f"`prefix` must be letters, digits, colons and hyphens, was `{self.prefix}`",
                why="keys are found by it",
                fix="leave it at weir:r",
            )
        if not duration_us("50ms") <= duration_us(self.timeout) <= duration_us("30s"):
            raise ConfigError(
                f"`timeout` must lie in [50ms, 30s], was {self.timeout}", fix="leave it at 2s"
            )

    @property
    def timeout_us(self) -> int:
        return duration_us(self.timeout)
