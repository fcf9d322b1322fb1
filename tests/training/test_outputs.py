"""Outputs by their kind: classes, independent labels or numbers, and which of them take part."""

import keras
import numpy as np
import pytest

from keras_distill import Distiller, SoftTargets, losses

layers = keras.layers


def model(classes=3, final=None):
    return keras.Sequential([keras.Input((4,)), layers.Dense(classes, activation=final)])


def several(as_dictionary=False):
    """A classifier with a box of numbers and two independent labels beside its classes."""
    inputs = keras.Input((4,))
    outputs = {
        "classes": layers.Dense(3, name="classes")(inputs),
        "box": layers.Dense(4, name="box")(inputs),
        "flags": layers.Dense(2, name="flags")(inputs),
    }
    return keras.Model(inputs, outputs if as_dictionary else list(outputs.values()))


LOSSES = {
    "classes": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "box": "mse",
    "flags": keras.losses.BinaryCrossentropy(from_logits=True),
}


def data(samples=8):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((samples, 4)).astype("float32")
    y = {
        "classes": rng.integers(0, 3, samples),
        "box": rng.random((samples, 4)),
        "flags": rng.integers(0, 2, (samples, 2)),
    }
    return x, y


def kl_of_classes(teacher, student, temperature):
    p, q = (np.exp(np.float64(z) / temperature) for z in (teacher, student))
    p, q = (z / z.sum(-1, keepdims=True) for z in (p, q))
    return temperature**2 * np.sum(p * np.log(p / q), axis=-1)


def kl_of_labels(teacher, student, temperature):
    p, q = (1 / (1 + np.exp(-np.float64(z) / temperature)) for z in (teacher, student))
    kl = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    return temperature**2 * np.sum(kl, axis=-1)


@pytest.mark.parametrize("loss", ["mse", keras.losses.Huber(), "mae", "poisson"])
@pytest.mark.parametrize("name", ["kd", "dkd", "dist"])
def test_classes_are_not_made_of_a_regressions_numbers(name, loss):
    distiller = Distiller(model(2), model(2), name)
    with pytest.raises(ValueError, match=r"a regression: a softmax of them means nothing"):
        distiller.compile("sgd", loss)


def test_numbers_that_are_said_to_be_logits_are_softened():
    distiller = Distiller(model(2), model(2), SoftTargets(from_logits=True))
    distiller.compile("sgd", "mse")


@pytest.mark.parametrize("classes", [1, 3])
def test_a_binary_cross_entropy_makes_soft_targets_of_independent_labels(classes):
    x, _ = data()
    teacher, student = model(classes), model(classes)
    distiller = Distiller(teacher, student, SoftTargets(2.0))
    distiller.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    y = np.zeros((8, classes))
    logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
    expected = kl_of_labels(teacher(x), student(x), 2.0).mean()
    assert logs["soft_targets"] == pytest.approx(expected, rel=1e-5)


def test_a_sigmoid_at_the_end_makes_soft_targets_of_independent_labels():
    x, _ = data()
    sides = [model(3), model(3)]
    ended = [keras.Sequential([side, layers.Activation("sigmoid")]) for side in sides]
    distiller = Distiller(*ended, SoftTargets(2.0))
    distiller.compile("sgd", "binary_crossentropy")
    logs = distiller.evaluate(x, np.zeros((8, 3)), verbose=0, return_dict=True)
    expected = kl_of_labels(*(side(x) for side in sides), 2.0).mean()
    assert logs["soft_targets"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["dkd", "dist", "nkd", "mlkd", "tfkd"])
def test_losses_of_exclusive_classes_refuse_independent_labels(name):
    distiller = Distiller(model(), model(), name)
    with pytest.raises(ValueError, match=r"labels of the student's output are independent"):
        distiller.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))


def test_one_value_without_a_binary_cross_entropy_is_refused_when_compiled():
    distiller = Distiller(model(1), model(1), "kd", student_loss_weight=0.0)
    with pytest.raises(ValueError, match=r"two classes or more"):
        distiller.compile("sgd")


def test_standardized_independent_labels_are_refused():
    distiller = Distiller(model(), model(), SoftTargets(standardize=True))
    with pytest.raises(ValueError, match=r"standardize=True"):
        distiller.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))


@pytest.mark.parametrize("as_dictionary", [False, True])
def test_an_output_of_numbers_among_several_is_named(as_dictionary):
    distiller = Distiller(several(as_dictionary), several(as_dictionary), "kd")
    with pytest.raises(ValueError, match=r"output 'box' learns with a loss for numbers.*outputs="):
        distiller.compile("sgd", LOSSES)


