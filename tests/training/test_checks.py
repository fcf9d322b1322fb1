"""Values that aren't finite end the training by name, under XLA too, where assertions vanish."""

import keras
import numpy as np
import pytest

from keras_distill import Distiller, losses


def pair(teacher_weight=None):
    sides = [
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name=f"logits{index}")])
        for index in range(2)
    ]
    if teacher_weight is not None:
        sides[0].layers[-1].kernel.assign(np.full((4, 3), teacher_weight))
    return sides


X = np.random.default_rng(0).standard_normal((32, 4)).astype("float32")
Y = np.arange(32) % 3
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_teacher_that_isnt_finite_is_named_under_xla_and_the_weights_survive(value):
    distiller = Distiller(*pair(value), ["kd", "logits"])
    distiller.compile("adam", LOSS, jit_compile=True)
    before = distiller.student.get_weights()
    with pytest.raises(ValueError, match=r"distillation loss 'soft_targets' is not finite"):
        distiller.fit(X, Y, batch_size=8, epochs=3, verbose=0)
    for old, new in zip(before, distiller.student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(ValueError, match=r"distillation loss 'soft_targets' is not finite"):
        distiller.evaluate(X, Y, verbose=0)


def test_the_error_comes_within_fifty_steps_under_xla():
    distiller = Distiller(*pair(np.nan), "kd")
    distiller.compile("sgd", LOSS, jit_compile=True)
    seen = []
    counter = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(batch)
    )
    with pytest.raises(ValueError, match="is not finite"):
        distiller.fit(
            np.tile(X, (10, 1)), np.tile(Y, 10), batch_size=2, verbose=0, callbacks=[counter]
        )
    assert len(seen) < 50


@pytest.mark.parametrize("label", [3, -2])
def test_a_label_that_is_no_class_ends_training_under_xla(label):
    distiller = Distiller(*pair(), "dkd", student_loss_weight=0.0)
    distiller.compile("sgd", jit_compile=True)
    with pytest.raises(ValueError, match=r"'decoupled_kd' is not finite.*a label is no class"):
        distiller.fit(X, np.where(np.arange(32) == 5, label, Y), batch_size=8, verbose=0)


def test_a_sample_index_out_of_bounds_ends_training_under_xla():
    loss = losses.ContrastiveRepresentation(samples=32, negatives=8)
    distiller = Distiller(*pair(), loss, student_input="x", teacher_input="x", sample_index="index")
    distiller.compile("sgd", LOSS, jit_compile=True)
    batch = {"x": X, "index": np.arange(32) + 1}
    with pytest.raises(ValueError, match="a sample index is out of bounds"):
        distiller.fit(batch, Y, batch_size=8, verbose=0)


def test_a_healthy_run_under_xla_is_left_alone():
    updates = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(0)
        distiller = Distiller(*pair(), ["kd", "dkd"])
        distiller.compile("sgd", LOSS, jit_compile=jit_compile)
        distiller.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        updates.append(distiller.student.get_weights())
    for plain, compiled in zip(*updates, strict=True):
        np.testing.assert_allclose(plain, compiled, atol=1e-6)
