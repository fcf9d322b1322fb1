"""OnlineEnsemble: students that are trained together, and taught by the mean of their answers."""

from collections.abc import Sequence
from typing import Any, Self

import keras

from keras_distill.losses import SoftTargets
from keras_distill.schemes.ensemble_branch import PeerMixture, PeersBranch
from keras_distill.schemes.peers import KEPT, Peers, checked_students
from keras_distill.schemes.several_learners import own_losses
from keras_distill.schemes.teacher_ensemble import check_mixing_temperature, checked_shares
from keras_distill.training.edge import Edge
from keras_distill.training.saving import deserialize_losses, serialize_losses


@keras.saving.register_keras_serializable("keras_distill")
class OnlineEnsemble(Peers):
    """Online ensemble: students that are trained together, each taught by the ensemble of all.

    No trained teacher is needed. In each step every student runs once, and learns from the labels
    and from the mean of all students' softened probabilities, its own among them, through which it
    gets no gradient. The total of a student is that of `Distiller`, with the same arguments.

    `student` is the first student that is trained, which `predict` and `export` use; `students`
    holds all, and `ensemble()` is the mean of their probabilities. The history has what that of
    `Distiller` has for each student, by its number: `student_0_loss` (its total),
    `student_0_student_loss`, `student_0_soft_targets`, `student_0_accuracy`. `loss` is the sum of
    the totals.

    ONE's students share their first layers, and a learned gate weighs them; KDCL's are whole models
    and its targets are chosen in several ways. Here students are models, which may share trained
    layers, and the weights are those of `TeacherEnsemble`.

    Args:
        students: List of at least two `keras.Model`s, with the same inputs and outputs of the same
            shape. One whose `trainable` is `False` when they are given is only a part of the
            ensemble.
        distillation_losses: As for `Distiller`; by default `SoftTargets` with `temperature`. A loss
            of layers taps one of the students, by its number or name and the layer: `"0/conv4"`.
        distillation_loss_weights: As for `Distiller`.
        weights: How much each student counts in the ensemble, as for `TeacherEnsemble`:
            `"uniform"`, a list of numbers, `"entropy"` or `"confidence"`.
        temperature: Temperature at which probabilities are averaged: that of the losses, positive;
            3 as in ONE. `None` averages the logits, as in KDCL.
        student_loss_weight: As for `Distiller`; by default `None`, the sum of both losses.
        sample_index: As for `Distiller`.
        label_key: As for `Distiller`.
        name: Name of the model.
        **kwargs: Arguments of `keras.Model`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If there are fewer than two students, none is to be trained, or their inputs or
            outputs differ in shape.

    Example:

    ```python
    x, y = np.random.rand(32, 4), np.random.randint(0, 3, 32)
    students = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]) for _ in range(3)]
    peers = OnlineEnsemble(students, weights="entropy")
    peers.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = peers.fit(x, y, verbose=0).history
    assert "student_2_soft_targets" in history
    ```

    Reference:
        - Lan et al., "Knowledge Distillation by On-the-Fly Native Ensemble", NeurIPS 2018.
        - Guo et al., "Online Knowledge Distillation via Collaborative Learning", CVPR 2020.
    """

    def __init__(
        self,
        students: Sequence[keras.Model],
        distillation_losses: Any = None,
        distillation_loss_weights: Any = None,
        weights: str | Sequence[float] = "uniform",
        temperature: float | None = 3.0,
        student_loss_weight: Any = None,
        sample_index: Any = None,
        label_key: str | None = None,
        name: str = "online_ensemble",
        **kwargs: Any,
    ):
        students = checked_students(students)
        mixing, shares = checked_shares(weights, len(students))
        check_mixing_temperature(temperature)
        if distillation_losses is None:
            distillation_losses = SoftTargets(temperature or 1.0)

        def connect(branches, learns):
            ensemble = PeersBranch(PeerMixture(mixing, shares, temperature), branches)
            for index, branch in enumerate(branches):
                if learns[index]:
                    own = own_losses(distillation_losses)
                    edge = Edge(own, distillation_loss_weights, f"student_{index}_{{}}")
                    edge.connect(ensemble, branch, KEPT)
                    yield index, [edge]

        super().__init__(
            students, connect, student_loss_weight, sample_index, label_key, name, **kwargs
        )
        self.mixing, self.shares, self.temperature = mixing, shares, temperature

    @property
    def distillation_losses(self) -> list:
        """List of the distillation losses by which the ensemble teaches each student."""
        return self._edges[0].losses

    @property
    def distillation_loss_weights(self) -> list:
        """List of the weights, a number, schedule or `Balanced` per distillation loss."""
        return self._edges[0].weights

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, the students among them."""
        losses, weights = serialize_losses(self.distillation_losses, self.distillation_loss_weights)
        return {
            **super().get_config(),
            "distillation_losses": losses,
            "distillation_loss_weights": weights,
            "weights": self.mixing or list(self.shares),
            "temperature": self.temperature,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """Returns the model that `get_config` described."""
        names = ("distillation_losses", "distillation_loss_weights")
        own = deserialize_losses(config[names[0]], config[names[1]], custom_objects)
        return super().from_config({**config, **dict(zip(names, own, strict=True))}, custom_objects)
