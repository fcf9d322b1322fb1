"""What is left after compression is a plain model."""

import json
import zipfile

import keras
import numpy as np
import pytest

from keras_distill.compression import cluster, prune, strip
from keras_distill.tflite import export_tflite
from tests.compression.models import MODELS, crossentropy, data, sequential

layers = keras.layers
COMPRESSIONS = {
    "half": lambda student: prune(student, 0.5, end_step=3),
    "2:4": lambda student: prune(student, pattern="2:4"),
    "clustered": lambda student: cluster(student, 4),
}


def trained(name, compression):
    student = MODELS[name]()
    compressed = COMPRESSIONS[compression](student)
    x, y = data(student)
    # Each optimizer step moves what is masked too, until the next one.
    compressed.compile("adam", crossentropy(), run_eagerly=True)
    compressed.fit(x, y, batch_size=16, verbose=0)
    return compressed, x


@pytest.mark.parametrize(
    ("name", "compression"),
    [("residual", "half"), ("two_inputs", "2:4"), ("residual", "clustered")],
)
def test_it_is_plain_and_computes_the_same(name, compression, tmp_path):
    compressed, x = trained(name, compression)
    plain = strip(compressed)
    expected = compressed.predict(x, verbose=0)
    np.testing.assert_allclose(plain.predict(x, verbose=0), expected, atol=1e-6)
    plain.save(tmp_path / "plain.keras")
    with zipfile.ZipFile(tmp_path / "plain.keras") as archive:
        config = archive.read("config.json").decode()
    assert "keras_distill" not in config and json.loads(config)
    loaded = keras.models.load_model(tmp_path / "plain.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), expected, atol=1e-6)
    for before, after in zip(compressed._flatten_layers(), plain._flatten_layers(), strict=True):
        assert before.name == after.name
        assert type(after).__module__.startswith("keras.")
    kernels = [np.asarray(weight) for weight in plain.weights if weight.name == "kernel"]
    assert len(kernels) == len([w for w in compressed.weights if w.name == "kernel"])
    for kernel in kernels:
        if compression == "clustered":
            assert len(np.unique(kernel)) <= 4
        else:
            share = 0.5 if kernel.shape[-2] % 4 == 0 else 6 / 14
            assert np.mean(kernel == 0) == pytest.approx(share)


def test_a_schedule_that_did_not_end_warns():
    pruned = prune(sequential(), 0.75, end_step=100, layers=["first"])
    pruned(np.zeros((1, 10), "float32"), training=True)
    with pytest.warns(UserWarning, match=r"'first' was trained for 1 steps, .* 75% .* step 100"):
        strip(pruned)


def test_plain_models_are_refused():
    with pytest.raises(ValueError, match="neither pruned nor clustered"):
        strip(sequential())
    with pytest.raises(TypeError, match=r"model must be a keras\.Model\. Received: model='model'"):
        strip("model")


def test_the_file_for_the_device_keeps_two_of_four(tmp_path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    pruned, x = trained("residual", "2:4")
    result = export_tflite(strip(pruned), tmp_path / "model.tflite", "int8", x, target="mcu")
    assert result.lint() == []
    answers = [model.argmax(axis=-1) for model in (result.predict(x), pruned.predict(x, verbose=0))]
    assert np.mean(answers[0] == answers[1]) > 0.9
    file = interpreter.Interpreter(str(result.path))
    file.allocate_tensors()
    kernels = [
        file.get_tensor(detail["index"])
        for detail in file.get_tensor_details()
        if detail["dtype"] == np.int8 and tuple(detail["shape"]) > (1, 99)
    ]
    assert sorted(kernel.size for kernel in kernels) == [24, 64, 288, 576]
    for kernel in kernels:
        assert np.all(np.count_nonzero(kernel.reshape(-1, 4), axis=1) <= 2)
