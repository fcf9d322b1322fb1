"""Plots: attention, curves, gains, calibration, agreement, confusion, embeddings, settings."""

from keras_distill.visualization.agreement_plot import plot_agreement
from keras_distill.visualization.attention_maps import attention_map, attention_maps
from keras_distill.visualization.attention_summaries import AttentionSummaries
from keras_distill.visualization.calibration_plot import calibration_error, plot_calibration
from keras_distill.visualization.class_gains_plot import plot_class_gains
from keras_distill.visualization.distillation_report import DistillationReport
from keras_distill.visualization.embeddings_plot import plot_embeddings
from keras_distill.visualization.image_plots import plot_attention, plot_images
from keras_distill.visualization.plots import plot_confusion, plot_curves, plot_gains, plot_losses
from keras_distill.visualization.rendering import png, require
from keras_distill.visualization.sequence_plot import plot_sequence_attention
from keras_distill.visualization.settings_plot import plot_settings
from keras_distill.visualization.tradeoff_plot import plot_tradeoff

__all__ = [
    "AttentionSummaries",
    "DistillationReport",
    "attention_map",
    "attention_maps",
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
    "plot_losses",
    "plot_sequence_attention",
    "plot_settings",
    "plot_tradeoff",
    "png",
    "require",
]
