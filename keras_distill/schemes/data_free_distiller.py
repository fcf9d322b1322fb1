"""DataFreeDistiller: a student learns from images that a generator learns to make."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_distill.arguments import check_count, check_model, check_text, shown
from keras_distill.distiller import Distiller, Weight
from keras_distill.features.layer_paths import symbolic
from keras_distill.losses import SoftTargets, schedule
from keras_distill.losses.logits import final_activation, logits_of
from keras_distill.losses.tensors import as_float
from keras_distill.schemes.classifier_checks import BOUNDS, check_bounds, check_is_classifier
from keras_distill.schemes.generated_images import (
    activation_loss,
    check_generator,
    entropy_loss,
    image_generator,
    noise_of,
    one_hot_loss,
)
from keras_distill.schemes.synthesis import image_shape
from keras_distill.training.checks import Checks
from keras_distill.training.trackers import update_means

# The key of a batch of noise, by which it isn't taken for a batch of images.
_NOISE = "noise_of_generator"
# The key of the images beside the passes of the branches.
_IMAGES = "images"
# What of a `Distiller` makes no sense without labels, where each batch is one tensor of images.
_NOT_TAKEN = ("student_loss_weight", "teacher_input", "student_input", "sample_index", "label_key")
# Images that `generate` and `diagnose` have at once.
_AT_ONCE = 32


@keras.saving.register_keras_serializable("keras_distill")
class DataFreeDistiller(Distiller):
    """Data-free learning (DAFL): a generator learns to make the images that teach the student.

    No data is needed. In each step the generator makes a batch of images from noise, and the
    student learns the teacher's answers to them. The generator learns of the teacher alone, whose
    answers should be sure and of all classes, and whose features strong. What is minimized is
    `Σ weight_i * loss_i + one_hot_weight * CE(t, argmax t) - entropy_weight * H(mean t)
    - activation_weight * mean |f|`, with the teacher's answers `t`, its features `f` before the
    classifier, and the entropy H in decimal logarithms. As in the authors' code one update serves
    both, and no gradient of the student's losses reaches the generator.

    A step costs one pass of the generator, the teacher and the student each, forward and backward.
    The teacher runs in inference mode. `evaluate` and `predict` are those of the student and take
    real images, where there are some to look at.

    The history has what that of `Distiller` has, `generator_loss`, the weighted sum, and
    `generator_one_hot`, `generator_entropy` and `generator_activation`, unweighted; `loss` is the
    sum of `total_loss`, which is the student's, and `generator_loss`.

    Args:
        teacher: Trained `keras.Model` with one output of shape `(batch, classes)`, logits or
            probabilities. Without a `generator` it has one input of images of a known shape
            `(height, width, channels)`.
        student: `keras.Model` to train, with the same input.
        generator: `keras.Model` to train, from noise of the normal distribution to the teacher's
            inputs; by default that of the paper, from noise of shape `(batch, 100)`.
        distillation_losses: As for `Distiller`; by default `SoftTargets(temperature=1)`, as in the
            authors' code.
        distillation_loss_weights: As for `Distiller`.
        one_hot_weight: Weight of the cross-entropy of the answers with their own likeliest class.
        entropy_weight: Weight of the entropy of the mean answer.
        activation_weight: Weight of the mean absolute feature.
        features: Path of the teacher's layer whose output is `f`; by default what enters its last
            dense layer.
        bounds: Pair of the smallest and the largest number of the default generator's images;
            `None` for images whose channels have mean 0 and variance 1, as in the paper.
        seed: Seed of the noise.
        name: Name of the model.
        **kwargs: Arguments of `keras.Model`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If one is out of bounds, the teacher isn't as described, its classifier isn't
            found, or the generator doesn't make its inputs.

    Example:

    ```python
    layers = keras.layers
    teacher, student = (
        keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3)])
        for _ in range(2)
    )
    distiller = DataFreeDistiller(teacher, student)
    distiller.compile("adam")
    distiller.fit(steps_per_epoch=2, batch_size=8, verbose=0)
    assert distiller.generate(5).shape == (5, 4, 4, 1)
    ```

    Reference:
        Chen et al., "Data-Free Learning of Student Networks", ICCV 2019.
    """

    def __init__(
        self,
        teacher: keras.Model,
        student: keras.Model,
        generator: keras.Model | None = None,
        distillation_losses: Any = None,
        distillation_loss_weights: Weight | Sequence[Weight] | None = None,
        one_hot_weight: float = 1.0,
        entropy_weight: float = 5.0,
        activation_weight: float = 0.1,
        features: str = "auto",
        bounds: Sequence[float] | None = BOUNDS,
        seed: int = 0,
        name: str = "data_free_distiller",
        **kwargs: Any,
    ):
        _check_teacher(teacher)
        weights = {
            "one_hot_weight": one_hot_weight,
            "entropy_weight": entropy_weight,
            "activation_weight": activation_weight,
        }
        for argument, weight in weights.items():
            schedule.check_constant(argument, weight, low=0)
        schedule.check_seed(seed)
        generator = _checked_generator(generator, teacher, bounds)
        super().__init__(
            teacher,
            student,
            SoftTargets(1.0) if distillation_losses is None else distillation_losses,
            distillation_loss_weights,
            student_loss_weight=0.0,
            name=name,
            **kwargs,
        )
        self.generator = generator
        self.one_hot_weight, self.entropy_weight = one_hot_weight, entropy_weight
        self.activation_weight, self.seed = activation_weight, seed
        self.features = _checked_features(features, self._edge.source, activation_weight)
        if self.features is not None:
            self._edge.source.tap([(self.features, None)])
        kinds = ["loss", "one_hot", "entropy"] + ["activation"] * (self.features is not None)
        self.generator_trackers = [keras.metrics.Mean(name=f"generator_{kind}") for kind in kinds]

    # There is no data, which every other model is fitted to.
    def fit(  # type: ignore[override]
        self,
        steps_per_epoch: int,
        epochs: int = 1,
        batch_size: int = 128,
        verbose: Any = "auto",
        callbacks: Any = None,
        initial_epoch: int = 0,
    ) -> Any:
        """Trains the student and the generator, without data.

        Args:
            steps_per_epoch: Number of updates in an epoch.
            epochs: As for `keras.Model.fit`.
            batch_size: Number of images that are made in a step. The paper has 512; all classes
                should come in each batch.
            verbose: As for `keras.Model.fit`.
            callbacks: As for `keras.Model.fit`.
            initial_epoch: As for `keras.Model.fit`.

        Returns:
            `keras.callbacks.History`.

        Raises:
            TypeError: If a number isn't an integer.
            ValueError: If it is below 1.
        """
        for argument, value in (
            ("steps_per_epoch", steps_per_epoch),
            ("epochs", epochs),
            ("batch_size", batch_size),
        ):
            check_count(argument, value)
        self.prepare(self.generate(1))
        return super().fit(
            self._noise(batch_size),
            steps_per_epoch=steps_per_epoch,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            # Keras warns that it shuffles no data set.
            shuffle=False,
            initial_epoch=initial_epoch,
        )

    def _noise(self, batch_size):
        """Returns the data set of batches of noise, which goes on where the last update ended."""
        start = int(self.optimizer.iterations) if self.compiled else 0

        def batch(number):
            seed = tf.stack([tf.constant(self.seed, "int64"), number])
            return ({_NOISE: noise_of(self.generator, batch_size, seed)},)

        return tf.data.Dataset.range(start, 2**62).map(batch).prefetch(2)

    def generate(self, count: int, seed: int = 0) -> np.ndarray:
        """Makes images, to look at with `visualization.plot_images`.

        Args:
            count: Number of images.
            seed: Seed of the noise.

        Returns:
            Array of shape `(count, ...)` in float32: what the generator makes in inference mode.
        """
        check_count("count", count)
        schedule.check_seed(seed)
        noise = noise_of(self.generator, count, (seed, 0))
        parts = [noise[start : start + _AT_ONCE] for start in range(0, count, _AT_ONCE)]
        made = [ops.convert_to_numpy(self.generator(part, training=False)) for part in parts]
        return np.concatenate(made).astype("float32")

    def diagnose(self, data: Any = None, batches: int = 4) -> Any:
        """Measures what each loss does to the student, as `Distiller.diagnose`.

        Args:
            data: As for `Distiller.diagnose`; by default images that the generator makes.
            batches: Number of batches at most.

        Returns:
            `Diagnosis`.

        Raises:
            ValueError: If the distiller isn't compiled, or `data` holds nothing.
        """
        check_count("batches", batches)
        return super().diagnose(
            self.generate(batches * _AT_ONCE) if data is None else data, batches
        )

    def call(self, inputs: Any, training: Any = None, **kwargs: Any) -> Any:
        """Returns the student's predictions."""
        if _is_noise(inputs):
            # Keras runs the model on a batch of `fit` to learn its shapes.
            inputs = self.generator(inputs[_NOISE], training=training)
        return super().call(inputs, training, **kwargs)

    def _forwards_of_frozen(self, x, training):
        # The generator learns through the teacher, which so runs inside the tape.
        return {} if _is_noise(x) else super()._forwards_of_frozen(x, training)

    def _forwards_of_trained(self, x, training):
        if not _is_noise(x):
            return super()._forwards_of_trained(x, training)
        images, source = self.generator(x[_NOISE], training=training), self._edge.source
        answers = source.forward(images, training=False)
        images = ops.stop_gradient(images)
        forwards = super()._forwards_of_trained(images, training)
        return {**forwards, source: answers, _IMAGES: images}

    def _total(self, forwards, batch, training, tape=None):
        if _IMAGES not in forwards:
            return super()._total(forwards, batch, training, tape)
        source = self._edge.source
        of_generator, own = self._generator_total(forwards[source])
        batch = dataclasses.replace(batch, x=forwards[_IMAGES])
        detached = {**forwards, source: forwards[source].detached()}
        total, parts = super()._total(detached, batch, training, tape)
        total += of_generator
        return total, {**parts, **own, "loss": total}

    def _generator_total(self, answers):
        """Returns the generator's loss, a scalar tensor, and a dictionary of its parts."""
        activation = self._edge.source.output_activation
        output = answers.output
        check_is_classifier("teacher", output)
        logits = as_float(logits_of(output, "auto", activation))
        parts = {"one_hot": one_hot_loss(logits), "entropy": entropy_loss(logits)}
        if self.features is not None:
            parts["activation"] = activation_loss(as_float(answers.features[self.features]))
        total, checks = ops.zeros(()), Checks(self.is_under_xla)
        for kind, value in parts.items():
            message = f"The generator's loss of the kind {kind!r} is not finite"
            total += getattr(self, f"{kind}_weight") * checks.finite(value, message)
        for loss in self.generator.losses:
            total += ops.sum(as_float(loss))
        return total, {
            f"generator_{kind}": value for kind, value in {**parts, "loss": total}.items()
        }

    def _logs(self, batch, forwards, parts):
        if not _is_noise(batch.x):
            own = {tracker.name for tracker in self.generator_trackers}
            logs = super()._logs(batch, forwards, parts)
            return {name: value for name, value in logs.items() if name not in own}
        parts = dict(parts)
        own = {tracker.name: parts.pop(tracker.name) for tracker in self.generator_trackers}
        update_means(self.generator_trackers, own, batch.x)
        return super()._logs(batch, forwards, parts)

    @property
    def watched_trackers(self) -> list:
        """Metrics of all losses, whose values must be finite."""
        return [*super().watched_trackers, *self.generator_trackers]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, the three models among them."""
        own = ("one_hot_weight", "entropy_weight", "activation_weight", "seed")
        config = {**super().get_config(), **{name: getattr(self, name) for name in own}}
        config["generator"] = keras.saving.serialize_keras_object(self.generator)
        config["features"] = "auto" if self.features is None else self.features
        return {name: value for name, value in config.items() if name not in _NOT_TAKEN}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """Returns the distiller that `get_config` described."""
        generator = config["generator"]
        if isinstance(generator, dict):
            generator = keras.saving.deserialize_keras_object(generator, custom_objects)
        return super().from_config({**config, "generator": generator}, custom_objects)


def _is_noise(x):
    return isinstance(x, dict) and set(x) == {_NOISE}


def _check_teacher(teacher):
    check_model("teacher", teacher)
    output = symbolic(teacher, "output")
    if output is not None:
        check_is_classifier("teacher", output)
    if final_activation(teacher) == "sigmoid":
        raise ValueError(
            "teacher must answer with exclusive classes, of which each image is to be one. "
            f"Received: teacher={shown(teacher)}, which ends in a sigmoid"
        )


def _checked_generator(generator, teacher, bounds):
    """Returns the generator, by default the paper's for the teacher's images."""
    check_bounds(bounds)
    if generator is None:
        return image_generator(image_shape(teacher), bounds)
    if bounds is None or tuple(bounds) != BOUNDS:
        raise ValueError(
            "bounds is for the default generator: leave it out beside one of your own, which "
            f"makes images of its own range. Received: bounds={shown(bounds)}"
        )
    check_generator(generator, teacher)
    return generator


def _checked_features(features, source, weight):
    """Returns the path of the teacher's features, `None` where none are needed."""
    check_text("features", features)
    if features != "auto":
        return features
    if not weight:
        return None
    try:
        return source.candidates("embedding")
    except ValueError as error:
        raise ValueError(
            "The teacher's classifier wasn't found, a Dense layer whose input has the features: "
            "name the layer of the features, or leave their loss out with activation_weight=0. "
            f"Received: features='auto', teacher={shown(source.source)}"
        ) from error
