"""The automatic choice of layers: which ones a loss taps when it is told `"auto"`."""

import keras

from keras_distill.features.layer_paths import children
from keras_distill.features.stages import features_of, shows_activation, spatial_stages

_ATTENTION_LAYERS = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)


def choose(rule, teacher, student):
    """Chooses the layers that a loss taps.

    Args:
        rule: The loss's `automatic_layers`:
            `"stages"`, the end of each spatial stage (see `spatial_stages`);
            `"middle_stage"` and `"last_stage"`, that of one stage;
            `"middle_stage_or_embedding"` and `"last_stage_or_embedding"`, of a model without
            space (a recurrent network that returns no sequences) what enters the last dense
            layer;
            `"each_last_stage"`, the last stage of each model, whatever the other's sizes are;
            `"preactivations"`, what enters the last activation of each stage;
            `"ends"`, the first two and the last two activations over space;
            `"embedding"`, what enters the last dense layer;
            `"graph"`, the last two stages, the embedding and the last dense layer;
            `"class_maps"`, the last stage and the last dense layer's kernel;
            `"scores"` and `"raw_scores"`, the scores of all attention layers;
            `"hidden_states"`, what enters each attention block, and what leaves the last;
            `"last_attention"`, the last attention layer.
        teacher: The teacher model, or a cache of its outputs.
        student: The student model.

    Returns:
        Tuple of the teacher's and the student's layer names: each a path or a list of paths.

    Raises:
        ValueError: If a model has no such layers, or they can't be found without running it.
    """
    return _RULES[rule].pair(survey(rule, teacher, "teacher"), survey(rule, student, "student"))


def survey(rule, model, side="model"):
    """Finds what a rule may choose from in one model.

    Args:
        rule: As for `choose`.
        model: A `keras.Model`, or an object with `candidates`, a dictionary of earlier results.
        side: What to call the model in errors.

    Returns:
        Paths, in a form that `json` can write.

    Raises:
        ValueError: If the model has no such layers, or they can't be found without running it.
    """
    surveys = getattr(model, "candidates", None)
    if surveys is None:
        return _RULES[rule].survey(model, side)
    if rule not in surveys:
        raise ValueError(
            f'"auto" found no layers for the rule {rule!r} in the {side}: name the layers with '
            "teacher_layer_name and student_layer_name."
        )
    return surveys[rule]


def surveys_of(model):
    """Returns a dictionary from rule to what it may choose from, where it finds anything.

    Args:
        model: A `keras.Model`.
    """
    found = {}
    for rule in _RULES:
        try:
            found[rule] = survey(rule, model)
        except ValueError:
            continue
    return found


def choices(rule, surveyed):
    """Returns all that a rule may choose for one model, whatever the other is.

    Args:
        rule: As for `choose`.
        surveyed: Result of `survey`.

    Returns:
        List of layer names: each a path or a list of paths.
    """
    return _RULES[rule].choices(surveyed)


def attention_layers(model, side="model"):
    """Finds the attention layers, wherever they are nested.

    Args:
        model: A `keras.Model`.
        side: What to call the model in errors.

    Returns:
        List of paths, from early to late.

    Raises:
        ValueError: If there are none.
    """
    paths = [path for path, layer in _all_layers(model) if isinstance(layer, _ATTENTION_LAYERS)]
    if not paths:
        raise ValueError(
            f'"auto" found no MultiHeadAttention in the {side} model {model.name!r}: name the '
            "layers with teacher_layer_name and student_layer_name."
        )
    return paths


def hidden_states(model, side="model"):
    """Finds the hidden states of a transformer: what enters each block, and what leaves the last.

    A block is the layer around one attention layer, or around self- and cross-attention together;
    where attention stands in the model itself, the attention layer.

    Args:
        model: A `keras.Model`.
        side: What to call the model in errors.

    Returns:
        List of paths, from the embeddings to the last hidden state.

    Raises:
        ValueError: If there is no attention, or what leaves the last block can't be found.
    """
    attention = attention_layers(model, side)
    known = dict(_all_layers(model))
    blocks = list(dict.fromkeys(_block_of(path, attention, known) for path in attention))
    last = blocks[-1]
    if isinstance(known[last], _ATTENTION_LAYERS):
        last = _last_sequence(model, last, side)
    return [*(f"{path}:input" for path in blocks), last]


