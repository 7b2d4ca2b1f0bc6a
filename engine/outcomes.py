"""Bytes of what the core says: decision lines, and the other streams record by record.

Most decisions are quiet, and a kernel writes them (engine/quiet.py). A loud decision is written piece by piece by
`decision_text`; for a quiet row both give the same bytes, which a test holds them to.

Numbers are plain decimals with at most 6 places and no exponent; a score is an integer when it is whole.
"""

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from config.decisions import DECISIONS
from engine.batch import Dead

F8: TypeAlias = NDArray[np.float64]
I8: TypeAlias = NDArray[np.int64]

CHAMPION = "champion"
_DAY_US = 86_400_000_000
_EPOCH = date(1970, 1, 1).toordinal()
_MINUTE = [f"{m // 60:02d}:{m % 60:02d}:" for m in range(1440)]
_SECOND = [f"{s:02d}" for s in range(60)]
_MILLI = ["Z", *(f".{m:03d}Z" for m in range(1, 1000))]


class _Days(dict[int, str]):
    """Day since 1970 -> its date; filled when asked, at most 84,000 days."""

    def __missing__(self, day: int) -> str:
        text = self[day] = date.fromordinal(_EPOCH + day).isoformat() + "T"
        return text


_DAYS = _Days()


def rfc3339(time_us: int) -> str:
    """Write one time in UTC with no more decimals than it needs: none, three or six.

    >>> rfc3339(1_772_445_609_000_000), rfc3339(1_772_445_609_120_000), rfc3339(1)
    ('2026-03-02T10:00:09Z', '2026-03-02T10:00:09.120Z', '1970-01-01T00:00:00.000001Z')
    """
    day, rest = divmod(time_us, _DAY_US)
    second, us = divmod(rest, 1_000_000)
    minute, second = divmod(second, 60)
    end = f".{us:06d}Z" if us % 1000 else _MILLI[us // 1000]
    return f"{_DAYS[day]}{_MINUTE[minute]}{_SECOND[second]}{end}"


def number_text(value: float) -> str:
    """Write a float with at most 6 decimals, at least one, and no exponent; null if there is none.

    >>> number_text(0.91), number_text(1.0), number_text(0.00005), number_text(-0.0000001)
    ('0.91', '1.0', '0.00005', '0.0')
    """
    if not math.isfinite(value):
        return "null"
    if abs(value) >= 1e9:  # beyond that six decimals are more than a float64 holds
        text = repr(round(value, 6))
        return f"{value:.1f}" if "e" in text else text
    text = f"{value:.6f}".rstrip("0")
    if text.endswith("."):
        text += "0"
    return "0.0" if text == "-0.0" else text


def score_text(score: float) -> str:
    """Write a score: an integer when it is whole.

    >>> score_text(612.0), score_text(0.5)
    ('612', '0.5')
    """
    return number_text(score).removesuffix(".0")


def quoted(text: str | None) -> str:
    """Write a JSON string, with its quotes; null for None."""
    if text is None:
        return "null"
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    try:
        return orjson.dumps(text).decode()
    except TypeError:  # half of a surrogate pair, which UTF-8 cannot carry
        return json.dumps(text)


def line(record: Mapping[str, Any]) -> bytes:
    """One record as a line of JSON, keys in the order of the mapping."""
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # half of a surrogate pair, which UTF-8 cannot carry
        return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def canonical(record: Mapping[str, Any]) -> bytes:
    """One record as JSON that is the same however its keys came, for hashes over it."""
    return orjson.dumps(dict(record), option=orjson.OPT_SORT_KEYS)


def short_id(prefix: str, *parts: str | int) -> str:
    """An id that follows from what it names: `prefix` and 12 hexadecimal digits over the parts."""
    text = "\x1f".join(map(str, parts)).encode(errors="surrogatepass")
    return prefix + hashlib.blake2b(text, digest_size=6).hexdigest()


@dataclass(slots=True)
class Streams:
    """Lines that one batch adds to the streams beside the decisions, in order."""

    alerts: list[bytes] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)
    resolutions: list[bytes] = field(default_factory=list)
    duplicates: list[bytes] = field(default_factory=list)
    reports: list[bytes] = field(default_factory=list)
    verbs: dict[str, int] = field(default_factory=dict)  # of the commands

    def command(self, record: Mapping[str, Any]) -> None:
        """Add a command, and count its verb."""
        verb = str(record["verb"])
        self.commands.append(line(record))
        self.verbs[verb] = self.verbs.get(verb, 0) + 1


