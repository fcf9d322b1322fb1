"""Folds: which samples train and which validate, and the seed of each run."""

import dataclasses

import numpy as np

from keras_distill.arguments import check_choice, shown


@dataclasses.dataclass(frozen=True, eq=False)
class Fold:
    """One run of cross-validation.

    Args:
        number: Its number among all runs, from 0.
        train: Indices of the samples that train, integer array.
        validation: Indices of the others, which score.
        seed: Integer that initial weights, order of samples and dropout come from.
    """

    number: int
    train: np.ndarray
    validation: np.ndarray
    seed: int


def folds_of(data, folds=5, repeats=1, groups=None, stratify="auto", seed=0):
    """Returns the folds of training data, whose samples without a label train in each fold.

    Args:
        data: `TrainingData`.
        folds: As for `make_folds`, like all that follow.
        repeats: Number of repeats.
        groups: Group of each sample, with a label or without. A sample without a label doesn't
            train where its group validates.
        stratify: Whether each part has every class in proportion.
        seed: Integer.
    """
    labeled = data.labeled
    others = np.setdiff1d(np.arange(data.count), labeled)
    classes = None if data.classes is None else data.classes[labeled]
    if groups is not None:
        groups = _checked_groups(groups, data.count)
    of_labeled = None if groups is None else groups[labeled]
    made = []
    for fold in make_folds(len(labeled), classes, folds, repeats, of_labeled, stratify, seed):
        validation = labeled[fold.validation]
        beside = others if groups is None else others[~np.isin(groups[others], groups[validation])]
        train = np.sort(np.concatenate([labeled[fold.train], beside]))
        made.append(Fold(fold.number, train, validation, fold.seed))
    return made


def make_folds(count, classes, folds=5, repeats=1, groups=None, stratify="auto", seed=0):
    """Returns the folds of each repeat, each of which divides all samples anew.

    Args:
        count: Number of samples.
        classes: Class of each sample, or `None`.
        folds: Number of parts, each of which validates once per repeat.
        repeats: How often to divide the samples.
        groups: Group of each sample, such as the speaker or the patient: all samples of a group
            validate together. Or `None`.
        stratify: Whether each part has every class in proportion; `"auto"`: if there are classes.
        seed: Integer.

    Returns:
        List of `repeats * folds` `Fold`.

    Raises:
        ValueError: If there are too few samples, groups, or samples of a class.
    """
    if count < folds:
        raise ValueError(f"folds={folds} needs at least that many samples. Received: {count}")
    check_choice("stratify", stratify, ("auto", True, False))
    is_stratified = classes is not None if stratify == "auto" else stratify
    if is_stratified:
        _check_classes(classes, folds)
    if groups is not None:
        groups = _checked_groups(groups, count)
        found = len(np.unique(groups))
        if found < folds:
            raise ValueError(
                f"folds={folds} needs at least that many groups. Received: {found} groups"
            )
    made = []
    for repeat in range(repeats):
        seeds = np.random.SeedSequence([seed, repeat]).generate_state(1 + folds) % 2**31
        splitter = _splitter(is_stratified, groups is not None, folds, int(seeds[0]))
        labels = classes if is_stratified else np.zeros(count)
        for (train, validation), of_run in zip(
            splitter.split(np.zeros(count), labels, groups), seeds[1:], strict=True
        ):
            made.append(Fold(len(made), np.sort(train), np.sort(validation), int(of_run)))
    return made


def _splitter(is_stratified, is_grouped, folds, seed):
    from sklearn import model_selection

    prefix = "Stratified" if is_stratified else ""
    splitter = getattr(model_selection, f"{prefix}{'Group' if is_grouped else ''}KFold")
    return splitter(folds, shuffle=True, random_state=seed)


def _check_classes(classes, folds):
    if classes is None:
        raise ValueError(
            "stratify=True needs labels that are classes: integers, or one-hot rows. Give "
            "stratify=False for other labels."
        )
    found, counts = np.unique(classes, return_counts=True)
    if counts.min() < folds:
        raise ValueError(
            f"folds={folds} needs that many samples of each class: give fewer folds, or "
            "stratify=False. "
            f"Received: class {found[counts.argmin()]} with {counts.min()} samples"
        )


def _checked_groups(groups, count):
    try:
        groups = np.asarray(groups)
    except ValueError:
        groups = np.empty(0)
    if groups.shape != (count,) or groups.dtype.kind not in "iubUSO":
        raise ValueError(
            f"groups must name the group of each of the {count} samples: integers or strings. "
            f"Received: groups={shown(groups)}"
        )
    return np.unique([str(group) for group in groups], return_inverse=True)[1]
