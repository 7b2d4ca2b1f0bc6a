"""`weir audit explain`: why one record was decided as it was, from the bytes that came in to what went out.

The record is decided again: the newest snapshot before it, the journal up to it, then it alone, by the configuration of
that time. What follows is read from that very core, so nothing shown was kept aside for explaining. The answer is one
document (`document` lists its keys); prose.py writes it for people, page.py prints it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from config import reasons
from config.errors import InputError, StateError
from config.pseudonyms import HIDDEN
from config.settings import instant_us
from engine.batch import ACTIVITY, TRANSACTION
from engine.core import Core, Outcome
from engine.durable.rederive import Rederivation
from engine.ratings import THOUSANDTHS
from engine.setup import Setup
from replay.audit import ruling
from replay.audit.evidence import Evidence, Taken, fields_read
from replay.audit.records import Decision, lines, raw
from replay.audit.ruling import FIRED, NO, OFF_TYPE, UNDECIDED, Ruled, Ruling
from replay.audit.veil import PLAIN, Veil
from rules.calendar import shown_day
from rules.explain import JUNCTIONS, Clause, Evaluator, Flip, frame_reader
from rules.render import text_of
from rules.words import action_text

Json: TypeAlias = dict[str, Any]
FORMAT: Final = 1  # of the document; raised when the meaning of a key changes
EVENTS: Final = 5  # of each window, unless asked for more
_OF_RESTRICTION: Final = (
    *("level", "amount_minor", "channels", "started_at", "expires_at"),
    *("reason", "rule", "author", "order", "source"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What to explain and how closely.

    rule     : explain this rule, whatever it did; "" for those that matter
    n_events : of each window, -1 for all
    """

    rule: str = ""
    n_events: int = EVENTS


@dataclass(slots=True)
class Beside:
    """What an output folder knows beside the core.

    restrictions : id -> the command that imposed it
    set_by       : (entity, id, attribute) -> seq of the profile message that set it last
    later        : what became known after the decision
    """

    restrictions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    set_by: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    later: Sequence[Json] = ()
    notes: Sequence[str] = ()


def find(
    root: Path, transaction: str, account: str = "", at: str = "", seq: int = -1
) -> Decision | None:
    """The decision line meant: by seq, or of a transaction, the last one not after `at`; None if only seq is known.

    Raises `InputError` where there is none, or the id alone means several accounts.
    """
    at_us = instant_us("--at", at) if at else None
    found: list[Decision] = []
    for decision in lines(root, "decisions", Decision):
        if seq >= 0 and decision.seq == seq:
            return decision
        is_it = decision.transaction_id == transaction and account in ("", decision.account)
        if seq < 0 and is_it and _is_by(decision, at_us):
            found.append(decision)
    if seq >= 0:
        return None  # an activity, a label: it has no decision, but rules may have looked at it
    if not found:
        raise InputError(
            f"there is no decision on transaction `{transaction}`"
            + (f" of account `{account}`" if account else "")
            + (f" by {at}" if at else ""),
            str(root / "decisions.ndjson"),
            fix="look it up in duplicates.ndjson and dead_letters.ndjson, or name the record with --seq",
        )
    if len({decision.account for decision in found}) > 1:
        seqs = ", ".join(str(decision.seq) for decision in found[:9])
        raise InputError(
            f"transaction `{transaction}` was decided for {len(found)} accounts",
            str(root / "decisions.ndjson"),
            why="one message is one leg, and the id is unique inside its account only",
            fix=f"add --account, or --seq with one of {seqs}",
        )
    return found[-1]


def _is_by(decision: Decision, at_us: int | None) -> bool:
    if at_us is None or decision.event_time is None:
        return True
    return instant_us("event_time", decision.event_time) <= at_us


