"""Folders of images and sounds by class: parts, sizes, channels, rates, what is wrong with them."""

import keras
import numpy as np
import pytest
from scipy.io import wavfile

from keras_distill import datasets, sensors

FEATURES = sensors.LogMel(rate=8_000, samples=800, frame=256, hop=160, bands=8)


def write_images(folder, counts, size=(6, 5), channels=1):
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            picture = rng.random((*size, channels))
            keras.utils.save_img(folder / name / f"{index}.png", picture)
    return folder


def write_sounds(folder, rate=8_000, dtype="float32", channels=1):
    for name, pitch in (("low", 300), ("high", 900)):
        (folder / name).mkdir(parents=True)
        for index in range(4):
            wave = np.sin(2 * np.pi * pitch * np.arange(rate // 10) / rate + index) / 2
            wave = np.stack([wave] * channels, axis=1) if channels > 1 else wave
            scale = 1 if dtype == "float32" else np.iinfo(dtype).max
            wavfile.write(folder / name / f"{index}.wav", rate, (wave * scale).astype(dtype))
    return folder


def values(images):
    return {image.tobytes() for image in images}


def test_classes_are_the_folders_and_the_parts_hold_each_file_once(tmp_path):
    folder = write_images(tmp_path / "pets", {"dog": 20, "cat": 10})
    data = datasets.images_from_directory(folder, validation_split=0.2, test_split=0.3)
    assert data.name == "pets" and data.labels == ("cat", "dog")
    assert [len(y) for y in (data.y_train, data.y_val, data.y_test)] == [15, 6, 9]
    # Every class in proportion.
    assert np.bincount(data.y_test).tolist() == [3, 6]
    parts = [values(x) for x in (data.x_train, data.x_val, data.x_test)]
    assert len(set.union(*parts)) == 30
    picture = keras.utils.img_to_array(keras.utils.load_img(folder / "cat" / "0.png"))[..., :1]
    assert (picture / 255).astype("float32").tobytes() in set.union(*parts)


def test_the_seed_chooses_the_parts(tmp_path):
    folder = write_images(tmp_path, {"a": 10, "b": 10})
    first, same, other = (
        values(datasets.images_from_directory(folder, seed=seed).x_test) for seed in (0, 0, 1)
    )
    assert first == same != other


def test_folders_of_parts_are_the_parts(tmp_path):
    write_images(tmp_path / "train", {"a": 5, "b": 5})
    write_images(tmp_path / "test", {"a": 2, "b": 3})
    data = datasets.images_from_directory(tmp_path, validation_split=0.2)
    assert [len(y) for y in (data.y_train, data.y_val, data.y_test)] == [8, 2, 5]
    write_images(tmp_path / "val", {"b": 4})
    data = datasets.images_from_directory(tmp_path)
    assert [len(y) for y in (data.y_train, data.y_val, data.y_test)] == [10, 4, 5]
    assert set(data.y_val) == {1}


def test_images_are_resized_and_their_channels_are_as_asked(tmp_path):
    write_images(tmp_path, {"a": 3}, size=(8, 8), channels=1)
    write_images(tmp_path, {"b": 3}, size=(4, 6), channels=3)
    assert datasets.images_from_directory(tmp_path, (4, 4)).input_shape == (4, 4, 3)
    gray = datasets.images_from_directory(tmp_path, (4, 4), channels=1)
    assert gray.input_shape == (4, 4, 1)
    assert gray.x_train.min() >= 0 and gray.x_train.max() <= 1


@pytest.mark.parametrize(
    ("rate", "dtype", "channels"),
    [(8_000, "int16", 1), (16_000, "float32", 2), (8_000, "int32", 2)],
)
def test_sounds_of_any_rate_type_and_channels_give_the_same_spectrogram(
    tmp_path, rate, dtype, channels
):
    plain = datasets.sounds_from_directory(write_sounds(tmp_path / "plain"), FEATURES)
    other = write_sounds(tmp_path / "other", rate, dtype, channels)
    other = datasets.sounds_from_directory(other, FEATURES)
    assert plain.labels == ("high", "low") and plain.input_shape == FEATURES.output_shape
    np.testing.assert_array_equal(plain.y_test, other.y_test)
    assert np.abs(plain.x_test - other.x_test).mean() < 0.1


def test_short_recordings_are_filled_up_with_silence(tmp_path):
    long = sensors.LogMel(rate=8_000, samples=1_600, frame=256, hop=160, bands=8)
    data = datasets.sounds_from_directory(write_sounds(tmp_path / "sounds"), long)
    assert (data.x_train[:, -1].std(axis=1) < data.x_train[:, 0].std(axis=1)).all()


def break_image(folder):
    (folder / "a" / "0.png").write_bytes(b"\x89PNG and no more")


def add_text(folder):
    (folder / "a" / "notes.txt").write_text("mine")


def empty_class(folder):
    (folder / "c").mkdir()


def add_size(folder):
    write_images(folder, {"c": 3}, size=(9, 9))


def add_part(folder):
    write_images(folder / "train", {"a": 3, "b": 3})
    write_images(folder / "test", {"d": 3})
    for name in ("a", "b"):
        (folder / name).rename(folder.parent / name)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_image, r"0\.png' can't be read as an image"),
        (add_text, r"notes\.txt' is none of the files that are read here \(\.png"),
        (empty_class, r"The folder '.*c' of a class is empty"),
        (add_size, r"The images differ in size: give image_size.*6 x 5.*9 x 9"),
        (add_part, r"d' is the folder of a class that the training part doesn't have"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(tmp_path, damage, message):
    folder = write_images(tmp_path / "images", {"a": 3, "b": 3})
    damage(folder)
    with pytest.raises(ValueError, match=message):
        datasets.images_from_directory(folder)


def test_too_few_classes_or_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        datasets.images_from_directory(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"two or more folders.*Received: no folder"):
        datasets.images_from_directory(tmp_path)
    write_images(tmp_path, {"a": 4})
    with pytest.raises(ValueError, match=r"two or more folders.*Received: 'a'"):
        datasets.images_from_directory(tmp_path)
    write_images(tmp_path, {"b": 2})
    with pytest.raises(ValueError, match=r"class 'b' .* too few files.*Received: 2 files"):
        datasets.images_from_directory(tmp_path)
    # What file managers leave is no file of the user's.
    write_images(tmp_path, {"b": 3, ".hidden": 1})
    (tmp_path / "b" / ".DS_Store").write_bytes(b"")
    assert datasets.images_from_directory(tmp_path).labels == ("a", "b")


def test_a_damaged_recording_is_named(tmp_path):
    folder = write_sounds(tmp_path / "sounds")
    (folder / "low" / "2.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match=r"2\.wav' can't be read as a recording"):
        datasets.sounds_from_directory(folder, FEATURES)
    with pytest.raises(TypeError, match="features must be a"):
        datasets.sounds_from_directory(folder, "log_mel")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"validation_split": 0.0}, ValueError),
        ({"test_split": True}, TypeError),
        ({"validation_split": 0.6, "test_split": 0.5}, ValueError),
        ({"channels": 4}, ValueError),
        ({"image_size": 8}, TypeError),
        ({"seed": -1}, ValueError),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, arguments, error):
    with pytest.raises(error, match=next(iter(arguments))):
        datasets.images_from_directory(write_images(tmp_path, {"a": 3, "b": 3}), **arguments)
