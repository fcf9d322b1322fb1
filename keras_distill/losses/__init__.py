"""What is transferred: the distillation losses, one file per family of knowledge."""

from keras_distill.losses.attention import AttentionTransfer
from keras_distill.losses.feature import HintLearning
from keras_distill.losses.loss import DistillationLoss, LossContext
from keras_distill.losses.projector import FeatureProjector
from keras_distill.losses.registry import get
from keras_distill.losses.response import LogitMatching, SoftenedLoss, SoftTargets

__all__ = [
    "AttentionTransfer",
    "DistillationLoss",
    "FeatureProjector",
    "HintLearning",
    "LogitMatching",
    "LossContext",
    "SoftTargets",
    "SoftenedLoss",
    "get",
]
