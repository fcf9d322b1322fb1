"""Canaries: one test for each private name of Keras, TensorFlow and tfmot that `_compat` uses.

Where one fails after an update, read its message: it names the function of `_compat` to repair, and
nothing else in the package has to change.
"""

import ast
import contextlib
import importlib
import inspect
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_distill
from keras_distill import _compat
from keras_distill.compression.tfmot import require

PACKAGE = pathlib.Path(keras_distill.__file__).parent
# Of Python's own classes and modules.
PYTHON = {"_exit", "_fields", "_replace", "_asdict"}


@contextlib.contextmanager
def canary(function, names):
    """Says what to do where a private name is gone or does something else."""
    try:
        yield
    except Exception as error:
        raise AssertionError(
            f"keras_distill._compat.{function} stands on the private name {names}, which is gone "
            f"or does something else in keras {keras.__version__} and tensorflow {tf.__version__}: "
            f"find what took its place and change that one function. {error!r}"
        ) from error


def small_model():
    """Returns a Functional model with two inputs, a nested model and two outputs."""
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((4,), name="b")}
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="dense")], name="inner")
    added = keras.layers.Add(name="added")([inner(inputs["a"]), inputs["b"]])
    outputs = [keras.layers.Dense(3, "softmax", name="head")(added), added]
    return keras.Model(inputs, outputs)


def test_functional_of():
    model = small_model()
    inner = model.get_layer("inner")
    with canary("functional_of", "Sequential._functional, Functional._nodes_by_depth"):
        assert _compat.functional_of(model) is model
        assert isinstance(_compat.functional_of(inner), keras.Model)
        assert _compat.functional_of(inner) is not inner
        assert _compat.functional_of(keras.Sequential()) is None
        assert _compat.functional_of(keras.layers.Dense(2)) is None


def test_nodes_of():
    model = small_model()
    with canary("nodes_of", "Functional._nodes_by_depth, and the attributes of nodes"):
        nodes = _compat.nodes_of(model)
        names = [node.operation.name for node in nodes]
        assert sorted(names) == ["a", "added", "b", "head", "inner"]
        assert names.index("a") < names.index("inner") < names.index("added") < names.index("head")
        assert {node.operation.name for node in nodes if node.is_input} == {"a", "b"}
        added = nodes[names.index("added")]
        assert [id(tensor) for tensor in added.output_tensors] == [id(model.outputs[1])]
        assert [id(tensor) for tensor in added.outputs] == [id(model.outputs[1])]
        assert len(added.input_tensors) == 2
        assert added.arguments.args == (added.input_tensors,)
        assert added.arguments.kwargs == {}
        known = {id(tensor): index for index, tensor in enumerate(added.input_tensors)}
        assert added.arguments.fill_in(known) == (([0, 1],), {})


def test_nodes_of_tf_keras():
    tf_keras = require("tf_keras")
    inputs = tf_keras.Input((4,), name="a")
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(2, name="head")(inputs))
    with canary("nodes_of", "Functional._nodes_by_depth of tf_keras, and the attributes of nodes"):
        first, head = _compat.nodes_of(model)
        assert first.is_input and not head.is_input
        assert head.layer is model.get_layer("head")
        assert head.call_args[0] is model.inputs[0]
        assert head.call_kwargs == {}
        assert head.outputs is model.outputs[0]
    with canary("layer_behind", "_keras_history of tf_keras"):
        assert _compat.layer_behind(model.outputs[0]) is head.layer


def test_layer_behind():
    model = small_model()
    with canary("layer_behind", "KerasTensor._keras_history"):
        assert _compat.layer_behind(model.outputs[0]) is model.get_layer("head")
        assert _compat.layer_behind(model.inputs[0]) is model.get_layer("a")


def test_nodes_into():
    layer = keras.layers.Flatten()
    with canary("nodes_into", "Operation._inbound_nodes"):
        assert _compat.nodes_into(layer) == []
        inputs = keras.Input((2, 2))
        layer(inputs)
        [node] = _compat.nodes_into(layer)
        assert node.input_tensors[0] is inputs


