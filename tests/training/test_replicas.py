"""The update is the same on one replica and on two, in a process with two virtual devices."""

from tests import processes

SCRIPT = """
import keras, numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from keras_distill import AttentionTransfer, Distiller, SoftTargets
from keras_distill.losses import HintLearning
from keras_distill.schemes import (
    AdversariallyRobust, MovingAverageTeacher, MutualDistiller, TeacherEnsemble
)

rng = np.random.default_rng(0)
x, y = rng.random((32, 8, 8, 1)).astype("float32"), rng.integers(0, 3, 32)
weights = rng.random(32).astype("float32")

def cnn(channels):
    return keras.Sequential([
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(channels, 3, activation="relu", kernel_regularizer="l2", name="conv"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    ])

# Eagerly on one replica, since making a graph takes longer than its few steps.
ONE = tf.distribute.get_strategy()

def train(strategy, y=y, losses=None):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        losses = losses or [
            SoftTargets(2.0), AttentionTransfer("conv", "conv"), HintLearning("conv", "conv")
        ]
        distiller = Distiller(cnn(6), cnn(3), losses, [1.0, 100.0, 1.0][: len(losses)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        optimizer, eager = keras.optimizers.SGD(0.1), strategy is ONE
        distiller.compile(optimizer, loss, metrics=["accuracy"], run_eagerly=eager)
    history = distiller.fit(
        x, y, sample_weight=weights, batch_size=16, epochs=2, shuffle=False, verbose=0
    )
    return distiller.get_weights(), history.history

single, single_history = train(ONE)
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert mirrored.num_replicas_in_sync == 2
double, double_history = train(mirrored)
assert len(single) == len(double)
for one, two in zip(single, double):
    np.testing.assert_allclose(one, two, atol=1e-5)
for name, values in single_history.items():
    np.testing.assert_allclose(values, double_history[name], rtol=1e-4, err_msg=name)

def ensemble(strategy):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        teachers = TeacherEnsemble([cnn(6), cnn(5)], "confidence", temperature=2.0)
        losses = [SoftTargets(2.0), AttentionTransfer("1/conv", "conv")]
        distiller = Distiller(teachers, cnn(3), losses)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        distiller.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=strategy is ONE)
    distiller.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    return distiller.get_weights()

for one, two in zip(ensemble(ONE), ensemble(mirrored)):
    np.testing.assert_allclose(one, two, atol=1e-5, err_msg="several teachers")

def mutual(strategy):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        peers = MutualDistiller([cnn(3), cnn(4)], ["kd", HintLearning("conv", "conv")])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        eager = strategy is ONE
        peers.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"], run_eagerly=eager)
    history = peers.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    return peers.get_weights(), history

def average(strategy):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        distiller = MovingAverageTeacher(cnn(3), 0.7)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        distiller.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=strategy is ONE)
    distiller.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    return distiller.get_weights()

for one, two in zip(average(ONE), average(mirrored)):
    np.testing.assert_allclose(one, two, atol=1e-5, err_msg="moving average")

def attacked(strategy):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        distiller = AdversariallyRobust(cnn(6), cnn(3), "kd", steps=2, random_start=False)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        distiller.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=strategy is ONE)
    distiller.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    return distiller.get_weights()

for one, two in zip(attacked(ONE), attacked(mirrored)):
    np.testing.assert_allclose(one, two, atol=1e-5, err_msg="attacked students")

(alone, single_history), (both, double_history) = mutual(ONE), mutual(mirrored)
for one, two in zip(alone, both):
    np.testing.assert_allclose(one, two, atol=1e-5, err_msg="mutual learning")
for name, values in single_history.items():
    np.testing.assert_allclose(values, double_history[name], rtol=1e-4, err_msg=name)

partly = np.where(np.arange(32) % 16 < 5, -1, y)
alone, both = (train(strategy, partly, ["dkd"])[0] for strategy in (ONE, mirrored))
for one, two in zip(alone, both):
    np.testing.assert_allclose(one, two, atol=1e-5, err_msg="samples without a label")

# Each replica measures gradients on its share of a batch: here both have the same samples.
halves = np.concatenate([np.tile(x[:8], (2, 1, 1, 1)), np.tile(x[8:16], (2, 1, 1, 1))])
def balanced(strategy):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        distiller = Distiller(
            cnn(6), cnn(3), ["kd", "logits"], "balanced", student_loss_weight=None
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        distiller.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=strategy is ONE)
    distiller.fit(
        halves, np.tile(y[:8], 4), batch_size=16, epochs=2, shuffle=False, verbose=0
    )
    return distiller.get_weights()
for one, two in zip(balanced(ONE), balanced(mirrored)):
    np.testing.assert_allclose(one, two, atol=1e-5, err_msg="balanced weights")

from keras_distill import losses
with mirrored.scope():
    own = ["ofd", "mgd", "vid", "ft", "reviewkd", "crd"]
    layers = {"teacher_layer_name": "conv", "student_layer_name": "conv"}
    named = [losses.get(name, **layers) for name in own[:4]] + [
        losses.get("reviewkd", teacher_layer_name=["conv"], student_layer_name=["conv"]), "crd"]
    distiller = Distiller(cnn(6), cnn(3), named)
    distiller.compile("sgd", "sparse_categorical_crossentropy")
distiller.fit(x, y, batch_size=16, verbose=0)
try:
    with mirrored.scope():
        Distiller(cnn(6), cnn(3), losses.ContrastiveRepresentation(samples=32))
except ValueError as error:
    assert "which only one replica can do" in str(error), error
else:
    raise AssertionError("a memory bank on two replicas was accepted")
"""


def test_two_replicas_make_the_update_of_one():
    processes.run(SCRIPT)
