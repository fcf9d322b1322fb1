"""Each scheme beside the same student alone: same images, updates, schedule and seeds.

Run: python benchmarks/schemes.py digits [--seeds 3]
     python benchmarks/schemes.py mnist14 --data-dir FOLDER [--seeds 3]
     python benchmarks/schemes.py cifar16 --data-dir FOLDER [--seeds 3]

The tasks of benchmarks/gains.py, with their teachers and labeled training images; accuracy is of
test images. Nothing is chosen on them: each scheme has its defaults. Schemes without a teacher have
none. Generations and assistants take several trainings, peers train side by side; only the student
that is reported has the number of updates of the student alone. Finished runs are kept in `--work`,
the tables are benchmarks/results/schemes_TASK.md.
"""

import keras
import numpy as np
from gain_options import RESULTS, parser_of
from gain_tables import with_error
from gain_tasks import TASKS, Options
from gain_training import LABELS, accuracy, compiled, trained_teacher

from keras_distill import Distiller, architectures, compare, schemes

# Keras takes long over short epochs: copies of each image in one.
COPIES = 10


def candidates_of(task, teacher, second, data, epochs):
    """Returns the schemes as candidates of `compare`: functions to the model to fit.

    Args:
        task: `Task`.
        teacher: Its teacher.
        second: Another teacher, trained with another seed.
        data: `(x, y)` of the labeled training images.
        epochs: Number of epochs of each training.
    """

    def assisted(_, student):
        assistant = architectures.small_cnn(student.input_shape[1:], 10, filters=(8, 16, 32))
        middle = compiled(Distiller(teacher, assistant, "kd"), task.training)
        middle.fit(*data, batch_size=task.training.batch_size, epochs=epochs, verbose=0)
        return Distiller(assistant, student, "auto", student_loss_weight=None)

    def reborn(_, student):
        family = compiled(schemes.BornAgain(task.make_student, 1), task.training)
        family.fit(*data, batch_size=task.training.batch_size, epochs=epochs, verbose=0)
        return Distiller(family.student, student, "kd", student_loss_weight=None)

    def taught_by(of):
        return lambda _, student: Distiller(of, student, "auto", student_loss_weight=None)

    ensemble = schemes.TeacherEnsemble([teacher, second])
    by_entropy = schemes.TeacherEnsemble([teacher, second], "entropy")
    return {
        "one teacher": {"distillation_losses": "auto", "student_loss_weight": None},
        "the other teacher": taught_by(second),
        "TeacherEnsemble of both": taught_by(ensemble),
        "TeacherEnsemble by entropy": taught_by(by_entropy),
        "an assistant between": assisted,
        "MutualDistiller of two": lambda _, s: schemes.MutualDistiller([s, task.make_student()]),
        "OnlineEnsemble of two": lambda _, s: schemes.OnlineEnsemble([s, task.make_student()]),
        "BeYourOwnTeacher": lambda _, s: schemes.BeYourOwnTeacher(s),
        "ProgressiveSelf": lambda _, s: schemes.ProgressiveSelf(s, epochs),
        "MovingAverageTeacher": lambda _, s: schemes.MovingAverageTeacher(s),
        "BornAgain, the third network": reborn,
    }


def compared(task, work, seeds):
    """Trains what is missing, and returns the `Comparison` and the accuracies of both teachers.

    Args:
        task: `Task`.
        work: Folder of teachers and finished runs.
        seeds: Number of seeds.
    """
    split, training = task.split_of(0), task.training
    teacher = trained_teacher(task, 0, work)
    second = trained_teacher(task, 0, work, seed=100)
    x, y = (np.concatenate([part] * COPIES) for part in (split.x, split.y))
    epochs = round(training.updates * training.batch_size / len(y))
    comparison = compare(
        teacher,
        task.make_student,
        {"train": (x, y), "test": split.test},
        candidates_of(task, teacher, second, (x, y), epochs),
        seeds=seeds,
        epochs=epochs,
        batch_size=training.batch_size,
        learning_rate=lambda updates: keras.optimizers.schedules.CosineDecay(
            training.rate, updates
        ),
        loss=LABELS,
        directory=work / f"schemes_{task.name}",
    )
    return comparison, [accuracy(model, *split.test) for model in (teacher, second)]


def page(task, comparison, teachers, seeds):
    """Returns the table of a task as Markdown.

    Args:
        task: `Task`.
        comparison: `Comparison`.
        teachers: Accuracies of both teachers.
        seeds: Number of seeds.
    """
    both = " and ".join(f"{value:.1f}" for value in teachers)
    rows = [
        f"`python benchmarks/schemes.py {task.name} --seeds {seeds}`: {task.title}. Teachers "
        f"{both} %. {task.training.updates:,} updates of {task.training.batch_size} labeled "
        "images, no others. Accuracy in % on test images, mean ± standard error over the seeds; "
        "gain over the student alone, paired by seed.",
        "",
        "| student | accuracy | gain |",
        "|---|---|---|",
    ]
    for name, runs in comparison.results.items():
        values = 100 * np.array([run["accuracy"] for run in runs])
        alone = 100 * np.array([run["accuracy"] for run in comparison.results["student alone"]])
        gain = "" if name == "student alone" else with_error(list(values - alone), "+")
        rows.append(f"| {name} | {with_error(list(values))} | {gain} |")
    return "\n".join(rows) + "\n"


def main():
    parser = parser_of(__doc__, ("digits", "mnist14", "cifar16"))
    given = parser.parse_args()
    task = TASKS[given.task](Options(given.data_dir, given.work))
    comparison, teachers = compared(task, given.work, given.seeds)
    text = page(task, comparison, teachers, given.seeds)
    (RESULTS / f"schemes_{task.name}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
