"""Fingerprints: equal for the same sample however it is computed, different for any other."""

import numpy as np
import pytest
import tensorflow as tf

from keras_distill.cache import builder
from keras_distill.cache.fingerprint import differ, fingerprints_of

X = np.random.default_rng(0).random((64, 9, 7, 3), "float32")


def test_the_fingerprint_is_signed_sums_and_the_length():
    found = fingerprints_of(X).numpy()
    signs = fingerprints_of(np.eye(9 * 7 * 3, dtype="float32").reshape(-1, 9, 7, 3)).numpy()[:, :4]
    assert set(np.unique(signs)) == {-1.0, 1.0}
    rows = X.reshape(64, -1)
    np.testing.assert_allclose(found[:, :4], rows @ signs, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[:, 4], np.linalg.norm(rows, axis=1), rtol=1e-5)


def test_the_signs_are_balanced_and_independent_of_each_other_and_of_shifts():
    signs = fingerprints_of(np.eye(4096, dtype="float32")).numpy()[:, :4]
    assert np.abs(signs.mean(axis=0)).max() < 0.06
    for shift in (0, 1, 2, 3, 32, 96):
        products = signs[shift:].T @ signs[: 4096 - shift] / (4096 - shift)
        products -= np.eye(4) if shift == 0 else 0
        assert np.abs(products).max() < 0.08, shift


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[:, ::-1],
        lambda x: x[:, :, ::-1],
        lambda x: np.roll(x, 1, axis=2),
        lambda x: np.roll(x, 1, axis=0),
        lambda x: x[..., ::-1],
        lambda x: x * 1.01,
        lambda x: x + np.random.default_rng(1).normal(0, 0.01, x.shape).astype("float32"),
        lambda x: np.where(np.arange(9)[:, None, None] == 4, 1 - x, x).astype("float32"),
    ],
    ids=[
        "upside down",
        "mirrored",
        "shifted",
        "other order",
        "channels",
        "brighter",
        "noise",
        "row",
    ],
)
def test_what_an_augmentation_does_is_seen_in_every_sample(change):
    assert np.all(differ(fingerprints_of(X), fingerprints_of(np.ascontiguousarray(change(X)))))


def test_rounding_is_no_difference():
    same = X * (1 + 1e-6 * np.random.default_rng(1).normal(size=X.shape).astype("float32"))
    assert not np.any(differ(fingerprints_of(X), fingerprints_of(same)))
    # A picture of another size: rounding grows with the number of values, and isn't seen there.
    large = np.random.default_rng(2).random((2, 224, 224, 3), "float32")
    rounded = fingerprints_of(np.float32(np.float64(large) * (1 + 1e-7)))
    assert not np.any(differ(fingerprints_of(large), rounded))


def test_the_batch_and_the_graph_make_no_difference():
    whole = tf.function(fingerprints_of)(X)
    single = np.concatenate([fingerprints_of(X[i : i + 1]) for i in range(64)])
    assert not np.any(differ(whole, single))


def test_nan_is_never_the_same():
    broken = X.copy()
    broken[3, 0, 0, 0] = np.nan
    assert np.flatnonzero(differ(fingerprints_of(broken), fingerprints_of(broken))).tolist() == [3]


def test_tokens_strings_and_several_inputs_have_fingerprints():
    tokens = np.random.default_rng(0).integers(0, 30_000, (8, 12))
    assert not np.any(differ(fingerprints_of(tokens), fingerprints_of(tokens.copy())))
    words = np.array([["a", "b"], ["c", "d"]])
    assert np.all(
        differ(fingerprints_of(tf.constant(words)), fingerprints_of(tf.constant(words[:, ::-1])))
    )
    both = {"a": X[:8], "b": tokens}
    for other in ({"a": X[:8], "b": tokens[::-1]}, {"a": X[1:9], "b": tokens}):
        assert np.all(differ(fingerprints_of(both), fingerprints_of(other)))
    complex_ = X[:8].astype("complex64")
    assert np.all(differ(fingerprints_of(complex_), fingerprints_of(complex_ + 0.1j)))


@pytest.mark.parametrize("kind", ["int64", "int32", "uint16", "int8", "uint64", "bool", "str"])
def test_a_value_that_changes_anywhere_is_seen_where_nothing_rounds(kind):
    high = {"int8": 100, "bool": 2}.get(kind, 30_000)
    tokens = np.random.default_rng(0).integers(0, high, (200, 127))
    other = tokens.copy()
    positions = np.random.default_rng(1).integers(0, 127, 200)
    # A change of 1 among numbers up to 30,000, as of a token in a long row.
    other[np.arange(200), positions] = (other[np.arange(200), positions] + 1) % high
    first, second = (fingerprints_of(tf.constant(rows.astype(kind))) for rows in (tokens, other))
    assert np.all(differ(first, second))
    assert not np.any(differ(first, fingerprints_of(tf.constant(tokens.astype(kind)))))


def test_values_that_change_places_are_seen_where_nothing_rounds():
    tokens = np.random.default_rng(0).integers(1, 30_000, (64, 128), "int32")
    for other in (tokens[:, ::-1], np.roll(tokens, 1, axis=1), np.roll(tokens, 2, axis=1)):
        assert np.all(differ(fingerprints_of(tokens), fingerprints_of(other.copy())))
    inputs = {"a": tokens, "b": tokens[::-1].copy()}
    assert np.all(
        differ(fingerprints_of(inputs), fingerprints_of({"a": inputs["b"], "b": inputs["a"]}))
    )


def test_padding_at_the_end_of_tokens_makes_no_difference():
    tokens = np.random.default_rng(0).integers(1, 30_000, (8, 13), "int32")
    padded = np.pad(tokens, [[0, 0], [0, 6]])
    assert not np.any(differ(fingerprints_of(tokens), fingerprints_of(padded)))


def test_large_pixels_beside_tokens_hide_no_change_of_them():
    tokens = np.random.default_rng(0).integers(1, 10, (8, 3), "int32")
    other = tokens + np.array([0, 1, 0], "int32")
    assert np.all(
        differ(fingerprints_of((1e6 * X[:8], tokens)), fingerprints_of((1e6 * X[:8], other)))
    )


def test_a_length_that_only_the_run_knows_gives_the_same_fingerprint():
    rows = X.reshape(64, -1)
    unknown = tf.function(fingerprints_of, input_signature=[tf.TensorSpec((None, None), "float32")])
    np.testing.assert_allclose(unknown(rows), fingerprints_of(rows), rtol=1e-4, atol=1e-4)
    tokens = np.random.default_rng(0).integers(0, 30_000, (8, 13), "int32")
    unknown = tf.function(fingerprints_of, input_signature=[tf.TensorSpec((None, None), "int32")])
    np.testing.assert_array_equal(unknown(tokens), fingerprints_of(tokens))


def test_one_process_takes_inputs_of_any_number_of_axes():
    for shape in ((4, 3), (4, 3, 2), (4, 2, 2, 2), (4, 5), (4, 3, 3)):
        x = np.random.default_rng(0).random(shape, "float32")
        np.testing.assert_allclose(builder.fingerprints(x), fingerprints_of(x), rtol=1e-5)
