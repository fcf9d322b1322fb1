"""What losses get from the distiller: labels, gradients, sample indices, a changed student."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, SoftTargets, datasets, losses, recipes


def smooth_cnn(channels, activation="softplus", final=None):
    """A CNN whose gradient with respect to the input is smooth enough for finite differences."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(channels, 3, strides=2, activation=activation, name="conv"),
            layers.Flatten(),
            layers.Dense(3, activation=final, name="logits"),
        ]
    )


def numeric_input_gradients(model, x, weigh, step=1e-2):
    """Central differences of Σ_k w_k · z_k at fixed w, every pixel of every sample."""
    logits = np.float64(model(x))
    weights = weigh(logits)
    gradient = np.zeros(x.shape)
    for place in np.ndindex(x.shape[1:]):
        values = []
        for sign in (1, -1):
            moved = x.copy()
            moved[(slice(None), *place)] += sign * step
            values.append(np.sum(weights * np.float64(model(moved)), axis=-1))
        gradient[(slice(None), *place)] = (values[0] - values[1]) / (2 * step)
    return gradient


def softmax(logits):
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def evaluated(distiller, x, y, crossentropy):
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    return distiller.evaluate(x, y, batch_size=len(x), verbose=0, return_dict=True)


def test_gradient_attention_equals_numpy(images, crossentropy):
    x, y = images[0][:4], images[1][:4]
    teacher, student = smooth_cnn(4), smooth_cnn(2)
    logs = evaluated(Distiller(teacher, student, "gat"), x, y, crossentropy)

    def cross_entropy(logits):
        return softmax(logits) - np.eye(3)[y]

    sides = [numeric_input_gradients(model, x, cross_entropy) for model in (teacher, student)]
    expected = np.sqrt(np.sum((sides[0] - sides[1]) ** 2, axis=(1, 2, 3))).mean()
    assert logs["gradient_attention_transfer"] == pytest.approx(expected, rel=1e-3)


def test_saliency_capture_equals_numpy(images, crossentropy):
    x, y = images[0][:4], images[1][:4]
    teacher, student = smooth_cnn(4), smooth_cnn(2)
    logs = evaluated(Distiller(teacher, student, "sals"), x, y, crossentropy)
    maps = []
    for model in (teacher, student):
        gradient = numeric_input_gradients(model, x, lambda logits: np.eye(3)[y])
        saliency = np.abs(gradient).max(-1).reshape(4, -1)
        maps.append(saliency / np.linalg.norm(saliency, axis=1, keepdims=True))
    expected = np.mean((maps[0] - maps[1]) ** 2)
    assert logs["attention_capture"] == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("name", ["gat", "sals"])
def test_second_order_gradients_equal_finite_differences(name, images, crossentropy):
    x, y = images[0][:4], images[1][:4]
    distiller = Distiller(smooth_cnn(4), smooth_cnn(2), name, student_loss_weight=0.0)
    distiller.compile("sgd", crossentropy)
    kernel = distiller.student.get_layer("conv").kernel

    def loss():
        return distiller.compute_loss(x=tf.constant(x), y=tf.constant(y))

    with tf.GradientTape() as tape:
        value = loss()
    gradient = tape.gradient(value, kernel.value)
    direction = np.random.default_rng(0).standard_normal(kernel.shape).astype("float32")
    start, values = np.array(kernel), []
    for sign in (1, -1):
        # A small step: the magnitudes of a saliency map have kinks.
        kernel.assign(start + sign * 1e-4 * direction)
        values.append(float(loss()))
    along = float(np.sum(gradient * direction))
    assert (values[0] - values[1]) / 2e-4 == pytest.approx(along, rel=2e-2, abs=5e-5)


@pytest.mark.parametrize("name", ["gat", "sals"])
def test_gradient_losses_find_the_logits_under_a_softmax(name, images, crossentropy):
    x, y = images[0][:4], images[1][:4]
    values = []
    for final in (None, "softmax"):
        keras.utils.set_random_seed(0)
        models = smooth_cnn(4, final=final), smooth_cnn(2, final=final)
        distiller = Distiller(*models, name)
        distiller.compile(
            "sgd",
            keras.losses.SparseCategoricalCrossentropy(from_logits=not final),
            run_eagerly=True,
        )
        logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
        values.append(logs[distiller.distillation_losses[0].name])
    np.testing.assert_allclose(*values, rtol=1e-4)


