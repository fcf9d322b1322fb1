"""The arguments of building a cache, checked before the teacher runs over a data set."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from keras_distill.arguments import check_choice, shown
from keras_distill.cache import manifest, shards
from keras_distill.cache.arguments import check_augment, check_seed, check_size, spec_text
from keras_distill.cache.builder import RunningTeacher, check_reproducible
from keras_distill.cache.cache_spec import CacheSpec
from keras_distill.cache.samples import Samples, seeded
from keras_distill.cache.targets import DTYPES, TeacherTargets, tapped_paths
from keras_distill.features.branch_kinds import branch_of
from keras_distill.losses.keras_loss import distillation_loss


class BuildSpec(CacheSpec):
    """The arguments of `TeacherCache.build`, checked and understood.

    Args:
        teacher: As for `TeacherCache.build`, like all that follow.
        dataset: Data set.
        distillation_losses: A loss, its name, or a list of them.
        batch_size: Samples per step.
        dtype: Name of a type.
        top_k: Number of logits, or `None`.
        teacher_input: Input function.
        augment: Function, or `None`.
        views: Number of views.
        seed: Integer.
        shard_size: Samples per file, or `None`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of bounds, or a loss can't be served.
    """

    def __init__(
        self,
        teacher,
        dataset,
        distillation_losses,
        batch_size,
        dtype,
        top_k,
        teacher_input,
        augment,
        views,
        seed,
        shard_size,
    ):
        self._branch = branch_of(teacher, "teacher", teacher_input)
        if not self._branch.computes:
            raise ValueError(
                "Teacher must be a keras.Model, or a function from a batch to logits. "
                f"Received: teacher={shown(teacher)}"
            )
        if self._branch.needs_labels:
            raise ValueError(
                "This teacher's answers depend on the labels, as those of a TeacherEnsemble with "
                'weights="confidence" do, and a cache keeps answers without them: use '
                'weights="entropy" or "uniform", or give Distiller the teacher itself. '
                f"Received: teacher={shown(teacher)}"
            )
        batch_size = check_size("batch_size", batch_size)
        views = check_size("views", views)
        top_k = None if top_k is None else check_size("top_k", top_k)
        shard_size = None if shard_size is None else check_size("shard_size", shard_size)
        seed = check_seed(seed)
        check_choice("dtype", dtype, DTYPES)
        check_augment(augment)
        if views > 1 and augment is None:
            raise ValueError(
                "More than one view needs augment=, a function (inputs, seed): without it all "
                f"views are the same. Received: views={views}, augment=None"
            )
        self.augment = augment
        self._of_losses(distillation_losses)
        self.samples = Samples(dataset, _ranks(self._branch))
        self.samples.check_batch_size(batch_size)
        batch = tf.nest.map_structure(
            lambda leaf: tf.TensorSpec((None, *leaf.shape), leaf.dtype), self.samples.inputs_spec
        )
        kept = TeacherTargets(self._tapped, self._branch, batch, dtype, top_k)
        self._teacher = RunningTeacher(kept.pack)
        self.targets = kept.targets
        check_reproducible(self.samples, seeded(augment, seed, view=0))
        made_of = {
            "teacher weights": manifest.weights_checksum(self._branch.model),
            "kept": sorted(name for target in kept.targets for name in target.arrays),
            "samples": self.samples.count,
            "inputs": spec_text(self.samples.inputs_spec),
            "dtype": dtype,
            "top_k": top_k,
            "augmentation": "none" if augment is None else "given",
            "views": views,
            "seed": seed,
        }
        self.content = self._described(
            made_of,
            kept.outputs,
            [[path, self._branch.activation_of(path)] for path in [None, *self._paths]],
            self._candidates,
            batch_size,
            shard_size,
        )

    def rows(self, start, inputs):
        """Runs the teacher on a batch; returns the arrays to store."""
        return self._teacher(inputs)

    def _of_losses(self, losses):
        several = isinstance(losses, (list, tuple))
        chosen = [distillation_loss(loss) for loss in (losses if several else [losses])]
        if not chosen:
            raise ValueError("distillation_losses is empty: give at least one distillation loss.")
        self._candidates = self._branch.all_candidates()
        self._tapped = tapped_paths(chosen, self._candidates)
        self._paths = list(dict.fromkeys(path for _, path in self._tapped if path is not None))
        self._branch.tap([(path, loss) for loss, path in self._tapped])

    def check_answers(self, directory, recorded):
        """Checks the teacher's answers to the first batch: weights aren't all of a model."""
        first = pathlib.Path(directory) / shards.file_name(0, 0)
        if not first.exists():
            return
        *_, kept = next(iter(shards.read({str(first): 1}, self.targets)))
        of_sample = seeded(self.augment, recorded["made_of"]["seed"], view=0)
        inputs, *_ = next(iter(self.samples.in_batches(recorded["batch_size"], of_sample)))
        answers, _ = self._teacher.answers(inputs)
        for name in kept:
            array = answers[name]
            if array.dtype.is_floating:
                both = array, kept[name][: len(array)]
                now, then = (np.asarray(tf.cast(each, "float32")) for each in both)
                if not np.allclose(now, then, rtol=0, atol=0.02 * max(np.abs(then).max(), 1e-6)):
                    raise ValueError(
                        f"The cache in {str(directory)!r} is of something else: the teacher has "
                        f"the same weights, but {name} of the first batch is not the same."
                    )


def _ranks(branch):
    if branch.input_function is not None or branch.symbolic_inputs is None:
        return None
    return [len(leaf.shape) - 1 for leaf in keras.tree.flatten(branch.symbolic_inputs)]
