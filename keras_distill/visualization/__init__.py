"""Plots: attention maps, training curves, confusion matrices."""

from keras_distill.visualization.plots import (
    attention_map,
    plot_attention,
    plot_confusion,
    plot_curves,
)
from keras_distill.visualization.rendering import png, require

__all__ = [
    "attention_map",
    "plot_attention",
    "plot_confusion",
    "plot_curves",
    "png",
    "require",
]