def test_gradients_need_one_floating_input(crossentropy):
    layers = keras.layers
    distiller = Distiller(
        *(
            keras.Sequential(
                [
                    keras.Input((6,), dtype="int32"),
                    layers.Embedding(20, 4),
                    layers.GlobalMaxPooling1D(),
                    layers.Dense(3),
                ]
            )
            for _ in range(2)
        ),
        "gat",
    )
    distiller.compile("sgd", crossentropy)
    with pytest.raises(ValueError, match=r"one input of floating point numbers. Received: .*int"):
        distiller.fit(np.ones((4, 6), "int32"), np.zeros(4), verbose=0)


def test_gradients_with_respect_to_integer_images(images, crossentropy):
    x = np.round(100 * images[0][:8]).astype("uint8")
    models = smooth_cnn(4), smooth_cnn(2)
    logs = [
        evaluated(Distiller(*models, "gat"), pixels, images[1][:8], crossentropy)
        for pixels in (x, x.astype("float32"))
    ]
    assert logs[0] == pytest.approx(logs[1])


@pytest.mark.parametrize("name", ["dkd", "nkd", "tfkd", "gat"])
@pytest.mark.parametrize("form", ["sparse", "column", "one_hot"])
def test_labels_may_be_sparse_or_one_hot(name, form, make_cnn, images):
    x, y = images
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    forms = {"sparse": (y, sparse), "column": (y[:, None], sparse)}
    one_hot = keras.losses.CategoricalCrossentropy(from_logits=True)
    forms["one_hot"] = (np.eye(3, dtype="float32")[y], one_hot)
    teacher, student = make_cnn(4), make_cnn(2)
    expected = evaluated(Distiller(teacher, student, name), x, y, sparse)
    labels, loss = forms[form]
    logs = evaluated(Distiller(teacher, student, name), x, labels, loss)
    assert logs["loss"] == pytest.approx(expected["loss"], rel=1e-5)


def test_a_loss_that_needs_labels_says_so(make_cnn, images):
    distiller = Distiller(make_cnn(4), make_cnn(2), "dkd", student_loss_weight=0.0)
    distiller.compile("adam")
    with pytest.raises(ValueError, match="DecoupledKD needs labels"):
        distiller.fit(images[0], verbose=0)


def test_a_virtual_teacher_needs_no_teacher(make_cnn, images, crossentropy, tmp_path):
    x, y = images
    student = make_cnn(3)
    distiller = Distiller(
        student=student, distillation_losses="tfkd", student_loss_weight=0.0, teacher=None
    )
    distiller.compile(keras.optimizers.Adam(0.01), crossentropy, metrics=["accuracy"])
    history = distiller.fit(x, y, epochs=12, verbose=0, validation_data=(x, y)).history
    assert history["virtual_teacher"][-1] < history["virtual_teacher"][0]
    assert history["accuracy"][-1] > 0.6
    distiller.save(tmp_path / "d.keras")
    restored = keras.models.load_model(tmp_path / "d.keras")
    assert restored.teacher is None
    np.testing.assert_allclose(restored.predict(x, verbose=0), distiller.predict(x, verbose=0))


def test_other_losses_need_a_teacher(make_cnn):
    with pytest.raises(ValueError, match=r"Teacher must be a keras\.Model"):
        Distiller(student=make_cnn(3), distillation_losses=["tfkd", "kd"])


def indexed(images, batch_size=16):
    dataset = datasets.with_sample_index(images)
    return dataset.shuffle(64, seed=0).batch(batch_size)


def contrastive(make_cnn, **kwargs):
    loss = losses.ContrastiveRepresentation(samples=64, negatives=20, size=8, **kwargs)
    return Distiller(
        make_cnn(4),
        make_cnn(2),
        loss,
        teacher_input="x",
        student_input="x",
        sample_index="index",
    )


