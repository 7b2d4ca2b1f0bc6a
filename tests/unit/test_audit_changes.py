"""What was changed: configurations by key, rule and row; orders of people; who, when, on which evidence."""

import shutil

import pytest

from config.settings import BANK, load
from replay.audit import changes, diffs
from replay.audit.inputs import Inputs, Order
from replay.audit.records import Seqs

RULES = "packs/core/rules"


@pytest.fixture
def folders(tmp_path):
    """Two copies of the shipped configuration, as the store keeps them."""
    for name in ("a" * 64, "b" * 64):
        shutil.copytree(BANK, tmp_path / "config" / name)
    return tmp_path / "config" / ("a" * 64), tmp_path / "config" / ("b" * 64)


def edit(folder, name, old, new):
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text, (name, old)
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def holding(folder, text):
    """The file of a pack's rules in which `text` stands."""
    return next(
        p.relative_to(folder).as_posix()
        for p in sorted((folder / RULES).glob("*.yaml"))
        if text in p.read_text(encoding="utf-8")
    )


def test_the_same_configuration_differs_in_nothing(folders):
    assert diffs.between(*folders) == []


def test_a_setting_is_told_by_its_key_with_both_values(folders):
    edit(folders[1], "weir.yaml", "lateness: 15m", "lateness: 20m")
    edit(folders[1], "weir.yaml", "blocked_otherwise: hold", "blocked_otherwise: review")
    found = diffs.between(*folders)
    assert [(c.file, c.what, c.kind, c.before, c.after) for c in found] == [
        ("weir.yaml", "lateness", "changed", "15m", "20m"),
        ("weir.yaml", "decisions.blocked_otherwise", "changed", "hold", "review"),
    ]


def test_a_rule_is_told_by_its_id_with_versions_and_the_lines_that_changed(folders):
    name = holding(folders[1], "id: CARD-BURST-001")
    edit(folders[1], name, "Online purchase after purchase within minutes\n    version: 2",
         "Online purchase after purchase within minutes\n    version: 3")  # fmt: skip
    edit(folders[1], name, "purchases: {value: 8,", "purchases: {value: 9,")
    [change] = diffs.between(*folders)
    assert (change.file, change.what, change.kind) == (name, "rule CARD-BURST-001", "changed")
    assert (change.before, change.after) == ("version 2", "version 3")
    assert [line[:13] for line in change.lines] == [
        "- version: 2",
        "+ version: 3",
        "- purchases: ",
        "+ purchases: ",
    ]


def test_rules_taken_out_and_put_in_are_told_and_so_is_one_that_moved(folders):
    name = holding(folders[1], "id: CARD-BURST-001")
    edit(folders[1], name, "id: CARD-BURST-001", "id: CARD-BURST-009")
    found = {(c.what, c.kind, c.before, c.after) for c in diffs.between(*folders)}
    assert found == {
        ("rule CARD-BURST-001", "removed", "version 2", None),
        ("rule CARD-BURST-009", "added", None, "version 2"),
    }


def test_lists_are_told_row_by_row_whatever_their_order(folders):
    path = folders[1] / "lists" / "police_listed_accounts.csv"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, "A-NEW", *reversed(rows[1:])]) + "\n")
    found = [(c.what, c.kind, c.before, c.after) for c in diffs.between(*folders)]
    assert found == [("row", "removed", rows[0], None), ("row", "added", None, "A-NEW")]


def test_a_comment_is_a_change_of_the_file_and_of_nothing_else(folders):
    edit(folders[1], "weir.yaml", "# The engine", "# Our engine")
    [change] = diffs.between(*folders)
    assert (change.file, change.what) == ("weir.yaml", "(comments, order or layout)")


def test_files_that_came_or_went_are_told_by_what_was_in_them(folders):
    (folders[1] / "lists" / "payroll_senders.csv").unlink()
    assert {c.kind for c in diffs.between(*folders)} == {"removed"}


def test_every_difference_of_two_configurations_has_a_change(folders):
    """Whatever single byte is changed, something is told: nothing is passed over in silence."""
    olds = load(folders[0]).files
    for name in olds:
        path = folders[1] / name
        content = path.read_bytes()
        at = len(content) // 2
        path.write_bytes(content[:at] + b"x" + content[at:])
        assert [c.file for c in diffs.between(*folders)], name
        path.write_bytes(content)


