"""A frozen teacher: its weights take no part in training, and are saved without an optimizer."""

import threading

import keras

from keras_distill._compat import set_own_trainable
from keras_distill.features.branch import Branch
from keras_distill.features.layer_paths import children, layer_at, layer_paths

_walk = threading.local()


class WithFrozenModels:
    """Mixin for a `ConnectedModel` some of whose branches aren't trained.

    Their variables belong to the model, and aren't trainable, whatever their own settings are.
    """

    _frozen: tuple[Branch, ...] = ()

    @property
    def trainable_weights(self):
        """Weights of the student and of the projectors."""
        return _others(super().trainable_weights, self._frozen_variables)

    @property
    def trainable_variables(self):
        """Variables of the student and of the projectors."""
        return _others(super().trainable_variables, self._frozen_variables)

    @property
    def non_trainable_weights(self):
        """All other weights, the teacher's among them."""
        return _others(self.weights, self.trainable_weights)

    @property
    def non_trainable_variables(self):
        """All other variables, the teacher's among them."""
        return _others(self.variables, self.trainable_variables)

    @property
    def _frozen_variables(self):
        models = [branch.model for branch in self._frozen if branch.model is not None]
        return [variable for model in models for variable in model.variables]


class WithFrozenTeacher(WithFrozenModels):
    """Mixin for a `ConnectedModel` whose `teacher` isn't trained.

    Of the teacher the weights are saved, and what `compile` gave it is not.
    """

    def _freeze_teacher(self):
        freeze(self.teacher)
        if isinstance(self.teacher, keras.Model):
            # Past Keras's attribute tracking: these aren't further layers.
            self.__dict__["_teacher_weights"] = _Weights(self.teacher)

    def save_own_variables(self, store):
        """Saves the model's own variables, before Keras looks for what else there is to save."""
        super().save_own_variables(store)
        _walk.of = self

    def load_own_variables(self, store):
        """Loads the model's own variables, before Keras looks for what else there is to load."""
        super().load_own_variables(store)
        _walk.of = self

    def __dir__(self):
        """Lists attributes, without the teacher where Keras looks for what to save or load."""
        names = super().__dir__()
        if getattr(_walk, "of", None) is not self:
            return names
        _walk.of = None
        return [name for name in names if name not in ("teacher", "layers")]


class _Weights(keras.layers.Layer):
    """What is saved of a compiled model: its weights, without its optimizer.

    Args:
        model: The `keras.Model`.
    """

    def __init__(self, model):
        super().__init__(name=model.name)
        # Keras looks for what to save in attributes, and not in functions.
        self._model = lambda: model

    @property
    def layers(self):
        return self._model().layers

    def save_own_variables(self, store):
        self._model().save_own_variables(store)

    def load_own_variables(self, store):
        self._model().load_own_variables(store)

    def __getattr__(self, name):
        if name in ("save_assets", "load_assets"):
            return getattr(self._model(), name)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}.")


def serialized(model):
    """Returns the configuration of a teacher, without what `compile` gave it.

    Args:
        model: A `keras.Model`, or anything else that Keras can serialize.
    """
    config = keras.saving.serialize_keras_object(model)
    if isinstance(model, keras.Model):
        config.pop("compile_config", None)
    return config


def freeze(model):
    """Sets `model.trainable` to `False`, and leaves the layers' own settings as they are.

    `model.trainable = True` undoes it, on the model, on a clone and on a copy that was saved and
    loaded. Keras's own switch would write to each layer, from where a clone copies it; and
    setting a clone to the value that it already has does nothing.

    Args:
        model: A `keras.Model`; anything else has no variables.
    """
    if isinstance(model, keras.Model):
        set_own_trainable(model, False)


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


def _others(variables, chosen):
    taken = {id(variable) for variable in chosen}
    return [variable for variable in variables if id(variable) not in taken]
