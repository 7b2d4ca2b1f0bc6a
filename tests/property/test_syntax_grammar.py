"""The hand-written parser accepts the same language as the grammar, and builds the same trees."""

from pathlib import Path

import lark
from hypothesis import given
from hypothesis import strategies as st

from rules.syntax import KEYWORDS, AggregateText, Tree, duration_us, parse, parse_feature

GRAMMAR = lark.Lark(
    (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8"),
    parser="lalr",
    start=["start", "feature"],
    maybe_placeholders=False,
)

# ---------------------------------------------------------------- random sentences

NAMES = ["a", "amount", "out_48h", "account_age", "label", "by", "x1", "prior_x", "over"]
LITERALS = [
    "1_000", "0.92", "12", "500 EUR", "9_999.99 EUR", "80%", "99.5%", "24h", "1h30m", "200d5m", "30ms", "22:30",
    "6:05", "2026-01-31", '"text"', "'te\"xt'", '""', "true", "false",
]  # fmt: skip
COMPARISONS = ["==", "!=", "<", "<=", ">", ">="]
STRING_OPS = ["contains", "starts with", "ends with", "matches"]
WINDOWS = [
    "",
    "over 30d",
    "over 400d until 1d ago",
    "over all",
    "over last 5 events",
    "over calendar day",
]


class Sentence:
    """Draws one sentence by the productions of the grammar, `depth` levels of brackets at most."""

    def __init__(self, draw, depth):
        self.draw, self.depth = draw, depth

    def pick(self, *choices):
        return self.draw(st.sampled_from(choices))

    def many(self, part, separator, high=3):
        return f" {separator} ".join(part() for _ in range(self.draw(st.integers(1, high))))

    def inner(self):
        if self.depth == 0:
            return self.pick(*NAMES, *LITERALS)
        self.depth -= 1
        text = self.expression()
        self.depth += 1
        return text

    def name(self):
        return self.pick(*NAMES)

    def literal(self):
        return self.pick(*LITERALS)

    def atom(self):
        kind = self.pick("literal", "name", "name", "param", "call", "lookup", "brackets", "if")
        if kind == "literal":
            return self.literal()
        if kind == "name":
            return self.many(self.name, ".", 2)
        if kind == "param":
            return "$" + self.name()
        if kind == "call":
            return f"{self.name()} ( {(self.pick(0, 1) and self.many(self.inner, ',')) or ''} )"
        if kind == "lookup":
            return f"{self.name()} [ {self.inner()} ]"
        if kind == "brackets":
            return f"( {self.inner()} )"
        return f"if {self.inner()} then {self.inner()} else {self.inner()}"

    def unary(self):
        return (
            self.pick("", "", "- ")
            + self.atom()
            + (f" ?? {self.atom()}" if self.pick(0, 0, 1) else "")
        )

    def product(self):
        return self.many(self.unary, self.pick("*", "/"))

    def sum(self):
        return self.many(self.product, self.pick("+", "-"))

    def comparison(self):
        left, negated = self.sum(), self.pick("", "not ")
        kind = self.pick("", "compare", "in", "between", "is", "string")
        if kind == "compare":
            return f"{left} {self.pick(*COMPARISONS)} {self.sum()}"
        if kind == "in":
            members = self.pick("@vips", "")
            return f"{left} {negated}in {members or '[ ' + self.many(self.literal, ',') + ' ]'}"
        if kind == "between":
            return f"{left} {negated}between {self.sum()} and {self.sum()}"
        if kind == "is":
            return f"{left} is {self.pick('missing', 'present')}"
        return f"{left} {negated}{self.pick(*STRING_OPS)} {self.sum()}" if kind else left

    def negation(self):
        return self.pick("", "", "not ", "not not ") + self.comparison()

    def conjunction(self):
        return self.many(self.negation, "and")

    def expression(self):
        return self.many(self.conjunction, "or", 2)

    def aggregate(self):
        arguments = self.many(self.inner, ",", 2) if self.pick(0, 1) else ""
        of = self.pick("", "of transaction", "of activity", "of label")
        where = f"where {self.inner()}" if self.pick(0, 1) else ""
        function = self.pick("count", "sum", "quantile", "time_since_last", "max")
        by = self.many(self.name, ",")
        return f"{function} ( {arguments} ) {of} by {by} {self.pick(*WINDOWS)} {where} {self.pick('', 'prior')}"


@st.composite
def expressions(draw):
    return Sentence(draw, draw(st.integers(0, 2))).expression()


@st.composite
def aggregates(draw):
    return Sentence(draw, 1).aggregate()


# ---------------------------------------------------------------- trees of the grammar, in our words

OPS = {
    "or_": "or", "and_": "and", "neg": "not", "minus": "minus", "add": "+", "sub": "-", "mul": "*", "div": "/",
    "coalesce": "??", "between": "between", "not_between": "not_between", "is_missing": "is_missing",
    "is_present": "is_present", "ifelse": "if", "true": "true", "false": "false",
}  # fmt: skip


def ours(node):
    """Turn a tree of lark into one of rules/syntax.py."""
    kind, parts = str(node.data), node.children
    if kind == "start":
        return ours(parts[0])
    if kind in OPS:
        return Tree(OPS[kind], tuple(ours(p) for p in parts))
    if kind == "compare":
        return Tree(str(parts[1]), (ours(parts[0]), ours(parts[2])))
    if kind in ("strop", "not_strop"):
        return Tree(("not_" if kind[0] == "n" else "") + parts[1], (ours(parts[0]), ours(parts[2])))
    if kind in ("in_", "not_in"):
        members = [parts[1]] if parts[1].data == "named_list" else parts[1].children
        return Tree("in" if kind == "in_" else "not_in", (ours(parts[0]), *map(ours, members)))
    if kind in ("named_list", "param"):
        return Tree("list" if kind == "named_list" else "param", (), str(parts[0])[1:])
    if kind == "name":
        return Tree("name", (), ".".join(parts))
    if kind in ("call", "lookup"):
        return Tree(kind, tuple(map(ours, parts[1:])), str(parts[0]))
    text = str(parts[0])
    if kind == "string":
        return Tree("string", (), text[1:-1])
    if kind == "money":
        return Tree("money", (), text[:-4].replace("_", ""), text[-3:])
    if kind == "duration":
        return Tree("duration", (), str(duration_us(text)))
    if kind in ("num", "percent", "timeofday", "date"):
        return Tree(kind, (), text.replace("_", "").rstrip("%"))
    raise AssertionError(kind)


def ours_feature(node):
    """Turn an aggregate of lark into (function, args, domain, keys, window, where, prior)."""
    function, args, domain, keys, window, where, prior = "", (), "", (), None, None, False
    for part in node.children:
        if isinstance(part, lark.Token):
            domain, prior = (str(part), prior) if part.type == "KIND" else (domain, True)
        elif part.data == "agg":
            function = str(part.children[0])
        elif part.data == "agg_args":
            args = tuple(map(ours, part.children))
        elif part.data == "names":
            keys = tuple(map(str, part.children))
        elif part.data == "window":
            window = [str(c) for c in part.children]
        else:
            where = ours(part)
    return function, args, domain, keys, window, where, prior


def grammar(text, start="start"):
    try:
        return GRAMMAR.parse(text, start=start)
    except lark.exceptions.UnexpectedInput:
        return None


def takes_a_keyword_for_a_name(tree):
    """Tell whether lark's contextual lexer read `and` as a name, where no `and` can stand."""
    tokens = tree.scan_values(lambda t: isinstance(t, lark.Token))
    return any(t.type == "NAME" and t in KEYWORDS for t in tokens)


def is_an_extension(text):
    """Tell whether the parser may take what the grammar refuses: spellings that fmt writes out."""
    return text.count("??") > 1 or "?? -" in text or "is not" in text


def agree(text, problems, wanted):
    """Return whether there are two trees to compare, after both accepted; fail when only one did."""
    assert all(0 <= p.span.start <= p.span.end <= len(text) for p in problems)
    if any(p.code == "WR117" for p in problems):
        return False
    if wanted is None:
        assert problems or is_an_extension(text)
        return False
    if problems:
        # `if a then b else c < d < e`: to the grammar the second comparison is one of the whole `if`
        assert takes_a_keyword_for_a_name(wanted) or any(p.code == "WR112" for p in problems), (
            problems
        )
        return False
    return True


def assert_equal(text):
    """Both accept and give one tree, or both refuse."""
    tree, problems = parse(text)
    wanted = grammar(text)
    if agree(text, problems, wanted):
        assert tree == ours(wanted)


@given(expressions())
def test_every_sentence_of_the_grammar_gives_the_tree_of_the_grammar(text):
    """Random sentences; what `if` swallows behind its `else` is the same for both."""
    assert_equal(text)


@given(expressions(), st.data())
def test_what_the_grammar_refuses_is_reported_and_what_it_takes_is_not(text, data):
    """Sentences with a word taken out, doubled or put elsewhere."""
    parts = text.split(" ")
    at = data.draw(st.integers(0, len(parts) - 1))
    change = data.draw(st.sampled_from(["drop", "double", "move"]))
    if change == "double":
        parts.insert(at, parts[at])
    else:
        part = parts.pop(at)
        if change == "move":
            parts.insert(data.draw(st.integers(0, len(parts))), part)
    assert_equal(" ".join(parts))


@given(aggregates())
def test_every_aggregate_of_the_grammar_gives_its_parts(text):
    """Keys, window, domain, condition and prior, in the order of the grammar."""
    found, problems = parse_feature(text)
    wanted = grammar(text, "feature")
    if not agree(text, problems, wanted):
        return
    assert isinstance(found, AggregateText)
    function, args, domain, keys, window, where, prior = ours_feature(wanted)
    assert (found.function, found.args, found.domain) == (function, args, domain)
    assert (tuple(k.value for k in found.keys), found.where, found.prior) == (keys, where, prior)
    assert (found.window is None) == (window is None)
    if window and found.window.kind == "duration":
        assert found.window.width_us == duration_us(window[0])
        assert found.window.lag_us == (duration_us(window[1]) if len(window) > 1 else None)


@given(st.text(alphabet="ab1_,.%$@()[]\"'<>=!&|+-*/?{}: \n#EURandorinotf\u201c\u00a0", max_size=60))
def test_any_text_at_all_is_read_without_an_exception(text):
    """Rubbish gives problems with spans inside it, and always a tree."""
    for read in (parse, parse_feature):
        tree, problems = read(text)
        assert tree is not None
        assert all(0 <= p.span.start <= p.span.end <= len(text) for p in problems)
        if isinstance(tree, Tree) and any(t.op == "error" for t in tree.walk()):
            assert problems
