"""Processes for the parts of the toolchain that may end their process."""

import os
import signal
import sys


def python(script, *arguments):
    """Returns the command that runs a script with this Python.

    Args:
        script: Path of the script. What lies beside it isn't importable by it.
        *arguments: Strings.
    """
    return [sys.executable, "-P", str(script), *arguments]


def environment(**settings):
    """Returns an environment in which Python finds what this process finds.

    Args:
        **settings: Variables to set beside.
    """
    paths = [os.path.abspath(path) for path in sys.path if isinstance(path, str)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), **settings}


def ending(status, printed):
    """Says how a process ended.

    Args:
        status: Its exit status, negative for a signal.
        printed: What it printed on stderr.
    """
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    said = f": {'; '.join(lines[-3:])}" if lines else "; it printed nothing"
    if status >= 0:
        return f"ended with exit status {status}{said}"
    name = signal.Signals(-status).name
    hint = ", as systems do when memory is short" if -status == signal.SIGKILL else ""
    return f"was ended by {name}{hint}{said}"
