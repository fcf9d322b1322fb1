"""SimKD: the student with the teacher's classifier."""

from typing import Any

import keras

from keras_distill.arguments import check_count, shown
from keras_distill.losses.adapters import normalization
from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import LayerPairLoss
from keras_distill.losses.space import match_space
from keras_distill.losses.tensors import mean_squared_error

_PROJECTOR = "simkd_projector"


@keras.saving.register_keras_serializable("keras_distill")
class SimpleKD(LayerPairLoss):
    """Reused teacher classifier: mean squared error of the features that enter it.

    When the distiller is made, the student's layers after the tapped one are replaced by a
    projector (1×1, 3×3 and 1×1 convolutions with batch normalization) and a frozen copy of the
    teacher's layers after its tapped one. `distiller.student` is then this model, plain Keras
    layers only: its metrics, its saved form and its export contain both. The loss is the mean
    squared error between the features that enter the classifier. The paper trains with it alone:
    `student_loss_weight=0`, weight 1. It adds the projector and the classifier to the student, on
    the device too.

    Args:
        teacher_layer_name: Path of the teacher's last feature map, shape
            `(batch, *space, channels)`, or `"auto"`: the last activation of the last spatial
            stage. The layers after it are the classifier.
        student_layer_name: The same for the student. Both may be layers of nested models.
        reduction: The projector's middle has the teacher's channels divided by this.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If `reduction` isn't a number, or several layers are given.
        ValueError: If a model isn't Functional or Sequential, or a model nested in it around the
            layer, or if the teacher's classifier doesn't fit the projected features.

    Example:

    ```python
    def cnn(channels):
        inputs = keras.Input((8, 8, 1))
        features = keras.layers.Conv2D(channels, 3, activation="relu", name="conv")(inputs)
        pooled = keras.layers.GlobalAveragePooling2D()(features)
        return keras.Model(inputs, keras.layers.Dense(3, name="logits")(pooled))

    distiller = keras_distill.Distiller(
        cnn(8), cnn(2), SimpleKD("conv", "conv"), student_loss_weight=0.0
    )
    assert distiller.student.get_layer("simkd_projector").output.shape == (None, 6, 6, 8)
    ```

    Reference:
        Chen et al., "Knowledge Distillation with the Reused Teacher Classifier", CVPR 2022.
    """

    automatic_layers = "each_last_stage"
    needs_teacher_model = True
    taps = "the last spatial layer"
    needs_space = True

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        reduction: int = 2,
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        if not isinstance(self.teacher_layer_name, str):
            raise TypeError(
                f"SimpleKD compares one layer of each model. Received: teacher_layer_name="
                f"{shown(teacher_layer_name)}"
            )
        self.reduction = check_count("reduction", reduction)

    def check_pair(self, teacher_shape: tuple, student_shape: tuple) -> None:
        """Checks that the features have as many channels and spatial axes."""
        super().check_pair(teacher_shape, student_shape)
        ranks_differ = len(teacher_shape) != len(student_shape)
        if ranks_differ or teacher_shape[-1] != student_shape[-1]:
            raise self.shape_error(
                teacher_shape,
                student_shape,
                "the projected features must have the teacher's channels and spatial axes; "
                "keras_distill.Distiller makes the projector.",
            )

    def adapt_student(self, teacher: Any, student: Any) -> Any:
        """Returns the student with a projector and the teacher's classifier.

        Args:
            teacher: The teacher's branch.
            student: The student's branch. A model that was adapted before is returned as it is.

        Returns:
            Tuple of a Functional `keras.Model` that shares the student's layers up to the tapped
            one, and of the loss that taps its projector.
        """
        loss = self.with_layers(self.teacher_layer_name, _PROJECTOR)
        if any(layer.name == _PROJECTOR for layer in student.model.layers):
            return student.model, loss
        features = student.cut_at(self.student_layer_name)
        target = teacher.cut_at(self.teacher_layer_name)
        try:
            classifier = _classifier(teacher.models_after(self.teacher_layer_name))
            predictions = classifier(_projector(features, target.shape, self.reduction))
        except ValueError as error:
            raise self.shape_error(
                tuple(target.shape),
                tuple(features.shape),
                "the teacher's layers after the tapped one can't serve as the student's "
                "classifier. They must hang on that layer alone, and take maps of the student's "
                f"size, as a global pooling does ({error}).",
            ) from error
        adapted = keras.Model(student.model.inputs, predictions, name=student.model.name)
        classifier.trainable = False
        return adapted, loss

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the mean squared error of the features that enter the classifier."""
        return mean_squared_error(*match_space(teacher, student))


def _classifier(parts):
    """Copies models, of which each takes the last one's output, into one, weights included."""
    if len(parts) == 1:
        return _copy(parts[0], "teacher_classifier")
    copies = [_copy(part, f"teacher_classifier_{index}") for index, part in enumerate(parts)]
    inputs = keras.Input(copies[0].inputs[0].shape[1:])
    outputs = inputs
    for part in copies:
        outputs = part(outputs)
    return keras.Model(inputs, outputs, name="teacher_classifier")


def _copy(model, name):
    shape = model.inputs[0].shape
    # Another size of feature maps than the teacher's suits a classifier that begins with a global
    # pooling.
    inputs = keras.Input((*(None,) * (len(shape) - 2), shape[-1]))
    try:
        copy = keras.models.clone_model(model, input_tensors=inputs)
    except ValueError:
        copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.name = name
    return copy


def _projector(features, target_shape, reduction):
    """The paper's projector, to the teacher's channels and at most the teacher's size."""
    layers = keras.layers
    rank = len(features.shape)
    kind = {3: layers.Conv1D, 4: layers.Conv2D, 5: layers.Conv3D}[rank]
    pool = {3: layers.AveragePooling1D, 4: layers.AveragePooling2D, 5: layers.AveragePooling3D}
    strides = [s // t for s, t in zip(features.shape[1:-1], target_shape[1:-1], strict=True)]
    if max(strides) > 1:
        strides = tuple(max(1, stride) for stride in strides)
        features = pool[rank](strides[0] if rank == 3 else strides, name="simkd_pool")(features)
    channels = target_shape[-1]
    middle = max(1, int(channels // reduction))
    for index, (filters, size) in enumerate([(middle, 1), (middle, 3), (channels, 1)]):
        features = kind(filters, size, padding="same", use_bias=False, name=f"simkd_conv{index}")(
            features
        )
        features = normalization(f"simkd_norm{index}")(features)
        name = _PROJECTOR if index == 2 else f"simkd_relu{index}"
        features = layers.ReLU(name=name)(features)
    return features
