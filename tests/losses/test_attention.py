import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import AttentionTransfer
from keras_distill.losses import functional


def reference_map(features, p=2):
    """The authors' `at`: the mean over channels of the powers, flattened, unit length."""
    flat = (np.abs(np.float64(features)) ** p).mean(-1).reshape(len(features), -1)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def random_features(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype("float32") for shape in shapes]


def numeric_gradient(function, point, indices, step=1e-5):
    gradient = []
    for index in indices:
        values = []
        for sign in (1, -1):
            moved = point.copy()
            moved[index] += sign * step
            values.append(float(function(moved)))
        gradient.append((values[0] - values[1]) / (2 * step))
    return np.array(gradient)


@pytest.mark.parametrize("shapes", [((4, 6, 6, 8), (4, 6, 6, 3)), ((2, 5, 7, 1), (2, 5, 7, 16))])
@pytest.mark.parametrize("p", [1, 2, 4])
def test_mean_form_equals_the_authors_definition(shapes, p):
    teacher, student = random_features(*shapes)
    value = AttentionTransfer("t", "s", p=p).compute_loss(teacher, student)
    expected = np.mean((reference_map(teacher, p) - reference_map(student, p)) ** 2)
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-9)


def test_norm_form_equals_equation_2():
    teacher, student = random_features((4, 6, 6, 8), (4, 6, 6, 3))
    value = AttentionTransfer("t", "s", form="norm").compute_loss(teacher, student)
    distance = np.linalg.norm(reference_map(teacher) - reference_map(student), axis=1)
    np.testing.assert_allclose(value, distance.mean(), rtol=1e-6)


@pytest.mark.parametrize("form", ["mean", "norm"])
@pytest.mark.parametrize("p", [1, 2, 3])
def test_gradient_equals_finite_differences(form, p):
    teacher, student = (np.float64(f) for f in random_features((2, 3, 3, 4), (2, 3, 3, 2)))
    loss = AttentionTransfer("t", "s", p=p, form=form)
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        value = loss.compute_loss(teacher, variable)
    gradient = tape.gradient(value, variable).numpy()
    indices = [(0, 0, 0, 0), (0, 1, 2, 1), (1, 2, 0, 0), (1, 1, 1, 1)]
    expected = numeric_gradient(lambda s: loss.compute_loss(teacher, s), student, indices)
    np.testing.assert_allclose([gradient[i] for i in indices], expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("form", ["mean", "norm"])
def test_loss_and_gradient_are_zero_for_equal_features(form):
    (features,) = random_features((2, 4, 4, 3))
    variable = tf.Variable(features)
    with tf.GradientTape() as tape:
        value = AttentionTransfer("t", "s", form=form).compute_loss(features, variable)
    assert float(value) == 0.0
    np.testing.assert_array_equal(tape.gradient(value, variable), 0.0)


@pytest.mark.parametrize("factor", [1e-15, 0.1, 1e15])
def test_a_positive_factor_changes_nothing(factor):
    teacher, student = random_features((2, 4, 4, 3), (2, 4, 4, 3))
    loss = AttentionTransfer("t", "s")
    expected = loss.compute_loss(teacher, student)
    actual = loss.compute_loss(teacher, np.float32(factor) * student)
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_a_permutation_of_the_channels_changes_nothing():
    teacher, student = random_features((2, 4, 4, 8), (2, 4, 4, 5))
    loss = AttentionTransfer("t", "s")
    expected = loss.compute_loss(teacher, student)
    np.testing.assert_allclose(loss.compute_loss(teacher[..., ::-1], student), expected, rtol=1e-5)


def test_dead_features_have_a_finite_gradient():
    teacher, _ = random_features((2, 4, 4, 3), (2, 4, 4, 3))
    variable = tf.Variable(np.zeros((2, 4, 4, 3), "float32"))
    with tf.GradientTape() as tape:
        value = AttentionTransfer("t", "s").compute_loss(teacher, variable)
    assert np.isfinite(value)
    assert np.isfinite(tape.gradient(value, variable)).all()


def test_float16_features_are_compared_in_float32():
    teacher, student = random_features((2, 4, 4, 3), (2, 4, 4, 3))
    loss = AttentionTransfer("t", "s")
    value = loss.compute_loss(np.float16(60000 * np.tanh(teacher)), np.float16(student))
    assert value.dtype == "float32"
    assert np.isfinite(value)


def test_the_larger_map_is_average_pooled_to_the_smaller_where_sizes_divide():
    teacher, student = random_features((2, 8, 8, 4), (2, 4, 4, 3))
    powers = np.mean(teacher**2, -1).reshape(2, 4, 2, 4, 2).mean((2, 4))
    teacher_map = powers.reshape(2, -1) / np.linalg.norm(powers.reshape(2, -1), axis=1)[:, None]
    expected = np.mean((teacher_map - reference_map(student)) ** 2)
    for pair in ((teacher, student), (student, teacher)):
        value = AttentionTransfer("t", "s").compute_loss(*pair)
        np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_sizes_that_do_not_divide_are_interpolated():
    constant = np.ones((1, 7, 7, 2), "float32")
    value = AttentionTransfer("t", "s").compute_loss(constant, np.ones((1, 3, 5, 1), "float32"))
    np.testing.assert_allclose(value, 0.0, atol=1e-12)


def test_sequences_have_maps_too():
    teacher, student = random_features((2, 10, 4), (2, 5, 3))
    assert AttentionTransfer("t", "s").compute_loss(teacher, student) > 0


def test_lists_of_layers_are_summed():
    shapes = ((2, 8, 8, 4), (2, 8, 8, 2), (2, 4, 4, 8), (2, 4, 4, 3))
    first_t, first_s, second_t, second_s = random_features(*shapes)
    both = AttentionTransfer(["a", "b"], ["c", "d"]).compute_loss(
        [first_t, second_t], [first_s, second_s]
    )
    single = AttentionTransfer("a", "c")
    expected = single.compute_loss(first_t, first_s) + single.compute_loss(second_t, second_s)
    np.testing.assert_allclose(both, expected, rtol=1e-6)


def test_features_without_space_are_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r"Teacher 'a': \(2, 8\), Student 'b': \(2, 4, 4, 3\)"):
        AttentionTransfer("a", "b").compute_loss(np.zeros((2, 8)), np.zeros((2, 4, 4, 3)))


@pytest.mark.parametrize("names", [(["a", "b"], ["c"]), (("a", "b"), ("c",)), (["a"], "c")])
def test_layers_that_are_no_pairs_are_refused(names):
    with pytest.raises(ValueError, match=r"lists of the same length"):
        AttentionTransfer(*names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"form": "sum"}, "form must be one of 'mean', 'norm'"),
        ({"p": 0.5}, "p must be a finite number at least 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        AttentionTransfer("a", "b", **arguments)


def test_serialization_round_trip():
    loss = AttentionTransfer(["a", "b"], ["c", "d"], p=1.0, form="norm", name="maps")
    config = keras.saving.serialize_keras_object(loss)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == loss.get_config()


def test_features_of_unknown_size_that_must_be_resized_are_refused():
    features = keras.KerasTensor((None, None, 8, 1))
    with pytest.raises(ValueError, match=r"unknown size"):
        functional.resize_space(features, (4, 4))
