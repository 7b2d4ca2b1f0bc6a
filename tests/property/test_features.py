"""Features as an analyst declares them, through the whole core, against their definition looked up in all history.

WEIR_CASES sets how many random packs and streams are tried (default 100), WEIR_MESSAGES how long a stream is (150), and
WEIR_SEED where they begin, so that a long search does not repeat the short one.
"""

import os
from collections import Counter

import pytest

from tests.declaring import feature_text, random_case, seen, write_configuration
from tests.oracles.features import Aggregate, Oracle

CASES = int(os.environ.get("WEIR_CASES", "100"))
MESSAGES = int(os.environ.get("WEIR_MESSAGES", "150"))
SEED = int(os.environ.get("WEIR_SEED", "0"))
JUMP = 30 * 86_400_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("features")
    write_configuration(path)
    return path


def agrees(feature, got, want):
    """Equal; averages and deviations up to 1e-9 of themselves."""
    if isinstance(feature, Aggregate) and feature.function in ("avg", "stddev"):
        if got is None or want is None:
            return got is want
        return abs(got - want) <= 1e-9 * abs(want)
    return got == want


def differences(case, folder):
    """(message, feature, got, want) wherever core and oracle disagree; and what the oracle saw."""
    got = seen(folder, case)
    oracle = Oracle(case.declared, case.lateness, JUMP)
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
