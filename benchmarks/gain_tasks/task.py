"""What a task consists of: data, teacher, student, and the settings of training."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Options:
    """Places that a task is loaded from.

    Args:
        data_dir: Folder of tensorflow-datasets, or `None` for theirs.
        work: Folder for teachers and what they answered.
        teacher: File of a trained teacher, for tasks that train none.
    """

    data_dir: str | None
    work: pathlib.Path
    teacher: str | None = None


@dataclasses.dataclass(frozen=True)
class Training:
    """Settings of a training: Adam with a cosine decay from `rate` to 0.

    Args:
        updates: Number of updates.
        rate: Learning rate at the start.
        batch_size: Labeled samples of an update.
        unlabeled: Unlabeled samples that are added to a batch, in arms that use them.
    """

    updates: int
    rate: float
    batch_size: int = 50
    unlabeled: int = 50


@dataclasses.dataclass
class Split:
    """Data of one division into training, validation and test.

    Args:
        x: Labeled training inputs: an array, or a batch of `TeacherCache.join` with all samples.
        y: Their classes.
        unlabeled: Inputs without labels, as `x`.
        validation: Tuple of inputs and classes that settings are chosen on.
        test: Tuple of inputs and classes that results are reported on.
        teacher_data: Tuple of inputs and classes that the teacher learns.
        views: How many augmented versions `x` and `unlabeled` hold of each sample, one after the
            other: sample i of n in view v is number `v * n + i`.
        cache: `TeacherCache` that `x` and `unlabeled` were joined with.
    """

    x: Any
    y: np.ndarray
    unlabeled: Any
    validation: tuple
    test: tuple
    teacher_data: tuple | None = None
    views: int = 1
    cache: Any = None


@dataclasses.dataclass
class Task:
    """A task: the student with a seed is trained on the split `seed % len(splits)`.

    Args:
        name: Its name.
        title: What it is, one line.
        splits: List of `Split`: one, or one per group of people that is left out to validate.
        make_student: Function to an untrained student that outputs logits.
        training: `Training` of the students.
        make_teacher: Function to an untrained teacher, or `None` if it comes from a file.
        teacher_training: `Training` of the teacher.
        load_teacher: Function to the teacher that is no part of this benchmark.
        augment: Function `(inputs, seed)` of a batch to such inputs, whose randomness comes from
            the integer tensor `seed` of shape `(2,)`; or `None`.
        layers: Dictionary from the short name of a loss to the arguments that name its layers.
        without: Short names of losses that make no sense here.
        teacher_name: Name of the teachers' files; by default that of the task.
    """

    name: str
    title: str
    splits: list
    make_student: Callable
    training: Training
    make_teacher: Callable | None = None
    teacher_training: Training | None = None
    load_teacher: Callable | None = None
    augment: Callable | None = None
    layers: dict = dataclasses.field(default_factory=dict)
    without: tuple = ()
    teacher_name: str = ""

    def __post_init__(self):
        self.teacher_name = self.teacher_name or self.name

    def split_of(self, seed):
        """Returns the split of a seed."""
        return self.splits[seed % len(self.splits)]
