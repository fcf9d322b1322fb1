import keras
import pytest

from keras_distill import SoftTargets, losses


@pytest.mark.parametrize("name", ["kd", "SoftTargets", "soft_targets"])
def test_every_spelling_of_a_name_works(name):
    assert type(losses.get(name)) is SoftTargets


def test_arguments_reach_the_loss():
    assert losses.get("kd", temperature=2.5).temperature == 2.5
    assert (
        losses.get("at", teacher_layer_name="a", student_layer_name="b").student_layer_name == "b"
    )


def test_losses_pass_through():
    loss = SoftTargets()
    keras_loss = keras.distillation.LogitsDistillation()
    assert losses.get(loss) is loss
    assert losses.get(keras_loss) is keras_loss


def test_an_unknown_name_lists_the_closest():
    with pytest.raises(ValueError, match=r"Closest: 'soft_targets'"):
        losses.get("soft_target")


def test_a_name_that_needs_arguments_says_so():
    with pytest.raises(ValueError, match=r"pass SoftenedLoss\(\.\.\.\)"):
        losses.get("softened_loss")


def test_a_loss_against_labels_is_refused_with_advice():
    with pytest.raises(TypeError, match=r"use SoftTargets\(\)"):
        losses.get(keras.losses.KLDivergence())
