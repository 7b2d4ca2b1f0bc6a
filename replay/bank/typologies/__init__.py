"""The thirteen typologies of fraud and money laundering, one a file, each with an easy and a hard variant.

They are written from public descriptions of the crime, not from cases of a bank. Fraudsters here do not react to what
the engine decides: an attempt goes on after a decline as if nothing had happened.
"""

from typing import Final

from replay.bank.kinds import Kind
from replay.bank.typologies.account_takeover import ACCOUNT_TAKEOVER
from replay.bank.typologies.card_testing import CARD_TESTING
from replay.bank.typologies.dormant_drain import DORMANT_DRAIN
from replay.bank.typologies.elderly_persuaded import ELDERLY_PERSUADED
from replay.bank.typologies.impossible_travel import IMPOSSIBLE_TRAVEL
from replay.bank.typologies.merchant_compromise import MERCHANT_COMPROMISE
from replay.bank.typologies.mule import MULE
from replay.bank.typologies.refund_abuse import REFUND_ABUSE
from replay.bank.typologies.round_trip import ROUND_TRIP
from replay.bank.typologies.salary_mule import SALARY_MULE
from replay.bank.typologies.shared_device import SHARED_DEVICE
from replay.bank.typologies.structuring import STRUCTURING
from replay.bank.typologies.velocity_burst import VELOCITY_BURST

TYPOLOGIES: Final[tuple[Kind, ...]] = (
    CARD_TESTING,
    ACCOUNT_TAKEOVER,
    ELDERLY_PERSUADED,
    IMPOSSIBLE_TRAVEL,
    STRUCTURING,
    DORMANT_DRAIN,
    MULE,
    SALARY_MULE,
    SHARED_DEVICE,
    MERCHANT_COMPROMISE,
    VELOCITY_BURST,
    ROUND_TRIP,
    REFUND_ABUSE,
)
