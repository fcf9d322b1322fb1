"""Spatial stages of a model: runs of layers whose outputs have the same size in space."""

import collections
import dataclasses
import itertools

import keras
import tensorflow as tf

from keras_distill.features.graphs import Step, dependencies_of, longest_line, steps_of
from keras_distill.features.hooks import recording
from keras_distill.features.inner_hooks import has_activation
from keras_distill.features.layer_paths import symbolic

_ACTIVATION_LAYERS = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ELU,
)

_MERGES = (keras.layers.Add, keras.layers.Concatenate)


def spatial_stages(
    model: keras.Model, branch: str = "model", with_preactivation: bool = False
) -> list[tuple]:
    """Finds the last activation of each spatial stage.

    A stage is a run of layers along the model's main line whose outputs have the same size in
    space: a U-Net has some sizes twice, on its way down and up. Of each the last activation, sum
    or concatenation is chosen that no parallel path of the stage bypasses; else its last
    convolution or normalization. Maps of one pixel, as in squeeze-and-excitation, are no stage,
    unless there are no others; nor are layers within nested layers that aren't models.

    Args:
        model: A Functional or Sequential `keras.Model`.
        branch: What to call the model in errors: `"teacher"` or `"student"`.
        with_preactivation: Whether the last activation is chosen whose input can be tapped, on a
            parallel path or not.

    Returns:
        List of `(path, space)` tuples, in the order of the network.

    Raises:
        ValueError: If the model's layers have no known shapes, or none has a spatial axis.
    """
    chosen = []
    of_space = itertools.groupby(features_of(model), key=lambda feature: feature.space)
    for space, features in of_space:
        run = list(features)
        if with_preactivation:
            active = [each.step for each in run if outputs_activation(each.step, True)]
            chosen += [(step.path, space) for step in active[-1:]]
        else:
            chosen.append((_end_of(run).path, space))
    if not chosen:
        what = "activation over space" if with_preactivation else "layer with a spatial axis"
        raise ValueError(
            f'"auto" found no {what} in the {branch} model {model.name!r}. It '
            "looks at Functional and Sequential models: name the layers with teacher_layer_name "
            "and student_layer_name."
        )
    return chosen


def _end_of(run):
    """Returns the step of a stage's features that is the stage's output."""
    merges = [each for each in run if isinstance(each.step.layer, _MERGES)]
    ends = [each for each in run if each in merges or outputs_activation(each.step)]
    ends = [each for each in ends if each.is_whole]
    if not ends and not run[-1].is_whole:
        ends = merges
    return (ends or run)[-1].step


@dataclasses.dataclass(frozen=True)
class Feature:
    """A step of the main line that makes features over space.

    Args:
        step: `keras_distill.features.graphs.Step`.
        space: Size in space.
        merge: The first later step of the main line that a parallel path of the same stage
            enters, which bypasses the feature; `None` if all paths go through the feature.
    """

    step: Step
    space: tuple
    merge: Step | None

    @property
    def is_whole(self) -> bool:
        """Whether all paths out of the stage go through the feature."""
        return self.merge is None


def features_of(model: keras.Model) -> list[Feature]:
    """Returns the list of a model's `Feature` objects, in the order of the network.

    Args:
        model: A `keras.Model`; one without a graph has none.
    """
    steps = steps_of(model)
    line = longest_line(steps)
    position = {step: index for index, step in enumerate(line)}
    depends_on = dependencies_of(steps)
    bits = {step: 1 << index for index, step in enumerate(steps)}
    features = []
    of_space = itertools.groupby(_spatial(steps, line, model), key=lambda pair: pair[1])
    for space, pairs in of_space:
        run = [step for step, _ in pairs]
        of_run, end = sum(bits[step] for step in run), position[run[-1]]

        def is_bypassed(step, later, of_run=of_run, end=end):
            """Returns whether a path of this run enters a later step, but not through `step`."""
            return any(
                not depends_on[source] & bits[step]
                and (position[later] <= end or depends_on[source] & of_run)
                for source in later.inputs
            )

        for step in run:
            merges = (later for later in line[position[step] + 1 :] if is_bypassed(step, later))
            features.append(Feature(step, space, next(merges, None)))
    return features


def outputs_activation(step: Step, with_preactivation: bool = False) -> bool:
    """Returns whether a step outputs an activation, or a concatenation of activations.

    Args:
        step: A `keras_distill.features.graphs.Step`.
        with_preactivation: Whether it must be one activation, whose input can be tapped.
    """
    layer = step.layer
    if with_preactivation:
        return has_activation(layer) and _is_activation(layer)
    if _is_activation(layer):
        return True
    if isinstance(layer, keras.layers.Concatenate):
        return bool(step.inputs) and all(outputs_activation(each) for each in step.inputs)
    passes_on = len(step.inputs) == 1 and not _makes_features(layer)
    return passes_on and not hasattr(layer, "kernel") and outputs_activation(step.inputs[0])


def _spatial(steps, line, model):
    """Returns tuples of a step of the main line that makes features, and its size in space."""
    calls = collections.Counter(step.layer for step in steps)
    found = [step for step in line if _makes_features(step.layer) and calls[step.layer] == 1]
    shapes = [step.shape for step in found]
    # A nested model may be built for any size, and run at one that only a trace tells.
    if any(None in shape[1:] for shape in shapes):
        shapes = _traced_shapes(model, [step.layer for step in found])
    spaces = [None if shape is None or None in shape[1:] else shape[1:-1] for shape in shapes]
    pairs = [(step, space) for step, space in zip(found, spaces, strict=True) if space]
    return [pair for pair in pairs if max(pair[1]) > 1] or pairs


def _traced_shapes(model, layers):
    shapes = [None] * len(layers)

    def trace(inputs):
        with recording([(layer, "output") for layer in layers]) as records:
            model(inputs, training=False)
        for index, layer in enumerate(layers):
            outputs = records[layer].kept["output"]
            if len(outputs) == 1:
                shapes[index] = tuple(outputs[0].shape)
        return 0

    specs = keras.tree.map_structure(
        lambda tensor: tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype),
        symbolic(model, "input"),
    )
    tf.function(trace, autograph=False).get_concrete_function(specs)
    return shapes


def _makes_features(layer):
    layers = keras.layers
    kinds = (layers.BatchNormalization, layers.LayerNormalization, layers.Add, layers.Concatenate)
    return (
        _is_activation(layer)
        or isinstance(layer, (*kinds, layers.RNN, layers.Bidirectional))
        or (hasattr(layer, "kernel_size") and hasattr(layer, "filters"))
        or isinstance(layer, layers.DepthwiseConv2D)
    )


def _is_activation(layer):
    activation = getattr(layer, "activation", None)
    is_own = isinstance(layer, _ACTIVATION_LAYERS) or activation is not None
    return is_own and activation is not keras.activations.linear
