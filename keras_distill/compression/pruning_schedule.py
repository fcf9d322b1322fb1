"""Pruning schedule: when, and how far, a kernel is pruned."""

import dataclasses
import numbers
from typing import Any

import tensorflow as tf

from keras_distill import _compat
from keras_distill.arguments import check_choice, check_count, shown
from keras_distill.compression.tfmot import require


@dataclasses.dataclass(frozen=True)
class PruningSchedule:
    """Pruning schedule: when, and how far, a kernel is pruned.

    Args:
        sparsity: Share of zeros at the end, in (0, 1).
        pattern: `None`, or `"2:4"`, which takes no other argument.
        begin_step: First step of the schedule.
        end_step: Its last step, or `None` for a constant sparsity.
        frequency: Steps between two choices of the weights.
        initial_sparsity: Share of zeros at `begin_step`, if there is an end.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If a number is out of bounds, or the schedule can't end at `end_step`.

    Example:

    ```python
    schedule = PruningSchedule(0.75, begin_step=100, end_step=1000, frequency=100)
    layer = keras_distill.compression.PrunedDense(4, schedule=schedule)
    ```
    """

    sparsity: float = 0.5
    pattern: str | None = None
    begin_step: int = 0
    end_step: int | None = None
    frequency: int = 1
    initial_sparsity: float = 0.0

    def __post_init__(self):
        checked = {
            "begin_step": check_count("begin_step", self.begin_step, 0),
            "frequency": check_count("frequency", self.frequency),
        }
        if self.end_step is not None:
            checked["end_step"] = check_count("end_step", self.end_step, checked["begin_step"] + 1)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        self._check_end()
        self._check_shares()
        self._check_pattern()

    def _check_end(self):
        if self.end_step is not None and (self.end_step - self.begin_step) % self.frequency:
            raise ValueError(
                f"With frequency={self.frequency} from begin_step={self.begin_step} on, no choice "
                f"is made at end_step={self.end_step}, so the sparsity wouldn't be reached: give "
                "an end_step that is a multiple of frequency after begin_step. Received: "
                f"end_step={self.end_step}"
            )

    def _check_shares(self):
        sparsity, initial_sparsity = self.sparsity, self.initial_sparsity
        for name, value in (("sparsity", sparsity), ("initial_sparsity", initial_sparsity)):
            if not isinstance(value, numbers.Real) or isinstance(value, bool):
                raise TypeError(f"{name} must be a number. Received: {name}={shown(value)}")
        if not 0 < sparsity < 1:
            raise ValueError(f"sparsity must be in (0, 1). Received: sparsity={shown(sparsity)}")
        if not 0 <= initial_sparsity < sparsity:
            raise ValueError(
                f"initial_sparsity must be in [0, sparsity = {sparsity}). Received: "
                f"initial_sparsity={shown(initial_sparsity)}"
            )
        if initial_sparsity and self.end_step is None:
            raise ValueError(
                "initial_sparsity needs end_step, the step at which sparsity is reached. "
                f"Received: initial_sparsity={shown(initial_sparsity)}, end_step=None"
            )

    def _check_pattern(self):
        check_choice("pattern", self.pattern, (None, "2:4"))
        given = [
            f"{field.name}={shown(getattr(self, field.name))}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        ]
        if self.pattern is not None and len(given) > 1:
            raise ValueError(
                'The pattern "2:4" has a sparsity of 0.5 from the first step on: leave sparsity '
                f"and the schedule out. Received: {', '.join(given)}"
            )

    @property
    def final_step(self) -> int:
        """The step from which on the kernel has the sparsity that was asked for."""
        if self.pattern is not None:
            return 1
        return self.end_step or self.begin_step or self.frequency

    def pruning(self, step: Any, kernel: Any, mask: Any, threshold: Any) -> Any:
        """Returns the pruning of tensorflow-model-optimization, of one kernel.

        Args:
            step: Tensor, number of the training step.
            kernel: `tf.Variable`.
            mask: `tf.Variable` of the same shape: 1 where a weight stays.
            threshold: `tf.Variable`, smallest magnitude that stays.
        """
        return _pruning_class()(
            lambda: step,
            [(kernel, mask, threshold)],
            self._schedule(),
            block_size=(1, 1),
            block_pooling_type="AVG",
            sparsity_m_by_n=None if self.pattern is None else (2, 4),
        )

    def _schedule(self):
        """Returns the schedule of tensorflow-model-optimization."""
        schedules = require("tensorflow_model_optimization").sparsity.keras
        if self.end_step is None:
            return schedules.ConstantSparsity(
                self.sparsity, self.begin_step, frequency=self.frequency
            )
        return schedules.PolynomialDecay(
            self.initial_sparsity,
            self.sparsity,
            self.begin_step,
            self.end_step,
            frequency=self.frequency,
        )


def schedule_of(schedule):
    """Returns a schedule that is given as one, or as a dictionary of its arguments.

    Args:
        schedule: `PruningSchedule`, or a dictionary of its arguments; those that it leaves out
            have their defaults.

    Raises:
        TypeError: If it is something else.
        ValueError: If an argument is out of bounds.
    """
    fields = {field.name for field in dataclasses.fields(PruningSchedule)}
    if isinstance(schedule, dict) and set(schedule) <= fields:
        return PruningSchedule(**schedule)
    if not isinstance(schedule, PruningSchedule):
        raise TypeError(
            "schedule must be a PruningSchedule, or a dictionary of its arguments "
            f"({', '.join(sorted(fields))}). Received: schedule={shown(schedule)}"
        )
    return schedule


def _pruning_class():
    require("tensorflow_model_optimization")

    class Pruning(_compat.pruning_class()):
        """Pruning that takes kernels of `Conv1D` too, as the planes that TensorFlow Lite makes."""

        def _update_mask_sparsity_m_by_n(self, weights, m_by_n=(2, 4)):
            planes = weights[None] if weights.shape.rank == 3 else weights
            return tf.reshape(super()._update_mask_sparsity_m_by_n(planes, m_by_n), weights.shape)

    return Pruning