def explain(again: Rederivation, root: Path, seq: int, asked: Asked, veil: Veil) -> Json:
    """Decide record `seq` of an output folder again and say why it came out so.

    Raises `StateError` where the journal does not hold it, or it cannot be decided again.
    """
    if not again.journal.first_seq <= seq < again.journal.seq_end:
        raise StateError(
            f"record {seq} is not in the journal, which holds {again.journal.first_seq} to {again.journal.seq_end - 1}",
            str(root),
            why="without the bytes that came in nothing can be decided again",
            fix="name a record that is kept, or restore an older backup",
        )
    again.start(seq)
    again.run_to(seq)
    recorded = next(iter(again.journal.read(seq, seq + 1)), None)
    if recorded is None or recorded.config is not None:
        raise StateError(
            f"record {seq} changes the configuration",
            str(root),
            fix="see what it changed with: weir audit changes; or name the seq of a message",
        )
    if recorded.erased:
        raise StateError(
            f"the bytes of record {seq} were erased",
            str(root),
            why="what was in it can no longer be said, only that it was there",
        )
    messages = recorded.messages
    arrival_us = None if messages.arrival_us is None else messages.arrival_us[:1]
    taken = Taken(
        seq,
        messages.lines[0],
        messages.positions[0],
        None if arrival_us is None else int(arrival_us[0]),
    )
    outcome = again.core.apply([taken.line], [taken.position], arrival_us)
    beside = Beside(
        _restrictions(root, outcome),
        _profiles(again, seq, outcome),
        _later(again, root, seq, outcome, veil),
        [f"snapshot skipped: {error.what}" for error in again.skipped],
    )
    answer = document(again.core, again.setup, taken, outcome, asked, veil, beside)
    on_record = next(
        (line for line in raw(root, "decisions") if line.startswith(b'{"seq":%d,' % seq)), None
    )
    derived = outcome.streams["decisions"].rstrip(b"\n")
    if on_record is not None and on_record != derived:
        answer["notes"].append(
            "WARNING: the decision on record is not the one derived again; see what was changed with: weir audit verify"
        )
    return answer


def document(
    core: Core,
    setup: Setup,
    taken: Taken,
    outcome: Outcome,
    asked: Asked,
    veil: Veil = PLAIN,
    beside: Beside | None = None,
) -> Json:
    """The whole explanation of a record that `core` has just applied alone.

        format        1
        input         seq, kind, position, arrived, n_bytes, text (the message), dead_letter
        decision      the line of decisions.ndjson; None if there is none (an activity, a label)
        sentences     reason codes of the decision -> {analyst: {en, zh}, customer: {en, zh}}
        how           score, combine, bands, parts [{what, decision}], decision, agrees (with the line)
        rules         [{id, name, version, mode, reason, outcome, score, text, clauses, exceptions, flips, ...}]
        left_out      how many rules more there are, by outcome
        fields        [{name, value, source, attribute, set_by_seq}]
        features      [{name, value, declaration, words, keys, window, events, n_events, n_more, ...}]
        lists         [{list, value, field, origin, row}]: rows that matched
        models        champion, scores, kinds, inputs [{name, value, contribution, normal {feature, times, en, zh}}]
        restrictions  [{id, entity, level, started_at, expires_at, rule, demanded}]: in force at that moment
        rating        of the customer: customer, rating, class, points by kind (as they are after the record), trend
                      of 30 days, the oldest first; None where nobody holds anything against them
        changes       [{what, column, decision, turns}]: single changes that give another decision, the nearest first
        later         [{seq, kind, what}]: what became known afterwards
        versions      configuration, packs, schema, rules
        notes         what else people should know

    A clause is {op, text, truth (true, false, null), because, values [{name, value}], parts, flip}.
    """
    beside = beside or Beside()
    read = frame_reader(outcome.frame, 0, core.dictionaries)
    evidence = Evidence(
        core, setup, outcome, taken, veil, read, lambda *key: beside.set_by.get(key)
    )
    evaluator = Evaluator.of_pack(setup.pack, read, show=evidence.show, lists=core.lists.now())
    rules = Ruling(core, setup, outcome, evaluator)
    line = _line(outcome)
    restrictions = rules.add_restrictions(_in_force(line, beside, veil))
    if bool(outcome.batch.foreign[0]):
        rules.add_foreign()
    every = rules.all() if int(outcome.batch.kind[0]) in (TRANSACTION, ACTIVITY) else []
    if asked.rule and asked.rule not in {r.explained.rule.id for r in every}:
        raise InputError(
            f"there is no rule `{asked.rule}` that was in use then",
            fix="rules that are off are not evaluated; see the packs under OUT/config",
        )
    shown = ruling.shown_rules(every, asked.rule)
    names = _columns(shown, setup)
    clauses = [r.explained.when for r in shown] + [
        e.when for r in shown for e in r.explained.exceptions
    ]
    answer: Json = {
        "format": FORMAT,
        "input": evidence.input(),
        "decision": _covered_line(line, evidence),
        "sentences": _sentences(line, setup),
        "how": _how(rules, line),
        "rules": [_rule(r, setup.pack.timezone) for r in shown],
        "left_out": _left_out(every, shown),
        "fields": evidence.fields(fields_read(setup.pack, names)),
        "features": evidence.features(names, asked.n_events),
        "lists": evidence.lists(clauses),
        "models": evidence.models() if outcome.scores else {},
        "restrictions": restrictions,
        "rating": _rating(core, evidence, every),
        "changes": [_change(c) for c in rules.changes()] if line is not None else [],
        "later": list(beside.later),
        "versions": _versions(core, setup),
        "notes": [*_notes(rules, line, is_judged=bool(every)), *beside.notes],
    }
    return answer


