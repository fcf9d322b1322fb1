import keras
import numpy as np
import pytest

from keras_distill.losses.logits import final_activation, logits_of

layers = keras.layers


def ending(*last):
    return keras.Sequential([keras.Input((4,)), layers.Dense(3), *last])


@pytest.mark.parametrize(
    ("model", "activation"),
    [
        (ending(), "linear"),
        (ending(layers.Dense(3, activation="softmax")), "softmax"),
        (ending(layers.Activation("softmax")), "softmax"),
        (ending(layers.Softmax()), "softmax"),
        (ending(layers.Softmax(), layers.Dropout(0.5), layers.Reshape((3, 1))), "softmax"),
        (ending(layers.Dense(1, activation="sigmoid")), "sigmoid"),
        (ending(layers.ReLU()), "linear"),
        (ending(ending(layers.Softmax()).layers[-1]), "softmax"),
    ],
)
def test_the_last_activation_is_found(model, activation):
    assert final_activation(model) == activation


def test_the_last_activation_is_found_in_a_nested_model_and_after_an_operation():
    inputs = keras.Input((4,))
    inner = ending(layers.Softmax())
    assert final_activation(keras.Model(inputs, inner(inputs))) == "softmax"
    assert final_activation(keras.Model(inputs, keras.ops.softmax(inputs))) == "softmax"
    sequence = keras.Input((5, 4))
    steps = layers.TimeDistributed(layers.Dense(2, activation="softmax"))(sequence)
    assert final_activation(keras.Model(sequence, steps)) == "softmax"


def test_nothing_is_known_of_several_outputs_or_of_a_subclassed_model():
    inputs = keras.Input((4,))
    assert final_activation(keras.Model(inputs, [inputs, inputs])) is None

    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    assert final_activation(Subclassed()) is None


def test_forced_probabilities_and_logits_are_taken_at_their_word():
    probabilities = keras.ops.softmax(np.float32([[1.0, 2.0]]))
    np.testing.assert_array_equal(logits_of(probabilities, True), probabilities)
    np.testing.assert_allclose(logits_of(probabilities, False), np.log(probabilities))
    np.testing.assert_array_equal(logits_of(probabilities, "auto"), np.float32([[1.0, 2.0]]))


def test_known_probabilities_without_memory_become_log_probabilities():
    probabilities = np.float32([[0.25, 0.75]])
    np.testing.assert_allclose(logits_of(probabilities, "auto", "softmax"), np.log(probabilities))
    np.testing.assert_array_equal(logits_of(probabilities, "auto", "linear"), probabilities)


def test_probabilities_of_a_sigmoid_become_its_logits():
    logits = np.float32([[-3.0, 0.5, 4.0]])
    for from_logits in (False, "auto"):
        np.testing.assert_allclose(
            logits_of(1 / (1 + np.exp(-logits)), from_logits, "sigmoid"), logits, rtol=1e-5
        )
    extreme = logits_of(np.float32([[0.0, 1.0]]), False, "sigmoid")
    assert np.all(np.isfinite(extreme))
