"""Keras's own tests of its Distiller, run against ours: the class is a drop-in replacement."""

import keras.src.distillation.distiller_test as keras_suite
import pytest

import keras_distill


class TestKerasSuite(keras_suite.TestDistiller):
    @pytest.fixture(autouse=True)
    def our_distiller(self, monkeypatch):
        monkeypatch.setattr(keras_suite, "Distiller", keras_distill.Distiller)
        yield
        assert keras_suite.Distiller is keras_distill.Distiller
