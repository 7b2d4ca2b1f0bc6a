"""Columns that rows take over, and that are kept: the kernels against a loop that says the same, cell by cell."""

import numpy as np
import pytest

from engine.kernels.taking import BLOCK, keep_columns, take_over


def missing(value, *, is_code):
    return value < 0 if is_code else value != value


def naive(plane, columns, places, rows, sources, at, kept, *, is_code):
    """Row by row, so that what a row takes from one before it is what that one has by then."""
    for row, source, place in zip(rows, sources, at, strict=True):
        for column, here in zip(columns, places, strict=True):
            if missing(plane[column, row], is_code=is_code):
                plane[column, row] = kept[place, here] if source < 0 else plane[column, source]


@pytest.mark.parametrize("seed", range(4))
def test_rows_take_over_what_they_lack_from_the_store_or_from_a_row_before_them(seed):
    """More rows than a block, and chains of rows within one."""
    rng = np.random.default_rng(seed)
    n, m = 3 * BLOCK, 50
    number = np.where(rng.random((7, n)) < 0.5, np.nan, rng.random((7, n)))
    code = rng.integers(-1, 4, (5, n)).astype(np.int32)
    kept = np.where(rng.random((m, 6)) < 0.2, np.nan, rng.random((m, 6)))
    kept_code = rng.integers(-1, 4, (m, 4)).astype(np.int32)
    columns, places = rng.permutation(7)[:4], rng.permutation(6)[:4]
    coded, coded_places = rng.permutation(5)[:3], rng.permutation(4)[:3]
    rows = np.sort(rng.permutation(n)[: 2 * BLOCK])
    sources = np.array([-1 if row == 0 or row % 3 else row - 1 - row % 2 for row in rows])
    at = rng.integers(0, m, len(rows))
    expected, expected_code = number.copy(), code.copy()
    naive(expected, columns, places, rows, sources, at, kept, is_code=False)
    naive(expected_code, coded, coded_places, rows, sources, at, kept_code, is_code=True)
    take_over(
        number, code, columns, places, coded, coded_places, rows, sources, at, kept, kept_code
    )
    np.testing.assert_array_equal(number, expected)
    np.testing.assert_array_equal(code, expected_code)


def test_what_is_kept_is_what_stands_in_the_rows():
    rng = np.random.default_rng(5)
    n = 2 * BLOCK + 3
    number, code = rng.random((7, n)), rng.integers(-1, 4, (5, n)).astype(np.int32)
    columns, coded = np.array([6, 0, 3]), np.array([4, 1])
    rows, at = np.arange(1, n), rng.permutation(n)[1:]
    kept, kept_code = np.full((n, 3), -5.0), np.full((n, 2), -5, np.int32)
    keep_columns(number, code, columns, coded, rows, at, kept, kept_code)
    np.testing.assert_array_equal(kept[at], number[columns][:, rows].T)
    np.testing.assert_array_equal(kept_code[at], code[coded][:, rows].T)
    untouched = np.setdiff1d(np.arange(n), at)
    assert (kept[untouched] == -5.0).all()
    assert (kept_code[untouched] == -5).all()