def test_a_memory_bank_learns_from_sample_indices_and_is_restored(
    make_cnn, images, crossentropy, tmp_path
):
    distiller = contrastive(make_cnn)
    bank = distiller.distillation_losses[0].own_layers[-1]
    before = bank.get_weights()
    distiller.compile(keras.optimizers.Adam(0.01), crossentropy, run_eagerly=True)
    history = distiller.fit(indexed(images), epochs=4, verbose=0).history
    values = history["contrastive_representation"]
    assert values[-1] < values[0]
    after = bank.get_weights()
    moved = np.any(np.not_equal(before[0], after[0]), axis=1)
    assert moved.all()
    np.testing.assert_allclose(np.linalg.norm(after[0], axis=1), 1.0, rtol=1e-5)
    distiller.evaluate(indexed(images), verbose=0)
    for old, new in zip(after, bank.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    distiller.save(tmp_path / "d.keras")
    restored = keras.models.load_model(tmp_path / "d.keras")
    restored_bank = restored.distillation_losses[0].own_layers[-1]
    np.testing.assert_array_equal(restored_bank.get_weights()[0], after[0])
    restored.fit(indexed(images), verbose=0)


def test_an_index_is_added_to_inputs_with_labels_only(images):
    x, y = images
    weights = np.arange(64.0)
    inputs, label, weight = next(iter(datasets.with_sample_index((x, y, weights)).skip(9)))
    assert (int(inputs["index"]), int(label), float(weight)) == (9, y[9], 9.0)
    np.testing.assert_array_equal(inputs["x"], x[9])
    with pytest.raises(ValueError, match=r"takes samples of \(inputs, labels\)"):
        datasets.with_sample_index(tf.data.Dataset.from_tensor_slices(x))


def test_only_the_samples_of_the_batch_are_remembered(make_cnn, images, crossentropy):
    distiller = contrastive(make_cnn)
    bank = distiller.distillation_losses[0].own_layers[-1]
    before = bank.get_weights()[0]
    distiller.compile("adam", crossentropy, run_eagerly=True)
    distiller.fit(datasets.with_sample_index(images).skip(5).take(7).batch(7), verbose=0)
    moved = np.any(np.not_equal(before, bank.get_weights()[0]), axis=1)
    assert np.flatnonzero(moved).tolist() == list(range(5, 12))


def test_a_memory_bank_without_indices_says_what_to_do(make_cnn, images, crossentropy):
    loss = losses.ContrastiveRepresentation(samples=64)
    distiller = Distiller(make_cnn(4), make_cnn(2), loss)
    distiller.compile("adam", crossentropy)
    with pytest.raises(ValueError, match=r"Distiller\(sample_index=\.\.\.\)"):
        distiller.fit(*images, verbose=0)


def test_an_index_beyond_the_bank_names_the_loss(make_cnn, images, crossentropy):
    distiller = contrastive(make_cnn)
    distiller.compile("adam", crossentropy)
    shifted = datasets.with_sample_index(images).map(
        lambda x, y: ({"x": x["x"], "index": x["index"] + 1}, y)
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\(samples=64\) got a sample index"):
        distiller.fit(shifted.batch(16), verbose=0)


def test_the_reused_classifier_is_the_teachers_and_stays_so(make_cnn, images, crossentropy):
    x, y = images
    teacher, student = make_cnn(6), make_cnn(2)
    teacher.compile(keras.optimizers.Adam(0.01), crossentropy, metrics=["accuracy"])
    teacher.fit(x, y, epochs=12, verbose=0)
    kernel = np.array(teacher.get_layer("logits").kernel)
    distiller = Distiller(teacher, student, "simkd", student_loss_weight=0.0)
    distiller.compile(keras.optimizers.Adam(0.01), crossentropy, metrics=["accuracy"])
    assert distiller.student is not student
    before = distiller.evaluate(x, y, verbose=0, return_dict=True)
    distiller.fit(x, y, epochs=20, batch_size=16, verbose=0)
    after = distiller.evaluate(x, y, verbose=0, return_dict=True)
    assert after["simple_kd"] < 0.5 * before["simple_kd"]
    assert after["accuracy"] > before["accuracy"]
    classifier = distiller.student.get_layer("teacher_classifier")
    np.testing.assert_array_equal(classifier.get_layer("logits").kernel, kernel)
    np.testing.assert_array_equal(teacher.get_layer("logits").kernel, kernel)


def test_a_reused_classifier_takes_smaller_maps(make_cnn, crossentropy):
    teacher = make_cnn(6)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(3, 3, strides=4, padding="same", activation="relu", name="c")(inputs)
    student = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    distiller = Distiller(teacher, student, losses.SimpleKD("stage2", "c"))
    assert distiller.student.get_layer("simkd_projector").output.shape == (None, 2, 2, 12)
    distiller.compile("adam", crossentropy, run_eagerly=True)
    distiller.fit(np.zeros((4, 8, 8, 1)), np.zeros(4), verbose=0)


def nested_cnn(channels):
    """A backbone, with an activation in its middle and at its end, and a head on it."""
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(channels, 3, activation="relu", name="conv")(image)
    x = keras.layers.Conv2D(channels, 3, activation="relu", name="top")(x)
    backbone = keras.Model(image, x, name="backbone")
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.GlobalAveragePooling2D()(backbone(inputs))
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))


