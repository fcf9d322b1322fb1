"""Automatic choice of the layers that a loss taps, by rule."""

from collections.abc import Callable
from typing import Any

import keras

from keras_distill.features.layer_paths import layers_by_path
from keras_distill.features.stages import features_of, outputs_activation, spatial_stages
from keras_distill.features.transformer_blocks import attention_layers, hidden_states


def candidates(rule: str, model: keras.Model, branch: str = "model") -> Any:
    """Finds the layers of one model that a rule may choose from.

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
            `"class_logits"`, the same and that layer's bias, if it has one;
            `"classifier"`, what enters the last dense layer, and of the teacher its kernel;
            `"student_stages"`, the teacher's output, and the end of each stage of the student;
            `"scores"` and `"raw_scores"`, the scores of all attention layers;
            `"hidden_states"`, the input of each attention block, and the output of the last;
            `"last_attention"`, the last attention layer.
        model: A `keras.Model`.
        branch: What to call the model in errors: `"teacher"` or `"student"`.

    Returns:
        Paths, in a form that `json` can write.

    Raises:
        ValueError: If the model has no such layers, or they can't be found without running it.
    """
    return _RULES[rule].candidates(model, branch)


def looks_at_teacher(rule: str) -> bool:
    """Returns whether a rule chooses among layers of the teacher, and not its output alone.

    Args:
        rule: As for `candidates`.
    """
    return rule != "student_stages"


def pair(rule: str, teacher: Any, student: Any) -> tuple:
    """Chooses the layers of two models that a loss taps, from the candidates of each.

    Args:
        rule: As for `candidates`.
        teacher: The teacher's candidates; `None` for a rule that doesn't look at them.
        student: The student's candidates.

    Returns:
        Tuple of the teacher's and the student's layer names: each a path or a list of paths.

    Raises:
        ValueError: If the two models have no layers that go together.
    """
    return _RULES[rule].pair(teacher, student)


def all_candidates(model: keras.Model) -> dict:
    """Returns the candidates of every rule that finds any, by rule.

    Args:
        model: A `keras.Model`.
    """
    found = {}
    for rule in _RULES:
        try:
            found[rule] = candidates(rule, model)
        except ValueError:
            continue
    return found


def choices(rule: str, found: Any) -> list:
    """Returns all that a rule may choose for one model, whatever the other model is.

    Args:
        rule: As for `candidates`.
        found: Result of `candidates`.

    Returns:
        List of layer names: each a path or a list of paths.
    """
    return _RULES[rule].choices(found)


class _Stages:
    """Pairs the stages: in order, by their size in space; from the last one back if none agree."""

    @staticmethod
    def candidates(model, branch):
        return [list(stage) for stage in spatial_stages(model, branch)]

    def pair(self, teacher, student):
        pairs = _common(*([tuple(space) for _, space in found] for found in (teacher, student)))
        if not pairs:
            from_the_end = range(-min(len(teacher), len(student)), 0)
            pairs = list(zip(from_the_end, from_the_end, strict=True))
        return [teacher[index][0] for index, _ in pairs], [student[index][0] for _, index in pairs]

    def choices(self, found):
        return [[path for path, _ in found]]


class _OneStage(_Stages):
    """One of the paired stages.

    Args:
        pick: Function from the number of stages to the index of one.
    """

    def __init__(self, pick: Callable[[int], int]):
        self._pick = pick

    def pair(self, teacher, student):
        return tuple(paths[self._pick(len(paths))] for paths in super().pair(teacher, student))

    def choices(self, found):
        return [path for path, _ in found]


class _OneStageOrEmbedding(_OneStage):
    """One of the paired stages, or the input of the last dense layers if a model has no space."""

    @staticmethod
    def candidates(model, branch):
        found, first_error = {}, None
        for what, find in (("stages", _Stages.candidates), ("embedding", _embedding)):
            try:
                found[what] = find(model, branch)
            except ValueError as error:
                first_error = first_error or error
        if not found:
            raise first_error
        return found

    def pair(self, teacher, student):
        if "stages" in teacher and "stages" in student:
            return super().pair(teacher["stages"], student["stages"])
        if "embedding" in teacher and "embedding" in student:
            return teacher["embedding"], student["embedding"]
        raise ValueError(
            '"auto" found nothing that both models have, a stage over space or a Dense layer: '
            "name the layers with teacher_layer_name and student_layer_name. "
            f"Received: teacher={teacher}, student={student}"
        )

    def choices(self, found):
        embedding = [found["embedding"]] if "embedding" in found else []
        return super().choices(found.get("stages", [])) + embedding


class _Preactivations(_Stages):
    """The inputs of the activations of the paired stages."""

    @staticmethod
    def candidates(model, branch):
        stages = spatial_stages(model, branch, with_preactivation=True)
        return [list(stage) for stage in stages]

    def pair(self, teacher, student):
        stages = super().pair(teacher, student)
        return tuple(_with_suffix(paths, "preactivation") for paths in stages)

    def choices(self, found):
        return [_with_suffix(paths, "preactivation") for paths in super().choices(found)]


class _Graph(_Stages):
    """The last two paired stages, and the input and output of the classifier."""

    @staticmethod
    def candidates(model, branch):
        return {"stages": _Stages.candidates(model, branch), "head": _classifier(model, branch)}

    def pair(self, teacher, student):
        stages = super().pair(teacher["stages"], student["stages"])
        heads = teacher["head"], student["head"]
        return tuple(
            [*paths[-2:], f"{head}:input", head] for paths, head in zip(stages, heads, strict=True)
        )

    def choices(self, found):
        head = found["head"]
        return [[*super().choices(found["stages"])[0], f"{head}:input", head]]


