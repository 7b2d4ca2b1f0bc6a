"""Packs that somebody made to do harm: an error in bounded time and memory, never a crash, nothing read from outside.

Each is read by a process of its own that may use 1.5 GB and a minute of processor time (tests/bounded.py).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
HEAD = """\
pack: one
version: 1.0.0
language: 1
currency: CNY
timezone: Asia/Shanghai
retention: 400d
decision:
  combine: sum
  bands: [{from: 0, to: 500, do: approve}, {from: 500, to: 1000, do: review}]
reasons: {TEST: A reason}
"""
RULE = """\
rules:
  - id: R-1
    name: A rule
    owner: tests
    severity: high
    reason: TEST
    on: payment
    mode: live
    when: %s
    score: 100
"""
LONG = "FUZZ_EXAMPLES" in os.environ  # the whole sizes; without it a small part
MANY = 100_000 if LONG else 2_000
SECRET = "do-not-show-5f1c"
READ, REFUSED = "read", "refused"


def rule(when="amount > 5", more=""):
    return RULE % when + more


def chain(kind, n, text):
    """n definitions, each made of the one before."""
    lines = [f"  x{k}: {text.format(k - 1)}" for k in range(1, n)]
    return f"{kind}:\n  x0: amount > 5\n" + "\n".join(lines) + "\n" + rule(f"x{n - 1}")


def bomb():
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 12)]
    return "\n".join(levels) + "\n"


def cases():
    """Name -> files of the pack (bytes or text), and the codes of which one must be found; () for any or none."""
    deep = "a and (" * 2_000 + "amount > 5" + ")" * 2_000
    quoted = "'{}'"
    yield "yaml_bomb", {"r.yaml": bomb()}, ("WR004",)
    yield (
        "merge_bomb",
        {"r.yaml": "a: &a {x: 1}\nb: {<<: [" + "*a, " * 50_000 + "*a]}\n"},
        ("WR004",),
    )
    yield "open_brackets", {"r.yaml": "a: " + "[" * 200_000}, ("WR001",)
    yield "open_braces", {"r.yaml": "a: " + "{a: " * 200_000}, ("WR001",)
    yield "deep_flow", {"r.yaml": "a: " + "[" * 900 + "]" * 900}, ("WR001",)
    yield "deep_dashes", {"r.yaml": "- " * 100_000}, ("WR001",)
    yield "deep_questions", {"r.yaml": "? " * 100_000}, ("WR001",)
    nested = "".join(f"{' ' * k}a:\n" for k in range(3_000))
    yield "deep_block", {"r.yaml": nested}, ("WR001",)
    yield "deep_items", {"r.yaml": "".join(f"{' ' * k}-\n" for k in range(3_000))}, ("WR001",)
    yield "deep_pairs", {"r.yaml": "a:\n  " + "- - " * 150 + "x\n"}, ("WR001",)
    yield "huge_key", {"r.yaml": "k" * 1_000_000 + ": 1\n"}, ("WR001", "WR020")
    yield "huge_quoted_key", {"r.yaml": '"' + "k" * 1_000_000 + '": 1\n'}, ("WR001", "WR020")
    yield "many_keys", {"r.yaml": "".join(f"k{i}: 1\n" for i in range(MANY))}, ("WR020",)
    many = "features:\n" + "".join(f"  k{i}: amount > {i}\n" for i in range(MANY))
    yield "many_features", {"r.yaml": many + rule()}, ()
    wrong = "macros:\n" + "".join(f"  k{i}: amuont > {i}\n" for i in range(MANY // 5))
    yield "many_mistakes", {"r.yaml": wrong + rule()}, ("WR101",)
    yield "same_key", {"r.yaml": "k: 1\n" * 50_000}, ("WR003",)
    yield (
        "ten_megabytes",
        {"r.yaml": "# " + "x" * 98 + "\n" * 1 + ("# " + "x" * 97 + "\n") * 110_000},
        ("WR009",),
    )
    yield (
        "eight_megabytes_of_comments",
        {"r.yaml": ("# " + "x" * 97 + "\n") * (MANY * 4 // 5) + rule()},
        (),
    )
    yield (
        "eight_megabytes_of_rules",
        {"r.yaml": "a:\n" + "  - {b: c, d: e}\n" * MANY * 4},
        ("WR001",) if LONG else ("WR020",),
    )
    million = "x" * 1_000_000
    yield "million_characters_when", {"r.yaml": rule(million)}, ("WR117",)
    yield "million_characters_name", {"r.yaml": rule().replace("A rule", million)}, ()
    block = RULE.replace("%s", "|\n" + "      amount > 5\n" * 60_000)
    yield "million_characters_block", {"r.yaml": block}, ("WR117",)
    for key in ("version", "id", "severity", "on", "owner", "score"):
        text = "\n".join(
            line
            if not line.strip().startswith(f"{key}:") and f"- {key}:" not in line
            else line.partition(":")[0] + ": " + "9" * 1_000_000
            for line in rule(more="    version: 1\n").splitlines()
        )
        wanted = ("WR306",) if key == "on" else () if key == "owner" else ("WR",)
        yield f"million_digits_{key}", {"r.yaml": text}, wanted
    digits = "9" * 100_000
    more = f"    dedup: {{by: account, for: {digits}h}}\n    params: {{p: {digits}}}\n"
    yield "digits_in_durations", {"r.yaml": rule(more=more)}, ("WR",)
    freeze = (
        f"    actions:\n      - freeze: {{scope: card, for: {digits}d, max_per_hour: {digits}}}\n"
    )
    yield "digits_in_actions", {"r.yaml": rule(more=freeze)}, ("WR",)
    heads = (
        HEAD.replace("400d", f"{digits}d").replace("1.0.0", f"{digits}.0.0").replace("500", digits)
    )
    yield "digits_in_the_head", {"pack.yaml": heads, "r.yaml": rule()}, ("WR",)
    yield (
        "digits_in_extends",
        {"pack.yaml": HEAD + f"extends: core@^{digits}\n", "r.yaml": rule()},
        ("WR",),
    )
    rollout = f"    rollout: {digits}% by account\n    effective: {{from: {digits}}}\n"
    yield "digits_in_rollout", {"r.yaml": rule(more=rollout)}, ("WR",)
    test = (
        "    tests:\n      - name: n\n        start: 2026-03-02T10:00:00Z\n"
        "        events: [{at: +%s, amount: 5, type: payment}]\n"
    )
    for name, at in (("digits", digits + "d"), ("long", "9" * 15 + "w")):
        yield f"test_{name}_at", {"r.yaml": rule(more=test % at)}, ()
    every = test.replace("amount: 5", "account: [" + "a, " * 20_000 + "b], every: 1s, amount: 5")
    yield "test_of_200_000_events", {"r.yaml": rule(more=every % "0s")}, ("WR026",)
    for name, text in {
        "parens": "(" * 2_000 + "amount > 5" + ")" * 2_000,
        "nots": "not " * 1_000 + "amount > 5",
        "minus": "amount > " + "-" * 4_000 + "5",
        "defaults": "amount > 5 " + "?? 1 " * 800,
        "ifs": "if amount > 5 then " * 200 + "true" + " else false" * 200,
        "calls": "amount > " + "abs(" * 1_000 + "amount" + ")" * 1_000,
        "lookups": "amount > " + "t[" * 1_000 + "channel" + "]" * 1_000,
        "ands": " and ".join(["amount > 5"] * 250),
        "pluses": "amount > 5" + " + 5" * 900,
        "members": "channel in [" + ", ".join(['"a"'] * 700) + "]",
        "dots": ".".join(["a"] * 2_000) + " > 5",
        "unbalanced": deep[:4_000],
        "number": "amount > " + "9" * 4_000,
        "small_number": "amount > 0." + "0" * 3_900 + "1",
        "money": "amount > " + "9" * 4_000 + " CNY",
        "percent": "amount > " + "9" * 4_000 + "%",
        "duration": "account_age > " + "9" * 4_000 + "w",
        "durations": "account_age > " + "9d" * 1_000,
        "overflow": "amount > " + "9" * 400,
        "date": "event_time > 9999-99-99",
        "time": "local_time(event_time) > 99:99",
        "backslashes": '"' + "\\" * 2_000 + '" == channel',
        "commas": "amount > 1" + ",000" * 900,
        "points": "amount > 1" + ".000" * 900 + ",5",
        "bidi": 'channel == "\u202ea\u202c\u2066b"',
        "combining": "amount > 5" + "\u0301" * 1_000,
        "full_width": "amount\uff1e\uff15",
        "arabic_digits": "amount > \u0665\u0660",
        "astral": 'channel == "' + "\U0001f600" * 500 + '"',
    }.items():
        yield f"expression_{name}", {"r.yaml": rule(quoted.format(text.replace("'", "''")))}, ()
    patterns = {
        "nested": "(a+)+$",
        "alternatives": "(a|a)*$",
        "optional": "(a?){40}a{40}",
        "overlap": "^(([a-z])+.)+[A-Z]([a-z])+$",
        "back_reference": r"(a*)*\\1",
        "look_ahead": "(?=a*)*b",
        "huge_repeat": "a{1000000000}",
        "nested_counts": "((a{1000}){1000}){1000}",
        "long": "a?" * 100,
        "dots": ".*.*.*.*.*x",
        "conditional": "(a)?(?(1)b|c)",
        "brackets": "(" * 99 + ")" * 99,
        "unicode": r"\\N{LATIN SMALL LETTER A}",
    }
    for name, pattern in patterns.items():
        text = f"'channel matches \"{pattern}\"'"
        harmless = name in ("huge_repeat", "brackets", "unicode")
        yield f"pattern_{name}", {"r.yaml": rule(text)}, () if harmless else ("WR",)
    yield "macro_chain", {"r.yaml": chain("macros", 5_000, "not x{0}")}, ("WR",)
    yield "macro_doubling", {"r.yaml": chain("macros", 80, "x{0} and x{0} or x{0}")}, ("WR117",)
    yield "feature_chain", {"r.yaml": chain("features", 5_000, "not x{0}")}, ("WR",)
    aggregates = chain("features", 3_000, "count() by account over 1h where x{0}")
    yield "aggregate_chain", {"r.yaml": aggregates.replace("where x", "where x", 1)}, ()
    circle = (
        "macros:\n" + "".join(f"  m{k}: m{(k + 1) % 3_000}\n" for k in range(3_000)) + rule("m0")
    )
    yield "macro_circle", {"r.yaml": circle}, ("WR104", "WR117")
    title = "    actions:\n      - alert: {queue: q, title: '%s'}\n"
    yield "title_of_brackets", {"r.yaml": rule(more=title % ("{" * 500_000))}, ("WR",)
    yield "title_of_holes", {"r.yaml": rule(more=title % ("{amount}" * 50_000))}, ("WR117",)
    for name, raw in {
        "empty": b"",
        "nul": b"rules:\n  - id: A\x00B\n",
        "only_nul": b"\x00" * 100_000,
        "surrogate": b"rules: \xed\xa0\x80\n",
        "not_utf8": b"rules: \xff\xfe\n",
        "utf16": "rules: []\n".encode("utf-16"),
        "utf32": "rules: []\n".encode("utf-32"),
        "two_marks": b"\xef\xbb\xbf\xef\xbb\xbfrules: []\n",
        "mark_inside": "macros:\n  a: \ufeffamount > 5\n".encode(),
        "line_separator": "macros:\n  a: amount\u2028> 5\u2029\n".encode(),
        "next_line": "macros:\n  a: 'amount\u0085> 5'\n".encode(),
        "bell": b"rules: \x07\n",
        "escape": b'macros:\n  "\x1b[2J": x\n',
        "escaped_nul": b'macros:\n  a: "amount \\0 > \\ud800 5"\n',
        "noncharacter": "rules: \ufffe\n".encode(),
        "tag": b"!!python/object/apply:os.system ['touch PWNED']\n",
        "tag_inside": b"rules: !!python/object/new:os.system [touch PWNED]\n",
        "name_tag": b"rules: !!python/name:os.system\n",
        "directives": b"%YAML 9.9\n%TAG ! tag:x,2000:\n---\nrules: []\n",
        "documents": b"rules: []\n---\n" * 20_000,
        "carriage_returns": b"rules:\r  - id: A-1\r    when: a >\r",
        "complex_key": b"? {a: [b]}\n: c\n",
        "gif": b"GIF89a\x01\x00\x01\x00\x80\x00\x00",
    }.items():
        yield f"bytes_{name}", {"r.yaml": raw}, ("WR",)
    lists = "lists:\n  l: {file: %s, type: id, of: account}\n" + rule()
    yield (
        "list_of_10_mb",
        {"r.yaml": lists % "l.csv", "l.csv": "account\n" + "A1234567\n" * MANY * 10},
        (),
    )
    yield (
        "list_of_one_line",
        {"r.yaml": lists % "l.csv", "l.csv": "account\n" + "A" * MANY * 100},
        (),
    )
    yield (
        "list_open_quote",
        {"r.yaml": lists % "l.csv", "l.csv": 'account\n"' + "A\n" * MANY * 30},
        ("WR",),
    )
    yield (
        "list_of_columns",
        {"r.yaml": lists % "l.csv", "l.csv": "account" + ",c" * 200_000 + "\nA\n"},
        ("WR",),
    )
    yield "list_nul", {"r.yaml": lists % "l.csv", "l.csv": b"account\nA\x00B\n"}, ()
    yield "list_bytes", {"r.yaml": lists % "l.csv", "l.csv": bytes(range(256)) * 1_000}, ("WR",)
    for name, path in {
        "parent": "../../../../../../../../../etc/passwd",
        "absolute": "/etc/passwd",
        "proc": "/proc/self/environ",
        "zero": "/dev/zero",
        "dots": "./././../outside.csv",
        "outside": "../outside.csv",
        "itself": ".",
        "nul": '"a\\0b"',
        "long": "a" * 100_000,
        "home": "~/.ssh/id_rsa",
        "url": "https://example.org/list.csv",
        "shell": "'$(touch PWNED)'",
    }.items():
        yield f"path_{name}", {"r.yaml": lists % path}, ("WR",)
    values = "lists:\n  l: {values: [%s], type: category, of: mcc}\n" + rule()
    yield "ranges", {"r.yaml": values % ", ".join(["0-99999"] * 60)}, ()
    yield "range_too_wide", {"r.yaml": values % ("0-" + "9" * 5_000)}, ("WR",)


CASES = {name: (files, codes) for name, files, codes in cases()}


def write(folder, files):
    for name, content in {"pack.yaml": HEAD, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def read_bounded(folders, cwd):
    """What came of each folder, by its name."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.bounded", *map(str, folders)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=False,
    )
    told = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(told) == len(folders), run.stderr[-2_000:]
    return dict(zip([f.name for f in folders], told, strict=True))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Every case, read in one go."""
    root = tmp_path_factory.mktemp("packs")
    (root / "outside.csv").write_text(f"account\n{SECRET}\n")
    for name, (files, _) in CASES.items():
        write(root / name, files)
    found = read_bounded([root / name for name in CASES], root)
    found["written"] = sorted(p.name for p in root.rglob("*PWNED*"))
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_pack_is_read_or_refused_and_no_more(outcomes, name):
    """Nothing crashes, runs out of time or memory, or shows what stands outside the pack."""
    told = outcomes[name]
    assert told["outcome"] in (READ, REFUSED), told
    assert SECRET not in json.dumps(told)
    codes = CASES[name][1]
    if codes and told["outcome"] == READ:
        assert any(code.startswith(codes) for code in told["codes"]), told
        if "WR" in codes:
            assert not told["is_usable"], told


def test_nothing_was_executed_or_written(outcomes):
    assert outcomes["written"] == []


def make_links(root):
    """Packs whose files are links and devices, by name."""
    (root / "outside.yaml").write_text(f"macros:\n  a: {SECRET}\n")
    (root / "outside.csv").write_text(f"account\n{SECRET}\n")
    lists = "lists:\n  l: {file: l.csv, type: id, of: account}\n" + rule("account in @l")
    made = {}
    for name, target, link in (
        ("list_outside", "../outside.csv", "l.csv"),
        ("list_zero", "/dev/zero", "l.csv"),
        ("list_loop", "l.csv", "l.csv"),
        ("rules_zero", "/dev/zero", "z.yaml"),
        ("rules_loop", "z.yaml", "z.yaml"),
        ("rules_missing", "nothing.yaml", "z.yaml"),
        ("folder_loop", ".", "again"),
    ):
        folder = made[name] = root / name
        write(folder, {"r.yaml": lists if name.startswith("list") else rule()})
        (folder / link).symlink_to(target)
    made["list_pipe"] = root / "list_pipe"
    write(made["list_pipe"], {"r.yaml": lists})
    os.mkfifo(made["list_pipe"] / "l.csv")
    made["rules_pipe"] = root / "rules_pipe"
    write(made["rules_pipe"], {"r.yaml": rule()})
    os.mkfifo(made["rules_pipe"] / "z.yaml")
    made["rules_folder"] = root / "rules_folder"
    write(made["rules_folder"], {"r.yaml": rule()})
    (made["rules_folder"] / "z.yaml").mkdir()
    return made


def test_links_devices_and_pipes_lead_nowhere(tmp_path):
    """A link out of the pack is as if it was not there; a device or pipe is no file."""
    made = make_links(tmp_path)
    told = read_bounded(list(made.values()), tmp_path)
    for name, outcome in told.items():
        assert outcome["outcome"] in (READ, REFUSED), (name, outcome)
        assert SECRET not in json.dumps(outcome), name
        if name not in ("folder_loop", "rules_folder"):
            assert not outcome.get("is_usable"), (name, outcome)
