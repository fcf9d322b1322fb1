"""Training settings of a comparison, the same for every arm: optimizer, loss, metrics, epochs."""

import hashlib
import inspect

import keras
import numpy as np

from keras_distill._compat import compiled_metrics
from keras_distill.arguments import check_count, shown, takes
from keras_distill.losses.logits import final_activation
from keras_distill.training.validation import checked_loss

_COMPILE_OPTIONS = (
    "auto_scale_loss",
    "jit_compile",
    "loss_weights",
    "run_eagerly",
    "steps_per_execution",
    "weighted_metrics",
)
_Schedule = keras.optimizers.schedules.LearningRateSchedule


class Settings:
    """Training settings, complete: what wasn't given is the student's own, or follows from it.

    Args:
        student: An example of what `make_student` returns.
        parts: `Parts`.
        epochs: As for `compare`, like all that follow.
        batch_size: Samples per update, or `None`.
        optimizer: Name, configuration, optimizer, or function that makes one; or `None`.
        learning_rate: Number, schedule, or function of the number of updates; or `None`.
        loss: Loss of the labels, or `None`.
        metrics: List of metrics, or `None`.
        callbacks: Function that makes the callbacks of a run, or `None`.
        compile_options: Dictionary of further arguments of `compile`.

    Raises:
        TypeError: If one is of the wrong type.
        ValueError: If one is out of bounds, or the loss can't be guessed.
    """

    def __init__(
        self,
        student,
        parts,
        epochs,
        batch_size,
        optimizer,
        learning_rate,
        loss,
        metrics,
        callbacks,
        compile_options,
    ):
        self.epochs = check_count("epochs", epochs)
        if batch_size is not None and parts.train.kind != "arrays":
            raise ValueError(
                "batch_size has nothing to do where the training part comes in batches: leave it "
                f"out, or batch the data set otherwise. Received: batch_size={shown(batch_size)}"
            )
        self.batch_size = 32 if batch_size is None else check_count("batch_size", batch_size)
        self.steps = parts.train.steps(self.batch_size)
        own = _compiled_with(student)
        unknown = sorted(set(compile_options) - set(_COMPILE_OPTIONS))
        if unknown:
            raise TypeError(
                f"compare has no argument {unknown[0]!r}. Those of compile that it passes on: "
                f"{', '.join(_COMPILE_OPTIONS)}."
            )
        self.compile_options = {**own.pop("options", {}), **compile_options}
        self._optimizer = own.get("optimizer", "adam") if optimizer is None else optimizer
        self._learning_rate = learning_rate
        self.make_optimizer()
        self.loss = own.get("loss") if loss is None else checked_loss(loss, None)
        if self.loss is None:
            self.loss = default_loss(student, *parts.train.first_batch())
        if metrics is not None and not isinstance(metrics, (list, tuple, dict)):
            raise ValueError(
                "metrics must be a list, or a dictionary by output name. "
                f"Received: metrics={shown(metrics)}"
            )
        is_crossentropy = "crossentropy" in _name_of(self.loss)
        activation = final_activation(student)
        self.has_classes = is_crossentropy or activation in ("softmax", "sigmoid")
        self.metrics = own.get("metrics") if metrics is None else metrics
        if self.metrics is None:
            self.metrics = default_metrics(self.loss) if is_crossentropy else []
        self._callbacks = _checked_callbacks(callbacks)

    def make_optimizer(self):
        """Returns a new optimizer with the learning rate of a run.

        Raises:
            TypeError: If there is none to be made.
            ValueError: If its name is unknown.
        """
        given = self._optimizer
        if isinstance(given, keras.Optimizer):
            made = type(given).from_config(given.get_config())
        elif isinstance(given, (str, dict)):
            made = keras.optimizers.get(given)
        else:
            made = given() if callable(given) and takes(given, 0) else None
            if made is given or not isinstance(made, keras.Optimizer):
                raise TypeError(
                    "optimizer must be a keras.Optimizer, its name, or a function without "
                    f"arguments that makes one. Received: optimizer={shown(given)}"
                )
        rate = self._rate()
        if rate is None:
            return made
        config = made.get_config()
        if "learning_rate" in config:
            # Not by the setter: a model whose optimizer's rate was replaced can't be exported.
            return type(made).from_config({**config, "learning_rate": rate})
        made.learning_rate = rate
        return made

    def _rate(self):
        rate = self._learning_rate
        if callable(rate) and not isinstance(rate, (_Schedule, type)):
            if self.steps is None:
                raise ValueError(
                    "learning_rate can't be a function of the number of updates where the training "
                    "part doesn't tell how many batches it has: use assert_cardinality, or give a "
                    "schedule."
                )
            rate = rate(self.epochs * self.steps)
        is_number = isinstance(rate, (int, float, np.number)) and not isinstance(rate, bool)
        if rate is None or isinstance(rate, _Schedule) or (is_number and 0 < rate < float("inf")):
            return rate
        raise (ValueError if is_number else TypeError)(
            "learning_rate must be a number above 0, a schedule of keras.optimizers.schedules, or "
            "a function of the number of updates that makes one. "
            f"Received: learning_rate={shown(rate)}"
        )

    def compile(self, model, **options):
        """Compiles a model for a run.

        Args:
            model: `keras.Model`.
            **options: Further arguments of `compile`.
        """
        options = {**self.compile_options, **options}
        model.compile(
            optimizer=self.make_optimizer(), loss=self.loss, metrics=self.metrics, **options
        )

    def callbacks(self, name, seed):
        """Returns the callbacks of a run.

        Args:
            name: Name of the arm.
            seed: Seed of the run.
        """
        if self._callbacks is None:
            return []
        made = self._callbacks(name, seed) if takes(self._callbacks, 2) else self._callbacks()
        return list(made) if isinstance(made, (list, tuple)) else [made]

    def describe(self):
        """Returns a dictionary, for `json`, of what makes the runs what they are."""
        optimizer = self.make_optimizer()
        config = {**optimizer.get_config(), "name": None}
        return {
            "epochs": self.epochs,
            "batch size": self.batch_size,
            "optimizer": described([type(optimizer).__name__, config]),
            "loss": described(self.loss),
            "metrics": described(self.metrics),
            "compile options": described(self.compile_options),
            "callbacks": function_fingerprint(self._callbacks),
        }


