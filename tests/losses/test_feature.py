import keras
import numpy as np
import pytest

from keras_distill.losses import FeatureProjector, HintLearning


def test_hint_equals_the_mean_squared_error_where_shapes_agree():
    teacher, student = np.random.default_rng(0).random((2, 3, 4, 4, 5), "float32")
    value = HintLearning("t", "s").compute_loss(teacher, student)
    np.testing.assert_allclose(value, np.mean((teacher - student) ** 2), rtol=1e-6)


def test_a_prepared_hint_equals_numpy_through_its_projector():
    rng = np.random.default_rng(0)
    teacher, student = rng.random((3, 4, 4, 6), "float32"), rng.random((3, 8, 8, 2), "float32")
    loss = HintLearning("t", "s")
    loss.prepare(teacher.shape, student.shape)
    kernel, bias = loss.own_layers[0].get_weights()
    pooled = student.reshape(3, 4, 2, 4, 2, 2).mean((2, 4))
    expected = np.mean((teacher - (pooled @ kernel + bias)) ** 2)
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((2, 8, 8, 3), (2, 4, 4, 5)),
        ((2, 4, 4, 3), (2, 7, 7, 3)),
        ((2, 6), (2, 9)),
        ((2, 5, 4), (2, 9, 8)),
    ],
)
def test_the_projector_reaches_the_teachers_shape(source, target):
    assert FeatureProjector(target)(np.ones(source, "float32")).shape == target


def test_the_projector_is_the_identity_where_shapes_agree():
    features = np.random.default_rng(0).random((2, 4, 4, 3), "float32")
    projector = FeatureProjector(features.shape)
    np.testing.assert_array_equal(projector(features), features)
    assert not projector.weights


def test_without_projector_a_mismatch_names_both_shapes():
    with pytest.raises(
        ValueError, match=r"Teacher 't': \(2, 4, 4, 5\), Student 's': \(2, 4, 4, 3\)"
    ):
        HintLearning("t", "s", projector=None).compute_loss(
            np.zeros((2, 4, 4, 5)), np.zeros((2, 4, 4, 3))
        )


def test_an_untracked_projector_is_refused():
    loss = HintLearning("t", "s")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    loss.validate_model_compatibility(model, model)  # as keras.distillation.Distiller does
    with pytest.raises(ValueError, match=r"only keras_distill\.Distiller trains and saves them"):
        loss.compute_loss(np.zeros((2, 4, 4, 5)), np.zeros((2, 4, 4, 3)))


def test_features_with_and_without_space_are_refused():
    with pytest.raises(ValueError, match=r"same number of axes"):
        HintLearning("t", "s").compute_loss(np.zeros((2, 4, 4, 5)), np.zeros((2, 16)))


def test_serialization_round_trip_leaves_variables_behind():
    loss = HintLearning(["a", "b"], ["c", "d"], projector=None, name="hints")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert copy.get_config() == loss.get_config()
    built = HintLearning("a", "b")
    built.prepare((None, 4), (None, 2))
    assert not built.clone().own_layers[0].weights
