"""Folds: no sample on both sides, classes in proportion, groups whole, the same for one seed."""

import numpy as np
import pytest

from keras_distill.tuning.folds import folds_of, make_folds
from keras_distill.tuning.training_data import TrainingData

CLASSES = np.repeat([0, 1, 2], [50, 30, 20])
GROUPS = [f"speaker {index % 10}" for index in range(100)]


@pytest.mark.parametrize("groups", [None, GROUPS])
@pytest.mark.parametrize("classes", [None, CLASSES])
def test_each_sample_validates_once_in_each_repeat(classes, groups):
    made = make_folds(100, classes, folds=5, repeats=2, groups=groups)
    assert [fold.number for fold in made] == list(range(10))
    for fold in made:
        assert not set(fold.train) & set(fold.validation)
        assert len(fold.train) + len(fold.validation) == 100
    for repeat in (made[:5], made[5:]):
        validating = np.concatenate([fold.validation for fold in repeat])
        assert sorted(validating) == list(range(100))
    assert {tuple(fold.validation) for fold in made[:5]} != {tuple(f.validation) for f in made[5:]}


def test_each_fold_has_every_class_in_proportion():
    for fold in make_folds(100, CLASSES, folds=5):
        assert np.bincount(CLASSES[fold.validation]).tolist() == [10, 6, 4]


def test_without_strata_proportions_are_left_to_chance():
    made = make_folds(100, CLASSES, folds=5, stratify=False)
    assert any(np.bincount(CLASSES[f.validation], minlength=3).tolist() != [10, 6, 4] for f in made)


@pytest.mark.parametrize("stratify", [True, False])
def test_a_group_is_never_on_both_sides(stratify):
    groups = np.array(GROUPS)
    for fold in make_folds(100, CLASSES, folds=5, groups=GROUPS, stratify=stratify):
        assert not set(groups[fold.train]) & set(groups[fold.validation])


def test_one_seed_gives_the_same_folds_and_another_gives_others():
    of_seeds = [make_folds(100, CLASSES, folds=5, seed=seed) for seed in (3, 3, 4)]
    texts = [[(fold.validation.tolist(), fold.seed) for fold in made] for made in of_seeds]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
    assert len({fold.seed for fold in of_seeds[0]}) == 5


@pytest.mark.parametrize("groups", [None, np.arange(100) % 10])
def test_samples_without_a_label_train_but_not_beside_their_group(groups):
    labels = np.where(np.arange(100) < 60, CLASSES % 2, -1)
    data = TrainingData((np.zeros((100, 2)), labels))
    made = folds_of(data, folds=5, groups=groups)
    validating = np.concatenate([fold.validation for fold in made])
    assert sorted(validating) == list(range(60))
    for fold in made:
        beside = set(fold.train) - set(range(60))
        if groups is None:
            assert beside == set(range(60, 100))
        else:
            held = set(groups[fold.validation])
            assert beside == {index for index in range(60, 100) if groups[index] not in held}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 3, "classes": None}, "folds=5 needs at least that many samples"),
        ({"classes": np.repeat([0, 1], [97, 3])}, "class 1 with 3 samples"),
        ({"classes": None, "stratify": True}, "labels that are classes"),
        ({"stratify": "yes"}, "stratify must be one of"),
        ({"groups": GROUPS[:-1]}, "the group of each of the 100 samples"),
        ({"groups": 3}, "the group of each of the 100 samples"),
        ({"groups": [1, 2] * 50}, "Received: 2 groups"),
    ],
)
def test_what_cannot_be_divided_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_folds(**{"count": 100, "classes": CLASSES, **arguments})
