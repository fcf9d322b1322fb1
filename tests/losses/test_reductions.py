"""What a cache keeps of the teacher: smaller, and no loss can tell it from the whole."""

import numpy as np
import pytest
from keras import ops

from keras_distill import AttentionTransfer, losses
from keras_distill.losses import AttentionCapture
from keras_distill.losses.loss import LossContext
from keras_distill.losses.tensors import scaled

RNG = np.random.default_rng(0)


def maps(*shape):
    return RNG.normal(size=shape).astype("float32")


@pytest.mark.parametrize("p", [1, 2, 3, 4])
@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e15])
@pytest.mark.parametrize("space", [(4, 4), (8, 6), (5,)])
def test_one_channel_has_the_same_attention(p, scale, space):
    teacher, student = scale * maps(3, *space, 7), maps(3, *(8, 6)[: len(space)], 4)
    loss = AttentionTransfer("t", "s", p=p)
    reduced = loss.reduce_teacher(teacher)
    assert reduced.shape == (3, *space, 1)
    np.testing.assert_allclose(np.max(reduced, axis=tuple(range(1, reduced.ndim))), 1.0, rtol=1e-6)
    expected = loss.call(teacher, student, LossContext())
    np.testing.assert_allclose(loss.call(reduced, student, LossContext()), expected, rtol=2e-5)


def test_features_of_zero_stay_zero():
    reduced = AttentionTransfer("t", "s").reduce_teacher(np.zeros((2, 4, 4, 3), "float32"))
    np.testing.assert_array_equal(reduced, np.zeros((2, 4, 4, 1)))


@pytest.mark.parametrize("mode", ["fma", "mip", "mips"])
def test_captured_maps_need_one_channel_per_layer(mode):
    loss = AttentionCapture(mode, {"teacher": ["a", "b"], "student": ["c"]})
    teacher, student = [maps(2, 8, 8, 5), maps(2, 4, 4, 3)], [maps(2, 4, 4, 6)]
    reduced = [loss.reduce_teacher(layer) for layer in teacher]
    assert [layer.shape for layer in reduced] == [(2, 8, 8, 1), (2, 4, 4, 1)]
    expected = loss.call(teacher, student, LossContext())
    np.testing.assert_allclose(loss.call(reduced, student, LossContext()), expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["kd", "dkd", "dist", "nkd", "mlkd", "logits"])
@pytest.mark.parametrize("output_activation", ["softmax", "linear"])
@pytest.mark.parametrize("from_logits", ["auto", True, False])
def test_the_reduced_output_gives_the_same_response_loss(name, output_activation, from_logits):
    loss = losses.get(name)
    config = {**loss.get_config(), "from_logits": from_logits}
    loss = type(loss).from_config(config)
    logits = [maps(6, 5), maps(6, 5)]
    is_softmax = output_activation == "softmax" or from_logits is False
    teacher, student = [ops.softmax(z) if is_softmax else z for z in logits]
    known = {
        "labels": np.arange(6) % 5,
        "student_activation": output_activation,
        "training": True,
    }
    expected = loss.call(
        teacher, student, LossContext(teacher_activation=output_activation, **known)
    )
    reduced = loss.reduce_teacher(teacher, output_activation)
    kept_as = (
        "linear" if loss.teacher_reduction(output_activation) == "logits" else output_activation
    )
    found = loss.call(reduced, student, LossContext(teacher_activation=kept_as, **known))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert (loss.teacher_reduction(output_activation) == "logits") == (
        from_logits == "auto" or (from_logits is True and output_activation == "linear")
    )


def test_the_same_name_is_the_same_reduction():
    teacher = maps(2, 4, 4, 3)
    by_name = {}
    for loss in [
        AttentionTransfer("t", "s", p=p, form=f) for p in (1, 2) for f in ("mean", "norm")
    ]:
        by_name.setdefault(loss.teacher_reduction(), []).append(loss.reduce_teacher(teacher))
    assert sorted(by_name) == ["attention_p1", "attention_p2"]
    for first, second in by_name.values():
        np.testing.assert_array_equal(first, second)


def test_scaled_by_sample_divides_each_sample_by_its_largest():
    found = scaled(np.array([[1.0, -4.0], [0.0, 0.0], [10.0, 5.0]]), axis=(1,))
    np.testing.assert_allclose(found, [[0.25, -1.0], [0.0, 0.0], [1.0, 0.5]])
