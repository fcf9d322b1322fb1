"""Who teaches whom: several teachers, assistants, and students that teach themselves."""

from keras_distill.schemes.catalogue import Scheme, catalogue
from keras_distill.schemes.teacher_ensemble import TeacherEnsemble

__all__ = ["Scheme", "TeacherEnsemble", "catalogue"]
