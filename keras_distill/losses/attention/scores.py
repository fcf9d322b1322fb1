"""Attention scores of transformers: the check of their shapes."""


def check_scores(loss, teacher_shape, student_shape):
    """Checks that both shapes are attention scores over the same queries and keys.

    Args:
        loss: The loss, for the error.
        teacher_shape: Shape tuple, batch included.
        student_shape: Shape tuple, batch included.

    Raises:
        ValueError: If they aren't.
    """
    ranks = len(teacher_shape), len(student_shape)
    if ranks != (4, 4):
        raise loss.shape_error(
            teacher_shape,
            student_shape,
            "attention scores have the shape (batch, heads, queries, keys): tap a "
            f'MultiHeadAttention with ":{loss.automatic_layers}" after its path.',
        )
    differ = any(
        t != s for t, s in zip(teacher_shape[2:], student_shape[2:], strict=True) if t and s
    )
    if differ:
        raise loss.shape_error(
            teacher_shape,
            student_shape,
            "the attention maps must be over as many queries and keys: give both models sequences "
            "of the same length.",
        )
