"""Search spaces: functions from hyperparameters to arguments of the `Distiller`."""

import itertools
import random
from collections.abc import Mapping

from keras_distill import losses, recipes
from keras_distill.arguments import shown, takes
from keras_distill.features.branch_kinds import branch_of
from keras_distill.tuning.settings import checked_settings

# The response losses of the default space: name, arguments, whether they have a temperature.
RESPONSES = {
    "kd": ("kd", {}, True),
    "kd_standardized": ("kd", {"standardize": True}, True),
    "dist": ("dist", {}, True),
    "logits": ("logits", {}, False),
}
_MOST_COMBINATIONS = 200


class DefaultSpace:
    """A response loss, its temperature and weight; attention transfer, its weight and layers.

    Weights are numbers, or shares of the gradient of the labels' loss.

    Args:
        responses: Names among `RESPONSES`.
        stages: Tuple of the teacher's and the student's layers over space, each a list of paths of
            the same length; or `None`, where there are none to pair.
    """

    def __init__(self, responses, stages=None):
        self._responses = list(responses)
        self._stages = None if stages is None else dict(zip(stages[1], stages[0], strict=True))

    def __call__(self, hp):
        """Returns settings."""
        name = hp.Choice("loss", self._responses)
        abbreviation, arguments, _ = RESPONSES[name]
        warm = [each for each in self._responses if RESPONSES[each][2]]
        if warm:
            softness = {"min_value": 1.0, "max_value": 16.0, "sampling": "log", "default": 4.0}
            temperature = hp.Float(
                "temperature", **softness, parent_name="loss", parent_values=warm
            )
            if temperature is not None:
                arguments = {**arguments, "temperature": temperature}
        chosen = [losses.get(abbreviation, **arguments)]
        balanced = hp.Boolean("balanced")
        # All that follows lies in its scope: KerasTuner finds no parent outside of the innermost.
        with hp.conditional_scope("balanced", [balanced]):
            weights = [_weight(hp, "", balanced, 0.1, 100.0, default=10.0)]
            if self._stages and hp.Boolean("attention"):
                with hp.conditional_scope("attention", [True]):
                    chosen.append(self._attention(hp))
                    weights.append(_weight(hp, "attention_", balanced, 10.0, 1e4, default=1000.0))
        return {
            "distillation_losses": chosen,
            "distillation_loss_weights": weights,
            "student_loss_weight": None,
        }

    def _attention(self, hp):
        layers = "all"
        if len(self._stages) > 1:
            layers = hp.Choice("attention_layers", ["all", *self._stages])
        if layers == "all":
            return losses.AttentionTransfer(list(self._stages.values()), list(self._stages))
        return losses.AttentionTransfer(self._stages[layers], layers)


def _weight(hp, prefix, balanced, low, high, default):
    """Returns a weight: a number, or a share of the gradient of the labels' loss."""
    if balanced:
        share = hp.Float(f"{prefix}share", 0.1, 10.0, sampling="log", default=1.0)
        return losses.Balanced(share)
    return hp.Float(f"{prefix}weight", low, high, sampling="log", default=default)


class Candidates:
    """Settings that are tried one by one.

    Args:
        candidates: Dictionary from name to settings.
    """

    def __init__(self, candidates):
        self._candidates = candidates

    def __call__(self, hp):
        """Returns settings."""
        return self._candidates[hp.Choice("candidate", list(self._candidates))]


def space_of(space):
    """Returns what the user gave as a search space as a function of hyperparameters.

    Args:
        space: Function `hp -> settings`; or a list, or a dictionary by name, of settings: each a
            dictionary of the distiller's arguments, a `Recipe`, or a recipe's name.

    Returns:
        Tuple of the function and whether it is a list of candidates.

    Raises:
        TypeError: If it is something else.
        ValueError: If there are no candidates, or one is wrong.
    """
    if isinstance(space, Mapping):
        named = dict(space)
    elif isinstance(space, (list, tuple)):
        named = _named(space)
    elif callable(space) and takes(space, 1):
        return space, False
    else:
        raise TypeError(
            "space must be a function from keras_tuner.HyperParameters to arguments of the "
            "Distiller, or a list or dictionary of such arguments, recipes or recipes' names. "
            f"Received: space={shown(space)}"
        )
    if not named or not all(isinstance(name, str) and name for name in named):
        raise ValueError(
            "space must hold at least one candidate, and the keys of a dictionary must be names. "
            f"Received: space={shown(space)}"
        )
    candidates = {}
    for name, settings in named.items():
        settings = recipes.get(settings) if isinstance(settings, str) else settings
        candidates[name] = checked_settings(settings, f"space[{name!r}]")
    return Candidates(candidates), True


