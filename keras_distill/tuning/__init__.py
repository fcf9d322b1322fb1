"""Tuning: losses, temperature, weights and layers chosen by cross-validation on training data."""

from keras_distill.tuning.result import Trial, TuningResult
from keras_distill.tuning.search import require, tune

__all__ = [
    "Trial",
    "TuningResult",
    "require",
    "tune",
]
