"""Teacher outputs computed once, read many times."""

from keras_distill.cache.teacher_cache import TeacherCache
from keras_distill.features.batches import CachedBatch

__all__ = ["CachedBatch", "TeacherCache"]
