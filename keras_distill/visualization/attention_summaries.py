"""Attention maps for TensorBoard: a callback that writes them as image summaries."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_distill.arguments import check_count, check_directory, shown
from keras_distill.features.automatic_layers import candidates
from keras_distill.features.batches import take
from keras_distill.visualization.attention_maps import attention_maps
from keras_distill.visualization.plot_data import image_array

# Brightness that is left of an image where the model doesn't look.
_DARK = 0.2


class AttentionSummaries(keras.callbacks.Callback):
    """Callback that writes attention maps to TensorBoard: images, bright where a model looks.

    Each epoch has the student's maps, as `student/<layer>`; those of a teacher that is a Keras
    model are written once, as `teacher/<layer>`, since it stays as it is. Where a model doesn't
    look, its images are dark.

    Args:
        log_dir: Folder of the summaries, made if needed, as for `keras.callbacks.TensorBoard`.
        images: The model's inputs, array (samples, height, width, channels) of 1 or 3 channels; a
            few suffice.
        student_layers: List of layer paths, as for `attention_maps`. Defaults to the end of the
            last stage.
        teacher_layers: The same for the teacher; `[]` leaves it out.
        every: Number of epochs between two writings.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If `images` have another shape, or `log_dir` is a file.

    Example:
        ```python
        import keras
        import numpy as np

        from keras_distill import Distiller, architectures
        from keras_distill.visualization import AttentionSummaries

        x, y = np.random.rand(16, 8, 8, 1), np.arange(16) % 10
        teacher, student = (architectures.digits_student() for _ in range(2))
        distiller = Distiller(teacher, student, ["kd", "at"], [1.0, 100.0])
        distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        summaries = AttentionSummaries("logs", x[:2], ["stage1_out"], ["stage1_out"])
        distiller.fit(x, y, epochs=1, callbacks=[summaries], verbose=0)
        ```
    """

    def __init__(
        self,
        log_dir: str | os.PathLike,
        images: Any,
        student_layers: Sequence[str] | None = None,
        teacher_layers: Sequence[str] | None = None,
        every: int = 1,
    ):
        super().__init__()
        self.log_dir = check_directory("log_dir", log_dir)
        self._images = image_array(images)
        self._layers = {
            "student": _paths("student_layers", student_layers),
            "teacher": _paths("teacher_layers", teacher_layers),
        }
        self._every = check_count("every", every)
        self._writer: Any = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Opens the file, and writes the teacher's maps."""
        student = getattr(self.model, "student", self.model)
        teacher = getattr(self.model, "teacher", None)
        self._models = {"student": student}
        if isinstance(teacher, keras.Model):
            self._models["teacher"] = teacher
        elif self._layers["teacher"]:
            raise ValueError(
                "teacher_layers are those of a teacher that is a Keras model. "
                f"Received: teacher_layers={self._layers['teacher']!r}, teacher={shown(teacher)}"
            )
        found = {name: self._maps(name) for name in self._models}
        self._writer = tf.summary.create_file_writer(str(self.log_dir))
        self._write("teacher", found.get("teacher", {}), step=0)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the student's maps, every few epochs."""
        if (epoch + 1) % self._every == 0:
            self._write("student", self._maps("student"), step=epoch)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Closes the file."""
        self._writer.close()

    def _maps(self, name):
        """Returns a dictionary from layer path to the maps of a model."""
        model, argument = self._models[name], f"{name}_input"
        layers = self._layers[name]
        layers = [candidates("each_last_stage", model, name)] if layers is None else layers
        inputs = take(getattr(self.model, argument, None), self._images, argument)
        return {layer: attention_maps(model, inputs, layer) for layer in layers}

    def _write(self, name, maps, step):
        with self._writer.as_default():
            for layer, values in maps.items():
                pictures = _as_summary(_lit(self._images, values))
                tf.summary.write(f"{name}/{layer}", pictures, step=step, metadata=_metadata())
        self._writer.flush()


def _paths(argument, layers):
    if layers is None:
        return None
    if not isinstance(layers, list | tuple) or not all(isinstance(path, str) for path in layers):
        raise TypeError(
            f"{argument} must be a list of layer paths. Received: {argument}={shown(layers)}"
        )
    return list(dict.fromkeys(layers))


def _metadata():
    """Returns what tells TensorBoard that a tensor is images.

    `tf.summary.image` would need the package `tensorboard`, which TensorFlow no longer brings.
    """
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "images"
    return metadata


def _as_summary(pictures):
    """Returns pictures in [0, 1] as TensorBoard keeps them: width, height, and a PNG of each."""
    height, width = pictures.shape[1:3]
    levels = tf.image.convert_image_dtype(pictures, tf.uint8, saturate=True)
    files = [tf.io.encode_png(each) for each in levels]
    return tf.stack([tf.constant(str(width)), tf.constant(str(height)), *files])


def _lit(images, maps):
    """Returns images in [0, 1] that are dark where a map is low."""
    axes = (1, 2, 3)
    low, high = images.min(axes, keepdims=True), images.max(axes, keepdims=True)
    scaled = (images - low) / np.where(high > low, high - low, 1)
    most = maps.max(axis=(1, 2), keepdims=True)
    maps = np.divide(maps, most, out=np.zeros_like(maps), where=most > 0)
    light = tf.image.resize(maps[..., None], images.shape[1:3]).numpy()
    return (scaled * (_DARK + (1 - _DARK) * light)).astype("float32")
