"""Sentences of the library in the words of a shell: `seeds=5` is `--seeds 5` there."""

import re

# Advice that no command takes, and what stands for it in a shell.
_ADVICE = {
    ", or stratify=False. ": ". ",
    " cache=True keeps them all the same.": "",
    "give loss=, as for compile, such as loss='mse', or a compiled student.": "its last layer must "
    "give logits, or end in softmax or sigmoid.",
    "`download=True`, or run": "run",
    "Either run once with a network and": "Either give the command once with a network, or",
    "give its parent as `data_dir`": "give its parent as --data-dir",
    "Give space= with smaller ones, or a larger board or limit.": "Take a larger board or limit.",
    ": give space=, a function from keras_tuner.HyperParameters to a model.": ".",
    ": give space=, a function from keras_tuner.HyperParameters to a new student.": ".",
}
# Arguments that are options of the commands by the same name.
_OPTIONS = (
    "seeds",
    "epochs",
    "batch_size",
    "folds",
    "repeats",
    "image_size",
    "target",
    "quantization",
)
_VALUES = {"(height, width)": "HEIGHT WIDTH"}
_ARGUMENT = re.compile(rf"`?\b({'|'.join(_OPTIONS)})=(\([^)]*\)|'[^']*'|\"[^\"]*\"|\w*)`?")
_RECEIVED = " Received: "


def in_shell_words(text, command):
    """Returns what the library says with the arguments that it advises as options.

    What it says was received stays as it is.

    Args:
        text: One or more sentences.
        command: Name of the command.
    """
    advice, separator, received = text.partition(_RECEIVED)
    advice += separator[:1]
    for words, others in _ADVICE.items():
        advice = advice.replace(words, others)

    def as_option(found):
        name, value = found[1], found[2].strip("'\"")
        if name == "quantization" and command == "distill":
            name = "export"
        return f"--{name.replace('_', '-')} {_VALUES.get(value, value)}".rstrip()

    return _ARGUMENT.sub(as_option, advice) + separator[1:] + received
