"""Sequence-level distillation: the sequences that a teacher writes become the labels."""

import operator
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_distill.arguments import check_count, check_finite, check_flag, check_samples, shown
from keras_distill.features.branch_kinds import branch_of
from keras_distill.losses import schedule
from keras_distill.losses.logits import logits_of
from keras_distill.schemes.beam_search import beam_search

# More of another library's error would bury what the user gave.
_LONGEST_ERROR = 400
_LARGEST_TOKEN = 2**31 - 1


def sequence_targets(
    teacher: keras.Model | Callable,
    inputs: Any,
    max_length: int,
    end_token: int,
    start_token: int | None = None,
    pad_token: int = 0,
    beams: int = 5,
    length_penalty: float = 0.0,
    return_scores: bool = False,
    batch_size: int = 32,
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Writes a teacher's own sequences by beam search: sequence-level distillation.

    A student learns from them as from any labels, and each input has one clear answer, which a
    small model learns more easily than what people wrote. The teacher must be causal: its output
    at a position may depend on no later token. It runs in inference mode, up to `max_length`
    times on `beams` sequences of each sample, and keeps nothing between the positions.

    Args:
        teacher: `keras.Model`, or a function of a batch, as for `Distiller`. An encoder-decoder
            takes `(source, target so far)`, a decoder-only model the tokens so far. The output is
            logits or probabilities of the next token at each position, of shape
            `(batch, length, vocabulary)`.
        inputs: Of an encoder-decoder the sources: an array, or a structure of arrays, of shape
            `(samples, ...)`. Of a decoder-only model the prompts: an integer array of shape
            `(samples, length)`, padded after the prompt where they differ in length.
        max_length: Largest number of tokens to write, the end token included. One that hasn't
            ended by then stands as it is.
        end_token: Token that ends a sequence.
        start_token: Token that an encoder-decoder's target begins with; it isn't returned. `None`
            for a decoder-only model.
        pad_token: Token after the end. It is never chosen, unless it is the end token too.
        beams: Number of sequences that are kept of each sample; 1 for greedy search.
        length_penalty: Sequences are ranked by log-probability / length ** `length_penalty`. 0
            takes the likeliest, 1 the one with the likeliest tokens on average.
        return_scores: Whether to return the scores that they are ranked by too.
        batch_size: Number of samples that are searched at once.

    Returns:
        Integer array of shape `(samples, max_length)`: the tokens, the end token, padding. With
        `return_scores=True` a tuple of it and an array of shape `(samples,)` in float32.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If one is out of bounds, a token is outside the teacher's vocabulary, or the
            teacher isn't as described or fails on the inputs.

    Example:

    ```python
    layers = keras.layers
    source, target = keras.Input((3,)), keras.Input((None,), dtype="int32")
    hidden = layers.GRU(4, return_sequences=True)(
        layers.Embedding(6, 4)(target), initial_state=layers.Dense(4)(source)
    )
    teacher = keras.Model([source, target], layers.Dense(6)(hidden))
    sources = np.random.rand(2, 3).astype("float32")
    targets = sequence_targets(teacher, sources, 5, end_token=2, start_token=1, beams=3)
    assert targets.shape == (2, 5)
    ```

    Reference:
        Kim, Rush, "Sequence-Level Knowledge Distillation", EMNLP 2016.
    """
    for name, value in (("max_length", max_length), ("beams", beams), ("batch_size", batch_size)):
        check_count(name, value)
    schedule.check_constant("length_penalty", length_penalty, low=0, high=10)
    check_flag("return_scores", return_scores)
    tokens: dict[str, Any] = {
        "end_token": end_token,
        "start_token": start_token,
        "pad_token": pad_token,
    }
    for name, value in tokens.items():
        if name != "start_token" or value is not None:
            check_count(name, value, low=0, high=_LARGEST_TOKEN)
    sources, prompts, lengths = _begun(inputs, start_token, pad_token)
    writer = _Writer(teacher, sources, prompts.shape[1], max_length, beams)
    writer.check_tokens({**tokens, "inputs": prompts} if start_token is None else tokens)
    writer.check_is_causal(prompts[:1], lengths[0], pad_token)
    writer.forbidden = None if pad_token == end_token else pad_token
    search = (beams, max_length, end_token, pad_token, length_penalty)
    found = []
    for start in range(0, len(prompts), batch_size):
        part = slice(start, start + batch_size)
        of_batch = keras.tree.map_structure(operator.itemgetter(part), sources)
        likeliest = writer.begin(of_batch, prompts[part], lengths[part], pad_token)
        found.append(beam_search(likeliest, len(prompts[part]), *search))
    targets, scores = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    return (targets, scores.astype("float32")) if return_scores else targets


def _begun(inputs, start_token, pad_token):
    """Returns the sources, `()` if none, what stands before the first token, and its lengths."""
    forms = "arrays of numbers, of shape (samples, ...)"
    arrays = check_samples("inputs", inputs, forms)
    leaves = keras.tree.flatten(arrays)
    check_finite("inputs", leaves)
    if start_token is not None:
        count = len(leaves[0])
        return arrays, np.full((count, 1), start_token, "int32"), np.ones(count, "int64")
    is_known = hasattr(arrays, "ndim") and arrays.ndim == 2 and arrays.dtype.kind in "iu"
    if not is_known or not arrays.shape[1]:
        raise ValueError(
            "inputs must be the prompts of a decoder, an integer array of shape (samples, length); "
            "of an encoder-decoder, whose inputs are sources, give start_token. "
            f"Received: inputs={shown(inputs)}, start_token=None"
        )
    is_token = arrays != pad_token
    if not is_token.any(axis=1).all():
        raise ValueError(
            "inputs must hold a token or more in each prompt. Received: inputs with padding alone "
            f"in sample {int(np.argmin(is_token.any(axis=1)))}, pad_token={pad_token}"
        )
    return (), arrays, arrays.shape[1] - is_token[:, ::-1].argmax(axis=1)


class _Writer:
    """A teacher that is asked for the likeliest next tokens.

    Args:
        teacher: As for `sequence_targets`.
        sources: Structure of arrays, `()` for a decoder-only model.
        begun: Largest number of tokens that stand before the first that is written.
        max_length: As for `sequence_targets`.
        beams: As for `sequence_targets`.
    """

    forbidden: int | None = None

    def __init__(self, teacher, sources, begun, max_length, beams):
        self._branch = branch_of(teacher)
        if not self._branch.computes or self._branch.needs_labels:
            raise ValueError(
                "teacher must be a keras.Model or a function that answers any tokens, without "
                f"labels. Received: teacher={shown(teacher)}"
            )
        self._teacher, self._beams = teacher, beams
        self._branch.tap([])
        self._width = self._find_width(sources, begun, max_length)
        self._first = keras.tree.map_structure(lambda array: tf.constant(array[:1]), sources)
        output = self._tried(self._output, self._first, tf.zeros((1, self._width), "int32"))
        self._vocabulary = self._checked_vocabulary(output)
        self._run = self._likeliest
        if self._branch.supports_jit:
            self._run = tf.function(self._likeliest, autograph=False, reduce_retracing=True)

    def _find_width(self, sources, begun, max_length):
        """Returns how many tokens the teacher takes, which may be more than are needed."""
        # The last that is written needs no answer.
        needed = begun + max_length - 1
        declared = self._branch.symbolic_inputs
        if declared is None:
            return needed
        shapes = [_shape(part) for part in keras.tree.flatten(declared)]
        count = len(keras.tree.flatten(sources)) + 1
        if len(shapes) != count or isinstance(declared, dict):
            raise ValueError(
                "teacher must take (source, target so far) where start_token is given, and the "
                "tokens so far where it is None; of another model give a function of these that "
                f"calls it. Received: teacher={shown(self._teacher)} with inputs of shape "
                f"{', '.join(map(str, shapes))}, and {count} arrays for them"
            )
        fixed = shapes[-1][1] if len(shapes[-1]) > 1 else None
        if fixed is not None and fixed < needed:
            raise ValueError(
                f"max_length must be at most {fixed + 1 - begun}: the teacher takes {fixed} tokens"
                f", those that it begins with included. Received: max_length={max_length}"
            )
        return needed if fixed is None else fixed

    def _checked_vocabulary(self, output):
        shapes = [_shape(part) for part in keras.tree.flatten(output)]
        is_known = len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][1] == self._width
        if not is_known or shapes[0][-1] < 2:
            raise ValueError(
                "teacher must have one output with a position for each token, of shape (batch, "
                f"length, vocabulary), here (1, {self._width}, vocabulary). Received: "
                f"teacher={shown(self._teacher)} with an output of shape "
                f"{', '.join(map(str, shapes))}"
            )
        return shapes[0][-1]

    def check_tokens(self, tokens):
        """Checks that tokens are of the teacher's vocabulary.

        Args:
            tokens: Dictionary from the name of an argument to a token, an array, or `None`.
        """
        for name, value in tokens.items():
            if value is not None and (np.min(value) < 0 or np.max(value) >= self._vocabulary):
                raise ValueError(
                    f"{name} must be of the teacher's vocabulary, from 0 to "
                    f"{self._vocabulary - 1}. Received: {name}={shown(value)}, from "
                    f"{np.min(value)} to {np.max(value)}"
                )

    def check_is_causal(self, prompts, length, pad_token):
        """Checks on the first sample that later tokens don't change the output.

        Args:
            prompts: Tokens that it begins with, shape `(1, length)`.
            length: How many of them there are.
            pad_token: As for `sequence_targets`.
        """
        tokens = self._filled(prompts, pad_token)
        changed = tokens.copy()
        changed[:, length:] = (pad_token + 1) % self._vocabulary
        one, other = (
            tf.cast(self._tried(self._output, self._first, tf.constant(each)), "float32").numpy()
            for each in (tokens, changed)
        )
        one, other = one[:, :length], other[:, :length]
        # Sums of another order round differently, in half floats by about a thousandth.
        if (np.abs(one - other) > 0.01 * (1.0 + np.abs(one))).any():
            raise ValueError(
                "teacher must be causal, and its output at a position changes with later tokens: "
                "it can't write them one after the other. Received: "
                f"teacher={shown(self._teacher)}"
            )

    def _filled(self, prompts, pad_token):
        """Returns the tokens that the teacher takes, of which prompts are the first."""
        tokens = np.full((len(prompts), self._width), pad_token, "int32")
        tokens[:, : prompts.shape[1]] = prompts
        return tokens

    def begin(self, sources, prompts, lengths, pad_token):
        """Returns the function that `beam_search` asks, for a batch.

        Args:
            sources: Structure of arrays, `()` for a decoder-only model.
            prompts: Tokens before the first that is written, shape `(samples, length)`.
            lengths: How many of them there are in each sample.
            pad_token: Token that stands after the last.
        """
        beams = self._beams
        repeated = keras.tree.map_structure(
            lambda array: tf.constant(np.repeat(array, beams, axis=0)), sources
        )
        prompts, lengths = np.repeat(prompts, beams, axis=0), np.repeat(lengths, beams)
        rows = np.arange(len(prompts))[:, None]

        def likeliest(tokens, count):
            so_far = self._filled(prompts, pad_token)
            so_far[rows, lengths[:, None] + np.arange(count)] = tokens[:, :count]
            last = tf.constant(lengths + count - 1)
            found = self._tried(self._run, repeated, tf.constant(so_far), last)
            values, following = (tensor.numpy() for tensor in found)
            if np.isnan(values).any():
                raise ValueError(
                    "teacher must give numbers, and there is NaN among the logits of token "
                    f"{count}. Received: teacher={shown(self._teacher)}"
                )
            return values, following

        return likeliest

    def _likeliest(self, sources, tokens, last):
        logits = logits_of(self._output(sources, tokens), "auto", self._branch.output_activation)
        logits = tf.gather(tf.cast(logits, "float32"), last, axis=1, batch_dims=1)
        values = tf.nn.log_softmax(logits)
        if self.forbidden is not None:
            is_forbidden = tf.range(self._vocabulary) == self.forbidden
            # NaN stays, as it is looked for.
            values = tf.where(is_forbidden & ~tf.math.is_nan(values), -np.inf, values)
        return tf.math.top_k(values, min(self._beams, self._vocabulary))

    def _output(self, sources, tokens):
        has_sources = len(keras.tree.flatten(sources)) > 0
        x = (sources, tokens) if has_sources else tokens
        if self._branch.symbolic_inputs is not None:
            x = keras.tree.pack_sequence_as(self._branch.symbolic_inputs, keras.tree.flatten(x))
        return self._branch.forward(x, training=False).output

    def _tried(self, function, *arguments):
        """Calls the teacher, and says what it was given where it fails."""
        try:
            return function(*arguments)
        except Exception as error:
            given = keras.tree.map_structure(_shape, keras.tree.flatten(arguments))
            raise ValueError(
                f"The teacher failed on inputs of shape {shown(given)}, the last of them tokens: "
                f"{type(error).__name__}: {str(error)[:_LONGEST_ERROR]}. Give inputs as it takes "
                "them, and start_token only for an encoder-decoder. Received: "
                f"teacher={shown(self._teacher)}"
            ) from error


def _shape(tensor):
    return tuple(getattr(tensor, "shape", ()))
