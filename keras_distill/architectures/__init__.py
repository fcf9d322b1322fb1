"""Small students and their teachers, by their published names."""

from keras_distill.architectures.models import (
    digits_student,
    digits_teacher,
    ds_cnn,
    get,
    mobilenet_v1,
    names,
    resnet8,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
    small_cnn,
    tutorial_student,
    tutorial_teacher,
)

__all__ = [
    "digits_student",
    "digits_teacher",
    "ds_cnn",
    "get",
    "mobilenet_v1",
    "names",
    "resnet8",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "small_cnn",
    "tutorial_student",
    "tutorial_teacher",
]
