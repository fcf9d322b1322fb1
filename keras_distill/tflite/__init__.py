"""Export to TensorFlow Lite: conversion, lint, verification, report, projects for devices."""

import importlib
import typing

if typing.TYPE_CHECKING:
    from keras_distill.tflite.analysis.boards import BOARDS, Board
    from keras_distill.tflite.analysis.lint import Finding
    from keras_distill.tflite.analysis.report import Report
    from keras_distill.tflite.analysis.tensor_info import TensorInfo
    from keras_distill.tflite.convert import export_tflite
    from keras_distill.tflite.model import TFLiteModel
    from keras_distill.tflite.runtime.sensitivity import LayerSensitivity, Sensitivity
    from keras_distill.tflite.runtime.verify import Verification

__all__ = [
    "BOARDS",
    "Board",
    "Finding",
    "LayerSensitivity",
    "Report",
    "Sensitivity",
    "TFLiteModel",
    "TensorInfo",
    "Verification",
    "export_tflite",
]

# Imported when first asked for: what only reads a file needs no Keras.
_MODULES = {
    "BOARDS": "analysis.boards",
    "Board": "analysis.boards",
    "Finding": "analysis.lint",
    "LayerSensitivity": "runtime.sensitivity",
    "Report": "analysis.report",
    "Sensitivity": "runtime.sensitivity",
    "TFLiteModel": "model",
    "TensorInfo": "analysis.tensor_info",
    "Verification": "runtime.verify",
    "export_tflite": "convert",
}


# To a type checker, which knows the names by the imports, it would make any other name right too.
if not typing.TYPE_CHECKING:

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__():
    return sorted({*globals(), *__all__})
