"""An explanation as text for people who do not program: what was decided, why, and on what grounds, most telling first.

Takes the document of explain.py and computes nothing. Columns are aligned by the width that characters have on a
terminal, so Chinese reasons keep them straight.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from replay.audit.ruling import OFF_TYPE

Json: TypeAlias = dict[str, Any]
SAYS: Final = {True: "yes", False: "no ", None: " ? "}
TEXT_MAX: Final = 96  # columns of a clause before its value goes to the next line


def as_text(answer: Json) -> str:
    """The whole explanation, section by section; a section without anything in it is left out."""
    sections = (
        _head(answer),
        _section("How it came about", _how(answer)),
        *(rule_text(rule) for rule in answer["rules"]),
        _left_out(answer),
        _section("What would have had to be different", _changes(answer)),
        _section("Restrictions in force", _restrictions(answer)),
        _section("Rating of the customer", _rating(answer)),
        features_text(answer["features"]),
        _section("Rows of lists that matched", _lists(answer)),
        _section("Models", _models(answer)),
        _section("Fields", _fields(answer)),
        _section("The message", _message(answer)),
        _section("What became known later", _later(answer)),
        _section("Versions", _versions(answer)),
        _section("Notes", (f"  {note}" for note in answer["notes"])),
    )
    return "\n\n".join(section for section in sections if section)


def width_of(text: str) -> int:
    """Columns that a text takes on a terminal: two for each wide character."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def aligned(rows: Iterable[Sequence[str]], indent: str = "  ") -> Iterator[str]:
    """Rows as lines, each column as wide as its widest cell; the last one is not filled."""
    table = [list(row) for row in rows]
    if not table:
        return
    widths = [max(width_of(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        cells = [cell + " " * (w - width_of(cell)) for cell, w in zip(row, widths, strict=True)]
        yield indent + "  ".join(cells).rstrip()


def _section(title: str, lines: Iterable[str]) -> str:
    body = list(lines)
    return "\n".join([title, *body]) if body else ""


def _head(answer: Json) -> str:
    taken, decision = answer["input"], answer["decision"]
    if decision is None:
        return f"Record {taken['seq']}: {taken['kind']}, no decision of its own"
    values = {field["name"]: field["value"] for field in answer["fields"]}
    what = [values[n] for n in ("type", "amount") if n in values]
    rows = [
        ("Transaction", f"{decision['transaction_id']} of account {decision['account']}"),
        ("", f"{', '.join(what)}, {decision['event_time']}, record {taken['seq']}"),
        ("Decision", f"{decision['decision'].upper()}, score {decision['score']:g}"),
    ]
    for code, told in answer["sentences"].items():
        rows.append(("Reason", code))
        rows += [("", told["analyst"][language]) for language in sorted(told["analyst"])]
        rows += [
            ("to customer" if k == 0 else "", told["customer"][language])
            for k, language in enumerate(sorted(told["customer"]))
        ]
    return "\n".join(aligned(rows, ""))


def _how(answer: Json) -> Iterator[str]:
    how, decision = answer["how"], answer["decision"]
    if decision is None:
        return
    fired = [r for r in answer["rules"] if r["outcome"] == "fired"]
    for rule in fired:
        yield f"  {rule['score']:+g} by {rule['id']}"
    cut = (
        ", cut at 1000" if how["combine"] == "sum" and sum(r["score"] for r in fired) > 1000 else ""
    )
    together = f"  {how['score']:g} is their {how['combine']}{cut}"
    yield together if fired else "  no rule added to the score"
    yield from aligned((part["decision"], part["what"]) for part in how["parts"])
    yield f"  => {decision['decision']}, the most severe of these"
    if how["agrees"] is False:
        yield "  which is less than was asked for: a limit on automatic actions took part"


def rule_text(rule: Json) -> str:
    """One rule of the document, with its clauses and what would turn it."""
    points = f", {rule['score']:+g}" if rule["outcome"] == "fired" and rule["score"] else ""
    head = f"{rule['id']} v{rule['version']}  {rule['outcome'].upper()}{points}"
    if "because" in rule:
        head += f": {rule['because']} is missing"
    if rule["mode"] not in ("live", rule["outcome"]):
        head += f" ({rule['mode']})"
    lines = [head, f"  {rule['name']}"]
    lines += [
        f"  not asked: {gate['text']}, was {gate['values'][0]['value']}"
        for gate in rule["gates"]
        if gate["truth"] is not True
    ]
    together = "all" if rule["joins"] == "and" else "any"
    if len(rule["clauses"]) > 1:
        lines.append(f"  fires when {together} of these hold:")
    lines += list(_clauses(rule["clauses"], "    "))
    for exception in rule.get("exceptions", ()):
        state = SAYS[exception["clause"]["truth"]].strip()
        lines.append(f"  exception {exception['id']}: {state}  {exception['clause']['text']}")
        lines.append(
            f"    {exception['why']}, approved by {exception['approved_by']}, until {exception['expires']}"
        )
    if "note" in rule:
        lines.append(f"  {rule['note']}")
    if rule["outcome"] == "fired":
        lines.append(f"  then: {'; '.join(rule['actions'])}")
    if rule["flips"]:
        lines.append(f"  to turn it: {rule['flips'][0]['what']}")
    elif rule["outcome"] == "did not fire":
        lines.append("  to turn it: no single value would do")
    return "\n".join(lines)


def _clauses(clauses: Sequence[Json], indent: str) -> Iterator[str]:
    """Clauses with their truth and values; parts of a clause one step further in."""
    texts = [clause["text"] for clause in clauses]
    width = max((width_of(t) for t in texts if width_of(t) <= TEXT_MAX), default=0)
    for clause in clauses:
        text, values = clause["text"], _values(clause)
        if width_of(text) > TEXT_MAX and clause.get("parts"):
            text = {"and": "all of:", "or": "any of:", "not": "not:"}.get(clause["op"], "of:")
            values = ""
        gap = " " * max(width - width_of(text), 0)
        if values and width_of(text) > TEXT_MAX:
            yield f"{indent}{SAYS[clause['truth']]}  {text}"
            yield f"{indent}     {values}"
        else:
            yield f"{indent}{SAYS[clause['truth']]}  {text}{gap}  {values}".rstrip()
        if clause.get("parts"):
            yield from _clauses(clause["parts"], indent + "     ")


def _values(clause: Json) -> str:
    """The values of a clause: bare for one column, with their names for several."""
    values = clause["values"]
    if clause.get("because"):
        return f"undecided: {clause['because']} is missing"
    if len(values) == 1:
        return str(values[0]["value"])
    return ", ".join(f"{value['name']} = {value['value']}" for value in values)


def _left_out(answer: Json) -> str:
    counts = counted_rules(answer)
    return f"Other rules: {', '.join(counts)}; see one with --rule ID" if counts else ""


def counted_rules(answer: Json) -> list[str]:
    """How many rules are not shown, by what they said."""
    return [
        f"{n} {'do not apply' if outcome == OFF_TYPE and n != 1 else outcome}"
        for outcome, n in answer["left_out"].items()
    ]


def counted_events(n: int) -> str:
    """A number of events, with the word for it."""
    return f"{n:,} event{'' if n == 1 else 's'}"


def _changes(answer: Json) -> Iterator[str]:
    if answer["decision"] is None:
        return
    for change in answer["changes"]:
        turns = f" ({', '.join(change['turns'])} turns)" if change["turns"] else ""
        yield f"  {change['decision']:9s}  if {change['what'].replace(' would have to be ', ' were ')}{turns}"
    if not answer["changes"]:
        yield "  no single value would have given another decision"


def _restrictions(answer: Json) -> Iterator[str]:
    for one in answer["restrictions"]:
        entity = " ".join(f"{k} {v}" for k, v in one["entity"].items())
        asked = f"demanded {one['demanded']}" if one["demanded"] else "demanded nothing here"
        by = one["rule"] or one["author"]
        yield f"  {one['id']}  {one['level']} on {entity} by {by}, until {one['expires_at']}: {asked}"


def _rating(answer: Json) -> Iterator[str]:
    told = answer.get("rating")
    if told is not None:
        points = ", ".join(f"{value:g} by {name}" for name, value in told["points"].items())
        yield f"  {told['customer']}  {told['rating']} of 1000 ({told['class']}) since midnight UTC"
        yield f"  points after this record: {points}"
        yield f"  trend of 30 days: {' '.join(map(str, told['trend']))}"


def features_text(features: Sequence[Json]) -> str:
    """The features of the document; "" for none."""
    return _section("Features, with the newest events inside their windows", _features(features))


def _features(features: Sequence[Json]) -> Iterator[str]:
    for feature in features:
        yield f"  {feature['name']} = {feature['value']}"
        yield f"      {feature['words']}"
        if "note" in feature:
            yield f"      {feature['note']}"
        if "events" not in feature:
            continue
        keys = ", ".join(f"{k} {v}" for k, v in feature["keys"].items())
        window = feature["window"]
        since = f"after {window['after']} " if window["after"] else ""
        yield f"      {counted_events(feature['n_events'])} of {keys}, {since}until {window['until']}"
        yield from aligned(
            (
                (
                    e["time"],
                    f"record {e['seq']}",
                    e["value"] or "",
                    "<- this one" if e["is_this"] else "",
                )
                for e in feature["events"]
            ),
            "        ",
        )
        if feature["n_more"]:
            yield f"        and {feature['n_more']} more before: --events all shows them"
        if feature.get("different"):
            told = [f"{d['value']} ({d['n']})" for d in feature["different"]]
            yield f"        different, newest first: {', '.join(told)}"
        if "forgotten" in feature:
            yield f"        and older ones from {feature['forgotten']['first']} on, no longer held one by one"


def _lists(answer: Json) -> Iterator[str]:
    for one in answer["lists"]:
        row = "".join(f", {k} {v}" for k, v in one.get("row", {}).items())
        yield f"  @{one['list']}: {one['field']} {one['value']}{row} ({one['origin']})"


def _models(answer: Json) -> Iterator[str]:
    models = answer["models"]
    if not models or not models["scores"]:
        return
    for name, score in models["scores"].items():
        more = f" ({models['champion']}, as a probability)" if name == "champion" else ""
        yield f"  {name} {score:g}{more}"
    added = [i for i in models["inputs"] if i["contribution"]]
    if added:
        yield "  what moved the champion's raw score most:"
        yield from aligned(
            [(f"{i['contribution']:+.4f}", i["name"], _beside(i)) for i in added[:12]], "    "
        )
    if len(added) > 12:
        yield f"    and {len(added) - 12} more inputs: --format json has them"


def _beside(found: Json) -> str:
    """The value of an input, and what is normal for it."""
    normal = found.get("normal")
    return f"{found['value']} ({normal['en']})" if normal else str(found["value"])


def _fields(answer: Json) -> Iterator[str]:
    rows = []
    for one in answer["fields"]:
        if one["source"] == "missing":
            continue
        by = f", record {one['set_by_seq']}" if "set_by_seq" in one else ""
        rows.append((one["name"], one["value"], f"{one['source']}{by}"))
    yield from aligned(rows)
    missing = [one["name"] for one in answer["fields"] if one["source"] == "missing"]
    if missing:
        yield f"  missing: {', '.join(missing)}"


def _message(answer: Json) -> Iterator[str]:
    taken = answer["input"]
    arrived = f", arrived {taken['arrived']}" if taken["arrived"] else ""
    yield f"  record {taken['seq']}, from {taken['position']}{arrived}, {taken['n_bytes']} bytes"
    yield f"  {taken['text']}"
    if "dead_letter" in taken:
        yield f"  dead letter: {taken['dead_letter']['reason']}, {taken['dead_letter']['what']}"


def _later(answer: Json) -> Iterator[str]:
    for one in answer["later"]:
        yield f"  record {one['seq']}  {one['kind']}: {one['what']}"


def _versions(answer: Json) -> Iterator[str]:
    versions = answer["versions"]
    packs = ", ".join(f"{p['name']} {p['version']}" for p in versions["packs"])
    rows = [
        ("configuration", versions["configuration"]),
        ("packs", packs),
        ("schema", versions["schema"]),
        ("weir", f"{versions['weir']}, effect: {versions['effect']}"),
    ]
    yield from aligned(rows)
