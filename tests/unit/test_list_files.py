"""Lists from files and from the pack: validity, ranges, columns, and every faulty row at its own place."""

from zoneinfo import ZoneInfo

import pytest

from rules.definitions import ListRow
from rules.list_files import cell_span
from rules.lists import holds
from rules.reader import instant_us
from tests.ruling import load, said
from tests.unit.test_pack import rule

RULES = rule(when="card in @watch")


def read(folder, csv, more="type: id, of: card"):
    files = {"l.yaml": f"lists:\n  watch: {{file: w.csv, {more}}}\n", "r.yaml": RULES, "w.csv": csv}
    return load(folder, files)


def us(text):
    return instant_us(text, ZoneInfo("Europe/Berlin"))


def test_rows_hold_for_a_time_and_keep_their_columns(tmp_path):
    """A date is its midnight in the pack's zone, a time has its offset; one value may have several rows."""
    loaded = read(
        tmp_path,
        "card,valid_from,valid_until,source,reference,category\n"
        "C1,2026-03-01,2026-05-01,police,PD-1,mule\n"
        " C1 ,2026-06-01T00:00:00Z,,police,PD-2\n"
        ",,,\n"
        'C2,,,"bank, Frankfurt",,\n',
    )
    of = loaded.pack.lists["watch"]
    assert (of.columns, of.is_dated) == (("source", "reference", "category"), True)
    assert of.values == {"C1", "C2"}
    assert of.rows == (
        ListRow("C1", us("2026-03-01"), us("2026-05-01"), ("police", "PD-1", "mule")),
        ListRow("C1", us("2026-06-01T00:00:00Z"), None, ("police", "PD-2", "")),
        ListRow("C2", None, None, ("bank, Frankfurt", "", "")),
    )
    assert us("2026-03-01") == us("2026-02-28T23:00:00Z")


def test_a_list_of_values_alone_stays_a_set(tmp_path):
    of = read(tmp_path, "card\nC1\nC2\nC1\n").pack.lists["watch"]
    assert (of.values, of.rows, of.is_dated, of.columns) == ({"C1", "C2"}, (), False, ())


def test_columns_alone_do_not_make_a_list_dated(tmp_path):
    of = read(tmp_path, "card,source,valid_until\nC1,police,\n").pack.lists["watch"]
    assert (of.rows, of.is_dated) == ((ListRow("C1", None, None, ("police",)),), False)


def test_ranges_of_codes_are_written_out_and_ranges_of_numbers_stay(tmp_path):
    """Each code of a range has the row's dates and columns; a number list also holds what lies between."""
    lists = """
lists:
  travel: {type: category, of: mcc, values: [{value: 0998-1001, valid_until: 2026-05-01, source: s}, 7995]}
  few: {type: number, values: [1_000-2_000, {value: -3, valid_from: 2026-01-01}]}
"""
    when = "mcc in @travel or n_items in @few"
    loaded = load(tmp_path, {"l.yaml": lists, "r.yaml": rule(when=when)})
    assert not loaded.findings
    travel, few = loaded.pack.lists["travel"], loaded.pack.lists["few"]
    until = us("2026-05-01")
    assert travel.rows == (
        *(ListRow(c, None, until, ("s",)) for c in ("0998", "0999", "1000", "1001")),
        ListRow("7995", None, None, ("",)),
    )
    assert few.rows == (ListRow("1000-2000"), ListRow("-3", us("2026-01-01")))


def test_every_faulty_row_is_a_finding_at_its_place_in_the_file(tmp_path):
    """File, line and column of the cell, quotes and lines inside quotes counted; the good rows are read all the same."""
    loaded = read(
        tmp_path,
        "card,valid_from,valid_until,note\r\n"
        "C1,2026-13-01,,a\r\n"
        'C2,,soon,"two\r\nlines"\r\n'
        ",2026-01-01,,x\r\n"
        'C3,"2026-05-01",2026-05-01,\r\n'
        "C4,,,a,b\r\n"
        "C5,2026-01-01T10:00,,\r\n"
        "C6,,,fine,,\r\n",
    )
    assert said(loaded) == [
        ("WR340", 2, 4, 'valid_from "2026-13-01" is not a date or time with offset'),
        ("WR340", 3, 5, 'valid_until "soon" is not a date or time with offset'),
        ("WR340", 5, 1, "the row has no card"),
        ("WR340", 6, 17, "valid_until 2026-05-01 is not later than valid_from 2026-05-01"),
        ("WR340", 7, 8, "the row has 5 cells, the heading names 4"),
        ("WR340", 8, 4, 'valid_from "2026-01-01T10:00" is not a date or time with offset'),
    ]
    first = loaded.findings[0]
    assert not loaded.pack
    assert (first.place.file, first.line) == ("w.csv", "C1,2026-13-01,,a")
    assert first.hint == "write 2026-03-02 or 2026-03-02T10:00:00Z"
    assert first.end.column == 14


