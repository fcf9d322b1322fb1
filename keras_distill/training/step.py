"""The training step that all schemes share: each branch runs once, edges carry the losses."""

import warnings
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_distill import _compat
from keras_distill.features.batches import indices_of, inputs_of
from keras_distill.training import checks, replicas
from keras_distill.training.connections import ConnectedModel
from keras_distill.training.diagnosis import Diagnosis
from keras_distill.training.edge import weighed
from keras_distill.training.examination import RememberedData, examined
from keras_distill.training.gradient_ratios import MeasuringTimes
from keras_distill.training.learner import DISTILLATION, LABELS, Batch, shown_metrics
from keras_distill.training.trackers import update_means


class StepModel(ConnectedModel, checks.WatchedModel):
    """A model whose step runs each branch once per batch, and trains its learners.

    A subclass sets `student`, `student_loss_weight`, `sample_index` and `label_key`, and gives its
    learners to `_set_learners`.
    """

    validate_with_teacher = True
    _data = None
    _diagnosis = None
    _times = None
    # Whether the step that runs, or is traced, may measure gradients.
    _may_measure = True

    def fit(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """Trains the student, as `keras.Model.fit`."""
        self._data = RememberedData(x, y, batch_size)
        if self._times is not None:
            self._times.forget()
        return super().fit(x, y, batch_size, *args, **kwargs)

    @property
    def trained_models(self) -> dict[str, keras.Model]:
        """Dictionary of the models that answer by themselves after training, by their names.

        Of a scheme with several students or exits, by the names that the history has for them.
        """
        return {"student": self.student}

    def diagnose(self, data: Any = None, batches: int = 4) -> Diagnosis | dict[str, Diagnosis]:
        """Measures what each loss does to the student, and finds what keeps it from helping.

        It trains nothing: the models run on some batches, the student as in a training step, and
        statistics and seeds are restored. Ask it after the first steps, and at the end.

        Args:
            data: What to look at: arrays `(x, y)`, or a `tf.data.Dataset` of batches; with a
                `TeacherCache`, `cache.join(dataset)`. Defaults to the data of the last `fit`.
            batches: Number of batches at most.

        Returns:
            `Diagnosis` with `terms` (value, weight, norm of the gradient, its share of the labels'
            and the cosine between both) and `findings`, which is empty where nothing is wrong.
            `print` it for a table. Of a scheme with several students, a dictionary with one for
            each, by the names that the history has for them.

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
        found = examined(self, self._data, data, batches)
        self._diagnosis = list(found.values())
        return found if len(found) > 1 else self._diagnosis[0]

    def describe(self) -> str:
        """Returns a table, as text, of the losses, their weights and the layers that they tap.

        It says what `"auto"` chose. Shapes are unknown before the first step of a subclassed
        model. The last line has the findings of the last `diagnose`.
        """
        found = "diagnose() measures what each loss does to the student"
        if self._diagnosis is not None:
            names = [finding.name for each in self._diagnosis for finding in each.findings]
            found = ", ".join(dict.fromkeys(names)) or "nothing is wrong"
        edges = [edge.describe() for edge in self._edges]
        return "\n".join([*edges, f"diagnosis: {found}"])

    def make_train_function(self, force=False):
        """Makes the function that trains: two of them, where only some of the steps measure."""
        if self._is_to_make(self.train_function, force) and self._needs_several_gradients:
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
        return [loss for learner in self._learners for loss in learner.losses()]

    @property
    def metrics(self):
        """All metrics: the losses', the compiled ones, one per distillation loss."""
        compiled = _compat.compiled_metrics(self)
        # Metrics that saw no labels yet have no result.
        hidden = [] if compiled is None or compiled.built else [compiled]
        if self._learners and self._learners[0].name:
            # A learner with a name shows them by that name.
            hidden += shown_metrics(self)
        known = [metric for metric in super().metrics if not _holds(hidden, metric)]
        own = [metric for learner in self._learners for metric in learner.metrics]
        return known + [metric for metric in own if not _holds(known, metric)]

    @property
    def _uses_teacher(self):
        return self.student_loss_weight is None or self.student_loss_weight != 1

    @property
    def _needs_several_gradients(self):
        return any(edge.needs_several_gradients for edge in self._edges)

    @property
    def _measures(self):
        return self._may_measure and self._needs_several_gradients

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Runs all models on a batch and returns the total loss.

        Args:
            x: Inputs.
            y: Labels, or `None`.
            y_pred: Ignored: the student runs here, so that its features belong to its output.
            sample_weight: Weights of the samples.
            training: Whether the student runs in training mode.

        Returns:
            Scalar tensor.
        """
        forwards = self._forwards_of_frozen(x, training) | self._forwards_of_trained(x, training)
        total, _ = self._total(forwards, Batch(x, y, sample_weight), training)
        return total

    def _total(self, forwards, batch, training, tape=None):
        """Returns the total loss and a dictionary of its parts, from one pass of each branch.

        Args:
            forwards: Dictionary from branch to `Forward`; where no frozen one was asked, without.
            batch: `Batch`.
            training: Whether the learners ran in training mode.
            tape: Persistent `tf.GradientTape` where gradients are to be measured.
        """
        if self._are_shapes_unknown and self._are_asked(forwards):
            self._learn_from_first_batch(forwards, inputs_of(batch.x))
        totals, parts = [], {}
        for learner in self._learners:
            total, of_learner = self._total_of(learner, forwards, batch, training, tape)
            totals.append(total)
            parts |= of_learner
        total = totals[0] if len(totals) == 1 else sum(totals)
        return total, {"loss": total, **parts}

    def _total_of(self, learner, forwards, batch, training, tape):
        """Returns the total loss of one learner and a dictionary of its parts."""
        step, output = self.optimizer.iterations, forwards[learner.branch].output
        labels, reference = learner.labels(batch, output, self.label_key), None
        if self.student_loss_weight != 0 or not learner.edges:
            reference = learner.loss_of_labels(batch, output, labels)
        total = ops.zeros(()) if reference is None else reference
        parts = {learner.named(LABELS): total}
        is_taught = self._are_asked(forwards) and bool(learner.edges)
        if is_taught:
            known = {
                "under_xla": self.is_under_xla,
                "indices": indices_of(batch.x, self.sample_index),
                "step": step,
                "training": training,
            }
            of_edges = []
            for edge in learner.edges:
                source = edge.source.as_source(forwards)
                values = edge.values(source, self._taught(learner, forwards), labels, **known)
                parts |= dict(zip(edge.names, values, strict=True))
                if tape is not None and self._measures:
                    self._measure_gradients(tape, learner, edge, reference, values)
                of_edges.append(edge.total(values, step))
            taught = of_edges[0] if len(of_edges) == 1 else sum(of_edges) / len(of_edges)
            parts[learner.named(DISTILLATION)] = taught
            total = weighed(total, taught, self.student_loss_weight, step)
        for loss in learner.losses(is_taught):
            total = total + ops.sum(ops.cast(loss, "float32"))
        return total, {learner.trackers[0].name: total, **parts}

    def _taught(self, learner, forwards):
        """Returns the forward pass of a learner that the distillation losses compare."""
        return forwards[learner.branch]

    def _measure_gradients(self, tape, learner, edge, reference, values):
        if not edge.needs_several_gradients:
            return
        # Scaled, as in mixed precision the small gradients of half floats would vanish.
        scale = self.optimizer.scale_loss
        scaled = None if reference is None else scale(reference)
        weights = learner.branch.trainable_weights
        values = [scale(value) for value in values]
        edge.measure_gradients(tape, scaled, values, weights, self.optimizer.iterations)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates the compiled metrics, for the samples that have a label.

        Args:
            x: Inputs.
            y: Labels, or `None`.
            y_pred: Predictions of the student; of several, a dictionary by their names.
            sample_weight: Weights of the samples.

        Returns:
            Dictionary from name to value of all metrics.
        """
        if y is not None and _compat.compiled_metrics(self) is not None:
            batch = Batch(x, y, sample_weight)
            for learner, output in self._by_learner(x, y_pred):
                learner.update_metrics(learner.labels(batch, output, self.label_key))
        return self.get_metrics_result()

    def _by_learner(self, x, y_pred):
        """Pairs each learner with its predictions, which Keras may have of the first alone."""
        if not self._are_named:
            return [(self._learners[0], y_pred)]
        names = [learner.name for learner in self._learners]
        if not isinstance(y_pred, dict) or set(y_pred) != set(names):
            forwards = self._forwards_of_trained(x, training=False)
            y_pred = {each.name: forwards[each.branch].output for each in self._learners}
        return [(learner, y_pred[learner.name]) for learner in self._learners]

    def _forwards_of_frozen(self, x, training):
        if not self._uses_teacher:
            return {}
        return {each: each.forward(x, training and each.follows_mode) for each in self._frozen}

    def _forwards_of_trained(self, x, training):
        forwards = {}
        for branch in self._trained:
            forwards[branch] = branch.run(x, training, forwards)
        return forwards

    def _are_asked(self, forwards):
        """Returns whether the frozen branches were run, and the learners are taught."""
        return all(branch in forwards for branch in self._frozen)

    def train_step(self, data):
        """Updates the student, and the projectors, on one batch."""
        batch = Batch(*keras.utils.unpack_x_y_sample_weight(data))
        forwards = self._forwards_of_frozen(batch.x, training=True)
        with tf.GradientTape(persistent=self._measures) as tape:
            forwards |= self._forwards_of_trained(batch.x, training=True)
            total, parts = self._total(forwards, batch, True, tape)
            scaled = self.optimizer.scale_loss(total / replicas.replicas())
        weights = self.trainable_weights
        if weights:
            gradients = tape.gradient(scaled, weights)
            gradients = checks.finite_gradients(gradients, total, self.is_under_xla)
            self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
            self._after_update()
        else:
            warnings.warn("The student does not have any trainable weights.", stacklevel=2)
        return replicas.as_averaged(self._logs(batch, forwards, parts))

    def _after_update(self):
        """Does what follows each update of the weights."""

    def test_step(self, data):
        """Evaluates the student, and unless told otherwise the distillation losses, on a batch."""
        batch = Batch(*keras.utils.unpack_x_y_sample_weight(data))
        is_asked = self.validate_with_teacher and all(
            branch.has_batch(batch.x) for branch in self._frozen
        )
        forwards = self._forwards_of_frozen(batch.x, training=False) if is_asked else {}
        forwards |= self._forwards_of_trained(batch.x, training=False)
        _, parts = self._total(forwards, batch, False)
        logs = self._logs(batch, forwards, parts)
        if not self._are_asked(forwards):
            for learner in self._learners:
                for name in (learner.named(DISTILLATION), *learner.loss_names):
                    logs.pop(name, None)
        return replicas.as_averaged(logs)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        batch = replicas.first_batch(self.distribute_strategy, iterator)
        if batch is not None:
            iterator, data_batch = None, batch
        super()._maybe_symbolic_build(iterator, data_batch)

    def _logs(self, batch, forwards, parts):
        trackers = [each for learner in self._learners for each in learner.trackers]
        update_means([_compat.loss_tracker(self), *trackers], parts, batch.x)
        outputs = {each.name: forwards[each.branch].output for each in self._learners}
        y_pred = outputs if self._are_named else outputs[""]
        return self.compute_metrics(batch.x, batch.y, y_pred, sample_weight=batch.sample_weight)

    @property
    def watched_trackers(self):
        """Metrics of the distillation losses, whose values must be finite."""
        return [tracker for edge in self._edges for tracker in edge.trackers]


def _holds(metrics, metric):
    return any(metric is each for each in metrics)
