"""The reference of the rule language as one page (rules/REFERENCE.md), made from the tables that the code runs by.

Keys come from rules/language.py, functions from rules/functions.py, codes from rules/check/codes.py, limits from where
they are enforced. What stands here by hand are the operators, literals, aggregates and the treatment of what is
missing: tests read every example below with the parser, type it, and compare the truths with the evaluator.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from config import marks
from rules import (
    embedded_tests,
    features,
    functions,
    language,
    list_files,
    patterns,
    rule_files,
    syntax,
    texts,
    types,
)
from rules.check import codes
from rules.language import LIST, NAMES, ONE, SOME, TAGGED, Key, Shape

PLACE: Final = Path(__file__).parent / "REFERENCE.md"

LITERALS: Final = (
    ("number", "1_000.50", "digits in groups by underscores, a point before decimals"),
    ("share", "80%", "0.8"),
    (
        "amount",
        "500 CNY",
        "an ISO 4217 code; a bare number next to money is in the currency of the pack",
    ),
    ("duration", "1h30m", "units w, d, h, m, s, ms, from large to small"),
    ("time of day", "22:30", "in the zone of the pack"),
    ("date", "2026-01-31", "its midnight in the zone of the pack"),
    ("text", '"web"', "single or double quotes, on one line"),
    ("truth", "true", "or false"),
)

# From what binds least to what binds most: operators, example, meaning.
OPERATORS: Final = (
    ("`or`", 'amount > 900 or type == "login"', "true when one of them is"),
    (
        "`and`",
        'amount > 900 and type == "payment"',
        "true when all of them are; beside `or` write parentheses",
    ),
    ("`not`", "not (amount > 900)", "turns true and false round; missing stays missing"),
    (
        "`==` `!=` `<` `<=` `>` `>=`",
        "amount >= 500 CNY",
        "compares two values of one type; ids and categories with == and != only",
    ),
    (
        "`in` `not in`",
        'channel in ["web", "mobile"]',
        "is one of the values, or on a list: `device in @kiosks`",
    ),
    (
        "`between` `not between`",
        "amount between 9_000 CNY and 9_999.99 CNY",
        "both ends belong to it; times of day wrap midnight: `between 22:00 and 06:00`",
    ),
    (
        "`is missing` `is present`",
        "device is missing",
        "whether there is a value; always true or false",
    ),
    (
        "`contains` `starts with` `ends with`",
        'purpose contains "bitcoin"',
        "compares texts; with `not` before it the reverse",
    ),
    (
        "`matches`",
        'purpose matches "INV[0-9]+"',
        "a pattern without look-around and back references",
    ),
    (
        "`+` `-`",
        "amount + 5 CNY > 20 CNY",
        "money and money, duration and duration, time and duration, numbers",
    ),
    ("`*` `/`", "amount * 2 > 20 CNY", "money times a number is money; money by money is a number"),
    ("`-`", "-amount < 0 CNY", "the sign"),
    (
        "`??`",
        "(balance_before ?? 0 CNY) > 5 CNY",
        "the value, or the other one where it is missing",
    ),
    (
        "`if then else`",
        '(if type == "payment" then amount else 0 CNY) > 5 CNY',
        "one of two values of a type",
    ),
    (
        "`at_least(n, ...)`",
        'at_least(2, amount > 5, device is missing, type == "payment")',
        "true when that many of the conditions are",
    ),
    (
        '`convert(field, "USD")`',
        'convert(amount, "USD") > 100 USD',
        "a field of money in another currency, at the rate of the event's time",
    ),
)

AGGREGATES: Final = (
    ("count", "count() by card over 1h", "how many", "0"),
    ("sum", "sum(amount) by account over 24h", "their sum; exact for money", "0"),
    ("avg", "avg(amount) by card over 30d until 1d ago", "their average", "missing"),
    (
        "stddev",
        "stddev(amount) by card over 30d until 1d ago",
        "standard deviation of the population",
        "missing",
    ),
    ("min", "min(amount) by account over 7d", "the smallest", "missing"),
    ("max", "max(amount) by account over 7d", "the largest", "missing"),
    (
        "count_distinct",
        "count_distinct(counterparty) by account over 24h",
        "how many different values",
        "0",
    ),
    (
        "entropy",
        "entropy(merchant) by card over 7d",
        "how evenly values are spread, in bits",
        "missing",
    ),
    (
        "quantile",
        "quantile(amount, 95%) by card over 60d until 1d ago",
        "the value that so many stay at or below (nearest rank)",
        "missing",
    ),
    ("first", "first(device) by customer over 90d", "the value of the first event", "missing"),
    (
        "last",
        "last(lat) by card over 30d where lat is present prior",
        "the value of the newest event",
        "missing",
    ),
    (
        "time_since_first",
        "time_since_first() by account, payee over 400d",
        "how long ago the first event was",
        "missing",
    ),
    (
        "time_since_last",
        "time_since_last() by account over 400d prior",
        "how long ago the newest event was",
        "missing",
    ),
    (
        "decayed_count",
        "decayed_count(1d) by card",
        "how many, each counting half after the half-life",
        "0",
    ),
    (
        "decayed_sum",
        "decayed_sum(amount, 1d) by card",
        "their sum, each counting half after the half-life",
        "0",
    ),
    ("decayed_avg", "decayed_avg(amount, 7d) by card", "their average, weighted so", "missing"),
)

WINDOWS: Final = (
    ("`over 30m`", "events younger than that; one exactly 30 minutes old is out"),
    (
        "`over 60d until 1d ago`",
        "without the newest day, so that a burst does not enter the baseline it is compared with; this event is out",
    ),
    ("`over calendar day`", "since the local day, `week` (Monday) or `month` of the event began"),
    ("`over last 20 events`", f"the newest ones that pass, at most {features.LAST_MAX:,}"),
    ("`over all`", "ever; for first, last and time_since_... only"),
    (
        "`where condition`",
        "only events for which it is true; false and missing are left out. One on `label` looks at verdicts only",
    ),
    ("`prior`", "without this very event"),
    ("`of transaction` `of activity`", "after the brackets: only these; without it both count"),
)

# Expression, and its truth when `device` and `balance_before` are missing, the amount is 10 CNY and the type payment.
MISSING: Final = (
    ('device == "D1"', "missing", "a comparison with something missing is missing"),
    ('device != "D1"', "missing", "also when it asks for a difference"),
    ('not (device == "D1")', "missing", "`not` leaves it so"),
    ('device in ["D1"]', "missing", "so do `in` and `not in`"),
    ("balance_before + amount > 5 CNY", "missing", "so does arithmetic, and every function"),
    ('device == "D1" and amount > 90 CNY', "false", "`and` is false when one side is"),
    ('device == "D1" and amount > 5 CNY', "missing", "else missing when one side is"),
    ('device == "D1" or amount > 5 CNY', "true", "`or` is true when one side is"),
    ('device == "D1" or amount > 90 CNY', "missing", "else missing when one side is"),
    ("device is missing", "true", "this asks for it"),
    ("(balance_before ?? 0 CNY) < 5 CNY", "true", "`??` gives another value"),
    ("amount / (amount - amount) > 5", "missing", "a division by 0 is missing"),
    ('at_least(1, device == "D1", amount > 5 CNY)', "true", "known although one of them is not"),
    ('(if device == "D1" then 1 else 2) > 0', "missing", "a choice that cannot be made is missing"),
)

PLURAL: Final = ("values", "anything")
_TAKES: Final = {
    ONE: "{}",
    SOME: "{}, or a list of these",
    LIST: "a list, each {}",
    NAMES: "names, each with {}",
}


def reference() -> str:
    """The page, ending with a line break."""
    return (
        "\n".join(
            [
                *_head(),
                *_files(),
                *_expressions(),
                *_missing(),
                *_functions(),
                *_limits(),
                *_codes(),
            ]
        )
        + "\n"
    )


def _head() -> Iterator[str]:
    yield "# Reference of the rule language"
    yield ""
    yield (
        f"Language version {language.VERSION}. Made by `weir rules reference --write` from what the code runs by; "
        "do not edit. New to it? Begin with [the guide](GUIDE.md)."
    )
    yield ""


def _files() -> Iterator[str]:
    yield "## Files"
    yield ""
    yield (
        "A pack is a folder with a `pack.yaml`; every `*.yaml` in it may hold any of the sections below. Values "
        "are read as this page says, never as YAML would: `0123` stays `0123`, `NO` stays `NO`. Anchors, "
        "aliases, tags and merge keys are refused. Keys in bold must be there."
    )
    yield ""
    yield "### Kinds of values"
    yield ""
    yield from _table(("kind", "what it is"), language.KINDS.items())
    for shape in language.SHAPES.values():
        if shape.keys:
            yield from _shape(shape)


def _shape(shape: Shape) -> Iterator[str]:
    yield ""
    yield f"### {_title(shape)}"
    yield ""
    text = shape.doc
    if shape.short:
        text += f" A bare value in its place is its `{shape.short}`."
    yield text
    yield ""
    keys = [key for key in shape.keys if key.since <= language.VERSION]
    if shape is language.PACK:
        keys = [key for key in keys if key.name not in language.SECTIONS]
    rows = [
        (
            _name(key),
            _takes(key),
            key.doc,
            f"`{key.example}`" if key.example not in ("", "{}", "[]") else "",
        )
        for key in keys
    ]
    yield from _table(("key", "takes", "meaning", "example"), rows)


def _article(kind: str) -> str:
    return "an" if kind[0] in "aeiou" else "a"


def _title(shape: Shape) -> str:
    if shape.name in language.ACTIONS:
        return f"action {shape.name}"
    return {"pack": "pack.yaml", "file": "sections of a file"}.get(shape.name, shape.name)


def _name(key: Key) -> str:
    if key.is_wanted:
        return f"**{key.name}**"
    return f"**{key.name}** unless {key.unless}" if key.required else key.name


def _takes(key: Key) -> str:
    if key.form == TAGGED:
        return "a list of actions: " + ", ".join(f"[{n}](#action-{n})" for n in key.shapes)
    ways = []
    if key.kind == "word":
        ways.append(" | ".join(f"`{word}`" for word in key.words))
    elif key.kind:
        ways.append(f"{_article(key.kind)} {key.kind}" if key.kind not in PLURAL else key.kind)
    for name in key.shapes:
        title = _title(language.SHAPES[name])
        ways.append(
            f"a mapping, see [{title}](#{title.replace(' ', '-')})"
            if language.SHAPES[name].keys
            else language.SHAPES[name].doc[0].lower() + language.SHAPES[name].doc[1:-1]
        )
    return _TAKES[key.form].format(", or ".join(ways))


def _expressions() -> Iterator[str]:
    yield ""
    yield "## Expressions"
    yield ""
    yield (
        "Every value has a type: number, money (with its currency), duration, time, date, time of day, text, "
        "category, id (of an account, a device, ...), flag, geo, or true and false. Types are checked before "
        "anything runs; a number is never compared with a text, an account never with a device, yuan never with "
        "dollars. `event_time` is when the event happened; there is no clock, so that a replay decides the same."
    )
    yield ""
    yield "### Written values"
    yield ""
    yield from _table(("kind", "written", "note"), ((k, f"`{x}`", note) for k, x, note in LITERALS))
    yield ""
    yield "### Operators"
    yield ""
    yield "From what binds least to what binds most."
    yield ""
    yield from _table(
        ("operator", "example", "meaning"), ((o, f"`{x}`", m) for o, x, m in OPERATORS)
    )
    yield ""
    yield (
        "`=`, `<>`, `&&`, `||`, `!`, `AND` and `null` are understood and rewritten by `weir rules fmt`. `1,000`, "
        "`5 < amount < 9` and `in (...)` are refused with what to write instead."
    )
    yield ""
    yield "### Aggregates"
    yield ""
    yield (
        "A feature is `aggregate by key[, key] over window [until lag ago] [where condition] [prior]`. Time is "
        "that of the events. The event itself counts unless `prior` or `until` says otherwise. Missing arguments "
        "are skipped; a missing key makes the feature missing."
    )
    yield ""
    yield from _table(
        ("aggregate", "example", "value", "of no events"),
        ((a, f"`{x}`", m, e) for a, x, m, e in AGGREGATES),
    )
    yield ""
    yield from _table(("window", "which events"), WINDOWS)


def _missing() -> Iterator[str]:
    yield ""
    yield "## What is missing"
    yield ""
    yield (
        "A condition is true, false or missing. **A rule fires only when its condition is true.** Missing does "
        "not fire; it is counted as undecided, with the fields that were missing, and `if_undecided` says what "
        "happens then. An exception that is missing does not apply. A missing score is 0. A table gives its "
        "default for a missing key. An empty text is not missing."
    )
    yield ""
    yield "With `device` and `balance_before` missing, amount 10 CNY and type payment:"
    yield ""
    yield from _table(
        ("expression", "is", "because"), ((f"`{x}`", truth, why) for x, truth, why in MISSING)
    )


def _functions() -> Iterator[str]:
    yield ""
    yield "## Functions"
    yield ""
    yield "There are no others. A missing argument makes the result missing."
    yield ""
    rows = (
        (
            f"`{f.signature}`",
            "as its first argument" if f.result == functions.SAME else f.result,
            f.doc,
            f"`{f.example}`",
        )
        for f in functions.FUNCTIONS.values()
    )
    yield from _table(("function", "gives", "meaning", "example"), rows)


def _limits() -> Iterator[str]:
    yield ""
    yield "## Limits"
    yield ""
    rows = (
        (
            "an expression as written",
            f"{syntax.CHARS_MAX:,} characters, {syntax.NODES_MAX} parts, {syntax.DEPTH_MAX} levels",
        ),
        ("an expression with its macros in place", f"{types.SIZE_MAX:,} parts"),
        (
            "a score",
            f"-{rule_files.SCORE_MAX:,.0f} to {rule_files.SCORE_MAX:,.0f}; the sum is clipped to 0..1,000",
        ),
        ("`over last N events`", f"{features.LAST_MAX:,} events"),
        ("`approx`", f"{rule_files.APPROX_MIN:.1%} to {rule_files.APPROX_MAX:.0%}"),
        ("a range in a list", f"{list_files.RANGE_MAX:,} values"),
        ("a test", f"{embedded_tests.EVENTS_MAX:,} events"),
        ("a text that patterns and similarity look at", f"its first {texts.TEXT_MAX} characters"),
        ("a pattern", f"{patterns.PATTERN_CHARS_MAX} characters"),
        ("a restriction by a rule", "72 hours, but for level watch"),
        ("a file", f"{marks.BYTES_MAX // 1024 // 1024} MB, {marks.DEPTH_MAX} levels"),
    )
    yield from _table(("of", "at most"), rows)


def _codes() -> Iterator[str]:
    yield ""
    yield "## Codes of findings"
    yield ""
    yield "`weir rules check --explain WR101` says more about each."
    yield ""
    yield from _table(
        ("code", "severity", "meaning"),
        ((c, p.severity, p.title) for c, p in sorted(codes.PAGES.items())),
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(text: str) -> str:
    """A bar inside a cell would end it."""
    return text.replace("|", "\\|")
