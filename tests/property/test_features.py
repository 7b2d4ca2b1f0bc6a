"""Features as an analyst declares them, through the whole core, against their definition looked up in all history.

WEIR_CASES sets how many random packs and streams are tried (default 100), WEIR_MESSAGES how long a stream is (150), and
WEIR_SEED where they begin, so that a long search does not repeat the short one.
"""

import os
from collections import Counter

import pytest

from tests.declaring import Case, feature_text, random_case, seen, write_configuration
from tests.oracles.features import Aggregate, Oracle

CASES = int(os.environ.get("WEIR_CASES", "100"))
MESSAGES = int(os.environ.get("WEIR_MESSAGES", "150"))
SEED = int(os.environ.get("WEIR_SEED", "0"))
HOUR = 3_600_000_000
DAY = 24 * HOUR
JUMP = 30 * DAY
MIDNIGHT = 20_500 * DAY


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("features")
    write_configuration(path)
    return path


def agrees(feature, got, want):
    """Equal; averages, deviations and what fades up to 1e-9 of themselves."""
    if isinstance(feature, Aggregate) and (feature.half or feature.function in ("avg", "stddev")):
        if got is None or want is None:
            return got is want
        return abs(got - want) <= 1e-9 * abs(want) + 1e-15 * bool(feature.half)
    if isinstance(feature, Aggregate) and feature.function == "entropy" and want and got:
        return abs(got - want) <= 2e-9
    return got == want


def differences(case, folder):
    """(message, feature, got, want) wherever core and oracle disagree; and what the oracle saw."""
    got = seen(folder, case)
    oracle = Oracle(case.declared, case.lateness, JUMP, case.zone)
    found, compared = [], Counter()
    for i, message in enumerate(case.messages):
        want = oracle.take(i, message)
        if want is None or got[i] is None:
            if want is not got[i]:
                found.append((i, "is it read?", got[i], want))
            continue
        for name, feature in case.declared.items():
            compared["missing" if want[name] is None else "present"] += 1
            if not agrees(feature, got[i][name], want[name]):
                found.append((i, name, got[i][name], want[name]))
    return found, compared, Counter(oracle.counts)


def test_every_feature_is_what_its_declaration_says(folder):
    compared, kinds = Counter(), Counter()
    for seed in range(SEED, SEED + CASES):
        case = random_case(seed, MESSAGES)
        found, values, messages = differences(case, folder)
        if found:
            i, name, got, want = found[0]
            declared = "\n".join(f"  {n}: {feature_text(f)}" for n, f in case.declared.items())
            pytest.fail(
                f"seed {seed}, message {i}, feature {name}: the core says {got}, must be {want} "
                f"({len(found)} differences)\n{declared}\n  {case.messages[i]}"
            )
        compared += values
        kinds += messages
    print(f"{CASES} packs, {dict(kinds)}, {dict(compared)} values, no difference")
    assert compared["present"] > compared["missing"] / 3
    if CASES >= 40:
        wanted = (
            "late", "late activity", "duplicate", "conflict", "update", "update of a late one", "repeated fact",
            "label", "unknown", "profile", "refused",
        )  # fmt: skip
        assert [kind for kind in wanted if not kinds[kind]] == []


# What random streams meet seldom. Each with all messages in one batch, one by one, and with a new core before each.


def paid(name, hour, amount, **more):
    """A payment of account A1."""
    message = {
        "kind": "transaction",
        "transaction_id": name,
        "account": "A1",
        "currency": "EUR",
        "type": "payment",
    }
    return message | {"event_time": MIDNIGHT + hour * HOUR, "amount": amount} | more


def fact(kind, name, hour, **more):
    """An update or a label of that payment."""
    message = {
        "kind": kind,
        "transaction_id": name,
        "account": "A1",
        "event_time": MIDNIGHT + hour * HOUR,
    }
    return message | ({"update_id": f"{name}-{hour}"} if kind == "update" else {}) | more


EXAMPLES = {
    "an updated payment stays at its own hour": (
        {"at_night": "count() by account over 2d where hour(event_time) < 6", "last_time": "last(event_time) by account over 2d prior"},
        [paid("a", 3, 100), fact("update", "a", 9, status="booked"), paid("b", 10, 100)],
        {"at_night": 1, "last_time": MIDNIGHT + 3 * HOUR},
    ),
    "an expression follows the amount of an update": (
        {"usual": "avg(amount) by account over 1d prior", "ratio": "amount / usual", "large": "count() by account over 1d where ratio > 2"},
        [paid("a", 1, 100), paid("b", 2, 150), fact("update", "b", 3, amount=400), paid("c", 4, 100)],
        {"usual": 250, "ratio": 0.4, "large": 1},
    ),
    "an expression of an update reads what was known at the payment": (
        {"gap": "time_since_last() by account over 30d prior", "idle_for": "gap ?? 400d", "woken": "count() by account over 30d where idle_for > 180d"},
        [paid("a", 1, 100), paid("b", 2, 100), fact("update", "b", 3, status="booked"), paid("c", 4, 100)],
        {"gap": 2 * HOUR, "woken": 1},
    ),
    "an expression of a label is that of its payment": (
        {"hour_of": "hour(event_time)", "night_frauds": 'count() by account over 2d where label == "fraud" and hour_of < 6'},
        [paid("a", 3, 100), fact("label", "a", 12, label="fraud"), paid("b", 13, 100)],
        {"night_frauds": 1},
    ),
    "a label follows the update before it": (
        {"lost": 'sum(amount) by account over 2d where label == "fraud" and status == "booked"'},
        [paid("a", 3, 100), fact("update", "a", 4, status="booked", amount=70), fact("label", "a", 12, label="fraud"), paid("b", 13, 100)],
        {"lost": 70},
    ),
    "an update keeps the text": (
        {"rents": 'count() by account over 2d where purpose contains "rent"'},
        [paid("a", 1, 100, purpose="rent for May"), fact("update", "a", 2, status="booked"), paid("b", 3, 100, purpose="thanks")],
        {"rents": 1},
    ),
    "a label has the text of its payment": (
        {"rent_frauds": 'count() by account over 2d where label == "fraud" and purpose contains "rent"'},
        [paid("a", 1, 100, purpose="rent for May"), fact("label", "a", 2, label="fraud"), paid("b", 3, 100, purpose="thanks")],
        {"rent_frauds": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("cut", ["one batch", "one by one", "restarted"])
@pytest.mark.parametrize("example", EXAMPLES)
def test_updates_and_labels_stand_for_their_payment(folder, example, cut):
    declared, messages, want = EXAMPLES[example]
    cuts = [] if cut == "one batch" else list(range(len(messages)))
    case = Case(declared, messages, cuts, 0, restarts=float(cut == "restarted"))
    last = seen(folder, case)[-1]
    assert {name: last[name] for name in want} == want
