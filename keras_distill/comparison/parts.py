"""Training, validation and test data of a comparison, in the forms that `fit` takes."""

import hashlib

import keras
import numpy as np
import tensorflow as tf

from keras_distill.arguments import shown, takes
from keras_distill.features.batches import take

_FORMS = (
    "a keras_distill.datasets.Dataset, a tuple (train, test) or (train, validation, test), or a "
    'dictionary with "train", "test" and maybe "validation"; each of them arrays (x, y) or '
    "(x, y, sample_weight), a tf.data.Dataset of batches, a keras.utils.PyDataset, or a function "
    "of the seed that makes one"
)
_AT_ONCE = 256


class Parts:
    """The three parts of a comparison's data.

    Args:
        train: The part to train on.
        validation: The part to look at while training, or `None`.
        test: The part to report on.
    """

    def __init__(self, train, validation, test):
        self.train, self.validation, self.test = train, validation, test
        seen = {"trained on": train, "chosen on": validation}
        for what, part in seen.items():
            if part is not None and part.is_same(test):
                raise ValueError(
                    f"data has the same test part as it is {what}: what is reported must be new to "
                    f"the student. Received: the same {test.kind} twice"
                )

    def fingerprints(self):
        """Returns a dictionary from part to what tells it from another."""
        named = {"training": self.train, "validation": self.validation, "test": self.test}
        return {
            f"{name} data": None if part is None else part.fingerprint()
            for name, part in named.items()
        }


