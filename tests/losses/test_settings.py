"""Arguments of the losses: layers and settings aren't mistaken for each other."""

import pytest

from keras_distill import losses
from keras_distill.losses.registry import classes

# Losses whose settings come first; all others take the two layer names first.
SETTINGS_FIRST = {
    *losses.response.__all__,
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
