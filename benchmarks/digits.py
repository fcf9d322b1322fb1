"""What distillation gains on the handwritten digits, with more and with fewer labels.

Run: python benchmarks/digits.py [--seeds 8]

The student (702 parameters) is trained alone, with soft targets, and with soft targets and
attention transfer. In each setting all three get the same images, number of updates, learning rate
and seeds. Writes benchmarks/results/digits.md.
"""

import argparse
import dataclasses
import pathlib

from keras_distill import datasets
from keras_distill.cli import demo

RESULTS = pathlib.Path(__file__).parent / "results" / "digits.md"
METHODS = {"soft targets": (1.0, 0.0), "soft targets + attention": demo.DIGITS.weights}
ALL = 1038
# Settings: images of the teacher, images of the student, and epochs for about 1,500 updates.
SETTINGS = [(ALL, 200, 48), (200, 200, 48), (ALL, ALL, 9)]


def measure(seeds):
    """Yields the numbers of images of a setting, and its comparison."""
    for teacher_images, student_images, epochs in SETTINGS:
        recipe = dataclasses.replace(
            demo.DIGITS,
            student_epochs=epochs,
            teacher_epochs=demo.DIGITS.teacher_epochs * ALL // teacher_images,
        )
        teacher, _ = demo.train_teacher(recipe, datasets.load("digits", max_train=teacher_images))
        candidates = {
            method: demo.distillation(dataclasses.replace(recipe, weights=weights))
            for method, weights in METHODS.items()
        }
        data = datasets.load("digits", max_train=student_images)
        yield (
            (teacher_images, student_images),
            demo.compare_students(recipe, data, teacher, seeds, print, candidates),
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    seeds = parser.parse_args().seeds
    lines = [
        f"`python benchmarks/digits.py --seeds {seeds}`: accuracy in % on 500 test images, mean ± "
        f"standard error over the seeds 0 to {seeds - 1}; gain over the student alone in points, "
        "paired by seed, ± its standard error; p-value of the paired t-test.",
        "",
        "| teacher's images | student's images | teacher | method | accuracy | gain | p |",
        "|---|---|---|---|---|---|---|",
    ]
    for (teacher_images, student_images), comparison in measure(seeds):
        for row in comparison.rows[1:]:
            lines.append(
                f"| {teacher_images:,} | {student_images:,} | {100 * comparison.teacher:.1f} "
                f"| {row['']} | {row['accuracy %']} | {row['gain points']} | {row['p']} |"
            )
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
