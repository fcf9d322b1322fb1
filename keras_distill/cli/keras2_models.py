"""Models that Keras 2 saved: `.h5` files and SavedModel folders, as Keras 3 models."""

import contextlib
import json
import shutil

from keras_distill.files import temporary_folder

_ENDPOINT = "serving_default"
# What Keras 2 wrote into the configuration of layers, which Keras 3 refuses: what they never used,
# and some with the only value that Keras 3 can compute.
_OF_KERNELS = ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint")
_UNUSED = {
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), ("groups",)),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), ("groups",)),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _OF_KERNELS),
    **dict.fromkeys(("GRU", "LSTM", "SimpleRNN", "RNN"), ("time_major",)),
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), ("time_major",)),
    **dict.fromkeys(("SpatialDropout1D", "SpatialDropout2D"), ("trainable", "noise_shape")),
}
_HARMLESS = {"groups": 1, "time_major": False}


@contextlib.contextmanager
def readable(path):
    """Gives the path of a file that Keras 3 reads: a mended copy where it must be one.

    Args:
        path: `pathlib.Path` of an `.h5` file.
    """
    import h5py

    with h5py.File(path, "r") as file:
        written = file.attrs.get("model_config", "null")
    config = json.loads(written)
    if not _drop_unused(config):
        yield path
        return
    with temporary_folder() as folder:
        copy = folder / path.name
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            file.attrs["model_config"] = json.dumps(config).encode()
        yield copy


def _drop_unused(value):
    """Removes what layers never used from a configuration; says whether there was any."""
    if isinstance(value, list):
        return any([_drop_unused(item) for item in value])
    if not isinstance(value, dict):
        return False
    found = any([_drop_unused(item) for item in value.values()])
    config = value.get("config")
    if not isinstance(config, dict):
        return found
    for name in _UNUSED.get(value.get("class_name"), ()):
        if name in config and config[name] == _HARMLESS.get(name, config[name]):
            del config[name]
            found = True
    return found


def is_saved_model(path):
    """Says whether a path is a SavedModel folder.

    Args:
        path: `pathlib.Path`.
    """
    return (path / "saved_model.pb").is_file()


def of_saved_model(path):
    """Returns the computation of a SavedModel folder as a Keras model, for inference.

    Args:
        path: `pathlib.Path` of a folder with the endpoint `serving_default` of one input.

    Raises:
        ValueError: If it has another endpoint, several inputs, or an open shape.
    """
    import keras
    import tensorflow as tf

    signatures = tf.saved_model.load(str(path)).signatures
    if _ENDPOINT not in signatures:
        raise ValueError(
            f"it has no endpoint {_ENDPOINT!r}. Received: endpoints {sorted(signatures)}"
        )
    specs = signatures[_ENDPOINT].structured_input_signature[1]
    if len(specs) != 1:
        raise ValueError(
            "only SavedModels of one input can be read: save the model that it was made from as "
            f".h5 or .keras. Received: inputs {sorted(specs)}"
        )
    [spec] = specs.values()
    if spec.shape.rank is None or None in spec.shape[1:]:
        raise ValueError(
            "its input must have a known shape, but for the batch. "
            f"Received: an input of shape {spec.shape}"
        )
    inputs = keras.Input(spec.shape[1:], dtype=spec.dtype.name)
    outputs = keras.layers.TFSMLayer(str(path), call_endpoint=_ENDPOINT)(inputs)
    values = [outputs[name] for name in sorted(outputs)]
    return keras.Model(inputs, values[0] if len(values) == 1 else values, name=path.name)
