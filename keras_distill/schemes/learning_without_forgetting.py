"""LearningWithoutForgetting: a trained classifier learns new classes and keeps its old ones."""

from typing import Any, Self

import keras

from keras_distill.arguments import check_count, shown
from keras_distill.distiller import Distiller
from keras_distill.losses import SoftTargets
from keras_distill.losses.keras_loss import KerasLoss, distillation_loss
from keras_distill.schemes.new_classes import with_new_classes
from keras_distill.training.freezing import serialized

# Of the default loss: T² of the soft targets times this is the paper's weight, 1.
_WEIGHT = 0.25
_MOST_CLASSES = 1_000_000
# What the scheme makes of the model.
_MADE = ("teacher", "student", "teacher_input")


@keras.saving.register_keras_serializable("keras_distill")
class LearningWithoutForgetting(Distiller):
    """Learning without forgetting: new classes, and the old head kept by soft targets.

    The student is a copy of the model with a head for the new classes beside the old one. It learns
    the labels of the new classes, and on the same samples its old head is to answer what the model
    answers; no sample of the old classes is needed. `model` is the teacher and stays as it is.

    `student` is a plain model that outputs the old classes, then the new ones: where the model
    knows ten classes, the labels of new ones begin at 10. It is the `model` of the next addition.
    The total is `student_loss + 0.25 * soft_targets` by default, which is the paper's, as the soft
    targets have a factor T² = 4; everything else, the history too, is that of `Distiller`.

    The paper's heads have a softmax each, for a user who says which task a sample is of. Here the
    loss of `compile` is over all classes, so that nobody has to. Where samples of the old classes
    are at hand, put them into the data: without, a classifier over all classes favors the new ones.

    Args:
        model: Trained `keras.Model`, Functional or Sequential, with one output of shape
            `(batch, classes)`: logits, or probabilities of a softmax, from a `Dense` layer.
        new_classes: Number of new classes.
        distillation_losses: As for `Distiller`; by default `SoftTargets(temperature=2)`. A loss of
            outputs compares the old head, and losses that read labels of it are refused.
        distillation_loss_weights: As for `Distiller`; of the default loss 0.25.
        student_loss_weight: As for `Distiller`; by default `None`, the sum of both losses.
        student_input: As for `Distiller`, for both models.
        sample_index: As for `Distiller`.
        label_key: As for `Distiller`.
        name: Name of the model.
        **kwargs: Arguments of `keras.Model`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If the model's classifier isn't found or outputs something else, if
            `new_classes` is out of bounds, or a loss can't compare the old head.

    Example:

    ```python
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    x, y = np.random.rand(32, 4), np.random.randint(3, 5, 32)
    learner = LearningWithoutForgetting(model, new_classes=2)
    learner.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    learner.fit(x, y, verbose=0)
    assert learner.student.predict(x, verbose=0).shape == (32, 5)
    ```

    Reference:
        Li, Hoiem, "Learning without Forgetting", TPAMI 2017.
    """

    _kept = "A student with an old head"

    def __init__(
        self,
        model: keras.Model,
        new_classes: int,
        distillation_losses: Any = None,
        distillation_loss_weights: Any = None,
        student_loss_weight: Any = None,
        student_input: Any = None,
        sample_index: Any = None,
        label_key: str | None = None,
        name: str = "learning_without_forgetting",
        **kwargs: Any,
    ):
        new_classes = check_count("new_classes", new_classes, high=_MOST_CLASSES)
        student, old_head = with_new_classes(model, new_classes)
        if distillation_losses is None:
            distillation_losses = SoftTargets(2.0)
            if distillation_loss_weights is None:
                distillation_loss_weights = _WEIGHT
        several = isinstance(distillation_losses, (list, tuple))
        losses = distillation_losses if several else [distillation_losses]
        super().__init__(
            model,
            student,
            [_on_old_head(loss, old_head) for loss in losses],
            distillation_loss_weights,
            student_loss_weight,
            student_input,
            student_input,
            sample_index,
            label_key,
            name,
            **kwargs,
        )
        self.new_classes = new_classes

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, the model among them."""
        config = {name: value for name, value in super().get_config().items() if name not in _MADE}
        return {**config, "model": serialized(self.teacher), "new_classes": self.new_classes}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """Returns the model that `get_config` described."""
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects)
        return super().from_config({**config, "model": model}, custom_objects)


def _on_old_head(given, old_head):
    """Returns a loss of outputs as one between the model's output and the student's old head."""
    loss = distillation_loss(given)
    if isinstance(loss, KerasLoss) or not loss.compares_outputs:
        return given
    if loss.needs_labels:
        raise ValueError(
            f"{type(loss).__name__} reads labels of the classes that it compares, and those of new "
            "classes are none of the old head's: take a loss without labels, such as SoftTargets. "
            f"Received: distillation_losses with {shown(given)}"
        )
    return loss.with_layers(loss.teacher_layer_name, old_head)
