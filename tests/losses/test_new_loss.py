"""A new loss is one file and one line of the registry: all else follows from the two."""

import sys

import numpy as np
import pytest

from keras_distill import Distiller, losses
from keras_distill.losses import registry, response
from tests.losses import cases, test_every_loss, test_serialization

SOURCE = '''"""Absolute differences of logits."""

import keras
from keras import ops

from keras_distill.losses.response.response_loss import ResponseLoss
from keras_distill.losses.tensors import as_floats


def absolute_logits(teacher_logits, student_logits):
    """Mean absolute difference of logits."""
    teacher, student = as_floats(teacher_logits, student_logits)
    return ops.mean(ops.abs(teacher - student), axis=-1)


@keras.saving.register_keras_serializable("tests_of_new_loss")
class AbsoluteLogits(ResponseLoss):
    """Mean absolute difference of logits.

    Reference:
        Nobody, "Throwaway", 2026.
    """

    def compare(self, teacher_logits, student_logits, context):
        """Computes the mean absolute difference."""
        return absolute_logits(teacher_logits, student_logits)
'''


@pytest.fixture
def _new_loss(tmp_path, monkeypatch):
    (tmp_path / "absolute_logits.py").write_text(SOURCE)
    monkeypatch.setattr(response, "__path__", [*response.__path__, str(tmp_path)])
    line = registry.method("response.absolute_logits.AbsoluteLogits", "mae")
    monkeypatch.setattr(registry, "METHODS", [*registry.METHODS, line])
    yield
    sys.modules.pop("keras_distill.losses.response.absolute_logits")
    monkeypatch.delattr(response, "absolute_logits")


@pytest.fixture
def case(_new_loss):
    (found,) = [case for case in cases.cases() if case.name == "AbsoluteLogits"]
    return found


@pytest.mark.parametrize("name", ["AbsoluteLogits", "absolute_logits", "mae"])
def test_each_spelling_of_its_name_works(_new_loss, name):
    loss = losses.get(name, teacher_layer_name="a", student_layer_name="b")
    assert type(loss).__name__ == "AbsoluteLogits"
    assert loss.student_layer_name == "b"
    assert losses.deserialize(losses.serialize(loss)).get_config() == loss.get_config()


def test_an_unknown_name_finds_it_among_the_closest(_new_loss):
    with pytest.raises(ValueError, match=r"Closest: .*'absolute_logits'"):
        losses.get("absolut_logits")


def test_it_is_in_the_catalogue_under_the_family_of_its_folder(_new_loss):
    (entry,) = [entry for entry in losses.catalogue() if entry.name == "AbsoluteLogits"]
    assert (entry.family, entry.abbreviations, entry.needs) == ("response", ("mae",), ())
    assert entry.summary == "Mean absolute difference of logits."
    assert entry.paper == 'Nobody, "Throwaway", 2026.'
    families = [entry.family for entry in losses.catalogue()]
    assert families == sorted(families, key=list(dict.fromkeys(families)).index)


def test_the_tests_of_every_loss_hold_for_it(case):
    test_every_loss.test_gradient_equals_finite_differences(case)
    test_every_loss.test_serialization_round_trip(case)
    test_every_loss.test_an_unknown_setting_is_refused_by_its_name(case)
    test_serialization.test_a_configuration_comes_back_as_the_same_loss(case)


def test_a_distiller_trains_with_it_by_its_name(_new_loss, make_cnn, images, crossentropy):
    distiller = Distiller(make_cnn(4), make_cnn(2), "mae")
    distiller.compile("sgd", crossentropy)
    history = distiller.fit(*images, batch_size=32, verbose=0).history
    assert np.isfinite(history["absolute_logits"][0])


def test_it_is_gone_afterwards():
    with pytest.raises(ValueError, match="Unknown distillation loss 'mae'"):
        losses.get("mae")
