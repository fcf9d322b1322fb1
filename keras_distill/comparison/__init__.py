"""Comparison: candidates of distillation beside the student alone, with the statistics."""

from keras_distill.comparison.compare import compare
from keras_distill.comparison.comparison import Comparison

__all__ = [
    "Comparison",
    "compare",
]
