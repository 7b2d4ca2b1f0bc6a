"""What `--sweep` takes for values, and what it refuses because a person meant something else."""

import pytest

from config.errors import ConfigError
from replay.workbench.backtesting import Sweep


@pytest.mark.parametrize(
    ("values", "write"),
    [
        ("1,000,2_000", "1_000"),
        ("500,1,000", "1_000"),
        ("12,050.50 EUR", "12_050.50 EUR"),
        ("1,500 CNY,2_000 CNY", "1_500 CNY"),
    ],
)
def test_a_comma_inside_a_number_is_refused_with_what_to_write(values, write):
    with pytest.raises(ConfigError) as error:
        Sweep.of(f"R-1.params.floor={values}")
    assert f"write {write} for one number" in str(error.value)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ("100,200,300", ("100", "200", "300")),
        ("1_000, 2_000", ("1_000", "2_000")),
        ("0,500", ("0", "500")),
        ("1h,24h", ("1h", "24h")),
        ("100 EUR,200 EUR", ("100 EUR", "200 EUR")),
    ],
)
def test_values_stand_between_commas(values, found):
    assert Sweep.of(f"R-1.params.floor={values}").values == found
