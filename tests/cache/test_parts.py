"""What is kept of the teacher: packed small, and unpacked as it was."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import AttentionTransfer, HeadAttention, HintLearning, SoftTargets, losses
from keras_distill.cache.parts import Part

RNG = np.random.default_rng(0)


def round_trip(part, tensor):
    packed = part.pack(tf.constant(tensor))
    kinds = {name: (array.dtype.name, tuple(array.shape[1:])) for name, array in packed.items()}
    assert kinds == part.arrays
    return part.unpack(packed).numpy()


@pytest.mark.parametrize(
    ("dtype", "error"), [("float32", 0.0), ("float16", 2**-11), ("bfloat16", 2**-8)]
)
def test_a_tensor_comes_back_as_exact_as_its_type(dtype, error):
    part = Part("layer", 0, "", (3, 2), dtype)
    tensor = RNG.normal(size=(5, 3, 2)).astype("float32")
    np.testing.assert_allclose(round_trip(part, tensor), tensor, rtol=error, atol=1e-7)
    assert part.bytes == 6 * tf.as_dtype(dtype).size


@pytest.mark.parametrize(("classes", "kind"), [(10, "uint8"), (300, "uint16"), (70_000, "int32")])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_the_largest_logits_stay_and_the_others_keep_their_probability(classes, kind, shape):
    k = 4
    part = Part(None, 0, "logits", (*shape, classes), "float32", k)
    logits = RNG.normal(0, 3, (5, *shape, classes)).astype("float32")
    found = round_trip(part, logits)
    assert [dtype for dtype, _ in part.arrays.values()] == ["float32", kind, "float32"]
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
    part = Part(None, 0, "logits", (6,), "float32", 2)
    np.testing.assert_allclose(round_trip(part, np.ones((3, 6), "float32")), 1.0, rtol=1e-6)


def kept(cache):
    return {part.name: part.shape for part in cache.parts}


def test_a_cache_keeps_what_the_losses_need_and_no_more(build):
    cache = build()
    assert kept(cache) == {
        "output 0 (logits)": (4,),
        "stage1_out (attention_p2)": (*cache.parts[1].shape[:2], 1),
    }
    assert cache.nbytes < 50 * 4 * (4 + np.prod(cache.parts[1].shape) + 5) + 10_000


def test_losses_that_need_the_same_share_it(build):
    chosen = [SoftTargets(4.0), SoftTargets(1.0), losses.get("dkd"), losses.get("logits")]
    chosen += [
        AttentionTransfer("stage1_out", "x"),
        AttentionTransfer("stage1_out", "y", form="norm"),
    ]
    assert len(build(distillation_losses=chosen).parts) == 2


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
    assert {part.name: part.dtype for part in cache.parts} == {
        "output 0 (output)": "float32",
        "output 0 (logits)": "float16",
    }
