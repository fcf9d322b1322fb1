"""Settings of a distiller: each acts, also when it is set later, or is refused."""

import keras
import numpy as np
import pytest

from keras_distill import Distiller, SoftTargets

X = np.random.default_rng(0).standard_normal((16, 4)).astype("float32")
Y = np.arange(16) % 3


def pair():
    keras.utils.set_random_seed(0)
    return [keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]) for _ in range(2)]


def compiled(crossentropy, **settings):
    distiller = Distiller(*pair(), ["kd", "logits"], **settings)
    distiller.compile(keras.optimizers.SGD(0.1), crossentropy)
    return distiller


@pytest.mark.parametrize("setting", [{"alpha": 0.3}, {"temperature": 5}, {"alpha": 0.1}])
def test_the_tutorials_arguments_are_refused_beside_distillation_losses(setting, crossentropy):
    name = next(iter(setting))
    with pytest.raises(ValueError, match=rf"so {name} has no place.*Received: {name}="):
        Distiller(*pair(), "kd").compile("sgd", crossentropy, **setting)


@pytest.mark.parametrize("weight", [None, 0.1, 1])
def test_the_students_weight_is_refused_in_the_tutorials_form(weight):
    with pytest.raises(ValueError, match=r"compile\(alpha=\.\.\.\).*student_loss_weight="):
        Distiller(student=pair()[0], teacher=pair()[1], student_loss_weight=weight)


def test_weights_set_later_act_in_the_next_fit(crossentropy):
    distiller = compiled(crossentropy, distillation_loss_weights=[1.0, 1.0])
    distiller.fit(X, Y, verbose=0)
    distiller.distillation_loss_weights = [0.0, 2.0]
    distiller.student_loss_weight = None
    logs = distiller.evaluate(X, Y, verbose=0, return_dict=True)
    expected = logs["student_loss"] + 2.0 * logs["logit_matching"]
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)
    history = distiller.fit(X, Y, batch_size=16, verbose=0).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert distiller.distillation_loss_weights == [0.0, 2.0]


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [1.0, "2"], {"kd": 1.0, "logits": 2.0}])
def test_wrong_weights_are_refused_when_set_later_too(weights, crossentropy):
    distiller = compiled(crossentropy)
    with pytest.raises((TypeError, ValueError), match="distillation_loss_weights"):
        distiller.distillation_loss_weights = weights
    with pytest.raises((TypeError, ValueError), match="distillation_loss_weights"):
        Distiller(*pair(), ["kd", "logits"], weights)
    assert distiller.distillation_loss_weights == [1.0, 1.0]


@pytest.mark.parametrize("weight", [1.5, -0.1, "half", float("nan")])
def test_a_wrong_weight_of_the_student_is_refused_when_set_later_too(weight, crossentropy):
    distiller = compiled(crossentropy)
    with pytest.raises((TypeError, ValueError), match="student_loss_weight"):
        distiller.student_loss_weight = weight


def test_two_weights_in_a_dictionary_are_named():
    with pytest.raises(TypeError, match=r"one number per loss.*\{'a': 1, 'b': 2\}"):
        Distiller(*pair(), ["kd", "logits"], {"a": 1, "b": 2})


@pytest.mark.parametrize("name", [3, "", ["a"]])
def test_the_distillers_name_is_a_word(name):
    with pytest.raises((TypeError, ValueError), match=r"Received: name="):
        Distiller(*pair(), "kd", name=name)


def test_an_array_as_a_teacher_is_described_in_short():
    with pytest.raises(ValueError, match=r"Teacher must be a keras.Model") as raised:
        Distiller(np.zeros((500, 500)), pair()[0], "kd")
    assert "ndarray of shape (500, 500)" in str(raised.value)
    assert len(str(raised.value)) < 200


def test_what_a_distiller_learns_from_is_set_when_it_is_made(crossentropy):
    distiller = compiled(crossentropy)
    with pytest.raises(AttributeError, match=r"make a new Distiller"):
        distiller.distillation_losses = [SoftTargets()]


@pytest.mark.parametrize("loss", ["no such loss", ["mse", "nothing"], [], [None], 3, lambda: 0])
def test_what_is_no_loss_is_refused_when_compiled(loss):
    distiller = Distiller(*pair(), "kd")
    with pytest.raises(TypeError, match=r"loss must be a keras.losses loss.*Received: loss="):
        distiller.compile("sgd", loss)
    tutorial = Distiller(student=pair()[0], teacher=pair()[1])
    with pytest.raises(TypeError, match=r"distillation_loss_fn must be.*Received: dist"):
        tutorial.compile("sgd", "mse", distillation_loss_fn=loss)


@pytest.mark.parametrize("input_function", [3, b"x", ["x"], lambda: 0, lambda a, b: a, "", type])
@pytest.mark.parametrize("argument", ["teacher_input", "student_input", "sample_index"])
def test_what_takes_no_inputs_from_a_batch_is_refused(argument, input_function):
    with pytest.raises(TypeError, match=rf"Received: {argument}="):
        Distiller(*pair(), "kd", **{argument: input_function})


def test_a_number_of_steps_that_never_comes_is_refused(crossentropy):
    with pytest.raises(TypeError, match=r"steps_per_epoch must be an integer"):
        compiled(crossentropy).fit(X, Y, steps_per_epoch=float("inf"), verbose=0)


def test_sample_indices_are_integers(crossentropy):
    settings = {"teacher_input": "x", "student_input": "x", "sample_index": "x"}
    distiller = Distiller(*pair(), "kd", **settings)
    distiller.compile("sgd", crossentropy)
    with pytest.raises(TypeError, match=r"sample_index must give integers.*float32"):
        distiller.fit({"x": X}, Y, verbose=0)
