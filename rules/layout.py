"""How an expression is written: one spelling for each operator, grouped digits, straight quotes, a clause a line.

    tidy("amount>=1000 && x<>null")     "amount >= 1_000 and x is present"
    clauses("a and (b or c)", 80)       ["a", "and (b or c)"]
    spelling(text)                      the words with their places, for changing them where they stand

Brackets, the order of clauses and comments stay as they are; nothing is computed. Texts must have no errors.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from rules.syntax import KEYWORDS, Token, tokens

WIDTH: Final = 100
_COMMENT: Final = re.compile(r"#[^\n]*")
_SPACED: Final = KEYWORDS | {"where", "by", "over", "prior", "of", "until", "with"}
_OPENING, _CLOSING = ("(", "["), (")", "]")


@dataclass(slots=True)
class Word:
    """One word as it should be written, and the range of characters it takes the place of."""

    text: str
    start: int
    end: int
    kind: str
    lead: list[str] = field(default_factory=list)  # comments on lines of their own before it
    note: str = ""  # the comment behind it on its line


def spelling(text: str) -> list[Word]:
    """The words of an expression in their canonical spelling, with the comments around them.

    Comments behind the last word stand in a word of kind `end`.
    """
    found = _words(tokens(text))
    before = 0
    for k, word in enumerate(found):
        for match in _COMMENT.finditer(text, before, word.start):
            is_own = not k or "\n" in text[before : match.start()]
            comment = match[0].rstrip()
            if is_own or found[k - 1].note or word.lead:
                word.lead.append(comment)
            else:
                found[k - 1].note = comment
        before = word.end
    return found


def comments(text: str) -> list[str]:
    """The comments inside an expression, in the order of the text."""
    return [c for w in spelling(text) for c in (*w.lead, *([w.note] if w.note else []))]


def has_comments(text: str) -> bool:
    """Whether there is a comment inside an expression."""
    return bool(comments(text))


def tidy(text: str) -> str:
    """The expression in one line; only for one without comments."""
    words = spelling(text)[:-1]
    return _joined(words)


def clauses(text: str, width: int = WIDTH) -> list[str]:
    """The expression with each part of its outermost `and` or `or` on a line of its own.

    A bracket that does not fit into `width` is opened up in the same way. Comments keep their line or their word.
    """
    words = spelling(text)
    end = words.pop()
    lines = _lines(words, width, "")
    return [*lines, *end.lead]


def n_clauses(text: str) -> int:
    """How many parts the outermost `and` or `or` joins."""
    return len(_split(spelling(text)[:-1]))


# ---- words


def _words(found: Sequence[Token]) -> list[Word]:
    out: list[Word] = []
    for token in found:
        start, end = token.span.start, token.span.end
        word = Word(_text(token), start, end, token.kind)
        before = out[-1] if out else None
        if token.kind == "word" and token.text == "null" and before is not None:
            if before.text in ("==", "!="):
                word.text = "missing" if before.text == "==" else "present"
                before.text, before.kind = "is", "word"
            elif before.text in ("is", "not"):
                word.text = "missing"
        if word.text in ("missing", "present") and [w.text for w in out[-2:]] == ["is", "not"]:
            word.text = "present" if word.text == "missing" else "missing"
            word.start = out.pop().start
        out.append(word)
    return out


def _text(token: Token) -> str:
    if token.kind in ("num", "int"):
        return grouped(token.text)
    if token.kind == "money":
        return f"{grouped(token.text)} {token.unit}"
    if token.kind == "percent":
        return f"{token.text}%"
    if token.kind == "string":
        quote = "'" if '"' in token.text else '"'
        return f"{quote}{token.text}{quote}"
    if token.kind in ("list", "param"):
        return ("@" if token.kind == "list" else "$") + token.text
    return token.text


def grouped(digits: str) -> str:
    """Digits in groups of three: 1_000.50; codes that begin with 0 stay as they are."""
    whole, point, rest = digits.partition(".")
    if len(whole) > 3 and whole[0] != "0":
        whole = f"{int(whole):_}"
    return whole + point + rest


# ---- lines


def _joined(words: Sequence[Word]) -> str:
    return "".join(
        (" " if k and _is_apart(words, k) else "") + word.text for k, word in enumerate(words)
    )


def _is_apart(words: Sequence[Word], k: int) -> bool:
    """Whether a blank stands before word `k`."""
    left, right = words[k - 1], words[k]
    if right.kind == "op" and right.text in (*_CLOSING, ",", "."):
        return False
    if left.kind == "op" and left.text in (*_OPENING, "."):
        return False
    if right.kind == "op" and right.text in _OPENING:
        is_name = left.kind == "word" and left.text not in _SPACED
        return not is_name
    return not (left.kind == "op" and left.text == "-" and _is_sign(words, k - 1))


def _is_sign(words: Sequence[Word], k: int) -> bool:
    """Whether the minus at `k` stands in front of a value and between none."""
    if not k:
        return True
    left = words[k - 1]
    if left.kind == "op":
        return left.text not in _CLOSING
    return left.kind == "word" and left.text in _SPACED - {"true", "false", "null"}


def _split(words: Sequence[Word]) -> list[list[Word]]:
    """The parts that the outermost `or`, else the outermost `and`, joins; each but the first begins with it."""
    depth, n_between = 0, 0
    places: dict[str, list[int]] = {"or": [], "and": []}
    for k, word in enumerate(words):
        if word.kind == "op":
            depth += (word.text in _OPENING) - (word.text in _CLOSING)
        if depth or word.kind != "word":
            continue
        if word.text == "if":  # what stands behind `else` is part of it
            break
        if word.text == "between":
            n_between += 1
        elif word.text == "and" and n_between:
            n_between -= 1
        elif word.text in places:
            places[word.text].append(k)
    cuts = places["or"] or places["and"]
    bounds = [0, *cuts, len(words)]
    return [list(words[a:b]) for a, b in pairwise(bounds)]


def _lines(words: Sequence[Word], width: int, indent: str) -> list[str]:
    out: list[str] = []
    for part in _split(words):
        out += _clause(part, width, indent)
    return out


def _clause(words: Sequence[Word], width: int, indent: str) -> list[str]:
    """One clause: a line if it can be, else its bracket opened up, or broken behind its comments."""
    has_notes = any(w.note for w in words[:-1]) or any(w.lead for w in words[1:])
    line = indent + _joined(words)
    if has_notes or len(line) > width:
        bracket = _bracket(words)
        if bracket is not None:
            head, inner, tail = words[: bracket + 1], words[bracket + 1 : -1], words[-1]
            if not any(w.note or w.lead for w in (*head[:-1], *head[1:])) and not tail.lead:
                lead = [indent + c for w in head for c in w.lead]
                first = _noted(indent + _joined(head), head[-1].note)
                inside = _lines(inner, width, indent + "  ")
                return [*lead, first, *inside, _noted(indent + tail.text, tail.note)]
    if not has_notes:
        lead = [indent + c for c in words[0].lead]
        return [*lead, _noted(line, words[-1].note)]
    return _broken(words, indent)


def _broken(words: Sequence[Word], indent: str) -> list[str]:
    """A clause with comments between its words: a new line behind each."""
    out: list[str] = []
    begin = 0
    inner = indent
    for k, word in enumerate(words):
        for comment in word.lead:
            if begin < k:
                out.append(inner + _joined(words[begin:k]))
                begin, inner = k, indent + "  "
            out.append(inner + comment)
        if word.note or k == len(words) - 1:
            out.append(_noted(inner + _joined(words[begin : k + 1]), word.note))
            begin, inner = k + 1, indent + "  "
    return out


def _noted(line: str, note: str) -> str:
    return f"{line}  {note}" if note else line


def _bracket(words: Sequence[Word]) -> int | None:
    """Where the bracket opens that holds all of a clause but its `and`, `or` and `not`; None if there is none."""
    k = 0
    while k < len(words) and words[k].kind == "word" and words[k].text in ("and", "or", "not"):
        k += 1
    if k >= len(words) - 2 or words[k].text != "(" or words[k].kind != "op":
        return None
    depth = 0
    for j in range(k, len(words)):
        if words[j].kind == "op":
            depth += (words[j].text in _OPENING) - (words[j].text in _CLOSING)
        if not depth:
            return k if j == len(words) - 1 else None
    return None
