"""Calls that read a damaged file."""

import contextlib
import io

import keras
import numpy as np

from keras_distill import Distiller, TeacherCache, cli, datasets
from tests.fuzz.calls import data
from tests.fuzz.cases import Call
from tests.fuzz.damage import damage, names, restored_copy
from tests.fuzz.rules import ANYTHING, NOTHING


class NotInALineError(Exception):
    """Raised where the command line ends in more than a line."""


def _open_tflite(place):
    def read(damage_of_file):
        model = place.tflite()
        path = model.path
        if damage_of_file is not None:
            damage(path, damage_of_file)
        model = type(model)(path)
        model.lint()
        model.predict(place.x[:1])

    return read, {"damage_of_file": None}


def _command(*words):
    """The command line on a damaged file: `{tflite}`, `{keras}` or `{npz}` stands for it."""

    def make(place):
        def run(damage_of_file):
            files = {}
            for word in words:
                if word == "{tflite}":
                    files[word] = place.tflite().path
                elif word == "{keras}":
                    files[word] = place.keras_file()
                elif word == "{npz}":
                    files[word] = place.folder / "data.npz"
                    np.savez(files[word], x=place.x, y=place.y)
            if damage_of_file is not None:
                damage(list(files.values())[-1], damage_of_file)
            _run(*(str(files.get(word, word)) for word in words))

        return run, {"damage_of_file": None}

    return make


def _run(*words):
    """Runs the command, and checks that what goes wrong is said in a line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(list(words))
    lines = [line for line in err.getvalue().splitlines() if line.startswith("keras-distill")]
    if status and not lines and not out.getvalue():
        raise NotInALineError(f"status {status} without a word")


def _open_cache(pattern):
    def make(place):
        def read(damage_of_file):
            folder = restored_copy(place.cache().directory, place.folder / "cache")
            if damage_of_file is not None:
                damage(sorted(folder.glob(pattern))[0], damage_of_file)
            dataset = TeacherCache(folder).join((place.x, place.y), batch_size=4, shuffle=False)
            for _ in dataset:
                pass

        return read, {"damage_of_file": None}

    return make


def _open_folder(write, load, pattern):
    """A folder of images or sounds of which one file is damaged."""

    def make(place):
        def read(damage_of_file):
            _, arguments = write(place)
            if damage_of_file is not None:
                damage(sorted(arguments["directory"].rglob(pattern))[0], damage_of_file)
            load(**arguments)

        return read, {"damage_of_file": None}

    return make


def _load_distiller(place):
    def read(damage_of_file):
        path = place.folder / "distiller.keras"
        distiller = Distiller(place.teacher(), place.student(), "kd")
        distiller.save(path)
        if damage_of_file is not None:
            damage(path, damage_of_file)
        keras.models.load_model(path)

    return read, {"damage_of_file": None}


def _pack_again(place):
    """Packs into a folder whose list of files was damaged; what the user put there stays."""

    def pack(damage_of_file):
        model, folder = place.tflite(), place.folder / "project"
        model.to_raspberry_pi(folder, samples=place.x[:2])
        (folder / "thesis.txt").write_text("years of work")
        if damage_of_file is not None:
            marker = next(path for path in sorted(folder.iterdir()) if path.name.startswith("."))
            damage(marker, damage_of_file)
        try:
            model.to_raspberry_pi(folder, samples=place.x[:2])
        finally:
            if (folder / "thesis.txt").read_text() != "years of work":
                raise NotInALineError("a file of the user's is gone")

    return pack, {"damage_of_file": None}


def _damaged(name, make, each, rule, seconds=30):
    return Call(
        f"damaged {name}",
        make,
        {"damage_of_file": rule},
        values=names(each),
        seconds=seconds,
        module="files",
    )


_TFLITE = ANYTHING.named("tflite", "TensorFlow Lite", "LiteRT", "Input")
CALLS = [
    _damaged(".tflite", _open_tflite, 40, _TFLITE),
    _damaged(".tflite in inspect", _command("inspect", "{tflite}"), 10, _TFLITE),
    _damaged(".tflite in lint", _command("lint", "{tflite}"), 10, _TFLITE),
    _damaged(".keras in export", _command("export", "{keras}"), 2, ANYTHING, seconds=60),
    _damaged(
        ".npz in export",
        _command("export", "{keras}", "--quantization", "int8", "--data", "{npz}"),
        2,
        ANYTHING,
        seconds=60,
    ),
    _damaged(
        "image of a folder",
        _open_folder(data.images, datasets.images_from_directory, "*.png"),
        5,
        ANYTHING.named("image", "png"),
    ),
    _damaged(
        "recording of a folder",
        _open_folder(data.sounds, datasets.sounds_from_directory, "*.wav"),
        5,
        ANYTHING.named("recording", "wav"),
    ),
    # Numbers and spaces in it are part of what it says, so nothing may go through.
    _damaged("manifest", _open_cache("manifest.json"), 12, NOTHING.named("manifest", "cache")),
    _damaged("shard", _open_cache("*.tfrecord*"), 12, NOTHING.named("shard", "cache", "damaged")),
    _damaged("saved distiller", _load_distiller, 5, ANYTHING.of_keras()),
    _damaged("list of a project", _pack_again, 5, ANYTHING.named("folder", "project")),
]