@dataclass(slots=True)
class DecisionParts:
    """What a decision line says beyond seq, ids, times and model scores; pairs are (rule, what)."""

    decision: int
    score: float = 0.0
    fired: Sequence[str] = ()  # objects as `fired_text` writes them
    shadow: Sequence[str] = ()
    excepted: Sequence[tuple[str, str]] = ()
    suppressed: Sequence[tuple[str, str]] = ()
    undecided: Sequence[tuple[str, str]] = ()
    reasons: Sequence[str] = ()
    contributions: Sequence[tuple[str, float]] = ()
    restrictions: Sequence[str] = ()
    alerts: Sequence[str] = ()
    commands: Sequence[str] = ()
    late: bool = False
    answer: Mapping[str, Any] = field(default_factory=dict)  # challenge, hold or decline, in detail
    normal: Sequence[
        tuple[str, str, float, Mapping[str, str]]
    ] = ()  # of inputs; no key without one

    def head(self) -> str:
        """From `decision` up to the models."""
        return f'"decision":"{DECISIONS[self.decision]}","score":{score_text(self.score)}'

    def tail(self, config: str, partial: Sequence[str] = ()) -> str:
        """What follows the models, to the end of the line.

        partial : keys by which features are of one partition only; no key in the line without one
        """
        contributions = ",".join(f"[{quoted(n)},{number_text(c)}]" for n, c in self.contributions)
        answer = f"{orjson.dumps(self.answer).decode()[1:-1]}," if self.answer else ""
        part = f'"partial":[{_texts(partial)}],' if partial else ""
        return (
            f'"fired":[{",".join(self.fired)}],"shadow":[{",".join(self.shadow)}],'
            f'"excepted":[{_pairs(self.excepted)}],"suppressed":[{_pairs(self.suppressed)}],'
            f'"undecided":[{_pairs(self.undecided)}],"reasons":[{_texts(self.reasons)}],'
            f'"contributions":[{contributions}],{_normal(self.normal)}"restrictions":[{_texts(self.restrictions)}],'
            f'"alerts":[{_texts(self.alerts)}],"commands":[{_texts(self.commands)}],'
            f'"late":{"true" if self.late else "false"},{answer}{part}"config":{quoted(config)}}}\n'
        )


def _normal(normal: Sequence[tuple[str, str, float, Mapping[str, str]]]) -> str:
    if not normal:
        return ""
    told = ",".join(f"[{quoted(i)},{quoted(f)},{score_text(t)}]" for i, f, t, _ in normal)
    return f'"normal":[{told}],'


def fired_text(rule: str, version: int, reason: str, score: float) -> str:
    """One entry of `fired` or `shadow`."""
    return (
        f'{{"rule":{quoted(rule)},"version":{version},"reason":{quoted(reason)},'
        f'"score":{score_text(score)}}}'
    )


def model_order(names: Iterable[str]) -> tuple[str, ...]:
    """The champion first, the others by name: never the order of a dict."""
    return tuple(sorted(names, key=lambda name: (name != CHAMPION, name)))


def decision_text(
    seq: int,
    transaction_id: str | None,
    event_time_us: int,
    account: str | None,
    models: Sequence[tuple[str, float]],
    head: str,
    tail: str,
) -> str:
    """One decision line. `event_time_us` below 0 is none; `models` stand in `model_order`."""
    time = f'"{rfc3339(event_time_us)}"' if event_time_us >= 0 else "null"
    scores = ",".join(f"{quoted(name)}:{number_text(value)}" for name, value in models)
    return (
        f'{{"seq":{seq},"transaction_id":{quoted(transaction_id)},"event_time":{time},'
        f'"account":{quoted(account)},{head},"models":{{{scores}}},{tail}'
    )


def duplicate_line(
    seq: int,
    transaction_id: str | None,
    account: str | None,
    first_seq: int,
    first_decision: int,
    outcome: str | None = None,
) -> bytes:
    """One line of `duplicates`; `first_decision` below 0 (a repeated label or update has none) is null.

    outcome : what has become of a challenged or held transaction; no key where there is none
    """
    record = {
        "seq": seq,
        "transaction_id": transaction_id,
        "account": account,
        "first_seq": first_seq,
        "decision": DECISIONS[first_decision] if first_decision >= 0 else None,
    }
    return line(record | ({"outcome": outcome} if outcome is not None else {}))


def dead_letter_line(seq: int, position: str, dead: Dead, message: bytes) -> bytes:
    """One line of `dead_letters`: why, where, what to do, and the message; in base64 if it is no UTF-8."""
    record: dict[str, Any] = {
        "seq": seq,
        "position": position,
        "reason": dead.reason,
        "what": dead.what,
        "fix": dead.fix,
        "answered": dead.answerable,
    }
    try:
        record["message"] = message.decode()
    except UnicodeDecodeError:
        record["message_base64"] = base64.b64encode(message).decode()
    return line(record)


def _texts(texts: Iterable[str]) -> str:
    return ",".join(map(quoted, texts))


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return ",".join(f"[{quoted(a)},{quoted(b)}]" for a, b in pairs)
