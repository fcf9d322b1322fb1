"""Architectures: published sizes, taps, logits, what a device can run, bad input."""

import keras
import numpy as np
import pytest

from keras_distill import architectures

PUBLISHED_SIZES = {
    "resnet8": 78_666,
    "ds_cnn": 24_908,
    "mobilenet_v1": 221_794,
    "tutorial_teacher": 1_433_610,
    "tutorial_student": 20_490,
    "digits_teacher": 99_754,
    "digits_student": 702,
}
# He et al. count what is trained: batch statistics are not.
CIFAR_RESNETS = {"resnet20": 269_722, "resnet32": 464_154, "resnet44": 658_586, "resnet56": 853_018}
SMALL = {"input_shape": (9, 7, 2), "num_classes": 3}


def trained(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def taps(model):
    return {layer.name: layer.output.shape[1:] for layer in model.layers if "_out" in layer.name}


@pytest.mark.parametrize(("name", "size"), PUBLISHED_SIZES.items())
def test_parameter_count_is_the_published_one(name, size):
    assert architectures.get(name).count_params() == size


@pytest.mark.parametrize(("name", "size"), CIFAR_RESNETS.items())
def test_cifar_resnet_trains_as_many_parameters_as_published(name, size):
    assert trained(architectures.get(name)) == size


def test_resnet110_has_110_weighted_layers():
    model = architectures.resnet110()
    weighted = [x for x in model.layers if isinstance(x, keras.layers.Conv2D | keras.layers.Dense)]
    assert len(weighted) == 110
    assert trained(model) == 1_727_962


@pytest.mark.parametrize("name", sorted({*architectures.names()} - {"resnet110", "resnet56"}))
def test_every_architecture_takes_other_shapes_and_ends_in_logits(name):
    model = architectures.get(name, **SMALL)
    x = np.random.default_rng(0).normal(size=(4, 9, 7, 2)).astype("float32")
    y = model(x).numpy()
    assert y.shape == (4, 3)
    # Probabilities would lie in 0..1 and sum to 1.
    assert not np.allclose(y.sum(axis=-1), 1, atol=1e-3)
    assert model.layers[-1].activation is keras.activations.linear
    assert not model.compiled


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits_teacher", {"stage1_out": (8, 8, 32), "stage2_out": (4, 4, 64)}),
        ("digits_student", {"stage1_out": (8, 8, 4), "stage2_out": (4, 4, 8)}),
        ("tutorial_teacher", {"stage1_out": (14, 14, 256), "stage2_out": (7, 7, 512)}),
        ("tutorial_student", {"stage1_out": (14, 14, 16), "stage2_out": (7, 7, 32)}),
        ("ds_cnn", {"stem_out": (25, 5, 64), "stage4_out": (25, 5, 64)}),
        ("resnet8", {"stem_out": (32, 32, 16), "stage3_out": (8, 8, 64)}),
        ("resnet20", {"stage2_out": (16, 16, 32), "stage3_block2_out": (8, 8, 64)}),
        ("mobilenet_v1", {"stage1_out": (48, 48, 16), "stage5_out": (3, 3, 256)}),
    ],
)
def test_taps_have_the_documented_shapes(name, expected):
    found = taps(architectures.get(name))
    assert {tap: found[tap] for tap in expected} == expected


def test_small_cnn_has_a_stage_for_every_entry_of_filters():
    model = architectures.small_cnn((16, 16, 3), 5, filters=(2, 3, 4))
    assert taps(model) == {
        "stage1_out": (16, 16, 2),
        "stage2_out": (8, 8, 3),
        "stage3_out": (4, 4, 4),
    }


def test_identity_shortcut_subsamples_and_pads_with_zeros():
    model = architectures.resnet20((6, 6, 1))
    inner = keras.Model(
        model.input,
        [model.get_layer("stage1_out").output, model.get_layer("stage2_block1_shortcut").output],
    )
    before, after = inner(np.random.default_rng(0).normal(size=(2, 6, 6, 1)).astype("float32"))
    before, after = before.numpy(), after.numpy()
    assert after.shape == (2, 3, 3, 32)
    np.testing.assert_array_equal(after[..., 8:24], before[:, ::2, ::2])
    assert not after[..., :8].any() and not after[..., 24:].any()


def test_mlperf_convolutions_carry_the_published_penalty_and_cifar_ones_none():
    model = architectures.resnet8()
    kernels = [v for v in model.trainable_variables if v.name == "kernel"][:-1]
    expected = 1e-4 * sum(float(np.square(kernel.numpy()).sum()) for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-4)
    assert architectures.resnet20().losses == []


def test_alpha_scales_every_width():
    half = architectures.mobilenet_v1((32, 32, 3), 4, alpha=0.5)
    assert taps(half)["stem_out"][-1] == 16
    assert taps(half)["stage5_out"][-1] == 512


@pytest.mark.parametrize("name", ["digits_student", "ds_cnn", "resnet20"])
def test_saving_and_loading_keeps_the_function(name, tmp_path):
    model = architectures.get(name, input_shape=(8, 8, 1), num_classes=4)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).random((3, 8, 8, 1), "float32")
    np.testing.assert_allclose(model(x), again(x), atol=1e-6)


def test_digits_student_converts_to_the_five_documented_ops(tmp_path, capfd):
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    samples = np.random.default_rng(0).random((20, 1, 8, 8, 1), "float32")
    architectures.digits_student().export(
        tmp_path / "student.tflite",
        format="litert",
        input_signature=[keras.InputSpec(shape=(1, 8, 8, 1), dtype="float32")],
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([sample] for sample in samples),
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
        inference_input_type=tf.int8,
        inference_output_type=tf.int8,
        verbose=False,
    )
    interpreter = Interpreter(model_content=(tmp_path / "student.tflite").read_bytes())
    ops = {operator["op_name"] for operator in interpreter._get_ops_details()} - {"DELEGATE"}
    assert ops == {"CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED"}


def test_names_are_sorted_and_each_builds_its_namesake():
    assert architectures.names() == sorted(architectures.names())
    assert architectures.get("digits_student").name == "digits_student"


def test_unknown_name_lists_the_closest():
    with pytest.raises(ValueError, match=r"Closest: 'resnet20'"):
        architectures.get("resnet-20")


@pytest.mark.parametrize("name", [["resnet8"], None, {"resnet8": 1}, np.ones(2)])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match=r"Unknown architecture.*Known: "):
        architectures.get(name)


def test_numpy_integers_are_taken():
    model = architectures.small_cnn((np.int64(8), 8, 1), np.int32(3), filters=(np.uint8(2), 4))
    assert model.output_shape == (None, 3)


def test_unknown_argument_names_what_is_allowed():
    with pytest.raises(TypeError, match=r"resnet8\(input_shape=.*classes"):
        architectures.get("resnet8", classes=10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (8, 8)}, "without the batch"),
        ({"input_shape": (None, 8, 1)}, "integers of 1 or more"),
        ({"input_shape": 8}, "integers of 1 or more"),
        ({"input_shape": (3, 8, 1)}, "at least 4x4"),
        ({"num_classes": 1}, "2 or more"),
        ({"num_classes": True}, "2 or more"),
        ({"num_classes": 2.0}, "2 or more"),
        ({"filters": (4, 0)}, "filters"),
        ({"filters": (4, 8, 8)}, "two integers"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        architectures.digits_student(**arguments)


@pytest.mark.parametrize("alpha", [0, -1, "0.25", None, float("nan")])
def test_bad_alpha_is_named(alpha):
    with pytest.raises(ValueError, match=r"alpha"):
        architectures.mobilenet_v1(alpha=alpha)
