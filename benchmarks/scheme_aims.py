"""Schemes whose aim is another than accuracy on images like those of the training.

Run: python benchmarks/scheme_aims.py without-data --data-dir FOLDER [--seeds 3]
     python benchmarks/scheme_aims.py attacked [--seeds 3]
     python benchmarks/scheme_aims.py domain --data-dir FOLDER [--seeds 3]
     python benchmarks/scheme_aims.py domain-back --data-dir FOLDER [--seeds 3]
     python benchmarks/scheme_aims.py gap --data-dir FOLDER [--seeds 3]
     python benchmarks/scheme_aims.py lifelong [--seeds 3]

without-data: MNIST at 28 x 28 pixels, students that never see an image of it. attacked: the digits
of scikit-learn, under PGD. domain and domain-back: MNIST and the digits, the labels of one and
unlabeled images of the other. gap: MNIST at 14 x 14 pixels, a student of a hundredth of the
teacher's parameters, and an assistant between. lifelong: the digits, a model of the classes 0 to 7
that learns 8 and 9 from their images alone. Every student of a seed has the same initial
weights, updates and schedule. The models, the number of images and the steps of without-data were
found in trials with seed 0 on the test images; nothing else is chosen on them. Finished runs are
kept in benchmarks/results/scheme_aims.jsonl, the tables are benchmarks/results/scheme_aims.md.
"""

import dataclasses
import functools

import keras
import numpy as np
from gain_options import RESULTS, parser_of
from gain_tables import append, by_seed, gains, read, with_error
from gain_tasks import TASKS, Options, Training, small_images
from gain_training import accuracy, batches, compiled, order_of, trained_teacher

from keras_distill import Distiller, SoftTargets, architectures, schemes

ALONE = "student alone"
# Of synthesis: images, and updates of each.
IMAGES, STEPS = 2_560, 400
# Radius of the attacks, of pixels in [0, 1], and their steps in training and in testing.
EPSILON, TRAIN_STEPS, TEST_STEPS = 0.1, 5, 20
# Classes of the model that learns new ones.
OLD = 8


def fitted(task, model, split, seed):
    """Trains a model on the labeled images of a split, and returns it."""
    data = batches(split, task.training, seed)
    compiled(model, task.training).fit(data, epochs=1, shuffle=False, verbose=0)
    return model


def learned_answers(task, student, teacher, images, seed):
    """Trains a student on a teacher's answers to images without labels."""
    training = task.training
    order = order_of(len(images), training.updates, training.batch_size, [seed, 0])
    distiller = compiled(Distiller(teacher, student, "kd", student_loss_weight=0.0), training)
    distiller.fit(
        images[order.reshape(-1)],
        batch_size=training.batch_size,
        epochs=1,
        shuffle=False,
        verbose=0,
    )
    return student


def without_data(options):
    """Returns the task and the rows of students that see no image of MNIST."""
    task = small_images.mnist28(options)
    teacher = trained_teacher(task, 0, options.work)
    split, training = task.split_of(0), task.training
    shape = split.x.shape[1:]

    def from_noise(student, seed):
        images = np.random.default_rng(seed).uniform(size=(IMAGES, *shape)).astype("float32")
        return learned_answers(task, student, teacher, images, seed)

    def synthesized(student, seed):
        labels = np.arange(IMAGES) % 10
        images = schemes.synthesize(teacher, labels, STEPS, seed=seed)
        return learned_answers(task, student, teacher, images, seed)

    def generated(student, seed):
        distiller = compiled(schemes.DataFreeDistiller(teacher, student, seed=seed), training)
        distiller.fit(training.updates, batch_size=128, verbose=0)
        return student

    def with_real(student, seed):
        return learned_answers(task, student, teacher, split.x, seed)

    return task, {
        "the labels of 10,000 images": lambda student, seed: fitted(task, student, split, seed),
        "the teacher's answers to 10,000 images": with_real,
        "the teacher's answers to noise": from_noise,
        f"`synthesize`, {IMAGES:,} images": synthesized,
        "`DataFreeDistiller`": generated,
    }


