"""Calls of architectures, data sets, pictures, the demo and the command line."""

import numbers

import keras
import numpy as np
from scipy.io import wavfile

from keras_distill import architectures, cli, datasets, sensors, visualization
from tests.fuzz.cases import Call
from tests.fuzz.rules import (
    FLAG,
    NONE,
    PATH,
    Rule,
    array,
    count,
    number,
    one_of,
    sequence_of,
    text,
)

_SHAPE = sequence_of(count(high=64), 3, 3)
_CLASSES = count(low=2, high=10_000)
_ARCHITECTURE = {
    "input_shape": _SHAPE,
    "num_classes": _CLASSES,
    "filters": sequence_of(count()),
    "alpha": number(0, 99, low_is_allowed=False),
}


def _architecture(name):
    build = getattr(architectures, name)
    given = {"input_shape": (16, 16, 1), "num_classes": 3}
    more = {
        "digits_student": {"filters": (2, 3)},
        "small_cnn": {"filters": (2, 3)},
        "mobilenet_v1": {"alpha": 0.25},
    }
    return Call(
        f"architectures.{name}",
        lambda place: (build, {**given, **more.get(name, {})}),
        _ARCHITECTURE,
        module="architectures",
    )


def _is_class_names(value):
    # A string is none: its letters would become the names. Numbers are: `labels=range(10)`.
    is_list = isinstance(value, (list, tuple, range, np.ndarray)) and np.ndim(value) == 1
    return is_list and len(value) >= 2 and all(map(_is_class_name, value))


def _is_class_name(value):
    return isinstance(value, (str, numbers.Integral)) and not isinstance(value, bool)


# A picture is written over the file that the user names, as matplotlib's `savefig` does; an error
# about its folder names the argument as "output folder".
_PATH = Rule(lambda value: value is None or PATH.accepts(value), ("output folder",), replaces=True)
_CLASS_NUMBERS = array(lambda made: made.shape in ((3,), (3, 2)) and np.isfinite(made).all())


_LABELS = Rule(
    lambda value: isinstance(value, np.ndarray) and value.shape == (12,) and value.max() < 3
)
_IMAGES = Rule(
    lambda value: (
        isinstance(value, np.ndarray)
        and value.shape == (12, 8, 8, 1)
        and value.dtype.kind == "f"
        and np.isfinite(value).all()
    )
)


def _attention(place):
    maps = {"teacher": np.random.rand(2, 4, 4), "student": np.random.rand(2, 2, 2)}
    arguments = {
        "images": place.x[:2],
        "maps": maps,
        "path": place.folder / "attention.png",
        "predictions": {"student": np.array([0, 1])},
        "labels": np.array([0, 1]),
        "class_names": ["no", "yes"],
        "overlay": True,
    }
    return visualization.plot_attention, arguments


def _curves(place):
    histories = {"alone": [{"val_accuracy": [0.5, 0.6]}, {"val_accuracy": [0.4]}]}
    arguments = {
        "histories": histories,
        "metric": "val_accuracy",
        "path": place.folder / "curves.png",
    }
    return visualization.plot_curves, arguments


def _confusion(place):
    arguments = {
        "y_true": np.array([0, 1, 1]),
        "y_pred": np.array([0, 1, 0]),
        "labels": ["no", "yes"],
        "path": place.folder / "confusion.png",
    }
    return visualization.plot_confusion, arguments


def _load(place):
    arguments = {
        "name": "digits",
        "data_dir": None,
        "max_train": 20,
        "max_test": 10,
        "max_val": 10,
        "validation_split": 0.2,
        "image_size": (6, 6),
        "download": False,
        "seed": 0,
    }
    return datasets.load, arguments


