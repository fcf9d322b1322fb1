"""Values and invariances of the attention losses, against NumPy in float64."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, softmax

from keras_distill.losses import (
    AttentionCapture,
    AttentionMapAlignment,
    ClassAttentionTransfer,
    HeadAttention,
    SelfAttentionRelation,
    functional,
)

BOTH_SIDES = r"(?s)Teacher.*Student"
CAPTURED = [
    ([(3, 8, 8, 5), (3, 4, 4, 7)], [(3, 8, 8, 2), (3, 2, 2, 3), (3, 4, 4, 4)]),
    ([(2, 6, 4, 3)], [(2, 6, 8, 6), (2, 12, 4, 2)]),
    ([(4, 12, 3), (4, 6, 5)], [(4, 6, 2)]),
]
SCORES = [((3, 4, 5, 6), (3, 2, 5, 6)), ((2, 3, 4, 4), (2, 5, 4, 4))]


def random_features(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype("float32") for shape in shapes]


def random_scores(*shapes, seed=0):
    return [softmax(2 * features, -1) for features in random_features(*shapes, seed=seed)]


def pool(features, space):
    """Averages equal blocks along each spatial axis."""
    features = np.float64(features)
    for axis, size in enumerate(space, 1):
        blocks = np.split(features, size, axis)
        features = np.stack([block.mean(axis) for block in blocks], axis)
    return features


def unit(vector):
    vector = np.float64(vector).ravel()
    return vector / np.sqrt((vector**2).sum())


def cosine(first, second):
    return float(unit(first) @ unit(second))


def reference_capture(teacher, student, mode):
    space = np.min([features.shape[1:-1] for features in (*teacher, *student)], axis=0)
    rows = []
    for layers in (teacher, student):
        maps = [pool(features, space) for features in layers]
        maps = [m.sum(-1) if mode == "mips" else m.mean(-1) for m in maps]
        accumulated = np.max(maps, 0) if mode == "mip" else np.mean(maps, 0)
        rows.append([unit(sample) for sample in accumulated])
    return np.mean(np.subtract(*rows) ** 2)


def reference_divergence(teacher, student):
    """KL over the keys, averaged over the queries."""
    total = 0.0
    for p, q in zip(np.float64(teacher), np.float64(student), strict=True):
        total += sum(a * (np.log(a) - np.log(b)) for a, b in zip(p, q, strict=True))
    return total / len(teacher)


def reference_map_distance(teacher, student, divergence):
    if divergence == "kl":
        return reference_divergence(teacher, student)
    if divergence == "cosine":
        return 1.0 - cosine(teacher, student)
    return np.mean((np.float64(teacher) - student) ** 2)


def reference_alignment(teacher, student, weighting, divergence, form):
    total, count = 0.0, 0
    for heads, others in zip(np.float64(teacher), np.float64(student), strict=True):
        for head in heads:
            similar = np.array([cosine(head, other) for other in others])
            weights = np.exp(similar) if weighting == "softmax" else similar
            weights = weights / weights.sum()
            if form == "pairwise":
                pairs = zip(weights, others, strict=True)
                total += sum(w * reference_divergence(head, other) for w, other in pairs)
            else:
                mixed = sum(w * other for w, other in zip(weights, others, strict=True))
                total += reference_map_distance(head, mixed, divergence)
            count += 1
    return total / count


def reference_relation(teacher, student, heads):
    """One kind of vectors: mean over samples, relation heads and positions."""
    values = []
    for t, s in zip(np.float64(teacher), np.float64(student), strict=True):
        t, s = t.reshape(len(t), -1), s.reshape(len(s), -1)
        for t_head, s_head in zip(
            np.split(t, heads, axis=1), np.split(s, heads, axis=1), strict=True
        ):
            log_p = log_softmax(t_head @ t_head.T / np.sqrt(t_head.shape[1]), -1)
            log_q = log_softmax(s_head @ s_head.T / np.sqrt(s_head.shape[1]), -1)
            values.append((np.exp(log_p) * (log_p - log_q)).sum(-1).mean())
    return np.mean(values)


def reference_class_attention(teacher, student, size=2):
    """From class maps; each class's pooled map has unit length."""
    values = []
    for t, s in zip(teacher, student, strict=True):
        t, s = (pool(m[None], [size] * (m.ndim - 1))[0] for m in (t, s))
        for c in range(t.shape[-1]):
            values.append((unit(t[..., c]) - unit(s[..., c])) ** 2)
    return np.mean(values)


def vectors_of(shape, seed):
    return random_features(*[shape] * 3, seed=seed)


