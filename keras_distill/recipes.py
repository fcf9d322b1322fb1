"""Recipes: published losses, weights and warm-up by name, with the papers' numbers."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from keras.optimizers.schedules import PolynomialDecay

from keras_distill import losses
from keras_distill.arguments import check_count, closest, shown


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Recipe: published arguments of the `Distiller`, as `Distiller(teacher, student, **recipe)`.

    Args:
        name: Its name.
        distillation_losses: List of distillation losses.
        distillation_loss_weights: Number or schedule per loss, or `"balanced"` where no weight
            is published.
        student_loss_weight: As for the `Distiller`: `None` adds the labels' loss with weight 1.
        source: Where the numbers come from.
    """

    name: str
    distillation_losses: list
    distillation_loss_weights: list
    student_loss_weight: float | None
    source: str

    def keys(self) -> Iterable[str]:
        """Returns the names of the distiller's arguments."""
        return ("distillation_losses", "distillation_loss_weights", "student_loss_weight")

    def __getitem__(self, key: str) -> Any:
        if key not in self.keys():
            raise KeyError(key)
        return getattr(self, key)


@dataclasses.dataclass(frozen=True)
class _Configuration:
    """Configuration of a recipe: (abbreviation, weight, arguments) per loss."""

    losses: tuple
    source: str
    student_loss_weight: float | None = None
    warmup_epochs: int = 0
    curriculum_epochs: int = 0


def _configuration(
    abbreviation,
    weight,
    source,
    *more,
    student_loss_weight=None,
    warmup_epochs=0,
    curriculum_epochs=0,
    **kwargs,
):
    return _Configuration(
        ((abbreviation, weight, kwargs), *more),
        source,
        student_loss_weight,
        warmup_epochs,
        curriculum_epochs,
    )


_BALANCED = "balanced"
_NO_WEIGHT = (
    "No weight is published: the one that makes its gradient half as long as that of the labels."
)

