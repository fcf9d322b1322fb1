"""Python subprocesses, for the parts of the toolchain that may crash."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys

_WHY = {
    "SIGKILL": ", as systems do when memory is short",
    "SIGALRM": ", as it took too long",
}


class ProcessError(RuntimeError):
    """A subprocess can't be started or took too long; the message says what to do."""


def run(target, *arguments, folder, timeout, task, advice, variables=None):
    """Runs a script or a module with this Python, to its end.

    Args:
        target: `pathlib.Path` of a script, or the name of a module. What lies beside a script
            isn't importable by it.
        *arguments: Strings.
        folder: Folder to run it in.
        timeout: Seconds after which it is ended, with the processes that it started.
        task: What it does, for errors: "The conversion".
        advice: What to do where it takes too long.
        variables: Dictionary of environment variables to set. Optional.

    Returns:
        `subprocess.CompletedProcess` with the exit status, negative for a signal, and the text of
        stdout and stderr.

    Raises:
        ProcessError: If it can't be started or takes too long.
    """
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    text = {"text": True, "errors": "replace"}
    process = start(
        target, *arguments, task=task, variables=variables, cwd=folder, **streams, **text
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise took_too_long(task, timeout, advice) from None
    finally:
        if process.returncode is None:
            stop(process)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def start(target, *arguments, task, variables=None, **settings):
    """Starts a script or a module with this Python, which finds what this process finds.

    Args:
        target: `pathlib.Path` of a script, or the name of a module.
        *arguments: Strings.
        task: What it does, for errors.
        variables: Dictionary of environment variables to set. Optional.
        **settings: Arguments of `subprocess.Popen`.

    Returns:
        `subprocess.Popen`.

    Raises:
        ProcessError: If it can't be started.
    """
    script = [str(target)] if isinstance(target, pathlib.Path) else ["-m", target]
    paths = [os.path.abspath(path) for path in sys.path if isinstance(path, str)]
    found = {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
    try:
        return subprocess.Popen(
            [sys.executable, "-P", *script, *arguments],
            env={**os.environ, **found, **(variables or {})},
            # An interrupt of a notebook's cell is for the cell only, and `stop` ends all of it.
            start_new_session=True,
            **settings,
        )
    except (OSError, TypeError) as error:
        raise ProcessError(f"{task} can't be started with {sys.executable!r}: {error}") from error


def stop(process):
    """Ends a process and those that it started.

    Args:
        process: `subprocess.Popen` that `start` returned.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def took_too_long(task, timeout, advice):
    """Returns the error of a process that took too long.

    Args:
        task: What it does.
        timeout: Seconds that it had.
        advice: What to do.
    """
    return ProcessError(f"{task} took longer than {timeout:g} seconds and was ended: {advice}")


def ending(status, printed):
    """Returns how a process ended, in words: "was ended by SIGKILL ...".

    Args:
        status: Its exit status, negative for a signal.
        printed: What it printed.
    """
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    said = f": {'; '.join(lines[-3:])}" if lines else "; it printed nothing"
    if status >= 0:
        return f"ended with exit status {status}{said}"
    name = signal.Signals(-status).name
    return f"was ended by {name}{_WHY.get(name, '')}{said}"
