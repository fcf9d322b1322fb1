"""Sample indices of data sets and arrays."""

import numpy as np
import pytest

from keras_distill import datasets


def test_with_sample_index_takes_a_data_set_or_arrays():
    for value in ("text", None, np.zeros((4, 2)), [np.zeros(4), np.zeros(4)]):
        with pytest.raises(TypeError, match=r"dataset must be a tf.data.Dataset or a tuple"):
            datasets.with_sample_index(value)
    for value in ((np.zeros(4), np.zeros(3)), (["\ud800"], ["a"])):
        with pytest.raises(ValueError, match=r"dataset must be arrays of numbers, as many"):
            datasets.with_sample_index(value)