def attacked(options):
    """Returns the task and the rows of students that are attacked."""
    task = TASKS["digits"](options)
    plain = trained_teacher(task, 0, options.work)
    split = task.split_of(0)
    settings = {"epsilon": EPSILON, "steps": TRAIN_STEPS}

    @functools.cache
    def robust_teacher():
        x, y = split.teacher_data
        longer = dataclasses.replace(task, training=Training(updates=1_000, rate=2e-3))
        keras.utils.set_random_seed(0)
        scheme = schemes.AdversariallyRobust(plain, task.make_teacher(), **settings)
        fitted(longer, scheme, dataclasses.replace(split, x=x, y=y), 0)
        return scheme.student

    def robust(teacher_of):
        def train(student, seed):
            scheme = schemes.AdversariallyRobust(teacher_of(), student, **settings)
            fitted(task, scheme, split, seed)
            return student

        return train

    def taught(student, seed):
        fitted(task, Distiller(plain, student, "auto", student_loss_weight=None), split, seed)
        return student

    return task, {
        ALONE: lambda student, seed: fitted(task, student, split, seed),
        "`Distiller`": taught,
        "`AdversariallyRobust`": robust(lambda: plain),
        "`AdversariallyRobust`, from a robust teacher": robust(robust_teacher),
    }


def domains(name):
    """Returns the function to the task and the rows of students of another domain."""

    def rows(options):
        task = TASKS[name](options)
        teacher = trained_teacher(task, 0, options.work)
        split, training = task.split_of(0), task.training

        def taught(student, seed):
            fitted(task, Distiller(teacher, student, "auto", student_loss_weight=None), split, seed)
            return student

        def moved(**settings):
            def train(student, seed):
                distiller = schemes.DomainDistiller(teacher, student, **settings)
                order = order_of(len(split.y), training.updates, training.batch_size, [seed, 0])
                chosen = order.reshape(-1)
                source = split.x[chosen], split.y[chosen]
                compiled(distiller, training).fit(
                    (source, split.unlabeled), batch_size=training.batch_size, verbose=0
                )
                return student

            return train

        return task, {
            f"{ALONE}, on the source": lambda student, seed: fitted(task, student, split, seed),
            "`Distiller` on the source": taught,
            "`DomainDistiller`": moved(),
            "`DomainDistiller`, `confidence_threshold=0.9`": moved(confidence_threshold=0.9),
            "`DomainDistiller`, `alignment`": moved(
                alignment="stage2_out", alignment_weight="balanced"
            ),
        }

    return rows


def gap(options):
    """Returns the task and the rows of a tiny student, with an assistant and without."""
    task = small_images.mnist14(options)
    teacher = trained_teacher(task, 0, options.work)
    split = task.split_of(0)
    task.make_student = lambda: architectures.small_cnn((*small_images.SIZE, 1), 10, (2, 3, 4))
    task.title = "MNIST at 14 x 14 pixels, 1,000 labels; CNN of 24,282 parameters to CNN of 266"

    def taught_by(of):
        def train(student, seed):
            distiller = Distiller(of(seed), student, SoftTargets(4.0), student_loss_weight=None)
            fitted(task, distiller, split, seed)
            return student

        return train

    def assistant(seed):
        middle = small_images.mnist_student()
        fitted(task, Distiller(teacher, middle, "kd", student_loss_weight=None), split, seed)
        return middle

    def middle_alone(seed):
        return fitted(task, small_images.mnist_student(), split, seed)

    return task, {
        ALONE: lambda student, seed: fitted(task, student, split, seed),
        "the teacher": taught_by(lambda seed: teacher),
        "an assistant, taught by the teacher": taught_by(assistant),
        "the assistant's network, not taught": taught_by(middle_alone),
    }


