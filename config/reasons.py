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
BREAKER_OPEN: Final = "BREAKER_OPEN"
EVIDENCE_THIN: Final = "EVIDENCE_THIN"
COOLING_DOWN: Final = "COOLING_DOWN"
RELEASE_NOT_ACKNOWLEDGED: Final = "RELEASE_NOT_ACKNOWLEDGED"
RELEASE_REJECTED: Final = "RELEASE_REJECTED"
SECOND_SIGNATURE_MISSING: Final = "SECOND_SIGNATURE_MISSING"
RULE_SWITCHED: Final = "RULE_SWITCHED"
MODE_SWITCHED: Final = "MODE_SWITCHED"
INPUT_DRIFTED: Final = "INPUT_DRIFTED"
SCORE_DRIFTED: Final = "SCORE_DRIFTED"
CALIBRATION_DRIFTED: Final = "CALIBRATION_DRIFTED"
MODEL_PROMOTED: Final = "MODEL_PROMOTED"
MODEL_ROLLED_BACK: Final = "MODEL_ROLLED_BACK"
MODEL_FROZEN: Final = "MODEL_FROZEN"
MODEL_REFITTED: Final = "MODEL_REFITTED"
MODEL_NOT_REFITTED: Final = "MODEL_NOT_REFITTED"

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
    BREAKER_OPEN: "An action was withheld because automation has acted on too many transactions.",
    EVIDENCE_THIN: "A restriction was withheld because there is too little evidence for it.",
    COOLING_DOWN: "A restriction was withheld because a person released the entity lately.",
    RELEASE_NOT_ACKNOWLEDGED: "Core banking has not acknowledged a release; the customer is stuck.",
    RELEASE_REJECTED: "Core banking has rejected a release; the customer is stuck.",
    SECOND_SIGNATURE_MISSING: "Nobody has signed for a release at night within the time allowed.",
    RULE_SWITCHED: "A rule was switched off in an emergency, or is on again.",
    MODE_SWITCHED: "Commands are no longer sent to core banking, or are sent again.",
    MODEL_PROMOTED: "Another model is the champion: its score decides from here on.",
    MODEL_ROLLED_BACK: "A promoted model did worse than the one before, which is the champion again.",
    MODEL_FROZEN: "A model no longer learns, or learns again.",
    MODEL_REFITTED: "A model was fitted anew to matured labels, and decides from here on.",
    MODEL_NOT_REFITTED: "A model could not be fitted anew, and goes on with its last fit.",
    INPUT_DRIFTED: "An input of the models is no longer spread as it was in the weeks before.",
    SCORE_DRIFTED: "A model's raw scores are no longer spread as they were in the weeks before.",
    CALIBRATION_DRIFTED: "Far more or fewer frauds came than the champion's probabilities said.",
}