def capture_loss(mode, teacher, student):
    layers = {"teacher": [str(i) for i in range(len(teacher))]}
    layers["student"] = [str(i) for i in range(len(student))]
    return AttentionCapture(mode, layers=layers)


@pytest.mark.parametrize("shapes", CAPTURED)
@pytest.mark.parametrize("mode", ["fma", "mip", "mips"])
def test_attention_capture_equals_numpy(mode, shapes):
    teacher, student = (random_features(*side, seed=i) for i, side in enumerate(shapes))
    value = capture_loss(mode, teacher, student).compute_loss(teacher, student)
    np.testing.assert_allclose(value, reference_capture(teacher, student, mode), rtol=1e-5)


@pytest.mark.parametrize("mode", ["fma", "mip", "mips"])
def test_attention_capture_ignores_the_order_of_channels_and_a_positive_factor(mode):
    teacher, student = (random_features(*side, seed=i) for i, side in enumerate(CAPTURED[0]))
    loss = capture_loss(mode, teacher, student)
    expected = loss.compute_loss(teacher, student)
    moved = loss.compute_loss([t[..., ::-1] for t in teacher], [7 * s for s in student])
    np.testing.assert_allclose(moved, expected, rtol=1e-5)


@pytest.mark.parametrize("mode", ["fma", "mip", "mips"])
def test_attention_capture_is_zero_at_equal_layers(mode):
    features = random_features(*CAPTURED[0][0])
    value = capture_loss(mode, features, features).compute_loss(features, features)
    np.testing.assert_allclose(value, 0.0, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 5, 4, 3), (2, 9, 6)])
def test_saliency_is_the_largest_gradient_over_channels(shape):
    teacher, student = random_features(shape, shape)
    expected = []
    for t, s in zip(teacher, student, strict=True):
        maps = [[max(abs(c) for c in p) for p in g.reshape(-1, shape[-1])] for g in (t, s)]
        expected.append(np.mean((unit(maps[0]) - unit(maps[1])) ** 2))
    np.testing.assert_array_equal(functional.saliency_map(teacher), np.abs(teacher).max(-1))
    values = functional.attention_capture(teacher, student, mode="sals")
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 5, 4, 3), (3, 7)])
def test_gradient_attention_is_the_length_of_each_samples_difference(shape):
    teacher, student = random_features(shape, shape)
    expected = [
        np.sqrt(sum((a - b) ** 2 for a, b in zip(t.flat, s.flat, strict=True)))
        for t, s in zip(np.float64(teacher), np.float64(student), strict=True)
    ]
    values = functional.gradient_attention(teacher, student)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize("shapes", SCORES)
@pytest.mark.parametrize("weighting", ["softmax", "normalized"])
@pytest.mark.parametrize("divergence", ["mse", "kl", "cosine"])
def test_aligned_heads_equal_numpy(divergence, weighting, shapes):
    teacher, student = random_scores(*shapes)
    loss = AttentionMapAlignment("t", "s", weighting=weighting, divergence=divergence)
    expected = reference_alignment(teacher, student, weighting, divergence, "aggregate")
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize("shapes", SCORES)
@pytest.mark.parametrize("weighting", ["softmax", "normalized"])
def test_pairwise_aligned_heads_equal_numpy(weighting, shapes):
    teacher, student = random_scores(*shapes)
    loss = AttentionMapAlignment("t", "s", weighting, divergence="kl", form="pairwise")
    expected = reference_alignment(teacher, student, weighting, "kl", "pairwise")
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize("form", ["aggregate", "pairwise"])
@pytest.mark.parametrize("weighting", ["softmax", "normalized"])
def test_alignment_ignores_the_order_of_the_students_heads(weighting, form):
    teacher, student = random_scores(*SCORES[1])
    loss = AttentionMapAlignment("t", "s", weighting, divergence="kl", form=form)
    expected = loss.compute_loss(teacher, student)
    moved = loss.compute_loss(teacher, student[:, [3, 0, 4, 2, 1]])
    np.testing.assert_allclose(moved, expected, rtol=1e-5)


@pytest.mark.parametrize("weighting", ["softmax", "normalized"])
@pytest.mark.parametrize("divergence", ["mse", "kl", "cosine"])
def test_alignment_of_one_head_each_is_the_distance_of_the_maps(divergence, weighting):
    teacher, student = random_scores((3, 1, 4, 5), (3, 1, 4, 5))
    loss = AttentionMapAlignment("t", "s", weighting, divergence)
    expected = np.mean(
        [
            reference_map_distance(t[0], s[0], divergence)
            for t, s in zip(teacher, student, strict=True)
        ]
    )
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)
    np.testing.assert_allclose(loss.compute_loss(teacher, teacher), 0.0, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (2, 1, 7, 7)])
