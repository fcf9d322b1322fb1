"""Models that write sequences, taught at the level of tokens and of sequences, beside alone.

Run: python benchmarks/sequences.py encoder-decoder [--seeds 3]
     python benchmarks/sequences.py decoder-only [--seeds 3]

The task is to write numbers from 0 to 9,999 in English words, digit by digit in, word by word out.
As people do, the labels say the same number in several ways: one or a hundred, with "and" or
without, two thousand five hundred or twenty five hundred. Teacher and students learn 4,000 numbers
and write 1,000 others, by greedy search: how many are right as a whole, in any of the ways, and
the word error rate (edit distance from the nearest way, over its words). Every student of a seed
has the same initial weights, batches and updates. Finished runs are kept in
benchmarks/results/sequences.jsonl, the tables are benchmarks/results/sequences.md.
"""

import keras
import numpy as np
from gain_options import RESULTS, parser_of
from gain_tables import append, by_seed, gains, read, with_error
from gain_tasks import Training
from gain_training import compiled, order_of
from keras import layers

from keras_distill import Distiller, SoftTargets, schemes

SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
PAD, START, END, DIGIT = 0, 1, 2, 3
WORDS = [*SMALL, *TENS, "hundred", "thousand", "and", "a"]
WORD = DIGIT + 10
VOCABULARY = WORD + len(WORDS)
SOURCE, TARGET = 4, 9
TRAIN, TEST = 4_000, 1_000
UPDATES, BATCH, RATE = 3_000, 50, 5e-3
ALONE = "labels alone"


