"""YAML with positions: every scalar a text, every character of it findable in the file."""

import random

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config import marks
from config.errors import ConfigError


class PureLoader(yaml.SafeLoader):
    """What `marks` falls back to where libyaml is absent."""

    resolve = marks._Loader.resolve


LOADERS = pytest.mark.parametrize("loader", [marks._Loader, PureLoader])

STYLES = """a: |
  x
    y
b: >-
  fold
  ed

  z
   more

   m2
  q
c: "a\\n\\u0041 b
   cont \\
   esc"
d: 'it''s
  x'
e: plain
  multi # c

f: [a, b, "zé😀", x]
g:
h: # comment
  zé😀: "ü"
i: |+2
    x

j: >

  lead
  two
k: 0123456
"""


@LOADERS
def test_every_character_of_every_style_is_found_in_the_file(loader):
    """A character of a value stands where the source has it, or where the break or escape stands that made it."""
    node, faults = marks.parse(STYLES, "f.yaml", loader)
    assert not faults
    for value in node.values.values():
        if isinstance(value, marks.TextNode):
            for i, letter in enumerate(value.value):
                there = STYLES[value.offset(i)]
                assert there == letter or there in "\n\\", (value, i)
    b = node["b"]
    assert node["b"].source.position(b.offset(b.value.index("z"))) == (8, 3)
    assert b.source.position(b.offset(b.value.index("m2"))) == (11, 4)
    assert node["c"].source.position(node["c"].offset(node["c"].value.index("esc"))) == (15, 4)
    assert node["d"].source.position(node["d"].offset(5)) == (17, 3)
    assert node["f"].items[3].position() == (21, 18)
    assert node["h"].keys["zé😀"].position() == (24, 3)


@LOADERS
def test_scalars_stay_what_the_file_says(loader):
    """No number, no boolean, no sexagesimal time, no null."""
    text = "a: 0123456\nb: NO\nc: 22:30\nd: ~\ne: 1e3\n"
    node, _ = marks.parse(text, "f.yaml", loader)
    want = {"a": "0123456", "b": "NO", "c": "22:30", "d": "~", "e": "1e3"}
    assert marks.plain(node) == want


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("a: 1\na: 2", "duplicate", 'f.yaml:2:1: the key "a" stands here twice'),
        ("a: &x 1\nb: *x", "anchor", "f.yaml:1:4: an anchor is not allowed"),
        ("a: *x", "anchor", "f.yaml:1:4: an alias is not allowed"),
        ("a: !!str 1", "anchor", "f.yaml:1:4: a tag is not allowed"),
        ("a: ! 1", "anchor", "f.yaml:1:4: a tag is not allowed"),
        ("a: !!map {b: 1}", "anchor", "f.yaml:1:4: a tag is not allowed"),
        ("a: {<<: {b: 1}}", "anchor", "f.yaml:1:5: a merge key is not allowed"),
        ("a: 1\n---\nb: 2", "documents", "f.yaml:2:1: a second document starts here"),
        ("a:\n\tb: 1", "tab", "f.yaml:2:1: a tab in the indentation"),
        ('when: "x" == y', "quote", "f.yaml:1:7: the value starts with a quote"),
        ("a: [1, 2", "syntax", "f.yaml:1:9: a comma or a closing bracket is missing before this"),
        ('a: "x', "syntax", "f.yaml:1:4: a quote or bracket that opens here is never closed"),
        ("a: b: c", "syntax", "f.yaml:1:5: a colon followed by a blank stands inside"),
        ("a: @x", "syntax", "f.yaml:1:4: a value cannot start with '@'"),
        ("- a\nb: 1", "syntax", "f.yaml:2:1: this line fits neither the list or mapping above"),
        ("# nothing", "empty", "f.yaml:1:1: the file is empty"),
        ("? [a]\n: b", "syntax", "f.yaml:1:3: a key must be a plain text"),
        ("a: \x07", "syntax", "f.yaml:1:4: the character U+0007 is not allowed in YAML"),
        ("[" * 100_000, "syntax", "f.yaml:1:1001: more than 1,000 brackets are open at once"),
        ("- " * 5_000, "syntax", "f.yaml:1:1: nested too deep"),
    ],
)
def test_what_would_mislead_a_reader_is_refused_in_plain_words(text, kind, message):
    """Each refusal names its place; the kinds are what rules/check gives its codes by."""
    _, faults = marks.parse(text, "f.yaml")
    assert faults[0].kind == kind
    assert str(faults[0].error()).startswith(message)


def test_several_faults_of_one_file_are_found_at_once():
    """Equal keys and an anchor in one reading, in the order of the file."""
    _, faults = marks.parse("a: 1\na: 2\nb: &x 3\nb: 4\n", "f.yaml")
    assert [f.kind for f in faults] == ["duplicate", "anchor", "duplicate"]


