"""Amounts that were computed as binary floats mean the decimal beside them, and nothing else does."""

from engine.brokers.mapping import _without_noise


def test_a_float_that_misses_a_cent_by_rounding_is_that_cent():
    """What the handbook's simulator made of 17.13 * 5."""
    assert _without_noise([85.64999999999999, 57.16, 0.1 + 0.2], ["EUR"] * 3, "major") == [
        85.65,
        57.16,
        0.3,
    ]


def test_a_fraction_of_a_cent_stays_wrong():
    """It is refused later: money is never made up."""
    assert _without_noise([10.005, 1e-9], ["EUR", "EUR"], "major") == [10.005, 1e-9]


def test_the_currency_says_how_small_money_gets():
    """Three decimals in Kuwait, none in Japan, and none where the currency is unknown."""
    noisy = [1.2350000000000001, 7.000000000000001]
    assert _without_noise(noisy, ["KWD", "JPY"], "major") == [1.235, 7.0]
    assert _without_noise([1.2350000000000001], [None], "major") == [1.2350000000000001]


def test_a_text_is_taken_at_its_word():
    """Somebody wrote it."""
    assert _without_noise(["85.64999999999999"], ["EUR"], "major") == ["85.64999999999999"]
