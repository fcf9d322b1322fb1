"""Knowledge distillation for Keras, from the teacher to a verified model on the device."""

from keras_distill import losses
from keras_distill.distiller import Distiller
from keras_distill.features import FeatureExtractor, FeatureModel
from keras_distill.losses import (
    AttentionTransfer,
    DistillationLoss,
    HintLearning,
    LogitMatching,
    SoftTargets,
)
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
    "__version__",
    "losses",
]
