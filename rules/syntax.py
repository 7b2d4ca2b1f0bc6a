"""Condition and feature text to untyped trees with spans; several errors at once, with what to write instead.

A hand-written lexer and Pratt parser for the grammar of rules.md 3.3. The messages are the product: the parser goes on
after an error, understands the spellings of other languages (`=`, `&&`, `AND`, `<>`, `== null` are taken as meant) and
says for the rest what to write. Names are not looked up and nothing is typed here (rules/types.py).

    op of a Tree                                   args                      value
    num percent                                    -                         digits, no underscores: "1000.50"
    money                                          -                         digits (unit: currency)
    duration                                       -                         microseconds
    timeofday date string                          -                         "22:30", "2026-01-31", the text
    true false                                     -
    name param list                                -                         "account.opened_on", "large", "vip"
    or and                                         two or more
    not minus + - * / ??                           one or two
    == != < <= > >=                                two
    in not_in                                      x and a list, or x and literals
    between not_between                            x, low, high
    is_missing is_present                          x
    contains, starts with, ends with, matches      x, y                      also with "not_" in front
    if                                             c, a, b
    call lookup                                    the arguments; the key    the name
    error                                          -                         where something could not be read
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from rules import spellings
from rules.tree import Span

CHARS_MAX: Final = 4_096
NODES_MAX: Final = 200
DEPTH_MAX: Final = 40
DURATION_CHARS_MAX: Final = 64
DURATION_US_MAX: Final = 10_000 * 365 * 86_400_000_000  # ten thousand years

AGGREGATES: Final = frozenset(
    {
        "count", "sum", "avg", "stddev", "min", "max", "count_distinct", "quantile", "first", "last",
        "time_since_first", "time_since_last", "entropy", "decayed_count", "decayed_sum", "decayed_avg",
    }
)  # fmt: skip
KEYWORDS: Final = frozenset(
    {"and", "or", "not", "in", "between", "is", "contains", "matches", "if", "then", "else"}
    | {"true", "false", "null"}
)
_FUNCTIONS_TOO: Final = frozenset({"min", "max"})  # `max(a, b)` is also a function of two values
CALENDAR_UNITS: Final = ("day", "week", "month")
_CALCULATIONS: Final = frozenset({"+", "-", "*", "/", "??"})
_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
_SPELLINGS: Final = {
    "=": "==", "===": "==", "<>": "!=", "!==": "!=", "&&": "and", "||": "or", "!": "not",
    "≤": "<=", "≥": ">=", "≠": "!=", "=<": "<=", "=>": ">=", "&": "and", "|": "or",
}  # fmt: skip
_UNITS_US: Final = {
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with an expression: a stable code, where in its text, and what to write instead."""

    code: str
    span: Span
    what: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Tree:
    """One operation as written; see the table at the top. Spans take no part in equality."""

    op: str
    args: tuple["Tree", ...] = ()
    value: str = ""
    unit: str = ""
    span: Span = field(default=Span(0, 0), compare=False)

    def walk(self) -> Iterator["Tree"]:
        yield self
        for part in self.args:
            yield from part.walk()

    @property
    def depth(self) -> int:
        return 1 + max((a.depth for a in self.args), default=0)


@dataclass(frozen=True, slots=True)
class WindowText:
    """`kind` is duration, all, last or calendar; `lag_us` is None where no `until` stands.

    `width_us` of a duration; `count` of the last events; `unit` (day, week, month) of a calendar window.
    """

    kind: str
    width_us: int
    lag_us: int | None
    span: Span
    count: int = 0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class AggregateText:
    """`function(args) [of domain] by keys [over window] [where condition] [prior]` as written."""

    function: str
    function_span: Span
    args: tuple[Tree, ...]
    domain: str
    keys: tuple[Tree, ...]
    window: WindowText | None
    where: Tree | None
    prior: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # num int money percent duration timeofday date string list param word op end
    text: str  # as written, operators and keywords normalised
    span: Span
    unit: str = ""


def parse(text: str) -> tuple[Tree, list[Problem]]:
    """Read one expression. The tree is always there; with problems it may hold `error` nodes."""
    parser = _Parser(text)
    tree = parser.whole()
    return tree, parser.sorted_problems()


def parse_feature(text: str) -> tuple[Tree | AggregateText, list[Problem]]:
    """Read a feature: an aggregate over a window, or an expression over features."""
    parser = _Parser(text)
    tree = parser.aggregate() if parser.is_aggregate() else parser.whole()
    return tree, parser.sorted_problems()


def duration_us(text: str) -> int | None:
    """Return the microseconds of `1h30m`, or None for what is no duration, or longer than any calendar."""
    if len(text) > DURATION_CHARS_MAX or not re.fullmatch(r"(?:[0-9]+(?:ms|s|m|h|d|w))+", text):
        return None
    us = sum(int(n) * _UNITS_US[u] for n, u in re.findall(r"([0-9]+)(ms|s|m|h|d|w)", text))
    return us if us <= DURATION_US_MAX else None


