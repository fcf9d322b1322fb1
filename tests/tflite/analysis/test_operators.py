"""The table of operators and types, against the interpreter and the files that need it."""

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema_module

from keras_distill.tflite import TFLiteModel, export_tflite
from keras_distill.tflite.analysis import operators, schema
from keras_distill.tflite.analysis.lint import lint
from keras_distill.tflite.runtime import micro
from tests.tflite.changes import changed

X = np.random.default_rng(0).random((60, 8)).astype("float32")
FLOAT_ONLY = {
    "softplus": (keras.layers.Activation("softplus"), "EXP"),
    "mish": (keras.layers.Activation("mish"), "EXP"),
    "exp": (keras.ops.exp, "EXP"),
    "log": (lambda x: keras.ops.log(x + 1.5), "LOG"),
    "sqrt": (keras.ops.sqrt, "SQRT"),
}


@pytest.fixture(scope="module")
def float_only(tmp_path_factory):
    """One int8 file for phones with all of `FLOAT_ONLY`, an output each."""
    inputs = keras.Input((8,))
    outputs = [function(inputs) for function, _ in FLOAT_ONLY.values()]
    model = keras.Model(inputs, outputs)
    return export_tflite(model, tmp_path_factory.mktemp("float") / "m.tflite", "int8", X)


def types_refused(graph, target):
    found = [f for f in lint(graph, target, "int8") if f.code == "unsupported-type"]
    assert all(f.severity == "error" and "float32 only, not on int8" in f.message for f in found)
    return {f.where.split()[0] for f in found}


@pytest.mark.parametrize("target", ["mcu", "arduino"])
def test_operators_that_take_float_only_are_found_in_an_int8_file(float_only, target):
    assert types_refused(float_only.graph, target) == {"EXP", "LOG", "SQRT"}
    assert float_only.lint() == []


@pytest.mark.skipif(not micro.is_available(), reason="needs TensorFlow Lite Micro")
def test_the_interpreter_refuses_the_types_that_the_table_refuses(float_only):
    with pytest.raises(micro.MicroError, match=r"INT8 != FLOAT32") as refused:
        micro.run_once(float_only.content)
    name, number = refused.value.node
    assert float_only.graph.operators[number].name == name in ("EXP", "LOG", "SQRT")


def test_what_is_found_names_the_way_out(float_only):
    found = lint(float_only.graph, "mcu", "int8")
    by_operator = {finding.where.split()[0]: str(finding) for finding in found}
    assert "relu, silu or hard_silu" in by_operator["EXP"]
    assert "quantization=None" in by_operator["SQRT"]


def test_in_float_they_run(tmp_path):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.ops.sqrt(FLOAT_ONLY["softplus"][0](inputs)))
    result = export_tflite(model, tmp_path / "m.tflite", target="arduino")
    assert {"EXP", "LOG", "SQRT"} <= set(result.operators) and result.lint() == []


@pytest.mark.skipif(not micro.is_available(), reason="needs TensorFlow Lite Micro")
def test_what_only_the_interpreter_finds_is_refused_by_layer(tmp_path):
    inputs = keras.Input((8,))
    branches = [keras.layers.Dense(2, activation="relu")(inputs) for _ in range(11)]
    model = keras.Model(inputs, keras.layers.Concatenate()(branches))
    result = export_tflite(model, tmp_path / "phone.tflite")
    assert lint(result.graph, "mcu") == []
    said = r"fails-on-tflm: .*CONCATENATION .*failed to prepare.* \(at CONCATENATION after '.+'\)"
    with pytest.raises(ValueError, match=said):
        export_tflite(model, tmp_path / "board.tflite", target="mcu")
    assert not (tmp_path / "board.tflite").exists()


def test_chirale_has_sixteen_bits_for_fewer_operators(tmp_path):
    stack = [keras.Input((4, 4, 2)), keras.layers.MaxPooling2D(), keras.layers.Flatten()]
    model = keras.Sequential([*stack, keras.layers.Dense(2)])
    x = X[:, :4].repeat(8, axis=1).reshape(60, 4, 4, 2)
    result = export_tflite(model, tmp_path / "m.tflite", "int16x8", x, target="mcu")
    assert result.lint() == []
    found = TFLiteModel(result.path, target="arduino").lint()
    assert [f.where.split()[0] for f in found if f.code == "unsupported-type"] == ["MAX_POOL_2D"]
    assert 'target="mcu"' in next(f.fix for f in found if f.code == "unsupported-type")