@pytest.mark.parametrize(
    ("csv", "column", "message"),
    [
        ("card,valid_form\nC1,\n", 6, "valid_form would be read as plain text"),
        ("card,from,Until\nC1,,\n", 6, "from would be read as plain text"),
        ("card,expires\nC1,\n", 6, "expires would be read as plain text"),
        ("card,source,source\nC1,,\n", 13, "two columns are named source"),
        ("card,,source\nC1,,\n", 6, "a column without a name"),
        ("valid_from,card\n,C1\n", 1, "the first column is the value, not valid_from"),
    ],
)
def test_a_heading_that_would_mislead_is_refused(tmp_path, csv, column, message):
    """A validity column with a slip in its name would make every row hold for ever."""
    assert ("WR340", 1, column, message) in said(read(tmp_path, csv))


def test_a_file_with_too_many_columns_is_no_list(tmp_path):
    """One finding, and not one for each column: that would take minutes."""
    found = said(read(tmp_path, "card" + ",c" * 100 + "\nC1\n"))
    assert found == [("WR340", 1, 204, "the heading names 101 columns, a list has at most 100")]
    assert read(tmp_path / "b", f"card{''.join(f',c{k}' for k in range(99))}\nC1\n").pack


def test_a_row_with_an_open_quote_and_a_wrong_number_are_found(tmp_path):
    found = said(read(tmp_path / "a", 'card,note\nC1,"open\nC2,\n'))
    assert [(code, line) for code, line, *_ in found] == [("WR340", 2)]
    numbers = {
        "l.yaml": "lists:\n  few: {file: w.csv, type: number}\n",
        "r.yaml": rule(when="n_items in @few"),
        "w.csv": "n\n1\nmany\n9-2\n",
    }
    assert said(load(tmp_path / "b", numbers)) == [
        ("WR340", 3, 1, '"many" is not a number'),
        ("WR340", 4, 1, "9-2 is not a range: the lower number comes first"),
    ]


def test_cells_are_found_behind_quotes():
    text = 'x\n"a ""b"", c",d,"e\nf",g\n'
    cells = [text[slice(*cell_span(text, 2, k))] for k in range(4)]
    assert cells == ['"a ""b"", c"', "d", '"e\nf"', "g"]


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        ("card;source\nC1;x\n", "'card;source' is one column: a comma stands between columns"),
        ("card\tsource\nC1\tx\n", "'card\\tsource' is one column: a comma stands between columns"),
        ("# cards\ncard\nC1\n", "the first line names the columns, and # cards is no name"),
        ("DE\nFR\n", "the first line names the columns, and DE is no name"),
        ("C1\n", "the first line names the columns, and C1 is no name"),
        ("C-1,police\nC-22,police\n", "the first line names the columns, and C-1 is no name"),
        ("acme7\nacme12\n", "the first line names the columns, and acme7 is no name"),
        ("4000123\n4000124\n", "the first line names the columns, and 4000123 is no name"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path, csv, message):
    """Read as it stands, each of these lists would hold other values than its author thinks."""
    assert ("WR340", 1, 1, message) in said(read(tmp_path, csv))


def test_a_date_in_the_first_line_shows_that_the_heading_is_missing(tmp_path):
    loaded = read(tmp_path, "mule,2026-03-01,2026-09-01\nboss,2026-03-01,\n")
    found = next(f for f in loaded.findings)
    assert said(loaded)[0] == (
        "WR340",
        1,
        6,
        "the first line names the columns, and 2026-03-01 is no name",
    )
    assert found.hint == "write a heading above it, such as: card,valid_from,valid_until"


@pytest.mark.parametrize(
    "heading", ["Card", "IBAN", "MERCHANT", "card_2", "\u8d26\u53f7", "Card number"]
)
def test_a_heading_in_other_letters_is_one(tmp_path, heading):
    assert read(tmp_path, f"{heading}\nC1\nACME\n").pack.lists["watch"].values == {"C1", "ACME"}


