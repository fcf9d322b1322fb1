"""The TensorFlow Lite converter in a subprocess, because some models crash it.

The subprocess is reused for some seconds, since importing the converter takes longer than most
conversions.
"""

import atexit
import contextlib
import json
import os
import pathlib
import selectors
import subprocess
import sys
import tempfile
import threading

from keras_distill.tflite import subprocesses

# On macOS a child of a process that has imported as much as this may die for that alone.
_CAN_FORK = sys.platform == "linux"
_SCRIPT = pathlib.Path(__file__).with_name("converter_process.py")
# How long the subprocess waits for the next conversion. It holds some 300 MB meanwhile.
IDLE_SECONDS = 10.0
_TASK = "The conversion"
# A process with one thread can be forked without fear for what others hold.
_VARIABLES = {"TF_CPP_MIN_LOG_LEVEL": "2", "OPENBLAS_NUM_THREADS": "1"}


def convert(folder, time_limit):
    """Converts what lies in a folder.

    Each conversion runs in a child of the reused subprocess on Linux, and in a subprocess of its
    own elsewhere.

    Args:
        folder: Folder of a job, as `converter_process` describes it.
        time_limit: Seconds after which the conversion is ended.

    Returns:
        Tuple of the exit status, negative for a signal, and what the converter printed.

    Raises:
        RuntimeError: If the subprocess can't be started, dies or takes too long.
    """
    status = (_reused.convert if _CAN_FORK else _convert_once)(folder, time_limit)
    log = folder / "log.txt"
    return status, log.read_text("utf-8", "replace") if log.is_file() else ""


def _convert_once(folder, time_limit):
    return subprocesses.run(
        _SCRIPT,
        str(folder),
        folder=folder,
        timeout=time_limit,
        task=_TASK,
        advice=_advice(time_limit),
        variables=_VARIABLES,
    ).returncode


def _advice(time_limit):
    return (
        "give fewer samples of representative_data, or a higher time_limit. Received: "
        f"time_limit={time_limit:g}"
    )


class _EndedError(RuntimeError):
    """The subprocess has ended without an answer; the message says how."""


class _Reused:
    """A subprocess that has imported the converter, started when it is first needed."""

    def __init__(self):
        self._lock = threading.Lock()
        self._errors = None
        self.process = None

    def convert(self, folder, time_limit):
        """Returns the exit status of a conversion, negative for a signal."""
        with self._lock:
            if self.process is not None:
                # It may have ended, as nothing had come for a while.
                with contextlib.suppress(_EndedError):
                    return self._ask(folder, time_limit)
            self.start()
            return self._ask(folder, time_limit)

    def start(self):
        """Starts the subprocess."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by _let_go)
        self.process = subprocesses.start(
            _SCRIPT,
            "--wait",
            str(IDLE_SECONDS),
            task="The process of the converter",
            variables=_VARIABLES,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
        )
        # So that it is no zombie when it has ended by itself.
        threading.Thread(target=self.process.wait, daemon=True).start()

    def _ask(self, folder, time_limit):
        try:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(json.dumps(str(folder)).encode() + b"\n")
            with selectors.DefaultSelector() as selector:
                selector.register(self.process.stdout, selectors.EVENT_READ)
                if not selector.select(time_limit):
                    raise subprocesses.took_too_long(_TASK, time_limit, _advice(time_limit))
            answer = self.process.stdout.readline()
            if not answer:
                raise _EndedError(f"The process of the converter {self._ending()}")
            return json.loads(answer)
        except BaseException:
            # What it would answer belongs to this job, not to the next.
            self._stop()
            raise

    def _ending(self):
        status = self.process.wait()
        self._errors.seek(0)
        return subprocesses.ending(status, self._errors.read().decode("utf-8", "replace"))

    def stop(self):
        """Ends the subprocess."""
        with self._lock:
            self._stop()

    def _stop(self):
        if self.process is not None:
            subprocesses.stop(self.process)
            self._errors.close()
        self.process = None

    def forget(self):
        """Leaves the subprocess to the process that this one was forked from."""
        # Another thread of that process may have held the lock.
        self._lock = threading.Lock()
        process, self.process = self.process, None
        if process is not None:
            # As long as a pipe is open, the subprocess wouldn't end with its owner.
            for stream in (process.stdin, process.stdout, self._errors):
                stream.close()


_reused = _Reused()


def _forget():
    _reused.forget()


atexit.register(_reused.stop)
if _CAN_FORK:
    os.register_at_fork(after_in_child=_forget)
