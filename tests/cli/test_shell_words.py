"""What the library says, in the words of a shell."""

import ast
import pathlib

import numpy as np
import pytest

import keras_distill
from keras_distill import cli
from keras_distill.cli import shell_words
from keras_distill.comparison.metric import Metric
from keras_distill.comparison.verdicts import verdict
from keras_distill.tuning.folds import make_folds


@pytest.mark.parametrize(
    ("command", "sentence", "words"),
    [
        ("distill", "Give seeds=5 or more.", "Give --seeds 5 or more."),
        ("tune", "Give repeats=, more samples.", "Give --repeats, more samples."),
        (
            "distill",
            "give image_size=(height, width) to resize. Received: image_size=None",
            "give --image-size HEIGHT WIDTH to resize. Received: image_size=None",
        ),
        ("export", "take quantization='int8', or target=\"mcu\".", "take --quantization int8, or "
         "--target mcu."),
        ("distill", "export with quantization='int8'", "export with --export int8"),
        ("distill", "epochs must be at least 1. Received: epochs=0", None),
    ],
)  # fmt: skip
def test_arguments_are_options(command, sentence, words):
    assert shell_words.in_shell_words(sentence, command) == (words or sentence)


def test_verdicts_and_refusals_name_options_that_there_are(capsys):
    said = verdict("kd", Metric("accuracy", True), np.array([0.1]), np.nan, np.nan, 1, {}, 1)
    assert shell_words.in_shell_words(said, "distill").endswith("Give --seeds 5 or more.")
    with pytest.raises(ValueError, match="stratify") as refused:
        make_folds(3, np.array([0, 0, 1]), folds=2)
    words = shell_words.in_shell_words(str(refused.value), "tune")
    assert words.startswith("--folds 2 needs that many samples of each class: give fewer folds. R")
    for command, flags in {"distill": ["--seeds"], "tune": ["--folds", "--repeats"]}.items():
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        shown = capsys.readouterr().out
        assert all(f"{flag} " in shown for flag in flags) and "examples:" in shown


def sentences():
    """Returns all texts of the library, of one with values only what stands around them."""
    package = pathlib.Path(keras_distill.__file__).parent
    for path in package.rglob("*.py"):
        if path.name == pathlib.Path(shell_words.__file__).name:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            constants = [part for part in parts if isinstance(part, ast.Constant)]
            yield "".join(part.value for part in constants if isinstance(part.value, str))


def test_what_is_said_otherwise_is_said_by_the_library():
    said = "\n".join(sentences())
    advice = [*shell_words._ADVICE, *(f"{name}=" for name in shell_words._OPTIONS)]
    assert [words for words in advice if words not in said] == []
