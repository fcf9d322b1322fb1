"""Soft targets of regions at several scales."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax

from keras_distill import Distiller, SoftTargets, TeacherCache
from keras_distill.losses import ScaleDecoupled
from tests.losses.numeric import assert_equal_to, random_arrays


def reference(teacher, student, labels, scales, temperature=4.0, weight=2.0):
    values = []
    for t, s, label in zip(teacher, student, labels, strict=True):
        whole_is_right = t.mean((0, 1)).argmax() == label
        of_regions = []
        for scale in scales:
            size = len(t) // scale
            for row in range(scale):
                for column in range(scale):
                    region = np.s_[
                        row * size : (row + 1) * size, column * size : (column + 1) * size
                    ]
                    a, b = t[region].mean((0, 1)), s[region].mean((0, 1))
                    log_p, log_q = log_softmax(a / temperature), log_softmax(b / temperature)
                    value = temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum()
                    agrees = (a.argmax() == label) == whole_is_right
                    of_regions.append(value if agrees else weight * value)
        values.append(np.mean(of_regions))
    return np.mean(values)


LABELS = np.array([0, 2, 1])


@pytest.mark.parametrize(("scales", "weight"), [((1, 2, 4), 2.0), ((2,), 3.0), ((1,), 2.0)])
def test_value_and_gradient_equal_numpy(scales, weight):
    teacher, student = random_arrays((3, 4, 4, 3), (3, 4, 4, 3))
    loss = ScaleDecoupled(4.0, scales, weight, teacher_layer_name="a", student_layer_name="b")
    calculate = lambda s: reference(teacher, s, LABELS, scales, 4.0, weight)  # noqa: E731
    assert_equal_to(loss, teacher, student, calculate, labels=LABELS)


def test_one_region_is_soft_targets_of_the_pooled_logits_with_kernel_and_bias():
    features, kernel, bias, student = random_arrays((3, 4, 4, 6), (6, 3), (3,), (3, 2, 2, 3))
    loss = ScaleDecoupled(4.0, (1,), teacher_layer_name=["f", "k", "b"], student_layer_name="m")
    value = loss.compute_loss([features, kernel, bias], student, labels=LABELS)
    logits = features.mean((1, 2)) @ kernel + bias, student.mean((1, 2))
    np.testing.assert_allclose(value, SoftTargets(4.0).compute_loss(*logits), rtol=1e-9)
    without = loss.compute_loss([features, kernel], student, labels=LABELS)
    logits = features.mean((1, 2)) @ kernel, student.mean((1, 2))
    np.testing.assert_allclose(without, SoftTargets(4.0).compute_loss(*logits), rtol=1e-9)


def test_the_layers_are_found_and_their_maps_average_to_the_output(make_cnn, images, crossentropy):
    teacher, student = make_cnn(4), make_cnn(2)
    distiller = Distiller(teacher, student, ScaleDecoupled())
    loss = distiller.distillation_losses[0]
    assert loss.teacher_layer_name == ["stage2", "logits:kernel", "logits:bias"]
    features = keras.Model(teacher.inputs, teacher.get_layer("stage2").output)(images[0])
    kernel, bias = teacher.get_layer("logits").get_weights()
    maps = np.array(features) @ kernel + bias
    np.testing.assert_allclose(maps.mean((1, 2)), teacher(images[0]), atol=1e-5)
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    assert distiller.fit(*images, verbose=0).history["scale_decoupled"][0] > 0


def test_maps_of_a_layer_go_into_a_cache_and_weights_do_not(make_cnn, images, tmp_path):
    inputs = keras.Input((8, 8, 1))
    maps = keras.layers.Conv2D(3, 3, name="maps")(inputs)
    dense = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(maps))
    loss = ScaleDecoupled(teacher_layer_name="maps", student_layer_name="maps")
    cache = TeacherCache.build(tmp_path / "maps", dense, images, loss, verbose=0)
    assert [target.name for target in cache.targets] == ["maps"]
    with pytest.raises(ValueError, match="ScaleDecoupled taps a kernel of the teacher"):
        TeacherCache.build(tmp_path / "weights", make_cnn(2), images, "sdd", verbose=0)


@pytest.mark.parametrize(
    ("teacher", "student", "message"),
    [
        ((2, 4, 4, 3), (2, 4, 4, 5), "same classes"),
        ((2, 3), (2, 3), "over space"),
        ([(2, 4, 4, 3), (5, 7)], [(2, 4, 4, 3), (3, 7)], "must take the channels"),
    ],
)
def test_maps_that_do_not_fit_are_refused_with_both_sides(teacher, student, message):
    loss = ScaleDecoupled(teacher_layer_name="a", student_layer_name="b")
    arrays = keras.tree.map_shape_structure(np.zeros, [teacher, student])
    with pytest.raises(ValueError, match=rf"(?s){message}.*Teacher.*Student"):
        loss.compute_loss(*arrays, labels=np.zeros(2))


def test_probabilities_are_refused():
    with pytest.raises(ValueError, match="averages logits over regions"):
        ScaleDecoupled().check_activations("softmax", "linear")
