"""Contrastive representation distillation."""

import math
from typing import Any

import keras
from keras import ops

from keras_distill.arguments import check_count
from keras_distill.losses import schedule
from keras_distill.losses.adapters import ConvolutionStack
from keras_distill.losses.argument_types import LayerNames, Number
from keras_distill.losses.context import LossContext
from keras_distill.losses.loss import DistillationLoss
from keras_distill.losses.tensors import as_floats, flatten, size_or_unknown, unit


def in_batch_contrast(teacher_embeddings, student_embeddings, temperature=0.07):
    """Cross-entropy of finding a sample's own partner in the batch, in both directions.

    Args:
        teacher_embeddings: Tensor of shape `(batch, size)`.
        student_embeddings: Tensor of the same shape.
        temperature: Divides the cosines.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Tian, Krishnan, Isola, "Contrastive Representation Distillation", ICLR 2020.
    """
    teacher, student = (unit(side) for side in as_floats(teacher_embeddings, student_embeddings))
    temperature = ops.cast(temperature, student.dtype)
    similarity = student @ ops.transpose(teacher) / temperature
    own = ops.sum(student * teacher, axis=-1) / temperature
    to_teacher = ops.logsumexp(similarity, axis=1) - own
    to_student = ops.logsumexp(similarity, axis=0) - own
    return to_teacher + to_student


def noise_contrast(positive, negatives, normalizer, samples):
    """Noise-contrastive estimation: tells a sample's partner from random ones.

    Args:
        positive: Tensor of shape `(batch,)`: `log exp(aᵀb / τ)` of the true partner.
        negatives: Tensor of shape `(batch, drawn)`: the same of drawn samples; `-inf` leaves one
            out.
        normalizer: Scalar, the logarithm of the constant Z that makes them probabilities.
        samples: Number of samples that are drawn from.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Tian, Krishnan, Isola, "Contrastive Representation Distillation", ICLR 2020.
    """
    drawn = negatives.shape[-1]
    # log of (drawn / samples), the rate of the noise, against log p: a logistic regression.
    log_noise = math.log(drawn / samples)
    true = ops.softplus(log_noise - (positive - normalizer))
    false = ops.sum(ops.softplus((negatives - normalizer) - log_noise), axis=-1)
    return true + false


