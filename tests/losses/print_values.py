"""Prints the value of every loss without variables, on the backend of `KERAS_BACKEND`."""

import json
import os

import keras

from tests.losses.cases import CASES, known

if __name__ == "__main__":
    assert keras.backend.backend() == os.environ["KERAS_BACKEND"]
    values = {}
    for case in CASES:
        if case.exact:
            teacher, student = (
                keras.tree.map_structure(keras.ops.convert_to_tensor, side)
                for side in case.inputs(dtype="float32")
            )
            values[case.name] = float(case.loss().compute_loss(teacher, student, **known()))
    print(json.dumps(values))
