"""distill_chain: each model of a list is taught by the one before it."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_distill._compat import set_own_trainable
from keras_distill.arguments import check_count, check_model, shown, takes
from keras_distill.distiller import Distiller
from keras_distill.schemes.chain_records import ChainRecords


@dataclasses.dataclass(frozen=True)
class Chain:
    """Result of `distill_chain`.

    Args:
        students: List of the trained models, in their order.
        histories: List with the history of each, a dictionary from the name of a metric to its
            values by epoch.
    """

    students: list
    histories: list

    @property
    def student(self) -> keras.Model:
        """The last model."""
        return self.students[-1]


def distill_chain(
    teacher: Any,
    students: Sequence[keras.Model],
    data: Any,
    distillation_losses: Any = "kd",
    distillation_loss_weights: Any = None,
    student_loss_weight: Any = 0.5,
    *,
    optimizer: Any = "adam",
    loss: Any = None,
    metrics: Any = None,
    epochs: int = 10,
    batch_size: int | None = None,
    validation_data: Any = None,
    callbacks: Callable | None = None,
    directory: str | os.PathLike | None = None,
    verbose: int = 1,
    **compile_options: Any,
) -> Chain:
    """Teaches each model of a list by the one before it: teacher, assistants, student.

    An assistant of a size between those of teacher and student helps where the gap is large. Each
    link is a `Distiller` with the same losses and settings. The models are trained in place.

    Args:
        teacher: Teacher of the first link, as for `Distiller`; `None`: the first model learns from
            the labels alone.
        students: List of `keras.Model`s, `[assistant, ..., student]`.
        data: Arrays `(x, y)` or `(x, y, sample_weight)`, a `tf.data.Dataset` of batches, a
            `keras.utils.PyDataset`, or a function of the link's number, from 0, that makes one.
        distillation_losses: As for `Distiller`; or a function `(teacher, student)` that gives them,
            where the links tap different layers.
        distillation_loss_weights: As for `Distiller`.
        student_loss_weight: As for `Distiller`.
        optimizer: Name or `keras.Optimizer`, of which each link gets a new copy.
        loss: Loss of the labels, as for `compile`.
        metrics: List of metrics, as for `compile`.
        epochs: Epochs of each link.
        batch_size: Samples per update, for arrays; by default 32.
        validation_data: As for `fit`.
        callbacks: Function of the link's number that makes its list of callbacks.
        directory: Folder that finished links are written to, so that the same call goes on after
            it was stopped, or with more models at the end. It is made if it doesn't exist.
        verbose: 0 for silence, 1 for a line per link, 2 for a line per epoch too.
        **compile_options: Further arguments of `compile`.

    Returns:
        `Chain` with `students`, `histories` and `student`, the last model.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If a link can't be built (before anything is trained), the data holds no batch
            for a link, or the folder holds another chain or other files.

    Example:

    ```python
    x, y = np.random.rand(32, 4), np.random.randint(0, 3, 32)
    teacher, assistant, student = (
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(n), keras.layers.Dense(3)])
        for n in (16, 8, 4)
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    chain = distill_chain(teacher, [assistant, student], (x, y), loss=loss, epochs=1, verbose=0)
    assert chain.student is student
    ```

    Reference:
        Mirzadeh et al., "Improved Knowledge Distillation via Teacher Assistant", AAAI 2020.
    """
    _check_students(teacher, students)
    _check_data(data)
    epochs = check_count("epochs", epochs)
    batch_size = None if batch_size is None else check_count("batch_size", batch_size)
    verbose = check_count("verbose", int(verbose) if isinstance(verbose, bool) else verbose, 0, 2)
    if callbacks is not None and not (callable(callbacks) and takes(callbacks, 1)):
        raise TypeError(
            "callbacks must be a function of the link's number that makes a list: a callback "
            f"belongs to one training. Received: callbacks={shown(callbacks)}"
        )
    links = _Links(
        distillation_losses,
        distillation_loss_weights,
        student_loss_weight,
        {"loss": loss, "metrics": metrics, **compile_options},
        optimizer,
    )
    teachers = [teacher, *students[:-1]]
    fit = {"epochs": epochs, "verbose": 2 if verbose == 2 else 0}
    if batch_size is not None:
        fit["batch_size"] = batch_size
    with _trainable_again([teacher, *students]):
        for pair in zip(teachers, students, strict=True):
            with _trainable_again(pair):
                links.compiled(*pair)
        records = ChainRecords(directory, teacher, data, {**links.describe(), **fit, "verbose": 0})
        histories = []
        with records.opened(students):
            for number, (source, student) in enumerate(zip(teachers, students, strict=True)):
                history = records.restored(number, student)
                is_new = history is None
                if is_new:
                    own = dict(fit, validation_data=validation_data)
                    own["callbacks"] = None if callbacks is None else callbacks(number)
                    history = _trained(links.compiled(source, student), data, number, own)
                    records.add(number, student, history)
                histories.append(history)
                if verbose:
                    _show(number, len(students), student, history, is_new)
    return Chain(list(students), histories)


class _Links:
    """Makes the compiled model of a link."""

    def __init__(self, losses, weights, student_loss_weight, compile_options, optimizer):
        self._losses, self._weights = losses, weights
        self._student_loss_weight = student_loss_weight
        self._options = compile_options
        self._optimizer = keras.optimizers.get(optimizer)

    def compiled(self, teacher, student):
        """Returns the model to fit: a distiller, or the student itself without a teacher."""
        model = student
        if teacher is not None:
            losses = self._losses
            if callable(losses) and not isinstance(losses, type) and takes(losses, 2):
                losses = losses(teacher, student)
            if losses is None:
                raise ValueError(
                    "distillation_losses must be a loss, its name, or a list of them. "
                    "Received: distillation_losses=None"
                )
            weight = self._student_loss_weight
            model = Distiller(teacher, student, losses, self._weights, weight)
        optimizer = type(self._optimizer).from_config(self._optimizer.get_config())
        model.compile(optimizer=optimizer, **self._options)
        return model

    def describe(self):
        """Returns a dictionary of the settings that all links share."""
        return {
            "distillation_losses": self._losses,
            "distillation_loss_weights": self._weights,
            "student_loss_weight": self._student_loss_weight,
            "optimizer": self._optimizer,
            "loss": self._options["loss"],
        }


def _trained(model, data, number, arguments):
    """Fits the model of a link, and returns its history."""
    made = data(number) if _is_function(data) else data
    _check_data(made, what=f"what data({number}) gives" if made is not data else "data")
    given = made if isinstance(made, tuple) else (made,)
    names = ("x", "y", "sample_weight")
    history = model.fit(**dict(zip(names, given, strict=False)), **arguments)
    if int(model.optimizer.iterations) == 0:
        raise ValueError(
            f"data held no batch for link {number}: a generator inside it was used up by the links "
            "before. Give arrays, a data set that can be read again, or a function of the link's "
            "number that makes one."
        )
    return {name: [float(value) for value in values] for name, values in history.history.items()}


@contextlib.contextmanager
def _trainable_again(models):
    """Leaves the models trainable where they were: a distiller freezes its teacher."""
    before = [(model, model.trainable) for model in models if isinstance(model, keras.Model)]
    try:
        for model, is_trainable in before:
            set_own_trainable(model, is_trainable)
        yield
    finally:
        for model, is_trainable in before:
            set_own_trainable(model, is_trainable)


def _check_students(teacher, students):
    if not isinstance(students, (list, tuple)):
        raise TypeError(
            "students must be a list of keras.Models, [assistant, ..., student]. "
            f"Received: students={shown(students)}"
        )
    if not students:
        raise ValueError("students is empty: give at least one model. Received: students=[]")
    for index, student in enumerate(students):
        check_model(f"students[{index}]", student)
    if len({id(model) for model in (teacher, *students)}) <= len(students):
        raise ValueError(
            "Each model of a chain must be another one: keras.models.clone_model copies a model. "
            f"Received: teacher={shown(teacher)}, students={shown(students)}"
        )


def _is_function(data):
    return callable(data) and not isinstance(data, (keras.Model, keras.utils.PyDataset, type))


def _check_data(data, what="data"):
    if hasattr(data, "__next__"):
        raise TypeError(
            f"{what} is a generator, which one link would use up: give arrays, a tf.data.Dataset, "
            "a PyDataset, or a function of the link's number that makes a data set. "
            f"Received: data={shown(data)}"
        )
    if data is None or isinstance(data, (bool, int, float, str, dict, set)):
        raise TypeError(
            f"{what} must be arrays (x, y), a tf.data.Dataset of batches or a PyDataset. "
            f"Received: data={shown(data)}"
        )
    if isinstance(data, (list, tuple)) and not (isinstance(data, tuple) and 1 <= len(data) <= 3):
        raise TypeError(
            f"{what} must be a tuple (x, y) or (x, y, sample_weight). Received: data={shown(data)}"
        )
    if _is_function(data) and not takes(data, 1):
        raise TypeError(
            "data must be a data set, or a function of the link's number that makes one. "
            f"Received: data={shown(data)}"
        )


def _show(number, count, student, history, is_new):
    last = ", ".join(
        f"{name} {values[-1]:.4g}"
        for name, values in history.items()
        if values and name.removeprefix("val_") not in ("total_loss", "distillation_loss")
    )
    state = "trained" if is_new else "read"
    print(f"link {number + 1} of {count}: {student.name} {state}: {last}")