def test_head_attention_equals_numpy(shape):
    teacher, student = random_scores(shape, shape)
    value = HeadAttention("t", "s").compute_loss(teacher, student)
    expected = np.mean((np.float64(teacher) - np.float64(student)) ** 2)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert HeadAttention("t", "s").compute_loss(teacher, teacher) == 0.0


def test_head_attention_sums_over_layers():
    first_t, first_s = random_scores((2, 3, 4, 4), (2, 3, 4, 4))
    second_t, second_s = random_scores((2, 2, 5, 5), (2, 2, 5, 5), seed=1)
    value = HeadAttention(["a", "b"], ["c", "d"]).compute_loss(
        [first_t, second_t], [first_s, second_s]
    )
    expected = np.mean((first_t - first_s) ** 2) + np.mean((second_t - second_s) ** 2)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        HeadAttention("t", "s"),
        *(AttentionMapAlignment("t", "s", divergence=d) for d in ("mse", "kl", "cosine")),
        AttentionMapAlignment("t", "s", weighting="normalized", divergence="kl"),
        AttentionMapAlignment("t", "s", divergence="kl", form="pairwise"),
    ],
    ids=["heads", "mse", "kl", "cosine", "normalized", "pairwise"],
)
def test_padded_queries_give_a_finite_value_and_gradient(loss):
    teacher, student = random_scores((3, 2, 4, 4), (3, 2, 4, 4))
    teacher[0, :, 2:] = student[0, :, 2:] = 0.0
    teacher[1] = student[1] = 0.0
    student[2, :, 1] = 0.0
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        value = loss.compute_loss(teacher, variable)
    assert np.isfinite(value)
    assert np.isfinite(tape.gradient(value, variable)).all()


@pytest.mark.parametrize(
    ("teacher_shape", "student_shape", "heads"),
    [
        ((3, 5, 4, 6), (3, 5, 2, 6), 3),
        ((3, 5, 4, 6), (3, 5, 2, 6), 4),
        ((2, 7, 2, 4), (2, 7, 2, 4), 2),
        ((2, 6, 3, 5), (2, 6, 1, 9), 1),
    ],
)
def test_self_attention_relations_equal_numpy(teacher_shape, student_shape, heads):
    teacher, student = vectors_of(teacher_shape, 0), vectors_of(student_shape, 1)
    loss = SelfAttentionRelation("attention", "attention", relation_heads=heads)
    expected = sum(reference_relation(t, s, heads) for t, s in zip(teacher, student, strict=True))
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)


def test_relations_depend_on_the_width_and_not_on_its_split_into_attention_heads():
    teacher = vectors_of((2, 5, 4, 6), 0)
    student = [t.reshape(2, 5, 3, 8) for t in teacher]
    loss = SelfAttentionRelation("attention", "attention", relation_heads=6)
    np.testing.assert_allclose(loss.compute_loss(teacher, student), 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("teacher_shape", "student_shape", "heads"),
    [((2, 5, 4, 6), (2, 5, 3, 4), 4), ((2, 5, 6, 4), (2, 5, 2, 4), 2)],
)
def test_relation_heads_default_to_what_divides_the_teachers_heads_and_both_widths(
    teacher_shape, student_shape, heads
):
    teacher, student = vectors_of(teacher_shape, 0), vectors_of(student_shape, 1)
    value = SelfAttentionRelation("attention", "attention").compute_loss(teacher, student)
    expected = sum(reference_relation(t, s, heads) for t, s in zip(teacher, student, strict=True))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_masked_positions_relate_to_nothing():
    teacher, student = vectors_of((2, 6, 2, 4), 0), vectors_of((2, 6, 2, 3), 1)
    lengths = (4, 6)
    mask = np.arange(6) < np.array(lengths)[:, None]
    loss = SelfAttentionRelation("attention", "attention", relation_heads=2)
    rows = [
        reference_relation(t[i : i + 1, :n], s[i : i + 1, :n], 2)
        for t, s in zip(teacher, student, strict=True)
        for i, n in enumerate(lengths)
    ]
    value = loss.compute_loss(teacher, student, mask=mask)
    np.testing.assert_allclose(value, sum(rows) / 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("teacher_shape", "student_shape", "classes"),
    [((3, 8, 8, 6), (3, 4, 4, 3), 5), ((2, 6, 4, 2), (2, 2, 8, 4), 3), ((2, 8, 4), (2, 4, 3), 4)],
)
def test_class_attention_equals_numpy(teacher_shape, student_shape, classes):
    teacher = random_features(teacher_shape, (teacher_shape[-1], classes))
    student = random_features(student_shape, (student_shape[-1], classes), seed=1)
    loss = ClassAttentionTransfer(["conv", "logits:kernel"], ["conv", "logits:kernel"])
    maps = [np.float64(features) @ np.float64(kernel) for features, kernel in (teacher, student)]
    expected = reference_class_attention(*maps)
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)
    assert loss.compute_loss(teacher, teacher) == 0.0


