"""Reports of a run and of a day: figures equal another count of the streams, pages need nothing and obey nobody."""

import json
import re
import shutil
from collections import Counter

import pytest

from config.settings import BANK
from engine import cli
from engine.durable.holding import only_writer
from replay.audit.access import FILE as ACCESS
from tests.auditing import decision, restrict, write
from tests.reporting import (
    COUNTRY,
    IMAGE,
    SCRIPT,
    Oracle,
    Page,
    bank,
    ndjson,
    number,
    replayed,
    traffic,
)

TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "header",
        "footer",
        "nav",
        "section",
        "div",
        "span",
    ),
    *("h1", "h2", "h3", "p", "b", "code", "a", "details", "summary", "figure", "figcaption"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("svg", "rect", "line", "path", "circle", "text"),
}
ATTRIBUTES = {
    *(
        "lang",
        "charset",
        "name",
        "content",
        "id",
        "class",
        "scope",
        "href",
        "role",
        "aria-label",
        "aria-hidden",
    ),
    *(
        "viewbox",
        "preserveaspectratio",
        "x",
        "y",
        "x1",
        "x2",
        "y1",
        "y2",
        "cx",
        "cy",
        "r",
        "rx",
        "d",
    ),
    *("width", "height", "text-anchor"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An output folder, its traffic beside it, and the page that `--report` wrote."""
    root = tmp_path_factory.mktemp("report")
    return replayed(root, "--report", str(root / "run.html"))


@pytest.fixture(scope="module")
def oracle(folder):
    return Oracle(folder, folder.parent / "traffic.ndjson", BANK / "rates.yaml")


@pytest.fixture(scope="module")
def day_page(folder):
    to = folder.parent / "day.html"
    assert (
        cli.main(["report", str(folder), "--day", "2026-03-04", "--html", str(to), "--no-ratings"])
        == 0
    )
    return to.read_text()


@pytest.fixture
def ran(folder, capsys):
    """Run `weir report` on the folder; return its status, and what it wrote."""

    def run(*arguments, out=None):
        capsys.readouterr()
        status = cli.main(["report", str(out or folder), *arguments])
        return status, *capsys.readouterr()

    return run


def figures(told):
    return {
        one["key"]: [one["today"], one["yesterday"], one["last_week"]] for one in told["figures"]
    }


def fen(text):
    return None if text is None else round(float(text) * 100)


# ---------------------------------------------------------------- the figures


def test_the_traffic_has_what_could_go_wrong(folder, oracle):
    """Else the comparisons below compare nothing."""
    assert len(oracle.days) == 4
    assert {d["decision"] for d in oracle.decisions} >= {"approve", "review"}
    assert any(oracle.minor(d) is None for d in oracle.decisions)
    assert {oracle.label(d) for d in oracle.decisions} == {"fraud", "genuine", ""}
    assert ndjson(folder / "duplicates.ndjson")
    assert ndjson(folder / "dead_letters.ndjson")
    assert any(a["entity"] == {"merchant": IMAGE} for a in oracle.alerts)
    said = [(a["alert_id"], oracle.label(a)) for a in oracle.alerts]
    last = dict(pair for pair in said if pair[1])
    assert any(last[id_] == "genuine" for id_, label in said if label == "fraud")


def test_the_day_equals_another_count(ran, oracle):
    status, out, _ = ran("--day", "2026-03-04", "--json", "--no-ratings")
    assert status == 0
    told = json.loads(out)
    found = figures(told)
    for place, day in enumerate(("2026-03-04", "2026-03-03")):
        of_day = oracle.of(day)
        flagged = [d for d in of_day if d["decision"] != "approve"]
        stopped = oracle.stopped(of_day)
        opened = oracle.opened(day)
        verdicts = Counter(oracle.verdict_of(a["alert_id"]) for a in opened)
        frauds = [d for d in of_day if oracle.label(d) == "fraud"]
        missed = [d for d in frauds if d["decision"] == "approve"]
        expected = {
            "transactions": len(of_day),
            "flagged": len(flagged),
            "flagged_share": pytest.approx(len(flagged) / len(of_day)),
            **{
                name: sum(d["decision"] == name for d in of_day)
                for name in ("review", "hold", "decline")
            },
            "alerts": len(opened),
            "severe": sum(a["severity"] in ("high", "critical") for a in opened),
            "joined": sum(a["kind"] == "update" and oracle.day(a) == day for a in oracle.alerts),
            "false_alarms": verdicts["genuine"],
            "alerts_fraud": verdicts["fraud"],
            "alerts_open": verdicts[""],
            "missed": len(missed),
            "recall": pytest.approx(1 - len(missed) / len(frauds)),
            "late": sum(d["late"] for d in of_day),
        }
        assert {key: found[key][place] for key in expected} == expected
        money = {
            "money": oracle.money(of_day),
            "stopped": oracle.money(stopped),
            "stopped_fraud": oracle.money([d for d in stopped if oracle.label(d) == "fraud"]),
            "stopped_genuine": oracle.money([d for d in stopped if oracle.label(d) == "genuine"]),
            "missed_money": oracle.money(missed),
        }
        assert {key: fen(found[key][place]) for key in money} == money
    assert all(values[2] is None for values in found.values()), "no week before"
    assert told["yesterday"] == "2026-03-03"
    assert told["last_week"] is None


def test_regions_rules_and_hours_of_the_day_equal_another_count(ran, oracle):
    told = json.loads(ran("--day", "2026-03-04", "--json", "--no-ratings")[1])
    today = oracle.of("2026-03-04")
    regions = Counter(map(oracle.region, today))
    assert {r["region"]: r["transactions"] for r in told["regions"]} == regions
    for region in told["regions"]:
        here = [d for d in today if oracle.region(d) == region["region"]]
        assert fen(region["money"]) == oracle.money(here)
        assert region["flagged"] == sum(d["decision"] != "approve" for d in here)
    fired, before = oracle.fired("2026-03-04"), oracle.fired("2026-03-03")
    assert {r["rule"]: r["fired"] for r in told["rules"]} == fired
    assert {r["rule"]: r["fired_yesterday"] for r in told["rules"]} == {
        rule: before[rule] for rule in fired
    }
    for rule in told["rules"]:
        mine = [d for d in today if rule["rule"] in [f["rule"] for f in d["fired"]]]
        labels = Counter(map(oracle.label, mine))
        assert (rule["fraud"], rule["genuine"]) == (labels["fraud"], labels["genuine"])
        assert rule["alerts"] == sum(a["rule"] == rule["rule"] for a in oracle.opened("2026-03-04"))
    hours = Counter(
        int(re.search(r"T(\d\d)", d["event_time"])[1]) for d in today
    )  # of UTC; Shanghai is 8 h ahead
    assert [h["transactions"] for h in told["hours"]] == [hours[(h - 8) % 24] for h in range(24)]


def test_what_could_not_be_read_counts_on_the_day_of_core_time(ran, folder, oracle):
    """Over all days every dead letter and repeat is told once."""
    told = [
        figures(json.loads(ran("--day", day, "--json", "--no-ratings")[1])) for day in oracle.days
    ]
    assert sum(day["dead_letters"][0] for day in told) == len(
        ndjson(folder / "dead_letters.ndjson")
    )
    assert sum(day["duplicates"][0] for day in told) == len(ndjson(folder / "duplicates.ndjson"))


def test_the_page_of_the_run_equals_another_count(folder, oracle):
    page = Page((folder.parent / "run.html").read_text())
    for name in ("approve", "review", "hold"):
        mine = [d for d in oracle.decisions if d["decision"] == name]
        row = page.row("Decisions", name)
        assert (number(row[1]), number(row[3])) == (len(mine), oracle.money(mine))
    for day in oracle.days:
        row = page.row("Decisions", day)
        assert number(row[1]) == sum(d["decision"] == "approve" for d in oracle.of(day))
        assert number(row[7]) == oracle.money(oracle.stopped(oracle.of(day)))
        assert number(row[8]) == len(oracle.opened(day))
    flagged = Counter(oracle.label(d) for d in oracle.decisions if d["decision"] != "approve")
    row = page.row("Precision and recall", "above approve")
    assert [number(cell) for cell in row[1:]] == [flagged["fraud"], flagged["genuine"], flagged[""]]
    kinds = Counter(
        oracle.labels[d["account"], d["transaction_id"]].get("typology", "not told")
        for d in oracle.decisions
        if oracle.label(d) == "fraud"
    )
    rows = page.rows("Alerts by typology")[1:]
    assert {row[0]: number(row[1]) for row in rows} == kinds
    reasons = Counter(d["reason"] for d in ndjson(folder / "dead_letters.ndjson"))
    told = page.rows("Dead letters")
    assert {row[0]: number(row[1]) for row in told if row[0] in reasons} == reasons
    told = page.row("Throughput and latency", "Messages, in batches")[1]
    batches = ndjson(folder / "delivery.ndjson")
    assert told == f"{sum(batch['n'] for batch in batches):,} in {len(batches):,}"


def test_scores_by_range_are_those_of_the_decisions(folder, oracle):
    page = Page((folder.parent / "run.html").read_text())
    scores = [d["models"].get("champion") for d in oracle.decisions]
    known = [score for score in scores if score is not None]
    row = page.row("Score distributions", "champion")
    assert number(row[1]) == len(known)
    assert float(row[-1]) == pytest.approx(max(known), rel=1e-2)
    median = sorted(known)[(len(known) - 1) // 2]
    assert float(row[3]) == pytest.approx(median, rel=0.02)


def test_model_health_of_the_day_equals_another_count(ran, oracle):
    """Quantiles to within 3 %; the AUC pair by pair, bins tying what lies within 3 % of each other."""
    found = figures(json.loads(ran("--day", "2026-03-04", "--json", "--no-ratings")[1]))
    for place, day in enumerate(("2026-03-04", "2026-03-03")):
        scored = [d for d in oracle.of(day) if d["models"].get("champion") is not None]
        scores = sorted(d["models"]["champion"] for d in scored)
        assert found["scored"][place] == len(scores)
        assert found["unscored"][place] == len(oracle.of(day)) - len(scores)
        for key, q in (("median", 0.5), ("p99", 0.99)):
            exact = scores[max(0, -int(-q * len(scores) // 1) - 1)]
            assert found[key][place] == pytest.approx(exact, rel=0.03)
        assert found["likely"][place] == pytest.approx(sum(s >= 0.5 for s in scores) / len(scores))
        fraud = [d["models"]["champion"] for d in scored if oracle.label(d) == "fraud"]
        others = [d["models"]["champion"] for d in scored if oracle.label(d) != "fraud"]
        pairs = [(f > o) + (f == o) / 2 for f in fraud for o in others]
        assert found["auc"][place] == pytest.approx(sum(pairs) / len(pairs), abs=0.03)


# ---------------------------------------------------------------- the pages


@pytest.mark.parametrize("name", ["run", "day"])
def test_a_page_needs_nothing_else_and_obeys_nobody(folder, day_page, name):
    """Only tags and attributes of ours, each closed; no address but anchors of the page itself; no hostile HTML."""
    text = (folder.parent / "run.html").read_text() if name == "run" else day_page
    page = Page(text)
    assert set(page.tags) <= TAGS
    assert {attribute for _, attribute, _ in page.attributes} <= ATTRIBUTES
    anchors = {value for _, attribute, value in page.attributes if attribute == "id"}
    for tag, attribute, value in page.attributes:
        if attribute == "href":
            assert tag == "a"
            assert value.startswith("#")
            assert value[1:] in anchors
    for word in ("http:", "https:", "url(", "@import", "javascript:", "<script", "<img"):
        assert word not in text
    assert SCRIPT in page.text
    assert IMAGE in page.text
    assert COUNTRY in page.text
    assert page.tags["h1"] == 1
    assert page.tags["svg"] >= 2


@pytest.mark.parametrize("name", ["run", "day"])
def test_every_plot_is_named_and_nothing_in_it_lies_outside(folder, day_page, name):
    text = (folder.parent / "run.html").read_text() if name == "run" else day_page
    plots = re.findall(
        r'<svg class="plot" viewBox="0 0 (\d+) (\d+)" role="img" aria-label="([^"]+)">(.*?)</svg>',
        text,
    )
    assert plots
    for width, height, label, inside in plots:
        assert label
        for x in re.findall(r' (?:x|cx|x1|x2)="([^"]+)"', inside):
            assert 0 <= float(x) <= int(width), label
        for y in re.findall(r' (?:y|cy|y1|y2)="([^"]+)"', inside):
            assert 0 <= float(y) <= int(height), label
        for x, wide in re.findall(
            r'<rect class="\w+" x="([^"]+)" y="[^"]+" width="([^"]+)"', inside
        ):
            assert float(x) + float(wide) <= int(width), label


def test_personal_values_are_shown_by_nobody_but_who_is_on_record(folder, oracle, ran, monkeypatch):
    accounts = {d["account"] for d in oracle.decisions}
    page = Page((folder.parent / "run.html").read_text())
    assert not accounts & set(re.findall(r"\w+", page.text))
    monkeypatch.setenv("WEIR_PSEUDONYM_KEY", "k" * 32)
    _, out, _ = ran("--day", "2026-03-04", "--no-ratings")
    assert not accounts & set(re.findall(r"\w+", out))
    assert re.search(r"p-[0-9a-f]{16}", out)
    _, out, _ = ran("--day", "2026-03-04", "--no-ratings", "--reveal", "--by", "wang")
    assert accounts & set(re.findall(r"\w+", out))
    last = ndjson(folder / ACCESS)[-1]
    assert (last["verb"], last["by"], last["arguments"]["reveal"]) == ("report", "wang", True)


def test_text_obeys_no_terminal(ran):
    status, out, _ = ran("--day", "2026-03-04", "--no-ratings")
    assert status == 0
    assert SCRIPT in out
    assert all(letter.isprintable() or letter == "\n" for letter in out)


def test_customers_at_risk_are_those_that_the_engine_rates(ran, monkeypatch):
    """The customers of this bank have no names in the messages, so nobody is rated; the journal was decided again."""
    status, out, _ = ran("--day", "2026-03-04", "--json")
    assert status == 0
    told = json.loads(out)["customers"]
    assert told == {
        "classes": {"high": [0, 0, 0], "medium": [0, 0, 0], "low": [0, 0, 0]},
        "risen": 0,
        "fallen": 0,
        "top": [],
    }


def test_a_customer_at_risk_stands_in_the_report_as_in_the_ratings(tmp_path, ran, capsys):
    """At the end of the last day they are those of `weir account ratings`, masked in the same way."""
    made = bank(tmp_path / "bank")
    sent = traffic(tmp_path / "traffic.ndjson")
    lines = [json.loads(line) for line in sent.read_text().splitlines()]
    for record in lines:
        if "type" in record:
            record["customer"] = record["account"].replace("A", "K")
    sent.write_text("".join(json.dumps(record) + "\n" for record in lines))
    out = tmp_path / "out"
    assert cli.main(["replay", str(sent), "--config", str(made), "--out", str(out)]) == 0
    last = max(Oracle(out, sent, BANK / "rates.yaml").days)
    told = json.loads(ran("--day", last, "--json", "--reveal", out=out)[1])["customers"]
    capsys.readouterr()
    assert cli.main(["account", "ratings", str(out), "--json", "--reveal"]) == 0
    known = json.loads(capsys.readouterr().out)
    rated = [
        (one["customer"], one["class"], one["rating"]) for one in known["ratings"] if one["rating"]
    ]
    assert [(c["customer"], c["class"], c["rating"]) for c in told["top"]] == rated[:10]
    assert rated
    counts = Counter(class_ for _, class_, _ in rated)
    assert {name: n[0] for name, n in told["classes"].items()} == {
        n: counts[n] for n in ("high", "medium", "low")
    }
    hidden = json.loads(ran("--day", last, "--json", out=out)[1])["customers"]["top"]
    assert {c["customer"] for c in hidden} == {"hidden"}


def test_an_encrypted_folder_has_a_report_for_who_has_the_key(tmp_path, ran, monkeypatch):
    monkeypatch.setenv("TEST_WEIR_KEY", "ab" * 32)
    out = replayed(tmp_path, "--report", encryption="{key_env: TEST_WEIR_KEY}")
    assert Page((out / "report.html").read_text()).row("Decisions", "approve")
    status, _, err = ran("--day", "2026-03-04", out=out)
    assert status == 2
    assert "key" in err
    status, told, _ = ran(
        "--day", "2026-03-04", "--json", "--key-env", "TEST_WEIR_KEY", "--no-ratings", out=out
    )
    assert status == 0
    found = figures(json.loads(told))
    assert found["transactions"][0] > 0
    assert found["money"][0] is not None


def test_a_live_run_writes_its_page_too(tmp_path, capsys):
    made = bank(tmp_path / "bank")
    out = tmp_path / "out"
    sent = traffic(tmp_path / "traffic.ndjson", n=40)
    assert (
        cli.main(
            ["run", "--input", str(sent), "--config", str(made), "--out", str(out), "--report"]
        )
        == 0
    )
    assert str(out / "report.html") in capsys.readouterr().err
    page = Page((out / "report.html").read_text())
    assert "from arrival to durable" in page.text
    assert number(page.row("Decisions", "all")[1]) == len(ndjson(out / "decisions.ndjson"))


def test_any_field_of_the_messages_may_tell_the_region(ran, oracle):
    told = json.loads(
        ran("--day", "2026-03-04", "--json", "--no-ratings", "--region", "merchant")[1]
    )
    merchants = Counter(
        oracle.messages[d["account"], d["transaction_id"]].get("merchant", "not told")
        for d in oracle.of("2026-03-04")
    )
    assert {r["region"]: r["transactions"] for r in told["regions"]} == merchants
    for name in ("class", "no such field", "place", ""):
        told = json.loads(ran("--day", "2026-03-04", "--json", "--no-ratings", "--region", name)[1])
        assert [r["region"] for r in told["regions"]] == ["not told"]
    told = json.loads(
        ran("--day", "2026-03-04", "--json", "--no-ratings", "--region", "currency")[1]
    )
    assert {r["region"] for r in told["regions"]} >= {"CNY", "USD"}


# ---------------------------------------------------------------- what may be asked


def test_the_page_stands_in_the_folder_unless_it_is_named(ran, folder, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    status, told, _ = ran(out=out)
    assert status == 0
    assert told.strip() == str(out / "report.html")
    assert Page((out / "report.html").read_text()).tags["section"] > 8
    assert cli.main(["audit", "verify", str(out), "--chain-only"]) == 0


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--day", "2026-05-01"], "the folder holds nothing of 2026-05-01"),
        (["--day", "1 March"], "--day must be a date, was 1 March"),
        (["--day", "2026-03-04", "--json", "--html", "x.html"], "--json goes without --html"),
        (["--json"], "--json goes with --day"),
        (["--reveal"], "--reveal needs --html FILE here"),
    ],
)
def test_what_cannot_be_answered_is_said(ran, arguments, what):
    status, out, err = ran(*arguments)
    assert (status, out) == (2, "")
    assert what in err
    assert "fix:" in err


def test_no_input_is_taken_for_the_name_of_a_page(folder, capsys):
    """`weir replay --report traffic.ndjson` must not overwrite the traffic."""
    sent = folder.parent / "traffic.ndjson"
    before = sent.read_bytes()
    with pytest.raises(SystemExit):
        cli.main(["replay", "--report", str(sent), "--out", str(folder.parent / "other")])
    assert "a report is a file that ends in .html" in capsys.readouterr().err
    assert sent.read_bytes() == before


# ---------------------------------------------------------------- folders that lack something


def test_a_quiet_day_between_two_others(tmp_path, ran):
    """Days without anything in them are days too."""
    hour = 3_600_000_000
    out = write(tmp_path, decisions=[decision(1), decision(2, 48 * hour)])
    status, told, _ = ran("--day", "2026-03-03", "--json", out=out)
    assert status == 0
    report = json.loads(told)
    assert report["notes"][0] == "The folder holds no transaction of this day."
    found = figures(report)
    assert found["transactions"] == [0, 1, None]
    assert found["money"] == [None, None, None], "there is no journal"
    assert found["false_alarms"] == [None, None, None]
    page = tmp_path / "quiet.html"
    assert ran("--day", "2026-03-03", "--html", str(page), out=out)[0] == 0
    text = Page(page.read_text()).text
    assert "No alerts on this day." in text
    assert "No transaction on this day." in text
    assert ran(out=out)[0] == 0
    text = Page((out / "report.html").read_text()).text
    assert "no labels: precision and recall cannot be told" in text
    assert "There is no journal" in text


def test_freezes_releases_and_what_became_of_holds(tmp_path, ran):
    hour = 3_600_000_000
    held = {
        "kind": "",
        "first_seq": 1,
        "outcome": "approve",
        "core_time": "2026-03-02T12:00:00Z",
        "seq": 3,
    }
    out = write(
        tmp_path,
        decisions=[decision(1, decision="hold"), decision(2), decision(9, 24 * hour)],
        commands=[
            restrict(1, "r1"),
            restrict(2, "r2", hour, level="limit"),
            restrict(3, "r1", 2 * hour, verb="release", released_by=["li", "wu"]),
            restrict(3, "r3", 2 * hour, level="no_debit"),
            restrict(4, "r4", 2 * hour, level="limit"),
            restrict(5, "r4", 3 * hour, level="limit", verb="release", withdrawn=True),
            restrict(9, "r2", 24 * hour, verb="expired", level="limit"),
        ],
        resolutions=[
            held,
            {"kind": "case", "case_id": "k1", "outcome": "closed", "verdict": "genuine", "seq": 4, "core_time": held["core_time"]},
        ],
        alerts=[
            {"alert_id": "a1", "kind": "operational", "seq": 2, "reason": "SCORE_DRIFTED", "severity": "high",
             "title": "raw score of m: <b>median</b>", "core_time": "2026-03-02T11:00:00Z", "name": "m"},
            {"alert_id": "a2", "kind": "operational", "seq": 6, "reason": "COMMAND_REJECTED", "severity": "high",
             "title": "rejected", "core_time": "2026-03-02T13:00:00Z", "restriction_id": "r3"},
        ],
    )  # fmt: skip
    report = json.loads(ran("--day", "2026-03-02", "--json", out=out)[1])
    found = {key: values[0] for key, values in figures(report).items()}
    told = (
        "freezes",
        "lesser",
        "released",
        "freezes_released",
        "expired",
        "in_force",
        "freezes_in_force",
    )
    assert [found[key] for key in told] == [1, 3, 1, 1, 0, 2, 0]
    assert (found["holds_settled"], found["holds_approved"], found["cases_closed"]) == (1, 1, 1)
    assert found["model_alarms"] == 1
    assert report["alarms"][0]["about"] == "raw score of m: <b>median</b>"
    after = figures(json.loads(ran("--day", "2026-03-03", "--json", out=out)[1]))
    assert [after[key][:2] for key in ("expired", "in_force", "freezes")] == [
        [1, 0],
        [1, 2],
        [0, 1],
    ]


def test_a_folder_that_is_being_written_tells_what_is_there(folder, tmp_path, ran):
    """A torn last line is passed over, and the page says that these are the figures until now."""
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    (out / "summary.json").unlink()
    with (out / "decisions.ndjson").open("ab") as file:
        file.write(b'{"seq":99999,"transaction_id":"ne')
    with only_writer(out):
        assert ran(out=out)[0] == 0
        assert "An engine is writing this folder" in Page((out / "report.html").read_text()).text
    assert ran(out=out)[0] == 0
    text = Page((out / "report.html").read_text()).text
    assert "The run has not ended in order" in text
    assert "The run has left no figures about its data" in text
    with (out / "decisions.ndjson").open("ab") as file:
        file.write(b"\n")
    status, _, err = ran(out=out)
    assert status == 2
    assert "the line cannot be read" in err


def test_an_empty_folder_of_a_run_has_a_page(tmp_path, ran):
    out = write(tmp_path, decisions=[])
    assert ran(out=out)[0] == 0
    assert "No transaction was decided." in Page((out / "report.html").read_text()).text
    status, _, err = ran("--day", "2026-03-02", out=out)
    assert status == 2
    assert "the folder holds no decision yet" in err
