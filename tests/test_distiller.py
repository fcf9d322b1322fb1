import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import AttentionTransfer, DistillationLoss, Distiller, SoftTargets
from keras_distill.losses import HintLearning, LogitMatching


def history_of(distiller, images, **kwargs):
    settings = {"epochs": 1, "batch_size": 16, "shuffle": False, "verbose": 0, **kwargs}
    return distiller.fit(*images, **settings).history


def last(history):
    return {name: values[-1] for name, values in history.items()}


def test_total_is_the_convex_combination(make_cnn, images, crossentropy):
    distiller = Distiller(
        make_cnn(8),
        make_cnn(2),
        [SoftTargets(2.0), AttentionTransfer("stage1", "stage1")],
        [0.5, 1000.0],
        student_loss_weight=0.3,
    )
    distiller.compile("sgd", crossentropy)
    logs = distiller.evaluate(*images, verbose=0, return_dict=True)
    distillation = 0.5 * logs["soft_targets"] + 1000.0 * logs["attention_transfer"]
    np.testing.assert_allclose(logs["distillation_loss"], distillation, rtol=1e-5)
    expected = 0.3 * logs["student_loss"] + 0.7 * distillation
    np.testing.assert_allclose(logs["total_loss"], expected, rtol=1e-5)
    assert logs["loss"] == logs["total_loss"]


def test_without_student_loss_weight_the_losses_are_added(make_cnn, images, crossentropy):
    distiller = Distiller(make_cnn(8), make_cnn(2), "kd", [0.9], student_loss_weight=None)
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    logs = distiller.evaluate(*images, verbose=0, return_dict=True)
    expected = logs["student_loss"] + 0.9 * logs["soft_targets"]
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)


def test_evaluated_parts_equal_the_losses_computed_apart(make_cnn, images, crossentropy):
    teacher, student = make_cnn(8), make_cnn(2)
    distiller = Distiller(teacher, student, SoftTargets(3.0))
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    logs = distiller.evaluate(*images, batch_size=24, verbose=0, return_dict=True)
    x, y = images
    apart = SoftTargets(3.0).compute_loss(teacher(x), student(x))
    np.testing.assert_allclose(logs["soft_targets"], apart, rtol=1e-5)
    np.testing.assert_allclose(logs["student_loss"], crossentropy(y, student(x)), rtol=1e-5)


