"""Training of teachers and students, the same batches in the same order for each setting."""

import dataclasses
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf

from keras_distill import Distiller, TeacherCache
from keras_distill.cache.targets import check_cacheable
from keras_distill.features.batches import inputs_of
from keras_distill.training.reuse import CompiledModels

LABELS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
# Updates per call of Keras's loop.
STEPS = 20


def order_of(samples, updates, batch_size, seed):
    """Returns which samples each update sees: each of them once before any comes again.

    Args:
        samples: Number of samples.
        updates: Number of updates.
        batch_size: Samples per update.
        seed: Integer, or a list of integers.

    Returns:
        Array of indices, shape `(updates, batch_size)`.
    """
    rng = np.random.default_rng(seed)
    rounds = -(-updates * batch_size // samples)
    order = np.concatenate([rng.permutation(samples) for _ in range(rounds)])
    return order[: updates * batch_size].reshape(updates, batch_size)


def in_views(order, samples, views, seed):
    """Returns which rows each update sees, where data hold several views of each sample.

    Args:
        order: As `order_of` returns it.
        samples: Number of samples.
        views: Number of views.
        seed: Integer, or a list of integers.
    """
    return order + samples * np.random.default_rng(seed).integers(0, views, order.shape)


def batches(split, training, seed, with_unlabeled=False, augment=None):
    """Returns the training batches of a student.

    The labeled samples, their order and their augmentation are the same with unlabeled samples
    and without; the unlabeled ones come after them, with the class -1.

    Args:
        split: `Split`.
        training: `Training`.
        seed: Integer.
        with_unlabeled: Whether to add unlabeled samples.
        augment: As in `Task`.

    Returns:
        `tf.data.Dataset` of `(x, y)`.
    """
    count = len(split.y)
    order = order_of(count, training.updates, training.batch_size, [seed, 0])
    parts = [_part(split.x, split.y, order, split.views, augment, [seed, 1])]
    if with_unlabeled:
        count = len(keras.tree.flatten(split.unlabeled)[0]) // split.views
        order = order_of(count, training.updates, training.unlabeled, [seed, 2])
        missing = np.full(count, -1, split.y.dtype)
        parts.append(_part(split.unlabeled, missing, order, split.views, augment, [seed, 3]))
    if len(parts) == 1:
        return parts[0].prefetch(4)
    return tf.data.Dataset.zip(*parts).map(_put_together).prefetch(4)


def _put_together(labeled, unlabeled):
    return tf.nest.map_structure(lambda *both: tf.concat(both, 0), labeled, unlabeled)


def _part(x, y, order, views, augment, seed):
    samples = len(y)
    rows = in_views(order, samples, views, seed)
    x = tf.nest.map_structure(tf.constant, x)
    y = tf.constant(y)

    def batch(number, rows):
        chosen = tf.nest.map_structure(lambda array: tf.gather(array, rows), x)
        if augment is not None:
            chosen = augment(chosen, tf.stack([tf.cast(number, tf.int32), seed[0] * 10 + seed[1]]))
        return chosen, tf.gather(y, rows % samples)

    return tf.data.Dataset.from_tensor_slices(rows).enumerate().map(batch)


def compiled(model, training):
    """Compiles a model with Adam and a cosine decay, and returns it.

    Args:
        model: `keras.Model`.
        training: `Training`.
    """
    decay = keras.optimizers.schedules.CosineDecay(training.rate, training.updates)
    model.compile(keras.optimizers.Adam(decay), LABELS, steps_per_execution=STEPS)
    return model


def train_students(task, arm, teacher_of, seeds):
    """Trains a student per seed, which alone decides on initial weights and labeled batches.

    The training step is traced once: for the second seed, the same model starts again from the
    values that a new one has.

    Args:
        task: `Task`.
        arm: `Arm`.
        teacher_of: Function from a seed to its teacher: a `keras.Model`, or a `TeacherCache`.
        seeds: Seeds.

    Yields:
        Tuple of the seed and its student: the same model each time, with other weights.
    """
    made, answered = None, {}
    for seed in seeds:
        split, teacher = task.split_of(seed), teacher_of(seed)
        if _can_be_cached(task, arm, teacher):
            number = seed % len(task.splits)
            if number not in answered:
                losses = arm.settings(task.layers)["distillation_losses"]
                answered[number] = with_answers(split, teacher, losses)
            split = answered[number]
            teacher = split.cache
        data = batches(split, task.training, seed, arm.uses_unlabeled, task.augment)
        if not arm.terms:
            data = data.map(lambda x, y: (inputs_of(x), y))
        untrained = CompiledModels(arm, _untrained(task, arm, teacher, seed))
        if made is None or not made.start_as(untrained):
            made = untrained
        model = made.model
        keras.utils.set_random_seed(seed)
        model.fit(data, epochs=1, shuffle=False, verbose=0)
        # Not the student that was given: that of SimKD goes on with the teacher's classifier.
        yield seed, model.student if arm.terms else model


def train_student(task, arm, teacher, seed):
    """Trains the student of one seed, as `train_students` does, and returns it.

    Args:
        task: `Task`.
        arm: `Arm`.
        teacher: `keras.Model`, or `TeacherCache`.
        seed: Integer.
    """
    return next(train_students(task, arm, lambda _: teacher, [seed]))[1]


def _can_be_cached(task, arm, teacher):
    if not isinstance(teacher, keras.Model) or arm.uses_unlabeled or task.augment is not None:
        return False
    losses = arm.settings(task.layers)["distillation_losses"] if arm.terms else []
    try:
        for loss in losses:
            check_cacheable(loss)
    except ValueError:
        return False
    return bool(losses) and all(loss.needs_teacher for loss in losses)


def with_answers(split, teacher, losses):
    """Returns a split whose inputs hold what losses need of the teacher, which then doesn't run.

    Args:
        split: `Split`.
        teacher: `keras.Model`.
        losses: List of distillation losses.
    """
    data = split.x, split.y
    with tempfile.TemporaryDirectory() as folder:
        cache = TeacherCache.build(
            pathlib.Path(folder) / "cache",
            teacher,
            data,
            losses,
            batch_size=50,
            dtype="float32",
            verbose=0,
        )
        joined = cache.join(data, batch_size=len(split.y), shuffle=False)
        pieces = [batch for batch, _ in joined.as_numpy_iterator()]
    x = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *pieces)
    return dataclasses.replace(split, x=x, cache=cache)


