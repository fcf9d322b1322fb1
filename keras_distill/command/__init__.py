"""The command keras-distill: it leaves out Keras and TensorFlow where they aren't needed.

It is installed as a package of its own, since importing anything below `keras_distill` imports
Keras, which takes longer than to inspect a file.
"""

import importlib.util
import sys

_LIGHT = ("-h", "--help", "boards", "inspect", "lint")


def main():
    """Runs the command keras-distill; returns its exit status."""
    if sys.argv[1:] and sys.argv[1] in _LIGHT:
        for package in ("keras_distill", "keras_distill.tflite"):
            _leave_empty(package)
    from keras_distill import cli

    return cli.main()


def _leave_empty(package):
    """Makes the modules of a package importable without running its own `__init__`."""
    sys.modules[package] = importlib.util.module_from_spec(importlib.util.find_spec(package))
