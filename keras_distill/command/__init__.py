"""The command keras-distill: it leaves out Keras and TensorFlow until they are needed.

It is installed as a package of its own, since importing anything below `keras_distill` imports
Keras, which takes longer than to inspect a file or to see that an argument is wrong.
"""

import importlib.util
import sys


def main():
    """Runs the command keras-distill; returns its exit status."""
    for package in ("keras_distill", "keras_distill.tflite"):
        _leave_empty(package)
    from keras_distill import cli

    return cli.main()


def _leave_empty(package):
    """Makes the modules of a package importable without running its own `__init__`."""
    sys.modules[package] = importlib.util.module_from_spec(importlib.util.find_spec(package))
