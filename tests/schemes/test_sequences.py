"""The sequences that a teacher writes are the likeliest, and teach a student."""

import itertools
import re

import keras
import numpy as np
import pytest

from keras_distill import Distiller, SoftTargets
from keras_distill.schemes import sequence_targets
from keras_distill.schemes.beam_search import beam_search

PAD, START, END = 0, 1, 2
layers = keras.layers


def table_model(tables):
    """A function whose next token depends on all before it: `tables` has a row per position."""

    def model(x):
        source, tokens = x
        logits = np.empty((*tokens.shape, tables.shape[-1]), "float32")
        state = np.asarray(source, "float64")[:, :1]
        for position in range(tokens.shape[1]):
            state = np.sin(3.0 * state + tokens[:, position, None])
            logits[:, position] = 4.0 * np.sin(tables[position] * (1.0 + state))
        return logits

    return model


SOURCES = np.linspace(0.1, 1.0, 6, dtype="float32")[:, None]
TEACHER = table_model(np.random.default_rng(0).normal(size=(4, 5)) * 3)
TOKENS = {"max_length": 4, "end_token": END, "start_token": START}


def log_probabilities(source, written):
    """The sum over the tokens of one sequence, in NumPy."""
    so_far = np.array([[START, *written[:-1]]])
    logits = TEACHER((source[None], np.pad(so_far, [(0, 0), (0, 4 - so_far.shape[1])])))[0]
    logits = logits.astype("float64")
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return sum(logs[position, token] for position, token in enumerate(written))


def all_sequences(vocabulary=5, length=4):
    others = [token for token in range(vocabulary) if token not in (PAD, END)]
    for count in range(length):
        for begin in itertools.product(others, repeat=count):
            yield (*begin, END)
    yield from itertools.product(others, repeat=length)


def test_one_beam_is_greedy_search():
    found = sequence_targets(TEACHER, SOURCES, **TOKENS, beams=1, batch_size=4)
    for source, row in zip(SOURCES, found, strict=True):
        written = []
        while len(written) < 4 and END not in written:
            so_far = np.pad([START, *written], (0, 3 - len(written)))[None]
            logits = TEACHER((source[None], so_far))[0, len(written)].copy()
            logits[PAD] = -np.inf
            written.append(int(logits.argmax()))
        np.testing.assert_array_equal(row, np.pad(written, (0, 4 - len(written))))
    assert len({*map(tuple, found.tolist())}) > 1


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_many_beams_are_exhaustive_search(length_penalty):
    settings = {"beams": 130, "length_penalty": length_penalty, "return_scores": True}
    found, scores = sequence_targets(TEACHER, SOURCES, **TOKENS, **settings)
    for source, row, score in zip(SOURCES, found, scores, strict=True):
        of_all = {
            written: log_probabilities(source, written) / len(written) ** length_penalty
            for written in all_sequences()
        }
        best = max(of_all, key=of_all.get)
        np.testing.assert_array_equal(row, np.pad(best, (0, 4 - len(best))))
        assert score == pytest.approx(of_all[best], rel=1e-5)


def test_more_beams_find_what_greedy_search_misses():
    greedy, scores = sequence_targets(TEACHER, SOURCES, **TOKENS, beams=1, return_scores=True)
    best, others = sequence_targets(TEACHER, SOURCES, **TOKENS, beams=20, return_scores=True)
    assert (others >= scores - 1e-6).all()
    assert (best != greedy).any()


def test_padding_stands_after_the_end_alone():
    found = sequence_targets(TEACHER, SOURCES, **TOKENS, beams=3, pad_token=4)
    has_ended = np.cumsum(found == END, axis=1) - (found == END) > 0
    np.testing.assert_array_equal(found == 4, has_ended)
    assert has_ended.any()
    assert found.dtype == np.int32
    one_token = sequence_targets(TEACHER, SOURCES, **{**TOKENS, "max_length": 1}, beams=3)
    assert (one_token != END).any()


