"""Schemes with several learners: what those of peers and of exits share."""

from typing import Any

import keras

from keras_distill.features.batches import check_input_function
from keras_distill.losses import schedule
from keras_distill.losses.keras_loss import KerasLoss, distillation_loss
from keras_distill.training.freezing import WithFrozenModels
from keras_distill.training.saving import SavesItsSettings, serialize_input_function
from keras_distill.training.step import StepModel
from keras_distill.training.validation import (
    check_arguments,
    check_loss_is_given,
    check_losses_are_given,
    check_metrics,
    check_names,
    checked_loss,
    checked_student_loss_weight,
)


class SeveralLearners(SavesItsSettings, WithFrozenModels, StepModel):
    """A scheme that trains several learners in one step.

    A subclass sets `student`, gives its learners to `_set_learners`, and adds its own arguments to
    `get_config` and `from_config`.

    Args:
        model: One of the trained models, whose precision is that of the optimizer.
        student_loss_weight: As for `Distiller`.
        sample_index: As for `Distiller`.
        label_key: As for `Distiller`.
        name: Name of the model.
        **kwargs: Arguments of `keras.Model`.
    """

    def __init__(self, model, student_loss_weight, sample_index, label_key, name, **kwargs):
        check_arguments(False, None, student_loss_weight)
        check_names(name, label_key)
        check_input_function(sample_index, "sample_index")
        # All models cast their own inputs, each by its own policy.
        super().__init__(name=name, **{"dtype": model.dtype_policy, "autocast": False, **kwargs})
        self._student_loss_weight = checked_student_loss_weight(student_loss_weight)
        self.sample_index = sample_index
        self.label_key = label_key

    def compile(
        self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Configures the training of all that is trained.

        Args:
            optimizer: Keras optimizer, which updates everything in one step.
            loss: Loss against the labels, as for `keras.Model.compile`, the same for all.
            metrics: List of metrics, or a dictionary by output name, of which each student or exit
                gets its own.
            **kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            TypeError: If a loss is of the wrong type.
            ValueError: If a loss is missing, or `metrics` is neither a list nor a dictionary.
        """
        loss = checked_loss(loss, None)
        check_metrics(metrics)
        is_alone = any(not learner.edges for learner in self._learners)
        check_loss_is_given(loss, None if is_alone else self.student_loss_weight)
        self._compile_step(optimizer, loss, metrics, {}, **kwargs)

    def call(self, inputs: Any, training: Any = None, **kwargs: Any) -> Any:
        """Returns the predictions of `student`."""
        return self.student(inputs, training=training, **kwargs)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "student_loss_weight": schedule.serialize(self.student_loss_weight),
            "sample_index": serialize_input_function(self.sample_index),
            "label_key": self.label_key,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Returns the model that `get_config` described."""
        config = dict(config)
        for key in ("dtype", "sample_index"):
            if isinstance(config.get(key), dict):
                config[key] = keras.saving.deserialize_keras_object(config[key], custom_objects)
        config["student_loss_weight"] = schedule.deserialize(config["student_loss_weight"])
        return cls(**config)


def own_losses(losses):
    """Returns new losses for one edge, which chooses layers and trains projectors of its own.

    Args:
        losses: A distillation loss, its name, or a list of them.

    Raises:
        ValueError: If the list is empty.
    """
    check_losses_are_given(losses)
    several = isinstance(losses, (list, tuple))
    losses = [distillation_loss(loss) for loss in (losses if several else [losses])]
    return [loss if isinstance(loss, KerasLoss) else loss.clone() for loss in losses]
