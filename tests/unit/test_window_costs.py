"""What window features cost: engine/windows/costs.py says of a plan what the arrays of the engine then are."""

import numpy as np
import pytest

from engine.windows.costs import alone, plan_logs, without
from engine.windows.kernels import layout as at
from engine.windows.plan import Windows
from tests.oracles.windows import Declared
from tests.windowing import make_layout, make_specs, random_features

DAY = 86_400_000_000
LATE = 45
# Words that a part has in a record, written down once more.
WORDS = {
    "horizon": 1, "count": 1, "cell": 3, "squares": 4, "group": 3, "distinct": 1, "chain": 4, "fade": 7, "pointer": 1,
    "frozen": 5,
}  # fmt: skip


def plans(features):
    layout = make_layout()
    return plan_logs(make_specs(features, layout), layout, LATE, "UTC"), layout


def of(function, width=DAY, argument=None, **more):
    decimals = 0 if argument else None
    return Declared(
        function, ("account",), width, argument=argument, decimals=decimals or 0, **more
    )


@pytest.mark.parametrize("seed", range(20))
def test_bytes_and_retention_are_those_of_the_arrays_that_the_engine_builds(seed):
    features = random_features(np.random.default_rng(seed), 25)
    found, layout = plans(features)
    logs = Windows(
        make_specs(features, make_layout()), layout, LATE, "UTC", reserved_bytes=1 << 12
    ).logs
    built = sorted(
        (log.keys, 8 * log.width + 4 + 16 * log.levels, 8 * log.event_width)
        for log in logs.values()
    )
    assert sorted((p.keys, p.entity_bytes, p.event_bytes) for p in found) == built
    assert sum(len(p.specs) for p in found) == len(features)
    longest = {log.keys: 0 for log in logs.values()}
    for log in logs.values():
        longest[log.keys] = max(longest[log.keys], int(log.plan[at.KEEP_US]))
    for plan in found:
        assert plan.kept_us <= longest[plan.keys]


@pytest.mark.parametrize("seed", range(20))
def test_taking_a_feature_out_saves_at_least_the_words_that_only_it_needs(seed):
    found, layout = plans(random_features(np.random.default_rng(seed), 25))
    for plan in found:
        for spec in plan.specs:
            rest = without(plan, spec.name, layout, "UTC")
            saved = plan.entity_bytes - sum(p.entity_bytes for p in rest)
            own = [p for p in plan.parts_of(spec.name) if plan.parts[p] == (spec.name,)]
            words = sum(WORDS.get(p.kind, 0) for p in own)
            assert saved >= 8 * words, (spec, own)
            assert alone(plan, spec.name, layout, "UTC").entity_bytes <= plan.entity_bytes


def test_features_of_one_filter_and_window_share_horizon_bit_and_accumulator():
    (plan,), _ = plans([of("sum", argument="amount"), of("avg", argument="amount"), of("count")])
    shared = {part.kind: others for part, others in plan.sharing("f2").items()}
    assert shared["bit"] == ("f0",), "a count and a sum look at the same events"
    assert shared["horizon"] == ("f0", "f1")
    assert shared["cell"] == ("f0",)
    other_filter = of("count", filter=1)
    (plan,), _ = plans([of("count"), other_filter])
    assert {part.kind for part in plan.sharing("f0")} == {"horizon"}


def test_windows_of_several_lengths_share_what_tells_values_apart():
    (plan,), _ = plans([of("count_distinct", k * DAY, "merchant") for k in (1, 2, 3)])
    assert {p.kind for p in plan.sharing("f0")} == {"column", "bit", "group"}
    (plan,), _ = plans([of("max", k * DAY, "amount") for k in (1, 2, 3)])
    assert "chain" in {p.kind for p in plan.sharing("f0")}


def test_events_are_kept_for_the_longest_window_with_the_lateness_because_of_those_that_have_it():
    (plan,), layout = plans([of("count"), of("count", 7 * DAY), of("sum", 7 * DAY, "amount")])
    assert plan.kept_us == 7 * DAY + LATE
    assert plan.kept_by == ("f1", "f2")
    (rest,) = without(plan, "f1", layout, "UTC")
    assert rest.kept_us == 7 * DAY + LATE, "f2 needs them still"
    (only,) = without(plans([of("count"), of("count", 7 * DAY)])[0][0], "f1", layout, "UTC")
    assert only.kept_us == DAY + LATE


def test_time_grows_with_distinct_parts_and_hardly_with_features_that_share_all_of_theirs():
    (one,), _ = plans([of("sum", argument="amount")])
    (ten,), _ = plans([of("sum", argument="amount")] * 10)
    (apart,), _ = plans([of("sum", k * DAY, "amount") for k in range(1, 11)])
    assert ten.nanoseconds < 1.3 * one.nanoseconds
    assert apart.nanoseconds > 1.5 * one.nanoseconds
    shares = sum(apart.share_ns(spec.name) for spec in apart.specs)
    assert shares == pytest.approx(apart.nanoseconds)