def _named(candidates):
    named = {}
    for index, settings in enumerate(candidates):
        name = settings if isinstance(settings, str) else getattr(settings, "name", None)
        if not isinstance(name, str):
            name = f"candidate {index}"
        if name in named:
            raise ValueError(f"space has {name!r} twice: give a dictionary by name.")
        named[name] = settings
    return named


def default_space(teacher, student, suits):
    """Returns the default space of two models.

    Args:
        teacher: As for the `Distiller`.
        student: The student.
        suits: Function from settings to whether the distiller takes them for these two.

    Raises:
        ValueError: If no response loss suits the models.
    """
    found = []
    for name, (abbreviation, arguments, _) in RESPONSES.items():
        loss = losses.get(abbreviation, **arguments)
        if suits(checked_settings({"distillation_losses": loss}, name)):
            found.append(name)
    if not found:
        raise ValueError(
            "No response loss suits the outputs of teacher and student: give space=, a list of "
            "settings or a function of hyperparameters."
        )
    try:
        rule = losses.AttentionTransfer("auto", "auto").automatic_layers
        branches = branch_of(teacher, "teacher"), branch_of(student, "student")
        stages = paired_layers(rule, *branches)
    except ValueError:
        return DefaultSpace(found)
    attention = {"distillation_losses": losses.AttentionTransfer(*stages)}
    return DefaultSpace(found, stages if suits(checked_settings(attention, "attention")) else None)


def paired_layers(rule, source, target):
    """Returns the layers of two branches that a rule pairs.

    Args:
        rule: As for `automatic_layers.candidates`.
        source: `Branch` of the teacher.
        target: `Branch` of the student.
    """
    from keras_distill.features import automatic_layers

    return automatic_layers.pair(rule, source.candidates(rule), target.candidates(rule))


def explore(space):
    """Finds the hyperparameters of a space and examples of its settings.

    It tries all combinations of the choices, booleans and integers, up to 200, with the defaults
    of the other numbers; of more combinations, some that have every value.

    Args:
        space: Function of hyperparameters.

    Returns:
        Tuple of `keras_tuner.HyperParameters`, and a list of tuples of values and settings.

    Raises:
        TypeError: If the function returns no dictionary.
        ValueError: If it returns arguments that a search can't choose.
    """
    import keras_tuner

    known = keras_tuner.HyperParameters()
    examples, count = {}, -1
    while len(known.space) > count:
        count = len(known.space)
        for discrete in _combinations(known):
            hp = keras_tuner.HyperParameters()
            hp.values = dict(discrete)
            settings = checked_settings(space(hp), "What space returns")
            active = {each.name: hp.values[each.name] for each in hp.space if hp.is_active(each)}
            examples[tuple(sorted(active.items(), key=lambda item: item[0]))] = (active, settings)
            known.merge(hp, overwrite=False)
    return known, list(examples.values())


def _combinations(known):
    from keras_tuner.engine import hyperparameters as kinds

    choices = {
        each.name: list(each.values)
        for each in known.space
        if isinstance(each, (kinds.Choice, kinds.Boolean, kinds.Int))
    }
    total = 1
    for values in choices.values():
        total *= len(values)
    if total <= _MOST_COMBINATIONS:
        for values in itertools.product(*choices.values()):
            yield dict(zip(choices, values, strict=True))
        return
    rng = random.Random(0)
    for index in range(max(_MOST_COMBINATIONS, *map(len, choices.values()))):
        yield {
            name: values[index] if index < len(values) else rng.choice(values)
            for name, values in choices.items()
        }
