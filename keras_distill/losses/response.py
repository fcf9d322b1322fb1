"""Response knowledge: the student learns what the teacher answers."""

import keras
from keras import ops

from keras_distill.losses import functional, schedule
from keras_distill.losses.logits import logits_of
from keras_distill.losses.loss import DistillationLoss


class ResponseLoss(DistillationLoss):
    """Compares logits: finds them behind a softmax, takes several outputs, respects masks.

    Args:
        from_logits: `True` if the models output logits, `False` if probabilities, `"auto"` to
            recognise a model that ends in softmax.
        teacher_layer_name: Path of the teacher's layer that outputs logits, or `None` for the
            teacher's output.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If `from_logits` is none of the three.
    """

    def __init__(
        self, from_logits="auto", teacher_layer_name=None, student_layer_name=None, name=None
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        if from_logits not in (True, False, "auto"):
            raise ValueError(f'from_logits must be True, False or "auto", got {from_logits!r}.')
        self.from_logits = from_logits

    def compare(self, teacher_logits, student_logits, context):
        """Computes the loss from logits.

        Args:
            teacher_logits: Tensor of shape `(batch, ..., classes)`.
            student_logits: Tensor of the same shape.
            context: `LossContext`.

        Returns:
            Tensor of shape `(batch, ...)`.
        """
        raise NotImplementedError(f"{type(self).__name__} must override `compare`.")

    def call(self, teacher, student, context):
        """Sums `compare` over the outputs, each averaged over its unmasked positions."""
        keras.tree.assert_same_structure(teacher, student)
        total = 0.0
        for teacher_output, student_output in zip(
            keras.tree.flatten(teacher), keras.tree.flatten(student), strict=True
        ):
            values = self.compare(
                logits_of(teacher_output, self.from_logits, context.teacher_ends_in_softmax),
                logits_of(student_output, self.from_logits, context.student_ends_in_softmax),
                context,
            )
            total = total + _mean_over_positions(values, context.mask)
        return total

    def build(self, teacher_shapes, student_shapes):
        """Checks that both sides have as many outputs, of equal shapes."""
        sides = [_flat_shapes(side) for side in (teacher_shapes, student_shapes)]
        fits = len(sides[0]) == len(sides[1]) and all(
            len(t) == len(s)
            and all(a is None or b is None or a == b for a, b in zip(t, s, strict=True))
            for t, s in zip(*sides, strict=True)
        )
        if not fits:
            raise ValueError(
                f"{type(self).__name__} compares outputs of the same shape. "
                f"Teacher: {teacher_shapes}, Student: {student_shapes}. Give both models the same "
                "number of classes, or tap other layers with teacher_layer_name and "
                "student_layer_name."
            )

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "from_logits": self.from_logits}


def _flat_shapes(shapes):
    if isinstance(shapes, tuple) and all(not isinstance(side, (tuple, list)) for side in shapes):
        return [shapes]
    values = shapes.values() if isinstance(shapes, dict) else shapes
    return [shape for part in values for shape in _flat_shapes(part)]


def _mean_over_positions(values, mask):
    positions = tuple(range(1, len(values.shape)))
    if not positions:
        return values
    if mask is None or len(mask.shape) != len(values.shape):
        return ops.mean(values, axis=positions)
    mask = ops.cast(mask, values.dtype)
    # A masked position may hold anything, even NaN, so it is replaced and not multiplied by 0.
    values = ops.where(mask > 0, values, 0.0)
    return ops.sum(values, axis=positions) / ops.maximum(ops.sum(mask, axis=positions), 1.0)