def tokens(text: str) -> list[Token]:
    """Return the words of an expression that has no errors, the last of kind `end`."""
    return _tokens(text, [])


# ---------------------------------------------------------------- text -> tokens

_TOKEN: Final = re.compile(
    r"""
    (?P<blank>[ \t\r\n\u00a0]+|\#[^\n]*)
  | (?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})
  | (?P<halfday>[0-9]{1,2}(?:[:.][0-9]{2})?[ ]?[ap]m\b)
  | (?P<timeofday>[0-9]{1,2}:[0-9]{2})
  | (?P<apart>[0-9]{1,3}(?:['\u2019][0-9]{3})+\b)
  | (?P<comma>[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+|[0-9]+(?:,[0-9]+)+(?:\.[0-9]+)?)
  | (?P<money>[0-9][0-9_]*(?:\.[0-9]+)?[ \t]*(?!AND\b|NOT\b|MOD\b)[A-Z]{3}\b)
  | (?P<duration>(?:[0-9]+(?:ms|s|m|h|d|w))+\b)
  | (?P<percent>[0-9]+(?:\.[0-9]+)?%)
  | (?P<num>[0-9][0-9_]*\.[0-9]+)
  | (?P<int>[0-9][0-9_]*)
  | (?P<string>"[^"\n]*"|'[^'\n]*'
      |[\u201c\u201d\u201e][^\u201c\u201d\u201e"\n]*[\u201c\u201d"]
      |[\u2018\u2019\u201a][^\u2018\u2019\u201a'\n]*[\u2018\u2019']
      |[\u300c\u300e\uff02][^\u300c-\u300f\uff02\n]*[\u300d\u300f\uff02])
  | (?P<open>["'\u201c\u201d\u201e\u2018\u2019\u201a][^\n]*)
  | (?P<list>@[A-Za-z0-9_]+)
  | (?P<param>\$[A-Za-z0-9_]+)
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<op>\?\?|===|!==|==|!=|<>|<=|>=|=<|=>|&&|\|\||[<>=!&|≤≥≠+\-*/%()\[\],.])
  | (?P<other>.)
    """,
    re.VERBOSE,
)


def _tokens(text: str, problems: list[Problem]) -> list[Token]:
    out: list[Token] = []
    open_: list[str] = []  # "call", "[" or "(": inside calls and lists a comma separates
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None
        kind, word, span = str(match.lastgroup), match[0], Span(at, match.end())
        if kind == "comma" and open_ and open_[-1] != "(":
            digits = re.compile(r"[0-9]+(?:\.[0-9]+)?").match(text, at)
            assert digits is not None
            kind, word = ("num" if "." in digits[0] else "int"), digits[0]
            span = Span(at, digits.end())
        at = span.end
        if kind == "blank":
            continue
        if kind == "op":
            if word in "([":
                after = out[-1] if out else None
                is_call = after is not None and after.kind == "word" and after.text not in KEYWORDS
                open_.append("[" if word == "[" else "call" if is_call else "(")
            elif word in ")]" and open_:
                open_.pop()
            word = _SPELLINGS.get(word, word)
            kind = "word" if word in ("and", "or", "not") else "op"
            out.append(Token(kind, word, span))
        else:
            token = _token(kind, word, span, text, problems)
            if token is not None:
                out.append(token)
    out.append(Token("end", "", Span(len(text), len(text))))
    return out


def _token(kind: str, word: str, span: Span, text: str, problems: list[Problem]) -> Token | None:
    """Make one token of anything but an operator; a spelling that is refused is reported and read as meant."""
    if kind == "comma":
        return _number_with_comma(word, span, text, problems)
    if kind == "apart":
        digits = re.sub("['\u2019]", "_", word)
        what = "a number cannot contain an apostrophe"
        problems.append(Problem("WR110", span, what, f"write {digits}"))
        return Token("int", _digits(digits), span)
    if kind == "halfday":
        meant = spellings.clock(word)
        what = "a time of day has 24 hours"
        problems.append(Problem("WR116", span, what, f"write {meant}" if meant else "write 22:00"))
        return Token("timeofday", meant or "00:00", span)
    if kind == "money":
        return Token(kind, _digits(word[:-3]), span, word[-3:])
    if kind in ("num", "int"):
        return Token(kind, _digits(word), span)
    if kind == "percent":
        return Token(kind, word[:-1], span)
    if kind == "string":
        if word[0] not in "\"'":
            what = "a text stands between straight quotes"
            problems.append(Problem("WR115", span, what, f'write "{word[1:-1]}"'))
        return Token(kind, word[1:-1], span)
    if kind in ("list", "param"):
        return Token(kind, word[1:], span)
    if kind == "word":
        return _word(word, span)
    if kind == "open":
        end = span.start + len(word.rstrip())
        what = "this text has no closing quote on its line"
        problems.append(Problem("WR115", Span(span.start, end), what))
        return Token("string", word[1:].rstrip(), span)
    if kind == "other":
        what = f'"{word}" has no meaning here'
        problems.append(Problem("WR114", span, what, _OTHER.get(word, "")))
        return None
    return Token(kind, word, span)


