"""Plots: attention maps, training curves, gains by seed, confusion matrices."""

from keras_distill.visualization.plots import (
    attention_map,
    plot_attention,
    plot_confusion,
    plot_curves,
    plot_gains,
)
from keras_distill.visualization.rendering import png, require

__all__ = [
    "attention_map",
    "plot_attention",
    "plot_confusion",
    "plot_curves",
    "plot_gains",
    "png",
    "require",
]
