"""One-for-all distillation between unlike architectures."""

from typing import Any

import keras
from keras import ops

from keras_distill.arguments import check_choice
from keras_distill.losses import schedule
from keras_distill.losses.adapters import ConvolutionStack, normalization
from keras_distill.losses.argument_types import LayerNames, Number
from keras_distill.losses.context import LossContext
from keras_distill.losses.logits import logits_of
from keras_distill.losses.loss import DistillationLoss, flat_shapes, same_shapes
from keras_distill.losses.response.response_loss import output_reduction, reduced_output
from keras_distill.losses.tensors import as_floats

_SEPARABLE = {3: keras.layers.SeparableConv1D, 4: keras.layers.SeparableConv2D}


def one_for_all(teacher_logits, student_logits, one_hot, exponent=1.0, temperature=1.0):
    """Cross-entropy of the student under the teacher, whose target class is enhanced.

    Args:
        teacher_logits: Tensor of shape `(batch, classes)`.
        student_logits: Tensor of the same shape.
        one_hot: Labels as 0 and 1, of the same shape.
        exponent: γ: the target's weight is (1 + p)^γ - 1, that of the other classes p^γ; 1 for
            the plain cross-entropy.
        temperature: T of both sides; the result isn't multiplied by T².

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Hao et al., "One-for-All: Bridge the Gap Between Heterogeneous Architectures in Knowledge
        Distillation", NeurIPS 2023.
    """
    sides = as_floats(teacher_logits, student_logits)
    one_hot = ops.cast(one_hot, sides[1].dtype)
    log_t, log_s = (ops.log_softmax(side / temperature, axis=-1) for side in sides)
    enhanced = ops.power(1.0 + ops.exp(log_t), exponent) - 1.0
    weights = ops.where(one_hot > 0, enhanced, ops.exp(exponent * log_t))
    return -ops.sum(weights * log_s, axis=-1)


@keras.saving.register_keras_serializable("keras_distill")
class OneForAll(DistillationLoss):
    """Cross-entropies of logits that small heads make of the student's features.

    Features of unlike architectures say little about each other, so each of the student's stages
    gets a head, an exit: separable convolutions that halve the space once per later stage, an
    average and a dense layer. Each exit's logits are compared with the teacher's output, whose
    target class is enhanced by the exponent. The teacher may be of any kind, a function too. The
    heads of the authors' code for token models are transformer blocks; here sequences have heads of
    1-D convolutions.

    Every term has the weight 1 in the paper, as the labels' loss, and there is one more for the
    student's own output: a second loss with both layer names `None`, which `recipes.get("ofa")`
    has. The authors choose the exponent from 1 to 1.5 by the pair of models. As a cross-entropy it
    isn't zero at the teacher. It costs the heads.

    Args:
        teacher_layer_name: Path of the teacher's layer that outputs logits, or `None` for the
            teacher's output, which `"auto"` takes too. Shape `(batch, classes)`.
        student_layer_name: Path of a layer of the student, shape `(batch, ..., channels)`, a list
            of paths from early to late, `"auto"` for the last activation of each spatial stage,
            or `None` for the student's output, which needs no head.
        exponent: γ, number or `keras.optimizers.schedules.LearningRateSchedule`.
        temperature: T, positive number or schedule.
        from_logits: `True`, `False`, or `"auto"` to recognize a model that ends in softmax.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If a number isn't one.
        ValueError: If a number is out of bounds, or the teacher's side isn't one row of logits per
            sample; when called, if there are no labels.

    Example:

    ```python
    loss = OneForAll(None, ["conv1", "conv2"], exponent=1.5)
    student = [np.random.rand(2, 8, 8, 3), np.random.rand(2, 4, 4, 6)]
    assert loss.compute_loss(np.random.rand(2, 5), student, labels=np.array([0, 4])) > 0
    ```

    Reference:
        Hao et al., "One-for-All: Bridge the Gap Between Heterogeneous Architectures in Knowledge
        Distillation", NeurIPS 2023.
    """

    automatic_layers = "student_stages"
    pairs_layers = False
    needs_labels = True
    taps = "the teacher's output, any layers of the student"

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        exponent: Number = 1.0,
        temperature: Number = 1.0,
        from_logits: bool | str = "auto",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        self.exponent = schedule.check_number("exponent", exponent, low=0, low_is_allowed=False)
        self.temperature = schedule.check_temperature(temperature)
        self.from_logits = check_choice("from_logits", from_logits, (True, False, "auto"))
        tapped = self.student_layer_name
        count = 0 if tapped is None else len(tapped) if isinstance(tapped, list) else 1
        self._heads = [
            ExitHead(count - 1 - index, name=f"{self.name}_exit_{index}") for index in range(count)
        ]

    @property
    def own_layers(self) -> list[keras.Layer]:
        """List of the heads, one per tapped layer of the student."""
        return self._heads

    def teacher_reduction(self, output_activation: Any = None) -> str:
        """Names what is kept of the teacher's output: its logits, or itself if told to be those."""
        return output_reduction(self.from_logits, output_activation)

    def reduce_teacher(self, teacher: Any, output_activation: Any = None) -> Any:
        """Returns the logits of the teacher's output."""
        return reduced_output(teacher, self.from_logits, output_activation)

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks that the teacher gives rows of logits, and builds the heads."""
        shapes = flat_shapes(student_shapes)
        is_rows = not isinstance(teacher_shapes, list) and len(teacher_shapes) == 2
        fits = is_rows and (
            len(shapes) == len(self._heads)
            if self._heads
            else same_shapes(shapes, flat_shapes(teacher_shapes))
        )
        if not fits or any(not 2 <= len(shape) <= 4 for shape in shapes):
            raise self.shape_error(
                teacher_shapes,
                student_shapes,
                "compares one row of logits per sample with those that heads make of the student's "
                "features, of at most two spatial axes.",
            )
        for head, shape in zip(self._heads, shapes, strict=False):
            head.match(teacher_shapes[-1], shape)

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Sums the cross-entropies of the exits."""
        teacher = logits_of(teacher, self.from_logits, context.teacher_activation)
        features = student if isinstance(student, (list, tuple)) else [student]
        if self._heads:
            exits = [
                head(tapped, training=context.training)
                for head, tapped in zip(self._heads, features, strict=True)
            ]
        else:
            exits = [logits_of(student, self.from_logits, context.student_activation)]
        settings = [
            schedule.value_at(value, context.step) for value in (self.exponent, self.temperature)
        ]
        one_hot = context.one_hot(teacher, self)
        return sum(one_for_all(teacher, logits, one_hot, *settings) for logits in exits)


