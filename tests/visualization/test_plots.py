"""Plots: the numbers that are drawn."""

import numpy as np
import pytest

from keras_distill import visualization
from keras_distill.visualization.style import COLORS

pytest.importorskip("matplotlib")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def panels(figure):
    """Rows of axes in the order of the grid."""
    spec = figure.axes[0].get_gridspec()
    return np.array(figure.axes).reshape(spec.nrows, spec.ncols)


def test_attention_map_is_the_normalized_mean_of_squares():
    features = np.zeros((1, 1, 2, 2))
    features[0, 0] = [[3, 1], [-1, -2]]
    # Means of squares 5 and 2.5; norm sqrt(31.25).
    expected = np.array([[[5, 2.5]]]) / np.sqrt(31.25)
    np.testing.assert_allclose(visualization.attention_map(features), expected, rtol=1e-6)


def test_attention_map_ignores_scale_and_channel_order_and_keeps_zeros(rng):
    features = rng.normal(size=(3, 4, 5, 6))
    maps = visualization.attention_map(features)
    assert maps.shape == (3, 4, 5) and maps.dtype == np.float32
    np.testing.assert_allclose(np.square(maps).sum(axis=(1, 2)), 1, rtol=1e-5)
    np.testing.assert_allclose(
        visualization.attention_map(7 * features[..., ::-1]), maps, rtol=1e-5
    )
    assert not visualization.attention_map(np.zeros((1, 2, 2, 3))).any()


def test_attention_map_survives_float16_extremes():
    features = np.full((1, 2, 2, 4), 60000, np.float16)
    np.testing.assert_allclose(visualization.attention_map(features), 0.5, rtol=1e-3)


def test_attention_grid_has_a_row_per_sample_and_a_column_per_model(rng):
    maps = {"teacher": rng.random((3, 4, 4)), "student": rng.random((3, 2, 2))}
    grid = panels(visualization.plot_attention(rng.random((3, 8, 8, 1)), maps))
    assert grid.shape == (3, 3)
    drawn = grid[1, 2].images[-1]
    np.testing.assert_array_equal(drawn.get_array(), maps["student"][1])
    assert drawn.get_clim() == (0, maps["student"][1].max())
    # The smaller map is stretched over all of the 8x8 image.
    assert drawn.get_extent() == [-0.5, 7.5, 7.5, -0.5]
    assert [axis.texts[0].get_text() for axis in grid[0]] == ["input", "teacher", "student"]


def test_an_overlay_is_the_gray_image_with_the_map_over_it(rng):
    images, maps = rng.random((1, 8, 8, 3)), {"teacher": rng.random((1, 4, 4))}
    plain, over = (
        panels(visualization.plot_attention(images, maps, overlay=overlay))[0, 1].images
        for overlay in (False, True)
    )
    assert len(plain) == 1 and plain[0].get_alpha() is None
    below, drawn = over
    gray = images[0].mean(axis=-1)
    scaled = (gray - gray.min()) / (gray.max() - gray.min())
    np.testing.assert_allclose(below.get_array(), scaled)
    np.testing.assert_array_equal(drawn.get_array(), maps["teacher"][0])
    assert 0 < drawn.get_alpha() < 1


def test_right_and_wrong_predictions_differ_in_their_mark_and_color(rng):
    grid = panels(
        visualization.plot_attention(
            rng.random((2, 8, 8)),
            {"student": rng.random((2, 8, 8))},
            predictions={"student": np.array([[0.1, 0.9], [0.2, 0.8]])},
            labels=[1, 0],
            class_names=["no", "yes"],
        )
    )
    titles = [(axis.get_title(), axis.title.get_color()) for axis in grid[:, 1]]
    assert titles == [("\u2713 yes", COLORS[0]), ("\u2717 yes", COLORS[1])]
    assert [axis.get_title() for axis in grid[:, 0]] == ["yes", "no"]


def test_images_stand_in_rows_with_their_classes(rng, tmp_path):
    images = rng.random((5, 6, 4))
    path = tmp_path / "images.png"
    grid = panels(visualization.plot_images(images, [0, 1, 0, 1, 1], ["no", "yes"], 3, path))
    assert grid.shape == (2, 3)
    assert [axis.get_title() for axis in grid.flat] == ["no", "yes", "no", "yes", "yes", ""]
    drawn, expected = grid[1, 1].images[0].get_array(), images[4]
    low, high = expected.min(), expected.max()
    np.testing.assert_allclose(drawn, (expected - low) / (high - low), rtol=1e-5)
    assert not grid[1, 2].images
    assert path.read_bytes()[1:4] == b"PNG"
    with pytest.raises(ValueError, match="labels has 2 samples, but images has 5"):
        visualization.plot_images(images, [0, 1])


def test_color_images_and_constant_ones_are_drawn(rng):
    images = np.stack([rng.random((6, 4, 3)) * 255, np.full((6, 4, 3), 7.0)])
    grid = panels(visualization.plot_attention(images, {"m": np.zeros((2, 3, 2))}))
    assert grid[0, 0].images[0].get_array().shape == (6, 4, 3)
    assert grid[0, 0].images[0].get_array().max() == 1


