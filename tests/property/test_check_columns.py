"""Findings point at the very characters, in all five ways in which YAML writes a text, with escapes and foreign letters."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.check import examples
from tests.linting import found, write

LETTERS = "abz\u00e4\u00df\u00e9\u4e2d\U0001f600 -"
BEFORE = ("amount > 9 EUR", 'purpose contains "{}"', "hour(event_time) < 6", 'mcc == "{}"')
ODD = (  # code, the clause, the part of it that is found
    ("WR204", 'merchant_country != "{}"'),
    ("WR204", 'not (counterparty_name contains "{}")'),
    ("WR204", 'ip_country not in ["{}", "FR"]'),
    ("WR101", "amuont"),
    ("WR205", "amount is missing"),
)


def word(rng):
    text = "".join(rng.choice(LETTERS) for _ in range(rng.randint(1, 6))).strip(" -")
    return text or "x"


def filled(rng, text):
    return text.format(word(rng)) if "{" in text else text


def plain(rng, text):
    return text


def single(rng, text):
    return text.replace("'", "''")


def double(rng, text):
    """Some characters as escapes, of all lengths."""
    out = []
    for c in text:
        n = ord(c)
        if c in '"\\':
            out.append("\\" + c)
        elif rng.random() < 0.3 and c != " ":
            out.append(f"\\x{n:02x}" if n < 256 else f"\\u{n:04x}" if n < 65_536 else f"\\U{n:08x}")
        else:
            out.append(c)
    return "".join(out)


STYLES = {
    "plain": ("when: ", plain, "", (" ", "\n    ")),
    "single": ("when: '", single, "'", (" ", "\n    ")),
    "double": ('when: "', double, '"', (" ", "\n    ", " \\\n    ")),
    "literal": ("when: |\n  ", plain, "\n", (" ", "\n  ", "\n\n  ", "  # so\n  ")),
    "folded": ("when: >\n  ", plain, "\n", (" ", "\n  ")),
}


@pytest.mark.parametrize("style", STYLES)
@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_the_carets_stand_under_what_was_found(style, tmp_path_factory, seed):
    rng = random.Random(seed)
    head, encode, tail, gaps = STYLES[style]
    code, odd = rng.choice(ODD)
    odd = filled(rng, odd)
    others = rng.sample(
        BEFORE, rng.randint(0, 4)
    )  # each once: two of a kind could exclude each other
    cut = rng.randint(0, len(others))
    clauses, after = ([filled(rng, c) for c in some] for some in (others[:cut], others[cut:]))
    text, at = head, 0
    for k, clause in enumerate([*clauses, None, *after]):
        text += rng.choice(gaps) + "and " if k else ""
        if clause is None:
            more = " > 5 EUR" if code == "WR101" else ""
            clause = f"({odd} or amount > 3 EUR)" if code == "WR205" else odd + more
            lead = "(" if code == "WR205" else ""
            at = len(text) + len(lead)
            part = encode(rng, odd)
            text += lead + part + encode(rng, clause[len(lead) + len(odd) :])
        else:
            text += encode(rng, clause)
    text += tail + "\n"
    whole = examples.rule(text)
    offset = position(whole, text, at)
    files = {"example/pack.yaml": examples.HEAD, "example/rule.yaml": whole}
    findings = found(write(tmp_path_factory.mktemp("p"), files))
    places = {(f.code, f.place.line, f.place.column): f.end for f in findings}
    line, column = offset
    assert (code, line, column) in places, (whole, findings)
    end = places[code, line, column]
    assert (end.line, end.column) == (line, column + len(part)), (whole, findings)


def position(whole, text, at):
    """Line and column of character `at` of a rule's keys, which `whole` has moved in by four blanks."""
    before = text[:at]
    first = whole[: whole.index("    " + text.split("\n")[0])].count("\n") + 1
    line = first + before.count("\n")
    return line, at - (before.rfind("\n") + 1) + 1 + 4