@keras.saving.register_keras_serializable("keras_distill")
class ExitHead(keras.layers.Layer):
    """Logits of features: separable convolutions that halve the space, an average, a dense layer.

    Args:
        halvings: How often the space is halved, and the channels doubled; without, a 1×1
            convolution takes the place of those that do.
        name: Name of the layer.
    """

    def __init__(self, halvings=0, name=None):
        super().__init__(name=name, dtype="float32")
        self.halvings = halvings
        self.classes = None
        self.blocks = []
        self.classifier = None

    def match(self, classes, input_shape):
        """Builds the layer for a number of classes.

        Args:
            classes: Number of logits.
            input_shape: Shape of the features, batch included.
        """
        self.classes = classes
        if not self.built:
            self.build(tuple(input_shape))

    def build(self, input_shape):
        """Creates the convolutions and the dense layer."""
        rank, channels = len(input_shape), input_shape[-1]
        if self.halvings and rank in _SEPARABLE:
            for index in range(2 * self.halvings):
                # Of each pair of convolutions the first halves, the second doubles.
                strides, channels = 2 - index % 2, channels * (1 + index % 2)
                self.blocks += _block(_SEPARABLE[rank], channels, strides, index)
        else:
            stack = ConvolutionStack(name="channels")
            stack.match([channels], input_shape)
            self.blocks = [stack]
        shape = input_shape
        for block in self.blocks:
            if not block.built:
                block.build(shape)
            shape = block.compute_output_shape(shape)
        self.classifier = keras.layers.Dense(self.classes, name="classifier", dtype="float32")
        self.classifier.build((None, channels))
        self.built = True

    def call(self, features, training=None):
        """Returns the logits."""
        features = ops.cast(features, "float32")
        for block in self.blocks:
            is_norm = isinstance(block, keras.layers.BatchNormalization)
            features = ops.relu(block(features, training=training)) if is_norm else block(features)
        space = tuple(range(1, len(features.shape) - 1))
        return self.classifier(ops.mean(features, axis=space) if space else features)

    def compute_output_shape(self, input_shape):
        """Returns the shape of the logits."""
        return (input_shape[0], self.classes)


def _block(kind, channels, strides, index):
    convolution = kind(
        channels,
        3,
        strides=strides,
        padding="same",
        use_bias=False,
        name=f"conv{index}",
        dtype="float32",
    )
    return [convolution, normalization(f"norm{index}", dtype="float32")]
