"""AdversariallyRobust: the student keeps the teacher's clean answers where it is attacked."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_distill.arguments import check_choice, shown
from keras_distill.cache import TeacherCache
from keras_distill.distiller import Distiller, InputFunction, Weight
from keras_distill.features.batches import inputs_of
from keras_distill.losses import SoftTargets, schedule
from keras_distill.losses.response.soft_targets import soft_targets
from keras_distill.schemes.attacks import EPSILON, STEPS, Attack, check_is_attackable
from keras_distill.schemes.classifier_checks import BOUNDS
from keras_distill.training.checks import Checks

# The key of the student's pass on perturbed inputs, beside the passes of the branches.
_ATTACKED = "attacked"
# What of a `Distiller` makes no sense where a batch's `x` is the one input that is perturbed.
_NOT_TAKEN = ("student_input", "sample_index")


@keras.saving.register_keras_serializable("keras_distill")
class AdversariallyRobust(Distiller):
    """Adversarially robust distillation (ARD): the student is attacked, the teacher isn't.

    In each step, projected gradient ascent (PGD) finds the perturbation δ of each input, within
    `epsilon` in the infinity norm, that raises the student's error most. The total is
    `w * CE(student(x), y) + (1 - w) * T² * KL(teacher(x) ‖ student(x + δ))` with
    `w = student_loss_weight`: the labels' loss and the metrics are of clean inputs, and each
    distillation loss compares the teacher on clean inputs with the student on perturbed ones.
    Take a teacher that is robust itself. `schemes.robust_accuracy` measures what it brought.

    A step costs `steps` further passes of the student, forward and backward, and one more pass in
    training mode; with `epsilon=0` it is that of `Distiller`. The attack runs in inference mode,
    so that it moves no statistics. `evaluate` attacks too; not with `validate_with_teacher=False`.

    Args:
        teacher: As for `Distiller`; also a cache of its answers to the clean inputs.
        student: `keras.Model` to train, with one floating point input and one output.
        distillation_losses: As for `Distiller`; by default `SoftTargets(temperature=30)`, as in
            the authors' code.
        distillation_loss_weights: As for `Distiller`.
        student_loss_weight: As for `Distiller`; by default 0, as in the authors' code. The labels
            are needed then too, for the attack.
        epsilon: Radius of the ball: how far each number of an input may move.
        step_size: Length of a step; by default a quarter of `epsilon`.
        steps: Number of steps.
        random_start: Whether to start at a random point of the ball, and not at the input.
        bounds: Pair of the smallest and the largest number of an input; `None` for no bounds.
        objective: What the attack maximizes: `"labels"`, the compiled loss, as in the paper; or
            `"teacher"`, the KL divergence from the teacher's clean answer (RSLAD), without labels.
        seed: Seed of the random start.
        teacher_input: As for `Distiller`.
        label_key: As for `Distiller`.
        name: Name of the model.
        **kwargs: Arguments of `keras.Model`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If one is out of bounds; in training, if the inputs aren't one tensor of
            floating point numbers within `bounds`.

    Example:

    ```python
    x, y = np.random.rand(32, 4), np.random.randint(0, 3, 32)
    teacher, student = (
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]) for _ in range(2)
    )
    distiller = AdversariallyRobust(teacher, student, epsilon=0.1, steps=3)
    distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    distiller.fit(x, y, verbose=0)
    ```

    Reference:
        - Goldblum et al., "Adversarially Robust Distillation", AAAI 2020.
        - Zi et al., "Revisiting Adversarial Robustness Distillation: Robust Soft Labels Make
          Student Better", ICCV 2021.
    """

    def __init__(
        self,
        teacher: keras.Model | TeacherCache | Callable,
        student: keras.Model,
        distillation_losses: Any = None,
        distillation_loss_weights: Weight | Sequence[Weight] | None = None,
        student_loss_weight: Weight | None = 0.0,
        epsilon: float = EPSILON,
        step_size: float | None = None,
        steps: int = STEPS,
        random_start: bool = True,
        bounds: Sequence[float] | None = BOUNDS,
        objective: str = "labels",
        seed: int = 0,
        teacher_input: InputFunction = None,
        label_key: str | None = None,
        name: str = "adversarially_robust",
        **kwargs: Any,
    ):
        attack = Attack(epsilon, step_size, steps, random_start, bounds)
        check_choice("objective", objective, ("labels", "teacher"))
        schedule.check_seed(seed)
        super().__init__(
            teacher,
            student,
            SoftTargets(30.0) if distillation_losses is None else distillation_losses,
            distillation_loss_weights,
            student_loss_weight,
            teacher_input,
            label_key=label_key,
            name=name,
            **kwargs,
        )
        self.epsilon, self.step_size, self.steps = epsilon, step_size, steps
        self.random_start, self.bounds = random_start, bounds
        self.objective, self.seed = objective, seed
        self._attack = attack

    def _total(self, forwards, batch, training, tape=None):
        is_attacked = self._are_asked(forwards) and self.epsilon > 0
        if is_attacked:
            # Not recorded by the tape of the weights, which else would keep each pass.
            with tape.stop_recording() if tape is not None else contextlib.nullcontext():
                x = self._perturbed(forwards, batch, training)
            branch = self._edge.target
            forwards = {**forwards, _ATTACKED: branch.forward(x, training)}
        return super()._total(forwards, batch, training, tape)

    def _taught(self, learner, forwards):
        return forwards.get(_ATTACKED, super()._taught(learner, forwards))

    def _perturbed(self, forwards, batch, training):
        x = inputs_of(batch.x)
        check_is_attackable(x)
        checks = Checks(self.is_under_xla)
        message = (
            "bounds must be the range of the inputs, and a batch leaves it. Received: "
            f"bounds={shown(self.bounds)}"
        )
        x = checks.unless(self._attack.leaves_range(x), message, tf.convert_to_tensor(x))
        error = self._error(forwards, batch)
        # Of half floats the gradients of the loss itself would vanish.
        scale = self.optimizer.scale_loss if training else lambda value: value
        # Keras looks at a step's shapes once outside of the replicas.
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        seed = tf.stack(
            [ops.cast(self.optimizer.iterations, "int32"), tf.cast(replica, "int32") + self.seed]
        )
        found = self._attack.perturb(
            x, lambda x: scale(error(self._edge.target.forward(x, training=False))), seed
        )
        return checks.finite(found, "The inputs of a batch hold NaN or infinite values")

    def _error(self, forwards, batch):
        """Returns the function that is maximized, from the student's forward pass to a scalar."""
        (learner,), edge = self._learners, self._edge
        clean = forwards[learner.branch].output
        if not hasattr(clean, "shape"):
            raise ValueError(
                "An attack needs a student with one output. Received: student with "
                f"{len(keras.tree.flatten(clean))} outputs"
            )

        def of_labels(forward):
            labels = learner.labels(batch, forward.output, self.label_key)
            value = learner.loss_of_labels(batch, forward.output, labels)
            if value is None:
                raise ValueError(
                    "The attack maximizes the loss of the labels, which needs labels, and a loss "
                    "in compile: give both, or objective='teacher'. Received: objective='labels'"
                )
            return value

        labels = learner.labels(batch, clean, self.label_key)
        source = edge.source.with_labels(
            edge.source.as_source(forwards), labels, Checks(self.is_under_xla)
        )

        def of_teacher(forward):
            sides = edge.logits(source, forward)
            if sides is None:
                raise ValueError(
                    "The attack moves away from the teacher's answer, which needs the logits of "
                    "both models, one output each: give objective='labels'. Received: "
                    "objective='teacher'"
                )
            return ops.mean(ops.cast(soft_targets(*sides, temperature=1.0), "float32"))

        return of_labels if self.objective == "labels" else of_teacher

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, both models among them."""
        own = ("epsilon", "step_size", "steps", "random_start", "bounds", "objective", "seed")
        config = {**super().get_config(), **{name: getattr(self, name) for name in own}}
        return {name: value for name, value in config.items() if name not in _NOT_TAKEN}
