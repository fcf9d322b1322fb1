"""In a process of its own with two devices: two replicas prune and cluster as one does."""

from tests import processes

SCRIPT = """
import keras, numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras_distill
for kind in ("PrunedDense", "ClusteredDense", "QuantizedDense"):
    # What load_model needs to find, with the package imported and nothing else of it.
    assert keras.saving.get_registered_object(f"keras_distill>{kind}"), kind
from keras_distill import Distiller, SoftTargets, compression

rng = np.random.default_rng(0)
x, y = rng.random((32, 12)).astype("float32"), rng.integers(0, 3, 32)

def make():
    inputs = keras.Input((12,))
    pruned = compression.prune(keras.Model(inputs, dense(8)(inputs)), 0.75, end_step=3)
    inputs = keras.Input((12,))
    fours = compression.prune(keras.Model(inputs, dense(8)(inputs)), pattern="2:4")
    inputs = keras.Input((12,))
    clustered = compression.cluster(keras.Model(inputs, dense(8)(inputs)), 4)
    inputs = keras.Input((12,))
    x = keras.layers.Concatenate()([model(inputs) for model in (pruned, fours, clustered)])
    return keras.Model(inputs, dense(3)(x))

def dense(units):
    return keras.layers.Dense(units, "relu" if units > 3 else None)

def train(strategy):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        student = make()
        distiller = Distiller(keras.models.clone_model(student), student, SoftTargets(2.0))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        distiller.compile(keras.optimizers.SGD(0.1), loss)
    distiller.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    return student.get_weights()

single = train(tf.distribute.get_strategy())
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert mirrored.num_replicas_in_sync == 2
double = train(mirrored)
masks = [weight for weight in single if set(np.unique(weight)) == {0, 1}]
assert [mask.mean() for mask in masks] == [0.25, 0.5]
for one, two in zip(single, double, strict=True):
    np.testing.assert_allclose(one, two, atol=1e-5)
"""


def test_one_and_two_replicas_compress_the_same():
    processes.run(SCRIPT)
