"""SST-2: sentences of film reviews, and small transformers."""

import dataclasses

import keras
import numpy as np

from gain_tasks.division import divide, sharing_no_words
from gain_tasks.task import Split, Task, Training

WORDS, LENGTH = 8_000, 32
LABELS, UNLABELED = 4_000, 16_000
VALIDATION, LONG, SHARED = 1_500, 12, 5


def transformer(width, heads, layers, name):
    """Returns an untrained transformer encoder with a classifier.

    Args:
        width: Size of the embeddings.
        heads: Number of heads.
        layers: Number of blocks.
        name: Name of the model.
    """
    kl = keras.layers
    tokens = keras.Input((LENGTH,), dtype="int32")
    positions = keras.ops.arange(LENGTH)[None]
    x = kl.Embedding(WORDS, width, mask_zero=True, name="words")(tokens)
    x = x + kl.Embedding(LENGTH, width, name="positions")(positions)
    for index in range(layers):
        attention = kl.MultiHeadAttention(heads, width // heads, name=f"attention_{index}")
        x = kl.LayerNormalization(name=f"norm_{index}a")(x + attention(x, x))
        hidden = kl.Dense(2 * width, activation="relu", name=f"hidden_{index}")(x)
        x = kl.LayerNormalization(name=f"norm_{index}b")(
            x + kl.Dense(width, name=f"project_{index}")(hidden)
        )
    x = kl.GlobalAveragePooling1D(name="pool")(x)
    x = kl.Dropout(0.2, name="dropout")(x)
    return keras.Model(tokens, kl.Dense(2, name="logits")(x), name=name)


def held_out(sentences, y):
    """Divides the training phrases into those to learn and those to validate on.

    The phrases are parts of sentences, so that one is in many others: to learn from are those
    that share no five words in a row with one to validate on.

    Args:
        sentences: List of texts.
        y: Their classes.

    Returns:
        Tuple of two arrays of indices.
    """
    long = np.flatnonzero([len(text.split()) >= LONG for text in sentences])
    validation = long[divide(y[long], [VALIDATION])[0]]
    others = [sentences[index] for index in validation]
    train = np.setdiff1d(np.flatnonzero(sharing_no_words(sentences, others, SHARED)), validation)
    return train, validation


def sst2(options):
    """SST-2, 4,000 of the phrases labeled, tested on the 872 sentences that have labels."""
    import tensorflow_datasets as tfds

    parts = tfds.as_numpy(tfds.load("glue/sst2", data_dir=options.data_dir, batch_size=-1))
    sentences = [text.decode() for text in parts["train"]["sentence"]]
    y = parts["train"]["label"].astype("int32")
    train, validation = held_out(sentences, y)
    vectorize = keras.layers.TextVectorization(WORDS, output_sequence_length=LENGTH)
    vectorize.adapt([sentences[index] for index in train])
    x = np.concatenate(
        [np.array(vectorize(sentences[at : at + 5_000])) for at in range(0, len(y), 5_000)]
    ).astype("int32")
    labeled, unlabeled = (train[part] for part in divide(y[train], [LABELS, UNLABELED])[:2])
    tested = parts["validation"]
    test = np.array(vectorize(tested["sentence"])).astype("int32")
    split = Split(
        x=x[labeled],
        y=y[labeled],
        unlabeled=x[unlabeled],
        validation=(x[validation], y[validation]),
        test=(test, tested["label"].astype("int32")),
        teacher_data=(x[train], y[train]),
    )
    return Task(
        name="sst2",
        title=(
            "SST-2, 4,000 labels; transformer of 2 blocks, width 64, 4 heads, to one of 1 block, "
            "width 16, 2 heads"
        ),
        splits=[split],
        make_student=lambda: transformer(16, 2, 1, "student"),
        training=Training(updates=400, rate=3e-3),
        make_teacher=lambda: transformer(64, 4, 2, "teacher"),
        teacher_training=Training(updates=1_200, rate=1e-3, batch_size=128),
        # Attention over space makes no sense of words.
        without=("at",),
    )


def sst2_heads(options):
    """SST-2, the student with as many heads as the teacher, for losses that pair them."""
    task = sst2(options)
    return dataclasses.replace(
        task,
        name="sst2-heads",
        title=task.title.replace("2 heads", "4 heads"),
        make_student=lambda: transformer(16, 4, 1, "student"),
    )
