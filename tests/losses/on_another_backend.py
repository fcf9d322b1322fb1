"""Prints the value of every loss without variables, and what a distiller says, on a backend."""

import json
import os

import keras

from keras_distill import Distiller
from tests.losses.cases import CASES, known

if __name__ == "__main__":
    assert keras.backend.backend() == os.environ["KERAS_BACKEND"]
    values = []
    for case in CASES:
        if case.exact:
            teacher, student = (
                keras.tree.map_structure(keras.ops.convert_to_tensor, side)
                for side in case.inputs(dtype="float32")
            )
            values.append(float(case.loss().compute_loss(teacher, student, **known())))
    models = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]) for _ in range(2)]
    try:
        Distiller(*models, "kd")
        said = "a distiller was made"
    except RuntimeError as error:
        said = f"{type(error).__name__}: {error}"
    print(json.dumps({"values": values, "distiller": said}))
