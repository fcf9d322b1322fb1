"""A real PyTorch model as the teacher, live and through a cache."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import AttentionTransfer, Distiller, SoftTargets, TeacherCache

torch = pytest.importorskip("torch", reason="PyTorch isn't installed: its teacher isn't tried")


class Network(torch.nn.Module):
    """A small CNN whose channels come first, as PyTorch has them."""

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(1, 6, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(6)
        self.head = torch.nn.Linear(6, 3)

    def forward(self, x):
        features = torch.relu(self.norm(self.convolution(x)))
        return self.head(features.mean((2, 3))), features


@pytest.fixture
def network(images):
    torch.manual_seed(0)
    network = Network()
    x, weights = torch.tensor(images[0]).permute(0, 3, 1, 2), list(network.parameters())
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(network(x)[0], torch.tensor(images[1]))
        # Not torch.optim, whose compiler can't be imported beside TensorFlow everywhere.
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.data -= 0.5 * gradient
    return network.eval()


def as_function(network):
    """The model as a teacher: channels last outside, and no gradient."""

    def teach(x):
        with torch.no_grad():
            logits, features = network(torch.from_numpy(np.array(x)).permute(0, 3, 1, 2))
        return {"logits": logits, "features": features.permute(0, 2, 3, 1)}

    return teach


def as_keras(network):
    """The same computation as a Keras model, with the weights of the other."""
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(6, 3, padding="same", name="convolution")(inputs)
    x = keras.layers.BatchNormalization(epsilon=network.norm.eps, name="norm")(x)
    x = keras.layers.ReLU(name="features")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, name="head")(x))
    norm = [network.norm.weight, network.norm.bias, *(dict(network.norm.named_buffers()).values())]
    values = [
        network.convolution.weight.permute(2, 3, 1, 0),
        network.convolution.bias,
        *norm[:4],
        network.head.weight.T,
        network.head.bias,
    ]
    model.set_weights([value.detach().numpy() for value in values])
    return model


def trained(teacher, student, data, crossentropy):
    copy = keras.models.clone_model(student)
    copy.set_weights(student.get_weights())
    losses = [SoftTargets(2.0), AttentionTransfer("features", "stage1")]
    distiller = Distiller(teacher, copy, losses, [1.0, 10.0], student_loss_weight=None)
    distiller.compile(keras.optimizers.SGD(0.1), crossentropy, run_eagerly=True)
    distiller.fit(data, verbose=0)
    return copy.get_weights()


def test_the_student_learns_what_it_learns_from_the_same_model_in_keras_live_and_cached(
    network, images, crossentropy, make_cnn, tmp_path
):
    student, function, model = make_cnn(4), as_function(network), as_keras(network)
    answers = function(images[0])
    np.testing.assert_allclose(model(images[0]), answers["logits"], atol=1e-4)
    losses = ["kd", AttentionTransfer("features", "stage1")]
    settings = {"dtype": "float32", "verbose": 0}
    outputs = {"output": answers["logits"].numpy(), "features": answers["features"].numpy()}
    batches = tf.data.Dataset.from_tensor_slices(images).batch(32)
    caches = [
        TeacherCache.build(tmp_path / "built", function, images, losses, **settings),
        TeacherCache.from_outputs(tmp_path / "given", images, outputs, **settings),
    ]
    expected = trained(model, student, batches, crossentropy)
    found = [trained(function, student, batches, crossentropy)]
    found += [trained(cache, student, cache.join(batches), crossentropy) for cache in caches]
    moved = [np.abs(a - b).max() for a, b in zip(expected, student.get_weights(), strict=True)]
    for weights in found:
        for one, other in zip(expected, weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-3 * max(moved))
