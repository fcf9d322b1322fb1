"""Damaged files on the runtimes: a clear error or an answer, in this process nothing else."""

import random

import pytest

from keras_distill.tflite import TFLiteModel, reused_process
from keras_distill.tflite.runtime import litert


def damaged(content, seed):
    randomness, content = random.Random(seed), bytearray(content)
    if seed % 4 == 0:
        del content[randomness.randrange(len(content)) :]
    else:
        for _ in range(seed % 4):
            content[randomness.randrange(len(content))] ^= 1 << randomness.randrange(8)
    return content


def test_damaged_files_are_told_or_run(int8_cnn, tmp_path):
    _, result, x = int8_cnn
    path, told = tmp_path / "damaged.tflite", 0
    for seed in range(40):
        path.write_bytes(damaged(result.content, seed))
        try:
            loaded = TFLiteModel(path)
            loaded.lint()
            loaded.predict(x[:1])
        except (ValueError, litert.LiteRTError) as error:
            assert str(error)
            told += 1
    assert told > 10


def test_a_crash_of_the_runtime_is_an_error_here_and_the_next_file_runs(int8_cnn, tmp_path):
    _, result, x = int8_cnn
    crash = tmp_path / "crash.py"
    crash.write_text(
        "import os, signal\ndef do(folder):\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        process = reused_process.ReusedProcess(crash, "The process of LiteRT", "LiteRT")
        patch.setattr(litert, "_reused", process)
        with pytest.raises(litert.LiteRTError, match="ended by SIGSEGV"):
            result.predict(x[:1])
        process.stop()
    assert result.predict(x[:1]).shape == (1, 4)
