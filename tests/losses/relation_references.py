"""Embeddings and NumPy calculations that several tests of relation losses use."""

import numpy as np

from keras_distill.losses import (
    InstanceGraph,
)

GRAPH_SHAPES = [(5, 4, 4, 3), (5, 4, 4, 3), (5, 8), (5, 3)]


def random_features(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype("float32") for shape in shapes]


def rows_of(features):
    return np.float64(features).reshape(len(features), -1)


def unit(vector):
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector


def graph_loss(*weights, layers=4):
    names = [f"layer{index}" for index in range(layers)]
    return InstanceGraph(*weights, teacher_layer_name=names, student_layer_name=names)
