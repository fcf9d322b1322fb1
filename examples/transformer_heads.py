"""A transformer with two attention heads learns from one with four: attention map alignment.

Run: python examples/transformer_heads.py

The task is made up, so that it needs no download: does the first token of a sequence come again
later? The teacher sees 8,000 sequences, the students 2,000. It prints the accuracy of the student
alone, with soft targets, and with soft targets and aligned attention heads, mean and standard
deviation over three seeds.
"""

import keras
import numpy as np

from keras_distill import Distiller, SoftTargets
from keras_distill.losses import AttentionMapAlignment

WORDS, LENGTH = 20, 12
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def sequences(count, seed):
    """Returns random tokens, and whether the first one comes again."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, WORDS, (count, LENGTH))
    repeats = rng.random(count) < 0.5
    for row, again in zip(tokens, repeats, strict=True):
        others = row[1:]
        others[others == row[0]] = row[0] % (WORDS - 1) + 1
        if again:
            others[rng.integers(LENGTH - 1)] = row[0]
    return tokens, repeats.astype("int32")


def transformer(heads, width):
    """Returns a classifier with one encoder layer."""
    layers = keras.layers
    tokens = keras.Input((LENGTH,), dtype="int32")
    words = layers.Embedding(WORDS, width)(tokens)
    x = words + layers.Embedding(LENGTH, width)(keras.ops.arange(LENGTH)[None])
    attention = layers.MultiHeadAttention(heads, width // heads, name="attention")
    x = layers.LayerNormalization()(x + attention(x, x))
    hidden = layers.Dense(2 * width, activation="relu")(x[:, 0])
    return keras.Model(tokens, layers.Dense(2, name="logits")(hidden))


def train(model, data, epochs):
    """Trains a model, or a student through a distiller."""
    rate = keras.optimizers.schedules.CosineDecay(5e-3, epochs * len(data[0]) // 50)
    model.compile(keras.optimizers.Adam(rate), LOSS)
    model.fit(*data, batch_size=50, epochs=epochs, verbose=0)


def accuracy(model, data):
    """Returns the accuracy in percent."""
    logits = model.predict(data[0], batch_size=500, verbose=0)
    return 100 * np.mean(np.argmax(logits, axis=-1) == data[1])


def main(seeds=3):
    test = sequences(2_000, seed=2)
    keras.utils.set_random_seed(0)
    teacher = transformer(heads=4, width=32)
    train(teacher, sequences(8_000, seed=0), epochs=12)
    print(f"teacher, 4 heads: {accuracy(teacher, test):.1f} %")
    align = AttentionMapAlignment("attention:scores", "attention:scores", divergence="kl")
    methods = {
        "alone": None,
        "soft targets": [SoftTargets(4.0)],
        "soft targets and aligned heads": [SoftTargets(4.0), align],
    }
    for name, losses in methods.items():
        accuracies = []
        for seed in range(seeds):
            keras.utils.set_random_seed(seed)
            student = transformer(heads=2, width=16)
            distiller = losses and Distiller(teacher, student, losses, student_loss_weight=None)
            train(distiller or student, sequences(2_000, seed=1), epochs=20)
            accuracies.append(accuracy(student, test))
        spread = np.std(accuracies, ddof=1)
        print(f"student, 2 heads, {name}: {np.mean(accuracies):.1f} ± {spread:.1f} %")


if __name__ == "__main__":
    main()
