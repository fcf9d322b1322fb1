"""ResNets: published sizes, shortcuts, penalties."""

import keras
import numpy as np
import pytest

from keras_distill import architectures

# He et al. count what is trained: batch statistics are not.
CIFAR_RESNETS = {"resnet20": 269_722, "resnet32": 464_154, "resnet44": 658_586, "resnet56": 853_018}


def trained(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize(("name", "size"), CIFAR_RESNETS.items())
def test_cifar_resnet_trains_as_many_parameters_as_published(name, size):
    assert trained(architectures.get(name)) == size


def test_resnet110_has_110_weighted_layers():
    model = architectures.resnet110()
    weighted = [x for x in model.layers if isinstance(x, keras.layers.Conv2D | keras.layers.Dense)]
    assert len(weighted) == 110
    assert trained(model) == 1_727_962


def test_identity_shortcut_subsamples_and_pads_with_zeros():
    model = architectures.resnet20((6, 6, 1))
    inner = keras.Model(
        model.input,
        [model.get_layer("stage1_out").output, model.get_layer("stage2_block1_shortcut").output],
    )
    before, after = inner(np.random.default_rng(0).normal(size=(2, 6, 6, 1)).astype("float32"))
    before, after = before.numpy(), after.numpy()
    assert after.shape == (2, 3, 3, 32)
    np.testing.assert_array_equal(after[..., 8:24], before[:, ::2, ::2])
    assert not after[..., :8].any() and not after[..., 24:].any()


def test_mlperf_convolutions_carry_the_published_penalty_and_cifar_ones_none():
    model = architectures.resnet8()
    kernels = [v for v in model.trainable_variables if v.name == "kernel"][:-1]
    expected = 1e-4 * sum(float(np.square(kernel.numpy()).sum()) for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-4)
    assert architectures.resnet20().losses == []
