"""Hidden states of transformers."""

from typing import Any

import keras
from keras import ops

from keras_distill.arguments import check_choice
from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import ProjectedLoss
from keras_distill.losses.tensors import cosine_distance, mean_squared_error


@keras.saving.register_keras_serializable("keras_distill")
class HiddenStates(ProjectedLoss):
    """Distance of the embeddings and hidden states of transformers, layer by layer.

    `form="mse"`, as in TinyBERT: the mean squared difference, over the unmasked positions and the
    width. `form="cosine"`, as in DistilBERT: one minus the cosine at each position, averaged over
    the unmasked ones. The student's states are mapped to the teacher's width, one linear map per
    pair; TinyBERT's code has one map for all, and counts padded positions too.

    Both papers weigh it 1: TinyBERT the sum over the layers beside `HeadAttention`, DistilBERT the
    last hidden states alone beside the labels' loss and soft targets. It costs the maps.

    Args:
        teacher_layer_name: Path of the teacher's hidden states, shape `(batch, length, width)`, a
            list of paths, or `"auto"`: the embeddings that enter the first attention block and
            what leaves each block, evenly spread over those of the student.
        student_layer_name: The same for the student. Lists are paired in order and summed.
        form: `"mse"` or `"cosine"`.
        projector: `"auto"` makes a `FeatureProjector` where the widths differ, `None` makes a
            difference an error.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If `form` is unknown, or if the states aren't sequences of the same length.

    Example:

    ```python
    loss = HiddenStates("encoder_2", "encoder_1", form="cosine")
    assert loss.compute_loss(np.random.rand(2, 6, 8), np.random.rand(2, 6, 8)) > 0
    ```

    Reference:
        - Jiao et al., "TinyBERT: Distilling BERT for Natural Language Understanding", Findings of
          EMNLP 2020.
        - Sanh et al., "DistilBERT, a distilled version of BERT", 2019.
    """

    automatic_layers = "hidden_states"
    taps = "hidden states of transformers, any widths"
    padding = "mean"

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        form: str = "mse",
        projector: str | None = "auto",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, projector, name)
        self.form = check_choice("form", form, ("mse", "cosine"))

    def check_pair(self, teacher_shape: tuple, student_shape: tuple) -> None:
        """Checks that both are sequences of as many positions."""
        super().check_pair(teacher_shape, student_shape)
        ranks, lengths = {len(teacher_shape), len(student_shape)}, set()
        if ranks == {3}:
            lengths = {teacher_shape[1], student_shape[1]} - {None}
        if ranks != {3} or len(lengths) > 1:
            raise self.shape_error(
                teacher_shape,
                student_shape,
                "hidden states have the shape (batch, length, width), of the same length on both "
                "sides: tap layers before the pooling, and give both models the same sequences.",
            )

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the mean squared difference, or the mean of one minus the cosine."""
        if self.form == "mse":
            return mean_squared_error(teacher, student)
        return ops.mean(cosine_distance(teacher, student), axis=-1)
