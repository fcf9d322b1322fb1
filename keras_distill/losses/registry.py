"""Losses by name: the class name, its snake case, or the field's abbreviation."""

import dataclasses
import importlib
from typing import Any

import keras

from keras_distill.arguments import closest, shown
from keras_distill.losses.loss import to_snake_case
from keras_distill.losses.temperature import CurriculumTemperature

PACKAGE = "keras_distill.losses"


@dataclasses.dataclass(frozen=True)
class Method:
    """One loss of the library.

    Args:
        loss_class: The class. The folder of its module is its family.
        abbreviations: The field's short names, each with the arguments that it implies.
    """

    loss_class: type
    abbreviations: dict[str, dict[str, Any]]

    @property
    def family(self) -> str:
        """`"response"`, `"attention"`, `"feature"` or `"relation"`."""
        return self.loss_class.__module__.split(".")[-2]


def method(path: str, *abbreviations: str, **implying: dict[str, Any]) -> Method:
    """Returns the method of a class.

    Args:
        path: Module and class, from `keras_distill.losses` on.
        *abbreviations: The field's short names.
        **implying: Short names that imply arguments, each with a dictionary of them.
    """
    module, _, name = path.rpartition(".")
    loss_class = getattr(importlib.import_module(f"{PACKAGE}.{module}"), name)
    return Method(loss_class, {**{short: {} for short in abbreviations}, **implying})


# The single list of the losses, family by family, the best known first. Names, families and the
# catalogue follow from it, and importing it registers the classes with Keras.
METHODS = [
    method(
        "response.soft_targets.SoftTargets", "kd", ctkd={"temperature": CurriculumTemperature()}
    ),
    method("response.logit_matching.LogitMatching", "logits"),
    method("response.decoupled_kd.DecoupledKD", "dkd"),
    method("response.dist.DIST", "dist"),
    method("response.normalized_kd.NormalizedKD", "nkd"),
    method("response.virtual_teacher.VirtualTeacher", "tfkd"),
    method("response.multi_level_logits.MultiLevelLogits", "mlkd"),
    method(
        "response.transformed_teacher.TransformedTeacher",
        ttm={"weighted": False},
        wttm={"weighted": True},
    ),
    method("response.hard_labels.HardLabels", "deit"),
    method("response.scale_decoupled.ScaleDecoupled", "sdd"),
    method("response.sigmoid_targets.SigmoidTargets"),
    method("response.softened_loss.SoftenedLoss"),
    method("response.auto_response.AutoResponse", "auto"),
    method("attention.attention_transfer.AttentionTransfer", "at"),
    method("attention.gradient_attention_transfer.GradientAttentionTransfer", "gat"),
    method(
        "attention.attention_capture.AttentionCapture",
        **{mode: {"mode": mode} for mode in ("fma", "mip", "mips", "sals")},
    ),
    method("attention.attention_map_alignment.AttentionMapAlignment", "amad"),
    method("attention.head_attention.HeadAttention", "tinybert"),
    method("attention.self_attention_relation.SelfAttentionRelation", "minilm"),
    method("attention.class_attention_transfer.ClassAttentionTransfer", "catkd"),
    method("feature.hint_learning.HintLearning", "fitnet"),
    method("feature.flow_of_solution.FlowOfSolution", "fsp"),
    method("feature.neuron_selectivity.NeuronSelectivity", "nst"),
    method("feature.activation_boundary.ActivationBoundary", "ab"),
    method("feature.overhaul_feature.OverhaulFeature", "ofd"),
    method("feature.factor_transfer.FactorTransfer", "ft"),
    method("feature.variational_information.VariationalInformation", "vid"),
    method("feature.knowledge_review.KnowledgeReview", "reviewkd"),
    method("feature.simple_kd.SimpleKD", "simkd"),
    method("feature.masked_generative.MaskedGenerative", "mgd"),
    method("feature.channel_wise.ChannelWise", "cwd"),
    method("feature.hidden_states.HiddenStates"),
    method("feature.pearson_features.PearsonFeatures", "pkd"),
    method("feature.one_for_all.OneForAll", "ofa"),
    method("feature.softmax_regression.SoftmaxRegression", "srrl"),
    method("feature.singular_vectors.SingularVectors", "kdsvd"),
    method("feature.adversarial_features.AdversarialFeatures"),
    method("relation.relational_kd.RelationalKD", "rkd"),
    method("relation.similarity_preserving.SimilarityPreserving", "sp"),
    method("relation.correlation_congruence.CorrelationCongruence", "cc"),
    method("relation.probabilistic_transfer.ProbabilisticTransfer", "pkt"),
    method("relation.contrastive_representation.ContrastiveRepresentation", "crd"),
    method("relation.inter_channel_correlation.InterChannelCorrelation", "ickd"),
    method("relation.instance_graph.InstanceGraph", "irg"),
]


def classes() -> dict[str, type]:
    """Returns a dictionary from class name to loss class, family by family."""
    return {each.loss_class.__name__: each.loss_class for each in METHODS}


def abbreviations() -> dict[str, tuple[type, dict[str, Any]]]:
    """Returns a dictionary from short name to loss class and the arguments that it implies."""
    return {
        short: (each.loss_class, implied)
        for each in METHODS
        for short, implied in each.abbreviations.items()
    }


def get(identifier: Any, **kwargs: Any) -> keras.distillation.DistillationLoss:
    """Returns a distillation loss for a name, a class or a loss.

    Args:
        identifier: A loss, returned as it is; a class; or a name: the class name
            (`"SoftTargets"`), its snake case (`"soft_targets"`) or the field's abbreviation
            (`"kd"`). `catalogue` lists them.
        **kwargs: Arguments of the loss that is made.

    Returns:
        A distillation loss.

    Raises:
        TypeError: If it is something else.
        ValueError: If the name is unknown, or if the loss needs arguments that weren't given.

    Example:

    ```python
    assert get("kd", temperature=2.0).temperature == 2.0
    assert get("at", teacher_layer_name="conv4", student_layer_name="conv2").p == 2.0
    ```
    """
    if isinstance(identifier, keras.distillation.DistillationLoss):
        return identifier
    if isinstance(identifier, str):
        loss_class, implied = _find(identifier)
        return _create(loss_class, identifier, {**implied, **kwargs})
    if isinstance(identifier, type) and issubclass(identifier, keras.distillation.DistillationLoss):
        return _create(identifier, identifier.__name__, kwargs)
    raise TypeError(
        "A distillation loss must be a keras_distill.losses or keras.distillation loss, its class "
        "or its name. A keras.losses loss compares predictions with labels; for soft targets use "
        f"SoftTargets(). Received: {shown(identifier)}"
    )


def _find(name):
    known = {
        spelling: (loss_class, {})
        for class_name, loss_class in classes().items()
        for spelling in (class_name, to_snake_case(class_name))
    }
    known |= abbreviations()
    if name not in known:
        raise ValueError(
            f"Unknown distillation loss {shown(name)}.{closest(name, known)} "
            f"Known: {', '.join(sorted(known))}."
        )
    return known[name]


def _create(loss_class, name, kwargs):
    try:
        return loss_class(**kwargs)
    except TypeError as error:
        if "required positional argument" not in str(error):
            raise
        raise ValueError(
            f"The distillation loss {name!r} can't be made from its name alone ({error}): "
            f"pass {loss_class.__name__}(...) with its arguments."
        ) from error
