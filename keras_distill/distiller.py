"""Distiller: a Keras model that trains a student with a frozen teacher."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras

from keras_distill.arguments import check_flag
from keras_distill.cache import TeacherCache
from keras_distill.features.batches import check_input_function
from keras_distill.features.branch_kinds import branch_of
from keras_distill.losses.balanced import Balanced
from keras_distill.training.edge import Edge
from keras_distill.training.freezing import WithFrozenTeacher, check_shares_nothing
from keras_distill.training.learner import Learner
from keras_distill.training.saving import SavesItsModels
from keras_distill.training.step import StepModel
from keras_distill.training.tutorial import refuse_tutorial_arguments, tutorial_settings
from keras_distill.training.validation import (
    check_arguments,
    check_branches,
    check_jit,
    check_loss_is_given,
    check_losses_are_given,
    check_metrics,
    check_names,
    checked_loss,
    checked_student_loss_weight,
)

InputFunction: TypeAlias = Callable | str | None
Weight: TypeAlias = float | str | keras.optimizers.schedules.LearningRateSchedule | Balanced


@keras.saving.register_keras_serializable("keras_distill")
class Distiller(SavesItsModels, WithFrozenTeacher, StepModel):
    """Trains a student on labels and on the outputs and features of a frozen teacher.

    A drop-in superset of `keras.distillation.Distiller`: same arguments, attributes and history
    keys, and losses of `keras.distillation` work too. Per training step teacher and student run
    once each, however many layers are tapped. Sample weights, class weights and masks act on the
    distillation losses too, and the student's regularizers are part of the total.

    The total is `w * student_loss + (1 - w) * Σ weight_i * loss_i` with
    `w = student_loss_weight`, or `student_loss + Σ weight_i * loss_i`, as the papers write it,
    for `student_loss_weight=None`. The history holds the total twice, as `loss`, the key of any
    Keras model, and as `total_loss`, the key of `keras.distillation.Distiller`; `student_loss`,
    the supervised loss, and `distillation_loss`, the weighted sum of the others, as in
    `keras.distillation`; and each distillation loss under its own name, unweighted.

    A sample has no label where its class is -1 or its number NaN; see
    `keras_distill.training.labels`. It takes no part in `student_loss`, the metrics and the losses
    that need labels, each of which is a mean over the others; the teacher teaches it all the same.
    `fit(x)` has no labels at all.

    Without `distillation_losses` it takes the form of the Keras tutorial: `compile` gets
    `student_loss_fn`, `distillation_loss_fn`, `alpha` and `temperature`.

    Args:
        teacher: Trained `keras.Model`, which stays as it is: `teacher.trainable` becomes `False`,
            which `teacher.trainable = True` undoes, for it and for its copies. Or a
            `TeacherCache`, whose batches come from `cache.join(dataset)`. Or a function from a
            batch, in NumPy arrays, to logits, or to a dictionary with `"logits"` and features by
            the names that losses tap: a PyTorch or ONNX model, a `.tflite` file, a service.
            `None` if no loss needs one.
        student: `keras.Model` to train. `distiller.student` stays a plain Keras model.
        distillation_losses: A distillation loss, its name (`"kd"`), or a list of them.
        distillation_loss_weights: One number, or `keras.optimizers.schedules`
            `LearningRateSchedule`, per loss; or `"balanced"`, or `losses.Balanced(share=...)`, by
            which a loss's gradient is a share of that of the labels. Defaults to 1 each.
        student_loss_weight: Weight of the supervised loss, in [0, 1], or a schedule, or `None`.
        teacher_input: How the teacher's inputs are taken from a batch's `x`: a callable, or a key
            of a dictionary batch. By default `x` itself.
        student_input: The same for the student.
        sample_index: How the samples' indices in the data set are taken from `x`, for losses with
            a memory of samples: a callable, or a key of a dictionary batch.
        label_key: Where labels are a dictionary, the key of those that losses use that need
            labels, and that a student with one output learns.
        name: Name of the model.
        **kwargs: Arguments of `keras.Model`.

    Raises:
        TypeError: If a model, loss, weight or input is of the wrong type.
        ValueError: If models can't be paired, a layer is unknown, shapes can't be compared, or a
            weight is out of bounds.

    Example:

    ```python
    x, y = np.random.rand(32, 4), np.random.randint(0, 3, 32)
    teacher, student = (
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]) for _ in range(2)
    )
    distiller = Distiller(teacher, student, "kd", student_loss_weight=0.1)
    distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = distiller.fit(x, y, verbose=0)
    assert "soft_targets" in history.history
    ```

    Reference:
        - Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
        - Gou et al., "Knowledge Distillation: A Survey", IJCV 2021.
    """

    # What the student is where no loss may replace its model, for the error.
    _kept = ""

    def __init__(
        self,
        teacher: keras.Model | TeacherCache | Callable | None = None,
        student: keras.Model | None = None,
        distillation_losses: Any = None,
        distillation_loss_weights: Weight | Sequence[Weight] | None = None,
        student_loss_weight: Weight | None = 0.5,
        teacher_input: InputFunction = None,
        student_input: InputFunction = None,
        sample_index: InputFunction = None,
        label_key: str | None = None,
        name: str = "distiller",
        **kwargs: Any,
    ):
        is_tutorial_form = distillation_losses is None
        check_arguments(is_tutorial_form, distillation_loss_weights, student_loss_weight)
        check_names(name, label_key)
        check_losses_are_given(distillation_losses)
        edge = Edge([] if is_tutorial_form else distillation_losses, distillation_loss_weights)
        check_input_function(sample_index, "sample_index")
        source = branch_of(teacher, "teacher", teacher_input)
        target = branch_of(student, "student", student_input)
        check_branches(source, target, teacher_is_optional=not edge.needs_teacher)
        check_shares_nothing(teacher, student)
        edge.connect(source, target, self._kept)
        student = target.model
        # Both models cast their own inputs, each by its own policy.
        kwargs = {"dtype": student.dtype_policy, "autocast": False, **kwargs}
        super().__init__(name=name, **kwargs)
        self.teacher = teacher
        self.student = student
        self._student_loss_weight = checked_student_loss_weight(student_loss_weight)
        self.label_key = label_key
        self.teacher_input = teacher_input
        self.student_input = student_input
        self.sample_index = sample_index
        self._is_tutorial_form = is_tutorial_form
        self._freeze_teacher()
        self.supports_jit = source.supports_jit
        self.student_loss_tracker = keras.metrics.Mean(name="student_loss")
        self.distillation_loss_tracker = keras.metrics.Mean(name="distillation_loss")
        self.total_loss_tracker = keras.metrics.Mean(name="total_loss")
        self._set_edge(edge)
        self.built = student.built and not self._are_shapes_unknown

    def _set_edge(self, edge):
        trackers = (
            self.total_loss_tracker,
            self.student_loss_tracker,
            self.distillation_loss_tracker,
        )
        self._set_learners([Learner(edge.target, [edge], trackers=trackers)])

    @property
    def _edge(self):
        return self._edges[0]

    @property
    def distillation_losses(self) -> Any:
        """List of the distillation losses, which are set when the distiller is made."""
        return self._edge.losses

    @distillation_losses.setter
    def distillation_losses(self, losses):
        raise AttributeError(
            "The distillation losses, with their layers and projectors, are set when a distiller "
            "is made: make a new Distiller(teacher, student, distillation_losses=...). Received: "
            f"distillation_losses={losses!r}"
        )

    @property
    def distillation_loss_weights(self) -> Any:
        """List of the weights, a number, schedule or `Balanced` per distillation loss.

        What is assigned counts from the next step that is made ready, as of the next `fit`.
        """
        return self._edge.weights

    @distillation_loss_weights.setter
    def distillation_loss_weights(self, weights):
        self._edge.weights = weights
        self._forget_steps()

    def _check_sharing(self):
        check_shares_nothing(self.teacher, self.student)

    def compile(
        self,
        optimizer: str | keras.Optimizer = "adam",
        loss: Any = None,
        metrics: Any = None,
        student_loss_fn: Any = None,
        distillation_loss_fn: Any = None,
        alpha: Weight | None = None,
        temperature: Weight | None = None,
        validate_with_teacher: bool = True,
        **kwargs: Any,
    ) -> None:
        """Configures training.

        Args:
            optimizer: Keras optimizer of the student.
            loss: Loss of the student against the labels, as for `keras.Model.compile`.
            metrics: List of metrics of the student, or a dictionary by output name.
            student_loss_fn: The tutorial's name for `loss`.
            distillation_loss_fn: In the tutorial's form, the loss between the softened
                probabilities of teacher and student, multiplied by T². The Kullback-Leibler
                divergence is computed by `SoftTargets`, from logits.
            alpha: In the tutorial's form, the weight of the student loss, in [0, 1]; by default
                0.1.
            temperature: In the tutorial's form, T; by default 3.
            validate_with_teacher: Whether `evaluate` runs the teacher. If not, its logs hold no
                distillation losses and `loss` is the student's alone.
            **kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            TypeError: If a loss is of the wrong type.
            ValueError: If the two forms are mixed, a loss is missing, or `metrics` is neither a
                list nor a dictionary.
        """
        loss = checked_loss(loss, student_loss_fn)
        check_metrics(metrics)
        check_jit(kwargs.get("jit_compile"), self._edge.source)
        check_flag("validate_with_teacher", validate_with_teacher)
        settings = {"validate_with_teacher": validate_with_teacher}
        if self._is_tutorial_form:
            settings |= self._use_tutorial_form(distillation_loss_fn, alpha, temperature)
        else:
            refuse_tutorial_arguments(
                distillation_loss_fn=distillation_loss_fn, alpha=alpha, temperature=temperature
            )
        check_loss_is_given(loss, self.student_loss_weight)
        self.validate_with_teacher = validate_with_teacher
        self._compile_step(optimizer, loss, metrics, settings, **kwargs)

    def _use_tutorial_form(self, distillation_loss_fn, alpha, temperature):
        settings, loss = tutorial_settings(distillation_loss_fn, alpha, temperature)
        edge = Edge(loss)
        edge.connect(
            branch_of(self.teacher, "teacher", self.teacher_input),
            branch_of(self.student, "student", self.student_input),
        )
        self._set_edge(edge)
        self.student_loss_weight = self.alpha = settings["alpha"]
        self.temperature = settings["temperature"]
        return settings

    def call(self, inputs: Any, training: Any = None, **kwargs: Any) -> Any:
        """Returns the student's predictions."""
        return self.student(self._edge.target.inputs_of(inputs), training=training, **kwargs)