def described(value):
    """Returns a setting in a form that `json` can write and that is the same in every process.

    Args:
        value: A number, text, function, Keras object, or a structure of these.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(key): described(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [described(part) for part in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return described(value.tolist())
    if hasattr(value, "get_config"):
        try:
            return [type(value).__name__, described(value.get_config())]
        except Exception:  # What a class without a configuration raises is its author's choice.
            return type(value).__name__
    name = getattr(value, "__qualname__", type(value).__qualname__)
    return f"{getattr(value, '__module__', '')}.{name}"


def function_fingerprint(function):
    """Returns a function's name and a checksum of its source, `None` for none.

    Args:
        function: Function or `None`.
    """
    if function is None:
        return None
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""
    return [described(function), hashlib.sha256(source.encode()).hexdigest()]


def default_loss(student, x, y):
    """Returns the loss of a classifier for its labels and its last activation.

    Args:
        student: The student.
        x: A batch of inputs.
        y: Their labels.

    Raises:
        ValueError: If it isn't plain what the student learns.
    """
    activation = final_activation(student)
    is_single = not isinstance(y, (dict, list, tuple)) and activation is not None
    if is_single:
        y, units = np.asarray(y), student.outputs[0].shape[-1]
        from_logits = activation == "linear"
        labels = y[..., 0] if y.ndim == 2 and y.shape[1] == 1 else y
        is_binary = np.isin(labels, (0, 1)).all()
        if units == 1 and labels.ndim == 1 and is_binary:
            return keras.losses.BinaryCrossentropy(from_logits=from_logits)
        if units and units > 1 and labels.ndim == 1 and labels.dtype.kind in "iu":
            if activation != "sigmoid":
                return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
        elif units and units > 1 and y.shape[1:] == (units,) and is_binary:
            if activation == "sigmoid":
                return keras.losses.BinaryCrossentropy()
            if (y.sum(axis=-1) == 1).all():
                return keras.losses.CategoricalCrossentropy(from_logits=from_logits)
    raise ValueError(
        "What the student learns can't be told from its last layer and the labels: give loss=, as "
        "for compile, such as loss='mse', or a compiled student. "
        f"Received: a last activation {activation!r}, labels {shown(y)}"
    )


def default_metrics(loss):
    """Returns accuracy, at the threshold that suits a classifier's loss.

    Args:
        loss: A crossentropy.
    """
    if isinstance(loss, keras.losses.BinaryCrossentropy) and loss.get_config().get("from_logits"):
        return [keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)]
    return ["accuracy"]


def _name_of(loss):
    """Returns the name of a single loss, an empty text for several."""
    if isinstance(loss, str):
        return loss
    name = getattr(loss, "name", None) or getattr(loss, "__name__", "")
    return name if isinstance(name, str) else ""


def _compiled_with(student):
    """Returns what a student was compiled with, as arguments of `compile`."""
    if not student.compiled:
        return {}
    config = student.get_compile_config()
    own = {"loss": student.loss}
    if student.optimizer is not None:
        own["optimizer"] = student.optimizer
    options = {
        name: config[name]
        for name in ("loss_weights", "run_eagerly", "steps_per_execution")
        if config.get(name) not in (None, False, 1)
    }
    # "auto" has become a boolean that suits the student, and True may not suit its teacher.
    if config.get("jit_compile") is False:
        options["jit_compile"] = False
    own["metrics"] = _metrics_of(student, config.get("metrics"))
    if config.get("weighted_metrics"):
        options["weighted_metrics"] = _metrics_of(student, config["weighted_metrics"])
    return {**own, "options": options}


def _metrics_of(student, config):
    if config is None or compiled_metrics(student) is None:
        return []
    try:
        return keras.saving.deserialize_keras_object(config)
    except Exception as error:  # What Keras raises depends on what is missing or wrong.
        raise ValueError(
            "The metrics of the compiled student can't be taken over, since Keras can't copy them: "
            f"give metrics= to compare. Received: {shown(config)}"
        ) from error


def _checked_callbacks(callbacks):
    if callbacks is None:
        return None
    is_function = callable(callbacks) and not isinstance(
        callbacks, (type, keras.callbacks.Callback)
    )
    if not is_function or not (takes(callbacks, 0) or takes(callbacks, 2)):
        raise TypeError(
            "callbacks must be a function that makes the callbacks of a run, since they remember "
            "what they saw: lambda: [keras.callbacks.EarlyStopping()], or one of the arm's name "
            f"and the seed. Received: callbacks={shown(callbacks)}"
        )
    return callbacks
