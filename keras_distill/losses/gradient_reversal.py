"""Gradient reversal: identity forwards, the negative gradient backwards."""

from keras import ops


def reverse_gradient(tensor, strength=1.0):
    """Returns the tensor, whose gradient is multiplied by `-strength` on its way back.

    What is trained on the result descends a loss, and what gave the tensor ascends it.

    Args:
        tensor: Floating-point tensor.
        strength: Number or scalar tensor.

    Returns:
        Tensor of the same values.

    Reference:
        Ganin & Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", ICML 2015.
    """
    strength = ops.cast(strength, tensor.dtype)
    fixed = ops.stop_gradient(tensor)
    # The difference is 0, and brings the gradient.
    return fixed - strength * (tensor - fixed)