def as_custom(content, name):
    """Returns a file in which the first operator is a custom one."""

    def change(model):
        code = schema_module.OperatorCodeT()
        code.builtinCode = schema_module.BuiltinOperator.CUSTOM
        code.deprecatedBuiltinCode, code.version = code.builtinCode, 1
        code.customCode = name
        operator = model.subgraphs[0].operators[0]
        operator.opcodeIndex = len(model.operatorCodes)
        operator.builtinOptions, operator.builtinOptionsType = None, 0
        model.operatorCodes.append(code)

    return changed(content, change)


def test_operators_for_signals_are_known_where_they_are_there(int8_cnn):
    graph = schema.parse(as_custom(int8_cnn[1].content, "SignalRfft"))
    assert graph.operators[0].is_custom and lint(graph, "mcu") == []
    [on_phone], [on_chirale] = lint(graph, "mobile"), lint(graph, "arduino")
    assert (on_phone.code, on_chirale.code) == ("custom-operator", "unsupported-operator")
    assert 'target="mcu"' in on_phone.fix and 'target="mcu"' in on_chirale.fix
    unknown = schema.parse(as_custom(int8_cnn[1].content, "SignalOfMine"))
    assert [lint(unknown, t)[0].code for t in ("mobile", "mcu")] == ["custom-operator"] * 2


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("SignalFftAutoScale", "AddFftAutoScale"),
        ("SignalPCAN", "AddPCAN"),
        ("CIRCULAR_BUFFER", "AddCircularBuffer"),
        ("TFLM_DECODE", "AddDecode"),
        ("TFLite_Detection_PostProcess", "AddDetectionPostprocess"),
    ],
)
def test_custom_operators_are_added_by_methods_of_their_own(name, method):
    assert operators.resolver_method(name) == method


def test_the_libraries_have_what_was_read_in_their_sources():
    newer = {"REVERSE_V2", "REDUCE_MIN", "REDUCE_ALL", "DYNAMIC_UPDATE_SLICE", "BATCH_MATMUL"}
    lacking = set(operators.MICRO) - set(operators.ARDUINO)
    of_signals = {name for name in lacking if name.startswith("Signal")}
    assert lacking - of_signals == newer | {"EMBEDDING_LOOKUP", "TFLM_DECODE"}
    assert len(of_signals) == 14
    assert set("SLICE DIV SUM SELECT_V2 SQUARED_DIFFERENCE WHILE".split()) <= set(operators.ARDUINO)
    assert [len(table) for table in (operators.MICRO, operators.ARDUINO, operators.HARVARD)] == [
        117,
        96,
        58,
    ]
    assert operators.MICRO["EXP"] == ("float32",) and operators.MICRO["RESHAPE"] is None


@pytest.mark.skipif(not micro.is_available(), reason="needs TensorFlow Lite Micro")
@pytest.mark.parametrize(
    ("layer", "name", "target"),
    [
        (keras.layers.Lambda(lambda x: x / (1.5 + keras.ops.abs(x))), "DIV", "arduino"),
        (keras.layers.Lambda(lambda x: keras.ops.sum(x, -1, keepdims=True)), "SUM", "arduino"),
        (keras.layers.Lambda(lambda x: keras.ops.min(x, -1, keepdims=True)), "REDUCE_MIN", "mcu"),
    ],
)
def test_operators_that_were_refused_run(tmp_path, layer, name, target):
    model = keras.Sequential([keras.Input((8,)), layer])
    result = export_tflite(model, tmp_path / "m.tflite", "int8", X, target=target)
    assert name in result.operators and result.lint() == []
    raw = micro.run(result.content, result.graph, result.quantize_inputs(X[:20]))[0]
    error = np.abs(result.outputs[0].dequantize(raw) - model(X[:20])).max()
    assert error < 3 * result.outputs[0].scale
