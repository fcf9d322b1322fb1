"""A rewritten model is a clone but for the layers that are replaced."""

import keras
import numpy as np
import pytest

from keras_distill.compression import prune
from keras_distill.compression.rewriting import calls_in, rewrite
from tests.compression.models import MODELS, data, sequential

layers = keras.layers


@pytest.mark.parametrize("name", MODELS)
def test_nothing_replaced_is_a_copy(name):
    model = MODELS[name]()
    model.layers[-1].trainable = False
    copy, made = rewrite(model, lambda layer: None)
    x, _ = data(model)
    np.testing.assert_array_equal(copy(x), model(x))
    assert copy.name == model.name
    for old, new in zip(calls_in(model).items(), calls_in(copy).items(), strict=True):
        assert (old[0].name, old[1]) == (new[0].name, new[1])
        assert old[0] is not new[0]
        if isinstance(old[0], layers.Layer):
            assert made[old[0]] is new[0] and new[0].trainable == old[0].trainable


def test_a_compiled_model_of_a_class_of_its_own_becomes_an_uncompiled_one():
    class Own(keras.Model):
        pass

    inputs = keras.Input((4,))
    model = Own(inputs, layers.Dense(2)(inputs))
    model.compile("sgd", lambda y_true, y_pred: keras.ops.sum(y_true - y_pred))
    for made in (
        rewrite(model, lambda layer: None)[0],
        rewrite(sequential(), lambda layer: None)[0],
    ):
        assert not isinstance(made, (Own, keras.Sequential)) and not made.compiled


def test_inputs_stay_as_they_are():
    inputs = {
        "numbers": keras.Input((4,), batch_size=2, dtype="float16", name="numbers"),
        "sparse": keras.Input((4,), sparse=True, name="sparse"),
        "optional": keras.Input((4,), name="optional", optional=True),
    }
    sums = [layers.Dense(2)(inputs[name]) for name in ("numbers", "sparse")]
    copy, _ = rewrite(keras.Model(inputs, {"sums": sums}), lambda layer: None)
    assert copy.input["numbers"].shape == (2, 4) and copy.input["numbers"].dtype == "float16"
    assert copy.input["sparse"].sparse and copy.get_layer("optional").optional
    assert set(copy.output) == {"sums"} and len(copy.output["sums"]) == 2


def test_a_layer_that_can_not_be_copied_is_named():
    class Custom(layers.Layer):
        def __init__(self, scale, **kwargs):
            super().__init__(**kwargs)
            self.scale = scale

        def call(self, inputs):
            return inputs * self.scale

        def get_config(self):
            return {"name": self.name}

    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(Custom(3.0, name="scaled")(inputs)))
    with pytest.raises(ValueError, match=r"'scaled' \(Custom\) can't be copied"):
        prune(model)
