"""What a rule does, told to somebody who has never programmed: the answer of `weir rules explain RULE`.

First a dict of plain values (what `--format json` prints), then its text. Sentences come from rules/words.py, costs
from the plan of the windows (engine/windows/explain.py). With a transaction: the same clauses with the values they had
then, as `weir audit explain` finds them.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from engine.windows.explain import Explainer
from rules.calendar import shown_day
from rules.check import costs
from rules.definitions import Feature, Rule
from rules.render import text_of
from rules.tree import Node
from rules.words import Phrase, Words, action_words, dedup_words, undecided_words

Json: TypeAlias = dict[str, Any]
WIDTH: Final = 110
INLINE: Final = 100  # characters of alternatives that stand in one line
_MODES: Final = {
    "live": "live: it acts",
    "shadow": "shadow: matches are counted and nothing is done",
    "off": "off: it does not run",
}


def document(explainer: Explainer, rule: Rule) -> Json:
    """Everything there is to say about a rule.

    rule, name, version, pack, place, owner, severity, purpose, description, references
    reason, sentence     the code, and what it says to analysts
    mode, on, effective {from, until}, rollout
    when                 the condition as an analyst would write it, macros and params put in
    clauses, joins       the same in words: {text, joins, parts}; `joins` says how many must hold
    features             name -> words, those that others need too
    score, actions, dedup, if_undecided
    exceptions           [{id, when, words, why, approved_by, expires}]
    params               [{name, value, why}]
    tests                [{name, events, fires}]
    reads                fields, features, lists, tables, models
    cost                 ns of an event: of the rule as `weir rules check --cost` says, and its features' share
    origins              parts that another pack set: [{part, how, pack, place}]
    suppressions         [{entity, until, why, by, pack}]: where packs silence it
    """
    pack = explainer.setup.pack
    zone = pack.timezone
    words = Words(pack.features, zone, pack.currency)
    when = words.phrase(rule.when)
    features = _features(explainer, rule)
    reason = pack.reasons.get(rule.reason)
    return {
        "rule": rule.id,
        "name": rule.name,
        "version": rule.version,
        "pack": rule.pack,
        "place": str(rule.place),
        "owner": rule.owner,
        "severity": rule.severity,
        "purpose": rule.purpose,
        "description": " ".join(rule.description.split()),
        "references": list(rule.references),
        "reason": rule.reason,
        "sentence": reason.sentence if reason is not None else "",
        "mode": rule.mode,
        "on": list(rule.on),
        "effective": {
            "from": _day(rule.effective_from_us, zone),
            "until": _day(rule.effective_until_us, zone),
        },
        "rollout": f"{rule.rollout_percent:g}% by {rule.rollout_by}" if rule.rollout_by else "",
        "written": " ".join(rule.text.split()),
        "when": text_of(rule.when, zone),
        "joins": when.joins if when.parts else "all",
        "clauses": [_phrase(part) for part in when.parts or (when,)],
        "features": {
            f.name: Words(pack.features, zone, pack.currency).feature(f) for f in features
        },
        "score": text_of(rule.score, zone),
        "actions": [action_words(action, pack.currency) for action in rule.actions],
        "dedup": dedup_words(rule),
        "if_undecided": undecided_words(rule),
        "exceptions": [
            {
                "id": e.id,
                "when": text_of(e.when, zone),
                "words": words.condition(e.when),
                "why": e.why,
                "approved_by": e.approved_by,
                "expires": _day(e.expires_us, zone),
            }
            for e in rule.exceptions
        ],
        "params": [
            {"name": p.name, "value": text_of(p.value, zone), "why": p.why} for p in rule.params
        ],
        "tests": [
            {
                "name": test.name,
                "events": len(test.events),
                "fires": sum(event.expect == "fires" for event in test.events),
            }
            for test in rule.tests
        ],
        "reads": _reads(explainer, rule),
        "cost": _cost(explainer, rule, features),
        "origins": [
            {"part": part, "how": origin.how, "pack": origin.pack, "place": str(origin.place)}
            for part, origin in rule.origins.items()
        ],
        "suppressions": [
            {
                "entity": f"{s.field} {s.entity}" if s.field else "",
                "until": _day(s.until_us, zone),
                "why": s.why,
                "by": s.by,
                "pack": s.pack,
            }
            for s in pack.suppressions
            if s.rule == rule.id
        ],
    }


def _phrase(phrase: Phrase) -> Json:
    told: Json = {"text": phrase.text}
    if phrase.parts:
        told |= {"joins": phrase.joins, "parts": [_phrase(part) for part in phrase.parts]}
    return told


def _trees(rule: Rule) -> list[Node]:
    trees = [rule.when, rule.score, *(e.when for e in rule.exceptions)]
    for action in rule.actions:
        if action.value is not None:
            trees.append(action.value)
        if action.title is not None:
            trees += [part[0] for part in action.title.parts if not isinstance(part, str)]
    return trees


def _features(explainer: Explainer, rule: Rule) -> list[Feature]:
    """Features that a rule reads, each followed by those that it needs itself."""
    known = explainer.setup.pack.features
    found: dict[str, Feature] = {}

    def add(names: Iterable[str]) -> None:
        for name in names:
            if name in known and name not in found:
                feature = known[name]
                found[name] = feature
                a = feature.aggregate
                trees = [feature.expression] if a is None else [a.argument, a.where]
                add(n for tree in trees if tree is not None for n in tree.columns())

    add(name for tree in _trees(rule) for name in tree.columns())
    return list(found.values())


def _reads(explainer: Explainer, rule: Rule) -> Json:
    """What the rule itself looks at; what its features read is theirs."""
    trees = _trees(rule)
    names = dict.fromkeys(
        [*(n for tree in trees for n in tree.columns()), *rule.dedup_by, rule.rollout_by or ""]
    )
    names.pop("", None)
    features = explainer.setup.pack.features
    nodes = [node for tree in trees for node in tree.walk()]
    return {
        "fields": [n for n in names if n not in features and not n.startswith("model.")],
        "features": [n for n in names if n in features],
        "lists": sorted({str(n.value) for n in nodes if n.op == "in" and isinstance(n.value, str)}),
        "tables": sorted({str(n.value) for n in nodes if n.op == "lookup"}),
        "models": [n for n in names if n.startswith("model.")],
    }


def _cost(explainer: Explainer, rule: Rule, features: Iterable[Feature]) -> Json:
    own = costs.of_rules(explainer.setup.pack.rules)
    return {
        "estimate": True,
        "ns": round(own.get(rule.id, 0.0)),
        "features_ns": round(sum(explainer.share_ns(f.name) for f in features)),
    }


def _day(us: int | None, zone: str) -> str:
    return "" if us is None else shown_day(us, zone)


# ---------------------------------------------------------------- text


def as_text(told: Mapping[str, Any]) -> str:
    """The document for people, ending with a line break."""
    lines = [f"{told['rule']} v{told['version']}  {told['name']}"]
    lines.append(
        f"  pack {told['pack']}, {told['place']}, owner {told['owner']}, {told['severity']}"
    )
    lines += _wrapped(told["purpose"] or told["description"], "  ")
    many = " or ".join(_with_article(name) for name in told["on"])
    clauses = told["clauses"]
    how = {"all": "all of these hold", "any": "any of these holds"}.get(
        told["joins"], f"{told['joins']} of these hold"
    )
    lines += ["", f"Fires on {many} when {how if len(clauses) > 1 else 'this holds'}"]
    lines += _numbered(clauses, "  ")
    lines += ["", f"Then: adds {told['score']} to the score"]
    lines += [line for action in told["actions"] for line in _wrapped(action, "  - ")]
    lines += _wrapped(told["dedup"], "  ")
    lines += _wrapped(f"where something it needs is missing, {told['if_undecided']}", "  ")
    lines += ["", *_standing(told)]
    for exception in told["exceptions"]:
        lines += _wrapped(
            f"except {exception['id']}: where {exception['words']} (until {exception['expires']}; {exception['why']}; "
            f"approved by {exception['approved_by']})",
            "  ",
        )
    lines += _section(
        "What it counts and remembers",
        (f"{name}: {words}" for name, words in told["features"].items()),
    )
    lines += _section(
        "Values that can be tuned",
        (
            f"{p['name']} = {p['value']}" + (f": {p['why']}" if p["why"] else "")
            for p in told["params"]
        ),
    )
    lines += _section(
        "Tests",
        (f"{t['name']} ({t['events']} events, fires on {t['fires']})" for t in told["tests"]),
    )
    lines += _section(
        "Set by another pack",
        (f"{o['part']}: {o['how']} by {o['pack']} ({o['place']})" for o in told["origins"]),
    )
    reads, cost = told["reads"], told["cost"]
    lines += _section(
        "Reads", (f"{kind}: {', '.join(names)}" for kind, names in reads.items() if names)
    )
    lines.append(
        f"  costs about {cost['ns']} ns an event, and {cost['features_ns']:,} ns as its features' share (estimates)"
    )
    return "\n".join(lines) + "\n"


def _standing(told: Mapping[str, Any]) -> Iterator[str]:
    yield f"Now {_MODES[told['mode']]}"
    effective = told["effective"]
    if effective["from"] or effective["until"]:
        start = f" from {effective['from']}" if effective["from"] else ""
        end = f" up to {effective['until']}" if effective["until"] else ""
        yield f"  it counts{start}{end}, by the time of the event"
    if told["rollout"]:
        yield f"  it acts for {told['rollout']}; for the rest matches are counted only"
    sentence = f": {told['sentence']}" if told["sentence"] else ""
    yield f"  reason {told['reason']}{sentence}"
    for one in told["suppressions"]:
        whom = f" for {one['entity']}" if one["entity"] else ""
        yield f"  silenced{whom} until {one['until']} by {one['by']} (pack {one['pack']}): {one['why']}"


def _numbered(clauses: Iterable[Json], indent: str) -> Iterator[str]:
    for number, clause in enumerate(clauses, 1):
        head = f"{indent}{number}. "
        parts = clause.get("parts", ())
        if not parts or (len(clause["text"]) <= INLINE and not any("parts" in p for p in parts)):
            yield from _wrapped(clause["text"], head)
            continue
        yield f"{head}{clause['joins']} of these"
        yield from _numbered(parts, " " * len(head))


def _section(title: str, items: Iterable[str]) -> list[str]:
    lines = [line for item in items for line in _wrapped(item, "  ")]
    return ["", title, *lines] if lines else []


def _wrapped(text: str, head: str) -> list[str]:
    if not text:
        return []
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head) + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


# ---------------------------------------------------------------- one transaction


def decided(told: Mapping[str, Any] | None, case: Json) -> Json:
    """What `weir audit explain` says of one rule and one record, its clauses in words where the rule is still the same.

    told : the document of the rule as it is now, None where there is none
    case : the document of replay/audit/explain.py, asked for this rule
    """
    (rule,) = case["rules"]
    same = told is not None and (told["version"], told["written"]) == (
        rule["version"],
        rule["text"],
    )
    if told is not None and same:
        rule = {**rule, "clauses": _reworded(rule["clauses"], told["clauses"])}
    answer = {
        k: case[k]
        for k in ("input", "decision", "fields", "features", "lists", "versions", "notes")
    }
    return {"rule": rule, "same_as_now": same, **answer}


def _reworded(clauses: list[Json], phrases: list[Json]) -> list[Json]:
    """Clauses in words, as deep as both have the same parts."""
    if len(clauses) != len(phrases):
        return clauses
    out = []
    for clause, phrase in zip(clauses, phrases, strict=True):
        words = {**clause, "written": clause["text"], "text": phrase["text"]}
        if clause.get("parts"):
            words["parts"] = _reworded(clause["parts"], phrase.get("parts", []))
        out.append(words)
    return out


def decided_text(answer: Json) -> str:
    """`decided` for people."""
    from replay.audit import prose

    taken, decision = answer["input"], answer["decision"]
    head = f"Record {taken['seq']}, {taken['kind']}"
    if decision is not None:
        head = (
            f"{decision['transaction_id']} of account {decision['account']}, {decision['event_time']}, record "
            f"{taken['seq']}: {decision['decision']}, score {decision['score']:g}"
        )
    sections = [head, prose.rule_text(answer["rule"])]
    features = prose.features_text(answer["features"])
    if features:
        sections.append(features)
    notes = list(answer["notes"])
    if not answer["same_as_now"]:
        notes.insert(0, "The rule reads otherwise now: this is what it said then.")
    sections.append("\n".join(["Notes", *(f"  {note}" for note in notes)]))
    return "\n\n".join(sections) + "\n"
