"""The start of the command: what imports Keras waits until it is needed."""

import importlib
import sys

# Each after those that it imports.
PACKAGES = ("keras_distill.tflite", "keras_distill")


def load_package():
    """Runs the `__init__` of the packages that the command keras-distill has left empty."""
    for name in PACKAGES:
        module = sys.modules[name] if name in sys.modules else importlib.import_module(name)
        if not hasattr(module, "__all__"):
            module.__spec__.loader.exec_module(module)
