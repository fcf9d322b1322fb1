"""The command line of the benchmarks that train on the tasks of `gain_tasks/`."""

import argparse
import pathlib

RESULTS = pathlib.Path(__file__).parent / "results"


def parser_of(doc, tasks, seeds=3):
    """Returns a parser of the arguments that they share: the task, its data, seeds and folder.

    Args:
        doc: Docstring of the benchmark, whose first line describes it.
        tasks: Names of the tasks that it takes.
        seeds: Number of seeds, if no other is given.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("task", choices=tasks)
    parser.add_argument("--data-dir", help="folder of tensorflow-datasets")
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--work", type=pathlib.Path, default=RESULTS / "gains_work")
    return parser