_CONFIGURATIONS = {
    "kd": _configuration(
        "kd",
        1.0,
        "0.1 labels + 0.9 soft targets at T = 4, the usual setting on CIFAR-100 (CRD's benchmark).",
        student_loss_weight=0.1,
        temperature=4.0,
    ),
    "kd_standardized": _configuration(
        "kd",
        10.0,
        "Sun et al. 2024, CIFAR-100: 0.1 labels + 9 soft targets of standardized logits at T = 2.",
        student_loss_weight=0.1,
        temperature=2.0,
        standardize=True,
    ),
    "function_matching": _configuration(
        "kd",
        1.0,
        "Beyer et al. 2022, the authors' code for ImageNet: the teacher's answers at T = 1 to "
        "mixed-up images, no labels, and a very long training.",
        student_loss_weight=0.0,
        temperature=1.0,
    ),
    "ctkd": _configuration(
        "ctkd",
        1.0,
        "Li et al. 2023, the authors' code for CIFAR-100: 0.1 labels + 0.9 soft targets, whose "
        "temperature of 1 to 21 is learned; the reversed gradient grows over 10 epochs.",
        student_loss_weight=0.1,
        curriculum_epochs=10,
    ),
    "ttm": _configuration(
        "ttm",
        45.0,
        "Zheng & Yang 2024, the authors' example for CIFAR-100: exponent 0.1 (T = 10), weight 45.",
        temperature=10.0,
    ),
    "wttm": _configuration(
        "wttm",
        4.0,
        "Zheng & Yang 2024, the authors' example for CIFAR-100, there beside CRD: exponent 0.2 "
        "(T = 5), weight 4.",
        temperature=5.0,
    ),
    "deit": _configuration(
        "deit",
        1.0,
        "Touvron et al. 2021: labels and the teacher's decisions, half each.",
        student_loss_weight=0.5,
    ),
    "sdd": _configuration(
        "sdd",
        1.0,
        "Wei et al. 2024, the authors' code for CIFAR-100: 0.1 labels + 0.9 soft targets at T = 4, "
        "of 1, 4 and 16 regions.",
        student_loss_weight=0.1,
    ),
    "logits": _configuration(
        "logits", 1.0, "Ba & Caruana 2014: logits alone.", student_loss_weight=0.0
    ),
    "dkd": _configuration(
        "dkd",
        1.0,
        "Zhao et al. 2022, CIFAR-100: alpha 1, beta 8, T 4, warmed up over 20 epochs.",
        warmup_epochs=20,
        alpha=1.0,
        beta=8.0,
        temperature=4.0,
    ),
    "dist": _configuration(
        "dist",
        1.0,
        "Huang et al. 2022, CIFAR-100: beta and gamma 2, T 4.",
        beta=2.0,
        gamma=2.0,
        temperature=4.0,
    ),
    "nkd": _configuration("nkd", 1.0, "Yang et al. 2023, ImageNet: gamma 1.5, T 1.", gamma=1.5),
    "tfkd": _configuration(
        "tfkd",
        1.0,
        "Yuan et al. 2020, ImageNet: 0.9 labels + 0.1 virtual teacher at T = 20.",
        student_loss_weight=0.9,
    ),
    "mlkd": _configuration(
        "mlkd",
        1.0,
        "Jin et al. 2023, the authors' code for CIFAR-100: 0.1 labels and 0.9 each part in two "
        "augmented views; here in one, relative to the labels' 1.",
        instance_weight=6.75,
        batch_weight=2.25,
        class_weight=2.25,
    ),
    "at": _configuration("at", 1000.0, "Zagoruyko & Komodakis 2017, the authors' code: beta 1000."),
    "at_kd": _configuration(
        "at",
        1000.0 / 0.9,
        "Zagoruyko & Komodakis 2017 together with soft targets at T = 4: 0.1 labels + 0.9 soft "
        "targets + 1000 attention.",
        ("kd", 1.0, {"temperature": 4.0}),
        student_loss_weight=0.1,
    ),
    "fma": _configuration("fma", _BALANCED, _NO_WEIGHT),
    "mip": _configuration("mip", _BALANCED, _NO_WEIGHT),
    "mips": _configuration("mips", _BALANCED, _NO_WEIGHT),
    "sals": _configuration("sals", _BALANCED, _NO_WEIGHT),
    "gat": _configuration(
        "gat", _BALANCED, f"The paper names its weight only as beta / 2. {_NO_WEIGHT}"
    ),
    "amad": _configuration(
        "amad",
        10.0,
        "Zhao et al. 2024 give no constants publicly; chosen here: Kullback-Leibler divergence, "
        "weight 10, with soft targets at T = 4.",
        ("kd", 1.0, {"temperature": 4.0}),
    ),
    "tinybert": _configuration(
        "tinybert",
        1.0,
        "Jiao et al. 2020: raw attention scores, embeddings and hidden states, then soft targets "
        "at T = 1, each with weight 1, no labels; here all at once.",
        ("hidden_states", 1.0, {}),
        ("kd", 1.0, {"temperature": 1.0}),
        student_loss_weight=0.0,
    ),
    "minilm": _configuration(
        "minilm",
        1.0,
        "Wang et al. 2021: relations of queries, keys and values, weight 1. The paper uses them "
        "alone, before the student is fine-tuned; here beside the labels.",
    ),
    "catkd": _configuration(
        "catkd",
        400.0,
        "Guo et al. 2023 choose it by the pair of models, 0.7 to 600, and leave the maps of most "
        "pairs as they are; here their configuration's default, 400, with maps of unit length.",
    ),
    "fitnet": _configuration("fitnet", 100.0, "RepDistiller, CIFAR-100: weight 100."),
    "fsp": _configuration("fsp", 50.0, "RepDistiller, CIFAR-100: weight 50."),
    "nst": _configuration("nst", 50.0, "RepDistiller, CIFAR-100: weight 50."),
    "ab": _configuration(
        "ab",
        30.0,
        "RepDistiller's 0.003 on a sum over the neurons, about 30 on the mean that is taken here; "
        "there before the labels, here beside them.",
    ),
    "ofd": _configuration(
        "ofd",
        10.0,
        "Heo et al. 2019: 0.001 on a sum over the neurons, about 10 on the mean taken here.",
    ),
    "pkd": _configuration(
        "pkd",
        10.0,
        "Cao et al. 2022, the authors' code for RetinaNet: weight 10 per level of the pyramid.",
    ),
    "ofa": _configuration(
        "ofa",
        1.0,
        "Hao et al. 2023: labels, every exit and the output, weight 1 each; exponent 1, which is "
        "chosen up to 1.5 by the pair of models.",
        (
            "ofa",
            1.0,
            {"teacher_layer_name": None, "student_layer_name": None, "name": "ofa_output"},
        ),
    ),
    "srrl": _configuration("srrl", 1.0, "Yang et al. 2021, the authors' code: weight 1."),
    "kdsvd": _configuration(
        "kdsvd", 1.0, "mdistiller's configuration for CIFAR-100: one vector, weight 1."
    ),
    "mgd": _configuration(
        "mgd",
        2.0,
        "Yang et al. 2022, the authors' code for ImageNet: 7e-5 on a sum over the values, about "
        "2 on the mean taken here, masking 15 % of the channels.",
        mask_ratio=0.15,
        masked="channels",
    ),
    "ft": _configuration("ft", 500.0, "Kim et al. 2018, the authors' code: beta 500."),
    "vid": _configuration("vid", 1.0, "Ahn et al. 2019, RepDistiller: weight 1."),
    "reviewkd": _configuration(
        "reviewkd",
        5.0,
        "Chen et al. 2021 choose it by the models, about 1 to 8, warmed up over 20 epochs; here 5.",
        warmup_epochs=20,
    ),
    "simkd": _configuration(
        "simkd", 1.0, "Chen et al. 2022: features alone.", student_loss_weight=0.0
    ),
    "cwd": _configuration("cwd", 50.0, "Shu et al. 2021: 50 on features, T 4.", temperature=4.0),
    "rkd": _configuration("rkd", 1.0, "Park et al. 2019: distances 25, angles 50."),
    "sp": _configuration("sp", 3000.0, "Tung & Mori 2019: gamma 3000."),
    "cc": _configuration(
        "cc",
        100.0,
        "Peng et al. 2019: 100 for the paper's formula; RepDistiller's 0.02 is for another one.",
    ),
    "pkt": _configuration(
        "pkt",
        470.0,
        "RepDistiller, CIFAR-100: 30000 on a mean over pairs in batches of 64; here on a sum over "
        "the neighbors.",
    ),
    "crd": _configuration(
        "crd",
        0.8,
        "InfoNCE within the batch, at the weight 0.8 and T 0.07 of Tian et al. 2020, CIFAR-100, "
        "whose NCE with a memory bank of 16,384 negatives is recipes.get('crd', samples=N).",
    ),
    "ickd": _configuration(
        "ickd",
        _BALANCED,
        "Liu et al. 2021 weigh a mean over channels, here it is one over channel pairs: the weight "
        "that makes its gradient half as long as that of the labels.",
    ),
    "irg": _configuration(
        "irg", 1.0, "Liu et al. 2019: vertices 0.1, edges and transformations 5."
    ),
}


