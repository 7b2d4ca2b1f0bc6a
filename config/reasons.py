"""The engine's own reason codes, each with the sentence a person reads; a pack adds its own under `reasons`.

A decision lists the reasons of the rules that fired, by rule id, and then those of the engine in the order below.
"""

from typing import Final

UNSCORABLE: Final = "UNSCORABLE"
FX_RATE_MISSING: Final = "FX_RATE_MISSING"
RESTRICTED: Final = "RESTRICTED"
UNDECIDED: Final = "UNDECIDED"
MODEL_SCORE: Final = "MODEL_SCORE"
ENTITY_MISSING: Final = "ENTITY_MISSING"
CAP_REACHED: Final = "CAP_REACHED"
LATE: Final = "LATE"
NOT_ACKNOWLEDGED: Final = "NOT_ACKNOWLEDGED"
COMMAND_REJECTED: Final = "COMMAND_REJECTED"

SENTENCES: Final[dict[str, str]] = {
    UNSCORABLE: "The message could not be scored; the answer is the fallback of its type.",
    FX_RATE_MISSING: "The amount is in a currency without a rate, so no rule could weigh it.",
    RESTRICTED: "A restriction in force on an entity of this transaction demands this answer.",
    UNDECIDED: "A rule could not be decided because a field is missing, and says what that means.",
    MODEL_SCORE: "The score of the champion model alone is high enough for this answer.",
    ENTITY_MISSING: "A rule asks to restrict an entity that this message does not name.",
    CAP_REACHED: "An action was withheld because its limit on automatic actions was reached.",
    LATE: "The event came later than the feed allows; it was decided at core time.",
    NOT_ACKNOWLEDGED: "Core banking has not acknowledged a restriction within the time allowed.",
    COMMAND_REJECTED: "Core banking has rejected a restriction.",
}
