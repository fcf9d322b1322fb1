"""The automatic choice of layers."""

import keras
import numpy as np
import pytest

from keras_distill import Distiller, architectures, losses
from keras_distill.features import automatic_layers
from keras_distill.features.stages import spatial_stages
from keras_distill.features.transformer_blocks import hidden_states

layers = keras.layers


def nested():
    inner = architectures.small_cnn((16, 16, 3), 5, filters=(2, 3))
    backbone = keras.Model(inner.inputs, inner.get_layer("stage2_out").output, name="backbone")
    inputs = keras.Input((16, 16, 3))
    x = layers.GlobalAveragePooling2D()(backbone(inputs))
    return keras.Model(inputs, layers.Dense(4, name="head")(x))


def rnn(units=6):
    inputs = keras.Input((8, 8))
    x = layers.GRU(units, return_sequences=True, name="gru")(inputs)
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.GlobalAveragePooling1D()(x)))


def encoder(blocks, heads=2):
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8)(tokens)
    for index in range(blocks):
        x = x + layers.MultiHeadAttention(heads, 4, name=f"attention_{index}")(x, x)
    return keras.Model(tokens, layers.Dense(3, name="logits")(layers.GlobalMaxPooling1D()(x)))


def test_the_last_activation_of_each_stage_is_found():
    model = architectures.resnet20((32, 32, 3))
    stages = spatial_stages(model)
    assert [space for _, space in stages] == [(32, 32), (16, 16), (8, 8)]
    for path, space in stages:
        layer = model.get_layer(path)
        assert isinstance(layer, layers.ReLU)
        later = model.layers[model.layers.index(layer) + 1 :]
        same_size = [other for other in later if other.output.shape[1:-1] == space]
        assert not any(isinstance(other, layers.ReLU) for other in same_size)


def test_stages_within_nested_models_are_found():
    paths = [path for path, _ in spatial_stages(nested())]
    assert paths == ["backbone/stage1_out", "backbone/stage2_out"]


def test_stages_of_a_nested_model_of_any_size_are_found_by_a_trace():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
    x = layers.Conv2D(4, 3, 2, padding="same", activation="relu", name="second")(x)
    backbone = keras.Model(inputs, x, name="backbone")
    image = keras.Input((12, 12, 3))
    pooled = layers.GlobalAveragePooling2D()(backbone(image))
    model = keras.Model(image, layers.Dense(3)(pooled))
    stages = spatial_stages(model)
    assert stages == [("backbone/first", (12, 12)), ("backbone/second", (6, 6))]


def test_channels_first_is_refused():
    model = keras.Sequential(
        [keras.Input((3, 8, 8)), layers.Conv2D(4, 3, data_format="channels_first", name="conv")]
    )
    with pytest.raises(ValueError, match="'conv' of the teacher has data_format='channels_first'"):
        Distiller(model, keras.models.clone_model(model), losses.AttentionTransfer("conv", "conv"))


def test_stages_are_paired_by_size():
    teacher = architectures.small_cnn((16, 16, 3), 5, filters=(4, 8, 16, 32))
    student = architectures.small_cnn((16, 16, 3), 5, filters=(2, 3))
    assert (
        automatic_layers.choose("stages", teacher, student) == (["stage1_out", "stage2_out"],) * 2
    )


def test_stages_of_unlike_sizes_are_paired_from_the_last():
    teacher = architectures.small_cnn((20, 20, 3), 5, filters=(4, 8, 16))
    student = architectures.small_cnn((16, 16, 3), 5, filters=(2, 3))
    chosen = automatic_layers.choose("stages", teacher, student)
    assert chosen == (["stage2_out", "stage3_out"], ["stage1_out", "stage2_out"])


def test_the_ends_are_the_first_two_and_the_last_two_activations():
    teacher = architectures.resnet20((32, 32, 3))
    activations = [layer.name for layer in teacher.layers if isinstance(layer, layers.ReLU)]
    student = architectures.small_cnn((32, 32, 3), 10, filters=(2, 3, 4))
    chosen = automatic_layers.choose("ends", teacher, student)
    assert chosen[0] == activations[:2] + activations[-2:]
    assert chosen[1] == ["stage1_out", "stage2_out", "stage3_out"]


def test_attention_layers_are_spread_evenly_last_to_last():
    chosen = automatic_layers.choose("scores", encoder(4), encoder(2))
    assert chosen == (
        ["attention_1:scores", "attention_3:scores"],
        ["attention_0:scores", "attention_1:scores"],
    )


