"""The C++ header and the sketch of a sensor's preprocessing, with numbers to check them."""

import numpy as np

from keras_distill.arguments import shown
from keras_distill.sensors import Sensor
from keras_distill.tflite.deploy import projects, source_literals

# Values of the check's answer that are stored: those of a large picture would fill the flash.
_STORED = 512


def check(sensor, tflite_model):
    """Checks that a sensor gives what a model takes.

    Args:
        sensor: What was given as the sensor.
        tflite_model: `TFLiteModel`.

    Raises:
        TypeError: If it isn't a `Sensor`.
        ValueError: If its shape is another one.
    """
    if not isinstance(sensor, Sensor):
        raise TypeError(
            "sensor must be of keras_distill.sensors, Window, LogMel or Camera. "
            f"Received: sensor={shown(sensor)}"
        )
    shapes = [info.shape[1:] for info in tflite_model.inputs]
    if shapes != [sensor.output_shape]:
        raise ValueError(
            f"The sensor gives inputs of shape {sensor.output_shape}, and the model takes "
            f"{', '.join(map(str, shapes))}: give the preprocessing that the model was trained "
            f"with. Received: sensor={shown(sensor)}"
        )


def files(sensor, values, name):
    """Returns the files that a sensor adds to an Arduino library.

    Args:
        sensor: `Sensor`.
        values: Dictionary from name to text that fills in the model's sources.
        name: Name of the library.

    Returns:
        Dictionary from path to text.
    """
    folder = "arduino/sensors"
    values = {**values, **_literals(sensor.constants()), **_golden(sensor)}
    return {
        f"src/{values['namespace']}_sensor.h": projects.fill(f"{folder}/{sensor.source}.h", values),
        f"src/{values['namespace']}_sensor_check.h": projects.fill(f"{folder}/check.h", values),
        f"examples/{name}_live/{name}_live.ino": projects.fill(f"{folder}/live.ino", values),
        tab(name): projects.fill(f"{folder}/read_{sensor.source}.ino", values),
    }


def readme(values):
    """Returns what a sensor adds to the README.

    Args:
        values: Dictionary from name to text that fills in the model's sources.
    """
    return projects.fill("arduino/sensors/live.md", values)


def tab(name):
    """Returns the path of the file that reads the sensor, which the user may edit.

    Args:
        name: Name of the library.
    """
    return f"examples/{name}_live/read_sensor.ino"


def _golden(sensor):
    """Returns evenly spaced values of the model's input for the test recording."""
    answer = sensor(sensor.test_recording()).ravel()
    stride = -(-len(answer) // _STORED)
    return _literals(
        {
            "check_stride": stride,
            "check_values": answer[::stride],
            "check_tolerance": np.float32(sensor.tolerance),
        }
    )


def _literals(constants):
    return {name: _literal(value) for name, value in constants.items()}


def _literal(value):
    if np.ndim(value):
        return source_literals.c_numbers(value)
    return str(value) if isinstance(value, int) else source_literals.c_float(value)
