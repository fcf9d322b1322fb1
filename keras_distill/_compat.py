"""Private names of Keras, TensorFlow and tensorflow-model-optimization, each behind a function.

Everything that may change without notice in another version is in this file. `tests/test_compat.py`
has a test for each name, which fails before anything else does and says what to repair here.

Some private names can't be hidden behind a function: methods of a base class that a class of this
package overrides, and what is set in a script that imports nothing of the package. `ELSEWHERE`
lists them.

Nodes of a graph have no public class either. These attributes of theirs are used: `is_input`,
`operation`, `arguments` with `args`, `kwargs` and `fill_in`, `input_tensors`, `output_tensors` and
`outputs`; in tf_keras `layer`, `call_args`, `call_kwargs` and `outputs`.
"""

import contextlib
import importlib

_TFMOT = "tensorflow_model_optimization.python.core"

# Tuples of where the class is, its private name, and the file that overrides or sets it.
ELSEWHERE = (
    ("keras:Model", "_maybe_symbolic_build", "training/step.py"),
    (
        f"{_TFMOT}.sparsity.keras.pruning_impl:Pruning",
        "_update_mask_sparsity_m_by_n",
        "compression/pruning_schedule.py",
    ),
    (
        "tensorflow.lite:TFLiteConverter",
        "_experimental_disable_per_channel_quantization_for_dense_layers",
        "tflite/converter_process.py",
    ),
)

# What `set_attention` and `return_scores` set on a layer.
ATTENTION_NAMES = ("_compute_attention", "_flash_attention", "_return_attention_scores")


def functional_of(model):
    """Returns the Functional model that holds a model's graph, `None` if there is none.

    Stands on `Sequential._functional` and `Functional._nodes_by_depth`.

    Args:
        model: A `keras.Model` or layer.
    """
    # Not before: what only reads a file needs no Keras.
    import keras

    graph = model._functional if isinstance(model, keras.Sequential) else model
    return graph if hasattr(graph, "_nodes_by_depth") else None


def nodes_of(graph):
    """Returns the nodes of a graph, each after those that it depends on.

    Stands on `Functional._nodes_by_depth`, of Keras 3 and of tf_keras.

    Args:
        graph: Functional model.
    """
    by_depth = graph._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def layer_behind(tensor):
    """Returns the layer, or other operation, that a symbolic tensor is the output of.

    Stands on `KerasTensor._keras_history`, of Keras 3 and of tf_keras.

    Args:
        tensor: Symbolic tensor.
    """
    history = tensor._keras_history
    return getattr(history, "operation", None) or history.layer


def nodes_into(layer):
    """Returns the list of the nodes that call a layer, the first call first.

    Stands on `Operation._inbound_nodes`.

    Args:
        layer: A Keras layer.
    """
    return layer._inbound_nodes


def all_layers(layer, include_self=True):
    """Returns the list of a layer, or model, and all layers nested in it, itself first.

    Stands on `Layer._flatten_layers`. `Model.layers` is public, but lists one level of a model.

    Args:
        layer: A Keras layer or model.
        include_self: Whether the layer itself is in the list.
    """
    return list(layer._flatten_layers(include_self=include_self))


def inner_layers(layer):
    """Returns the list of the layers that a layer, or model, holds directly.

    Stands on `Layer._flatten_layers`.

    Args:
        layer: A Keras layer or model.
    """
    return list(layer._flatten_layers(include_self=False, recursive=False))


def set_own_trainable(layer, value):
    """Sets a layer's `trainable`, and leaves its weights' and its inner layers' as they are.

    Stands on `Layer._trainable`.

    Args:
        layer: A Keras layer or model.
        value: Boolean.
    """
    layer._trainable = value


def kernel_variable(layer):
    """Returns the variable of a layer's kernel, which its property `kernel` may compute with.

    Stands on `_kernel` of `Dense` and the convolutions.

    Args:
        layer: A built `Dense` or convolution.
    """
    return layer._kernel


def tf_variable(variable):
    """Returns the `tf.Variable` in a Keras variable.

    Stands on `Variable._value`. `Variable.value` is public, but casts under mixed precision.

    Args:
        variable: `keras.Variable`.
    """
    return variable._value


def causal_padding(layer):
    """Returns the padding of the inputs that makes a convolution causal, as `ops.pad` takes it.

    Stands on `Conv1D._compute_causal_padding`.

    Args:
        layer: `keras.layers.Conv1D`.
    """
    return layer._compute_causal_padding()


def mask_of(tensor):
    """Returns the Keras mask that a tensor carries, or `None`.

    Stands on the tensor's `_keras_mask`.

    Args:
        tensor: Any tensor.
    """
    return getattr(tensor, "_keras_mask", None)


def set_mask(tensor, mask):
    """Lets a tensor carry a Keras mask.

    Stands on the tensor's `_keras_mask`.

    Args:
        tensor: Any tensor.
        mask: Boolean tensor, or `None`.
    """
    tensor._keras_mask = mask


