"""Calls of the student's way to the device."""

import collections.abc
import numbers

import numpy as np

from keras_distill import sensors, tflite
from keras_distill.tflite.analysis import latency as latency_module
from tests.fuzz.cases import Call
from tests.fuzz.rules import (
    FLAG,
    NONE,
    PATH,
    Rule,
    array,
    count,
    number,
    one_of,
    sequence_of,
    text,
)

_QUANTIZATIONS = NONE | one_of("float16", "dynamic", "int8", "int16x8")
_TARGET = one_of("mobile", "mcu", "arduino")
_LABELS = NONE | Rule(
    lambda value: (
        (
            isinstance(value, (list, tuple, np.ndarray))
            and len(value) == 3
            and all(isinstance(label, (str, numbers.Integral)) for label in value)
        )
        or (isinstance(value, collections.abc.Iterator))
    )
)
_SAMPLES = array(lambda made: made.shape[1:] == (8, 8, 1) and len(made) and np.isfinite(made).all())
_SCALE = number() | array(
    lambda made: made.ndim <= 1 and made.size == 1 and np.isfinite(made.astype(float)).all()
)
_CAMERA = sensors.Camera(height=8, width=8, channels=1)
_POSITIVE = number(low=0, low_is_allowed=False) | array(
    lambda made: made.ndim <= 1 and made.size == 1 and made.item() > 0 and np.isfinite(made.item())
)


def _export(place):
    arguments = {
        "model": place.student(),
        "path": place.folder / "student.tflite",
        "quantization": "int8",
        "representative_data": place.x,
        "target": "arduino",
        "float_layers": None,
    }
    return tflite.export_tflite, arguments


def _verify(place):
    model = place.student()
    return place.tflite().verify, {"model": model, "x": place.x[:4], "y": place.y[:4]}


def _project(method, **more):
    def make(place):
        arguments = {
            "folder": place.folder / "project",
            "labels": ["a", "b", "c"],
            "samples": place.x[:2],
            "name": "digits",
            **more,
        }
        return getattr(place.tflite(), method), arguments

    return Call(
        f"TFLiteModel.{method}",
        make,
        {
            "folder": PATH.named("directory"),
            "labels": _LABELS.named("label"),
            "samples": _SAMPLES.named("Input", "sample"),
            "name": NONE | text(),
            "library": NONE
            | one_of("Chirale_TensorFLowLite", "Harvard_TinyMLx", "esp-tflite-micro"),
            "sensor": NONE,
        },
        module="tflite",
        seconds=30,
    )


CALLS = [
    Call(
        "export_tflite",
        _export,
        {
            "path": Rule(lambda value: PATH.accepts(value) and str(value).endswith(".tflite")),
            "quantization": _QUANTIZATIONS,
            "representative_data": _SAMPLES,
            "target": _TARGET,
            "float_layers": NONE | sequence_of(one_of("stage1", "stage2", "logits")).named("layer"),
            "time_limit": number(low=0, high=24 * 3600, low_is_allowed=False),
        },
        module="tflite",
        seconds=60,
    ),
    Call(
        "TFLiteModel",
        lambda place: (
            tflite.TFLiteModel,
            {"path": place.tflite().path, "quantization": "int8", "target": "arduino"},
        ),
        {
            "path": Rule().named("file"),
            "quantization": _QUANTIZATIONS | one_of("auto"),
            "target": _TARGET,
        },
        lambda place, model, arguments: model.lint(),
        module="tflite",
    ),
    Call(
        "TFLiteModel.lint_for",
        lambda place: (place.tflite().lint_for, {"target": "mcu"}),
        {"target": _TARGET},
        module="tflite",
    ),
    *(
        Call(
            f"TFLiteModel.{method}",
            lambda place, method=method: (getattr(place.tflite(), method), {"x": place.x[:2]}),
            {"x": _SAMPLES.named("Input", "sample")},
            module="tflite",
        )
        for method in ("predict", "quantize_inputs")
    ),
    Call(
        "TFLiteModel.verify",
        _verify,
        {
            "x": _SAMPLES.named("Input", "sample"),
            "y": NONE | array(lambda made: len(made) == 4).named("label"),
        },
        module="tflite",
        seconds=30,
    ),
    Call(
        "TFLiteModel.sensitivity",
        lambda place: (
            place.tflite().sensitivity,
            {"model": place.student(), "x": place.x[:4], "y": place.y[:4], "verbose": 0},
        ),
        {
            "x": _SAMPLES.named("Input", "sample"),
            "y": NONE | array(lambda made: len(made) == 4).named("label"),
            "verbose": FLAG | count(low=0, high=2),
        },
        lambda place, found, arguments: str(found),
        module="tflite",
        seconds=60,
    ),
    Call(
        "TFLiteModel.report",
        lambda place: (place.tflite().report, {}),
        {},
        lambda place, report, arguments: str(report),
        module="tflite",
    ),
    Call(
        "TFLiteModel.add_metadata",
        lambda place: (
            place.tflite("float16").add_metadata,
            {
                "labels": ["a", "b", "c"],
                "mean": 0.0,
                "std": 1.0,
                "name": "digits",
                "description": "which digit",
            },
        ),
        {
            "labels": _LABELS.named("label") | sequence_of(text(), 0, 0),
            "mean": _SCALE,
            "std": _POSITIVE,
            "name": NONE | text(),
            "description": Rule(lambda value: isinstance(value, str)),
        },
        module="tflite",
    ),
    Call(
        "TFLiteModel.estimate_ethos_u",
        lambda place: (place.tflite().estimate_ethos_u, {"accelerator": "ethos-u55-128"}),
        {"accelerator": one_of("ethos-u55-128")},
        module="tflite",
        seconds=40,
    ),
    _project("to_arduino", library=None, sensor=_CAMERA),
    _project("to_cmake"),
    _project("to_raspberry_pi"),
    _project("to_android"),
    _project("to_ios"),
    Call(
        "tflite.latency",
        lambda place: (latency_module.latency, {"model": place.tflite(), "threads": 1}),
        {"threads": count(high=64)},
        module="tflite",
    ),
]
