"""Base class of the preprocessing of sensors."""

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np

from keras_distill.arguments import shown


class Sensor(abc.ABC):
    """Base class: preprocessing that a project for a board has too.

    A subclass is a frozen dataclass whose fields are the preprocessing's parameters. Calling it
    turns recordings into inputs of a model; `TFLiteModel.to_arduino(..., sensor=...)` writes the
    same computation in C++.
    """

    # Name of its header and its sketch in `export/arduino/sensors`.
    source: ClassVar[str]
    # Largest difference between a board's input values and these that is rounding.
    tolerance: ClassVar[float]
    # What makes each subclass a dataclass.
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field]]

    def _set(self, name, value):
        """Sets a field to its checked value, which a frozen dataclass refuses."""
        object.__setattr__(self, name, value)

    @property
    @abc.abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one input of the model."""

    @abc.abstractmethod
    def __call__(self, recordings: Any) -> np.ndarray:
        """Returns the inputs of a model, float32 of shape `(samples, *output_shape)`."""

    @abc.abstractmethod
    def constants(self) -> dict[str, Any]:
        """Returns what its C++ source is filled in with: name to number or array of them."""

    @abc.abstractmethod
    def test_recording(self) -> np.ndarray:
        """Returns recordings for one input, which a board makes too, to check itself."""

    def get_config(self) -> dict[str, Any]:
        """Returns the parameters, for `from_config`; all of them can be written as JSON."""
        return {"class_name": type(self).__name__, **dataclasses.asdict(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Sensor":
        """Returns the preprocessing of which these are the parameters.

        Args:
            config: Dictionary as `get_config` returns it. Called on `Sensor`, it makes the class
                that the dictionary names.

        Raises:
            TypeError: If it isn't a dictionary.
            ValueError: If it names another class, or other parameters.

        Example:

        ```python
        from keras_distill import sensors

        window = sensors.Window(length=100, rate=50, mean=(0, 0, 1))
        assert Sensor.from_config(window.get_config()) == window
        ```
        """
        if not isinstance(config, dict):
            raise TypeError(f"config must be a dictionary. Received: config={shown(config)}")
        known = {kind.__name__: kind for kind in (cls, *cls.__subclasses__())}
        name = config.get("class_name")
        made = known.get(name) if isinstance(name, str) else None
        if made is None or made is Sensor:
            names = ", ".join(repr(name) for name in known if name != "Sensor")
            raise ValueError(
                f"class_name in config must be one of {names}. Received: config={shown(config)}"
            )
        parameters = {name: value for name, value in config.items() if name != "class_name"}
        fields = {field.name for field in dataclasses.fields(made)}
        if parameters.keys() != fields:
            raise ValueError(
                f"config must hold {', '.join(sorted(fields))}. Received: config={shown(config)}"
            )
        return made(**parameters)


def random_words(count: int) -> np.ndarray:
    """Returns the upper 16 bits of a linear congruential generator, which boards have too.

    Args:
        count: How many.

    Returns:
        Array of shape `(count,)` of int64, from 0 to 65,535.
    """
    words, state = np.empty(count, "int64"), 1
    for index in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        words[index] = state >> 16
    return words