class _Scores:
    """Spreads the student's attention layers evenly over the teacher's, last to last.

    Args:
        suffix: What is tapped of an attention layer.
    """

    candidates = staticmethod(attention_layers)

    def __init__(self, suffix: str):
        self._suffix = suffix

    def pair(self, teacher, student):
        count = min(len(teacher), len(student))
        chosen = (
            [paths[(index + 1) * len(paths) // count - 1] for index in range(count)]
            for paths in (teacher, student)
        )
        return tuple(_with_suffix(paths, self._suffix) for paths in chosen)

    def choices(self, found):
        return [_with_suffix(found, self._suffix)]


class _HiddenStates:
    """Spreads the student's blocks evenly over the teacher's, embeddings and last to their like."""

    candidates = staticmethod(hidden_states)

    def pair(self, teacher, student):
        count = min(len(teacher), len(student)) - 1
        return tuple(
            [paths[index * (len(paths) - 1) // count] for index in range(count + 1)]
            for paths in (teacher, student)
        )

    def choices(self, found):
        return [found]


class _Classifier:
    """The input of each model's last dense layer, and the teacher's kernel of it."""

    @staticmethod
    def candidates(model, branch):
        return _classifier(model, branch)

    def pair(self, teacher, student):
        return [f"{teacher}:input", f"{teacher}:kernel"], f"{student}:input"

    def choices(self, found):
        return [self.pair(found, found)[0]]


class _StudentStages:
    """The teacher's output, and the student's stages, whatever the teacher has."""

    @staticmethod
    def candidates(model, branch):
        return [path for path, _ in spatial_stages(model, branch)]

    def pair(self, teacher, student):
        return None, student

    def choices(self, found):
        return [None]


class _Unpaired:
    """All candidates of each model, whatever those of the other are.

    Args:
        candidates: Function from a model and the name of its branch to a path or a list of paths.
    """

    def __init__(self, candidates: Callable):
        self.candidates = candidates

    def pair(self, teacher, student):
        return teacher, student

    def choices(self, found):
        return [found]


def _common(first: list, second: list) -> list[tuple[int, int]]:
    """Finds the longest common subsequence, as late in both as it can be.

    Returns:
        List of tuples of an index in `first` and one in `second`.
    """
    longest: list[list[list[tuple[int, int]]]] = [[[]] * (len(second) + 1)]
    for row, one in enumerate(first):
        longest.append([[]])
        for column, other in enumerate(second):
            before = max(longest[row][column + 1], longest[row + 1][column], key=len)
            here = [*longest[row][column], (row, column)] if one == other else []
            longest[-1].append(here if len(here) >= max(len(before), 1) else before)
    return longest[-1][-1]


def _with_suffix(paths: list[str], suffix: str) -> list[str]:
    return [f"{path}:{suffix}" for path in paths]


def _ends(model, branch):
    # Raises where nothing has a spatial axis.
    spatial_stages(model, branch)
    features = features_of(model)
    # One of several paths whose outputs are concatenated is no end.
    joined = {
        each.step.path
        for each in features
        if each.merge and isinstance(each.merge.layer, keras.layers.Concatenate)
    }
    paths = [each.step.path for each in features if outputs_activation(each.step)]
    paths = [path for path in paths if path not in joined] or paths
    paths = paths or [each.step.path for each in features]
    return list(dict.fromkeys([*paths[:2], *paths[-2:]]))


def _last_stage(model, branch):
    return spatial_stages(model, branch)[-1][0]


def _embedding(model, branch):
    return f"{_classifier(model, branch)}:input"


def _classifier(model, branch):
    layers = layers_by_path(model).items()
    found = [path for path, layer in layers if isinstance(layer, keras.layers.Dense)]
    if not found:
        raise ValueError(
            f'"auto" found no Dense layer in the {branch} model {model.name!r}: name the layers '
            "with teacher_layer_name and student_layer_name."
        )
    return found[-1]


def _class_maps(model, branch):
    return [_last_stage(model, branch), f"{_classifier(model, branch)}:kernel"]


def _class_logits(model, branch):
    classifier = _classifier(model, branch)
    bias = [f"{classifier}:bias"] if layers_by_path(model)[classifier].use_bias else []
    return [*_class_maps(model, branch), *bias]


def _last_attention(model, branch):
    return attention_layers(model, branch)[-1]


def _middle(count):
    return (count - 1) // 2


def _last(count):
    return -1


_RULES: dict[str, Any] = {
    "stages": _Stages(),
    "middle_stage": _OneStage(_middle),
    "last_stage": _OneStage(_last),
    "middle_stage_or_embedding": _OneStageOrEmbedding(_middle),
    "last_stage_or_embedding": _OneStageOrEmbedding(_last),
    "each_last_stage": _Unpaired(_last_stage),
    "preactivations": _Preactivations(),
    "ends": _Unpaired(_ends),
    "embedding": _Unpaired(_embedding),
    "graph": _Graph(),
    "class_maps": _Unpaired(_class_maps),
    "class_logits": _Unpaired(_class_logits),
    "classifier": _Classifier(),
    "student_stages": _StudentStages(),
    "scores": _Scores("scores"),
    "raw_scores": _Scores("raw_scores"),
    "hidden_states": _HiddenStates(),
    "last_attention": _Unpaired(_last_attention),
}
