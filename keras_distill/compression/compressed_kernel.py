"""Base of pruned and clustered layers, and zeros that are kept."""

import keras
from keras import ops


class CompressedKernel:
    """Base of layers that compute with another kernel than the one that they train.

    A subclass comes before a class of Keras. `own_arguments` are the arguments that it adds to that
    class's constructor, and `compressed_as` says in errors what it is.
    """

    own_arguments: tuple[str, ...] = ()

    def save_own_variables(self, store):
        """Saves all variables; the class of Keras would save only the kernel and the bias."""
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        """Loads what `save_own_variables` saved."""
        keras.layers.Layer.load_own_variables(self, store)

    def plain_config(self):
        """Returns the config of the plain layer of Keras that replaces this one in the end."""
        config = self.get_config()
        return {name: config[name] for name in config if name not in self.own_arguments}


def nonzero(kernel):
    """Returns 1 where a kernel isn't zero, and 0 where it is, in the kernel's type.

    A kernel multiplied by this computes the same, and its zeros get no gradient: none of the usual
    optimizers moves them then.

    Args:
        kernel: Tensor.
    """
    return ops.cast(ops.not_equal(kernel, 0), kernel.dtype)


def check_zeros(model, layers):
    """Checks that there are zeros to keep.

    Args:
        model: The `keras.Model`, for the error.
        layers: Layers with a kernel, some of which has zeros.

    Raises:
        ValueError: If none has.
    """
    if not any(bool(ops.any(ops.equal(layer.kernel, 0))) for layer in layers):
        raise ValueError(
            f"The model {model.name!r} has no zeros to keep: train it with compression.prune and "
            "strip it before, or leave keep_zeros out. Received: keep_zeros=True"
        )
