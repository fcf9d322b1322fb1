"""What is transferred: the distillation losses, one folder per family of knowledge."""

from keras_distill.losses import functional
from keras_distill.losses.attention import (
    AttentionCapture,
    AttentionMapAlignment,
    AttentionTransfer,
    ClassAttentionTransfer,
    GradientAttentionTransfer,
    HeadAttention,
    SelfAttentionRelation,
)
from keras_distill.losses.catalogue import catalogue
from keras_distill.losses.feature import (
    ActivationBoundary,
    ChannelWise,
    FactorTransfer,
    FlowOfSolution,
    HiddenStates,
    HintLearning,
    KnowledgeReview,
    MaskedGenerative,
    NeuronSelectivity,
    OverhaulFeature,
    SimpleKD,
    VariationalInformation,
)
from keras_distill.losses.loss import DistillationLoss, LossContext
from keras_distill.losses.projector import FeatureProjector
from keras_distill.losses.registry import get
from keras_distill.losses.relation import (
    ContrastiveRepresentation,
    CorrelationCongruence,
    InstanceGraph,
    InterChannelCorrelation,
    ProbabilisticTransfer,
    RelationalKD,
    SimilarityPreserving,
)
from keras_distill.losses.response import (
    DIST,
    DecoupledKD,
    LogitMatching,
    MultiLevelLogits,
    NormalizedKD,
    SigmoidTargets,
    SoftenedLoss,
    SoftTargets,
    VirtualTeacher,
)
from keras_distill.losses.serialization import deserialize, serialize

__all__ = [
    "DIST",
    "ActivationBoundary",
    "AttentionCapture",
    "AttentionMapAlignment",
    "AttentionTransfer",
    "ChannelWise",
    "ClassAttentionTransfer",
    "ContrastiveRepresentation",
    "CorrelationCongruence",
    "DecoupledKD",
    "DistillationLoss",
    "FactorTransfer",
    "FeatureProjector",
    "FlowOfSolution",
    "GradientAttentionTransfer",
    "HeadAttention",
    "HiddenStates",
    "HintLearning",
    "InstanceGraph",
    "InterChannelCorrelation",
    "KnowledgeReview",
    "LogitMatching",
    "LossContext",
    "MaskedGenerative",
    "MultiLevelLogits",
    "NeuronSelectivity",
    "NormalizedKD",
    "OverhaulFeature",
    "ProbabilisticTransfer",
    "RelationalKD",
    "SelfAttentionRelation",
    "SigmoidTargets",
    "SimilarityPreserving",
    "SimpleKD",
    "SoftTargets",
    "SoftenedLoss",
    "VariationalInformation",
    "VirtualTeacher",
    "catalogue",
    "deserialize",
    "functional",
    "get",
    "serialize",
]
