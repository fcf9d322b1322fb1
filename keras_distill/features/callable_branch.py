"""The branch of a function: a teacher of another framework, a `.tflite` file or a service."""

import concurrent.futures
import os
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_distill.arguments import shown, takes
from keras_distill.features.batches import inputs_of, take
from keras_distill.features.branch import Branch, Forward, beyond_tensors
from keras_distill.features.named_arrays import array_of

# What takes the place of a size that isn't known, when the shapes of the outputs are found.
_SAMPLES, _SIZE = 2, 32


class CallableBranch(Branch):
    """A function from a batch to logits, or to a dictionary with logits and named features.

    The function is called once per batch, outside of TensorFlow's graph, with NumPy arrays, and
    gives NumPy arrays or what `numpy.asarray` takes. Of a dictionary, `"logits"` is the output;
    the other keys are features, which losses tap by these names as `teacher_layer_name`. Shapes
    are found by calling it on two samples of zeros.

    Args:
        source: The function.
        name: As for `Branch`.
        input_function: As for `Branch`.
    """

    output_activation = "linear"
    supports_jit = False

    def __init__(self, source, name="teacher", input_function=None):
        super().__init__(source, name, input_function)
        self._paths = []
        # One thread of its own: a step runs in a replica, where Keras's `predict` is refused.
        self._thread = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._shapes = None

    @classmethod
    def accepts(cls, source):
        """Returns whether the source is a function of one argument."""
        of_keras = (
            keras.layers.Layer,
            keras.losses.Loss,
            keras.initializers.Initializer,
            keras.optimizers.schedules.LearningRateSchedule,
        )
        return callable(source) and not isinstance(source, (type, *of_keras)) and takes(source, 1)

    def tap(self, wanted):
        """Remembers the names of the tapped features."""
        names = keras.tree.flatten([layer_name for layer_name, _ in wanted])
        self._paths += [name for name in names if name is not None]

    def check_serves(self, loss):
        """Checks that a loss needs no more of the teacher than tensors of each sample."""
        reason = beyond_tensors(loss)
        if reason is not None:
            raise ValueError(
                f"{type(loss).__name__} {reason}, and this teacher is a function, which gives "
                f"tensors only: give a keras.Model. Received: teacher={shown(self.source)}"
            )

    def forward(self, x, training):
        """Calls the function once on a batch."""
        inputs = take(self.input_function, inputs_of(x), f"{self.name}_input")
        if tf.executing_eagerly():
            return self._forward_of(self._checked(keras.tree.map_structure(np.asarray, inputs)))
        self._find_shapes(inputs)
        _warn_about_threads()
        tensors = [tf.convert_to_tensor(tensor) for tensor in keras.tree.flatten(inputs)]

        def call(*arrays):
            found = self._checked(keras.tree.pack_sequence_as(inputs, list(arrays)))
            return [found[key] for key in self._shapes]

        outputs = tf.numpy_function(call, tensors, [tf.float32] * len(self._shapes))
        is_sized = all(None not in tensor.shape[1:] for tensor in tensors)
        for tensor, shape in zip(outputs, self._shapes.values(), strict=True):
            # Where inputs differ in size from batch to batch, so may features, channels aside.
            *space, channels = shape
            tensor.set_shape((None, *(space if is_sized else [None] * len(space)), channels))
        return self._forward_of(dict(zip(self._shapes, outputs, strict=True)))

    def learn_shapes(self, inputs=None):
        """Finds the shapes by calling the function on zeros."""
        if inputs is not None:
            inputs = take(self.input_function, inputs, f"{self.name}_input")
            self._find_shapes(inputs)
            self.shapes = self._forward_of(
                {key: (None, *shape) for key, shape in self._shapes.items()}
            )

    def _find_shapes(self, inputs):
        """Finds the shape of a sample of each output, once."""
        if self._shapes is not None:
            return
        with tf.init_scope():
            found = self._checked(keras.tree.map_structure(_zeros, inputs))
        self._shapes = {key: array.shape[1:] for key, array in found.items()}

    def _checked(self, inputs):
        """Calls the function; returns a dictionary of arrays, the output as `"logits"`."""
        count = len(keras.tree.flatten(inputs)[0])
        given = keras.tree.map_structure(lambda array: f"{array.dtype} {array.shape}", inputs)
        try:
            found = self._thread.submit(self.source, inputs).result()
        except Exception as error:
            raise ValueError(
                f"The {self.name} failed on a batch: {type(error).__name__}: {error}. It is called "
                f"with NumPy arrays, here {given}. Received: {self.name}={shown(self.source)}"
            ) from error
        found = dict(found) if isinstance(found, dict) else {"logits": found}
        missing = [key for key in ("logits", *self._paths) if key not in found]
        if missing:
            raise ValueError(
                f"The {self.name} must give {missing}, in a dictionary with its logits and the "
                f"features that the losses tap. Received: keys {sorted(map(str, found))}"
            )
        return {key: self._array(key, found[key], count) for key in ("logits", *self._paths)}

    def _array(self, key, value, count):
        array = array_of(f"The {self.name}'s {key!r}", value)
        if array.ndim < 2 or len(array) != count:
            raise ValueError(
                f"The {self.name}'s {key!r} must have a row per sample, shape (batch, ...), for a "
                f"batch of {count}. Received: an array of shape {array.shape}"
            )
        return array.astype("float32")

    def _forward_of(self, found):
        return Forward(found["logits"], {path: found[path] for path in self._paths})


def _warn_about_threads():
    """Warns where a function that itself runs TensorFlow would wait forever for a free thread."""
    if _inter_op_threads() < 2:
        warnings.warn(
            "TensorFlow has one inter-op thread here, and a graph that calls a function keeps it: "
            "a teacher that itself runs TensorFlow, as keras.Model.predict does, would wait for it "
            "forever. For such a teacher compile with run_eagerly=True, or call "
            "tf.config.threading.set_inter_op_parallelism_threads(2) at the start of the program.",
            stacklevel=2,
        )


def _inter_op_threads():
    """Returns how many operations TensorFlow can run at a time; by default one per core."""
    chosen = tf.config.threading.get_inter_op_parallelism_threads()
    chosen = chosen or int(os.environ.get("TF_NUM_INTEROP_THREADS") or 0)
    # Not on every system can one ask which cores a process may use.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return chosen or cores or 1


def _zeros(tensor):
    shape = [_SAMPLES, *(size or _SIZE for size in tensor.shape[1:])]
    return np.zeros(shape, keras.backend.standardize_dtype(tensor.dtype))
