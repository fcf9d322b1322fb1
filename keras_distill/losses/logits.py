"""What a model's output is - logits or probabilities - and the logits behind it."""

import keras
from keras import ops

from keras_distill._compat import layer_behind, logits_under, nodes_into
from keras_distill.losses.distributions import log_probabilities
from keras_distill.losses.tensors import as_float

# Layers that pass logits or probabilities on as they are.
_PASSES_ON = (
    keras.layers.Identity,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.Reshape,
)


def final_activation(model):
    """Names the activation at the end of a model with symbolic outputs.

    Args:
        model: A `keras.Model`.

    Returns:
        `"softmax"`, `"sigmoid"` or `"linear"` (anything else); `None` for a model whose graph
        isn't known (a subclassed one) or that has several outputs.

    Example:

    ```python
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    assert final_activation(model) == "softmax"
    ```
    """
    activations = output_activations(model)
    return activations[0] if activations is not None and len(activations) == 1 else None


def output_activations(model):
    """Names the activation at the end of each output, in the order of `keras.tree.flatten`.

    Args:
        model: A `keras.Model`.

    Returns:
        List of names as of `final_activation`; `None` for a model whose graph isn't known.
    """
    try:
        outputs = keras.tree.flatten(model.outputs)
    except (AttributeError, ValueError):
        return None
    return [_activation_of(output) for output in outputs]


def _activation_of(tensor):
    return activation_of(layer_behind(tensor))


def activation_of(layer):
    """Names the activation at the end of a layer.

    Args:
        layer: A Keras layer, model or operation.

    Returns:
        As `final_activation`.
    """
    if isinstance(layer, keras.Model):
        return final_activation(layer)
    if isinstance(layer, _PASSES_ON):
        nodes = nodes_into(layer)
        return _activation_of(nodes[-1].input_tensors[0]) if nodes else None
    if isinstance(layer, keras.layers.TimeDistributed):
        layer = layer.layer
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    activation = getattr(layer, "activation", None)
    name = getattr(activation, "__name__", type(layer).__name__).lower()
    return name if name in ("softmax", "sigmoid") else "linear"


def remembered_logits(output):
    """Returns the logits under a softmax or sigmoid, where Keras or the graph remembers them.

    Args:
        output: Tensor that a model returned.

    Returns:
        Tensor of the same shape, or `None`.
    """
    logits = logits_under(output)
    if logits is None:
        operation = getattr(output, "op", None)
        if getattr(operation, "type", None) in ("Softmax", "Sigmoid"):
            logits = operation.inputs[0]
    return logits if logits is not None and len(logits.shape) == len(output.shape) else None


def logits_of(output, from_logits="auto", output_activation=None):
    """Returns logits for a model's output, whether it is logits or probabilities.

    Args:
        output: Tensor of shape `(batch, ..., classes)`.
        from_logits: `True` takes the output as logits, `False` as probabilities. `"auto"` finds
            the logits under a softmax where Keras or the TensorFlow graph remembers them.
        output_activation: The activation that the output is known to have: `"softmax"`,
            `"sigmoid"`, or anything else for logits. It is what `"auto"` goes by where nothing
            remembers; `False` takes probabilities of exclusive classes, unless it is `"sigmoid"`.

    Returns:
        Tensor of the same shape: the logits, or log-probabilities, which are logits up to a
        constant per row.
    """
    if from_logits is True:
        return output
    if from_logits == "auto":
        remembered = remembered_logits(output)
        if remembered is not None:
            return remembered
        if output_activation not in ("softmax", "sigmoid"):
            return ops.convert_to_tensor(output)
    log_on = log_probabilities(output)
    if output_activation != "sigmoid":
        return log_on
    return log_on - log_probabilities(1.0 - as_float(output))
