"""The command keras-distill, which imports Keras only for commands that need it.

`keras_distill/__init__.py` sees that this module was imported first.
"""

from keras_distill.cli import main

__all__ = ["main"]
