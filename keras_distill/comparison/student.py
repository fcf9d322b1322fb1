"""The function that makes the students: checked, and told from another one."""

import hashlib
import json

import keras

from keras_distill._compat import all_layers
from keras_distill.arguments import check_model, shown, takes
from keras_distill.cache import manifest
from keras_distill.comparison.settings import described


def example_of(make_student):
    """Returns a student, having checked that each call gives another one.

    Args:
        make_student: Function without arguments.

    Raises:
        TypeError: If it is something else, or returns something else than a model.
        ValueError: If it returns the same weights each time.
    """
    if isinstance(make_student, keras.Model) or not callable(make_student):
        raise TypeError(
            "make_student must be a function without arguments that returns a new student for "
            f"each run, lambda: build(...). Received: make_student={shown(make_student)}"
        )
    if not takes(make_student, 0):
        raise TypeError(
            "make_student must take no arguments: lambda: make_student(...). "
            f"Received: make_student={shown(make_student)}"
        )
    first, second = (check_model("what make_student returns", make_student()) for _ in range(2))
    weights = {id(weight) for weight in first.weights}
    if first is second or any(id(weight) in weights for weight in second.weights):
        raise ValueError(
            "make_student must return a new student with weights of its own each time, since each "
            f"run starts from the beginning. Received: make_student={shown(make_student)}, which "
            "returned the same weights twice"
        )
    return first


def student_fingerprint(make_student):
    """Returns a checksum of a student's layers and of its initial weights with the seed 0.

    Args:
        make_student: Function without arguments.
    """
    keras.utils.set_random_seed(0)
    student = make_student()
    layers = [
        [type(layer).__name__, [] if isinstance(layer, keras.Model) else described(layer)]
        for layer in all_layers(student)
    ]
    # The names that Keras gives count up with each model.
    text = json.dumps([_without_names(layers), manifest.weights_checksum(student)])
    return hashlib.sha256(text.encode()).hexdigest()


def _without_names(value):
    if isinstance(value, dict):
        return {key: _without_names(part) for key, part in value.items() if key != "name"}
    return [_without_names(part) for part in value] if isinstance(value, list) else value
