"""Small students and their teachers, by their published names."""

from keras_distill.architectures.cnn import (
    digits_student,
    digits_teacher,
    small_cnn,
    tutorial_student,
    tutorial_teacher,
)
from keras_distill.architectures.mlperf_tiny import ds_cnn, mobilenet_v1
from keras_distill.architectures.registry import get, names
from keras_distill.architectures.resnet import (
    resnet8,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
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
