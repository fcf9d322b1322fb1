"""How long a step takes beside the step of another version of this package, in one run.

Run: python benchmarks/against.py CHECKOUT [--rounds 15] [--data-dir FOLDER] [--teacher FILE]

CHECKOUT is a folder with the other version, as `git worktree add` makes one. Each version has a
process of its own, which trains the pairs of benchmarks/step_time.py when it is told to, and the
other waits: the two take turns, epoch by epoch, first one and then the other first. Medians of
the rounds' ratios, new to old, and their quartiles. Prints the table; writes nothing.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import step_time

HERE = pathlib.Path(__file__).resolve().parent
CONTESTANTS = (
    "soft targets",
    "one tapped layer",
    "soft targets, from the cache",
    "one tapped layer, from the cache",
)


class Version:
    """A process that trains with the package in one checkout."""

    def __init__(self, checkout, pair, options):
        command = [sys.executable, __file__, str(checkout), "--pair", str(pair)]
        for name in ("data_dir", "teacher"):
            if getattr(options, name):
                command += [f"--{name.replace('_', '-')}", getattr(options, name)]
        path = os.pathsep.join([str(pathlib.Path(checkout).resolve()), str(HERE)])
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )

    def ask(self, question):
        """Sends a line and returns the answer."""
        self._process.stdin.write(f"{question}\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("answer "):
                return line.removeprefix("answer ").strip()
        raise RuntimeError(f"the process of a version ended: {self._process.wait()}")

    def end(self):
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def serve(options):
    """Trains an epoch of the contestant that each line of the standard input names."""
    pair = list(step_time.pairs(options))[options.pair]
    with tempfile.TemporaryDirectory() as folder:
        run = step_time.contestants(pair, folder)
        for line in sys.stdin:
            question = line.strip()
            if question == "name":
                print(f"answer {pair.name}", flush=True)
                continue
            taken = step_time.measure_once(run[question])
            print(f"answer {taken[0]}", flush=True)


def compare(options):
    """Prints the ratios of the epochs, new to old."""
    print("| models | epoch of | new / old | quartiles | seconds, new |\n|---|---|---|---|---|")
    for pair in range(3):
        versions = [Version(HERE.parent, pair, options), Version(options.checkout, pair, options)]
        name = versions[0].ask("name")
        for contestant in CONTESTANTS:
            for version in versions:
                version.ask(contestant)
            ratios, seconds = [], []
            for turn in range(options.rounds):
                order = versions[:: 1 if turn % 2 else -1]
                taken = {id(version): float(version.ask(contestant)) for version in order}
                new, old = (taken[id(version)] for version in versions)
                ratios.append(new / old)
                seconds.append(new)
            low, middle, high = np.percentile(ratios, [25, 50, 75])
            print(
                f"| {name} | {contestant} | {middle:.3f} | {low:.3f} to {high:.3f} | "
                f"{np.median(seconds):.2f} |",
                flush=True,
            )
        for version in versions:
            version.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", help="folder with the other version of the package")
    parser.add_argument("--data-dir", help="folder of tensorflow-datasets")
    parser.add_argument("--teacher", help="file of a trained ResNet-56")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pair", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pair is None:
        compare(options)
    else:
        serve(options)


if __name__ == "__main__":
    main()
