"""What reports read of the lines of streams, and of the messages of the journal."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from replay.report.folder import UNKNOWN


class FiredRule(msgspec.Struct):
    rule: str
    score: float = 0.0


class DecisionLine(msgspec.Struct):
    seq: int
    decision: str
    transaction_id: str | None = None
    event_time: str | None = None
    account: str | None = None
    score: float = 0.0
    models: dict[str, float | None] = {}
    fired: list[FiredRule] = []
    shadow: list[FiredRule] = []
    excepted: list[Any] = []
    suppressed: list[Any] = []
    undecided: list[tuple[str, str]] = []
    reasons: list[str] = []
    alerts: list[str] = []
    late: bool = False
    config: str = ""


class TimedLine(msgspec.Struct):
    seq: int
    event_time: str | None = None


class AlertLine(msgspec.Struct):
    alert_id: str
    kind: str
    seq: int
    rule: str = ""
    reason: str = ""
    severity: str = ""
    entity: dict[str, str | None] = {}
    transaction_id: str | None = None
    account: str | None = None
    event_time: str | None = None
    core_time: str | None = None
    amount: str | None = None
    currency: str | None = None
    title: str = ""
    case_id: str = ""
    effect: str = ""
    restriction_id: str = ""
    name: str = ""


class CommandLine(msgspec.Struct):
    seq: int
    verb: str
    restriction_id: str = ""
    level: str = ""
    core_time: str | None = None
    released_by: list[str] = []
    withdrawn: bool = False
    entity: dict[str, str | None] = {}


class ResolutionLine(msgspec.Struct):
    seq: int
    kind: str = ""
    outcome: str | None = None
    verdict: str | None = None
    first_seq: int = -1
    alert_id: str = ""
    case_id: str = ""
    core_time: str | None = None


class ReportLine(msgspec.Struct):
    kind: str
    revision: int = 1
    day: str = ""


class DeadLine(msgspec.Struct):
    seq: int
    reason: str = ""
    what: str = ""
    position: str = ""


class Numbered(msgspec.Struct):
    seq: int


class Told(NamedTuple):
    """What reports read of a message."""

    amount: Any = None
    currency: Any = None
    region: str = UNKNOWN


NOTHING: Final = Told()


class MessageDecoder:
    """Reads amount, currency and the field that tells the region; what cannot be read is unknown."""

    def __init__(self, region: str) -> None:
        self._region = region if region in ("amount", "currency") else "place"
        fields = dict.fromkeys(("amount", "currency", self._region), Any)
        kind = msgspec.defstruct(
            "Message", [(name, of, None) for name, of in fields.items()], rename={"place": region}
        )
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(kind).decode

    def __call__(self, line: bytes) -> Told:
        """What one message says."""
        if not line:
            return NOTHING
        try:
            found = self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return NOTHING
        place = getattr(found, self._region)
        region = place if isinstance(place, str) and place else UNKNOWN
        return Told(found.amount, found.currency, region)
