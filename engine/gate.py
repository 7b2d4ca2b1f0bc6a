"""Who is let in: the door has found out what a signature proves (engine/signing.py), the gate goes by it.

Part of the core, unlike the door: that a signature counts once must survive a crash.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from config.errors import InputError
from config.people import People

NONCE_KEPT_US: Final = 86_400_000_000
STREAM: Final = "stream"  # what the core writes into `door` of an order that came with the input


class Gate:
    """Let orders in once each, signed where `people` asks for that."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._nonces: dict[str, int] = {}  # with the core time of their use

    def let_in(self, record: Mapping[str, Any], now_us: int, *, by_core_banking: bool) -> None:
        """Raise `InputError` if the door has refused the order, or a signature is asked for and is not there."""
        door = record.get("door")
        found: Mapping[str, Any] = door if isinstance(door, Mapping) else {}
        if "refused" in found:
            raise InputError(
                f"the order is refused: {found['refused']}",
                why="its signature does not prove who gave it",
                fix="sign it anew with a key of the person in `by`",
            )
        if "nonce" in found:
            nonce = f"{found.get('key')}:{found['nonce']}"
            if nonce in self._nonces:
                raise InputError(
                    "this signature has been used before",
                    why="an order that somebody has copied must not count again",
                    fix="sign it anew, with another nonce",
                )
            gone = now_us - NONCE_KEPT_US
            self._nonces = {n: at for n, at in self._nonces.items() if at > gone}
            self._nonces[nonce] = now_us
        elif self._people.signatures == "required":
            if by_core_banking and found.get("channel") == STREAM:
                return
            raise InputError(
                "the order is not signed",
                why="signatures are required (people.yaml)",
                fix="sign it with a key of the person in `by`",
            )

    def save(self) -> list[tuple[str, int]]:
        """Signatures that must not come again, with the core time of their use, in canonical order."""
        return sorted(self._nonces.items())

    def restore(self, nonces: Sequence[tuple[str, int]]) -> None:
        """Take over what `save` gave."""
        self._nonces = dict(nonces)
