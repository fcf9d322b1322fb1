"""A frozen teacher: its weights take no part in training, and Keras's own switch undoes it."""

import keras

from keras_distill.layer_paths import children, layer_at, layer_paths


def freeze(model):
    """Sets `model.trainable` to `False`, and leaves the layers' own settings as they are.

    `model.trainable = True` undoes it, on the model, on a clone and on a copy that was saved and
    loaded. Keras's own switch would write to each layer, from where a clone copies it; and
    setting a clone to the value that it already has does nothing.

    Args:
        model: A `keras.Model`; anything else has no variables.
    """
    if isinstance(model, keras.Model):
        model._trainable = False


def check_shares_nothing(teacher, student):
    """Checks that training the student doesn't change the teacher.

    Args:
        teacher: A `keras.Model`; anything else has no layers.
        student: A `keras.Model`.

    Raises:
        ValueError: If a trainable layer of the student has weights of the teacher's.
    """
    if not isinstance(teacher, keras.Model):
        return
    taken = {id(weight) for weight in teacher.weights}
    shared = []
    for path in layer_paths(student) if taken else ():
        layer = layer_at(student, path)
        is_inner = not any(child.weights for child in children(layer).values())
        # Training doesn't write to the statistics that were adapted to the data.
        changes = layer.trainable and not isinstance(layer, keras.layers.Normalization)
        if is_inner and changes and any(id(weight) in taken for weight in layer.weights):
            shared.append(path)
    if shared:
        raise ValueError(
            "Teacher and student share layers. The teacher must stay as it is, so the student "
            "couldn't train them: give the student layers of its own (keras.models.clone_model "
            "copies a model, set_weights its weights), or freeze the shared ones yourself with "
            "layer.trainable = False. "
            f"Received: {len(shared)} shared layers, by their path in the student: "
            f"{', '.join(shared[:8])}{', ...' if len(shared) > 8 else ''}."
        )


def others(variables, chosen):
    """Returns the variables that aren't among the chosen ones.

    Args:
        variables: List of variables.
        chosen: List of variables.
    """
    taken = {id(variable) for variable in chosen}
    return [variable for variable in variables if id(variable) not in taken]