@keras.saving.register_keras_serializable("keras_distill")
class SoftTargets(ResponseLoss):
    """Soft targets: the student matches the teacher's softened class probabilities.

    The loss is T² · KL(softmax(z_t / T) ‖ softmax(z_s / T)), computed from log-softmax. T² keeps
    its gradient on the scale of the labels' at any temperature. Hinton et al. give it a weight
    much larger than the labels' (0.9 to 0.1 is common). It costs a softmax over the classes.

    Args:
        temperature: T, positive number or `keras.optimizers.schedules.LearningRateSchedule`.
        divergence: `"kl"`, `"reverse_kl"`, `"js"` or `"cross_entropy"`.
        standardize: Whether each sample's logits are standardised, `(z - mean) / (std + 1e-7)`,
            before they are divided by T. The paper weighs the loss 9 at T = 2.
        from_logits: `True`, `False`, or `"auto"` to recognise a model that ends in softmax, for
            which the loss is the same as for its logits.
        teacher_layer_name: Path of the teacher's layer that outputs logits, or `None` for the
            teacher's output. Shape `(batch, classes)`, or `(batch, length, classes)`: then the
            mean over the unmasked positions is taken.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If `temperature` is neither a number nor a schedule.
        ValueError: If `temperature` isn't positive or `divergence` is unknown.

    Example:

    ```python
    loss = SoftTargets(temperature=4.0)
    value = loss.compute_loss(np.array([[2.0, 0.0, 1.0]]), np.array([[1.0, 0.5, 0.0]]))
    assert value > 0
    ```

    Reference:
        - Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
        - Sun et al., "Logit Standardization in Knowledge Distillation", CVPR 2024.
    """

    def __init__(
        self,
        temperature=4.0,
        divergence="kl",
        standardize=False,
        from_logits="auto",
        teacher_layer_name=None,
        student_layer_name=None,
        name=None,
    ):
        super().__init__(from_logits, teacher_layer_name, student_layer_name, name)
        schedule.check_number("temperature", temperature, low=0, low_is_allowed=False)
        if divergence not in functional.DIVERGENCES:
            raise ValueError(
                f"divergence must be one of {', '.join(functional.DIVERGENCES)}, "
                f"got {divergence!r}."
            )
        self.temperature = temperature
        self.divergence = divergence
        self.standardize = standardize

    def build(self, teacher_shapes, student_shapes):
        """Checks that both sides have as many outputs, of equal shapes, over several classes."""
        super().build(teacher_shapes, student_shapes)
        if any(shape[-1] == 1 for shape in _flat_shapes(teacher_shapes)):
            raise ValueError(
                "SoftTargets compares distributions over two classes or more, and these models "
                f"have outputs of one value. Teacher: {teacher_shapes}, Student: {student_shapes}. "
                "Give a binary classifier two outputs, or use LogitMatching."
            )

    def check_activations(self, teacher_ends_in, student_ends_in):
        """Checks that neither output is probabilities of independent labels."""
        taps_output = self.teacher_layer_name is None and self.student_layer_name is None
        if taps_output and "sigmoid" in (teacher_ends_in, student_ends_in):
            raise ValueError(
                "SoftTargets compares distributions over exclusive classes, but a model ends in "
                f"sigmoid. Teacher: {teacher_ends_in}, Student: {student_ends_in}. Use "
                "LogitMatching on the layers before the sigmoid."
            )

    def compare(self, teacher_logits, student_logits, context):
        """Computes T² times the divergence of the softened distributions."""
        if self.standardize:
            teacher_logits = functional.standardize_logits(teacher_logits)
            student_logits = functional.standardize_logits(student_logits)
        temperature = schedule.value_at(self.temperature, context.step)
        return functional.soft_targets(teacher_logits, student_logits, temperature, self.divergence)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "temperature": schedule.serialize(self.temperature),
            "divergence": self.divergence,
            "standardize": self.standardize,
        }

    @classmethod
    def from_config(cls, config):
        """Returns the loss that `get_config` described."""
        return cls(**{**config, "temperature": schedule.deserialize(config["temperature"])})


@keras.saving.register_keras_serializable("keras_distill")
class LogitMatching(ResponseLoss):
    """Mean squared error of the logits, the limit of soft targets at a high temperature.

    Logits are compared as they are, with their mean. For a model that ends in softmax the logits
    under the softmax are used where they are known. The paper uses it alone (weight 1, no
    labels). It costs next to nothing.

    Args:
        from_logits: `True`, `False`, or `"auto"` to recognise a model that ends in softmax.
        teacher_layer_name: Path of the teacher's layer that outputs logits, shape
            `(batch, ..., classes)`, or `None` for the teacher's output.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.

    Example:

    ```python
    value = LogitMatching().compute_loss(np.array([[2.0, 0.0]]), np.array([[1.0, 1.0]]))
    assert float(value) == 1.0
    ```

    Reference:
        Ba & Caruana, "Do Deep Nets Really Need to be Deep?", NeurIPS 2014.
    """

    def compare(self, teacher_logits, student_logits, context):
        """Computes the mean squared difference over the classes."""
        teacher_logits, student_logits = functional.as_floats(teacher_logits, student_logits)
        return ops.mean(ops.square(teacher_logits - student_logits), axis=-1)


@keras.saving.register_keras_serializable("keras_distill")
class SoftenedLoss(ResponseLoss):
    """Any Keras loss between the softened probabilities, times T²: the tutorial's form.

    `Distiller.compile(distillation_loss_fn=...)` makes one for a loss that `SoftTargets` does not
    cover. For the Kullback-Leibler divergence use `SoftTargets`, which doesn't clip.

    Args:
        loss: A `keras.losses.Loss`, its name, or a function `(y_true, y_pred)` that returns one
            value per sample.
        temperature: T, positive number or `keras.optimizers.schedules.LearningRateSchedule`.
        from_logits: `True`, `False`, or `"auto"` to recognise a model that ends in softmax.
        name: Name of the loss in the training history.

    Example:

    ```python
    loss = SoftenedLoss(keras.losses.MeanSquaredError(), temperature=2.0)
    value = loss.compute_loss(np.array([[2.0, 0.0]]), np.array([[1.0, 1.0]]))
    ```

    Reference:
        Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
    """

    def __init__(self, loss, temperature=3.0, from_logits="auto", name=None):
        super().__init__(from_logits, name=name)
        schedule.check_number("temperature", temperature, low=0, low_is_allowed=False)
        self.loss = keras.losses.get(loss)
        self.temperature = temperature

    def compare(self, teacher_logits, student_logits, context):
        """Computes T² times the given loss of the softened probabilities."""
        temperature = schedule.value_at(self.temperature, context.step)
        softened = [
            ops.softmax(functional.as_float(logits) / temperature, axis=-1)
            for logits in (teacher_logits, student_logits)
        ]
        compare = getattr(self.loss, "call", self.loss)
        return compare(*softened) * temperature**2

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            "name": self.name,
            "from_logits": self.from_logits,
            "loss": keras.losses.serialize(self.loss),
            "temperature": schedule.serialize(self.temperature),
        }

    @classmethod
    def from_config(cls, config):
        """Returns the loss that `get_config` described."""
        config = dict(config)
        config["loss"] = keras.losses.deserialize(config["loss"])
        config["temperature"] = schedule.deserialize(config["temperature"])
        return cls(**config)
