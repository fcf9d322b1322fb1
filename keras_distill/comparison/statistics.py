"""Statistics of paired differences: standard error, t-test, several tests at once."""

import math

import numpy as np

# Of a standard normal distribution: two-sided 5 %, and the power of 80 %.
_CRITICAL, _POWER = 1.96, 0.84


def standard_error(values):
    """Returns the standard error of a mean, NaN for fewer than two values.

    Args:
        values: Numbers.
    """
    values = np.asarray(values, "float64")
    if len(values) < 2:
        return math.nan
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def paired_p_value(differences):
    """Returns the two-sided p-value of the paired t-test: how likely, if the true mean is 0.

    Args:
        differences: One difference per pair.

    Returns:
        A number in [0, 1]; NaN where the test isn't defined: for fewer than two differences, and
        where all are the same, so that there is no spread to test against.
    """
    from scipy.special import stdtr

    differences = np.asarray(differences, "float64")
    error = standard_error(differences)
    if math.isnan(error) or is_constant(differences):
        return math.nan
    return float(2 * stdtr(len(differences) - 1, -abs(differences.mean() / error)))


def is_constant(values):
    """Returns whether all numbers are the same, up to rounding.

    Args:
        values: Numbers.
    """
    values = np.asarray(values, "float64")
    return bool(np.ptp(values) <= 1e-12 * max(1.0, np.abs(values).max()))


def holm(p_values):
    """Returns p-values corrected for their number by Holm's method.

    Args:
        p_values: List of numbers; a NaN stays NaN and doesn't count.

    Reference:
        - Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.
    """
    corrected = np.full(len(p_values), math.nan)
    order = [index for index in np.argsort(p_values) if not math.isnan(p_values[index])]
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected.tolist()


def pairs_needed(differences):
    """Returns about how many pairs would tell a mean like that of these differences from 0.

    With a two-sided test at 5 % and a power of 80 %, if the mean and the spread are the true ones.

    Args:
        differences: Two or more differences that aren't all the same.

    Returns:
        An integer, or `None` where the mean is 0.
    """
    differences = np.asarray(differences, "float64")
    mean = differences.mean()
    if mean == 0:
        return None
    # Two more than the normal distribution asks for, since the spread is estimated too.
    needed = ((_CRITICAL + _POWER) * differences.std(ddof=1) / mean) ** 2 + 2
    return math.ceil(needed) if needed < 1e6 else None
