import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import AttentionTransfer, Distiller, SoftTargets
from keras_distill.losses import HintLearning


def test_an_unknown_layer_lists_the_closest_of_that_side(make_cnn):
    with pytest.raises(
        ValueError,
        match=r"student model .* has no such layer.*'stage1'.*Received: layer path 'stage9'",
    ):
        Distiller(make_cnn(8), make_cnn(2), AttentionTransfer("stage1", "stage9"))
    with pytest.raises(
        ValueError,
        match=r"teacher model .* has no such layer.*'stage1'.*Received: layer path 'stag1'",
    ):
        Distiller(make_cnn(8), make_cnn(2), AttentionTransfer("stag1", "stage1"))


def test_a_shape_mismatch_without_projector_fails_at_construction(make_cnn):
    with pytest.raises(ValueError, match=r"Teacher 'stage1': .*8\), Student 'stage1': .*2\)"):
        Distiller(make_cnn(8), make_cnn(2), HintLearning("stage1", "stage1", projector=None))


def test_different_numbers_of_classes_fail_at_construction(make_cnn):
    other = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(5)]
    )
    with pytest.raises(ValueError, match=r"Teacher: \(None, 3\), Student: \(None, 5\)"):
        Distiller(make_cnn(8), other, "kd")


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_bad_loss_weight_fails_at_construction(make_cnn, weight):
    with pytest.raises(ValueError, match=r"distillation_loss_weights\[0\] must be a finite number"):
        Distiller(make_cnn(8), make_cnn(2), ["kd"], [weight])


@pytest.mark.parametrize("weight", [-0.1, 1.5])
def test_a_student_loss_weight_out_of_bounds_fails_at_construction(make_cnn, weight):
    with pytest.raises(
        ValueError, match=r"student_loss_weight must be .* at least 0 and at most 1"
    ):
        Distiller(make_cnn(8), make_cnn(2), "kd", student_loss_weight=weight)


def test_a_wrong_number_of_weights_fails(make_cnn):
    with pytest.raises(ValueError, match=r"\(2\) must match number of distillation_losses \(1\)"):
        Distiller(make_cnn(8), make_cnn(2), ["kd"], [1.0, 2.0])


def test_an_empty_list_of_losses_fails(make_cnn):
    with pytest.raises(ValueError, match=r"distillation_losses is empty"):
        Distiller(make_cnn(8), make_cnn(2), [])


@pytest.mark.parametrize("side", ["teacher", "student"])
def test_what_is_no_model_fails_and_names_the_side(make_cnn, side):
    models = {"teacher": make_cnn(8), "student": make_cnn(2), side: "resnet"}
    with pytest.raises(ValueError, match=f"{side.title()} must be a keras.Model"):
        Distiller(**models, distillation_losses="kd")


def test_one_model_on_both_sides_fails(make_cnn):
    model = make_cnn(2)
    with pytest.raises(ValueError, match=r"same model"):
        Distiller(model, model, "kd")


def test_models_with_different_inputs_fail_with_advice(make_cnn):
    other = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    with pytest.raises(ValueError, match=r"\(None, 8, 8, 1\).*\(None, 4, 4, 1\).*teacher_input="):
        Distiller(make_cnn(8), other, "kd")


def test_no_distillation_loss_at_all_fails_at_compile(make_cnn, crossentropy):
    with pytest.raises(ValueError, match=r"has no distillation loss.*SoftTargets"):
        Distiller(make_cnn(8), make_cnn(2)).compile("sgd", crossentropy)


def test_mixing_both_forms_fails_at_compile(make_cnn, crossentropy):
    distiller = Distiller(make_cnn(8), make_cnn(2), "kd")
    with pytest.raises(ValueError, match=r"already has distillation_losses"):
        distiller.compile(loss=crossentropy, distillation_loss_fn=keras.losses.KLDivergence())


def test_a_missing_student_loss_fails_at_compile(make_cnn):
    with pytest.raises(ValueError, match=r"'loss' cannot be `None`"):
        Distiller(make_cnn(8), make_cnn(2), "kd").compile("sgd")


def test_temperature_zero_in_the_tutorial_form_fails_at_compile(make_cnn, crossentropy):
    with pytest.raises(ValueError, match=r"temperature must be a finite number above 0"):
        Distiller(make_cnn(8), make_cnn(2)).compile(
            student_loss_fn=crossentropy, distillation_loss_fn="kl_divergence", temperature=0
        )


def test_probabilities_with_a_from_logits_loss_warn(make_cnn, crossentropy):
    student = make_cnn(2, activation="softmax")
    with pytest.warns(UserWarning, match=r"outputs probabilities \(it ends in softmax\)"):
        Distiller(make_cnn(8), student, "kd").compile("sgd", crossentropy)


def test_logits_with_a_loss_of_probabilities_warn(make_cnn):
    with pytest.warns(UserWarning, match=r"outputs logits.*Set from_logits=True"):
        Distiller(make_cnn(8), make_cnn(2), "kd").compile("sgd", "sparse_categorical_crossentropy")


@pytest.mark.filterwarnings("error::UserWarning")
def test_matching_output_and_loss_do_not_warn(make_cnn, crossentropy):
    Distiller(make_cnn(8), make_cnn(2), "kd").compile("sgd", crossentropy)
    student = make_cnn(2, activation="softmax")
    Distiller(make_cnn(8), student, "kd").compile("sgd", "sparse_categorical_crossentropy")


def test_nan_in_a_distillation_loss_names_the_loss(make_cnn, images, crossentropy):
    teacher = make_cnn(8)
    teacher.get_layer("conv1").bias.assign(np.full(8, np.nan))
    losses = ["kd", AttentionTransfer("stage1", "stage1", name="first_stage")]
    distiller = Distiller(make_cnn(8), make_cnn(2), losses)
    broken = Distiller(teacher, make_cnn(2), losses[1:])
    for model in (distiller, broken):
        model.compile("sgd", crossentropy)
    distiller.fit(*images, verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"'first_stage'.* is not finite"):
        broken.fit(*images, verbose=0)


def test_a_batch_without_the_key_of_a_side_says_so(make_cnn, images, crossentropy):
    distiller = Distiller(make_cnn(8), make_cnn(2), "kd", teacher_input="large")
    distiller.compile("sgd", crossentropy)
    with pytest.raises(ValueError, match=r"teacher_input='large' needs dictionary batches"):
        distiller.fit(*images, verbose=0)


def test_a_reserved_name_for_a_loss_is_refused(make_cnn):
    with pytest.raises(ValueError, match=r"can't be named 'student_loss'"):
        Distiller(make_cnn(8), make_cnn(2), SoftTargets(name="student_loss"))


def test_metrics_that_are_no_list_are_refused(make_cnn, crossentropy):
    with pytest.raises(ValueError, match=r"metrics must be a list.*Received: metrics='accuracy'"):
        Distiller(make_cnn(8), make_cnn(2), "kd").compile("sgd", crossentropy, metrics="accuracy")
