"""A Python runner for a Raspberry Pi, or any computer, from a TensorFlow Lite file."""

import io
import json

import numpy as np

from keras_distill.tflite.deploy import packing, project_folder, projects


def export(tflite_model, folder, labels=None, samples=None, name=None):
    """Writes the Python runner of a model; see `TFLiteModel.to_raspberry_pi`.

    Args:
        tflite_model: `TFLiteModel` with one input and one output.
        folder: Folder of the runner.
        labels: Names of the classes, or `None`.
        samples: Inputs of shape `(samples, ...)`.
        name: Name of the model, or `None` for the folder's name.

    Returns:
        `pathlib.Path` of the runner.

    Raises:
        ValueError: If arguments don't suit the model.
    """
    package = packing.pack_for_litert(tflite_model, folder, "raspberry_pi", labels, samples, name)
    vectors = io.BytesIO()
    np.savez(vectors, samples=package.golden.samples, answers=package.golden.answers)
    about = {
        "name": package.name,
        "labels": package.labels,
        "tolerance": package.golden.tolerance,
    }
    texts = {
        "name": package.name,
        "summary": package.summary,
        "sample_count": len(package.golden.samples),
        "shape": ", ".join(str(side) for side in package.input.shape[1:]),
    }
    return project_folder.write(
        folder,
        package.kind,
        {
            "classify.py": projects.source("raspberry_pi/classify.py"),
            "requirements.txt": projects.source("raspberry_pi/requirements.txt"),
            "model.tflite": package.content,
            "model.json": json.dumps(about, indent=1) + "\n",
            "samples.npz": vectors.getvalue(),
            projects.README: projects.fill("raspberry_pi/README.md", texts),
        },
    )