def ways_to_say(number):
    """Returns the lists of English words that say a number."""
    if number < 20:
        return [[SMALL[number]]]
    if number < 100:
        rest = [SMALL[number % 10]] if number % 10 else []
        return [[TENS[number // 10 - 2], *rest]]
    ways = _counted(number, 100, "hundred") if number // 100 % 10 or number < 1_000 else []
    return ways if number < 1_000 else ways + _counted(number, 1_000, "thousand")


def _counted(number, size, name):
    """Returns the ways to say a number as so many hundreds or thousands, and the rest."""
    counts = [["a"], ["one"]] if number // size == 1 else ways_to_say(number // size)
    rest, links = number % size, [[]]
    if 0 < rest < 100:
        links = [[], ["and"]]
    rests = ways_to_say(rest) if rest else [[]]
    return [[*of, name, *link, *end] for of in counts for link in links for end in rests]


def padded(tokens, length):
    """Returns a list of tokens as an array, filled up with padding."""
    return np.array(tokens + [PAD] * (length - len(tokens)))


def numbers():
    """Returns digits and words of numbers in random order, arrays of tokens, and the numbers."""
    rng = np.random.default_rng(0)
    order = rng.permutation(10_000)[: TRAIN + TEST].tolist()
    sources = [padded([DIGIT + int(digit) for digit in str(number)], SOURCE) for number in order]
    targets = []
    for number in order:
        ways = ways_to_say(number)
        targets.append(padded([*tokens_of(ways[rng.integers(len(ways))]), END], TARGET))
    return np.array(sources), np.array(targets), order


def tokens_of(words):
    """Returns the tokens of a list of words."""
    return [WORD + WORDS.index(word) for word in words]


class EncoderDecoder:
    """Models that read digits, and then write words after a start token."""

    start = START

    @staticmethod
    def model(units):
        """Returns an untrained model with recurrent layers of so many units."""
        source = keras.Input((SOURCE,), dtype="int32")
        target = keras.Input((TARGET,), dtype="int32")
        state = layers.GRU(units)(layers.Embedding(VOCABULARY, units, mask_zero=True)(source))
        words = layers.Embedding(VOCABULARY, units, mask_zero=True)(target)
        states = layers.GRU(units, return_sequences=True)(words, initial_state=state)
        return keras.Model([source, target], layers.Dense(VOCABULARY)(states))

    @staticmethod
    def batches(sources, targets):
        """Returns inputs, labels and the weight of each position."""
        before = np.pad(targets[:, :-1], [(0, 0), (1, 0)], constant_values=START)
        before = np.where(targets == PAD, PAD, before)
        return [sources, before], targets, (targets != PAD).astype("float32")


class DecoderOnly:
    """Models that go on from digits with words."""

    start = None

    @staticmethod
    def model(units):
        """Returns an untrained model with recurrent layers of so many units."""
        tokens = keras.Input((None,), dtype="int32")
        words = layers.Embedding(VOCABULARY, units)(tokens)
        states = layers.GRU(units, return_sequences=True)(words)
        return keras.Model(tokens, layers.Dense(VOCABULARY)(states))

    @staticmethod
    def batches(sources, targets):
        """Returns inputs, labels and the weight of each position, 0 within the prompt."""
        rows, weights = [], []
        for source, target in zip(sources, targets, strict=True):
            digits, words = source[source != PAD].tolist(), target[target != PAD].tolist()
            rows.append(padded(digits + words, SOURCE + TARGET))
            weight = [0.0] * (len(digits) - 1) + [1.0] * len(words)
            weights.append(np.pad(weight, (0, SOURCE + TARGET - 1 - len(weight))))
        rows = np.array(rows)
        return rows[:, :-1], rows[:, 1:], np.array(weights, "float32")


KINDS = {"encoder-decoder": EncoderDecoder, "decoder-only": DecoderOnly}


def tokens_by(divergence):
    """Returns the function to a list of losses of tokens."""
    return lambda: [SoftTargets(temperature=1.0, divergence=divergence)]


# What each student learns from: losses of tokens, and whether its labels are the teacher's words.
ARMS = {
    ALONE: (None, False),
    "tokens, KL": (tokens_by("kl"), False),
    "tokens, reverse KL": (tokens_by("reverse_kl"), False),
    "tokens, generalized JS": (tokens_by("generalized_js"), False),
    "tokens, skew KL": (tokens_by("skew_kl"), False),
    "sequences": (None, True),
    "sequences and tokens, reverse KL": (tokens_by("reverse_kl"), True),
}


def trained(model, data, seed, updates=UPDATES, rate=RATE):
    """Trains a model, or a student through a distiller."""
    inputs, labels, weights = data
    order = order_of(len(labels), updates, BATCH, seed).reshape(-1)
    compiled(model, Training(updates, rate, BATCH))
    model.fit(
        keras.tree.map_structure(lambda part: part[order], inputs),
        labels[order],
        sample_weight=weights[order],
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
    )


def written(kind, model, sources, beams=1):
    """Returns what a model writes for digits."""
    return schemes.sequence_targets(
        model, sources, TARGET, END, kind.start, beams=beams, batch_size=500
    )


def edits(found, wanted):
    """Returns the edit distance of two lists of words."""
    row = list(range(len(wanted) + 1))
    for number, word in enumerate(found, start=1):
        last, row[0] = row[0], number
        for place, other in enumerate(wanted, start=1):
            last, row[place] = (
                row[place],
                min(row[place] + 1, row[place - 1] + 1, last + (word != other)),
            )
    return row[-1]


def scores(found, of_numbers):
    """Returns the share of numbers that are right as a whole, and the word error rate, in %."""
    errors, words = [], 0
    for tokens, number in zip(found, of_numbers, strict=True):
        said = [token for token in tokens if token >= WORD]
        ways = [tokens_of(way) for way in ways_to_say(number)]
        nearest = min(ways, key=lambda way: edits(said, way))
        errors.append(edits(said, nearest))
        words += len(nearest)
    exact = 100 * float(np.mean(np.array(errors) == 0))
    return {"exact": exact, "errors": 100 * sum(errors) / words}


def run(name, seeds, path):
    """Trains what is missing of a kind of model."""
    kind, (sources, targets, order) = KINDS[name], numbers()
    train, test = (sources[:TRAIN], targets[:TRAIN]), (sources[TRAIN:], order[TRAIN:])
    keras.utils.set_random_seed(0)
    teacher = kind.model(96)
    trained(teacher, kind.batches(*train), 0, updates=3_000)
    of_teacher = scores(written(kind, teacher, test[0]), test[1])
    print("teacher", of_teacher, flush=True)
    answers = written(kind, teacher, train[0], beams=3)
    for seed in range(seeds):
        for arm, (losses, from_teacher) in ARMS.items():
            if (name, arm, seed) in read(path):
                continue
            keras.utils.set_random_seed(seed)
            model = student = kind.model(24)
            if losses:
                model = Distiller(teacher, student, losses(), student_loss_weight=None)
            labels = answers if from_teacher else train[1]
            trained(model, kind.batches(train[0], labels), seed)
            found = scores(written(kind, student, test[0]), test[1])
            line = {"task": name, "arm": arm, "seed": seed, "teacher": of_teacher, **found}
            append(path, line)
            print(line, flush=True)


def page(lines):
    """Returns the tables as Markdown."""
    text = [
        "`python benchmarks/sequences.py KIND`: numbers in English words, those that no model "
        "learned; mean ± standard error over the seeds, gain over the labels alone, paired by seed."
    ]
    for name in KINDS:
        runs = [line for (kind, _, _), line in lines.items() if kind == name]
        if not runs:
            continue
        of_teacher = runs[0]["teacher"]
        text += [
            "",
            f"## {name}",
            "",
            f"The teacher writes {of_teacher['exact']:.1f} % right, with a word error rate of "
            f"{of_teacher['errors']:.1f} %.",
            "",
            "| student learns | right in % | gain | word error rate in % | change | seeds |",
            "|---|---|---|---|---|---|",
        ]
        for arm in ARMS:
            row = [arm]
            for kind in ("exact", "errors"):
                values = list(by_seed(lines, name, arm, kind).values())
                changes = gains(lines, name, arm, kind, ALONE)
                row += [with_error(values), "" if arm == ALONE else with_error(changes, "+")]
            text.append(f"| {' | '.join([*row, str(len(values))])} |")
    return "\n".join(text) + "\n"


def main():
    given = parser_of(__doc__, tuple(KINDS)).parse_args()
    path = RESULTS / "sequences.jsonl"
    run(given.task, given.seeds, path)
    text = page(read(path))
    (RESULTS / "sequences.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
