"""What a cache is to be made of, and whether a folder holds such a cache already."""

import dataclasses
import json

import numpy as np

from keras_distill.cache import manifest
from keras_distill.cache.arguments import another_sample
from keras_distill.cache.builder import batches_per_shard, first_fingerprints
from keras_distill.cache.fingerprint import differ
from keras_distill.cache.samples import seeded


class CacheSpec:
    """Base of what a cache is made of: a teacher that runs, or outputs that are given.

    A subclass sets the attributes, and overrides `rows`.

    Attributes:
        samples: `Samples`.
        augment: Function, or `None`.
        targets: List of `Target`.
        content: The manifest of a cache that is still to be made.
    """

    augment = None
    samples = None
    targets = ()
    content = None

    def rows(self, start, inputs):
        """Returns the arrays to store for a batch, fingerprints of its samples among them.

        Args:
            start: Number of the batch's first sample.
            inputs: The batch's inputs.

        Returns:
            Dictionary from name to array of shape `(batch, ...)`.
        """
        raise NotImplementedError(f"{type(self).__name__} must override `rows`.")

    def _described(self, made_of, outputs, activations, candidates, batch_size, shard_size):
        """Returns the manifest, as `json` reads it, so that it compares equal."""
        size = sum(target.bytes for target in self.targets)
        seen = seeded(self.augment, made_of["seed"], view=0)
        content = {
            "format": manifest.FORMAT,
            "complete": False,
            "made_of": made_of,
            "ranks": self.samples.ranks,
            "batch_size": batch_size,
            "batches_per_shard": batches_per_shard(size, batch_size, shard_size),
            "targets": [dataclasses.asdict(target) for target in self.targets],
            "outputs": outputs,
            "output_activation": activations,
            "candidates": candidates,
            "first_inputs": first_fingerprints(self.samples).tolist(),
            "first_seen": first_fingerprints(self.samples, seen).tolist(),
            "files": {},
        }
        return json.loads(json.dumps(content))

    def check_count(self, directory, made_of, found):
        """Checks the number of samples of the data set against what the cache is made of.

        Args:
            directory: Folder of the cache.
            made_of: What the cache is made of, as its manifest says.
            found: Number of samples, or text for more than there should be.

        Raises:
            ValueError: If it is another one.
        """
        manifest.check_same(directory, made_of, {"samples": found})

    def begin(self, directory):
        """Returns the manifest that a build goes on from: that of the folder, or a new one.

        Args:
            directory: Folder of the cache, made if it doesn't exist.

        Raises:
            ValueError: If the folder holds another cache, or other files.
        """
        directory.mkdir(parents=True, exist_ok=True)
        found = [file.name for file in directory.iterdir()]
        others = [name for name in found if not manifest.is_of_manifest(name)]
        if (directory / manifest.FILE).exists():
            content = manifest.read(directory)
            self.check_against(directory, content)
            return content
        if any(name.endswith(".tfrecord") for name in others):
            # Says how it is mended.
            manifest.read(directory)
        if others:
            raise ValueError(
                f"{str(directory)!r} holds other files ({', '.join(sorted(others)[:3])}, ...): "
                f"give a folder of its own to the cache. Received: directory={str(directory)!r}"
            )
        manifest.write(directory, self.content)
        return self.content

    def check_against(self, directory, recorded):
        """Checks that a cache, finished or not, is the one that is wanted.

        Args:
            directory: Folder of the cache.
            recorded: Its manifest.

        Raises:
            ValueError: If it isn't; the error names what differs.
        """
        wanted = dict(self.content["made_of"])
        if wanted["samples"] is None:
            wanted.pop("samples")
        manifest.check_same(directory, recorded["made_of"], wanted)
        if not recorded["complete"]:
            sizes = ("batch_size", "batches_per_shard")
            manifest.check_same(directory, recorded, {size: self.content[size] for size in sizes})
        check_first(directory, recorded, self.samples, self.augment)
        self.check_answers(directory, recorded)

    def check_answers(self, directory, recorded):
        """Checks what can't be told from the manifest.

        Args:
            directory: Folder of the cache.
            recorded: Its manifest.

        Raises:
            ValueError: If the cache is of something else.
        """


def check_first(directory, recorded, samples, augment):
    """Checks that the first samples of a data set are those of a cache.

    Args:
        directory: Folder of the cache.
        recorded: Its manifest.
        samples: `Samples`.
        augment: Augmentation, or `None`.

    Raises:
        ValueError: If they aren't; the error tells the data set from the augmentation.
    """
    of_sample = seeded(augment, recorded["made_of"]["seed"], view=0)
    checks = [("the data set's", "first_inputs", None)]
    if augment is not None:
        checks.append(("the augmented", "first_seen", of_sample))
    for what, key, augmentation in checks:
        found, expected = first_fingerprints(samples, augmentation), np.float32(recorded[key])
        count = min(len(found), len(expected))
        wrong = np.flatnonzero(differ(found[:count], expected[:count]))
        if len(wrong):
            raise another_sample(directory, what, wrong[0])
