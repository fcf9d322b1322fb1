"""Values and invariances of the feature losses, against NumPy in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax

from keras_distill import Distiller
from keras_distill.losses import (
    ActivationBoundary,
    ChannelWise,
    FactorTransfer,
    FlowOfSolution,
    HiddenStates,
    KnowledgeReview,
    MaskedGenerative,
    NeuronSelectivity,
    OverhaulFeature,
    SimpleKD,
    VariationalInformation,
    functional,
)

BOTH_SIDES = r"(?s)Teacher.*Student"
SHAPES = [(3, 4, 5, 6), (2, 9, 4), (4, 7)]


def random_features(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype("float32") for shape in shapes]


def pool(features, space):
    """Averages equal blocks along each spatial axis."""
    features = np.float64(features)
    for axis, size in enumerate(space, 1):
        blocks = np.split(features, size, axis)
        features = np.stack([block.mean(axis) for block in blocks], axis)
    return features


def pool_to_smaller(*features):
    space = np.min([f.shape[1:-1] for f in features], axis=0)
    return [pool(f, space) for f in features]


def unit(vector):
    vector = np.float64(vector).ravel()
    return vector / np.sqrt((vector**2).sum())


def channels_of(sample):
    """Each channel's values over the positions."""
    return np.float64(sample).reshape(-1, sample.shape[-1]).T


def reference_flow(first, second):
    first, second = pool_to_smaller(first, second)
    return np.array(
        [
            [[np.mean(a * b) for b in channels_of(y)] for a in channels_of(x)]
            for x, y in zip(first, second, strict=True)
        ]
    )


def reference_selectivity(teacher, student):
    teacher, student = pool_to_smaller(teacher, student)
    kernel = lambda xs, ys: np.mean([[(x @ y) ** 2 for y in ys] for x in xs])  # noqa: E731
    values = []
    for t, s in zip(teacher, student, strict=True):
        t, s = [unit(c) for c in channels_of(t)], [unit(c) for c in channels_of(s)]
        values.append(kernel(t, t) + kernel(s, s) - 2 * kernel(t, s))
    return np.mean(values)


def reference_hinge(teacher, student, margin):
    values = []
    for t, s in zip(teacher.flat, np.float64(student).flat, strict=True):
        should_be_on = t > 0
        values.append(max(0.0, margin - s if should_be_on else margin + s) ** 2)
    return np.mean(values)


def reference_margins(features):
    """The mean of each channel's negative values."""
    columns = np.float64(features).reshape(-1, features.shape[-1]).T
    return np.array([c[c < 0].mean() if (c < 0).any() else 0.0 for c in columns])


def reference_partial(teacher, student):
    values = []
    for t, s in zip(np.float64(teacher).flat, np.float64(student).flat, strict=True):
        values.append(0.0 if t <= 0 and s <= t else (t - s) ** 2)
    return np.mean(values)


def reference_overhaul(teacher, student, margins):
    return reference_partial(np.maximum(np.float64(teacher), margins), student)


def reference_channels(teacher, student, temperature):
    values = []
    for t, s in zip(teacher, student, strict=True):
        for a, b in zip(channels_of(t), channels_of(s), strict=True):
            log_p, log_q = log_softmax(a / temperature), log_softmax(b / temperature)
            values.append(temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum())
    return np.mean(values)


def reference_factors(teacher, student):
    pairs = zip(teacher, student, strict=True)
    return np.array([np.abs(unit(t) - unit(s)).mean() for t, s in pairs])


def reference_likelihood(teacher, means, variances):
    squares = (np.float64(teacher) - means) ** 2
    values = (np.log(np.float64(variances)) + squares / variances) / 2
    return values.reshape(len(teacher), -1).mean(1)


