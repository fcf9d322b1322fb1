"""What balanced weights add to an epoch, after the first steps.

Run: python benchmarks/balanced_step.py [--data-dir FOLDER] [--teacher FILE] [--rounds 15]

The pairs of models and the pipeline of benchmarks/step_time.py. For each pair two distillers with
the same losses train in turn, epoch by epoch in one process, each round in the opposite order: one
with fixed weights, one with distillation_loss_weights="balanced". Medians of the rounds' ratios,
and their quartiles. Prints the table; writes nothing.
"""

import argparse

import keras
import numpy as np
import step_time

from keras_distill import Distiller, SoftTargets


def contestants(pair, losses):
    """Returns a function per kind of weights that runs one epoch.

    Args:
        pair: `step_time.Pair`.
        losses: List of distillation losses.
    """
    data = step_time.pipeline(pair.x, pair.y)
    run = {}
    for weights in (None, "balanced"):
        student = keras.models.clone_model(pair.student)
        model = Distiller(pair.teacher, student, losses, weights, student_loss_weight=None)
        model.compile("adam", step_time.LABELS)
        run[weights] = lambda model=model: model.fit(data, epochs=1, verbose=0)
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder of tensorflow-datasets")
    parser.add_argument("--teacher", help="file of a trained ResNet-56")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print("| models | losses | balanced / fixed | quartiles |\n|---|---|---|---|", flush=True)
    for pair in step_time.pairs(options):
        for name, losses in (
            ("soft targets", [SoftTargets(4.0)]),
            ("soft targets, one tapped layer", [SoftTargets(4.0), pair.tapping]),
        ):
            taken = step_time.measure(contestants(pair, losses), options.rounds)
            ratios = taken["balanced"][:, 0] / taken[None][:, 0]
            low, middle, high = np.percentile(ratios, (25, 50, 75))
            print(f"| {pair.name} | {name} | {middle:.3f} | {low:.3f} to {high:.3f} |", flush=True)


if __name__ == "__main__":
    main()
