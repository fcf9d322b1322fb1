"""Every method beside the student alone and soft targets only, on real images and real text.

Run: python benchmarks/methods.py images --data-dir FOLDER [--seeds 3]
     python benchmarks/methods.py rows --data-dir FOLDER [--seeds 3]
     python benchmarks/methods.py text --data-dir FOLDER [--seeds 3] [--methods minilm,tinybert]

Images: MNIST at 14 x 14 pixels; the teacher (24,282 parameters) learns from 10,000 images, the
student (1,414) from 1,000 of them. Rows: the same with a recurrent student that reads the image row
by row. Text: SST-2; the teacher (a transformer, 4 heads) learns from all sentences, the student (2
heads, but 4 for tinybert, which needs as many as the teacher) from 4,000.

Every method has the weights of its recipe, published ones where there are any and none tuned here,
and the same images, updates, learning rate and initial weights as the others. Teacher and students
are trained on the training part; the validation part, a tenth of the images or sentences, is set
apart and nothing was chosen on it; what is reported is of the test part. Each method runs once as
its recipe says and once as 0.1 labels + 0.9 soft targets + the method at its own weight. The
teacher and finished runs are kept in benchmarks/results/, with what the student learned from, so
that an interrupted benchmark goes on where it was, and a run whose recipe or data has changed since
is made again (`--again`: all runs of the chosen methods, after a change of the code). The tables,
whose rows say what each holds, go to benchmarks/results/methods_*.md.
"""

import argparse
import json
import pathlib

import keras
import numpy as np

from keras_distill import Distiller, architectures, datasets, losses, recipes
from keras_distill.losses.registry import abbreviations

RESULTS = pathlib.Path(__file__).parent / "results"
LABELS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
ALONE, SOFT_TARGETS = "student alone", "soft targets"
# Of runs before there was a validation part, the data is unknown.
DATA = "training part, validation set apart"
TRANSFORMER_METHODS = ("amad", "tinybert", "minilm")
# Recipes that already hold soft targets, or that no soft targets can be added to.
COMPLETE = ("kd", "kd_standardized", "logits", "at_kd", "dkd", "nkd", "mlkd", "dist", "simkd")


