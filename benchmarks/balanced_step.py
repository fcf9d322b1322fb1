"""What balanced weights add to a training step, after the first steps.

Run: python benchmarks/balanced_step.py [--data-dir FOLDER] [--teacher FILE] [--blocks 60]

The pairs of models and the pipeline of benchmarks/step_time.py. For each pair two distillers with
the same losses train in turn in one process, ten steps each, so that a computer that slows down
slows down both: one with fixed weights, one with distillation_loss_weights="balanced". The ratio is
that of the medians of ten neighboring steps, given with its quartiles over the blocks. One step of
a hundred measures gradients; the last column has what it adds spread over the hundred.
Writes benchmarks/results/balanced_step.md.
"""

import argparse
import time

import keras
import numpy as np
import step_time

from keras_distill import Distiller, SoftTargets

RESULTS = step_time.RESULTS.with_name("balanced_step.md")
# The first hundred steps measure more often.
FIRST, BLOCK, EVERY = 120, 10, 100


class Contestant:
    """A distiller that trains step by step, and what its steps took.

    Args:
        pair: `step_time.Pair`.
        losses: List of distillation losses.
        weights: Their weights.
    """

    def __init__(self, pair, losses, weights):
        student = keras.models.clone_model(pair.student)
        self._model = Distiller(pair.teacher, student, losses, weights, student_loss_weight=None)
        self._model.compile("adam", step_time.LABELS)
        data = step_time.pipeline(pair.x, pair.y)
        self._model.fit(data.take(1), verbose=0)
        self._batches = iter(data.repeat())
        self._count = 1
        self.measuring = []

    def steps(self, count):
        """Returns the seconds that each of the next steps takes; those that measure are apart.

        Args:
            count: Number of steps.
        """
        plain = []
        for _ in range(count):
            started = time.perf_counter()
            self._model.train_function(self._batches)
            taken = time.perf_counter() - started
            (plain if self._count % EVERY else self.measuring).append(taken)
            self._count += 1
        return plain


def compared(pair, losses, blocks):
    """Returns the ratios of blocks of steps, and that with the steps that measure.

    Args:
        pair: `step_time.Pair`.
        losses: List of distillation losses.
        blocks: Number of blocks of each.
    """
    fixed, balanced = both = [Contestant(pair, losses, weights) for weights in (None, "balanced")]
    for each in both:
        each.steps(FIRST)
        each.measuring.clear()
    ratios, typical = [], []
    for block in range(blocks):
        order = both[:: 1 if block % 2 else -1]
        taken = {each: np.median(each.steps(BLOCK)) for each in order}
        ratios.append(taken[balanced] / taken[fixed])
        typical.append(taken[fixed])
    # Both have such steps; those of fixed weights measure nothing.
    extra = np.median(balanced.measuring) - np.median(fixed.measuring)
    return ratios, np.median(ratios) + extra / np.median(typical) / EVERY


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder of tensorflow-datasets")
    parser.add_argument("--teacher", help="file of a trained ResNet-56")
    parser.add_argument("--blocks", type=int, default=60)
    options = parser.parse_args()
    lines = [
        f"Made by `benchmarks/balanced_step.py --blocks {options.blocks}`: seconds of a step with "
        f'`distillation_loss_weights="balanced"` beside fixed weights, after {FIRST} steps; '
        f"{options.blocks} blocks of {BLOCK} steps.",
        "",
        "| models | losses | balanced / fixed | quartiles | with the steps that measure |",
        "|---|---|---|---|---|",
    ]
    for pair in step_time.pairs(options):
        for name, losses in (
            ("soft targets", [SoftTargets(4.0)]),
            ("soft targets, one tapped layer", [SoftTargets(4.0), pair.tapping]),
        ):
            ratios, with_measuring = compared(pair, losses, options.blocks)
            low, middle, high = np.percentile(ratios, (25, 50, 75))
            lines.append(
                f"| {pair.name} | {name} | {middle:.3f} | {low:.3f} to {high:.3f} | "
                f"{with_measuring:.3f} |"
            )
            print(lines[-1], flush=True)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
