"""How good the data of a run is: which fields are missing, wrong or strange, and which messages lead nowhere.

    flaws     of one batch, for the totals: late, repeated, dead and unlinked messages by kind; empty where all is well
    of_run    the `quality` of summary.json: every field of transactions, every kind of message, one feed
    table     the same for people, as far as there is something to say

What is odd about fields is counted while they are decoded (engine/decoding/quality.py); how many messages of a kind
were read follows from the counts of the core. Here both are put beside each other, nothing is counted twice.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.schema import Schema
from engine.admission import Admitted
from engine.batch import ACTIVITY, DEAD, DUPLICATE, KIND_NAMES, TRANSACTION, Batch
from engine.remembered import SEPARATOR, Remembered

Counts: TypeAlias = dict[str, int]
ORIGINAL: Final = "original_transaction_id"
UNKNOWN_TRANSACTION: Final = "unknown_transaction"  # the dead letter of a label or an update
FLAWS: Final = ("late", "duplicates", "dead", "unlinked")
FIELDS_SHOWN: Final = 12
_COLUMNS: Final = ("missing", "invalid", "unseen")


class FieldCounts(Protocol):
    """What decode counts; see `Quality` there."""

    n_transactions: int
    unknown: Counts
    unknown_other: int

    @property
    def present(self) -> Counts: ...

    @property
    def invalid(self) -> Counts: ...

    @property
    def unseen(self) -> Counts: ...


def flaws(batch: Batch, admitted: Admitted, memory: Remembered) -> dict[str, Counts]:
    """Count what went wrong with the messages of a batch: flaw -> kind of message -> how many.

    A dead letter that could not be read counts as of the kind `dead`. Unlinked are labels and updates of a transaction
    that nobody remembers, which are dead letters too, and transactions and activities that name such an original.
    """
    found: dict[str, Counts] = {}
    if admitted.late.any():
        found["late"] = _by_kind(batch.kind[admitted.late])
    if batch.dead:
        rows = list(batch.dead)
        found["dead"] = _by_kind(batch.read_as[rows])
        lost = [row for row in rows if batch.dead[row].reason == UNKNOWN_TRANSACTION]
        if lost:
            found["unlinked"] = _by_kind(batch.read_as[lost])
    if admitted.first_seq:
        found["duplicates"] = _by_kind(batch.read_as[list(admitted.first_seq)])
    if ORIGINAL in batch.keys:
        alone = _without_original(batch, admitted, memory)
        if alone:
            counts = found.setdefault("unlinked", {})
            for name, n in _by_kind(batch.kind[alone]).items():
                counts[name] = counts.get(name, 0) + n
    return found


def _by_kind(kinds: NDArray[np.int8]) -> Counts:
    counts = np.bincount(kinds, minlength=len(KIND_NAMES)).tolist()
    return {name: n for name, n in zip(KIND_NAMES, counts, strict=True) if n}


def _without_original(batch: Batch, admitted: Admitted, memory: Remembered) -> list[int]:
    """Rows that name an earlier transaction of their account which is not remembered, or came after them."""
    alone = []
    for row, original in sorted(batch.originals.items()):
        if batch.kind[row] not in (TRANSACTION, ACTIVITY):
            continue
        key = f"{batch.account[row]}{SEPARATOR}{original}"
        entry = memory.find(key, int(admitted.core_us[row]))
        if entry < 0 or memory.arrays["seq"][entry - memory.base] >= batch.seq0 + row:
            alone.append(row)
    return alone


def of_run(
    feed: str, schema: Schema, fields: FieldCounts, totals: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    """Return the quality of the data of a run as it stands in summary.json.

    fields: of each field that transactions may have, how many do (present) or not (missing); invalid are values that
    mean nothing, of any message, and unseen those outside the values that the schema expects.
    """
    named = [
        key
        for key, column in schema.keys.items()
        if not column.entity and "transaction" in column.messages
    ]
    others = [key for key in fields.invalid if key not in named]
    table = {
        key: {
            "present": fields.present[key],
            "missing": fields.n_transactions - fields.present[key],
            "invalid": fields.invalid[key],
            "unseen": fields.unseen[key],
        }
        for key in named
    }
    for key in others:  # of labels and profiles
        if fields.invalid[key] or fields.unseen[key]:
            table[key] = {"invalid": fields.invalid[key], "unseen": fields.unseen[key]}
    unknown = {name: n for name, n in sorted(fields.unknown.items()) if n}
    if fields.unknown_other:
        unknown["(other)"] = fields.unknown_other
    return {
        "feed": feed,
        "transactions": fields.n_transactions,
        "fields": table,
        "unknown_fields": unknown,
        "messages": _messages(totals),
    }


def _messages(totals: Mapping[str, Mapping[str, int]]) -> dict[str, Counts]:
    """Each kind of message: how many were read, and what became of them but being taken."""
    taken = totals.get("messages", {})
    lost = {flaw: totals.get(flaw, {}) for flaw in FLAWS}
    found: dict[str, Counts] = {}
    for kind, name in enumerate(KIND_NAMES):
        if kind == DUPLICATE:
            continue
        repeated, dead = lost["duplicates"].get(name, 0), lost["dead"].get(name, 0)
        read = dead if kind == DEAD else taken.get(name, 0) + repeated + dead
        if read:
            counts = {"read": read} | {flaw: lost[flaw].get(name, 0) for flaw in FLAWS}
            found["unreadable" if kind == DEAD else name] = counts
    return found


def table(quality: Mapping[str, Any]) -> str:
    """Show messages that lead nowhere and fields with something to say; "" where all is well.

    Fields with wrong or strange values come first, then those that are rarely missing: a field that is missing half of
    the time is meant to be, one that is missing once in a while is a sender's slip.
    """
    n = quality["transactions"]
    kinds = {k: c for k, c in quality["messages"].items() if any(c[flaw] for flaw in FLAWS)}
    odd = {
        name: counts
        for name, counts in quality["fields"].items()
        if counts["invalid"] or counts["unseen"] or 0 < counts.get("missing", 0) < n
    }
    lines = []
    if kinds:
        lines.append(f"{'messages':26s}" + "".join(f"{c:>12s}" for c in ("read", *FLAWS)))
        for name, counts in kinds.items():
            numbers = "".join(f"{counts[c]:12,}" for c in ("read", *FLAWS))
            lines.append(f"  {name:24s}{numbers}")
    if odd:
        ordered = sorted(odd, key=lambda name: _first(odd[name]))
        lines.append(f"{'fields':26s}" + "".join(f"{c:>12s}" for c in _COLUMNS))
        for name in ordered[:FIELDS_SHOWN]:
            counts = odd[name]
            missing = f"{counts['missing'] / n:.2%}" if n and "missing" in counts else ""
            lines.append(f"  {name:24s}{missing:>12s}{counts['invalid']:12,}{counts['unseen']:12,}")
        if len(ordered) > FIELDS_SHOWN:
            lines.append(f"  and {len(ordered) - FIELDS_SHOWN} more in summary.json")
    return "\n".join(lines)


def _first(counts: Counts) -> tuple[int, int]:
    return (-counts["invalid"] - counts["unseen"], counts.get("missing", 0))
