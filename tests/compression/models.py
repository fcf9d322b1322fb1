"""Small models to compress: with nested and shared layers, several inputs, rows."""

import keras
import numpy as np

layers = keras.layers


def residual():
    """A nested backbone with a sum, a layer that is called twice, and an operation."""
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="inner")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    backbone = keras.Model(inputs, layers.Conv2D(8, 1, name="last")(x), name="backbone")
    shared = layers.Conv2D(8, 3, padding="same", activation="relu", name="shared")
    inputs = keras.Input((8, 8, 4))
    x = backbone(inputs)
    x = layers.Add(name="sum")([x, shared(shared(x))]) * 0.5
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def two_inputs():
    """Rows and numbers as the inputs."""
    rows, numbers = keras.Input((12, 4), name="rows"), keras.Input((6,), name="numbers")
    x = layers.Conv1D(8, 3, padding="causal", activation="relu", name="conv")(rows)
    x = layers.Concatenate()([layers.GlobalMaxPooling1D()(x), numbers])
    return keras.Model({"rows": rows, "numbers": numbers}, layers.Dense(3, name="logits")(x))


def sequential():
    return keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(16, "relu", name="first"),
            layers.Dropout(0.2, name="dropout"),
            layers.Dense(8, "relu", kernel_regularizer="l2", name="second"),
            layers.Dense(3, name="logits"),
        ]
    )


MODELS = {make.__name__: make for make in (residual, two_inputs, sequential)}


def data(model, count=64, seed=0):
    """Returns inputs of a model and labels that can be learned from them."""
    rng = np.random.default_rng(seed)
    inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    x = keras.tree.map_structure(
        lambda tensor: rng.normal(size=(count, *tensor.shape[1:])).astype("float32"), inputs
    )
    first = keras.tree.flatten(x)[0].reshape(count, -1)
    return x, np.digitize(first.sum(axis=1) / np.sqrt(first.shape[1]), [-0.4, 0.4])


def crossentropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def fit(model, x, y, optimizer="adam", epochs=2, run_eagerly=True, jit_compile=False):
    """Trains for four steps an epoch; eagerly, as tracing takes longer than so few steps."""
    model.compile(optimizer, crossentropy(), run_eagerly=run_eagerly, jit_compile=jit_compile)
    model.fit(x, y, batch_size=16, epochs=epochs, shuffle=False, verbose=0)


def compressed(model):
    """Returns the compressed layers of a model."""
    return [layer for layer in model._flatten_layers() if hasattr(layer, "compressed_as")]


def resumes_as_if_uninterrupted(make, x, y, path):
    """Trains a distiller in one go and, with saving and loading between, in two."""
    distillers = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        distillers.append(make())
        distillers[-1].compile(keras.optimizers.Adam(0.01), crossentropy(), run_eagerly=True)
    whole, parts = distillers
    settings = {"batch_size": 16, "shuffle": False, "verbose": 0}
    whole.fit(x, y, epochs=2, **settings)
    parts.fit(x, y, epochs=1, **settings)
    parts.save(path)
    loaded = keras.models.load_model(path)
    loaded.fit(x, y, epochs=1, **settings)
    before, after = parts.student.get_weights(), loaded.student.get_weights()
    assert any(not np.array_equal(*pair) for pair in zip(before, after, strict=True))
    for first, second in zip(whole.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)
    return loaded