def test_a_row_of_the_pack_has_the_same_names_for_its_times(tmp_path):
    """`until:` in place of `valid_until:` would make the row hold for ever."""
    lists = "lists:\n  watch: {type: id, of: card, values: [{value: C1, until: 2026-05-01}]}\n"
    loaded = load(tmp_path, {"l.yaml": lists, "r.yaml": RULES})
    assert [(f.code, f.message, f.hint) for f in loaded.findings] == [
        ("WR340", "until would be read as plain text", "did you mean valid_until?")
    ]


@pytest.mark.parametrize("text", ["3000 - 3299", "3000\u20133299", "3000\u2212 3299"])
def test_a_range_with_blanks_or_another_dash_is_no_code(tmp_path, text):
    lists = f'lists:\n  travel: {{type: category, of: mcc, values: ["{text}"]}}\n'
    found = said(load(tmp_path, {"l.yaml": lists, "r.yaml": rule(when="mcc in @travel")}))
    what = f'"{text}" is read as one code; a range is 3000-3299'
    assert [(code, message) for code, _, _, message in found] == [("WR026", what)]


def test_a_range_of_numbers_may_begin_below_zero(tmp_path):
    lists = "lists:\n  few: {type: number, values: [-5-3, -9]}\n"
    loaded = load(tmp_path, {"l.yaml": lists, "r.yaml": rule(when="n_items in @few")})
    assert loaded.pack
    few = loaded.pack.lists["few"]
    assert [holds(few, x, 0) for x in (-9.0, -8.0, -5.0, 0.0, 3.0, 3.5)] == [
        *(True, False, True, True, True, False)
    ]


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"])
def test_a_time_beyond_the_calendar_is_none(tmp_path, text):
    assert us(text) is None
    what = f'valid_from "{text}" is not a date or time with offset'
    assert said(read(tmp_path, f"card,valid_from\nC1,{text}\n")) == [("WR340", 2, 4, what)]


@pytest.mark.parametrize(
    "name", ["secrets.csv", "{root}/secrets.csv", "other/secrets.csv", "lists/../secrets.csv"]
)
def test_what_lies_around_a_pack_is_read_of_a_configuration_only(tmp_path, name):
    """A pack two folders below the root of a disk would read, and check would print, every file of it."""
    for folder in (tmp_path, tmp_path / "other", tmp_path / "lists"):
        folder.mkdir(exist_ok=True)
        (folder / "secrets.csv").write_text("card\nC1\n")
    name = name.format(root=tmp_path)
    lists = f"lists:\n  watch: {{file: {name}, type: id, of: card}}\n"
    pack = tmp_path / "packs" / "one"
    found = said(load(pack, {"l.yaml": lists, "r.yaml": RULES}))
    assert [(code, message) for code, _, _, message in found] == [
        ("WR009", f"there is no file {name} in the pack")
    ]
    assert load(pack, {"l.yaml": lists.replace(name, "lists/secrets.csv"), "r.yaml": RULES}).pack
    (tmp_path / "weir.yaml").write_text("packs: [packs/one]\n")
    assert load(pack, {"l.yaml": lists, "r.yaml": RULES}).pack


def test_a_value_that_stands_in_a_list_twice_is_told_at_its_second_place(tmp_path):
    loaded = read(tmp_path, "card\nC1\nC2\nC1\n")
    assert said(loaded) == [("WR343", 4, 1, "C1 stands in the list already")]
    many = read(tmp_path, "card\n" + "C1\n" * 50)
    assert [line for _, line, *_ in said(many)] == [3, 4, 5, 6, 7]


def test_rows_of_one_value_that_say_different_things_are_no_repetition(tmp_path):
    loaded = read(
        tmp_path,
        "card,valid_from,valid_until,source\n"
        "C1,2026-03-01,2026-05-01,police\n"
        "C1,2026-06-01,,police\n"
        "C1,2026-03-01,2026-05-01,bank\n"
        "C1,2026-03-01,2026-05-01,police\n",
    )
    assert said(loaded) == [("WR343", 5, 1, "C1 stands in the list already")]


def test_a_code_inside_a_range_stands_in_the_list_already(tmp_path):
    lists = """
lists:
  travel: {type: category, of: mcc, values: [3000-3299, 7995, 3100]}
"""
    loaded = load(tmp_path, {"l.yaml": lists, "r.yaml": rule(when="mcc in @travel")})
    assert said(loaded) == [("WR343", 3, 63, "3100 stands in the list already")]
