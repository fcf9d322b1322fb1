"""A subprocess that does jobs in folders, reused since what it imports takes longer than a job."""

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
import weakref

from keras_distill.tflite import subprocesses

# On macOS a child of a process that has imported as much as this may die for that alone.
CAN_FORK = sys.platform == "linux"
# A process with one thread can be forked without fear for what others hold.
VARIABLES = {"TF_CPP_MIN_LOG_LEVEL": "2", "OPENBLAS_NUM_THREADS": "1"}
_SERVER = pathlib.Path(__file__).with_name("job_server.py")
_all: weakref.WeakSet["ReusedProcess"] = weakref.WeakSet()


class EndedError(RuntimeError):
    """The subprocess has ended without an answer; the message says how."""


class ReusedProcess:
    """A subprocess, started when it is first needed, that does each job in a child.

    Args:
        script: `pathlib.Path` of a script with the function `do`, which does a job in a folder.
        title: What it is, for errors: "The process of the converter".
        task: What a job is, for errors: "The conversion".
    """

    def __init__(self, script, title, task):
        self._script, self._title, self._task = script, title, task
        self._lock = threading.Lock()
        self._errors = None
        self.process = None
        _all.add(self)

    def do(self, folder, time_limit, advice, idle_seconds):
        """Does a job.

        Args:
            folder: Folder of the job.
            time_limit: Seconds after which it is ended.
            advice: What to do where it takes too long.
            idle_seconds: How long a subprocess that is started now waits for the next job.

        Returns:
            Exit status of the job, negative for a signal.

        Raises:
            RuntimeError: If the subprocess can't be started, dies or takes too long.
        """
        if not CAN_FORK:
            return subprocesses.run(
                _SERVER,
                str(self._script),
                str(folder),
                folder=folder,
                timeout=time_limit,
                task=self._task,
                advice=advice,
                variables=VARIABLES,
            ).returncode
        with self._lock:
            if self.process is not None:
                # It may have ended, as nothing had come for a while.
                with contextlib.suppress(EndedError):
                    return self._ask(folder, time_limit, advice)
            self.start(idle_seconds)
            return self._ask(folder, time_limit, advice)

    def start(self, idle_seconds):
        """Starts the subprocess.

        Args:
            idle_seconds: How long it waits for the next job.
        """
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by _let_go)
        self.process = subprocesses.start(
            _SERVER,
            str(self._script),
            "--wait",
            str(idle_seconds),
            task=self._title,
            variables=VARIABLES,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
        )
        # So that it is no zombie when it has ended by itself.
        threading.Thread(target=self.process.wait, daemon=True).start()

    def _ask(self, folder, time_limit, advice):
        try:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(json.dumps(str(folder)).encode() + b"\n")
            with selectors.DefaultSelector() as selector:
                selector.register(self.process.stdout, selectors.EVENT_READ)
                if not selector.select(time_limit):
                    raise subprocesses.took_too_long(self._task, time_limit, advice)
            answer = self.process.stdout.readline()
            if not answer:
                raise EndedError(f"{self._title} {self._ending()}")
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


def _stop_all():
    for one in list(_all):
        one.stop()


def _forget_all():
    for one in list(_all):
        one.forget()


atexit.register(_stop_all)
if CAN_FORK:
    os.register_at_fork(after_in_child=_forget_all)
