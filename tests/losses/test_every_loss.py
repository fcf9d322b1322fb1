"""What holds for every distillation loss: gradients, zeros, precision, saving, training."""

import inspect
import itertools
import json
import math
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, losses
from keras_distill.losses.registry import METHODS, abbreviations, classes
from tests.losses.cases import CASES, NEED_A_DISTILLER, known

SMALL_LOSSES = [pytest.param(case, id=case.name) for case in CASES]
EMPTY = inspect.Parameter.empty


def value_and_gradient(loss, teacher, student):
    variables = [tf.Variable(part) for part in keras.tree.flatten(student)]
    with tf.GradientTape() as tape:
        watched = keras.tree.pack_sequence_as(student, [v.value() for v in variables])
        value = loss.compute_loss(teacher, watched, **known())
    return value, [np.array(gradient) for gradient in tape.gradient(value, variables)]


def moved(student, direction, step):
    return keras.tree.map_structure(lambda s, d: s + step * d, student, direction)


def test_every_loss_has_a_case():
    assert {case.name for case in CASES} | set(NEED_A_DISTILLER) == set(classes())


@pytest.mark.parametrize("case", [p for p in SMALL_LOSSES if p.values[0].whole])
def test_gradient_equals_finite_differences(case):
    dtype, step, tolerance = ("float64", 1e-6, 1e-5) if case.exact else ("float32", 1e-2, 3e-2)
    teacher, student = case.inputs(dtype=dtype)
    loss = case.loss()
    _, gradient = value_and_gradient(loss, teacher, student)
    rng = np.random.default_rng(1)
    for _ in range(3):
        direction = keras.tree.map_structure(
            lambda part: rng.standard_normal(part.shape).astype(dtype) / np.sqrt(part.size), student
        )
        ahead, behind = (
            float(loss.compute_loss(teacher, moved(student, direction, sign * step), **known()))
            for sign in (1, -1)
        )
        along = sum(
            np.sum(g * d) for g, d in zip(gradient, keras.tree.flatten(direction), strict=True)
        )
        scale = max(np.sqrt(sum(np.sum(np.square(g)) for g in gradient)), 1e-8)
        assert abs((ahead - behind) / (2 * step) - along) < tolerance * max(scale, abs(along))


@pytest.mark.parametrize("case", [p for p in SMALL_LOSSES if p.values[0].zero])
def test_value_and_gradient_are_zero_at_the_teacher(case):
    loss = case.make()
    teacher, _ = case.inputs(dtype="float32")
    if case.name == "AttentionCapture":
        loss = losses.AttentionCapture("fma", ["a", "b"])
    value, gradients = value_and_gradient(loss, teacher, teacher)
    assert abs(float(value)) < 1e-6
    assert max(np.abs(gradient).max() for gradient in gradients) < 1e-6