def test_the_end_can_be_the_padding():
    found = sequence_targets(TEACHER, SOURCES, **{**TOKENS, "end_token": PAD}, beams=1)
    for row in found:
        ended = np.argmax(row == PAD) if PAD in row else 4
        assert (row[ended:] == PAD).all()


def test_an_ended_beam_keeps_its_score():
    # It ends at once with 0.4; going on, the two continuations have 0.36 and 0.24.
    def likeliest(tokens, count):
        gains = np.log([[0.4, 0.6]] if count == 0 else [[0.6, 0.4]])
        return np.repeat(gains, len(tokens), 0), np.repeat([[END, 3]], len(tokens), 0)

    tokens, scores = beam_search(likeliest, 1, 2, 2, END, PAD)
    np.testing.assert_array_equal(tokens, [[END, PAD]])
    np.testing.assert_allclose(np.exp(scores), [0.4])
    tokens, _ = beam_search(likeliest, 1, 1, 2, END, PAD)
    np.testing.assert_array_equal(tokens, [[3, END]])


def counter():
    """A decoder-only model that counts on from the last token, modulo 6."""
    tokens = keras.Input((None,), dtype="int32")
    logits = layers.Embedding(6, 6, name="next")(tokens)
    model = keras.Model(tokens, layers.Softmax()(logits))
    model.set_weights([8.0 * np.roll(np.eye(6), 1, axis=1)])
    return model


def test_a_decoder_goes_on_after_prompts_of_any_length():
    prompts = np.array([[4, 0, 0], [1, 2, 3], [3, 3, 0]])
    found = sequence_targets(counter(), prompts, 4, end_token=5, beams=2)
    np.testing.assert_array_equal(found, [[5, 0, 0, 0], [4, 5, 0, 0], [4, 5, 0, 0]])


def test_a_teacher_that_reads_later_tokens_is_refused():
    keras.utils.set_random_seed(0)
    tokens = keras.Input((None,), dtype="int32")
    hidden = layers.Embedding(6, 4, embeddings_initializer="random_normal")(tokens)
    hidden = layers.Conv1D(4, 3, padding="same", kernel_initializer="ones")(10.0 * hidden)
    model = keras.Model(tokens, layers.Dense(6)(hidden))
    with pytest.raises(ValueError, match="teacher must be causal"):
        sequence_targets(model, np.array([[3, 4]]), 2, end_token=5)


LENGTH, DIGITS = 3, 5


def translator(units):
    """Reads digits and writes them; what is read of the target is masked where it is padding."""
    source, target = (keras.Input((size,), dtype="int32") for size in (LENGTH, LENGTH + 1))
    read = layers.Flatten()(layers.Embedding(3 + DIGITS, units)(source))
    state = layers.Dense(units, activation="tanh")(read)
    written = layers.Embedding(3 + DIGITS, units, mask_zero=True)(target)
    states = layers.GRU(units, return_sequences=True, unroll=True)(written, initial_state=state)
    return keras.Model([source, target], layers.Dense(3 + DIGITS)(states))


def digits():
    """All numbers of one to three digits, padded, and the same digits backwards, with an end."""
    sources, targets = [], []
    for count in range(1, LENGTH + 1):
        for number in itertools.product(range(3, 3 + DIGITS), repeat=count):
            sources.append([*number, *[PAD] * (LENGTH - count)])
            targets.append([*number[::-1], END, *[PAD] * (LENGTH - count)])
    order = np.random.default_rng(0).permutation(len(sources))
    return np.array(sources)[order], np.array(targets)[order]


def decoder_inputs(targets):
    before = np.pad(targets[:, :-1], [(0, 0), (1, 0)], constant_values=START)
    return np.where(targets == PAD, PAD, before)