@pytest.mark.parametrize("as_dictionary", [False, True])
def test_chosen_outputs_take_part_each_by_its_kind(as_dictionary):
    x, y = data()
    teacher, student = several(as_dictionary), several(as_dictionary)
    terms = [
        SoftTargets(2.0, outputs=["classes", "flags"]),
        losses.LogitMatching(outputs="box", name="box_error"),
        losses.DecoupledKD(outputs="classes"),
    ]
    distiller = Distiller(teacher, student, terms, student_loss_weight=None)
    distiller.compile("sgd", LOSSES)
    y = y if as_dictionary else list(y.values())
    logs = distiller.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    sides = []
    for side in (teacher, student):
        outputs = side(x)
        names = ("classes", "box", "flags")
        values = [outputs[name] for name in names] if as_dictionary else outputs
        sides.append(dict(zip(names, values, strict=True)))
    expected = np.mean(
        kl_of_classes(*(side["classes"] for side in sides), 2.0)
        + kl_of_labels(*(side["flags"] for side in sides), 2.0)
    )
    assert logs["soft_targets"] == pytest.approx(expected, rel=1e-5)
    box = np.mean((np.float64(sides[0]["box"]) - sides[1]["box"]) ** 2)
    assert logs["box_error"] == pytest.approx(box, rel=1e-5)
    alone = losses.DecoupledKD().compute_loss(
        sides[0]["classes"],
        sides[1]["classes"],
        labels=y["classes"] if as_dictionary else y[0],
    )
    assert logs["decoupled_kd"] == pytest.approx(float(alone), rel=1e-5)


def test_an_output_by_position_and_an_unknown_one():
    distiller = Distiller(several(), several(), SoftTargets(outputs=0))
    distiller.compile("sgd", list(LOSSES.values()))
    with pytest.raises(ValueError, match=r"'classes', 'box', 'flags'.*Received: outputs='masks'"):
        Distiller(several(), several(), SoftTargets(outputs="masks"))


@pytest.mark.parametrize("outputs", [[], 1.5, True, {"box"}, ""])
def test_outputs_that_name_nothing_are_refused(outputs):
    with pytest.raises(TypeError, match=r"Received: outputs="):
        SoftTargets(outputs=outputs)


def test_weights_of_positions_weigh_positions():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 5, 4)).astype("float32")
    teacher, student = (keras.Sequential([keras.Input((5, 4)), layers.Dense(3)]) for _ in range(2))
    weights = rng.random((3, 5)).astype("float32")
    distiller = Distiller(teacher, student, SoftTargets(2.0), student_loss_weight=None)
    distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    logs = distiller.evaluate(
        x, np.zeros((3, 5)), sample_weight=weights, verbose=0, return_dict=True
    )
    expected = np.mean(kl_of_classes(teacher(x), student(x), 2.0) * weights)
    assert logs["soft_targets"] == pytest.approx(expected, rel=1e-5)


def test_weights_of_pixels_weigh_pixels():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, 4, 3)).astype("float32")
    teacher, student = (
        keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(3, 1)]) for _ in range(2)
    )
    weights = (rng.random((2, 4, 4)) < 0.5).astype("float32")
    distiller = Distiller(teacher, student, SoftTargets(2.0), student_loss_weight=None)
    distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    logs = distiller.evaluate(
        x, np.zeros((2, 4, 4)), sample_weight=weights, verbose=0, return_dict=True
    )
    expected = np.mean(kl_of_classes(teacher(x), student(x), 2.0) * weights)
    assert logs["soft_targets"] == pytest.approx(expected, rel=1e-5)


def test_several_outputs_with_probabilities_are_recognized_one_by_one():
    x, _ = data()

    def two(final):
        inputs = keras.Input((4,))
        keras.utils.set_random_seed(3)
        first = layers.Dense(3, name="first", activation=final[0])(inputs)
        return keras.Model(inputs, [first, layers.Dense(3, name="second")(inputs)])

    values = []
    for final in ((None, None), ("softmax", None)):
        distiller = Distiller(two(final), two(final), SoftTargets(2.0), student_loss_weight=0.0)
        rng = np.random.default_rng(0)
        moved = [w + rng.standard_normal(w.shape) for w in distiller.teacher.get_weights()]
        distiller.student.set_weights(moved)
        distiller.compile("sgd")
        values.append(distiller.evaluate(x, verbose=0, return_dict=True)["soft_targets"])
    assert values[0] == pytest.approx(values[1], rel=1e-4)
    assert values[0] > 1e-4


@pytest.mark.parametrize(("classes", "expected"), [(1, kl_of_labels), (3, kl_of_classes)])
def test_the_loss_that_keras_chooses_by_shape_tells_the_kind(classes, expected):
    x, y = data()
    sides = model(classes), model(classes)
    distiller = Distiller(*sides, SoftTargets(2.0), student_loss_weight=0.0)
    with pytest.warns(UserWarning, match="outputs logits, but its loss 'crossentropy'"):
        distiller.compile("sgd", "crossentropy")
    labels = y["classes"] if classes > 1 else y["flags"][:, :1]
    logs = distiller.evaluate(x, labels, verbose=0, return_dict=True)
    value = expected(*(side(x) for side in sides), 2.0).mean()
    assert logs["soft_targets"] == pytest.approx(value, rel=1e-5)
