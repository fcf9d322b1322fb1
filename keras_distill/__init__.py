"""Knowledge distillation for Keras, from the teacher to a verified model on the device."""

import importlib
import sys
import typing

from keras_distill.version import __version__ as __version__

# Keras loads a saved loss or layer only where its class is registered, so importing the package
# registers all of them. The command keras-distill waits with that for a command that needs Keras,
# since importing it takes longer than inspecting a file.
if "keras_distill_command" not in sys.modules:
    from keras_distill.api import *  # noqa: F403
    from keras_distill.api import __all__ as __all__


# To a type checker, which knows the names by the import, it would make any other name right too.
if not typing.TYPE_CHECKING:

    def __getattr__(name):
        api = importlib.import_module("keras_distill.api")
        if name in api.__all__:
            return getattr(api, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