# ---- parts of the document


def _line(outcome: Outcome) -> Json | None:
    lines_ = outcome.streams["decisions"].splitlines()
    return msgspec.json.decode(lines_[0], type=dict[str, Any]) if lines_ else None


def _columns(shown: Sequence[Ruled], setup: Setup) -> list[str]:
    """Columns that the shown rules read, in the order of the rules."""
    names: dict[str, None] = {}
    for one in shown:
        rule = one.explained.rule
        trees = [rule.when, rule.score, *(clause.when for clause in rule.exceptions)]
        trees += [a.value for a in rule.actions if a.value is not None]
        for tree in trees:
            names.update(dict.fromkeys(tree.columns()))
        names.update(dict.fromkeys(("type", "event_time", *rule.dedup_by)))
        names.update(dict.fromkeys(a.entity for a in rule.actions if a.entity))
    for name in ("event_time", "type", "account", "amount", "currency", "direction"):
        if name in setup.schema.columns:
            names.setdefault(name)
    return list(names)


def _rating(core: Core, evidence: Evidence, every: Sequence[Ruled]) -> Json | None:
    customer = evidence.read("customer") if every and "customer" in core.layout else None
    rated = core.decider.ratings.of(customer) if isinstance(customer, str) else None
    if rated is None:
        return None
    points = {
        name: getattr(rated, name) / THOUSANDTHS for name in ("alerts", "restrictions", "verdicts")
    }
    return {
        "customer": evidence.show("customer", core.layout["customer"].type, rated.customer),
        "rating": rated.rating,
        "class": rated.class_,
        "points": points,
        "trend": list(rated.trend),
    }


def _how(rules: Ruling, line: Json | None) -> Json:
    weighed = rules.weighed()
    told: Json = {
        "score": weighed.score,
        "combine": rules.pack.combine,
        "bands": [
            {"from": band.low, "to": band.high, "do": band.decision} for band in rules.pack.bands
        ],
        "parts": [{"what": part.what, "decision": part.decision} for part in weighed.parts],
    }
    if line is None:
        return told | {"decision": None, "agrees": None}
    most = max(weighed.parts, key=lambda part: part.severity)
    return told | {"decision": line["decision"], "agrees": most.decision == line["decision"]}


def _rule(ruled: Ruled, timezone: str) -> Json:
    explained = ruled.explained
    rule = explained.rule
    told: Json = {
        "id": rule.id,
        "name": rule.name,
        "version": rule.version,
        "pack": rule.pack,
        "owner": rule.owner,
        "mode": rule.mode,
        "severity": rule.severity,
        "reason": rule.reason,
        "purpose": rule.purpose,
        "place": str(rule.place),
        "outcome": ruled.outcome,
        "score": ruled.points if ruled.outcome == FIRED else explained.score,
        "text": " ".join(rule.text.split()),
        "params": [
            {"name": p.name, "value": text_of(p.value, timezone), "why": p.why} for p in rule.params
        ],
        "gates": [_clause(gate) for gate in explained.gates],
        "clauses": [_clause(part) for part in _top(explained.when)],
        "joins": "or" if explained.when.op == "or" else "and",
        "actions": [action_text(action) for action in rule.actions],
        "flips": [_flip(flip) for flip in sorted(explained.flips, key=_is_hidden)[:3]],
    }
    if explained.because:
        told["because"] = explained.because
    if ruled.is_joined:
        told["note"] = "its alert had been raised before; this match joined it"
    if not explained.in_rollout:
        told["note"] = (
            f"not in the {rule.rollout_percent:g}% of {rule.rollout_by} it is rolled out to"
        )
    if explained.exceptions:
        told["exceptions"] = [
            {
                "id": e.clause.id,
                "why": e.clause.why,
                "approved_by": e.clause.approved_by,
                "expires": shown_day(e.clause.expires_us, timezone),
                "in_force": e.is_in_force,
                "clause": _clause(e.when),
            }
            for e in explained.exceptions
        ]
    return told


def _top(when: Clause) -> tuple[Clause, ...]:
    """The clauses of a condition, one a line: the parts of an `and`, and those of `and`s inside it."""
    if when.op not in ("and", "or"):
        return (when,)
    if when.op == "or":
        return when.parts
    found: list[Clause] = []
    for part in when.parts:
        found += _top(part) if part.op == "and" else [part]
    return tuple(found)


