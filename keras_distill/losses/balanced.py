"""A weight that follows the gradients: a distillation loss gets a share of the labels' gradient."""

from typing import Any, Self

import keras

from keras_distill.losses import schedule
from keras_distill.losses.argument_types import Number


@keras.saving.register_keras_serializable("keras_distill")
class Balanced:
    """Weight by which a loss's gradient is a given share of that of the labels.

    The weight is `share * |g_labels| / |g_loss|`, where `|g|` is the norm of a gradient and the
    ratio the geometric mean over the student's weight tensors that the loss reaches. It is measured
    on single batches within the first hundred steps, and then stays. So a loss counts the same in
    any task, whatever its scale, the width of the layers or the number of classes. In the first
    ten steps the weight rises to that. After them, where the loss pulls against the labels, so that
    the cosine between both gradients is negative, it may fall and never rises; each hundredth step
    measures whether it has to. Where a step learns from no labels, the first loss takes their
    place. `distillation_loss_weights="balanced"` gives it to each loss.

    With a share of 1 a loss that pulls against the labels may stop all learning. A smaller share is
    safer, and no promise: compare with the student alone.

    `student_loss_weight` and the number of losses act as always: with `student_loss_weight=None`
    two losses of share 1 together weigh up to twice as much as the labels.

    Steps that measure take about twice as long. Under several replicas each measures on its share
    of the batch, and all take the mean.

    Args:
        share: Norm of the weighted loss's gradient as a share of that of the labels' loss, at
            least 0: a number, or a `keras.optimizers.schedules.LearningRateSchedule`, which fades a
            loss in or out.

    Raises:
        TypeError: If `share` is neither a number nor a schedule.
        ValueError: If `share` is negative.

    Example:

    ```python
    fading = keras.optimizers.schedules.CosineDecay(1.0, decay_steps=1000)
    weights = [1.0, Balanced(share=fading)]
    ```

    Reference:
        - Chen et al., "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep
          Multitask Networks", ICML 2018, which learns the weights so that norms become equal;
          here they are set so that they are.
    """

    def __init__(self, share: Number = 0.5):
        self.share = schedule.check_number("share", share, low=0)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"share": schedule.serialize(self.share)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Returns the weight that `get_config` described."""
        return cls(schedule.deserialize(config["share"]))

    def __eq__(self, other):
        return type(other) is type(self) and other.get_config() == self.get_config()

    def __hash__(self):
        return hash(repr(self.get_config()))

    def __repr__(self):
        return f"Balanced(share={self.share})"
