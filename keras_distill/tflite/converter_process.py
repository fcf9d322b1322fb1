"""The script that runs the TensorFlow Lite converter.

It is run as a script, so that it imports nothing but TensorFlow and NumPy. With a folder it does
one job. With `--wait` and a number of seconds it reads the folders of jobs from its input, a line
of JSON each, does each job in a child, and prints the child's exit status; when nothing has come
for these seconds, or its owner has ended, it ends.
"""

import json
import os
import pathlib
import select
import signal
import sys
import traceback

import numpy as np
import tensorflow as tf


def convert(folder):
    """Converts `folder/saved_model` to `folder/model.tflite`.

    Args:
        folder: Folder with `saved_model`, `settings.json` and, to calibrate, `samples.npz`.
    """
    settings = json.loads((folder / "settings.json").read_text())
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
    (folder / "model.tflite").write_bytes(converter.convert())


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


def work(folder):
    """Does a job; what is printed meanwhile, also by C++, goes to `folder/log.txt`."""
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        convert(folder)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def serve(idle_seconds):
    """Does jobs until there are no more."""
    while select.select([sys.stdin], [], [], idle_seconds)[0]:
        line = sys.stdin.readline()
        if not line:
            return
        print(json.dumps(work_in_child(pathlib.Path(json.loads(line)))), flush=True)


def work_in_child(folder):
    """Does a job in a child, or ends it when the owner ends; returns the child's exit status."""
    ended, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ended)
        status = work(folder)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    os.close(held)
    # Nothing more is asked before the answer: what comes in meanwhile is the end of the input.
    if ended not in select.select([sys.stdin, ended], [], [])[0]:
        os.kill(child, signal.SIGKILL)
    os.close(ended)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    if sys.argv[1] == "--wait":
        serve(float(sys.argv[2]))
        # TensorFlow takes seconds to take itself apart.
        os._exit(0)
    else:
        sys.exit(work(pathlib.Path(sys.argv[1])))