@keras.saving.register_keras_serializable("keras_distill_tests")
class CallCounter(keras.layers.Layer):
    """Passes its input on and counts how often it runs."""

    def build(self, input_shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

    def call(self, inputs):
        self.calls.assign_add(1.0)
        return inputs


def counted(model):
    counter = CallCounter()
    return keras.Sequential([keras.Input((8, 8, 1)), counter, model]), counter


@pytest.mark.parametrize("taps", [1, 3])
def test_one_step_runs_each_model_once(make_cnn, images, crossentropy, taps):
    (teacher, teacher_counter), (student, student_counter) = (
        counted(make_cnn(channels, name="net")) for channels in (8, 2)
    )
    layers = ["net/stage1", "net/stage2", "net/conv1"][:taps]
    losses = [SoftTargets()] + [AttentionTransfer(layer, layer) for layer in layers]
    distiller = Distiller(teacher, student, losses)
    distiller.compile("sgd", crossentropy)
    distiller.fit(*images, batch_size=16, epochs=1, verbose=0)
    assert (float(teacher_counter.calls), float(student_counter.calls)) == (4, 4)


def test_only_training_moves_batch_norm_statistics_and_only_the_students(
    make_cnn, images, crossentropy
):
    teacher, student = make_cnn(8), make_cnn(2, dropout=0.5)
    distiller = Distiller(teacher, student, [SoftTargets(), AttentionTransfer("stage1", "stage1")])
    distiller.compile("sgd", crossentropy)
    teacher_before = [w.copy() for w in teacher.get_weights()]
    statistics = lambda: [np.array(w) for w in student.get_layer("norm1").non_trainable_weights]  # noqa: E731
    before = statistics()
    distiller.evaluate(*images, verbose=0)
    np.testing.assert_array_equal(before, statistics())
    distiller.fit(*images, batch_size=64, epochs=1, verbose=0)
    convolved = student.get_layer("conv1")
    assert not np.array_equal(before[0], statistics()[0])
    assert convolved.trainable
    for old, new in zip(teacher_before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_one_training_step_moves_batch_norm_statistics_once(make_cnn, images, crossentropy):
    student = make_cnn(2)
    alone = keras.models.clone_model(student)
    alone.set_weights(student.get_weights())
    distiller = Distiller(make_cnn(8), student, AttentionTransfer("stage1", "stage1"))
    distiller.compile(keras.optimizers.SGD(0.0), crossentropy, run_eagerly=True)
    distiller.train_on_batch(*images)
    alone(images[0], training=True)
    for ours, once in zip(student.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(ours, once, rtol=1e-6)


def test_a_weight_of_one_trains_the_student_as_if_alone(make_cnn, images, crossentropy):
    student = make_cnn(2)
    alone = keras.models.clone_model(student)
    alone.set_weights(student.get_weights())
    distiller = Distiller(make_cnn(8), student, "kd", student_loss_weight=1.0)
    for model in (distiller, alone):
        model.compile(keras.optimizers.SGD(0.1), crossentropy)
        # By position, as fit of any Keras model takes them: batch size, epochs, verbose.
        model.fit(*images, 16, 2, 0, shuffle=False)
    for ours, theirs in zip(student.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_the_students_regularizers_are_in_the_total(make_cnn, images, crossentropy):
    student = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.5)),
            keras.layers.ActivityRegularization(l1=0.1),
        ]
    )
    distiller = Distiller(make_cnn(8), student, "kd")
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    logs = distiller.evaluate(*images, batch_size=64, verbose=0, return_dict=True)
    parts = 0.5 * logs["student_loss"] + 0.5 * logs["distillation_loss"]
    # Keras divides activity regularization by the batch size.
    activity = 0.1 * np.abs(student(images[0])).sum() / 64
    expected = parts + 0.5 * np.sum(student.layers[1].get_weights()[0] ** 2) + activity
    np.testing.assert_allclose(logs["total_loss"], expected, rtol=1e-5)


def test_the_teachers_regularizers_are_not(make_cnn, images, crossentropy):
    regularized = keras.layers.Dense(3, kernel_regularizer="l2", activity_regularizer="l1")
    teacher = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), regularized])
    distiller = Distiller(teacher, make_cnn(2), "kd")
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    logs = distiller.evaluate(*images, verbose=0, return_dict=True)
    parts = 0.5 * logs["student_loss"] + 0.5 * logs["distillation_loss"]
    np.testing.assert_allclose(logs["total_loss"], parts, rtol=1e-5)


def test_sample_weights_act_on_distillation_losses(make_cnn, images, crossentropy):
    teacher, student = make_cnn(8), make_cnn(2)
    losses = [SoftTargets(2.0), AttentionTransfer("stage1", "stage1")]
    distiller = Distiller(teacher, student, losses)
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    x, y = images
    weights = np.zeros(64, "float32")
    weights[:16] = 4.0
    weighted = distiller.evaluate(
        x, y, batch_size=64, sample_weight=weights, verbose=0, return_dict=True
    )
    chosen = distiller.evaluate(x[:16], y[:16], batch_size=16, verbose=0, return_dict=True)
    for name in ("soft_targets", "attention_transfer", "student_loss", "loss"):
        np.testing.assert_allclose(weighted[name], chosen[name], rtol=1e-4, err_msg=name)


def test_class_weights_act_on_distillation_losses(make_cnn, images, crossentropy):
    x, y = images
    distiller = Distiller(make_cnn(8), make_cnn(2), "kd")
    distiller.compile(keras.optimizers.SGD(0.0), crossentropy, run_eagerly=True)
    history = distiller.fit(
        x, y, class_weight={0: 0.0, 1: 0.0, 2: 0.0}, batch_size=64, verbose=0
    ).history
    assert history["soft_targets"] == [0.0]


def test_softmax_ended_models_give_the_logits_value(make_cnn, images):
    teacher, student = make_cnn(8, activation="softmax"), make_cnn(2, activation="softmax")
    distiller = Distiller(teacher, student, SoftTargets(4.0))
    distiller.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    logits = []
    for model in (teacher, student):
        copy = make_cnn(model.get_layer("conv1").filters)
        copy.set_weights(model.get_weights())
        logits.append(copy(images[0]))
    logs = distiller.evaluate(*images, verbose=0, return_dict=True)
    expected = SoftTargets(4.0).compute_loss(*logits)
    np.testing.assert_allclose(logs["soft_targets"], expected, rtol=1e-5)