def _clause(clause: Clause) -> Json:
    told: Json = {"op": clause.op, "text": clause.text, "truth": clause.truth}
    if clause.because:
        told["because"] = clause.because
    told["values"] = [{"name": o.text, "value": o.shown} for o in clause.operands]
    if clause.parts and clause.op in JUNCTIONS:
        told["parts"] = [_clause(part) for part in clause.parts]
    if clause.flip is not None:
        told["flip"] = _flip(clause.flip)
    return told


def _is_hidden(flip: Flip) -> bool:
    return flip.text.endswith(HIDDEN)


def _flip(flip: Flip) -> Json:
    return {"what": flip.text, "column": flip.column or None, "distance": flip.distance}


def _change(change: ruling.Change) -> Json:
    return {
        "what": change.what,
        "column": change.column,
        "decision": change.decision,
        "turns": list(change.turns),
        "distance": change.distance,
    }


def _left_out(every: Iterable[Ruled], shown: Sequence[Ruled]) -> Json:
    ids = {r.explained.rule.id for r in shown}
    counts = {NO: 0, OFF_TYPE: 0, UNDECIDED: 0, FIRED: 0}
    for ruled in every:
        if ruled.explained.rule.id not in ids:
            counts[ruled.outcome] = counts.get(ruled.outcome, 0) + 1
    return {outcome: n for outcome, n in counts.items() if n}


def _covered_line(line: Json | None, evidence: Evidence) -> Json | None:
    """The decision, what is personal in it covered."""
    if line is None:
        return None
    return {name: evidence.cover(name, value) for name, value in line.items()}


def _sentences(line: Json | None, setup: Setup) -> Json:
    """What the reasons of the decision mean, to analysts and to customers, by language."""
    told: Json = {}
    for code in line["reasons"] if line is not None else ():
        reason = setup.pack.reasons.get(code)
        if reason is not None:
            told[code] = {"analyst": dict(reason.analyst), "customer": dict(reason.customer)}
        elif code in reasons.SENTENCES:
            told[code] = {"analyst": {"en": reasons.SENTENCES[code]}, "customer": {}}
    return told


def _in_force(line: Json | None, beside: Beside, veil: Veil) -> list[Json]:
    """Restrictions in force when the record was decided, as the commands told that imposed them."""
    told = []
    for id_ in line["restrictions"] if line is not None else ():
        command = beside.restrictions.get(id_, {})
        entity = {k: veil.value(k, v) for k, v in (command.get("entity") or {}).items()}
        told.append(
            {
                "id": id_,
                "entity": entity,
                **{name: command.get(name) for name in _OF_RESTRICTION},
            }
        )
    return told


def _versions(core: Core, setup: Setup) -> Json:
    return {
        "configuration": core.config,
        "packs": [{"name": m.name, "version": m.version} for m in setup.pack.members or ()]
        or [{"name": setup.pack.name, "version": setup.pack.version}],
        "packs_sha256": setup.pack.sha256,
        "schema": f"{setup.schema.name} {setup.schema.version}",
        "models": setup.configuration.models.champion,
        "effect": setup.configuration.settings.effect,
        "weir": version("weir-fraud"),
    }


def _notes(rules: Ruling, line: Json | None, *, is_judged: bool) -> list[str]:
    notes = []
    if line is None:
        notes.append("This record got no decision: it is no transaction, or a repeat of one.")
    elif line["late"]:
        notes.append(
            "The event came later than the feed allows: it saw the windows as they stood, and entered none."
        )
    if line is not None and "CAP_REACHED" in line["reasons"]:
        notes.append(
            "A limit on automatic actions was reached: what went beyond it became review. What was asked for is listed."
        )
    if is_judged and (disagreements := rules.disagreements()):
        notes.append(
            f"WARNING: the explanation of {', '.join(disagreements)} says something else than the engine did; please "
            "report this."
        )
    notes.append(
        "Changes are tried one at a time, all else as it was: a feature does not follow the field it was computed from."
    )
    return notes


# ---- what the folder knows


def _restrictions(root: Path, outcome: Outcome) -> dict[str, Json]:
    """The commands that imposed the restrictions that the decision names."""
    line = _line(outcome)
    wanted = set(line["restrictions"]) if line is not None else set()
    found: dict[str, Json] = {}
    if not wanted:
        return found
    for text in raw(root, "commands"):
        if b'"verb":"restrict"' in text:
            command = msgspec.json.decode(text, type=dict[str, Any])
            if command.get("restriction_id") in wanted:
                found.setdefault(command["restriction_id"], command)
    return found


