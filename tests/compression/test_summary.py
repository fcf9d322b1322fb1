"""The summary counts zeros, patterns, different weights and bytes."""

import gzip

import keras
import numpy as np
import pytest

from keras_distill.compression import strip, summarize
from tests.compression.models import sequential
from tests.compression.test_strip import trained

layers = keras.layers


def test_the_summary_counts():
    inputs = keras.Input((8,))
    model = keras.Sequential([inputs, layers.Dense(4, name="half"), layers.Dense(2, name="few")])
    kernel = np.arange(1, 33, dtype="float32").reshape(8, 4)
    kernel[::2] = 0
    few = np.float32([[1, 1], [1, 2], [2, 2], [1, 1]])
    model.set_weights([kernel, np.ones(4), few, np.ones(2)])
    summary = summarize(model)
    first, second = summary.kernels
    assert (first.layer, first.shape, first.sparsity, first.is_2_4) == ("half", (8, 4), 0.5, True)
    assert first.values == 17 and second.values == 2 and second.is_2_4 is False
    content = b"".join(np.float32(weight).tobytes() for weight in model.get_weights())
    assert summary.size == len(content) == 4 * (32 + 4 + 8 + 2)
    assert summary.compressed_size == len(gzip.compress(content, 9, mtime=0))
    text = str(summary)
    assert "half    8x4    50.0%  yes  17" in text and "184 bytes" in text


def test_the_summary_is_of_what_will_be_left():
    pruned, _ = trained("sequential", "half")
    assert [kernel.sparsity for kernel in summarize(pruned).kernels] == [0.5, 0.5, 0.5]
    assert summarize(pruned) == summarize(strip(pruned))
    assert summarize(pruned).compressed_size < 0.8 * summarize(sequential()).compressed_size


def test_the_summary_of_a_file(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(bytes(1000))
    summary = summarize(path)
    assert (summary.kernels, summary.size) == ((), 1000) and summary.compressed_size < 50
    assert str(summary).startswith("1,000 bytes, ")
    with pytest.raises(TypeError, match=r"must be a keras\.Model or a path"):
        summarize(3)
