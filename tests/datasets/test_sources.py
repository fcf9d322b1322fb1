"""Sources: the split of the digits, tensorflow-datasets read from a prepared folder, names."""

import hashlib
import logging
import sys

import numpy as np
import pytest

from keras_distill import datasets


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Two small sets on disk as tensorflow-datasets prepares them."""
    tfds = pytest.importorskip("tensorflow_datasets")
    folder = tmp_path_factory.mktemp("tfds")
    rng = np.random.default_rng(0)

    def write(name, shape, splits, label=True, dtype=np.uint8):
        features = {"image": tfds.features.Image(shape=shape, dtype=dtype)}
        if label:
            features["kind"] = tfds.features.ClassLabel(names=["cat", "dog", "eel"])
        high = np.iinfo(dtype).max + 1
        rows = {}
        for split, count in splits.items():
            rows[split] = [
                {
                    "image": rng.integers(0, high, [n or 4 + i % 3 for n in shape]).astype(dtype),
                    **({"kind": i % 3} if label else {}),
                }
                for i in range(count)
            ]
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            data_dir=folder,
            features=tfds.features.FeaturesDict(features),
            split_datasets={split: list(enumerate(examples)) for split, examples in rows.items()},
        )
        return rows

    rows = {
        "pets": write("pets", (6, 5, 3), {"train": 30, "test": 9}),
        "own": write("own", (4, 4, 1), {"train": 9, "validation": 6, "test": 3}),
        "deep": write("deep", (4, 4, 1), {"train": 6, "validation": 3}, dtype=np.uint16),
        "sizes": write("sizes", (None, None, 3), {"train": 6, "test": 3}),
        "plain": write("plain", (4, 4, 1), {"train": 3, "test": 3}, label=False),
        "single": write("single", (4, 4, 1), {"train": 3}),
    }
    return folder, rows


def test_digits_split_never_changes():
    (_, _), (x, y) = datasets.load("digits").arrays
    digest = hashlib.sha256((x * 16).astype("uint8").tobytes() + y.astype("uint8").tobytes())
    assert digest.hexdigest()[:16] == "080f1e548e7294d7"


def test_digits_parts_are_all_of_the_set_and_keep_image_and_label_together():
    from sklearn.datasets import load_digits

    whole = load_digits()
    digits = datasets.load("digits")
    known = sorted(
        (image.astype("float32").tobytes(), int(label))
        for image, label in zip(whole.images / 16, whole.target, strict=True)
    )
    x = np.concatenate([digits.x_train, digits.x_val, digits.x_test])
    y = np.concatenate([digits.y_train, digits.y_val, digits.y_test])
    found = sorted((image.tobytes(), int(label)) for image, label in zip(x, y, strict=True))
    assert found == known


def test_digits_split_has_every_class_in_proportion():
    digits = datasets.load("digits")
    train, val, test = map(np.bincount, (digits.y_train, digits.y_val, digits.y_test))
    np.testing.assert_allclose(test / (train + val + test), 500 / 1797, atol=0.006)
    np.testing.assert_allclose(val / (train + val), 0.2, atol=0.006)


def test_the_validation_part_is_the_same_in_every_call():
    whole = datasets.load("digits")
    assert np.array_equal(whole.x_val, datasets.load("digits", max_train=50, seed=3).x_val)
    some = {x.tobytes() for x in datasets.load("digits", max_val=40, seed=3).x_val}
    assert len(some) == 40 and some < {x.tobytes() for x in whole.x_val}
    assert len(datasets.load("digits", max_val=40).x_train) == len(whole.x_train)
    other = datasets.load("digits", validation_split=0.5)
    assert len(other.x_val) == 648 and len(other.x_train) == 649


def test_without_a_validation_part_all_images_are_trained_on():
    digits = datasets.load("digits", validation_split=0)
    assert digits.x_val is None and len(digits.x_train) == 1297
    known = datasets.load("digits")
    assert np.array_equal(digits.x_test, known.x_test)


def test_a_validation_split_of_its_own_is_the_validation_part(prepared):
    folder, rows = prepared
    own = datasets.load("own", data_dir=folder)
    assert [len(part) for part in (own.x_train, own.x_val, own.x_test)] == [9, 6, 3]
    read = {np.round(image * 255).astype("uint8").tobytes() for image in own.x_val}
    assert read == {row["image"].tobytes() for row in rows["own"]["validation"]}
    with pytest.raises(ValueError, match=r"validation split of its own.*validation_split=0.1"):
        datasets.load("own", data_dir=folder, validation_split=0.1)


def test_prepared_set_is_read_in_its_own_order(prepared):
    folder, rows = prepared
    pets = datasets.load("pets", data_dir=folder)
    assert pets.labels == ("cat", "dog", "eel") and pets.input_shape == (6, 5, 3)
    assert [len(part) for part in (pets.x_train, pets.x_val, pets.x_test)] == [24, 6, 9]
    assert list(np.bincount(pets.y_val)) == [2, 2, 2]
    expected = {row["image"].tobytes(): row["kind"] for row in rows["pets"]["train"]}
    x, y = np.concatenate([pets.x_train, pets.x_val]), np.concatenate([pets.y_train, pets.y_val])
    for image, label in zip(x, y, strict=True):
        assert expected.pop(np.round(image * 255).astype("uint8").tobytes()) == label
    assert not expected


def test_prepared_subset_keeps_image_and_label_together(prepared):
    folder, rows = prepared
    pets = datasets.load("pets", data_dir=folder, max_train=7, max_test=3)
    expected = {row["image"].tobytes(): row["kind"] for row in rows["pets"]["train"]}
    assert len(pets.x_train) == len(pets.y_train) == 7
    assert len(np.unique(pets.x_train, axis=0)) == 7
    for image, label in zip(pets.x_train, pets.y_train, strict=True):
        assert expected[np.round(image * 255).astype("uint8").tobytes()] == label


def test_sixteen_bit_images_are_scaled_by_their_own_range_and_validation_stands_in(prepared):
    folder, rows = prepared
    deep = datasets.load("deep", data_dir=folder)
    largest = max(row["image"].max() for row in rows["deep"]["validation"]) / 65535
    assert deep.x_test.max() == pytest.approx(largest)
    assert len(deep.x_test) == 3


def test_images_of_different_size_need_image_size(prepared):
    folder, _ = prepared
    with pytest.raises(ValueError, match=r"image_size"):
        datasets.load("sizes", data_dir=folder)
    sizes = datasets.load("sizes", data_dir=folder, image_size=(8, 8))
    assert sizes.x_train.shape == (5, 8, 8, 3) and sizes.x_val.shape == (1, 8, 8, 3)


def test_set_without_a_label_is_refused_with_its_features(prepared):
    with pytest.raises(ValueError, match=r"not an image classification set.*image \(Image\)"):
        datasets.load("plain", data_dir=prepared[0])


def test_set_without_a_test_part_is_refused_with_its_splits(prepared):
    with pytest.raises(ValueError, match=r"no split 'validation'.*train"):
        datasets.load("single", data_dir=prepared[0])


def test_unprepared_set_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tfds build fashion_mnist"):
        datasets.load("fashion_mnist", data_dir=tmp_path, download=False)


def test_failed_download_says_what_to_do(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")

    def no_network(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", no_network)
    with pytest.raises(RuntimeError, match=r"no route to host.*tfds build mnist"):
        datasets.load("mnist", data_dir=tmp_path)


def test_one_line_says_that_a_download_tries_again(tmp_path, monkeypatch, caplog):
    tfds = pytest.importorskip("tensorflow_datasets")
    logger = logging.getLogger("urllib3.connectionpool")

    def retrying(*_, **__):
        for left in (9, 8, 7):
            logger.warning("Retrying (%s left) after connection broken", left)
        logger.warning("Connection pool is full")
        raise ConnectionError("no route to host")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", retrying)
    with pytest.raises(RuntimeError, match="no route to host"):
        datasets.load("mnist", data_dir=tmp_path)
    said = [record.getMessage() for record in caplog.records if record.name == logger.name]
    assert said == ["Retrying (9 left) after connection broken", "Connection pool is full"]
    assert logger.filters == []


def test_unknown_name_lists_the_closest(tmp_path):
    with pytest.raises(ValueError, match=r"Unknown data set 'mnst'. Closest: 'mnist'"):
        datasets.load("mnst", data_dir=tmp_path)
    with pytest.raises(ValueError, match=r"Unknown data set 'digit'. Closest: 'digits'"):
        datasets.load("digit", data_dir=tmp_path)


def test_names_are_those_that_load_knows(monkeypatch):
    pytest.importorskip("tensorflow_datasets")
    names = datasets.names()
    assert names[0] == "digits" and names[1:] == sorted(names[1:])
    assert {"mnist", "fashion_mnist", "cifar10"} < set(names)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    assert datasets.names() == ["digits"]


def test_an_unknown_name_says_where_the_names_are(tmp_path):
    with pytest.raises(ValueError, match=r"Known: 'digits' and those of.*names\(\)"):
        datasets.load("mnst", data_dir=tmp_path)
