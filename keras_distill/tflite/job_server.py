"""The script that does jobs, each in a child of it, so that a crash ends the job and nothing else.

It imports nothing but what the script of the task does.
"""

import json
import os
import pathlib
import runpy
import select
import signal
import sys
import traceback


def main(task, *arguments):
    """Does what the command line asks for, and ends this process.

    With a folder it is one job. With `--wait` and a number of seconds, the folders of jobs are read
    from the input, a line of JSON each, and the exit status of each is printed; when nothing has
    come for these seconds, or the owner has ended, it is over.

    Args:
        task: Path of a script with the function `do`, which does a job in a folder.
        *arguments: A folder, or `--wait` and a number of seconds.
    """
    do = runpy.run_path(task, run_name=pathlib.Path(task).stem).get("do")
    if arguments[0] != "--wait":
        sys.exit(work(do, pathlib.Path(arguments[0])))
    serve(do, float(arguments[1]))
    # TensorFlow takes seconds to take itself apart.
    sys.stdout.flush()
    os._exit(0)


def work(do, folder):
    """Does a job; what is printed meanwhile, also by C++, goes to `folder/log.txt`.

    Args:
        do: Function that does a job in a folder.
        folder: `pathlib.Path` of it.

    Returns:
        Exit status: 0, or 1 after an error.
    """
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        do(folder)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def serve(do, idle_seconds):
    """Does jobs until there are no more.

    Args:
        do: Function that does a job in a folder.
        idle_seconds: How long to wait for the next.
    """
    while select.select([sys.stdin], [], [], idle_seconds)[0]:
        line = sys.stdin.readline()
        if not line:
            return
        print(json.dumps(_work_in_child(do, pathlib.Path(json.loads(line)))), flush=True)


def _work_in_child(do, folder):
    """Does a job in a child, or ends it when the owner ends; returns the child's exit status."""
    ended, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ended)
        status = work(do, folder)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    os.close(held)
    # Nothing more is asked before the answer: what comes in meanwhile is the end of the input.
    if ended not in select.select([sys.stdin, ended], [], [])[0]:
        os.kill(child, signal.SIGKILL)
    os.close(ended)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
