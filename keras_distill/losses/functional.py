"""The mathematics of distillation: pure functions on `keras.ops` tensors, one value per sample.

Each is written in the file of its method, or in the file of what several methods share.
"""

from keras_distill.losses.attention.attention_capture import (
    CAPTURE_MODES,
    attention_capture,
    captured_map,
    over_channels,
    saliency_map,
)
from keras_distill.losses.attention.attention_map_alignment import (
    attention_map_alignment,
    head_similarity,
    head_weights,
)
from keras_distill.losses.attention.attention_transfer import (
    attention_transfer,
    one_channel_of_equal_attention,
)
from keras_distill.losses.attention.class_attention_transfer import (
    class_attention,
)
from keras_distill.losses.attention.gradient_attention_transfer import (
    gradient_attention,
)
from keras_distill.losses.attention.head_attention import (
    head_attention,
)
from keras_distill.losses.attention.self_attention_relation import (
    relation_logits,
    self_attention_relation,
)
from keras_distill.losses.attention_maps import (
    activation_map,
    attention_distance,
    normalize_map,
)
from keras_distill.losses.batch_relations import (
    pairwise_differences,
)
from keras_distill.losses.distributions import (
    log_probabilities,
)
from keras_distill.losses.feature.activation_boundary import (
    activation_boundary,
)
from keras_distill.losses.feature.adversarial_features import (
    discrimination,
)
from keras_distill.losses.feature.channel_wise import (
    channel_wise,
)
from keras_distill.losses.feature.factor_transfer import (
    factor_distance,
)
from keras_distill.losses.feature.flow_of_solution import (
    flow_matrix,
    flow_of_solution,
)
from keras_distill.losses.feature.knowledge_review import (
    hierarchical_context,
)
from keras_distill.losses.feature.neuron_selectivity import (
    neuron_selectivity,
)
from keras_distill.losses.feature.one_for_all import (
    one_for_all,
)
from keras_distill.losses.feature.overhaul_feature import (
    margin_relu,
    partial_distance,
)
from keras_distill.losses.feature.pearson_features import (
    pearson_features,
    standardized_channels,
)
from keras_distill.losses.feature.singular_vectors import (
    aligned,
    singular_flow,
    singular_vectors,
)
from keras_distill.losses.feature.softmax_regression import (
    softmax_regression,
)
from keras_distill.losses.feature.variational_information import (
    variational_information,
)
from keras_distill.losses.gradient_reversal import (
    reverse_gradient,
)
from keras_distill.losses.labels import (
    check_known_classes,
    labels_as_one_hot,
)
from keras_distill.losses.relation.contrastive_representation import (
    in_batch_contrast,
    noise_contrast,
)
from keras_distill.losses.relation.correlation_congruence import (
    correlation_congruence,
    correlation_kernel,
)
from keras_distill.losses.relation.instance_graph import (
    graph_edges,
    graph_transformation,
    instance_graph,
)
from keras_distill.losses.relation.inter_channel_correlation import (
    channel_correlation,
    inter_channel_correlation,
)
from keras_distill.losses.relation.probabilistic_transfer import (
    neighbor_log_probabilities,
    probabilistic_transfer,
)
from keras_distill.losses.relation.relational_kd import (
    pairwise_angles,
    relational,
    relative_distances,
)
from keras_distill.losses.relation.similarity_preserving import (
    similarity_preserving,
)
from keras_distill.losses.response.decoupled_kd import (
    decoupled,
)
from keras_distill.losses.response.dist import (
    correlation_distance,
    dist,
)
from keras_distill.losses.response.hard_labels import (
    hard_labels,
)
from keras_distill.losses.response.multi_level_logits import (
    multi_level,
)
from keras_distill.losses.response.normalized_kd import (
    normalized_targets,
)
from keras_distill.losses.response.scale_decoupled import (
    scale_decoupled,
)
from keras_distill.losses.response.sigmoid_targets import (
    sigmoid_targets,
)
from keras_distill.losses.response.soft_targets import (
    DIVERGENCES,
    soft_targets,
    standardize_logits,
)
from keras_distill.losses.response.transformed_teacher import (
    transformed_teacher,
)
from keras_distill.losses.response.virtual_teacher import (
    virtual_teacher,
)
from keras_distill.losses.space import (
    match_rank,
    match_space,
    positions_by_channels,
    resize_space,
    smaller_space,
    smallest_space,
)
from keras_distill.losses.tensors import (
    TINY,
    as_float,
    as_floats,
    cosine_distance,
    flatten,
    huber,
    length,
    mean_squared_error,
    size_or_unknown,
    square_root,
    unit,
)

__all__ = [
    "CAPTURE_MODES",
    "DIVERGENCES",
    "TINY",
    "activation_boundary",
    "activation_map",
    "aligned",
    "as_float",
    "as_floats",
    "attention_capture",
    "attention_distance",
    "attention_map_alignment",
    "attention_transfer",
    "captured_map",
    "channel_correlation",
    "channel_wise",
    "check_known_classes",
    "class_attention",
    "correlation_congruence",
    "correlation_distance",
    "correlation_kernel",
    "cosine_distance",
    "decoupled",
    "discrimination",
    "dist",
    "factor_distance",
    "flatten",
    "flow_matrix",
    "flow_of_solution",
    "gradient_attention",
    "graph_edges",
    "graph_transformation",
    "hard_labels",
    "head_attention",
    "head_similarity",
    "head_weights",
    "hierarchical_context",
    "huber",
    "in_batch_contrast",
    "instance_graph",
    "inter_channel_correlation",
    "labels_as_one_hot",
    "length",
    "log_probabilities",
    "margin_relu",
    "match_rank",
    "match_space",
    "mean_squared_error",
    "multi_level",
    "neighbor_log_probabilities",
    "neuron_selectivity",
    "noise_contrast",
    "normalize_map",
    "normalized_targets",
    "one_channel_of_equal_attention",
    "one_for_all",
    "over_channels",
    "pairwise_angles",
    "pairwise_differences",
    "partial_distance",
    "pearson_features",
    "positions_by_channels",
    "probabilistic_transfer",
    "relation_logits",
    "relational",
    "relative_distances",
    "resize_space",
    "reverse_gradient",
    "saliency_map",
    "scale_decoupled",
    "self_attention_relation",
    "sigmoid_targets",
    "similarity_preserving",
    "singular_flow",
    "singular_vectors",
    "size_or_unknown",
    "smaller_space",
    "smallest_space",
    "soft_targets",
    "softmax_regression",
    "square_root",
    "standardize_logits",
    "standardized_channels",
    "transformed_teacher",
    "unit",
    "variational_information",
    "virtual_teacher",
]
