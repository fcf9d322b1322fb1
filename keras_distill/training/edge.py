"""The weighted sum of distillation losses: one number per loss, one number in all."""

import dataclasses
import warnings

import keras
from keras import ops

from keras_distill import losses as losses_module
from keras_distill._compat import mask_of
from keras_distill.cache import TeacherCache
from keras_distill.cache.targets import check_cacheable
from keras_distill.features import automatic_layers
from keras_distill.losses import schedule
from keras_distill.losses.context import LossContext
from keras_distill.losses.loss import DistillationLoss, flat_shapes, to_snake_case
from keras_distill.losses.masks import fits
from keras_distill.losses.output_selection import names_of, select
from keras_distill.losses.response.response_loss import ResponseLoss
from keras_distill.training.checks import Checks
from keras_distill.training.labels import per_labeled
from keras_distill.training.outputs import output_names
from keras_distill.training.replicas import replicas

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
        # Layers that already belong to another distiller are trained there.
        self.losses = [loss.clone() if _has_owner(loss) else loss for loss in losses]
        self.weights = self.checked_weights(weights)
        self.names = _unique_names(self.losses)
        self.trackers = [keras.metrics.Mean(name=name) for name in self.names]

    def checked_weights(self, weights):
        """Returns a list with the weight of each loss.

        Args:
            weights: As for the constructor.

        Raises:
            TypeError: If a weight is of the wrong type.
            ValueError: If a weight is negative, or if their number isn't that of the losses.
        """
        if weights is None:
            return [1.0] * len(self.losses)
        if isinstance(weights, dict):
            raise TypeError(
                "distillation_loss_weights must be a list with one number per loss, in the order "
                f"of distillation_losses. Received: distillation_loss_weights={weights!r}"
            )
        weights = list(weights) if isinstance(weights, (list, tuple)) else [weights]
        if len(weights) != len(self.losses):
            raise ValueError(
                f"Number of distillation_loss_weights ({len(weights)}) must match number of "
                f"distillation_losses ({len(self.losses)})."
            )
        for index, weight in enumerate(weights):
            schedule.check_number(f"distillation_loss_weights[{index}]", weight, low=0)
        return weights

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
        self._names = {"teacher": output_names(teacher), "student": output_names(student)}
        original = student
        for index, loss in enumerate(self.losses):
            if isinstance(teacher, TeacherCache):
                check_cacheable(loss)
            if not isinstance(loss, DistillationLoss):
                continue
            if loss.has_automatic_layers:
                loss = loss.with_layers(
                    *automatic_layers.choose(loss.automatic_layers, teacher, original)
                )
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
                loss.prepare(*self._tapped(loss, teacher.shapes, student.shapes))
                loss.check_activations(*self._activations(loss, teacher, student))
            elif teacher.model is not None:
                loss.validate_model_compatibility(teacher.model, student.model)

    def check_outputs(self, kinds, shapes):
        """Checks that each loss suits the outputs of the student that take part in it.

        Args:
            kinds: List with the kind of each output, as in `Outputs.kinds`.
            shapes: Structure of the outputs' shapes.

        Raises:
            ValueError: If one doesn't.
        """
        names = [f"output {name!r}" for name in names_of(shapes, self._names["student"])]
        names = names if len(names) > 1 else ["output"]
        for loss in filter(_taps_output, self.losses):
            outputs = loss.outputs if loss.outputs is None else _as_list(loss.outputs)
            chosen = [
                select(outputs, part, self._names["student"])
                for part in (kinds, flat_shapes(shapes), names)
            ]
            loss.check_outputs(*chosen)

    def values(self, teacher, student, sides, labels, under_xla=False, **known):
        """Computes each loss of a batch, not yet weighted.

        Args:
            teacher: `Observation` of the teacher.
            student: `Observation` of the student.
            sides: Object with the two `Side` objects, `teacher` and `student`.
            labels: `BatchLabels` of the batch.
            under_xla: Whether XLA compiles the step.
            **known: Further fields of `LossContext`: `indices`, `step`, `training`.

        Returns:
            List of scalar tensors in float32.
        """
        context = LossContext(
            teacher_input_gradient=teacher.input_gradient,
            student_input_gradient=student.input_gradient,
            **known,
        )
        values = []
        for loss, name in zip(self.losses, self.names, strict=True):
            checks = Checks(under_xla)
            tapped = self._tapped(loss, teacher, student)
            masks = [_masks_of(side) for side in tapped]
            of_loss = dataclasses.replace(
                context,
                **dict(zip(("teacher_mask", "student_mask"), masks, strict=True)),
                **dict(zip(_ENDS, self._activations(loss, *sides, as_kept=True), strict=True)),
            )
            of_labels = labels
            if isinstance(loss, DistillationLoss):
                _warn_about_masks(loss, tapped, masks)
                of_loss, of_labels = self._with_labels(loss, of_loss, labels, checks)
            value = ops.cast(_value(loss, tapped, of_loss, of_labels), "float32")
            message = f"The distillation loss {name!r} ({loss!r}) is not finite"
            values.append(checks.finite(value, message))
        return values

    def _with_labels(self, loss, context, labels, checks):
        """Adds to a loss's context what it may know of the labels, and checks them."""
        if _taps_output(loss) and loss.outputs is not None:
            labels = labels.select(
                lambda parts: select(loss.outputs, parts, self._names["student"])
            )
        known = {"sample_weight": labels.weights, "kinds": labels.kinds}
        if len(labels.kinds) > 1 and not _taps_output(loss):
            # It isn't known which of the outputs a layer belongs to.
            known = {"sample_weight": _one_per_sample(labels.weights)}
        if loss.needs_labels:
            known["labels"] = labels.classes(type(loss).__name__, checks)
            known["mask"] = labels.has_class
        if loss.needs_indices and context.indices is not None:
            known["indices"] = _checked_indices(context.indices, loss, checks)
        return dataclasses.replace(context, **known), labels

    def _tapped(self, loss, teacher, student):
        """Picks what a loss taps of both sides, from observations of tensors or of shapes."""
        picked = [
            teacher.pick(getattr(loss, "teacher_layer_name", None), loss),
            student.pick(getattr(loss, "student_layer_name", None)),
        ]
        if not _taps_output(loss) or loss.outputs is None:
            return picked
        return [
            None if side is None else select(loss.outputs, side, self._names[name])
            for name, side in zip(self._names, picked, strict=True)
        ]

    def _activations(self, loss, teacher, student, as_kept=False):
        """Names the activations of what a loss taps; of what a cache keeps of it, if `as_kept`."""
        names = [
            teacher.activation_of(
                getattr(loss, "teacher_layer_name", None), loss if as_kept else None
            ),
            student.activation_of(getattr(loss, "student_layer_name", None)),
        ]
        if not _taps_output(loss) or loss.outputs is None:
            return names
        return [
            select(loss.outputs, ends, self._names[side]) if isinstance(ends, list) else ends
            for side, ends in zip(self._names, names, strict=True)
        ]

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


