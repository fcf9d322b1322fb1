"""The script that runs the TensorFlow Lite converter.

`job_server` runs it, so that nothing but TensorFlow and NumPy is imported.
"""

import json
import warnings

import numpy as np
import tensorflow as tf


def do(folder):
    """Does one of two jobs, by what lies in a folder.

    `calibrated.tflite` is quantized to `quantized_0.tflite` and so on, one file for each of the
    selections in `settings.json`; without it, `saved_model` is converted to `model.tflite`.

    Args:
        folder: Folder with `settings.json`, and `calibrated.tflite` or else `saved_model` and, to
            calibrate, `samples.npz`.
    """
    # Said of the class that calibrates, whatever is done, and no reason where a conversion fails.
    warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
    settings = json.loads((folder / "settings.json").read_text())
    if (folder / "calibrated.tflite").is_file():
        quantize_selections(folder, settings)
    else:
        (folder / "model.tflite").write_bytes(convert(folder, settings))


def convert(folder, settings):
    """Converts a SavedModel.

    Args:
        folder: As for `do`.
        settings: Dictionary of `quantization`, `per_tensor_dense`, `has_ranges` and
            `only_calibrated`: whether to end with a float file that holds the ranges.

    Returns:
        The file's bytes.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model"))
    # Without this, operators that only full TensorFlow has would be let in silently.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if settings["quantization"] is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if settings["quantization"] == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if settings["quantization"] in ("int8", "int16x8"):
        quantize_fully(converter, settings["quantization"])
        if settings["has_ranges"]:
            # The other set asks for samples even where the graph says all ranges.
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        else:
            calibrate(converter, folder / "samples.npz")
    if settings["per_tensor_dense"]:
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    converter._experimental_calibrate_only = settings["only_calibrated"]
    return converter.convert()


def quantize_selections(folder, settings):
    """Quantizes `calibrated.tflite`, as the converter and its debugger do, but for some operators.

    Args:
        folder: As for `do`.
        settings: Dictionary of `selections`, lists of names of operators that stay in float,
            `per_tensor_dense`, and `has_float_ends`: whether inputs and outputs stay float.
    """
    from tensorflow.lite.python.convert import mlir_quantize

    calibrated = (folder / "calibrated.tflite").read_bytes()
    end = tf.float32 if settings["has_float_ends"] else tf.int8
    for index, names in enumerate(settings["selections"]):
        content = mlir_quantize(
            calibrated,
            input_data_type=end,
            output_data_type=end,
            denylisted_nodes=names,
            disable_per_channel_for_dense_layers=settings["per_tensor_dense"],
        )
        (folder / f"quantized_{index}.tflite").write_bytes(content)


def quantize_fully(converter, quantization):
    """Sets a converter to integers everywhere, inputs and outputs included.

    Args:
        converter: `tf.lite.TFLiteConverter`.
        quantization: `"int8"` or `"int16x8"`.
    """
    sets = tf.lite.OpsSet
    wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    is_wide = quantization == "int16x8"
    converter.target_spec.supported_ops = [wide if is_wide else sets.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int16 if is_wide else tf.int8
    converter.inference_output_type = converter.inference_input_type


def calibrate(converter, samples_path):
    """Lets a converter find the ranges of activations.

    Args:
        converter: `tf.lite.TFLiteConverter`.
        samples_path: File of the representative data.
    """
    with np.load(samples_path, allow_pickle=False) as samples:
        arrays = {name: samples[name] for name in samples.files}

    def representative_dataset():
        for index in range(len(next(iter(arrays.values())))):
            yield {name: array[index : index + 1] for name, array in arrays.items()}

    converter.representative_dataset = representative_dataset