def test_all_layers_and_inner_layers():
    class Block(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.first = keras.layers.Dense(2, name="first")
            self.more = [keras.Sequential([keras.layers.Dense(2, name="deep")], name="more")]

    block = Block()
    with canary("all_layers", "Layer._flatten_layers"):
        names = [layer.name for layer in _compat.all_layers(block)]
        assert names[0] == "block"
        assert sorted(names[1:]) == ["deep", "first", "more"]
        without = [layer.name for layer in _compat.all_layers(block, include_self=False)]
        assert without == names[1:]
    with canary("inner_layers", "Layer._flatten_layers"):
        assert [layer.name for layer in _compat.inner_layers(block)] == ["first", "more"]


def test_set_own_trainable():
    model = small_model()
    with canary("set_own_trainable", "Layer._trainable"):
        _compat.set_own_trainable(model, False)
        assert model.trainable is False and model.trainable_weights == []
        assert model.get_layer("head").trainable
        model.trainable = True
        assert len(model.trainable_weights) == 4


@pytest.mark.parametrize(
    "layer",
    [keras.layers.Dense(2), keras.layers.Conv1D(2, 1), keras.layers.Conv2D(2, 1)],
    ids=lambda layer: type(layer).__name__,
)
def test_kernel_variable(layer):
    layer.build((None, 4, 4, 3)[: 4 if isinstance(layer, keras.layers.Conv2D) else 3])
    with canary("kernel_variable", f"{type(layer).__name__}._kernel"):
        assert _compat.kernel_variable(layer) is layer.weights[0]
        assert isinstance(_compat.kernel_variable(layer), keras.Variable)


def test_tf_variable():
    variable = keras.Variable([1.0, 2.0])
    with canary("tf_variable", "Variable._value"):
        assert isinstance(_compat.tf_variable(variable), tf.Variable)
        _compat.tf_variable(variable).assign([3.0, 4.0])
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), [3.0, 4.0])


def test_causal_padding():
    layer = keras.layers.Conv1D(2, 3, padding="causal", dilation_rate=2)
    with canary("causal_padding", "Conv1D._compute_causal_padding"):
        padded = keras.ops.pad(np.ones((1, 5, 1)), _compat.causal_padding(layer))
        np.testing.assert_array_equal(padded[0, :, 0], [0, 0, 0, 0, 1, 1, 1, 1, 1])


def test_mask_of_and_set_mask():
    masked = keras.layers.Masking()(np.array([[[1.0], [0.0]]]))
    with canary("mask_of", "_keras_mask"):
        np.testing.assert_array_equal(_compat.mask_of(masked), [[True, False]])
        assert _compat.mask_of(keras.ops.ones(2)) is None
    with canary("set_mask", "_keras_mask"):
        tensor = keras.ops.convert_to_tensor([[3.0], [4.0]])
        _compat.set_mask(tensor, keras.ops.convert_to_tensor([True, False]))
        loss = keras.losses.MeanAbsoluteError()(np.zeros((2, 1)), tensor)
        assert float(loss) == 3.0


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_logits_under(activation):
    logits = keras.ops.convert_to_tensor([[1.0, 2.0]])
    with canary("logits_under", "_keras_logits"):
        output = keras.activations.get(activation)(logits)
        np.testing.assert_array_equal(_compat.logits_under(output), logits)
        assert _compat.logits_under(logits) is None
    with canary("set_logits", "_keras_logits"):
        copy = keras.ops.stop_gradient(output)
        _compat.set_logits(copy, logits)
        np.testing.assert_array_equal(_compat.logits_under(copy), logits)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.MultiHeadAttention(2, 4, flash_attention=None),
        keras.layers.GroupQueryAttention(4, 2, 1),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_attention(layer):
    x = np.random.default_rng(0).normal(size=(1, 3, 8)).astype("float32")
    expected = layer(x, x)
    original = _compat.attention_of(layer)
    seen = []

    def attention(*args, **kwargs):
        bound = inspect.signature(original).bind(*args, **kwargs)
        bound.apply_defaults()
        if "return_attention_scores" in bound.arguments:
            bound.arguments["return_attention_scores"] = True
        _compat.return_scores(layer)
        output, scores = original(*bound.args, **bound.kwargs)
        assert "attention_mask" in bound.arguments
        seen.append((*(bound.arguments[name] for name in ("query", "key", "value")), scores))
        return output, scores

    with canary("set_attention and return_scores", ", ".join(_compat.ATTENTION_NAMES)):
        before = dict(vars(layer))
        assert hasattr(layer, "_flash_attention")
        _compat.set_attention(layer, attention)
        np.testing.assert_allclose(layer(x, x), expected, atol=1e-6)
        [(query, key, value, scores)] = seen
        assert query.shape[:2] == key.shape[:2] == value.shape[:2] == (1, 3)
        np.testing.assert_allclose(keras.ops.sum(scores, axis=-1), np.ones((1, 2, 3)), atol=1e-6)
        changed = {name for name in vars(layer) if vars(layer)[name] is not before.get(name, seen)}
        assert changed <= set(_compat.ATTENTION_NAMES)


