"""Teacher outputs computed once, read many times."""

from keras_distill.cache.batch import CachedBatch
from keras_distill.cache.teacher_cache import TeacherCache

__all__ = ["CachedBatch", "TeacherCache"]
