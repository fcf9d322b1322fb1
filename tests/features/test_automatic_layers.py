"""Automatic choice of layers."""

import keras
import numpy as np
import pytest

from keras_distill import Distiller, architectures, losses
from tests.features.models import choose, encoder, nested, rnn

layers = keras.layers


def test_channels_first_is_refused():
    model = keras.Sequential(
        [keras.Input((3, 8, 8)), layers.Conv2D(4, 3, data_format="channels_first", name="conv")]
    )
    with pytest.raises(ValueError, match="'conv' of the teacher has data_format='channels_first'"):
        Distiller(model, keras.models.clone_model(model), losses.AttentionTransfer("conv", "conv"))


def test_stages_are_paired_by_size():
    teacher = architectures.small_cnn((16, 16, 3), 5, filters=(4, 8, 16, 32))
    student = architectures.small_cnn((16, 16, 3), 5, filters=(2, 3))
    assert choose("stages", teacher, student) == (["stage1_out", "stage2_out"],) * 2


def test_stages_of_unlike_sizes_are_paired_from_the_last():
    teacher = architectures.small_cnn((20, 20, 3), 5, filters=(4, 8, 16))
    student = architectures.small_cnn((16, 16, 3), 5, filters=(2, 3))
    chosen = choose("stages", teacher, student)
    assert chosen == (["stage2_out", "stage3_out"], ["stage1_out", "stage2_out"])


def test_the_ends_are_the_first_two_and_the_last_two_activations():
    teacher = architectures.resnet20((32, 32, 3))
    activations = [layer.name for layer in teacher.layers if isinstance(layer, layers.ReLU)]
    student = architectures.small_cnn((32, 32, 3), 10, filters=(2, 3, 4))
    chosen = choose("ends", teacher, student)
    assert chosen[0] == activations[:2] + activations[-2:]
    assert chosen[1] == ["stage1_out", "stage2_out", "stage3_out"]


def test_attention_layers_are_spread_evenly_last_to_last():
    chosen = choose("scores", encoder(4), encoder(2))
    assert chosen == (
        ["attention_1:scores", "attention_3:scores"],
        ["attention_0:scores", "attention_1:scores"],
    )


def test_raw_scores_are_chosen_as_scores_are():
    assert choose("raw_scores", encoder(4), encoder(2))[0] == [
        "attention_1:raw_scores",
        "attention_3:raw_scores",
    ]


def test_hidden_states_are_spread_evenly_embeddings_to_embeddings_and_last_to_last():
    teacher, student = encoder(4), encoder(2)
    chosen = choose("hidden_states", teacher, student)
    last = [f"{model.layers[-2].name}:input" for model in (teacher, student)]
    assert chosen == (
        ["attention_0:input", "attention_2:input", last[0]],
        ["attention_0:input", "attention_1:input", last[1]],
    )


def test_the_embedding_enters_the_last_dense_layer(make_cnn):
    assert choose("embedding", make_cnn(4), nested()) == (
        "logits:input",
        "head:input",
    )


def test_a_model_without_space_is_refused():
    flat = keras.Sequential([keras.Input((4,)), layers.Dense(2)], name="flat")
    with pytest.raises(ValueError, match=r"no layer with a spatial axis in the student.*'flat'"):
        choose("stages", rnn(), flat)


def test_a_model_without_attention_is_refused():
    with pytest.raises(ValueError, match="no MultiHeadAttention in the teacher model"):
        choose("scores", rnn(), encoder(1))


def test_a_model_without_a_dense_layer_is_refused():
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(3, 3), layers.Flatten()])
    with pytest.raises(ValueError, match="no Dense layer in the teacher"):
        choose("embedding", model, rnn())


def test_what_was_chosen_is_described(make_cnn):
    distiller = Distiller(make_cnn(4), make_cnn(2), ["at", "kd", "gat"], [1000.0, 1.0, 2.0])
    assert distiller.describe().splitlines()[:-1] == [
        "attention_transfer (AttentionTransfer, weight 1000.0):",
        "  teacher stage1 (None, 8, 8, 4)",
        "  teacher stage2 (None, 4, 4, 8)",
        "  student stage1 (None, 8, 8, 2)",
        "  student stage2 (None, 4, 4, 4)",
        "soft_targets (SoftTargets, weight 1.0):",
        "  teacher output (None, 3)",
        "  student output (None, 3)",
        "gradient_attention_transfer (GradientAttentionTransfer, weight 2.0):",
        "  teacher gradient of the output with respect to the input",
        "  student gradient of the output with respect to the input",
    ]