def _block_of(path, attention, known):
    def held(container):
        return sum(other.startswith(f"{container}/") for other in attention)

    block = path
    while "/" in block:
        around = block.rpartition("/")[0]
        # A layer that holds more attention than the block does is a stack of blocks.
        if isinstance(known[around], keras.Model) or (block != path and held(around) > held(block)):
            break
        block = around
    return block


def _last_sequence(model, attention, side):
    """Returns what enters the pooling, or else the last layer that outputs a sequence."""
    layers = list(_model_layers(model))
    paths = [path for path, _ in layers]
    after = layers[paths.index(attention) :] if attention in paths else []
    shape = _described_shape(after[0][1]) if after else None
    found = None
    for path, layer in after:
        entered, left = _described_shape(layer, "input"), _described_shape(layer)
        is_sequence = left is not None and len(left) == 3 and left[-1] == shape[-1]
        if is_sequence and not isinstance(layer, keras.layers.Dropout):
            found = path
        if shape is not None and entered == shape and left is not None and len(left) == 2:
            return f"{path}:input"
    if found is None:
        raise ValueError(
            f'"auto" can\'t tell what leaves the last attention block of the {side} model '
            f"{model.name!r}: name the layers with teacher_layer_name and student_layer_name."
        )
    return found


def _all_layers(model, prefix=""):
    for name, layer in children(model).items():
        yield prefix + name, layer
        yield from _all_layers(layer, f"{prefix}{name}/")


def _model_layers(model, prefix=""):
    for layer in model.layers:
        path = prefix + layer.name
        if isinstance(layer, keras.Model):
            yield from _model_layers(layer, f"{path}/")
        else:
            yield path, layer


def _described_shape(layer, what="output"):
    try:
        return tuple(getattr(layer, what).shape)
    except (AttributeError, ValueError):
        return None


def _common(first, second):
    """Finds the longest common subsequence, as late in both as it can be.

    Args:
        first: List.
        second: List.

    Returns:
        List of tuples of an index in `first` and one in `second`.
    """
    longest = [[[]] * (len(second) + 1)]
    for row, one in enumerate(first):
        longest.append([[]])
        for column, other in enumerate(second):
            before = max(longest[row][column + 1], longest[row + 1][column], key=len)
            here = [*longest[row][column], (row, column)] if one == other else []
            longest[-1].append(here if len(here) >= max(len(before), 1) else before)
    return longest[-1][-1]


class _Stages:
    """Pairs the stages: in order, by their size in space; from the last one back if none agree."""

    survey = staticmethod(
        lambda model, side: [list(stage) for stage in spatial_stages(model, side)]
    )

    def pair(self, *sides):
        pairs = _common(*([tuple(space) for _, space in side] for side in sides))
        if not pairs:
            pairs = list(zip(*(range(-min(map(len, sides)), 0) for _ in sides), strict=True))
        chosen = zip(*pairs, strict=True)
        return tuple(
            [side[index][0] for index in indices]
            for side, indices in zip(sides, chosen, strict=True)
        )

    def choices(self, surveyed):
        return [[path for path, _ in surveyed]]


class _OneStage(_Stages):
    """One of the paired stages."""

    def __init__(self, pick):
        self._pick = pick

    def pair(self, *sides):
        return tuple(side[self._pick(len(side))] for side in super().pair(*sides))

    def choices(self, surveyed):
        return [path for path, _ in surveyed]


class _OneStageOrEmbedding(_OneStage):
    """One of the paired stages, or what enters the last dense layers if a model has no space."""

    @staticmethod
    def survey(model, side):
        found, missing = {}, None
        for what, survey in (("stages", _Stages.survey), ("embedding", _embedding)):
            try:
                found[what] = survey(model, side)
            except ValueError as error:
                missing = missing or error
        if not found:
            raise missing
        return found

    def pair(self, *sides):
        for what in ("stages", "embedding"):
            offered = [side[what] for side in sides if what in side]
            if len(offered) == len(sides):
                return super().pair(*offered) if what == "stages" else tuple(offered)
        raise ValueError(
            '"auto" found nothing that both models have, a stage over space or a Dense layer: '
            "name the layers with teacher_layer_name and student_layer_name. "
            f"Teacher: {sides[0]}, Student: {sides[1]}."
        )

    def choices(self, surveyed):
        embedding = [surveyed["embedding"]] if "embedding" in surveyed else []
        return super().choices(surveyed.get("stages", [])) + embedding


