"""The labels of a batch: which samples have one, and how those without are left out.

The rule. Where an output's labels are classes (its activation is a softmax or a sigmoid, or its
loss one of Keras's cross-entropies), there is no label where the class is -1, or the loss's
`ignore_class`, where a row over the classes holds -1 or NaN, and where a one-hot row is all zeros.
Where they are numbers, there is no label where a number is NaN. `y=None` is no label at all.

A sample without a label takes no part in the student's loss, in the compiled metrics and in the
losses that need labels; each of them is the mean over the samples, or the positions, that have
one. All other losses judge it as any sample. To leave a sample out of everything, give it the
sample weight 0.
"""

import contextlib
import copy

import keras
import numpy as np
from keras import ops

from keras_distill._compat import flat_by_output, mask_of, metrics_by_output, set_mask
from keras_distill.arguments import shown
from keras_distill.losses.masks import both, with_rank
from keras_distill.training.replicas import mean_over_replicas, replicas
from keras_distill.training.tracing import without_variables


class BatchLabels:
    """The labels of a batch, output by output, and which of its samples have one.

    Args:
        y: Labels, any structure, or `None`.
        sample_weight: Weights of samples or positions, any structure, or `None`.
        output: What the student outputs for the batch.
        outputs: `Outputs` of the student.
        key: Key of a dictionary of labels: the one that losses with `needs_labels` use, and
            that a student with one output learns; or `None`.

    Raises:
        ValueError: If `y` has no such key.
    """

    def __init__(self, y, sample_weight, output, outputs, key=None):
        self._tensors = keras.tree.flatten(output)
        keyed = None if key is None or y is None else _taken(y, key)
        self._y = keyed if keyed is not None and len(self._tensors) == 1 else y
        self._output = output
        self.kinds = outputs.kinds(output)
        self.weights = outputs.split(sample_weight, output)
        self._ignored = outputs.ignored_classes(output)
        self._values = outputs.split(self._y, output)
        self._classes = self._values if keyed is None else [keyed] * len(self._tensors)
        self._has_label = self._which_have(self._values, self.kinds)

    def _which_have(self, values, kinds):
        settings = zip(values, self._tensors, kinds, self._ignored, strict=True)
        return [labeled(*of_output) for of_output in settings]

    @property
    def y(self):
        """The labels in their structure, with zeros for those that are missing."""
        known = {
            id(value): without_missing(value, has)
            for value, has in zip(self._values, self._has_label, strict=True)
            if has is not None
        }
        return keras.tree.map_structure(lambda leaf: known.get(id(leaf), leaf), self._y)

    @property
    def has_class(self):
        """List that says, for each output, which samples or positions have a class."""
        kinds = ["sigmoid" if kind == "sigmoid" else "softmax" for kind in self.kinds]
        return self._which_have(self._classes, kinds)

    @property
    def known_classes(self):
        """NumPy array of the first output's classes, -1 where there is none."""
        value, has = self._classes[0], self.has_class[0]
        if value is None:
            return np.full(self._tensors[0].shape[0], -1)
        value = np.asarray(value)
        classes = value.argmax(-1) if value.shape == self._tensors[0].shape else value.reshape(-1)
        return np.where(np.asarray(has).reshape(-1), classes, -1).astype("int64")

    def classes(self, loss_name, checks):
        """Returns the labels as classes, zeros where they are missing, and checks them.

        Args:
            loss_name: Name of the loss that needs them, for the error.
            checks: `Checks` of the step.

        Returns:
            A tensor, or a list of them for several outputs; `None` if there are no labels.
        """
        found = [
            value
            if value is None or isinstance(value, dict)
            else _checked(without_missing(value, has), tensor, loss_name, checks)
            for value, has, tensor in zip(self._classes, self.has_class, self._tensors, strict=True)
        ]
        return found[0] if len(found) == 1 else found

    def select(self, pick):
        """Returns the labels of some of the outputs, for a loss.

        Args:
            pick: Function from a list with one thing per output to one of them, or to several.
        """
        chosen = copy.copy(self)
        for name in ("kinds", "weights", "_tensors", "_ignored", "_values", "_classes"):
            parts = pick(getattr(self, name))
            setattr(chosen, name, parts if isinstance(parts, list) else [parts])
        return chosen

    @contextlib.contextmanager
    def only_labeled(self):
        """Leaves out what has no label, by the outputs' Keras masks, while the context lasts.

        Keras's losses are then the mean over what has one, and its metrics of means count
        nothing else.
        """
        masks = [mask_of(tensor) for tensor in self._tensors]
        for tensor, mask, has in zip(self._tensors, masks, self._has_label, strict=True):
            if has is not None:
                # On the tensor itself: a copy would not remember the logits under its softmax.
                set_mask(tensor, both(mask, has))
        try:
            yield
        finally:
            for tensor, mask, has in zip(self._tensors, masks, self._has_label, strict=True):
                if has is not None:
                    set_mask(tensor, mask)

    def weights_over_replicas(self, sample_weight):
        """Returns sample weights that make a mean over labeled samples one over all replicas'.

        Args:
            sample_weight: Weights of the samples, or `None`.
        """
        if replicas() == 1 or all(has is None for has in self._has_label):
            return sample_weight
        weights = []
        for tensor, weight, has in zip(self._tensors, self.weights, self._has_label, strict=True):
            weight = ops.ones(ops.shape(tensor)[:1]) if weight is None else weight
            if has is not None:
                here = ops.mean(ops.cast(has, "float32"))
                weight = ops.cast(weight, "float32") * here / _or_one(mean_over_replicas(here))
            weights.append(weight)
        return keras.tree.pack_sequence_as(self._output, weights)

    def update_metrics(self, compiled):
        """Updates the metrics of `compile`, for the samples that have a label.

        Args:
            compiled: Keras's metric that holds them.
        """
        y = self.y
        with without_variables():
            if not compiled.built:
                compiled.build(y, self._output)
            if all(has is None for has in self._has_label):
                compiled.update_state(y, self._output, _or_none(self.weights))
                return
            with self.only_labeled():
                _update_each(compiled, y, self._output, self.weights, self._has_label)


