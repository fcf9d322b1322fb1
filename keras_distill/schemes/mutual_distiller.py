"""MutualDistiller: students that are trained together and teach each other."""

from collections.abc import Sequence
from typing import Any, Self

import keras

from keras_distill.arguments import shown
from keras_distill.losses import SoftTargets
from keras_distill.schemes.peers import KEPT, Peers, checked_students
from keras_distill.schemes.several_learners import own_losses
from keras_distill.training.edge import Edge
from keras_distill.training.saving import deserialize_losses, serialize_losses


@keras.saving.register_keras_serializable("keras_distill")
class MutualDistiller(Peers):
    """Deep mutual learning: students that are trained together, each taught by all others.

    No trained teacher is needed. In each step every student runs once, learns from the labels and
    from the answers of the others, and all are updated at once: a student gets no gradient from
    what it teaches. With K students the distillation losses of the K - 1 others are averaged, as in
    the paper. The total of a student is that of `Distiller`, with the same arguments.

    `student` is the first student that is trained, which `predict` and `export` use; `students`
    holds all, and `ensemble()` is the mean of their probabilities. The history has what that of
    `Distiller` has for each student, by its number: `student_0_loss` (its total),
    `student_0_student_loss` (the labels'), `student_0_distillation_loss`, `student_0_accuracy`, and
    `student_0_soft_targets_from_1` for a loss by which student 1 teaches it. `loss` is the sum of
    the totals.

    Args:
        students: List of at least two `keras.Model`s, with the same inputs. One whose `trainable`
            is `False` when they are given is a teacher: it teaches and learns nothing.
        distillation_losses: As for `Distiller`, for each ordered pair of students; or a dictionary
            from pairs `(teacher, student)` of their numbers to the losses of each, `{(0, 1): ["kd",
            "at"], (1, 0): "kd"}`. A pair that it doesn't have has none. By default
            `SoftTargets(temperature=1)`, as in the paper.
        distillation_loss_weights: As for `Distiller`, for each pair; or a dictionary like that of
            the losses.
        student_loss_weight: As for `Distiller`; by default `None`, the sum of both losses.
        sample_index: As for `Distiller`.
        label_key: As for `Distiller`.
        name: Name of the model.
        **kwargs: Arguments of `keras.Model`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If there are fewer than two students, none is to be trained, a pair is none of
            them, or models can't be paired.

    Example:

    ```python
    x, y = np.random.rand(32, 4), np.random.randint(0, 3, 32)
    students = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]) for _ in range(2)]
    peers = MutualDistiller(students)
    peers.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = peers.fit(x, y, verbose=0).history
    assert "student_1_soft_targets_from_0" in history
    ```

    Reference:
        Zhang et al., "Deep Mutual Learning", CVPR 2018.
    """

    def __init__(
        self,
        students: Sequence[keras.Model],
        distillation_losses: Any = None,
        distillation_loss_weights: Any = None,
        student_loss_weight: Any = None,
        sample_index: Any = None,
        label_key: str | None = None,
        name: str = "mutual_distiller",
        **kwargs: Any,
    ):
        students = checked_students(students)
        learns = [student.trainable for student in students]
        losses = SoftTargets(1.0) if distillation_losses is None else distillation_losses
        losses = _by_pair("distillation_losses", losses, learns)
        weights = _by_pair("distillation_loss_weights", distillation_loss_weights, learns)
        if unknown := set(weights) - set(losses):
            raise ValueError(
                "distillation_loss_weights has pairs without distillation losses. "
                f"Received: distillation_loss_weights for {sorted(unknown)}"
            )

        # By the student that learns, then by the one that teaches.
        pairs = tuple(sorted(losses, key=lambda pair: pair[::-1]))

        def connect(branches, learns):
            for target in range(len(branches)):
                edges = []
                for pair in pairs:
                    if pair[1] == target:
                        named = f"student_{target}_{{}}_from_{pair[0]}"
                        edge = Edge(own_losses(losses[pair]), weights.get(pair), named)
                        edge.connect(branches[pair[0]], branches[target], KEPT)
                        edges.append(edge)
                if learns[target]:
                    yield target, edges

        super().__init__(
            students, connect, student_loss_weight, sample_index, label_key, name, **kwargs
        )
        self._pairs = pairs

    @property
    def distillation_losses(self) -> dict:
        """Dictionary from pair `(teacher, student)` to the list of its distillation losses."""
        return {pair: edge.losses for pair, edge in zip(self._pairs, self._edges, strict=True)}

    @property
    def distillation_loss_weights(self) -> dict:
        """Dictionary from pair `(teacher, student)` to the list of its losses' weights."""
        return {pair: edge.weights for pair, edge in zip(self._pairs, self._edges, strict=True)}

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, the students among them."""
        edges = zip(self._pairs, self._edges, strict=True)
        losses = [[*pair, *serialize_losses(edge.losses, edge.weights)] for pair, edge in edges]
        # The weights stand beside the losses: JSON has no pairs as keys.
        own = {"distillation_losses": losses, "distillation_loss_weights": None}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """Returns the model that `get_config` described."""
        losses, weights = {}, {}
        for *pair, of_losses, of_weights in config["distillation_losses"]:
            found = deserialize_losses(of_losses, of_weights, custom_objects)
            losses[tuple(pair)], weights[tuple(pair)] = found
        own = {"distillation_losses": losses, "distillation_loss_weights": weights}
        return super().from_config({**config, **own}, custom_objects)


def _by_pair(name, given, learns):
    """Returns a dictionary from ordered pairs of students to what was given for them.

    Args:
        name: The argument.
        given: A dictionary by pairs, or what holds for all.
        learns: List that says which students are trained.

    Raises:
        TypeError: If a key isn't a pair of numbers.
        ValueError: If it isn't a pair of two students, or the second isn't trained.
    """
    count = len(learns)
    pairs = [(i, j) for j in range(count) for i in range(count) if i != j and learns[j]]
    if not isinstance(given, dict):
        return dict.fromkeys(pairs, given)
    if not given:
        raise ValueError(f"{name} is empty: give at least one pair. Received: {name}={{}}")
    for pair in given:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(
                f"The keys of {name} must be pairs (teacher, student) of the students' numbers, as "
                f"in {{(0, 1): ...}}. Received: {name} with the key {shown(pair)}"
            )
        if pair not in pairs:
            raise ValueError(
                f"The keys of {name} must be pairs (teacher, student) of two different students, "
                f"the second of which is trained: {pairs}. "
                f"Received: {name} with the key {shown(pair)}"
            )
    return dict(given)
