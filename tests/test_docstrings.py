"""The examples in the docstrings run, each in its module's own names."""

import importlib
import inspect
import pkgutil
import re

import keras
import numpy as np
import pytest

import keras_distill

EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def modules():
    yield keras_distill
    for found in pkgutil.walk_packages(keras_distill.__path__, "keras_distill."):
        if not found.name.startswith("keras_distill.device"):
            yield importlib.import_module(found.name)


def examples():
    for module in modules():
        for name, member in vars(module).items():
            is_own = getattr(member, "__module__", None) == module.__name__
            if is_own and (inspect.isclass(member) or inspect.isfunction(member)):
                for index, code in enumerate(EXAMPLE.findall(inspect.getdoc(member) or "")):
                    yield pytest.param(module, code, id=f"{module.__name__}.{name}-{index}")


@pytest.mark.parametrize(("module", "code"), examples())
def test_example_runs(module, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = {"keras": keras, "keras_distill": keras_distill, "np": np, "ops": keras.ops}
    names = {**vars(keras_distill), **vars(module), **common}
    exec(compile(inspect.cleandoc(code), module.__name__, "exec"), names)


def test_there_are_examples():
    assert len(list(examples())) > 10