def labeled(labels, output, kind, ignore_class=None):
    """Says which samples, or which positions of a sequence or an image, have a label.

    There is no label where a class is -1 (or the loss's `ignore_class`), where a number is NaN,
    and where a row over the classes has such an entry, or is all zeros though one class holds.

    Args:
        labels: Labels of one output, or `None`.
        output: The output, shape `(batch, ..., size)`.
        kind: What the output is, as in `Outputs.kinds`.
        ignore_class: The class that the student's loss ignores, or `None`.

    Returns:
        Boolean tensor of the labels' shape without the axis of classes; `None` where all have
        a label whatever the labels are.
    """
    if labels is None or isinstance(labels, dict):
        return None
    labels = ops.convert_to_tensor(labels)
    dtype = keras.backend.standardize_dtype(labels.dtype)
    if dtype in ("bool", "string"):
        return None
    missing = [ops.isnan(labels)] if "float" in dtype else []
    if kind in ("softmax", "sigmoid") and not dtype.startswith("uint"):
        missing.append(ops.equal(labels, ops.cast(-1, dtype)))
    if kind == "softmax" and ignore_class is not None:
        missing.append(ops.equal(labels, ops.cast(ignore_class, dtype)))
    has_classes = len(labels.shape) == len(output.shape)
    if kind == "softmax" and has_classes and labels.shape[-1] != 1:
        missing.append(ops.all(ops.equal(labels, 0), axis=-1, keepdims=True))
    if not missing:
        return None
    any_missing = missing[0]
    for more in missing[1:]:
        any_missing = ops.logical_or(any_missing, more)
    if has_classes:
        any_missing = ops.any(any_missing, axis=-1)
    return ops.logical_not(any_missing)


def without_missing(labels, has_label):
    """Returns labels with zeros in the place of those that are missing.

    Args:
        labels: Labels of one output.
        has_label: Result of `labeled`, or `None`.
    """
    if has_label is None:
        return labels
    labels = ops.convert_to_tensor(labels)
    return ops.where(with_rank(has_label, len(labels.shape)), labels, ops.zeros_like(labels))


def per_labeled(has_label):
    """Returns weights of samples that make a mean over the batch one over those with a label.

    Args:
        has_label: Result of `labeled`: a sample has a label where one of its positions has.

    Returns:
        Tensor of shape `(batch,)` in float32.
    """
    axes = tuple(range(1, len(has_label.shape)))
    has = ops.cast(ops.any(has_label, axis=axes) if axes else has_label, "float32")
    return has / _or_one(mean_over_replicas(ops.mean(has)))


def _or_one(share):
    return ops.where(share > 0, share, 1.0)


def _or_none(weights):
    return None if all(weight is None for weight in weights) else weights


def _taken(y, key):
    if not isinstance(y, dict) or key not in y:
        found = f"keys {sorted(y)}" if isinstance(y, dict) else type(y).__name__
        raise ValueError(
            f"label_key={shown(key)} needs labels in a dictionary with that key. Received: {found}."
        )
    return y[key]


def _checked(labels, output, loss_name, checks):
    """Checks that labels are classes of an output."""
    labels = ops.convert_to_tensor(labels)
    classes = output.shape[-1]
    if len(labels.shape) == len(output.shape) and labels.shape[-1] == classes and classes > 1:
        return labels
    dtype = keras.backend.standardize_dtype(labels.dtype)
    wrong = ops.logical_or(labels < 0, labels >= ops.cast(classes, dtype))
    if "float" in dtype:
        wrong = ops.logical_or(wrong, ops.not_equal(labels, ops.floor(labels)))
    message = (
        f"{loss_name} needs labels that are classes, integers from 0 to {classes - 1}, -1 for a "
        "sample without a label, or one-hot rows. Received: another number"
    )
    return checks.unless(wrong, message, labels)


def _update_each(compiled, y, output, weights, has_label):
    groups = metrics_by_output(compiled)
    parts = [flat_by_output(compiled, y), flat_by_output(compiled, output)]
    for group, is_weighted in zip(groups, (False, True), strict=True):
        for several, labels, predictions, weight, has in zip(
            group, *parts, weights, has_label, strict=True
        ):
            for metric in several.metrics if several else ():
                of_metric = weight if is_weighted else None
                if has is not None and not isinstance(metric, keras.metrics.MeanMetricWrapper):
                    # Others than means take no account of masks.
                    has_weight = ops.cast(has, "float32")
                    of_metric = has_weight if of_metric is None else of_metric * has_weight
                if of_metric is None:
                    metric.update_state(labels, predictions)
                else:
                    metric.update_state(labels, predictions, sample_weight=of_metric)
