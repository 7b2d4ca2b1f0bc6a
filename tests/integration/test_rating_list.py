"""`weir account ratings`: figures that can be followed with pencil and paper, from a folder and beside a running engine."""

import csv
import io
import json

import pytest

from engine import cli
from engine.outcomes import rfc3339
from tests.auditing import HOUR, START, small_bank
from tests.running import Live

DAY = 24 * HOUR


def payment(n, at, customer, amount):
    return json.dumps(
        {
            "transaction_id": f"t-{n}",
            "account": f"A-{customer}",
            "customer": customer,
            "event_time": rfc3339(START + at),
            "type": "payment",
            "direction": "out",
            "amount": amount,
            "currency": "CNY",
        }
    )


def order(name, **more):
    told = {"kind": "command", "command": name, "by": "li", "reason": "a test"}
    return json.dumps(told | more)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """31 days: K1 offends on the first, K2 on the 20th and the last day but one, K3 never; `-K4` is a formula."""
    folder = tmp_path_factory.mktemp("rated")
    bank = small_bank(folder / "bank")
    lines = [payment(0, 0, "K1", "950.00")]
    lines += [payment(100 + day, day * DAY + HOUR, "K3", "5.00") for day in range(30)]
    lines += [payment(1, 19 * DAY, "K2", "950.00"), payment(2, 29 * DAY, "K2", "20000.00")]
    lines += [payment(3, 29 * DAY, "-K4", "950.00"), payment(4, 30 * DAY, "K3", "5.00")]
    lines.sort(key=lambda line: json.loads(line)["event_time"])
    first, second = folder / "first.ndjson", folder / "second.ndjson"
    first.write_text("\n".join(lines[:20]) + "\n")
    second.write_text("\n".join(lines) + "\n")
    command = ["--config", str(bank), "--out", str(folder / "out"), "--json"]
    assert cli.main(["replay", str(first), *command]) == 0
    (folder / "first.ndjson").write_text("\n".join(lines) + "\n")
    assert cli.main(["replay", str(first), *command, "--resume"]) == 0
    assert list((folder / "out" / "snapshots").iterdir())
    return folder / "out"


def asked(out, capsys, *options, form="json"):
    capsys.readouterr()
    argv = ["account", "ratings", str(out), "--reveal", "--format", form, *options]
    assert cli.main(argv) == 0
    return capsys.readouterr().out


def after(points, days):
    """What is left of points, thousandths, after whole days: 97.716 % a day, rounded down."""
    points *= 1_000
    for _ in range(days):
        points = points * 97_716 // 100_000
    return points


def rating(points):
    return 1_000 * points // (points + 500_000)


def test_ratings_their_parts_and_their_trend_are_as_documented(out, capsys):
    """An alert of high severity 60 points (75 from 10,000 on), a limit on the account 60; half left after 30 days."""
    told = json.loads(asked(out, capsys))
    rows = {row["customer"]: row for row in told["ratings"]}
    assert list(rows) == ["K2", "-K4", "K1"], "the highest first; K3 has nothing"
    one = rows["K1"]
    left = after(60, 30) * 2
    assert (one["alerts"], one["restrictions"], one["verdicts"]) == (
        after(60, 30) // 1_000,
    ) * 2 + (0,)
    assert one["rating"] == rating(left)
    trend = [rating(2 * after(60, day)) for day in range(1, 31)]
    assert one["trend"] == " ".join(map(str, trend))
    assert (one["before"], one["change"]) == (trend[0], trend[-1] - trend[0])
    two = rows["K2"]
    assert two["rating"] == rating(after(60, 11) * 2 + after(75, 1) + after(60, 1))
    assert (two["before"], two["was"], two["change"]) == (0, "low", two["rating"])
    assert two["class"] == "medium"
    assert told["facts"]["day"] == "2026-04-01"
    assert (told["facts"]["low"], told["facts"]["medium"], told["facts"]["risen"]) == (2, 1, 1)


def test_movers_are_those_who_moved_most(out, capsys):
    told = json.loads(asked(out, capsys, "--movers"))["ratings"]
    changes = [abs(row["change"]) for row in told]
    assert changes == sorted(changes, reverse=True)
    assert told[0]["customer"] == "K2"
    assert told[-1]["customer"] == "K1"
    assert told[-1]["change"] < 0
    assert len(json.loads(asked(out, capsys, "--movers", "--limit", "1"))["ratings"]) == 1


def test_one_customer_and_one_class(out, capsys):
    assert [
        r["customer"] for r in json.loads(asked(out, capsys, "--customer", "K1"))["ratings"]
    ] == ["K1"]
    assert [
        r["customer"] for r in json.loads(asked(out, capsys, "--class", "medium"))["ratings"]
    ] == ["K2"]
    assert "the rating is 0" in asked(out, capsys, "--customer", "K3", form="text")


def test_csv_holds_no_formula_and_text_shows_the_trend(out, capsys):
    rows = list(csv.DictReader(io.StringIO(asked(out, capsys, form="csv"))))
    assert [row["customer"] for row in rows] == ["K2", "'-K4", "K1"]
    assert rows[2]["change"].startswith("-"), "a number stays one"
    text = asked(out, capsys, form="text")
    assert "▃" in text
    assert "medium" in text


def test_personal_ids_are_shown_as_pseudonyms_only(out, capsys, monkeypatch):
    monkeypatch.setenv("WEIR_PSEUDONYM_KEY", "k" * 32)
    assert cli.main(["account", "ratings", str(out)]) == 0
    text = capsys.readouterr().out
    assert "K1" not in text
    assert "Ratings: 3" in text


def test_a_folder_without_a_journal_says_so(tmp_path, capsys):
    bank = small_bank(tmp_path / "bank", durability="none")
    (tmp_path / "in.ndjson").write_text(payment(0, 0, "K1", "950.00") + "\n")
    out = tmp_path / "out"
    argv = ["replay", str(tmp_path / "in.ndjson"), "--config", str(bank), "--out", str(out)]
    assert cli.main(argv) == 0
    assert cli.main(["account", "ratings", str(out)]) == 2
    assert "the folder has no journal" in capsys.readouterr().err


def test_ratings_are_listed_while_the_engine_runs(tmp_path, capsys):
    """It has had no midnight yet: points, and a rating of 0."""
    with Live(small_bank(tmp_path / "bank"), tmp_path / "out") as live:
        sent = live.send("A1", "950.00", customer="K1")
        live.until(lambda: sent in live.decided())
        [row] = json.loads(asked(live.out, capsys))["ratings"]
        assert (row["customer"], row["rating"], row["alerts"]) == ("K1", 0, 60)
        live.stop()
