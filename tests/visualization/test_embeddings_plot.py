"""Embeddings: the points that are drawn."""

import numpy as np
import pytest
import threadpoolctl

from keras_distill.visualization import plot_embeddings

pytest.importorskip("matplotlib")


@pytest.fixture
def labeled():
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 3
    return labels, 4 * np.eye(3, 5)[labels] + rng.normal(size=(24, 5))


def points_of(axis, labels):
    points = np.empty((len(labels), 2))
    for label, group in zip(np.unique(labels), axis.collections, strict=True):
        points[labels == label] = group.get_offsets()
    return points


def test_points_are_the_principal_components(labeled, tmp_path):
    from sklearn.decomposition import PCA

    labels, features = labeled
    path = tmp_path / "embeddings.png"
    names = ["$a", "b", "c"]
    figure = plot_embeddings({"teacher": features}, labels, class_names=names, path=path)
    pca = PCA(2).fit(features)
    drawn = points_of(figure.axes[0], labels)
    np.testing.assert_allclose(np.abs(drawn), np.abs(pca.transform(features)), atol=1e-8)
    share = pca.explained_variance_ratio_.sum()
    assert figure.axes[0].get_title() == f"teacher\n{share:.0%} of the variance"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names
    assert path.read_bytes()[1:4] == b"PNG"


def test_a_panel_is_turned_to_lie_as_the_first_one(labeled):
    labels, features = labeled
    turned = features @ np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0]
    figure = plot_embeddings({"teacher": features, "student": -turned}, labels)
    first, second = (points_of(axis, labels) for axis in figure.axes)
    np.testing.assert_allclose(first, second, atol=1e-8)


def test_a_feature_map_is_averaged_over_space(labeled):
    labels, features = labeled
    spread = features[:, None, None] + np.array([-1, 1, -2, 2]).reshape(1, 2, 2, 1)
    axes = plot_embeddings({"rows": features, "maps": spread}, labels).axes
    np.testing.assert_allclose(*(points_of(axis, labels) for axis in axes), atol=1e-8)


def test_tsne_keeps_neighbors_together(labeled):
    labels, features = labeled
    # Its threads wait for each other for long where other processes have the cores.
    with threadpoolctl.threadpool_limits(1):
        figure = plot_embeddings({"m": features + 20 * np.eye(3, 5)[labels]}, labels, "tsne")
    points = points_of(figure.axes[0], labels)
    centers = np.array([points[labels == label].mean(0) for label in range(3)])
    nearest = np.linalg.norm(points[:, None] - centers, axis=-1).argmin(1)
    np.testing.assert_array_equal(nearest, labels)
    assert figure.axes[0].get_title() == "m"


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.ones((24, 1)), "at least 2 numbers"),
        (np.ones((3, 5)), "the 24 samples of labels"),
        (np.full((24, 2), np.nan), "NaN"),
    ],
)
def test_what_has_no_two_dimensions_is_refused(labeled, features, message):
    with pytest.raises(ValueError, match=message):
        plot_embeddings({"m": features}, labeled[0])
    with pytest.raises(ValueError, match="4 to 20,000 samples"):
        plot_embeddings({"m": features[:3]}, [0, 1, 2])
