"""The teacher cache: the teacher's outputs of a data set, computed once and read many times."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_distill.arguments import check_count, check_flag, check_model, shown
from keras_distill.cache import manifest, shards
from keras_distill.cache.arguments import (
    check_augment,
    check_order,
    check_size,
    check_timeout,
    chosen_of,
    local_directory,
    spec_text,
)
from keras_distill.cache.branch import CacheBranch
from keras_distill.cache.build_spec import BuildSpec
from keras_distill.cache.builder import Builder
from keras_distill.cache.cache_spec import check_first
from keras_distill.cache.content import CacheContent
from keras_distill.cache.given_outputs import GivenOutputs, nothing_half_written
from keras_distill.cache.integrity import check_files
from keras_distill.cache.join import Join
from keras_distill.cache.samples import Samples
from keras_distill.cache.workers import worker_of


@keras.saving.register_keras_serializable("keras_distill")
class TeacherCache(CacheContent):
    """The teacher's outputs of each sample of a data set, in files, in place of the teacher.

    It keeps what the losses need and no more: logits (or the largest of them), the one channel that
    an attention map is made of, attention scores, embeddings, features. One cache serves many
    students and settings: temperatures, weights and students' layers are not part of it.

    `cache.join(dataset)` pairs each sample with the teacher's outputs, and checks by a fingerprint
    of its values that it is the same sample. `Distiller(teacher=cache, ...)` learns from such
    batches; the teacher doesn't run. Integers (tokens, bytes of images) and strings must be
    the same to the last bit; floating point numbers may differ by rounding, so keep token numbers
    in an integer type.

    A saved distiller keeps the cache's absolute path and what the cache holds, not its files. It
    loads without reading them, and, with a warning, where the cache is no longer in its place:
    then train it on batches of `TeacherCache(new_place).join(dataset)`.

    Args:
        directory: Folder of a cache that `TeacherCache.build` or `from_outputs` made, on this
            machine or a mounted disk.
        teacher: If given, the teacher whose cache it must be.
        verify: Whether to read all files and compare their checksums. If not, only their sizes are
            compared, and a damaged file ends the training that reads it, with an error that names
            it.

    Raises:
        FileNotFoundError: If the folder or one of its files is missing.
        ValueError: If the cache isn't finished, is damaged (the file is named), is of another
            teacher or of another version of this package, or `directory` is a remote address.

    Example:

    ```python
    import tempfile

    x, y = np.random.rand(64, 4).astype("float32"), np.random.randint(0, 3, 64)
    teacher, student = (
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]) for _ in range(2)
    )
    with tempfile.TemporaryDirectory() as folder:
        cache = TeacherCache.build(folder, teacher, (x, y), "kd", verbose=0)
        distiller = Distiller(cache, student, "kd")
        distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        distiller.fit(cache.join((x, y)), verbose=0)
    ```

    Reference:
        - Shen & Xing, "A Fast Knowledge Distillation Framework for Visual Recognition", ECCV 2022.
        - Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision Transformers", ECCV
          2022.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        teacher: keras.Model | None = None,
        verify: bool = True,
    ):
        directory = local_directory(directory)
        check_flag("verify", verify)
        content = manifest.read(directory)
        if not content["complete"]:
            raise ValueError(
                f"The cache in {str(directory)!r} isn't finished: call TeacherCache.build again, "
                "or from_outputs, with the same arguments, and it goes on where it stopped."
            )
        self._describe(directory, content)
        check_files(directory, content["files"], verify)
        if teacher is not None:
            weights = manifest.weights_checksum(check_model("teacher", teacher))
            manifest.check_same(directory, self.made_of, {"teacher weights": weights})

    @classmethod
    def build(
        cls,
        directory: str | os.PathLike,
        teacher: Any,
        dataset: Any,
        distillation_losses: Any,
        batch_size: int = 32,
        dtype: str = "float16",
        top_k: int | None = None,
        teacher_input: Callable | str | None = None,
        augment: Callable | None = None,
        views: int = 1,
        seed: int = 0,
        shard_size: int | None = None,
        worker: tuple[int, int] | str = "auto",
        timeout: float = 3600,
        verbose: int = 1,
    ) -> "TeacherCache":
        """Runs a teacher over a data set and keeps what the losses need.

        A build that was stopped, even killed, goes on where it was when it is called again with
        the same arguments, and the files are the same in the end. A finished cache of the same
        arguments is opened, after the data set was read once per view, without the teacher, to
        check that every sample is the one that the teacher saw; `TeacherCache(directory)` opens it
        without that. Anything else in the folder is refused.

        Several workers can build together in one folder: each writes every n-th shard, and
        returns when all are there. Under `tf.distribute.MultiWorkerMirroredStrategy` they share
        the work by themselves; under `MirroredStrategy` each batch is split over the replicas.

        Args:
            directory: Folder of this machine or of a mounted disk, made if it doesn't exist. A
                remote address, such as `"gs://..."`, is refused.
            teacher: `keras.Model`, or a function of a batch, as for `Distiller`.
            dataset: `tf.data.Dataset` of `(inputs, labels)`, `(inputs, labels, weights)` or inputs,
                single samples or batches, whose order is the same each time that it is read
                (shuffle what `join` returns) and which ends; or such a tuple of arrays. Labels are
                not kept.
            distillation_losses: A distillation loss, its name, or a list of them.
            batch_size: Samples per step of the teacher.
            dtype: `"float16"`, `"bfloat16"` or `"float32"`.
            top_k: How many of the largest logits, or probabilities, of each sample to keep; by
                default all. The others then get one value, which gives them together the
                probability they had; losses that compare outputs one by one, and independent
                labels, need all.
            teacher_input: How the teacher's inputs are taken from `inputs`: a callable, or a key.
            augment: Function `(inputs, seed)` to inputs of one sample, whose randomness all comes
                from `seed`, an integer tensor of shape `(2,)`.
            views: How often each sample is augmented, each time in another way.
            seed: Integer for the views.
            shard_size: Samples per file; by default files are about 16 MiB.
            worker: `(number, count)` of this worker, or `"auto"`.
            timeout: Seconds to wait for another file of the other workers.
            verbose: 1 for a progress bar, 0 for none.

        Returns:
            `TeacherCache`.

        Raises:
            TypeError: If an argument is of the wrong type.
            ValueError: If the folder holds something else (what differs is named), a loss needs
                what no cache can keep, or the teacher's outputs aren't finite in `dtype`.
        """
        directory = local_directory(directory)
        check_timeout(timeout)
        verbose = verbose if isinstance(verbose, bool) else check_count("verbose", verbose, 0, 2)
        spec = BuildSpec(
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
        )
        return cls._made(directory, spec, worker_of(worker), timeout, verbose)

    @classmethod
    def from_outputs(
        cls,
        directory: str | os.PathLike,
        dataset: Any,
        outputs: Any,
        output_activation: str | Sequence[str] | None = None,
        batch_size: int = 32,
        dtype: str = "float16",
        top_k: int | None = None,
        shard_size: int | None = None,
        verbose: int = 1,
    ) -> "TeacherCache":
        """Keeps outputs of a teacher that somebody already has, in place of running it.

        The result is a cache as any other: `join` pairs the samples with their rows, checks them,
        and `Distiller(cache, student, ...)` taps the features by the names that they have here.
        Features are kept as they are, whichever loss is to learn from them.

        All rows are checked before anything is written, so that the arrays are read twice; files
        are read piece by piece. A folder where this ends in an error is left as it was. The same
        call goes on where a killed one was, and opens a finished cache; a folder with a cache of
        other outputs, or with anything else, is refused.

        Args:
            directory: As for `build`.
            dataset: As for `build`.
            outputs: Dictionary from `"output"`, the teacher's output, and names of features to an
                array or the path of a `.npy` file, of shape `(samples, ...)`: one row per sample
                of `dataset`, in its order. Under `"output"` there may be a list or a dictionary
                of several. Without `"output"`, `"logits"` is the output, as of a function that
                teaches; an array or a path alone is the output too.
            output_activation: `"linear"` for logits or numbers, `"softmax"` or `"sigmoid"` for
                probabilities; a list of one per output where they differ. `None` takes logits,
                and refuses outputs that look like the probabilities of a softmax.
            batch_size: As for `build`; only data sets whose batches differ in shape need it.
            dtype: As for `build`; probabilities are kept as `"float32"`.
            top_k: As for `build`, of the output.
            shard_size: As for `build`.
            verbose: As for `build`.

        Returns:
            `TeacherCache`.

        Raises:
            TypeError: If an argument is of the wrong type.
            ValueError: If the rows aren't as many as the samples, hold NaN or aren't what
                `output_activation` says, or the folder holds something else.
            FileNotFoundError: If a `.npy` file is missing.

        Example:

        ```python
        import tempfile

        x, y = np.random.rand(64, 4).astype("float32"), np.random.randint(0, 3, 64)
        logits, hidden = np.random.randn(64, 3), np.random.randn(64, 8)
        student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="dense")])
        student.add(keras.layers.Dense(3))
        with tempfile.TemporaryDirectory() as folder:
            outputs = {"output": logits, "hidden": hidden}
            cache = TeacherCache.from_outputs(folder, (x, y), outputs, verbose=0)
            losses = ["kd", keras_distill.losses.HintLearning("hidden", "dense")]
            distiller = Distiller(cache, student, losses)
            distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            distiller.fit(cache.join((x, y)), verbose=0)
        ```
        """
        directory = local_directory(directory)
        verbose = verbose if isinstance(verbose, bool) else check_count("verbose", verbose, 0, 2)
        spec = GivenOutputs(
            dataset, outputs, output_activation, batch_size, dtype, top_k, shard_size
        )
        with nothing_half_written(directory):
            return cls._made(directory, spec, (0, 1), 0, verbose)

    @classmethod
    def _made(cls, directory, spec, worker, timeout, verbose):
        """Opens the cache of a folder, and makes it where it isn't finished."""
        content = spec.begin(directory)
        builder = Builder(directory, content, spec, worker, timeout, verbose)
        is_whole = all((directory / name).exists() for name in content["files"])
        if not content["complete"] or not is_whole:
            builder.finish()
            return cls(directory, verify=False)
        cache = cls(directory)
        builder.go_through()
        return cache

    def join(
        self,
        dataset: Any,
        augment: Callable | None = None,
        views: int | None = None,
        batch_size: int | None = None,
        shuffle: bool | None = None,
        buffer_size: int | None = None,
        seed: int | None = None,
        shard: tuple[int, int] | str = (0, 1),
        indices: Sequence[int] | np.ndarray | None = None,
    ) -> tf.data.Dataset:
        """Pairs each sample of a data set with the teacher's outputs.

        Batches stay batches and single samples stay single: shuffle and batch those afterwards, as
        in `cache.join(samples).shuffle(10_000).batch(32)`. Arrays become batches in an order that
        is new in each epoch, as in `fit`. Each pair is checked: a sample that isn't the one that
        the teacher saw is an error.

        With several views, one pass holds all of them: each sample comes once per view.

        `indices` chooses samples, for folds and subsets, as in
        `cache.join((x, y), indices=fold)`: `dataset` stays the whole one, so that each sample is
        checked under its own number. Of arrays only the files that hold chosen samples are read.

        Args:
            dataset: As for `build`, in the same order.
            augment: The augmentation of `build`, which gives each view the same pixels again.
            views: How many of the views to use; by default all.
            batch_size: Samples per batch, for single samples and for arrays (32 by default).
            shuffle: Whether to shuffle arrays (the default) or single samples.
            buffer_size: Samples in the buffer that shuffles; `None` for 8192.
            seed: Integer of the order, or `None` for another one in each run.
            shard: `(number, count)`: this worker's share of the files and of their samples.
            indices: Numbers of the samples to give, in the data set's order and from 0, each once;
                by default all. Without shuffling they come in the data set's order.

        Returns:
            `tf.data.Dataset` for `Distiller.fit`.

        Raises:
            TypeError: If an argument is of the wrong type.
            ValueError: If the data set, its order or its augmentation isn't that of the cache.
        """
        check_files(self.directory, self._content["files"], verify=False)
        samples = Samples(dataset, self._content["ranks"])
        views = self._checked_views(samples, augment, views)
        shuffle = samples.is_arrays if shuffle is None else check_flag("shuffle", shuffle)
        batch_size = self._checked_batch_size(samples, batch_size, shuffle)
        order = check_order(shuffle, buffer_size, seed)
        join = Join(
            self.directory,
            [self._files_of(view) for view in range(views)],
            self.targets,
            self.made_of["seed"],
            worker_of(shard, "shard"),
            self._content["batch_size"] * self._content["batches_per_shard"],
            self.made_of["samples"],
            chosen_of(indices, self.made_of["samples"]),
            self._content["batch_size"],
        )
        return join.dataset(samples, augment, batch_size, order)

    def _checked_views(self, samples, augment, views):
        """Checks that a data set is the one of the cache, and returns the number of views."""
        check_augment(augment)
        found = {
            "inputs": spec_text(samples.inputs_spec),
            "augmentation": "none" if augment is None else "given",
        }
        if samples.count is not None:
            found["samples"] = samples.count
        manifest.check_same(self.directory, self.made_of, found)
        check_first(self.directory, self._content, samples, augment)
        if views is None:
            return self.made_of["views"]
        views = check_size("views", views)
        if views > self.made_of["views"]:
            raise ValueError(
                f"The cache in {str(self.directory)!r} holds {self.made_of['views']} views: give "
                f"views= at most that. Received: views={views}"
            )
        return views

    def _checked_batch_size(self, samples, batch_size, shuffle):
        if samples.is_batched:
            if batch_size is not None or shuffle:
                raise ValueError(
                    "The data set holds batches, which join leaves as they are: give single "
                    "samples for batch_size= or shuffle=. "
                    f"Received: batch_size={shown(batch_size)}, shuffle={shuffle}"
                )
            return samples.batch_length()
        if batch_size is None:
            return 32 if samples.is_arrays else None
        return check_size("batch_size", batch_size)

    def _files_of(self, view):
        """Returns a dictionary from the path of each shard of a view to its number of records."""
        return {
            str(self.directory / name): recorded["records"]
            for name, recorded in sorted(self._content["files"].items())
            if name.startswith(shards.view_prefix(view))
        }

    def make_branch(self, name: str = "teacher", input_function: Any = None) -> Any:
        """Returns the branch that reads the cache in the place of a teacher that runs.

        Args:
            name: `"teacher"`.
            input_function: `None`; the cache was built with its own.

        Raises:
            ValueError: If there is an input function.
        """
        return CacheBranch(self, name, input_function)
