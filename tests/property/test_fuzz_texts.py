"""Random bytes, random YAML and damaged rule files: findings or a refusal, never an exception of another kind.

FUZZ_EXAMPLES=100000 looks that much further.
"""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import config
from config import marks
from config.errors import ConfigError
from rules import pack as packs
from rules import patterns
from rules.check import findings
from rules.format import formatted
from rules.syntax import parse, parse_feature
from tests.property.test_syntax_grammar import Sentence, assert_equal
from tests.ruling import HEAD, SCHEMA

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
further = settings(max_examples=EXAMPLES) if EXAMPLES else settings()
BANK = Path(config.__file__).parent / "bank"
SHIPPED = [path.read_bytes() for path in sorted((BANK / "packs").rglob("*.yaml"))]
SNIPPETS = [
    "rules:\n", "  - id: A-1\n", "    when: ", "macros:\n  a: ", "features:\n  f: count() by account over 1h",
    "amount > 5", " and ", " or not ", "(", ")", "[", "]", "{", "}", "|\n", ">-\n", ": ", "- ", "? ", "\n", "\n  ", "\n    ",
    "'", '"', "#", " # c\n", "&a ", "*a", "!!str ", "<<: ", "---\n", "...\n", "%", "@x", "$p", "\t", "\r", "\u2028", "\ufeff",
    "\x00", "\u202e", "e\u0301", "1_000 CNY", "24h", "9" * 50, "x" * 300, "lists:\n  l: {values: [a, b], type: id, of: account}\n",
    "tables:\n  t: {key: channel, values: {a: 1}, default: 2}\n", "params: {p: 5}\n", "tests:\n", "actions: [alert: {queue: q}]\n",
    "reasons: {R: s}\n", "overrides:\n", "retired:\n", "extends: core\n", "score: 100\n", "on: payment\n",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pack of one file that each example writes anew."""
    path = tmp_path_factory.mktemp("pack")
    (path / "pack.yaml").write_text(HEAD)
    return path


def survives(folder, raw):
    """Read, print and put in order a file of these bytes."""
    path = folder / "r.yaml"
    path.write_bytes(raw)
    loaded = packs.load([folder], SCHEMA)
    assert loaded.pack is not None or loaded.n_errors
    findings.as_text(loaded.findings)
    try:
        text = marks.read_text(path)
        result = formatted(text, "r.yaml", is_head=False)
    except ConfigError as error:
        if "mistake of fmt" in error.why:
            raise
        return
    assert formatted(result, "r.yaml", is_head=False) == result


@further
@given(st.binary(max_size=400))
def test_random_bytes(folder, raw):
    survives(folder, raw)


@further
@given(st.lists(st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=8)), max_size=30))
def test_random_yaml(folder, parts):
    survives(folder, "".join(parts).encode("utf-8", "surrogatepass"))


@further
@given(st.data())
def test_damaged_rule_files(folder, data):
    """Pieces of the shipped packs, cut, doubled and with rubbish put in."""
    raw = data.draw(st.sampled_from(SHIPPED))
    begin = data.draw(st.integers(0, max(len(raw) - 1, 0)))
    raw = raw[begin : begin + data.draw(st.integers(1, 3_000))]
    if data.draw(st.booleans()):
        raw = b"rules:\n" + raw[max(raw.find(b"  - id:"), 0) :]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        until = data.draw(st.integers(at, min(at + 40, len(raw))))
        put = data.draw(
            st.one_of(
                st.sampled_from(SNIPPETS).map(str.encode),
                st.binary(max_size=4),
                st.just(raw[at:until] * 2),
            )
        )
        raw = raw[:at] + put + raw[until:]
    survives(folder, raw)


@further
@given(st.data())
def test_the_parser_takes_what_the_grammar_takes(data):
    """Sentences of the grammar with several changes at once, by words and by characters."""
    text = Sentence(data.draw, data.draw(st.integers(0, 2))).expression()
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(text)))
        until = data.draw(st.integers(at, min(at + 6, len(text))))
        put = data.draw(
            st.sampled_from(
                [
                    "",
                    " ",
                    "(",
                    ")",
                    "and ",
                    "not ",
                    "5",
                    "a",
                    ".",
                    "in ",
                    "@l",
                    "[",
                    "]",
                    "- ",
                    "?? ",
                    '"',
                ]
            )
        )
        text = text[:at] + put + text[until:]
    tree, problems = parse(text)
    assert tree is not None
    assert all(0 <= p.span.start <= p.span.end <= len(text) for p in problems)
    parse_feature(text)


@further
@given(st.text(alphabet="ab1.*+?{}()[]|^$\\-,:=!<>PdwsbAZN\n", max_size=60))
def test_patterns_are_refused_or_run_in_few_steps(pattern):
    """What is taken has no repeat inside a repeat: it ends on a text made to keep it busy."""
    if patterns.refuse(pattern) is None:
        re.search(pattern, "a" * 40 + "b1.a" * 10 + "\n!")


def test_grammar_and_parser_agree_on_what_once_was_wrong():
    """Found by earlier runs."""
    for text in ("a", "not a in @l", "a ?? 5 > 1", "if a then b else c", "a and", "( a"):
        assert_equal(text)