def test_a_scheduled_weight_is_described_by_its_kind(make_cnn):
    weight = keras.optimizers.schedules.PolynomialDecay(0.0, 10, 1.0)
    shown = Distiller(make_cnn(4), make_cnn(2), "kd", weight).describe()
    assert shown.startswith("soft_targets (SoftTargets, weight by PolynomialDecay):")


def test_one_automatic_loss_serves_several_distillers(make_cnn):
    loss = losses.AttentionTransfer()
    first = Distiller(make_cnn(4), make_cnn(2), loss)
    second = Distiller(nested(), nested(), loss)
    assert loss.teacher_layer_name == "auto"
    assert first.distillation_losses[0].teacher_layer_name == ["stage1", "stage2"]
    assert second.distillation_losses[0].teacher_layer_name[0] == "backbone/stage1_out"


def test_automatic_is_for_both_sides_and_for_losses_with_a_rule():
    with pytest.raises(ValueError, match="of both models, or of none"):
        losses.AttentionTransfer("auto", "conv")
    with pytest.raises(ValueError, match='SoftTargets has no rule for "auto"'):
        losses.SoftTargets(teacher_layer_name="auto", student_layer_name="auto")


@pytest.mark.parametrize("names", [["at"], ["fitnet"], ["at", "fitnet", "kd", "sp"]])
def test_a_cnn_teaches_a_recurrent_network(names, make_cnn, images, crossentropy):
    x, y = images
    keras.utils.set_random_seed(1)
    teacher, student = make_cnn(4), rnn()
    teacher.compile(keras.optimizers.Adam(0.01), crossentropy)
    teacher.fit(x, y, epochs=10, verbose=0)
    distiller = Distiller(
        teacher,
        student,
        names,
        student_loss_weight=0.0,
        student_input=lambda batch: keras.ops.squeeze(batch, -1),
    )
    distiller.compile(keras.optimizers.Adam(0.01), crossentropy)
    history = distiller.fit(x, y, epochs=15, batch_size=32, verbose=0).history
    assert history["distillation_loss"][-1] < 0.8 * history["distillation_loss"][0]


def test_maps_of_a_cnn_are_averaged_over_the_columns_for_a_recurrent_network():
    rng = np.random.default_rng(0)
    teacher, student = rng.random((2, 8, 5, 3)), rng.random((2, 4, 6))
    rows = (teacher**2).mean(-1).mean(2)
    rows = rows.reshape(2, 4, 2).mean(2)
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    actual = (student**2).mean(-1)
    actual /= np.linalg.norm(actual, axis=1, keepdims=True)
    value = losses.AttentionTransfer("a", "b").compute_loss(teacher, student)
    np.testing.assert_allclose(value, np.mean((expected - actual) ** 2), rtol=1e-5)


def vector_rnn(units=6):
    inputs = keras.Input((8, 8))
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.GRU(units)(inputs)))


@pytest.mark.parametrize("name", ["sp", "fitnet"])
def test_a_recurrent_network_without_sequences_learns_what_enters_its_classifier(
    name, make_cnn, images, crossentropy
):
    teacher, student = vector_rnn(9), vector_rnn()
    distiller = Distiller(teacher, student, name)
    loss = distiller.distillation_losses[0]
    assert (loss.teacher_layer_name, loss.student_layer_name) == ("logits:input", "logits:input")
    squeeze = lambda batch: keras.ops.squeeze(batch, -1)  # noqa: E731
    distiller = Distiller(make_cnn(4), vector_rnn(), name, student_input=squeeze)
    loss = distiller.distillation_losses[0]
    assert (loss.teacher_layer_name, loss.student_layer_name) == ("logits:input", "logits:input")
    distiller.compile("adam", crossentropy)
    history = distiller.fit(*images, epochs=1, verbose=0).history
    assert np.isfinite(history["distillation_loss"]).all()


def test_simkd_cuts_each_model_at_its_own_last_stage():
    teacher = architectures.small_cnn((16, 16, 3), 5, filters=(4, 8, 16))
    student = architectures.small_cnn((16, 16, 3), 5, filters=(2, 3))
    distiller = Distiller(teacher, student, "simkd")
    assert distiller.distillation_losses[0].teacher_layer_name == "stage3_out"
    kept = {layer.name for layer in distiller.student.layers}
    assert "stage2_out" in kept
    classifier = distiller.student.get_layer("teacher_classifier")
    assert classifier.count_params() == teacher.layers[-1].count_params()


def test_losses_of_maps_still_refuse_models_without_space():
    for name in ("at", "simkd"):
        with pytest.raises(ValueError, match="no layer with a spatial axis in the teacher"):
            Distiller(vector_rnn(), vector_rnn(), name)
