"""The branch of a cache: it reads the teacher's outputs in place of running a teacher."""

from keras_distill._compat import set_mask
from keras_distill.cache.targets import check_cacheable, filled
from keras_distill.features.batches import is_cached
from keras_distill.features.branch import Branch


class CacheBranch(Branch):
    """A `TeacherCache` in the place of a teacher that runs.

    Args:
        source: `TeacherCache`.
        name: As for `Branch`.
        input_function: As for `Branch`; only `None` is allowed.

    Raises:
        ValueError: If there is an input function.
    """

    symbolic_inputs = ()
    computes = False

    def __init__(self, source, name="teacher", input_function=None):
        super().__init__(source, name, input_function)
        if input_function is not None:
            raise ValueError(
                f"{name}_input has no place beside a TeacherCache: give it to TeacherCache.build."
            )
        self.output_activation = source.output_activation(None)
        self.shapes = CachedForward(source, lambda target: (None, *target.shape))

    def tap(self, wanted):
        """Checks that the cache holds what the losses tap."""
        for layer_name, loss in wanted:
            self.shapes.pick(layer_name, loss)

    def check_serves(self, loss):
        """Checks that a loss needs no more of the teacher than tensors of each sample."""
        check_cacheable(loss)

    def check_kinds(self, kinds):
        """Checks that the largest logits suffice, where no more is kept."""
        if "sigmoid" in kinds and any(target.top_k is not None for target in self.source.targets):
            raise ValueError(
                "The student learns independent labels, and of the teacher's outputs this cache "
                "keeps only the largest, as of exclusive classes: build one with top_k=None. "
                f"Received: top_k={self.source.made_of['top_k']}"
            )

    def has_batch(self, x):
        """Returns whether a batch is joined with a cache."""
        return is_cached(x)

    def candidates(self, rule):
        """Returns the teacher's candidates, which the cache remembers."""
        if rule not in self.source.candidates:
            raise ValueError(
                f'"auto" found no layers for the rule {rule!r} in the {self.name}: name the layers '
                "with teacher_layer_name and student_layer_name."
            )
        return self.source.candidates[rule]

    def activation_of(self, layer_name, loss=None):
        """Returns the activation of what a loss taps, or of what the cache keeps for it."""
        paths = layer_name if isinstance(layer_name, list) else [layer_name]
        found = [self.source.output_activation(path) for path in paths]
        activation = found[0] if all(each == found[0] for each in found) else None
        takes_logits = loss is not None and loss.teacher_reduction(activation) == "logits"
        keeps_logits = all(self.source.holds(path, "logits") for path in paths)
        return "linear" if takes_logits and keeps_logits else activation

    def learn_from(self, forward):
        """Does nothing: the shapes are known."""

    def forward(self, x, training):
        """Reads the teacher's outputs of a batch.

        Raises:
            ValueError: If the batch isn't joined with a cache.
        """
        if not is_cached(x):
            raise ValueError(
                "This distiller's teacher is a TeacherCache, so its batches must be joined with "
                "it: distiller.fit(cache.join(dataset))."
            )
        if len(x.index.shape) != 1:
            raise ValueError(
                "cache.join(dataset) of single samples gives single samples, and fit takes "
                "batches: cache.join(dataset).shuffle(10_000).batch(32)."
            )
        return CachedForward(self.source, lambda target: self._unpacked(target, x.targets))

    def _unpacked(self, target, arrays):
        """Returns a tensor with the Keras mask that the teacher's had."""
        tensor, mask = target.unpack(arrays), self.source.mask_of(target)
        if mask is not None:
            set_mask(tensor, mask.unpack(arrays))
        return tensor


class CachedForward:
    """What a cache keeps of a batch, picked as from a `Forward`.

    Args:
        cache: `TeacherCache`.
        value: Function from a target to its value.
    """

    input_gradient = None

    def __init__(self, cache, value):
        self._cache = cache
        self._value = value

    def pick(self, layer_name, loss):
        """Returns what a loss taps, reduced as the cache keeps it.

        Args:
            layer_name: `None` for the output, a path or a list of paths.
            loss: `DistillationLoss`.

        Raises:
            ValueError: If the cache doesn't hold it.
        """
        if isinstance(layer_name, list):
            return [self.pick(path, loss) for path in layer_name]
        wanted = loss.teacher_reduction(self._cache.output_activation(layer_name))
        values = [self._value(each) for each in self._cache.targets_for(layer_name, wanted, loss)]
        return filled(self._cache.outputs, values) if layer_name is None else values[0]
