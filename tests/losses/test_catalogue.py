"""The list of all losses."""

import re

import pytest

from keras_distill import losses
from keras_distill.losses.registry import abbreviations, classes

ENTRIES = {entry.name: entry for entry in losses.catalogue()}


def test_every_class_is_listed_once():
    assert len(losses.catalogue()) == len(ENTRIES)
    assert set(ENTRIES) == set(classes())
    assert next(iter(ENTRIES)) == "SoftTargets"
    assert {entry.family for entry in ENTRIES.values()} == {
        "response",
        "attention",
        "feature",
        "relation",
    }


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=list(ENTRIES))
def test_every_entry_tells_the_paper_and_what_is_tapped(entry):
    assert re.search(r"\d{4}", entry.paper) or entry.name == "SigmoidTargets"
    assert entry.summary.endswith(".")
    assert entry.taps


def test_every_abbreviation_of_the_field_is_listed():
    listed = [name for entry in ENTRIES.values() for name in entry.abbreviations]
    assert sorted(listed) == sorted(abbreviations())


def test_needs():
    with_labels = {name for name, entry in ENTRIES.items() if entry.needs_labels}
    assert with_labels == {
        "AttentionCapture",
        "DecoupledKD",
        "GradientAttentionTransfer",
        "NormalizedKD",
        "OneForAll",
        "ScaleDecoupled",
        "VirtualTeacher",
    }
    assert ENTRIES["VirtualTeacher"].needs == ("labels", "no teacher")
    assert ENTRIES["ContrastiveRepresentation"].needs == ("sample indices (in one mode)",)
    assert ENTRIES["SoftTargets"].needs == ()
