"""Image classification data as NumPy arrays."""

import dataclasses
import numbers

import numpy as np

from keras_distill.arguments import check_text, shown


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Image classification set: images and labels of a training, a validation and a test part.

    Train on the training part, choose settings on the validation part, report on the test part.

    Args:
        name: Name of the set.
        x_train: Training images, float32 (samples, height, width, channels), in `range`.
        y_train: Training labels, int32 (samples,), each from 0 to `num_classes - 1`.
        x_test: Test images, as `x_train`.
        y_test: Test labels, as `y_train`.
        labels: Tuple of the class names, in the order of the labels.
        range: Tuple (lowest, highest) that a pixel can have. `load` always gives (0.0, 1.0).
        x_val: Validation images, as `x_train`, or `None` for a set without them.
        y_val: Validation labels, as `y_train`; `None` where `x_val` is.

    Example:
        ```python
        from keras_distill import datasets

        digits = datasets.load("digits")
        digits.input_shape, digits.num_classes  # (8, 8, 1), 10
        (x_train, y_train), (x_test, y_test) = digits.arrays
        x_val, y_val = digits.validation_data
        ```
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    labels: tuple
    range: tuple = (0.0, 1.0)
    x_val: np.ndarray | None = None
    y_val: np.ndarray | None = None

    def __post_init__(self):
        check_text("name", self.name)
        is_named = isinstance(self.labels, (list, tuple)) and all(
            isinstance(label, str) for label in self.labels
        )
        if not is_named or not self.labels:
            raise TypeError(
                "labels must be a tuple of the names of the classes. "
                f"Received: labels={shown(self.labels)}"
            )
        has_validation = [part is not None for part in (self.x_val, self.y_val)]
        if has_validation[0] != has_validation[1]:
            missing = "y_val" if has_validation[0] else "x_val"
            raise ValueError(
                "x_val and y_val must be given together: a validation part has images and labels. "
                f"Received: {missing}=None"
            )
        for part in ("train", "val", "test") if has_validation[0] else ("train", "test"):
            self._check_part(part)
        low, high = _pair_of_numbers("range", self.range)
        if not low < high:
            raise ValueError(
                f"range must be (lowest, highest). Received: range={shown(self.range)}"
            )

    def _check_part(self, part):
        x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
        is_images = isinstance(x, np.ndarray) and x.ndim == 4 and x.dtype.kind in "fiub"
        if not is_images or not np.isfinite(x).all():
            raise ValueError(
                f"x_{part} must be an array of finite numbers, (samples, height, width, channels). "
                f"Received: x_{part}={shown(x)}"
            )
        is_labels = isinstance(y, np.ndarray) and y.shape == x.shape[:1] and y.dtype.kind in "iu"
        if not is_labels or (y.size and not 0 <= y.min() <= y.max() < len(self.labels)):
            raise ValueError(
                f"y_{part} must be an array of integers, the index of a class among the "
                f"{len(self.labels)} labels for each of the {len(x)} samples of x_{part}. "
                f"Received: y_{part}={shown(y)}"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one image, (height, width, channels)."""
        return self.x_train.shape[1:]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.labels)

    @property
    def arrays(self) -> tuple:
        """`((x_train, y_train), (x_test, y_test))`, as `keras.datasets` returns them."""
        return (self.x_train, self.y_train), (self.x_test, self.y_test)

    @property
    def validation_data(self) -> tuple | None:
        """`(x_val, y_val)`, the argument of `fit`; `None` for a set without validation images."""
        return None if self.x_val is None else (self.x_val, self.y_val)


def _pair_of_numbers(argument, values):
    numbers_given = isinstance(values, (list, tuple)) and len(values) == 2
    if not numbers_given or not all(_is_number(value) for value in values):
        raise TypeError(
            f"{argument} must be a tuple of two numbers. Received: {argument}={shown(values)}"
        )
    return values


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
