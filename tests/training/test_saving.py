import io
import subprocess
import sys
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import AttentionTransfer, Distiller, SoftTargets
from keras_distill.losses import HintLearning

# One whose own layers are beside the student, and one that changes the student.
LOSSES = ("vid", "simkd")


def trained(make_cnn, images, crossentropy, run_eagerly=True):
    losses = [SoftTargets(2.0), HintLearning("stage1", "stage1")]
    distiller = Distiller(make_cnn(8), make_cnn(2), losses, [1.0, 0.1])
    optimizer, settings = keras.optimizers.Adam(0.01), {"run_eagerly": run_eagerly}
    distiller.compile(optimizer, crossentropy, metrics=["accuracy"], **settings)
    distiller.fit(*images, batch_size=16, epochs=1, shuffle=False, verbose=0)
    return distiller


def same_weights(first, second, **tolerance):
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, **(tolerance or {"rtol": 0, "atol": 0}))


def test_training_goes_on_after_loading_as_if_never_interrupted(
    make_cnn, images, crossentropy, tmp_path
):
    distiller = trained(make_cnn, images, crossentropy, run_eagerly=False)
    path = tmp_path / "distiller.keras"
    distiller.save(path)
    loaded = keras.models.load_model(path)
    same_weights(distiller.distillation_layers[0], loaded.distillation_layers[0])
    for variable, copy in zip(
        distiller.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(variable, copy)
    for model in (distiller, loaded):
        model.fit(*images, batch_size=16, epochs=1, shuffle=False, verbose=0)
    same_weights(distiller, loaded, rtol=1e-5, atol=1e-6)
    assert int(loaded.optimizer.iterations) == 8


def test_saved_students_load_where_keras_distill_is_never_imported(
    make_cnn, images, crossentropy, tmp_path
):
    students = {"trained": trained(make_cnn, images, crossentropy).student}
    students |= {name: Distiller(make_cnn(8), make_cnn(2), name).student for name in LOSSES}
    for name, student in students.items():
        student.save(tmp_path / f"{name}.keras")
    np.save(tmp_path / "x.npy", images[0])
    code = (
        "import sys, numpy as np, keras; x = np.load(sys.argv[1])\n"
        "for path in sys.argv[2:]:\n"
        "    model = keras.models.load_model(path)\n"
        "    np.savez(path + '.npz', y=model(x), parameters=model.count_params())\n"
        "assert not any(name.startswith('keras_distill') for name in sys.modules)"
    )
    files = [tmp_path / f"{name}.keras" for name in students]
    subprocess.run([sys.executable, "-c", code, tmp_path / "x.npy", *files], check=True)
    for name, student in students.items():
        found = np.load(tmp_path / f"{name}.keras.npz")
        assert found["parameters"] == student.count_params()
        np.testing.assert_allclose(found["y"], student(images[0]), rtol=1e-5, atol=1e-6)


def test_the_saved_student_holds_no_teacher_and_no_projector(
    make_cnn, images, crossentropy, tmp_path
):
    distiller = trained(make_cnn, images, crossentropy)
    distiller.student.save(tmp_path / "student.keras")
    student = keras.models.load_model(tmp_path / "student.keras")
    assert student.count_params() == make_cnn(2).count_params()


def test_the_tutorial_form_survives_saving(make_cnn, images, crossentropy, tmp_path):
    distiller = Distiller(student=make_cnn(2), teacher=make_cnn(8))
    distiller.compile(
        "adam",
        metrics=["accuracy"],
        student_loss_fn=crossentropy,
        distillation_loss_fn=keras.losses.KLDivergence(),
        alpha=0.25,
        temperature=7,
        run_eagerly=True,
    )
    distiller.fit(*images, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert (loaded.alpha, loaded.temperature) == (0.25, 7)
    expected = distiller.evaluate(*images, verbose=0, return_dict=True)
    actual = loaded.evaluate(*images, verbose=0, return_dict=True)
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=1e-5, err_msg=name)


def test_settings_survive_saving(make_cnn, images, crossentropy, tmp_path):
    schedule = keras.optimizers.schedules.PolynomialDecay(0.0, 10, 1.0)
    cooling = keras.optimizers.schedules.PolynomialDecay(8.0, 10, 2.0)
    maps = AttentionTransfer(["stage1", "stage2"], ["stage1", "stage2"])
    losses = [SoftTargets(cooling), maps]
    distiller = Distiller(
        make_cnn(8), make_cnn(2), losses, [schedule, 1.0], student_loss_weight=None
    )
    distiller.compile("sgd", crossentropy, validate_with_teacher=False)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert loaded.student_loss_weight is None
    assert loaded.validate_with_teacher is False
    assert loaded.distillation_loss_weights[0].get_config() == schedule.get_config()
    assert loaded.distillation_losses[0].temperature.get_config() == cooling.get_config()
    assert loaded.distillation_losses[1].get_config() == maps.get_config()


@keras.saving.register_keras_serializable("keras_distill_tests")
class Subclassed(keras.Model):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.hidden = keras.layers.Dense(width, activation="relu")
        self.flatten = keras.layers.Flatten()
        self.logits = keras.layers.Dense(3)

    def call(self, inputs, training=None):
        return self.logits(self.hidden(self.flatten(inputs)))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def test_subclassed_models_with_a_projector_are_saved_and_go_on(images, crossentropy, tmp_path):
    distiller = Distiller(Subclassed(8), Subclassed(4), HintLearning("hidden", "hidden"))
    distiller.compile(keras.optimizers.Adam(0.01), crossentropy)
    distiller.fit(*images, batch_size=16, epochs=1, shuffle=False, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    same_weights(distiller.distillation_layers[0], loaded.distillation_layers[0])
    for model in (distiller, loaded):
        model.fit(*images, batch_size=16, epochs=1, shuffle=False, verbose=0)
    same_weights(distiller, loaded, rtol=1e-5, atol=1e-6)


def test_backup_and_restore_resumes_with_optimizer_and_projector(
    make_cnn, images, crossentropy, tmp_path
):
    def fresh():
        keras.utils.set_random_seed(3)
        losses = [SoftTargets(2.0), HintLearning("stage1", "stage1")]
        distiller = Distiller(make_cnn(8), make_cnn(2), losses)
        distiller.compile(keras.optimizers.Adam(0.01), crossentropy, run_eagerly=True)
        return distiller

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    settings = {"batch_size": 32, "epochs": 3, "shuffle": False, "verbose": 0}
    reference = fresh()
    reference.fit(*images, **settings)
    backup = lambda: keras.callbacks.BackupAndRestore(tmp_path / "backup")  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        fresh().fit(*images, callbacks=[backup(), Interrupt()], **settings)
    resumed = fresh()
    for layer in (resumed.student, resumed.distillation_layers[0]):
        layer.set_weights([0.0 * weight for weight in layer.get_weights()])
    resumed.fit(*images, callbacks=[backup()], **settings)
    same_weights(resumed.student, reference.student, rtol=1e-4, atol=1e-5)
    same_weights(
        resumed.distillation_layers[0], reference.distillation_layers[0], rtol=1e-4, atol=1e-5
    )


def names_of_saved_weights(path):
    names = []
    with zipfile.ZipFile(path) as archive:
        content = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    content.visititems(lambda name, item: names.append(name) if hasattr(item, "dtype") else None)
    return names


@pytest.mark.parametrize("kind", ["graphs", "subclassed"])
def test_the_teachers_optimizer_is_not_saved_and_no_state_is_lost(
    kind, make_cnn, images, crossentropy, tmp_path
):
    make = make_cnn if kind == "graphs" else Subclassed
    teacher, student = make(8), make(2)
    for model in (teacher, student):
        model.compile("adam", crossentropy, metrics=["accuracy"], run_eagerly=True)
        model.fit(*images, epochs=1, verbose=0)
    distiller = Distiller(teacher, student, "kd")
    distiller.compile("adam", crossentropy, metrics=["accuracy"], run_eagerly=True)
    distiller.fit(*images, epochs=1, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    saved = names_of_saved_weights(tmp_path / "distiller.keras")
    of_teacher = [name for name in saved if "teacher" in name]
    assert len(of_teacher) == len(teacher.weights)
    assert not any("optimizer" in name for name in of_teacher)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert not [str(each.message) for each in caught if "kipping" in str(each.message)]
    same_weights(loaded.teacher, teacher)
    same_weights(loaded.student, student)
    assert not loaded.teacher.compiled
    assert teacher.optimizer.iterations == 2
    np.testing.assert_array_equal(
        *(model.predict(images[0], verbose=0) for model in (loaded, distiller))
    )
    assert {"teacher", "layers", "student"} <= set(dir(distiller)) & set(dir(loaded))


def test_weights_alone_are_saved_and_loaded_with_the_teachers(
    make_cnn, images, crossentropy, tmp_path
):
    distiller = trained(make_cnn, images, crossentropy)
    distiller.save_weights(tmp_path / "distiller.weights.h5")
    other = Distiller(
        make_cnn(8), make_cnn(2), [SoftTargets(2.0), HintLearning("stage1", "stage1")]
    )
    other.compile(keras.optimizers.Adam(0.01), crossentropy, metrics=["accuracy"])
    other.load_weights(tmp_path / "distiller.weights.h5")
    same_weights(other.teacher, distiller.teacher)
    same_weights(other.student, distiller.student)
    same_weights(other.distillation_layers[0], distiller.distillation_layers[0])


@pytest.mark.parametrize("kind", ["graphs", "subclassed"])
def test_a_distiller_exports_its_student(kind, make_cnn, images, crossentropy, tmp_path):
    make = make_cnn if kind == "graphs" else Subclassed
    distiller = Distiller(make(8), make(2), "kd")
    distiller.compile("adam", crossentropy, run_eagerly=True)
    distiller.fit(*images, epochs=1, verbose=0)
    distiller.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(
        exported.serve(images[0]), distiller.student(images[0]), rtol=1e-5, atol=1e-6
    )
