"""MovingAverageTeacher: the teacher is the moving average of the student's own weights."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_distill import _compat
from keras_distill.losses import SoftTargets, schedule
from keras_distill.schemes.self_taught import SelfTaught


@keras.saving.register_keras_serializable("keras_distill")
class MovingAverageTeacher(SelfTaught):
    """Mean teacher: the teacher's weights are the moving average of the student's.

    After each update, number n, the teacher's weights become `d * teacher + (1 - d) * student` with
    `d = min(decay, (1 + n) / (10 + n))`, so that they soon forget where the student began; so do
    the statistics of batch normalizations. The teacher runs in inference mode, and the student in
    training mode: noise (dropout, augmentation inside the model) is what makes the two differ. It
    also learns from samples without a label, as any `Distiller` does.

    `student` is the model to export; `teacher` has the average, and is often better. In trainings
    of a few hundred updates, in which the statistics of batch normalizations don't settle (at their
    usual momentum of 0.99), the teacher answers wrongly and takes the student along: train longer,
    or lower that momentum.

    Args:
        student: `keras.Model` to train, which is built.
        decay: Share of the teacher that stays in each update, in [0, 1).
        distillation_losses: As for `Distiller`; by default `SoftTargets(temperature=1)`. The
            paper's is `SoftenedLoss(keras.losses.MeanSquaredError(), temperature=1)`.
        distillation_loss_weights: As for `Distiller`. The paper fades its loss in.
        student_loss_weight: As for `Distiller`; by default `None`, the sum of both losses.
        student_input: As for `Distiller`.
        sample_index: As for `Distiller`.
        label_key: As for `Distiller`.
        name: Name of the model.
        **kwargs: Arguments of `keras.Model`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If `decay` is out of bounds, or the student can't be copied.

    Example:

    ```python
    x, y = np.random.rand(32, 4), np.random.randint(0, 3, 32)
    student = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dropout(0.2), keras.layers.Dense(3)]
    )
    distiller = MovingAverageTeacher(student, decay=0.99)
    distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    distiller.fit(x, y, verbose=0)
    average = distiller.teacher
    ```

    Reference:
        Tarvainen, Valpola, "Mean Teachers Are Better Role Models: Weight-Averaged Consistency
        Targets Improve Semi-Supervised Deep Learning Results", NeurIPS 2017.
    """

    def __init__(
        self,
        student: keras.Model,
        decay: float = 0.999,
        distillation_losses: Any = None,
        distillation_loss_weights: Any = None,
        student_loss_weight: Any = None,
        student_input: Any = None,
        sample_index: Any = None,
        label_key: str | None = None,
        name: str = "moving_average_teacher",
        **kwargs: Any,
    ):
        schedule.check_constant("decay", decay, low=0, high=1)
        if decay == 1:
            raise ValueError(
                "decay must be below 1: at 1 the teacher never learns. Received: decay=1"
            )
        super().__init__(
            student,
            SoftTargets(1.0) if distillation_losses is None else distillation_losses,
            distillation_loss_weights,
            student_loss_weight,
            student_input,
            sample_index,
            label_key,
            name,
            **kwargs,
        )
        self.decay = decay

    def _after_update(self):
        updates = ops.cast(self.optimizer.iterations, "float32")
        decay = ops.minimum(self.decay, (1.0 + updates) / (10.0 + updates))

        def averaged(average, value):
            if not average.dtype.is_floating:
                return average.assign(value)
            share = tf.cast(decay, average.dtype)
            return average.assign(share * average + (1 - share) * value)

        def update(strategy):
            for average, value in zip(self.teacher.weights, self.student.weights, strict=True):
                of_both = [_compat.tf_variable(variable) for variable in (average, value)]
                strategy.extended.update(of_both[0], averaged, args=(of_both[1],))

        # Only outside of the replicas may variables be written that Keras didn't make to be
        # written by each of them.
        tf.distribute.get_replica_context().merge_call(update)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, the student among them."""
        return {**super().get_config(), "decay": self.decay}