def test_raw_scores_are_chosen_as_scores_are():
    assert automatic_layers.choose("raw_scores", encoder(4), encoder(2))[0] == [
        "attention_1:raw_scores",
        "attention_3:raw_scores",
    ]


class Block(layers.Layer):
    """An encoder's block, or a decoder's with attention to itself and to a memory."""

    def __init__(self, attentions=1, **kwargs):
        super().__init__(**kwargs)
        self.attentions = [layers.MultiHeadAttention(2, 4) for _ in range(attentions)]

    def call(self, x):
        for attention in self.attentions:
            x = x + attention(x, x)
        return x


class Stack(layers.Layer):
    """Several blocks in one layer."""

    def __init__(self, blocks, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [Block(2, name=f"block_{index}") for index in range(blocks)]

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def of_blocks(*blocks):
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8)(tokens)
    for block in blocks:
        x = block(x)
    return keras.Model(tokens, layers.Dense(3, name="logits")(x[:, 0]))


def test_hidden_states_are_what_enters_the_blocks_and_what_leaves_the_last():
    functional = encoder(2)
    names = ["attention_0:input", "attention_1:input"]
    pooling = functional.layers[-2]
    assert hidden_states(functional) == [*names, f"{pooling.name}:input"]
    custom = of_blocks(Block(name="first"), Block(2, name="second"))
    assert hidden_states(custom) == ["first:input", "second:input", "second"]
    stacked = of_blocks(Stack(2, name="stack"))
    expected = ["stack/block_0:input", "stack/block_1:input", "stack/block_1"]
    assert hidden_states(stacked) == expected


def test_the_last_hidden_states_of_a_tagger_are_the_last_sequence_of_their_width():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8)(tokens)
    attended = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.LayerNormalization(name="norm")(layers.Add()([x, attended]))
    x = layers.Dropout(0.1)(x)
    tagger = keras.Model(tokens, layers.Dense(5, name="tags")(x))
    assert hidden_states(tagger) == ["attention:input", "norm"]


def test_hidden_states_are_spread_evenly_embeddings_to_embeddings_and_last_to_last():
    teacher, student = encoder(4), encoder(2)
    chosen = automatic_layers.choose("hidden_states", teacher, student)
    last = [f"{model.layers[-2].name}:input" for model in (teacher, student)]
    assert chosen == (
        ["attention_0:input", "attention_2:input", last[0]],
        ["attention_0:input", "attention_1:input", last[1]],
    )


def test_hidden_states_that_cannot_be_told_are_to_be_named():
    class Reader(keras.Model):
        def __init__(self):
            super().__init__(name="reader")
            self.words = layers.Embedding(20, 8)
            self.attention = layers.MultiHeadAttention(2, 4)
            self.head = layers.Dense(3)

        def call(self, tokens):
            x = self.words(tokens)
            return self.head(keras.ops.mean(x + self.attention(x, x), axis=1))

    reader = Reader()
    reader(np.ones((1, 6), "int32"))
    with pytest.raises(ValueError, match=r"can't tell what leaves .* of the student.*'reader'"):
        automatic_layers.choose("hidden_states", encoder(1), reader)


def test_the_embedding_enters_the_last_dense_layer(make_cnn):
    assert automatic_layers.choose("embedding", make_cnn(4), nested()) == (
        "logits:input",
        "head:input",
    )


def test_a_model_without_space_is_refused():
    flat = keras.Sequential([keras.Input((4,)), layers.Dense(2)], name="flat")
    with pytest.raises(ValueError, match=r"no layer with a spatial axis in the student.*'flat'"):
        automatic_layers.choose("stages", rnn(), flat)


def test_a_model_without_attention_is_refused():
    with pytest.raises(ValueError, match="no MultiHeadAttention in the teacher model"):
        automatic_layers.choose("scores", rnn(), encoder(1))


def test_a_model_without_a_dense_layer_is_refused():
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(3, 3), layers.Flatten()])
    with pytest.raises(ValueError, match="no Dense layer in the teacher"):
        automatic_layers.choose("embedding", model, rnn())