@pytest.mark.parametrize("names", [("auto", "auto"), ("backbone/conv", "backbone/conv")])
def test_nested_models_reuse_the_teachers_classifier(names, images, crossentropy, tmp_path):
    teacher, student = nested_cnn(6), nested_cnn(2)
    distiller = Distiller(teacher, student, losses.SimpleKD(*names), student_loss_weight=0.0)
    distiller.compile("adam", crossentropy, metrics=["accuracy"], run_eagerly=True)
    kernel = np.array(teacher.get_layer("logits").kernel)
    own = np.array(student.get_layer("backbone").get_layer("conv").kernel)
    distiller.fit(*images, verbose=0)
    assert np.abs(own - student.get_layer("backbone").get_layer("conv").kernel).max() > 0
    np.testing.assert_array_equal(teacher.get_layer("logits").kernel, kernel)
    classifier = distiller.student.get_layer("teacher_classifier")
    assert classifier.trainable_weights == []
    classifier.trainable = True
    assert len(classifier.trainable_weights) == (2 if names[0] == "auto" else 4)
    features = keras.ops.ones((2, *distiller.student.get_layer("simkd_projector").output.shape[1:]))
    expected = features
    if names[0] != "auto":
        expected = teacher.get_layer("backbone").get_layer("top")(expected)
    expected = teacher.get_layer("logits")(keras.ops.mean(expected, axis=(1, 2)))
    np.testing.assert_allclose(classifier(features), expected, rtol=1e-5)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    x = images[0][:4]
    np.testing.assert_allclose(loaded.student(x), distiller.student(x), rtol=1e-5, atol=1e-6)


def test_a_layer_nested_in_a_subclassed_model_can_not_be_cut(make_cnn):
    class Block(keras.Model):
        def __init__(self):
            super().__init__(name="block")
            self.conv = keras.layers.Conv2D(3, 3, activation="relu", name="conv")

        def call(self, inputs):
            return self.conv(inputs)

    inputs = keras.Input((8, 8, 1))
    x = keras.layers.GlobalAveragePooling2D()(Block()(inputs))
    student = keras.Model(inputs, keras.layers.Dense(3)(x))
    with pytest.raises(ValueError, match=r"so the student must be .*layer 'block/conv', model"):
        Distiller(make_cnn(4), student, losses.SimpleKD("stage2", "block/conv"))


def flat_cnn(channels, strides):
    inputs = keras.Input((8, 8, 1))
    conv = keras.layers.Conv2D(channels, 3, strides, "same", activation="relu", name="conv")
    x = keras.layers.Flatten()(conv(inputs))
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def test_a_classifier_that_takes_one_size_only_is_refused_for_another():
    distiller = Distiller(flat_cnn(6, 1), flat_cnn(3, 1), "simkd")
    assert distiller.student.output_shape == (None, 3)
    with pytest.raises(ValueError, match=r"Teacher 'conv': \(None, 8, 8, 6\), Student 'conv': "):
        Distiller(flat_cnn(6, 1), flat_cnn(3, 2), "simkd")