def weighed(student_loss, distillation_loss, student_loss_weight, step):
    """Returns the sum of the student's loss and the distillation losses.

    Args:
        student_loss: Scalar tensor.
        distillation_loss: Scalar tensor, the weighted sum of the distillation losses.
        student_loss_weight: Weight of the first, one minus which is that of the second, a number
            or a schedule; `None` for the plain sum.
        step: Number of optimizer updates made so far.
    """
    if student_loss_weight is None:
        return student_loss + distillation_loss
    weight = ops.cast(schedule.value_at(student_loss_weight, step), "float32")
    return weight * student_loss + (1.0 - weight) * distillation_loss


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


def _taps_output(loss):
    return isinstance(loss, ResponseLoss) and loss.student_layer_name is None


def _value(loss, tapped, context, labels):
    """Computes one loss of a batch: the mean over the samples that it can judge."""
    if not isinstance(loss, DistillationLoss):
        loss.validate_outputs(*tapped)
        value = loss.compute_loss(*tapped)
        if len(value.shape):
            raise ValueError(
                f"{type(loss).__name__}.compute_loss must return a scalar, got shape {value.shape}."
            )
        return value
    loss.check_batches(*(_shapes_of(side) for side in tapped))
    values = loss.call(*tapped, context)
    if not len(values.shape):
        return values
    weights = [] if loss.weighs_positions else [_one_per_sample(labels.weights)]
    if loss.needs_labels:
        weights += [per_labeled(has) for has in labels.has_class if has is not None]
    for weight in weights:
        values = values if weight is None else values * ops.cast(weight, values.dtype)
    return ops.mean(values)


def _checked_indices(indices, loss, checks):
    message = (
        f"{type(loss).__name__}(samples={loss.samples}) got a sample index outside 0 to "
        f"{loss.samples - 1}: samples is the number of samples in the training set"
    )
    wrong = ops.logical_or(indices < 0, indices >= loss.samples)
    return checks.unless(wrong, message, indices)


def _warn_about_masks(loss, tapped, masks):
    """Warns where a loss compares positions that a Keras mask leaves out."""
    if loss.takes_masks or not any(
        mask is not None and fits(mask, tensor)
        for side, of_side in zip(tapped, masks, strict=True)
        for tensor, mask in zip(keras.tree.flatten(side), _as_list(of_side), strict=True)
    ):
        return
    warnings.warn(
        f"{type(loss).__name__} takes no account of masks, and what it compares carries one: the "
        "padding enters the loss. Pool over the unmasked positions first, or take a loss that "
        "leaves them out, such as HintLearning, AttentionTransfer or SelfAttentionRelation.",
        stacklevel=2,
    )


def _as_list(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _masks_of(tapped):
    """Returns the Keras masks of what was tapped: one, or a list for several tensors."""
    masks = [mask_of(tensor) for tensor in keras.tree.flatten(tapped)]
    return masks if isinstance(tapped, (list, tuple, dict)) else masks[0] if masks else None


def _shapes_of(tapped):
    return [tuple(tensor.shape) for tensor in keras.tree.flatten(tapped) if tensor is not None]


def _one_per_sample(sample_weight):
    """Averages the weights of a sample over its positions and over the model's outputs."""
    weights = [
        ops.mean(ops.cast(weight, "float32"), axis=tuple(range(1, len(weight.shape))))
        for weight in sample_weight
        if weight is not None
    ]
    return sum(weights) / len(weights) if weights else None


_ENDS = ("teacher_activation", "student_activation")
