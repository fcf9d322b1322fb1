"""The report of a distillation: what the page has, when it is written, and over what it isn't."""

import re

import keras
import numpy as np
import pytest

from keras_distill import Distiller, TeacherCache
from keras_distill.schemes import BeYourOwnTeacher, MutualDistiller
from keras_distill.visualization import DistillationReport

pytest.importorskip("matplotlib")

NAMES = ["top", "<b>middle", "bottom"]


@pytest.fixture
def data(images):
    return images[0][:16], images[1][:16]


@pytest.fixture
def distill(make_cnn, data, crossentropy):
    """Distills for some epochs with a callback."""

    def run(report, epochs=1, teacher=None):
        teacher = make_cnn(3, activation="softmax") if teacher is None else teacher
        distiller = Distiller(teacher, make_cnn(2), "kd")
        distiller.compile("sgd", crossentropy, run_eagerly=True)
        distiller.fit(*data, batch_size=16, epochs=epochs, callbacks=[report], verbose=0)
        return distiller

    return run


def titles(path):
    return re.findall("<h2>(.*?)</h2>", path.read_text("utf-8"))


def test_the_page_has_what_there_is_to_know(tmp_path, make_cnn, data, distill):
    path = tmp_path / "report.html"
    report = DistillationReport(
        path, data, make_cnn(2), class_names=NAMES, images=1, title="Rows & more"
    )
    distiller = distill(report)
    text = path.read_text("utf-8")
    assert titles(path) == [
        "Models and losses",
        "Losses while training",
        "Diagnosis",
        "Where the models look",
        "Calibration",
        "Agreement with the teacher",
        "Gain by class",
        "Accuracy by class, %",
        "Confusion: distilled",
    ]
    assert "soft_targets (SoftTargets, weight 1" in text and "share: of the labels" in text
    assert text.count("<pre>") == 2
    assert "<h1>Rows &amp; more</h1>" in text and "&lt;b&gt;middle" in text
    assert "http" not in text and text.count('src="data:image/png') == 6
    right = distiller.student.predict(data[0], verbose=0).argmax(1) == data[1]
    rows = re.findall(r"<tr><td>distilled</td>(.*?)</tr>", text)
    cells = re.findall(r">([\d.,]+)</td>", rows[0])
    assert cells[:2] == [str(distiller.student.count_params()), f"{100 * right.mean():.4g}"]


def test_it_is_written_every_few_epochs_and_at_the_end(tmp_path, data, distill, monkeypatch):
    report, written = DistillationReport(tmp_path / "report.html", data, every=2), []
    monkeypatch.setattr(report, "_write", lambda: written.append(len(report._history["loss"])))
    distill(report, epochs=3)
    assert written == [2, 3]
    written.clear()
    distill(report, epochs=2)
    assert written == [2]


def test_another_file_is_not_written_over(tmp_path, data, distill):
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="no report page"):
        DistillationReport(path, data)
    path.unlink()
    report = DistillationReport(path, data, images=0)
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="no report page"):
        distill(report)
    assert path.read_text() == "mine"


def test_a_teacher_that_is_a_function_has_no_maps(tmp_path, data, distill):
    path = tmp_path / "report.html"
    distill(
        DistillationReport(path, data, images=0),
        teacher=lambda x: np.eye(3)[np.arange(len(x)) % 3],
    )
    assert "Agreement with the teacher" in titles(path)
    assert "Where the models look" not in titles(path)


def test_a_cache_is_left_out_unless_the_teacher_is_given(tmp_path, data, make_cnn, crossentropy):
    teacher = make_cnn(3)
    cache = TeacherCache.build(tmp_path / "cache", teacher, data, ["kd"], batch_size=16)
    distiller = Distiller(cache, make_cnn(2), "kd")
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    paths = [tmp_path / "without.html", tmp_path / "with.html"]
    callbacks = [
        DistillationReport(path, data, teacher=given, images=0)
        for path, given in zip(paths, (None, teacher), strict=True)
    ]
    distiller.fit(cache.join(data), callbacks=callbacks, verbose=0)
    has = ["Agreement with the teacher" in titles(path) for path in paths]
    assert has == [False, True]
    with pytest.raises(TypeError, match="teacher must be a keras"):
        DistillationReport(paths[0], data, teacher=cache)


