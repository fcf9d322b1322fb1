"""The weighted sum of distillation losses: one number per loss, one number in all."""

import dataclasses

import keras
import tensorflow as tf
from keras import ops

from keras_distill import losses as losses_module
from keras_distill import taps
from keras_distill.cache import TeacherCache
from keras_distill.cache.parts import check_cacheable
from keras_distill.losses import schedule
from keras_distill.losses.loss import DistillationLoss, LossContext, to_snake_case
from keras_distill.workers import replicas

RESERVED_NAMES = ("loss", "student_loss", "distillation_loss", "total_loss")


class Objective:
    """Several distillation losses, each with a weight, a name and a metric.

    Args:
        losses: A distillation loss, its name, or a list of them, which may be empty. Losses of
            `keras.distillation` are accepted too.
        weights: A number or schedule per loss, not negative; by default 1 each.

    Raises:
        TypeError: If a loss or weight is of the wrong type.
        ValueError: If a weight is negative, or if the numbers of losses and weights differ.
    """

    def __init__(self, losses, weights=None):
        several = isinstance(losses, (list, tuple))
        losses = [losses_module.get(loss) for loss in (losses if several else [losses])]
        if weights is None:
            weights = [1.0] * len(losses)
        elif not isinstance(weights, (list, tuple)):
            weights = [weights]
        if len(weights) != len(losses):
            raise ValueError(
                f"Number of distillation_loss_weights ({len(weights)}) must match number of "
                f"distillation_losses ({len(losses)})."
            )
        for index, weight in enumerate(weights):
            schedule.check_number(f"distillation_loss_weights[{index}]", weight, low=0)
        # Layers that already belong to another distiller are trained there.
        self.losses = [loss.clone() if _has_owner(loss) else loss for loss in losses]
        self.weights = list(weights)
        self.names = _unique_names(self.losses)
        self.trackers = [keras.metrics.Mean(name=name) for name in self.names]

    @property
    def needs_teacher(self):
        """Whether a loss needs a teacher, as all but a few do; so does the tutorial's form."""
        return not self.losses or any(getattr(loss, "needs_teacher", True) for loss in self.losses)

    @property
    def needs_input_gradient(self):
        """Whether a loss needs gradients with respect to the input."""
        return any(getattr(loss, "needs_input_gradient", False) for loss in self.losses)

    def bind(self, teacher, student):
        """Chooses layers where that was left to us, and lets the losses adapt the student.

        Args:
            teacher: The teacher model, a `TeacherCache`, or `None`.
            student: The student model.

        Returns:
            The student to train.

        Raises:
            ValueError: If a model has no suitable layers.
        """
        original = student
        for index, loss in enumerate(self.losses):
            if isinstance(teacher, TeacherCache):
                check_cacheable(loss)
            if not isinstance(loss, DistillationLoss):
                continue
            if loss.has_automatic_layers:
                loss = loss.with_layers(*taps.choose(loss.auto_taps, teacher, original))
            student, self.losses[index] = loss.adapt_student(teacher, student)
        return student

    def describe(self, teacher, student):
        """Returns a table, as text, of what each loss taps of both sides.

        Args:
            teacher: `Side` of the teacher.
            student: `Side` of the student.
        """
        lines = []
        for loss, name, weight in zip(self.losses, self.names, self.weights, strict=True):
            shown = f"by {type(weight).__name__}" if schedule.is_schedule(weight) else weight
            lines.append(f"{name} ({type(loss).__name__}, weight {shown}):")
            for side_name, side in (("teacher", teacher), ("student", student)):
                if getattr(loss, "needs_input_gradient", False):
                    lines.append(f"  {side_name} gradient of the output with respect to the input")
                    continue
                tapped = getattr(loss, f"{side_name}_layer_name", None)
                for path in tapped if isinstance(tapped, list) else [tapped]:
                    shape = "" if side.shapes is None else f" {side.shapes.pick(path, loss)}"
                    lines.append(f"  {side_name} {path or 'output'}{shape}")
        return "\n".join(lines)

    def paths(self, side):
        """Returns the layer paths that the losses tap of one side.

        Args:
            side: `"teacher"` or `"student"`.
        """
        tapped = [getattr(loss, f"{side}_layer_name", None) for loss in self.losses]
        return [path for path in keras.tree.flatten(tapped) if path is not None]

    @property
    def layers(self):
        """List of the layers that the losses own (projectors)."""
        return [layer for loss in self.losses for layer in getattr(loss, "own_layers", [])]

    def prepare(self, teacher, student):
        """Checks shapes and builds the losses' variables.

        Args:
            teacher: `Side` whose shapes are known.
            student: `Side` whose shapes are known.

        Raises:
            ValueError: If what a loss taps can't be compared.
        """
        for loss in self.losses:
            if getattr(loss, "needs_indices", False) and replicas() > 1:
                raise ValueError(
                    f"{type(loss).__name__} remembers samples, which only one replica can do, and "
                    f"the strategy has {replicas()}. Use samples=None to contrast within the "
                    "batch."
                )
            if isinstance(loss, DistillationLoss):
                loss.prepare(*_picked(loss, teacher.shapes, student.shapes))
                loss.check_activations(*_activations(loss, teacher, student).values())
            elif teacher.model is not None:
                loss.validate_model_compatibility(teacher.model, student.model)

    def values(self, teacher, student, sides, sample_weight=None, **known):
        """Computes each loss of a batch, not yet weighted.

        Args:
            teacher: `Observation` of the teacher.
            student: `Observation` of the student.
            sides: Object with the two `Side` objects, `teacher` and `student`.
            sample_weight: Weights of the samples, or `None`.
            **known: Further fields of `LossContext`: `labels`, `indices`, `step`, `training`.

        Returns:
            List of scalar tensors in float32.
        """
        context = LossContext(
            mask=_mask_of(student.output),
            teacher_input_gradient=teacher.input_gradient,
            student_input_gradient=student.input_gradient,
            **known,
        )
        weights = _one_per_sample(sample_weight)
        values = []
        for loss, name in zip(self.losses, self.names, strict=True):
            of_loss = dataclasses.replace(context, **_activations(loss, *sides, as_kept=True))
            if getattr(loss, "needs_indices", False) and context.indices is not None:
                checked = _checked_indices(context.indices, loss)
                of_loss = dataclasses.replace(of_loss, indices=checked)
            value = _value(loss, *_picked(loss, teacher, student), of_loss, weights)
            message = f"The distillation loss {name!r} ({loss!r}) is not finite"
            values.append(tf.debugging.check_numerics(ops.cast(value, "float32"), message))
        return values

    def total(self, values, step=0):
        """Returns the weighted sum of the losses, a scalar tensor.

        Args:
            values: List of scalars, as from `values`.
            step: Number of optimizer updates made so far.
        """
        return sum(
            ops.cast(schedule.value_at(weight, step), "float32") * value
            for weight, value in zip(self.weights, values, strict=True)
        )


