"""The default students: they suit the samples, and vary in what is chosen."""

import keras_tuner
import numpy as np
import pytest

from keras_distill.tuning.student_search.networks import DefaultStudents


def build(shape, **values):
    hp = keras_tuner.HyperParameters()
    hp.values = values
    return DefaultStudents(shape, 5)(hp)


@pytest.mark.parametrize("shape", [(28, 20, 3), (8, 8, 1), (2, 3, 1), (49, 10), (1, 4), (7,)])
@pytest.mark.parametrize("keeps", [False, True])
def test_students_suit_the_samples(shape, keeps):
    student = build(shape, keeps_positions=keeps, stages=4, depth=2, strided=keeps)
    assert student.input_shape == (None, *shape)
    assert student.output_shape == (None, 5)


def test_stages_can_be_tapped():
    student = build((32, 32, 3), stages=3, depth=2, width=4, growth=2.0)
    sizes = [student.get_layer(f"stage{n}_out").output.shape[1:] for n in (1, 2, 3)]
    assert sizes == [(32, 32, 4), (16, 16, 8), (8, 8, 16)]


def test_what_is_chosen_changes_the_student():
    usual = build((16, 16, 1)).count_params()
    others = [{"block": "plain"}, {"width": 16}, {"depth": 3}, {"growth": 1.5}, {"stages": 2}]
    others += [{"keeps_positions": True}]
    assert all(build((16, 16, 1), **each).count_params() != usual for each in others)
    kinds = {
        residual: [type(layer).__name__ for layer in build((16, 16, 1), residual=residual).layers]
        for residual in (False, True)
    }
    assert "Add" in kinds[True] and "Add" not in kinds[False]
    half = build((16, 16, 1), strided=True).get_layer("stage1_out").output.shape
    assert half[1:3] == (8, 8)


def test_other_samples_need_a_space():
    with pytest.raises(ValueError, match="give space="):
        DefaultStudents((2, 3, 4, 5), 3)


def test_what_has_no_effect_is_not_chosen():
    hp = keras_tuner.HyperParameters()
    hp.values = {"stages": 1}
    DefaultStudents((16, 16, 1), 5)(hp)
    assert "growth" not in hp.values


@pytest.mark.parametrize("block", ["plain", "separable"])
def test_normalizations_settle_within_a_short_training(block):
    student = build((8, 8, 1), block=block, width=8, stages=2, residual=False)
    x = np.random.default_rng(0).random((60, 8, 8, 1)).astype("float32")
    for _ in range(100):
        trained = student(x, training=True)
    np.testing.assert_allclose(student(x), trained, atol=0.05 * np.abs(trained).max())