@keras.saving.register_keras_serializable("keras_distill")
class ContrastiveRepresentation(DistillationLoss):
    """Contrast of embeddings: InfoNCE within the batch, or the paper's NCE with a memory bank.

    Both models' embeddings of a sample become alike, and unlike those of other samples. Each
    embedding is mapped linearly to `size` numbers of unit length.

    - `samples=None`, the default and what the name `"crd"` gives: a sample's partner in the other
      model is told from the other samples of the batch, by cross-entropy (InfoNCE). The paper
      doesn't have this form, which needs no index.
    - `samples=N`: the paper's noise-contrastive estimation. The partner is told from `negatives`
      random samples, 16,384 in the paper, whose embeddings a memory bank keeps as running means;
      that needs the index of each sample, see `sample_index` of the `Distiller`.

    Both directions, student to teacher and back, are summed. The paper weighs the loss 0.8 beside
    the labels'. Its code draws the negatives from other classes, and takes the partner from the
    memory; here the negatives are all samples but the sample itself, and the partner is the current
    embedding, held fixed as the memory is, so that each map learns as an anchor only. The bank
    costs memory of 2 · N · size numbers, a step 2 · batch · negatives · size.

    Args:
        samples: Number of samples in the training set for a memory bank, or `None`.
        negatives: Number of random samples to tell from, at most `samples - 1`.
        temperature: Divides the cosines, positive number or
            `keras.optimizers.schedules.LearningRateSchedule`.
        momentum: How much of a remembered embedding stays at each update, from 0 to 1.
        size: Number of values that the embeddings are mapped to.
        teacher_layer_name: Path of the teacher's embedding, any shape `(batch, ...)`, or
            `"auto"`: what enters the last dense layer.
        student_layer_name: The same for the student.
        seed: Integer seed of the draws and of the bank's start.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If an argument isn't a number.
        ValueError: If an argument is out of bounds; when called with a memory bank, if there are
            no sample indices.

    Example:

    ```python
    loss = ContrastiveRepresentation(samples=100, negatives=10, size=8)
    teacher, student = np.random.rand(4, 16), np.random.rand(4, 6)
    assert loss.compute_loss(teacher, student, indices=np.array([3, 1, 99, 0])) > 0
    ```

    Reference:
        Tian, Krishnan, Isola, "Contrastive Representation Distillation", ICLR 2020.
    """

    automatic_layers = "embedding"
    taps = "embeddings, any sizes; with a memory bank sample indices"

    def __init__(
        self,
        samples: int | None = None,
        negatives: int = 16384,
        temperature: Number = 0.07,
        momentum: float = 0.5,
        size: int = 128,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        seed: int = 0,
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        hint = schedule.layer_hint(samples)
        self.samples = None if samples is None else check_count("samples", samples, 2, 2**31, hint)
        self.negatives = check_count("negatives", negatives, high=2**31)
        self.temperature = schedule.check_temperature(temperature)
        self.momentum = schedule.check_constant("momentum", momentum, low=0, high=1)
        self.size = check_count("size", size, high=2**20)
        self.seed = schedule.check_seed(seed)
        self._heads = [
            ConvolutionStack(name=f"{self.name}_{side}") for side in ("teacher", "student")
        ]
        self._bank = None
        if samples is not None:
            self._bank = MemoryBank(
                samples, min(negatives, samples - 1), size, momentum, seed, f"{self.name}_bank"
            )

    @property
    def needs_indices(self) -> bool:
        """Whether sample indices are needed: with a memory bank."""
        return self._bank is not None

    @property
    def own_layers(self) -> list[keras.Layer]:
        """List of the two linear maps, and of the memory bank if there is one."""
        return self._heads + ([] if self._bank is None else [self._bank])

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Builds the linear maps and the memory bank."""
        for head, shape in zip(self._heads, (teacher_shapes, student_shapes), strict=True):
            if isinstance(shape, list) or None in shape[1:]:
                raise self.shape_error(
                    teacher_shapes, student_shapes, "needs one embedding of known size per side."
                )
            head.match([self.size], (None, size_or_unknown(shape[1:])))
        if self._bank is not None and not self._bank.built:
            self._bank.build()

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the contrastive loss of both directions."""
        teacher, student = (
            unit(head(flatten(side)))
            for head, side in zip(self._heads, (teacher, student), strict=True)
        )
        if self._bank is None:
            temperature = schedule.value_at(self.temperature, context.step)
            return in_batch_contrast(teacher, student, temperature)
        if context.indices is None:
            raise ValueError(
                "ContrastiveRepresentation(samples=...) needs the index of each sample in the "
                "training set: give batches with an index and Distiller(sample_index=...), see "
                "keras_distill.datasets.with_sample_index, or samples=None to contrast within the "
                "batch."
            )
        return self._contrast_with_bank(teacher, student, context)

    def _contrast_with_bank(self, teacher, student, context):
        remembered = self._bank.draw(context.indices, context.training)
        temperature = schedule.value_at(self.temperature, context.step)
        total = 0.0
        sides = ((student, teacher, "teacher"), (teacher, student, "student"))
        for anchor, partner, side in sides:
            vectors, is_own = remembered[side]
            positive = ops.sum(anchor * ops.stop_gradient(partner), axis=-1) / temperature
            negatives = ops.einsum("bd,bnd->bn", anchor, vectors) / temperature
            normalizer = self._bank.normalizer(side, negatives, context.training)
            negatives = ops.where(is_own, -1e30, negatives)
            total = total + noise_contrast(positive, negatives, normalizer, self.samples)
        if context.training:
            self._bank.remember(context.indices, teacher, student)
        return total


@keras.saving.register_keras_serializable("keras_distill")
class MemoryBank(keras.layers.Layer):
    """Remembers the embeddings of all samples of a training set, for both models.

    Args:
        samples: Number of samples.
        negatives: Number of samples that are drawn for each anchor.
        size: Number of values of an embedding.
        momentum: How much of a remembered embedding stays at each update.
        seed: Integer seed of the draws and of the start.
        name: Name of the layer.
    """

    def __init__(self, samples, negatives, size, momentum=0.5, seed=0, name=None):
        super().__init__(name=name, dtype="float32", trainable=False)
        self.samples = samples
        self.negatives = negatives
        self.size = size
        self.momentum = momentum
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape=None):
        """Creates the memory, random unit vectors, and the constants that normalize."""
        self.memory = {}
        self.log_constants = {}
        for index, side in enumerate(("teacher", "student")):
            start = keras.random.normal((self.samples, self.size), seed=self.seed + index)
            memory = self.add_weight(
                shape=(self.samples, self.size), trainable=False, name=f"{side}_memory"
            )
            memory.assign(unit(start))
            self.memory[side] = memory
            self.log_constants[side] = self.add_weight(
                shape=(), initializer="zeros", trainable=False, name=f"{side}_log_constant"
            )
        self.built = True

    def draw(self, indices, training=False):
        """Returns the remembered embeddings of random samples.

        Args:
            indices: Integer tensor of shape `(batch,)`.
            training: Whether this is a training step; otherwise the draw is always the same.

        Returns:
            Dictionary from `"teacher"` and `"student"` to a tensor of shape
            `(batch, negatives, size)` and a boolean tensor of shape `(batch, negatives)` that is
            true where a sample drew itself.
        """
        shape = (ops.shape(indices)[0], self.negatives)
        seed = self.seed_generator if training else self.seed
        drawn = keras.random.randint(shape, 0, self.samples, seed=seed)
        is_own = ops.equal(drawn, ops.cast(indices, drawn.dtype)[:, None])
        return {
            side: (ops.take(memory, drawn, axis=0), is_own) for side, memory in self.memory.items()
        }

    def normalizer(self, side, scores, training=False):
        """Returns log Z: that of the first training batch, which is kept, as in the paper.

        Args:
            side: `"teacher"` or `"student"`.
            scores: Tensor of shape `(batch, negatives)`, the logarithms of what Z normalizes.
            training: Whether this is a training step.
        """
        kept = self.log_constants[side]
        total = ops.logsumexp(scores) - ops.log(ops.cast(ops.size(scores), "float32"))
        estimate = ops.stop_gradient(total) + ops.log(float(self.samples))
        value = ops.where(ops.equal(kept, 0.0), estimate, kept)
        if training:
            kept.assign(value)
        return value

    def remember(self, indices, teacher, student):
        """Moves the memory of samples towards their new embeddings.

        Args:
            indices: Integer tensor of shape `(batch,)`.
            teacher: Tensor of shape `(batch, size)` of unit rows.
            student: The same of the student.
        """
        for side, rows in (("teacher", teacher), ("student", student)):
            memory = self.memory[side]
            old = ops.take(memory, indices, axis=0)
            new = unit(self.momentum * old + (1.0 - self.momentum) * rows)
            places = ops.cast(ops.reshape(indices, (-1, 1)), "int32")
            memory.assign(ops.scatter_update(memory, places, ops.stop_gradient(new)))
