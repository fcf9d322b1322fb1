"""Distillation losses and weights that the command line names."""

import json
import math

from keras_distill.cli.run_options import Option

OPTIONS = [
    Option(
        "--recipe",
        "a published configuration of `keras-distill inspect --recipes`, with its weights",
        replaces=("losses", "weights", "student_loss_weight"),
    ),
    Option(
        "--losses",
        "distillation losses of `keras-distill inspect --losses`, with commas between; in a file "
        "also {loss: kd, temperature: 2.0}; default: auto",
        settings={"nargs": "+", "metavar": "LOSS"},
        replaces=("recipe", "weights", "student_loss_weight"),
    ),
    Option(
        "--weights",
        "a weight per loss, with commas between: a number, balanced, or balanced:SHARE; default: 1 "
        "each",
        settings={"nargs": "+", "metavar": "WEIGHT"},
    ),
    Option(
        "--student-loss-weight",
        "weight of the labels, from 0 to 1, beside which the losses share the rest, or none, which "
        "adds the losses to the labels; default: 0.5",
        settings={"metavar": "WEIGHT"},
    ),
]
_BALANCED = "balanced"


def check(settings):
    """Checks what can be known of the options before Keras is imported.

    Args:
        settings: Namespace of the options of the losses.

    Raises:
        ValueError: If they don't go together, or a number is none.
    """
    if settings.recipe is not None:
        for name in ("losses", "weights", "student_loss_weight"):
            if getattr(settings, name) is not None:
                flag = f"--{name.replace('_', '-')}"
                raise ValueError(
                    f"A recipe has losses and weights of its own: leave {flag} or --recipe out. "
                    f"Received: --recipe {settings.recipe}"
                )
    specifications = _losses(settings.losses)
    weights = split(settings.weights or [])
    for weight in weights:
        _number("--weights", weight.removeprefix(f"{_BALANCED}:") if weight != _BALANCED else "1")
    if weights and len(weights) != len(specifications):
        raise ValueError(
            f"--weights must have one weight per loss. Received: {len(weights)} weights, "
            f"{len(specifications)} losses"
        )
    if settings.student_loss_weight not in (None, "none"):
        _number("--student-loss-weight", settings.student_loss_weight, high=1)


def candidate_of(settings):
    """Returns what is compared with the student alone, as `compare` takes it.

    Args:
        settings: As for `check`.

    Raises:
        ValueError: If a recipe or loss is unknown.
    """
    from keras_distill import losses, recipes

    if settings.recipe is not None:
        return dict(recipes.get(settings.recipe))
    made = []
    for specification in _losses(settings.losses):
        name = specification.pop("loss")
        try:
            made.append(losses.get(name, **specification))
        except TypeError as error:
            raise ValueError(f"--losses: {error}") from error
    arguments = {"distillation_losses": made}
    if settings.weights is not None:
        arguments["distillation_loss_weights"] = [
            _weight(text, losses.Balanced) for text in split(settings.weights)
        ]
    if settings.student_loss_weight is not None:
        is_none = settings.student_loss_weight == "none"
        arguments["student_loss_weight"] = None if is_none else float(settings.student_loss_weight)
    return arguments


def options_of(arguments):
    """Returns the options that give the same losses and weights.

    Args:
        arguments: Dictionary of arguments of `Distiller`: losses of this package with plain
            arguments, numbers or `Balanced` as weights.
    """
    from keras_distill import losses

    specifications = []
    for loss in arguments["distillation_losses"]:
        config, usual = loss.get_config(), losses.get(type(loss)).get_config()
        own = {name: value for name, value in config.items() if value != usual.get(name)}
        specifications.append(json.dumps({"loss": type(loss).__name__, **own}))
    weights = [
        f"{_BALANCED}:{weight.share!r}" if isinstance(weight, losses.Balanced) else repr(weight)
        for weight in arguments["distillation_loss_weights"]
    ]
    share = arguments["student_loss_weight"]
    return {
        "losses": specifications,
        "weights": weights,
        "student_loss_weight": "none" if share is None else repr(share),
    }


def _losses(words):
    """Returns a dictionary of the name and the arguments of each loss."""
    found = []
    for word in words or ["auto"]:
        if not word.lstrip().startswith("{"):
            found += [{"loss": name} for name in split([word])]
            continue
        try:
            specification = json.loads(word)
        except json.JSONDecodeError as error:
            raise ValueError(f"--losses can't be read as JSON: {error}. Received: {word}") from None
        if not isinstance(specification.get("loss"), str):
            raise ValueError(
                'A loss with arguments must have its name, {"loss": "kd", "temperature": 2.0}. '
                f"Received: {word}"
            )
        found.append(specification)
    return found


def split(words):
    """Returns the names in words that have commas between.

    Args:
        words: List of texts.
    """
    return [name.strip() for word in words for name in word.split(",") if name.strip()]


def _weight(text, balanced):
    if text == _BALANCED:
        return balanced()
    if text.startswith(f"{_BALANCED}:"):
        return balanced(float(text.removeprefix(f"{_BALANCED}:")))
    return float(text)


def _number(flag, text, high=math.inf):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= high or math.isinf(value):
        upper = "" if math.isinf(high) else f" and at most {high}"
        raise ValueError(f"{flag} takes numbers of at least 0{upper}. Received: {flag} {text}")
