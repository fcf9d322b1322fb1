"""Architectures by name."""

import inspect
from typing import Any

import keras

from keras_distill.architectures.cnn import (
    digits_student,
    digits_teacher,
    small_cnn,
    tutorial_student,
    tutorial_teacher,
)
from keras_distill.architectures.mlperf_tiny import ds_cnn, mobilenet_v1
from keras_distill.architectures.resnet import (
    resnet8,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
)
from keras_distill.arguments import closest, shown

_CIFAR_RESNETS = (resnet20, resnet32, resnet44, resnet56, resnet110)
_MLPERF_TINY = (resnet8, ds_cnn, mobilenet_v1)
_PAIRS = (digits_teacher, digits_student, tutorial_teacher, tutorial_student)
_ARCHITECTURES = {
    build.__name__: build for build in (*_CIFAR_RESNETS, *_MLPERF_TINY, *_PAIRS, small_cnn)
}


def names() -> list[str]:
    """Names of the architectures, sorted."""
    return sorted(_ARCHITECTURES)


def get(name: str, **kwargs: Any) -> keras.Model:
    """Architecture by name, built.

    Args:
        name: One of `names()`.
        **kwargs: Arguments of that function, e.g. `input_shape` and `num_classes`.

    Returns:
        An uncompiled `keras.Model` that ends in logits.

    Raises:
        ValueError: If there is no such architecture.
        TypeError: If the architecture has no such argument, or lacks one.

    Example:
        ```python
        from keras_distill import architectures
        student = architectures.get("resnet8", num_classes=100)
        ```
    """
    if not isinstance(name, str) or name not in _ARCHITECTURES:
        raise ValueError(
            f"Unknown architecture {shown(name)}.{closest(name, names())} "
            f"Known: {', '.join(names())}."
        )
    build = _ARCHITECTURES[name]
    signature = inspect.signature(build)
    try:
        signature.bind(**kwargs)
    except TypeError as error:
        taken = [
            str(parameter.replace(annotation=inspect.Parameter.empty))
            for parameter in signature.parameters.values()
        ]
        given = [f"{argument}={shown(value)}" for argument, value in kwargs.items()]
        raise TypeError(
            f"Architecture {name!r} takes {name}({', '.join(taken)}): {error}. "
            f"Received: {', '.join(given) or 'no arguments'}"
        ) from None
    return build(**kwargs)
