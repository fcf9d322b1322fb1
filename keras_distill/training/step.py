"""The training step that all schemes share: each branch runs once, edges carry the losses."""

import warnings
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_distill import _compat
from keras_distill.features.batches import indices_of, inputs_of
from keras_distill.training import checks, replicas
from keras_distill.training.diagnosis import Diagnosis
from keras_distill.training.edge import weighed
from keras_distill.training.examination import RememberedData, examined
from keras_distill.training.gradient_norms import MeasuringTimes
from keras_distill.training.labels import BatchLabels


class StepModel(checks.WatchedModel):
    """A model whose step runs a source and a target once per batch, with an edge between them.

    A subclass sets `student`, `student_loss_weight`, `validate_with_teacher`, `sample_index`,
    `label_key`, `distillation_layers`, the edge as `_edge`, the `Outputs` of the student as
    `_outputs`, and the three trackers of the losses; and overrides `_learn_from_first_batch`.
    """

    _data = None
    _diagnosis = None
    _times = None
    # Whether the step that runs, or is traced, may measure gradients.
    _may_measure = True

    def _learn_from_first_batch(self, teacher, student, x):
        """Builds what depends on the shapes of the first batch.

        Args:
            teacher: `Forward` of the source.
            student: `Forward` of the target.
            x: The batch's inputs.
        """
        raise NotImplementedError(f"{type(self).__name__} must override `_learn_from_first_batch`.")

    def fit(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """Trains the student, as `keras.Model.fit`."""
        self._data = RememberedData(x, y, batch_size)
        if self._times is not None:
            self._times.forget()
        return super().fit(x, y, batch_size, *args, **kwargs)

    def diagnose(self, data: Any = None, batches: int = 4) -> Diagnosis:
        """Measures what each loss does to the student, and finds what keeps it from helping.

        It trains nothing: both models run on some batches, the student as in a training step, and
        statistics and seeds are restored. Ask it after the first steps, and at the end.

        Args:
            data: What to look at: arrays `(x, y)`, or a `tf.data.Dataset` of batches; with a
                `TeacherCache`, `cache.join(dataset)`. Defaults to the data of the last `fit`.
            batches: Number of batches at most.

        Returns:
            `Diagnosis` with `terms` (value, weight, norm of the gradient, its share of the labels'
            and the cosine between both) and `findings`, which is empty where nothing is wrong.
            `print` it for a table.

        Raises:
            ValueError: If the distiller isn't compiled, `data` is gone or holds nothing.

        Example:

        ```python
        x, y = np.random.rand(64, 4), np.random.randint(0, 3, 64)
        teacher, student = (
            keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]) for _ in range(2)
        )
        distiller = Distiller(teacher, student, "kd", distillation_loss_weights="balanced")
        distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        distiller.fit(x, y, verbose=0)
        print(distiller.diagnose())
        ```
        """
        self._diagnosis = examined(self, self._data, data, batches)
        return self._diagnosis

    def make_train_function(self, force=False):
        """Makes the function that trains: two of them, where only some of the steps measure."""
        if self._is_to_make(self.train_function, force) and self._edge.needs_several_gradients:
            # A branch inside one function would cost each step several times what measuring does.
            measuring = super().make_train_function(force=True)
            plain = super().make_train_function(force=True)
            self.train_function = self._alternating(measuring, plain)
            return self.train_function
        return super().make_train_function(force)

    def _alternating(self, measuring, plain):
        self._times = MeasuringTimes(self.optimizer.iterations, self.steps_per_execution)

        def train(iterator):
            self._may_measure = self._times.is_now()
            try:
                return (measuring if self._may_measure else plain)(iterator)
            finally:
                self._may_measure = True

        return train

    @property
    def losses(self):
        """Regularization and `add_loss` losses of the student and of the projectors."""
        own = [loss for layer in self.distillation_layers for loss in layer.losses]
        return self.student.losses + own

    @property
    def metrics(self):
        """All metrics: the losses', the compiled ones, one per distillation loss."""
        compiled = _compat.compiled_metrics(self)
        # Metrics that saw no labels yet have no result.
        ready = [m for m in super().metrics if m is not compiled or compiled.built]
        return ready + self._edge.trackers

    @property
    def _uses_teacher(self):
        return self.student_loss_weight is None or self.student_loss_weight != 1

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Runs both models on a batch and returns the total loss.

        Args:
            x: Inputs.
            y: Labels, or `None`.
            y_pred: Ignored: the student runs here, so that its features belong to its output.
            sample_weight: Weights of the samples.
            training: Whether the student runs in training mode.

        Returns:
            Scalar tensor.
        """
        teacher = self._forward_of_teacher(x)
        student = self._edge.target.forward(x, training)
        total, _ = self._total(teacher, student, x, y, sample_weight, training)
        return total

    def _total(self, teacher, student, x, y, sample_weight, training, tape=None):
        """Returns the total loss and a dictionary of its parts, from one pass of both models."""
        if teacher is not None and self._edge.are_shapes_unknown:
            self._learn_from_first_batch(teacher, student, inputs_of(x))
        step = self.optimizer.iterations
        labels = self._labels(y, student.output, sample_weight)
        parts = {"student_loss": ops.zeros(())}
        reference = None
        compiled_loss = _compat.compiled_loss(self)
        if self.student_loss_weight != 0 and y is not None and compiled_loss is not None:
            weights = labels.weights_over_replicas(sample_weight)
            with labels.only_labeled():
                value = compiled_loss(labels.y, student.output, weights)
            # Keras has divided by the number of replicas; the update below does so for all parts.
            reference = ops.cast(value, "float32") * replicas.replicas()
            parts["student_loss"] = reference
        total = parts["student_loss"]
        if teacher is not None:
            values = self._edge.values(
                teacher,
                student,
                labels,
                under_xla=self.is_under_xla,
                indices=indices_of(x, self.sample_index),
                step=step,
                training=training,
            )
            parts |= dict(zip(self._edge.names, values, strict=True))
            if tape is not None and self._measures:
                self._measure_gradients(tape, reference, values, step)
            parts["distillation_loss"] = self._edge.total(values, step)
            total = weighed(total, parts["distillation_loss"], self.student_loss_weight, step)
        # Where no teacher was asked, the projectors weren't called: they hold no loss of this step.
        for loss in self.losses if teacher is not None else self.student.losses:
            total = total + ops.sum(ops.cast(loss, "float32"))
        return total, {"loss": total, "total_loss": total, **parts}

    @property
    def _measures(self):
        return self._may_measure and self._edge.needs_several_gradients

    def _measure_gradients(self, tape, reference, values, step):
        # Scaled, as in mixed precision the small gradients of half floats would vanish.
        scale = self.optimizer.scale_loss
        scaled = None if reference is None else scale(reference)
        weights = self.student.trainable_weights
        self._edge.measure_gradients(tape, scaled, [scale(v) for v in values], weights, step)

    def _labels(self, y, output, sample_weight):
        return BatchLabels(y, sample_weight, output, self._outputs, self.label_key)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates the compiled metrics, for the samples that have a label.

        Args:
            x: Inputs.
            y: Labels, or `None`.
            y_pred: Predictions of the student.
            sample_weight: Weights of the samples.

        Returns:
            Dictionary from name to value of all metrics.
        """
        compiled = _compat.compiled_metrics(self)
        if y is not None and compiled is not None:
            self._labels(y, y_pred, sample_weight).update_metrics(compiled)
        return self.get_metrics_result()

    def _forward_of_teacher(self, x):
        return self._edge.source.forward(x, training=False) if self._uses_teacher else None

    def train_step(self, data):
        """Updates the student, and the projectors, on one batch."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        teacher = self._forward_of_teacher(x)
        with tf.GradientTape(persistent=self._measures) as tape:
            student = self._edge.target.forward(x, training=True)
            total, parts = self._total(teacher, student, x, y, sample_weight, True, tape)
            scaled = self.optimizer.scale_loss(total / replicas.replicas())
        weights = self.trainable_weights
        if weights:
            gradients = tape.gradient(scaled, weights)
            gradients = checks.finite_gradients(gradients, total, self.is_under_xla)
            self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        else:
            warnings.warn("The student does not have any trainable weights.", stacklevel=2)
        return replicas.as_averaged(self._logs(x, y, student.output, sample_weight, parts))

    def test_step(self, data):
        """Evaluates the student, and unless told otherwise the distillation losses, on a batch."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with_teacher = (
            self._uses_teacher and self.validate_with_teacher and self._edge.source.has_batch(x)
        )
        teacher = self._forward_of_teacher(x) if with_teacher else None
        student = self._edge.target.forward(x, training=False)
        _, parts = self._total(teacher, student, x, y, sample_weight, False)
        logs = self._logs(x, y, student.output, sample_weight, parts)
        if not with_teacher:
            unknown = {"distillation_loss", *self._edge.names}
            logs = {name: value for name, value in logs.items() if name not in unknown}
        return replicas.as_averaged(logs)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        batch = replicas.first_batch(self.distribute_strategy, iterator)
        if batch is not None:
            iterator, data_batch = None, batch
        super()._maybe_symbolic_build(iterator, data_batch)

    def _logs(self, x, y, y_pred, sample_weight, parts):
        batch_size = ops.shape(keras.tree.flatten(x)[0])[0]
        trackers = {tracker.name: tracker for tracker in self._loss_trackers}
        for name, value in parts.items():
            trackers[name].update_state(value, sample_weight=batch_size)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    @property
    def _loss_trackers(self):
        return [
            _compat.loss_tracker(self),
            self.student_loss_tracker,
            self.distillation_loss_tracker,
            self.total_loss_tracker,
            *self._edge.trackers,
        ]

    @property
    def watched_trackers(self):
        """Metrics of the distillation losses, whose values must be finite."""
        return self._edge.trackers
