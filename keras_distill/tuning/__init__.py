"""Tuning: settings by cross-validation on the training data, and the student that fits a board."""

from keras_distill.tuning.result import Trial, TuningResult
from keras_distill.tuning.search import require, tune
from keras_distill.tuning.student_search import Candidate, StudentSearchResult, search_student

__all__ = [
    "Candidate",
    "StudentSearchResult",
    "Trial",
    "TuningResult",
    "require",
    "search_student",
    "tune",
]
