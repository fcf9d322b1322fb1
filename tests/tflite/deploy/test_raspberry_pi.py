import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

LABELS = ["cat", 'a "b"', "c\\d", "naïve"]


@pytest.fixture(scope="module")
def runner(int8_cnn, tmp_path_factory):
    _, result, x = int8_cnn
    folder = tmp_path_factory.mktemp("pi") / "tiny"
    return result.to_raspberry_pi(folder, labels=LABELS, samples=x[:3])


def run(folder, *arguments):
    command = [sys.executable, str(folder / "classify.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def load(folder):
    spec = importlib.util.spec_from_file_location("classify", folder / "classify.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_check_passes_and_names_the_classes(runner, int8_cnn):
    done = run(runner, "--check", "--threads", 2)
    assert done.returncode == 0, done.stderr
    best = int8_cnn[1].predict(int8_cnn[2][:3]).argmax(-1)
    lines = done.stdout.splitlines()
    assert lines[-1] == "PASS"
    for line, index in zip(lines, best, strict=False):
        assert f": {LABELS[index]} " in line and line.endswith(" us")


def test_a_wrong_answer_fails_and_so_does_the_command(int8_cnn, tmp_path):
    _, result, x = int8_cnn
    folder = result.to_raspberry_pi(tmp_path / "tiny", samples=x[:3])
    with np.load(folder / "samples.npz") as stored:
        samples, answers = stored["samples"], stored["answers"]
    answers[1, 0] ^= 64
    np.savez(folder / "samples.npz", samples=samples, answers=answers)
    done = run(folder, "--check")
    assert done.returncode == 1 and done.stdout.splitlines()[-1] == "FAIL: 1 samples differ"


def test_inputs_of_a_file_are_classified(runner, int8_cnn, tmp_path):
    _, result, x = int8_cnn
    np.save(tmp_path / "x.npy", x[:2])
    done = run(runner, tmp_path / "x.npy", "--top", 2)
    assert done.returncode == 0, done.stderr
    order = np.argsort(-result.predict(x[:1])[0], kind="stable")[:2]
    first = done.stdout.splitlines()[0]
    assert first.startswith(f"0: {LABELS[order[0]]} ") and f", {LABELS[order[1]]} " in first
    assert done.stdout.splitlines()[-1].endswith("ms per inference")


def test_wrong_inputs_are_told_in_a_line(runner, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    done = run(runner, tmp_path / "x.npy")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "classify.py: The model takes samples of shape (8, 8, 1), got an array of shape (2, 3)."
    )
    assert run(runner).returncode == 2


@pytest.mark.parametrize("quantization", ["int8", "int16x8", None])
def test_it_answers_as_the_library_does(quantization, perceptron_as, tmp_path):
    result, x = perceptron_as(quantization)
    folder = result.to_raspberry_pi(tmp_path / "tiny", samples=x[:2])
    model = load(folder).Model(folder, threads=1)
    info = result.inputs[0]
    values = np.float32([-1e9, -0.3, 0.3, 0.7, 1e9])
    np.testing.assert_array_equal(model.quantize(values), info.quantize(values))
    step = result.outputs[0].scale or 1e-5
    np.testing.assert_allclose(model.predict(x[:20]), result.predict(x[:20]), atol=2 * step)
    np.testing.assert_allclose(model.predict(x[0]), model.predict(x[:1]))


def test_it_needs_numpy_and_litert_only(runner):
    source = (runner / "classify.py").read_text()
    imports = {line.split()[1].split(".")[0] for line in source.splitlines() if "import " in line}
    foreign = imports - sys.stdlib_module_names
    assert foreign & {"keras", "tensorflow", "keras_distill"} == set()
    assert {"numpy", "ai_edge_litert"} <= foreign
    assert json.loads((runner / "model.json").read_text())["labels"] == LABELS