def names() -> list[str]:
    """Names of the recipes."""
    return list(_CONFIGURATIONS)


def get(name: str, steps_per_epoch: int | None = None, **kwargs: Any) -> Recipe:
    """Recipe by name.

    Args:
        name: One of `names()`.
        steps_per_epoch: Number of training steps in an epoch, for recipes that warm up. Without
            it the weight, or the curriculum, is there from the start.
        **kwargs: Arguments of the recipe's first loss, in place of the recipe's own.

    Returns:
        `Recipe`.

    Raises:
        TypeError: If `steps_per_epoch` isn't an integer, or the loss has no such argument.
        ValueError: If the name is unknown, or a number is out of bounds.

    Example:

    ```python
    recipe = get("dkd", steps_per_epoch=100)
    assert float(recipe.distillation_loss_weights[0](1000)) == 0.5
    assert get("kd", temperature=2.0).distillation_losses[0].temperature == 2.0
    ```
    """
    if not isinstance(name, str) or name not in _CONFIGURATIONS:
        raise ValueError(
            f"Unknown recipe {shown(name)}.{closest(name, names())} Known: {', '.join(names())}."
        )
    if steps_per_epoch is not None:
        steps_per_epoch = check_count("steps_per_epoch", steps_per_epoch, high=2**31)
    configuration = _CONFIGURATIONS[name]
    if configuration.curriculum_epochs and steps_per_epoch is not None:
        growth_steps = configuration.curriculum_epochs * steps_per_epoch
        kwargs = {"temperature": losses.CurriculumTemperature(growth_steps=growth_steps), **kwargs}
    made, weights = [], []
    for index, (abbreviation, weight, arguments) in enumerate(configuration.losses):
        arguments = {**arguments, **kwargs} if index == 0 else arguments
        made.append(losses.get(abbreviation, **arguments))
        weights.append(_warmed_up(weight, configuration.warmup_epochs, steps_per_epoch))
    return Recipe(name, made, weights, configuration.student_loss_weight, configuration.source)


def _warmed_up(weight, epochs, steps_per_epoch):
    if not epochs or steps_per_epoch is None:
        return weight
    return PolynomialDecay(0.0, epochs * steps_per_epoch, end_learning_rate=weight)
