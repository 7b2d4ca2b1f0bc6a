"""An explanation as one HTML page that can be printed and filed: no script, no font, no picture from anywhere else.

Takes the document of explain.py and computes nothing. Texts that come from messages, packs and lists are escaped.
Reasons stand side by side in English and Chinese. A4, black on white; what is true, false or undecided is told by a
word, never by colour alone.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final, TypeAlias

from replay.audit.prose import counted_events, counted_rules

Json: TypeAlias = dict[str, Any]
LANGUAGES: Final = (("en", "English"), ("zh", "中文"))
SAYS: Final = {
    True: '<span class="yes">yes</span>',
    False: '<span class="no">no</span>',
    None: '<span class="open">undecided</span>',
}
STYLE: Final = """
@page { size: A4; margin: 16mm 14mm 18mm 14mm }
* { box-sizing: border-box }
body { font: 10pt/1.4 "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", Helvetica, Arial, sans-serif;
       color: #111; background: #fff; max-width: 182mm; margin: 0 auto; padding: 8mm 0 }
h1 { font-size: 15pt; margin: 0 0 2mm }
h2 { font-size: 11.5pt; margin: 7mm 0 2mm; border-bottom: 0.6pt solid #111; padding-bottom: 1mm; break-after: avoid }
h3 { font-size: 10pt; margin: 4mm 0 1mm; break-after: avoid }
table { border-collapse: collapse; width: 100%; margin: 1mm 0 }
td, th { text-align: left; vertical-align: top; padding: 0.8mm 2mm 0.8mm 0; border-bottom: 0.3pt solid #bbb }
th { font-weight: 600; border-bottom: 0.6pt solid #111 }
thead { display: table-header-group }
tr, .rule { break-inside: avoid }
td.n, th.n { text-align: right }
code, pre { font: 8.5pt/1.35 "DejaVu Sans Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere;
            white-space: pre-wrap }
pre { border: 0.3pt solid #bbb; padding: 2mm; margin: 1mm 0 }
.decision { font-size: 13pt; font-weight: 700; text-transform: uppercase }
.yes { font-weight: 600 } .yes::before { content: "✓ " } .no::before { content: "✗ " } .open::before { content: "? " }
.no { color: #8a1c1c } .open { color: #7a5200; font-style: italic }
.small { color: #444; font-size: 8.5pt } .warn { border: 0.8pt solid #8a1c1c; padding: 2mm; margin: 2mm 0 }
.step { padding-left: 6mm }
@media screen { body { padding: 8mm } }
"""


def as_page(answer: Json) -> str:
    """The whole explanation as a page; needs no other file."""
    decision, taken = answer["decision"], answer["input"]
    title = (
        f"Decision on {decision['transaction_id']}"
        if decision is not None
        else f"Record {taken['seq']}"
    )
    parts = [
        f"<h1>{_text(title)}</h1>",
        _warnings(answer),
        _summary(answer),
        _reasons(answer),
        _how(answer),
        _heading("Rules", "".join(map(_rule, answer["rules"])) + _left_out(answer)),
        _changes(answer),
        _restrictions(answer),
        _heading("Features", "".join(map(_feature, answer["features"]))),
        _lists(answer),
        _models(answer),
        _fields(answer),
        _message(answer),
        _later(answer),
        _versions(answer),
        _heading("Notes", "".join(f"<p class=small>{_text(note)}</p>" for note in answer["notes"])),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>"
    )


def _text(value: object) -> str:
    return escape("-" if value is None or value == "" else str(value))


def _heading(title: str, body: str) -> str:
    return f"<h2>{_text(title)}</h2>\n{body}" if body else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """A table of cells that are HTML already; nothing if it has no row."""
    body = "".join(
        "<tr>" + "".join(_cell(c, k in numbers) for k, c in enumerate(row)) + "</tr>\n"
        for row in rows
    )
    if not body:
        return ""
    head = "".join(
        f'<th class="n">{_text(h)}</th>' if k in numbers else f"<th>{_text(h) if h else ''}</th>"
        for k, h in enumerate(heads)
    )
    top = f"<thead><tr>{head}</tr></thead>\n" if heads else ""
    return f"<table>\n{top}<tbody>\n{body}</tbody></table>\n"


def _cell(content: str, is_number: bool) -> str:
    return f'<td class="n">{content}</td>' if is_number else f"<td>{content}</td>"


def _warnings(answer: Json) -> str:
    told = [note for note in answer["notes"] if note.startswith("WARNING")]
    return "".join(f'<p class="warn">{_text(note)}</p>' for note in told)


def _summary(answer: Json) -> str:
    decision, taken = answer["decision"], answer["input"]
    values = {field["name"]: field["value"] for field in answer["fields"]}
    rows: list[tuple[str, str]] = []
    if decision is not None:
        rows = [
            ("Decision", f'<span class="decision">{_text(decision["decision"])}</span>'),
            ("Score", _text(f"{decision['score']:g} of 1000")),
            ("Transaction", _text(decision["transaction_id"])),
            ("Account", _text(decision["account"])),
            ("Event time", _text(decision["event_time"])),
        ]
    else:
        rows.append(("Decision", "none: this record is " + _text(taken["kind"])))
    rows += [(n.capitalize(), _text(values[n])) for n in ("type", "amount") if n in values]
    rows.append(("Record", _text(taken["seq"])))
    return _table((), [(f"<b>{_text(name)}</b>", value) for name, value in rows])


def _reasons(answer: Json) -> str:
    """Each reason, English beside Chinese, for the analyst and for the customer."""
    rows = []
    for code, told in answer["sentences"].items():
        rows.append(
            (f"<b>{_text(code)}</b>", *(_text(told["analyst"].get(key)) for key, _ in LANGUAGES))
        )
        if told["customer"]:
            customer = (_text(told["customer"].get(key)) for key, _ in LANGUAGES)
            rows.append(('<span class="small">to the customer</span>', *customer))
    return _heading("Reasons", _table(("", *(name for _, name in LANGUAGES)), rows))


def _how(answer: Json) -> str:
    how = answer["how"]
    if how["decision"] is None:
        return ""
    fired = [
        (_text(r["id"]), f"{r['score']:+g}") for r in answer["rules"] if r["outcome"] == "fired"
    ]
    scores = _table(("Rule that fired", "adds"), fired, (1,))
    bands = ", ".join(f"{b['from']:g} to {b['to']:g} {b['do']}" for b in how["bands"])
    parts = _table(
        ("asks for", "what"), [(_text(p["decision"]), _text(p["what"])) for p in how["parts"]]
    )
    end = f"<p>The most severe of these is the decision: <b>{_text(how['decision'])}</b>.</p>"
    if how["agrees"] is False:
        end += "<p>It is less than was asked for: a limit on automatic actions took part.</p>"
    told = f"<p>Score {how['score']:g} ({_text(how['combine'])}). Bands: {_text(bands)}.</p>"
    return _heading("How it came about", scores + told + parts + end)


def _rule(rule: Json) -> str:
    points = f", {rule['score']:+g}" if rule["outcome"] == "fired" and rule["score"] else ""
    head = f"{rule['id']} v{rule['version']} - {rule['outcome']}{points}"
    body = [f'<div class="rule"><h3>{_text(head)}</h3><p>{_text(rule["name"])}']
    if rule["mode"] not in ("live", rule["outcome"]):
        body.append(f" ({_text(rule['mode'])})")
    body.append("</p>")
    if "because" in rule:
        body.append(f"<p>Undecided, because {_text(rule['because'])} is missing.</p>")
    body += [
        f"<p>Not asked: {_text(gate['text'])}, was {_text(gate['values'][0]['value'])}.</p>"
        for gate in rule["gates"]
        if gate["truth"] is not True
    ]
    together = "all" if rule["joins"] == "and" else "any"
    rows = list(_clauses(rule["clauses"], 0))
    body.append(_table((f"{together} of", "", "value"), rows))
    for exception in rule.get("exceptions", ()):
        clause = exception["clause"]
        body.append(
            f"<p>Exception {_text(exception['id'])}: {SAYS[clause['truth']]} <code>{_text(clause['text'])}</code> "
            f'<span class="small">{_text(exception["why"])}, approved by {_text(exception["approved_by"])}, '
            f"until {_text(exception['expires'])}</span></p>"
        )
    if "note" in rule:
        body.append(f"<p>{_text(rule['note'])}</p>")
    if rule["outcome"] == "fired":
        body.append(f"<p>Then: {_text('; '.join(rule['actions']))}</p>")
    if rule["flips"]:
        body.append(f"<p>To turn it: {_text(rule['flips'][0]['what'])}.</p>")
    body.append("</div>\n")
    return "".join(body)


def _clauses(clauses: Sequence[Json], depth: int) -> Iterable[tuple[str, str, str]]:
    words = {"and": "all of", "or": "any of", "not": "not"}
    for clause in clauses:
        parts = clause.get("parts")
        text = words.get(clause["op"], clause["text"]) if parts else clause["text"]
        step = f' style="padding-left:{5 * depth}mm"' if depth else ""
        yield (
            SAYS[clause["truth"]],
            f"<div{step}><code>{_text(text)}</code></div>",
            "" if parts else _values(clause),
        )
        if parts:
            yield from _clauses(parts, depth + 1)


def _values(clause: Json) -> str:
    if clause.get("because"):
        return f"{_text(clause['because'])} is missing"
    values = clause["values"]
    if len(values) == 1:
        return _text(values[0]["value"])
    return "<br>".join(f"{_text(v['name'])} = {_text(v['value'])}" for v in values)


def _left_out(answer: Json) -> str:
    counts = counted_rules(answer)
    return f'<p class="small">Other rules: {_text(", ".join(counts))}.</p>' if counts else ""


def _changes(answer: Json) -> str:
    if answer["decision"] is None:
        return ""
    rows = [
        (_text(c["decision"]), _text(c["what"]), _text(", ".join(c["turns"])))
        for c in answer["changes"]
    ]
    body = _table(("decision", "if", "rules that turn"), rows)
    return _heading(
        "What would have had to be different",
        body or "<p>No single value would have given another decision.</p>",
    )


def _restrictions(answer: Json) -> str:
    rows = [
        (
            _text(one["id"]),
            _text(" ".join(f"{k} {v}" for k, v in one["entity"].items())),
            _text(one["level"]),
            _text(one["rule"] or one["author"]),
            _text(one["expires_at"]),
            _text(one["demanded"] or "nothing here"),
        )
        for one in answer["restrictions"]
    ]
    heads = ("restriction", "on", "level", "by", "until", "demanded")
    return _heading("Restrictions in force", _table(heads, rows))


def _feature(feature: Json) -> str:
    body = [
        f'<div class="rule"><h3>{_text(feature["name"])} = {_text(feature["value"])}</h3>',
        f"<p>{_text(feature['words'])}<br><code>{_text(feature['declared'])}</code></p>",
    ]
    if "note" in feature:
        body.append(f"<p>{_text(feature['note'])}.</p>")
    if "events" in feature:
        keys = ", ".join(f"{k} {v}" for k, v in feature["keys"].items())
        window = feature["window"]
        since = f"after {window['after']} " if window["after"] else ""
        body.append(
            f'<p class="small">{counted_events(feature["n_events"])} of {_text(keys)}, {_text(since)}until '
            f"{_text(window['until'])}</p>"
        )
        rows = [
            (_text(e["time"]), _text(e["seq"]), _text(e["value"]), "this one" * e["is_this"])
            for e in feature["events"]
        ]
        body.append(_table(("time", "record", "value", ""), rows))
        if feature["n_more"]:
            body.append(f'<p class="small">and {feature["n_more"]} more before</p>')
        if feature.get("different"):
            told = ", ".join(f"{d['value']} ({d['n']})" for d in feature["different"])
            body.append(f'<p class="small">different, newest first: {_text(told)}</p>')
        if "forgotten" in feature:
            first = _text(feature["forgotten"]["first"])
            body.append(
                f'<p class="small">and older ones from {first} on, no longer held one by one</p>'
            )
    body.append("</div>\n")
    return "".join(body)


def _lists(answer: Json) -> str:
    rows = [
        (
            f"@{_text(one['list'])}",
            f"{_text(one['field'])} {_text(one['value'])}",
            _text(", ".join(f"{k} {v}" for k, v in one.get("row", {}).items())),
            _text(one["origin"]),
        )
        for one in answer["lists"]
    ]
    return _heading("Rows of lists that matched", _table(("list", "value", "row", "from"), rows))


def _models(answer: Json) -> str:
    models = answer["models"]
    if not models or not models["scores"]:
        return ""
    scores = _table(
        ("model", "score"),
        [(_text(n), f"{score:g}") for n, score in models["scores"].items()],
        (1,),
    )
    added = [i for i in models["inputs"] if i["contribution"]]
    inputs = _table(
        ("input of the champion", "value", "moved its raw score by"),
        [(_text(i["name"]), _beside(i), f"{i['contribution']:+.6f}") for i in added],
        (2,),
    )
    return _heading("Models", scores + inputs)


def _beside(found: Json) -> str:
    """The value of an input, and what is normal for it."""
    normal = found.get("normal")
    value = _text(found["value"])
    return f"{value} ({_text(normal['en'])}, {_text(normal['zh'])})" if normal else value


def _fields(answer: Json) -> str:
    rows = [
        (
            _text(one["name"]),
            _text(one["value"]),
            _text(one["source"]) + (f", record {one['set_by_seq']}" if "set_by_seq" in one else ""),
        )
        for one in answer["fields"]
    ]
    return _heading("Fields", _table(("field", "value", "from"), rows))


def _message(answer: Json) -> str:
    taken = answer["input"]
    arrived = f", arrived {taken['arrived']}" if taken["arrived"] else ""
    body = (
        f"<p>Record {taken['seq']}, from {_text(taken['position'])}{_text(arrived) if arrived else ''}, "
        f"{taken['n_bytes']} bytes</p><pre>{_text(taken['text'])}</pre>"
    )
    if "dead_letter" in taken:
        dead = taken["dead_letter"]
        body += f"<p>Dead letter: {_text(dead['reason'])}, {_text(dead['what'])}</p>"
    return _heading("The message", body)


def _later(answer: Json) -> str:
    rows = [(_text(one["seq"]), _text(one["kind"]), _text(one["what"])) for one in answer["later"]]
    return _heading("What became known later", _table(("record", "kind", "what"), rows))


def _versions(answer: Json) -> str:
    versions = answer["versions"]
    packs = ", ".join(f"{p['name']} {p['version']}" for p in versions["packs"])
    rows = [
        ("configuration", f"<code>{_text(versions['configuration'])}</code>"),
        ("packs", _text(packs)),
        ("schema", _text(versions["schema"])),
        ("weir", _text(f"{versions['weir']}, effect: {versions['effect']}")),
    ]
    return _heading("Versions", _table((), [(_text(name), value) for name, value in rows]))
