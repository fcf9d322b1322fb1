"""What a cache keeps of the teacher: the targets that losses compare, as small as they may be."""

import dataclasses
import math

import keras
import tensorflow as tf

from keras_distill._compat import mask_of
from keras_distill.arguments import shown
from keras_distill.features import automatic_layers
from keras_distill.features.branch import beyond_tensors
from keras_distill.losses.response.response_loss import ExclusiveClassesLoss

DTYPES = ("float32", "float16", "bfloat16")
MASK = "mask"
_OUTPUTS = ("logits", "output")
# Other arrays of a record, in this format and the one before; a layer may have such a name.
_RESERVED = ("view", "start", "fingerprint", "sketch")


@dataclasses.dataclass(frozen=True)
class Target:
    """One tensor that a cache keeps of the teacher for each sample.

    Args:
        path: Layer path, or `None` for the teacher's output.
        leaf: Which of the teacher's outputs, 0 for a layer.
        reduction: Name of how losses reduced it, `""` for not at all; `"mask"` for the Keras mask
            that it carries.
        shape: Shape of one sample.
        dtype: Type in which it is kept.
        top_k: How many of the last axis's largest values are kept, or `None` for all.
    """

    path: str | None
    leaf: int
    reduction: str
    shape: tuple
    dtype: str
    top_k: int | None = None

    @property
    def name(self):
        """Name of the target in files and errors."""
        tensor = self.path or f"output {self.leaf}"
        what = self.reduction or ("layer" if tensor in _RESERVED else "")
        return f"{tensor} ({what})" if what else tensor

    @property
    def arrays(self):
        """Dictionary from the name of each stored array to its type and its shape per sample."""
        if self.top_k is None:
            return {self.name: (self.dtype, self.shape)}
        kept = (*self.shape[:-1], self.top_k)
        return {
            f"{self.name} values": (self.dtype, kept),
            f"{self.name} classes": (_smallest_integer(self.shape[-1]), kept),
            f"{self.name} others": (self.dtype, (*self.shape[:-1], 1)),
        }

    @property
    def bytes(self):
        """Bytes of one sample."""
        return sum(
            tf.as_dtype(dtype).size * math.prod(shape) for dtype, shape in self.arrays.values()
        )

    def pack(self, tensor):
        """Returns a tensor of the teacher as the stored arrays.

        Args:
            tensor: Tensor of shape `(batch, *shape)`.

        Returns:
            Dictionary of tensors, as `arrays` describes.
        """
        if self.top_k is None:
            stored = (tensor,)
        else:
            values, classes = tf.math.top_k(tf.cast(tensor, "float32"), self.shape[-1])
            others = values[..., self.top_k :]
            if self.reduction == "output":
                each = tf.reduce_mean(others, axis=-1, keepdims=True)
            else:
                each = tf.reduce_logsumexp(others, axis=-1, keepdims=True)
                each -= math.log(self.shape[-1] - self.top_k)
            stored = values[..., : self.top_k], classes[..., : self.top_k], each
        arrays = self.arrays.items()
        return {
            name: tf.cast(array, dtype)
            for (name, (dtype, _)), array in zip(arrays, stored, strict=True)
        }

    def unpack(self, arrays):
        """Returns the tensor that `pack` packed.

        Of the largest values only, the others get the value that gives them together the
        probability that they had.

        Args:
            arrays: Dictionary of tensors, with those that `arrays` describes.

        Returns:
            float32 tensor of shape `(batch, *shape)`, or a boolean one for a mask.
        """
        stored = [arrays[name] for name in self.arrays]
        if self.dtype == "bool":
            return stored[0]
        if self.top_k is None:
            return tf.cast(stored[0], "float32")
        values, others = (tf.reshape(tf.cast(a, "float32"), (-1, a.shape[-1])) for a in stored[::2])
        classes = tf.reshape(tf.cast(stored[1], "int32"), (-1, self.top_k))
        dense = tf.tile(others, (1, self.shape[-1]))
        rows = tf.tile(tf.range(tf.shape(classes)[0])[:, None], (1, self.top_k))
        dense = tf.tensor_scatter_nd_update(dense, tf.stack([rows, classes], axis=-1), values)
        return tf.reshape(dense, (-1, *self.shape))


