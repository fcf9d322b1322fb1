"""The kinds of branches, and which of them a teacher or student becomes."""

from keras_distill.arguments import shown
from keras_distill.features.batches import check_input_function
from keras_distill.features.branch import NoBranch
from keras_distill.features.callable_branch import CallableBranch
from keras_distill.features.model_branch import ModelBranch

KINDS = (NoBranch, ModelBranch, CallableBranch)


def branch_of(source, name="teacher", input_function=None):
    """Returns the branch of a teacher or of a student.

    Args:
        source: A `keras.Model`, a function of a batch, `None`, or an object with a method
            `make_branch(name, input_function)`, as a `TeacherCache` has.
        name: `"teacher"` or `"student"`.
        input_function: As for `Branch`.

    Raises:
        TypeError: If `input_function` is of the wrong type.
        ValueError: If `source` is none of these.
    """
    check_input_function(input_function, f"{name}_input")
    if hasattr(source, "make_branch") and not isinstance(source, type):
        return source.make_branch(name, input_function)
    for kind in KINDS:
        if kind.accepts(source):
            return kind(source, name, input_function)
    raise ValueError(
        f"{name.title()} must be a keras.Model, a TeacherCache, a function from a batch to logits, "
        f"or None where no loss needs a teacher. Received: {name}={shown(source)}"
    )
