"""NaN and infinity, refused where they are before they end in a file."""

import keras
import numpy as np

_SHOWN = 3


def check_arrays(name, arrays):
    """Checks that samples are finite numbers.

    Args:
        name: Name of the argument that holds them.
        arrays: List of arrays of shape `(samples, ...)`, one per input.

    Raises:
        ValueError: If one holds something else; the error names the first such sample.
    """
    for index, array in enumerate(arrays):
        where = f"input {index} of {name}" if len(arrays) > 1 else name
        if array.dtype.kind not in "biufV" or array.dtype.names:
            raise ValueError(
                f"{name} must hold numbers. Received: {where} of the type {array.dtype}"
            )
        # Of the kind V are the short floats that NumPy itself doesn't know.
        is_finite = np.isfinite(array.astype("float32") if array.dtype.kind == "V" else array)
        if not is_finite.all():
            sample = int(np.argwhere(~is_finite)[0][0]) if array.ndim else 0
            raise ValueError(
                f"{name} holds NaN or infinite values: leave such samples out, or mend them. "
                f"Received: {where} with {int((~is_finite).sum())} of them, first in sample "
                f"{sample}"
            )


def check_weights(model):
    """Checks that the weights of a model are finite.

    Args:
        model: `keras.Model`.

    Raises:
        ValueError: If some aren't; the error names their layers.
    """
    found = []
    for weight in model.weights:
        if keras.backend.is_float_dtype(weight.dtype):
            value = keras.ops.convert_to_numpy(weight).astype("float32")
            count = value.size - int(np.isfinite(value).sum())
            if count:
                layer, _, name = weight.path.rpartition("/")
                found.append(f"{name!r} of the layer {layer!r} ({count} of {value.size})")
    if found:
        more = f", and {len(found) - _SHOWN} weights more" if len(found) > _SHOWN else ""
        raise ValueError(
            f"The model {model.name!r} has weights that are NaN or infinite: "
            f"{', '.join(found[:_SHOWN])}{more}. Train it again, or take weights from before its "
            "training diverged."
        )
