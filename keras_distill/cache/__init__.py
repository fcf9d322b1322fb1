"""Teacher outputs computed once, read many times."""

from keras_distill.cache.join import Joined
from keras_distill.cache.teacher_cache import TeacherCache

__all__ = ["Joined", "TeacherCache"]
