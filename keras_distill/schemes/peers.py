"""Peers: students that are trained together, each a learner of its own."""

from typing import Any

import keras

from keras_distill._compat import set_own_trainable
from keras_distill.arguments import check_model, shown
from keras_distill.features.layer_paths import symbolic
from keras_distill.features.model_branch import ModelBranch
from keras_distill.losses.loss import same_shapes
from keras_distill.schemes.several_learners import SeveralLearners
from keras_distill.schemes.teacher_ensemble import TeacherEnsemble
from keras_distill.training.freezing import check_shares_nothing
from keras_distill.training.learner import Learner

# What `Edge.connect` says of a student whose model a loss would replace.
KEPT = "A student that teaches others"


class Peers(SeveralLearners):
    """Students that are trained together, in one step that runs each of them once.

    A subclass adds its own arguments to `get_config`.

    Args:
        students: List as of `checked_students`.
        connect: Function of the list of all students' branches, and of which of them are trained,
            that yields the number of each one that is, and the list of the connected edges into it.
        student_loss_weight: As for `Distiller`.
        sample_index: As for `Distiller`.
        label_key: As for `Distiller`.
        name: Name of the model.
        **kwargs: Arguments of `keras.Model`.
    """

    def __init__(
        self, students, connect, student_loss_weight, sample_index, label_key, name, **kwargs
    ):
        learns = [student.trainable for student in students]
        first = students[learns.index(True)]
        super().__init__(first, student_loss_weight, sample_index, label_key, name, **kwargs)
        self.students = students
        branches = [
            ModelBranch(student, f"students[{index}]") for index, student in enumerate(students)
        ]
        for branch in branches:
            # One in no pair runs all the same.
            branch.tap([])
        learners = [
            Learner(branches[index], edges, f"student_{index}")
            for index, edges in connect(branches, learns)
        ]
        self._set_learners(learners)
        self.built = self._are_models_built and not self._are_shapes_unknown

    @property
    def student(self) -> keras.Model:
        """The first student that is trained, which `predict`, `export` and calls use."""
        return self._learners[0].branch.model

    @property
    def trained_models(self) -> dict[str, keras.Model]:
        """Dictionary of the students that are trained, `student_0` and so on."""
        return {learner.name: learner.branch.model for learner in self._learners}

    def ensemble(self, weights: Any = "uniform") -> TeacherEnsemble:
        """Returns the mean of all students' probabilities, a model to predict with.

        Args:
            weights: As for `TeacherEnsemble`.
        """
        return TeacherEnsemble(list(self.students), weights, temperature=1.0)

    @property
    def _learning(self):
        return [learner.branch.model for learner in self._learners]

    def _check_sharing(self):
        for frozen in self._frozen:
            for learner in self._learners:
                check_shares_nothing(frozen.model, learner.branch.model)

    def get_config(self):
        """Returns the constructor's arguments, the students among them."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "students": [serialize(student) for student in self.students],
            "learns": [student in self._learning for student in self.students],
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Returns the model that `get_config` described."""
        deserialize = keras.saving.deserialize_keras_object
        config = dict(config)
        config["students"] = [deserialize(each, custom_objects) for each in config["students"]]
        for student, learns in zip(config["students"], config.pop("learns"), strict=True):
            # Keras doesn't save it of every kind of model.
            set_own_trainable(student, learns)
        return super().from_config(config, custom_objects)


def checked_students(students):
    """Returns the list of the students that are trained together.

    Args:
        students: What was given.

    Raises:
        TypeError: If it isn't a list of `keras.Model`s.
        ValueError: If there are fewer than two, one is there twice, none is to be trained, or their
            inputs differ in shape.
    """
    if not isinstance(students, (list, tuple)):
        raise TypeError(
            f"students must be a list of keras.Models. Received: students={shown(students)}"
        )
    if len(students) < 2:
        raise ValueError(
            "students must hold at least two models, which teach each other. "
            f"Received: students={shown(students)}"
        )
    for index, student in enumerate(students):
        check_model(f"students[{index}]", student)
    if len({id(student) for student in students}) < len(students):
        raise ValueError(
            "students holds one model twice: give a model of its own for each, for example "
            f"keras.models.clone_model(...). Received: students={shown(students)}"
        )
    if not any(student.trainable for student in students):
        raise ValueError(
            "No student is to be trained: set trainable = True on those that are to learn. "
            f"Received: students={shown(students)}, all with trainable=False"
        )
    described = [symbolic(student, "input") for student in students]
    shapes = [
        [tuple(tensor.shape)[1:] for tensor in keras.tree.flatten(inputs)]
        for inputs in described
        if inputs is not None
    ]
    if any(not same_shapes(shapes[0], other) for other in shapes[1:]):
        raise ValueError(
            "All students get the same inputs, and these take inputs of different shapes: put "
            "what fits them (a Resizing layer, ...) at the start of a model around them. "
            f"Received: students with inputs of the shapes {shapes}"
        )
    return list(students)