def _profiles(again: Rederivation, seq: int, outcome: Outcome) -> dict[tuple[str, str, str], int]:
    """For the entities of the record, which profile message set each attribute last."""
    read = frame_reader(outcome.frame, 0, again.core.dictionaries)
    ids = {e: v for e in ("account", "customer", "card") if isinstance(v := read(e), str)}
    found: dict[tuple[str, str, str], int] = {}
    needles = [f'"{id_}"'.encode() for id_ in ids.values()]
    for run in again.journal.read(again.journal.first_seq, seq):
        for row, line in enumerate(run.messages.lines):
            if b'"profile"' not in line or not any(needle in line for needle in needles):
                continue
            fields = _fields(line)
            if fields.get("kind") != "profile":
                continue
            entity = _described(fields)
            if entity and fields.get(entity) == ids.get(entity):
                for name, value in fields.items():
                    if value is not None:
                        found[entity, ids[entity], name] = run.seq0 + row
    return found


def _described(fields: Mapping[str, Any]) -> str:
    """Which entity a profile message is about: the nearest that it names, see config/schema.py ENTITIES."""
    return next((e for e in ("card", "account", "customer") if isinstance(fields.get(e), str)), "")


def _later(again: Rederivation, root: Path, seq: int, outcome: Outcome, veil: Veil) -> list[Json]:
    """What became known about the transaction afterwards: labels and updates, its end, resolutions of its alerts."""
    line = _line(outcome)
    if line is None or line["transaction_id"] is None:
        return []
    needle = f'"{line["transaction_id"]}"'.encode()
    found: list[Json] = []
    for run in again.journal.read(seq + 1):
        for row, text in enumerate(run.messages.lines):
            if needle not in text:
                continue
            fields = _fields(text)
            same = (fields.get("transaction_id"), fields.get("account")) == (
                line["transaction_id"],
                line["account"],
            )
            if same and fields.get("kind") in ("label", "update"):
                shown = {
                    k: veil.value(k, str(v))
                    for k, v in fields.items()
                    if k not in ("kind", "transaction_id", "account")
                }
                what = ", ".join(f"{k} {v}" for k, v in shown.items())
                found.append({"seq": run.seq0 + row, "kind": fields["kind"], "what": what})
    for text in raw(root, "resolutions"):
        is_its_end = needle in text and f'"first_seq":{line["seq"]},'.encode() in text
        if is_its_end or any(f'"{alert}"'.encode() in text for alert in line["alerts"]):
            fields = _fields(text)
            known = ("seq", "alert_id", "transaction_id", "account")
            told = {k: v for k, v in fields.items() if k not in known and v}
            what = ", ".join(f"{k} {v}" for k, v in told.items() if isinstance(v, str))
            found.append({"seq": fields.get("seq"), "kind": "resolution", "what": what})
    return found + _of_restrictions(root, line["commands"], veil)


def _of_restrictions(root: Path, commands: Iterable[str], veil: Veil) -> list[Json]:
    """What ended or touched the restrictions that `commands` imposed: ends, withdrawals, alarms, what people said."""
    wanted, ids, found = set(commands), dict[str, Mapping[str, str]](), list[Json]()
    for text in raw(root, "commands") if wanted else ():
        told = _fields(text)
        id_ = told.get("restriction_id") or ""
        if told.get("command_id") in wanted and id_:
            ids[id_] = told["entity"]
        elif id_ in ids:
            verb = "withdrawn" if told.get("withdrawn") else told["verb"]
            by = told.get("withdrawn_by") or ", ".join(told.get("released_by", ()))
            what = f"{told['level']} {id_}: {verb}" + (f" by {by}" if by else "")
            found.append({"seq": told["seq"], "kind": "restriction", "what": what})
    for stream, kind in (("alerts", "alarm"), ("resolutions", "resolution")):
        for text in raw(root, stream) if ids else ():
            told = _fields(text)
            id_ = told.get("restriction_id") or ""
            if id_ not in ids:
                continue
            words = ("kind", "outcome", "by", "reason", "legal_basis", "order", "verdict")
            parts = [f"{k} {_listed(told[k])}" for k in words if told.get(k)]
            what = str(told.get("title") or ", ".join(parts))
            what = veil.inside(what, ids[id_])
            found.append({"seq": told["seq"], "kind": kind, "what": f"{id_}: {what}"})
    return sorted(found, key=lambda told: int(told["seq"]))


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _fields(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
