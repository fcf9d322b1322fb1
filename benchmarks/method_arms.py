"""The settings that `methods.py` compares: each method as published, and with balanced weights."""

import dataclasses

from gain_arms import BALANCED, shown_weight

from keras_distill import losses, recipes
from keras_distill.losses.registry import abbreviations

PUBLISHED, ADDED = "published", "+ soft targets"
# Of balanced weights, where no other is asked for.
SHARE = losses.Balanced().share
# Methods of transformers, and the tasks that have them. The last of them has no recipe.
OF_TRANSFORMERS = ("amad", "tinybert", "minilm", "hidden_states")
# What suits a recurrent student.
OF_ROWS = ("kd", "at", "fitnet", "sp")
# Recipes that already hold soft targets, or that no soft targets can be added to.
COMPLETE = ("kd", "kd_standardized", "logits", "at_kd", "dkd", "nkd", "mlkd", "dist", "simkd")
# The papers train for 240 epochs: what warms up over 20 of them takes a twelfth of the updates.
EPOCHS = 240


def methods_of(task):
    """Returns the names of the methods that suit a task.

    Args:
        task: Name of the task.
    """
    if task.startswith("sst2"):
        return ["kd", *OF_TRANSFORMERS]
    if task == "rows":
        return list(OF_ROWS)
    return [name for name in recipes.names() if name not in OF_TRANSFORMERS]


def ways_of(method):
    """Returns the ways in which a method is trained, unless others are asked for.

    Args:
        method: Name of a method.
    """
    if method not in recipes.names():
        return [BALANCED]
    # Where no weight is published, the recipe is balanced itself.
    is_published = recipes.get(method).distillation_loss_weights != [BALANCED]
    return [PUBLISHED, BALANCED] if is_published else [BALANCED]


@dataclasses.dataclass(frozen=True)
class MethodArm:
    """A method, and how its losses are weighed.

    Args:
        method: Name of a recipe, or of a loss.
        way: `"published"`, the weights of the recipe; `"balanced"`, its losses with balanced
            weights beside labels of weight 1; `"+ soft targets"`, 0.1 labels + 0.9 soft targets +
            the method at its own weight.
        updates: Number of updates of the training.
        share: Share of balanced weights.
    """

    method: str
    way: str
    updates: int
    share: float = SHARE
    # As `Arm` has it.
    uses_unlabeled = False

    @property
    def name(self):
        """Its name in the file of results."""
        return f"{self.method} {column(self.way, self.share)}"

    @property
    def terms(self):
        """As `Arm` has it: its losses, of which only the name is told."""
        return ((self.method, {}),)

    def settings(self, layers):
        """Returns the arguments of `Distiller`.

        Args:
            layers: Dictionary from a short name to the arguments that name a loss's layers.
        """
        own = layers.get(self.method, {})
        if self.way == BALANCED:
            made = _losses(self.method, own)
            return {
                "distillation_losses": made,
                "distillation_loss_weights": [losses.Balanced(self.share)] * len(made),
                "student_loss_weight": None,
            }
        steps = max(1, self.updates // EPOCHS)
        recipe = recipes.get(self.method, steps_per_epoch=steps, **own)
        return dict(recipe) if self.way == PUBLISHED else _with_soft_targets(recipe)

    def holds(self):
        """Says what a student learns from: each term with its weight in the total."""
        settings = self.settings({})
        labels, others = settings["student_loss_weight"], 1.0
        if labels is None:
            labels = 1.0
        else:
            others -= labels
        terms = [f"{labels:g} labels"] if labels else []
        for loss, weight in zip(
            settings["distillation_losses"], settings["distillation_loss_weights"], strict=True
        ):
            terms.append(f"{shown_weight(weight, others)} {_described(loss)}")
        return " + ".join(terms)


def column(way, share=SHARE):
    """Returns the name of a column of the tables.

    Args:
        way: As in `MethodArm`.
        share: Share of balanced weights.
    """
    return f"{BALANCED} {share:g}" if way == BALANCED and share != SHARE else way


def _losses(method, own):
    if method in recipes.names():
        return recipes.get(method, **own).distillation_losses
    return [losses.get(method, **own)]


def _with_soft_targets(recipe):
    scale = 1.0 if recipe.student_loss_weight is None else 1.0 - recipe.student_loss_weight
    own = [
        (scale * weight / 0.9 if isinstance(weight, float) else weight, loss)
        for weight, loss in zip(
            recipe.distillation_loss_weights, recipe.distillation_losses, strict=True
        )
        if not isinstance(loss, losses.SoftTargets)
    ]
    return {
        "distillation_losses": [losses.SoftTargets(4.0), *(loss for _, loss in own)],
        "distillation_loss_weights": [1.0, *(weight for weight, _ in own)],
        "student_loss_weight": 0.1,
    }


def _described(loss):
    """Names a loss by its abbreviation, with the settings that aren't its defaults."""
    config = loss.get_config()
    defaults = type(loss)(**{"mode": config["mode"]} if "mode" in config else {}).get_config()
    settings = {name: value for name, value in config.items() if value != defaults[name]}
    name = loss.name.replace("_", " ")
    for short, (known, implied) in abbreviations().items():
        if known is type(loss) and implied.items() <= config.items():
            name = short
    if name == "kd":
        name, settings = "soft targets", {"T": loss.temperature, **settings}
        settings.pop("temperature", None)
    shown = ", ".join(f"{name} {value}" for name, value in settings.items())
    return f"{name} ({shown})" if shown else name
