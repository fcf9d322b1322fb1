"""What is kept of the teacher: packed small, and unpacked as it was."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import AttentionTransfer, Distiller, SoftTargets, losses
from keras_distill.cache.targets import Target
from keras_distill.losses import HeadAttention, HintLearning
from tests.cache.conftest import COUNT

RNG = np.random.default_rng(0)


def round_trip(target, tensor):
    packed = target.pack(tf.constant(tensor))
    kinds = {name: (array.dtype.name, tuple(array.shape[1:])) for name, array in packed.items()}
    assert kinds == target.arrays
    return target.unpack(packed).numpy()


@pytest.mark.parametrize(
    ("dtype", "error"), [("float32", 0.0), ("float16", 2**-11), ("bfloat16", 2**-8)]
)
def test_a_tensor_comes_back_as_exact_as_its_type(dtype, error):
    target = Target("layer", 0, "", (3, 2), dtype)
    tensor = RNG.normal(size=(5, 3, 2)).astype("float32")
    np.testing.assert_allclose(round_trip(target, tensor), tensor, rtol=error, atol=1e-7)
    assert target.bytes == 6 * tf.as_dtype(dtype).size


@pytest.mark.parametrize(("classes", "kind"), [(10, "uint8"), (300, "uint16"), (70_000, "int32")])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_the_largest_logits_stay_and_the_others_keep_their_probability(classes, kind, shape):
    k = 4
    target = Target(None, 0, "logits", (*shape, classes), "float32", k)
    logits = RNG.normal(0, 3, (5, *shape, classes)).astype("float32")
    found = round_trip(target, logits)
    assert [dtype for dtype, _ in target.arrays.values()] == ["float32", kind, "float32"]
    order = np.argsort(-logits, axis=-1)
    top, rest = order[..., :k], order[..., k:]
    take = np.take_along_axis
    np.testing.assert_array_equal(take(found, top, -1), take(logits, top, -1))
    exact = lambda z: np.exp(np.float64(z)) / np.exp(np.float64(z)).sum(-1, keepdims=True)  # noqa: E731
    p, q = exact(logits), exact(found)
    np.testing.assert_allclose(take(q, top, -1), take(p, top, -1), rtol=1e-5)
    np.testing.assert_allclose(take(q, rest, -1).sum(-1), take(p, rest, -1).sum(-1), rtol=1e-4)
    assert np.ptp(take(found, rest, -1), axis=-1).max() == 0


def test_equal_logits_are_kept_apart():
    target = Target(None, 0, "logits", (6,), "float32", 2)
    np.testing.assert_allclose(round_trip(target, np.ones((3, 6), "float32")), 1.0, rtol=1e-6)


def test_the_largest_probabilities_stay_and_the_others_share_what_is_left():
    target = Target(None, 0, "output", (10,), "float32", 3)
    logits = RNG.normal(0, 3, (5, 10)).astype("float32")
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    found = round_trip(target, probabilities)
    np.testing.assert_allclose(found.sum(-1), 1.0, rtol=1e-5)
    order = np.argsort(-probabilities, axis=-1)
    top, rest = order[:, :3], order[:, 3:]
    take = np.take_along_axis
    np.testing.assert_array_equal(take(found, top, -1), take(probabilities, top, -1))
    assert np.ptp(take(found, rest, -1), axis=-1).max() == 0


def ending_in(activation, size=4):
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.Dense(size, activation=activation)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, outputs)


def test_the_largest_probabilities_teach_what_the_logits_under_them_teach(build, data):
    teacher = ending_in("softmax")
    loss = SoftTargets(2.0, from_logits=False)
    cache = build(teacher=teacher, distillation_losses=loss, top_k=2)
    [(batch, _)] = cache.join(data, batch_size=COUNT, shuffle=False)
    [target] = cache.targets
    found, exact = target.unpack(batch.targets).numpy(), teacher(data[0]).numpy()
    top = np.argsort(-exact, axis=-1)[:, :2]
    take = np.take_along_axis
    np.testing.assert_allclose(take(found, top, -1), take(exact, top, -1), rtol=1e-5)
    np.testing.assert_allclose(found.sum(-1), 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("sigmoid", "sigmoid_targets"),
        (None, "sigmoid_targets"),
        (None, "logits"),
        ("sigmoid", SoftTargets()),
        ("sigmoid", SoftTargets(from_logits=False)),
    ],
)
def test_the_largest_logits_are_refused_for_what_compares_each_output(
    build, tmp_path, activation, loss
):
    with pytest.raises(ValueError, match="keep all of them, with top_k=None"):
        build(teacher=ending_in(activation), distillation_losses=loss, top_k=2)
    assert not (tmp_path / "cache").exists()


def test_the_largest_logits_are_refused_where_nothing_can_use_them(build):
    own = keras.distillation.LogitsDistillation(loss=keras.losses.KLDivergence())
    for loss in (own, AttentionTransfer("stage1_out", "x")):
        with pytest.raises(ValueError, match="top_k has nothing to do"):
            build(distillation_losses=loss, top_k=2)


def test_a_cache_of_the_largest_logits_serves_no_loss_that_compares_each_output(build, student):
    cache = build(distillation_losses="kd", top_k=2)
    for loss in ("logits", "sigmoid_targets"):
        with pytest.raises(ValueError, match="keep all of them, with top_k=None"):
            Distiller(cache, student, loss)
    distiller = Distiller(cache, student, "kd")
    with pytest.raises(ValueError, match=r"learns independent labels.*Received: top_k=2"):
        distiller.compile(
            "sgd", keras.losses.BinaryCrossentropy(from_logits=True), run_eagerly=True
        )


def of_tokens(size, seed):
    keras.utils.set_random_seed(seed)
    tokens = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(20, size, mask_zero=True, name="embedding")(tokens)
    x = keras.layers.Dense(size, name="hidden")(x)
    pooled = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(tokens, keras.layers.Dense(2)(pooled))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_masks_of_what_is_tapped_are_kept_beside_it(build, dtype):
    tokens = RNG.integers(1, 20, (COUNT, 6))
    tokens[np.arange(6) >= RNG.integers(2, 7, (COUNT, 1))] = 0
    data = tokens.astype("int32"), RNG.integers(0, 2, COUNT)
    teacher = of_tokens(8, seed=1)
    chosen = [HintLearning("hidden", "hidden"), SoftTargets()]
    cache = build(teacher=teacher, dataset=data, distillation_losses=chosen, dtype=dtype)
    assert kept(cache) == {"hidden": (6, 8), "hidden (mask)": (6,), "output 0 (logits)": (2,)}
    hidden, mask, output = cache.targets
    assert mask.dtype == "bool" and cache.mask_of(hidden) == mask and not cache.mask_of(output)
    [(batch, _)] = cache.join(data, batch_size=COUNT, shuffle=False)
    found = mask.unpack(batch.targets)
    assert found.dtype == "bool"
    np.testing.assert_array_equal(found, tokens != 0)


def test_masked_losses_are_equal_live_and_cached(build):
    tokens = RNG.integers(1, 20, (COUNT, 6))
    tokens[np.arange(6) >= RNG.integers(2, 7, (COUNT, 1))] = 0
    data = tokens.astype("int32"), RNG.integers(0, 2, COUNT)
    teacher = of_tokens(8, seed=1)
    cache = build(teacher=teacher, dataset=data, distillation_losses=HintLearning("hidden", "x"))
    labels = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    values = []
    for of, batches in (
        (teacher, tf.data.Dataset.from_tensor_slices(data).batch(COUNT)),
        (cache, cache.join(data, batch_size=COUNT, shuffle=False)),
    ):
        distiller = Distiller(of, of_tokens(8, seed=2), HintLearning("hidden", "hidden"))
        distiller.compile("sgd", labels, run_eagerly=True)
        values.append(distiller.evaluate(batches, return_dict=True, verbose=0)["hint_learning"])
    assert values[0] > 0
    assert values[1] == pytest.approx(values[0], rel=1e-5)


def kept(cache):
    return {target.name: target.shape for target in cache.targets}


def test_a_cache_keeps_what_the_losses_need_and_no_more(build):
    cache = build()
    assert kept(cache) == {
        "output 0 (logits)": (4,),
        "stage1_out (attention_p2)": (*cache.targets[1].shape[:2], 1),
    }
    assert cache.nbytes < 50 * 4 * (4 + np.prod(cache.targets[1].shape) + 5) + 10_000


def test_losses_that_need_the_same_share_it(build):
    chosen = [SoftTargets(4.0), SoftTargets(1.0), losses.get("dkd"), losses.get("logits")]
    chosen += [
        AttentionTransfer("stage1_out", "x"),
        AttentionTransfer("stage1_out", "y", form="norm"),
    ]
    assert len(build(distillation_losses=chosen).targets) == 2


def test_features_and_their_attention_are_kept_apart(build):
    chosen = [HintLearning("stage1_out", "x"), AttentionTransfer("stage1_out", "x", p=4)]
    assert list(kept(build(distillation_losses=chosen))) == [
        "stage1_out",
        "stage1_out (attention_p4)",
    ]


def test_automatic_layers_keep_all_that_a_student_may_need(build):
    assert list(kept(build(distillation_losses=["at", "rkd"]))) == [
        "stage1_out (attention_p2)",
        "stage2_out (attention_p2)",
        "logits:input",
    ]


def test_attention_heads_of_a_transformer_are_kept(build):
    tokens = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(20, 8)(tokens)
    x = keras.layers.MultiHeadAttention(4, 2, name="attention")(x, x)
    teacher = keras.Model(tokens, keras.layers.Dense(2)(x[:, 0]))
    data = RNG.integers(0, 20, (40, 6)), RNG.integers(0, 2, 40)
    loss = HeadAttention("attention:scores", "attention:scores")
    cache = build(teacher=teacher, dataset=data, distillation_losses=loss)
    assert kept(cache) == {"attention:scores": (4, 6, 6)}


def test_a_teacher_with_several_outputs_keeps_each(build, tmp_path):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(inputs)
    outputs = {name: keras.layers.Dense(size)(x) for name, size in (("b", 3), ("a", 2))}
    cache = build(teacher=keras.Model(inputs, outputs), distillation_losses=SoftTargets())
    assert kept(cache) == {"output 0 (logits)": (2,), "output 1 (logits)": (3,)}
    assert cache.outputs == {"a": 0, "b": 1}


def test_probabilities_are_kept_exact(build):
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(inputs))
    teacher = keras.Model(inputs, outputs)
    chosen = [SoftTargets(from_logits=False), SoftTargets()]
    cache = build(teacher=teacher, distillation_losses=chosen, dtype="float16")
    assert {target.name: target.dtype for target in cache.targets} == {
        "output 0 (output)": "float32",
        "output 0 (logits)": "float16",
    }


@pytest.mark.parametrize("name", ["view", "start", "fingerprint", "sketch"])
def test_a_layer_may_be_named_like_an_array_of_a_record(build, data, name):
    layers = keras.layers.Flatten(name=name), keras.layers.Dense(4)
    teacher = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    loss = HintLearning(name, name)
    cache = build(teacher=teacher, distillation_losses=loss)
    [(batch, _)] = cache.join(data, shuffle=False, batch_size=len(data[0]))
    [target] = cache.targets
    np.testing.assert_array_equal(target.unpack(batch.targets), data[0].reshape(-1, 64))
