"""Laws of the last stage: cuts are invisible, scores and bands are the naive ones, what automation does is bounded."""

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.decisions import DecisionSettings
from tests.deciding import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Bench,
    action,
    alert,
    command,
    fires,
    report,
    restrict,
    rule,
)

ORDER = ["approve", "review", "challenge", "hold", "decline"]
LEVELS = ["watch", "limit", "amount_hold", "no_debit", "no_credit", "full_freeze"]
RULES = (
    rule("R1", alert(), restrict("card", hours=1, per_hour=3), dedup=["card"], dedup_hours=2),
    rule("R2", alert(), action("hold"), restrict("account", "no_debit", hours=2, per_hour=2)),
    rule("R3", action("challenge", max_per_hour=2), if_undecided=(310.0, "review"), rollout_by="card", rollout_percent=50.0),
    rule("R4", restrict("card", "limit", hours=1, amount_minor=500), mode="shadow", exceptions=("EX",)),
    rule("R5", alert(), restrict("account", "watch", hours=5), exceptions=("EX",), dedup=["account", "card"], dedup_hours=1),
    rule("R6", if_undecided=(40.0, "")),
    rule("R7", mode="off"),
    rule("R8", report(by=["account"]), report("odd", by=["card", "account"]), exceptions=("EX",)),
    rule("R9", alert(), report(by=["account"]), dedup=["account"], dedup_hours=1),
)  # fmt: skip
IDS = [r.id for r in RULES if r.mode != "off"]
SETTINGS = DecisionSettings(
    max_holds_per_hour=3,
    automation_max="3h",
    automation_span="12h",
    models_alone={"review": 0.9},
    evidence_score=0,
    cool_down="2h",
    breaker_minimum=2,
    breaker_window="2h",
    hold_for="1h",
    hold_then="release",
)


def stream(seed, n=120):
    """Rows of all kinds from one seed; commands name restrictions and alerts by what an earlier run gave them."""
    rng = np.random.default_rng(seed)
    rows, at = [], 0
    for _ in range(n):
        at += int(rng.choice([0, SECOND, MINUTE, 10 * MINUTE, HOUR], p=[0.3, 0.3, 0.2, 0.15, 0.05]))
        truth = {}
        for id_ in IDS:
            if rng.random() < 0.15:
                truth[id_] = True if rng.random() < 0.6 else int(rng.integers(1, 4))
        row = {
            "at": at,
            "kind": str(
                rng.choice(["transaction", "activity", "tick", "label"], p=[0.85, 0.1, 0.03, 0.02])
            ),
            "account": f"A{rng.integers(4)}",
            "card": f"C{rng.integers(4)}" if rng.random() < 0.9 else None,
            "type": str(rng.choice(["payment", "card_auth", "refund"])),
            "direction": str(rng.choice(["in", "out"])) if rng.random() < 0.8 else None,
            "amount": float(rng.integers(0, 1_000)),
            "channel": str(rng.choice(["web", "branch"])),
            "truth": truth,
            "points": {id_: float(rng.choice([0, 12.5, 120, 400, 650])) for id_ in IDS},
            "excepted": {id_: 1 for id_ in ("R4", "R5", "R8") if rng.random() < 0.2},
            "outside": ["R3"] if rng.random() < 0.5 else [],
            "models": {
                "champion": round(float(rng.random()), 6),
                "trees": round(float(rng.random()), 6),
            },
            "foreign": bool(rng.random() < 0.05),
        }
        if row["kind"] == "transaction" and rng.random() < 0.05:
            row |= {"late": True, "at": at - 2 * DAY}
        if row["kind"] == "transaction" and rng.random() < 0.03:
            row |= {"kind": "dead", "unscorable": row["type"]}
        elif rng.random() < 0.05 and rows:
            row |= {"kind": "duplicate", "first": int(rng.integers(len(rows)))}
        rows.append(row)
    return rows


