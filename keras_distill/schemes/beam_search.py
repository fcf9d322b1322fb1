"""Beam search: the likeliest sequences of tokens that a model of the next token gives."""

import numpy as np


def beam_search(likeliest, samples, beams, max_length, end_token, pad_token, length_penalty=0.0):
    """Searches each sample's likeliest sequence, all beams of all samples at once.

    A sequence that has ended keeps its score and its place among the beams. With as many beams as
    there are sequences, the search is exhaustive; with one it is greedy.

    Args:
        likeliest: Function from the tokens so far, shape `(samples * beams, max_length)`, and
            their number to two arrays of shape `(samples * beams, choices)`: log-probabilities of
            the likeliest next tokens, and these tokens. `choices` is the number of beams, or that
            of the tokens if there are fewer.
        samples: Number of samples.
        beams: Number of sequences that are kept of each.
        max_length: Largest number of tokens, the end token included.
        end_token: Token that ends a sequence.
        pad_token: Token after the end.
        length_penalty: Sequences are ranked by log-probability / length ** `length_penalty`.

    Returns:
        Tuple of an integer array of shape `(samples, max_length)` and the array of the ranked
        scores, shape `(samples,)`.
    """
    tokens = np.full((samples, beams, max_length), pad_token, "int32")
    # All beams begin as the same sequence, which must count once.
    totals = np.full((samples, beams), -np.inf)
    totals[:, 0] = 0.0
    ranked, lengths = totals, np.zeros((samples, beams), "int64")
    has_ended = np.zeros((samples, beams), bool)
    for count in range(max_length):
        found = likeliest(tokens.reshape(-1, max_length), count)
        gains, following = (array.reshape(samples, beams, -1) for array in found)
        gains, following = _of_ended(gains, following, has_ended, pad_token)
        choices = gains.shape[-1]
        sums = (totals[..., None] + gains).reshape(samples, -1)
        lengths = np.repeat(lengths + ~has_ended, choices, axis=1)
        scores = sums / np.maximum(lengths, 1) ** float(length_penalty)
        # Stable, so that the first of equals is kept, as argmax does.
        kept = np.argsort(-scores, axis=1, kind="stable")[:, :beams]
        parents = kept // choices
        totals, ranked, lengths = (_taken(array, kept) for array in (sums, scores, lengths))
        tokens = np.take_along_axis(tokens, parents[..., None], axis=1)
        tokens[:, :, count] = _taken(following.reshape(samples, -1), kept)
        has_ended = _taken(has_ended, parents) | (tokens[:, :, count] == end_token)
        has_ended |= np.isneginf(totals)
        # Without a penalty no score can rise any more.
        is_best_known = length_penalty == 0 and has_ended[:, 0].all()
        if is_best_known or has_ended.all():
            break
    return tokens[:, 0], ranked[:, 0]


def _of_ended(gains, following, has_ended, pad_token):
    """Gives a sequence that has ended one continuation: padding, which costs nothing."""
    itself = np.where(np.arange(gains.shape[-1]) == 0, 0.0, -np.inf)
    gains = np.where(has_ended[..., None], itself, gains)
    return gains, np.where(has_ended[..., None], pad_token, following)


def _taken(array, places):
    return np.take_along_axis(array, places, axis=1)
