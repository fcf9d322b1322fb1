"""Losses by name: the class name, its snake case, or the field's abbreviation."""

import keras

from keras_distill.arguments import closest, shown
from keras_distill.losses import attention, feature, relation, response
from keras_distill.losses.loss import to_snake_case

FAMILIES = {
    "response": response,
    "attention": attention,
    "feature": feature,
    "relation": relation,
}

# The field's abbreviation: the class, and the arguments that it implies.
ABBREVIATIONS = {
    "kd": (response.SoftTargets, {}),
    "logits": (response.LogitMatching, {}),
    "dkd": (response.DecoupledKD, {}),
    "dist": (response.DIST, {}),
    "nkd": (response.NormalizedKD, {}),
    "tfkd": (response.VirtualTeacher, {}),
    "mlkd": (response.MultiLevelLogits, {}),
    "at": (attention.AttentionTransfer, {}),
    "gat": (attention.GradientAttentionTransfer, {}),
    "fma": (attention.AttentionCapture, {"mode": "fma"}),
    "mip": (attention.AttentionCapture, {"mode": "mip"}),
    "mips": (attention.AttentionCapture, {"mode": "mips"}),
    "sals": (attention.AttentionCapture, {"mode": "sals"}),
    "amad": (attention.AttentionMapAlignment, {}),
    "tinybert": (attention.HeadAttention, {}),
    "minilm": (attention.SelfAttentionRelation, {}),
    "catkd": (attention.ClassAttentionTransfer, {}),
    "fitnet": (feature.HintLearning, {}),
    "fsp": (feature.FlowOfSolution, {}),
    "nst": (feature.NeuronSelectivity, {}),
    "ab": (feature.ActivationBoundary, {}),
    "ofd": (feature.OverhaulFeature, {}),
    "ft": (feature.FactorTransfer, {}),
    "vid": (feature.VariationalInformation, {}),
    "reviewkd": (feature.KnowledgeReview, {}),
    "simkd": (feature.SimpleKD, {}),
    "mgd": (feature.MaskedGenerative, {}),
    "cwd": (feature.ChannelWise, {}),
    "rkd": (relation.RelationalKD, {}),
    "sp": (relation.SimilarityPreserving, {}),
    "cc": (relation.CorrelationCongruence, {}),
    "pkt": (relation.ProbabilisticTransfer, {}),
    "crd": (relation.ContrastiveRepresentation, {}),
    "ickd": (relation.InterChannelCorrelation, {}),
    "irg": (relation.InstanceGraph, {}),
}


def classes():
    """Returns a dictionary from class name to loss class, family by family."""
    return {name: getattr(module, name) for module in FAMILIES.values() for name in module.__all__}


def get(identifier, **kwargs):
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
    known |= ABBREVIATIONS
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
