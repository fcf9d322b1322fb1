"""What pruning and clustering cost a student, learning from labels alone or from a teacher too.

Run: python benchmarks/pruning.py --data-dir FOLDER [--seeds 5]

The images, the teacher and the student of benchmarks/gains.py mnist14: MNIST at 14 x 14 pixels, a
student of 1,414 parameters that sees 1,000 images. It learns from labels for 1,200 updates. From
there it goes on for 800, once with labels alone and once with the recipe of soft targets: unpruned,
pruned (the sparsity grows over 250 updates, then the zeros stay), 2:4, and with 16 different
weights per kernel. Start, images, order, updates and learning rate are the same in all. Accuracy on
10,000 test images, differences paired by seed, and sizes: of the float weights with gzip, and of
seed 0's int8 file with gzip. Writes benchmarks/results/pruning.md.
"""

import argparse
import pathlib
import tempfile

import keras
import numpy as np
from gain_tasks import TASKS, Options
from gain_training import LABELS, accuracy, trained_teacher

from keras_distill import Distiller, compression, export_tflite, recipes

RESULTS = pathlib.Path(__file__).parent / "results" / "pruning.md"
LABELS_EPOCHS, EPOCHS, RAMP = 60, 40, 250
KINDS = {
    "50 % zeros": lambda student: compression.prune(student, 0.5, end_step=RAMP),
    "2:4": lambda student: compression.prune(student, pattern="2:4"),
    "80 % zeros": lambda student: compression.prune(student, 0.8, end_step=RAMP),
    "16 weights": lambda student: compression.cluster(student, 16),
}


def train(model, task, rate, epochs, seed, teacher=None):
    """Trains a student with labels, or with soft targets too."""
    keras.utils.set_random_seed(seed)
    learner = model if teacher is None else Distiller(teacher, model, **recipes.get("kd"))
    x, y, size = task.splits[0].x, task.splits[0].y, task.training.batch_size
    decay = keras.optimizers.schedules.CosineDecay(rate, epochs * len(x) // size)
    learner.compile(keras.optimizers.Adam(decay), LABELS, steps_per_execution=20)
    learner.fit(x, y, batch_size=size, epochs=epochs, verbose=0)


def compressed(student, kind, task, seed, teacher):
    """Returns a student that was compressed while it went on learning."""
    if kind == "unpruned":
        model = keras.models.clone_model(student)
        model.set_weights(student.get_weights())
    else:
        model = KINDS[kind](student)
    train(model, task, task.training.rate / 2, EPOCHS, 100 + seed, teacher)
    return model if kind == "unpruned" else compression.strip(model)


def int8_gzip(model, task):
    """Returns the bytes of a model's int8 file with gzip."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        export_tflite(model, path, "int8", task.splits[0].x[:200], target="arduino")
        return compression.summarize(path).compressed_size


def run(task, teacher, seed):
    """Returns accuracies in % and sizes in bytes of one seed, by kind and way to learn."""
    keras.utils.set_random_seed(seed)
    student = task.make_student()
    train(student, task, task.training.rate, LABELS_EPOCHS, seed)
    found = {}
    for kind in ("unpruned", *KINDS):
        for way in ("labels", "distilled"):
            model = compressed(student, kind, task, seed, teacher if way == "distilled" else None)
            found[kind, way] = accuracy(model, *task.splits[0].test)
        found[kind, "gzip"] = compression.summarize(model).compressed_size
        if seed == 0:
            found[kind, "int8"] = int8_gzip(model, task)
        print(
            seed, kind, *(round(found[kind, way], 2) for way in ("labels", "distilled")), flush=True
        )
    return found


def spread(values, sign=""):
    """Returns mean ± standard deviation, or for differences ± the standard error, as text."""
    error = np.std(values, ddof=1) if len(values) > 1 else 0
    error = error / np.sqrt(len(values)) if sign else error
    return f"{np.mean(values):{sign}.2f} ± {error:.2f}"


def row(kind, runs):
    """Returns a row of the table."""
    columns = {way: np.array([one[kind, way] for one in runs]) for way in ("labels", "distilled")}
    cells = [kind, *(spread(column) for column in columns.values())]
    cells.append(spread(columns["distilled"] - columns["labels"], "+"))
    for way, column in columns.items():
        against = column - [one["unpruned", way] for one in runs]
        cells.append("" if kind == "unpruned" else spread(against, "+"))
    cells.append(f"{np.mean([one[kind, 'gzip'] for one in runs]):,.0f}")
    cells.append(f"{runs[0][kind, 'int8']:,}")
    return f"| {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder of tensorflow-datasets")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--work", type=pathlib.Path, default=RESULTS.parent / "gains_work")
    options = parser.parse_args()
    task = TASKS["mnist14"](Options(options.data_dir, options.work))
    teacher, test = trained_teacher(task, 0, options.work), task.splits[0].test
    runs = [run(task, teacher, seed) for seed in range(options.seeds)]
    lines = [
        f"Made by `benchmarks/pruning.py --seeds {options.seeds}`: accuracy in % on "
        f"{len(test[0]):,} test images, mean ± standard deviation over the seeds 0 to "
        f"{options.seeds - 1}; differences paired by seed, ± their standard error. The teacher has "
        f"{accuracy(teacher, *test):.1f} %. Sizes in bytes, of the distilled ones.",
        "",
        "| student | labels | distilled | distilled - labels | labels: against unpruned "
        "| distilled: against unpruned | float weights, gzip | int8 file, gzip |",
        "|---|---|---|---|---|---|---|---|",
        *(row(kind, runs) for kind in ("unpruned", *KINDS)),
    ]
    print("\n".join(lines))
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
