"""Hints of the public names, and the types that a user's own checker sees."""

import importlib
import inspect
import os
import pathlib
import pkgutil
import subprocess
import sys

import pytest

import keras_distill

ROOT = pathlib.Path(__file__).parents[1]
PROGRAM = """
import keras
from typing import assert_type

import keras_distill
from keras_distill import Comparison, Distiller, TeacherCache, compare, schemes, tuning
from keras_distill.tflite import TFLiteModel, export_tflite

teacher, student = keras.Sequential(), keras.Sequential()
loss = keras_distill.losses.SoftTargets(temperature=4.0)
distiller = Distiller(teacher, student, [loss, "at"], [1.0, 100.0], student_loss_weight=None)
data = (([[0.0]], [0]), ([[1.0]], [1]))
cache = TeacherCache.build("cache", teacher, data[0][0], [loss])
peers = schemes.MutualDistiller([student, student], "kd")
assert_type(export_tflite(student, "student.tflite", quantization="int8"), TFLiteModel)
assert_type(compare(cache, lambda: student, data, {"kd": "kd"}, seeds=[1, 2]), Comparison)
found = tuning.tune(teacher, lambda: student, data, "kd")
assert_type(found.best_trial.mean, float)
window = keras_distill.sensors.Window(mean=[0.0, 0.0, 1.0])
"""
MISTAKES = """
import keras_distill
from keras_distill import export_tflite
from keras_distill.losses import SoftTargets

SoftTargets(temprature=4.0)
export_tflite(None, "student.tflite", quantization=8).verfy()
keras_distill.compair()
"""


def packages():
    yield keras_distill
    for found in pkgutil.iter_modules(keras_distill.__path__, "keras_distill."):
        if found.ispkg and found.name not in ("keras_distill.device", "keras_distill.cli"):
            yield importlib.import_module(found.name)


def public_functions():
    """Yields the functions and the own methods of the classes in each package's `__all__`."""
    for package in packages():
        for name in getattr(package, "__all__", ()):
            public = getattr(package, name)
            if inspect.isfunction(public):
                yield f"{package.__name__}.{name}", public
            elif inspect.isclass(public):
                for key, member in vars(public).items():
                    function = getattr(member, "__func__", getattr(member, "fget", member))
                    is_public = not key.startswith("_") or key in ("__init__", "__call__")
                    if is_public and inspect.isfunction(function):
                        yield f"{package.__name__}.{name}.{key}", function


def lacking(function):
    signature = inspect.signature(function)
    own = [each for each in signature.parameters.values() if each.name not in ("self", "cls")]
    lacks = [each.name for each in own if each.annotation is each.empty]
    is_made = function.__name__ == "__init__"
    return lacks + ["return"] * (signature.return_annotation is signature.empty and not is_made)


def test_public_functions_have_hints():
    found = dict(public_functions())
    assert len(found) > 300
    bare = {name: lacks for name, function in found.items() if (lacks := lacking(function))}
    assert not bare, "give each parameter and what is returned a type"


def test_a_users_program_type_checks_and_mistakes_in_it_are_found(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "right.py").write_text(PROGRAM)
    (tmp_path / "wrong.py").write_text(MISTAKES)
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache")]
    command += ["--config-file", str(ROOT / "setup.cfg"), "right.py", "wrong.py"]
    # mypy finds no editable installation by itself.
    is_installed = "site-packages" in pathlib.Path(keras_distill.__file__).parts
    environment = os.environ if is_installed else {**os.environ, "MYPYPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "right.py" not in run.stdout
    for mistake in ("quantization", "temprature", "verfy", "compair"):
        assert mistake in run.stdout