def test_curve_is_the_mean_and_the_band_goes_from_lowest_to_highest():
    runs = [{"acc": [0.2, 0.4]}, {"acc": [0.4, 0.8]}]
    axis = visualization.plot_curves({"alone": runs}, metric="acc").axes[0]
    np.testing.assert_array_equal(axis.lines[0].get_xdata(), [1, 2])
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [0.3, 0.6])
    band = axis.collections[0].get_paths()[0].vertices
    assert {tuple(np.round(point, 6)) for point in band} == {(1, 0.2), (1, 0.4), (2, 0.4), (2, 0.8)}
    assert axis.get_legend().get_texts()[0].get_text() == "alone (mean of 2 runs)"
    assert axis.get_xlabel() == "epoch" and axis.get_ylabel() == "acc"


def test_runs_of_different_length_average_over_those_that_go_on():
    runs = [{"acc": [0.2]}, {"acc": [0.4, 0.8]}]
    axis = visualization.plot_curves({"alone": runs}, metric="acc").axes[0]
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [0.3, 0.8])


def test_what_fit_returns_can_be_drawn(images, make_cnn):
    model = make_cnn(2)
    model.compile("adam", "mse")
    history = model.fit(images[0], np.zeros((64, 3)), epochs=2, verbose=0)
    axis = visualization.plot_curves({"one": history}, metric="loss").axes[0]
    np.testing.assert_allclose(axis.lines[0].get_ydata(), history.history["loss"])
    assert not axis.collections


def test_each_loss_has_its_panel_with_the_validation_dashed(tmp_path):
    history = {
        "loss": [3.0, 2.0],
        "total_loss": [3.0, 2.0],
        "$kd": [0.2, 0.1],
        "val_$kd": [0.4, 0.3],
    }
    path = tmp_path / "losses.png"
    figure = visualization.plot_losses(history, path=path)
    first, second = figure.axes
    assert [axis.get_title() for axis in figure.axes] == ["loss", "$kd"]
    np.testing.assert_allclose(first.lines[0].get_ydata(), [3, 2])
    assert len(first.lines) == 1
    drawn = {line.get_linestyle(): line.get_ydata() for line in second.lines}
    np.testing.assert_allclose(drawn["-"], [0.2, 0.1])
    np.testing.assert_allclose(drawn["--"], [0.4, 0.3])
    assert path.read_bytes()[1:4] == b"PNG"


def test_losses_of_several_runs_have_a_band_and_unknown_ones_are_refused():
    runs = [{"kd": [0.2, 0.4]}, {"kd": [0.4, 0.8]}]
    axis = visualization.plot_losses(runs, ["kd"]).axes[0]
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [0.3, 0.6])
    assert len(axis.collections) == 1
    with pytest.raises(ValueError, match="names must be one or more keys of the history: kd"):
        visualization.plot_losses(runs, ["at"])
    with pytest.raises(TypeError, match="names must be a list of strings"):
        visualization.plot_losses(runs, "kd")
    with pytest.raises(ValueError, match="history must be what fit returns"):
        visualization.plot_losses([])


@pytest.mark.filterwarnings("error")
def test_a_run_that_diverged_leaves_a_gap():
    runs = [{"acc": [0.2, np.nan]}, {"acc": [0.4, np.nan]}]
    figure = visualization.plot_curves({"alone": runs}, metric="acc")
    drawn = figure.axes[0].lines[0].get_ydata()
    assert visualization.png(figure).startswith(b"\x89PNG")
    np.testing.assert_allclose(np.ma.filled(drawn, np.nan), [0.3, np.nan])


def test_confusion_counts_stand_in_the_row_of_the_true_class():
    scores = np.eye(3)[[0, 2, 2, 1]]
    axis = visualization.plot_confusion([0, 1, 2, 1], scores, ["a", "b", "c"]).axes[0]
    counts = {text.get_position()[::-1]: text.get_text() for text in axis.texts}
    assert counts == {(0, 0): "1", (1, 2): "1", (2, 2): "1", (1, 1): "1"}
    np.testing.assert_allclose(axis.images[0].get_array()[1], [0, 0.5, 0.5])
    assert "75.0%" in axis.get_title()


def test_names_are_drawn_as_they_are(monkeypatch):
    names = ["cost in $", "$x^$", "_private", r"\frac"]
    confusion = visualization.plot_confusion([0, 1, 2, 3], [0, 1, 2, 3], names)
    curves = visualization.plot_curves({name: {"$": [0, 1]} for name in names}, metric="$")
    maps = {name: np.ones((4, 2, 2)) for name in names}
    predictions = {name: [0, 1, 2, 3] for name in names}
    attention = visualization.plot_attention(
        np.ones((4, 2, 2)), maps, predictions=predictions, labels=[0, 1, 2, 3], class_names=names
    )
    drawn = [
        [text.get_text() for text in texts]
        for texts in (
            confusion.axes[0].get_xticklabels(),
            confusion.axes[0].get_yticklabels(),
            curves.axes[0].get_legend().get_texts(),
            [axis.texts[0] for axis in panels(attention)[0, 1:]],
            [axis.title for axis in panels(attention)[:, 0]],
        )
    ]
    assert drawn == 5 * [names]
    answers = [axis.get_title() for axis in panels(attention)[:, 4]]
    assert answers == [f"\u2713 {name}" for name in names]
    assert curves.axes[0].get_ylabel() == "$"
    parser = "matplotlib.mathtext.MathTextParser.parse"
    monkeypatch.setattr(parser, lambda *_: pytest.fail("a name was read as a formula"))
    for figure in (confusion, curves, attention):
        assert visualization.png(figure).startswith(b"\x89PNG")
