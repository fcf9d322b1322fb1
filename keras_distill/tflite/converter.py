"""The TensorFlow Lite converter, in a process of its own that it may kill."""

import atexit
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

# On macOS a child of a process that has imported as much as this may die for that alone.
_CAN_FORK = sys.platform == "linux"
_SCRIPT = pathlib.Path(__file__).with_name("converter_process.py")


def convert(folder):
    """Converts what lies in a folder.

    Importing the converter takes longer than most conversions, so the process that has imported it
    waits for the next one for a while. Each conversion runs in a child of it on Linux, and in a
    process of its own elsewhere.

    Args:
        folder: Folder of a job, as `converter_process` describes it.

    Returns:
        Tuple of the exit status, negative for a signal, and what the converter printed.
    """
    status = _waiting.convert(folder) if _CAN_FORK else _alone(folder)
    log = folder / "log.txt"
    return status, log.read_text("utf-8", "replace") if log.is_file() else ""


def _alone(folder):
    return _start(str(folder)).wait()


def _start(*arguments):
    return subprocess.Popen(
        [sys.executable, str(_SCRIPT), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # A process with one thread can be forked without fear for what others hold.
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "OPENBLAS_NUM_THREADS": "1"},
        # So that an interrupt of the notebook's cell is for the cell alone.
        start_new_session=True,
    )


class _Waiting:
    """A process that has imported the converter, started when it is first needed."""

    def __init__(self):
        self._lock = threading.Lock()
        self._process = None
        self._owner = None

    def convert(self, folder):
        """Returns the exit status of a conversion, negative for a signal."""
        with self._lock:
            # It may have ended just now, as nothing had come for a while.
            answer = self._ask(folder) or self._ask(folder)
        return json.loads(answer) if answer else -signal.SIGKILL

    def _ask(self, folder):
        """Returns the line that answers a job, or an empty one if the process has ended."""
        if not self._is_running():
            self._process, self._owner = _start(), os.getpid()
        try:
            self._process.stdin.write(json.dumps(str(folder)) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        except BaseException:
            # What it will say belongs to this job, not to the next.
            self._stop()
            raise
        if not answer:
            self._stop()
        return answer

    def _is_running(self):
        # A process that was forked from this one must not read this one's answers.
        if self._process is None or self._owner != os.getpid():
            return False
        return self._process.poll() is None

    def _stop(self):
        if self._process is not None and self._owner == os.getpid():
            with contextlib.suppress(ProcessLookupError):
                # With the child that may be at work.
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
        self._process = None

    def stop(self):
        """Ends the process."""
        with self._lock:
            self._stop()


_waiting = _Waiting()
atexit.register(_waiting.stop)