def test_class_maps_need_the_classifier_right_after_the_pooling(make_cnn):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    hidden = keras.layers.Dense(5, activation="relu")(keras.layers.GlobalMaxPooling2D()(x))
    teacher = keras.Model(inputs, keras.layers.Dense(3)(hidden))
    with pytest.raises(ValueError, match="kernel must take the channels of the last feature map"):
        Distiller(teacher, make_cnn(2), "catkd")


def test_ours_work_in_the_distiller_of_keras_where_layers_are_named(make_cnn, images, crossentropy):
    named = [
        losses.AttentionTransfer("stage1", "stage1"),
        losses.NeuronSelectivity("stage2", "stage2"),
        losses.DIST(),
    ]
    models = {"teacher": make_cnn(4), "student": make_cnn(2)}
    distiller = keras.distillation.Distiller(**models, distillation_losses=named)
    distiller.compile("adam", crossentropy)
    history = distiller.fit(*images, verbose=0).history
    assert np.isfinite(history["distillation_loss"]).all()
    with pytest.raises(ValueError, match="is to choose its layers"):
        keras.distillation.Distiller(**models, distillation_losses=[losses.AttentionTransfer()])


def test_a_subclassed_model_can_not_be_cut(make_cnn):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(3, 3, name="conv")

        def call(self, inputs):
            return self.conv(inputs)

    with pytest.raises(ValueError, match="the student must be a Functional or Sequential model"):
        Distiller(make_cnn(4), Subclassed(), losses.SimpleKD("stage2", "conv"))


def test_weights_and_temperatures_follow_schedules(make_cnn, images, crossentropy):
    x, y = images
    recipe = recipes.get("dkd", steps_per_epoch=2)
    (weight,) = recipe.distillation_loss_weights
    assert [float(weight(step)) for step in (0, 20, 40, 80)] == [0.0, 0.5, 1.0, 1.0]
    temperature = keras.optimizers.schedules.PolynomialDecay(8.0, 4, 2.0)
    distiller = Distiller(
        make_cnn(4),
        make_cnn(2),
        [losses.DecoupledKD(temperature=temperature)],
        [weight],
        student_loss_weight=0.0,
    )
    distiller.compile(keras.optimizers.SGD(0.0), crossentropy)
    history = distiller.fit(x, y, batch_size=32, epochs=4, shuffle=False, verbose=0).history
    ratio = np.array(history["loss"]) / np.array(history["decoupled_kd"])
    # Steps 0 and 1, 2 and 3, ... at weights of 0, 1/40, 2/40, 3/40, ...
    assert np.all(np.diff(ratio) > 0)
    assert ratio[-1] == pytest.approx(6.5 / 40, rel=0.05)
    assert len(set(np.round(history["decoupled_kd"], 6))) > 2


@pytest.mark.parametrize("taps", [("logits", "logits"), ("logits", None), (None, "probabilities")])
def test_a_tapped_layer_is_taken_for_what_it_is_whatever_the_model_ends_in(taps):
    def model(seed):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((4,))
        logits = keras.layers.Dense(3, name="logits")(inputs)
        return keras.Model(inputs, keras.layers.Softmax(name="probabilities")(logits))

    x, y = np.random.default_rng(0).normal(size=(8, 4)).astype("float32"), np.arange(8) % 3
    values = []
    for teacher_layer, student_layer in ((None, None), taps):
        loss = SoftTargets(2.0, teacher_layer_name=teacher_layer, student_layer_name=student_layer)
        for kind in (Distiller, keras.distillation.Distiller):
            distiller = kind(model(0), model(1), loss, 1.0)
            distiller.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
            logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
            values.append(logs.get("soft_targets", logs["distillation_loss"]))
    np.testing.assert_allclose(values, values[0], rtol=1e-4)
