"""Subprocesses: an end in time, with what they started, and errors that say what to do."""

import os
import pathlib
import signal
import sys
import time

import pytest

from keras_distill.tflite import subprocesses
from keras_distill.tflite.analysis import ethos_u
from keras_distill.tflite.runtime import micro


@pytest.fixture
def run(tmp_path):
    def run(text, *arguments, timeout=60.0):
        script = tmp_path / "script.py"
        script.write_text(text)
        settings = {"task": "The task", "advice": "wait longer.", "folder": tmp_path}
        return subprocesses.run(script, *arguments, timeout=timeout, **settings)

    return run


def test_output_status_and_folder_are_those_of_the_script(run, tmp_path):
    text = "import os, sys; print(os.getcwd(), sys.argv[1]); sys.exit('no')"
    result = run(text, "word")
    assert (result.returncode, result.stderr) == (1, "no\n")
    assert result.stdout == f"{os.path.realpath(tmp_path)} word\n"


def test_a_module_is_run_too(tmp_path):
    settings = {"task": "It", "advice": "", "timeout": 60, "folder": tmp_path}
    assert "usage" in subprocesses.run("json.tool", "--help", **settings).stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_takes_too_long_is_ended_with_its_children(run, tmp_path):
    text = "import os, time\nif not os.fork(): open('pid', 'w').write(str(os.getpid()))\n"
    said = r"^The task took longer than 5 seconds and was ended: wait longer\.$"
    with pytest.raises(subprocesses.ProcessError, match=said):
        run(text + "time.sleep(60)", timeout=5.0)
    stat, deadline = pathlib.Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat"), time.time() + 20
    while stat.is_file() and ") Z" not in stat.read_text() and time.time() < deadline:
        time.sleep(0.05)
    assert not stat.is_file() or ") Z" in stat.read_text()


def test_the_ending_names_signals():
    said = subprocesses.ending(-signal.SIGKILL, "first\n\nlast\n")
    assert said == "was ended by SIGKILL, as systems do when memory is short: first; last"
    assert subprocesses.ending(3, "") == "ended with exit status 3; it printed nothing"


def test_a_python_that_is_not_there_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no_python"))
    with pytest.raises(subprocesses.ProcessError, match=r"The task can't be started with .*no_py"):
        run("")


@pytest.mark.skipif(not micro.is_available(), reason="needs TensorFlow Lite Micro")
def test_tensorflow_lite_micro_has_an_end(int8_cnn, monkeypatch):
    monkeypatch.setattr(micro, "_TIMEOUT_SECONDS", 0.01)
    with pytest.raises(micro.MicroError, match=r"Micro took longer than 0\.01.*fewer samples"):
        micro.minimum_arena(int8_cnn[1].content)


def test_the_compiler_of_the_ethos_u_has_an_end(int8_cnn, monkeypatch):
    pytest.importorskip("ethosu")
    monkeypatch.setattr(ethos_u, "_TIMEOUT_SECONDS", 0.01)
    with pytest.raises(RuntimeError, match=r"Ethos-U took longer than 0\.01.*smaller model"):
        int8_cnn[1].estimate_ethos_u()
