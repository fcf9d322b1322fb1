"""Attacks: inputs perturbed within a ball so that a model errs, and the accuracy that it keeps."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_distill.arguments import (
    check_count,
    check_finite,
    check_flag,
    check_model,
    check_samples,
    shown,
)
from keras_distill.features.layer_paths import symbolic
from keras_distill.losses import schedule
from keras_distill.losses.logits import final_activation, logits_of
from keras_distill.losses.loss import same_shapes
from keras_distill.schemes.classifier_checks import (
    BOUNDS,
    check_bounds,
    check_classes,
    class_array,
)
from keras_distill.training.replicas import replicas

# The published settings for images of 0 to 1.
EPSILON, STEPS = 8 / 255, 10
_INTEGERS = {2: tf.int16, 4: tf.int32, 8: tf.int64}


@dataclasses.dataclass(frozen=True)
class Attack:
    """Projected gradient ascent in the ball of the infinity norm, within the inputs' range.

    No element of the result is further than `epsilon` from the input, nor out of `bounds`, in
    exact arithmetic and in any floating point type: both edges are rounded inward.

    Args:
        epsilon: Radius of the ball.
        step_size: Length of a step, or `None` for a quarter of `epsilon`.
        steps: Number of steps.
        random_start: Whether it starts at a random point of the ball, and not at the input.
        bounds: Pair of the smallest and the largest number of an input; `None` for no bounds.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If one is out of bounds.
    """

    epsilon: float = EPSILON
    step_size: float | None = None
    steps: int = STEPS
    random_start: bool = True
    bounds: Sequence[float] | None = BOUNDS

    def __post_init__(self):
        schedule.check_constant("epsilon", self.epsilon, low=0)
        if self.step_size is not None:
            schedule.check_constant("step_size", self.step_size, low=0, low_is_allowed=False)
        check_count("steps", self.steps)
        check_flag("random_start", self.random_start)
        check_bounds(self.bounds)

    def leaves_range(self, x):
        """Returns a boolean tensor that says which elements of inputs aren't within the bounds.

        Args:
            x: Tensor of the inputs.
        """
        if self.bounds is None:
            return tf.zeros_like(x, "bool")
        low, high = self._range(x.dtype)
        return (x < low) | (x > high)

    def perturb(self, x, objective, seed):
        """Returns perturbed inputs.

        Args:
            x: Floating point tensor of the inputs, which are within the bounds.
            objective: Function from inputs to a scalar tensor, which is maximized.
            seed: Tensor of two integers, from which alone the random start is made.
        """
        low, high = self._region(x)
        length = self.epsilon / 4 if self.step_size is None else self.step_size
        start = x
        if self.random_start:
            noise = tf.random.stateless_uniform(tf.shape(x), seed, -self.epsilon, self.epsilon)
            start = tf.clip_by_value(x + tf.cast(noise, x.dtype), low, high)

        def step(x):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                value = objective(x)
            gradient = tape.gradient(value, x)
            if gradient is None:
                return x
            # Scaled losses of half floats may overflow, and the sign of NaN is NaN.
            sign = tf.sign(tf.where(tf.math.is_nan(gradient), tf.zeros_like(x), gradient))
            moved = tf.clip_by_value(x + tf.cast(length, x.dtype) * sign, low, high)
            return tf.ensure_shape(moved, x.shape)

        return tf.stop_gradient(_repeated(step, tf.ensure_shape(start, x.shape), self.steps))

    def _region(self, x):
        """Returns the smallest and the largest value of each element."""
        exact = tf.cast(x, "float64")
        low = tf.cast(exact - self.epsilon, x.dtype)
        high = tf.cast(exact + self.epsilon, x.dtype)
        # The difference is rounded too: what seems to be on the edge may be beyond it.
        is_low = (low < x) & (exact - tf.cast(low, "float64") >= self.epsilon)
        is_high = (high > x) & (tf.cast(high, "float64") - exact >= self.epsilon)
        low = tf.where(is_low, _neighbor(low, 1), low)
        high = tf.where(is_high, _neighbor(high, -1), high)
        if self.bounds is None:
            return low, high
        least, most = self._range(x.dtype)
        return tf.maximum(low, least), tf.minimum(high, most)

    def _range(self, dtype):
        """Returns the bounds in a floating point type, the numbers between which it can hold."""
        low, high = (tf.constant(bound, "float64") for bound in self.bounds)
        least, most = tf.cast(low, dtype), tf.cast(high, dtype)
        least = tf.where(tf.cast(least, "float64") < low, _neighbor(least, 1), least)
        return least, tf.where(tf.cast(most, "float64") > high, _neighbor(most, -1), most)


def _repeated(function, x, times):
    """Returns what a function makes of a tensor, applied to it a number of times."""
    if replicas() > 1:
        # Replicas can't agree on a number, such as the sum of the weights, inside a loop.
        for _ in range(times):
            x = function(x)
        return x
    limits = {"maximum_iterations": times, "parallel_iterations": 1}
    return tf.while_loop(lambda x: True, lambda x: (function(x),), (x,), **limits)[0]


def _neighbor(x, direction):
    """Returns the next number of a floating point type above (1) or below (-1)."""
    # TensorFlow's nextafter takes no half floats.
    kind = _INTEGERS[x.dtype.size]

    def in_order(bits):
        return tf.where(bits < 0, kind.min - bits, bits)

    moved = in_order(tf.cast(tf.bitcast(x, kind), "int64")) + direction
    return tf.bitcast(tf.cast(in_order(moved), kind), x.dtype)


def check_is_attackable(x):
    """Checks that inputs can be perturbed: one tensor of floating point numbers.

    Args:
        x: Inputs of a model.

    Raises:
        ValueError: If they can't.
    """
    if not hasattr(x, "dtype"):
        raise ValueError(
            "A perturbation is of one input: give a model with one, and batches whose x is its "
            f"tensor. Received: x={_kinds_of(x)}"
        )
    if "float" not in keras.backend.standardize_dtype(x.dtype):
        raise ValueError(
            "A perturbation needs inputs of floating point numbers: cast them, and let bounds be "
            f"their range. Received: x={_kinds_of(x)}"
        )


def _kinds_of(x):
    kinds = keras.tree.map_structure(
        lambda part: f"{keras.backend.standardize_dtype(part.dtype)} {tuple(part.shape)}", x
    )
    return shown(kinds)


def pgd(
    model: keras.Model,
    x: Any,
    y: Any,
    epsilon: float = EPSILON,
    step_size: float | None = None,
    steps: int = STEPS,
    random_start: bool = True,
    bounds: Sequence[float] | None = BOUNDS,
    seed: int = 0,
    batch_size: int = 32,
) -> np.ndarray:
    """Perturbs inputs so that a classifier errs: projected gradient descent (PGD).

    Each step goes along the sign of the gradient of the cross-entropy, and back into the ball of
    the infinity norm and into the bounds. Both are kept exactly, in any floating point type. The
    model runs in inference mode, `steps` times forward and backward.

    Args:
        model: `keras.Model` with one input, and one output of shape `(batch, classes)`, logits or
            probabilities.
        x: Floating point array of the inputs, shape `(samples, ...)`.
        y: Integer array of the classes, shape `(samples,)`.
        epsilon: Radius of the ball: how far each number of an input may move.
        step_size: Length of a step; by default a quarter of `epsilon`.
        steps: Number of steps.
        random_start: Whether to start at a random point of the ball, and not at the input.
        bounds: Pair of the smallest and the largest number of an input; `None` for no bounds.
        seed: Seed of the random start.
        batch_size: Number of samples that run at once.

    Returns:
        Array of the shape and type of `x`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If one is out of bounds, `x` leaves its bounds or isn't one floating point
            array, or the model is no classifier of the classes in `y`.

    Example:

    ```python
    x, y = np.random.rand(8, 4).astype("float32"), np.random.randint(0, 3, 8)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    perturbed = pgd(model, x, y, epsilon=0.1)
    assert np.abs(perturbed.astype("float64") - x).max() <= 0.1
    ```

    Reference:
        Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018.
    """
    attack = Attack(epsilon, step_size, steps, random_start, bounds)
    return np.concatenate([each for each, _ in _attacked(model, x, y, attack, seed, batch_size)])


def robust_accuracy(
    model: keras.Model,
    x: Any,
    y: Any,
    epsilon: float = EPSILON,
    step_size: float | None = None,
    steps: int = STEPS,
    random_start: bool = True,
    bounds: Sequence[float] | None = BOUNDS,
    seed: int = 0,
    batch_size: int = 32,
) -> float:
    """Measures a classifier's accuracy on inputs that `pgd` perturbed against it.

    It is an upper bound of the accuracy under any attack in the ball: more steps lower it. With
    `epsilon=0` it is the plain accuracy.

    Args:
        model: As for `pgd`.
        x: As for `pgd`.
        y: As for `pgd`.
        epsilon: As for `pgd`.
        step_size: As for `pgd`.
        steps: As for `pgd`.
        random_start: As for `pgd`.
        bounds: As for `pgd`.
        seed: As for `pgd`.
        batch_size: As for `pgd`.

    Returns:
        Share of the samples, between 0 and 1.

    Raises:
        TypeError: As `pgd`.
        ValueError: As `pgd`.

    Example:

    ```python
    x, y = np.random.rand(8, 4).astype("float32"), np.random.randint(0, 3, 8)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    assert robust_accuracy(model, x, y, epsilon=0.1) <= robust_accuracy(model, x, y, epsilon=0)
    ```

    Reference:
        Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018.
    """
    attack = Attack(epsilon, step_size, steps, random_start, bounds)
    found = _attacked(model, x, y, attack, seed, batch_size)
    answers = np.concatenate([output.argmax(-1) for _, output in found])
    return float((answers == np.asarray(y)).mean())


def _attacked(model, x, y, attack, seed, batch_size):
    """Yields, by batches, perturbed inputs and what the model outputs for them."""
    check_model("model", model)
    schedule.check_seed(seed)
    check_count("batch_size", batch_size)
    x, y = _checked_samples(x, y, attack)
    _check_shape(model, x)
    output = model(x[:1], training=False)
    check_classes("model", output, "y", y)
    activation = final_activation(model)

    def run(x, y, seed):
        def error(x):
            logits = logits_of(model(x, training=False), "auto", activation)
            logits = tf.cast(logits, "float32")
            return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))

        perturbed = attack.perturb(x, error, seed)
        return perturbed, model(perturbed, training=False)

    run = tf.function(run, autograph=False).get_concrete_function(
        tf.TensorSpec((None, *x.shape[1:]), x.dtype),
        tf.TensorSpec((None,), "int64"),
        tf.TensorSpec((2,), "int32"),
    )
    for start in range(0, len(x), batch_size):
        part = slice(start, start + batch_size)
        inputs = (x[part], y[part], np.array([seed, start], "int32"))
        found = run(*map(tf.constant, inputs))
        yield tuple(tensor.numpy() for tensor in found)


def _checked_samples(x, y, attack):
    x = check_samples("x", x, "a floating point array of inputs, of shape (samples, ...)")
    check_is_attackable(x)
    check_finite("x", [x])
    y = class_array("y", y)
    if len(y) != len(x):
        raise ValueError(
            f"y must have a class for each of the {len(x)} samples of x. Received: y={shown(y)}"
        )
    if bool(tf.reduce_any(attack.leaves_range(tf.constant(x)))):
        raise ValueError(
            "bounds must be the range of the inputs, and x leaves it. Received: "
            f"bounds={shown(attack.bounds)}, and x from {x.min()} to {x.max()}"
        )
    return x, y


def _check_shape(model, x):
    known = keras.tree.flatten(symbolic(model, "input"))
    shapes = [tuple(each.shape) for each in known if each is not None]
    if shapes and not same_shapes(shapes, [x.shape]):
        raise ValueError(
            "x must be the one input of the model, which takes inputs of shape "
            f"{', '.join(map(str, shapes))}. Received: x={shown(x)}"
        )
