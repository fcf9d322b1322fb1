"""The settings that `gains.py` compares, by name: losses, weights, and which samples."""

import dataclasses
from typing import Any

from keras_distill import losses

ALONE = "alone"
BALANCED = "balanced"


@dataclasses.dataclass(frozen=True)
class Arm:
    """A setting: the labels' loss with weight 1, and losses with weights beside it.

    Args:
        terms: Tuple of (short name, arguments) for each loss; none is the student alone.
        weights: Tuple of a number or `Balanced` per loss, or `"balanced"`.
        uses_unlabeled: Whether batches hold unlabeled samples too.
    """

    terms: tuple = ()
    weights: Any = ()
    uses_unlabeled: bool = False

    def settings(self, layers):
        """Returns the arguments of `Distiller`.

        Args:
            layers: Dictionary from a short name to the arguments that name a loss's layers.
        """
        made = [losses.get(name, **layers.get(name, {}), **given) for name, given in self.terms]
        weights = self.weights if self.weights == BALANCED else list(self.weights)
        return {
            "distillation_losses": made,
            "distillation_loss_weights": weights,
            "student_loss_weight": None,
        }

    def holds(self):
        """Says what a student learns from."""
        weights = [BALANCED] * len(self.terms) if self.weights == BALANCED else self.weights
        parts = ["labels"]
        for (name, given), weight in zip(self.terms, weights, strict=True):
            shown = ", ".join(f"{key} {value}" for key, value in given.items())
            term = f"{shown_weight(weight)} {name}"
            parts.append(f"{term} ({shown})" if shown else term)
        return " + ".join(parts) + (", unlabeled samples too" if self.uses_unlabeled else "")


def shown_weight(weight, scale=1.0):
    """Says what a weight is: a number, `"balanced"`, or the share that it is balanced to.

    Args:
        weight: Number, schedule, `Balanced` or `"balanced"`. Of a schedule its end is said.
        scale: What a number is multiplied by.
    """
    weight = losses.Balanced() if weight == BALANCED else weight
    if isinstance(weight, losses.Balanced):
        return f"{BALANCED} to {weight.share:g}"
    return f"{scale * getattr(weight, 'end_learning_rate', weight):g}"


def one(name, weight=1.0, **given):
    """Returns the arm of one loss.

    Args:
        name: Short name of the loss.
        weight: Its weight.
        **given: Its arguments.
    """
    return Arm(((name, given),), (weight,))


RESPONSES = {
    "kd": one("kd", temperature=4.0),
    "kd1": one("kd", temperature=1.0),
    "kd_standardized": one("kd", temperature=2.0, standardize=True),
    # The weight of its paper, which has 0.1 for the labels.
    "kd_standardized9": one("kd", 9.0, temperature=2.0, standardize=True),
    "dist": one("dist"),
    # The setting of its paper for small images.
    "dist_cifar": one("dist", beta=2.0, gamma=2.0, temperature=4.0),
    "kd8": one("kd", temperature=8.0),
    "kd2": one("kd", temperature=2.0),
    # Nearer to the papers, which have 0.1 for the labels and 0.9 for soft targets.
    "kd3x": one("kd", 3.0, temperature=4.0),
    "kd9x": one("kd", 9.0, temperature=4.0),
    "kd_standardized3": one("kd", 3.0, temperature=2.0, standardize=True),
    "dkd": one("dkd", temperature=4.0),
    "nkd": one("nkd"),
}
FEATURES = {
    "at1000": one("at", 1000.0),
    "at100": one("at", 100.0),
    "at10": one("at", 10.0),
    "sp": one("sp", 3000.0),
    "kd+at100": Arm((("kd", {"temperature": 4.0}), ("at", {})), (1.0, 100.0)),
}
# What who names no loss and no weight gets, and that with attention transfer beside it.
DEFAULTS = {
    "auto": one("auto"),
    "auto+at": Arm((("auto", {}), ("at", {})), (1.0, losses.Balanced())),
    "auto+at0.3": Arm((("auto", {}), ("at", {})), (1.0, losses.Balanced(0.3))),
}


def _unlabeled(arms):
    # Losses that need labels learn nothing from samples without.
    return {
        f"unlabeled-{name}": dataclasses.replace(arm, uses_unlabeled=True)
        for name, arm in arms.items()
        if not any(losses.get(short).needs_labels for short, _ in arm.terms)
    }


def _balanced(**terms):
    return {f"balanced-{name}": Arm(term, BALANCED) for name, term in terms.items()}


_BALANCED = {name: RESPONSES[name].terms for name in ("kd", "kd1", "kd_standardized", "dist")} | {
    "at": FEATURES["at100"].terms,
    "kd+at": FEATURES["kd+at100"].terms,
}

ARMS = {
    ALONE: Arm(),
    **RESPONSES,
    **FEATURES,
    **DEFAULTS,
    **_unlabeled(RESPONSES),
    **_unlabeled(DEFAULTS),
    **_balanced(**_BALANCED),
    **_unlabeled(_balanced(**_BALANCED)),
}
