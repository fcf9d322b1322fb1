"""New classes beside the old ones, which soft targets of the model before keep."""

import keras
import numpy as np
import pytest

from keras_distill.losses import LogitMatching, SimilarityPreserving
from keras_distill.schemes import LearningWithoutForgetting

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def softmax(z):
    z = np.exp(z.astype("float64") - z.max(-1, keepdims=True))
    return z / z.sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def samples():
    """Samples of two new classes, 3 and 4, and samples of the three old ones."""
    rng = np.random.default_rng(0)
    old = rng.normal(size=(60, 4)).astype("float32")
    new = rng.normal(size=(24, 4)).astype("float32")
    return (new, 3 + (new[:, 3] > 0)), (old, old[:, :3].argmax(-1))


@pytest.fixture(scope="module")
def model(samples):
    """A model that knows the old classes."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(8, "relu", name="hidden"), keras.layers.Dense(3, name="logits")]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(keras.optimizers.Adam(0.05), LOSS)
    model.fit(*samples[1], epochs=20, verbose=0)
    return model


def fitted(model, data, updates):
    model.compile(keras.optimizers.SGD(0.5), LOSS, run_eagerly=True)
    settings = {"batch_size": len(data[0]), "epochs": updates, "shuffle": False, "verbose": 0}
    return model.fit(*data, **settings).history


def new_learner(model, **settings):
    keras.utils.set_random_seed(1)
    return LearningWithoutForgetting(model, 2, **settings)


def test_the_old_head_stays_closer_than_with_fine_tuning(model, samples):
    new, old = samples
    before, weights = softmax(model(old[0]).numpy()), model.get_weights()
    plain = new_learner(model).student
    without = new_learner(model, distillation_loss_weights=0.0)
    learner = new_learner(model)
    for each in (plain, without, learner):
        fitted(each, new, 8)
    divergence, accuracy = [], []
    for student in (plain, learner.student):
        logits = student(old[0]).numpy()
        after = softmax(logits[:, :3])
        divergence.append((before * np.log(before / after)).sum(-1).mean())
        accuracy.append((logits[:, :3].argmax(-1) == old[1]).mean())
        assert (student(new[0]).numpy().argmax(-1) == new[1]).mean() > 0.9
    assert divergence[1] < divergence[0] / 2
    assert accuracy[1] > accuracy[0]
    # The model before is as it was, and without the loss nothing but fine-tuning is left.
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(without.student.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_total_is_that_of_the_paper(model, samples):
    (x, y), _ = samples
    history = fitted(new_learner(model), (x, y), 2)
    student = new_learner(model).student
    # The copy answers as the model does, until the first update.
    assert history["soft_targets"][0] == pytest.approx(0, abs=1e-6)
    fitted(student, (x, y), 1)
    logits = student(x).numpy()
    taught, softened = softmax(model(x).numpy() / 2), softmax(logits[:, :3] / 2)
    labels = -np.log(softmax(logits)[np.arange(24), y]).mean()
    old = (taught * np.log(taught / softened)).sum(-1).mean()
    assert history["soft_targets"][1] == pytest.approx(4 * old, rel=1e-3)
    assert history["loss"][1] == pytest.approx(labels + old, rel=1e-4)


@pytest.mark.parametrize("end", ["logits", "softmax", "layer"])
def test_old_classes_come_first_and_further_ones_can_follow(make_dense, end):
    model = make_dense(activation="softmax" if end == "softmax" else None)
    if end == "layer":
        model.add(keras.layers.Activation("softmax"))
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    learner = LearningWithoutForgetting(model, 2)
    again = LearningWithoutForgetting(learner.student, 3)
    third = LearningWithoutForgetting(again.student, 1)
    before = model(x).numpy()
    for student, classes in ((learner.student, 5), (again.student, 8), (third.student, 9)):
        answers = student(x).numpy()
        assert answers.shape == (6, classes)
        if end == "logits":
            np.testing.assert_allclose(answers[:, :3], before, rtol=1e-5)
            continue
        np.testing.assert_allclose(answers.sum(-1), 1, rtol=1e-5)
        old = answers[:, :3] / answers[:, :3].sum(-1, keepdims=True)
        np.testing.assert_allclose(old, before, rtol=1e-4)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=end == "logits")
    third.compile("sgd", loss, run_eagerly=True)
    history = third.fit(x, np.full(6, 8), verbose=0).history
    assert history["soft_targets"][0] == pytest.approx(0, abs=1e-5)


@keras.saving.register_keras_serializable("keras_distill_tests")
class SubclassedClassifier(keras.Model):
    def call(self, inputs):
        return inputs


def with_end(*layers):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), *layers])


def frozen(model):
    model.trainable = False
    return model


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: (None, 2), TypeError, "model must be a keras.Model"),
        (lambda: (with_end(), 0), ValueError, "new_classes must be at least 1"),
        (lambda: (with_end(), 2.0), TypeError, "new_classes must be an integer"),
        (lambda: (SubclassedClassifier(), 2), ValueError, "must be a built Functional"),
        (lambda: (with_end(keras.layers.Dense(1)), 2), ValueError, "two classes or more"),
        (lambda: (with_end(keras.layers.Reshape((3, 1))), 2), ValueError, r"\(batch, classes\)"),
        (
            lambda: (with_end(keras.layers.BatchNormalization()), 2),
            ValueError,
            "must end in a Dense layer.*BatchNormalization",
        ),
        (
            lambda: (with_end(keras.layers.Dense(3, activation="sigmoid")), 2),
            ValueError,
            "has another activation.*'sigmoid'",
        ),
        (lambda: (frozen(with_end()), 2), ValueError, "set model.trainable = True"),
        (lambda: (with_end(), 2, "dkd"), ValueError, "DecoupledKD reads labels"),
        (lambda: (with_end(), 2, "kdd"), ValueError, "Unknown distillation loss"),
    ],
)
def test_what_cannot_be_widened_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        LearningWithoutForgetting(*make())


def test_any_loss_without_labels_keeps_the_old_head(model, samples):
    losses = ["auto", LogitMatching(), "dist", SimilarityPreserving("hidden", "hidden")]
    learner = new_learner(model, distillation_losses=losses)
    tapped = [loss.student_layer_name for loss in learner.distillation_losses]
    assert tapped == ["logits", "logits", "logits", "hidden"]
    history = fitted(learner, samples[0], 1)
    assert history["distillation_loss"][0] == pytest.approx(0, abs=1e-4)


def test_the_new_head_can_be_trained_before_the_rest(model, samples):
    learner = new_learner(model)
    body = [layer for layer in learner.student.layers if layer.name != "new_classes_1"]
    before = learner.student.get_layer("hidden").get_weights()[0]
    for layer in body:
        layer.trainable = False
    assert fitted(learner, samples[0], 2)["soft_targets"][1] == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(learner.student.get_layer("hidden").get_weights()[0], before)
    for layer in body:
        layer.trainable = True
    fitted(learner, samples[0], 1)
    assert (learner.student.get_layer("hidden").get_weights()[0] != before).any()
