"""Edges: weighted losses that carry knowledge from one branch to another."""

import dataclasses
import warnings

import keras
from keras import ops

from keras_distill._compat import mask_of
from keras_distill.arguments import shown
from keras_distill.features import FeatureModel, automatic_layers
from keras_distill.features.branch import Forward
from keras_distill.losses import schedule
from keras_distill.losses.context import LossContext
from keras_distill.losses.keras_loss import distillation_loss
from keras_distill.losses.logits import logits_of
from keras_distill.losses.loss import flat_shapes
from keras_distill.losses.masks import fits
from keras_distill.losses.output_selection import names_of, select
from keras_distill.losses.response.response_loss import ResponseLoss
from keras_distill.training.checks import Checks
from keras_distill.training.labels import per_labeled
from keras_distill.training.loss_weights import LossWeights
from keras_distill.training.replicas import replicas

RESERVED_NAMES = ("loss", "student_loss", "distillation_loss", "total_loss")


class Edge:
    """Distillation losses from a source branch to a target branch.

    Each loss has a weight, a name and a metric. The source gets no gradient from them.

    Args:
        losses: A distillation loss, its name, or a list of them, which may be empty. Losses of
            `keras.distillation` are accepted too.
        weights: A number, schedule or `Balanced` per loss, or `"balanced"`; by default 1 each.
        named: How the losses are named in the history, where `{}` is a loss's own name.

    Attributes:
        source: `Branch` that teaches, once the edge is connected.
        target: `Branch` that learns.

    Raises:
        TypeError: If a loss or weight is of the wrong type.
        ValueError: If a weight is negative, or if the numbers of losses and weights differ.
    """

    def __init__(self, losses, weights=None, named="{}"):
        several = isinstance(losses, (list, tuple))
        losses = [distillation_loss(loss) for loss in (losses if several else [losses])]
        # Layers that already belong to another distiller are trained there.
        self._losses = [loss.clone() if _has_owner(loss) else loss for loss in losses]
        self._weights = LossWeights(weights, len(self._losses))
        self.names = [named.format(name) for name in _unique_names(self._losses)]
        self.trackers = [keras.metrics.Mean(name=name) for name in self.names]
        self.source = self.target = None

    @property
    def losses(self):
        """List of the losses, as they were given, with their layers chosen."""
        return [loss.original for loss in self._losses]

    @property
    def weights(self):
        """List of the losses' weights, each a number, a schedule or a `Balanced`."""
        return self._weights.values

    @weights.setter
    def weights(self, weights):
        self._weights.replace(weights)

    @property
    def needs_teacher(self):
        """Whether a loss needs a teacher, as all but a few do; so does the tutorial's form."""
        return not self._losses or any(loss.needs_teacher for loss in self._losses)

    @property
    def layers(self):
        """List of the layers that the losses own (projectors), and that weigh them."""
        layers = [layer for loss in self._losses for layer in loss.own_layers]
        return layers if self._weights.ratios is None else [*layers, self._weights.ratios]

    def connect(self, source, target, kept=""):
        """Connects two branches: chooses layers, adapts the student, and taps both branches.

        Args:
            source: `Branch` of the teacher.
            target: `ModelBranch` of the student, whose model a loss may replace.
            kept: What the student is, if no loss may replace its model: `"A student that ..."`.

        Raises:
            ValueError: If the source can't serve a loss, a model has no suitable layers, or a loss
                would replace a model that is kept.
        """
        self.source, self.target = source, target
        for index, loss in enumerate(self._losses):
            source.check_serves(loss)
            if loss.has_automatic_layers:
                rule = loss.automatic_layers
                found = source.candidates(rule) if automatic_layers.looks_at_teacher(rule) else None
                layers = automatic_layers.pair(rule, found, target.candidates(rule))
                self._losses[index] = loss.with_layers(*layers)
        for index, loss in enumerate(self._losses):
            student, self._losses[index] = loss.adapt_student(source, target)
            self._losses[index].make_feature_model = FeatureModel
            if student is not target.model:
                if kept:
                    raise ValueError(
                        f"{kept} keeps its own layers, and a loss would replace some of them: use "
                        "it in a Distiller. Received: "
                        f"distillation_losses[{index}]={shown(loss.original)}"
                    )
                target.use(student)
        source.tap([(loss.teacher_layer_name, loss) for loss in self._losses])
        target.tap([(loss.student_layer_name, loss) for loss in self._losses])

    def describe(self):
        """Returns a table, as text, of what each loss taps of both branches."""
        lines = []
        for index, (loss, name) in enumerate(zip(self._losses, self.names, strict=True)):
            weight = self._weights.describe(index)
            lines.append(f"{name} ({type(loss.original).__name__}, weight {weight}):")
            for branch, tapped in zip(self.branches, _layer_names(loss), strict=True):
                if loss.needs_input_gradient:
                    what = "gradient of the output with respect to the input"
                    lines.append(f"  {branch.name} {what}")
                    continue
                for path in tapped if isinstance(tapped, list) else [tapped]:
                    shape = "" if branch.shapes is None else f" {branch.shapes.pick(path, loss)}"
                    lines.append(f"  {branch.name} {path or 'output'}{shape}")
        return "\n".join(lines)

    @property
    def branches(self):
        """The source and the target."""
        return self.source, self.target

    def build(self):
        """Checks shapes, once both branches know theirs, and builds the losses' variables.

        Raises:
            ValueError: If what a loss taps can't be compared.
        """
        for loss in self._losses:
            if loss.needs_indices and replicas() > 1:
                raise ValueError(
                    f"{type(loss).__name__} remembers samples, which only one replica can do, and "
                    f"the strategy has {replicas()}. Use samples=None to contrast within the "
                    "batch."
                )
            loss.prepare(*self._tapped(loss, self.source.shapes, self.target.shapes))
            loss.check_activations(*self._activations(loss))
            loss.check_models(self.source.model, self.target.model)

    def check_outputs(self, kinds):
        """Checks that each loss suits the outputs of the student that take part in it.

        Args:
            kinds: List with the kind of each output, as in `Outputs.kinds`.

        Raises:
            ValueError: If one doesn't.
        """
        shapes, known = self.target.shapes.output, self.target.output_names
        names = [f"output {name!r}" for name in names_of(shapes, known)]
        names = names if len(names) > 1 else ["output"]
        for loss in self._losses:
            if loss.compares_outputs:
                outputs = loss.outputs if loss.outputs is None else _as_list(loss.outputs)
                parts = (kinds, flat_shapes(shapes), names)
                loss.check_outputs(*(select(outputs, part, known) for part in parts))
        self.source.check_kinds(kinds)

    def values(self, source, target, labels, under_xla=False, **known):
        """Computes each loss of a batch, not yet weighted.

        Args:
            source: `Forward` of the source.
            target: `Forward` of the target.
            labels: `BatchLabels` of the batch.
            under_xla: Whether XLA compiles the step.
            **known: Further fields of `LossContext`: `indices`, `step`, `training`.

        Returns:
            List of scalar tensors in float32.
        """
        source = self.source.with_labels(source, labels, Checks(under_xla))
        context = LossContext(
            teacher_input_gradient=source.input_gradient,
            student_input_gradient=target.input_gradient,
            **known,
        )
        values = []
        for loss, name in zip(self._losses, self.names, strict=True):
            checks = Checks(under_xla)
            tapped = self._tapped(loss, source, target)
            masks = [_masks_of(part) for part in tapped]
            activations = self._activations(loss, as_kept=True)
            _warn_about_masks(loss, tapped, masks)
            of_loss = dataclasses.replace(
                context,
                teacher_mask=masks[0],
                student_mask=masks[1],
                teacher_activation=activations[0],
                student_activation=activations[1],
            )
            of_loss, of_labels = self._with_labels(loss, of_loss, labels, checks)
            value = ops.cast(_value(loss, tapped, of_loss, of_labels), "float32")
            message = f"The distillation loss {name!r} ({loss.original!r}) is not finite"
            values.append(checks.finite(value, message))
        return values

    def _with_labels(self, loss, context, labels, checks):
        """Adds to a loss's context what it may know of the labels, and checks them."""
        if loss.compares_outputs and loss.outputs is not None:
            known = self.target.output_names
            labels = labels.select(lambda parts: select(loss.outputs, parts, known))
        known = {"sample_weight": labels.weights, "kinds": labels.kinds}
        if len(labels.kinds) > 1 and not loss.compares_outputs:
            # It isn't known which of the outputs a layer belongs to.
            known = {"sample_weight": _one_per_sample(labels.weights)}
        if loss.needs_labels:
            known["labels"] = labels.classes(type(loss).__name__, checks)
            known["mask"] = labels.has_class
        if loss.needs_indices and context.indices is not None:
            known["indices"] = _checked_indices(context.indices, loss, checks)
        return dataclasses.replace(context, **known), labels

    def _tapped(self, loss, source, target):
        """Picks what a loss taps, from forward passes of tensors or of shapes."""
        picked = [
            source.pick(loss.teacher_layer_name, loss),
            target.pick(loss.student_layer_name, loss),
        ]
        return self._selected(loss, picked)

    def _activations(self, loss, as_kept=False):
        """Returns the activations of what a loss taps; of what a cache keeps, if `as_kept`."""
        names = zip(self.branches, _layer_names(loss), strict=True)
        kept = loss if as_kept else None
        return self._selected(loss, [branch.activation_of(name, kept) for branch, name in names])

    def _selected(self, loss, parts):
        """Selects the outputs that take part in a loss, of the source's and of the target's."""
        if not loss.compares_outputs or loss.outputs is None:
            return parts
        names = [branch.output_names for branch in self.branches]
        return [
            part if part is None or isinstance(part, str) else select(loss.outputs, part, known)
            for part, known in zip(parts, names, strict=True)
        ]

    def total(self, values, step=0):
        """Returns the weighted sum of the losses, a scalar tensor.

        Args:
            values: List of scalars, as from `values`.
            step: Number of optimizer updates made so far.
        """
        weights = self.weights_at(step)
        return sum(weight * value for weight, value in zip(weights, values, strict=True))

    def weights_at(self, step):
        """Returns the weights of the losses at a training step, a list of scalars.

        Args:
            step: Number of optimizer updates made so far.
        """
        return self._weights.at(step)

    @property
    def spatial_names(self):
        """List of the names of the losses that tap layers of the student with positions."""
        return [
            name
            for name, loss in zip(self.names, self._losses, strict=True)
            if loss.student_layer_name is not None
            and any(
                len(shape) > 2
                for shape in flat_shapes(self.target.shapes.pick(loss.student_layer_name, loss))
            )
        ]

    def logits(self, source, target):
        """Returns the logits of both sides, a pair of tensors, or `None` if they aren't known.

        Args:
            source: `Forward` of the source, or what a cache keeps.
            target: `Forward` of the target.
        """
        for loss in self._losses:
            if isinstance(loss, ResponseLoss) and loss.compares_outputs and loss.outputs is None:
                sides = self._tapped(loss, source, target)
                activations, from_logits = self._activations(loss, as_kept=True), loss.from_logits
                break
        else:
            if not isinstance(source, Forward):
                return None
            sides = [source.output, target.output]
            activations = [branch.output_activation for branch in self.branches]
            from_logits = "auto"
        if any(len(keras.tree.flatten(side)) != 1 for side in sides):
            return None
        tensors = [keras.tree.flatten(side)[0] for side in sides]
        return [
            logits_of(tensor, from_logits, activation)
            for tensor, activation in zip(tensors, activations, strict=True)
        ]

    def measure_gradients(self, tape, reference, values, weights, step):
        """Measures how long the losses' gradients are, for the weights that follow them.

        Args:
            tape: Persistent `tf.GradientTape`, still recording.
            reference: The labels' loss, a scalar tensor; `None` where there is none.
            values: List of scalars, as from `values`.
            weights: List of the student's trainable weights.
            step: Number of optimizer updates made so far.
        """
        if weights:
            self._weights.ratios.measure(tape, reference, values, weights, step)

    @property
    def needs_several_gradients(self):
        """Whether a step takes more gradients than that of the total."""
        return self._weights.is_balanced


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


def _layer_names(loss):
    return loss.teacher_layer_name, loss.student_layer_name


def _has_owner(loss):
    return loss.built and bool(loss.own_layers)


def _unique_names(losses):
    names = []
    for loss in losses:
        base = loss.name
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


def _value(loss, tapped, context, labels):
    """Computes one loss of a batch: the mean over the samples that it can judge."""
    loss.check_batches(*map(_shapes_of, tapped))
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
        for tensors, known in zip(tapped, masks, strict=True)
        for tensor, mask in zip(keras.tree.flatten(tensors), _as_list(known), strict=True)
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
