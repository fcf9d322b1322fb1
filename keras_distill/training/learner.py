"""Learners: branches that are trained, with the edges into them and what they learn of labels."""

import dataclasses
from typing import Any

import keras
from keras import ops

from keras_distill import _compat
from keras_distill.training.labels import BatchLabels
from keras_distill.training.outputs import Outputs
from keras_distill.training.replicas import replicas
from keras_distill.training.tracing import without_variables
from keras_distill.training.validation import warn_about_from_logits

LABELS, DISTILLATION, TOTAL = "student_loss", "distillation_loss", "total_loss"


@dataclasses.dataclass(frozen=True)
class Batch:
    """A batch of training data.

    Args:
        x: Inputs.
        y: Labels, or `None`.
        sample_weight: Weights of the samples, or `None`.
    """

    x: Any
    y: Any = None
    sample_weight: Any = None


class Learner:
    """A branch that is trained, the edges into it, and the loss and metrics of its labels.

    Args:
        branch: `ModelBranch` that is trained.
        edges: List of the `Edge`s into it, over which its distillation loss is the mean.
        name: What the names of its metrics begin with; `""` where it is the only one.
        trackers: Metrics of its total loss, the labels' loss and the distillation loss; by default
            new ones.
    """

    def __init__(self, branch, edges, name="", trackers=None):
        self.branch, self.edges, self.name = branch, list(edges), name
        self.outputs = Outputs(branch.model)
        named = [f"{name}_loss" if name else TOTAL, self.named(LABELS)]
        named += [self.named(DISTILLATION)] if self.edges else []
        self._trackers = trackers or [keras.metrics.Mean(name=each) for each in named]
        self._compiled = None

    def named(self, key):
        """Returns the name of one of its metrics.

        Args:
            key: The name in a model with one learner.
        """
        return f"{self.name}_{key}" if self.name else key

    @property
    def loss_names(self):
        """List of the names of the distillation losses."""
        return [name for edge in self.edges for name in edge.names]

    @property
    def trackers(self):
        """List of the metrics of its losses."""
        return [*self._trackers, *(tracker for edge in self.edges for tracker in edge.trackers)]

    @property
    def metrics(self):
        """List of its metrics, without those that saw no labels yet and have no result."""
        own = shown_metrics(self._compiled) if self.name and self._compiled else []
        return [*(_Named(metric, self) for metric in own), *self.trackers]

    def compile(self, holder, loss):
        """Sets the loss and the metrics of the labels.

        Args:
            holder: Compiled `keras.Model` that holds them.
            loss: The loss, as `compile` was given it.
        """
        self._compiled = holder
        self.outputs = Outputs(self.branch.model, loss)
        warn_about_from_logits(loss, self.branch.output_activation)

    def labels(self, batch, output, key=None):
        """Returns the `BatchLabels` of a batch.

        Args:
            batch: `Batch`.
            output: What the branch outputs for it.
            key: As for `BatchLabels`.
        """
        return BatchLabels(batch.y, batch.sample_weight, output, self.outputs, key)

    def loss_of_labels(self, batch, output, labels):
        """Returns the loss of the labels, a scalar tensor in float32; `None` where there is none.

        Args:
            batch: `Batch`.
            output: What the branch outputs for it.
            labels: `BatchLabels` of the batch.
        """
        compiled = _compat.compiled_loss(self._compiled)
        if batch.y is None or compiled is None:
            return None
        weights = labels.weights_over_replicas(batch.sample_weight)
        with labels.only_labeled(), without_variables():
            value = compiled(labels.y, output, weights)
        # Keras has divided by the number of replicas; the update does so for all parts.
        return ops.cast(value, "float32") * replicas()

    def update_metrics(self, labels):
        """Updates the compiled metrics, for the samples that have a label.

        Args:
            labels: `BatchLabels` of the batch.
        """
        compiled = _compat.compiled_metrics(self._compiled)
        if compiled is not None:
            labels.update_metrics(compiled)

    def losses(self, is_taught=True):
        """Returns the list of regularization and `add_loss` losses.

        Args:
            is_taught: Whether the projectors were called, which else hold no loss of this step.
        """
        layers = [layer for edge in self.edges for layer in edge.layers] if is_taught else []
        return [loss for layer in (self.branch.model, *layers) for loss in layer.losses]


class _Named(keras.metrics.Metric):
    """A compiled metric of a learner, whose results have the learner's name in front."""

    def __init__(self, metric, learner):
        super().__init__(name=learner.named(metric.name))
        # Functions, as Keras would track the metric itself a second time.
        self._named, self._result = learner.named, metric.result
        self.reset_state = metric.reset_state

    def result(self):
        found = self._result()
        if not isinstance(found, dict):
            return found
        return {self._named(name): value for name, value in found.items()}


def shown_metrics(model):
    """Returns the list of what `compile` made to be shown: metrics, and the loss of each output.

    Args:
        model: Compiled `keras.Model`.
    """
    metrics, loss = _compat.compiled_metrics(model), _compat.compiled_loss(model)
    # Metrics that saw no labels yet have no result.
    shown = [metrics] if metrics is not None and metrics.built else []
    return shown + (list(loss.metrics) if loss is not None else [])


def copies_of(metrics):
    """Returns new metrics like those of another learner, in the same structure.

    Args:
        metrics: As for `compile`, or `None`.
    """
    return keras.tree.map_structure(
        lambda one: one.from_config(one.get_config()) if isinstance(one, keras.Metric) else one,
        metrics,
    )
