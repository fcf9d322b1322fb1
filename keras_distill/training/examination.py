"""Measurements for a diagnosis: the losses, their gradients and the answers on some batches."""

import contextlib
import weakref

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_distill import _compat
from keras_distill.arguments import check_count, check_samples
from keras_distill.losses import schedule
from keras_distill.losses.response.soft_targets import SoftTargets
from keras_distill.losses.tensors import as_float
from keras_distill.training.diagnosis import Answers, Diagnosis, Term, findings_of
from keras_distill.training.learner import LABELS, Batch

# Layers that move what is in an image; others, such as Dropout, leave positions as they are.
_MOVING: tuple[str, ...]
_MOVING = ("RandomCrop", "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom")
_MOVING += ("RandomShear", "RandomPerspective", "RandomElasticTransform", "AugMix", "CutMix")

# Schedules that end at a known update.
_ENDING = (
    keras.optimizers.schedules.CosineDecay,
    keras.optimizers.schedules.PolynomialDecay,
)


class RememberedData:
    """The data of the last `fit`, for as long as somebody else holds it.

    Args:
        x: Inputs, or a data set, as `fit` was given them.
        y: Labels, or `None`.
        batch_size: Samples per batch, or `None`.
    """

    def __init__(self, x=None, y=None, batch_size=None):
        self._batch_size = batch_size
        try:
            self._held = keras.tree.map_structure(weakref.ref, (x, y) if y is not None else (x,))
        except TypeError:
            self._held = None

    def get(self):
        """Returns the data as for `batches_of`, or `None` where it is gone."""
        if self._held is None:
            return None
        values = keras.tree.map_structure(lambda held: held(), self._held)
        if any(value is None for value in keras.tree.flatten(values)):
            return None
        return values if len(values) > 1 else values[0]

    @property
    def batch_size(self):
        """Samples per batch."""
        return self._batch_size or 32


def examined(model, remembered, data=None, count=4):
    """Returns the `Diagnosis` of each learner on some batches; the model stays as it is.

    Args:
        model: A compiled `StepModel`.
        remembered: `RememberedData` of the last `fit`, or `None`.
        data: As for `StepModel.diagnose`.
        count: Number of batches at most.

    Returns:
        Dictionary from the learner's name to its `Diagnosis`.

    Raises:
        ValueError: If there are no batches, or the model isn't compiled.
    """
    check_count("batches", count, high=2**31 - 1)
    if not model.compiled:
        raise ValueError("Compile the distiller first: a diagnosis measures the compiled losses.")
    known = None if remembered is None else remembered.get()
    data = known if data is None else data
    if data is None:
        raise ValueError(
            "There is no data to look at: give arrays (x, y), or a tf.data.Dataset of batches. "
            "What the last `fit` was given is used where somebody still holds it."
        )
    batches = _batches_of(data, 32 if remembered is None else remembered.batch_size, count)
    if not batches:
        raise ValueError("data holds no samples.")
    batches = [Batch(*batch) for batch in batches]
    samples = sum(keras.tree.flatten(batch.x)[0].shape[0] for batch in batches)
    found = {}
    for learner in (each for each in model._learners if each.edges):
        with _restored(model):
            measured = [_measured(model, learner, batch) for batch in batches]
        answers = [_answers_of(model, learner, batch) for batch in batches]
        terms = _terms(model, learner, measured)
        known = None if any(answer is None for answer in answers) else _joined(answers)
        findings = list(findings_of(terms, known, _facts(model, learner)))
        found[learner.name] = Diagnosis(terms, findings, samples)
    return found


def _batches_of(data, batch_size, count):
    """Returns some batches of data, a list of `(x, y, sample_weight)`."""
    if isinstance(data, keras.utils.PyDataset):
        found = [data[index] for index in range(min(count, len(data)))]
        return [keras.utils.unpack_x_y_sample_weight(batch) for batch in found]
    if not isinstance(data, tf.data.Dataset):
        data = _sliced(data).batch(batch_size)
    return [keras.utils.unpack_x_y_sample_weight(batch) for batch in data.take(count)]


def _sliced(data):
    """Returns arrays as a `tf.data.Dataset` of samples."""
    forms = (
        "arrays of numbers x, (x, y) or (x, y, sample_weight), a tf.data.Dataset of batches or a "
        "PyDataset"
    )
    arrays = check_samples("data", data if isinstance(data, tuple) else (data,), forms)
    return tf.data.Dataset.from_tensor_slices(arrays)


def _measured(model, learner, batch):
    """Returns the losses of a batch, and their gradients, as a training step has them."""
    forwards = {branch: branch.forward(batch.x, training=False) for branch in model._frozen}
    weights = learner.branch.trainable_weights
    with tf.GradientTape(persistent=True) as tape:
        forwards |= model._forwards_of_trained(batch.x, training=True)
        _, parts = model._total(forwards, batch, True)
    parts = {
        LABELS: parts[learner.named(LABELS)],
        **{name: parts[name] for name in learner.loss_names},
    }
    gradients = {name: _flat(tape.gradient(each, weights), weights) for name, each in parts.items()}
    return {name: float(each) for name, each in parts.items()}, gradients


