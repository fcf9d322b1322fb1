"""The figure of the plots is an ordinary one of matplotlib, without pyplot."""

import pickle

import pytest

from keras_distill import visualization

pytest.importorskip("matplotlib")


def test_a_picture_survives_pickling():
    figure = pickle.loads(pickle.dumps(visualization.plot_confusion([0, 1], [0, 1], ["a", "b"])))
    assert visualization.png(figure).startswith(b"\x89PNG")


def test_pictures_leave_pyplot_alone():
    import matplotlib.pyplot as plt

    visualization.plot_curves({"a": {"acc": [1, 2]}}, metric="acc")
    assert plt.get_fignums() == []