def test_who_brought_a_configuration_and_on_which_evidence(folders):
    edit(folders[1], "weir.yaml", "lateness: 15m", "lateness: 20m")
    record = {
        "kind": "config",
        "config": "sha256:" + "b" * 64,
        "by": "m.keller",
        "at": "2026-03-02T10:00:09Z",
        "evidence": {"approved_by": ["s.aydin", "t.hill"], "tests": "1,204 ok"},
    }
    inputs = Inputs(True, "sha256:" + "a" * 64, configs=[(17, record)])
    answer = changes.report(folders[0].parents[1], Seqs(), inputs)
    configs, changed, _ = answer.sections
    assert configs.rows == [
        (17, record["at"], "m.keller", "s.aydin t.hill", "tests 1,204 ok", "a" * 12, "b" * 12, 1)
    ]
    assert changed.rows == [(17, "weir.yaml", "lateness", "changed", "15m", "20m", None)]
    assert not changes.report(folders[0].parents[1], Seqs(0, 17), inputs).sections[0].rows


def test_a_long_evidence_is_told_in_short_and_whole_for_machines(folders):
    evidence = {"tests": 40, "tested": [f"R-{i}" for i in range(9)], "untested": ["R-10", "R-11"]}
    record = {"config": "sha256:" + "b" * 64, "evidence": evidence}
    inputs = Inputs(True, "sha256:" + "a" * 64, configs=[(17, record)])
    answer = changes.report(folders[0].parents[1], Seqs(), inputs)
    [row] = answer.sections[0].rows
    assert row[4] == "tests 40, tested R-0 R-1 R-2 and 6 more, untested R-10 R-11"
    assert answer.as_dict()["evidence"] == {"17": evidence}


def test_what_an_evidence_leaves_open_is_not_told_as_if_it_were_something(folders):
    record = {"config": "sha256:" + "b" * 64, "evidence": {
        "rules": {"changed": ["R-1"], "gone": [], "kept": 72}, "filled_from": None, "models": {"new": []},
    }}  # fmt: skip
    inputs = Inputs(True, "sha256:" + "a" * 64, configs=[(17, record)])
    [row] = changes.report(folders[0].parents[1], Seqs(), inputs).sections[0].rows
    assert row[4] == "rules (changed R-1, kept 72)"


def test_a_rule_that_changed_under_its_old_version_is_told_so(folders):
    name = holding(folders[1], "id: CARD-BURST-001")
    edit(folders[1], name, "purchases: {value: 8,", "purchases: {value: 9,")
    for folder, value in zip(folders, "12", strict=True):
        told = f'{{\n "files": {{\n  "{name}": "{value}"\n }},\n "rows_max": {value}\n}}\n'
        (folder / "overrides.json").write_text(told)
    row, row_, rule = diffs.between(*folders)
    assert (rule.before, rule.after) == ("version 2", "version 2, not raised")
    assert {row.before, row_.after} == {' "rows_max": 1', ' "rows_max": 2'}, "hashes are no changes"


def test_orders_that_were_done_are_told_and_refused_ones_counted(tmp_path):
    orders = [
        Order(3, {"command": "suppress", "rule": "R1", "entity": {"card": "C7"}, "until": "2026-04-01",
                  "by": "a.li", "reason": "known trip of C7"}, "control/1", {"ok": True, "state": "suppressed"}),
        Order(4, {"command": "release", "restriction_id": "r-1", "by": "b.wu", "reason": "x"}, "y", {"ok": False}),
        Order(5, {"command": "acknowledge", "restriction_id": "r-1"}, "y", {"ok": True}),
    ]  # fmt: skip
    answer = changes.report(tmp_path, Seqs(), Inputs(True, orders=orders))
    assert answer.sections[2].rows == [
        (
            3,
            "suppress",
            "a.li",
            "known trip of C7",
            "rule R1, entity card C7, until 2026-04-01",
            "suppressed",
        )
    ]
    assert answer.facts["orders refused"] == 1