def test_what_it_cannot_report_on_is_refused_before_training(tmp_path, data, distill):
    path = tmp_path / "report.html"
    with pytest.raises(ValueError, match=r"the output of 'teacher' .* at least 6 classes"):
        distill(DistillationReport(path, (data[0], np.full(16, 5))))
    plain = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    plain.compile("sgd", "mse")
    with pytest.raises(TypeError, match="a callback of Distiller"):
        plain.fit(data[0], np.zeros((16, 64)), callbacks=[DistillationReport(path, data)])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"validation_data": 3}, TypeError, "must be a tuple"),
        ({"validation_data": (np.ones((2, 8, 8, 1)), [0])}, ValueError, "the 1 labels"),
        ({"validation_data": (np.ones((1, 8, 8, 1)), [-1])}, ValueError, "without a label"),
        ({"alone": "student"}, TypeError, "alone must be a keras.Model"),
        ({"every": 0}, ValueError, "every must be at least 1"),
        ({"class_names": ["one"]}, ValueError, "class_names"),
        ({"path": "absent/report.html"}, FileNotFoundError, "create it first"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, data, arguments, error, message):
    with pytest.raises(error, match=message):
        DistillationReport(
            **{"path": tmp_path / "report.html", "validation_data": data, **arguments}
        )


def rows_of(path):
    return re.findall(r"<tr><td>(.*?)</td>", path.read_text("utf-8").partition("</table>")[0])


@pytest.mark.parametrize("scheme", ["mutual", "exits"])
def test_each_student_of_a_scheme_is_on_the_page(tmp_path, data, make_cnn, crossentropy, scheme):
    path = tmp_path / "report.html"
    if scheme == "mutual":
        model = MutualDistiller([make_cnn(2), make_cnn(3)])
        students, mean = ["student_0", "student_1"], ["mean of the students"]
    else:
        model = BeYourOwnTeacher(make_cnn(2))
        students, mean = ["exit_0", "student"], []
    model.compile("sgd", crossentropy, run_eagerly=True)
    report = DistillationReport(path, data, make_cnn(2), class_names=NAMES, images=1)
    model.fit(*data, batch_size=16, callbacks=[report], verbose=0)
    assert rows_of(path) == ["student alone", *students, *mean]
    confusions = [f"Confusion: {name}" for name in [*students, *mean]]
    assert titles(path)[-len(confusions) :] == confusions
    assert {"Agreement of the students", "Gain by class"} <= set(titles(path))
    for name, answering in model.trained_models.items():
        right = 100 * np.mean(answering.predict(data[0], verbose=0).argmax(1) == data[1])
        assert re.search(
            rf"<td>{name}</td><td[^>]*>[\d,]+</td><td[^>]*>{right:.4g}<", path.read_text()
        )


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_a_model_with_one_output_number_has_two_classes(tmp_path, data, activation):
    path, x, y = tmp_path / "report.html", data[0], (data[1] > 0).astype("float32")[:, None]

    def one_number():
        layers = [keras.layers.Flatten(), keras.layers.Dense(1, activation)]
        return keras.Sequential([keras.Input((8, 8, 1)), *layers])

    distiller = Distiller(one_number(), one_number(), "logits")
    loss = keras.losses.BinaryCrossentropy(from_logits=activation is None)
    distiller.compile("sgd", loss, run_eagerly=True)
    report = DistillationReport(path, (x, y), images=0, class_names=["no", "yes"])
    distiller.fit(x, y, batch_size=16, callbacks=[report], verbose=0)
    threshold = 0.5 if activation else 0.0
    right = np.mean((distiller.student.predict(x, verbose=0) > threshold) == y)
    row = re.search(r"<td>distilled</td>(.*?)</tr>", path.read_text("utf-8"))[1]
    assert re.findall(r">([\d.,]+)</td>", row)[1] == f"{100 * right:.4g}"


def test_models_of_several_outputs_are_refused_by_name(tmp_path, data):
    def two_outputs():
        x = keras.Input((8, 8, 1))
        flat = keras.layers.Flatten()(x)
        return keras.Model(x, [keras.layers.Dense(3)(flat), keras.layers.Dense(2)(flat)])

    distiller = Distiller(two_outputs(), two_outputs(), "logits")
    distiller.compile("sgd", ["mse", "mse"], run_eagerly=True)
    with pytest.raises(ValueError, match=r"models with one output .* 'teacher' with 2 parts"):
        distiller.fit(
            data[0],
            [np.zeros((16, 3)), np.zeros((16, 2))],
            callbacks=[DistillationReport(tmp_path / "report.html", data)],
            verbose=0,
        )