@pytest.fixture(scope="module")
def task():
    keras.utils.set_random_seed(0)
    sources, targets = digits()
    teacher = translator(32)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher.compile(keras.optimizers.Adam(0.02), loss)
    teacher.fit([sources, decoder_inputs(targets)], targets, 32, 15, verbose=0)
    written = sequence_targets(teacher, sources, LENGTH + 1, END, START, beams=2, batch_size=200)
    assert (written == targets).all(1).mean() > 0.9
    return teacher, loss, sources, targets, written


@pytest.mark.parametrize("level", ["sequence", "token"])
def test_a_student_learns_from_the_teacher_alone(task, level):
    teacher, loss, sources, targets, written = task
    x = [sources, decoder_inputs(written)]
    keras.utils.set_random_seed(1)
    student = trained = translator(16)
    if level == "token":
        reverse = SoftTargets(1.0, "reverse_kl")
        trained = Distiller(teacher, student, reverse, student_loss_weight=0.0)
    trained.compile(keras.optimizers.Adam(0.02), loss)
    trained.fit(x, written, 32, 15, verbose=0)
    found = sequence_targets(student, sources, LENGTH + 1, END, START, beams=1, batch_size=200)
    # By chance it is 1 of 155.
    assert (found == targets).all(1).mean() > 0.4


def test_padding_is_left_out_of_the_divergence_of_tokens(task):
    teacher, _, sources, targets, _ = task
    x, student = [sources, decoder_inputs(targets)], translator(4)
    distiller = Distiller(teacher, student, SoftTargets(1.0, "reverse_kl"), student_loss_weight=0.0)
    distiller.compile("sgd", run_eagerly=True)
    found = distiller.evaluate(x, batch_size=200, verbose=0, return_dict=True)["soft_targets"]
    log_t, log_s = (keras.ops.log_softmax(model(x)).numpy() for model in (teacher, student))
    divergence = (np.exp(log_s) * (log_s - log_t)).sum(-1)
    counts = targets != PAD
    expected = (np.where(counts, divergence, 0).sum(1) / counts.sum(1)).mean()
    assert found == pytest.approx(expected, rel=1e-4)


def refused(**change):
    source, target = keras.Input((1,)), keras.Input((4,), dtype="int32")
    hidden = layers.Embedding(5, 3)(target) + layers.Dense(3)(source)[:, None]
    teacher = keras.Model([source, target], layers.Dense(5)(hidden))
    pooled = keras.Model([source, target], layers.Flatten()(hidden))
    arguments = {"teacher": teacher, "inputs": SOURCES, **TOKENS, **change}
    if arguments["teacher"] == "pooled":
        arguments["teacher"] = pooled
    return sequence_targets(**arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": "pooled"}, "a position for each token, of shape (batch, length, vocabulary)"),
        ({"teacher": counter()}, "teacher must take (source, target so far)"),
        ({"teacher": None}, "teacher must be a keras.Model or a function"),
        ({"teacher": lambda x: x[2]}, "The teacher failed"),
        ({"teacher": lambda x: np.full((*x[1].shape, 5), np.nan)}, "NaN"),
        ({"end_token": 5}, "end_token must be of the teacher's vocabulary, from 0 to 4"),
        ({"start_token": 9}, "start_token must be of the teacher's vocabulary"),
        ({"pad_token": -1}, "pad_token must be at least 0"),
        ({"start_token": None}, "give start_token"),
        ({"beams": 0}, "beams must be at least 1"),
        ({"max_length": 5}, "max_length must be at most 4"),
    ],
)
def test_what_cannot_be_written_is_refused(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        refused(**change)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([[3, 7]], "inputs must be of the teacher's vocabulary, from 0 to 5"),
        ([[3, 4], [0, 0]], "padding alone in sample 1"),
        ([[0.5]], "integer array of shape (samples, length)"),
    ],
)
def test_prompts_that_are_none_are_refused(prompts, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        sequence_targets(counter(), np.array(prompts), 2, end_token=5)
