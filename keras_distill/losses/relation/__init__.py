"""Relation knowledge: the student relates samples, or channels, as the teacher does."""

from keras_distill.losses.relation.contrastive_representation import ContrastiveRepresentation
from keras_distill.losses.relation.correlation_congruence import CorrelationCongruence
from keras_distill.losses.relation.instance_graph import InstanceGraph
from keras_distill.losses.relation.inter_channel_correlation import InterChannelCorrelation
from keras_distill.losses.relation.probabilistic_transfer import ProbabilisticTransfer
from keras_distill.losses.relation.relational_kd import RelationalKD
from keras_distill.losses.relation.similarity_preserving import SimilarityPreserving

__all__ = [
    "ContrastiveRepresentation",
    "CorrelationCongruence",
    "InstanceGraph",
    "InterChannelCorrelation",
    "ProbabilisticTransfer",
    "RelationalKD",
    "SimilarityPreserving",
]