class ArrayPart:
    """Arrays `(x, y)` or `(x, y, sample_weight)`; each of them may be a structure of arrays.

    Args:
        name: Name of the part.
        arrays: The arrays.
        order: `EpochOrder` that decides in which order `fit` gets the samples, and is one of its
            callbacks. Defaults to the order in which `fit` shuffles.
    """

    kind = "arrays"
    is_fixed = True

    def __init__(self, name, arrays, order=None):
        self.name, self._order = name, order
        try:
            self.arrays = tuple(keras.tree.map_structure(np.asarray, part) for part in arrays)
            lengths = {len(leaf) for leaf in keras.tree.flatten(self.arrays)}
        except (TypeError, ValueError):
            lengths = set()
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                f"data: the {name} part must be arrays (x, y) with as many inputs as labels. "
                f"Received: {shown(arrays)}"
            )
        (self.count,) = lengths

    def is_same(self, other):
        """Returns whether another part holds the same inputs."""
        if self.kind != other.kind or self.count != other.count:
            return False
        leaves = [keras.tree.flatten(part.arrays[0]) for part in (self, other)]
        return len(leaves[0]) == len(leaves[1]) and all(map(np.array_equal, *leaves))

    def steps(self, batch_size):
        """Returns the number of batches."""
        return -(-self.count // batch_size)

    def fingerprint(self):
        """Returns a checksum of the values."""
        digest = hashlib.sha256()
        for leaf in keras.tree.flatten(self.arrays):
            digest.update(f"{leaf.dtype} {leaf.shape}".encode())
            digest.update(
                repr(leaf.tolist()).encode()
                if leaf.dtype == object
                else np.ascontiguousarray(leaf).tobytes()
            )
        return digest.hexdigest()

    def first_batch(self):
        """Returns the inputs and labels of the first samples."""
        x, y = self.arrays[:2]
        return keras.tree.map_structure(lambda leaf: leaf[:_AT_ONCE], (x, y))

    def seen_through(self, input_function):
        """Returns the part with the inputs that an input function makes of these."""
        if input_function is None:
            return self
        x, *rest = self.arrays
        if not callable(input_function):
            return self._with(take(input_function, x, "student_input"), *rest)
        made = [
            input_function(keras.tree.map_structure(lambda a, s=start: a[s : s + _AT_ONCE], x))
            for start in range(0, self.count, _AT_ONCE)
        ]
        whole = keras.tree.map_structure(lambda *leaves: np.concatenate(leaves), *made)
        return self._with(whole, *rest)

    def _with(self, *arrays):
        return ArrayPart(self.name, arrays, self._order)

    def only_labeled(self, are_classes):
        """Returns the part without samples that have no label, repeated to the same number.

        Args:
            are_classes: Whether the labels are classes, so that -1 is none.
        """
        x, y, *rest = self.arrays
        if not isinstance(y, np.ndarray) or y.size != self.count or y.dtype.kind not in "iuf":
            return self
        flat = y.reshape(-1)
        has_label = (flat != -1 if are_classes else True) & ~np.isnan(flat)
        if has_label.all() or not has_label.any():
            return self
        again = np.resize(np.flatnonzero(has_label), self.count)
        return self._with(*keras.tree.map_structure(lambda leaf: leaf[again], (x, y, *rest)))

    def fit_arguments(self, batch_size, seed=None):
        """Returns the arguments of `fit` or `evaluate` as a dictionary."""
        return self.in_batches(self.arrays, batch_size, seed)

    def in_batches(self, arrays, batch_size, seed=None):
        """Returns the arguments of `fit` for arrays of the same samples.

        Args:
            arrays: Tuple `(x, y)` or `(x, y, sample_weight)`.
            batch_size: Samples per batch.
            seed: Seed of the run, for the order.
        """
        if self._order is not None:
            # Keras warns that it doesn't shuffle a tf.data.Dataset, unless it is told not to.
            return {"x": self._order.batches(arrays, batch_size, seed), "shuffle": False}
        names = ("x", "y", "sample_weight")
        return {**dict(zip(names, arrays, strict=False)), "batch_size": batch_size}

    def as_validation(self):
        """Returns the value of `fit`'s `validation_data`."""
        return self.arrays


class StreamPart:
    """A `tf.data.Dataset`, a `keras.utils.PyDataset`, or a function that makes one."""

    def __init__(self, name, source):
        self.name = name
        self.source = source
        self.is_function = callable(source) and not _is_stream(source)
        self.kind = "function" if self.is_function else type(source).__name__
        self.is_fixed = isinstance(source, tf.data.Dataset)
        self._check_repeats()

    def made(self, seed=0):
        """Returns the data set, made by the function if it is one."""
        if not self.is_function:
            return self.source
        keras.utils.set_random_seed(seed)
        made = self.source(seed) if takes(self.source, 1) else self.source()
        if not _is_stream(made):
            raise TypeError(
                f"data: the function of the {self.name} part must return a tf.data.Dataset or a "
                f"keras.utils.PyDataset. Received: {shown(made)}"
            )
        return made

    def _check_repeats(self):
        """Checks that every arm will see the same batches."""
        sums = [_checksum(self._first(self.made())) for _ in range(2)]
        if sums[0] != sums[1] or (not self.is_function and _changes_by_epoch(self.source)):
            advice = (
                "take its randomness from the seed (a stateless operation, shuffle(seed=seed))"
                if self.is_function
                else "give a function of the seed that makes the data set, lambda seed: "
                "tf.data.Dataset....shuffle(1000, seed=seed).batch(32), and it is called for each "
                "run"
            )
            raise ValueError(
                f"data: the {self.name} part gives other batches each time that it is read, so "
                f"that the arms wouldn't see the same: {advice}. Received: {shown(self.source)}"
            )
        if isinstance(self.made(), tf.data.Dataset) and self.steps(None) == float("inf"):
            raise ValueError(
                f"data: the {self.name} part never ends: leave .repeat() out. "
                f"Received: {shown(self.source)}"
            )

    def _first(self, stream):
        if not isinstance(stream, tf.data.Dataset):
            return stream[0]
        for batch in stream.take(1):
            return keras.tree.map_structure(np.asarray, batch)
        raise ValueError(f"data: the {self.name} part is empty. Received: {shown(self.source)}")

    def is_same(self, other):
        """Returns whether another part is the same object."""
        return getattr(other, "source", None) is self.source

    def steps(self, batch_size):
        """Returns the number of batches, `None` if it isn't known, infinity if there is no end."""
        stream = self.made()
        if not isinstance(stream, tf.data.Dataset):
            return len(stream)
        count = int(stream.cardinality())
        if count == tf.data.INFINITE_CARDINALITY:
            return float("inf")
        return count if count >= 0 else None

    def fingerprint(self):
        """Returns a checksum of the first batch, and the number of batches."""
        return f"{_checksum(self._first(self.made()))} {self.steps(None)}"

    def first_batch(self):
        """Returns the inputs and labels of the first batch."""
        batch = self._first(self.made())
        if not isinstance(batch, tuple) or len(batch) < 2:
            raise ValueError(
                f"data: the {self.name} part must give batches (x, y) or (x, y, sample_weight). "
                f"Received: {shown(self.source)}"
            )
        return batch[:2]

    def seen_through(self, input_function):
        """Returns the part with the inputs that an input function makes of these."""
        if input_function is None:
            return self
        if not isinstance(self.made(), tf.data.Dataset):
            raise ValueError(
                "student_input works on arrays and tf.data.Datasets: let the PyDataset give the "
                f"student's inputs. Received: student_input={shown(input_function)}"
            )

        def through(seed):
            return self.made(seed).map(
                lambda x, *rest: (take(input_function, x, "student_input"), *rest)
            )

        return StreamPart(self.name, through)

    def only_labeled(self, are_classes):
        """Returns the part as it is: samples without labels can't be told before it is read."""
        return self

    def fit_arguments(self, batch_size, seed=0):
        """Returns the arguments of `fit` or `evaluate` as a dictionary."""
        made = self.made(seed)
        # Keras warns that it doesn't shuffle a tf.data.Dataset, unless it is told not to.
        return {"x": made} | ({"shuffle": False} if isinstance(made, tf.data.Dataset) else {})

    def as_validation(self):
        """Returns the value of `fit`'s `validation_data`."""
        return self.made()


def parts_of(data):
    """Returns the parts of a comparison's data.

    Args:
        data: As for `compare`.

    Raises:
        TypeError: If it is of the wrong type.
        ValueError: If a part is missing or wrong, or what is reported on is trained on.
    """
    if hasattr(data, "x_train") and hasattr(data, "x_test"):
        validation = getattr(data, "validation_data", None)
        given = {
            "train": (data.x_train, data.y_train),
            "validation": validation,
            "test": (data.x_test, data.y_test),
        }
    elif isinstance(data, dict):
        given = dict(data)
        unknown = sorted(map(str, set(given) - {"train", "validation", "test"}))
        if unknown:
            raise ValueError(
                f"data has unknown keys: {', '.join(unknown)}. Known: train, validation, test."
            )
    elif isinstance(data, (tuple, list)) and len(data) in (2, 3) and all(map(_is_part, data)):
        names = ("train", "test") if len(data) == 2 else ("train", "validation", "test")
        given = dict(zip(names, data, strict=True))
    else:
        only = " A training part alone is not enough: give (train, test)." * _is_part(data)
        raise TypeError(f"data must be {_FORMS}.{only} Received: data={shown(data)}")
    missing = [name for name in ("train", "test") if given.get(name) is None]
    if missing:
        raise ValueError(
            f"data has no {missing[0]} part: every arm is trained on the training part and "
            f"reported on the test part. Received: {', '.join(given)}"
        )
    made = {
        name: None if given.get(name) is None else _part(name, given[name])
        for name in ("train", "validation", "test")
    }
    return Parts(**made)


def _part(name, source):
    if isinstance(source, ArrayPart):
        return source
    if not _is_part(source):
        raise TypeError(
            f"data: the {name} part must be arrays (x, y) or (x, y, sample_weight), a "
            "tf.data.Dataset of batches, a keras.utils.PyDataset or a function that makes one. "
            f"Received: {shown(source)}"
        )
    return (
        ArrayPart(name, source) if isinstance(source, (tuple, list)) else StreamPart(name, source)
    )


def _is_part(value):
    if isinstance(value, (tuple, list)):
        # An array isn't a part: the last dimension would be taken for inputs and labels.
        return len(value) in (2, 3) and not any(map(np.isscalar, value))
    is_function = callable(value) and not isinstance(value, (type, keras.layers.Layer))
    return _is_stream(value) or is_function


def _is_stream(value):
    return isinstance(value, (tf.data.Dataset, keras.utils.PyDataset))


def _changes_by_epoch(stream):
    """Returns whether a PyDataset goes on from where another arm left it."""
    if not isinstance(stream, keras.utils.PyDataset):
        return False
    return type(stream).on_epoch_end is not keras.utils.PyDataset.on_epoch_end


def _checksum(batch):
    digest = hashlib.sha256()
    for leaf in keras.tree.flatten(batch):
        leaf = np.asarray(leaf)
        digest.update(f"{leaf.dtype} {leaf.shape}".encode())
        digest.update(repr(leaf.tolist()).encode() if leaf.dtype == object else leaf.tobytes())
    return digest.hexdigest()
