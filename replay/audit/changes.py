"""What was changed while an output folder was written: configurations, and what people told the engine to do.

A configuration that becomes active is a record of the journal with a seq of its own, and every configuration that was
ever active is stored, so both who brought it and what it changed can be shown: settings by key, rules by id with their
versions and lines, lists by row. Orders of people (release, restrict, resolve, suppress, reject) are records too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engine.durable.config_store import FOLDER
from replay.audit import diffs
from replay.audit.inputs import Inputs, Order
from replay.audit.records import Seqs
from replay.audit.tables import Cell, Report, Section
from replay.audit.veil import PLAIN, Veil

ROUTINE: Final = frozenset({"acknowledge"})  # core banking says that it did as it was told
CONFIGURATIONS: Final = ("seq", "at", "by", "approved by", "evidence", "from", "to", "changes")
CHANGES: Final = ("seq", "file", "what", "change", "before", "after", "lines")
ORDERS: Final = ("seq", "command", "by", "reason", "about", "state")
FEW: Final = 3  # items of a list of evidence that a line names
SHORT: Final = 12  # hexadecimal digits of a hash, for people
_SAID: Final = frozenset({"kind", "command", "by", "reason", "event_time"})


@dataclass(slots=True)
class Changes(Report):
    """The report; as JSON with the whole evidence of each configuration, by its seq."""

    evidence: dict[int, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        told = Report.as_dict(self)
        return {**told, "evidence": {str(seq): facts for seq, facts in self.evidence.items()}}


def report(root: Path, seqs: Seqs, inputs: Inputs, *, veil: Veil = PLAIN) -> Report:
    """Configuration records and orders in `seqs`, each configuration with what it changed."""
    configs = Section("configurations", "Configurations that became active", CONFIGURATIONS)
    changed = Section("changes", "What they changed", CHANGES)
    active = inputs.opening_config
    for seq, record in inputs.configs:
        before, active = active, str(record.get("config", ""))
        if seq not in seqs:
            continue
        found = _between(root, before, active)
        for change in found:
            row = (change.file, change.what, change.kind, change.before, change.after)
            changed.rows.append((seq, *row, " | ".join(change.lines) or None))
        configs.rows.append((seq, *_who(record), _short(before), _short(active), len(found)))
    orders = Section("orders", "Orders of people", ORDERS)
    given = [order for order in inputs.orders if order.seq in seqs]
    for order in given:
        if order.is_done and order.command not in ROUTINE:
            orders.rows.append(_row(order, veil))
    whole = {
        seq: facts
        for seq, record in inputs.configs
        if seq in seqs and (facts := record.get("evidence"))
    }
    answer = Changes([configs, changed, orders], evidence=whole)
    answer.facts["opening configuration"] = inputs.opening_config or None
    answer.facts["orders refused"] = sum(not order.is_done for order in given)
    if answer.facts["orders refused"]:
        answer.remarks.append(
            "Orders that were refused, and why, are lines of answers.ndjson: weir audit show OUT answers"
        )
    if not inputs.is_known:
        answer.remarks.append(
            "There is no journal: who changed what is not on record. Configurations that were stored: "
            + (", ".join(sorted(p.name[:SHORT] for p in (root / FOLDER).glob("*"))) or "none")
        )
    return answer


def _between(root: Path, old: str, new: str) -> list[diffs.Change]:
    paths = [root / FOLDER / name.removeprefix("sha256:") for name in (old, new)]
    for path in paths:
        if not path.is_dir():
            return [diffs.Change(path.name[:SHORT], "stored configuration", "missing")]
    return diffs.between(*paths)


def _who(record: Mapping[str, Any]) -> tuple[Cell, Cell, Cell, Cell]:
    """When, by whom, approved by whom, on which evidence."""
    evidence = record.get("evidence")
    facts = dict(evidence) if isinstance(evidence, Mapping) else {}
    approved = record.get("approved_by") or facts.pop("approved_by", None)
    told = ", ".join(f"{name} {text}" for name, value in facts.items() if (text := _brief(value)))
    return record.get("at"), record.get("by"), _value(approved), told or None


def _brief(value: Any) -> str | None:
    """A fact of an evidence in a few words: of a long list the first items, and how many there are."""
    if isinstance(value, list | tuple) and len(value) > FEW:
        return f"{_value(value[:FEW])} and {len(value) - FEW} more"
    if isinstance(value, Mapping):
        told = ", ".join(f"{k} {text}" for k, v in value.items() if (text := _brief(v)))
        return f"({told})" if told else ""
    return _value(value)


def _row(order: Order, veil: Veil) -> tuple[Cell, ...]:
    record = order.record
    entity = record.get("entity")
    about = {str(k): str(v) for k, v in entity.items()} if isinstance(entity, Mapping) else {}
    told = []
    for name, value in record.items():
        if name in _SAID:
            continue
        shown = value
        if name == "entity":
            shown = " ".join(f"{k} {veil.value(k, v)}" for k, v in about.items())
        told.append(f"{name} {_value(shown)}")
    reason = veil.inside(str(record.get("reason") or ""), about)
    state = order.answer.get("awaiting") or order.answer.get("state")
    who = (order.seq, order.command, record.get("by"), reason or None)
    return (*who, ", ".join(told), _value(state))


def _value(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return " ".join(str(_value(item)) for item in value)
    if isinstance(value, Mapping):
        told = ", ".join(f"{k} {text}" for k, v in value.items() if (text := _value(v)))
        return f"({told})" if told else ""
    return str(value)


def _short(config: str) -> str:
    return config.removeprefix("sha256:")[:SHORT]
