"""The command keras-distill."""

from keras_distill.cli.command import main

__all__ = ["main"]
