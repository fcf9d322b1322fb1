"""What is transferred: the distillation losses, one folder per family of knowledge."""

from keras_distill.losses import functional
from keras_distill.losses.attention.attention_capture import AttentionCapture
from keras_distill.losses.attention.attention_map_alignment import AttentionMapAlignment
from keras_distill.losses.attention.attention_transfer import AttentionTransfer
from keras_distill.losses.attention.class_attention_transfer import ClassAttentionTransfer
from keras_distill.losses.attention.gradient_attention_transfer import GradientAttentionTransfer
from keras_distill.losses.attention.head_attention import HeadAttention
from keras_distill.losses.attention.self_attention_relation import SelfAttentionRelation
from keras_distill.losses.balanced import Balanced
from keras_distill.losses.catalogue import catalogue
from keras_distill.losses.feature.activation_boundary import ActivationBoundary
from keras_distill.losses.feature.adversarial_features import AdversarialFeatures
from keras_distill.losses.feature.channel_wise import ChannelWise
from keras_distill.losses.feature.factor_transfer import FactorTransfer
from keras_distill.losses.feature.flow_of_solution import FlowOfSolution
from keras_distill.losses.feature.hidden_states import HiddenStates
from keras_distill.losses.feature.hint_learning import HintLearning
from keras_distill.losses.feature.knowledge_review import KnowledgeReview
from keras_distill.losses.feature.masked_generative import MaskedGenerative
from keras_distill.losses.feature.neuron_selectivity import NeuronSelectivity
from keras_distill.losses.feature.one_for_all import OneForAll
from keras_distill.losses.feature.overhaul_feature import OverhaulFeature
from keras_distill.losses.feature.pearson_features import PearsonFeatures
from keras_distill.losses.feature.simple_kd import SimpleKD
from keras_distill.losses.feature.singular_vectors import SingularVectors
from keras_distill.losses.feature.softmax_regression import SoftmaxRegression
from keras_distill.losses.feature.variational_information import VariationalInformation
from keras_distill.losses.loss import DistillationLoss, LossContext
from keras_distill.losses.projector import FeatureProjector
from keras_distill.losses.registry import get
from keras_distill.losses.relation.contrastive_representation import ContrastiveRepresentation
from keras_distill.losses.relation.correlation_congruence import CorrelationCongruence
from keras_distill.losses.relation.instance_graph import InstanceGraph
from keras_distill.losses.relation.inter_channel_correlation import InterChannelCorrelation
from keras_distill.losses.relation.probabilistic_transfer import ProbabilisticTransfer
from keras_distill.losses.relation.relational_kd import RelationalKD
from keras_distill.losses.relation.similarity_preserving import SimilarityPreserving
from keras_distill.losses.response.auto_response import AutoResponse
from keras_distill.losses.response.decoupled_kd import DecoupledKD
from keras_distill.losses.response.dist import DIST
from keras_distill.losses.response.hard_labels import HardLabels
from keras_distill.losses.response.logit_matching import LogitMatching
from keras_distill.losses.response.multi_level_logits import MultiLevelLogits
from keras_distill.losses.response.normalized_kd import NormalizedKD
from keras_distill.losses.response.scale_decoupled import ScaleDecoupled
from keras_distill.losses.response.sigmoid_targets import SigmoidTargets
from keras_distill.losses.response.soft_targets import SoftTargets
from keras_distill.losses.response.softened_loss import SoftenedLoss
from keras_distill.losses.response.transformed_teacher import TransformedTeacher
from keras_distill.losses.response.virtual_teacher import VirtualTeacher
from keras_distill.losses.serialization import deserialize, serialize
from keras_distill.losses.temperature import CurriculumTemperature

__all__ = [
    "DIST",
    "ActivationBoundary",
    "AdversarialFeatures",
    "AttentionCapture",
    "AttentionMapAlignment",
    "AttentionTransfer",
    "AutoResponse",
    "Balanced",
    "ChannelWise",
    "ClassAttentionTransfer",
    "ContrastiveRepresentation",
    "CorrelationCongruence",
    "CurriculumTemperature",
    "DecoupledKD",
    "DistillationLoss",
    "FactorTransfer",
    "FeatureProjector",
    "FlowOfSolution",
    "GradientAttentionTransfer",
    "HardLabels",
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
    "OneForAll",
    "OverhaulFeature",
    "PearsonFeatures",
    "ProbabilisticTransfer",
    "RelationalKD",
    "ScaleDecoupled",
    "SelfAttentionRelation",
    "SigmoidTargets",
    "SimilarityPreserving",
    "SimpleKD",
    "SingularVectors",
    "SoftTargets",
    "SoftenedLoss",
    "SoftmaxRegression",
    "TransformedTeacher",
    "VariationalInformation",
    "VirtualTeacher",
    "catalogue",
    "deserialize",
    "functional",
    "get",
    "serialize",
]
