"""Knowledge distillation for Keras, from the teacher to a verified model on the device."""

from keras_distill import architectures, datasets, losses, recipes, tflite, visualization
from keras_distill.distiller import Distiller
from keras_distill.features import FeatureExtractor, FeatureModel
from keras_distill.losses import (
    AttentionTransfer,
    DistillationLoss,
    HintLearning,
    LogitMatching,
    SoftTargets,
)
from keras_distill.tflite import TFLiteModel, export_tflite
from keras_distill.version import __version__

__all__ = [
    "AttentionTransfer",
    "DistillationLoss",
    "Distiller",
    "FeatureExtractor",
    "FeatureModel",
    "HintLearning",
    "LogitMatching",
    "SoftTargets",
    "TFLiteModel",
    "__version__",
    "architectures",
    "datasets",
    "export_tflite",
    "losses",
    "recipes",
    "tflite",
    "visualization",
]
