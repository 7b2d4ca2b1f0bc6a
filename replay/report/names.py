"""What rules and reasons are called, and which alarms are about models."""

from typing import Final

from config.reasons import (
    CALIBRATION_DRIFTED,
    INPUT_DRIFTED,
    MODEL_FROZEN,
    MODEL_NOT_REFITTED,
    MODEL_PROMOTED,
    MODEL_REFITTED,
    MODEL_ROLLED_BACK,
    SCORE_DRIFTED,
    SENTENCES,
)
from replay.report.folder import Folder

MODEL_REASONS: Final = frozenset(
    {
        CALIBRATION_DRIFTED,
        INPUT_DRIFTED,
        MODEL_FROZEN,
        MODEL_NOT_REFITTED,
        MODEL_PROMOTED,
        MODEL_REFITTED,
        MODEL_ROLLED_BACK,
        SCORE_DRIFTED,
    }
)


class Names:
    """What rules and reasons are called, in the newest configuration."""

    def __init__(self, folder: Folder) -> None:
        pack = folder.setup.pack if folder.setup is not None else None
        self._rules = {rule.id: rule for rule in pack.rules} if pack is not None else {}
        self._reasons = pack.reasons if pack is not None else {}

    def rule(self, id_: str) -> str:
        """The name of a rule; "" for one that is no longer there."""
        return self._rules[id_].name if id_ in self._rules else ""

    def pack(self, id_: str) -> str:
        """The pack of a rule; "" for one that is no longer there."""
        return self._rules[id_].pack if id_ in self._rules else ""

    def reason(self, code: str) -> tuple[str, str]:
        """What a reason says, in English and Chinese."""
        known = self._reasons.get(code)
        if known is not None:
            return known.analyst.get("en", ""), known.analyst.get("zh", "")
        return SENTENCES.get(code, ""), ""
