"""Chains: who teaches whom, what a killed one keeps, and what no chain is."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, SoftTargets
from keras_distill.losses import HintLearning
from keras_distill.schemes import BornAgain, TeacherEnsemble, chain, distill_chain

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
SETTINGS = {"loss": LOSS, "epochs": 1, "batch_size": 12, "verbose": 0, "run_eagerly": True}


class StopError(Exception):
    """A run that ends in the middle of a chain."""


def stopping_at(link):
    def callbacks(number):
        if number == link:
            raise StopError
        return []

    return callbacks


@pytest.fixture
def pairs(monkeypatch):
    """List that fills with the teacher and the student of each distiller that is compiled."""
    found = []

    class Watched(Distiller):
        def fit(self, *args, **kwargs):
            found.append((self.teacher, self.student))
            return super().fit(*args, **kwargs)

    monkeypatch.setattr(chain, "Distiller", Watched)
    return found


def test_each_model_is_taught_by_the_one_before(make_dense, numbers, pairs, capsys):
    teacher, *students = (make_dense(size, name=f"m{size}") for size in (9, 7, 5))
    before = teacher.get_weights()

    def hint(teacher, student):
        return HintLearning(teacher.layers[0].name, student.layers[0].name)

    settings = {**SETTINGS, "verbose": 1, "metrics": ["accuracy"]}
    made = distill_chain(teacher, students, numbers, hint, **settings)
    assert pairs == [(teacher, students[0]), (students[0], students[1])]
    assert made.students == students and made.student is students[1]
    assert all(len(h["hint_learning"]) == len(h["accuracy"]) == 1 for h in made.histories)
    assert all(model.trainable for model in (teacher, *students))
    for weight, value in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert "link 2 of 2: m5 trained: accuracy" in capsys.readouterr().out


def test_a_chain_of_one_is_a_distiller(make_dense, numbers):
    teacher, student = make_dense(9), make_dense()
    copy = keras.models.clone_model(student)
    copy.set_weights(student.get_weights())
    keras.utils.set_random_seed(3)
    distill_chain(TeacherEnsemble([teacher]), [student], numbers, optimizer="sgd", **SETTINGS)
    distiller = Distiller(teacher, copy, "kd")
    distiller.compile("sgd", LOSS, run_eagerly=True)
    keras.utils.set_random_seed(3)
    distiller.fit(*numbers, batch_size=12, verbose=0)
    for one, other in zip(student.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_killed_chain_goes_on_at_its_link(make_dense, numbers, pairs, tmp_path):
    teacher, *students = (make_dense(size) for size in (9, 7, 5))
    place = {"directory": tmp_path / "chain"}
    with pytest.raises(StopError):
        distill_chain(teacher, students, numbers, callbacks=stopping_at(1), **place, **SETTINGS)
    trained = students[0].get_weights()
    again = [make_dense(7), make_dense(5)]
    made = distill_chain(teacher, again, numbers, **place, **SETTINGS)
    assert [student for _, student in pairs] == [students[0], again[1]]
    for one, other in zip(again[0].get_weights(), trained, strict=True):
        np.testing.assert_array_equal(one, other)
    # A finished chain is read, and a longer one goes on from there.
    longer = [make_dense(7), make_dense(5), make_dense(3)]
    more = distill_chain(teacher, longer, numbers, **place, **SETTINGS)
    assert pairs[-1] == (longer[1], longer[2]) and len(pairs) == 3
    assert more.histories[:2] == made.histories
    file = tmp_path / "chain" / "link-1.keras"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"link-1.keras is missing or damaged"):
        distill_chain(teacher, longer, numbers, **place, **SETTINGS)


def test_the_folder_of_another_chain_is_refused_and_left_as_it_is(make_dense, numbers, tmp_path):
    teacher, student = make_dense(9), make_dense()
    x, y = numbers
    distill_chain(teacher, [student], numbers, directory=tmp_path, **SETTINGS)
    content = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    others = [
        (make_dense(9), [student], numbers, {}, "teacher: "),
        (teacher, [make_dense(6)], numbers, {}, r"students\[0\] has other layers"),
        (teacher, [student], (x, y[::-1].copy()), {}, "data: "),
        (teacher, [student], numbers, {"epochs": 2}, "epochs: 1 there, 2 now"),
        (teacher, [student], numbers, {"distillation_losses": SoftTargets(2.0)}, "losses: "),
    ]
    for source, students, data, settings, match in others:
        arguments = {**SETTINGS, "directory": tmp_path, **settings}
        with pytest.raises(ValueError, match=f"is of another chain.*{match}"):
            distill_chain(source, students, data, **arguments)
    assert content == {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    (tmp_path / "chain.json").unlink()
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="holds other files"):
        distill_chain(teacher, [student], numbers, directory=tmp_path, **SETTINGS)


def test_what_is_no_chain_is_refused_before_anything_is_trained(make_dense, numbers):
    teacher, student = make_dense(9), make_dense()
    before = student.get_weights()
    cases = [
        ({"students": []}, ValueError, "students is empty"),
        ({"students": student}, TypeError, "must be a list"),
        ({"students": [student, None]}, TypeError, r"students\[1\] must be a keras.Model"),
        ({"students": [student, student]}, ValueError, "must be another one"),
        ({"students": [student, teacher]}, ValueError, "must be another one"),
        ({"students": [student, make_dense(5, 4)]}, ValueError, "same number of classes"),
        ({"data": (batch for batch in [numbers])}, TypeError, "is a generator"),
        ({"data": numbers[0].tolist()}, TypeError, "must be a tuple"),
        ({"callbacks": [keras.callbacks.TerminateOnNaN()]}, TypeError, "function of the link"),
        ({"loss": None}, ValueError, "loss"),
        ({"epochs": 0}, ValueError, "epochs"),
    ]
    for changes, error, match in cases:
        given = {"teacher": teacher, "students": [student], "data": numbers, **SETTINGS}
        with pytest.raises(error, match=match):
            distill_chain(**{**given, **changes})
    for weight, value in zip(student.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert teacher.trainable and student.trainable


def test_data_that_the_first_link_used_up_is_an_error(make_dense, numbers):
    batches = iter([numbers] * 2)
    data = tf.data.Dataset.from_generator(
        lambda: batches,
        output_signature=tuple(tf.TensorSpec((None, *a.shape[1:]), a.dtype) for a in numbers),
    )
    settings = {**SETTINGS, "batch_size": None}
    with pytest.raises(ValueError, match="no batch for link 1"):
        distill_chain(make_dense(9), [make_dense(), make_dense()], data, **settings)
    made = distill_chain(
        make_dense(9),
        [make_dense()],
        lambda number: tf.data.Dataset.from_tensors(numbers),
        **settings,
    )
    assert len(made.histories) == 1


def test_a_generation_is_taught_by_the_one_before(make_dense, numbers, pairs, tmp_path):
    student = make_dense()
    before = student.get_weights()
    family = BornAgain(student, generations=2)
    starts = [model.get_weights()[0] for model in (student, *family.generations)]
    assert all(not np.array_equal(a, b) for i, a in enumerate(starts) for b in starts[:i])
    with pytest.raises(RuntimeError, match="compile"):
        family.fit(*numbers)
    family.compile("adam", LOSS, metrics=["accuracy"], run_eagerly=True)
    histories = family.fit(*numbers, batch_size=12, verbose=0, directory=tmp_path)
    first, second, third = family.generations
    assert pairs == [(first, second), (second, third)] and family.student is third
    assert "soft_targets" not in histories[0] and "soft_targets" in histories[2]
    for weight, value in zip(student.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)
    probabilities = [keras.ops.softmax(model(numbers[0])) for model in family.generations]
    found = keras.ops.softmax(family.ensemble()(numbers[0]))
    np.testing.assert_allclose(found, np.mean(probabilities, axis=0), atol=1e-6)


def test_what_has_no_generations_is_refused(make_dense):
    student = make_dense()
    for arguments, error in (
        ((student, 0), ValueError),
        ((student, 1.5), TypeError),
        (("resnet", 2), TypeError),
        ((lambda: student, 2), ValueError),
        ((lambda: 3, 2), TypeError),
    ):
        with pytest.raises(error, match=r"student|generations"):
            BornAgain(*arguments)
    same = keras.initializers.GlorotUniform(seed=1)
    fixed = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, kernel_initializer=same)])
    with pytest.warns(UserWarning, match="same weights"):
        BornAgain(fixed)
    with pytest.raises(ValueError, match="loss is missing"):
        BornAgain(student).compile("adam")
