"""Data that the commands take: labels of an .npz file, and data sets by name."""

import argparse

import keras
import numpy as np
import pytest

from keras_distill.cli import distill_command, training_data
from tests.cli.conftest import samples


def loaded(source, **options):
    """Returns the data of a run."""
    settings = distill_command.OPTIONS.completed(argparse.Namespace())
    for name, value in {"data": str(source), **options}.items():
        setattr(settings, name, value)
    training_data.check(settings)
    return training_data.load(settings)


@pytest.fixture
def write(tmp_path):
    """Writes labels, and others of a test part, beside images, and returns the file."""

    def written(of_classes, **further):
        x, y = samples(60, 0)
        arrays = {"x_train": x, "y_train": of_classes(y), "x_test": x[:9] + 1, **further}
        np.savez(tmp_path / "data.npz", **arrays, y_test=of_classes(y[:9]))
        return tmp_path / "data.npz"

    return written


NAMES = np.array(["Käse", "a b", "no"])


@pytest.mark.parametrize(
    ("of_classes", "labels"),
    [
        (lambda y: y[:, None], ("0", "1", "2")),
        (lambda y: np.eye(3)[y], ("0", "1", "2")),
        (lambda y: np.eye(3, dtype=bool)[y], ("0", "1", "2")),
        (lambda y: NAMES[y], ("Käse", "a b", "no")),
        (lambda y: NAMES[y][:, None], ("Käse", "a b", "no")),
        (lambda y: NAMES[1:].astype("S")[y % 2], ("a b", "no")),
    ],
)
def test_labels_are_numbers_columns_rows_or_names(write, of_classes, labels):
    data = loaded(write(of_classes))
    assert data.labels == labels
    np.testing.assert_array_equal(data.parts["test"][1], np.arange(9) % 3 % len(labels))
    assert data.parts["test"][1].dtype == "int32"


def test_names_take_the_order_of_the_labels(write):
    data = loaded(write(lambda y: NAMES[y], labels=NAMES[::-1]))
    assert data.labels == ("no", "a b", "Käse")
    np.testing.assert_array_equal(data.parts["test"][1], 2 - np.arange(9) % 3)


@pytest.mark.parametrize(
    ("of_classes", "further", "message"),
    [
        (lambda y: NAMES[y], {"labels": NAMES[:2]}, "classes that its labels lack: no"),
        (lambda y: y + 0.5, {}, "rows with a 1 at the class. Received: y_train of shape"),
        (lambda y: np.ones((len(y), 3)), {}, "rows with a 1 at the class"),
        (lambda y: NAMES[y][:, None][:, [0, 0]], {}, "must be the class of each sample"),
    ],
)
def test_what_is_no_class_is_refused(write, of_classes, further, message):
    with pytest.raises(ValueError, match=message):
        loaded(write(of_classes, **further))


def test_some_samples_of_a_data_set_are_kept_every_class_in_proportion():
    data = loaded("digits", samples=40)
    counts = np.bincount(data.parts["train"][1])
    assert counts.sum() == 40 and counts.min() >= 3 and counts.max() <= 5
    assert len(data.parts["test"][1]) == 500
    with pytest.raises(ValueError, match="--samples 4 leaves 6 of 10 classes without"):
        loaded("digits", samples=4)


def test_some_samples_of_a_file_are_kept_and_the_other_parts_stay(write):
    file = write(lambda y: y)
    whole, some = loaded(file), loaded(file, samples=21)
    (x, y), (kept, classes) = whole.parts["train"], some.parts["train"]
    np.testing.assert_array_equal(np.bincount(classes), [7, 7, 7])
    places = [np.flatnonzero((x == image).all(axis=(1, 2, 3)))[0] for image in kept]
    np.testing.assert_array_equal(y[places], classes)
    for part in ("validation", "test"):
        np.testing.assert_array_equal(whole.parts[part][0], some.parts[part][0])


def test_some_files_of_a_folder_are_kept_and_only_they_are_read(tmp_path):
    for label in ("cats", "dogs"):
        (tmp_path / label).mkdir()
        for number in range(20):
            image = np.full((4, 4, 1), 10 * number, "uint8")
            keras.utils.save_img(tmp_path / label / f"{number}.png", image, scale=False)
    whole, some = loaded(tmp_path), loaded(tmp_path, samples=6)
    assert [len(part[1]) for part in some.parts.values()] == [6, 6, 6]
    np.testing.assert_array_equal(np.bincount(some.parts["train"][1]), [3, 3])
    assert set(some.files["train"]) < set(whole.files["train"])
    assert {part: files for part, files in some.files.items() if part != "train"} == {
        part: files for part, files in whole.files.items() if part != "train"
    }
