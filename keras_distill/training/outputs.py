"""The outputs of a student: their names, and what each is - classes, labels or numbers."""

import keras

from keras_distill.features.layer_paths import output_names
from keras_distill.losses.logits import output_activations
from keras_distill.losses.loss import to_snake_case

# What a model outputs, by the Keras loss that it learns with.
_KINDS = {
    "softmax": (
        "categorical_crossentropy",
        "sparse_categorical_crossentropy",
        "categorical_focal_crossentropy",
        "categorical_generalized_cross_entropy",
    ),
    "sigmoid": ("binary_crossentropy", "binary_focal_crossentropy"),
    "numbers": (
        "mean_squared_error",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_squared_logarithmic_error",
        "huber",
        "log_cosh",
        "cosine_similarity",
        "poisson",
    ),
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names}
# What Keras takes for one of several losses, by the shapes of labels and output.
CHOSEN_BY_SHAPE = ("crossentropy", "ce")


class Outputs:
    """What each output of a student is: classes, independent labels, or numbers.

    The activation at an output's end decides, and where that is linear or unknown, the loss that
    the output learns with.

    Args:
        student: The student model.
        loss: The student's loss, in any form that `keras.Model.compile` takes, or `None`.
    """

    def __init__(self, student, loss=None):
        self.names = output_names(student)
        self._loss = loss
        self._activations = output_activations(student)

    def kinds(self, output):
        """Returns the kind of each output.

        Args:
            output: What the student outputs: a structure of tensors, symbolic or not.

        Returns:
            List of `"softmax"` (classes of which one holds), `"sigmoid"` (independent labels),
            `"numbers"` (a regression) or `None` (unknown), in the order of `keras.tree.flatten`.
        """
        tensors = keras.tree.flatten(output)
        activations = self._activations or [None] * len(tensors)
        return [
            _kind(loss, activation, tensor)
            for loss, activation, tensor in zip(
                self.split(self._loss, output), activations, tensors, strict=True
            )
        ]

    def ignored_classes(self, output):
        """Returns the `ignore_class` of each output's loss, `None` where it has none.

        Args:
            output: As for `kinds`.
        """
        return [getattr(loss, "ignore_class", None) for loss in self.split(self._loss, output)]

    def split(self, value, output):
        """Distributes a structure, such as labels or losses, over the outputs.

        Args:
            value: One value, or a list or a dictionary of one per output, by position or by name.
            output: As for `kinds`.

        Returns:
            List with an entry per output, `None` where a dictionary has none; one value alone
            stands for every output.
        """
        count = len(keras.tree.flatten(output))
        names = sorted(output) if isinstance(output, dict) else self.names
        if isinstance(value, dict) and names and len(names) == count and set(value) & set(names):
            return [value.get(name) for name in names]
        parts = list(value) if isinstance(value, (list, tuple)) else keras.tree.flatten(value)
        return parts if len(parts) == count else [value] * count


def _kind(loss, activation, tensor):
    if activation in ("softmax", "sigmoid"):
        return activation
    if loss is None:
        return None
    if isinstance(loss, str) and loss.lower() in CHOSEN_BY_SHAPE:
        return "sigmoid" if tensor.shape[-1] == 1 else "softmax"
    try:
        loss = keras.losses.get(loss)
    except (ValueError, TypeError):
        return None
    loss = getattr(loss, "fn", loss)
    names = [getattr(loss, "__name__", "")]
    names += [to_snake_case(base.__name__) for base in type(loss).__mro__]
    return next((_KIND_OF[name] for name in names if name in _KIND_OF), None)
