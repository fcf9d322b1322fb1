"""BornAgain: generations of one network, each taught by the one before it."""

import os
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_distill.arguments import check_count, check_model, shown, takes
from keras_distill.losses import SoftTargets
from keras_distill.schemes.chain import distill_chain
from keras_distill.schemes.teacher_ensemble import TeacherEnsemble


class BornAgain:
    """Generations of one network: the first learns from labels, each other from the one before it.

    All have the same layers, and each starts with weights of its own. `compile` and `fit` are those
    of a Keras model; `fit` trains all generations. `student` is the last one, and `ensemble()` the
    mean of all, which the paper found better still.

    Args:
        student: `keras.Model` whose layers all generations have, and which stays as it is; or a
            function without arguments that makes a new one.
        generations: Number of generations that are taught, after the one that learns from labels.
        distillation_losses: As for `Distiller`; by default `SoftTargets(temperature=1)`, as in the
            paper.
        distillation_loss_weights: As for `Distiller`.
        student_loss_weight: As for `Distiller`; by default `None`, the sum of both losses.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If `generations` is below 1.

    Example:

    ```python
    x, y = np.random.rand(32, 4), np.random.randint(0, 3, 32)
    student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    family = BornAgain(student, generations=2)
    family.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    histories = family.fit(x, y, epochs=1, verbose=0)
    assert len(histories) == 3 and family.student is family.generations[-1]
    ```

    Reference:
        Furlanello et al., "Born Again Neural Networks", ICML 2018.
    """

    def __init__(
        self,
        student: keras.Model | Callable,
        generations: int = 2,
        distillation_losses: Any = None,
        distillation_loss_weights: Any = None,
        student_loss_weight: Any = None,
    ):
        is_model = isinstance(student, keras.Model)
        if not is_model and not (callable(student) and takes(student, 0)):
            raise TypeError(
                "student must be a keras.Model, or a function without arguments that makes one. "
                f"Received: student={shown(student)}"
            )
        count = 1 + check_count("generations", generations, high=1000)
        self.generations = [_reborn(student) for _ in range(count)]
        _check_fresh(self.generations)
        self._losses = SoftTargets(1.0) if distillation_losses is None else distillation_losses
        self._weights = distillation_loss_weights
        self._student_loss_weight = student_loss_weight
        self._compiled: dict[str, Any] | None = None

    @property
    def student(self) -> keras.Model:
        """The last generation."""
        return self.generations[-1]

    def ensemble(self, weights: Any = "uniform") -> TeacherEnsemble:
        """Returns the mean of all generations' probabilities, a model to predict with.

        Args:
            weights: As for `TeacherEnsemble`.
        """
        return TeacherEnsemble(self.generations, weights, temperature=1.0)

    def compile(
        self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Configures the training of each generation.

        Args:
            optimizer: Name or `keras.Optimizer`, of which each generation gets a new copy.
            loss: Loss of the labels.
            metrics: List of metrics.
            **kwargs: Further arguments of `Distiller.compile`.

        Raises:
            ValueError: If there is no loss.
        """
        if loss is None:
            raise ValueError(
                "loss is missing: the first generation learns from the labels. Received: loss=None"
            )
        self._compiled = {"optimizer": optimizer, "loss": loss, "metrics": metrics, **kwargs}

    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int = 1,
        callbacks: Callable | None = None,
        validation_data: Any = None,
        sample_weight: Any = None,
        directory: str | os.PathLike | None = None,
    ) -> list[dict]:
        """Trains all generations, one after the other.

        Args:
            x: Inputs, a `tf.data.Dataset` or a `PyDataset`, as for `keras.Model.fit`.
            y: Labels.
            batch_size: Samples per update, for arrays.
            epochs: Epochs of each generation.
            verbose: As for `distill_chain`.
            callbacks: Function of the generation's number that makes its list of callbacks.
            validation_data: As for `keras.Model.fit`.
            sample_weight: Weights of the samples.
            directory: As for `distill_chain`.

        Returns:
            List with the history of each generation, a dictionary.

        Raises:
            RuntimeError: If it isn't compiled.
        """
        if self._compiled is None:
            raise RuntimeError("You must call `compile()` before calling `fit()`.")
        arrays = (x, y) if sample_weight is None else (x, y, sample_weight)
        return distill_chain(
            None,
            self.generations,
            x if y is None else arrays,
            self._losses,
            self._weights,
            self._student_loss_weight,
            **self._compiled,
            epochs=epochs,
            batch_size=batch_size,
            validation_data=validation_data,
            callbacks=callbacks,
            directory=directory,
            verbose=verbose,
        ).histories


def _reborn(student):
    """Returns a model with the student's layers and new weights."""
    if isinstance(student, keras.Model):
        return keras.models.clone_model(student)
    return check_model("what student returns", student())


def _check_fresh(generations):
    if len({id(model) for model in generations}) < len(generations):
        raise ValueError(
            "student must make a new model each time. Received: a function that returned the same "
            "model twice"
        )
    first, second = (model.trainable_weights for model in generations[:2])
    pairs = list(zip(first, second, strict=True))
    if pairs and all(np.array_equal(one.numpy(), other.numpy()) for one, other in pairs):
        warnings.warn(
            "All generations start with the same weights, since the student's initializers have a "
            "fixed seed: leave the seed out.",
            stacklevel=3,
        )