def test_forward_by():
    layer = keras.layers.ReLU()
    with canary("forward_by", "Layer.__call__"):
        with _compat.forward_by(layer, lambda x: x + 1):
            np.testing.assert_array_equal(layer(np.ones(2)), [2, 2])
        np.testing.assert_array_equal(layer(np.ones(2)), [1, 1])
        assert "call" not in vars(layer)


def test_attention_by():
    layer = keras.layers.MultiHeadAttention(2, 4)
    x = np.random.default_rng(0).normal(size=(1, 3, 8)).astype("float32")
    expected, original = layer(x, x), _compat.attention_of(layer)

    def without_values(*args, **kwargs):
        output, scores = original(*args, **kwargs)
        return 0 * output, scores

    with canary("attention_by", ", ".join(_compat.ATTENTION_NAMES)):
        with _compat.attention_by(layer, without_values):
            assert np.abs(layer(x, x) - expected).max() > 1e-3
        np.testing.assert_allclose(layer(x, x), expected, atol=1e-6)
        assert "_compute_attention" not in vars(layer)


def test_attention_of_other_layers():
    assert _compat.attention_of(keras.layers.Dense(2)) is None


def compiled_model():
    """Returns a model with two outputs that has been trained for a step, and its labels."""
    model = small_model()
    model.compile(
        loss=["sparse_categorical_crossentropy", "mse"],
        metrics=[["accuracy"], []],
        weighted_metrics=[[], ["mae"]],
    )
    x = {name: np.ones((2, 4), "float32") for name in "ab"}
    y = [np.array([0, 1]), np.zeros((2, 4))]
    model.fit(x, y, verbose=0)
    return model, x, y


def test_compiled():
    model, x, y = compiled_model()
    with canary("compiled_loss", "Trainer._compile_loss"):
        output = model(x)
        total = _compat.compiled_loss(model)(y, output, None)
        assert np.isfinite(float(total))
    with canary("loss_tracker", "Trainer._loss_tracker"):
        assert _compat.loss_tracker(model) is model.metrics[0]
    with canary("compiled_metrics", "Trainer._compile_metrics"):
        compiled = _compat.compiled_metrics(model)
        assert compiled in model.metrics and compiled.built
    with canary("metrics_by_output", "_flat_metrics, _flat_weighted_metrics"):
        plain, weighted = _compat.metrics_by_output(compiled)
        names = [[m.name for m in each.metrics] if each else [] for each in (*plain, *weighted)]
        assert names == [["accuracy"], [], [], ["mae"]]
    with canary("flat_by_output", "CompileMetrics._flatten_y"):
        assert list(map(id, _compat.flat_by_output(compiled, output))) == list(map(id, output))


def test_not_compiled():
    model = small_model()
    model.compile()
    with canary("compiled_loss and compiled_metrics", "_compile_loss, _compile_metrics"):
        assert _compat.compiled_loss(model) is None
        assert _compat.compiled_metrics(model) is None


