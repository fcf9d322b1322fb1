"""Plots: attention, curves, gains, calibration, agreement, confusion, embeddings, settings."""

from keras_distill.visualization.agreement_plot import plot_agreement
from keras_distill.visualization.calibration_plot import calibration_error, plot_calibration
from keras_distill.visualization.class_gains_plot import plot_class_gains
from keras_distill.visualization.embeddings_plot import plot_embeddings
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
    "calibration_error",
    "plot_agreement",
    "plot_attention",
    "plot_calibration",
    "plot_class_gains",
    "plot_confusion",
    "plot_curves",
    "plot_embeddings",
    "plot_gains",
    "plot_images",
    "plot_settings",
    "plot_tradeoff",
    "png",
    "require",
]
