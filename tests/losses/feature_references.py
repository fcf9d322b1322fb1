"""Features and NumPy calculations that several tests of feature losses use."""

import numpy as np

SHAPES = [(3, 4, 5, 6), (2, 9, 4), (4, 7)]


def random_features(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype("float32") for shape in shapes]


def pool(features, space):
    """Averages equal blocks along each spatial axis."""
    features = np.float64(features)
    for axis, size in enumerate(space, 1):
        blocks = np.split(features, size, axis)
        features = np.stack([block.mean(axis) for block in blocks], axis)
    return features


def pool_to_smaller(*features):
    space = np.min([f.shape[1:-1] for f in features], axis=0)
    return [pool(f, space) for f in features]


def unit(vector):
    vector = np.float64(vector).ravel()
    return vector / np.sqrt((vector**2).sum())