def test_validation_logs_have_every_loss(make_cnn, images, crossentropy):
    distiller = Distiller(make_cnn(8), make_cnn(2), ["kd", LogitMatching(), "kd"])
    distiller.compile("sgd", crossentropy, metrics=["accuracy"], run_eagerly=True)
    history = history_of(distiller, images, validation_data=images)
    names = "loss student_loss distillation_loss total_loss soft_targets logit_matching"
    for name in [*names.split(), "soft_targets_1", "accuracy"]:
        assert name in history and f"val_{name}" in history, name


def test_validation_without_the_teacher_does_not_run_it(make_cnn, images, crossentropy):
    teacher, counter = counted(make_cnn(8))
    distiller = Distiller(teacher, make_cnn(2), "kd")
    distiller.compile(
        "sgd", crossentropy, metrics=["accuracy"], validate_with_teacher=False, run_eagerly=True
    )
    logs = distiller.evaluate(*images, verbose=0, return_dict=True)
    assert float(counter.calls) == 0
    assert set(logs) == {"loss", "total_loss", "student_loss", "accuracy"}
    assert logs["loss"] == logs["student_loss"]


def test_weights_follow_their_schedules(make_cnn, images, crossentropy):
    warm_up = keras.optimizers.schedules.PolynomialDecay(0.0, 4, 1.0)
    distiller = Distiller(make_cnn(8), make_cnn(2), "kd", [warm_up], student_loss_weight=None)
    distiller.compile("sgd", crossentropy)
    before = distiller.evaluate(*images, verbose=0, return_dict=True)
    assert before["distillation_loss"] == 0.0 < before["soft_targets"]
    distiller.fit(*images, batch_size=16, verbose=0)
    after = distiller.evaluate(*images, verbose=0, return_dict=True)
    np.testing.assert_allclose(after["distillation_loss"], after["soft_targets"], rtol=1e-6)


def test_our_losses_work_in_keras_distiller(make_cnn, images, crossentropy):
    losses = [
        SoftTargets(4.0),
        AttentionTransfer("stage2", "stage2"),
        HintLearning("stage1", "stage1"),
    ]
    teacher, student = make_cnn(4), make_cnn(4)
    theirs = keras.distillation.Distiller(teacher, student, losses, [1.0, 100.0, 2.0])
    ours = Distiller(teacher, student, [loss.clone() for loss in losses], [1.0, 100.0, 2.0])
    logs = []
    for distiller in (theirs, ours):
        distiller.compile(keras.optimizers.SGD(0.0), crossentropy, run_eagerly=True)
        logs.append(last(history_of(distiller, images, batch_size=64)))
    for name in ("student_loss", "distillation_loss", "total_loss"):
        np.testing.assert_allclose(logs[0][name], logs[1][name], rtol=1e-5, err_msg=name)


