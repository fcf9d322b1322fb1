"""Spoken digits: log-mel features, and speakers that are never heard in training."""

import keras
import numpy as np
import tensorflow as tf

from gain_tasks.division import splits_by_person
from gain_tasks.task import Task, Training
from keras_distill import architectures, sensors

SAMPLES = 8_000
# The level is that of the recording, without the silence around it.
LOG_MEL = sensors.LogMel(
    rate=8_000, samples=SAMPLES, frame=256, hop=160, bands=20, highest=3_800.0, level=False
)
TEST_SPEAKERS = ("george", "theo")
LABELS = 600
MOST_SHIFT = 6


def clips(data_dir):
    """Loads the recordings: features, classes and names of speakers.

    Args:
        data_dir: Folder of tensorflow-datasets.

    Returns:
        Tuple of three arrays.
    """
    import tensorflow_datasets as tfds

    rows = tfds.load("spoken_digit", split="train", data_dir=data_dir).as_numpy_iterator()
    waves, labels, speakers = [], [], []
    for row in rows:
        wave = row["audio"][:SAMPLES].astype("float32")
        wave /= np.sqrt(np.mean(np.square(wave))) + 1e-6
        before = (SAMPLES - len(wave)) // 2
        waves.append(np.pad(wave, (before, SAMPLES - len(wave) - before)))
        labels.append(row["label"])
        # digit_speaker_number.wav
        speakers.append(row["audio/filename"].decode().split("_")[1])
    return LOG_MEL(np.stack(waves)), np.array(labels, "int32"), np.array(speakers)


def shifted(x, seed):
    """Shifts each clip of a batch in time, what leaves on one end coming back on the other.

    Args:
        x: Tensor of shape `(batch, frames, bands, 1)`.
        seed: Integer tensor of shape `(2,)`.
    """
    frames = tf.shape(x)[1]
    by = tf.random.stateless_uniform(
        (tf.shape(x)[0], 1), seed, -MOST_SHIFT, MOST_SHIFT + 1, dtype=tf.int32
    )
    return tf.gather(x, (tf.range(frames)[None] + by) % frames, axis=1, batch_dims=1)


def teacher():
    """Returns an untrained CNN of four stages."""
    image = x = keras.Input(LOG_MEL.output_shape)
    for stage, filters in enumerate((24, 48, 64, 96), start=1):
        if stage > 1:
            x = keras.layers.MaxPooling2D(2)(x)
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU(name=f"stage{stage}_out")(x)
        x = keras.layers.SpatialDropout2D(0.1)(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dropout(0.4)(x)
    return keras.Model(image, keras.layers.Dense(10, name="logits")(x), name="speech_teacher")


def tiny_ds_cnn(input_shape, classes, widths=(8, 16, 16), kernel=(10, 4), strides=2):
    """Returns an untrained network of depthwise separable convolutions, of 1,346 parameters.

    Args:
        input_shape: Shape of one sample.
        classes: Number of classes.
        widths: Channels of the stem and of each block.
        kernel: Size of the stem's kernel.
        strides: Step of the stem.
    """
    image = x = keras.Input(input_shape)
    x = keras.layers.Conv2D(widths[0], kernel, strides, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU(name="stem_out")(x)
    for stage, width in enumerate(widths[1:], start=1):
        x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
        x = keras.layers.Conv2D(width, 1, use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU(name=f"stage{stage}_out")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, keras.layers.Dense(classes, name="logits")(x), name="tiny_ds_cnn")


def spoken(options):
    """Spoken digits and a DS-CNN of 1,346 parameters."""
    x, y, speakers = clips(options.data_dir)
    others = sorted(set(speakers) - set(TEST_SPEAKERS))
    groups = [(speaker,) for speaker in others]
    shape = x.shape[1:]
    return Task(
        name="spoken",
        title=(
            "Spoken digits of unknown speakers (trained on 2, validated on 1, in turn, tested on "
            "2), 600 labels; CNN of 95,426 parameters to DS-CNN of 1,346"
        ),
        splits=splits_by_person(x, y, speakers, TEST_SPEAKERS, groups, LABELS),
        make_student=lambda: tiny_ds_cnn(shape, 10),
        training=Training(updates=2_000, rate=1e-2),
        make_teacher=teacher,
        teacher_training=Training(updates=1_000, rate=3e-3),
        augment=shifted,
    )


def spoken_large(options):
    """Spoken digits and the DS-CNN of MLPerf Tiny."""
    task = spoken(options)
    shape = task.splits[0].x.shape[1:]
    task.name = "spoken-large"
    task.title = task.title.replace("DS-CNN of 1,346", "DS-CNN of 24,778")
    task.make_student = lambda: architectures.ds_cnn(shape, 10)
    task.training = Training(updates=600, rate=3e-3)
    return task
