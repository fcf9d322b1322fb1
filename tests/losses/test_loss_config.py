"""What a loss is made of is saved and restored, also in subclasses written the usual Keras way."""

import keras
import numpy as np
import pytest

from keras_distill import DistillationLoss, Distiller, losses


@keras.saving.register_keras_serializable("tests_of_config")
class Scaled(DistillationLoss):
    def __init__(self, scale, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, teacher, student, context):
        return self.scale * keras.ops.mean(keras.ops.square(teacher - student), axis=-1)


@keras.saving.register_keras_serializable("tests_of_config")
class Merged(Scaled):
    def __init__(self, own, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.own = own

    def get_config(self):
        return {**super().get_config(), "own": self.own}


@keras.saving.register_keras_serializable("tests_of_config")
class Forgetful(losses.SoftTargets):
    """Keeps no attribute of its own argument, and fixes one of the class that it extends."""

    def __init__(self, hardness, **kwargs):
        super().__init__(temperature=10.0 / hardness, **kwargs)


@pytest.mark.parametrize(
    "loss",
    [
        Scaled(2.0, teacher_layer_name="hidden", student_layer_name="hidden", name="mine"),
        Merged(1, 3.0, teacher_layer_name="hidden", student_layer_name="hidden"),
        Merged(own=1, scale=3.0, teacher_layer_name="hidden", student_layer_name="hidden"),
        Forgetful(5.0, student_layer_name="hidden", teacher_layer_name="hidden"),
    ],
)
def test_arguments_passed_on_as_keywords_survive(loss, tmp_path):
    copies = [loss.clone(), type(loss).from_config(loss.get_config())]
    teacher, student = (
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden")])
        for _ in range(2)
    )
    distiller = Distiller(teacher, student, loss, student_loss_weight=0.0)
    distiller.compile("sgd")
    distiller.fit(np.ones((4, 4)), verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    copies += keras.models.load_model(tmp_path / "distiller.keras").distillation_losses
    for copy in copies:
        assert copy.get_config() == loss.get_config()
        assert copy.student_layer_name == copy.teacher_layer_name == "hidden"
        assert copy.name == loss.name
        assert getattr(copy, "scale", None) == getattr(loss, "scale", None)
        assert getattr(copy, "temperature", None) == getattr(loss, "temperature", None)


def test_an_attribute_that_changed_is_saved_as_it_is():
    loss = losses.SoftTargets(temperature=2.0)
    loss.temperature = 5.0
    assert loss.clone().temperature == 5.0


@pytest.mark.parametrize("name", [3, b"kd", ""])
def test_a_name_that_is_no_word_is_refused(name):
    with pytest.raises((TypeError, ValueError), match=r"Received: name="):
        losses.SoftTargets(name=name)


@pytest.mark.parametrize("name", ["kd", "logits", "at", "rkd"])
def test_a_batch_of_one_is_not_compared_with_every_sample(name):
    shape = (4, 4, 4, 3) if name == "at" else (4, 3)
    loss = losses.get(name)
    with pytest.raises(ValueError, match=r"the same samples of both sides"):
        loss.compute_loss(np.random.rand(*shape), np.random.rand(1, *shape[1:]))


def test_an_unknown_field_of_the_context_is_refused():
    with pytest.raises(TypeError, match=r"Received: \['label'\]"):
        losses.get("dkd").compute_loss(np.eye(3), np.eye(3), label=np.arange(3))


def test_outputs_are_chosen_outside_a_distiller_too():
    teacher, student = ({"a": np.random.rand(4, 3), "b": np.random.rand(4, 2)} for _ in "ts")
    value = losses.SoftTargets(outputs="a").compute_loss(teacher, student)
    assert float(value) == float(losses.SoftTargets().compute_loss(teacher["a"], student["a"]))
    with pytest.raises(ValueError, match=r"their positions. Received: outputs='c'"):
        losses.SoftTargets(outputs="c").compute_loss(teacher, student)


@pytest.mark.parametrize("mask", [[], [None], {}, np.full((4, 5), np.nan), np.full((4, 5), 0.5)])
def test_a_mask_that_masks_nothing_is_refused(mask):
    sides = np.random.rand(4, 5, 3), np.random.rand(4, 5, 3)
    with pytest.raises(TypeError, match=r"mask must be .*Received: mask="):
        losses.SoftTargets().compute_loss(*sides, mask=mask)


@pytest.mark.parametrize("labels", [np.arange(3), np.zeros((2, 4), int), np.zeros((4, 5), int)])
def test_labels_that_fit_no_sample_are_refused(labels):
    with pytest.raises(ValueError, match=r"Received: labels of shape|Labels of shape"):
        losses.DecoupledKD().compute_loss(np.eye(4), np.ones((4, 4)), labels=labels % 4)


def test_layers_of_one_side_alone_are_refused():
    with pytest.raises(TypeError, match="layers must be"):
        losses.AttentionCapture("fma", {"teacher": None, "student": ["a"]})
