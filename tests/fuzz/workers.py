"""Runs cases in processes of their own, so that one that dies or hangs is seen."""

import contextlib
import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import traceback

from tests.fuzz.judge import Verdict

_ROOT = pathlib.Path(__file__).parents[2]
_COMMAND = [sys.executable, "-m", "tests.fuzz.workers"]
# Beyond a case's own limit, for a process that doesn't react to its alarm.
_GRACE = 40


def run(cases, on_verdict, shared, seconds_of):
    """Runs cases, in a new process after each that died.

    Args:
        cases: List of `Case`.
        on_verdict: Function that is called with each case and its `Verdict`.
        shared: Folder of files that are made once.
        seconds_of: Function from a case to its time limit.
    """
    left = list(cases)
    while left:
        left = _run_in_process(left, on_verdict, shared, seconds_of)


def _run_in_process(cases, on_verdict, shared, seconds_of):
    """Runs cases in one process, and returns those that it didn't come to."""
    with tempfile.TemporaryFile("w+") as log:
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [*_COMMAND, str(writing), str(shared)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(writing,),
            cwd=_ROOT,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        )
        os.close(writing)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps([(c.call, c.argument, c.value) for c in cases]))
            process.stdin.close()
        with os.fdopen(reading, "rb", buffering=0) as verdicts:
            for index, case in enumerate(cases):
                # The first also waits for TensorFlow.
                limit = seconds_of(case) + _GRACE + (120 if index == 0 else 0)
                if not select.select([verdicts], [], [], limit)[0]:
                    process.kill()
                    process.wait()
                    on_verdict(case, Verdict("hang", f"nothing in {limit} s"))
                    return cases[index + 1 :]
                line = _line_of(verdicts)
                if not line:
                    status = process.wait()
                    log.seek(0)
                    on_verdict(case, Verdict("crash", f"status {status}: {log.read()[-300:]}"))
                    return cases[index + 1 :]
                on_verdict(case, Verdict(**json.loads(line)))
        process.wait()
    return []


def _line_of(pipe):
    # Byte by byte, so that nothing is read ahead of what `select` sees.
    line = b""
    while not line.endswith(b"\n"):
        byte = pipe.read(1)
        if not byte:
            return b""
        line += byte
    return line


def _serve(descriptor, shared):
    from tests.fuzz.calls import CALLS
    from tests.fuzz.cases import Case, try_case

    cases = [Case(*parts) for parts in json.load(sys.stdin)]
    with os.fdopen(descriptor, "w", buffering=1) as verdicts:
        for case in cases:
            try:
                verdict = try_case(CALLS[case.call], case, shared)
            except Exception:
                verdict = Verdict("crash", f"not the call's: {traceback.format_exc()[-800:]}")
            text = verdict.text.encode("ascii", "backslashreplace").decode()
            verdicts.write(json.dumps({"kind": verdict.kind, "text": text}) + "\n")
            verdicts.flush()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), sys.argv[2])
