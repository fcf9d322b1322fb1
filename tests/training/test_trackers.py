"""The means over the samples that the history shows."""

import keras
import numpy as np
import pytest

from keras_distill.training.trackers import update_means


def test_means_are_those_of_keras_over_batches_of_several_sizes():
    ours, kerass = ([keras.metrics.Mean(name=name) for name in "ab"] for _ in range(2))
    for size, values in ((4, {"a": 1.5, "b": np.float16(3.0)}), (2, {"a": -2.0})):
        update_means(ours, values, {"image": np.zeros((size, 3)), "text": np.zeros((size, 1))})
        for mean in kerass:
            if mean.name in values:
                mean.update_state(values[mean.name], sample_weight=size)
    for mine, mean in zip(ours, kerass, strict=True):
        np.testing.assert_array_equal(mine.variables, mean.variables)
    assert [float(mean.result()) for mean in ours] == [pytest.approx(1 / 3), 3.0]


def test_a_loss_without_a_tracker_is_an_error():
    with pytest.raises(KeyError, match="other"):
        update_means([keras.metrics.Mean(name="a")], {"other": 1.0}, np.zeros(4))