@pytest.mark.parametrize("case", SMALL_LOSSES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("factor", [1.0, 1e3, 0.0])
def test_half_precision_of_any_magnitude_stays_finite(case, dtype, factor):
    teacher, student = (
        keras.tree.map_structure(lambda part: tf.cast(factor * part, dtype), side)
        for side in case.inputs(dtype="float32")
    )
    value, gradients = value_and_gradient(case.loss(), teacher, student)
    assert value.dtype == "float32"
    assert np.isfinite(float(value))
    # A gradient may be too large for float16, which loss scaling sees to, but never undefined.
    assert not any(np.any(np.isnan(gradient.astype("float32"))) for gradient in gradients)


@pytest.mark.parametrize("case", SMALL_LOSSES)
def test_serialization_round_trip(case):
    loss = case.make()
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(loss)
    assert json.dumps(copy.get_config()) == json.dumps(loss.get_config())
    if case.exact:
        teacher, student = case.inputs()
        values = [one.compute_loss(teacher, student, **known()) for one in (loss, copy)]
        np.testing.assert_array_equal(*values)


@pytest.mark.parametrize("name", NEED_A_DISTILLER)
def test_losses_that_need_a_distiller_round_trip_and_say_so(name):
    loss = losses.get(name, name="own")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert copy.get_config() == loss.get_config() == {"name": "own"}
    with pytest.raises(ValueError, match=r"only keras_distill\.Distiller provides"):
        loss.compute_loss(np.zeros((2, 3)), np.zeros((2, 3)), labels=np.zeros(2))


@pytest.mark.parametrize("bad", [object(), math.nan, -1.5], ids=["object", "nan", "negative"])
@pytest.mark.parametrize("case", SMALL_LOSSES)
def test_each_setting_refuses_what_it_cannot_be_by_its_name(case, bad):
    made = case.make()
    settings = inspect.signature(type(made)).parameters
    needed = {n: getattr(made, n) for n, setting in settings.items() if setting.default is EMPTY}
    for name in settings:
        with pytest.raises((TypeError, ValueError), match=name):
            type(made)(**{**needed, name: bad})


@pytest.mark.parametrize("case", SMALL_LOSSES)
def test_an_unknown_setting_is_refused_by_its_name(case):
    with pytest.raises(TypeError, match="no_such_setting"):
        losses.get(case.name, no_such_setting=1)


def transformer(heads, width):
    layers = keras.layers
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, width, mask_zero=True)(tokens)
    attention = layers.MultiHeadAttention(heads, width // heads, name="attention")
    x = layers.LayerNormalization(name="norm")(x + attention(x, x))
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(tokens, layers.Dense(3, name="logits", dtype="float32")(x))


TRANSFORMERS = ("amad", "tinybert", "minilm", "hidden_states")


def models_and_data(name, make_cnn, images):
    if name in TRANSFORMERS:
        rng = np.random.default_rng(0)
        tokens = rng.integers(1, 20, (64, 6))
        tokens[::3, 4:] = 0
        student = transformer(4, 16) if name == "tinybert" else transformer(2, 8)
        return transformer(4, 16), student, tokens, rng.integers(0, 3, 64)
    return make_cnn(6), make_cnn(3), *images


# What has no teacher, other models or a student with another head has a distiller of its own. The
# others of a family share one, since making it takes several times what its two steps take: each
# has its value in the history, and the gradients are their sum.
ON_THEIR_OWN = (*TRANSFORMERS, "tfkd", "simkd")
TOGETHER = {
    family: [
        name
        for method in METHODS
        if method.family == family
        for name in method.abbreviations
        if name not in ON_THEIR_OWN
    ]
    for family in dict.fromkeys(method.family for method in METHODS)
}
TOGETHER["feature"].append("adversarial_features")
# The mathematics are in float32 under any policy: one per family for the second one.
IN_BFLOAT16 = ["kd", "at", "fitnet", "vid", "rkd", "irg"]


@pytest.mark.parametrize(
    ("names", "policy"),
    [
        *[pytest.param(names, "mixed_float16", id=key) for key, names in TOGETHER.items()],
        *[pytest.param([name], "mixed_float16", id=name) for name in ON_THEIR_OWN],
        pytest.param(IN_BFLOAT16, "mixed_bfloat16", id="bfloat16"),
        pytest.param(["amad"], "mixed_bfloat16", id="amad in bfloat16"),
    ],
)
def test_two_steps_in_a_distiller_of_half_precision_models(
    names, policy, make_cnn, images, crossentropy
):
    keras.config.set_dtype_policy(policy)
    teacher, student, x, y = models_and_data(names[0], make_cnn, images)
    before = [np.array(weight) for weight in student.trainable_weights]
    chosen = [losses.get(name, name=name) for name in names]
    distiller = Distiller(None if names == ["tfkd"] else teacher, student, chosen)
    optimizer = keras.optimizers.SGD(0.01)
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=16.0)
    # Eagerly: making the graph of a whole step takes longer than the steps.
    distiller.compile(optimizer, crossentropy, run_eagerly=True)
    history = distiller.fit(x, y, batch_size=32, verbose=0).history
    for name in names:
        assert np.isfinite(history[name][0]), name
    assert np.isfinite(history["loss"][0])
    assert any(
        not np.array_equal(old, new)
        for old, new in zip(before, student.trainable_weights, strict=True)
    )
    assert all(np.all(np.isfinite(weight)) for weight in distiller.student.get_weights())
    assert np.isfinite(tf.function(distiller.compute_loss)(x, y))


def test_no_loss_is_left_out_of_the_steps():
    tried = {*itertools.chain(*TOGETHER.values()), *ON_THEIR_OWN}
    assert tried == {*abbreviations(), "hidden_states", "adversarial_features"}


@pytest.mark.parametrize(
    "names",
    [
        ["vid", "ft", "mgd", "reviewkd", "ofd", "crd", "fitnet", "ctkd", "ofa"],
        ["adversarial_features"],
        ["simkd"],
        ["hidden_states"],
    ],
    ids=lambda names: names[0],
)
def test_own_variables_are_trained_saved_and_restored(
    names, make_cnn, images, crossentropy, tmp_path
):
    teacher, student, *images = models_and_data(names[0], make_cnn, images)
    distiller = Distiller(teacher, student, [losses.get(name, name=name) for name in names])
    trained = {layer: layer.trainable_weights for layer in distiller.distillation_layers}
    before = {layer: [np.array(w) for w in weights] for layer, weights in trained.items()}
    assert any(trained.values()) or names == ["simkd"]
    distiller.compile("adam", crossentropy, run_eagerly=True)
    distiller.fit(*images, batch_size=32, verbose=0)
    for layer, weights in trained.items():
        moved = [not np.array_equal(*pair) for pair in zip(before[layer], weights, strict=True)]
        assert any(moved) or not weights or names == ["simkd"], layer.name
    distiller.save(tmp_path / "distiller.keras")
    restored = keras.models.load_model(tmp_path / "distiller.keras")
    results = distiller.evaluate(*images, verbose=0, return_dict=True)
    assert results.keys() >= {*names}
    assert restored.evaluate(*images, verbose=0, return_dict=True) == pytest.approx(
        results, rel=1e-5
    )
    restored.fit(*images, batch_size=32, verbose=0)


def said_on_another_backend(backend):
    # JAX compiles each loss for one value.
    settings = {"KERAS_BACKEND": backend, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    environment = {**os.environ, **settings}
    done = subprocess.run(
        [sys.executable, "-m", "tests.losses.on_another_backend"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_on_other_backends_values_are_the_same_and_a_distiller_is_refused(backend):
    pytest.importorskip(backend)
    said = said_on_another_backend(backend)
    assert said["distiller"].startswith("RuntimeError: Distiller trains on")
    assert "KERAS_BACKEND=tensorflow" in said["distiller"]
    exact = [case for case in CASES if case.exact]
    for case, value in zip(exact, said["values"], strict=True):
        teacher, student = case.inputs(dtype="float32")
        expected = float(case.loss().compute_loss(teacher, student, **known()))
        assert value == pytest.approx(expected, rel=1e-5, abs=1e-7), case.name
