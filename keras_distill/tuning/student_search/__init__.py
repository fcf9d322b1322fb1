"""The student that fits a board: candidates measured by a real export, trained, and compared."""

from keras_distill.tuning.student_search.result import Candidate, StudentSearchResult
from keras_distill.tuning.student_search.search import search_student

__all__ = [
    "Candidate",
    "StudentSearchResult",
    "search_student",
]
