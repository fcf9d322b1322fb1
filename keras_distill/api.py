"""The public names, all of which `keras_distill` has; importing them registers them with Keras."""

from keras_distill import (
    architectures,
    cache,
    comparison,
    compression,
    datasets,
    features,
    losses,
    recipes,
    schemes,
    sensors,
    tflite,
    tuning,
    visualization,
)
from keras_distill.cache import TeacherCache
from keras_distill.comparison import Comparison, compare
from keras_distill.distiller import Distiller
from keras_distill.features import FeatureExtractor, FeatureModel
from keras_distill.losses import AttentionTransfer, DistillationLoss, SoftTargets
from keras_distill.tflite import TFLiteModel, export_tflite
from keras_distill.version import __version__

__all__ = [
    "AttentionTransfer",
    "Comparison",
    "DistillationLoss",
    "Distiller",
    "FeatureExtractor",
    "FeatureModel",
    "SoftTargets",
    "TFLiteModel",
    "TeacherCache",
    "__version__",
    "architectures",
    "cache",
    "compare",
    "comparison",
    "compression",
    "datasets",
    "export_tflite",
    "features",
    "losses",
    "recipes",
    "schemes",
    "sensors",
    "tflite",
    "tuning",
    "visualization",
]