def _smallest_integer(count):
    return "uint8" if count <= 256 else "uint16" if count <= 65_536 else "int32"


def check_cacheable(loss):
    """Checks that a loss needs no more of the teacher than tensors of each sample.

    Args:
        loss: `DistillationLoss`.

    Raises:
        ValueError: If it needs more.
    """
    reason = beyond_tensors(loss)
    if reason is not None:
        raise ValueError(
            f"{type(loss).__name__} {reason}, and a TeacherCache keeps only the tensors of each "
            "sample. Give Distiller the teacher itself for this loss."
        )


def check_top_k(loss, output_activation):
    """Checks that a loss may learn from the largest logits, with one value for the others.

    Args:
        loss: A distillation loss that compares outputs.
        output_activation: The activation of what it taps of the teacher, or a list of one per
            output.

    Raises:
        ValueError: If it may not.
    """
    if isinstance(loss, ExclusiveClassesLoss) and "sigmoid" not in keras.tree.flatten(
        [output_activation]
    ):
        return
    raise ValueError(
        "top_k keeps the largest of exclusive classes and one value that gives the others together "
        f"the probability that they had, and {type(loss).__name__} compares each output on its "
        "own here: keep all of them, with top_k=None."
    )


def tapped_paths(losses, candidates):
    """Returns the losses, each with every teacher layer that it may come to tap.

    Args:
        losses: List of distillation losses.
        candidates: What automatic rules may choose from, by rule.

    Returns:
        List of tuples of a loss and a layer path, `None` for the output.

    Raises:
        ValueError: If a loss can't be served by a cache, or finds no layers.
    """
    found = []
    for loss in losses:
        check_cacheable(loss)
        resolved = [loss]
        if loss.has_automatic_layers:
            offered = automatic_layers.choices(
                loss.automatic_layers, _candidates_of(loss, candidates)
            )
            resolved = [loss.with_layers(choice, choice) for choice in offered]
        for each in resolved:
            tapped = each.teacher_layer_name
            paths = tapped if isinstance(tapped, list) else [tapped]
            found += [(each, path) for path in paths]
    return found


def _candidates_of(loss, candidates):
    if not automatic_layers.looks_at_teacher(loss.automatic_layers):
        return None
    if loss.automatic_layers not in candidates:
        raise ValueError(
            f'{type(loss).__name__} found no layers of the teacher for "auto": name the layers '
            "with teacher_layer_name and student_layer_name."
        )
    return candidates[loss.automatic_layers]


