"""What holds for the preprocessing of every sensor."""

import json

import numpy as np
import pytest

from keras_distill import sensors

SENSORS = [
    sensors.Window(length=20, step=3, rate=25, mean=0.5),
    sensors.Window(gyroscope=True, mean=[0, 1, 2, 3, 4, 5], std=(1, 2, 3, 4, 5, 6)),
    sensors.LogMel(samples=3_000, bands=10, level=False),
    sensors.Camera(height=20, width=30, mean=(120, 121, 122), std=60),
    sensors.Camera(channels=1),
]
every_sensor = pytest.mark.parametrize("sensor", SENSORS, ids=repr)


@every_sensor
def test_the_config_makes_the_same_preprocessing(sensor):
    config = json.loads(json.dumps(sensor.get_config()))
    again = sensors.Sensor.from_config(config)
    recording = sensor.test_recording()
    np.testing.assert_array_equal(again(recording), sensor(recording))
    assert type(sensor).from_config(config).get_config() == sensor.get_config()


@every_sensor
def test_the_test_recording_makes_one_input(sensor):
    made = sensor(sensor.test_recording())
    assert made.shape == (1, *sensor.output_shape) and made.dtype == np.float32
    assert np.std(made) > 0.1


@pytest.mark.parametrize(
    "config", [{}, {"class_name": "Sensor"}, {"class_name": "Window", "size": 3}]
)
def test_a_config_of_something_else_is_refused(config):
    with pytest.raises(ValueError, match=r"config must .*Received: config="):
        sensors.Sensor.from_config(config)
    with pytest.raises(TypeError, match="config must be a dictionary"):
        sensors.Sensor.from_config("Window")
