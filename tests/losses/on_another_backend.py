"""Prints the value of every loss without variables, and what a distiller says, on a backend."""

import functools
import json
import os

import keras

from keras_distill import Distiller
from tests.losses.cases import CASES, known


def as_one_program(compute):
    """Returns a function as JAX trains it: compiling each operation takes far longer."""
    if keras.backend.backend() != "jax":
        return compute
    import jax

    return jax.jit(compute)


if __name__ == "__main__":
    assert keras.backend.backend() == os.environ["KERAS_BACKEND"]
    values = []
    for case in CASES:
        if case.exact:
            teacher, student = (
                keras.tree.map_structure(keras.ops.convert_to_tensor, side)
                for side in case.inputs(dtype="float32")
            )
            compute = functools.partial(case.loss().compute_loss, **known())
            values.append(float(as_one_program(compute)(teacher, student)))
    models = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]) for _ in range(2)]
    try:
        Distiller(*models, "kd")
        said = "a distiller was made"
    except RuntimeError as error:
        said = f"{type(error).__name__}: {error}"
    print(json.dumps({"values": values, "distiller": said}))
