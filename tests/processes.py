"""Processes that begin with TensorFlow imported, which takes longer than what most of them do."""

import multiprocessing
import os
import pathlib
import signal
import sys
import tempfile
import types
import unittest.mock

# One process imports them, and is copied for each that is asked for. TensorFlow starts its threads
# at the first operation, which none of these makes.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["tensorflow", "keras_distill.distiller", "keras_distill.schemes", "keras_distill.compression"]
)
_BEGIN = """
import os, sys
os.environ.clear()
os.environ.update(environment)
for number, file in enumerate(files, start=1):
    os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
sys.argv = arguments
sys.path[:] = path
exec(compile(code, name, "exec"), {"__name__": "__main__", "__file__": name})
"""


class PythonProcess:
    """A process that runs Python code as a new interpreter would, of the form of `Popen`.

    Args:
        code: The code.
        arguments: Its arguments, texts or paths.
        environment: Variables to add to those of this process.
    """

    def __init__(self, code, arguments=(), environment=None):
        self._folder = tempfile.TemporaryDirectory()
        files = [str(pathlib.Path(self._folder.name, name)) for name in ("stdout", "stderr")]
        given = {
            "code": code,
            "name": "<a test's code>",
            "arguments": ["code", *map(str, arguments)],
            "environment": {**os.environ, **(environment or {})},
            "files": files,
            "path": sys.path,
        }
        self._files = files
        self._process = _CONTEXT.Process(target=exec, args=(_BEGIN, given))
        # The test program itself isn't to be imported there.
        with unittest.mock.patch.dict(sys.modules, {"__main__": types.ModuleType("__main__")}):
            self._process.start()

    @property
    def pid(self):
        """Number of the process."""
        return self._process.pid

    def poll(self):
        """Returns what it ended with, or `None`."""
        return self._process.exitcode

    returncode = property(poll)

    def wait(self):
        """Waits for its end, and returns what it ended with."""
        self._process.join()
        return self.poll()

    def kill(self):
        """Ends it; not by SIGTERM, which a process of a cluster holds back."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    @property
    def stdout(self):
        """What it printed so far."""
        return pathlib.Path(self._files[0]).read_text("utf-8")

    @property
    def stderr(self):
        """What it wrote to the standard error so far."""
        return pathlib.Path(self._files[1]).read_text("utf-8")


def run(code):
    """Runs code to its end, which must be a good one.

    Args:
        code: Python code.
    """
    process = PythonProcess(code)
    try:
        assert process.wait() == 0, process.stderr[-3000:]
    finally:
        process.kill()
