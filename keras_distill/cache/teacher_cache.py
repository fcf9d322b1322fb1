"""The teacher cache: what a teacher says of a data set, computed once and read many times."""

import pathlib

import keras
import tensorflow as tf

from keras_distill.cache import manifest, shards
from keras_distill.cache.arguments import check_augment, check_count, spec_text
from keras_distill.cache.builder import Builder
from keras_distill.cache.joined import Join
from keras_distill.cache.parts import read_part
from keras_distill.cache.plan import Plan, check_first
from keras_distill.cache.samples import Samples, untuned
from keras_distill.workers import worker_of


@keras.saving.register_keras_serializable("keras_distill")
class TeacherCache:
    """What a teacher says of each sample of a data set, kept in files, in the teacher's place.

    It keeps what the losses need and no more: logits (or the largest of them), the one channel that
    an attention map is made of, attention scores, embeddings, features. One cache serves many
    students and settings: temperatures, weights and students' layers are not part of it.

    `cache.join(dataset)` pairs each sample with what the teacher said of it, and checks by a few
    sums over its values that it is the same sample. `Distiller(teacher=cache, ...)` learns from
    such batches; the teacher doesn't run.

    Args:
        directory: Folder of a cache that `TeacherCache.build` made.
        teacher: If given, the teacher whose cache it must be.
        verify: Whether to read all files and compare their checksums.

    Raises:
        FileNotFoundError: If the folder or one of its files is missing.
        ValueError: If the cache isn't finished, is damaged (the file is named), or is of another
            teacher.

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

    def __init__(self, directory, teacher=None, verify=True):
        self.directory = pathlib.Path(directory)
        self._content = manifest.read(directory)
        if not self._content["complete"]:
            raise ValueError(
                f"The cache in {str(directory)!r} isn't finished: call TeacherCache.build again "
                "with the same arguments, and it goes on where it stopped."
            )
        self._check_files(verify)
        self.made_of = self._content["made_of"]
        if teacher is not None:
            weights = {"teacher weights": manifest.weights_checksum(teacher)}
            manifest.check_same(directory, self.made_of, weights)
        self.surveys = self._content["surveys"]
        self.outputs = self._content["outputs"]
        self._parts = {
            (entry["path"], entry["reduction"]): [read_part(part) for part in entry["parts"]]
            for entry in self._content["parts"]
        }
        self._ends_in = {path: ends_in for path, ends_in in self._content["ends_in"]}

    @classmethod
    def build(
        cls,
        directory,
        teacher,
        dataset,
        distillation_losses,
        batch_size=32,
        dtype="float16",
        top_k=None,
        teacher_input=None,
        augment=None,
        views=1,
        seed=0,
        shard_size=None,
        worker="auto",
        patience=3600,
        verbose=1,
    ):
        """Runs a teacher over a data set and keeps what the losses need.

        A build that was stopped, even killed, goes on where it was when it is called again with
        the same arguments, and the files are the same in the end. A finished cache of the same
        arguments is opened. Anything else in the folder is refused.

        Several workers can build together in one folder: each writes every n-th shard, and
        returns when all are there. Under `tf.distribute.MultiWorkerMirroredStrategy` they share
        the work by themselves; under `MirroredStrategy` each batch is split over the replicas.

        Args:
            directory: Folder, made if it doesn't exist.
            teacher: `keras.Model`.
            dataset: `tf.data.Dataset` of `(inputs, labels)`, `(inputs, labels, weights)` or inputs,
                single samples or batches, whose order is the same each time that it is read
                (shuffle what `join` returns); or such a tuple of arrays. Labels are not kept.
            distillation_losses: A distillation loss, its name, or a list of them.
            batch_size: Samples per step of the teacher.
            dtype: `"float16"`, `"bfloat16"` or `"float32"`.
            top_k: How many of the largest logits of each sample to keep; by default all. The
                others then get one value, which gives them together the probability they had.
            teacher_input: How the teacher's inputs are taken from `inputs`: a callable, or a key.
            augment: Function `(inputs, seed)` to inputs of one sample, whose randomness all comes
                from `seed`, an integer tensor of shape `(2,)`.
            views: How often each sample is augmented, each time in another way.
            seed: Integer for the views.
            shard_size: Samples per file; by default files are about 16 MiB.
            worker: `(number, count)` of this worker, or `"auto"`.
            patience: Seconds to wait for another file of the other workers.
            verbose: 1 for a progress bar, 0 for none.

        Returns:
            `TeacherCache`.

        Raises:
            TypeError: If an argument is of the wrong type.
            ValueError: If the folder holds something else (what differs is named), a loss needs
                what no cache can keep, or the teacher's outputs aren't finite in `dtype`.
        """
        plan = Plan(
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
        worker = worker_of(worker)
        directory = pathlib.Path(directory)
        content = _begin(directory, plan)
        is_whole = all((directory / name).exists() for name in content["files"])
        is_made_now = not content["complete"] or not is_whole
        if is_made_now:
            Builder(directory, content, plan, worker, patience, verbose).finish()
        return cls(directory, verify=not is_made_now)

    def join(
        self,
        dataset,
        augment=None,
        views=None,
        batch_size=None,
        shuffle=None,
        buffer_size=8192,
        seed=None,
        shard=(0, 1),
    ):
        """Pairs each sample of a data set with what the teacher said of it.

        Batches stay batches and single samples stay single: shuffle and batch those afterwards, as
        in `cache.join(samples).shuffle(10_000).batch(32)`. Arrays become batches in an order that
        is new in each epoch, as in `fit`. Each pair is checked: a sample that isn't the one that
        the teacher saw is an error.

        With several views, one pass holds all of them: each sample comes once per view.

        Args:
            dataset: As for `build`, in the same order.
            augment: The augmentation of `build`, which gives each view the same pixels again.
            views: How many of the views to use; by default all.
            batch_size: Samples per batch, for single samples and for arrays (32 by default).
            shuffle: Whether to shuffle arrays (the default) or single samples with a `batch_size`.
            buffer_size: Samples in the buffer that shuffles.
            seed: Integer of the order, or `None` for another one in each run.
            shard: `(number, count)`: this worker's share of the files and of their samples.

        Returns:
            `tf.data.Dataset` for `Distiller.fit`.

        Raises:
            TypeError: If an argument is of the wrong type.
            ValueError: If the data set, its order or its augmentation isn't that of the cache.
        """
        samples = Samples(dataset, self._content["ranks"])
        views = self._checked_views(samples, augment, views)
        shuffle = samples.is_arrays if shuffle is None else shuffle
        batch_size = self._checked_batch_size(samples, batch_size, shuffle)
        number, count = worker_of(shard)
        join = Join(
            self.directory,
            [self._files_of(view) for view in range(views)],
            self.parts,
            self.made_of["seed"],
            (number, count),
            self._content["batch_size"] * self._content["batches_per_shard"],
            self.made_of["samples"],
        )
        if samples.is_arrays and shuffle:
            joined = join.shuffled(samples, augment, batch_size, buffer_size, seed)
        else:
            joined = join.in_order(samples, augment, batch_size or self._content["batch_size"])
            if batch_size is None:
                joined = joined.unbatch().apply(
                    tf.data.experimental.assert_cardinality(join.count * views)
                )
            elif shuffle:
                joined = joined.unbatch().shuffle(buffer_size, seed=seed).batch(batch_size)
        options = tf.data.Options()
        policies = tf.data.experimental.AutoShardPolicy
        options.experimental_distribute.auto_shard_policy = (
            policies.DATA if count == 1 else policies.OFF
        )
        return untuned(joined.with_options(options).prefetch(tf.data.AUTOTUNE))

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
        check_count("views", views)
        if views > self.made_of["views"]:
            raise ValueError(
                f"The cache in {str(self.directory)!r} holds {self.made_of['views']} views, and "
                f"views={views} were asked for."
            )
        return views

    def _checked_batch_size(self, samples, batch_size, shuffle):
        if samples.is_batched:
            if batch_size is not None or shuffle:
                raise ValueError(
                    "The data set holds batches, which join leaves as they are: give single "
                    "samples for batch_size= or shuffle=."
                )
            first = next(iter(samples.batches()))
            return len(tf.nest.flatten(first)[0])
        if batch_size is None:
            return 32 if samples.is_arrays else None
        check_count("batch_size", batch_size)
        return batch_size

    def _files_of(self, view):
        return [
            str(self.directory / name)
            for name in sorted(self._content["files"])
            if name.startswith(shards.view_prefix(view))
        ]

    def _check_files(self, verify):
        for name, recorded in self._content["files"].items():
            path = self.directory / name
            if not path.is_file():
                raise FileNotFoundError(
                    f"{path} is missing: call TeacherCache.build again with the same arguments, "
                    "which makes it anew."
                )
            is_whole = path.stat().st_size == recorded["bytes"] and (
                not verify or manifest.file_checksum(path) == recorded["checksum"]
            )
            if not is_whole:
                raise ValueError(
                    f"{path} is damaged: it isn't what was written. Delete that file and call "
                    "TeacherCache.build again with the same arguments, which makes it anew."
                )

    @property
    def parts(self):
        """List of the `Part` objects that the cache keeps."""
        return [part for group in self._parts.values() for part in group]

    @property
    def nbytes(self):
        """Bytes of the cache's shards on the disk."""
        return sum(file["bytes"] for file in self._content["files"].values())

    def ends_in(self, path):
        """Names the activation of the teacher's output, or of a layer, as in `LossContext`.

        Args:
            path: Layer path, or `None` for the output.
        """
        return self._ends_in.get(path)

    def parts_for(self, path, reduction, loss=None):
        """Returns the parts that serve a loss.

        Args:
            path: Layer path, or `None` for the output.
            reduction: Name of the reduction that the loss takes; the whole serves too.
            loss: The loss, for the error.

        Raises:
            ValueError: If the cache has none.
        """
        for key in ((path, reduction), (path, "")):
            if key in self._parts:
                return self._parts[key]
        what = f"{path or 'output'}{f' ({reduction})' if reduction else ''}"
        raise ValueError(
            f"The cache in {str(self.directory)!r} doesn't hold {what!r} of the teacher, which "
            f"{type(loss).__name__} needs. It holds {[part.name for part in self.parts]}. Build "
            "one with this loss among its distillation_losses."
        )

    def __repr__(self):
        kept = ", ".join(part.name for part in self.parts)
        return (
            f"<TeacherCache {str(self.directory)!r}: {self.made_of['samples']} samples, "
            f"{self.made_of['views']} views, {self.made_of['dtype']}, {self.nbytes:,} bytes: "
            f"{kept}>"
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        return {"directory": str(self.directory)}

    @classmethod
    def from_config(cls, config):
        """Opens the cache that `get_config` described."""
        return cls(**config)


def _begin(directory, plan):
    """Returns the manifest to go on from: that of the folder, or a new one."""
    directory.mkdir(parents=True, exist_ok=True)
    # Another worker may begin at the same moment, with the same manifest.
    others = [file.name for file in directory.iterdir() if manifest.FILE not in file.name]
    if (directory / manifest.FILE).exists():
        content = manifest.read(directory)
        plan.check_against(directory, content)
        return content
    if others:
        raise ValueError(
            f"{str(directory)!r} holds other files ({', '.join(sorted(others)[:3])}, ...): give a "
            "folder of its own to the cache."
        )
    manifest.write(directory, plan.content)
    return plan.content