def logits_under(tensor):
    """Returns the logits that Keras remembers of a softmax's or sigmoid's output, or `None`.

    Stands on the tensor's `_keras_logits`.

    Args:
        tensor: Output of an activation.
    """
    return getattr(tensor, "_keras_logits", None)


def set_logits(tensor, logits):
    """Lets the output of an activation remember the logits under it.

    Stands on the tensor's `_keras_logits`.

    Args:
        tensor: Any tensor.
        logits: Tensor of the same shape.
    """
    tensor._keras_logits = logits


def attention_of(layer):
    """Returns the method that computes attention from queries, keys and values, or `None`.

    Stands on `_compute_attention` of `MultiHeadAttention` and `GroupQueryAttention`, and on its
    arguments `query`, `key`, `value`, `attention_mask` and, in some, `return_attention_scores` and
    `use_causal_mask`.

    Args:
        layer: A Keras layer.
    """
    return getattr(layer, "_compute_attention", None)


def set_attention(layer, function):
    """Sets the function that computes attention in the place of `attention_of(layer)`.

    Stands on `_compute_attention`, as `attention_of`.

    Args:
        layer: A layer with attention.
        function: Function with the arguments and results of `attention_of(layer)`.
    """
    # Past Keras's attribute tracking.
    layer.__dict__["_compute_attention"] = function


def forward_by(layer, function):
    """A layer computes by another function while this context is open.

    Stands on `Layer.__call__`, which looks `call` up in the layer itself.

    Args:
        layer: A Keras layer.
        function: Function with the arguments and results of `layer.call`.
    """
    return _with_attribute(layer, "call", function)


def attention_by(layer, function):
    """A layer computes attention by another function while this context is open.

    Stands on `_compute_attention`, as `attention_of`.

    Args:
        layer: A layer with attention.
        function: As for `set_attention`.
    """
    return _with_attribute(layer, "_compute_attention", function)


@contextlib.contextmanager
def _with_attribute(layer, name, value):
    before = dict(vars(layer))
    # Past Keras's attribute tracking.
    layer.__dict__[name] = value
    try:
        yield
    finally:
        del layer.__dict__[name]
        layer.__dict__.update({key: before[key] for key in (name,) if key in before})


def return_scores(layer):
    """Makes an attention layer compute its scores, which a fused kernel would skip.

    Stands on `_flash_attention` and `_return_attention_scores` of the attention layers.

    Args:
        layer: A layer with attention.
    """
    layer.__dict__.update({"_flash_attention": False, "_return_attention_scores": True})


def compiled_loss(model):
    """Returns the loss that `compile` was given, as Keras holds it, or `None`.

    Stands on `Trainer._compile_loss`.

    Args:
        model: A `keras.Model`.
    """
    return model._compile_loss


def compiled_metrics(model):
    """Returns the one metric in which Keras holds the metrics of `compile`, or `None`.

    Stands on `Trainer._compile_metrics`.

    Args:
        model: A `keras.Model`.
    """
    return model._compile_metrics


def loss_tracker(model):
    """Returns the metric that Keras reports as `loss`.

    Stands on `Trainer._loss_tracker`.

    Args:
        model: A compiled `keras.Model`.
    """
    return model._loss_tracker


def metrics_by_output(compiled):
    """Returns the metrics of `compile`, and the weighted ones, a list with one entry per output.

    Stands on `CompileMetrics._flat_metrics` and `CompileMetrics._flat_weighted_metrics`, whose
    entries have `metrics`, or are `None`.

    Args:
        compiled: Result of `compiled_metrics`, built.
    """
    return compiled._flat_metrics, compiled._flat_weighted_metrics


def flat_by_output(compiled, structure):
    """Returns labels or outputs as a list, in the order of `metrics_by_output`.

    Stands on `CompileMetrics._flatten_y`.

    Args:
        compiled: Result of `compiled_metrics`, built.
        structure: Labels or outputs.
    """
    return compiled._flatten_y(structure)


def pruning_class():
    """Returns the class of tensorflow-model-optimization that prunes a kernel.

    Stands on the private module `pruning_impl`. Import `tensorflow_model_optimization` with
    `keras_distill.compression.tfmot.require` before.
    """
    return importlib.import_module(f"{_TFMOT}.sparsity.keras.pruning_impl").Pruning


def centroid_initializers():
    """Returns the class of tensorflow-model-optimization that chooses first centroids.

    Stands on the private module `clustering_centroids`. Import `tensorflow_model_optimization`
    with `keras_distill.compression.tfmot.require` before.
    """
    module = importlib.import_module(f"{_TFMOT}.clustering.keras.clustering_centroids")
    return module.CentroidsInitializerFactory


def start_at_epoch(model, epoch):
    """Lets a `fit` that has begun start at a later epoch, as `BackupAndRestore` does.

    Stands on `Trainer._initial_epoch`.

    Args:
        model: `keras.Model` whose `fit` calls `on_train_begin`.
        epoch: Number of epochs that are done.
    """
    model._initial_epoch = epoch
