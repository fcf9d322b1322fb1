"""Freezing: the teacher stays as it is in training, and Keras's own switch undoes it."""

import keras
import numpy as np
import pytest

from keras_distill import Distiller, TeacherCache

layers = keras.layers


def distilled(teacher, student, images, crossentropy):
    distiller = Distiller(teacher, student, "kd")
    distiller.compile(keras.optimizers.SGD(0.1), crossentropy, run_eagerly=True)
    distiller.fit(*images, batch_size=64, epochs=1, verbose=0)
    return distiller


def learns(model, images, crossentropy):
    """Whether training moves every trainable kernel of the model."""
    before = [np.array(weight) for weight in model.trainable_weights]
    model.compile(keras.optimizers.SGD(0.1), crossentropy, run_eagerly=True)
    model.fit(*images, batch_size=64, epochs=1, verbose=0)
    moved = [
        np.abs(old - new).max() > 0
        for old, new in zip(before, model.trainable_weights, strict=True)
    ]
    return bool(moved) and all(moved)


def saved_and_loaded(model, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


def functional(make_cnn):
    backbone = make_cnn(4, name="backbone")
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, layers.Dense(3, name="head")(backbone(inputs)))


@pytest.mark.parametrize("kind", ["sequential", "functional"])
@pytest.mark.parametrize("copy", ["itself", "clone_model", "from_config", "saved"])
def test_kerass_own_switch_undoes_the_freeze(kind, copy, make_cnn, images, crossentropy, tmp_path):
    teacher = make_cnn(4) if kind == "sequential" else functional(make_cnn)
    before = [np.array(weight) for weight in teacher.weights]
    count = len(teacher.trainable_weights)
    distilled(teacher, make_cnn(2), images, crossentropy)
    assert teacher.trainable is False
    assert teacher.trainable_weights == []
    for old, new in zip(before, teacher.weights, strict=True):
        np.testing.assert_array_equal(old, new)
    copies = {
        "itself": lambda: teacher,
        "clone_model": lambda: keras.models.clone_model(teacher),
        "from_config": lambda: type(teacher).from_config(teacher.get_config()),
        "saved": lambda: saved_and_loaded(teacher, tmp_path),
    }
    model = copies[copy]()
    model.trainable = True
    assert len(model.trainable_weights) == count
    assert learns(model, images, crossentropy)


def test_the_settings_of_the_teachers_layers_stay(make_cnn, images, crossentropy):
    teacher = make_cnn(4)
    teacher.get_layer("conv1").trainable = False
    settings = [layer.trainable for layer in teacher.layers]
    distilled(teacher, make_cnn(2), images, crossentropy)
    assert [layer.trainable for layer in teacher.layers] == settings


def test_the_distiller_trains_the_student_and_the_projectors_alone(make_cnn):
    distiller = Distiller(make_cnn(4), make_cnn(2), "fitnet")
    own = distiller.student.trainable_weights + distiller.distillation_layers[0].trainable_weights
    for weights in (distiller.trainable_weights, distiller.trainable_variables):
        assert {id(weight) for weight in weights} == {id(weight) for weight in own}
    for known, rest, every in (
        (distiller.trainable_weights, distiller.non_trainable_weights, distiller.weights),
        (distiller.trainable_variables, distiller.non_trainable_variables, distiller.variables),
    ):
        assert sorted(map(id, known + rest)) == sorted(map(id, every))
    distiller.teacher.trainable = True
    assert len(distiller.trainable_weights) == len(own)


class Late(keras.Model):
    """Makes its layers when it is built."""

    def build(self, input_shape):
        self.flatten = layers.Flatten()
        self.logits = layers.Dense(3)
        self.logits.build((None, int(np.prod(input_shape[1:]))))
        self.built = True

    def call(self, inputs, training=None):
        return self.logits(self.flatten(inputs))


def test_layers_that_a_teacher_makes_later_are_not_trained(images, crossentropy):
    teacher, student = Late(), Late()
    distiller = Distiller(teacher, student, "kd", student_loss_weight=1.0)
    distiller.compile(keras.optimizers.SGD(0.1), crossentropy)
    distiller.fit(*images, epochs=1, verbose=0)
    distiller.student_loss_weight = 0.5
    teacher(images[0])
    assert teacher.trainable_weights == []
    ids = {id(weight) for weight in distiller.trainable_weights}
    assert not ids & {id(weight) for weight in teacher.weights}
    teacher.trainable = True
    assert len(teacher.trainable_weights) == 2


def sharing(shared, name):
    inputs = keras.Input((8, 8, 1))
    x = layers.Flatten()(shared(inputs))
    return keras.Model(inputs, layers.Dense(3)(x), name=name)


@pytest.mark.parametrize(
    ("shared", "path"),
    [
        (lambda: layers.Conv2D(2, 3, name="stem"), "stem"),
        (lambda: layers.BatchNormalization(center=False, scale=False, name="norm"), "norm"),
        (
            lambda: keras.Sequential([layers.Dense(2, name="inner")], name="backbone"),
            "backbone/inner",
        ),
    ],
)
def test_shared_layers_are_refused_by_name(shared, path):
    shared = shared()
    teacher, student = sharing(shared, "teacher"), sharing(shared, "student")
    with pytest.raises(ValueError, match=f"1 shared layers, by their path in the student: {path}"):
        Distiller(teacher, student, "kd")
    assert shared.trainable
    assert teacher.trainable


def test_shared_layers_of_subclassed_models_are_refused_when_they_are_built(images, crossentropy):
    class Sharing(keras.Model):
        def __init__(self, shared):
            super().__init__()
            self.shared = shared
            self.logits = layers.Dense(3)

        def call(self, inputs, training=None):
            return self.logits(self.shared(layers.Flatten()(inputs)))

    shared = layers.Dense(4, name="shared")
    distiller = Distiller(Sharing(shared), Sharing(shared), "kd")
    distiller.compile("sgd", crossentropy)
    with pytest.raises(ValueError, match="Teacher and student share layers"):
        distiller.fit(*images, verbose=0)


@pytest.mark.parametrize("is_frozen", [True, False])
def test_what_training_does_not_change_may_be_shared(is_frozen, images, crossentropy):
    shared = layers.Conv2D(2, 3) if is_frozen else layers.Normalization()
    shared.build((None, 8, 8, 1))
    shared.trainable = not is_frozen
    teacher, student = sharing(shared, "teacher"), sharing(shared, "student")
    before = [np.array(weight) for weight in shared.weights]
    distilled(teacher, student, images, crossentropy)
    for old, new in zip(before, shared.weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_cache_leaves_the_teacher_as_it_is(make_cnn, images, tmp_path):
    teacher = make_cnn(4)
    TeacherCache.build(tmp_path / "cache", teacher, images[0], "kd", batch_size=32, verbose=0)
    assert teacher.trainable
    assert all(layer.trainable for layer in teacher.layers)
