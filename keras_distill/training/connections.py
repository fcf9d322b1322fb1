"""A model made of branches and the edges between them: how it learns shapes and is compiled."""

from typing import Any

import keras

from keras_distill.features.batches import spec_of
from keras_distill.features.branch import Branch
from keras_distill.losses.loss import flat_shapes
from keras_distill.training.edge import Edge
from keras_distill.training.learner import Learner, copies_of
from keras_distill.training.validation import (
    checked_student_loss_weight,
    warn_about_from_logits,
)


class ConnectedModel:
    """Mixin for a `keras.Model` that is made of learners and of the branches that teach them.

    The branches that run on each batch are `_frozen`, outside the tape, and `_trained`.
    """

    _learners: tuple[Learner, ...] = ()
    _edges: tuple[Edge, ...] = ()
    _frozen: tuple[Branch, ...] = ()
    _trained: tuple[Branch, ...] = ()
    _student_loss_weight: Any = None
    # The shapes of a batch, where the branches learned theirs from one.
    _batch_spec = None

    def _set_learners(self, learners):
        """Sets the learners, and builds the losses where the models describe their inputs.

        Args:
            learners: List of `Learner`, whose edges are connected.
        """
        self._learners = tuple(learners)
        self._edges = tuple(edge for learner in learners for edge in learner.edges)
        self._trained = _once(learner.branch for learner in learners)
        sources = _once(part for edge in self._edges for part in edge.source.parts)
        self._frozen = tuple(branch for branch in sources if branch not in self._trained)
        self.distillation_layers = [layer for edge in self._edges for layer in edge.layers]
        self._batch_spec = None
        for branch in self._trained:
            branch.is_trained = True
        if all(branch.symbolic_inputs is not None for branch in self._branches):
            self._learn_shapes()

    @property
    def _branches(self):
        """All branches, those that are made of others last."""
        ends = [end for edge in self._edges for end in (edge.source, edge.target)]
        return _once([*self._frozen, *self._trained, *ends])

    @property
    def _are_named(self):
        return any(learner.name for learner in self._learners)

    @property
    def _are_shapes_unknown(self):
        return any(branch.shapes is None for branch in self._branches)

    @property
    def student_loss_weight(self):
        """Weight of the student's loss: a number in [0, 1], a schedule, or `None`.

        What is assigned counts from the next step that is made ready, as of the next `fit`.
        """
        return self._student_loss_weight

    @student_loss_weight.setter
    def student_loss_weight(self, weight):
        self._student_loss_weight = checked_student_loss_weight(weight)
        self._forget_steps()

    def _forget_steps(self):
        """Has the next `fit` or `evaluate` trace its step again, with the settings as they are."""
        self.train_function = self.test_function = None

    def _learn_shapes(self, x=None):
        """Finds the shapes of all branches and builds the losses, before a model runs."""
        for branch in self._branches:
            is_described = x is None or branch.symbolic_inputs is not None
            branch.learn_shapes(None if is_described else x)
        self._build_losses(x)

    def _learn_from_first_batch(self, forwards, x):
        """Finds the shapes of all branches and builds the losses.

        Args:
            forwards: Dictionary from each branch that ran to its `Forward`.
            x: The batch's inputs.
        """
        for branch in self._branches:
            branch.learn_from(branch.as_source(forwards))
        self._build_losses(keras.tree.map_structure(spec_of, x))
        for learner in self._learners:
            warn_about_from_logits(getattr(self, "loss", None), learner.branch.output_activation)
            self._check_outputs(learner, forwards[learner.branch].output)

    def _build_losses(self, x):
        # Layers may only have been made now, when all models were built.
        self._check_sharing()
        for edge in self._edges:
            edge.build()
        self._batch_spec = x
        self.built = self._are_models_built

    def _check_sharing(self):
        """Checks that no learner has layers of a frozen model."""

    @property
    def _are_models_built(self):
        models = [learner.branch.model for learner in self._learners]
        return all(model.built for model in models)

    def _check_outputs(self, learner, output=None):
        """Checks that each loss suits what a learner outputs, once its loss is known."""
        if self._are_shapes_unknown or not self.compiled:
            return
        if output is None:
            sizes = [shape[1:] for shape in flat_shapes(learner.branch.shapes.output)]
            output = [keras.KerasTensor((None, *size)) for size in sizes]
            output = output if len(output) > 1 else output[0]
        for edge in learner.edges:
            edge.check_outputs(learner.outputs.kinds(output))

    def prepare(self, x: Any) -> None:
        """Builds what depends on the data, for subclassed models, before the first step.

        The first step does this itself, except for projectors under a `tf.distribute` strategy.

        Args:
            x: A batch of inputs.
        """
        if self._are_shapes_unknown:
            self._learn_shapes(keras.tree.map_structure(spec_of, x))

    def _compile_step(self, optimizer, loss, metrics, settings, **kwargs):
        """Compiles the model and its learners.

        Args:
            optimizer: As for `keras.Model.compile`.
            loss: As for `keras.Model.compile`.
            metrics: As for `keras.Model.compile`.
            settings: Dictionary of further arguments of the subclass's `compile`, to be saved.
            **kwargs: Further arguments of `keras.Model.compile`.
        """
        first, *others = self._learners
        if hasattr(first.branch.model, "output_names"):
            self.output_names = first.branch.model.output_names
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)
        self._own_compile_settings = settings
        first.compile(self, loss)
        for learner in others:
            learner.compile(_holder_of(learner, loss, metrics, kwargs), loss)
        for learner in self._learners:
            self._check_outputs(learner)
        if self.built and not self._are_shapes_unknown and self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def build(self, input_shape):
        """Builds the students."""
        for learner in self._learners:
            if not learner.branch.model.built:
                learner.branch.model.build(input_shape)
        self.built = True


def _holder_of(learner, loss, metrics, kwargs):
    """Returns a model that is compiled with the loss, and with metrics of a learner's own."""
    holder = keras.Model(name=learner.name)
    if hasattr(learner.branch.model, "output_names"):
        holder.output_names = learner.branch.model.output_names
    holder.compile(
        None,
        loss,
        kwargs.get("loss_weights"),
        copies_of(metrics),
        copies_of(kwargs.get("weighted_metrics")),
    )
    return holder


def _once(values):
    """Returns a tuple of the different values, in their order."""
    return tuple(dict.fromkeys(values))