def adaptive_pool(features, size):
    """The authors' pooling: bin i of n covers floor(i·N/n) to ceil((i + 1)·N/n)."""
    features = np.float64(features)
    for axis in range(1, features.ndim - 1):
        total = features.shape[axis]
        bins = [range(i * total // size, -(-(i + 1) * total // size)) for i in range(size)]
        features = np.stack([features.take(list(b), axis).mean(axis) for b in bins], axis)
    return features


def reference_context(teacher, student):
    distance = lambda t, s: ((t - s) ** 2).reshape(len(t), -1).mean(1)  # noqa: E731
    teacher, student = np.float64(teacher), np.float64(student)
    total, weight, weights = distance(teacher, student), 1.0, 1.0
    for grid in (4, 2, 1):
        if grid < min(teacher.shape[1:-1]):
            weight /= 2
            weights += weight
            grids = adaptive_pool(teacher, grid), adaptive_pool(student, grid)
            total = total + weight * distance(*grids)
    return total / weights


@pytest.mark.parametrize(
    "shapes",
    [
        [(3, 4, 4, 5), (3, 4, 4, 2)],
        [(2, 8, 8, 3), (2, 4, 4, 4), (2, 2, 2, 5)],
        [(2, 3, 6, 4), (2, 6, 6, 3)],
        [(3, 12, 2), (3, 4, 6)],
    ],
)
def test_flow_of_solution_equals_numpy_and_is_zero_at_the_teacher(shapes):
    teacher, student = random_features(*shapes), random_features(*shapes, seed=1)
    names = [str(i) for i in range(len(shapes))]
    loss = FlowOfSolution(names, names, projector=None)
    expected = 0.0
    for i in range(len(shapes) - 1):
        flows = [reference_flow(side[i], side[i + 1]) for side in (teacher, student)]
        expected += np.mean((flows[0] - flows[1]) ** 2)
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)
    assert loss.compute_loss(teacher, teacher) == 0.0


def test_flow_of_solution_equals_numpy_through_its_projectors():
    teacher = random_features((2, 8, 8, 4), (2, 4, 4, 6))
    student = random_features((2, 8, 8, 3), (2, 4, 4, 5), seed=1)
    loss = FlowOfSolution(["a", "b"], ["c", "d"])
    loss.prepare([t.shape for t in teacher], [s.shape for s in student])
    projected = []
    for layer, features in zip(loss.own_layers, student, strict=True):
        kernel, bias = layer.get_weights()
        projected.append(np.float64(features) @ np.float64(kernel) + bias)
    expected = np.mean((reference_flow(*teacher) - reference_flow(*projected)) ** 2)
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("teacher_shape", "student_shape"),
    [((3, 4, 4, 6), (3, 4, 4, 3)), ((2, 6, 8, 2), (2, 3, 4, 5)), ((2, 5, 3), (2, 10, 4))],
)
def test_neuron_selectivity_equals_numpy(teacher_shape, student_shape):
    teacher, student = random_features(teacher_shape, student_shape)
    loss = NeuronSelectivity("t", "s")
    expected = reference_selectivity(teacher, student)
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)
    np.testing.assert_allclose(loss.compute_loss(teacher, teacher), 0.0, atol=1e-7)


