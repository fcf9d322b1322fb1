"""The student that fits: a search beside the largest fixed architecture that fits.

Run: python benchmarks/student_search.py digits [--seeds 3]

The digits of scikit-learn, 200 of them labeled, with a trained teacher. For two boards, each with a
limit of the arena that a program leaves beside other things, `tuning.search_student` trains 20
students that fit, the best three of them three times, and chooses one by its mean loss on the
validation images. Beside it the architectures of `architectures` that fit by the same measure, of
which the one with most parameters is trained with the same losses, samples and number of updates.
Accuracy on the test images; each seed has a search of its own. Finished seeds are kept in --work;
writes benchmarks/results/student_search.md.
"""

import json

import keras
import numpy as np
from gain_options import RESULTS, parser_of
from gain_tables import with_error
from gain_training import LABELS

from keras_distill import Distiller, architectures, datasets, tuning
from keras_distill.datasets import Dataset
from keras_distill.tuning.student_search.memory import Limits, Scales

BOARDS = {"stm32f407": 6 * 1024, "arduino_nano_33_ble": 16 * 1024}
LABELED, EPOCHS, BATCH, RATE, TRIALS = 200, 100, 25, 0.01, 20
FOUND, FIXED = "found", "largest fixed"


def decay(updates):
    """Returns the learning rate of a training."""
    return keras.optimizers.schedules.CosineDecay(RATE, updates)


def accuracy(model, data):
    """Returns the accuracy on the test images, in percent."""
    return 100 * float(np.mean(np.argmax(model(data.x_test), axis=-1) == data.y_test))


def trained_teacher(data, work):
    """Returns the teacher, trained on all training images, or read from an earlier run.

    Args:
        data: `Dataset`.
        work: Folder of the file.
    """
    file = work / "student_search_teacher.keras"
    if file.exists():
        return keras.models.load_model(file)
    keras.utils.set_random_seed(0)
    teacher = architectures.digits_teacher()
    teacher.compile(keras.optimizers.Adam(2e-3), LABELS)
    teacher.fit(data.x_train, data.y_train, epochs=12, verbose=0)
    teacher.save(file)
    return teacher


def largest_fixed(data, limits):
    """Returns the name of the largest architecture that fits, its arena and its parameters.

    Args:
        data: `Dataset`.
        limits: `Limits`.
    """
    scales, fitting = Scales(limits, data.x_train[:100], "arduino"), {}
    for name in architectures.names():
        options = {"input_shape": data.input_shape, "num_classes": data.num_classes}
        memory = scales.weigh(architectures.get(name, **options))
        if not memory.reason:
            fitting[name] = memory
    name, memory = max(fitting.items(), key=lambda item: item[1].parameters)
    return name, memory.arena_bytes, memory.parameters


def distilled(name, teacher, data, seed):
    """Returns a fixed architecture, trained as the search trains."""
    keras.utils.set_random_seed(seed)
    student = architectures.get(name, input_shape=data.input_shape, num_classes=data.num_classes)
    distiller = Distiller(teacher, student, "auto", student_loss_weight=None)
    updates = EPOCHS * (len(data.x_train) // BATCH)
    distiller.compile(keras.optimizers.Adam(decay(updates)), LABELS)
    distiller.fit(data.x_train, data.y_train, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return student


def line_of(board, fixed, teacher, data, seed, work):
    """Returns what came of a board and a seed, a dictionary.

    Args:
        board: Name of the board.
        fixed: Name of the largest architecture that fits, and its arena and parameters.
        teacher: The teacher.
        data: `Dataset`.
        seed: Integer.
        work: Folder in which a search that was stopped goes on.
    """
    found = tuning.search_student(
        teacher,
        data,
        board,
        max_trials=TRIALS,
        epochs=EPOCHS,
        batch_size=BATCH,
        learning_rate=decay,
        loss=LABELS,
        objective="loss",
        max_arena_bytes=BOARDS[board],
        seed=seed,
        directory=work / f"student_search_{board}_{seed}",
        verbose=0,
    )
    name, arena, parameters = fixed
    return {
        "board": board,
        "seed": seed,
        FOUND: accuracy(found.student, data),
        FIXED: accuracy(distilled(name, teacher, data, seed), data),
        "student": found.best.name,
        "architecture": name,
        "arena": [found.best.arena_bytes, arena],
        "parameters": [found.best.parameters, parameters],
    }


def table(lines):
    """Returns the tables as Markdown."""
    rows = [
        f"`python benchmarks/student_search.py digits`: digits of scikit-learn, {LABELED} labels; "
        f"{TRIALS} students trained per search. Accuracy in % on 500 test images, mean ± standard "
        "error over the seeds, gains paired by seed.",
        "",
        "| board, largest arena | seeds | found | largest fixed architecture that fits | gain |",
        "|---|---|---|---|---|",
    ]
    for board, most in BOARDS.items():
        of_board = [line for line in lines if line["board"] == board]
        if not of_board:
            continue
        values = {name: np.array([line[name] for line in of_board]) for name in (FOUND, FIXED)}
        fixed = of_board[0]["architecture"]
        rows.append(
            f"| {board}, {most:,} B | {len(of_board)} | {with_error(list(values[FOUND]))} | "
            f"{fixed}: {with_error(list(values[FIXED]))} | "
            f"{with_error(list(values[FOUND] - values[FIXED]), '+')} |"
        )
    rows += ["", "| board | seed | found | parameters | arena | fixed: parameters, arena |"]
    rows.append("|---|---|---|---|---|---|")
    for line in lines:
        arenas, parameters = line["arena"], line["parameters"]
        rows.append(
            f"| {line['board']} | {line['seed']} | {line['student']} | {parameters[0]:,} | "
            f"{arenas[0]:,} B | {line['architecture']}: {parameters[1]:,}, {arenas[1]:,} B |"
        )
    return "\n".join(rows) + "\n"


def main():
    given = parser_of(__doc__, ("digits",)).parse_args()
    whole = datasets.load("digits")
    teacher = trained_teacher(whole, given.work)
    data = Dataset(
        "digits",
        whole.x_train[:LABELED],
        whole.y_train[:LABELED],
        whole.x_test,
        whole.y_test,
        whole.labels,
        x_val=whole.x_val,
        y_val=whole.y_val,
    )
    lines = []
    for board, most in BOARDS.items():
        fixed = None
        for seed in range(given.seeds):
            file = given.work / f"student_search_{board}_{seed}.json"
            if not file.exists():
                fixed = fixed or largest_fixed(data, Limits(board, most))
                line = line_of(board, fixed, teacher, data, seed, given.work)
                file.write_text(json.dumps(line), encoding="utf-8")
            lines.append(json.loads(file.read_text("utf-8")))
            print(lines[-1], flush=True)
    text = table(lines)
    (RESULTS / "student_search.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