def _untrained(task, arm, teacher, seed):
    if isinstance(teacher, keras.Model):
        # Its weights become those of another seed's teacher.
        teacher = _copied(teacher)
    keras.utils.set_random_seed(seed)
    model = task.make_student()
    if arm.terms:
        model = Distiller(teacher, model, **arm.settings(task.layers))
    return compiled(model, task.training)


def _copied(model):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def trained_teacher(task, number, work, seed=None):
    """Returns the teacher of a split, trained once and kept in a file.

    Args:
        task: `Task`.
        number: Number of the split.
        work: Folder of the file.
        seed: Seed of another teacher than the usual one, whose seed is the number.
    """
    if task.load_teacher is not None:
        return task.load_teacher()
    name = f"{task.teacher_name}_teacher_{number}"
    path = pathlib.Path(work) / f"{name if seed is None else f'{name}_{seed}'}.keras"
    seed = number if seed is None else seed
    if not path.exists():
        keras.utils.set_random_seed(seed)
        teacher = task.make_teacher()
        training, (x, y) = task.teacher_training, task.splits[number].teacher_data
        order = order_of(len(y), training.updates, training.batch_size, [seed, 0])
        data = _part(x, y, order, 1, task.augment, [seed, 1]).prefetch(4)
        compiled(teacher, training).fit(data, epochs=1, shuffle=False, verbose=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        teacher.save(path)
    return keras.models.load_model(path)


def accuracy(model, x, y):
    """Returns a model's accuracy in percent.

    Args:
        model: `keras.Model` that outputs logits.
        x: Inputs.
        y: Classes.
    """
    logits = model.predict(x, batch_size=500, verbose=0)
    return 100 * float(np.mean(np.argmax(logits, axis=-1) == y))