def test_neuron_selectivity_ignores_the_order_and_the_scale_of_channels():
    teacher, student = random_features((2, 4, 4, 6), (2, 4, 4, 3))
    loss = NeuronSelectivity("t", "s")
    expected = loss.compute_loss(teacher, student)
    moved = loss.compute_loss(teacher[..., ::-1], np.float32([3, 0.5, 8]) * student)
    np.testing.assert_allclose(moved, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_activation_boundary_equals_numpy(shape):
    teacher, student = random_features(shape, shape)
    for margin in (0.5, 1.0, 2.0):
        value = ActivationBoundary("t", "s", margin, projector=None).compute_loss(teacher, student)
        np.testing.assert_allclose(value, reference_hinge(teacher, student, margin), rtol=1e-5)


def test_activation_boundary_is_zero_beyond_the_margin_on_the_teachers_side():
    (teacher,) = random_features((3, 4, 5, 6))
    loss = ActivationBoundary("t", "s", margin=1.5, projector=None)
    assert loss.compute_loss(teacher, 1.5 * np.sign(teacher)) == 0.0
    assert loss.compute_loss(teacher, 9.0 * np.sign(teacher)) == 0.0
    assert loss.compute_loss(teacher, 1.4 * np.sign(teacher)) > 0.0


@pytest.mark.parametrize("shape", SHAPES)
def test_overhaul_equals_numpy_with_the_margins_of_the_batch(shape):
    teacher, student = random_features(shape, shape)
    teacher[..., 0] = np.abs(teacher[..., 0])
    value = OverhaulFeature("t", "s", projector=None).compute_loss(teacher, student)
    expected = reference_overhaul(teacher, student, reference_margins(teacher))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_overhaul_is_zero_where_the_teacher_is_not_positive_and_the_student_lies_below():
    teacher, gap = np.abs(random_features((3, 4, 5, 6), (3, 4, 5, 6)))
    loss = OverhaulFeature("t", "s", projector=None)
    assert loss.compute_loss(-teacher, -teacher.max() - gap) == 0.0
    assert loss.compute_loss(0.0 * teacher, -gap) == 0.0
    assert loss.compute_loss(teacher, -gap) > 0.0


def test_overhaul_margins_are_the_means_over_all_training_batches():
    first, second, student = random_features((4, 3, 3, 5), (4, 3, 3, 5), (4, 3, 3, 5))
    loss = OverhaulFeature("t", "s", projector=None)
    loss.prepare(first.shape, student.shape)
    for batch in (first, second):
        loss.compute_loss(batch, student, training=True)
    expected = reference_overhaul(first, student, reference_margins(np.stack([first, second])))
    np.testing.assert_allclose(loss.compute_loss(first, student), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_margin_relu_is_the_larger_of_the_value_and_the_margin(shape):
    features, margin = random_features(shape, shape[-1:])
    margin = -np.abs(margin)
    expected = [
        max(x, m) for x, m in zip(features.flat, np.resize(margin, features.size), strict=True)
    ]
    actual = functional.margin_relu(features, margin)
    np.testing.assert_array_equal(actual, np.reshape(expected, shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_partial_distance_equals_numpy(shape):
    teacher, student = random_features(shape, shape)
    teacher.flat[::5] = 0.0
    expected = [reference_partial(t, s) for t, s in zip(teacher, student, strict=True)]
    np.testing.assert_allclose(functional.partial_distance(teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_channel_wise_equals_numpy_and_is_zero_at_the_teacher(shape):
    teacher, student = (3 * f for f in random_features(shape, shape))
    for temperature in (1.0, 4.0):
        loss = ChannelWise("t", "s", temperature, projector=None)
        expected = reference_channels(teacher, student, temperature)
        np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)
        assert loss.compute_loss(teacher, teacher) == 0.0


def test_channel_wise_ignores_a_shift_of_each_channel():
    teacher, student = random_features((2, 4, 4, 3), (2, 4, 4, 3))
    loss = ChannelWise("t", "s", projector=None)
    expected = loss.compute_loss(teacher, student)
    moved = loss.compute_loss(teacher, student + np.float32([1, -2, 5]))
    np.testing.assert_allclose(moved, expected, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_factor_distance_equals_numpy(shape):
    teacher, student = random_features(shape, shape)
    values = functional.factor_distance(teacher, student)
    np.testing.assert_allclose(values, reference_factors(teacher, student), rtol=1e-5)
    assert not np.any(functional.factor_distance(teacher, teacher))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gaussian_negative_log_likelihood_equals_numpy(shape):
    teacher, means, variances = random_features(shape, shape, shape[-1:])
    variances = np.exp(variances)
    values = functional.variational_information(teacher, means, variances)
    expected = reference_likelihood(teacher, means, variances)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "shape",
    [(3, 8, 8, 4), (2, 8, 16, 3), (2, 4, 4, 3), (2, 2, 2, 5), (2, 1, 1, 5), (2, 12, 4)],
)
def test_hierarchical_context_equals_numpy_and_is_zero_at_the_teacher(shape):
    teacher, student = random_features(shape, shape)
    values = functional.hierarchical_context(teacher, student)
    np.testing.assert_allclose(values, reference_context(teacher, student), rtol=1e-5)
    assert not np.any(functional.hierarchical_context(teacher, teacher))


@pytest.mark.parametrize("shape", [(2, 7, 7, 3), (2, 3, 3, 4)])
def test_hierarchical_context_averages_adaptively_where_sizes_do_not_divide(shape):
    teacher, student = random_features(shape, shape)
    values = functional.hierarchical_context(teacher, student)
    np.testing.assert_allclose(values, reference_context(teacher, student), rtol=1e-5)


@pytest.mark.parametrize(
    ("teacher_shape", "student_shape"),
    [((3, 4, 4, 6), (3, 4, 4, 3)), ((2, 8, 8, 4), (2, 4, 4, 5)), ((2, 6, 3), (2, 12, 2))],
)
def test_variational_information_equals_numpy_through_its_variables(teacher_shape, student_shape):
    teacher, student, scale = random_features(teacher_shape, student_shape, teacher_shape[-1:])
    loss = VariationalInformation("t", "s")
    loss.prepare(teacher.shape, student.shape)
    regressor, variance = loss.own_layers
    variance.set_weights([scale])
    teacher, means = pool_to_smaller(teacher, student)
    first, second, third = (np.float64(w).reshape(w.shape[-2:]) for w in regressor.get_weights())
    means = np.maximum(np.maximum(means @ first, 0) @ second, 0) @ third
    expected = reference_likelihood(teacher, means, np.log1p(np.exp(scale)) + 1e-5).mean()
    value = loss.compute_loss(np.float32(teacher), student)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("variance", [0.01, 5.0])
def test_variational_information_starts_at_its_initial_variance(variance):
    teacher, student = np.zeros((2, 4, 4, 3), "float32"), np.zeros((2, 4, 4, 5), "float32")
    loss = VariationalInformation("t", "s", initial_variance=variance)
    loss.prepare(teacher.shape, student.shape)
    value = loss.compute_loss(teacher, student)
    np.testing.assert_allclose(value, np.log(variance) / 2, rtol=1e-5)


def masked_generative(mask_ratio, shape=(3, 6, 5, 4), weights=None, **kwargs):
    loss = MaskedGenerative("t", "s", mask_ratio, projector=None, **kwargs)
    loss.prepare(shape, shape)
    generator = loss.own_layers[1]
    if weights is not None:
        generator.set_weights(weights)
    return loss, generator


@pytest.mark.parametrize("shape", [(3, 6, 5, 4), (2, 9, 3)])
def test_masked_generative_without_and_with_a_full_mask_equals_its_generators_error(shape):
    teacher, student = random_features(shape, shape)
    for mask_ratio, features in ((0.0, student), (1.0, 0 * student)):
        loss, generator = masked_generative(mask_ratio, shape)
        generator.set_weights(random_features(*(w.shape for w in generator.weights), seed=1))
        expected = np.mean((np.float64(teacher) - generator(features)) ** 2)
        np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)


def test_masked_generative_evaluation_is_deterministic_and_depends_on_ratio_and_seed():
    teacher, student = random_features((3, 6, 5, 4), (3, 6, 5, 4))
    loss, generator = masked_generative(0.3)
    weights = generator.get_weights()
    value = float(loss.compute_loss(teacher, student))
    assert float(loss.compute_loss(teacher, student)) == value
    assert float(masked_generative(0.3, weights=weights)[0].compute_loss(teacher, student)) == value
    for other in (
        masked_generative(0.8, weights=weights),
        masked_generative(0.3, weights=weights, seed=7),
    ):
        assert float(other[0].compute_loss(teacher, student)) != value


def test_masked_generative_draws_new_masks_in_training():
    teacher, student = random_features((3, 6, 5, 4), (3, 6, 5, 4))
    loss, _ = masked_generative(0.5)
    values = {float(loss.compute_loss(teacher, student, training=True)) for _ in range(3)}
    assert len(values) == 3


def reference_hidden_states(teacher, student, form, mask=None):
    mask = np.ones(teacher.shape[:2], bool) if mask is None else mask
    values = []
    for t, s, counts in zip(np.float64(teacher), np.float64(student), mask, strict=True):
        if form == "mse":
            of_positions = [np.mean((a - b) ** 2) for a, b in zip(t, s, strict=True)]
        else:
            of_positions = [1 - unit(a) @ unit(b) for a, b in zip(t, s, strict=True)]
        values.append(np.sum(of_positions * counts) / max(counts.sum(), 1))
    return np.mean(values)


@pytest.mark.parametrize("form", ["mse", "cosine"])
def test_hidden_states_equal_numpy_and_sum_over_layers(form):
    teacher = random_features((3, 5, 6), (3, 5, 6))
    student = random_features((3, 5, 6), (3, 5, 6), seed=1)
    loss = HiddenStates(["a", "b"], ["c", "d"], form=form, projector=None)
    expected = sum(
        reference_hidden_states(*pair, form) for pair in zip(teacher, student, strict=True)
    )
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)
    assert loss.clone().form == form
    with pytest.raises(ValueError, match=r"form must be one of 'mse', 'cosine'\. Received"):
        HiddenStates(form="l1")
    assert abs(float(loss.compute_loss(teacher, teacher))) < 1e-6


def test_hidden_states_of_unlike_widths_are_mapped_position_by_position():
    teacher, student = random_features((3, 5, 6), (3, 5, 4))
    loss = HiddenStates("t", "s")
    loss.prepare((None, None, 6), (None, None, 4))
    kernel, bias = loss.own_layers[0].get_weights()
    expected = reference_hidden_states(teacher, student @ kernel + bias, "mse")
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize("form", ["mse", "cosine"])
def test_padding_is_no_part_of_hidden_states(form):
    teacher, student = random_features((3, 5, 6), (3, 5, 6))
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool)
    expected = reference_hidden_states(teacher, student, form, mask)
    student[~mask] = np.nan
    loss = HiddenStates("t", "s", form=form, projector=None)
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        value = loss.compute_loss(teacher, variable, mask=mask)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    gradient = np.array(tape.gradient(value, variable))
    assert np.all(gradient[~mask] == 0)
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("ratio", [0.25, 0.65])
def test_masked_generative_masks_whole_positions_at_its_ratio(ratio):
    features = np.ones((4, 32, 32, 3), "float32")
    masks = MaskedGenerative("t", "s", ratio, projector=None).own_layers[-1]
    masked = np.array(masks(features, training=True))
    np.testing.assert_array_equal(masked, np.repeat(masked[..., :1], 3, -1))
    np.testing.assert_allclose(1 - masked.mean(), ratio, atol=0.03)


def test_masked_generative_masks_whole_channels_where_told_to():
    features = np.ones((64, 4, 5, 16), "float32")
    loss = MaskedGenerative("t", "s", 0.4, projector=None, masked="channels")
    masked = np.array(loss.own_layers[-1](features, training=True))
    np.testing.assert_array_equal(masked, masked[:, :1, :1] * features)
    np.testing.assert_allclose(1 - masked.mean(), 0.4, atol=0.04)
    assert loss.clone().masked == "channels"
    with pytest.raises(ValueError, match=r"'positions', 'channels'\. Received: masked='pixels'"):
        MaskedGenerative(masked="pixels")


@pytest.mark.parametrize("name", ["ab", "ofd", "reviewkd", "simkd"])
def test_batch_normalizations_beside_the_student_have_the_methods_constants(name, make_cnn):
    student = make_cnn(3)
    known = {layer.name for layer in student.layers}
    distiller = Distiller(make_cnn(6), student, name)
    layers = [layer for owner in distiller.distillation_layers for layer in owner._flatten_layers()]
    layers += [layer for layer in distiller.student.layers if layer.name.startswith("simkd")]
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms
    assert all(layer.name not in known for layer in norms)
    assert {(layer.epsilon, layer.momentum) for layer in norms} == {(1e-5, 0.9)}


def prepared_factor_transfer(teacher, student):
    loss = FactorTransfer("t", "s")
    loss.prepare(teacher.shape, student.shape)
    return loss, *loss.own_layers


@pytest.mark.parametrize(
    ("teacher_shape", "student_shape"),
    [((3, 4, 4, 6), (3, 4, 4, 3)), ((2, 8, 8, 4), (2, 4, 4, 5)), ((2, 6, 4), (2, 6, 2))],
)
def test_factor_transfer_is_the_distance_and_keeps_the_relative_reconstruction_error_apart(
    teacher_shape, student_shape
):
    teacher, student = random_features(teacher_shape, student_shape)
    loss, paraphraser, translator = prepared_factor_transfer(teacher, student)
    factors = paraphraser.encoder(teacher)
    restored = paraphraser.decoder(factors)
    distance = reference_factors(*pool_to_smaller(factors.numpy(), translator(student).numpy()))
    error = np.mean((np.float64(teacher) - restored) ** 2) / np.mean(np.float64(teacher) ** 2)
    value = loss.compute_loss(teacher, student)
    np.testing.assert_allclose(value, distance.mean(), rtol=1e-5)
    np.testing.assert_allclose(paraphraser.losses, [error], rtol=1e-5)
    loss.pretrained = True
    np.testing.assert_allclose(loss.compute_loss(teacher, student), distance.mean(), rtol=1e-5)
    assert not paraphraser.losses


def test_the_distance_of_factors_does_not_reach_the_paraphraser():
    teacher, student = random_features((3, 4, 4, 6), (3, 4, 4, 3))
    loss, paraphraser, translator = prepared_factor_transfer(teacher, student)
    variables = [v.value for v in paraphraser.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        value = loss.compute_loss(teacher, student)
    gradients = tape.gradient(value, variables, unconnected_gradients="zero")
    assert not any(np.any(g) for g in gradients)
    kernels = [v.value for v in translator.trainable_variables if v.name == "kernel"]
    assert all(np.any(g) for g in tape.gradient(value, kernels))


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_the_paraphraser_learns_by_sgd_whatever_the_weight_and_the_features_scale(
    scale, images, crossentropy
):
    def cnn(channels):
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Conv2D(channels, 3, activation="relu", name="conv"),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(3),
            ]
        )

    teacher = cnn(6)
    kernel, bias = teacher.get_layer("conv").get_weights()
    teacher.get_layer("conv").set_weights([scale * kernel, bias])
    trained = []
    for weight in (1.0, 500.0):
        keras.utils.set_random_seed(0)
        distiller = Distiller(
            teacher,
            cnn(3),
            FactorTransfer("conv", "conv"),
            distillation_loss_weights=[weight],
            student_loss_weight=None,
        )
        (loss,) = distiller.distillation_losses
        paraphraser = loss.own_layers[0]
        features = teacher.layers[0](images[0])
        before = float(np.mean(paraphraser(features)[1]))
        distiller.compile(keras.optimizers.SGD(0.05), crossentropy)
        validation = {"validation_data": images}
        history = distiller.fit(*images, batch_size=8, epochs=2, verbose=0, **validation).history
        assert float(np.mean(paraphraser(features)[1])) < before
        assert history["loss"][0] > history["student_loss"][0] + (
            weight * history["factor_transfer"][0]
        )
        trained.append(paraphraser.get_weights())
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_evaluation_without_the_teacher_has_no_error_of_a_paraphraser(
    make_cnn, images, crossentropy
):
    distiller = Distiller(make_cnn(6), make_cnn(3), "ft", student_loss_weight=None)
    distiller.compile("sgd", crossentropy, validate_with_teacher=False)
    history = distiller.fit(*images, validation_data=images, verbose=0).history
    assert history["val_loss"] == history["val_student_loss"]


def test_a_pretrained_paraphraser_is_left_as_it_is_while_the_student_trains(
    make_cnn, images, crossentropy, tmp_path
):
    teacher, student = make_cnn(6), make_cnn(3)
    distiller = Distiller(teacher, student, "ft")
    (loss,) = distiller.distillation_losses
    errors = loss.pretrain(teacher, images[0], epochs=3, verbose=0).history["loss"]
    assert errors[-1] < errors[0]
    before = loss.own_layers[0].get_weights()
    distiller.compile(keras.optimizers.AdamW(0.01, weight_decay=0.1), crossentropy)
    distiller.fit(*images, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    restored = keras.models.load_model(tmp_path / "distiller.keras")
    restored.fit(*images, verbose=0)
    for one in (distiller, restored):
        for old, new in zip(before, one.distillation_layers[0].get_weights(), strict=True):
            np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize(
    ("teacher_shapes", "student_shapes"),
    [
        ([(2, 8, 8, 4), (2, 4, 4, 6), (2, 2, 2, 7)], [(2, 8, 8, 3), (2, 4, 4, 5), (2, 2, 2, 6)]),
        ([(2, 8, 8, 3), (2, 4, 4, 4)], [(2, 4, 4, 3), (2, 2, 2, 2)]),
        ([(3, 16, 4), (3, 8, 3)], [(3, 16, 2), (3, 8, 5)]),
    ],
)
def test_knowledge_review_sums_the_contexts_of_its_fusions_from_the_deepest(
    teacher_shapes, student_shapes
):
    teacher = random_features(*teacher_shapes)
    student = random_features(*student_shapes, seed=1)
    names = [str(i) for i in range(len(teacher))]
    loss = KnowledgeReview(names, names)
    loss.prepare(teacher_shapes, student_shapes)
    expected, below = 0.0, None
    for index in reversed(range(len(teacher))):
        fused, below = loss.own_layers[index](student[index], below)
        expected += reference_context(teacher[index], fused).mean()
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "teacher_shape", "student_shape"),
    [
        (NeuronSelectivity("t", "s"), (2, 4, 4, 3), (2, 8)),
        (ActivationBoundary("t", "s", projector=None), (2, 4, 4, 3), (2, 4, 4, 5)),
        (ActivationBoundary("t", "s"), (2, 4, 4, 3), (2, 8)),
        (OverhaulFeature("t", "s", projector=None), (2, 4, 4, 3), (2, 2, 2, 3)),
        (ChannelWise("t", "s", projector=None), (2, 4, 4, 3), (2, 4, 4, 5)),
        (ChannelWise("t", "s"), (2, 8), (2, 8)),
        (MaskedGenerative("t", "s", projector=None), (2, 4, 4, 3), (2, 4, 4, 5)),
        (MaskedGenerative("t", "s"), (2, 4, 4, 3), (2, 3)),
        (HiddenStates("t", "s"), (2, 5, 4), (2, 6, 4)),
        (HiddenStates("t", "s"), (2, 4), (2, 4)),
        (HiddenStates("t", "s", projector=None), (2, 5, 4), (2, 5, 3)),
        (VariationalInformation("t", "s"), (2, 4, 4, 3), (2, 3)),
        (FactorTransfer("t", "s"), (2, 4, 4, 3), (2, 4, 3)),
        (FactorTransfer("t", "s"), (2, 8), (2, 8)),
    ],
)
def test_features_that_do_not_fit_are_refused_with_both_sides(loss, teacher_shape, student_shape):
    with pytest.raises(ValueError, match=BOTH_SIDES):
        loss.compute_loss(np.zeros(teacher_shape), np.zeros(student_shape))


