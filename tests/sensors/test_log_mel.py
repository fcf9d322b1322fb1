import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_distill.sensors import LogMel

SMALL = LogMel(rate=8_000, samples=2_000, frame=200, hop=80, bands=12, lowest=100, highest=3_600)


def waves(clips=2, samples=2_000):
    time = np.arange(samples) / 8_000
    tones = np.sin(2 * np.pi * np.array([[440], [1_500]])[:clips] * time) * np.hanning(samples)
    noise = 0.05 * np.random.default_rng(0).normal(size=(clips, samples))
    return (0.3 * tones + noise).astype("float32")


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("standardize", [False, True])
def test_it_is_what_tensorflow_computes(level, standardize):
    log_mel = dataclasses.replace(SMALL, level=level, standardize=standardize)
    frames = tf.signal.frame(waves(), 200, 80)
    spectrum = tf.abs(tf.signal.stft(waves(), 200, 80, 256))
    bands = tf.signal.linear_to_mel_weight_matrix(12, 129, 8_000, 100.0, 3_600.0)
    power = tf.square(spectrum) @ bands
    if level:
        power /= tf.reduce_mean(tf.square(frames), axis=(1, 2), keepdims=True)
    expected = tf.math.log(power + 1e-3).numpy()
    if standardize:
        expected -= expected.mean(axis=(1, 2), keepdims=True)
        expected /= expected.std(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(log_mel(waves())[..., 0], expected, atol=2e-4)


def test_integers_are_floats_of_full_scale():
    integers = (waves() * 32_768).astype("int16")
    np.testing.assert_array_equal(SMALL(integers), SMALL(integers / 32_768))


def test_loudness_does_not_count_where_the_level_is_divided_by():
    np.testing.assert_allclose(SMALL(waves() / 50), SMALL(waves()), atol=1e-4)


def test_silence_is_finite():
    assert np.isfinite(SMALL(np.zeros((1, 2_000)))).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rate": 44_100}, "rate must be 8000 or 16000"),
        ({"frame": 20_000}, "frame must be at least 2 and at most 4096"),
        ({"hop": 0}, "hop must be at least 1"),
        ({"bands": 200}, r"bands hold no frequency of the FFT of 512 values.*bands=200"),
        ({"highest": 9_000}, "highest must be above 0 and at most 8000"),
        ({"lowest": 5_000, "highest": 4_000}, "lowest must be at least 0 and below highest, 4000"),
        ({"offset": 0}, "offset must be above"),
        ({"step": 50}, "step must be at least 1 and at most 49"),
    ],
)
def test_parameters_out_of_bounds_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        LogMel(**arguments)


def test_recordings_of_another_kind_are_refused():
    with pytest.raises(ValueError, match=r"of shape \(clips, 2000\). Received: .*\(1, 1000\)"):
        SMALL(np.zeros((1, 1_000)))
    with pytest.raises(TypeError, match="floats from -1 to 1, or int16"):
        SMALL(np.zeros((1, 2_000), "int32"))