def test_what_was_chosen_is_described(make_cnn):
    distiller = Distiller(make_cnn(4), make_cnn(2), ["at", "kd", "gat"], [1000.0, 1.0, 2.0])
    assert distiller.describe().splitlines() == [
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


def unet(depth, filters=2, size=16):
    inputs = x = keras.Input((size, size, 1))
    skips = []
    for level in range(depth):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"down{level}")(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(filters, 3, padding="same", activation="relu", name="bottom")(x)
    for level in reversed(range(depth)):
        x = layers.Conv2DTranspose(filters, 2, strides=2, padding="same")(x)
        x = layers.Concatenate()([x, skips[level]])
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"up{level}")(x)
    return keras.Model(inputs, layers.Conv2D(3, 1, name="logits")(x))


def test_the_stages_of_a_u_net_come_in_the_order_of_the_network():
    assert spatial_stages(unet(2)) == [
        ("down0", (16, 16)),
        ("down1", (8, 8)),
        ("bottom", (4, 4)),
        ("up1", (8, 8)),
        ("up0", (16, 16)),
    ]
    teacher, student = unet(3), unet(2)
    assert automatic_layers.choose("last_stage", teacher, student) == ("up0", "up0")
    assert automatic_layers.choose("stages", teacher, student) == (
        ["down0", "down1", "up2", "up1", "up0"],
        ["down0", "down1", "bottom", "up1", "up0"],
    )


def inception(filters=2):
    inputs = keras.Input((16, 16, 1))
    x = layers.Conv2D(filters, 3, 2, padding="same", activation="relu", name="stem")(inputs)
    for index in range(2):
        branches = [
            layers.Conv2D(filters, size, padding="same", activation="relu", name=f"{index}_{size}")(
                x
            )
            for size in (1, 3)
        ]
        branches.append(layers.MaxPooling2D(3, 1, padding="same")(x))
        x = layers.Concatenate(name=f"mixed{index}")(branches)
    before = layers.Conv2D(filters, 1, activation="relu", name="before")(x)
    smaller = layers.Conv2D(filters, 3, 2, padding="same", activation="relu", name="small")(before)
    x = layers.Concatenate(name="reduced")([smaller, layers.MaxPooling2D(2)(x)])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def test_the_merged_output_is_chosen_and_no_branch_of_an_inception_block():
    model = inception()
    assert spatial_stages(model) == [("mixed1", (8, 8)), ("reduced", (4, 4))]
    assert automatic_layers.candidates("ends", model)[-1] == "reduced"
    paths = [path for path, _ in automatic_layers.candidates("preactivations", model)]
    assert paths == ["before", "small"]


def test_the_sum_of_a_residual_block_is_chosen_and_no_activation_within():
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(2, 3, padding="same", name="stem")(inputs)
    for index in range(2):
        y = layers.ReLU(name=f"relu{index}")(layers.BatchNormalization()(x))
        x = layers.Add(name=f"sum{index}")([x, layers.Conv2D(2, 3, padding="same")(y)])
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    assert spatial_stages(model) == [("sum1", (8, 8))]


def squeezed(filters=2):
    """A block with squeeze-and-excitation, whose gate is a map of one pixel."""
    inputs = keras.Input((16, 16, 1))
    x = layers.Conv2D(filters, 3, 2, padding="same", activation="relu", name="stem")(inputs)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(filters, 1, activation="sigmoid", name="gate")(gate)
    x = layers.Multiply()([x, gate])
    x = layers.Conv2D(filters, 1, activation="relu", name="after")(x)
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Flatten()(layers.Conv2D(4, 1, activation="relu", name="pixel")(pooled))
    return keras.Model(inputs, layers.Dense(3)(x))


def test_maps_of_one_pixel_are_no_stage(make_cnn):
    assert spatial_stages(squeezed()) == [("after", (8, 8))]
    chosen = automatic_layers.choose("last_stage", squeezed(), make_cnn(2))
    assert chosen == ("after", "stage1")
    inputs = keras.Input((1, 1, 3))
    pixel = keras.Model(inputs, layers.Conv2D(2, 1, activation="relu", name="only")(inputs))
    assert spatial_stages(pixel) == [("only", (1, 1))]


def test_a_layer_that_is_called_twice_is_no_stage():
    shared = layers.Conv2D(2, 3, padding="same", activation="relu", name="shared")
    inputs = keras.Input((8, 8, 2))
    x = layers.ReLU(name="first")(inputs)
    model = keras.Model(inputs, shared(shared(x)))
    assert spatial_stages(model) == [("first", (8, 8))]


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
