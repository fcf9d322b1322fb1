"""Spatial stages, found in convolutional networks."""

import keras

from keras_distill import architectures
from keras_distill.features import automatic_layers
from keras_distill.features.stages import spatial_stages
from tests.features.models import choose, nested

layers = keras.layers


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
    assert choose("last_stage", teacher, student) == ("up0", "up0")
    assert choose("stages", teacher, student) == (
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
    chosen = choose("last_stage", squeezed(), make_cnn(2))
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
