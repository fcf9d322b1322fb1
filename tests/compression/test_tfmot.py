"""tensorflow-model-optimization is imported on demand, without side effects."""

import os
import sys

import keras
import pytest
import tensorflow as tf

from keras_distill.compression import prune, tfmot
from tests.compression.models import sequential


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_model_optimization", None)
    with pytest.raises(ImportError, match=r"pip install keras_distill\[compress\]"):
        prune(sequential())


def test_importing_tfmot_changes_nothing_else():
    tfmot.require("tensorflow_model_optimization")
    assert "TF_USE_LEGACY_KERAS" not in os.environ
    assert tf.keras.Model is keras.Model
