"""Rule files put in order: what moves, what stays, and what is not touched."""

import stat
from pathlib import Path

import pytest

import config
from config.errors import ConfigError
from engine import cli
from rules.format import formatted

PACKS = Path(config.__file__).parent / "bank" / "packs"

UNTIDY = """\
# The rules about cards.
rules:
  # ---- the first
  - name: Big   # as people call it
    # permanent
    # for ever
    id: BIG-001
    when: amount>=$large && channel = 'web'   # the whole of it
    params: {large: {why: "because: yes", value: 1000 EUR}, 'code': "1000"}

    # what happens
    actions:
      - alert: {title: "Big {amount}", queue: l1}
      # - freeze: {}   not yet
      - freeze: {max_per_hour: 3, for: 24h, scope: card}
    score: 100
    exceptions:
      - {why: w, when: 'mcc == "7995" AND a.b<>null', id: EX-1}
    # the end of the rule

  - id: TWO-002
    when: |   # a block
      # nothing small
      amount > 5   # at least
          and x is not null

    let:
      km: "distance_km( lat,lon , prev_lat,prev_lon )"
      text: 'a = "x"'
    features: {n: "count() by a, b over 1h where x in [1,2]"}
    tests:
      - events:
          - {expect: fires, amount: 1000, at: +0m, type: payment, every: 1m}
        name: one
"""

TIDY = """\
# The rules about cards.
rules:
  # ---- the first
  # permanent
  # for ever
  - id: BIG-001
    name: Big   # as people call it
    params: {large: {value: 1_000 EUR, why: "because: yes"}, 'code': "1000"}

    when: |   # the whole of it
      amount >= $large
      and channel == "web"
    score: 100
    # what happens
    actions:
      - alert: {queue: l1, title: "Big {amount}"}
      # - freeze: {}   not yet
      - freeze: {scope: card, for: 24h, max_per_hour: 3}
    exceptions:
      - {id: EX-1, when: 'mcc == "7995" and a.b is present', why: w}
    # the end of the rule

  - id: TWO-002
    features: {n: "count() by a, b over 1h where x in [1, 2]"}
    let:
      km: "distance_km(lat, lon, prev_lat, prev_lon)"
      text: 'a == "x"'
    when: |   # a block
      # nothing small
      amount > 5  # at least
      and x is present

    tests:
      - name: one
        events:
          - {at: +0m, amount: 1000, type: payment, every: 1m, expect: fires}
"""


def fmt(text, *, is_head=False):
    return formatted(text, "r.yaml", is_head=is_head)


def test_keys_and_expressions_get_in_order_and_comments_stay():
    assert fmt(UNTIDY) == TIDY
    assert fmt(TIDY) == TIDY


@pytest.mark.parametrize(
    ("line", "tidy"),
    [
        ("f: a>1", "f: a > 1"),
        ("f: \"a>1 && b == 'x'\"", "f: 'a > 1 and b == \"x\"'"),
        ("f: 'a>1 && b == ''x'''", "f: 'a > 1 and b == \"x\"'"),
        ("f: >\n    a>1\n    && b", "f: >\n    a > 1\n    and b".replace("a > 1", "a>1")),
        ("f: a>1\n    and b=2", "f: a>1\n    and b==2"),
        ("f: '\"x\"=a'", "f: '\"x\" == a'"),
        ("f: (a)", "f: (a)"),
        ("f: -a>1", "f: -a > 1"),
        ("f: not a=1", "f: not a == 1"),
    ],
)
def test_each_style_of_a_scalar_keeps_its_style_where_it_can(line, tidy):
    """Several lines stay the author's: single words change where they stand."""
    assert fmt(f"macros:\n  {line}\n") == f"macros:\n  {tidy}\n"


def test_numbers_in_texts_lists_and_tests_are_left_alone():
    """`5411` may be a code; only where a number is meant are its digits grouped."""
    text = (
        "lists:\n  l: {values: [5411, 1000-2000], type: category, of: mcc}\n"
        "tables:\n  t: {key: mcc, values: {5411: 1_000 EUR}, default: 2_000}\n"
        "rules:\n  - id: A-1\n    name: 1000\n    tests:\n"
        "      - {name: n, events: [{at: +0m, account: 1000, expect_features: {x: 5411}}]}\n"
    )
    assert fmt(text) == text
    assert "default: 2_000" in fmt(text.replace("2_000", "2000"))


def test_line_ends_and_a_missing_last_one():
    """A file from Windows stays one; the last line gets its end."""
    text = "macros:\r\n  a: x>1\r\nrules:\r\n  - id: A-1\r\n    when: a and b"
    assert fmt(text) == (
        "macros:\r\n  a: x > 1\r\nrules:\r\n  - id: A-1\r\n    when: |\r\n      a\r\n      and b\r\n"
    )


