"""Neuron selectivity transfer."""

import keras

from keras_distill.losses import functional
from keras_distill.losses.layer_pairs import PairedLoss


@keras.saving.register_keras_serializable("keras_distill")
class NeuronSelectivity(PairedLoss):
    """Matches the distributions of the channels' spatial patterns.

    Each channel's pattern over space is brought to unit length, and the loss is the squared
    maximum mean discrepancy of the two sets of patterns, with the kernel (xᵀy)², so that numbers
    of channels may differ. Larger maps are resized to the smaller. RepDistiller
    weighs it 50. It costs three matrix products over all pairs of channels.

    Args:
        teacher_layer_name: Path of the teacher's layer, shape `(batch, *space, channels)`, a list
            of paths, or `"auto"`: the last activation of the last spatial stage.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If features have no spatial axis.

    Example:

    ```python
    loss = NeuronSelectivity("conv4", "conv2")
    assert loss.compute_loss(np.random.rand(2, 4, 4, 16), np.random.rand(2, 4, 4, 3)) > 0
    ```

    Reference:
        Huang & Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer",
        2017.
    """

    automatic_layers = "last_stage"
    taps = "spatial layers, any channels and sizes"
    padding = "zeros"
    needs_space = True

    def compare(self, teacher, student, context):
        """Computes the squared maximum mean discrepancy."""
        return functional.neuron_selectivity(teacher, student)