def _has_owner(loss):
    return getattr(loss, "built", False) and bool(loss.own_layers)


def _unique_names(losses):
    names = []
    for loss in losses:
        base = getattr(loss, "name", None) or to_snake_case(type(loss).__name__)
        if base in RESERVED_NAMES:
            raise ValueError(
                f"A distillation loss can't be named {base!r}: that is one of the distiller's own "
                f"metrics ({', '.join(RESERVED_NAMES)})."
            )
        name, count = base, 1
        while name in names:
            name, count = f"{base}_{count}", count + 1
        names.append(name)
    return names


def _picked(loss, teacher, student):
    return (
        teacher.pick(getattr(loss, "teacher_layer_name", None), loss),
        student.pick(getattr(loss, "student_layer_name", None)),
    )


def _activations(loss, teacher, student, as_kept=False):
    """Names the activations of what a loss taps; of what a cache keeps of it, if `as_kept`."""
    return {
        f"{name}_ends_in": side.activation_of(
            getattr(loss, f"{name}_layer_name", None), loss if as_kept else None
        )
        for name, side in (("teacher", teacher), ("student", student))
    }


def _value(loss, teacher, student, context, weights):
    if not isinstance(loss, DistillationLoss):
        loss.validate_outputs(teacher, student)
        value = loss.compute_loss(teacher, student)
        if len(value.shape):
            raise ValueError(
                f"{type(loss).__name__}.compute_loss must return a scalar, got shape {value.shape}."
            )
        return value
    values = loss.call(teacher, student, context)
    if weights is not None and len(values.shape):
        values = values * ops.cast(weights, values.dtype)
    return ops.mean(values)


def _checked_indices(indices, loss):
    message = (
        f"{type(loss).__name__}(samples={loss.samples}) got a sample index outside 0 to "
        f"{loss.samples - 1}: samples is the number of samples in the training set"
    )
    checks = [
        tf.debugging.assert_less(indices, loss.samples, message),
        tf.debugging.assert_non_negative(indices, message),
    ]
    # A gather that runs before the checks would fail first, with no word of the loss.
    with tf.control_dependencies([check for check in checks if check is not None]):
        return tf.identity(indices)


def _mask_of(output):
    return getattr(output, "_keras_mask", None)


def _one_per_sample(sample_weight):
    """Averages the weights of a sample over its positions and over the model's outputs."""
    weights = [
        ops.mean(ops.cast(weight, "float32"), axis=tuple(range(1, len(weight.shape))))
        for weight in keras.tree.flatten(sample_weight)
        if weight is not None
    ]
    return sum(weights) / len(weights) if weights else None
