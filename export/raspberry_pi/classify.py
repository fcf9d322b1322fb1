"""Runs the TensorFlow Lite model of this folder: python classify.py --help."""

import argparse
import json
import pathlib
import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

FOLDER = pathlib.Path(__file__).resolve().parent


class Model:
    """The model of a folder.

    Args:
        folder: Folder with `model.tflite` and `model.json`.
        threads: Number of threads; a Raspberry Pi has four cores.
    """

    def __init__(self, folder=FOLDER, threads=4):
        folder = pathlib.Path(folder)
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self.labels = about["labels"]
        self.tolerance = about["tolerance"]
        self._interpreter = Interpreter(str(folder / "model.tflite"), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]
        self.input_shape = tuple(int(side) for side in self._input["shape"][1:])

    def predict(self, x):
        """Returns the scores of samples, as the Keras model would give them.

        Args:
            x: Array of shape `(samples, ...)`, or one sample, scaled as in training.

        Returns:
            Float array of shape `(samples, ...)`.

        Raises:
            ValueError: If the shape is wrong.
        """
        x = np.asarray(x, "float32")
        if x.shape == self.input_shape:
            x = x[None]
        if x.shape[1:] != self.input_shape or len(x) == 0:
            raise ValueError(
                f"The model takes samples of shape {self.input_shape}, got an array of shape "
                f"{x.shape}."
            )
        return self.dequantize(np.stack([self.run(sample) for sample in self.quantize(x)]))

    def quantize(self, values):
        """Returns float inputs in the model's type: round(x / scale) + zero point, clamped.

        Ties are rounded away from zero, as the reference kernels do.

        Args:
            values: Float array.
        """
        scale, zero_point = self._input["quantization"]
        dtype = self._input["dtype"]
        if scale == 0:
            return values.astype(dtype)
        limits = np.iinfo(dtype)
        # In 64 bits, adding 0.5 rounds nothing by itself.
        exact = (values / np.float32(scale)).astype("float64")
        steps = np.trunc(exact + np.copysign(0.5, exact)) + zero_point
        # The cast of NaN is undefined: it maps to the minimum.
        steps = np.where(np.isnan(steps), limits.min, steps)
        return np.clip(steps, limits.min, limits.max).astype(dtype)

    def dequantize(self, numbers):
        """Returns outputs of the model in float.

        Args:
            numbers: Array in the model's type.
        """
        scale, zero_point = self._output["quantization"]
        if scale == 0:
            return numbers
        return np.float32(scale) * (numbers.astype("float32") - zero_point)

    def run(self, sample):
        """Runs the model on one sample.

        Args:
            sample: Array in the model's type.

        Returns:
            Array in the model's type.
        """
        self._interpreter.set_tensor(self._input["index"], sample[None])
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output["index"])[0]


def check(model, folder=FOLDER):
    """Runs the stored samples and compares every output value with the stored one.

    Args:
        model: `Model`.
        folder: Folder with `samples.npz`.

    Returns:
        Whether all were as stored.
    """
    with np.load(pathlib.Path(folder) / "samples.npz", allow_pickle=False) as stored:
        samples, answers = stored["samples"], stored["answers"]
    failures = 0
    for index, (sample, answer) in enumerate(zip(samples, answers, strict=True)):
        started = time.perf_counter()
        numbers = model.run(sample)
        duration = time.perf_counter() - started
        errors = np.abs(numbers.astype("float64") - answer.astype("float64"))
        # NaN is a difference too.
        differences = int(np.sum(~(errors <= model.tolerance)))
        failures += differences > 0
        remark = f", {differences} output values differ" if differences else ""
        best = describe(model, model.dequantize(numbers), 1)
        print(f"sample {index}: {best}, {1e6 * duration:.0f} us{remark}")
    print(f"FAIL: {failures} samples differ" if failures else "PASS")
    return failures == 0


def describe(model, scores, top):
    """Returns the classes with the highest scores, in one line.

    Args:
        model: `Model`.
        scores: Float array of one sample.
        top: Number of classes.
    """
    flat = scores.reshape(-1)
    best = np.argsort(-flat, kind="stable")[:top]
    return ", ".join(f"{model.labels[index]} {flat[index]:.4g}" for index in best)


def main():
    """Runs the command.

    Returns:
        Exit status: 1 if the check failed or the inputs don't suit the model.
    """
    parser = argparse.ArgumentParser(description="Runs the model of this folder.")
    parser.add_argument("inputs", nargs="?", help="a .npy file of shape (samples, ...)")
    parser.add_argument("--check", action="store_true", help="run the stored samples: PASS or FAIL")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--top", type=int, default=3, help="how many classes to print")
    options = parser.parse_args()
    if options.inputs is None and not options.check:
        parser.error("give a .npy file, or --check")
    if min(options.threads, options.top) < 1:
        parser.error("--threads and --top must be at least 1")
    model = Model(threads=options.threads)
    passed = check(model) if options.check else True
    if options.inputs is not None:
        try:
            x = np.load(options.inputs, allow_pickle=False)
            started = time.perf_counter()
            scores = model.predict(x)
            duration = time.perf_counter() - started
        except (OSError, ValueError) as error:
            print(f"classify.py: {error}", file=sys.stderr)
            return 1
        for index, sample in enumerate(scores):
            print(f"{index}: {describe(model, sample, options.top)}")
        print(f"{1e3 * duration / len(scores):.2f} ms per inference")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