_COMPARED: Final = ("==", "!=", "<", "<=", ">", ">=")
_OTHER: Final = {
    **spellings.SIGNS,
    ";": "remove it; conditions are joined by and, or",
    "{": "lists stand in [...]",
    "}": "lists stand in [...]",
    "^": "there is no power; write x * x",
    "~": "write: matches",
    "\u2013": "write -",
    "\u2212": "write -",
    "\u00d7": "write *",
    "\u00f7": "write /",
    "?": "write: if ... then ... else ..., or ?? for a default",
}


def _number_with_comma(word: str, span: Span, text: str, problems: list[Problem]) -> Token:
    if re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+", word):  # 1.000,50
        digits = word.replace(".", "_").replace(",", ".")
    elif re.fullmatch(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?", word):  # 1,000.50
        digits = word.replace(",", "_")
    else:  # 0,95
        digits = word.replace(",", ".", 1).replace(",", "")
    unit = re.compile(r"[ \t]*(?!AND\b|NOT\b|MOD\b)([A-Z]{3})\b").match(text, span.end)
    money = f" {unit[1]}" if unit else ""
    what = "a number cannot contain a comma"
    problems.append(Problem("WR110", span, what, f"write {digits}{money}"))
    # The currency is left to the lexer's next step only as a word; `_word` forgives it after such a number.
    return Token("num" if "." in digits else "int", _digits(digits), span, "comma")


def _word(word: str, span: Span) -> Token:
    lower = word.lower()
    if lower in KEYWORDS or word == lower:
        return Token("word", lower if lower in KEYWORDS else word, span)
    if re.fullmatch(r"[A-Z]{3}", word):
        return Token("currency", word, span)
    if lower in _CONTEXT:
        return Token("word", lower, span)
    return Token("word", lower, span, "capitals")


_CONTEXT: Final = frozenset(
    {"missing", "present", "starts", "ends", "with", "by", "over", "where", "prior"}
)


def _lower_hint(word: str, lower: str) -> str:
    return f'write {lower}, or "{word}" if the text is meant'


def _digits(text: str) -> str:
    return text.replace("_", "").strip()


# ---------------------------------------------------------------- tokens -> tree

_OR, _AND, _NOT, _CMP, _SUM, _PROD, _MINUS, _DEFAULT = 10, 20, 30, 40, 50, 60, 70, 80
_SYNC: Final = frozenset({"and", "or", "then", "else", ")", "]", ","})
_LITERALS: Final = frozenset(
    {"num", "int", "money", "percent", "duration", "timeofday", "date", "string"}
)
_WORDS: Final = frozenset({"word", "currency"})
_STRING_OPS: Final = frozenset({"contains", "matches", "starts with", "ends with"})


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.problems: list[Problem] = []
        if len(text) > CHARS_MAX:
            what = f"an expression has at most {CHARS_MAX:,} characters, this one has {len(text):,}"
            self.report("WR117", Span(0, 1), what, "split it into macros or features")
            text = ""
        self.tokens = _tokens(text, self.problems)
        self.i = 0
        self.n_nodes = 0
        self.level = 0
        self.stopped = bool(self.problems and self.problems[0].code == "WR117")

    # ---- little tools

    @property
    def now(self) -> Token:
        return self.tokens[self.i]

    def ahead(self, n: int = 1) -> Token:
        return self.tokens[min(self.i + n, len(self.tokens) - 1)]

    def take(self) -> Token:
        token = self.now
        self.i = min(self.i + 1, len(self.tokens) - 1)
        return token

    def at(self, *texts: str) -> bool:
        return self.now.kind in ("op", "word") and self.now.text in texts

    def report(self, code: str, span: Span, what: str, hint: str = "") -> None:
        self.problems.append(Problem(code, span, what, hint))

    def sorted_problems(self) -> list[Problem]:
        return sorted(
            dict.fromkeys(self.problems), key=lambda p: (p.span.start, p.span.end, p.code)
        )

    def source(self, span: Span) -> str:
        return self.text[span.start : span.end]

    def node(
        self, op: str, args: tuple[Tree, ...], start: int, value: str = "", unit: str = ""
    ) -> Tree:
        """Make a node that ends before the present token, and keep the limits."""
        end = max(start, self.tokens[self.i - 1].span.end if self.i else start)
        self.n_nodes += 1
        if self.n_nodes > NODES_MAX and not self.stopped:
            self.stop(Span(start, end), f"an expression has at most {NODES_MAX} parts")
        return Tree(op, args, value, unit, Span(start, end))

    def stop(self, span: Span, what: str) -> None:
        """Give up on this text: report once and jump to the end."""
        if not self.stopped:
            self.report("WR117", span, what, "split it into macros or features")
        self.stopped = True
        self.i = len(self.tokens) - 1

    def error(self, start: int) -> Tree:
        return self.node("error", (), start)

    def shown(self, token: Token) -> str:
        return "the end" if token.kind == "end" else f'"{self.source(token.span)}"'

    def skip(self) -> None:
        """Go to where reading can go on: the next and/or, or the end of this bracket."""
        depth = 0
        while self.now.kind != "end":
            if depth == 0 and self.at(*_SYNC):
                return
            depth += 1 if self.at("(", "[") else -1 if self.at(")", "]") else 0
            self.take()

    # ---- whole texts

    def whole(self) -> Tree:
        """Read all of the text; what is left over is reported and reading goes on behind the next and/or."""
        start = self.now.span.start
        if self.now.kind == "end" and not self.problems:
            self.report("WR111", Span(0, len(self.text)), "a condition or value is wanted here")
            return self.error(start)
        tree = self.expression(0)
        return self.rest(tree, start, frozenset())

    def rest(self, tree: Tree, start: int, until: frozenset[str]) -> Tree:
        while self.now.kind != "end" and not (self.now.kind == "word" and self.now.text in until):
            self.left_over()
            self.skip()
            if self.at("and", "or"):
                self.take()
                more = self.expression(0)
                tree = self.node("and", (tree, more), start)
            elif self.now.kind != "end":
                self.take()
        if not self.stopped and tree.depth > DEPTH_MAX:
            self.report(
                "WR117",
                tree.span,
                f"an expression is at most {DEPTH_MAX} levels deep",
                "split it into macros or features",
            )
        return tree

    def left_over(self) -> None:
        """Report a token that cannot follow a complete value, in the words of what was probably meant."""
        token, before = self.now, self.tokens[self.i - 1]
        both = Span(before.span.start, token.span.end)
        written, word = self.source(before.span), self.source(token.span)
        number = before.kind in ("num", "int")
        if token.kind == "currency" and before.unit == "comma":
            self.take()  # 1,000 EUR: the comma is reported, the currency is part of its hint
            if self.now.kind == "end" or self.at(*_SYNC):
                return
            self.left_over()
        elif token.kind == "op" and token.text == "%":
            after = self.ahead()
            if number and (after.kind == "end" or after.text in _SYNC):
                self.report("WR114", both, "a percentage has no blank inside", f"write {written}%")
            else:
                self.report("WR114", token.span, "% is not an operator", "write mod(a, b)")
        elif number and word in _UNITS_US:
            self.report(
                "WR116",
                both,
                "a duration has no blank or point inside",
                _duration_hint(written, word),
            )
        elif number and token.kind in _WORDS and (meant := spellings.counted(written, word))[0]:
            self.report("WR116" if "duration" in meant[0] else "WR111", both, *meant)
        elif before.kind == "int" and re.fullmatch("[0-9]{3}", word) and len(written) < 4:
            what = "a number cannot contain a blank"
            self.report("WR111", both, what, f"write {written}_{word}")
        elif number and re.fullmatch(r"[a-z]{3}", word):
            self.report(
                "WR111",
                both,
                "a currency is written in capitals",
                f"write {written} {word.upper()}",
            )
        elif token.kind == "op" and token.text in (")", "]"):
            self.report("WR118", token.span, f'"{token.text}" closes nothing that is open')
            self.take()
        elif token.kind == "list":
            self.report(
                "WR111", token.span, f"{word} follows without a word between", f"write in {word}"
            )
        elif token.kind in (
            "word",
            "string",
            "num",
            "int",
            "money",
            "currency",
            "param",
            *_LITERALS,
        ):
            hint = (
                "join conditions by and, or"
                if token.text != "where"
                else "only an aggregate has a where"
            )
            if before.kind == token.kind == "word" and self.ahead().text in _COMPARED:
                hint += f"; a name has no blank: {written}_{word}"
            self.report("WR111", token.span, f"{self.shown(token)} cannot follow here", hint)
        else:
            self.report("WR111", token.span, f"{self.shown(token)} cannot follow here")

    # ---- expressions

    def expression(self, power: int) -> Tree:
        self.level += 1
        start = self.now.span.start
        if self.level > DEPTH_MAX + 2 and not self.stopped:
            self.stop(self.now.span, f"an expression is at most {DEPTH_MAX} levels deep")
        if self.stopped:
            self.level -= 1
            return Tree("error", span=Span(start, start))
        # Behind a comparison or `not` only and/or can follow: `a is missing is present` is none.
        compared = self.at("not")
        left = self.prefix(power)
        while not self.stopped and not (compared and not self.at("and", "or")):
            more = self.infix(left, start, power)
            if more is None:
                break
            compared = more.op not in _CALCULATIONS
            left = more
        self.level -= 1
        return left

    def prefix(self, power: int) -> Tree:
        token = self.now
        start = token.span.start
        if self.at("not"):
            if power > _NOT:
                what = '"not" cannot stand inside a comparison or calculation'
                self.report("WR111", token.span, what, "put the negation into parentheses")
            self.take()
            inner = self.expression(_NOT)
            return self.node("not", (inner,), start)
        if self.at("-"):
            self.take()
            inner = self.expression(_MINUS)
            return self.node("minus", (inner,), start)
        if self.at("+"):
            self.report("WR114", token.span, "a plus cannot stand in front of a value", "remove it")
            self.take()
        return self.atom()

    def infix(self, left: Tree, start: int, power: int) -> Tree | None:
        token = self.now
        if token.kind not in ("op", "word"):
            return None
        word = token.text
        if word in ("or", "and"):
            return self.chain(left, start, power, word)
        if word in _COMPARISONS or word in (
            "in",
            "between",
            "is",
            "not",
            *_STRING_OPS,
            "starts",
            "ends",
        ):
            return self.comparison(left, start) if power < _CMP and self.is_comparison() else None
        if word in ("+", "-"):
            return self.binary(left, start, _SUM) if power < _SUM else None
        if word in ("*", "/"):
            return self.binary(left, start, _PROD) if power < _PROD else None
        if word == "??":
            return self.binary(left, start, _DEFAULT) if power < _DEFAULT else None
        return None

    def chain(self, left: Tree, start: int, power: int, word: str) -> Tree | None:
        strength = _OR if word == "or" else _AND
        if power >= strength:
            return None
        parts = [left]
        while self.at(word) and not self.stopped:
            self.take()
            if self.at("and", "or"):  # `a and and b`
                self.report(
                    "WR111", self.now.span, f'"{self.now.text}" stands here twice', "remove one"
                )
                self.take()
            parts.append(self.expression(strength))
        return self.node(word, tuple(parts), start)

    def binary(self, left: Tree, start: int, strength: int) -> Tree:
        op = self.take().text
        right = self.expression(strength)
        return self.node(op, (left, right), start)

    def is_comparison(self) -> bool:
        if not self.at("not"):
            return True
        after = self.ahead()
        return after.kind == "word" and after.text in (
            "in",
            "between",
            "contains",
            "matches",
            "starts",
            "ends",
        )

    def comparison(self, left: Tree, start: int) -> Tree:
        tree = self.one_comparison(left, start)
        if self.now.kind == "op" and self.now.text in _COMPARISONS:
            op, first = self.now.text, tree
            self.take()
            right = self.expression(_CMP)
            span = Span(start, self.tokens[self.i - 1].span.end)
            self.report(
                "WR112", span, "comparisons cannot be chained", self.chained(first, op, right)
            )
            if len(first.args) == 2:
                tree = self.node(
                    "and", (first, self.node(op, (first.args[1], right), start)), start
                )
        return tree

    def chained(self, first: Tree, op: str, last: Tree) -> str:
        if len(first.args) != 2 or first.op not in _COMPARISONS:
            return "use and"
        low, x, high = (self.source(t.span) for t in (*first.args, last))
        if first.op in (">", ">=") and op in (">", ">="):
            low, high = high, low
        elif not (first.op in ("<", "<=") and op in ("<", "<=")):
            return f"write {low} {first.op} {x} and {x} {op} {high}"
        if first.op in ("<=", ">=") and op in ("<=", ">="):
            return f"write {x} between {low} and {high}"
        return f"write {x} between {low} and {high} (both ends belong to it)"

    def one_comparison(self, left: Tree, start: int) -> Tree:
        negated = ""
        if self.at("not"):
            self.take()
            negated = "not_"
        token = self.take()
        word = token.text
        if word in _COMPARISONS:
            if self.now.kind == "word" and self.now.text == "null" and word in ("==", "!="):
                self.take()
                return self.node("is_missing" if word == "==" else "is_present", (left,), start)
            right = self.expression(_CMP)
            return self.node(word, (left, right), start)
        if word == "in":
            return self.node(f"{negated}in", (left, *self.members()), start)
        if word == "between":
            low = self.expression(_CMP)
            if self.at("and"):
                self.take()
                high = self.expression(_CMP)
            else:
                what = 'between needs two bounds joined by "and"'
                self.report("WR111", self.now.span, what, "write x between 1 and 5")
                high = self.error(self.now.span.start)
            return self.node(f"{negated}between", (left, low, high), start)
        if word == "is":
            return self.is_(left, start)
        if word in ("starts", "ends"):
            if self.at("with"):
                self.take()
            else:
                self.report("WR111", self.now.span, f'"{word}" needs "with"', f"write {word} with")
            word += " with"
        right = self.expression(_CMP)
        return self.node(negated + word, (left, right), start)

    def is_(self, left: Tree, start: int) -> Tree:
        flip = self.at("not")
        if flip:
            self.take()
        if self.at("missing", "null", "present"):
            absent = self.take().text != "present"
            return self.node("is_missing" if absent != flip else "is_present", (left,), start)
        if self.at("empty"):
            self.report(
                "WR111", self.take().span, "a field without a value is missing", "write is missing"
            )
            return self.node("is_present" if flip else "is_missing", (left,), start)
        sign = spellings.COMPARED.get((self.now.text, self.ahead().text))
        if sign is not None and not flip:
            span = Span(self.now.span.start, self.ahead().span.end)
            self.take()
            self.take()
            self.report(
                "WR111",
                span,
                "comparisons are written with signs",
                f"write {sign} in place of is {self.source(span)}",
            )
            return self.node(sign, (left, self.expression(_CMP)), start)
        what = f'"is" needs missing or present, found {self.shown(self.now)}'
        hint = "to compare values write ==" if not flip else "to compare values write !="
        self.report("WR111", self.now.span, what, hint)
        if self.now.kind in _LITERALS or (
            self.now.kind == "word" and self.now.text not in KEYWORDS
        ):
            self.take()
        return self.node("is_missing", (left,), start)

    def members(self) -> tuple[Tree, ...]:
        """Read what follows `in`: a named list or `[a, b]`; other brackets are read and refused."""
        token = self.now
        if token.kind == "list":
            return (self.atom(),)
        if self.at("[", "("):
            closing = "]" if token.text == "[" else ")"
            self.take()
            out: list[Tree] = []
            while True:
                out.append(self.member())
                if not self.at(","):
                    break
                self.take()
            if not self.close(closing, token):
                return tuple(out)
            if closing == ")":
                span = Span(token.span.start, self.tokens[self.i - 1].span.end)
                inner = self.text[span.start + 1 : span.end - 1].strip()
                self.report(
                    "WR113", span, "a list of values stands in square brackets", f"write [{inner}]"
                )
            return tuple(out)
        hint = 'write in @list_name, or in ["a", "b"]'
        if token.kind == "word" and token.text not in KEYWORDS:
            hint = f"write in @{token.text} for the list of that name"
        elif token.kind in _LITERALS:
            hint = f"write in [{self.source(token.span)}]"
        self.report("WR113", token.span, f'"in" needs a list, found {self.shown(token)}', hint)
        if token.kind in _LITERALS or (token.kind == "word" and token.text not in KEYWORDS):
            self.take()
        return (self.error(token.span.start),)

    def member(self) -> Tree:
        token = self.now
        if token.kind in _LITERALS or self.at("true", "false"):
            return self.atom()
        what = f"a list holds numbers and texts, found {self.shown(token)}"
        hint = (
            f'write "{self.source(token.span)}" if the text is meant'
            if token.kind in _WORDS
            else ""
        )
        self.report("WR113", token.span, what, hint)
        if token.kind != "end" and not self.at(",", "]", ")"):
            self.take()
            while not self.at(*_SYNC) and self.now.kind != "end":
                self.take()
        return self.error(token.span.start)

    def close(self, closing: str, opened: Token) -> bool:
        if self.at(closing):
            self.take()
            return True
        if not self.stopped:
            if self.now.kind == "end":
                what = f'this "{opened.text}" is never closed'
                self.report("WR118", opened.span, what, f'add "{closing}"')
            else:
                what = f'{self.shown(self.now)} cannot follow here, "{closing}" is wanted'
                self.report("WR118", self.now.span, what)
                self.skip_to(closing)
        return False

    def skip_to(self, closing: str) -> None:
        """Go behind the bracket that closes the present one, so that the rest is read as if it were right."""
        depth = 0
        while self.now.kind != "end":
            if depth == 0 and self.at(closing):
                self.take()
                return
            depth += 1 if self.at("(", "[") else -1 if self.at(")", "]") else 0
            self.take()

    def atom(self) -> Tree:
        token = self.now
        start = token.span.start
        if token.kind in _LITERALS:
            return self.literal(self.take())
        if token.kind == "param":
            self.take()
            return self.node("param", (), start, token.text)
        if token.kind == "list":
            self.take()
            return self.node("list", (), start, token.text)
        if token.kind == "currency":
            return self.currency()
        if self.at("("):
            self.take()
            inner = self.expression(0)
            if self.at(","):
                what = "a comma stands only between the values of a function or list"
                self.report("WR111", self.now.span, what)
                self.skip_to(")")
                return inner
            self.close(")", token)
            return inner
        if self.at("if"):
            return self.if_()
        if self.at("true", "false"):
            self.take()
            return self.node(token.text, (), start)
        if token.kind == "word" and token.text not in KEYWORDS:
            return self.name()
        self.wanted(token)
        return self.error(start)

    def wanted(self, token: Token) -> None:
        """Report that a value is missing at `token` and leave out what cannot be read."""
        what, hint = f"a value is wanted here, found {self.shown(token)}", ""
        if token.kind == "word" and token.text == "null":
            hint = "write: is missing"
        elif token.kind == "op" and token.text in _COMPARISONS:
            hint = "a comparison needs a value on both sides"
        elif self.at("["):
            hint = 'a list can only follow "in"'
        code = "WR118" if token.kind == "end" or self.at(*_SYNC) else "WR111"
        self.report(code, token.span, what, hint)
        if not self.at(*_SYNC) and token.kind != "end":
            self.skip()

    def currency(self) -> Tree:
        token = self.take()
        start = token.span.start
        if self.now.kind in ("num", "int"):
            number = self.take()
            span = Span(start, number.span.end)
            hint = f"write {self.source(number.span)} {token.text}"
            self.report("WR111", span, "the currency follows the amount", hint)
            return self.node("money", (), start, number.text, token.text)
        hint = _lower_hint(token.text, token.text.lower())
        self.report("WR111", token.span, f'names are lower case, was "{token.text}"', hint)
        return self.node("error", (), start)

    def literal(self, token: Token) -> Tree:
        start = token.span.start
        if token.kind == "duration":
            us = duration_us(token.text)
            if us is None:
                what = "a duration is at most ten thousand years"
                self.report("WR116", token.span, what, "write a shorter one")
            return self.node("duration", (), start, str(us or 0))
        if token.kind in ("num", "int"):
            if token.unit == "comma" and self.now.kind == "currency":
                unit = self.take().text
                return self.node("money", (), start, token.text, unit)
            return self.node("num", (), start, token.text)
        return self.node(token.kind, (), start, token.text, token.unit)

    def if_(self) -> Tree:
        token = self.take()
        start = token.span.start
        condition = self.expression(0)
        parts = [condition]
        for word in ("then", "else"):
            if not self.at(word):
                if not self.stopped:
                    what = f'"if" needs "{word}", found {self.shown(self.now)}'
                    hint = "write if condition then value else value"
                    self.report("WR111", self.now.span, what, hint)
                parts.append(self.error(self.now.span.start))
                continue
            self.take()
            parts.append(self.expression(0))
        return self.node("if", tuple(parts), start)

    def name(self) -> Tree:
        token = self.take()
        self.lower_case(token)
        start, words = token.span.start, [token.text]
        while self.at("."):
            self.take()
            if self.now.kind == "word":
                self.lower_case(self.now)
                words.append(self.take().text)
            else:
                what = f"a name is wanted after the point, found {self.shown(self.now)}"
                self.report("WR111", self.now.span, what)
                return self.node("error", (), start)
        name = ".".join(words)
        opened = self.now
        if self.at("("):
            self.take()
            args: list[Tree] = []
            if not self.at(")"):
                args.append(self.expression(0))
                while self.at(","):
                    self.take()
                    args.append(self.expression(0))
            self.close(")", opened)
            return self.node("call", tuple(args), start, name)
        if self.at("["):
            self.take()
            key = self.expression(0)
            self.close("]", opened)
            return self.node("lookup", (key,), start, name)
        return self.node("name", (), start, name)

    def lower_case(self, token: Token) -> None:
        if token.unit == "capitals":
            word = self.source(token.span)
            what = f'names are lower case, was "{word}"'
            self.report("WR111", token.span, what, _lower_hint(word, token.text))

    # ---- aggregates

    def is_aggregate(self) -> bool:
        first, second = self.tokens[0], self.tokens[min(1, len(self.tokens) - 1)]
        if first.kind != "word" or second.text != "(" or first.text in KEYWORDS:
            return False
        depth = 0
        for i, token in enumerate(self.tokens[1:], 1):
            if token.kind == "op":
                depth += 1 if token.text in "([" else -1 if token.text in ")]" else 0
            if depth == 0:
                after = self.tokens[min(i + 1, len(self.tokens) - 1)]
                if after.kind == "word" and after.text in ("by", "of", "over", "where", "prior"):
                    return True
                # `count() > 5` wants `by`; `max(a, b) / 2` is an expression
                return first.text in AGGREGATES - _FUNCTIONS_TOO
        return first.text in AGGREGATES - _FUNCTIONS_TOO

    def aggregate(self) -> AggregateText:
        name = self.take()
        opened = self.take()
        args: list[Tree] = []
        if not self.at(")"):
            args.append(self.expression(0))
            while self.at(","):
                self.take()
                args.append(self.expression(0))
        self.close(")", opened)
        domain = ""
        if self.at("of"):
            self.take()
            domain = self.take().text if self.at("transaction", "activity", "label") else ""
            if not domain:
                what = f"of what? found {self.shown(self.now)}"
                self.report("WR111", self.now.span, what, "write transaction, activity or label")
                if self.now.kind == "word" and not self.at("by", "over", "where", "prior"):
                    self.take()
        keys = self.keys()
        window = self.window() if self.at("over") else None
        where = None
        if self.at("where"):
            self.take()
            start = self.now.span.start
            where = self.rest(self.expression(0), start, frozenset({"prior"}))
        prior = self.at("prior")
        if prior:
            self.take()
        if self.now.kind != "end":
            what = f"{self.shown(self.now)} cannot follow here"
            hint = "the order is: by, over, where, prior"
            self.report("WR111", self.now.span, what, hint)
        span = Span(name.span.start, self.tokens[self.i - 1].span.end)
        return AggregateText(
            name.text, name.span, tuple(args), domain, keys, window, where, prior, span
        )

    def keys(self) -> tuple[Tree, ...]:
        if not self.at("by"):
            what = f'an aggregate needs "by" and a key, found {self.shown(self.now)}'
            hint = "write for instance: by account"
            if self.at("over", "where"):
                hint += "; the order is: by, over, where, prior"
            self.report("WR111", self.now.span, what, hint)
            return ()
        out: list[Tree] = []
        while self.at("by", ","):
            self.take()
            token = self.now
            if token.kind != "word" or token.text in KEYWORDS:
                self.report("WR111", token.span, f"a key is wanted here, found {self.shown(token)}")
                break
            out.append(self.name())
        return tuple(out)

    def window(self) -> WindowText | None:
        start = self.take().span.start
        token = self.now
        if token.kind == "duration":
            width = duration_us(self.take().text) or 0
            lag = self.lag() if self.at("until") else None
            return WindowText("duration", width, lag, Span(start, self.tokens[self.i - 1].span.end))
        if self.at("all"):
            self.take()
            lag = self.lag() if self.at("until") else None
            return WindowText("all", 0, lag, Span(start, self.tokens[self.i - 1].span.end))
        if self.at("last", "calendar"):
            return self.last_or_calendar(start)
        what = f"a window is wanted here, found {self.shown(token)}"
        hint = "write a duration such as 30m, 24h, 90d, or all"
        if token.kind in ("num", "int") and self.ahead().text in _UNITS_US:
            hint = _duration_hint(self.source(token.span), self.ahead().text)
            self.take()
        elif token.kind in ("num", "int") and self.ahead().kind in _WORDS:
            _, meant = spellings.counted(self.source(token.span), self.ahead().text)
            if meant:
                hint = meant
                self.take()
        self.report("WR116", token.span, what, hint)
        if token.kind in _LITERALS or (token.kind == "word" and not self.at("where", "prior")):
            self.take()
        return None

    def last_or_calendar(self, start: int) -> WindowText | None:
        """Read what follows `over` in `over last 5 events` and `over calendar day`."""
        kind = self.take().text
        count = 0
        words: tuple[str, ...] = CALENDAR_UNITS
        hint = "write calendar day, calendar week or calendar month"
        if kind == "last":
            words, hint = ("events",), "write for instance: over last 5 events"
            if self.now.kind == "int":
                count = int(self.take().text)
        if not self.at(*words):
            what = f"{kind} what? found {self.shown(self.now)}"
            self.report("WR116", self.now.span, what, hint)
            if self.now.kind == "word" and not self.at("until", "where", "prior"):
                self.take()
            return None
        unit = self.take().text
        lag = self.lag() if self.at("until") else None
        span = Span(start, self.tokens[self.i - 1].span.end)
        return WindowText(kind, 0, lag, span, count, unit if kind == "calendar" else "")

    def lag(self) -> int:
        self.take()
        if self.now.kind != "duration":
            what = f'"until" needs a duration, found {self.shown(self.now)}'
            self.report("WR116", self.now.span, what, "write for instance: until 1d ago")
            while self.now.kind != "end" and not self.at("where", "prior"):
                self.take()
            return 0
        lag = duration_us(self.take().text) or 0
        if self.at("ago"):
            self.take()
        else:
            self.report(
                "WR111", self.now.span, '"until" needs "ago"', "write for instance: until 1d ago"
            )
        return lag


def _duration_hint(number: str, unit: str) -> str:
    if "." not in number:
        return f"write {number}{unit}"
    us = round(float(number.replace("_", "")) * _UNITS_US[unit])
    for smaller in ("w", "d", "h", "m", "s", "ms"):
        if us % _UNITS_US[smaller] == 0:
            return f"write {us // _UNITS_US[smaller]}{smaller}"
    return "write whole numbers of units, such as 1h30m"
