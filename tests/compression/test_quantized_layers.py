"""Quantized layers round kernels and activations as int8 does."""

import numpy as np
import pytest

from keras_distill.compression import ActivationRange
from keras_distill.compression.quantized_layers import round_kernel


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize(("shape", "axes"), [((3, 3, 2, 4), 1), ((3, 3, 4, 2), 2), ((5, 6), 1)])
def test_kernels_are_rounded_to_127_steps(shape, axes, per_channel):
    kernel = np.random.default_rng(0).normal(size=shape).astype("float32")
    flat = kernel.reshape(*shape[: len(shape) - axes], -1)
    largest = np.abs(flat).max(axis=tuple(range(flat.ndim - 1)) if per_channel else None)
    scale = largest / 127
    expected = (np.round(flat / scale) * scale).reshape(shape)
    np.testing.assert_allclose(round_kernel(kernel, per_channel, axes), expected, atol=1e-6)


def test_a_kernel_of_zeros_stays_zero():
    assert not np.any(round_kernel(np.zeros((3, 3, 2, 2), "float32")))


def test_ranges_follow_the_batches_and_hold_zero():
    layer = ActivationRange()
    batches = [np.float32([[1.0, 3.0]]), np.float32([[-2.0, 5.0]]), np.float32([[-1.0, -0.5]])]
    expected = None
    for number, batch in enumerate(batches):
        ends = np.array([min(batch.min(), 0), max(batch.max(), 0)])
        momentum = number / (number + 1)
        expected = ends if expected is None else momentum * expected + (1 - momentum) * ends
        layer(batch, training=True)
        found = [float(layer.minimum), float(layer.maximum)]
        np.testing.assert_allclose(found, expected, atol=2e-6)
    before = float(layer.minimum)
    layer(np.float32([[100.0, -100.0]]), training=False)
    assert float(layer.minimum) == before
    step = (expected[1] - expected[0]) / 255
    x = np.linspace(expected[0], expected[1], 50, dtype="float32")[None]
    assert np.abs(np.asarray(layer(x)) - x).max() <= 0.51 * step
