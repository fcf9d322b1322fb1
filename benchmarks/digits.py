"""What distillation gains on the handwritten digits, with more and with fewer labels.

Run: python benchmarks/digits.py [--seeds 8]

The student (702 parameters) is trained alone, with soft targets, and with soft targets and
attention transfer. In each setting all three get the same images, number of updates, learning rate
and seeds. Writes benchmarks/results/digits.md.
"""

import argparse
import dataclasses
import pathlib

import numpy as np
from rich.progress import track

from keras_distill import datasets
from keras_distill.cli import demo

RESULTS = pathlib.Path(__file__).parent / "results" / "digits.md"
METHODS = {
    "student alone": None,
    "soft targets": (1.0, 0.0),
    "soft targets + attention": demo.DIGITS.weights,
}
# Settings: images of the teacher, images of the student, and epochs for about 1,500 updates.
SETTINGS = [(1297, 200, 48), (200, 200, 48), (1297, 1297, 7)]


def measure(seeds):
    """Yields a setting, its teacher's accuracy, and each method's accuracies."""
    for teacher_images, student_images, epochs in SETTINGS:
        recipe = dataclasses.replace(
            demo.DIGITS,
            student_epochs=epochs,
            teacher_epochs=demo.DIGITS.teacher_epochs * 1297 // teacher_images,
        )
        teacher_data = datasets.load("digits", max_train=teacher_images)
        student_data = datasets.load("digits", max_train=student_images)
        teacher, _ = demo.train_teacher(recipe, teacher_data)
        accuracies = {method: [] for method in METHODS}
        for seed in track(range(seeds), f"{teacher_images} / {student_images} images"):
            for method, weights in METHODS.items():
                kind = demo.ALONE if weights is None else demo.DISTILLED
                of_method = (
                    recipe if weights is None else dataclasses.replace(recipe, weights=weights)
                )
                student, _ = demo.train_student(of_method, student_data, teacher, seed, kind)
                accuracies[method].append(100 * demo.accuracy(student, student_data))
        yield (
            (teacher_images, student_images),
            100 * demo.accuracy(teacher, teacher_data),
            accuracies,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    seeds = parser.parse_args().seeds
    lines = [
        f"`python benchmarks/digits.py --seeds {seeds}`: accuracy in % on 500 test images, mean ± "
        f"standard deviation over the seeds 0 to {seeds - 1}; gain over the student alone, paired "
        "by seed, ± its standard error.",
        "",
        "| teacher's images | student's images | teacher | method | accuracy | gain |",
        "|---|---|---|---|---|---|",
    ]
    for (teacher_images, student_images), teacher, accuracies in measure(seeds):
        alone = np.array(accuracies["student alone"])
        for method, values in accuracies.items():
            gains = np.array(values) - alone
            error = gains.std(ddof=1) / np.sqrt(seeds)
            gain = "" if method == "student alone" else f"{gains.mean():+.1f} ± {error:.1f}"
            lines.append(
                f"| {teacher_images:,} | {student_images:,} | {teacher:.1f} | {method} "
                f"| {np.mean(values):.1f} ± {np.std(values, ddof=1):.1f} | {gain} |"
            )
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