@pytest.mark.parametrize(
    ("loss", "student_shapes"),
    [
        (FlowOfSolution(["a", "b"], ["c", "d"], projector=None), [(2, 4, 4, 3), (2, 4, 4, 6)]),
        (FlowOfSolution(["a", "b"], ["c", "d"]), [(2, 4, 4, 3), (2, 5)]),
        (KnowledgeReview(["a", "b"], ["c", "d"]), [(2, 4, 4, 3), (2, 4, 5)]),
        (KnowledgeReview(["a", "b"], ["c", "d"]), [(2, 4, 4, 3), (2, 5)]),
    ],
)
def test_lists_of_features_that_do_not_fit_are_refused_with_both_sides(loss, student_shapes):
    teacher = [np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 5))]
    with pytest.raises(ValueError, match=BOTH_SIDES):
        loss.compute_loss(teacher, [np.zeros(shape) for shape in student_shapes])


def test_the_flow_of_one_layer_is_refused():
    with pytest.raises(ValueError, match=r"two layers"):
        FlowOfSolution("a", "b").compute_loss(np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 3)))


@pytest.mark.parametrize(
    ("teacher_shape", "student_shape"),
    [((3, 4, 4, 6), (3, 4, 4, 6)), ((2, 8, 8, 3), (2, 4, 4, 3)), ((2, 6, 4), (2, 6, 4))],
)
def test_simkd_is_the_mean_squared_error_at_the_smaller_size(teacher_shape, student_shape):
    teacher, student = random_features(teacher_shape, student_shape)
    expected = np.mean(np.square(np.subtract(*pool_to_smaller(teacher, student))))
    value = SimpleKD("t", "s").compute_loss(teacher, student)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_simkd_without_its_projector_names_both_shapes():
    with pytest.raises(ValueError, match=BOTH_SIDES):
        SimpleKD("t", "s").compute_loss(*random_features((2, 4, 4, 6), (2, 4, 4, 3)))
