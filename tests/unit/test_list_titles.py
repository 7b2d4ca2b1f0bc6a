"""Titles that show what a list says of a value: `{@police.reference}`, and what is wrong with those that cannot."""

import pytest

from tests.ruling import load
from tests.unit.test_pack import rule

LISTS = """
lists:
  police:
    type: id
    of: account
    values: [{value: A1, reference: PD-1}]
  vips: {type: id, of: customer, values: [K1]}
  grown: {type: id, of: customer, values: []}
"""


def findings(tmp_path, title, when="is_new"):
    text = rule(when=when, extra=f'actions:\n  - alert: {{queue: q, title: "{title}"}}')
    loaded = load(tmp_path, {"r.yaml": text, "l.yaml": LISTS})
    return [(f.code, f.message, f.hint) for f in loaded.findings]


@pytest.mark.parametrize(
    ("title", "when", "code", "message", "hint"),
    [
        ("{@police.refrence}", "account in @police", "WR341", '@police has no column "refrence"', "did you mean reference?"),
        ("{@police.color}", "account in @police", "WR341", '@police has no column "color"', "known: reference, source"),
        ("{@polise.reference}", "is_new", "WR103", "unknown list @polise", "did you mean @police (l.yaml:3)?"),
        ("{@police.source}", "account in @police", "WR341", "the rows of @police have no source: only those that are added at runtime show it", "give the list a column source, or show reference"),
        ("{@vips.source}", "customer in @vips", "WR341", "the rows of @vips have no source: only those that are added at runtime show it", "give the list a column source"),
        ("{@police}", "is_new", "WR341", '"@police" names no column of a list', "write for instance {@police_accounts.reference}"),
        ("{@police.reference}", "is_new", "WR342", "the condition of the rule compares nothing with @police", "say which: {@police.reference of account}"),
        ("{@police.reference}", "account in @police or counterparty in @police", "WR342", "the condition compares account and counterparty with @police", "say which: {@police.reference of account}"),
        ("{@police.reference of customer}", "is_new", "WR121", "customer is an id (customer), @police is a list of ids (account)", ""),
        ("{@police.reference of acount}", "is_new", "WR101", 'unknown field "acount"', 'did you mean "account"?'),
        ("{@police.reference of account|round}", "is_new", "WR126", "@police.reference is text, which has no format round", ""),
        ("{@police.reference|lsat4}", "account in @police", "WR126", '"lsat4" is not a format; there are round, percent, last4', 'did you mean "last4"?'),
    ],
)  # fmt: skip
def test_a_title_that_asks_a_list_wrongly_is_told_what_to_write(
    tmp_path, title, when, code, message, hint
):
    """Unknown lists and columns; no field or several that could be meant; a field that is never in the list."""
    assert (code, message, hint) in findings(tmp_path, title, when)


@pytest.mark.parametrize(
    ("title", "when"),
    [
        ("{@police.reference}", "account in @police"),
        ("{@police.reference}", "account in @police and not (account in @police)"),
        ("{@police.reference}", "account not in @police"),
        ("{@police.reference of counterparty|last4}", "account in @police"),
        ("{@grown.source} and {amount}", "customer in @grown"),
    ],
)
def test_a_title_may_ask_for_the_row_of_the_field_that_is_looked_up(tmp_path, title, when):
    assert findings(tmp_path, title, when) == []
