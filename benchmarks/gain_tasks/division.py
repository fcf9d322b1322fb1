"""Divisions of data: by class, by person, and labels that are wrong on purpose."""

import numpy as np

from gain_tasks.task import Split
from keras_distill.datasets.sources import proportional


def divide(y, counts, seed=0):
    """Divides samples into parts that share none, each with the classes in proportion.

    Args:
        y: Classes, shape `(samples,)`.
        counts: How many samples each part has; what is left over is the last part.
        seed: Integer of the choice.

    Returns:
        List of arrays of indices, one more than `counts`.
    """
    left, parts = np.arange(len(y)), []
    for count in counts:
        if count > len(left):
            raise ValueError(f"{count} samples are wanted of the {len(left)} that are left.")
        chosen = left[proportional(y[left], count, seed)]
        parts.append(chosen)
        left = np.setdiff1d(left, chosen)
    return [*parts, left]


def splits_by_person(x, y, people, tested, groups, labels):
    """Returns a split per group of people that is left out to validate.

    Args:
        x: Inputs.
        y: Classes.
        people: Who each sample is of.
        tested: The people of the test.
        groups: List of tuples of people, each left out once; all others but the tested train.
        labels: Number of training samples that students have labels of.
    """
    splits = []
    for group in groups:
        held_out, test = np.isin(people, group), np.isin(people, tested)
        train = np.flatnonzero(~held_out & ~test)
        labeled, others = (train[part] for part in divide(y[train], [labels]))
        splits.append(
            Split(
                x=x[labeled],
                y=y[labeled],
                unlabeled=x[others],
                validation=(x[held_out], y[held_out]),
                test=(x[test], y[test]),
                teacher_data=(x[train], y[train]),
            )
        )
    return splits


def with_wrong_labels(y, share, classes, seed=0):
    """Replaces some labels by another class, each of the others as likely.

    Args:
        y: Classes, shape `(samples,)`.
        share: Share of labels that are wrong afterwards, in [0, 1].
        classes: Number of classes.
        seed: Integer of the choice.

    Returns:
        New array of classes.
    """
    rng = np.random.default_rng(seed)
    wrong = rng.permutation(len(y))[: round(share * len(y))]
    noisy = y.copy()
    noisy[wrong] = (y[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return noisy


def runs_of_words(sentence, length):
    """Returns all runs of words of a sentence as a set of tuples.

    Args:
        sentence: Text.
        length: Words in a run.
    """
    words = sentence.split()
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}


def sharing_no_words(sentences, others, length):
    """Finds the sentences that share no run of words with others.

    Args:
        sentences: List of texts.
        others: List of texts.
        length: Words in a run.

    Returns:
        Boolean array, one entry per sentence.
    """
    known = set().union(*(runs_of_words(other, length) for other in others))
    return np.array([known.isdisjoint(runs_of_words(text, length)) for text in sentences])