def trained_teacher(name, make, data, rate, epochs, batch_size):
    """Returns the teacher of a task, trained once, so that all students have the same one."""
    path = RESULTS / f"methods_{name}_teacher_train.keras"
    if not path.exists():
        keras.utils.set_random_seed(0)
        teacher = make()
        decay = keras.optimizers.schedules.CosineDecay(rate, epochs * len(data[0]) // batch_size)
        teacher.compile(keras.optimizers.Adam(decay), LABELS)
        teacher.fit(*data, batch_size=batch_size, epochs=epochs, verbose=0)
        teacher.save(path)
    return keras.models.load_model(path)


class Images:
    """MNIST, a teacher that has seen 10,000 images, and students that see 1,000."""

    size, batch_size, epochs, rate = 14, 50, 60, 1e-2

    def __init__(self, data_dir):
        self.methods = [name for name in recipes.names() if name not in TRANSFORMER_METHODS]
        self.title = "MNIST at 14 x 14 pixels: accuracy in % on 10,000 test images"
        size = (self.size, self.size)
        teacher_data = datasets.load("mnist", data_dir, max_train=10_000, image_size=size)
        self.test = teacher_data.x_test, teacher_data.y_test
        data = datasets.load("mnist", data_dir, max_train=1_000, image_size=size)
        self.train = data.x_train, data.y_train
        self.teacher = trained_teacher(
            "images",
            lambda: architectures.small_cnn((*size, 1), 10, filters=(16, 32, 64)),
            (teacher_data.x_train, teacher_data.y_train),
            rate=5e-3,
            epochs=10,
            batch_size=64,
        )

    def student(self, method):
        """Returns an untrained student."""
        return architectures.small_cnn((self.size, self.size, 1), 10, filters=(4, 8, 12))


class Rows(Images):
    """The same images and teacher, for recurrent students that read them row by row."""

    def __init__(self, data_dir):
        super().__init__(data_dir)
        self.methods = ["kd", "at", "fitnet", "sp"]
        self.title += ", the student a GRU that reads rows"

    def student(self, method):
        """Returns an untrained recurrent student."""
        kl = keras.layers
        image = keras.Input((self.size, self.size, 1))
        rows = kl.Reshape((self.size, self.size), name="rows")(image)
        x = kl.GRU(16, return_sequences=True, name="gru")(rows)
        x = kl.GlobalAveragePooling1D(name="pool")(x)
        return keras.Model(image, kl.Dense(10, name="logits")(x), name="gru_student")


class Text:
    """SST-2, a teacher of 4 heads that has seen all sentences, and students of 2 heads."""

    batch_size, epochs, rate = 50, 20, 3e-3
    words, length = 8_000, 32

    def __init__(self, data_dir):
        import tensorflow_datasets as tfds

        self.methods = ["kd", *TRANSFORMER_METHODS]
        self.title = "SST-2: accuracy in % on the 872 validation sentences"
        parts = tfds.as_numpy(tfds.load("glue/sst2", data_dir=data_dir, batch_size=-1))
        vectorize = keras.layers.TextVectorization(self.words, output_sequence_length=self.length)
        vectorize.adapt(parts["train"]["sentence"])
        x, y = np.array(vectorize(parts["train"]["sentence"])), parts["train"]["label"]
        validation = parts["validation"]
        self.test = np.array(vectorize(validation["sentence"])), validation["label"]
        order = np.random.default_rng(0).permutation(len(x))[len(x) // 10 :]
        self.train = x[order[:4_000]], y[order[:4_000]]
        self.teacher = trained_teacher(
            "text",
            lambda: self.transformer(width=64, heads=4, layers=2),
            (x[order], y[order]),
            rate=1e-3,
            epochs=3,
            batch_size=128,
        )

    def transformer(self, width, heads, layers):
        """Returns a small transformer encoder with a classifier."""
        kl = keras.layers
        tokens = keras.Input((self.length,), dtype="int32")
        positions = keras.ops.arange(self.length)[None]
        x = kl.Embedding(self.words, width, mask_zero=True, name="words")(tokens)
        x = x + kl.Embedding(self.length, width, name="positions")(positions)
        for index in range(layers):
            attention = kl.MultiHeadAttention(heads, width // heads, name=f"attention_{index}")
            x = kl.LayerNormalization(name=f"norm_{index}a")(x + attention(x, x))
            hidden = kl.Dense(2 * width, activation="relu", name=f"hidden_{index}")(x)
            x = kl.LayerNormalization(name=f"norm_{index}b")(
                x + kl.Dense(width, name=f"project_{index}")(hidden)
            )
        x = kl.GlobalAveragePooling1D(name="pool")(x)
        x = kl.Dropout(0.2, name="dropout")(x)
        return keras.Model(tokens, kl.Dense(2, name="logits")(x), name=f"transformer{heads}")

    def student(self, method):
        """Returns an untrained student, of 4 heads for the one method that needs as many."""
        return self.transformer(width=16, heads=4 if method == "tinybert" else 2, layers=1)


TASKS = {"images": Images, "rows": Rows, "text": Text}


def train(task, method, with_soft_targets, seed):
    """Trains a student and returns its test accuracy in percent."""
    keras.utils.set_random_seed(seed)
    student = task.student(method)
    steps = len(task.train[0]) // task.batch_size
    rate = keras.optimizers.schedules.CosineDecay(task.rate, steps * task.epochs)
    model = student
    if method != ALONE:
        model = Distiller(task.teacher, student, **_settings(method, with_soft_targets, steps))
    model.compile(keras.optimizers.Adam(rate), LABELS, steps_per_execution=20)
    model.fit(*task.train, batch_size=task.batch_size, epochs=task.epochs, verbose=0)
    trained = student if method == ALONE else model.student
    return accuracy_of(trained, task)


def accuracy_of(model, task):
    """Returns a model's test accuracy in percent."""
    logits = model.predict(task.test[0], batch_size=500, verbose=0)
    return 100 * float(np.mean(np.argmax(logits, axis=-1) == task.test[1]))


def _settings(method, with_soft_targets, steps_per_epoch):
    # A warm-up over 20 of the papers' 240 epochs: a twelfth of the training.
    recipe = recipes.get(method, steps_per_epoch=max(1, steps_per_epoch // 8))
    if not with_soft_targets:
        return dict(recipe)
    # 0.1 labels + 0.9 soft targets + the method at its own weight.
    scale = 1.0 if recipe.student_loss_weight is None else 1.0 - recipe.student_loss_weight
    own = [
        (scale * weight / 0.9 if isinstance(weight, float) else weight, loss)
        for weight, loss in zip(
            recipe.distillation_loss_weights, recipe.distillation_losses, strict=True
        )
        if not isinstance(loss, losses.SoftTargets)
    ]
    return {
        "distillation_losses": [losses.SoftTargets(4.0), *(loss for _, loss in own)],
        "distillation_loss_weights": [1.0, *(weight for weight, _ in own)],
        "student_loss_weight": 0.1,
    }


def holds(method, with_soft_targets):
    """Says what a student learns from: each term with its weight in the total."""
    if method == ALONE:
        return "labels"
    settings = _settings(method, with_soft_targets, steps_per_epoch=1)
    labels, others = settings["student_loss_weight"], 1.0
    if labels is None:
        labels = 1.0
    else:
        others -= labels
    terms = [f"{labels:g} labels"] if labels else []
    for loss, weight in zip(
        settings["distillation_losses"], settings["distillation_loss_weights"], strict=True
    ):
        weight = weight if isinstance(weight, float) else weight.end_learning_rate
        terms.append(f"{others * weight:g} {_described(loss)}")
    return " + ".join(terms)


def _described(loss):
    """Names a loss by its abbreviation, with the settings that aren't its defaults."""
    config = loss.get_config()
    defaults = type(loss)(**{"mode": config["mode"]} if "mode" in config else {}).get_config()
    settings = {name: value for name, value in config.items() if value != defaults[name]}
    name = loss.name.replace("_", " ")
    for short, (known, implied) in abbreviations().items():
        if known is type(loss) and implied.items() <= config.items():
            name = short
    if name == "kd":
        name, settings = "soft targets", {"T": loss.temperature, **settings}
        settings.pop("temperature", None)
    shown = ", ".join(f"{name} {value}" for name, value in settings.items())
    return f"{name} ({shown})" if shown else name


def run(task, path, seeds, methods, again):
    """Trains what is not in the file of results yet, or was trained by another recipe."""
    from rich.progress import track

    wanted = [(ALONE, False)] + [
        (method, added)
        for method in task.methods
        for added in (False, True)
        if not (added and method in COMPLETE)
    ]
    lines = _lines(path)
    runs = [
        (method, added, seed)
        for seed in range(seeds)
        for method, added in wanted
        if methods is None or method in methods
    ]
    if again:
        # What is interrupted now goes on later without `again`.
        _write(path, lines := {key: line for key, line in lines.items() if key not in runs})
    teacher = accuracy_of(task.teacher, task)
    for key in track([key for key in runs if not _is_current(lines.get(key))], "training"):
        method, added, seed = key
        lines[key] = {
            "method": method,
            "soft_targets": added,
            "seed": seed,
            "accuracy": train(task, *key),
            "holds": holds(method, added),
            "data": DATA,
            "teacher": teacher,
        }
        _write(path, lines)


def _lines(path):
    """Returns the finished runs by method, whether soft targets were added, and seed."""
    if not path.exists():
        return {}
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {(line["method"], line["soft_targets"], line["seed"]): line for line in lines}


def _is_current(line):
    """Says whether a run is there, and its recipe and data what they are today."""
    if line is None or line.get("data") != DATA:
        return False
    return line.get("holds") == holds(line["method"], line["soft_targets"])


def _write(path, lines):
    written = path.with_suffix(".tmp")
    text = "".join(json.dumps(line) + "\n" for line in lines.values())
    written.write_text(text, encoding="utf-8")
    written.replace(path)


def table(task, path, seeds, command):
    """Returns the table of results as lines of Markdown."""
    lines = _lines(path)
    finished = {key: line for key, line in lines.items() if _is_current(line)}
    outdated = sorted({key[0] for key in lines} - {key[0] for key in finished})
    teacher = accuracy_of(task.teacher, task)
    of = {}
    for (method, added, seed), line in finished.items():
        if seed < seeds:
            of.setdefault((method, added), {})[seed] = line["accuracy"]
    alone, soft = of.get((ALONE, False), {}), of.get(("kd", False), {})
    rows = sorted(of, key=lambda row: -np.mean(list(of[row].values())))
    lines = [
        f"`{command}`: {task.title}; mean ± standard deviation over {seeds} seeds; gains paired by "
        f"seed ± their standard error. Teacher {teacher:.1f}. All learned from the training part "
        "without the validation images, and nothing was chosen on the test images.",
        "",
        "| method | what the student learns from | accuracy | over the student alone | over soft "
        "targets |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        numbers = np.array(list(of[row].values()))
        gains = [
            "" if of[row] is baseline else _gain(of[row], baseline) for baseline in (alone, soft)
        ]
        spread = numbers.std(ddof=1) if len(numbers) > 1 else 0.0
        name = SOFT_TARGETS if row[0] == "kd" else row[0]
        cells = (name, holds(*row), f"{numbers.mean():.1f} ± {spread:.1f}", *gains)
        lines.append(f"| {' | '.join(cells)} |")
    unlike = {k[0] for k, line in finished.items() if abs(line["teacher"] - teacher) > 0.05}
    unlike = sorted(unlike - {ALONE})
    if unlike:
        lines += ["", f"Of another teacher, to be made again: {', '.join(unlike)}."]
    if outdated:
        lines += [
            "",
            f"Left out, as their recipes or their data have changed since: {', '.join(outdated)}.",
        ]
    return lines


def _gain(values, baseline):
    gains = np.array([values[seed] - baseline[seed] for seed in values if seed in baseline])
    if not len(gains):
        return ""
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else 0.0
    return f"{gains.mean():+.1f} ± {error:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--data-dir", help="folder of tensorflow-datasets")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", help="train these only, named with commas between them")
    parser.add_argument("--again", action="store_true", help="train them even if they are finished")
    options = parser.parse_args()
    path = RESULTS / f"methods_{options.task}.jsonl"
    task = TASKS[options.task](options.data_dir)
    methods = options.methods and options.methods.split(",")
    unknown = sorted(set(methods or ()) - {ALONE, *task.methods})
    if unknown:
        parser.error(f"no methods of this task: {', '.join(unknown)}; {', '.join(task.methods)}")
    run(task, path, options.seeds, methods, options.again)
    command = f"python benchmarks/methods.py {options.task} --seeds {options.seeds}"
    lines = table(task, path, options.seeds, command)
    path.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