def test_a_bomb_of_aliases_stays_small():
    """Nine levels of nine aliases would be 387 million nodes."""
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    _, faults = marks.parse("\n".join(lines), "f.yaml")
    assert {f.kind for f in faults} == {"anchor"}


@LOADERS
def test_more_values_than_there_is_memory_for_are_refused(monkeypatch, loader):
    """At the first that is too many; separators inside of texts and comments are none."""
    monkeypatch.setattr(marks, "NODES_MAX", 10)
    _, faults = marks.parse("a: [1, 2, 3]\nb: [4, 5, 6, 7]\n", "f.yaml", loader)
    assert [(f.kind, f.what, f.start) for f in faults] == [
        ("syntax", "more than 10 values in one file", 23)
    ]
    tree, faults = marks.parse("a: '1, 2, 3, 4, 5, 6, 7, 8, 9'  # a, b, c\n", "f.yaml", loader)
    assert tree is not None
    assert not faults


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    rows_max: int = 4096

    def __post_init__(self):
        if self.rows_max > 65_536:
            raise ConfigError(
                "`rows_max` must lie in [1, 65536]", why="rows are uint16", fix="less"
            )


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    batch: Batch
    names: list[Batch] = []
    observe: bool = True


def convert(text):
    node, faults = marks.parse(text, "s.yaml")
    assert not faults
    return marks.convert(node, Settings)


def test_conversion_types_the_texts():
    """Numbers and booleans arise only where the type asks for them."""
    assert convert("batch: {rows_max: 12}\nobserve: false") == Settings(Batch(12), [], False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch:\n  rowsmax: 1", "s.yaml:2:3: unknown key `rowsmax`"),
        ("batch: {rows_max: x}", "s.yaml:1:19: Expected `int`, got `str`"),
        (
            "batch: {}\nnames: [{}, {rows_max: 99999}]",
            "s.yaml:2:13: `rows_max` must lie in [1, 65536]\n  why: rows are uint16\n  fix: less",
        ),
        ("observe: false", "s.yaml:1:1: Object missing required field `batch`"),
    ],
)
def test_a_wrong_setting_is_reported_at_its_line_and_column(text, message):
    """msgspec's path is followed back into the file."""
    with pytest.raises(ConfigError) as caught:
        convert(text)
    assert str(caught.value) == message


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path):
    """And what cannot be read says so without a traceback."""
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    node = marks.read(path, "a.yaml")
    assert node["b"].place() == "a.yaml:2:4"
    path.write_bytes(b"a: 1\nb: \xff")
    with pytest.raises(ConfigError, match=r"a.yaml:2: byte 8 is not UTF-8"):
        marks.read(path, "a.yaml")
    with pytest.raises(ConfigError, match=r"none.yaml: cannot be read"):
        marks.read(tmp_path / "none.yaml", "none.yaml")


LINES = st.lists(
    st.text(alphabet="ab é😀#:'\"\\", max_size=6).map(lambda t: t.strip()), min_size=1, max_size=6
)


@LOADERS
@given(
    LINES,
    st.sampled_from(["'", '"', "|", ">", "|2", ">2-", "|+"]),
    st.integers(0, 2**32),
    st.sampled_from(["\n", "\r\n", "\\\n"]),
)
def test_positions_agree_with_the_value_for_any_text(loader, lines, style, seed, end):
    """Every character that is no fold and no escape stands in the file where `offset` says."""
    rng = random.Random(seed)
    if style in ("'", '"'):
        body = "\n   ".join(lines).replace("\\", "\\\\" if style == '"' else "\\")
        body = body.replace(style, "''" if style == "'" else '\\"')
        text = f"k: {style}{body}{style}\nz: 1\n"
    else:
        inner = [
            " " * (2 + (rng.randint(0, 1) if i else 0)) + t if t else ""
            for i, t in enumerate(lines)
        ]
        text = f"k: {style}\n" + "\n".join(inner) + "\nz: 1\n"
    if end != "\n" and (style == '"' or "\\" not in end):  # in double quotes a line may end with \
        text = text.replace("\n", end.replace("\\\n", "\\\r\n"), 1 if "\\" in end else -1)
    node, faults = marks.parse(text, "f.yaml", loader)
    if faults:
        return  # such as a block whose first line looks less indented
    value = node["k"]
    for i, letter in enumerate(value.value):
        there = text[value.offset(i)]
        assert there == letter or there in "\r\n\\", (text, value.value, i, there)
    places = [value.offset(i) for i in range(len(value.value) + 1)]
    assert places == sorted(places)