def with_commands(seed, rows):
    """Put commands between the rows that touch what a first run without them has set off."""
    rng = np.random.default_rng(seed + 1)
    bench = make().run(rows)
    restrictions = [
        line["restriction_id"] for line in bench.lines("commands") if "restriction_id" in line
    ]
    alerts = [line["alert_id"] for line in bench.lines("alerts") if "alert_id" in line]
    out = list(rows)
    waiting = [line for line in bench.lines("decisions") if "hold" in line or "challenge" in line]
    for _ in range(20):
        who = {"by": str(rng.choice(["ann", "bob"])), "reason": "because", "legal_basis": "law"}
        given_ = [
            command(
                "restrict",
                **who,
                entity={"account": f"A{rng.integers(6)}"},
                level=str(rng.choice(LEVELS[3:])),
                **{"for": "90m"},
            ),
            command(
                "suppress",
                **who,
                rule="R2",
                entity={"account": f"A{rng.integers(4)}"},
                until="2026-03-02T15:00:00Z",
            ),
            command("rule_off", **who, rule=str(rng.choice(["R3", "R6"])), **{"for": "2h"}),
            command("rule_on", **who, rule="R6"),
            command("mode", **who, effect=str(rng.choice(["observe", "enforce"]))),
            command("release_rule", **who, rule="R2", since="2026-03-02"),
        ]
        if restrictions:
            id_ = str(rng.choice(restrictions))
            given_ += [
                command(name, restriction_id=id_, **who)
                for name in ("acknowledge", "reject", "release", "release")
            ]
        if waiting:
            line = waiting[rng.integers(len(waiting))]
            about = {key: line[key] for key in ("account", "transaction_id")}
            given_ += [
                command(name, **who, **about, outcome="approve")
                for name in ("challenge_passed", "challenge_failed", "resolve")
            ]
        if alerts:
            given_.append(command("resolve", alert_id=str(rng.choice(alerts)), **who))
        out.insert(int(rng.integers(len(out) + 1)), given_[rng.integers(len(given_))])
    return out


def make():
    return Bench(*RULES, settings=SETTINGS, effect="enforce", max_freezes_per_hour=4)


@pytest.mark.parametrize("seed", range(12))
def test_batch_boundaries_never_change_a_byte(seed):
    """Any cut gives the same streams, answers and state; every row a batch of its own, sevens, and random cuts."""
    rows = with_commands(seed, stream(seed))
    rng = np.random.default_rng(seed)
    whole = make().run(rows)
    assert len(whole.lines("commands")) > 3
    assert len(whole.lines("reports")) > 9
    for cuts in (
        range(1, len(rows)),
        range(7, len(rows), 7),
        sorted(rng.integers(0, len(rows), 4).tolist()),
    ):
        cut = make().run(rows, [c for c in cuts if 0 < c < len(rows)])
        assert cut.streams == whole.streams
        assert cut.answers == whole.answers
        assert cut.matches == whole.matches
        assert cut.decider.save()["state"].tobytes() == whole.decider.save()["state"].tobytes()


@pytest.mark.parametrize("seed", range(6))
def test_a_restart_never_changes_a_byte(seed):
    rows = with_commands(seed, stream(seed))
    calm, at = make().run(rows), len(rows) // 3
    broken = make().run(rows[:at]).restart().run(rows[at : 2 * at]).restart().run(rows[2 * at :])
    assert broken.streams == calm.streams
    assert broken.decider.save()["state"].tobytes() == calm.decider.save()["state"].tobytes()


@pytest.mark.parametrize("seed", range(6))
def test_a_quiet_row_reads_the_same_through_the_loud_path(seed):
    """Whether a row is written with the others or by itself shows nowhere in its bytes."""
    rows = stream(seed)
    quick, slow = make().run(rows), make()
    survey = slow.decider._survey.of_batch

    def all_loud(work):
        patterns = survey(work)
        work.enqueue(np.flatnonzero(work.inputs.kind == 1).tolist())
        return patterns

    slow.decider._survey.of_batch = all_loud
    slow.run(rows)
    assert slow.streams == quick.streams


