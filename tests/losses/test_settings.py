"""Arguments of the losses: layers and settings aren't mistaken for each other."""

import keras
import numpy as np
import pytest

from keras_distill import losses
from keras_distill.losses import registry
from keras_distill.losses.registry import classes
from tests.fuzz.values import LongRepr, NastyEquality

# Losses whose settings come first; all others take the two layer names first.
SETTINGS_FIRST = {
    *(each.loss_class.__name__ for each in registry.METHODS if each.family == "response"),
    "AttentionCapture",
    "GradientAttentionTransfer",
    "RelationalKD",
    "CorrelationCongruence",
    "ContrastiveRepresentation",
    "InstanceGraph",
}


@pytest.mark.parametrize("name", classes())
def test_two_layer_names_are_taken_as_layers_or_refused(name):
    loss_class = classes()[name]
    if name in SETTINGS_FIRST:
        with pytest.raises(
            (TypeError, ValueError), match=r"by keyword|not layers|1 positional argument"
        ):
            loss_class("conv_4", "conv_2")
    elif name == "FlowOfSolution":
        assert loss_class(["a", "b"], ["c", "d"]).student_layer_name == ["c", "d"]
    else:
        loss = loss_class("conv_4", "conv_2")
        assert [loss.teacher_layer_name, loss.student_layer_name] in (
            ["conv_4", "conv_2"],
            [[f"conv_{n}:{v}" for v in ("query", "key", "value")] for n in (4, 2)],
        )


@pytest.mark.parametrize("names", ["conv_4", ["conv_4", "conv_3"]])
def test_one_layer_name_in_the_place_of_a_number_is_refused(names):
    with pytest.raises(TypeError, match=r"distance_weight must be a number.*student_layer_name"):
        losses.RelationalKD(names)
    with pytest.raises(TypeError, match=r"teacher_layer_name must be a layer path"):
        losses.HintLearning(25.0)
    with pytest.raises(TypeError, match=r"standardize must be True or False"):
        losses.SoftTargets(4.0, "kl", names)


@pytest.mark.parametrize("name", ["", "a/b", "two\nlines", "\ud800", 3, ["kd"], np.ones(2)])
def test_what_is_no_name_of_a_loss_is_refused(name):
    with pytest.raises(TypeError, match=r"name must be a word .*Received: name="):
        losses.SoftTargets(name=name)


@pytest.mark.parametrize(
    ("make", "argument", "values"),
    [
        (losses.SoftTargets, "divergence", ["KL", ["kl"], np.ones(2), NastyEquality()]),
        (losses.SoftTargets, "standardize", [0, "yes", None, np.ones(2)]),
        (losses.SoftTargets, "from_logits", [1, 0, "yes", np.ones(2)]),
        (losses.SoftTargets, "temperature", [1e308, 2**63, np.ones(2), LongRepr()]),
        (losses.HintLearning, "projector", [True, "dense", np.ones(2), NastyEquality()]),
        (losses.SelfAttentionRelation, "relation_heads", [0, 0.5, 2.0, True, "a"]),
        (losses.ContrastiveRepresentation, "seed", [-1, 0.5, None, 2**63]),
        (losses.MaskedGenerative, "seed", [-1, 0.5, None, "a"]),
        (losses.CorrelationCongruence, "order", [0, 1.5, True, np.ones(2)]),
        (losses.FeatureProjector, "normalize", [1, "yes", None]),
        (losses.FeatureProjector, "target_shape", [3, (), (None, "a"), (None, -1), (None, None)]),
    ],
)
def test_a_wrong_setting_is_refused_by_name(make, argument, values):
    for value in values:
        with pytest.raises((TypeError, ValueError), match=argument) as error:
            make(**{argument: value})
        assert len(str(error.value)) < 700


@pytest.mark.parametrize("loss", [lambda: None, dict, "no such loss", None, np.ones(2), {}])
def test_what_is_no_loss_of_keras_is_refused(loss):
    with pytest.raises(ValueError, match=r"loss must be a keras.losses loss.*Received: loss="):
        losses.SoftenedLoss(loss)


@pytest.mark.parametrize("value", ["text", 3, None, object()])
def test_what_is_no_tensor_is_refused_by_the_side_that_it_is_of(value):
    outputs = np.ones((2, 3), "float32")
    with pytest.raises(TypeError, match=r"teacher_outputs must be a tensor"):
        losses.SoftTargets().compute_loss(value, outputs)
    with pytest.raises(TypeError, match=r"student_outputs must be a tensor"):
        losses.SoftTargets().compute_loss(outputs, value)
    if value is not None:
        with pytest.raises(TypeError, match=r"mask must be a boolean tensor"):
            losses.SoftTargets().compute_loss(outputs, outputs, mask=value)


def test_pretraining_of_nothing_is_refused():
    loss = losses.FactorTransfer("stage1", "stage1")
    with pytest.raises(TypeError, match=r"teacher must be a keras.Model"):
        loss.pretrain("resnet", np.zeros((4, 8, 8, 1)))
    for count in ({"epochs": 0}, {"batch_size": 0}):
        with pytest.raises(ValueError, match="must be at least 1"):
            loss.pretrain(keras.Sequential(), np.zeros((4, 8, 8, 1)), **count)
    assert not loss.pretrained