def images(place):
    """A folder of images of two classes."""
    folder = place.folder / "images"
    for name in ("no", "yes"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(4):
            keras.utils.save_img(folder / name / f"{index}.png", place.x[index], scale=True)
    arguments = {
        "directory": folder,
        "image_size": (6, 6),
        "channels": 1,
        "validation_split": 0.2,
        "test_split": 0.2,
        "seed": 0,
    }
    return datasets.images_from_directory, arguments


def sounds(place):
    """A folder of recordings of two classes."""
    folder = place.folder / "sounds"
    for name in ("no", "yes"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(4):
            noise = np.random.default_rng(index).normal(size=800).astype("float32")
            wavfile.write(folder / name / f"{index}.wav", 8_000, noise)
    arguments = {
        "directory": folder,
        "features": sensors.LogMel(rate=8_000, samples=800, frame=256, hop=160, bands=8),
        "validation_split": 0.2,
        "test_split": 0.2,
        "seed": 0,
    }
    return datasets.sounds_from_directory, arguments


# Others may leave nothing to train on, together or of four files.
_SPLIT = number(0, 0.5, low_is_allowed=False)
_PARTS = {
    "validation_split": _SPLIT,
    "test_split": _SPLIT,
    "seed": count(low=0, high=2**32 - 1),
}


def _command(*words):
    """A call of the command line whose words are the arguments."""

    def run(**given):
        status = cli.main([str(word) for word in given.values()])
        if status:
            raise SystemExit(status)

    def make(place):
        given = {
            f"word{index}": word(place) if callable(word) else word
            for index, word in enumerate(words)
        }
        return run, given

    return make


CALLS = [
    *(_architecture(name) for name in architectures.names()),
    Call("architectures.names", lambda place: (architectures.names, {}), module="architectures"),
    Call(
        "architectures.get",
        lambda place: (
            architectures.get,
            {"name": "small_cnn", "input_shape": (8, 8, 1), "num_classes": 3, "filters": (2, 3)},
        ),
        {
            **_ARCHITECTURE,
            "name": one_of("small_cnn").named("architecture"),
        },
        module="architectures",
    ),
    Call("datasets.names", lambda place: (datasets.names, {}), module="datasets"),
    Call(
        "datasets.load",
        _load,
        {
            "name": one_of("digits").named("data set"),
            "data_dir": NONE | PATH,
            "max_train": NONE | count(),
            "max_test": NONE | count(),
            "max_val": NONE | count(),
            # 0 leaves no validation part for max_val to choose from.
            "validation_split": NONE | number(0, 0.999, low_is_allowed=False),
            "image_size": NONE | sequence_of(count(high=64), 2, 2),
            "download": FLAG,
            "seed": count(low=0, high=2**32 - 1),
        },
        module="datasets",
    ),
    Call(
        "datasets.images_from_directory",
        images,
        {
            "directory": Rule(lambda value: False).named("folder"),
            "image_size": NONE | sequence_of(count(high=64), 2, 2),
            "channels": NONE | Rule(lambda value: value in (1, 3)),
            **_PARTS,
        },
        module="datasets",
    ),
    Call(
        "datasets.sounds_from_directory",
        sounds,
        {"directory": Rule(lambda value: False).named("folder"), "features": NONE, **_PARTS},
        module="datasets",
    ),
    Call(
        "datasets.with_sample_index",
        lambda place: (datasets.with_sample_index, {"dataset": (place.x, place.y)}),
        {
            "dataset": Rule(lambda value: isinstance(value, tuple) and len(value) == 3).named(
                "with_sample_index", "samples"
            )
        },
        lambda place, made, arguments: next(iter(made)),
        module="datasets",
    ),
    Call(
        "datasets.with_unlabeled",
        lambda place: (
            datasets.with_unlabeled,
            {
                "labeled": (place.x, place.y),
                "unlabeled": place.x,
                "batch_size": 4,
                "unlabeled_batch_size": 4,
                "seed": 0,
            },
        ),
        {
            # A third array is the sample weights.
            "labeled": Rule(lambda value: isinstance(value, tuple) and len(value) == 3),
            "unlabeled": array(lambda made: made.shape[1:] == (8, 8, 1)),
            "batch_size": NONE | count(),
            "unlabeled_batch_size": NONE | count(),
            "seed": NONE | count(low=0),
        },
        lambda place, made, arguments: next(iter(made)),
        module="datasets",
    ),
    Call(
        "datasets.Dataset",
        lambda place: (
            datasets.Dataset,
            {
                "name": "own",
                "x_train": place.x,
                "y_train": place.y,
                "x_test": place.x,
                "y_test": place.y,
                "x_val": place.x,
                "y_val": place.y,
                "labels": ("a", "b", "c"),
                "range": (0.0, 1.0),
            },
        ),
        {
            "name": text(),
            "x_train": _IMAGES,
            "x_test": _IMAGES,
            "labels": sequence_of(text(), least=3),
            "y_train": _LABELS,
            "y_test": _LABELS,
            "x_val": _IMAGES,
            "y_val": _LABELS,
            "range": Rule(lambda value: isinstance(value, list) and value == [1, 2]),
        },
        module="datasets",
    ),
    Call(
        "visualization.attention_map",
        lambda place: (visualization.attention_map, {"features": np.random.rand(2, 4, 4, 3)}),
        {"features": array(lambda made: made.ndim == 4 and made.size and np.isfinite(made).all())},
        module="visualization",
    ),
    Call(
        "visualization.plot_attention",
        _attention,
        {
            "path": _PATH,
            "overlay": FLAG,
            "predictions": NONE | Rule(lambda value: value == {}),
            # Scaled to its own range, so any finite numbers do.
            "images": array(lambda made: made.shape == (2, 8, 8, 1) and np.isfinite(made).all()),
            # Classes, or scores per class.
            "labels": NONE | array(lambda made: made.shape[:1] == (2,) and made.ndim in (1, 2)),
            "class_names": NONE | Rule(_is_class_names),
        },
        lambda place, figure, arguments: visualization.png(figure),
        module="visualization",
    ),
    Call(
        "visualization.plot_images",
        lambda place: (
            visualization.plot_images,
            {
                "images": np.random.rand(2, 8, 8, 1),
                "labels": np.array([0, 1]),
                "class_names": ["a", "b", "c"],
                "columns": 2,
                "path": None,
            },
        ),
        {
            "path": _PATH,
            "images": array(lambda made: made.shape == (2, 8, 8, 1) and np.isfinite(made).all()),
            "labels": NONE | array(lambda made: made.shape[:1] == (2,) and made.ndim in (1, 2)),
            "class_names": NONE | Rule(_is_class_names),
            "columns": count(),
        },
        lambda place, figure, arguments: visualization.png(figure),
        module="visualization",
    ),
    Call(
        "visualization.plot_curves",
        _curves,
        # The keys are the models' names, as the user likes them.
        {
            "path": _PATH,
            "histories": Rule(lambda value: isinstance(value, dict) and "alone?" in value),
        },
        lambda place, figure, arguments: visualization.png(figure),
        module="visualization",
    ),
    Call(
        "visualization.plot_confusion",
        _confusion,
        {
            "path": _PATH,
            "y_true": _CLASS_NUMBERS,
            "y_pred": _CLASS_NUMBERS,
            "labels": Rule(_is_class_names).named("class names"),
        },
        lambda place, figure, arguments: visualization.png(figure),
        module="visualization",
    ),
    Call(
        "visualization.png",
        lambda place: (
            visualization.png,
            {"figure": visualization.plot_confusion([0, 1], [0, 1], ["a", "b"])},
        ),
        module="visualization",
    ),
]
