"""Pruning schedules are checked, wherever they are given."""

import keras
import numpy as np
import pytest

from keras_distill.compression import PrunedConv1D, PrunedDense, PruningSchedule


def test_an_empty_dictionary_is_the_default_schedule():
    layer = PrunedDense(4, schedule={})
    assert layer.schedule == PruningSchedule()
    layer(np.ones((1, 8), "float32"), training=True)
    assert np.mean(layer.kernel == 0) == 0.5


def test_a_layer_keeps_its_schedule_in_its_config():
    layer = PrunedDense(4, schedule={"sparsity": 0.75, "end_step": np.int64(8)})
    config = layer.get_config()
    assert config["schedule"] == {
        "sparsity": 0.75,
        "pattern": None,
        "begin_step": 0,
        "end_step": 8,
        "frequency": 1,
        "initial_sparsity": 0.0,
    }
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.schedule == PruningSchedule(0.75, end_step=8)


@pytest.mark.parametrize(
    ("schedule", "error", "message"),
    [
        (None, TypeError, r"schedule must be a PruningSchedule.*Received: schedule=None"),
        ([], TypeError, r"schedule must be a PruningSchedule.*Received: schedule=\[\]"),
        ({"speed": 1}, TypeError, r"its arguments \(begin_step, .*Received: schedule={'speed': 1}"),
        ({"sparsity": 0.0}, ValueError, r"sparsity must be in \(0, 1\)\. Received: sparsity=0.0"),
        ({"sparsity": None}, TypeError, r"sparsity must be a number\. Received: sparsity=None"),
        ({"frequency": 0}, ValueError, r"frequency must be at least 1\. Received: frequency=0"),
        ({"begin_step": 3, "end_step": 3}, ValueError, "end_step must be at least 4"),
        ({"initial_sparsity": 0.1}, ValueError, r"needs end_step.*Received: initial_sparsity=0.1"),
        (
            {"pattern": "2:4", "end_step": 9},
            ValueError,
            r"leave sparsity and the schedule out\. Received: pattern='2:4', end_step=9",
        ),
    ],
)
def test_what_is_no_schedule_is_refused_by_the_layer(schedule, error, message):
    with pytest.raises(error, match=message):
        PrunedConv1D(4, 3, schedule=schedule)
