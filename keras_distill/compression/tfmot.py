"""tensorflow-model-optimization and tf_keras, imported on demand, without side effects."""

import importlib
import os
import types

import tensorflow as tf

_SWITCH = "TF_USE_LEGACY_KERAS"


def require(module: str) -> types.ModuleType:
    """Imports a module of the packages of the extra `compress`.

    Importing tensorflow-model-optimization turns `tf.keras` into tf_keras, here and in every
    process that is started later. This leaves `tf.keras` and the environment as they were.

    Args:
        module: Full name of the module.

    Returns:
        The module.

    Raises:
        ImportError: If its package isn't installed; the error names the extra.
    """
    # What tf.keras means is settled when it is first looked into.
    tf.keras.__name__  # noqa: B018
    before = os.environ.get(_SWITCH)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"This needs the package {module.partition('.')[0]}: "
            "pip install keras_distill[compress]"
        ) from error
    finally:
        os.environ.pop(_SWITCH, None)
        if before is not None:
            os.environ[_SWITCH] = before