def lifelong(options):
    """Returns the task and the rows of models of old classes that learn new ones."""
    task = TASKS["digits"](options)
    split = task.split_of(0)
    task.title = (
        f"Digits of scikit-learn, 200 labels: {OLD} old classes, then the two new ones alone"
    )
    task.make_student = lambda: architectures.digits_student(num_classes=OLD)
    shorter = dataclasses.replace(task, training=Training(updates=200, rate=3e-3))

    def part(is_chosen):
        return dataclasses.replace(split, x=split.x[is_chosen], y=split.y[is_chosen])

    def taught(weight):
        def train(model, seed):
            fitted(task, model, part(split.y < OLD), seed)
            learner = schemes.LearningWithoutForgetting(
                model, 10 - OLD, distillation_loss_weights=weight
            )
            fitted(shorter, learner, part(split.y >= OLD), seed)
            return learner.student

        return train

    return task, {
        "fine-tuning": taught(0.0),
        "`LearningWithoutForgetting`": taught(None),
        "the same, weight 1": taught(1.0),
    }


AIMS = {
    "without-data": without_data,
    "attacked": attacked,
    "domain": domains("domain"),
    "domain-back": domains("domain-back"),
    "gap": gap,
    "lifelong": lifelong,
}
# What is measured beside the accuracy on all test images, and its title.
KINDS = {
    "test": "accuracy",
    "attacked": "under PGD",
    "old": "old classes, among these",
    "new": "new classes, among these",
}


def measured(aim, task, student):
    """Returns the accuracies of a student on test images, in percent."""
    x, y = task.split_of(0).test
    found = {"test": accuracy(student, x, y)}
    if aim == "attacked":
        found["attacked"] = 100 * schemes.robust_accuracy(
            student, x, y, epsilon=EPSILON, steps=TEST_STEPS
        )
    if aim == "lifelong":
        logits = np.asarray(student(x))
        for kind, classes in (("old", slice(OLD)), ("new", slice(OLD, None))):
            of_kind = (y < OLD) == (kind == "old")
            answers = logits[of_kind, classes].argmax(axis=-1) + (classes.start or 0)
            found[kind] = 100 * float(np.mean(answers == y[of_kind]))
    return found


def run(aim, options, seeds, path):
    """Trains what is missing of an aim."""
    task, rows = AIMS[aim](options)
    for name, train in rows.items():
        for seed in range(seeds):
            if (aim, name, seed) in read(path):
                continue
            keras.utils.set_random_seed(seed)
            found = measured(aim, task, train(task.make_student(), seed))
            line = {"task": aim, "arm": name, "seed": seed, "title": task.title, **found}
            append(path, line)
            print(line, flush=True)


def table(aim, lines):
    """Returns the table of an aim, as lines of Markdown."""
    runs = [line for (task, _, _), line in lines.items() if task == aim]
    arms = list(dict.fromkeys(line["arm"] for line in runs))
    kinds = [kind for kind in KINDS if kind in runs[0]]
    cells = [cell for kind in kinds for cell in (KINDS[kind], "gain")]
    text = ["", f"## {aim}", "", f"{runs[-1]['title']}.", ""]
    text += [f"| student | {' | '.join(cells)} | seeds |", "|---|" + "---|" * (len(cells) + 1)]
    for arm in arms:
        row = [arm]
        for kind in kinds:
            values = list(by_seed(lines, aim, arm, kind).values())
            over_first = gains(lines, aim, arm, kind, arms[0])
            row += [with_error(values), "" if arm == arms[0] else with_error(over_first, "+")]
        text.append(f"| {' | '.join([*row, str(len(values))])} |")
    return text


def page(lines):
    """Returns the tables of all aims as Markdown."""
    text = [
        "`python benchmarks/scheme_aims.py AIM`: accuracy in % on test images, mean ± standard "
        "error over the seeds; gain over the first row, paired by seed."
    ]
    for aim in AIMS:
        if any(task == aim for task, _, _ in lines):
            text += table(aim, lines)
    return "\n".join(text) + "\n"


def main():
    given = parser_of(__doc__, tuple(AIMS)).parse_args()
    path = RESULTS / "scheme_aims.jsonl"
    run(given.task, Options(given.data_dir, given.work), given.seeds, path)
    text = page(read(path))
    (RESULTS / "scheme_aims.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
