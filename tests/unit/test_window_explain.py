"""`weir rules explain`: what a feature is, shares and costs, word for word where people read it."""

import json

import pytest

from config.errors import ConfigError
from engine.cli import main
from engine.setup import read_setup
from engine.windows.explain import Explainer, as_text
from tests.unit.test_memory_budget import write

FEATURES = {
    "paid_2d": 'sum(amount) of transaction by account over 2d where direction == "out"',
    "spent_2d": 'sum(amount) of transaction by account over 48h where direction == "out"',
    "payments_2d": 'count() of transaction by account over 2d where direction == "out"',
    "usual_90d": "quantile(amount, 95%) of transaction by account over 90d until 1d ago",
    "seen": "time_since_first() by account over 400d",
    "before": "count() by account over 1h prior",
    "today": "count() by account over calendar day",
    "ten": "avg(amount) of transaction by account over last 10 events",
    "faded": "decayed_count(7d) by account",
    "frauds": 'count() of label by payee over 30d where label == "fraud"',
    "paid_payee_2d": 'sum(amount) of transaction by payee over 2d where direction == "out"',
    "much": "paid_2d > 2 * usual_90d",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("explained") / "bank", FEATURES)


@pytest.fixture(scope="module")
def explainer(folder):
    return Explainer(read_setup(folder))


@pytest.mark.parametrize(
    ("name", "interval", "itself"),
    [
        ("paid_2d", "(e - 2d, e]", "the event itself counts"),
        ("usual_90d", "(e - 90d, e - 1d]", "left out: the window ends before it"),
        ("before", "(e - 1h, e]", "left out (prior)"),
        ("today", "[start of the local day of e, e] in UTC", "the event itself counts"),
        ("ten", "the last 10 events that pass, up to e", "the event itself counts"),
        ("faded", "(-inf, e], an event that is one half-life old counts half", "counts"),
    ],
)
def test_the_interval_of_a_window_is_told_with_its_bounds(explainer, name, interval, itself):
    window = explainer.feature(name)["window"]
    assert window["interval"] == interval
    assert itself in window["itself"]


def test_where_a_feature_looks_is_told(explainer):
    domains = {name: explainer.feature(name)["domain"] for name in ("paid_2d", "seen", "frauds")}
    assert domains == {
        "paid_2d": "transactions only",
        "seen": "transactions and activities",
        "frauds": "labels only",
    }
    empty = {name: explainer.feature(name)["when_empty"] for name in ("paid_2d", "usual_90d")}
    assert empty == {"paid_2d": "0", "usual_90d": "missing"}


def test_features_that_are_equal_after_normalising_share_everything_and_save_nothing(explainer):
    first, second = explainer.feature("paid_2d"), explainer.feature("spent_2d")
    assert (first["same_as"], second["same_as"]) == (["spent_2d"], ["paid_2d"])
    assert first["meaning"] == second["meaning"]
    assert first["cost"]["log"] == second["cost"]["log"]
    assert set(first["cost"]["saves"].values()) == set(second["cost"]["saves"].values()) == {0}


def test_what_is_shared_is_told_with_whom(explainer):
    shares = {s["what"]: s["with"] for s in explainer.feature("payments_2d")["shares"]}
    assert shares["the filter bit"] == ["paid_2d"]
    assert shares["the accumulator"] == ["paid_2d"]
    assert shares["the horizon 2d"] == ["paid_2d"]
    assert explainer.feature("paid_2d")["filter_also_of"] == ["paid_payee_2d"]


def test_events_are_kept_because_of_the_longest_window_and_taking_it_out_says_what_goes(explainer):
    cost = explainer.feature("seen")["cost"]
    assert cost["kept_by"] == ["seen"]
    assert cost["kept_is"] == "400d window + 15m lateness"
    assert cost["saves"]["kept_us"] == (400 - 90) * 86_400_000_000
    assert cost["saves"]["bytes"] > 0.6 * cost["log"]["bytes"]
    assert "`over all` in place of `over 400d`" in explainer.feature("seen")["tip"]
    assert explainer.feature("paid_2d")["cost"]["saves"]["kept_us"] == 0
    assert explainer.feature("ten")["cost"]["kept_is"].startswith("31d in which an update may come")


def test_who_reads_a_feature_and_what_it_reads_is_told(explainer):
    much = explainer.feature("much")
    assert much["depends_on"] == {"fields": [], "features": ["paid_2d", "usual_90d"]}
    assert much["cost"]["entity_bytes"] == 0
    assert explainer.feature("usual_90d")["read_by"]["features"] == ["much"]
    assert explainer.feature("frauds")["depends_on"]["fields"] == ["payee", "label"]


def test_a_wrong_name_is_answered_with_the_nearest(explainer):
    with pytest.raises(ConfigError) as error:
        explainer.feature("paid_3d")
    assert "there is no feature or rule `paid_3d`" in str(error.value)
    assert "did you mean `paid_2d`?" in str(error.value)


@pytest.mark.parametrize("name", ["usual_90d", "paid_2d", "much"])
def test_the_text_is_the_one_on_record(explainer, folder, golden, name):
    text = as_text(explainer.feature(name)).replace(str(folder), "BANK")
    golden(f"explain/{name}", text)


def test_the_table_has_every_feature_once_and_the_dearest_first(folder, capsys):
    command = ["rules", "explain", "--all", "--config", str(folder)]
    assert main([*command, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert sorted(row["feature"] for row in rows) == sorted(FEATURES)
    assert rows[0]["feature"] == "seen"
    assert [r["bytes"] for r in rows] == sorted((r["bytes"] for r in rows), reverse=True)
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1 : len(rows) + 1]] == [r["feature"] for r in rows]
    assert lines[-2].startswith("12 features in ")


def test_packs_can_be_named_in_place_of_those_of_the_settings(folder, capsys):
    pack = folder / "packs" / "small"
    command = ["rules", "explain", "seen", str(pack), "--config", str(folder), "--format", "json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["feature"] == "seen"
    assert main(["rules", "explain", "--all", str(pack), "--config", str(folder)]) == 0
    assert "12 features in " in capsys.readouterr().out
    assert main(["rules", "explain", "--config", str(folder)]) == 2
    assert "no rule or feature was named" in capsys.readouterr().err