@pytest.mark.parametrize("seed", range(6))
def test_no_command_or_freeze_is_unbounded(seed):
    """Caps hold in every sliding hour, the breaker over all rules, 3 h in 12 h an entity; everything has an end."""
    bench = make().run(stream(seed, 400))
    commands = bench.lines("commands")
    assert all(line["expires_at"] > line["started_at"] for line in commands)
    imposed = [line for line in commands if line["verb"] == "restrict"]
    time = lambda text: int(np.datetime64(text[:-1], "us").astype(np.int64))  # noqa: E731
    limits = {"R1": (3, ["R1"]), "R2": (2, ["R2"]), "pack": (4, ["R1", "R2"])}
    for limit, rules in limits.values():
        begun = [time(line["started_at"]) for line in imposed if line["rule"] in rules]
        assert all(sum(t - HOUR < u <= t for u in begun) <= limit for t in begun)
    ended = {
        line["restriction_id"]: time(line["core_time"])
        for line in commands
        if line["verb"] != "restrict"
    }
    spans = {}
    for line in imposed:
        if line["level"] != "watch":
            end = ended.get(line["restriction_id"], time(line["expires_at"]))
            spans.setdefault(str(line["entity"]), []).append((time(line["started_at"]), end))
    for of_entity in spans.values():
        for _, last in of_entity:
            minutes = set()  # of an hour each is exact: all times here are whole seconds
            for a, b in of_entity:
                minutes |= set(range(max(a, last - 12 * HOUR) // SECOND, min(b, last) // SECOND))
            assert len(minutes) <= 3 * 3_600
    assert any("CAP_REACHED" in line["reasons"] for line in bench.lines("decisions"))


@pytest.mark.parametrize("cuts", [(), range(1, 10)])
def test_ten_matches_of_a_hold_rule_are_ten_holds_and_of_a_freeze_rule_one_freeze(cuts):
    rows = [fires("H", at=i * MINUTE) for i in range(10)]
    bench = Bench(rule("H", alert(), action("hold"), dedup=["card"])).run(rows, cuts)
    assert bench.decisions() == ["hold"] * 10
    rows = [fires("F", at=i * MINUTE) for i in range(10)]
    bench = Bench(rule("F", alert(), restrict("card"), dedup=["card"])).run(rows, cuts)
    assert [line["verb"] for line in bench.lines("commands")] == ["restrict"]
    assert [line["kind"] for line in bench.lines("alerts")] == ["rule"] + ["update"] * 9
    assert bench.lines("alerts")[-1]["count"] == 10


def naive_score(combine, points):
    """In exact fractions, rounded half to even at six decimals at the very end."""
    exact = [Fraction(p) for p in points]
    if not exact:
        total = Fraction(0)
    elif combine == "sum":
        total = sum(exact)
    elif combine == "max":
        total = max(exact)
    else:
        missed = Fraction(1)
        for p in exact:
            missed *= 1 - min(max(p, Fraction(0)), Fraction(1000)) / 1000
        total = 1000 * (1 - missed)
    total = min(max(total, Fraction(0)), Fraction(1000))
    whole = (Decimal(total.numerator) / Decimal(total.denominator)).quantize(
        Decimal("0.000001"), ROUND_HALF_EVEN
    )
    return float(whole)


points = st.lists(
    st.one_of(st.integers(-200, 1200).map(float), st.integers(-2_000, 9_600).map(lambda k: k / 8)),
    max_size=6,
)


@given(st.lists(points, min_size=1, max_size=8), st.sampled_from(["sum", "max", "noisy_or"]))
def test_scores_and_bands_are_those_of_a_naive_twin(rows, combine):
    rules = [
        rule(f"R{k}", action("challenge") if k == 0 else action("tag", tag="t")) for k in range(6)
    ]
    bench = Bench(*rules, combine=combine)
    bench.batch(
        [
            fires(*(f"R{k}" for k in range(len(p))), points={f"R{k}": v for k, v in enumerate(p)})
            for p in rows
        ]
    )
    for line, p in zip(bench.lines("decisions"), rows, strict=True):
        score = naive_score(combine, p)
        assert line["score"] == pytest.approx(score, abs=1.1e-6 if combine == "noisy_or" else 0)
        band = next(
            (
                d
                for low, high, d in [
                    (0, 300, "approve"),
                    (300, 600, "review"),
                    (600, 850, "challenge"),
                ]
                if low <= line["score"] < high
            ),
            "hold",
        )
        least = "challenge" if p else "approve"
        assert line["decision"] == max(band, least, key=ORDER.index)