def test_start_at_epoch():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    starting = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: _compat.start_at_epoch(model, 2)
    )
    with canary("start_at_epoch", "_initial_epoch"):
        history = model.fit(np.ones((4, 2)), np.ones(4), epochs=3, callbacks=[starting], verbose=0)
        assert history.epoch == [2]


def test_pruning_class():
    require("tensorflow_model_optimization")
    with canary("pruning_class", "pruning_impl.Pruning of tensorflow-model-optimization"):
        weights = tf.Variable([[1.0, -4.0], [3.0, 2.0]])
        mask, threshold = tf.Variable(tf.ones((2, 2))), tf.Variable(0.0)
        schedules = require("tensorflow_model_optimization").sparsity.keras
        pruning = _compat.pruning_class()(
            lambda: tf.constant(1, "int64"),
            [(weights, mask, threshold)],
            schedules.ConstantSparsity(0.5, 0, frequency=1),
            block_size=(1, 1),
            block_pooling_type="AVG",
            sparsity_m_by_n=None,
        )
        pruning.conditional_mask_update()
        pruning.weight_mask_op()
        np.testing.assert_array_equal(weights.numpy(), [[0.0, -4.0], [3.0, 0.0]])


def test_centroid_initializers():
    kinds = require("tensorflow_model_optimization").clustering.keras.CentroidInitialization
    with canary("centroid_initializers", "CentroidsInitializerFactory"):
        initializer = _compat.centroid_initializers().get_centroid_initializer(kinds.LINEAR)
        found = initializer(tf.constant([[0.0, 1.0, 4.0]]), 3).get_cluster_centroids()
        np.testing.assert_allclose(found, [0.0, 2.0, 4.0])


@pytest.mark.parametrize("where, name, file", _compat.ELSEWHERE)
def test_names_that_are_overridden_or_set_elsewhere(where, name, file):
    module, _, kind = where.partition(":")
    if module.startswith("tensorflow_model_optimization"):
        require("tensorflow_model_optimization")
    if module == "tensorflow.lite":
        found = tf.lite.TFLiteConverter([], None)
    else:
        found = getattr(importlib.import_module(module), kind)
    assert hasattr(found, name), (
        f"{where} has no {name} any more, which keras_distill/{file} overrides or sets: find what "
        "took its place, and change it there and in ELSEWHERE of keras_distill/_compat.py."
    )
    is_used = name in (PACKAGE / file).read_text()
    assert is_used, f"{file} doesn't use {name}: drop it from ELSEWHERE."


def private(name):
    """Says whether a name is private, and no dunder."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


def is_self(node):
    """Says whether an expression is the object of a method."""
    return isinstance(node, ast.Name) and node.id == "self"


def names_defined_in(tree):
    """Returns the names that a file defines: functions, classes, variables and attributes."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


def names_of_compat():
    """Returns the private names that `_compat` uses."""
    tree = ast.parse((PACKAGE / "_compat.py").read_text())
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    strings = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {name for name in names | strings if private(name) and name.isidentifier()}


def test_every_private_name_is_in_compat():
    trees = {
        str(path.relative_to(PACKAGE)): ast.parse(path.read_text())
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "_compat.py"
    }
    theirs = names_of_compat()
    defined = {file: names_defined_in(tree) for file, tree in trees.items()}
    own = set().union(*defined.values()) - theirs | PYTHON
    elsewhere = {(file, name) for _, name, file in _compat.ELSEWHERE}
    found = []
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and private(node.attr):
                name = node.attr
                is_own = name in own or (is_self(node.value) and name in defined[file])
            elif isinstance(node, ast.Constant) and node.value in theirs:
                name, is_own = node.value, False
            elif isinstance(node, ast.ImportFrom) and "python.core" in (node.module or ""):
                name, is_own = node.module, False
            else:
                continue
            if not is_own and (file, name) not in elsewhere:
                found.append(f"keras_distill/{file}:{node.lineno} {name}")
    assert not found, (
        "Private names of Keras, TensorFlow or tensorflow-model-optimization outside of "
        "keras_distill/_compat.py; give each a function there and a test here: " + ", ".join(found)
    )
