"""Statistics of paired differences, beside SciPy and numbers worked out by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from keras_distill.comparison import statistics


@pytest.mark.parametrize("count", [2, 3, 8, 30])
def test_the_p_value_is_that_of_the_paired_t_test(count):
    rng = np.random.default_rng(count)
    first, second = rng.normal(0.5, 1.0, count), rng.normal(size=count)
    found = statistics.paired_p_value(first - second)
    assert found == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-9)
    error = statistics.standard_error(first - second)
    assert error == pytest.approx(stats.sem(first - second), rel=1e-12)


def test_one_difference_has_no_error_and_equal_ones_have_no_test():
    assert math.isnan(statistics.standard_error([0.3]))
    assert math.isnan(statistics.paired_p_value([0.3]))
    assert math.isnan(statistics.paired_p_value([0.0, 0.0, 0.0]))
    assert math.isnan(statistics.paired_p_value([0.1 + 0.2, 0.3, 0.3]))


def test_holm_is_as_worked_out_by_hand():
    # Ascending 0.01, 0.02, 0.04 are multiplied by 3, 2 and 1, and never fall.
    found = statistics.holm([0.04, 0.01, math.nan, 0.02])
    np.testing.assert_allclose(found, [0.04, 0.03, math.nan, 0.04])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_about_as_many_pairs_as_needed_have_a_power_of_80_percent():
    differences = np.array([0.0, 1.0, -1.0, 2.0])
    needed = statistics.pairs_needed(differences)
    rng = np.random.default_rng(0)
    draws = rng.normal(differences.mean(), differences.std(ddof=1), (4000, needed))
    power = np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05)
    assert 0.76 < power < 0.86
    assert statistics.pairs_needed([1.0, -1.0]) is None
