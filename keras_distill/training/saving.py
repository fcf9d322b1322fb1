"""How a distiller is saved and exported: its models, losses, settings and shapes."""

import keras

from keras_distill.features.batches import read_spec
from keras_distill.losses import schedule
from keras_distill.training import loss_weights
from keras_distill.training.freezing import serialized

_LOSSES = ("distillation_losses", "distillation_loss_weights")
_SERIALIZED = ("teacher", "student", "teacher_input", "student_input", "sample_index")


class SavesItsSettings:
    """Mixin for a `ConnectedModel`: its student is exported, and how it was compiled is saved."""

    def export(self, filepath, *args, **kwargs):
        """Exports the student, which takes its own inputs: `student_input` has no part in it.

        Args:
            filepath: As for `keras.Model.export`.
            *args: Further arguments of `keras.Model.export`.
            **kwargs: Further arguments of `keras.Model.export`.
        """
        return self.student.export(filepath, *args, **kwargs)

    def get_compile_config(self):
        """Returns the arguments of `compile`."""
        config = super().get_compile_config()
        if config:
            own = keras.saving.serialize_keras_object(self._own_compile_settings)
            config = {**config, **own}
        return config

    def compile_from_config(self, config):
        """Compiles the distiller as `get_compile_config` described."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def get_build_config(self):
        """Returns the shapes of a batch, where the models don't describe their inputs."""
        config = super().get_build_config() or {}
        if self._batch_spec is not None:
            config["batch_spec"] = keras.tree.map_structure(
                lambda spec: {"shape": list(spec.shape), "dtype": spec.dtype},
                self._batch_spec,
            )
        return config

    def build_from_config(self, config):
        """Builds the student and the projectors as `get_build_config` described."""
        spec = config.pop("batch_spec", None)
        if spec is not None:
            self.prepare(read_spec(spec))
        elif config:
            super().build_from_config(config)


class SavesItsModels(SavesItsSettings):
    """Mixin for a `ConnectedModel` that is made of a teacher, a student and distillation losses."""

    def get_config(self):
        """Returns the constructor's arguments, both models among them."""
        serialize = keras.saving.serialize_keras_object
        losses = weights = None
        if not self._is_tutorial_form:
            losses, weights = serialize_losses(
                self.distillation_losses, self.distillation_loss_weights
            )
        config = {
            "teacher": serialized(self.teacher),
            "student": serialize(self.student),
            "distillation_losses": losses,
            "distillation_loss_weights": weights,
            # In the tutorial's form `compile` gives it, as alpha.
            "student_loss_weight": 0.5
            if self._is_tutorial_form
            else schedule.serialize(self.student_loss_weight),
            "teacher_input": serialize_input_function(self.teacher_input),
            "student_input": serialize_input_function(self.student_input),
            "sample_index": serialize_input_function(self.sample_index),
            "label_key": self.label_key,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Returns the distiller that `get_config` described."""
        config = dict(config)
        deserialize = keras.saving.deserialize_keras_object
        for key in (*_SERIALIZED, "dtype"):
            if isinstance(config.get(key), dict):
                config[key] = deserialize(config[key], custom_objects)
        if "student_loss_weight" in config:
            config["student_loss_weight"] = schedule.deserialize(config["student_loss_weight"])
        if config["distillation_losses"] is not None:
            known = [config[name] for name in _LOSSES]
            config |= zip(_LOSSES, deserialize_losses(*known, custom_objects), strict=True)
        return cls(**config)


def serialize_losses(losses, weights):
    """Returns distillation losses and their weights in a form that `json` can write.

    Args:
        losses: List of distillation losses.
        weights: List of their weights.

    Returns:
        Tuple of two lists.
    """
    losses = [keras.saving.serialize_keras_object(loss) for loss in losses]
    return losses, [loss_weights.serialize(weight) for weight in weights]


def deserialize_losses(losses, weights, custom_objects=None):
    """Returns the distillation losses and the weights that `serialize_losses` gave.

    Args:
        losses: List of serialized losses.
        weights: List of serialized weights.
        custom_objects: As for `keras.saving.deserialize_keras_object`.

    Returns:
        Tuple of two lists.
    """
    deserialize = keras.saving.deserialize_keras_object
    losses = [deserialize(loss, custom_objects) for loss in losses]
    return losses, [schedule.deserialize(weight) for weight in weights]


def serialize_input_function(input_function):
    """Returns how something is taken from a batch, in a form that `json` can write.

    Args:
        input_function: A function, a key, or `None`.
    """
    return (
        keras.saving.serialize_keras_object(input_function)
        if callable(input_function)
        else input_function
    )
