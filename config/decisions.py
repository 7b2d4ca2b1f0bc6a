"""Decisions, restriction levels, and the settings of the stage that decides (`decisions` of weir.yaml)."""

from typing import Final, Literal, Self

import msgspec

from config.durations import duration_us
from config.errors import ConfigError

DECISIONS: Final = ("approve", "review", "challenge", "hold", "decline")  # from mild to severe
APPROVE, REVIEW, CHALLENGE, HOLD, DECLINE = range(5)
SEVERITY: Final[dict[str, int]] = {name: k for k, name in enumerate(DECISIONS)}
CHALLENGE_PASSED: Final = "challenge_passed"  # types of activities that end a challenge
CHALLENGE_FAILED: Final = "challenge_failed"
LEVELS: Final = ("watch", "limit", "amount_hold", "no_debit", "no_credit", "full_freeze")
SPANS: Final = (  # settings that are durations, and never nothing
    "ack_timeout",
    "automation_max",
    "automation_span",
    "alerts_kept",
    "breaker_window",
    "challenge_for",
    "hold_for",
    "outcomes_kept",
)
RESTRICTABLE: Final = ("account", "card", "customer", "device", "merchant", "terminal")

Decision = Literal["approve", "review", "challenge", "hold", "decline"]
Verb = Literal["freeze", "hold", "challenge", "decline"]


class DecisionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the bank answers where no rule says so, and the bounds on what the engine does by itself.

    Durations are texts such as `72h`. Limits an hour slide over 3,600 s of core time; 0 means no limit.
    """

    # the answer to a transaction that could not be scored, by type
    fallback: dict[str, Decision] = {}
    fallback_otherwise: Decision = "review"
    # the least answer where an entity of the transaction is blocked, by type
    blocked: dict[str, Decision] = msgspec.field(
        default_factory=lambda: {"card_auth": "decline", "payment": "hold"}
    )
    blocked_otherwise: Decision = "hold"
    # types that bring money in; asked where a message has no direction
    incoming_types: tuple[str, ...] = ("cash_deposit", "refund")
    ack_timeout: str = "10m"  # until core banking has to acknowledge a command
    automation_max: str = "72h"  # how long automation may restrict an entity ...
    automation_span: str = "30d"  # ... within this time
    cool_down: str = (
        "24h"  # a rule does not restrict again what a person released, for so long; 0s: at once
    )
    max_holds_per_hour: int = 0  # of all rules and bands together, above each rule's own limit
    max_challenges_per_hour: int = 0
    # the share of transactions that automation may freeze, hold, challenge or decline within `breaker_window`; a verb
    # that is left out has no breaker
    breakers: dict[Verb, float] = msgspec.field(
        default_factory=lambda: {"freeze": 0.02, "hold": 0.02, "challenge": 0.02, "decline": 0.02}
    )
    breaker_window: str = "5m"
    breaker_minimum: int = 50  # as many of each within the window are allowed whatever the share
    # automation blocks an account or customer only if one of three holds: combined score, independent rules, a list
    evidence_score: float = 850.0  # 0: nothing is asked
    evidence_rules: int = 2  # fired together, each with another reason
    evidence_lists: tuple[str, ...] = ()  # that hold the counterparty or payee
    # how long a challenge or hold lasts where no rule says so, and what becomes of the transaction then
    challenge_for: str = "15m"
    challenge_then: Literal["review", "decline"] = "decline"
    hold_for: str = "24h"
    hold_then: Literal["release", "review", "decline"] = "review"
    outcomes_kept: str = "7d"  # how long a repeat of a held transaction is told what became of it
    # champion scores from which a model raises the decision without any rule, such as {review: 0.9}
    models_alone: dict[Decision, float] = {}
    models_alone_max: Decision = "challenge"  # the most they cause while no rule fires beside them
    alerts_kept: str = "90d"  # how long an alert can be resolved
    caps: bool = True  # off in rule tests, which ask what a rule wants, not what it may

    def __post_init__(self) -> None:
        for name in SPANS:
            if duration_us(getattr(self, name)) == 0:
                raise ConfigError(
                    f"`{name}` must be longer than 0s", fix="write it like 10m or 72h"
                )
        if self.automation_max_us > self.automation_span_us:
            raise ConfigError(
                f"`automation_max` must not exceed `automation_span`, was {self.automation_max}"
                f" in {self.automation_span}",
                why="it bounds how much of that span automation may restrict an entity",
                fix="lower `automation_max`",
            )
        for key, decision in (*self.blocked.items(), ("otherwise", self.blocked_otherwise)):
            if SEVERITY[decision] < CHALLENGE:
                raise ConfigError(
                    f"`blocked` must be challenge, hold or decline, was {decision} for {key}",
                    why="a restricted account whose transactions pass is not restricted",
                    fix="write hold, or leave it out",
                )
        duration_us(self.cool_down)
        for verb, share in self.breakers.items():
            if not 0.0 < share <= 1.0:
                raise ConfigError(
                    f"`breakers` must lie in (0, 1], was {share} for {verb}",
                    why="it is a share of the transactions",
                    fix="write 0.02 for 2 %, or leave the verb out for no breaker",
                )
        for name in (
            "max_holds_per_hour",
            "max_challenges_per_hour",
            "breaker_minimum",
            "evidence_score",
            "evidence_rules",
        ):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"`{name}` must not be negative, was {getattr(self, name)}",
                    fix="write 0 for no limit",
                )

    @property
    def ack_timeout_us(self) -> int:
        return duration_us(self.ack_timeout)

    @property
    def automation_max_us(self) -> int:
        return duration_us(self.automation_max)

    @property
    def automation_span_us(self) -> int:
        return duration_us(self.automation_span)

    @property
    def alerts_kept_us(self) -> int:
        return duration_us(self.alerts_kept)

    @property
    def cool_down_us(self) -> int:
        return duration_us(self.cool_down)

    @property
    def breaker_window_us(self) -> int:
        return duration_us(self.breaker_window)

    @property
    def challenge_for_us(self) -> int:
        return duration_us(self.challenge_for)

    @property
    def hold_for_us(self) -> int:
        return duration_us(self.hold_for)

    @property
    def outcomes_kept_us(self) -> int:
        return duration_us(self.outcomes_kept)

    def divided(self, n: int) -> Self:
        """What each of `n` partitions may do by itself: a limit of all divided by them; shares stay what they are."""
        return msgspec.structs.replace(
            self,
            max_holds_per_hour=divided(self.max_holds_per_hour, n),
            max_challenges_per_hour=divided(self.max_challenges_per_hour, n),
            breaker_minimum=divided(self.breaker_minimum, n),
        )

    def fallback_for(self, type_: str) -> int:
        """Severity of the answer to a transaction of `type_` that could not be scored."""
        return SEVERITY[self.fallback.get(type_, self.fallback_otherwise)]

    def blocked_for(self, type_: str) -> int:
        """Severity of the least answer to a transaction of `type_` with a blocked entity."""
        return SEVERITY[self.blocked.get(type_, self.blocked_otherwise)]


def divided(limit: int, n: int) -> int:
    """What one of `n` partitions may do of `limit`; at least 1, or a small one would forbid everything. 0 is no limit.

    >>> divided(50, 8), divided(3, 8), divided(0, 8)
    (6, 1, 0)
    """
    return max(1, limit // n) if limit else 0
