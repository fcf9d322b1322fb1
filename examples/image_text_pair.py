"""A small pair of encoders, of images and of text, learns from a larger pair.

Run: python examples/image_text_pair.py

Each image shows a handwritten digit (scikit-learn's) in one of four corners, bright or dim, with a
caption such as "a bright seven at the top left". As in CLIP, an encoder of images and one of text
are trained until an image is nearest to its caption. The teacher's encoders have four attention
heads, the students' two. It prints how often the right one of all 80 captions is found for test
images: by the students alone, with the relations of the teacher's pair, and with relations and
aligned attention heads; mean and standard deviation over seeds.
"""

import itertools

import keras
import numpy as np
from keras import layers, ops

from keras_distill import DistillationLoss, Distiller, datasets
from keras_distill.losses import AttentionMapAlignment

DIGITS = "zero one two three four five six seven eight nine".split()
CORNERS = [("top", "left"), ("top", "right"), ("bottom", "left"), ("bottom", "right")]
CAPTIONS = [
    f"a {light} {digit} at the {' '.join(corner)}"
    for digit, corner, light in itertools.product(DIGITS, CORNERS, ("bright", "dim"))
]
WORDS = sorted({word for caption in CAPTIONS for word in caption.split()})
TOKENS = np.array([[WORDS.index(word) for word in caption.split()] for caption in CAPTIONS])
SIZE, PATCH, WIDTH = 16, 4, 32


def pairs(images, digits, seed):
    """Returns images of digits in corners, and the number of each one's caption."""
    rng = np.random.default_rng(seed)
    corners, lights = rng.integers(4, size=len(images)), rng.integers(2, size=len(images))
    shown = rng.uniform(0.0, 0.3, (len(images), SIZE, SIZE, 1)).astype("float32")
    for image, digit, corner, is_dim in zip(shown, images, corners, lights, strict=True):
        row, column = 8 * (corner // 2), 8 * (corner % 2)
        image[row : row + 8, column : column + 8] += digit * (0.4 if is_dim else 1.0)
    return shown, (digits * 4 + corners) * 2 + lights


def encoder(x, positions, heads, width, name):
    """Returns the embedding that a transformer with one layer makes of tokens."""
    x = x + layers.Embedding(positions, width)(ops.arange(positions)[None])
    attention = layers.MultiHeadAttention(heads, width // heads, name=f"{name}_attention")
    normalized = layers.LayerNormalization()(x)
    x = x + attention(normalized, normalized)
    hidden = layers.Dense(2 * width, activation="relu")(layers.LayerNormalization()(x))
    x = x + layers.Dense(width)(hidden)
    x = layers.Dense(WIDTH)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x)))
    return layers.UnitNormalization(name=f"{name}_embedding")(x)


def pair_of_encoders(heads, width):
    """Returns a model from images and captions to both embeddings, (batch, 2, WIDTH)."""
    image = keras.Input((SIZE, SIZE, 1), name="image")
    strokes = layers.Conv2D(width, 3, padding="same", activation="relu")(image)
    patches = layers.Conv2D(width, PATCH, strides=PATCH)(strokes)
    count = (SIZE // PATCH) ** 2
    seen = encoder(layers.Reshape((count, width))(patches), count, heads, width, "image")
    text = keras.Input((TOKENS.shape[1],), dtype="int32", name="text")
    words = layers.Embedding(len(WORDS), width)(text)
    read = encoder(words, TOKENS.shape[1], heads, width, "text")
    return keras.Model({"image": image, "text": text}, ops.stack([seen, read], axis=1))


def affinities(embeddings, temperature=0.1):
    """Returns log-probabilities: of a batch's captions for each image, and the other way round."""
    scores = ops.matmul(embeddings[:, 0], ops.transpose(embeddings[:, 1])) / temperature
    return ops.log_softmax(scores), ops.log_softmax(ops.transpose(scores))


def contrastive(captions, embeddings):
    """Returns CLIP's loss of each pair; two images of the same caption are both right."""
    captions = ops.reshape(captions, (-1, 1))
    right = ops.cast(ops.equal(captions, ops.transpose(captions)), "float32")
    right = right / ops.sum(right, axis=-1, keepdims=True)
    return -sum(ops.sum(right * of, axis=-1) for of in affinities(embeddings)) / 2


class AffinityMimicking(DistillationLoss):
    """KL divergence of the affinities of images and captions, as in TinyCLIP (ICCV 2023)."""

    def call(self, teacher, student, context):
        """Returns the loss of each pair of a batch."""
        both = zip(affinities(teacher), affinities(student), strict=True)
        return sum(ops.sum(ops.exp(t) * (t - s), axis=-1) for t, s in both) / 2


def train(model, data, epochs):
    """Trains a pair of encoders, or a student through a distiller."""
    images, captions = data
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(images) // 50)
    model.compile(keras.optimizers.Adam(rate), contrastive, steps_per_execution=10)
    inputs = {"image": images, "text": TOKENS[captions]}
    model.fit(inputs, captions, batch_size=50, epochs=epochs, verbose=0)


def found(model, data):
    """Returns how often the caption that is nearest to an image is its own, in percent."""
    images, captions = data
    some = np.arange(len(images)) % len(CAPTIONS)
    seen, read = np.moveaxis(
        model.predict({"image": images, "text": TOKENS[some]}, verbose=0), 1, 0
    )
    return 100 * np.mean(np.argmax(seen @ read[: len(CAPTIONS)].T, axis=-1) == captions)


def main(seeds=2, epochs=8):
    digits = datasets.load("digits")
    many = [np.concatenate([part] * 4) for part in (digits.x_train, digits.y_train)]
    test = pairs(digits.x_test, digits.y_test, seed=2)
    keras.utils.set_random_seed(0)
    teacher = pair_of_encoders(heads=4, width=48)
    train(teacher, pairs(*many, seed=0), epochs)
    print(f"teachers, 4 heads: {found(teacher, test):.1f} %")
    heads = [
        AttentionMapAlignment(f"{name}_attention:scores", f"{name}_attention:scores")
        for name in ("image", "text")
    ]
    methods = {
        "alone": None,
        "relations": [AffinityMimicking()],
        "relations and aligned heads": [AffinityMimicking(), *heads],
    }
    for name, losses in methods.items():
        results = []
        for seed in range(seeds):
            keras.utils.set_random_seed(seed)
            student = pair_of_encoders(heads=2, width=16)
            distiller = losses and Distiller(teacher, student, losses, student_loss_weight=None)
            train(distiller or student, pairs(digits.x_train, digits.y_train, seed=1), 2 * epochs)
            results.append(found(student, test))
        spread = np.std(results, ddof=1)
        print(f"students, 2 heads, {name}: {np.mean(results):.1f} ± {spread:.1f} %")


if __name__ == "__main__":
    main()
