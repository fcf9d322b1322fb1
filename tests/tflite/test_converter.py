"""The process that converts: waits for more, survives a conversion's death, ends with its owner."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from keras_distill.tflite import converter, export_tflite

from .conftest import FACTORIES, random_inputs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")

SCRIPT = """
import keras
from keras_distill.tflite import converter, export_tflite
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
export_tflite(model, "model.tflite")
print(converter._waiting._process.pid)
"""


@pytest.fixture(scope="module")
def model():
    return FACTORIES["perceptron"]()


def export(model, folder):
    return export_tflite(model, folder / "model.tflite", "int8", random_inputs(model, 20)).content


@pytest.fixture(scope="module")
def expected(model, tmp_path_factory):
    return export(model, tmp_path_factory.mktemp("expected"))


def runs(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat")
    return stat.is_file() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_one_process_does_many_conversions_and_nothing_is_printed(model, expected, tmp_path, capfd):
    pid = converter._waiting._process.pid
    assert export(model, tmp_path) == expected
    assert converter._waiting._process.pid == pid
    assert capfd.readouterr().out == ""


def test_a_process_that_has_ended_is_replaced(model, expected, tmp_path):
    process = converter._waiting._process
    os.killpg(process.pid, signal.SIGKILL)
    # Not waited for: it may end just before the next job is sent.
    assert export(model, tmp_path) == expected
    assert converter._waiting._process.pid != process.pid


def test_a_job_that_is_interrupted_leaves_no_answer_for_the_next(model, tmp_path, monkeypatch):
    class Interrupted:
        def __init__(self, process):
            self._process = process
            self.stdin, self.pid = process.stdin, process.pid
            self.stdout = self

        def poll(self):
            return None

        def readline(self):
            raise KeyboardInterrupt

        def communicate(self):
            return self._process.communicate()

    process = converter._waiting._process
    monkeypatch.setattr(converter._waiting, "_process", Interrupted(process))
    with pytest.raises(KeyboardInterrupt):
        export(model, tmp_path)
    assert process.poll() is not None and converter._waiting._process is None


def test_a_forked_process_starts_its_own(monkeypatch):
    monkeypatch.setattr(converter._waiting, "_owner", -1)
    assert not converter._waiting._is_running()


def test_without_fork_a_conversion_has_its_own_process(model, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(converter._waiting, "convert", None)
    monkeypatch.setattr(converter, "_CAN_FORK", False)
    assert export(model, tmp_path) == expected


def test_it_ends_with_the_program_that_started_it(tmp_path):
    command = [sys.executable, "-c", SCRIPT]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    pid = int(result.stdout.split()[-1])
    deadline = time.monotonic() + 20
    while runs(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs(pid)
