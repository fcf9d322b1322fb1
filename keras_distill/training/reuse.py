"""Compiled models that train again from the start: tracing a step takes longer than many runs."""

import dataclasses
from typing import Any

import keras


@dataclasses.dataclass(eq=False)
class CompiledModels:
    """A compiled model that trains a student, and the student, where it is wanted beside it.

    Args:
        settings: What both were made with. Only models of equal settings can take each other's
            place.
        model: The distiller, or the student.
        student: The student.
    """

    settings: Any
    model: keras.Model
    student: keras.Model | None = None

    def start_as(self, other):
        """Takes over all variables of new models, so that these are as new.

        Args:
            other: `CompiledModels`, untrained.

        Returns:
            Whether it did. If not, as for models that are built by their first batch, nothing has
            changed.
        """
        if self.settings != other.settings:
            return False
        own, new = self._variables(), other._variables()
        shapes = [[(v.shape, v.dtype) for v in variables] for variables in (own, new)]
        if shapes[0] != shapes[1]:
            return False
        for variable, value in zip(own, new, strict=True):
            if variable is not value:
                variable.assign(value)
        return True

    def _variables(self):
        optimizer = self.model.optimizer
        if self.model.built and not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        return [*self.model.variables, *optimizer.variables]
