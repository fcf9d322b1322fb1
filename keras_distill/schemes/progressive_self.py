"""ProgressiveSelf: the student of the last epoch softens the labels of this one."""

import inspect
from typing import Any

import keras
from keras import ops

from keras_distill.arguments import check_count
from keras_distill.losses import SoftTargets, schedule
from keras_distill.schemes.self_taught import SelfTaught


@keras.saving.register_keras_serializable("keras_distill")
class ProgressiveSelf(SelfTaught):
    """Progressive self-knowledge distillation: the student of the last epoch teaches that of this.

    The targets of epoch t of T are `(1 - α_t) * labels + α_t * p`, where p are the probabilities of
    the model as it was at the end of epoch t - 1, and `α_t = alpha * t / T`. As the cross-entropy
    is linear in its targets, the labels' loss weighs `1 - α_t` and the distillation losses α_t. The
    first epoch, before which there is no model, learns from the labels alone, as in the authors'
    code. That code keeps each sample's probabilities of the last epoch; here a copy of the model
    gives them, so that augmented and shuffled data need no memory. The copy runs in training mode,
    in which those were made too: what batch normalization's moving statistics make of a sample
    differs from it, and would be learned, and grow, from epoch to epoch.

    Everything else is that of a `Distiller`: `student` is the model to export, and the history has
    the same keys. Epochs are counted over all calls of `fit`, and the count is saved. A loop of
    one's own over `train_on_batch` calls `end_epoch` after each epoch.

    Args:
        student: `keras.Model` to train, which is built.
        epochs: Number of epochs T in which α grows, those of `fit`; after them it stays.
        alpha: α of the last epoch, in [0, 1].
        distillation_losses: As for `Distiller`; by default the cross-entropy of the paper,
            `SoftTargets(temperature=1, divergence="cross_entropy")`.
        distillation_loss_weights: As for `Distiller`.
        student_input: As for `Distiller`.
        sample_index: As for `Distiller`.
        label_key: As for `Distiller`.
        name: Name of the model.
        **kwargs: Arguments of `keras.Model`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If `alpha` or `epochs` is out of bounds, or the student can't be copied.

    Example:

    ```python
    x, y = np.random.rand(32, 4), np.random.randint(0, 3, 32)
    student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    distiller = ProgressiveSelf(student, epochs=2)
    distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    distiller.fit(x, y, epochs=2, verbose=0)
    ```

    Reference:
        Kim et al., "Self-Knowledge Distillation with Progressive Refinement of Targets", ICCV 2021.
    """

    def __init__(
        self,
        student: keras.Model,
        epochs: int,
        alpha: float = 0.8,
        distillation_losses: Any = None,
        distillation_loss_weights: Any = None,
        student_input: Any = None,
        sample_index: Any = None,
        label_key: str | None = None,
        name: str = "progressive_self",
        **kwargs: Any,
    ):
        epochs = check_count("epochs", epochs)
        alpha = schedule.check_constant("alpha", alpha, low=0, high=1)
        if distillation_losses is None:
            distillation_losses = SoftTargets(1.0, divergence="cross_entropy")
        super().__init__(
            student,
            distillation_losses,
            distillation_loss_weights,
            None,
            student_input,
            sample_index,
            label_key,
            name,
            **kwargs,
        )
        self.epochs, self.alpha = epochs, alpha
        self.epochs_done = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, name="epochs_done"
        )
        self._student_loss_weight = _WeightOfLabels(self)
        self._edge.source.follows_mode = True

    def fit(
        self, x: Any = None, y: Any = None, batch_size: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Trains the student, as `keras.Model.fit`."""
        arguments = inspect.signature(keras.Model.fit).bind(self, x, y, batch_size, *args, **kwargs)
        given = arguments.arguments.pop("callbacks", None)
        if isinstance(given, keras.callbacks.CallbackList):
            given.append(_EndsEpochs())
        else:
            # First, so that what others save at the end of an epoch is ready for the next one.
            given = [_EndsEpochs(), *keras.tree.flatten(given or [])]
        _, *rest = arguments.args
        return super().fit(*rest, **arguments.kwargs, callbacks=given)

    def end_epoch(self) -> None:
        """Ends an epoch: the student as it is teaches the next one. `fit` calls it."""
        teacher: keras.Model = self.teacher
        teacher.set_weights(self.student.get_weights())
        self.epochs_done.assign(self.epochs_done + 1)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, the student among them."""
        config = {**super().get_config(), "epochs": self.epochs, "alpha": self.alpha}
        del config["student_loss_weight"]
        return config


class _EndsEpochs(keras.callbacks.Callback):
    """Ends the epochs of a `ProgressiveSelf`."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.end_epoch()


class _WeightOfLabels(keras.optimizers.schedules.LearningRateSchedule):
    """The weight 1 - α_t of the labels' loss, by the number of epochs that are done.

    Args:
        model: `ProgressiveSelf`.
    """

    def __init__(self, model):
        self._model = model

    def __call__(self, step):
        done = ops.cast(self._model.epochs_done, "float32")
        share = ops.minimum((done + 1.0) / self._model.epochs, 1.0)
        return 1.0 - self._model.alpha * ops.where(done > 0, share, 0.0)

    def get_config(self):
        return {}
