"""The teacher's side of a distillation whose teacher is a cache."""

from keras_distill.cache.joined import Joined
from keras_distill.cache.parts import filled, reduction_of


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
        self.ends_in = cache.ends_in(None)
        self.shapes = CachedObservation(cache, lambda part: (None, *part.shape))
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
        found = {self._cache.ends_in(path) for path in paths}
        ends_in = found.pop() if len(found) == 1 else None
        keeps_logits = loss is not None and reduction_of(loss, ends_in) == "logits"
        return "linear" if keeps_logits else ends_in

    def learn_shapes(self, inputs=None):
        """They are known."""

    def learn_from(self, observation):
        """There is nothing to learn."""

    def observe(self, x, training):
        """Returns what the cache holds of a batch.

        Args:
            x: `Joined`.
            training: Ignored.

        Raises:
            ValueError: If the batch isn't joined.
        """
        if not isinstance(x, Joined):
            raise ValueError(
                "This distiller's teacher is a TeacherCache, so its batches must be joined with "
                "it: distiller.fit(cache.join(dataset))."
            )
        if len(x.place.shape) != 1:
            raise ValueError(
                "cache.join(dataset) of single samples gives single samples, and fit takes "
                "batches: cache.join(dataset).shuffle(10_000).batch(32)."
            )
        return CachedObservation(self._cache, lambda part: part.unpack(x.taught))


class CachedObservation:
    """What a cache holds of a batch, picked as from an `Observation`.

    Args:
        cache: `TeacherCache`.
        value: Function from a part to its value.
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
        wanted = reduction_of(loss, self._cache.ends_in(layer_name)) if loss is not None else ""
        values = [self._value(part) for part in self._cache.parts_for(layer_name, wanted, loss)]
        return filled(self._cache.outputs, values) if layer_name is None else values[0]
