"""Agreement with the teacher: the shares that are drawn."""

import numpy as np
import pytest

from keras_distill.visualization import plot_agreement

pytest.importorskip("matplotlib")

LABELS = [0, 0, 0, 0, 1, 1, 1, 2]
TEACHER = [0, 0, 0, 1, 1, 0, 2, 0]
# Both right 3, only the student 1, only the teacher 1, wrong alike 2, wrong otherwise 1.
STUDENT = [0, 0, 1, 0, 1, 0, 2, 1]


def test_the_bars_are_who_of_the_two_is_right(tmp_path):
    path = tmp_path / "agreement.png"
    figure = plot_agreement(LABELS, {"t": TEACHER, "s": STUDENT, "same": np.eye(3)[TEACHER]}, path)
    axis = figure.axes[0]
    widths = np.array([[bar.get_width() for bar in group] for group in axis.containers])[:, 0]
    np.testing.assert_allclose(8 * widths[:5], [3, 1, 1, 2, 1])
    np.testing.assert_allclose(8 * widths[5:], [4, 0, 0, 4, 0])
    starts = [group[0].get_x() for group in axis.containers]
    np.testing.assert_allclose(starts[1:5], np.cumsum(widths[:4]))
    titles = [label.get_text() for label in axis.get_yticklabels()]
    assert titles == ["s\nagrees on 62.5%", "same\nagrees on 100.0%"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:3] == ["both right", "only the other right", "only t right"]
    assert len(legend) == 5
    assert path.read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ({"t": TEACHER}, "of 2 models or more"),
        ([TEACHER, STUDENT], "predictions must be a dict"),
        ({"t": TEACHER, "s": [0]}, r"predictions\['s'\] must have the 8 samples"),
    ],
)
def test_what_cannot_be_compared_is_refused(predictions, message):
    with pytest.raises(ValueError, match=message):
        plot_agreement(LABELS, predictions)
