"""Rule files written in any way: put in order they say the same, keep every comment at its place, and stay in order.

What a file says is read by PyYAML's own loader here, and expressions are compared as trees.
"""

import re

import yaml
from hypothesis import given
from hypothesis import strategies as st

from rules import language
from rules.format import formatted
from rules.syntax import parse, parse_feature
from tests.property.test_syntax_grammar import Sentence

PLAIN = {
    "id": "A-1",
    "name": "A name, with 'marks' - and:more",
    "version": "3",
    "owner": "cards",
    "severity": "high",
    "on": "[payment, transfer]",
    "mode": "shadow",
    "score": "100",
    "params": "{b: {why: 'w, x', value: 5}, a: 0012}",
    "actions": "[{alert: {title: T, queue: q}}]",
    "dedup": "{for: 1h, by: card}",
}


class File:
    """Draws a rule file line by line, and notes which comment belongs to which key."""

    def __init__(self, draw):
        self.draw = draw
        self.n_comments = 0
        self.behind, self.above = {}, {}  # comment -> the key on its line, below it

    def pick(self, *choices):
        return self.draw(st.sampled_from(choices))

    def comment(self):
        self.n_comments += 1
        return f"# c{self.n_comments}" + self.pick("", ":", " 'x", " {", ' "', " - k: v")

    def note(self, key):
        if self.pick(0, 0, 1):
            text = self.comment()
            self.behind[text.split()[1].rstrip(":")] = key
            return "  " + text
        return ""

    def lead(self, indent, key):
        lines = [""] * self.pick(0, 0, 0, 1, 2)
        for _ in range(self.pick(0, 0, 0, 1, 2)):
            text = self.comment()
            self.above[text.split()[1].rstrip(":")] = key
            lines.append(" " * indent + text)
        return lines

    def condition(self):
        text = Sentence(self.draw, self.pick(0, 1)).expression()
        for canonical, others in (
            ("==", ("=", "===")),
            ("!=", ("<>", "!==")),
            (" and ", (" AND ", " && ")),
            (" or ", (" OR ", " || ")),
        ):
            text = text.replace(canonical, self.pick(canonical, *others))
        return text if not parse(text)[1] else "a=1 && b"

    def scalar(self, text, indent, key):
        """A key with a text, in one of the styles that can hold it; the note stands on its first line."""
        head, note = " " * indent + f"{key}: ", self.note(key)
        style = self.pick("plain", "single", "double", "block", "folded", "broken")
        if style == "plain" and not re.search(r": |:$| #|^[!&*|>%@`\"'\[\]{},?:#-]", text):
            return [head + text + note]
        if style == "double":
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            return [f'{head}"{quoted}"{note}']
        if style in ("block", "folded"):
            words = text.split(" and ")
            body = [words[0], *("and " + w for w in words[1:])]
            if " between " in text or style == "folded":
                body = [text]
            inside = " " * (indent + self.pick(1, 2, 4))
            if style == "block" and self.pick(0, 1):
                body.insert(0, self.comment())
            mark = "|" if style == "block" else ">"
            return [head + mark + self.pick("", "", "-") + note, *(inside + line for line in body)]
        single = text.replace("'", "''")
        if style == "broken" and " and " in single and not note:
            first, _, rest = single.partition(" and ")
            return [f"{head}'{first}", " " * (indent + 3) + f"and {rest}'"]
        return [f"{head}'{single}'{note}"]

    def rule(self):
        keys = self.draw(
            st.lists(st.sampled_from(list(PLAIN)), unique=True, min_size=1, max_size=6)
        )
        keys = [*keys, "when", *(["let"] if self.pick(0, 1) else [])]
        keys = self.draw(st.permutations(keys))
        lines = self.lead(2, "- ")
        for k, key in enumerate(keys):
            part = self.lead(4, key) if k else []
            if key == "when":
                part += self.scalar(self.condition(), 4, key)
            elif key == "let":
                part += ["    let:" + self.note("let:")]
                part += [
                    line
                    for name in ("x1", "x2")
                    for line in (*self.lead(6, name), *self.scalar(self.condition(), 6, name))
                ]
                if self.pick(0, 1):
                    part.append("        " + self.comment())
            else:
                part.append(f"    {key}: {PLAIN[key]}{self.note(key)}")
            lines += part if k else ["  - " + part[0][4:], *part[1:]]
        return lines

    def text(self):
        lines = [self.comment()] if self.pick(0, 1) else []
        lines += ["rules:" + self.note("rules")]
        for _ in range(self.pick(1, 2)):
            lines += self.rule()
        lines += [self.comment()] * self.pick(0, 1)
        return "\n".join(lines) + self.pick("\n", "", "\n\n")


@st.composite
def files(draw):
    file = File(draw)
    return file.text(), file


def said(text):
    """What a file says: by PyYAML, conditions as trees."""

    def tree(value, key):
        if isinstance(value, dict):
            return {k: tree(v, "x" if key == "let" else k) for k, v in value.items()}
        if isinstance(value, list):
            return [tree(v, key) for v in value]
        if key in ("when", "x"):
            found, problems = parse(value)
            assert not problems, (value, problems)
            return found
        return value

    return tree(yaml.load(text, Loader=yaml.BaseLoader), "")


def comments(text):
    return re.findall(r"# (c[0-9]+)", text)


@given(files())
def test_a_file_in_order_says_the_same_keeps_its_comments_and_stays_in_order(drawn):
    text, file = drawn
    result = formatted(text, "r.yaml", is_head=False)
    assert said(result) == said(text)
    assert sorted(comments(result)) == sorted(comments(text))
    assert formatted(result, "r.yaml", is_head=False) == result
    lines = result.splitlines()
    for k, line in enumerate(lines):
        for name in comments(line):
            if name in file.behind:
                assert file.behind[name] in line.partition("#")[0], (name, result)
            if name in file.above:
                below = next(
                    x for x in lines[k + 1 :] if x.strip() and not x.strip().startswith("#")
                )
                is_first = below.lstrip().startswith("- ")
                wanted = file.above[name]
                bare = below.lstrip().removeprefix("- ").lstrip()
                assert is_first if wanted == "- " else bare.startswith(wanted), (name, result)


@given(files())
def test_keys_stand_in_the_order_of_the_language(drawn):
    """Rules, params, exceptions and actions alike."""
    text, _ = drawn
    order = language.order(language.RULE)
    for rule in yaml.load(formatted(text, "r.yaml", is_head=False), Loader=yaml.BaseLoader)[
        "rules"
    ]:
        assert list(rule) == sorted(rule, key=order.index)
        for param in rule.get("params", {}).values():
            assert isinstance(param, str) or list(param) == ["value", "why"]


@given(st.data())
def test_features_keep_their_trees(data):
    """Aggregates in any spelling that the parser takes."""
    text = Sentence(data.draw, 1).aggregate()
    if parse_feature(text)[1]:
        return
    quoted = "'" + text.replace("'", "''") + "'"
    result = formatted(f"features:\n  f: {quoted}\n", "r.yaml", is_head=False)
    written = yaml.load(result, Loader=yaml.BaseLoader)["features"]["f"]
    again = formatted(result, "r.yaml", is_head=False)
    assert again == result
    before, after = parse_feature(text)[0], parse_feature(written)[0]
    for name in ("function", "args", "domain", "keys", "where", "prior"):
        assert getattr(before, name, None) == getattr(after, name, None)
