"""Students that are taught by what they were: an epoch ago, or on average."""

import keras
import numpy as np
import pytest

from keras_distill.losses import SimpleKD, SoftenedLoss
from keras_distill.schemes import MovingAverageTeacher, ProgressiveSelf

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def log_softmax(z):
    z = z.astype("float64")
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def compiled(distiller, optimizer=None):
    optimizer = optimizer or keras.optimizers.SGD(0.5)
    distiller.compile(optimizer, LOSS, metrics=["accuracy"], run_eagerly=True)
    return distiller


def cnn():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, activation="relu", name="stage"),
            layers.BatchNormalization(momentum=0.5, name="norm"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.random((16, 6, 6, 1), "float32"), rng.integers(0, 3, 16)


def in_training(model, x):
    """The log-probabilities of a model in training mode, without a change to its statistics."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return log_softmax(copy(x, training=True).numpy())


@pytest.mark.parametrize("kind", ["dense", "normalized"])
def test_the_targets_are_refined_by_the_model_of_the_last_epoch(kind, make_dense, numbers, images):
    x, y = numbers if kind == "dense" else images
    student, epochs, alpha = make_dense() if kind == "dense" else cnn(), 4, 0.8
    distiller = compiled(ProgressiveSelf(student, epochs, alpha))
    one_hot, last = np.eye(3)[y], None
    for epoch in range(1, 6):
        now = in_training(student, x)
        share = alpha * min(epoch / epochs, 1) if epoch > 1 else 0.0
        targets = one_hot if last is None else (1 - share) * one_hot + share * np.exp(last)
        expected = -(targets * now).sum(-1).mean()
        # One batch, so that the loss is that of the weights before the update.
        history = distiller.fit(x, y, batch_size=24, epochs=1, verbose=0).history
        np.testing.assert_allclose(history["loss"][0], expected, rtol=1e-5)
        last = in_training(student, x)
        np.testing.assert_allclose(in_training(distiller.teacher, x), last, rtol=1e-5)


def test_the_teacher_stays_within_an_epoch(make_dense, numbers):
    distiller = compiled(ProgressiveSelf(make_dense(), 3))
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(distiller.teacher.get_weights()[0])

    settings = {"batch_size": 12, "epochs": 2, "verbose": 0, "callbacks": Look()}
    distiller.fit(*numbers, **settings)
    first, second = seen[:2], seen[2:]
    np.testing.assert_array_equal(*first)
    np.testing.assert_array_equal(*second)
    assert (first[0] != second[0]).any()
    assert int(distiller.epochs_done) == 2


def test_a_stopped_training_goes_on_with_the_same_targets(make_dense, numbers, tmp_path):
    student = make_dense()

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def trained(*callbacks):
        copy = keras.models.clone_model(student)
        copy.set_weights(student.get_weights())
        distiller = compiled(ProgressiveSelf(copy, 3))
        distiller.fit(*numbers, batch_size=24, epochs=3, verbose=0, callbacks=list(callbacks))
        return distiller.get_weights()

    expected = trained()
    with pytest.raises(KeyboardInterrupt):
        trained(keras.callbacks.BackupAndRestore(tmp_path / "backup"), Stop())
    found = trained(keras.callbacks.BackupAndRestore(tmp_path / "backup"))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_average_is_that_of_numpy(images):
    student = cnn()
    # The paper's loss.
    loss = SoftenedLoss(keras.losses.MeanSquaredError(), temperature=1.0)
    distiller = compiled(MovingAverageTeacher(student, 0.3, loss))
    expected = student.get_weights()
    for update in range(1, 5):
        distiller.train_on_batch(*images)
        decay = min(0.3, (1 + update) / (10 + update))
        expected = [
            decay * average + (1 - decay) * weight
            for average, weight in zip(expected, student.get_weights(), strict=True)
        ]
        for found, average in zip(distiller.teacher.get_weights(), expected, strict=True):
            np.testing.assert_allclose(found, average, atol=1e-6)
    assert (student.get_weights()[0] != expected[0]).any()
    probabilities = [
        np.exp(log_softmax(m(images[0]).numpy())) for m in (student, distiller.teacher)
    ]
    value = distiller.evaluate(*images, verbose=0, return_dict=True)["softened_loss"]
    assert value == pytest.approx(np.square(probabilities[0] - probabilities[1]).mean(), rel=1e-3)


@keras.saving.register_keras_serializable("keras_distill_tests")
class SubclassedSelf(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.logits = keras.layers.Dense(3)

    def call(self, inputs, training=None):
        return self.logits(inputs)


def test_subclassed_students_are_copied_once_they_are_built(numbers):
    student = SubclassedSelf()
    with pytest.raises(ValueError, match="student must be built"):
        MovingAverageTeacher(student)
    student(numbers[0])
    distiller = compiled(MovingAverageTeacher(student, 0.0))
    distiller.fit(*numbers, verbose=0)
    for one, other in zip(student.weights, distiller.teacher.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda m: ProgressiveSelf(m, 0), ValueError, "epochs must be at least 1"),
        (lambda m: ProgressiveSelf(m, 2.5), TypeError, "epochs must be an integer"),
        (lambda m: ProgressiveSelf(m, 2, 1.5), ValueError, "alpha must be"),
        (lambda m: ProgressiveSelf(None, 2), TypeError, "student must be a keras.Model"),
        (lambda m: ProgressiveSelf(m, 2, student_input=3), TypeError, "student_input must be"),
        (lambda m: ProgressiveSelf(m, 2, 0.5, []), ValueError, "distillation_losses is empty"),
        (lambda m: MovingAverageTeacher(m, 1), ValueError, "decay must be below 1"),
        (lambda m: MovingAverageTeacher(m, "kd"), TypeError, "decay must be a number"),
        (lambda m: MovingAverageTeacher(m, 0.5, "kdd"), ValueError, "Unknown distillation loss"),
        (
            lambda m: MovingAverageTeacher(cnn(), 0.5, SimpleKD("stage", "stage")),
            ValueError,
            "teaches itself keeps its own layers, and a loss would replace",
        ),
    ],
)
def test_what_cannot_teach_itself_is_refused(make_dense, make, error, match):
    with pytest.raises(error, match=match):
        make(make_dense())