@contextlib.contextmanager
def _restored(model):
    """Restores what a step changes beside the weights that it trains: statistics and seeds."""
    models = [branch.model for branch in model._trained if branch.model is not None]
    layers = [*models, *model.distillation_layers]
    variables = [variable for layer in layers for variable in layer.non_trainable_variables]
    before = [ops.convert_to_numpy(variable) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def _flat(gradients, weights):
    """Returns a gradient as one vector."""
    known = [
        tf.zeros(weight.shape) if part is None else tf.cast(tf.convert_to_tensor(part), tf.float32)
        for part, weight in zip(gradients, weights, strict=True)
    ]
    return np.concatenate([np.ravel(part) for part in known] or [np.zeros(1)])


def _terms(model, learner, measured):
    """Returns the `Term` of the labels and of each loss, over all batches."""
    of_labels, of_losses = _factors(model, learner, model.optimizer.iterations)
    weights = {LABELS: of_labels} | dict(zip(learner.loss_names, of_losses, strict=True))
    gradients = {
        name: weight * np.stack([found[name] for _, found in measured])
        for name, weight in weights.items()
    }
    length = _norm(gradients[LABELS])
    terms = []
    for name, weight in weights.items():
        norm = _norm(gradients[name])
        both = np.vdot(gradients[name], gradients[LABELS]) / len(measured)
        terms.append(
            Term(
                name=name,
                value=float(np.mean([parts[name] for parts, _ in measured])),
                weight=weight,
                gradient=norm,
                share=norm / length if length else None,
                cosine=float(both / (norm * length)) if norm and length else None,
            )
        )
    return terms


def _norm(gradients):
    """Returns the root mean square, over batches, of the gradients' norms."""
    return float(np.sqrt(np.sum(np.square(gradients, dtype="float64")) / len(gradients)))


def _factors(model, learner, step):
    """Returns the weight of the labels' loss in the total, and a list of those of the others."""
    weights = [
        float(weight) / len(learner.edges)
        for edge in learner.edges
        for weight in edge.weights_at(step)
    ]
    if model.student_loss_weight is None or not learner.edges:
        return 1.0, weights
    of_labels = float(schedule.value_at(model.student_loss_weight, step))
    return of_labels, [(1.0 - of_labels) * weight for weight in weights]


def _answers_of(model, learner, batch):
    """Returns the `Answers` of a batch, or `None` where they aren't classes or aren't known."""
    if len(learner.edges) != 1:
        return None
    edge = learner.edges[0]
    ran = {branch: branch.forward(batch.x, training=False) for branch in model._frozen}
    ran |= model._forwards_of_trained(batch.x, training=False)
    output = ran[learner.branch].output
    logits = edge.logits(edge.source.as_source(ran), ran[learner.branch])
    kinds = learner.outputs.kinds(output)
    if logits is None or kinds not in ([None], ["softmax"]):
        return None
    teacher, student = logits
    if len(teacher.shape) != 2 or teacher.shape[-1] < 2 or teacher.shape != student.shape:
        return None
    step = model.optimizer.iterations
    softened = [
        (name, _probabilities(teacher, schedule.value_at(loss.temperature, step)))
        for name, loss in zip(edge.names, edge.losses, strict=True)
        if isinstance(loss, SoftTargets) and not loss.standardize and loss.outputs is None
    ]
    labels = learner.labels(batch, output, model.label_key).known_classes
    return Answers(_probabilities(teacher), _probabilities(student), labels, softened)


def _probabilities(logits, temperature=1.0):
    return np.asarray(ops.softmax(as_float(logits) / float(temperature)))


def _joined(answers):
    """Returns the `Answers` of several batches as one."""
    parts = {
        name: np.concatenate([getattr(answer, name) for answer in answers])
        for name in ("teacher", "student", "labels")
    }
    names = [name for name, _ in answers[0].softened]
    softened = [
        (name, np.concatenate([answer.softened[index][1] for answer in answers]))
        for index, name in enumerate(names)
    ]
    return Answers(**parts, softened=softened)


def _facts(model, learner):
    """Returns what a diagnosis knows of the models and the schedules, a dictionary."""
    # A peer isn't to be larger than those that it teaches.
    teachers = [edge.source.model for edge in learner.edges if not edge.source.is_trained]
    student = learner.branch.model
    moving = [layer.name for layer in _compat.all_layers(student) if _is_moving(layer)]
    return {
        "teacher": teachers[0].count_params() if teachers and teachers[0] is not None else None,
        "student": student.count_params(),
        "trainable": bool(student.trainable_weights),
        "random": moving,
        "spatial": [name for edge in learner.edges for name in edge.spatial_names],
        "updates": int(model.optimizer.iterations.numpy()),
        "schedules": list(_schedules(model, learner)),
    }


def _is_moving(layer):
    return type(layer).__name__ in _MOVING


def _schedules(model, learner):
    """Yields what is scheduled, and for how many updates."""
    scheduled = {"the learning rate": getattr(model.optimizer, "_learning_rate", None)}
    scheduled["student_loss_weight"] = model.student_loss_weight
    weights = [weight for edge in learner.edges for weight in edge.weights]
    for name, weight in zip(learner.loss_names, weights, strict=True):
        scheduled[f"the weight of {name}"] = getattr(weight, "share", weight)
    for what, value in scheduled.items():
        if isinstance(value, _ENDING):
            yield what, int(value.decay_steps + (getattr(value, "warmup_steps", 0) or 0))
