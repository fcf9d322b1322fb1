"""The teacher's side of a distillation whose teacher is a cache."""

from keras_distill._compat import set_mask
from keras_distill.cache.batch import CachedBatch
from keras_distill.cache.targets import filled, reduction_of


class CachedSide:
    """What a cache holds, in the place of a teacher that runs.

    Args:
        cache: `TeacherCache`.
        losses: List of distillation losses, their layers chosen.

    Raises:
        ValueError: If the cache doesn't hold what a loss needs.
    """

    symbolic_inputs = ()
    model = None

    def __init__(self, cache, losses):
        self._cache = cache
        self.output_activation = cache.output_activation(None)
        self.shapes = CachedObservation(cache, lambda target: (None, *target.shape))
        for loss in losses:
            self.shapes.pick(getattr(loss, "teacher_layer_name", None), loss)

    def inputs_of(self, x):
        """Returns `x`."""
        return x

    def activation_of(self, layer_name, loss=None):
        """Names the activation of what a loss taps, or of what the cache keeps of it.

        Args:
            layer_name: What the loss taps.
            loss: The loss, if the activation of what the cache keeps is asked for.
        """
        paths = layer_name if isinstance(layer_name, list) else [layer_name]
        found = [self._cache.output_activation(path) for path in paths]
        output_activation = found[0] if all(each == found[0] for each in found) else None
        keeps_logits = loss is not None and reduction_of(loss, output_activation) == "logits"
        return "linear" if keeps_logits else output_activation

    def learn_shapes(self, inputs=None):
        """They are known."""

    def learn_from(self, observation):
        """There is nothing to learn."""

    def observe(self, x, training):
        """Returns what the cache holds of a batch.

        Args:
            x: `CachedBatch`.
            training: Ignored.

        Raises:
            ValueError: If the batch isn't joined.
        """
        if not isinstance(x, CachedBatch):
            raise ValueError(
                "This distiller's teacher is a TeacherCache, so its batches must be joined with "
                "it: distiller.fit(cache.join(dataset))."
            )
        if len(x.index.shape) != 1:
            raise ValueError(
                "cache.join(dataset) of single samples gives single samples, and fit takes "
                "batches: cache.join(dataset).shuffle(10_000).batch(32)."
            )
        return CachedObservation(self._cache, lambda target: self._unpacked(target, x.targets))

    def _unpacked(self, target, targets):
        """Returns a tensor with the Keras mask that the teacher's had."""
        tensor, mask = target.unpack(targets), self._cache.mask_of(target)
        if mask is not None:
            set_mask(tensor, mask.unpack(targets))
        return tensor

    def check_kinds(self, kinds):
        """Checks that what the cache keeps suits the student's outputs.

        Args:
            kinds: List with the kind of each output, as in `LossContext`.

        Raises:
            ValueError: If it keeps the largest logits alone, and an output is independent labels.
        """
        if "sigmoid" in kinds and any(target.top_k is not None for target in self._cache.targets):
            raise ValueError(
                "The student learns independent labels, and of the teacher's outputs this cache "
                "keeps the largest alone, as of exclusive classes: build one with top_k=None. "
                f"Received: top_k={self._cache.made_of['top_k']}"
            )


class CachedObservation:
    """What a cache holds of a batch, picked as from an `Observation`.

    Args:
        cache: `TeacherCache`.
        value: Function from a target to its value.
    """

    input_gradient = None

    def __init__(self, cache, value):
        self._cache = cache
        self._value = value

    def pick(self, layer_name, loss=None):
        """Returns what a loss taps, reduced as it may be.

        Args:
            layer_name: `None` for the output, a path or a list of paths.
            loss: The loss.

        Raises:
            ValueError: If the cache doesn't hold it.
        """
        if isinstance(layer_name, list):
            return [self.pick(path, loss) for path in layer_name]
        wanted = (
            reduction_of(loss, self._cache.output_activation(layer_name))
            if loss is not None
            else ""
        )
        values = [
            self._value(target) for target in self._cache.targets_for(layer_name, wanted, loss)
        ]
        return filled(self._cache.outputs, values) if layer_name is None else values[0]
