"""Honest events that look like fraud, grouped by what they look like: cards, access, money, firms.

They are rows of an attempt that is honest. Each is as near to its typology as life makes it, and differs in what a fair
rule can see: known payees and own devices, plausible journeys, money that stays, refunds in full. Where a payee must be
known to the bank, an everyday payment to it, which carries no mark, comes some days before.
"""

from typing import Final

from replay.bank.kinds import Kind
from replay.bank.lookalikes import access, cards, firms, money

LOOKALIKES: Final[tuple[Kind, ...]] = (*cards.KINDS, *access.KINDS, *money.KINDS, *firms.KINDS)
