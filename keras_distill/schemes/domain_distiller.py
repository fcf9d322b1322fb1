"""DomainDistiller: a teacher's answers on unlabeled samples of another domain."""

import dataclasses
import inspect
from typing import Any, Self

import keras
import tensorflow as tf
from keras import ops

from keras_distill.arguments import shown
from keras_distill.datasets import with_unlabeled
from keras_distill.distiller import Distiller
from keras_distill.losses import schedule
from keras_distill.losses.masks import with_rank
from keras_distill.losses.tensors import as_float
from keras_distill.schemes.correlation_alignment import CorrelationAlignment
from keras_distill.training import loss_weights
from keras_distill.training.checks import Checks


@keras.saving.register_keras_serializable("keras_distill")
class DomainDistiller(Distiller):
    """Distillation into another domain: labels of the source, a teacher's answers on the target.

    Each batch holds labeled samples of the source and unlabeled ones of the target, the domain
    that the student is for. The student learns the labels of the source, and the teacher's answers
    to both. A target sample whose answer the teacher is less sure of than `confidence_threshold`
    is left out of the distillation losses. With `alignment`, a layer of the student, the
    covariances of its features in the two domains are drawn together (CORAL).

    `fit((source, target))` makes the batches with `datasets.with_unlabeled`. It also takes data
    sets of such batches, where a sample without a label (see `Distiller`) is one of the target.
    Everything else is that of a `Distiller`; with an alignment, the history has
    `correlation_alignment`, without its weight.

    Args:
        teacher: As for `Distiller`.
        student: As for `Distiller`.
        distillation_losses: As for `Distiller`; by default `"auto"`.
        distillation_loss_weights: As for `Distiller`, without that of the alignment.
        student_loss_weight: As for `Distiller`; by default `None`, the sum of all losses.
        confidence_threshold: Least probability of the teacher's likeliest class, at T = 1, at
            which a target sample teaches, in [0, 1]; 0 for all. Means stay those over the whole
            batch. A loss that relates samples to each other still sees the others.
        alignment: Path of the layer of the student whose features are aligned, such as its
            embedding; `None` for no alignment.
        alignment_weight: Weight of the alignment, as one of `distillation_loss_weights`; by default
            1. The paper's makes it about as large as the labels' loss at the end.
        teacher_input: As for `Distiller`.
        student_input: As for `Distiller`.
        sample_index: As for `Distiller`.
        label_key: As for `Distiller`.
        name: Name of the model.
        **kwargs: Arguments of `keras.Model`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If a number is out of bounds, or a threshold has no teacher, or a weight no
            alignment to act on.

    Example:

    ```python
    teacher, student = (
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="embedding")])
        for _ in range(2)
    )
    for model in (teacher, student):
        model.add(keras.layers.Dense(3))
    source = np.random.rand(32, 4), np.random.randint(0, 3, 32)
    target = np.random.rand(64, 4) + 0.5
    distiller = DomainDistiller(
        teacher, student, confidence_threshold=0.4, alignment="embedding", alignment_weight=10.0
    )
    distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = distiller.fit((source, target), batch_size=16, verbose=0).history
    assert "correlation_alignment" in history
    ```

    Reference:
        - Asami et al., "Domain Adaptation of DNN Acoustic Models Using Knowledge Distillation",
          ICASSP 2017.
        - Sun, Saenko, "Deep CORAL: Correlation Alignment for Deep Domain Adaptation", ECCV
          Workshops 2016.
        - French, Mackiewicz, Fisher, "Self-Ensembling for Visual Domain Adaptation", ICLR 2018,
          for the threshold.
    """

    def __init__(
        self,
        teacher: Any,
        student: keras.Model,
        distillation_losses: Any = None,
        distillation_loss_weights: Any = None,
        student_loss_weight: Any = None,
        confidence_threshold: float = 0.0,
        alignment: str | None = None,
        alignment_weight: Any = None,
        teacher_input: Any = None,
        student_input: Any = None,
        sample_index: Any = None,
        label_key: str | None = None,
        name: str = "domain_distiller",
        **kwargs: Any,
    ):
        threshold = schedule.check_constant(
            "confidence_threshold", confidence_threshold, low=0, high=1
        )
        if threshold and teacher is None:
            raise ValueError(
                "confidence_threshold is for the answers of a teacher, and there is none. "
                f"Received: confidence_threshold={threshold}, teacher=None"
            )
        losses, weights = _with_alignment(
            "auto" if distillation_losses is None else distillation_losses,
            distillation_loss_weights,
            alignment,
            alignment_weight,
        )
        super().__init__(
            teacher,
            student,
            losses,
            weights,
            student_loss_weight,
            teacher_input,
            student_input,
            sample_index,
            label_key,
            name,
            **kwargs,
        )
        self.confidence_threshold, self.alignment = threshold, alignment

    def fit(
        self, x: Any = None, y: Any = None, batch_size: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Trains the student, as `keras.Model.fit`.

        Args:
            x: Tuple `(source, target)`. `source` is a tuple of arrays `(x, y)` or
                `(x, y, sample_weight)`, or a `tf.data.Dataset` of batches of these. `target` is
                arrays `x`, a tuple `(x, y)` whose labels aren't used, or a data set of batches of
                either. Or any data of `keras.Model.fit`, whose samples without a label are those of
                the target.
            y: Labels, where `x` is no such tuple.
            batch_size: Samples of each domain in a batch, for arrays.
            *args: Further arguments of `keras.Model.fit`.
            **kwargs: Further arguments of `keras.Model.fit`.

        Raises:
            TypeError: If a domain's data are of the wrong type.
            ValueError: If the data of the two domains can't be put together, or arrays are not to
                be shuffled.
        """
        if not isinstance(x, tuple) or len(x) != 2 or y is not None:
            return super().fit(x, y, batch_size, *args, **kwargs)
        bound = inspect.signature(keras.Model.fit).bind(self, x, y, batch_size, *args, **kwargs)
        given = bound.arguments
        if not given.get("shuffle", True):
            raise ValueError(
                "Arrays of a source and a target are shuffled: give data sets of batches for an "
                f"order of your own. Received: shuffle={given['shuffle']}"
            )
        # Kept, as `diagnose` looks at the data of the last training while they are there.
        self._domains = _joined(*x, batch_size)
        # Keras warns that it shuffles no data set.
        given |= {"x": self._domains, "batch_size": None, "shuffle": False}
        _, *rest = bound.args
        return super().fit(*rest, **bound.kwargs)

    def _total_of(self, learner, forwards, batch, training, tape):
        if self.confidence_threshold and self._are_asked(forwards):
            weights = self._weights_of_sure_samples(learner, forwards, batch)
            batch = dataclasses.replace(batch, sample_weight=weights)
        return super()._total_of(learner, forwards, batch, training, tape)

    def _weights_of_sure_samples(self, learner, forwards, batch):
        """Returns sample weights that are 0 where the teacher isn't sure of a target sample."""
        edge, student = self._edge, forwards[learner.branch]
        labels = learner.labels(batch, student.output, self.label_key)
        checks = Checks(self.is_under_xla)
        source = edge.source.with_labels(edge.source.as_source(forwards), labels, checks)
        logits = edge.logits(source, student)
        if logits is None or labels.kinds[0] in ("sigmoid", "numbers"):
            raise ValueError(
                "confidence_threshold needs one output of exclusive classes, of which the teacher "
                "has a likeliest one: leave it out for other models. Received: "
                f"confidence_threshold={self.confidence_threshold}, outputs {labels.kinds}"
            )
        confidence = ops.max(ops.softmax(as_float(logits[0]), axis=-1), axis=-1)
        counts = confidence >= self.confidence_threshold
        if batch.y is not None:
            has_label = labels.has_class[0]
            counts = ops.ones_like(counts) if has_label is None else counts | has_label
        counts, given = ops.cast(counts, "float32"), labels.weights[0]
        if given is None:
            return counts
        rank = max(len(counts.shape), len(given.shape))
        return with_rank(counts, rank) * with_rank(ops.cast(given, "float32"), rank)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, both models among them."""
        config = super().get_config()
        own = {"confidence_threshold": self.confidence_threshold, "alignment": self.alignment}
        if self.alignment is not None:
            *losses, _ = config["distillation_losses"]
            *weights, own["alignment_weight"] = config["distillation_loss_weights"]
            own |= {"distillation_losses": losses, "distillation_loss_weights": weights}
        return {**config, **own}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """Returns the distiller that `get_config` described."""
        weight = schedule.deserialize(config.get("alignment_weight"))
        return super().from_config({**config, "alignment_weight": weight}, custom_objects)


def _with_alignment(losses, weights, alignment, alignment_weight):
    """Returns the distillation losses and their weights, the alignment's behind the others."""
    if alignment is None:
        if alignment_weight is not None:
            raise ValueError(
                "alignment_weight weighs an alignment: name the layer that is aligned with "
                f"alignment=. Received: alignment_weight={shown(alignment_weight)}, alignment=None"
            )
        return losses, weights
    if not isinstance(alignment, str) or not alignment:
        raise TypeError(
            "alignment must be the path of a layer of the student, or None. "
            f"Received: alignment={shown(alignment)}"
        )
    losses = list(losses) if isinstance(losses, (list, tuple)) else [losses]
    weights = loss_weights.checked_weights(weights, len(losses))
    own = 1.0 if alignment_weight is None else alignment_weight
    own = loss_weights.checked_weight("alignment_weight", own)
    return [*losses, CorrelationAlignment(alignment)], [*weights, own]


def _joined(source, target, batch_size):
    """Returns the data set of batches of both domains."""
    is_dataset = [isinstance(domain, tf.data.Dataset) for domain in (source, target)]
    if not is_dataset[0] and (not isinstance(source, tuple) or len(source) not in (2, 3)):
        raise TypeError(
            "source must be a tuple of arrays (x, y) or (x, y, sample_weight), or a "
            f"tf.data.Dataset of batches of these. Received: source={shown(source)}"
        )
    if isinstance(target, tuple):
        target = target[0] if target else None
    # Where neither is arrays, a batch size is refused there.
    sizes = {
        "batch_size": None if is_dataset[0] and not is_dataset[1] else batch_size,
        "unlabeled_batch_size": None if is_dataset[1] else batch_size,
    }
    return with_unlabeled(source, target, **sizes)
