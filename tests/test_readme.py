"""What the README says of the losses is what the library says."""

import pathlib

from keras_distill.losses.catalogue import as_markdown, catalogue

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_the_table_of_losses_is_the_catalogue():
    text = README.read_text(encoding="utf-8")
    table = text.partition("losses.catalogue() -->\n")[2].partition("<!-- end of losses")[0]
    assert table == as_markdown(catalogue())