class TeacherTargets:
    """Takes the targets out of one forward pass of the teacher.

    Args:
        tapped: As `tapped_paths` returns.
        branch: `Branch` of the teacher.
        batch: Structure of `tf.TensorSpec` of a batch of inputs.
        dtype: Type in which the targets are kept.
        top_k: How many of the largest logits are kept, or `None` for all.

    Raises:
        ValueError: If a target has no fixed shape, or `top_k` doesn't fit.
    """

    def __init__(self, tapped, branch, batch, dtype, top_k):
        self._branch = branch
        self._tapped = tapped
        self._losses = {}
        self.outputs = None
        self.groups = {}

        def learn(inputs):
            for (path, reduction), tensors in self._reduced(inputs).items():
                self.groups[path, reduction] = [
                    made_target(path, reduction, leaf, tuple(tensor.shape[1:]), dtype, top_k)
                    for leaf, tensor in tensors.items()
                ]

        tf.function(learn, autograph=False).get_concrete_function(batch)
        if top_k is not None:
            self._check_top_k(top_k)

    def _check_top_k(self, top_k):
        outputs = [key for key in self._losses if key[1] in _OUTPUTS]
        if not outputs:
            raise ValueError(
                "top_k has nothing to do: none of the losses compares logits that it may cut. "
                f"Received: top_k={shown(top_k)}"
            )
        for loss, path in self._tapped:
            output_activation = self._branch.activation_of(path)
            if loss.teacher_reduction(output_activation) in _OUTPUTS:
                check_top_k(loss, output_activation)

    def _reduced(self, inputs):
        """Runs the teacher; returns by path and reduction a dictionary from leaf to tensor."""
        outputs = self._branch.forward(inputs, training=False)
        if not self._losses:
            self._learn_from(outputs)
        kept = {}
        for (path, reduction), (loss, output_activation) in self._losses.items():
            tensors = keras.tree.flatten(outputs.pick(path))
            ends = (
                output_activation
                if isinstance(output_activation, list)
                else [output_activation] * len(tensors)
            )
            kept[path, reduction] = {
                leaf: loss.reduce_teacher(tensor, ends[leaf]) for leaf, tensor in enumerate(tensors)
            }
            masks = {leaf: mask_of(tensor) for leaf, tensor in enumerate(tensors)}
            masks = {leaf: mask for leaf, mask in masks.items() if mask is not None}
            if masks:
                kept[path, MASK] = masks
        return kept

    def _learn_from(self, outputs):
        self._branch.learn_from(outputs)
        count = len(keras.tree.flatten(outputs.output))
        self.outputs = keras.tree.pack_sequence_as(outputs.output, list(range(count)))
        for loss, path in self._tapped:
            output_activation = self._branch.activation_of(path)
            self._losses.setdefault(
                (path, loss.teacher_reduction(output_activation)), (loss, output_activation)
            )

    def pack(self, inputs):
        """Runs the teacher and returns the arrays to store.

        Args:
            inputs: A batch of inputs.

        Returns:
            Dictionary from name to tensor.
        """
        reduced, arrays = self._reduced(inputs), {}
        for key, targets in self.groups.items():
            for target in targets:
                arrays |= target.pack(reduced[key][target.leaf])
        return arrays

    @property
    def targets(self):
        """List of all targets."""
        return [target for targets in self.groups.values() for target in targets]


def made_target(path, reduction, leaf, shape, dtype, top_k):
    """Returns a target, in the type in which its values can be kept.

    Args:
        path: As for `Target`, like all that follow.
        reduction: Name of the reduction.
        leaf: Number of the output.
        shape: Shape of one sample.
        dtype: Type that was asked for.
        top_k: Number of logits, or `None`; only outputs are cut.

    Raises:
        ValueError: If the shape isn't fixed, or `top_k` doesn't fit.
    """
    is_output = reduction in _OUTPUTS
    # Half precision rounds small probabilities to zero, and their logarithms are what counts.
    dtype = {"output": "float32", MASK: "bool"}.get(reduction, dtype)
    target = Target(path, leaf, reduction, shape, dtype, top_k if is_output else None)
    if None in shape:
        raise ValueError(
            f"The teacher's {target.name} has no fixed shape: {(None, *shape)}. A cache keeps "
            "arrays of one shape: give inputs of one size."
        )
    if target.top_k is not None and not 0 < target.top_k < shape[-1]:
        raise ValueError(
            f"top_k must be at least 1 and below the number of classes, {shape[-1]} for the "
            f"teacher's {target.name}. Received: top_k={top_k!r}"
        )
    return target


def filled(template, leaves):
    """Returns the structure with its leaves.

    Args:
        template: Structure of the output with the number of each leaf in its place.
        leaves: List of what takes the place of each number.
    """
    if isinstance(template, dict):
        return {key: filled(value, leaves) for key, value in template.items()}
    if isinstance(template, (list, tuple)):
        return [filled(value, leaves) for value in template]
    return leaves[template]


def read_target(record):
    """Returns the target that a manifest describes.

    Args:
        record: Dictionary of the fields of `Target`.
    """
    return Target(**{**record, "shape": tuple(record["shape"])})
