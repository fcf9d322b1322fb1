"""Losses become configurations and come back, as those of `keras.losses` do."""

import json

import keras
import pytest

from keras_distill import losses
from tests.losses.cases import CASES


class NotRegistered(losses.DistillationLoss):
    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor


def through_json(loss):
    return json.loads(json.dumps(losses.serialize(loss)))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_configuration_comes_back_as_the_same_loss(case):
    loss = case.make()
    copy = losses.deserialize(through_json(loss))
    assert type(copy) is type(loss)
    assert copy.get_config() == loss.get_config()


@pytest.mark.parametrize(
    "loss",
    [
        keras.distillation.LogitsDistillation(temperature=2.5),
        keras.distillation.FeatureDistillation(teacher_layer_name="a", student_layer_name="b"),
    ],
    ids=["logits", "features"],
)
def test_the_losses_of_keras_come_back_too(loss):
    copy = losses.deserialize(through_json(loss))
    assert type(copy) is type(loss)
    assert copy.get_config() == loss.get_config()


@pytest.mark.parametrize("name", ["kd", "SoftTargets", "soft_targets"])
def test_a_name_gives_the_loss_with_its_defaults(name):
    assert losses.deserialize(name).get_config() == losses.SoftTargets().get_config()


def test_a_class_that_is_not_registered_is_given_by_custom_objects():
    config = through_json(NotRegistered(3.0))
    with pytest.raises(ValueError, match="'NotRegistered'"):
        losses.deserialize(config)
    own = {"NotRegistered": NotRegistered}
    assert losses.deserialize(config, custom_objects=own).factor == 3.0
    assert losses.deserialize("NotRegistered", custom_objects=own).factor == 2.0


@pytest.mark.parametrize("bad", [None, 3, losses.SoftTargets(), ["kd"], b"kd"])
def test_what_is_no_configuration_is_refused(bad):
    with pytest.raises(TypeError, match=r"Received: config="):
        losses.deserialize(bad)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"class_name": "SoftTargets"},
        {"class_name": "NoSuchLoss", "config": {}},
        {**losses.serialize(losses.SoftTargets()), "config": {"temperature": -1.0}},
        {**losses.serialize(losses.SoftTargets()), "config": {"temperature": "hot"}},
        {**losses.serialize(losses.SoftTargets()), "config": {"no_such_setting": 1}},
        {**losses.serialize(losses.SoftTargets()), "config": 3},
        keras.losses.serialize(keras.losses.MeanSquaredError()),
        keras.saving.serialize_keras_object(keras.layers.Dense(2)),
    ],
)
def test_a_configuration_of_something_else_is_refused(bad):
    with pytest.raises(ValueError, match=r"^config .*Received: config="):
        losses.deserialize(bad)


def test_a_wrong_setting_is_named():
    config = {**losses.serialize(losses.SoftTargets()), "config": {"temperature": "hot"}}
    with pytest.raises(ValueError, match=r"temperature must be a number"):
        losses.deserialize(config)


def test_an_unknown_name_lists_the_closest():
    with pytest.raises(ValueError, match=r"Closest: 'soft_targets'"):
        losses.deserialize("soft_target")


@pytest.mark.parametrize("bad", ["kd", [losses.SoftTargets], 3])
def test_custom_objects_are_a_dictionary(bad):
    with pytest.raises(TypeError, match=r"Received: custom_objects="):
        losses.deserialize("kd", custom_objects=bad)


@pytest.mark.parametrize("bad", [None, "kd", keras.losses.MeanSquaredError(), losses.SoftTargets])
def test_what_is_no_loss_is_not_serialized(bad):
    with pytest.raises(TypeError, match=r"Received: loss="):
        losses.serialize(bad)