def test_the_teacher_is_never_updated_and_the_projector_is(make_cnn, images, crossentropy):
    teacher, student = make_cnn(8), make_cnn(2)
    distiller = Distiller(teacher, student, HintLearning("stage1", "stage1"))
    distiller.compile(keras.optimizers.SGD(0.1), crossentropy, run_eagerly=True)
    (projector,) = distiller.distillation_layers
    before = projector.get_weights()[0].copy()
    teacher_before = [weight.copy() for weight in teacher.get_weights()]
    distiller.fit(*images, verbose=0)
    assert not np.array_equal(before, projector.get_weights()[0])
    for old, new in zip(teacher_before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_loss_shared_by_two_distillers_does_not_share_its_projector(make_cnn, crossentropy):
    loss = HintLearning("stage1", "stage1")
    first = Distiller(make_cnn(8), make_cnn(2), loss)
    second = Distiller(make_cnn(8), make_cnn(2), loss)
    assert first.distillation_layers[0] is not second.distillation_layers[0]


def test_learning_without_labels(make_cnn, images):
    distiller = Distiller(make_cnn(8), make_cnn(2), "kd", student_loss_weight=0)
    distiller.compile(keras.optimizers.Adam(0.01))
    history = distiller.fit(images[0], epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert history["student_loss"] == [0.0, 0.0, 0.0]


def test_distillation_brings_the_student_to_the_teacher(make_cnn, images, crossentropy):
    teacher, student = make_cnn(8), make_cnn(4)
    teacher.compile("adam", crossentropy)
    teacher.fit(*images, epochs=5, verbose=0)
    distiller = Distiller(teacher, student, SoftTargets(2.0), student_loss_weight=0.0)
    distiller.compile(keras.optimizers.Adam(0.01), crossentropy)
    history = distiller.fit(*images, epochs=20, batch_size=16, verbose=0).history
    assert history["soft_targets"][-1] < 0.2 * history["soft_targets"][0]


def test_every_way_to_run_the_step_gives_the_same_update(make_cnn, images, crossentropy):
    teacher, student = make_cnn(8), make_cnn(2)
    start = student.get_weights()

    def updated(**settings):
        student.set_weights(start)
        losses = ["kd", AttentionTransfer("stage1", "stage1")]
        distiller = Distiller(teacher, student, losses, [1.0, 100.0])
        optimizer = keras.optimizers.SGD(0.05)
        distiller.compile(optimizer, crossentropy, metrics=["accuracy"], **settings)
        history_of(distiller, images)
        return student.get_weights()

    in_graphs = updated()
    for way, value in (("run_eagerly", True), ("jit_compile", True), ("steps_per_execution", 2)):
        for plain, other in zip(in_graphs, updated(**{way: value}), strict=True):
            np.testing.assert_allclose(plain, other, atol=1e-5, err_msg=way)


def test_mixed_precision_student_with_float32_teacher(make_cnn, images, crossentropy):
    teacher = make_cnn(8)
    keras.config.set_dtype_policy("mixed_float16")
    student = make_cnn(2)
    keras.config.set_dtype_policy("float32")
    losses = ["kd", AttentionTransfer("stage2", "stage2"), HintLearning("stage1", "stage1")]
    distiller = Distiller(teacher, student, losses, [1.0, 1000.0, 1.0])
    distiller.compile(keras.optimizers.SGD(0.01), crossentropy)
    assert isinstance(distiller.optimizer, keras.optimizers.LossScaleOptimizer)
    history = history_of(distiller, images, epochs=3)
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["loss"][-1] < history["loss"][0]
    assert student.get_layer("conv1").compute_dtype == "float16"


def test_dictionary_batches_give_each_side_its_own_input(make_cnn, images, crossentropy):
    x, y = images
    teacher = make_cnn(8)
    student = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    small = x[:, ::2, ::2]
    distiller = Distiller(teacher, student, "kd", teacher_input="large", student_input="small")
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    data = tf.data.Dataset.from_tensor_slices(({"large": x, "small": small}, y)).batch(16)
    logs = distiller.evaluate(data, verbose=0, return_dict=True)
    expected = SoftTargets().compute_loss(teacher(x), student(small))
    np.testing.assert_allclose(logs["soft_targets"], expected, rtol=1e-5)
    assert distiller.predict({"large": x, "small": small}, verbose=0).shape == (64, 3)


def test_a_callable_makes_the_teachers_input(make_cnn, images, crossentropy):
    teacher, student = make_cnn(8), make_cnn(2)
    distiller = Distiller(teacher, student, "kd", teacher_input=lambda x: 2.0 * x - 1.0)
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    logs = distiller.evaluate(*images, verbose=0, return_dict=True)
    expected = SoftTargets().compute_loss(teacher(2.0 * images[0] - 1.0), student(images[0]))
    np.testing.assert_allclose(logs["soft_targets"], expected, rtol=1e-5)


def multi_output_model(width):
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((3,), name="b")}
    hidden = keras.layers.Dense(width, activation="relu")(
        keras.layers.Concatenate()([inputs["a"], inputs["b"]])
    )
    outputs = {
        "kind": keras.layers.Dense(5, name="kind")(hidden),
        "size": keras.layers.Dense(2, name="size")(hidden),
    }
    return keras.Model(inputs, outputs)


def test_models_with_several_inputs_and_outputs(crossentropy):
    rng = np.random.default_rng(0)
    x = {"a": rng.random((32, 4)), "b": rng.random((32, 3))}
    y = {"kind": rng.integers(0, 5, 32), "size": rng.integers(0, 2, 32)}
    teacher, student = multi_output_model(16), multi_output_model(4)
    losses = [SoftTargets(), SoftTargets(teacher_layer_name="kind", student_layer_name="kind")]
    distiller = Distiller(teacher, student, losses)
    distiller.compile(
        "sgd",
        {"kind": crossentropy, "size": crossentropy},
        metrics={"size": ["accuracy"]},
        run_eagerly=True,
    )
    logs = distiller.fit(x, y, batch_size=32, verbose=0).history
    assert "size_accuracy" in logs
    assert logs["soft_targets"][0] > logs["soft_targets_1"][0] > 0


def test_python_datasets_and_callbacks(make_cnn, images, crossentropy, tmp_path):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return tuple(part[16 * index : 16 * index + 16] for part in images)

    distiller = Distiller(make_cnn(8), make_cnn(2), "kd")
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    path = str(tmp_path / "best.weights.h5")
    checkpoint = keras.callbacks.ModelCheckpoint(path, save_weights_only=True, monitor="loss")
    stop = keras.callbacks.EarlyStopping("val_soft_targets", mode="min")
    distiller.fit(Batches(), validation_data=Batches(), callbacks=[checkpoint, stop], verbose=0)
    distiller.load_weights(path)


class Plain(keras.Model):
    """A subclassed model that counts its calls in Python."""

    def __init__(self, width, activation=None):
        super().__init__()
        self.hidden = keras.layers.Dense(width, activation="relu")
        self.flatten = keras.layers.Flatten()
        self.answer = keras.layers.Dense(3, activation=activation)
        self.calls = 0

    def call(self, inputs, training=None):
        self.calls += 1
        return self.answer(self.hidden(self.flatten(inputs)))


def test_subclassed_models_run_once_per_eager_step_from_the_first(images, crossentropy):
    teacher, student = Plain(8), Plain(4)
    for model in (teacher, student):
        model(images[0][:1])
        model.calls = 0
    distiller = Distiller(teacher, student, ["kd", HintLearning("hidden", "hidden")])
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    distiller.fit(*images, batch_size=16, verbose=0)
    assert (teacher.calls, student.calls) == (4, 4)


def test_a_subclassed_softmax_is_recognized_in_the_first_step(images):
    teacher, student = Plain(8, "softmax"), Plain(4, "softmax")
    distiller = Distiller(teacher, student, SoftTargets(2.0))
    distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.warns(UserWarning, match=r"outputs probabilities"):
        logs = distiller.evaluate(*images, verbose=0, return_dict=True)
    logits = []
    for model in (teacher, student):
        model.answer.activation = None
        logits.append(model(images[0]))
    expected = SoftTargets(2.0).compute_loss(*logits)
    np.testing.assert_allclose(logs["soft_targets"], expected, rtol=1e-4)


def test_a_nested_model_of_any_size_gets_a_projector_of_the_right_size(images, crossentropy):
    def nested(channels):
        inner = keras.Input((None, None, 1))
        conv = keras.layers.Conv2D(channels, 3, strides=2, padding="same", name="conv")
        body = keras.Model(inner, conv(inner), name="body")
        inputs = keras.Input((8, 8, 1))
        pooled = keras.layers.GlobalAveragePooling2D()(body(inputs))
        return keras.Model(inputs, keras.layers.Dense(3)(pooled))

    distiller = Distiller(nested(6), nested(2), HintLearning("body/conv", "body/conv"))
    assert distiller.distillation_layers[0].target_shape[1:] == (4, 4, 6)
    distiller.compile("sgd", crossentropy)
    distiller.fit(*images, verbose=0)


def test_a_loss_without_variables_may_serve_several_distillers(make_cnn, images, crossentropy):
    class Offset(DistillationLoss):
        def __init__(self, offset):
            super().__init__()
            self.offset = offset

        def call(self, teacher, student, context):
            return keras.ops.mean(keras.ops.abs(teacher - student), axis=-1) + self.offset

    loss = Offset(2.0)
    for _ in range(2):
        distiller = Distiller(make_cnn(4), make_cnn(2), loss)
        distiller.compile("sgd", crossentropy, run_eagerly=True)
        assert distiller.evaluate(*images, verbose=0, return_dict=True)["offset"] > 2.0
