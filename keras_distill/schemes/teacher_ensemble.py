"""TeacherEnsemble: several teachers in the place of one."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
import numpy as np

from keras_distill.arguments import check_choice, check_text, shown
from keras_distill.features.layer_paths import symbolic
from keras_distill.losses import schedule
from keras_distill.losses.loss import same_shapes
from keras_distill.schemes.ensemble_branch import EnsembleBranch
from keras_distill.training.freezing import serialized

MIXINGS = ("uniform", "entropy", "confidence")


@keras.saving.register_keras_serializable("keras_distill")
class TeacherEnsemble(keras.Model):
    """Several teachers in the place of one: a weighted mean of their softened probabilities.

    It is the `teacher` of a `Distiller`, or of `TeacherCache.build`. Each teacher runs once per
    batch. Losses of outputs see logits that give, softened by `temperature`, the mean of the
    teachers' softened probabilities, as You et al. have it; the gradient of `SoftTargets` with the
    same temperature is then the weighted sum of its gradients for each teacher, which is what
    CA-MKD minimizes. Losses of layers tap one teacher each, by its number or name and the layer:
    `"0/conv4"`, `"resnet/conv4"`.

    Outputs of teachers that all end in softmax (or sigmoid) stay probabilities. Of a student that
    learns numbers, a regression, the outputs are averaged as they are.

    `predict` and `evaluate` give the mixture; with `weights="confidence"`, which needs labels, and
    for samples without a label, all teachers count alike.

    Args:
        teachers: List of trained `keras.Model`s, or of functions as for `Distiller`, whose outputs
            have the same shape. They stay as they are.
        weights: `"uniform"`; a list with a number per teacher, of which the shares count;
            `"entropy"`, for each sample, by the entropy H of each teacher's answer: `(1 -
            softmax(H)) / (K - 1)` for K teachers, so that the surer count more; or `"confidence"`,
            the same by the cross-entropy of each answer with the label, as CA-MKD has it, so that
            those nearer to the label count more.
        temperature: Temperature at which probabilities are averaged: that of the loss, positive.
            `None` averages the logits (or the numbers of a regression).
        name: Name of the model.
        **kwargs: Arguments of `keras.Model`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If there are no teachers, their number isn't that of the weights, or their
            inputs or outputs differ in shape.

    Example:

    ```python
    x, y = np.random.rand(32, 4), np.random.randint(0, 3, 32)
    first, second, student = (
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]) for _ in range(3)
    )
    ensemble = TeacherEnsemble([first, second], weights="entropy")
    distiller = keras_distill.Distiller(ensemble, student, "kd")
    distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    distiller.fit(x, y, verbose=0)
    ```

    Reference:
        - You et al., "Learning from Multiple Teacher Networks", KDD 2017.
        - Zhang et al., "Confidence-Aware Multi-Teacher Knowledge Distillation", ICASSP 2022.
    """

    def __init__(
        self,
        teachers: Sequence[keras.Model | Callable],
        weights: str | Sequence[float] = "uniform",
        temperature: float | None = 4.0,
        name: str = "teacher_ensemble",
        **kwargs: Any,
    ):
        teachers = _checked_teachers(teachers)
        mixing, shares = checked_shares(weights, len(teachers))
        check_mixing_temperature(temperature)
        # Each teacher casts its own inputs, by its own policy.
        super().__init__(name=check_text("name", name), **{"autocast": False, **kwargs})
        self.teachers = teachers
        self.mixing = mixing
        self.shares = shares
        self.temperature = temperature
        self._branch = self.make_branch()
        self.built = all(getattr(teacher, "built", True) for teacher in teachers)

    def make_branch(self, name: str = "teacher", input_function: Any = None) -> EnsembleBranch:
        """Returns the branch that runs all teachers.

        Args:
            name: `"teacher"`.
            input_function: How the teachers' inputs are taken from a batch's `x`.
        """
        return EnsembleBranch(self, name, input_function)

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Returns the mixture of the teachers' outputs, which run in inference mode."""
        if not hasattr(self._branch.members[0], "extractor"):
            self._branch.tap([])
        return self._branch.forward(inputs, training=False).output

    def build(self, input_shape: Any) -> None:
        """Builds the teachers."""
        for teacher in self.teachers:
            if isinstance(teacher, keras.Model) and not teacher.built:
                teacher.build(input_shape)
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, the teachers among them."""
        return {
            **super().get_config(),
            "teachers": [serialized(teacher) for teacher in self.teachers],
            "weights": self.mixing or list(self.shares),
            "temperature": self.temperature,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """Returns the ensemble that `get_config` described."""
        deserialize = keras.saving.deserialize_keras_object
        config = dict(config)
        config["teachers"] = [deserialize(each, custom_objects) for each in config["teachers"]]
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = deserialize(config["dtype"], custom_objects)
        return cls(**config)


def _checked_teachers(teachers):
    if not isinstance(teachers, (list, tuple)):
        raise TypeError(
            "teachers must be a list of keras.Models or functions. "
            f"Received: teachers={shown(teachers)}"
        )
    if not teachers:
        raise ValueError("teachers is empty: give at least one teacher. Received: teachers=[]")
    for index, teacher in enumerate(teachers):
        if not callable(teacher) and not hasattr(teacher, "make_branch"):
            raise TypeError(
                f"teachers[{index}] must be a keras.Model or a function. "
                f"Received: teachers[{index}]={shown(teacher)}"
            )
    if len({id(teacher) for teacher in teachers}) < len(teachers):
        raise ValueError(
            "teachers holds one teacher twice: give it once, with a larger weight. "
            f"Received: teachers={shown(teachers)}"
        )
    found = [
        [tuple(tensor.shape)[1:] for tensor in keras.tree.flatten(symbolic(teacher, "input"))]
        for teacher in teachers
        if isinstance(teacher, keras.Model) and symbolic(teacher, "input") is not None
    ]
    if any(not same_shapes(found[0], other) for other in found[1:]):
        raise ValueError(
            "All teachers of a TeacherEnsemble get the same inputs, and these take inputs of "
            "different shapes: put what fits them (a Resizing layer, ...) at the start of a model "
            f"around them. Received: teachers with inputs of the shapes {found}"
        )
    return list(teachers)


def check_mixing_temperature(temperature):
    """Checks the temperature at which answers are averaged.

    Args:
        temperature: What was given: a positive number, or `None`.

    Raises:
        TypeError: If it is something else.
        ValueError: If it isn't positive.
    """
    if temperature is None:
        return
    if schedule.is_schedule(temperature):
        raise TypeError(
            "temperature must be a number, or None for the mean of the logits. "
            f"Received: temperature={shown(temperature)}"
        )
    schedule.check_temperature(temperature)


def checked_shares(weights, count):
    """Returns how weights are found per sample, or `None`, and the constant shares.

    Args:
        weights: As for `TeacherEnsemble`.
        count: Number of models whose answers are averaged.

    Raises:
        TypeError: If `weights` is of the wrong type.
        ValueError: If their number isn't `count`, or none is above 0.
    """
    if isinstance(weights, str):
        check_choice("weights", weights, MIXINGS, " Or a list with a number per model.")
        return weights, [1.0 / count] * count
    if not isinstance(weights, (list, tuple, np.ndarray)):
        raise TypeError(
            f"weights must be one of {', '.join(map(repr, MIXINGS))}, or a list with a number per "
            f"model. Received: weights={shown(weights)}"
        )
    if len(weights) != count:
        raise ValueError(
            f"weights must have a number for each of the {count} models. "
            f"Received: weights={shown(weights)}"
        )
    values = [weight.item() if isinstance(weight, np.generic) else weight for weight in weights]
    for index, weight in enumerate(values):
        if schedule.is_schedule(weight):
            raise TypeError(
                f"weights[{index}] must be a number. Received: weights[{index}]={shown(weight)}"
            )
        schedule.check_number(f"weights[{index}]", weight, low=0)
    if not sum(values):
        raise ValueError(f"One of the weights must be above 0. Received: weights={shown(weights)}")
    return None, [weight / sum(values) for weight in values]
