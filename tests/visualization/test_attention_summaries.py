"""Attention maps for TensorBoard: the event file is read back."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller
from keras_distill.visualization import AttentionSummaries, attention_maps


@pytest.fixture
def distill(make_cnn, images, crossentropy):
    """Distills for some epochs with a callback."""

    def run(summaries, epochs=1, teacher=None):
        distiller = Distiller(make_cnn(3) if teacher is None else teacher, make_cnn(2), "kd")
        distiller.compile("sgd", crossentropy, run_eagerly=True)
        x, y = images[0][:16], images[1][:16]
        distiller.fit(x, y, batch_size=16, epochs=epochs, callbacks=[summaries], verbose=0)
        return distiller

    return run


def summaries_in(folder):
    """Returns a dictionary from tag and step to pictures."""
    found = {}
    for path in sorted(folder.iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                # Width and height stand before the pictures.
                _, _, *pictures = tf.make_ndarray(value.tensor)
                decoded = [tf.image.decode_png(picture).numpy() for picture in pictures]
                found[value.tag, event.step] = np.stack(decoded)
    return found


def test_the_maps_of_each_epoch_can_be_read_back(tmp_path, images, distill):
    x = images[0][:2]
    folder = tmp_path / "logs" / "attention"
    summaries = AttentionSummaries(folder, x, ["stage2", "stage1"], every=2)
    distiller = distill(summaries, epochs=4)
    found = summaries_in(folder)
    # The teacher stays as it is; its last stage is chosen.
    assert set(found) == {("teacher/stage2", 0)} | {
        (f"student/{layer}", step) for layer in ("stage1", "stage2") for step in (1, 3)
    }
    maps = attention_maps(distiller.student, x, "stage1")
    light = 0.2 + 0.8 * maps / maps.max((1, 2), keepdims=True)
    low, high = (limit((1, 2, 3), keepdims=True) for limit in (x.min, x.max))
    expected = 255 * (x - low) / (high - low) * light[..., None]
    np.testing.assert_allclose(found["student/stage1", 3], expected, atol=1.01)
    assert found["teacher/stage2", 0].shape == (2, 8, 8, 1)


def test_color_images_and_a_model_alone_work(tmp_path):
    x = np.random.default_rng(0).random((3, 6, 6, 3), "float32")
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(2, 3, name="conv"),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(x, np.zeros((3, 2)), verbose=0, callbacks=[AttentionSummaries(tmp_path, x, ["conv"])])
    (pictures,) = summaries_in(tmp_path).values()
    assert pictures.shape == (3, 6, 6, 3) and pictures.max() > 100


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"images": np.ones((2, 8, 8, 2))}, ValueError, "images must have 1 or 3 channels"),
        ({"student_layers": "stage1"}, TypeError, "student_layers must be a list"),
        ({"every": 0}, ValueError, "every must be at least 1"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        AttentionSummaries(**{"log_dir": tmp_path, "images": np.ones((2, 8, 8, 1)), **arguments})


def test_layers_that_are_not_there_are_refused_before_training(tmp_path, images, distill):
    folder = tmp_path / "logs"
    with pytest.raises(ValueError, match="absent"):
        distill(AttentionSummaries(folder, images[0][:2], ["absent"]))
    summaries = AttentionSummaries(folder, images[0][:2], teacher_layers=["stage1"])
    with pytest.raises(ValueError, match="a teacher that is a Keras model"):
        distill(summaries, teacher=lambda x: np.zeros((len(x), 3), "float32"))
    assert not folder.exists()
