"""Features in logit space: exits of one-for-all, and softmax regression by the teacher's kernel."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from keras_distill import Distiller, TeacherCache, recipes
from keras_distill.losses import OneForAll, SoftmaxRegression, functional
from keras_distill.losses.feature.one_for_all import ExitHead
from tests.losses.numeric import assert_equal_to, random_arrays

LABELS = np.array([0, 2, 1])


def reference_one_for_all(teacher, student, labels, exponent, temperature):
    total = 0.0
    for t, s, label in zip(teacher, student, labels, strict=True):
        p, log_q = softmax(t / temperature), log_softmax(s / temperature)
        weights = p**exponent
        weights[label] = (p[label] + 1) ** exponent - 1
        total -= weights @ log_q
    return total / len(teacher)


@pytest.mark.parametrize(("exponent", "temperature"), [(1.0, 1.0), (1.5, 1.0), (1.3, 2.0)])
def test_one_for_all_of_the_output_equals_numpy(exponent, temperature):
    teacher, student = random_arrays((3, 4), (3, 4))
    loss = OneForAll(None, None, exponent, temperature)
    settings = (LABELS, exponent, temperature)
    calculate = lambda s: reference_one_for_all(teacher, s, *settings)  # noqa: E731
    assert_equal_to(loss, teacher, student, calculate, labels=LABELS)


def test_the_exits_are_summed_each_through_its_own_head():
    teacher, *student = random_arrays((3, 4), (3, 8, 8, 2), (3, 4, 4, 5))
    loss = OneForAll(None, ["a", "b"], exponent=1.5)
    loss.prepare((None, 4), [features.shape for features in student])
    exits = [head(features) for head, features in zip(loss.own_layers, student, strict=True)]
    assert [tuple(logits.shape) for logits in exits] == [(3, 4)] * 2
    expected = sum(
        reference_one_for_all(teacher, np.float64(logits), LABELS, 1.5, 1.0) for logits in exits
    )
    value = loss.compute_loss(teacher, student, labels=LABELS)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "halvings", "sizes"),
    [((2, 8, 8, 3), 2, [4, 4, 2, 2]), ((2, 12, 4), 1, [6, 6]), ((2, 7), 2, None)],
)
def test_a_head_halves_the_space_once_per_later_stage(shape, halvings, sizes):
    head = ExitHead(halvings)
    head.match(5, shape)
    assert head(np.ones(shape)).shape == (2, 5)
    convolutions = [block for block in head.blocks if hasattr(block, "strides")]
    if sizes is None:
        assert not convolutions
        return
    size, found = shape[1], []
    for block in convolutions:
        size //= block.strides[0]
        found.append(size)
    assert found == sizes
    assert convolutions[-1].filters == shape[-1] * 2**halvings


def test_a_teacher_without_stages_is_enough(make_cnn, images, crossentropy, tmp_path):
    teacher = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    student = make_cnn(2)
    recipe = recipes.get("ofa")
    distiller = Distiller(teacher, student, **recipe)
    assert distiller.distillation_losses[0].student_layer_name == ["stage1", "stage2"]
    cache = TeacherCache.build(
        tmp_path, teacher, images, recipe.distillation_losses, dtype="float32", verbose=0
    )
    assert [target.name for target in cache.targets] == ["output 0 (logits)"]
    by_function = Distiller(lambda x: teacher(x, training=False), student, "ofa")
    by_function.compile("sgd", crossentropy, run_eagerly=True)
    assert np.isfinite(by_function.fit(*images, verbose=0).history["one_for_all"][0])


def test_a_student_without_stages_is_told_to_name_its_layers(make_cnn):
    student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    student.add(keras.layers.Dense(3))
    with pytest.raises(ValueError, match=r'"auto" .*(?s:.*)student'):
        Distiller(make_cnn(2), student, "ofa")


def test_outputs_that_are_no_rows_of_logits_are_refused():
    with pytest.raises(ValueError, match=r"(?s)one row of logits.*Teacher.*Student"):
        OneForAll(None, "a").compute_loss(np.ones((2, 4, 3)), np.ones((2, 4, 4, 2)), labels=LABELS)


def test_softmax_regression_equals_numpy():
    teacher, student, kernel = random_arrays((3, 5), (3, 5), (5, 4))

    def calculate(array):
        gap = array - teacher
        return np.mean(gap**2) + np.mean((gap @ kernel) ** 2)

    values = functional.softmax_regression(teacher, student, kernel)
    np.testing.assert_allclose(np.mean(values), calculate(student), rtol=1e-9)


def test_softmax_regression_maps_pools_and_classifies():
    teacher, kernel, student = random_arrays((3, 2, 2, 5), (5, 4), (3, 4, 4, 2))
    loss = SoftmaxRegression(["a", "k"], "b")
    loss.prepare([teacher.shape, kernel.shape], student.shape)
    (projector,) = loss.own_layers
    mapped = np.maximum(np.float64(projector(student, training=False)), 0).mean((1, 2))
    gap = mapped - teacher.mean((1, 2))
    expected = np.mean(gap**2) + np.mean((gap @ kernel) ** 2)
    value = loss.compute_loss([teacher, kernel], student)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_its_logits_are_those_of_the_teachers_classifier(make_cnn, images, crossentropy):
    teacher, student = make_cnn(4), make_cnn(2)
    distiller = Distiller(teacher, student, "srrl")
    loss = distiller.distillation_losses[0]
    names = loss.teacher_layer_name, loss.student_layer_name
    assert names == (["logits:input", "logits:kernel"], "logits:input")
    distiller.compile(keras.optimizers.SGD(0.05), crossentropy, run_eagerly=True)
    history = distiller.fit(*images, epochs=4, verbose=0).history["softmax_regression"]
    assert history[-1] < history[0]
    with pytest.raises(ValueError, match=r"(?s)the classifier's kernel.*Teacher.*Student"):
        SoftmaxRegression("a", "b").compute_loss(np.ones((2, 3)), np.ones((2, 3)))
