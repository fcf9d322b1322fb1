"""Response knowledge: the student learns what the teacher answers."""

from keras_distill.losses.response.decoupled_kd import DecoupledKD
from keras_distill.losses.response.dist import DIST
from keras_distill.losses.response.logit_matching import LogitMatching
from keras_distill.losses.response.multi_level_logits import MultiLevelLogits
from keras_distill.losses.response.normalized_kd import NormalizedKD
from keras_distill.losses.response.sigmoid_targets import SigmoidTargets
from keras_distill.losses.response.soft_targets import SoftTargets
from keras_distill.losses.response.softened_loss import SoftenedLoss
from keras_distill.losses.response.virtual_teacher import VirtualTeacher

__all__ = [
    "DIST",
    "DecoupledKD",
    "LogitMatching",
    "MultiLevelLogits",
    "NormalizedKD",
    "SigmoidTargets",
    "SoftTargets",
    "SoftenedLoss",
    "VirtualTeacher",
]