class _Preactivations(_Stages):
    """What enters the activations of the paired stages."""

    survey = staticmethod(
        lambda model, side: [list(stage) for stage in spatial_stages(model, side, True)]
    )

    def pair(self, *sides):
        return tuple([f"{path}:preactivation" for path in side] for side in super().pair(*sides))

    def choices(self, surveyed):
        return [[f"{path}:preactivation" for path, _ in surveyed]]


class _Graph(_Stages):
    """The last two paired stages, what enters the classifier, and what leaves it."""

    @staticmethod
    def survey(model, side):
        return {"stages": _Stages.survey(model, side), "head": _classifier(model, side)}

    def pair(self, *sides):
        stages = super().pair(*(side["stages"] for side in sides))
        heads = [side["head"] for side in sides]
        return tuple(
            [*paths[-2:], f"{head}:input", head] for paths, head in zip(stages, heads, strict=True)
        )

    def choices(self, surveyed):
        head = surveyed["head"]
        return [[*super().choices(surveyed["stages"])[0], f"{head}:input", head]]


class _Scores:
    """Spreads the student's attention layers evenly over the teacher's, last to last.

    Args:
        suffix: What is tapped of an attention layer.
    """

    survey = staticmethod(lambda model, side: attention_layers(model, side))

    def __init__(self, suffix):
        self._suffix = suffix

    def pair(self, *sides):
        count = min(map(len, sides))
        chosen = (
            [side[(index + 1) * len(side) // count - 1] for index in range(count)] for side in sides
        )
        return tuple([f"{path}:{self._suffix}" for path in side] for side in chosen)

    def choices(self, surveyed):
        return [[f"{path}:{self._suffix}" for path in surveyed]]


class _HiddenStates:
    """Spreads the student's blocks evenly over the teacher's, embeddings and last to their like."""

    survey = staticmethod(lambda model, side: hidden_states(model, side))

    def pair(self, *sides):
        blocks = [len(side) - 1 for side in sides]
        count = min(blocks)
        return tuple(
            [side[index * total // count] for index in range(count + 1)]
            for side, total in zip(sides, blocks, strict=True)
        )

    def choices(self, surveyed):
        return [surveyed]


class _EachOnItsOwn:
    """What one model offers is what is tapped of it, whatever the other offers.

    Args:
        survey: Function from a model and the name of its side to a path or a list of paths.
    """

    def __init__(self, survey):
        self.survey = survey

    def pair(self, *sides):
        return sides

    def choices(self, surveyed):
        return [surveyed]


def _ends(model, side):
    spatial_stages(model, side)
    features = features_of(model)
    # One branch of several, whose outputs are joined, is no end.
    joins = (keras.layers.Concatenate,)
    joined = [each for each in features if each.merge and isinstance(each.merge.layer, joins)]
    paths = [each.step.path for each in features if shows_activation(each.step)]
    paths = [path for path in paths if path not in {each.step.path for each in joined}] or paths
    paths = paths or [each.step.path for each in features]
    return list(dict.fromkeys([*paths[:2], *paths[-2:]]))


def _embedding(model, side):
    return f"{_classifier(model, side)}:input"


def _classifier(model, side):
    found = [path for path, layer in _all_layers(model) if isinstance(layer, keras.layers.Dense)]
    if not found:
        raise ValueError(
            f'"auto" found no Dense layer in the {side} model {model.name!r}: name the layers '
            "with teacher_layer_name and student_layer_name."
        )
    return found[-1]


def _class_maps(model, side):
    last, _ = spatial_stages(model, side)[-1]
    return [last, f"{_classifier(model, side)}:kernel"]


_RULES = {
    "stages": _Stages(),
    "middle_stage": _OneStage(lambda count: (count - 1) // 2),
    "last_stage": _OneStage(lambda count: -1),
    "middle_stage_or_embedding": _OneStageOrEmbedding(lambda count: (count - 1) // 2),
    "last_stage_or_embedding": _OneStageOrEmbedding(lambda count: -1),
    "each_last_stage": _EachOnItsOwn(lambda model, side: spatial_stages(model, side)[-1][0]),
    "preactivations": _Preactivations(),
    "ends": _EachOnItsOwn(_ends),
    "embedding": _EachOnItsOwn(_embedding),
    "graph": _Graph(),
    "class_maps": _EachOnItsOwn(_class_maps),
    "scores": _Scores("scores"),
    "raw_scores": _Scores("raw_scores"),
    "hidden_states": _HiddenStates(),
    "last_attention": _EachOnItsOwn(lambda model, side: attention_layers(model, side)[-1]),
}
