"""The process that converts: waits for more, survives a conversion's death, ends with its owner."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from keras_distill.tflite import converter, export_tflite, reused_process
from tests.tflite.conftest import FACTORIES, random_inputs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")

SCRIPT = """
import keras
from keras_distill.tflite import converter, export_tflite
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
export_tflite(model, "model.tflite")
print(converter._reused.process.pid)
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


@pytest.fixture
def own(monkeypatch):
    """A waiting process for one test, that this module's don't share."""
    reused = reused_process.ReusedProcess(converter._SCRIPT, "The process", "The conversion")
    monkeypatch.setattr(converter, "_reused", reused)
    yield reused
    reused.stop()


def use_script(monkeypatch, folder, text):
    script = folder / "script.py"
    script.write_text(text)
    monkeypatch.setattr(converter._reused, "_script", script)


def ended_within(pid, seconds):
    deadline = time.monotonic() + seconds
    while runs(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not runs(pid)


def test_one_process_does_many_conversions_and_nothing_is_printed(model, expected, tmp_path, capfd):
    pid = converter._reused.process.pid
    assert export(model, tmp_path) == expected
    assert converter._reused.process.pid == pid
    assert capfd.readouterr().out == ""


def test_a_process_that_has_ended_is_replaced(model, expected, tmp_path):
    process = converter._reused.process
    os.killpg(process.pid, signal.SIGKILL)
    # Not waited for: it may end just before the next job is sent.
    assert export(model, tmp_path) == expected
    assert converter._reused.process.pid != process.pid


def test_a_job_that_is_interrupted_leaves_no_answer_for_the_next(model, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    pid = converter._reused.process.pid
    monkeypatch.setattr(reused_process.selectors, "DefaultSelector", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export(model, tmp_path)
    assert not runs(pid) and converter._reused.process is None


def test_without_fork_a_conversion_has_its_own_process(model, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(converter._reused, "start", None)
    monkeypatch.setattr(reused_process, "CAN_FORK", False)
    assert export(model, tmp_path) == expected


def test_it_ends_with_the_program_that_started_it(tmp_path):
    command = [sys.executable, "-c", SCRIPT]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended_within(int(result.stdout.split()[-1]), 20)


def test_a_process_that_never_starts_says_why(own, tmp_path, monkeypatch):
    use_script(monkeypatch, tmp_path, "import a_module_that_is_not_there")
    with pytest.raises(RuntimeError, match=r"exit status 1.*No module named 'a_module_that_is"):
        converter.convert(tmp_path, 60)
    use_script(monkeypatch, tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(RuntimeError, match="ended by SIGKILL, as systems do when memory is short"):
        converter.convert(tmp_path, 60)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no_python"))
    with pytest.raises(RuntimeError, match=r"can't be started with .*no_python"):
        converter.convert(tmp_path, 60)


@pytest.mark.parametrize("can_fork", [True, False])
def test_a_conversion_that_takes_too_long_is_ended(can_fork, own, tmp_path, monkeypatch):
    use_script(monkeypatch, tmp_path, "import time; time.sleep(60)")
    monkeypatch.setattr(reused_process, "CAN_FORK", can_fork)
    started = time.monotonic()
    with pytest.raises(
        RuntimeError, match=r"longer than 0\.2 seconds.*representative.*time_limit=0\.2"
    ):
        converter.convert(tmp_path, 0.2)
    assert time.monotonic() - started < 10
    assert own.process is None


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), "60", True, None])
def test_a_time_limit_that_is_none_is_refused(limit, model, tmp_path):
    with pytest.raises(ValueError, match=r"time_limit must be .*Received: time_limit="):
        export_tflite(model, tmp_path / "model.tflite", time_limit=limit)


def test_it_ends_soon_and_is_no_zombie(own, tmp_path, monkeypatch):
    use_script(monkeypatch, tmp_path, "")
    own.start(0.2)
    pid = own.process.pid
    deadline = time.monotonic() + 20
    while pathlib.Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not pathlib.Path(f"/proc/{pid}").exists()


def test_a_process_that_is_forked_while_another_thread_converts_has_its_own(own, tmp_path):
    own.start(60)
    process = own.process
    with own._lock:
        child = os.fork()
        if child == 0:
            free = own._lock.acquire(timeout=5) and own.process is None
            os._exit(0 if free else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert own.process is process and runs(process.pid)


def test_what_is_on_the_path_of_this_process_is_on_its_too(own, tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "only_on_sys_path.py").write_text("")
    answer = "import only_on_sys_path; input(); print(7, flush=True)"
    use_script(monkeypatch, tmp_path, answer)
    monkeypatch.syspath_prepend(str(folder))
    assert converter.convert(tmp_path, 60) == (7, "")


def test_what_lies_beside_the_script_hides_no_module(own, tmp_path, monkeypatch):
    (tmp_path / "metadata.py").write_text("raise RuntimeError('not this one')")
    use_script(monkeypatch, tmp_path, "try:\n import metadata\nexcept ImportError:\n print(3)")
    assert converter.convert(tmp_path, 60) == (3, "")


def test_a_conversion_ends_when_its_owner_is_killed(tmp_path):
    note, task = tmp_path / "pid", tmp_path / "task.py"
    task.write_text(
        "import os, pathlib, time\ndef do(folder):\n"
        f"    pathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n    time.sleep(60)\n"
    )
    command = [sys.executable, str(reused_process._SERVER), str(task), "--wait", "60"]
    server = subprocess.Popen(command, stdin=-1, stdout=-1, bufsize=0)
    server.stdin.write(json.dumps(str(tmp_path)).encode() + b"\n")
    deadline = time.monotonic() + 60
    while not (note.is_file() and note.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    server.stdin.close()
    assert ended_within(int(note.read_text()), 20)
    assert server.wait(20) == 0
    server.stdout.close()
