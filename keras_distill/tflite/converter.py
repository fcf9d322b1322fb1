"""The TensorFlow Lite converter, in a process of its own that it may kill."""

import atexit
import contextlib
import json
import os
import pathlib
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time

from keras_distill.tflite import subprocesses

# On macOS a child of a process that has imported as much as this may die for that alone.
_CAN_FORK = sys.platform == "linux"
_SCRIPT = pathlib.Path(__file__).with_name("converter_process.py")
# Seconds that the process waits for the next conversion. It holds some 300 MB of its own meanwhile.
PATIENCE = 10.0


def convert(folder, time_limit):
    """Converts what lies in a folder.

    Importing the converter takes longer than most conversions, so the process that has imported it
    waits for the next one for a while. Each conversion runs in a child of it on Linux, and in a
    process of its own elsewhere.

    Args:
        folder: Folder of a job, as `converter_process` describes it.
        time_limit: Seconds after which the conversion is ended.

    Returns:
        Tuple of the exit status, negative for a signal, and what the converter printed.

    Raises:
        RuntimeError: If the process can't be started, dies or takes too long.
    """
    status = (_waiting.convert if _CAN_FORK else _alone)(folder, time_limit)
    log = folder / "log.txt"
    return status, log.read_text("utf-8", "replace") if log.is_file() else ""


def _alone(folder, time_limit):
    process = _Process(str(folder))
    try:
        return process.wait(time_limit)
    finally:
        process.stop()


class _EndedError(RuntimeError):
    """The process has ended without an answer; the message says how."""


class _Process:
    """The running script.

    Args:
        *arguments: Its arguments.

    Raises:
        RuntimeError: If it can't be started.
    """

    def __init__(self, *arguments):
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by stop)
        # A process with one thread can be forked without fear for what others hold.
        settings = {"TF_CPP_MIN_LOG_LEVEL": "2", "OPENBLAS_NUM_THREADS": "1"}
        try:
            self._popen = subprocess.Popen(
                subprocesses.python(_SCRIPT, *arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                env=subprocesses.environment(**settings),
                # So that an interrupt of the notebook's cell is for the cell alone.
                start_new_session=True,
            )
        except (OSError, TypeError) as error:
            raise RuntimeError(
                f"The process of the converter can't be started with {sys.executable!r}: {error}"
            ) from error
        self.pid = self._popen.pid
        # So that it is no zombie when it has ended by itself.
        threading.Thread(target=self._popen.wait, daemon=True).start()

    def ask(self, folder, time_limit):
        """Sends a job; returns the exit status of its conversion."""
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.write(json.dumps(str(folder)).encode() + b"\n")
        answer, deadline = b"", time.monotonic() + time_limit
        with selectors.DefaultSelector() as selector:
            selector.register(self._popen.stdout, selectors.EVENT_READ)
            while not answer.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise RuntimeError(_too_long(time_limit))
                part = os.read(self._popen.stdout.fileno(), 1024)
                if not part:
                    raise _EndedError(self._ending())
                answer += part
        return json.loads(answer)

    def wait(self, time_limit):
        """Returns the exit status of a process that does one job."""
        try:
            return self._popen.wait(time_limit)
        except subprocess.TimeoutExpired:
            raise RuntimeError(_too_long(time_limit)) from None

    def _ending(self):
        status = self._popen.wait()
        self._errors.seek(0)
        printed = self._errors.read().decode("utf-8", "replace")
        return f"The process of the converter {subprocesses.ending(status, printed)}"

    def stop(self):
        """Ends it, with the child that may be at work."""
        with contextlib.suppress(ProcessLookupError):
            if _CAN_FORK:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                self._popen.kill()
        self._popen.wait()
        self.let_go()

    def let_go(self):
        """Closes its pipes, without which it ends when its owner does."""
        for file in (self._popen.stdin, self._popen.stdout, self._errors):
            file.close()


def _too_long(time_limit):
    return (
        f"The conversion took longer than time_limit={time_limit:g} seconds and was ended: give "
        "fewer samples of representative_data, or a higher time_limit."
    )


class _Waiting:
    """A process that has imported the converter, started when it is first needed."""

    def __init__(self):
        self._lock = threading.Lock()
        self._process = None

    def convert(self, folder, time_limit):
        """Returns the exit status of a conversion, negative for a signal."""
        with self._lock:
            if self._process is not None:
                # It may have ended, as nothing had come for a while.
                with contextlib.suppress(_EndedError):
                    return self._ask(folder, time_limit)
            self._process = _Process("--wait", str(PATIENCE))
            return self._ask(folder, time_limit)

    def _ask(self, folder, time_limit):
        try:
            return self._process.ask(folder, time_limit)
        except BaseException:
            # What it will say belongs to this job, not to the next.
            self._stop()
            raise

    def _stop(self):
        if self._process is not None:
            self._process.stop()
        self._process = None

    def stop(self):
        """Ends the process."""
        with self._lock:
            self._stop()

    def forget(self):
        """Leaves the process to the one that this one was forked from, which may hold the lock."""
        process, self._process = self._process, None
        self._lock = threading.Lock()
        if process is not None:
            process.let_go()


_waiting = _Waiting()


def _leave_to_parent():
    _waiting.forget()


atexit.register(_waiting.stop)
if _CAN_FORK:
    os.register_at_fork(after_in_child=_leave_to_parent)