def test_the_head_of_a_pack_has_an_order_of_its_own():
    text = "# The pack.\nversion: 1.0.0   # of ours\npack: one\nextends: core\n"
    assert (
        fmt(text, is_head=True)
        == "# The pack.\npack: one\nversion: 1.0.0   # of ours\nextends: core\n"
    )


def test_unknown_keys_stay_behind_the_key_before_them():
    """`weir rules check` reports them; fmt does not lose them."""
    text = "rules:\n  - strange: 1\n    when: a\n    odd: 2\n    id: A-1\n"
    assert fmt(text) == "rules:\n  - strange: 1\n    id: A-1\n    when: a\n    odd: 2\n"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("rules:\n  - id: A-1\n    when: amount > 1,000\n", "r.yaml:3:20"),
        ("macros:\n  a: x >\n", "r.yaml:2:"),
        ("rules: [\n", "r.yaml:2:1"),
        ("a: 1\na: 2\n", "r.yaml:2:1"),
        ("- a\n", "r.yaml"),
        ("", "r.yaml:1:1"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_place(text, where):
    with pytest.raises(ConfigError) as caught:
        fmt(text)
    assert caught.value.where.startswith(where)


def test_the_shipped_packs_are_in_order():
    """`weir rules fmt config/bank/packs/*` puts them in order again."""
    files = sorted(PACKS.rglob("*.yaml"))
    assert len(files) > 10
    untidy = [
        path.relative_to(PACKS).as_posix()
        for path in files
        if formatted(path.read_text("utf-8"), path.name, is_head=path.name == "pack.yaml")
        != path.read_text("utf-8")
    ]
    assert untidy == []


# ---- the command


@pytest.fixture
def pack(tmp_path):
    folder = tmp_path / "one"
    (folder / "rules").mkdir(parents=True)
    (folder / "pack.yaml").write_text("pack: one\nversion: 1.0.0\n")
    (folder / "rules" / "a.yaml").write_text(UNTIDY)
    return folder


def test_a_pack_is_put_in_order_and_then_is(pack, capsys):
    assert cli.main(["rules", "fmt", str(pack)]) == 0
    assert (pack / "rules" / "a.yaml").read_text() == TIDY
    assert capsys.readouterr().out == f"{pack}/rules/a.yaml: put in order\n"
    assert cli.main(["rules", "fmt", str(pack), "--check"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "2 files, 0 not in order.\n")


def test_check_and_diff_write_nothing_and_say_so_by_their_code(pack, capsys):
    path = pack / "rules" / "a.yaml"
    assert cli.main(["rules", "fmt", str(path), "--check"]) == 1
    assert capsys.readouterr().out == f"{path}: not in order\n"
    assert cli.main(["rules", "fmt", str(path), "--diff"]) == 1
    out = capsys.readouterr().out
    assert f"--- {path}\n" in out
    assert "-    when: amount>=$large && channel = 'web'   # the whole of it\n" in out
    assert "+      amount >= $large\n" in out
    assert path.read_text() == UNTIDY


def test_a_file_that_cannot_be_read_is_left_and_the_others_are_done(pack, capsys):
    wrong = pack / "rules" / "b.yaml"
    wrong.write_text("macros:\n  a: x > 1,000\n")
    assert cli.main(["rules", "fmt", str(pack)]) == 2
    captured = capsys.readouterr()
    assert "b.yaml:2:10: a number cannot contain a comma" in captured.err
    assert wrong.read_text() == "macros:\n  a: x > 1,000\n"
    assert (pack / "rules" / "a.yaml").read_text() == TIDY
    assert cli.main(["rules", "fmt", str(pack / "none.yaml")]) == 2


def test_permissions_links_and_the_byte_order_mark_stay(pack, tmp_path):
    path, link = pack / "rules" / "a.yaml", tmp_path / "link.yaml"
    path.write_bytes(b"\xef\xbb\xbfmacros:\n  a: x>1\n")
    path.chmod(0o640)
    link.symlink_to(path)
    assert cli.main(["rules", "fmt", str(link)]) == 0
    assert link.is_symlink()
    assert path.read_bytes() == b"\xef\xbb\xbfmacros:\n  a: x > 1\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_what_is_in_order_is_not_written_again(pack):
    cli.main(["rules", "fmt", str(pack)])
    before = (pack / "rules" / "a.yaml").stat()
    cli.main(["rules", "fmt", str(pack)])
    after = (pack / "rules" / "a.yaml").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
