"""Plots: attention maps, training curves, gains by seed, confusion matrices, settings, images."""

from keras_distill.visualization.plots import (
    attention_map,
    plot_attention,
    plot_confusion,
    plot_curves,
    plot_gains,
    plot_images,
)
from keras_distill.visualization.rendering import png, require
from keras_distill.visualization.settings_plot import plot_settings
from keras_distill.visualization.tradeoff_plot import plot_tradeoff

__all__ = [
    "attention_map",
    "plot_attention",
    "plot_confusion",
    "plot_curves",
    "plot_gains",
    "plot_images",
    "plot_settings",
    "plot_tradeoff",
    "png",
    "require",
]