@pytest.mark.parametrize(
    ("teacher_shape", "student_shape"),
    [((3, 12, 12, 5), (3, 8, 8, 5)), ((2, 10, 4), (2, 4, 4))],
)
def test_class_attention_pools_each_side_from_its_own_size(teacher_shape, student_shape):
    teacher, student = random_features(teacher_shape, student_shape)
    value = ClassAttentionTransfer("maps", "maps").compute_loss(teacher, student)
    np.testing.assert_allclose(value, reference_class_attention(teacher, student), rtol=1e-5)


def test_class_attention_leaves_maps_as_they_are_where_told_to():
    teacher, student = random_features((3, 4, 4, 5), (3, 4, 4, 5))
    loss = ClassAttentionTransfer("maps", "maps", normalize=False)
    expected = np.mean(np.square(pool(teacher, [2, 2]) - pool(student, [2, 2])))
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)
    assert loss.clone().normalize is False
    with pytest.raises(TypeError, match="normalize must be True or False"):
        ClassAttentionTransfer(normalize="maps")


@pytest.mark.parametrize("size", [1, 4])
def test_class_attention_pools_given_maps_to_its_size(size):
    teacher, student = random_features((3, 8, 4, 5), (3, 4, 4, 5))
    value = ClassAttentionTransfer("maps", "maps", size=size).compute_loss(teacher, student)
    expected = reference_class_attention(teacher, student, size)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "teacher_shape", "student_shape"),
    [
        (HeadAttention("t", "s"), (2, 4, 5, 5), (2, 3, 5, 5)),
        (HeadAttention("t", "s"), (2, 4, 5, 5), (2, 4, 5, 6)),
        (HeadAttention("t", "s"), (2, 4, 5, 5), (2, 5, 5)),
        (AttentionMapAlignment("t", "s"), (2, 4, 5, 5), (2, 4, 6, 5)),
        (AttentionMapAlignment("t", "s"), (2, 4, 5, 5), (2, 4, 5, 6)),
        (AttentionMapAlignment("t", "s"), (2, 5, 5), (2, 4, 5, 5)),
    ],
)
def test_scores_that_do_not_fit_are_refused_with_both_sides(loss, teacher_shape, student_shape):
    with pytest.raises(ValueError, match=BOTH_SIDES):
        loss.compute_loss(np.zeros(teacher_shape), np.zeros(student_shape))


@pytest.mark.parametrize(
    ("teacher_shape", "student_shape"),
    [((2, 5, 4, 6), (2, 7, 4, 6)), ((2, 5, 4, 6), (2, 5, 4)), ((2, 5, 4, 6), (2, 5, 5, 5))],
)
def test_vectors_that_do_not_fit_are_refused_with_both_sides(teacher_shape, student_shape):
    loss = SelfAttentionRelation("attention", "attention", relation_heads=4)
    with pytest.raises(ValueError, match=BOTH_SIDES):
        loss.compute_loss([np.zeros(teacher_shape)] * 3, [np.zeros(student_shape)] * 3)


@pytest.mark.parametrize("student_shape", [(2, 8), (2, 4, 3)])
def test_captured_features_without_the_same_spatial_axes_are_refused(student_shape):
    teacher, student = [np.zeros((2, 4, 4, 3))], [np.zeros(student_shape)]
    with pytest.raises(ValueError, match=BOTH_SIDES):
        capture_loss("fma", teacher, student).compute_loss(teacher, student)


@pytest.mark.parametrize("student_shape", [(2, 4, 4, 6), (2, 5)])
def test_class_maps_that_do_not_fit_are_refused_with_both_sides(student_shape):
    with pytest.raises(ValueError, match=BOTH_SIDES):
        ClassAttentionTransfer("t", "s").compute_loss(
            np.zeros((2, 4, 4, 5)), np.zeros(student_shape)
        )
